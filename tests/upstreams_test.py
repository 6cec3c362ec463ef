"""`upstreams:` of the deployment, and operations that they answer: whatever the servers behind do, callers are answered in time, nothing is
sent twice that must not be, and a server that fails is left alone. The servers behind are of the test's own: they answer as told, or misbehave."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import socketserver
import struct
import threading
import time
import unittest

import harness
import http2_client

CONTRACT = """
openapi: 3.1.0
info: {title: Reviews, version: '1'}
x-plimsoll: {rate-limit: off, authorization: any-caller%(document)s}
paths:
  /reviews:
    get:
      operationId: listReviews
      x-plimsoll: {upstream: reviews}
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
    post:
      operationId: writeReview
      x-plimsoll: {upstream: reviews}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'201': {description: made, content: {application/json: {}}}, default: {description: other}}
  /reviews/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getReview
      x-plimsoll:
        upstream:
          name: reviews
          path: /inner/{id}/review
          host: reviews.internal
          request-headers: {set: {X-Tenant: shop}, remove: [X-Debug]}
          response-headers: {set: {X-Served-By: us}, remove: [X-Inside]}
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
  /files:
    get:
      operationId: getFile
      x-plimsoll: {upstream: reviews}
      responses: {'200': {description: ok, content: {application/octet-stream: {}}}, default: {description: other}}
    put:
      operationId: putFile
      x-plimsoll: {upstream: reviews}
      requestBody: {content: {application/octet-stream: {}}}
      responses: {'200': {description: ok, content: {application/octet-stream: {}}}, default: {description: other}}
  /events:
    get:
      operationId: getEvents
      x-plimsoll: {upstream: reviews}
      responses: {'200': {description: ok, content: {text/event-stream: {}}}, default: {description: other}}
  /limited:
    get:
      operationId: limited
      x-plimsoll: {upstream: reviews, rate-limit: 2/hour by address}
      parameters: [{name: n, in: query, schema: {type: integer, maximum: 9}}]
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
%(more)s
"""


def contract(document="", more=""):
    return CONTRACT % {"document": document, "more": more}


def answer(body=b"{}", status="200 OK", kind="application/json", more=""):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Target(socketserver.ThreadingTCPServer):
    """A server behind. `does` is bytes that are sent for each request, or a function of the connection and the request (line, headers,
    body) that returns bytes, or None to end the connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, name="a", port=0):
        self.name = name
        self.does = answer({"from": name})
        self.healthy = True
        self.seen, self.connections, self.checks = [], 0, 0
        self.lines = set()
        target = self

        class Line(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                target.connections += 1
                target.lines.add(self.connection)
                while head := self.rfile.readline():
                    headers = harness.Headers.read(self.rfile)
                    line = head.decode("latin-1").split(" HTTP")[0]
                    if line.startswith("GET /healthz"):
                        target.checks += 1
                        self.connection.sendall(answer(status="200 OK" if target.healthy else "503 Service Unavailable"))
                        continue
                    body = self.rfile.read(int(headers.get("content-length", "0")))
                    if headers.get("transfer-encoding") == "chunked":
                        while size := int(self.rfile.readline(), 16):
                            body += self.rfile.read(size)
                            self.rfile.readline()
                        self.rfile.readline()
                    target.seen.append((line, headers, body))
                    does = target.does(self.connection, (line, headers, body)) if callable(target.does) else target.does
                    if does is None:
                        return
                    self.connection.sendall(does)

            def finish(self):
                target.lines.discard(self.connection)
                super().finish()

        super().__init__(("127.0.0.1", port), Line)
        threading.Thread(target=self.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}).start()

    @property
    def port(self):
        return self.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def handle_error(self, *_):
        pass  # a client that leaves is part of the test

    def close(self):
        self.shutdown()
        self.server_close()
        for line in list(self.lines):
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Behind(harness.ServerTest):
    def target(self, name="a"):
        made = Target(name)
        self.addCleanup(made.close)
        return made

    def front(self, *targets, options="", document="", more="", **given):
        return self.serve(contract(document, more), self.upstreams(*targets, options=options), **given)

    def upstreams(self, *targets, options=""):
        urls = ", ".join(f"'{target if isinstance(target, str) else target.url}'" for target in targets)
        return f"upstreams: {{reviews: {{targets: [{urls}]{options and ', ' + options}}}}}\n"

    def nobody(self):
        """A URL at which nobody listens while the test runs."""
        return f"http://127.0.0.1:{self.port()}"

    def count(self, server, name, **labels):
        """The sum of the series of that name with those labels."""
        total = 0
        for series, value in server.metrics().items():
            if series.split("{")[0] == name and all(f'{key}="{one}"' in series for key, one in labels.items()):
                total += value
        return total

    def rss(self, server):
        return harness.memory(server.pid)

    def write(self, server, text):
        beside = server.directory / "plimsoll.yaml.new"
        beside.write_text(text)
        beside.rename(server.directory / "plimsoll.yaml")


class Upstreams(Behind):
    def test_an_operation_is_answered_by_a_service_behind(self):
        target = self.target()
        server = self.front(target)
        got = server.get("/reviews?", headers={"X-Mine": "1", "Connection": "X-Secret", "X-Secret": "s", "Forwarded": "for=6.6.6.6"})
        self.assertEqual((got.status, got.json()), (200, {"from": "a"}))
        line, headers, _ = target.seen[0]
        self.assertEqual(line, "GET /reviews?")
        self.assertEqual((headers["x-mine"], headers["host"]), ("1", target.url[len("http://"):]))
        self.assertEqual(headers["forwarded"], f'for=127.0.0.1;host="{server.address}";proto=http')
        self.assertEqual(headers["x-plimsoll-attempt"], "1")
        self.assertRegex(headers["traceparent"], "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$")
        for name in ("x-secret", "connection", "transfer-encoding"):
            self.assertNotIn(name, headers)
        made = server.post("/reviews", {"text": "good"})
        self.assertEqual((made.status, json.loads(target.seen[1][2])), (200, {"text": "good"}))
        self.assertFalse(list(pathlib.Path(server.directory).glob("*.db")), "nothing here needs a database")

    def test_paths_hosts_and_headers_are_rewritten_as_the_operation_says(self):
        target = self.target()
        target.does = answer(more="X-Inside: 10.0.0.9\r\n")
        server = self.front(target)
        got = server.get("/reviews/a%2Eb%20c", headers={"X-Debug": "1", "X-Tenant": "other"})
        self.assertEqual(got.status, 200, got)
        line, headers, _ = target.seen[0]
        self.assertEqual(line, "GET /inner/a%2Eb%20c/review")
        self.assertEqual((headers["host"], headers.all("x-tenant")), ("reviews.internal", ["shop"]))
        self.assertNotIn("x-debug", headers)
        self.assertEqual(got.headers["x-served-by"], "us")
        self.assertNotIn("x-inside", got.headers)
        for path in ("/reviews/%2e%2e", "/reviews/.%2E", "/reviews/a%2Fb", "/reviews/%5c.."):
            self.assertEqual(server.get(path).status, 404, path)
        self.assertEqual(len(target.seen), 1, "no path leads out of the one that is declared")

    PATHS = """
  /reviews/{id}/secret:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getSecret
      security: [{bearer: []}]
      x-plimsoll: {upstream: reviews}
      responses: {'200': {description: ok, content: {application/json: {}}}}
  /open/{name}:
    parameters: [{name: name, in: path, required: true, schema: {type: string}}]
    get: {operationId: getOpen, x-plimsoll: {upstream: reviews}, responses: {'200': {description: ok, content: {application/json: {}}}}}
  /open/{name}/photo:
    parameters: [{name: name, in: path, required: true, schema: {type: string}}]
    get: {operationId: getPhoto, x-plimsoll: {upstream: reviews}, responses: {'200': {description: ok, content: {application/json: {}}}}}
  /open/{name}/secret:
    parameters: [{name: name, in: path, required: true, schema: {type: string}}]
    get: {operationId: openSecret, security: [{bearer: []}], x-plimsoll: {upstream: reviews}, responses: {'200': {description: ok, content: {application/json: {}}}}}
  /open/admin:
    get: {operationId: openAdmin, security: [{bearer: []}], x-plimsoll: {upstream: reviews}, responses: {'200': {description: ok, content: {application/json: {}}}}}
components: {securitySchemes: {bearer: {type: http, scheme: bearer}}}
"""
    # Nobody can say where these lead, as a whole segment of a path.
    OBSCURE = ("..;", "%2e%2e;x", ".;a", "..%3b", "%252e%252e", "%2e%2e%3Bx", "%00", "a%00", "a%0d%0ab", "%0a", "a%09", "a%7f", "a%1b", "%c0%ae%c0%ae", "%c0%af", "a%e0%80%af", "%f0%80%80%ae", "caf%e9",
               "%ff", "%ed%a0%80", "%f4%90%80%80", "a%c2%85", "%c2%80", "a%25c0%25ae", "..%5c..%5cx")

    def test_no_value_of_a_path_leads_a_service_elsewhere(self):
        """Declared with a path of its own, declared as it came, and not declared: the same is refused of all three."""
        target = self.target()
        server = self.front(target, document=", undeclared: {upstream: reviews, authorization: any-caller}", more=self.PATHS, arguments=("--dev",))
        for value in self.OBSCURE:
            for path in (f"/reviews/{value}", f"/open/{value}", f"/open/{value}/photo", f"/elsewhere/{value}", f"/elsewhere/{value}/x"):
                self.assertIn(server.get(path).status, (400, 404), path)
        self.assertEqual(target.seen, [])
        for path in ("/open/a%2Fsecret", "/open/a%5csecret", "/open/a%252fsecret", "/open/ADMIN", "/open/admin;x", "/open/admin.", "/open/%61dmin%20", "/open/a%3F/photo", "/open/%20/photo", "/open/a%23/photo",
                     "/reviews/a%3F", "/reviews/x%2Fy%3F", "/reviews/x%2Fy%23", "/reviews/x%5cy%3F", "/reviews/admin%2Fdelete%23", "/reviews/x%2F..", "/reviews/%20", "/reviews/...", "/reviews/a%252fb"):
            self.assertIn(server.get(path).status, (400, 401, 404), path)
        self.assertEqual(target.seen, [], "another operation is meant by these")
        for value in ("a;b=c", "a.b", "%C3%A9", "%E2%82%AC", "100%25", "a%20b", "..a", "A"):
            for path in (f"/reviews/{value}", f"/open/{value}", f"/open/{value}/photo", f"/elsewhere/{value}"):
                self.assertEqual(server.get(path).status, 200, path)
                self.assertTrue(target.seen[-1][0].endswith(path.removeprefix("/reviews")) or f"/inner/{value}/review" in target.seen[-1][0], target.seen[-1])
        self.assertEqual(server.get("/open/group%2Fproject/x").status, 200, "what is not declared may have encoded slashes")

    # What the server takes away or says anew of a request on its way, whoever does that.
    OURS = ("connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade host content-length expect accept-encoding forwarded "
            "x-forwarded-for x-forwarded-proto x-forwarded-host traceparent x-request-id x-plimsoll-attempt x-credential x-tenant x-debug").split()
    # What makes some servers take the request for another one.
    REDIRECTING = ("x-original-url x-rewrite-url x-original-uri x-rewrite-uri x-override-url x-http-method-override x-http-method x-method-override x-envoy-original-path x-forwarded-uri "
                   "x-forwarded-prefix x-forwarded-client-cert x-real-ip proxy").split()
    DECLARED = """
  /declared:
    get:
      operationId: declared
      parameters:
        - {name: X-Role, in: header, schema: {enum: [reader]}}
        - {name: X-HTTP-Method-Override, in: header, schema: {enum: [PATCH]}}
      x-plimsoll: {upstream: {name: reviews, request-headers: {set: {X-Original-URL: /fixed}}}}
      responses: {'200': {description: ok, content: {application/json: {}}}}
"""

    def test_no_spelling_of_a_field_that_is_ours_reaches_a_service(self):
        """Servers that make variables of names (CGI, WSGI, PHP) take `X_Tenant` and `X-Tenant` for one."""
        chance = random.Random(harness.seed())
        target = self.target()
        server = self.front(target, options="authentication: {header: X-Credential, value: ours}", document=", undeclared: {authorization: any-caller, upstream: {name: reviews, request-headers: {set: {X-Tenant: shop}, remove: [X-Debug]}}}",
                            more=self.DECLARED)
        variable = lambda name: re.sub("[^a-z0-9]", "-", name.lower())
        spelled = lambda name: "".join(chance.choice("-_-_.") if letter == "-" else chance.choice([letter, letter.upper()]) for letter in name)
        once = self.OURS + self.REDIRECTING
        for _ in range(8 if not os.environ.get("PLIMSOLL_TORTURE") else 200):
            for path in ("/reviews/5", "/elsewhere"):
                sent = {}
                for name in once:
                    other = spelled(name)
                    # What frames the message would break it; what a caller accepts, its number of attempts and its identifier are passed on.
                    if name not in "host te trailer connection upgrade expect".split() and other.lower() not in "transfer-encoding content-length accept-encoding x-plimsoll-attempt x-request-id".split():
                        sent[other] = "theirs"
                got = server.get(path, sent)
                self.assertEqual(got.status, 200, got)
                fields = target.seen[-1][1].pairs
                self.assertEqual([field for field in fields if "theirs" in field[1]], [], f"{path} {sent}")
                names = [variable(name) for name, _ in fields]
                self.assertEqual(len(names), len(set(names)), fields)
                self.assertEqual((target.seen[-1][1]["x-tenant"], target.seen[-1][1]["x-credential"]), ("shop", "ours"))

    def test_a_field_that_redirects_passes_only_where_the_operation_declares_it(self):
        target = self.target()
        server = self.front(target, more=self.DECLARED)
        sent = {name: "/admin" for name in self.REDIRECTING if name != "x-http-method-override"}
        got = server.get("/declared", {**sent, "X-HTTP-Method-Override": "PATCH", "X_HTTP_Method_Override": "DELETE", "X-Role": "reader", "X_Role": "admin", "X-Own": "1", "X_Own": "2"})
        self.assertEqual(got.status, 200, got)
        headers = target.seen[-1][1]
        self.assertEqual((headers["x-http-method-override"], headers["x-original-url"], headers["x-role"]), ("PATCH", "/fixed", "reader"))
        self.assertEqual((headers["x-own"], headers["x_own"]), ("1", "2"), "what nobody looks at passes as it came")
        self.assertEqual([field for field in headers.pairs if field[1] in ("/admin", "DELETE", "admin")], [])
        self.assertEqual(server.get("/declared", {"X-Role": "admin"}).status, 400)

    TWINS = """
  /twins:
    post:
      operationId: twins
      parameters: [{name: rc, in: cookie, schema: {type: string, enum: [user]}}]
      requestBody: {content: {multipart/form-data: {schema: {type: object, additionalProperties: false, properties: {role: {type: string}}}}}}
      x-plimsoll: {upstream: reviews}
      responses: {'200': {description: ok}}
"""

    def test_no_value_passes_beside_the_one_that_is_checked(self):
        """What parsers of services take for a declared cookie or part: names with blanks about them, and names of RFC 5987."""
        target = self.target()
        server = self.front(target, more=self.TWINS)

        def sent(cookie, disposition):
            body = f"--B\r\nContent-Disposition: form-data; {disposition}\r\n\r\n1\r\n--B--\r\n".encode()
            return server.request("POST", "/twins", body, {"Cookie": cookie, "Content-Type": "multipart/form-data; boundary=B"}).status

        self.assertEqual(sent("a=1; rc=user", 'name="role"'), 200)
        for cookie in ("rc=admin", "rc =admin", "rc\t=admin", "rc =admin; rc=user", "rc=user; rc =admin", "r%63=admin; rc=user", " rc =admin;rc=user"):
            self.assertEqual(sent(cookie, 'name="role"'), 400, cookie)
        for disposition in ('name="other"', "name=\"role\"; name*=utf-8''is_admin", "name*=utf-8''is_admin; name=\"role\"", 'name="role"; NAME*0="is_"; name*1="admin"', 'name="role"; name="is_admin"'):
            self.assertEqual(sent("rc=user", disposition), 400, disposition)
        self.assertEqual(len(target.seen), 1)

    HELD = """
  /held:
    get: &held
      operationId: getHeld
      x-plimsoll: {upstream: reviews, responses: enforce}
      responses: {'200': {description: ok, content: {application/json: {}}}}
    post: {<<: *held, operationId: payHeld, x-plimsoll: {upstream: reviews, idempotency: required}}
"""

    def test_responses_that_are_held_whole_share_the_budget_of_all_bodies(self):
        """Memory, then disk, then 503: however many clients do not read. What was sent and may have been done says so."""
        size = 8 << 20
        target = self.target()
        target.does = answer(b'"' + b"x" * (size - 2) + b'"')
        server = self.serve(contract(more=self.HELD), self.upstreams(target, options="breaker: off") + "limits: {bodies: 20MiB, bodies-on-disk: 16MiB, response-rate: 0B}\ntrusted-proxies: [127.0.0.0/8]\n", environment={"TMPDIR": str(self.directory())})
        taken = lambda: {name: value for name, value in server.metrics().items() if name.startswith("plimsoll_bod")}
        held = lambda: sum(value for name, value in taken().items() if name.startswith("plimsoll_body_bytes"))
        before = self.rss(server)
        lines = []
        for _ in range(4):
            line = socket.socket()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.connect(("127.0.0.1", server.port))
            self.addCleanup(line.close)
            line.sendall(f"GET /held HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.{len(lines)}\r\n\r\n".encode())
            lines.append(line)
            harness.until(lambda: held() >= len(lines) * size, lambda: str(taken()))
        self.assertLessEqual(taken()['plimsoll_body_bytes{store="memory"}'], 20 << 20)
        harness.until(lambda: taken()['plimsoll_body_bytes{store="disk"}'] == 2 * size, lambda: str(taken()))  # a further one takes no room of theirs
        for _ in range(8):
            got = server.get("/held")
            self.assertEqual((got.status, got.json()["code"]), (503, "too-many-bodies"))
            self.assertIn("retry-after", got.headers)
        paid = server.post("/held", None, {"Idempotency-Key": "1"})
        self.assertEqual((paid.status, paid.json()["code"]), (503, "outcome-unknown"))
        sent = len(target.seen)
        self.assertEqual(server.post("/held", None, {"Idempotency-Key": "1"}).status, 409)
        self.assertEqual(len(target.seen), sent, "it may have been carried out: it is not sent again")
        self.assertLess(held(), 5 * size)
        self.assertLess(self.rss(server) - before, 6 * size, "not one more copy for each client")
        for line in lines:
            line.close()
        harness.until(lambda: held() == 0, lambda: str(taken()))
        self.assertEqual(len(server.get("/held").body), size)
        self.assertEqual(server.post("/held", None, {"Idempotency-Key": "2"}).status, 200, "twice in memory: for the record")
        harness.until(lambda: held() == 0, lambda: str(taken()))

    def test_the_policies_of_the_server_stand_before_it(self):
        target = self.target()
        server = self.front(target, more="""
  /private:
    get:
      operationId: private
      security: [{bearer: []}]
      x-plimsoll: {upstream: reviews}
      responses: {'200': {description: ok}}
components: {securitySchemes: {bearer: {type: http, scheme: bearer}}}
""", arguments=("--dev",))
        self.assertEqual(server.get("/private").status, 401)
        self.assertEqual(server.get("/limited?n=10").status, 400)
        self.assertEqual(server.post("/reviews", [1]).status, 400)
        self.assertEqual(target.seen, [])
        self.assertEqual([server.get("/limited").status for _ in range(3)][-1], 429)
        server.authorize()
        self.assertEqual(server.get("/private").status, 200)
        harness.until(lambda: self.count(server, "http_server_request_duration_seconds_count", operation="private", http_response_status_code="200") == 1,
                      "the request is counted, once its last byte has gone")
        self.assertEqual(self.count(server, "http_client_request_duration_seconds_count", service="reviews", http_response_status_code="200"), len(target.seen))
        harness.until(lambda: [line for line in server.logged() if line.get("operation") == "private" and line.get("status") == 200], lambda: "a line of the log")

    def test_two_of_three_answer_for_the_one_that_is_dead(self):
        a, b = self.target("a"), self.target("b")
        server = self.front(a, b, self.nobody())
        statuses = [server.get("/reviews").status for _ in range(60)]
        self.assertEqual(statuses, [200] * 60)
        posted = [server.post("/reviews", {"n": n}).status for n in range(60)]
        self.assertEqual(posted, [200] * 60, "what nobody has seen may be sent again, whatever its method")
        self.assertEqual(sorted(json.loads(body)["n"] for line, _, body in a.seen + b.seen if line.startswith("POST")), list(range(60)), "each once")
        self.assertGreater(len(a.seen), 20)
        self.assertGreater(len(b.seen), 20)
        self.assertGreater(self.count(server, "plimsoll_client_retries_total", service="reviews"), 0)
        self.assertEqual(self.count(server, "plimsoll_client_ejections_total", service="reviews"), 1)
        self.assertEqual(self.count(server, "plimsoll_client_target_usable", service="reviews"), 2)
        harness.until(lambda: [line for line in server.logged() if line["event"] == "target-ejected" and line["service"] == "reviews"], lambda: "a line of the log")

    def test_a_target_that_hangs_costs_its_first_callers_their_patience_and_then_nobody(self):
        a, b, hanging = self.target("a"), self.target("b"), self.target("c")
        over = threading.Event()
        self.addCleanup(over.set)
        hanging.does = lambda *_: over.wait(harness.PATIENCE) and None
        server = self.front(a, b, hanging, options="timeouts: {first-byte: 100ms}")
        self.assertEqual([server.get("/reviews").status for _ in range(80)], [200] * 80)
        self.assertEqual(len(hanging.seen), 5, "after five failures one after another it is left out")

    def test_one_of_five_that_misbehaves_fails_no_call_and_is_left_alone(self):
        def resets(connection, _):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        faults = {"resets": resets, "garbage": lambda *_: b"\x15\x03\x01\x00\x02\x02\x16 this is no HTTP\r\n\r\n", "an early end": lambda *_: None,
                  "half a head": lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le"), "failures": answer(status="503 Service Unavailable")}
        for name, does in faults.items():
            with self.subTest(name):
                good, bad = [self.target(each) for each in "abcd"], self.target("e")
                server = self.front(*good, bad, options="retry: {base: 1ms, cap: 1ms}")
                self.assertEqual([server.get("/reviews").status for _ in range(40)], [200] * 40)
                self.assertGreater(len(bad.seen), 0)
                bad.seen.clear()
                bad.does = does
                self.assertEqual([server.get("/reviews").status for _ in range(200)], [200] * 200)
                self.assertLessEqual(len(bad.seen), 10, "it is ejected after five failures, and a lost connection may be replaced once")
                server.stop()

    def test_one_of_five_that_drains_fails_no_call(self):
        good, leaving = [self.target(each) for each in "abcd"], self.target("e")
        server = self.front(*good, leaving, options="health: {path: /healthz, every: 50ms, successes: 1}, retry: {base: 1ms, cap: 1ms}")

        def calls(times):
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                self.assertEqual(list(pool.map(lambda _: server.get("/reviews").status, range(times))), [200] * times)

        calls(100)
        leaving.healthy, leaving.does = False, answer({"from": "e"}, more="Connection: close\r\n")
        calls(100)
        leaving.close()
        calls(100)
        self.assertGreater(len(leaving.seen), 0)

    def test_a_body_that_breaks_off_is_told_while_nothing_has_been_sent(self):
        target = self.target()
        rest = b""
        target.does = lambda connection, request: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + rest)
        server = self.front(target, options="retry: off, breaker: off")
        for rest in (b"", b"5", b"no size\r\n"):
            told = server.get("/reviews")
            self.assertEqual((told.status, told.code), (502, "bad-answer"), rest)
        rest = b'5\r\n{"a":\r\n'
        self.assertRaises((OSError, harness.http.client.HTTPException), server.get, "/reviews")
        lines = lambda: [line for line in server.logged() if line.get("event") == "request" and line.get("path") == "/reviews"]
        harness.until(lambda: len(lines()) == 4, "a line for each")
        self.assertEqual(sorted((line["status"], line.get("client_gone", False), "detail" in line) for line in lines()), [(200, False, True)] + [(502, False, True)] * 3)

    def test_a_target_that_flaps_loses_no_call_that_may_be_repeated(self):
        a, b, flapping = self.target("a"), self.target("b"), self.target("c")
        turns = iter(range(10_000))

        def broken_off(connection, _):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")

        ways = [lambda *_: None, lambda *_: answer(status="503 Service Unavailable"), lambda *_: answer({"from": "c"}), broken_off, lambda *_: b"SSH-2.0-x\r\n"]
        flapping.does = lambda *given: ways[next(turns) % len(ways)](*given)
        server = self.front(a, b, flapping, options="retry: {base: 1ms, cap: 10ms}")
        got = [server.get("/reviews") for _ in range(150)]
        self.assertEqual([one.status for one in got], [200] * 150)
        self.assertGreater(len(flapping.seen), 10)

    def test_a_call_is_repeated_only_where_that_is_permitted(self):
        target = self.target()
        target.does = answer(status="503 Service Unavailable")
        server = self.front(target, options="retry: {attempts: 2, base: 1ms, cap: 1ms}, breaker: off")
        server_post = lambda headers=None: server.request("POST", "/reviews", {"a": 1}, headers)

        def sent(ask):
            before = len(target.seen)
            self.assertEqual(ask().status, 503)
            return [headers["x-plimsoll-attempt"] for _, headers, _ in target.seen[before:]]

        self.assertEqual(sent(lambda: server.get("/reviews")), ["1", "2", "3"])
        self.assertEqual(sent(server_post), ["1"])
        self.assertEqual(sent(lambda: server_post({"Idempotency-Key": "k"})), ["1", "2", "3"])
        self.assertEqual({body for line, headers, body in target.seen if "idempotency-key" in headers}, {b'{"a": 1}'}, "the body comes again")
        self.assertEqual(sent(lambda: server.request("GET", "/reviews", headers={"X-Plimsoll-Attempt": "1"})), ["1"], "an outer layer repeats")
        upload = lambda size: lambda: server.request("PUT", "/files", bytes(size), {"Content-Type": "application/octet-stream"})
        self.assertEqual(sent(upload(1000)), ["1", "2", "3"])
        self.assertEqual(sent(upload(1 << 20)), ["1"], "a body that is passed through is gone")

    def test_with_all_dead_callers_are_told_at_once_when_to_come_back_and_served_again_when_it_is_over(self):
        port = self.port()
        server = self.front(f"http://127.0.0.1:{port}", options="retry: {base: 1ms, cap: 1ms}, breaker: {open: 300ms}")
        codes = []
        while "circuit-open" not in codes and len(codes) < 100:
            got = server.get("/reviews")
            codes.append(got.code)
        self.assertEqual(codes[-1], "circuit-open", codes)
        self.assertEqual((got.status, got.headers["retry-after"]), (503, "1"))
        self.assertNotIn("127.0.0.1", got.text)
        self.assertEqual(server.post("/reviews", {}).code, "unreachable", "each operation has a circuit of its own")
        changes = lambda to: self.count(server, "plimsoll_client_breaker_changes_total", operation="listReviews", to=to)
        self.assertEqual((changes("open"), changes("closed")), (1, 0))
        self.assertEqual(self.count(server, "plimsoll_client_breaker_state", operation="listReviews"), 1)
        target = Target(port=port)
        self.addCleanup(target.close)
        harness.until(lambda: server.get("/reviews").status == 200, lambda: server.get("/reviews"))
        self.assertEqual(changes("closed"), 1)
        events = lambda: [line["event"] for line in server.logged() if line["event"].startswith("circuit-") and line.get("operation") == "listReviews"]
        harness.until(lambda: events()[-1:] == ["circuit-closed"], events)
        self.assertEqual(events()[:2], ["circuit-opened", "circuit-half-open"])

    def test_health_checks_take_a_target_out_and_back(self):
        a, b = self.target("a"), self.target("b")
        server = self.front(a, b, options="health: {path: /healthz, every: 20ms}")
        b.healthy = False
        usable = lambda: self.count(server, "plimsoll_client_target_usable", service="reviews")
        harness.until(lambda: usable() == 1, lambda: "the health check to notice")
        before = len(b.seen)
        self.assertEqual({server.get("/reviews").json()["from"] for _ in range(20)}, {"a"})
        self.assertEqual(len(b.seen), before)
        b.healthy = True
        harness.until(lambda: usable() == 2, lambda: "the health check to notice")
        harness.until(lambda: server.get("/reviews").json()["from"] == "b", lambda: "an answer of b")
        a.healthy = b.healthy = False
        harness.until(lambda: usable() == 0, lambda: "the health check to notice")
        self.assertEqual(server.get("/reviews").status, 200, "where none is well all are asked")
        harness.until(lambda: {line["target"] for line in server.logged() if line["event"] == "target-unhealthy"} == {a.url, b.url}, lambda: "lines of the log")

    def test_what_was_waited_for_in_vain_stands_in_the_log(self):
        """A 504 says to the operator which service and target it was and what did not come, and to the caller nothing of it."""
        over = threading.Event()
        self.addCleanup(over.set)
        silent, issuer = self.target(), self.target()
        silent.does = issuer.does = lambda *_: over.wait(harness.PATIENCE) and None
        deaf = socket.create_server(("127.0.0.1", 0))  # takes connections and says nothing: no handshake
        self.addCleanup(deaf.close)
        good = self.target()
        cases = [(silent.url, "timeouts: {first-byte: 200ms}", "", silent.port, "no first byte of an answer", "`timeouts: {first-byte}`"),
                 (silent.url, "timeouts: {total: 200ms}", "", silent.port, "no first byte of an answer", "`timeouts: {total}`"),
                 (silent.url, "timeouts: {total: 0s}", ", deadline: 200ms", silent.port, "no first byte of an answer", "the deadline of the request"),
                 (f"https://127.0.0.1:{deaf.getsockname()[1]}", "timeouts: {connect: 200ms}", "", deaf.getsockname()[1], "no connection", "`timeouts: {connect}`"),
                 (good.url, f"authentication: {{oauth2: {{token-url: '{issuer.url}/token', client: a, secret: b}}}}", ", deadline: 200ms", good.port, f"no token from 127.0.0.1:{issuer.port}", "the deadline of the request")]
        for url, options, document, port, missing, ended in cases:
            server = self.front(url, options=options + ", retry: off", document=document)
            got = server.get("/reviews")
            self.assertEqual((got.status, got.code), (504, "deadline-exceeded"), options)
            self.assertNotIn("127.0.0.1", got.text)
            line = harness.until(lambda: next((line for line in server.logged() if line.get("status") == 504), None), "the line of the request")
            self.assertRegex(line.get("detail", ""), f"^service `reviews` at 127.0.0.1:{port}: {missing} within [0-9]+ ms, ended by {ended}$", options)
        # The head came, and the rest of the body did not: held whole, and passed on as it comes.
        def stalls(connection, request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\nx" % (10 if "/limited" in request[0] else 1_000_000))
            over.wait(harness.PATIENCE)

        silent.does = stalls
        server = self.front(silent, options="timeouts: {idle: 200ms}, retry: off")
        self.assertEqual(server.get("/limited").status, 504)
        with self.assertRaises((http.client.HTTPException, OSError)):
            server.get("/files")
        for operation in ("limited", "getFile"):
            line = harness.until(lambda: next((line for line in server.logged() if line.get("operation") == operation and "detail" in line), None), lambda: server.output)
            self.assertEqual(line["detail"], f"127.0.0.1:{silent.port}: the rest of the answer's body did not come within 200 ms")
        dead = self.front(self.nobody(), options="retry: off, breaker: {of: 2, failures: 50%}")
        self.assertIn("circuit-open", [dead.get("/reviews").code for _ in range(4)])
        line = harness.until(lambda: next((line for line in dead.logged() if line.get("problem") == "circuit-open"), None), "the line of a request that an open circuit refuses")
        self.assertEqual(line["detail"], "service `reviews`")

    def test_in_turn_each_has_its_share(self):
        targets = [self.target(name) for name in "abc"]
        server = self.front(*targets, options="balance: round-robin")
        for _ in range(30):
            self.assertEqual(server.get("/reviews").status, 200)
        self.assertEqual([len(target.seen) for target in targets], [10, 10, 10])

    def test_each_target_has_the_share_of_its_weight(self):
        for balance in ("round-robin", "least-request"):
            targets = [self.target(name) for name in "abc"]
            listed = ", ".join(f"{{url: '{target.url}', weight: {weight}}}" for target, weight in zip(targets, (1, 2, 5)))
            server = self.serve(contract(), f"upstreams: {{reviews: {{targets: [{listed}], balance: {balance}}}}}\n")
            line = server.connection()
            for _ in range(400):
                self.assertEqual(server.request("GET", "/reviews", connection=line).status, 200)
            line.close()
            for target, expected in zip(targets, (50, 100, 250)):
                self.assertAlmostEqual(len(target.seen), expected, delta=6 if balance == "round-robin" else 50, msg=f"{balance} {target.name}")

    def test_a_session_stays_at_its_target_and_moves_only_when_that_is_gone(self):
        targets = [self.target(name) for name in "abcd"]
        server = self.front(*targets, options="balance: hash, hash-by: 'cookie:session', retry: {base: 1ms}")
        sessions = [f"s{i}" for i in range(160)]  # 40 for each target: that one of three gets none of those of a fourth is not to be seen
        where = lambda session: server.get("/reviews", {"Cookie": f"x=1; session={session}"}).json()["from"]
        before = {session: where(session) for session in sessions}
        self.assertEqual(set(before.values()), set("abcd"))
        for _ in range(3):
            self.assertEqual({session: where(session) for session in sessions}, before)
        # Another order, and another instance.
        again = self.front(*reversed(targets), options="balance: hash, hash-by: 'cookie:session'")
        self.assertEqual({session: again.get("/reviews", {"Cookie": f"session={session}"}).json()["from"] for session in sessions}, before)
        targets[1].close()
        after = {session: where(session) for session in sessions}
        self.assertNotIn("b", after.values())
        self.assertEqual({session: target for session, target in after.items() if before[session] != "b"}, {session: target for session, target in before.items() if target != "b"})
        self.assertEqual({after[session] for session in sessions if before[session] == "b"}, set("acd"), "those of the one that is gone are shared by all others")
        self.assertEqual(len({server.get("/reviews").json()["from"] for _ in range(40)}), 3, "without a session any")

    def test_a_quota_that_a_service_tells_of_is_kept_to_before_it_refuses(self):
        target = self.target()
        server = self.front(target, options="quota: 30s")
        used = lambda: self.count(server, "plimsoll_client_quota_used_ratio", service="reviews")
        target.does = answer(more='RateLimit: "default";r=1;t=60\r\nRateLimit-Policy: "default";q=4;w=60\r\n')
        self.assertEqual(server.get("/reviews").status, 200)
        self.assertAlmostEqual(used(), 0.75)
        target.does = answer(more='RateLimit: "default";r=0;t=60\r\nRateLimit-Policy: "default";q=4;w=60\r\n')
        self.assertEqual(server.get("/reviews").status, 200)
        self.assertEqual(used(), 1)
        refused = server.get("/reviews")
        self.assertEqual((refused.status, refused.code), (503, "quota-exhausted"))
        self.assertTrue(50 <= int(refused.headers["retry-after"]) <= 60)
        self.assertEqual(len(target.seen), 2, "what would be refused is not sent")
        self.assertEqual(self.count(server, "plimsoll_client_quota_refused_total"), 1)
        line = harness.until(lambda: next((line for line in server.logged() if line.get("problem") == "quota-exhausted"), None), "its line")
        self.assertEqual(line["detail"], "service `reviews`")
        # A wait that is short enough is waited for.
        other = self.target("b")
        waiting = self.front(other, options="authentication: {header: X-Key, value: k}")
        other.does = answer(more="X-RateLimit-Limit: 5\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1\r\n")
        self.assertEqual([waiting.get("/reviews").status for _ in range(2)], [200, 200])
        self.assertEqual(self.count(waiting, "plimsoll_client_quota_waits_total"), 1)
        # Without a credential of the server's own it is the limit of one caller, and ends nothing for others; and it can be turned off.
        off = self.target("c")
        off.does = answer(more='RateLimit: "default";r=0;t=60\r\n')
        for options in ("", "quota: off, authentication: {header: X-Key, value: k}"):
            careless = self.front(off, options=options)
            self.assertEqual([careless.get("/reviews").status for _ in range(3)], [200, 200, 200])

    def split(self, stable, canary, shares, options=""):
        listed = ", ".join([*(f"'{target.url}'" for target in stable), f"{{url: '{canary.url}', group: canary}}"])
        return f"upstreams: {{reviews: {{targets: [{listed}], split: {shares}{options and ', ' + options}}}}}\n"

    def test_a_canary_has_its_share_of_the_callers_and_each_stays_on_its_side(self):
        stable, canary = [self.target("a"), self.target("b")], self.target("c")
        # Each caller comes from an address of its own.
        given = {"more": "trusted-proxies: [127.0.0.1]\n"}
        callers = [f"10.0.{i // 200}.{i % 200 + 1}" for i in range(300)]
        server = self.serve(contract(), self.split(stable, canary, "{stable: 80, canary: 20}", "balance: round-robin") + given["more"])
        side = lambda caller, at=server: at.get("/reviews", {"X-Forwarded-For": caller}).json()["from"] == "c"
        before = {caller: side(caller) for caller in callers}
        share = sum(before.values()) / len(callers)
        self.assertTrue(0.1 < share < 0.3, share)
        self.assertEqual({caller: side(caller) for caller in callers}, before, "each stays on its side")
        self.assertEqual(self.count(server, "plimsoll_client_split_calls_total", group="canary"), 2 * sum(before.values()))
        self.assertTrue(stable[0].seen and stable[1].seen, "the targets of a group share its calls")
        # A larger share on another instance: nobody goes back.
        more = self.serve(contract(), self.split(stable, canary, "{canary: 60, stable: 40}") + given["more"])
        after = {caller: side(caller, more) for caller in callers}
        self.assertLess(sum(before.values()), sum(after.values()))
        self.assertEqual([caller for caller in callers if before[caller] and not after[caller]], [])
        # None, and what is tried out is not what comes to the rescue.
        none = self.serve(contract(), self.split(stable, canary, "{stable: 1, canary: 0}", "retry: off, breaker: off") + given["more"])
        self.assertFalse(any(side(caller, none) for caller in callers[:60]))
        for target in stable:
            target.close()
        self.assertEqual(none.get("/reviews", {"X-Forwarded-For": callers[0]}).status, 502)

    def test_callers_of_a_canary_that_fails_are_answered_by_the_others(self):
        stable, canary = [self.target("a"), self.target("b")], self.target("c")
        server = self.serve(contract(), self.split(stable, canary, "{stable: 1, canary: 99}", "retry: {base: 1ms, floor: 1000}"))
        self.assertEqual(server.get("/reviews").json(), {"from": "c"})
        canary.does = answer(status="503 Service Unavailable")
        for _ in range(10):
            self.assertIn(server.get("/reviews").json().get("from"), ("a", "b"), "a retry goes to the other group, and later calls at once")
        seen = len(canary.seen)
        self.assertEqual(self.count(server, "plimsoll_client_ejections_total", target=canary.url), 1)
        server.get("/reviews")
        self.assertEqual(len(canary.seen), seen)
        self.assertGreaterEqual(self.count(server, "plimsoll_client_split_moved_total", group="stable"), 10)

    MIRRORED = """
  /mirrored:
    get:
      operationId: mirrored
      x-plimsoll: {upstream: {name: reviews, mirror: {to: canary%(get)s}}}
      responses: {'200': {description: ok, content: {application/json: {}, application/octet-stream: {}}}, default: {description: other}}
    post:
      operationId: mirroredPost
      x-plimsoll: {upstream: {name: reviews, mirror: {to: canary%(post)s}}}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
"""

    def mirror(self, stable, canary, get="", post="", options=""):
        return self.serve(contract(more=self.MIRRORED % {"get": get, "post": post}), self.split([stable], canary, "{stable: 1, canary: 0}", options))

    def test_copies_go_to_another_group_and_their_responses_are_compared(self):
        stable, canary = self.target("a"), self.target("b")
        server = self.mirror(stable, canary, post=", unsafe: true", options="authentication: {bearer: ours}")
        outcomes = lambda **labels: {
            outcome: count for outcome in ("same", "status", "body", "failed", "skipped")
            if (count := self.count(server, "plimsoll_mirror_responses_total", group="canary", outcome=outcome, **labels))}
        until = lambda expected, **labels: harness.until(lambda: outcomes(**labels) == expected, lambda: f"{outcomes(**labels)} to be {expected}")
        # The same content, written otherwise.
        stable.does, canary.does = answer(b'{"a": 1, "b": [2]}'), answer(b'{"b":[2.0],"a":1}')
        got = server.get("/mirrored?", {"Authorization": "Bearer theirs", "X-Mine": "1"})
        self.assertEqual(got.body, b'{"a": 1, "b": [2]}')
        until({"same": 1}, operation="mirrored")
        (line, headers, _), (copied, copied_headers, _) = stable.seen[0], canary.seen[0]
        self.assertEqual(copied, line)
        for name in ("authorization", "x-mine", "traceparent", "x-request-id", "forwarded"):
            self.assertEqual(copied_headers[name], headers[name], name)
        self.assertEqual((copied_headers["authorization"], copied_headers["x-plimsoll-mirrored"]), ("Bearer ours", "true"))
        self.assertNotIn("x-plimsoll-mirrored", headers)
        canary.does = answer({"a": 2})
        server.get("/mirrored")
        until({"same": 1, "body": 1}, operation="mirrored")
        canary.does = answer(status="500 Internal Server Error")
        for _ in range(30):
            self.assertEqual(server.get("/mirrored").status, 200)
        until({"same": 1, "body": 1, "status": 30}, operation="mirrored")
        # What fails there is nobody's failure here, and is not retried; a kept connection that is found closed is replaced.
        canary.does = None
        self.assertEqual(server.get("/mirrored").status, 200)
        until({"same": 1, "body": 1, "status": 30, "failed": 1}, operation="mirrored")
        self.assertEqual(len(canary.seen), 34)
        self.assertEqual(self.count(server, "plimsoll_client_breaker_state"), 0)
        # A body that is kept goes along; what is said in the log is bounded and has no content.
        canary.does = stable.does = answer({"made": "content"})
        self.assertEqual(server.post("/mirrored", {"text": "secret"}).status, 200)
        until({"same": 1}, operation="mirroredPost")
        self.assertEqual(canary.seen[-1][2], stable.seen[-1][2])
        lines = [line for line in server.logged() if line.get("event") == "mirror-differs"]
        self.assertEqual([(line["outcome"], line["service"], line["group"], line["operation"]) for line in lines], [("body", "reviews", "canary", "mirrored")])
        self.assertEqual(self.count(server, "plimsoll_client_split_calls_total", group="canary"), 0)

    def test_a_mirror_changes_no_response(self):
        """Bodies of every length and framing reach the caller as without a mirror, also those that are too long to be compared."""
        stable, canary = self.target("a"), self.target("b")
        server = self.mirror(stable, canary)
        compared = 1 << 20  # docs/upstreams.md
        chunked = lambda body, kind: (f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                                      + b"".join(b"%x\r\n%b\r\n" % (len(body[at:at + 60_000]), body[at:at + 60_000]) for at in range(0, len(body), 60_000)) + b"0\r\n\r\n")
        for size in (0, 1, 20_000, compared - 2, compared + 60_000, 17 << 20):
            for kind, framed in (("application/json", answer), ("application/json", chunked), ("application/octet-stream", chunked)):
                body = b'"' + b"n" * size + b'"'
                canary.does = answer({"from": "b"})
                stable.does = framed(body, kind=kind)
                got = server.get("/mirrored")
                self.assertEqual((got.status, len(got.body), got.body == body), (200, len(body), True), (size, kind, framed))
                if framed is answer:
                    self.assertEqual(got.headers.get("content-length"), str(len(body)))

    def test_a_caller_cannot_make_a_request_look_like_a_copy(self):
        stable, canary = self.target("a"), self.target("b")
        server = self.mirror(stable, canary)
        for name in ("X-Plimsoll-Mirrored", "x_plimsoll_mirrored"):
            self.assertEqual(server.get("/mirrored", {name: "true"}).status, 200)
            self.assertNotIn(name.lower(), stable.seen[-1][1])

    def test_copies_are_of_safe_requests_bounded_and_delay_nobody(self):
        stable, canary = self.target("a"), self.target("b")
        server = self.mirror(stable, canary, get=", at-most: 2, timeout: 60s")
        gate = threading.Event()
        self.addCleanup(gate.set)
        canary.does = lambda *_: gate.wait(60) and answer({"from": "a"})
        self.assertEqual(server.post("/mirrored", {"text": "x"}).status, 200)
        for _ in range(10):
            self.assertEqual(server.get("/mirrored").status, 200)
        skipped = lambda: self.count(server, "plimsoll_mirror_responses_total", outcome="skipped")
        harness.until(lambda: skipped() == 8, lambda: f"{skipped()} skipped")
        gate.set()
        harness.until(lambda: self.count(server, "plimsoll_mirror_responses_total", outcome="same") == 2, "two copies to be answered")
        self.assertEqual([line for line, *_ in canary.seen], ["GET /mirrored"] * 2)
        # A stop ends those that hang.
        gate.clear()
        server.get("/mirrored")
        harness.until(lambda: len(canary.seen) == 3, "the third copy")
        begun = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - begun, 30, "half of its own limit")

    def test_a_call_that_takes_long_is_answered_by_another_target(self):
        slow, quick = self.target("slow"), self.target("quick")
        over, waiting = threading.Event(), []
        self.addCleanup(over.set)
        server = self.front(slow, quick, options="hedge: p95, balance: round-robin, timeouts: {first-byte: 60s, total: 60s}")
        for _ in range(100):
            self.assertEqual(server.get("/reviews").status, 200)
        before = self.count(server, "plimsoll_client_hedges_won_total")  # one on a machine that stood still meanwhile

        def hang(connection, request):
            waiting.append(request)
            over.wait(harness.PATIENCE)
            return answer({"from": "slow"})

        slow.does = hang
        for _ in range(4):
            got = server.get("/reviews")
            self.assertEqual((got.status, got.json()["from"]), (200, "quick"))
        won = self.count(server, "plimsoll_client_hedges_won_total", service="reviews")
        self.assertTrue(1 <= won - before <= 4, (before, won))
        harness.until(lambda: waiting, "the slow target to see a call: in turn it is asked for every second one")
        harness.until(lambda: self.count(server, "plimsoll_client_target_calls", service="reviews") == 0, "the calls that lost to be over")
        self.assertIn("2", [headers["x-plimsoll-attempt"] for line, headers, body in quick.seen])
        # What changes something is sent once, and so is all that a layer before repeats.
        before = self.count(server, "plimsoll_client_hedges_total")
        slow.does = quick.does = lambda connection, request: time.sleep(0.05) or answer({"from": "x"}, status="201 Created")
        for _ in range(5):
            self.assertEqual(server.post("/reviews", {"a": 1}).status, 201)
            self.assertEqual(server.get("/reviews", {"X-Plimsoll-Attempt": "1"}).status, 201)
        self.assertEqual(self.count(server, "plimsoll_client_hedges_total"), before)

    def test_calls_beyond_the_limit_are_refused_and_the_rest_answered(self):
        target = self.target()
        go = threading.Event()
        self.addCleanup(go.set)
        target.does = lambda *_: go.wait(harness.PATIENCE) and answer()
        server = self.front(target, options="concurrency: 4")
        got = []
        threads = [threading.Thread(target=lambda: got.append(server.get("/reviews"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        harness.until(lambda: len(target.seen) == 4, lambda: "four calls under way")
        refused = server.get("/reviews")
        self.assertEqual((refused.status, refused.code, refused.headers["retry-after"]), (503, "too-many-calls", "1"))
        go.set()
        for thread in threads:
            thread.join(harness.PATIENCE)
        self.assertEqual([one.status for one in got], [200] * 4)
        self.assertEqual(server.get("/reviews").status, 200)

    def test_large_bodies_pass_through_both_ways_without_being_held(self):
        target = self.target()
        server = self.front(target)
        size, piece = 64 << 20, bytes(range(256)) * 256
        taken = []

        def large(connection, request):
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n".encode())
            for _ in range(size // len(piece)):
                connection.sendall(piece)
            return b""

        target.does = large
        before = self.rss(server)
        line = server.connection()
        line.request("GET", "/files")
        got = line.getresponse()
        most = read = 0
        while data := got.read(1 << 20):
            read += len(data)
            most = max(most, self.rss(server))
        self.assertEqual((got.status, read), (200, size))
        self.assertLess(most - before, 16 << 20, "the answer was held")

        class Counting(socketserver.StreamRequestHandler):
            def handle(self):
                while self.rfile.readline() not in (b"\r\n", b""):
                    pass
                total = 0
                while total < size:
                    total += len(self.rfile.read(min(1 << 20, size - total)))
                    taken.append(total)
                self.connection.sendall(answer(str(total).encode(), kind="application/octet-stream"))

        target.RequestHandlerClass = Counting
        for connection in list(target.lines):
            connection.shutdown(socket.SHUT_RDWR)
        server = self.serve(contract(), self.upstreams(target) + "limits: {body: 128MiB}\n")
        before, most = self.rss(server), 0
        with socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE) as line:
            line.sendall(f"PUT /files HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n".encode())
            for _ in range(size // len(piece)):
                line.sendall(piece)
                most = max(most, self.rss(server))
            self.assertTrue(line.recv(65536).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(taken[-1], size)
        self.assertLess(most - before, 16 << 20, "the upload was held")

    def test_a_slow_reader_holds_the_target_back(self):
        target = self.target()
        server = self.front(target)
        sent = [0]

        def endless(connection, request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            piece = b"10000\r\n" + bytes(65536) + b"\r\n"
            while True:
                connection.sendall(piece)
                sent[0] += 65536

        target.does = endless
        before = self.rss(server)
        with socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE) as line:
            line.sendall(b"GET /files HTTP/1.1\r\nHost: a\r\n\r\n")
            line.recv(1000)
            harness.until(lambda: (first := sent[0]) > 0 and not time.sleep(0.3) and sent[0] == first, lambda: "the target to be held back")
            self.assertLess(sent[0], 32 << 20)
            self.assertLess(self.rss(server) - before, 16 << 20)

    def test_events_come_one_by_one_longer_than_any_timeout_and_end_with_their_reader(self):
        target = self.target()
        more, left = threading.Event(), threading.Event()

        def events(connection, request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            more.wait(harness.PATIENCE)
            connection.sendall(b"data: 2\n\n")
            connection.settimeout(harness.PATIENCE)
            if connection.recv(1) == b"":
                left.set()

        target.does = events
        server = self.front(target, options="timeouts: {idle: 50ms, total: 100ms}")
        line = server.connection()
        line.request("GET", "/events")
        got = line.getresponse()
        self.assertEqual(got.read1(), b"data: 1\n\n")
        self.assertEqual(self.count(server, "plimsoll_client_target_calls", service="reviews"), 1, "it is under way as long as it is read")
        time.sleep(0.2)  # longer than both
        more.set()
        self.assertEqual(got.read1(), b"data: 2\n\n")
        line.close()
        got.close()
        self.assertTrue(left.wait(harness.PATIENCE), "the reader went, and its stream went on")
        harness.until(lambda: self.count(server, "plimsoll_client_target_calls", service="reviews") == 0, lambda: "the call to be over")

    def test_no_failure_of_a_service_says_where_it_is(self):
        target = self.target()
        begun = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        misdeeds = {"nothing": b"", "garbage": b"nonsense\r\n\r\n", "half a head": begun, "no chunk": begun + b"Transfer-Encoding: chunked\r\n\r\nXX\r\n", "two lengths": begun + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
                    "no body": begun + b"Content-Length: 9\r\n\r\n", "no body of unknown length": begun + b"Transfer-Encoding: chunked\r\n\r\n"}
        server = self.front(target, options="retry: off")
        for name, sent in misdeeds.items():
            with self.subTest(name):
                target.does = lambda connection, _, sent=sent: connection.sendall(sent)  # and closes
                got = server.get("/reviews")
                self.assertEqual(got.status, 502, got)
                self.assertNotIn(str(target.port), got.text)
                self.assertNotIn("detail", got.json())
                trace = got.json()["trace_id"]
                line = harness.until(lambda: next((each for each in server.logged() if each.get("trace_id") == trace and each.get("status") == 502), None), "its line of the log")
                self.assertTrue(line["detail"], "an operator sees what it was")
        gone = self.front(self.nobody(), options="retry: off").get("/reviews")
        self.assertEqual((gone.status, "detail" in gone.json()), (502, False))

    def test_a_stream_opens_before_its_first_byte(self):
        """Over both versions: `EventSource` is open when the head is there, and a response that is long in coming is no server that hangs."""
        target = self.target()
        seen, opened = threading.Event(), []

        def events(connection, request):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            opened.append(seen.wait(harness.PATIENCE))
            connection.sendall(b"data: 1\n\n")

        target.does = events
        server = self.front(target)
        with contextlib.closing(server.connection()) as line:
            line.request("GET", "/events")
            got = line.getresponse()
            self.assertEqual((got.status, got.headers["content-type"]), (200, "text/event-stream"))
            seen.set()
            self.assertEqual(got.read(), b"data: 1\n\n")
        seen.clear()
        with http2_client.Client(server.port, patience=harness.PATIENCE) as line:
            line.send(http2_client.request(1, http2_client.head(path="/events")))
            self.assertTrue(line.until(lambda: line.of(http2_client.HEADERS, 1)), line)
            seen.set()
            status, _, body = line.answer(1)
            self.assertEqual((status, body), (200, b"data: 1\n\n"))
        self.assertEqual(opened, [True, True], "the head came before an event, over HTTP/1.1 and over HTTP/2")

    def test_targets_change_by_a_reload_under_load_and_no_request_fails(self):
        old, new = [self.target("old"), self.target("old")], [self.target("new"), self.target("new")]
        server = self.front(*old)
        over, faults, asked = threading.Event(), [], [0]

        def load(fresh):
            line = server.connection()
            while not over.is_set():
                try:
                    got = server.request("GET", "/reviews", connection=line)
                    if got.status != 200:
                        faults.append(got)
                except Exception as error:
                    faults.append(repr(error))
                asked[0] += 1
                if fresh:
                    line.close()
            line.close()

        threads = [threading.Thread(target=load, args=(n % 2,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for turn in range(6):
            self.write(server, self.upstreams(*(new if turn % 2 == 0 else old)))
            told = harness.fetch(server.management, "POST", "/reload")
            self.assertEqual(told.status, 200, told)
            before = asked[0]
            harness.until(lambda: asked[0] > before + 20, lambda: "more requests")
        self.write(server, self.upstreams(*new))
        self.assertEqual(harness.fetch(server.management, "POST", "/reload").status, 200)
        over.set()
        for thread in threads:
            thread.join(harness.PATIENCE)
        self.assertEqual(faults, [])
        before = sum(len(target.seen) for target in old)
        self.assertEqual({server.get("/reviews").json()["from"] for _ in range(10)}, {"new"})
        self.assertEqual(sum(len(target.seen) for target in old), before)

    def test_a_reload_ends_no_call_and_closes_no_circuit(self):
        target = self.target()
        go = threading.Event()
        self.addCleanup(go.set)
        target.does = answer(status="503 Service Unavailable")
        server = self.front(target, options="retry: off, breaker: {open: 30m}")
        for _ in range(20):
            server.get("/reviews")
        self.assertEqual(server.get("/reviews").code, "circuit-open")
        target.does = lambda *_: go.wait(harness.PATIENCE) and answer({"from": "before"})
        got = []
        waiting = threading.Thread(target=lambda: got.append(server.get("/limited")))
        waiting.start()
        harness.until(lambda: target.seen[-1][0].startswith("GET /limited"), lambda: "the call")
        self.write(server, self.upstreams(target, options="retry: off, breaker: {open: 40m}"))
        self.assertEqual(harness.fetch(server.management, "POST", "/reload").status, 200)
        self.assertEqual(server.get("/reviews").code, "circuit-open", "what is known of a service outlives a reload")
        go.set()
        waiting.join(harness.PATIENCE)
        self.assertEqual(got[0].json(), {"from": "before"})

    def test_a_stop_waits_for_calls_and_ends_what_hangs(self):
        target = self.target()
        here, go = threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def slow(connection, request):
            here.set()
            go.wait(harness.PATIENCE)
            return answer({"from": "slow"})

        target.does = slow
        server = self.front(target, options="health: {path: /healthz, every: 10ms}")
        got = []
        waiting = threading.Thread(target=lambda: got.append(server.get("/reviews")))
        waiting.start()
        self.assertTrue(here.wait(harness.PATIENCE))
        server.signal(signal.SIGTERM)
        harness.until(lambda: not server.accepts(), lambda: "the listener to be closed")
        go.set()
        waiting.join(harness.PATIENCE)
        self.assertEqual([one.json() for one in got], [{"from": "slow"}], server.describe())
        self.assertEqual(server.wait(), 0)

    CACHES = {"cache: origin": (", cache: origin", ""), "cache: 1h": (", cache: 1h", ""), "cache of the upstream": ("", "cache: 16MiB, ")}

    def test_a_stop_waits_for_no_fetch_whose_callers_have_gone(self):
        """Fills of caches and fetches of tokens outlive the callers that caused them; what they bring is of no use to a process that ends."""
        over = threading.Event()
        self.addCleanup(over.set)
        target, issuer = self.target(), self.target()
        target.does = issuer.does = lambda *_: over.wait(harness.PATIENCE) and None
        token = f"authentication: {{oauth2: {{token-url: '{issuer.url}/token', client: a, secret: b}}}}, "
        for way, (document, options) in {"no cache": ("", ""), **self.CACHES, "a token": ("", token)}.items():
            for late in (False, True):
                with self.subTest(way, late=late):
                    server = self.front(target, options=options + "retry: off", document=", deadline: 300ms" + document)
                    line = server.connection()
                    if late:  # a connection that is open may send another request while the server goes down
                        self.assertEqual(server.request("GET", "/livez", connection=line).status, 200)
                        server.signal(signal.SIGTERM)
                    try:
                        got = server.request("GET", "/reviews", connection=line)
                    except (http.client.HTTPException, OSError):
                        self.assertTrue(late)  # it was closed before the request came, which is as good
                        self.assertEqual(server.wait(), 0)
                        continue
                    self.assertEqual((got.status, got.code), (504, "deadline-exceeded"))
                    begun = time.monotonic()
                    if not late:
                        server.signal(signal.SIGTERM)
                    self.assertEqual(server.wait(), 0)
                    self.assertLess(time.monotonic() - begun, 6)  # a fill has 30 s, a fetch of a token 12
                    logged = next(each for each in server.logged() if each.get("status") == 504)
                    missing = f"no token from 127.0.0.1:{issuer.port}" if way == "a token" else "no first byte of an answer"
                    self.assertRegex(logged.get("detail", ""), f"^service `reviews` at 127.0.0.1:{target.port}: {missing} within [0-9]+ ms, ended by the deadline of the request$")

    def test_a_stop_waits_for_a_fill_that_another_caller_waits_for(self):
        for way, (document, options) in self.CACHES.items():
            with self.subTest(way):
                target, go = self.target(), threading.Event()
                self.addCleanup(go.set)
                target.does = lambda *_: go.wait(harness.PATIENCE) and answer({"from": "slow"}, more="Cache-Control: max-age=60\r\n")
                server = self.front(target, options=options + "retry: off", document=document)
                first = socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE)
                first.sendall(b"GET /reviews HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                harness.until(lambda: target.seen, "the fill")
                got = []
                second = threading.Thread(target=lambda: got.append(server.request("GET", "/reviews", headers={"Host": "127.0.0.1"})))
                second.start()
                harness.until(lambda: self.count(server, "http_server_active_requests", http_route="/reviews") == 2, lambda: str({name: value for name, value in server.metrics().items() if "active" in name}))
                first.close()
                harness.until(lambda: any(each.get("client_gone") for each in server.logged()), server.describe)
                server.signal(signal.SIGTERM)
                harness.until(lambda: not server.accepts(), "the listener to be closed")
                go.set()
                second.join(harness.PATIENCE)
                self.assertEqual([one.json() for one in got], [{"from": "slow"}], server.describe())
                self.assertEqual((len(target.seen), server.wait()), (1, 0))

    def test_one_that_waited_for_the_response_to_another_request_in_vain_says_what_it_awaited_itself(self):
        over = threading.Event()
        self.addCleanup(over.set)
        for cache in ("origin", "1h"):
            with self.subTest(cache):
                target = self.target()
                target.does = lambda *_: over.wait(harness.PATIENCE) and None
                server = self.front(target, options="retry: off", document=f", deadline: {{after: 2s, header: X-Deadline}}, cache: {cache}")
                first = threading.Thread(target=lambda: server.get("/reviews"))
                first.start()
                harness.until(lambda: target.seen, "the fill")
                self.assertEqual(server.get("/reviews", headers={"X-Deadline": "0.2"}).status, 504)
                first.join(harness.PATIENCE)
                details = harness.until(lambda: (lines := [each["detail"] for each in server.logged() if each.get("status") == 504]) and len(lines) == 2 and lines, server.describe)
                for detail in details:  # it waited for the other for half of its time, and was sent for itself then
                    self.assertIn("no first byte of an answer", detail)
                self.assertEqual(len(target.seen), 2)

    def test_who_waits_for_a_request_that_hangs_is_answered_within_its_own_deadline(self):
        for way, (document, options) in self.CACHES.items():
            with self.subTest(way):
                target, over = self.target(), threading.Event()
                self.addCleanup(over.set)
                target.does = lambda *_: over.wait(harness.PATIENCE) and None if len(target.seen) == 1 else answer({"from": "a"}, more="Cache-Control: max-age=60\r\n")
                server = self.front(target, options=options + "retry: off", document=document + ", deadline: {after: 30s, header: X-Deadline}")
                first = threading.Thread(target=lambda: server.get("/reviews"))
                first.start()
                harness.until(lambda: target.seen, "the request that hangs")
                got = server.get("/reviews", headers={"X-Deadline": "4"})
                self.assertEqual((got.status, got.json()), (200, {"from": "a"}))
                over.set()
                first.join(harness.PATIENCE)

    def test_what_is_wrong_with_an_upstream_stops_the_start_and_says_where(self):
        good = "http://127.0.0.1:9"
        for config, said in (
            ("upstreams: {reviews: {}}\n", "has `targets`"),
            ("upstreams: {reviews: {targets: []}}\n", "has `targets`"),
            ("upstreams: {reviews: {targets: ['ftp://a']}}\n", "neither http:// nor https://"),
            (f"upstreams: {{reviews: {{targets: ['{good}', '{good}']}}}}\n", "there twice"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], balanc: round-robin}}}}\n", 'did you mean "balance"?'),
            (f"upstreams: {{reviews: {{targets: ['{good}'], retry: {{atempts: 3}}}}}}\n", 'did you mean "attempts"?'),
            (f"upstreams: {{reviews: {{targets: ['{good}'], breaker: {{of: 0}}}}}}\n", "must be 1 to"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], health: {{path: healthz}}}}}}\n", "begins with /"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], hedge: {{after: p50}}}}}}\n", "one of p90, p95, p99"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], hedge: {{at-most: 5}}}}}}\n", "ratio"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], split: {{a: 1}}}}}}\n", "is in the group `stable`, of which `split` says nothing"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], split: {{stable: 1, canary: 1}}}}}}\n", "no target is in the group `canary`"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], split: {{stable: 0}}}}}}\n", "a share above 0"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], split: {{stable: 5%}}}}}}\n", "a number from 0 to 10000"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], split: 5%}}}}\n", "`split` is an object of groups"),
            (f"upstreams: {{reviews: {{targets: [{{url: '{good}', group: canary}}]}}}}\n", "and the upstream no `split`"),
            (f"upstreams: {{reviews: {{targets: [{{url: '{good}', group: canry}}], split: {{canary: 1}}}}}}\n", "in the group `canry`, of which `split` says nothing"),
            (f"upstreams: {{reviews: {{targets: [{{url: '{good}', weigth: 2}}]}}}}\n", 'did you mean "weight"?'),
            (f"upstreams: {{reviews: {{targets: [{{url: '{good}', weight: 0}}]}}}}\n", "must be 1 to"),
            (f"upstreams: {{reviews: {{targets: [5]}}}}\n", "a target is a URL"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], balance: hash}}}}\n", "`hash` needs `hash-by`"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], hash-by: caller}}}}\n", "`hash-by` is for `hash`"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], balance: hash, hash-by: session}}}}\n", "header:NAME, cookie:NAME, claim:NAME or caller"),
            (f"upstreams: {{reviews: {{targets: ['{good}'], balance: {{by: round-robin, slow-start: 30}}}}}}\n", "duration"),
            ("upstreams: {reviews: {targets: ['http://reviews.internal:9000']}}\n", "plain-http: allowed"),
            ("upstreams: {reviews: {targets: ['http://127.example.com:9000']}}\n", "plain-http: allowed"),
            (f"upstreams: {{reviws: {{targets: ['{good}']}}}}\n", "did you mean `reviws`?"),
        ):
            told = self.refused(contract(), config)
            self.assertIn(said, told)
            self.assertRegex(told, r"(plimsoll|contract)\.yaml:\d+:\d+: error\[", config)
        self.serve(contract(), "upstreams: {reviews: {targets: ['http://reviews.internal:9000'], plain-http: allowed}}\n")
        capitals = self.front(self.target().url.replace("http://", "HTTP://"))  # RFC 3986, section 3.1
        self.assertEqual(capitals.get("/reviews").json(), {"from": "a"})
        for key, said in (("{name: reviews, path: '/x/{od}'}", "no path parameter"), ("{name: reviews, path: x}", "begins with /"),
                          ("{name: reviews, request-headers: {set: {Connection: close}}}", "cannot be set"),
                          ("{name: reviews, mirror: {to: canary}}", "has no group `canary`; `split` of the deployment declares groups"),
                          ("{name: reviews, mirror: {share: 5%}}", "names the group"),
                          ("{name: reviews, mirror: {to: canary, shar: 5%}}", 'did you mean "share"')):
            told = self.refused(contract().replace("operationId: listReviews\n      x-plimsoll: {upstream: reviews}",
                                                   f"operationId: listReviews\n      x-plimsoll: {{upstream: {key}}}"),
                                f"upstreams: {{reviews: {{targets: ['{good}']}}}}\n")
            self.assertIn(said, told)
        for shares in ("{stable: 100, canary: 0}", "{stable: 1, canary: 0, third: 0}"):
            groups = f"{{url: '{good}/2', group: canary}}" + (f", {{url: '{good}/3', group: third}}" if "third" in shares else "")
            config = f"upstreams: {{reviews: {{targets: ['{good}', {groups}], split: {shares}}}}}\n"
            mirrored = lambda to: contract().replace("operationId: listReviews\n      x-plimsoll: {upstream: reviews}",
                                                     f"operationId: listReviews\n      x-plimsoll: {{upstream: {{name: reviews, mirror: {{to: {to}}}}}}}")
            self.assertIn("every caller of the upstream `reviews` is in the group `stable`", self.refused(mirrored("stable"), config))
            self.serve(mirrored("canary"), config)


FALLBACKS = """
  /products:
    get:
      operationId: listProducts
      x-plimsoll: {upstream: reviews, fallback: {body: {data: []}, flag: reviews-unavailable}, cache: {ttl: 1s, browser-ttl: 1s}}
      responses:
        '200': {description: ok, content: {application/json: {schema: {type: object, required: [data], properties: {data: {type: array}}}}}}
        default: {description: other}
  /quick:
    get:
      operationId: quick
      x-plimsoll: {upstream: reviews, deadline: 300ms, fallback: {body: {data: []}}}
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
  /kept:
    get:
      operationId: kept
      x-plimsoll: {upstream: reviews, cache: {ttl: 50ms}, deadline: 2s, fallback: {stale: true, flag: kept}}
      parameters: [{name: n, in: query, schema: {type: integer}}]
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
  /off:
    get:
      operationId: off
      x-plimsoll: {upstream: reviews, cache: {ttl: 50ms}, fallback: {stale: true, mode: off}}
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
  /defaults/{kind}:
    parameters: [{name: kind, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getDefault
      x-plimsoll: {mock: true}
      responses: {'200': {description: ok, content: {application/json: {example: {from: default}}}}}
  /things/{kind}/{id}:
    parameters: [{name: kind, in: path, required: true, schema: {type: string}}, {name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getThing
      x-plimsoll: {upstream: reviews, fallback: {operation: getDefault, flag: default}}
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
"""


class Explain(harness.ServerTest):
    def test_every_option_of_upstreams_is_found_by_its_own_name(self):
        said = self.plimsoll("explain", "upstreams").stdout
        options = re.findall(r"^    NAME\.(\S+): (.+)$", said, re.M)
        self.assertGreater(len(options), 40)
        names = sorted({option.split(".")[-1] for option, _ in options})
        if not os.environ.get("PLIMSOLL_TORTURE"):
            chance = random.Random(harness.seed())
            names = ["hedge", "retry", *chance.sample(names, 8)]
            options = [option for option in options if "." not in option[0]] + chance.sample(options, 8)
        for name in names:
            told = self.plimsoll("explain", name)
            self.assertEqual(told.returncode, 0, f"{name}: {told.stderr}")
            whole = [option for option in re.findall(r"^    NAME\.(\S+):", said, re.M) if option.split(".")[-1] == name]
            # A key of the contract, or a section, of that name goes before.
            if not re.search(rf"^{name} \((contract|deployment)\)", told.stdout, re.M):
                for option in whole:
                    self.assertRegex(told.stdout, rf"(?m)^ *upstreams\.NAME\.{option}( \(deployment\)|: )", name)
        for option, sentence in options:
            told = self.plimsoll("explain", f"upstreams.reviews.{option}").stdout
            self.assertIn(f"upstreams.NAME.{option} (deployment)", told)
            self.assertIn(sentence, told)

    def test_a_plural_is_told_the_singular(self):
        for said, meant in (("retries", "retry"), ("hedges", "hedge"), ("breakers", "breaker")):
            told = self.plimsoll("explain", said)
            self.assertEqual(told.returncode, 2, said)
            self.assertIn(f'did you mean "{meant}"', told.stderr)
        told = self.refused(contract(), "upstreams: {reviews: {targets: ['http://127.0.0.1:9'], retries: {attempts: 2}}}\n")
        self.assertIn('unknown key "retries"; did you mean "retry"', told)


class Fallback(Behind):
    """`fallback` in front of a service that fails."""

    def begin(self, **given):
        self.behind = self.target()
        self.behind.does = answer({"data": [1]})
        return self.front(self.behind, options="retry: off, breaker: off", more=FALLBACKS, **given)

    def fails(self):
        self.behind.does = answer(status="503 Service Unavailable", kind="text/plain")

    def degraded(self, server, target):
        """The first response that says so: until then what is cached is fresh."""
        return harness.until(lambda: (got := server.get(target)).headers.get("plimsoll-degraded") and got, f"a response in place of {target}")

    def test_a_body_is_given_with_its_flag_and_nobody_stores_it(self):
        server = self.begin()
        well = server.get("/products")
        self.assertEqual((well.status, well.json(), well.headers.get("plimsoll-degraded")), (200, {"data": [1]}, None))
        for does in (answer(status="503 Service Unavailable"), answer(status="500 Internal Server Error"), None, b"SSH-2.0-x\r\n"):
            self.behind.does = (lambda *_, does=does: does) if does is None or does.startswith(b"SSH") else does
            got = self.degraded(server, "/products")
            self.assertEqual((got.status, got.json(), got.headers["plimsoll-degraded"]), (200, {"data": []}, "reviews-unavailable"), does)
            self.assertEqual(got.headers["cache-control"], "no-store")
            self.assertNotIn("etag", got.headers)
        self.behind.does = answer({"data": [2]})
        self.assertEqual(server.get("/products").json(), {"data": [2]}, "what was given instead is not kept")
        self.assertEqual(self.count(server, "plimsoll_fallbacks_total", operation="listProducts"), 4)
        self.assertEqual(self.count(server, "plimsoll_fallbacks_total", operation="listProducts", cause="unreachable"), 1)
        harness.until(lambda: [line for line in server.logged() if line.get("operation") == "listProducts" and line.get("detail", "").startswith("fallback: unreachable")],
                      lambda: "the cause in the log")

    def test_what_the_caller_did_wrong_is_no_reason(self):
        server = self.begin()
        self.behind.does = answer(status="404 Not Found")
        self.assertEqual(server.get("/products").status, 404)

    def test_it_is_given_at_the_deadline(self):
        server = self.begin()
        over = threading.Event()
        self.addCleanup(over.set)
        self.behind.does = lambda *_: over.wait(harness.PATIENCE) and None
        got = server.get("/quick")
        self.assertEqual((got.status, got.json(), got.headers["plimsoll-degraded"]), (200, {"data": []}, "fallback"))

    def test_one_that_is_off_keeps_nothing_longer(self):
        server = self.begin()
        self.assertEqual(server.get("/off").json(), {"data": [1]})
        self.fails()
        harness.until(lambda: server.get("/off").status == 503, "what is cached is old, and nothing is given in its place")

    def test_a_response_that_is_no_longer_fresh_is_given(self):
        server = self.begin()
        self.assertEqual(server.get("/kept").json(), {"data": [1]})
        self.fails()
        got = self.degraded(server, "/kept")
        self.assertEqual((got.status, got.json(), got.headers["plimsoll-degraded"]), (200, {"data": [1]}, "kept"))
        self.assertEqual(server.get("/kept?n=2").status, 503, "nothing is kept of that")
        over = threading.Event()
        self.addCleanup(over.set)
        self.behind.does = lambda *_: over.wait(harness.PATIENCE) and None
        self.assertEqual(server.get("/kept").json(), {"data": [1]}, "at the deadline too")

    def test_another_operation_answers_with_the_parameters_of_the_first(self):
        server = self.begin()
        self.assertEqual(server.get("/things/a/1").json(), {"data": [1]})
        self.fails()
        got = server.get("/things/a/1")
        self.assertEqual((got.status, got.json(), got.headers["plimsoll-degraded"]), (200, {"from": "default"}, "default"))

    def test_what_cannot_be_given_stops_the_start(self):
        good = "upstreams: {reviews: {targets: ['http://127.0.0.1:9']}}\n"
        for key, said in (("{body: {dat: []}}", "does not fit the response 200"), ("{}", "has one of"), ("stale", "needs `cache`"),
                          ("{operation: nobody}", "must be another GET operation"), ("{operation: getThing}", "has no path parameter {kind}"),
                          ("{body: {data: []}, flag: two words}", "one word"), ("{bdy: 1}", 'did you mean "body"?')):
            text = contract(more=FALLBACKS).replace("fallback: {body: {data: []}, flag: reviews-unavailable}, cache: {ttl: 1s, browser-ttl: 1s}", f"fallback: {key}")
            self.assertIn(said, self.refused(text, good), key)
        writes = contract().replace("operationId: writeReview\n      x-plimsoll: {upstream: reviews}", "operationId: writeReview\n      x-plimsoll: {upstream: reviews, fallback: {body: {}}}")
        self.assertIn("`fallback` has no effect on POST", self.refused(writes, good))

if __name__ == "__main__":
    harness.main()
