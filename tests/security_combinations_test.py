"""`plimsoll mock` and the security of a contract: every way to combine five schemes against every set of credentials, well-formed and not,
judged by a model that takes the words of OpenAPI: one alternative is enough, all of its schemes are needed, `{}` asks for nothing, an
operation's own list replaces the contract's.
"""
import base64
import itertools
import json
import urllib.parse

import harness

SCHEMES = {
    "header": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "api_key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
    "basic": {"type": "http", "scheme": "basic"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
GLOBAL = [["bearer"]]
# `None`: the operation says nothing, and the contract's own holds.
REQUIREMENTS = {
    "inherits": None, "none": [], "one-header": [["header"]], "one-query": [["query"]], "one-cookie": [["cookie"]], "one-basic": [["basic"]],
    "one-bearer": [["bearer"]], "either": [["header"], ["bearer"]], "any": [["header"], ["query"], ["cookie"], ["basic"], ["bearer"]],
    "both": [["header", "bearer"]], "three": [["header", "query", "cookie"]], "pairs": [["header", "query"], ["cookie", "basic"]],
    "optional": [[], ["bearer"]], "optional-last": [["header", "cookie"], []], "overlap": [["header", "cookie"], ["header", "bearer"], ["basic"]],
}
WELL = {"header": "k-1", "query": "k 2+", "cookie": "k3", "basic": "Basic " + base64.b64encode(b"ada:secret").decode(), "bearer": "Bearer abc.def-123~"}
ILL = {"header": "", "query": "", "cookie": "", "basic": "Basic !!!", "bearer": "Bearer a b"}


def contract():
    def operation(name, alternatives):
        made = {"operationId": name, "responses": {"204": {"description": "ok"}}}
        if alternatives is not None:
            made["security"] = [{scheme: [] for scheme in alternative} for alternative in alternatives]
        return {"get": made}
    return json.dumps({"openapi": "3.1.0", "info": {"title": "Security", "version": "1"}, "x-plimsoll": {"rate-limit": "off"}, "security": [{scheme: [] for scheme in each} for each in GLOBAL],
                       "components": {"securitySchemes": SCHEMES},
                       "paths": {f"/{name}": operation(name, alternatives) for name, alternatives in REQUIREMENTS.items()}})


def request(name, shown, values):
    headers, target = {}, f"/{name}"
    if "header" in shown:
        headers["X-Key"] = values["header"]
    if "query" in shown:
        target += "?api_key=" + urllib.parse.quote_plus(values["query"])
    if "cookie" in shown:
        headers["Cookie"] = f"theme=dark; sid={values['cookie']}"
    for scheme in ("basic", "bearer"):
        if scheme in shown:
            headers["Authorization"] = values[scheme]
    return target, headers


class SecurityCombinations(harness.ServerTest):
    def test_every_combination_of_schemes_against_every_set_of_credentials(self):
        folder = self.directory()
        (folder / "contract.json").write_text(contract())
        server = harness.Server(folder / "contract.json", folder, verb=("mock",))
        self.addCleanup(self._end, server)
        server.start()
        line = server.connection()
        self.addCleanup(line.close)
        # One Authorization field at most: basic and bearer never stand together.
        sets = [shown for size in range(5) for shown in itertools.combinations(SCHEMES, size) if not {"basic", "bearer"} <= set(shown)]
        asked = accepted = 0
        for (name, alternatives), shown, (kind, values) in itertools.product(REQUIREMENTS.items(), sets, (("well-formed", WELL), ("malformed", ILL))):
            target, headers = request(name, shown, values)
            present = set(shown) if kind == "well-formed" else set()
            passes = not (alternatives := GLOBAL if alternatives is None else alternatives) or any(set(each) <= present for each in alternatives)
            answer = server.request("GET", target, headers=headers, connection=line)
            with self.subTest(target=target, headers=headers):
                # The key in the query is no parameter of the operation, and known all the same where the contract names it.
                self.assertEqual(answer.status, 204 if passes else 401, answer)
                self.assertEqual("www-authenticate" in answer.headers, not passes)
            asked += 1
            accepted += passes
        print(f"{asked} requests with credentials, {accepted} accepted", flush=True)
        self.assertGreaterEqual(asked, 300)


if __name__ == "__main__":
    harness.main()
