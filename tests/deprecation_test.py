"""Deprecated operations: headers on every response, 410 after the sunset, who still calls, and the example of docs/deprecation.md as it stands there."""
import re
import subprocess

import harness
import tokens

CONTRACT = """
openapi: 3.1.0
info: {title: Deprecated, version: '1'}
x-plimsoll: {mock: {}, authorization: any-caller, rate-limit: off, after-sunset: gone}
security: [{bearer: []}]
components: {securitySchemes: {bearer: {type: http, scheme: bearer}}}
paths:
  /carts/{id}/legacy:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get:
      operationId: legacyCart
      deprecated: true
      x-plimsoll: {deprecated-since: 2020-01-01, sunset: SUNSET, successor: getCart}
      responses: {'200': {description: ok, content: {application/json: {example: {}}}}}
  /carts/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: getCart, responses: {'200': {description: ok, content: {application/json: {example: {}}}}}}
"""
FUTURE, PAST = CONTRACT.replace("SUNSET", "2999-12-31"), CONTRACT.replace("SUNSET", "2020-12-31")
COUNTED = "plimsoll_deprecated_requests_total"


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", (harness.ROOT / page).read_text(), re.M | re.S)


class Deprecation(harness.ServerTest):
    def told(self, answer):
        return [answer.headers.get(name) for name in ("deprecation", "sunset", "link")]

    def test_headers_are_on_every_response_over_http1_and_http2(self):
        harness.needs("curl")
        server = self.serve(FUTURE, tokens.DEPLOYMENT)
        expected = ["@1577836800", "Tue, 31 Dec 2999 00:00:00 GMT", '</carts/7>; rel="successor-version"']
        ada = tokens.caller("ada")
        for status, headers in ((200, ada), (401, {}), (401, {"Authorization": "Bearer no"}), (406, {**ada, "Accept": "image/png"})):
            answer = server.get("/carts/7/legacy", headers)
            self.assertEqual((answer.status, self.told(answer)), (status, expected), headers)
        self.assertEqual(self.told(server.request("HEAD", "/carts/7/legacy", headers=ada)), expected)
        self.assertEqual(self.told(server.get("/carts/7", ada)), [None, None, None])
        done = subprocess.run(["curl", "-si", "--http2-prior-knowledge", f"{server.url}/carts/7/legacy"], capture_output=True, text=True, timeout=harness.PATIENCE)
        lines = done.stdout.splitlines()
        self.assertTrue(lines[0].startswith("HTTP/2 401"), done)
        for name, value in zip(("deprecation", "sunset", "link"), expected):
            self.assertIn(f"{name}: {value}", lines)

    def test_after_the_sunset_it_is_gone_and_who_still_calls_is_counted_across_reloads(self):
        server = self.serve(FUTURE, tokens.DEPLOYMENT)

        def counted(caller):
            return server.metrics().get(f'{COUNTED}{{operation="legacyCart",caller="{caller}"}}')

        self.assertEqual(server.get("/carts/7/legacy", tokens.caller("ada")).status, 200)
        self.assertEqual(server.get("/carts/7/legacy").status, 401)
        self.assertEqual((counted("ada"), counted("anonymous")), (1, 0), "rejected credentials are nobody's use")
        (server.directory / "contract.yaml").write_text(PAST)
        done = subprocess.run([harness.program(), "reload", "--management", server.management], capture_output=True, text=True, timeout=harness.PATIENCE)
        self.assertEqual(done.returncode, 0, done)
        gone = server.get("/carts/7/legacy", tokens.caller("ada"))
        self.assertEqual((gone.status, gone.code, gone.json()["policy"]), (410, "operation-gone", "deprecation"), gone)
        self.assertEqual(gone.json()["detail"], "Operation legacyCart ended on Thu, 31 Dec 2020 00:00:00 GMT. Its successor is /carts/7.")
        self.assertEqual(self.told(gone), ["@1577836800", "Thu, 31 Dec 2020 00:00:00 GMT", '</carts/7>; rel="successor-version"'])
        self.assertEqual(server.get("/carts/7/legacy", tokens.caller("bob")).status, 410)
        self.assertEqual((counted("ada"), counted("bob")), (2, 1))
        self.assertEqual(server.get("/carts/7", tokens.caller("ada")).status, 200)
        page = server.get("/problems/operation-gone")
        self.assertEqual(page.status, 200)
        self.assertIn("successor-version", page.text)

    def test_the_page_shows_what_the_server_answers(self):
        harness.needs("curl")
        contract, overlay = blocks("docs/deprecation.md", "yaml")
        (console,) = blocks("docs/deprecation.md", "console")
        server = self.serve(contract)
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", console, re.M):
            with self.subTest(command):
                used = command.replace("localhost:8080", server.address).replace("localhost:9180", server.management)
                done = subprocess.run(["bash", "-c", used], capture_output=True, text=True, timeout=harness.PATIENCE)
                printed = done.stdout.replace("\r", "").strip()
                self.assertRegex(printed, "^" + ".*".join(re.escape(part) for part in shown.strip().split("…")) + "$")
        retired = self.serve(re.sub(r"(?m)^ +(deprecated: true|x-plimsoll: .*sunset.*)\n", "", contract), files={"end.yaml": overlay}, arguments=["--overlay", "end.yaml"])
        for path in ("/carts/7", "/orders"):
            self.assertEqual(self.told(retired.get(path)), ["@1767225600", "Thu, 31 Dec 2099 00:00:00 GMT", '</v2/>; rel="successor-version"'])


if __name__ == "__main__":
    harness.main()
