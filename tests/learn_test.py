"""`plimsoll learn`: operations are drafted from requests that pass an old service; the draft is served as it is, and holds no value that anybody sent."""
import http.server
import json
import re
import threading

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Shop, version: '1'}
%s
x-plimsoll: {rate-limit: off, undeclared: {upstream: %s, authorization: any-caller}}
paths:
  /declared:
    get: {operationId: declared, x-plimsoll: {mock: true}, responses: {'200': {description: ok, content: {application/json: {example: {a: 1}}}}}}
"""
SECRETS = ("ada", "4711", "s3cr3t", "moby", "0ca67b6b", "whale@example.com", "1999.5", "needle", "ahab", "starbuck", "queequeg", "ishmael", "pequod")


class Legacy(http.server.BaseHTTPRequestHandler):
    """A service from before there were contracts."""
    protocol_version = "HTTP/1.1"

    def answer(self, status, value=None, chunked=False, kind="application/json"):
        body = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        if body:
            self.send_header("Content-Type", kind)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 7):
                piece = body[at:at + 7]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do(self):
        self.server.seen.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0].removeprefix("/v1")
        books = {"id": 4711, "title": "moby", "tags": ["needle"], "price": 1999.5, "added": "2026-01-02T03:04:05Z", "author": {"mail": "whale@example.com", "died": None}}
        if path == "/books" and self.command == "GET":
            return self.answer(200, {"books": [books, {**books, "subtitle": "ahab", "author": {"mail": "whale@example.com", "died": "1891-09-28"}}], "total": 2}, chunked=True)
        if path == "/books":
            if not body:
                return self.answer(422, {"error": "empty"})
            return self.answer(201, {**books, **json.loads(body)})
        if path.startswith("/books/") and path.endswith("/cover"):
            return self.answer(200, b"\x89PNG" + bytes(100), kind="image/png")
        if path == "/books/search":
            return self.answer(200, {"found": 1})
        if path.startswith("/books/"):
            return self.answer(204) if self.command == "DELETE" else self.answer(200, books)
        if path.startswith("/users/"):
            return self.answer(200, {"name": path[7:], "since": "2020-01-01"})
        if path == "/prices":
            return self.answer(200, {"0ca67b6b-7f3a-4a3d-8f0e-7d5b5a4d9f10": 5, "1ca67b6b-7f3a-4a3d-8f0e-7d5b5a4d9f10": 7})
        return self.answer(404, {"error": "no such thing"})

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do

    def log_message(self, *_):
        pass


class Learn(harness.ServerTest):
    def begin(self, upstream="{name: legacy, learn: true}", servers=""):
        self.legacy = harness.HttpListener(("127.0.0.1", 0), Legacy)
        self.legacy.seen = []
        threading.Thread(target=self.legacy.serve_forever, daemon=True).start()
        self.addCleanup(self.legacy.server_close)
        self.addCleanup(self.legacy.shutdown)
        self.deployment = f"upstreams: {{legacy: {{targets: ['http://127.0.0.1:{self.legacy.server_port}']}}}}\n"
        return self.serve(CONTRACT % (servers, upstream), self.deployment)

    def learn(self, server, *arguments, status=0):
        ran = self.plimsoll("learn", *arguments, "--management", server.management)
        self.assertEqual(ran.returncode, status, ran.stdout + ran.stderr)
        return ran.stdout if status == 0 else ran.stderr

    @staticmethod
    def traffic(server, base=""):
        said = []

        def send(method, target, body=None):
            headers = {"Content-Type": "application/json", "Authorization": "Bearer s3cr3t", "Cookie": "session=s3cr3t"}
            answer = server.request(method, base + target, body=None if body is None else json.dumps(body).encode(), headers=headers)
            said.append((method, target, answer.status))
            return answer

        send("GET", "/books?limit=10&q=needle&exact=true")
        send("GET", "/books?limit=20&tag=needle&tag=ahab")
        send("POST", "/books", {"title": "moby", "price": 12, "author": {"mail": "whale@example.com"}})
        send("POST", "/books", {"title": "moby", "price": 1999.5, "weight": None})
        for number in (4711, 4712):
            send("GET", f"/books/{number}")
        send("GET", "/books/search?q=needle")
        send("DELETE", "/books/4711")
        send("GET", "/books/4711/cover")
        for name in ("ada", "ahab", "starbuck", "queequeg", "ishmael", "pequod"):
            send("GET", f"/users/{name}")
        send("GET", "/prices")
        return said

    def test_the_draft_is_served_as_it_is_and_holds_no_value(self):
        server = self.begin()
        said = self.traffic(server)
        self.assertEqual({status for _, _, status in said}, {200, 201, 204})
        for _ in range(3):  # nothing of what is not there
            self.assertEqual(server.get("/etc/passwd").status, 404)
        draft = self.learn(server)
        for secret in SECRETS:
            self.assertNotIn(secret, draft)
        self.assertNotIn("passwd", draft)
        self.assertIn("# Drafted from 16 forwarded requests", draft)

        # The draft in place of what forwarded: each request is answered as before.
        contract = draft.replace("paths:", "x-plimsoll: {rate-limit: off}\npaths:", 1)
        second = self.serve(contract, self.deployment)
        self.assertEqual(self.traffic(second), said)
        self.assertEqual(second.get("/undreamt/of").status, 404)
        served = second.get("/openapi.json").json()["paths"]
        self.assertEqual({(path, method) for path, item in served.items() for method in item if method in ("get", "post", "put", "delete", "patch")},
                         {("/books", "get"), ("/books", "post"), ("/books/search", "get"), ("/books/{bookId}", "get"), ("/books/{bookId}", "delete"), ("/books/{bookId}/cover", "get"),
                          ("/users/{userId}", "get"), ("/prices", "get")})

    def test_types_parameters_and_members_are_those_that_were_seen(self):
        server = self.begin()
        self.traffic(server)
        document = harness.fetch(server.management, "GET", "/learned").json()["document"]
        listing = document["paths"]["/books"]["get"]
        self.assertEqual(listing["operationId"], "getBooks")
        self.assertEqual(listing["x-plimsoll"], {"upstream": "legacy", "authorization": "any-caller"})
        self.assertEqual({each["name"]: each["schema"] for each in listing["parameters"]},
                         {"limit": {"type": "integer"}, "q": {"type": "string"}, "exact": {"type": "boolean"}, "tag": {"type": "array", "items": {"type": "string"}}})
        book = listing["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["books"]["items"]
        self.assertEqual(sorted(book["required"]), ["added", "author", "id", "price", "tags", "title"])
        self.assertEqual(book["properties"]["id"], {"type": "integer"})
        self.assertEqual(book["properties"]["price"], {"type": "number"})
        self.assertEqual(book["properties"]["added"], {"type": "string", "format": "date-time"})
        self.assertEqual(book["properties"]["author"]["properties"], {"mail": {"type": "string", "format": "email"}, "died": {"type": ["string", "null"], "format": "date"}})
        asked = document["paths"]["/books"]["post"]["requestBody"]
        self.assertTrue(asked["required"])
        self.assertEqual(asked["content"]["application/json"]["schema"], {"type": "object", "properties": {
            "author": {"type": "object", "properties": {"mail": {"type": "string", "format": "email"}}}, "price": {"type": "number"}, "title": {"type": "string"}, "weight": {}}})
        self.assertEqual(document["paths"]["/prices"]["get"]["responses"]["200"]["content"]["application/json"]["schema"], {"type": "object", "additionalProperties": {"type": "integer"}})
        self.assertEqual(document["paths"]["/books/{bookId}/cover"]["get"]["responses"]["200"]["content"], {"image/png": {}})

    def test_failures_are_learned_of_operations_that_have_succeeded(self):
        server = self.begin()
        self.assertEqual(server.post("/books", None).status, 422)
        self.assertEqual(harness.fetch(server.management, "GET", "/learned").json()["document"]["paths"], {})
        self.traffic(server)
        self.assertEqual(server.post("/books", None).status, 422)
        responses = harness.fetch(server.management, "GET", "/learned").json()["document"]["paths"]["/books"]["post"]["responses"]
        self.assertEqual({status: each["description"] for status, each in responses.items()}, {"201": "Seen 2 times", "422": "Seen 1 time"})

    def test_what_passes_is_not_changed_by_learning(self):
        server = self.begin()
        for target in ("/books", "/books/4711", "/books/4711/cover", "/users/ada"):
            behind, through = harness.fetch(f"127.0.0.1:{self.legacy.server_port}", "GET", target), server.get(target)
            self.assertEqual((through.status, through.body, through.headers.get("content-type")), (behind.status, behind.body, behind.headers.get("content-type")))

    def test_paths_are_relative_to_the_server_of_the_contract(self):
        server = self.begin(servers="servers: [{url: /v1}]")
        self.traffic(server, "/v1")
        self.traffic(server)  # not below it: no operation of this contract can have that path
        document = harness.fetch(server.management, "GET", "/learned").json()["document"]
        self.assertIn("/books/{bookId}", document["paths"])
        self.assertFalse([path for path in document["paths"] if path.startswith("/v1")])
        self.assertEqual(document["paths"]["/books/{bookId}"]["get"]["responses"]["200"]["description"], "Seen 2 times")

    def test_it_is_bounded_whatever_is_sent(self):
        server = self.begin()
        for number in range(300):
            word = "".join(chr(97 + int(digit)) for digit in str(number))
            server.get(f"/users/{word}?{word}=1")
        document = harness.fetch(server.management, "GET", "/learned").json()["document"]
        self.assertEqual(list(document["paths"]), ["/users/{userId}"])
        self.assertLessEqual(len(document["paths"]["/users/{userId}"]["get"]["parameters"]), 64)

    def test_what_was_learned_survives_a_reload_and_can_be_forgotten(self):
        server = self.begin()
        self.traffic(server)
        self.assertEqual(self.plimsoll("reload", "--management", server.management).returncode, 0)
        self.assertIn("/books/{bookId}", self.learn(server))
        self.assertEqual(self.learn(server, "--forget"), "what was learned is forgotten\n")
        self.assertIn("paths: {}", re.sub(r"paths:\s*$", "paths: {}", self.learn(server), flags=re.M))

    def test_a_server_that_does_not_learn_says_so(self):
        server = self.begin("legacy")
        self.traffic(server)
        told = self.learn(server, status=2)
        self.assertIn("no contract says `learn: true`", told)
        refused = harness.fetch(server.management, "GET", "/learned")
        self.assertEqual((refused.status, refused.code), (404, "not-learning"))
        contract = CONTRACT.replace("{mock: true}", "{upstream: {name: legacy, learn: true}, authorization: any-caller}") % ("", "legacy")
        refused = self.refused(contract, self.deployment)
        self.assertIn("an operation that is declared is known", refused)


if __name__ == "__main__":
    harness.main()
