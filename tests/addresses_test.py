"""Clients are allowed by address: operations and the documents of the server, behind a proxy, in shadow mode and after a reload."""
import json

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll: {mock: true, authorization: any-caller, addresses: {allow: [10.0.0.0/8, '2001:db8::/32'], deny: [10.1.0.0/16]}}
paths:
  /inside: {get: {operationId: inside, security: [], responses: {'200': {description: ok, content: {application/json: {example: {}}}}}}}
  /everybody:
    get: {operationId: everybody, x-plimsoll: {addresses: off}, security: [], responses: {'200': {description: ok, content: {application/json: {example: {}}}}}}
  /tried:
    get: {operationId: tried, x-plimsoll: {addresses: {mode: shadow, deny: [10.0.0.0/8]}}, security: [], responses: {'200': {description: ok, content: {application/json: {example: {}}}}}}
"""
FROM = ("10.0.0.1", "10.1.0.1", "192.0.2.7", "2001:db8::1", "2001:db9::1")


class Addresses(harness.ServerTest):
    def asked(self, server, path):
        return [server.get(path, {"X-Forwarded-For": address}).status for address in FROM]

    def test_each_address_gets_what_the_contract_says_for_it(self):
        server = self.serve(CONTRACT, "trusted-proxies: [127.0.0.1]\n")
        for path, expected in (("/inside", [200, 403, 403, 200, 403]), ("/everybody", [200] * 5), ("/openapi.json", [200, 403, 403, 200, 403]), ("/docs", [200, 403, 403, 200, 403]),
                               ("/livez", [200] * 5), ("/tried", [200] * 5)):
            self.assertEqual(self.asked(server, path), expected, path)
        refused = server.get("/inside", {"X-Forwarded-For": "192.0.2.7"})
        self.assertEqual((refused.code, refused.json()["policy"]), ("address-refused", "addresses"))
        self.assertEqual(server.get("/inside", {"X-Forwarded-For": "10.0.0.1, 192.0.2.7"}).status, 403, "the nearest that is no proxy of ours counts")
        self.assertEqual(server.get("/inside").status, 403, "the proxy itself")
        contract = server.get("/openapi.json", {"X-Forwarded-For": "10.0.0.1"}).json()
        response = contract["paths"]["/inside"]["get"]["responses"]["403"]
        if "$ref" in response:
            response = contract["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
        self.assertIn("address-refused", json.dumps(response))
        self.assertNotIn("403", contract["paths"]["/everybody"]["get"]["responses"])
        shadowed = sum(number for name, number in server.metrics().items() if 'policy="addresses"' in name and 'operation="tried"' in name and "shadowed" in name)
        self.assertEqual(shadowed, 2, "counted, and let through")

    def test_what_nobody_trusted_says_of_the_client_is_not_believed(self):
        server = self.serve(CONTRACT)
        self.assertEqual(self.asked(server, "/inside"), [403] * 5)

    def test_a_reload_lets_another_network_in(self):
        server = self.serve(CONTRACT)
        self.assertEqual(server.get("/inside").status, 403)
        (server.directory / "contract.yaml").write_text(CONTRACT.replace("allow: [", "allow: [127.0.0.1, "))
        server.signal(harness.signal.SIGHUP)
        harness.until(lambda: server.get("/inside").status == 200, "the new list")

    def test_a_list_that_cannot_be_read_refuses_the_start(self):
        for wrong, said in (("{}", "names no network"), ("{allow: [10.0.0.0/33]}", "between 0 and 32"), ("{deny: [localhost]}", '"localhost" is not an address or network'), ("{alow: ['::1']}", "allow")):
            folder = self.directory()
            (folder / "api.yaml").write_text(CONTRACT.replace("addresses: off", "addresses: " + wrong))
            done = self.plimsoll("check", "api.yaml", directory=folder)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(said, done.stderr)
            self.assertRegex(done.stderr, r"api\.yaml:8:\d+: error")


if __name__ == "__main__":
    harness.main()
