"""Fields behind the body of a request (RFC 9110, section 6.5) on their way to an upstream: from chunked bodies of HTTP/1.1 and from HTTP/2, to both, with
bodies that pass through, that are held for the contract and that are sent again; none that would be taken for something else."""
import http.client
import json
import socket
import threading

import harness
import http2_origin
import http2_websockets
import interim_test

CONTRACT = """
openapi: 3.1.0
info: {title: Files, version: '1'}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Team-Key}}
x-plimsoll: {authorization: any-caller, rate-limit: off, priority: off}
paths:
  /files:
    post:
      operationId: postFile
      parameters: [{name: X-Tenant, in: header, schema: {type: string}}]
      x-plimsoll: {upstream: {name: back, request-headers: {remove: [X-Debug], set: {X-Shop: ours}}}}
      requestBody: {content: {application/octet-stream: {}}}
      responses: {default: {description: any}}
    put:
      operationId: putFile
      x-plimsoll: {upstream: back}
      requestBody: {content: {application/octet-stream: {}}}
      responses: {default: {description: any}}
  /orders:
    put:
      operationId: putOrder
      x-plimsoll: {upstream: back}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {default: {description: any}}
"""
DECLARED = "Trailer: X-Sum, X-Count, Authorization\r\n"
CHUNKED = b"5\r\nhello\r\n6\r\n world\r\n0\r\n"
TRAILERS = b"X-Sum: f00\r\nX-Count:  2 \r\n"


class TrailersTest(interim_test.InterimTest):
    def service(self, answers=(200,)):
        """Of HTTP/1.1; `came` are (head, body, trailers) of each request. `answers`: statuses, the last again and again."""
        came = []

        def script(line, number):
            body, trailers = b"", None
            if line.headers.get("transfer-encoding") == "chunked":
                while size := int(line.rfile.readline(), 16):
                    body += line.rfile.read(size)
                    assert line.rfile.readline() == b"\r\n"
                trailers = []
                while (field := line.rfile.readline()) not in (b"\r\n", b""):
                    trailers.append(field.decode("latin-1").rstrip("\r\n"))
            else:
                body = line.rfile.read(int(line.headers.get("content-length", "0")))
            came.append((line.headers, body, trailers))
            status = answers[min(number, len(answers) - 1)]
            line.wfile.write(b"HTTP/1.1 %d Said\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok" % status)
            return True

        service = super().service(script)
        service.came = came
        return service

    def origin(self, answers=(200,)):
        came, lock = [], threading.Lock()

        def script(stream):
            body = stream.body()
            with lock:
                number = len(came)
                came.append((harness.Headers(stream.pairs), body, [f"{name}: {value}" for name, value in (stream.trailers or {}).items()]))
            stream.answer(answers[min(number, len(answers) - 1)], b"ok", [("content-type", "text/plain")])

        origin = http2_origin.Origin(script)
        self.addCleanup(origin.close)
        origin.came = came
        return origin

    def front(self, *services, options="retry: off"):
        targets = ", ".join(f"'{service.url}'" for service in services)
        return self.serve(CONTRACT, f"upstreams:\n  back: {{targets: [{targets}], {options}}}\nthreads: 1\n")

    def send(self, server, trailers=TRAILERS, method="POST", path="/files", more=DECLARED, chunks=CHUNKED, kind="application/octet-stream"):
        head = f"Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n{more}"
        (status, _), = self.heads(self.line(server, method, path, more=head, body=chunks + trailers + b"\r\n"))
        return status

    def send2(self, server, trailers=(("x-sum", "f00"), ("x-count", "2")), method="POST", path="/files", more=(), body=b"hello world", kind="application/octet-stream"):
        connection = http2_websockets.Connection(server)
        self.addCleanup(connection.close)
        stream = connection.begin([(":method", method), (":scheme", "http"), (":path", path), (":authority", server.address), ("content-type", kind), *more])
        connection.do(lambda h: h.send_data(stream.number, body))
        connection.do(lambda h: h.send_headers(stream.number, list(trailers), end_stream=True))
        stream.wait(lambda: stream.ended)
        return stream.status


class Passing(TrailersTest):
    def test_names_that_are_listed_without_blanks_pass_however_many_they_are(self):
        behind = self.service()
        server = self.front(behind)
        for count in (1, 2, 17, 1000, 4000):
            self.assertEqual(self.send(server, more="Trailer: " + ",".join(["x"] * count) + "\r\n", trailers=b"x: 1\r\n"), 200)
            self.assertEqual(behind.came[-1][0]["trailer"].split(", "), ["x"] * count)
        self.assertEqual(server.get("/livez").status, 200)

    def test_they_pass_from_both_versions_to_both(self):
        for behind, options in ((self.service(), "retry: off"), (self.origin(), "retry: off, http: 2")):
            server = self.front(behind, options=options)
            self.assertEqual(self.send(server), 200)
            self.assertEqual(self.send2(server), 200)
            self.assertEqual(self.send2(server, more=[("trailer", "x-sum, X-Count, authorization")]), 200)
            for number, (headers, body, trailers) in enumerate(behind.came):
                self.assertEqual((body, trailers), (b"hello world", ["x-sum: f00", "x-count: 2"]), (options, number))
                self.assertEqual(headers.get("trailer"), None if number == 1 else "x-sum, x-count")
                self.assertNotIn("content-length", headers)

    def test_those_that_nobody_declared_pass_as_well(self):
        service = self.service()
        server = self.front(service)
        self.assertEqual(self.send(server, more=""), 200)
        self.assertEqual(service.came[0][2], ["x-sum: f00", "x-count: 2"])

    def test_a_body_of_known_length_is_chunked_where_fields_follow_it(self):
        """HTTP/2 has both at once. A short body is known whole; of a long one its sender says what follows."""
        for size in (5, 0, 200_000):
            for declares in (False, True):
                for behind, options in ((self.service(), "retry: off"), (self.origin(), "retry: off, http: 2")):
                    server = self.front(behind, options=options)
                    body = b"x" * size
                    more = [("content-length", str(size))] + ([("trailer", "x-sum")] if declares else [])
                    connection = http2_websockets.Connection(server)
                    self.addCleanup(connection.close)
                    stream = connection.begin([(":method", "POST"), (":scheme", "http"), (":path", "/files"), (":authority", server.address), ("content-type", "application/octet-stream"), *more])
                    stream.sendall(body)
                    connection.do(lambda h: h.send_headers(stream.number, [("x-sum", "f00")], end_stream=True))
                    stream.wait(lambda: stream.ended)
                    self.assertEqual(stream.status, 200)
                    (headers, came, trailers), = behind.came
                    self.assertEqual(came, body)
                    if size > 65536 and not declares and "http" not in options:
                        self.assertEqual((headers.get("content-length"), trailers), (str(size), None))  # there is no place for them
                    else:
                        self.assertEqual(trailers, ["x-sum: f00"], (size, declares, options))

    def test_a_body_without_any_is_sent_as_before(self):
        service = self.service()
        server = self.front(service)
        self.assertEqual(self.send(server, b"", more=""), 200)
        self.assertEqual(service.came[0][1:], (b"hello world", []))
        self.assertEqual(server.request("POST", "/files", b"hello", {"Content-Type": "application/octet-stream"}).status, 200)
        headers, body, trailers = service.came[1]
        self.assertEqual((headers["content-length"], body, trailers), ("5", b"hello", None))
        self.assertNotIn("transfer-encoding", headers)

    def test_they_follow_a_body_that_is_held_for_the_contract_and_each_attempt(self):
        for answers in ((200,), (503, 503, 200)):
            for behind, options in ((self.service(answers), ""), (self.origin(answers), ", http: 2")):
                server = self.front(behind, options="breaker: off, retry: {base: 1ms}" + options)
                chunks = b"c\r\n{\"name\":\"x\"}\r\n0\r\n"
                self.assertEqual(self.send(server, method="PUT", path="/orders", chunks=chunks, kind="application/json"), 200)
                self.assertEqual(len(behind.came), len(answers))
                for _, body, trailers in behind.came:
                    self.assertEqual((json.loads(body), trailers), ({"name": "x"}, ["x-sum: f00", "x-count: 2"]))

    def test_they_follow_a_short_body_of_known_length_at_each_attempt(self):
        behind = self.service((503, 200))
        server = self.front(behind, options="breaker: off, retry: {base: 1ms}")
        self.assertEqual(self.send2(server, method="PUT", more=[("content-length", "11")]), 200)
        self.assertEqual([came[1:] for came in behind.came], [(b"hello world", ["x-sum: f00", "x-count: 2"])] * 2)


class Filters(TrailersTest):
    # RFC 9110, section 6.5.1: message framing, routing, authentication, request modifiers, response controls, content format.
    NEVER = ("Transfer-Encoding", "Content-Length", "Host", "Connection", "Keep-Alive", "Te", "Trailer", "Upgrade", "Expect", "Cache-Control", "Max-Forwards", "Pragma", "Range",
             "If-Match", "If-None-Match", "If-Modified-Since", "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "Content-Type", "Content-Encoding", "Content-Range",
             "Accept", "Accept-Encoding", "Proxy-Connection", "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Anything",
             "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-Real-IP", "Proxy", "Traceparent", "Tracestate", "X-Request-Id", "Sec-WebSocket-Key",
             "X-Plimsoll-Attempt", "X-Plimsoll-Mirrored", "Idempotency-Key")
    OF_THE_OPERATION = ("X-Tenant", "X-Debug", "X-Shop")

    def test_none_that_must_stand_before_the_body_passes(self):
        for behind, options in ((self.service(), "retry: off"), (self.origin(), "retry: off, http: 2")):
            server = self.front(behind, options=options)
            names = self.NEVER + self.OF_THE_OPERATION
            spellings = [name.replace("-", "_") for name in names if "-" in name]
            listed = ", ".join([*names, *spellings, "X-Sum"])
            trailers = b"".join(f"{name}: 1\r\n".encode() for name in (*names, *spellings)) + b"X-Sum: f00\r\n"
            self.assertEqual(self.send(server, trailers, more=f"Trailer: {listed}\r\n"), 200)
            # Those of a connection make a message of HTTP/2 malformed.
            connection_specific = ("transfer-encoding", "connection", "keep-alive", "te", "upgrade", "proxy-connection")
            over2 = [(name.lower(), "1") for name in (*names, *spellings) if name.lower() not in connection_specific]
            self.assertEqual(self.send2(server, [*over2, ("x-sum", "f00")]), 200)
            for headers, body, trailers in behind.came:
                self.assertEqual((body, trailers), (b"hello world", ["x-sum: f00"]))
            self.assertEqual(behind.came[0][0]["trailer"], "x-sum")

    def test_a_credential_of_callers_and_of_the_server_is_none(self):
        service = self.service()
        contract = CONTRACT.replace("      requestBody: {content: {application/octet-stream: {}}}\n      responses: {default: {description: any}}\n    put",
                                    "      security: [{}, {key: []}]\n      requestBody: {content: {application/octet-stream: {}}}\n      responses: {default: {description: any}}\n    put")
        self.assertNotEqual(contract, CONTRACT)
        server = self.serve(contract, f"upstreams:\n  back: {{targets: ['{service.url}'], retry: off, authentication: {{header: X-Inner-Key, value: secret}}}}\ndatabase: {{url: 'sqlite:a.db'}}\n")
        self.assertEqual(self.send(server, b"X-Team-Key: 1\r\nX-Inner-Key: 2\r\nX_Inner_Key: 3\r\nX-Sum: f00\r\n"), 200)
        self.assertEqual(service.came[0][2], ["x-sum: f00"])
        self.assertEqual(service.came[0][0]["x-inner-key"], "secret")

    def test_their_number_and_size_are_bounded(self):
        service = self.service()
        server = self.front(service)
        for count, passed in ((100, 100), (101, 0)):
            service.came.clear()
            self.assertEqual(self.send(server, b"".join(b"X-%d: 1\r\n" % number for number in range(count)), more=""), 200)
            self.assertEqual(len(service.came[0][2]), passed)
            service.came.clear()
            self.assertEqual(self.send2(server, [(f"x-{number}", "1") for number in range(count)]), 200)
            self.assertEqual(len(service.came[0][2]), passed)
        self.assertEqual(self.send(server, b"X-Large: " + b"x" * 17_000 + b"\r\n", more=""), 400)

    def test_what_a_service_is_sent_cannot_be_split_by_one(self):
        service = self.service()
        server = self.front(service)
        for value in (b"a\x00b", b"a\rb", b"\x7f"):
            self.assertEqual(self.send(server, b"X-Sum: " + value + b"\r\n", more=""), 400, value)
        self.assertEqual(self.send(server, b"X-Sum: \xe9\tb\r\n", more=""), 200)


if __name__ == "__main__":
    harness.main()
