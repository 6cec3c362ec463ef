"""Every declared status and JSON media type of the contracts of the real world, answered by `plimsoll mock` from its examples and made up:
our own validator (`responses: enforce`) and ajv, over schemas that somebody else's package has translated, both accept each body.

PLIMSOLL_SEEDS says how many different requests each answer is asked with (default 1; 10 with PLIMSOLL_TORTURE). ajv comes from npm
(bench/package.json); without it the test is skipped.
"""
import json
import os
import subprocess
import unittest

import harness
import npm

SEEDS = int(os.environ.get("PLIMSOLL_SEEDS", "10" if os.environ.get("PLIMSOLL_TORTURE") else "1"))
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# What is asked here is how answers are made, not which requests are let in.
OVERLAY = {"overlay": "1.0.0", "info": {"title": "any request", "version": "1"},
           "actions": [{"target": "$", "update": {"x-plimsoll": {"validate": "off", "rate-limit": "off", "compression": "off", "responses": "enforce"}}}]}


def is_json(media):
    essence = media.split(";")[0].strip().lower()
    return essence == "application/json" or essence.endswith("+json")


def code_of(status):
    return {"default": "418"}.get(status, status.replace("XX", "99"))


class MockAjv(harness.ServerTest):
    CONTRACTS = ("box.json", "museum.yaml", "oai-api-with-examples.yaml", "oai-link-example.yaml", "oai-petstore-expanded.yaml", "oai-uspto.yaml",
                 "train-travel.yaml", "twilio-api-v2010.yaml")

    def answers(self, server, document):
        """(what ajv is asked, what is told to a person) for each body."""
        resolved = lambda value: self.resolve(document, value)  # noqa: E731
        base = "".join("/" + part for part in document.get("servers", [{}])[0].get("url", "").split("://")[-1].split("/")[1:] if part)
        connection = server.connection()
        self.addCleanup(connection.close)
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if method not in METHODS or "#" in path:
                    continue
                own = (operation.get("servers") or item.get("servers") or [None])[0]
                prefix = base if own is None else "/" + "/".join(part for part in own["url"].split("://")[-1].split("/")[1:] if part)
                target = prefix.rstrip("/") + "".join("x" if part.startswith("{") else part for part in self.pieces(path))
                for status, response in operation["responses"].items():
                    for media, described in resolved(response).get("content", {}).items():
                        if not is_json(media) or "schema" not in described:
                            continue
                        for seed in range(2 * SEEDS):
                            wish = "code=" + code_of(status) + (", dynamic=true" if seed % 2 else "")
                            told = server.request(method.upper(), f"{target}?seed={seed // 2}", connection=connection,
                                                  headers={"Prefer": wish, "Accept": media, **self.credentials(document)})
                            where = f"{method} {path} {status} {media} {wish} ?seed={seed // 2}"
                            self.assertEqual(str(told.status), code_of(status), f"{where}: {told!r}")
                            yield {"path": path, "method": method, "status": status, "media": media, "body": told.text}, where

    @staticmethod
    def pieces(path):
        text = path.replace("{", "\0{").replace("}", "}\0")
        return text.split("\0")

    @staticmethod
    def resolve(document, value):
        while "$ref" in value:
            found = document
            for step in value["$ref"][2:].split("/"):
                found = found[step.replace("~1", "/").replace("~0", "~")]
            value = found
        return value

    @staticmethod
    def credentials(document):
        schemes = document.get("components", {}).get("securitySchemes", {}).values()
        basic = any(scheme.get("scheme") == "basic" for scheme in schemes)
        return {"Authorization": "Basic dDp0" if basic else "Bearer t"}

    def test_every_answer_satisfies_our_validator_and_ajv(self):
        harness.real("contracts")
        npm.needs("ajv", "ajv-formats", "ajv-draft-04", "@openapi-contrib/openapi-schema-to-json-schema")
        total = 0
        for name in self.CONTRACTS:
            with self.subTest(name):
                contract, folder = harness.real(f"contracts/{name}"), self.directory()
                bundled = self.plimsoll("bundle", contract)
                self.assertEqual(bundled.returncode, 0, bundled.stderr)
                (folder / "bundled.json").write_text(bundled.stdout)
                (folder / "overlay.yaml").write_text(json.dumps(OVERLAY))
                server = harness.Server(contract, folder, verb=("mock",), arguments=("--overlay", folder / "overlay.yaml"))
                self.addCleanup(self._end, server)
                server.start()
                asked = list(self.answers(server, json.loads(bundled.stdout)))
                lines, places = [line for line, _ in asked], [place for _, place in asked]
                server.stop()
                if not lines:
                    print(f"{name}: no answer has a schema", flush=True)
                    continue
                done = subprocess.run(["node", str(harness.ROOT / "tests/programs/response_bodies_by_ajv.mjs"), str(folder / "bundled.json")],
                                      input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True, timeout=600)
                self.assertEqual(done.returncode, 0, done.stderr[-2000:])
                verdicts = [json.loads(line) for line in done.stdout.splitlines()]
                self.assertEqual(len(verdicts), len(lines))
                wrong = [f"{place}: {verdict['errors']}\n  {line['body'][:300]}" for line, place, verdict in zip(lines, places, verdicts) if verdict["valid"] is not True]
                total += len(lines)
                print(f"{name}: {len(lines)} bodies, {len(lines) - len(wrong)} accepted by both", flush=True)
                self.assertEqual(wrong[:10], [], f"{len(wrong)} of {len(lines)}")
        self.assertGreater(total, 2000 * SEEDS)


if __name__ == "__main__":
    harness.main()
