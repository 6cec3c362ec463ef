"""Mistakes in a contract or a deployment: each stops the start with file, line, column and what to do, and none is passed over."""
import pathlib
import re
import subprocess
import tempfile
import unittest

import harness

HEAD = "openapi: 3.1.0\ninfo: {title: Shop, version: '1'}\n"
OK = "{responses: {'200': {description: ok}}, x-plimsoll: {mock: true, authorization: any-caller%s}}"
SECURITY = "components: {securitySchemes: {login: {type: http, scheme: bearer}, key: {type: apiKey, in: header, name: X-Key}}}\n"
GOOD = HEAD + "paths:\n  /a:\n    get: " + OK % "" + "\n"


def contract(more="", get="", post="", top="", path=""):
    text = HEAD + top + "paths:\n  /a:\n" + path
    if get is not None:
        text += "    get: " + OK % get + "\n"
    if post:
        text += "    post: " + OK % post + "\n"
    return text + more


# Name, contract, deployment, place, code, what is said.
MISTAKES = [
    ("x-plimsoll at the top", contract(top="x-plimsol: {cache: 5m}\n"), "", "contract.yaml:3:1", "misspelt-field", 'did you mean "x-plimsoll"?'),
    ("x-plimsoll in capitals", contract(top="X-Plimsoll: {cache: 5m}\n"), "", "contract.yaml:3:1", "misspelt-field", 'did you mean "x-plimsoll"?'),
    ("x-plimsoll of a path", contract(path="    x-plimsolls: {cache: 5m}\n"), "", "contract.yaml:5:5", "misspelt-field", 'did you mean "x-plimsoll"?'),
    ("x-plimsoll in a response", contract(more="components: {responses: {A: {description: a, x-plimsoll: {cache: 5m}}}}\n"), "", "contract.yaml:6:46", "misplaced-extension", "has no effect here"),
    ("a key of the document", contract(top="x-plimsoll: {rate-limits: 5/minute}\n"), "", "contract.yaml:3:14", "unknown-extension", 'did you mean "rate-limit"?'),
    ("a key of an operation", contract(get=", cahce: 5m"), "", "contract.yaml:5:102", "unknown-extension", 'did you mean "cache"?'),
    ("a key in camel case", contract(get=", rateLimit: 5/minute"), "", "contract.yaml:5:102", "unknown-extension", 'did you mean "rate-limit"?'),
    ("a key of a later version", contract(get=", fallbck: stale"), "", "contract.yaml:5:102", "unknown-extension", 'did you mean "fallback"? This version does not implement it yet.'),
    ("an option", contract(get=", rate-limit: {limit: 5/minute, brust: 3}"), "", "contract.yaml:5:132", "configuration", 'did you mean "burst"?'),
    ("an option of the document, once", contract(top="x-plimsoll: {rate-limit: {limit: 5/minute, brust: 3}}\n", post=" "), "", "contract.yaml:3:44", "configuration", 'did you mean "burst"?'),
    ("a value of an option", contract(get=", priority: urgent"), "", "contract.yaml:5:112", "configuration", "critical, default, sheddable"),
    ("a method in capitals", contract(get=None, more="    GET: " + OK % "" + "\n"), "", "contract.yaml:5:5", "misspelt-field", 'did you mean "get"?'),
    ("a method misspelt", contract(more="    pach: " + OK % "" + "\n"), "", "contract.yaml:6:5", "misspelt-field", 'did you mean "patch"?'),
    ("cache on POST", contract(post=", cache: 5m"), "", "contract.yaml:6:103", "no-effect", "`cache` has no effect on POST"),
    ("idempotency on GET", contract(get=", idempotency: required"), "", "contract.yaml:5:102", "no-effect", "`idempotency` has no effect on GET"),
    ("after on GET", contract(get=", after: {job: a}"), "", "contract.yaml:5:102", "no-effect", "`after` has no effect on GET"),
    ("tables in an operation", contract(get=", tables: {}"), "", "contract.yaml:5:102", "no-effect", "it belongs to the document"),
    ("required", contract(more="components: {schemas: {A: {required: [nmae], properties: {name: {type: string}}}}}\n"), "", "contract.yaml:6:39", "undeclared-required", 'did you mean "name"?'),
    ("authentication of no scheme", contract(more=SECURITY), "authentication:\n  logn: {secret: x}\n", "deployment.yaml:2:3", "configuration", 'did you mean "login"?'),
    ("authentication without schemes", contract(), "authentication: {bearer: {secret: x}}\n", "deployment.yaml:1:18", "configuration", "no security scheme of the contract uses"),
    ("an option of a scheme", contract(more=SECURITY, get=", authorization: any-caller", top="security: [{login: []}]\n").replace(", authorization: any-caller, authorization", ", authorization"), "authentication:\n  login:\n    isuer: a\n", "deployment.yaml:3:5", "configuration", 'did you mean "issuer"?'),
    ("a section", GOOD, "listn: ['127.0.0.1:0']\n", "deployment.yaml:1:1", "configuration", 'did you mean "listen"?'),
    ("an option of a section", GOOD, "limits:\n  drian: 5s\n", "deployment.yaml:2:3", "configuration", 'did you mean "drain"?'),
    ("an option of a job", GOOD, "database: {url: 'sqlite:a.db'}\njobs:\n  a: {run: {htp: 'http://a/'}}\n", "deployment.yaml:3:13", "configuration", 'did you mean "http"?'),
]


class Mistakes(harness.ServerTest):
    def start(self, written, deployment, *more):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "contract.yaml").write_text(written)
            (folder / "deployment.yaml").write_text("listen: ['127.0.0.1:0']\nmanagement: off\n" if not deployment else deployment)
            return subprocess.run([harness.program(), "serve", "contract.yaml", "--config", "deployment.yaml", *more], cwd=folder,
                                  capture_output=True, text=True, timeout=harness.PATIENCE)

    def test_each_stops_the_start_with_its_place_and_what_to_do(self):
        for name, written, deployment, place, code, sentence in MISTAKES:
            with self.subTest(name):
                told = self.start(written, deployment)
                self.assertEqual(told.returncode, 2, told.stderr)
                lines = [line for line in told.stderr.splitlines() if line.startswith(place + ": error")]
                self.assertEqual(len(lines), 1, told.stderr)
                self.assertIn(f"[{code}]", lines[0])
                self.assertIn(sentence, lines[0])
                self.assertRegex(told.stderr, r"not started: 1 error\n")

    def test_a_get_without_security_among_others_warns(self):
        written = contract(more=SECURITY, get="").replace("authorization: any-caller}}", "authorization: any-caller}}", 1)
        written = written.replace("  /a:\n", "  /b:\n    get: {security: [{key: []}], " + (OK % "")[1:] + "\n  /c:\n    get: {security: [], " + (OK % "")[1:] + "\n  /a:\n", 1)
        server = self.serve(written, arguments=["--dev"])
        server.stop()
        self.assertEqual(len(re.findall(r"\[missing-security\]", server.output)), 1, server.output)
        self.assertRegex(server.output, r"contract\.yaml:9:\d+: warning")
        self.assertIn("security: []", server.output)


if __name__ == "__main__":
    harness.main()
