"""/docs as a person uses it, in Chromium at two widths: authorize, order, pay, read what was wrong, find, and run the samples that it shows.

playwright-core and axe-core come from npm (bench/package.json); without them the test is skipped. PLIMSOLL_SCREENSHOTS=FOLDER keeps what was seen.
"""
import json
import os
import pathlib
import re
import subprocess

import harness
import npm

EXAMPLES = harness.ROOT / "examples"

# A word of 90 characters in each place of a contract whose text is shown.
WORD = "unbreakable" * 8 + "it"
LONG = {
    "openapi": "3.1.0", "info": {"title": WORD, "version": WORD, "description": f"{WORD} and `{WORD}`"}, "servers": [{"url": f"/{WORD}", "description": WORD}],
    "tags": [{"name": WORD, "description": f"`{WORD}`"}],
    "paths": {f"/{WORD}/{{{WORD}}}": {"post": {
        "tags": [WORD], "operationId": WORD, "summary": WORD, "description": f"- `{WORD}`\n- **{WORD}**\n\n[{WORD}](https://example.com/{WORD})",
        "externalDocs": {"url": f"https://example.com/{WORD}"}, "security": [{WORD: [WORD]}],
        "parameters": [{"name": WORD, "in": place, "required": True, "description": f"`{WORD}`", "schema": {"type": "string", "enum": [WORD, WORD + "s"]}} for place in ("path", "query")] +
                      [{"name": "many", "in": "query", "description": WORD, "schema": {"type": "array", "items": {"type": "string", "enum": [WORD, WORD + "s"]}}}],
        "requestBody": {"description": f"`{WORD}`", "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{WORD}"}},
                                                               f"application/x-{WORD}": {"schema": {"type": "string", "contentMediaType": "image/png"}}}},
        "responses": {"200": {"description": f"`{WORD}`", "headers": {WORD: {"description": f"`{WORD}`", "schema": {"type": "string", "pattern": WORD}}},
                              "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{WORD}"}}}}}}}},
    "components": {"securitySchemes": {WORD: {"type": "apiKey", "in": "header", "name": WORD, "description": f"`{WORD}`"}},
                   "schemas": {WORD: {"type": "object", "title": WORD, "description": f"`{WORD}`", "required": [WORD], "properties": {
                       WORD: {"type": "string", "description": f"`{WORD}`", "pattern": WORD, "default": WORD},
                       "kind": {"enum": [WORD, WORD + "s"]}, "child": {"$ref": f"#/components/schemas/{WORD}"}}}}}}


class ReferencePage(harness.ServerTest):
    def setUp(self):
        harness.needs("chromium")
        npm.needs("playwright-core", "axe-core")

    def shown(self, address, width):
        """What no person reads, because it is behind the right edge."""
        folder = pathlib.Path(os.environ.get("PLIMSOLL_SCREENSHOTS") or self.directory())
        (folder / "node_modules").exists() or (folder / "node_modules").symlink_to(npm.FOLDER / "node_modules")
        (folder / "width.mjs").write_text((harness.ROOT / "tests/programs/reference_page_width.mjs").read_text())
        done = subprocess.run(["node", "width.mjs", address, str(width), f"width-{width}.png"], cwd=folder, capture_output=True, text=True, timeout=300,
                              env={**os.environ, "HOME": str(folder)})
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return json.loads(done.stdout)

    def all_is_shown(self, contract, least):
        server = harness.Server(contract, self.directory(), verb=("mock",))
        self.addCleanup(self._end, server)
        server.start()
        for width in (1400, 400):
            with self.subTest(width):
                seen = self.shown(f"{server.url}/docs", width)
                self.assertEqual((seen["cut"], seen["width"]), ([], width))
                self.assertGreater(seen["looked"], least)

    def test_no_text_is_cut_off_however_long_its_words(self):
        contract = self.directory() / "long.json"
        contract.write_text(json.dumps(LONG))
        self.all_is_shown(contract, 100)

    def test_no_text_of_a_large_contract_is_cut_off(self):
        self.all_is_shown(harness.real("contracts/box.json"), 10000)

    def used(self, width):
        server = self.serve(EXAMPLES / "shop/shop.yaml", EXAMPLES / "shop/plimsoll.yaml", arguments=["--dev"]).authorize()
        address = re.search(r"with the keys of --dev filled in:\n  (\S+)", server.output).group(1)
        folder = pathlib.Path(os.environ.get("PLIMSOLL_SCREENSHOTS") or self.directory())
        (folder / "node_modules").exists() or (folder / "node_modules").symlink_to(npm.FOLDER / "node_modules")
        (folder / "reference_page.mjs").write_text((harness.ROOT / "tests/programs/reference_page.mjs").read_text())
        token = server.headers["Authorization"].removeprefix("Bearer ")
        done = subprocess.run(["node", "reference_page.mjs", address, token, str(width), str(folder)], cwd=folder, capture_output=True, text=True, timeout=300,
                              env={**os.environ, "HOME": str(folder)})
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return server, folder, token, json.loads(done.stdout)

    def as_a_person(self, width):
        server, folder, token, seen = self.used(width)
        self.assertEqual(seen["complaints"], [])
        self.assertEqual(seen["elsewhere"], [])
        self.assertEqual(seen["violations"], {what: [] for what in ("start", "authorize", "refused", "model", "problem")})
        self.assertEqual((seen["filled"], seen["before"], seen["after"]), ("Authorized", "Authorize", "Authorized"))
        self.assertNotIn(token, seen["shown"])
        self.assertEqual([seen[name]["status"] for name in ("customers", "order", "row", "paid", "again", "invalid", "refused")],
                         [200, 201, 200, 201, 201, 400, 422])
        self.assertEqual(seen["row"]["body"]["note"], "it's for Ann")
        self.assertNotIn("idempotent-replayed", seen["paid"]["headers"])
        self.assertIn("idempotent-replayed: true", seen["again"]["headers"])
        self.assertEqual(seen["again"]["body"], seen["paid"]["body"])
        for said in ("Needs an Idempotency-Key.", "1000/minute", "Answered within"):
            self.assertIn(said, seen["notes"])
        for said in ("body /method", "body /amount"):
            self.assertIn(said, seen["told"])
        self.assertIn(seen["refused"]["body"]["code"], seen["problem"])
        self.assertRegex(seen["found"], r"^[1-9]\d* found$")
        self.assertIn("#model-Payment", seen["foundInModels"])
        self.assertIn("#createOrder", seen["foundInResponses"])  # a header that only responses have
        self.assertNotIn("#listOrders", seen["foundInResponses"])
        self.assertLessEqual(seen["width"], width)
        self.assertIn("system-ui", seen["font"])
        return server, folder, token, seen

    def test_it_is_used_on_a_wide_window(self):
        server, folder, token, seen = self.as_a_person(1400)
        # What it shows does what it says, as it stands.
        environment = {**os.environ, "BEARER": token}
        before = len(server.get(f"/v1/payments?order_id={seen['order']['body']['id']}").json()["data"])
        for name in seen["samples"]:
            with self.subTest(name):
                text = (folder / name).read_text()
                self.assertNotIn(token, text)
                # A key for each language, else the first response is given again.
                (folder / name).write_text(re.sub(r"\b[0-9a-f]{32}\b", os.urandom(16).hex(), text))
                if name.endswith("cpp"):
                    self.assertIn("c++ sample.cpp -lcurl", text)
                    compiled = subprocess.run([os.environ.get("CXX", "clang++-19"), "-Wall", "-Werror", name, "-o", "sample", "-lcurl"], cwd=folder, capture_output=True, text=True, timeout=120)
                    self.assertEqual(compiled.returncode, 0, compiled.stderr[-2000:])
                command = {"sh": ["sh", name], "mjs": ["node", name], "py": ["/usr/bin/python3", name], "cpp": ["./sample"]}[name.split(".")[1]]
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, env=environment)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn('"amount":"0.10"' if name.startswith("createPayment") else '"data":[{"id":', done.stdout)
                self.assertNotIn('"status":"shipped"', done.stdout)  # it asks for those that are open or paid
        after = len(server.get(f"/v1/payments?order_id={seen['order']['body']['id']}").json()["data"])
        self.assertEqual(after - before, 4)

    def test_it_is_used_on_a_narrow_one_in_the_dark(self):
        self.as_a_person(400)


if __name__ == "__main__":
    harness.main()
