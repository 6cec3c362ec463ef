"""`plimsoll mock CONTRACT --upstream URL`: valid requests reach a server behind as they are, and its answers come back, held against the
contract. The server behind is one of the test's own: it answers as told, or misbehaves."""
import http.client
import json
import socket
import socketserver
import threading
import unittest

import harness
import http2_client

CONTRACT = """
openapi: 3.1.0
info: {title: Orders, version: '1'}
servers: [{url: /v1}]
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}
  schemas: {order: {type: object, required: [id], properties: {id: {type: integer}, note: {type: string}}}}
paths:
  /orders:
    get:
      operationId: listOrders
      parameters: [{name: limit, in: query, schema: {type: integer, maximum: 100}}]
      responses:
        '200': {description: ok, content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/order'}}}}}
        '404': {description: none}
    post:
      operationId: createOrder
      security: [{key: []}]
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/order'}}}}
      responses: {'201': {description: made, content: {application/json: {schema: {$ref: '#/components/schemas/order'}}}}}
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getOrder
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/order'}}}}}
    delete: {operationId: dropOrder, responses: {'204': {description: gone}}}
  /events:
    get:
      operationId: getEvents
      responses: {'200': {description: ok, content: {text/event-stream: {}}}}
  /files:
    get:
      operationId: getFile
      responses: {'200': {description: ok, content: {application/octet-stream: {}}}}
    put:
      operationId: putFile
      requestBody: {content: {application/octet-stream: {}}}
      responses: {'200': {description: ok, content: {application/octet-stream: {}}}}
"""


class Behind(socketserver.ThreadingTCPServer):
    """A server that keeps what it was sent, and answers with `answer`: bytes, or a function of the connection. Connections are kept
    open where the answer does not say otherwise."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        self.answer = b""
        self.seen, self.connections = [], 0
        behind = self

        class Line(socketserver.StreamRequestHandler):
            def handle(self):
                behind.connections += 1
                while head := self.rfile.readline():
                    headers = harness.Headers.read(self.rfile)
                    body = self.rfile.read(int(headers.get("content-length", "0")))
                    behind.seen.append((head.decode("latin-1").split(" HTTP")[0], headers, body))
                    answer = behind.answer
                    if callable(answer):
                        return answer(self.connection)
                    self.connection.sendall(answer)
                    if b"connection: close" in answer.lower():
                        return None
                return None

        super().__init__(("127.0.0.1", 0), Line)
        threading.Thread(target=self.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_):
        pass  # a client that leaves is part of the test

    def close(self):
        self.shutdown()
        self.server_close()


def answer(body=b"", status="200 OK", kind="application/json", more=""):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    typed = f"Content-Type: {kind}\r\n" if kind and body else ""
    return f"HTTP/1.1 {status}\r\n{typed}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Upstream(harness.ServerTest):
    def setUp(self):
        self.behind = Behind()
        self.addCleanup(self.behind.close)

    def front(self, *arguments, path="", url=None, contract=CONTRACT, config=None):
        folder = self.directory()
        (folder / "contract.yaml").write_text(contract)
        if config:
            (folder / "plimsoll.yaml").write_text(config)
            arguments += ("--config", folder / "plimsoll.yaml")
        server = harness.Server(folder / "contract.yaml", folder, verb=("mock",),
                                arguments=("--upstream", (url or self.behind.url) + path, *arguments))
        self.addCleanup(self._end, server)
        return server.start()

    def reasons(self, server):
        """Stops the server, so that its log is whole, and gives the details that it told."""
        server.stop()
        return [line["detail"] for line in server.logged() if line.get("detail")]

    def test_a_valid_request_arrives_as_it_is_and_the_answer_comes_back(self):
        front = self.front()
        self.behind.answer = answer({"id": 7}, "201 Created", more="Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nLocation: /v1/orders/7\r\n"
                                                               "Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n")
        sent = b'{ "id" : 7 , "note": "\\u00e9" }'
        made = front.request("POST", "/v1/orders?", sent, {"Content-Type": "application/json", "X-Key": "k", "X-Mine": "a\tb", "Cookie": "c=1",
                                                           "Connection": "keep-alive, X-Secret", "X-Secret": "s", "X-Forwarded-For": "6.6.6.6",
                                                           "Forwarded": "for=6.6.6.6", "TE": "trailers", "Accept-Encoding": "gzip"})
        self.assertEqual((made.status, made.body), (201, b'{"id": 7}'))
        self.assertEqual(made.headers.all("set-cookie"), ["a=1", "b=2"])
        self.assertEqual(made.headers["location"], "/v1/orders/7")
        self.assertNotIn("x-private", made.headers)
        line, headers, body = self.behind.seen[0]
        self.assertEqual((line, body), ("POST /v1/orders?", sent))
        self.assertEqual(headers["host"], self.behind.url[len("http://"):])
        self.assertEqual((headers["x-mine"], headers["x-key"], headers["cookie"], headers["content-type"]), ("a b", "k", "c=1", "application/json"))
        self.assertEqual((headers["x-forwarded-for"], headers["x-forwarded-host"], headers["x-forwarded-proto"]), ("127.0.0.1", front.address, "http"))
        self.assertEqual((headers["via"], headers["accept-encoding"]), ("1.1 plimsoll", "identity"))
        self.assertRegex(headers["traceparent"], "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$")
        self.assertEqual(headers["forwarded"], f'for=127.0.0.1;host="{front.address}";proto=http')
        for name in ("x-secret", "te", "connection", "transfer-encoding"):
            self.assertNotIn(name, headers)

    def test_paths_and_queries_are_not_touched(self):
        front = self.front(path="/inner/")
        self.behind.answer = answer({"id": 1})
        self.assertEqual(front.request("GET", "/v1/orders/a%2Fb%20c;d=1").status, 200)
        self.behind.answer = answer([])
        self.assertEqual(front.request("GET", "/v1/orders?limit=%31").status, 200)
        self.assertEqual([line for line, *_ in self.behind.seen], ["GET /inner/v1/orders/a%2Fb%20c;d=1", "GET /inner/v1/orders?limit=%31"])

    def test_a_date_of_the_server_behind_stays_the_only_one(self):
        date = "Mon, 01 Jan 2024 00:00:00 GMT"
        self.behind.answer = answer([], more=f"Date: {date}\r\n")
        server = self.front()
        self.assertEqual(server.get("/v1/orders").headers.all("date"), [date])
        with http2_client.Client(server.port) as client:
            client.send(http2_client.request(1, http2_client.head(path="/v1/orders")))
            self.assertEqual(client.answer(1)[0], 200)
            self.assertEqual([value for name, value in client.heads[1][0] if name == "date"], [date])

    def test_what_the_contract_refuses_reaches_nobody(self):
        front = self.front()
        self.assertEqual(front.get("/v1/orders?limit=101").code, "invalid")
        self.assertEqual(front.get("/v1/nothing").status, 404)
        self.assertEqual(front.request("PATCH", "/v1/orders", {}).status, 405)
        self.assertEqual(front.post("/v1/orders", {"id": 1}).code, "unauthenticated")
        self.assertEqual(front.post("/v1/orders", {"id": "1"}, {"X-Key": "k"}).status, 400)
        self.assertEqual(front.request("PUT", "/v1/files", b"x", {"Content-Type": "text/plain"}).status, 415)
        self.assertEqual(self.behind.seen, [])

    def test_bodies_of_all_kinds_and_none(self):
        front = self.front()
        blob = bytes(range(256)) * 4096  # 1 MiB
        self.behind.answer = answer(blob, kind="application/octet-stream")
        stored = front.request("PUT", "/v1/files", blob, {"Content-Type": "application/octet-stream"})
        self.assertEqual((stored.status, stored.body == blob, self.behind.seen[0][2] == blob), (200, True, True))
        self.behind.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[{\"\r\n8\r\nid\": 1}]\r\n0\r\nX-T: 1\r\n\r\n"
        self.assertEqual(front.get("/v1/orders").json(), [{"id": 1}])
        self.behind.answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[]"
        self.assertEqual(front.get("/v1/orders").json(), [])
        self.behind.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.assertEqual(front.delete("/v1/orders/1").status, 204)
        self.behind.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4711\r\n\r\n"
        head = front.request("HEAD", "/v1/orders")
        self.assertEqual((head.status, head.headers["content-length"], head.body), (200, "4711", b""))
        self.assertEqual(self.behind.seen[-1][0], "HEAD /v1/orders")
        self.behind.answer = b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"
        self.assertEqual(front.get("/v1/orders", {"If-None-Match": '"1"'}).status, 304)
        self.assertEqual(self.behind.seen[-1][1]["if-none-match"], '"1"')

    def test_a_large_answer_passes_through_without_being_held(self):
        front = self.front()
        size, piece = 64 << 20, bytes(range(256)) * 256

        def large(connection):
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n".encode())
            for _ in range(size // len(piece)):
                connection.sendall(piece)

        self.behind.answer = large
        resident = lambda: harness.memory(front.pid)
        before = resident()
        line = front.connection()
        line.request("GET", "/v1/files")
        got = line.getresponse()
        self.assertEqual((got.status, got.getheader("content-length")), (200, str(size)))
        most = read = 0
        while data := got.read(1 << 20):
            read += len(data)
            most = max(most, resident())
        line.close()
        self.assertEqual(read, size)
        self.assertLess(most - before, 16 << 20, "the body was held")

    def test_events_come_one_by_one_and_a_reader_that_goes_ends_them(self):
        front = self.front()
        more, left = threading.Event(), threading.Event()

        def events(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            more.wait(harness.PATIENCE)
            connection.sendall(b"data: 2\n\n")
            connection.settimeout(harness.PATIENCE)
            if connection.recv(1) == b"":
                left.set()

        self.behind.answer = events
        line = front.connection()
        line.request("GET", "/v1/events")
        got = line.getresponse()
        self.assertEqual(got.read1(), b"data: 1\n\n")  # the second is not sent yet
        more.set()
        self.assertEqual(got.read1(), b"data: 2\n\n")
        line.close()
        got.close()
        self.assertTrue(left.wait(harness.PATIENCE), "the reader went, and its stream went on")

    def test_an_upload_passes_through_as_it_comes(self):
        front = self.front()
        half, got_half = bytes(400_000), threading.Event()
        taken = []

        class Reading(socketserver.StreamRequestHandler):
            def handle(self):
                while self.rfile.readline() not in (b"\r\n", b""):
                    pass
                for _ in range(2):
                    taken.append(self.rfile.read(len(half)))
                    got_half.set()
                self.connection.sendall(answer(b"stored", kind="application/octet-stream"))

        self.behind.RequestHandlerClass = Reading
        with socket.create_connection(("127.0.0.1", front.port), harness.PATIENCE) as line:
            line.sendall(b"PUT /v1/files HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % (2 * len(half)) + half)
            self.assertTrue(got_half.wait(harness.PATIENCE), "the first half waits for the second")
            line.sendall(half)
            head = line.recv(65536)
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertEqual(sum(map(len, taken)), 2 * len(half))

    def test_an_answer_that_comes_before_the_upload_is_read_comes_back(self):
        front = self.front("--responses", "off")

        class Refusing(socketserver.StreamRequestHandler):
            def handle(self):
                while self.rfile.readline() not in (b"\r\n", b""):
                    pass
                self.connection.sendall(answer(b"too much", "413 Content Too Large", "text/plain", "Connection: close\r\n"))
                self.connection.settimeout(harness.PATIENCE)
                while self.connection.recv(1 << 20):
                    pass

        self.behind.RequestHandlerClass = Refusing
        with socket.create_connection(("127.0.0.1", front.port), harness.PATIENCE) as line:
            line.sendall(b"PUT /v1/files HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: 900000\r\n\r\n" + bytes(100_000))
            head = line.recv(65536)
        self.assertTrue(head.startswith(b"HTTP/1.1 413 "), head)

    def test_a_drain_ends_calls_whatever_hangs(self):
        over = threading.Event()
        self.addCleanup(over.set)
        for sent in (b"", b"HTTP/1.1 200 OK\r\nContent-Ty", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[",
                     b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"):
            front = self.front(config="limits: {drain: 200ms}\n")
            here = threading.Event()

            def hang(connection, sent=sent, here=here):
                connection.sendall(sent)
                here.set()
                over.wait(harness.PATIENCE)

            self.behind.answer = hang
            with socket.create_connection(("127.0.0.1", front.port), harness.PATIENCE) as line:
                line.sendall(b"GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n" if b"event" in sent else b"GET /v1/orders HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertTrue(here.wait(harness.PATIENCE))
                self.assertEqual(front.stop(), 0, sent)

    def test_connections_are_kept_and_one_that_was_closed_is_no_failure(self):
        front = self.front()
        self.behind.answer = answer([])
        line = front.connection()
        for _ in range(20):
            self.assertEqual(front.request("GET", "/v1/orders", connection=line).status, 200)
        self.assertEqual(self.behind.connections, 1)

        def once(connection):
            connection.sendall(answer({"id": 1}, "201 Created"))  # then it is closed, and did not say so

        self.behind.answer = once
        for _ in range(10):
            made = front.request("POST", "/v1/orders", {"id": 1}, {"X-Key": "k", "Idempotency-Key": "a"}, connection=line)
            self.assertEqual(made.status, 201, made)
        line.close()

    INVALID = {
        "another body": (answer([{"id": "7"}]), "/0/id"),
        "no JSON": (answer(b"[", kind="application/json"), "is not JSON"),
        "another type": (answer(b"[]", kind="text/html"), 'media type "text/html" is not declared'),
        "another status": (answer({}, "202 Accepted"), "status 202 is not declared"),
        "a failure of its own": (answer(b"oops", "500 Internal Server Error", "text/plain"), "status 500 is not declared"),
        "a coding": (answer(b"\x1f\x8b", more="Content-Encoding: gzip\r\n"), 'content coding "gzip"'),
    }

    def test_answers_that_the_contract_does_not_allow_are_refused_and_the_reason_is_logged(self):
        front = self.front()
        for name, (given, _) in self.INVALID.items():
            self.behind.answer = given
            told = front.get("/v1/orders")
            self.assertEqual((told.status, told.code), (500, "invalid-response"), name)
        reasons = "\n".join(self.reasons(front))
        for name, (_, reason) in self.INVALID.items():
            self.assertIn(reason, reasons, name)

    def test_in_shadow_they_come_back_and_are_logged_all_the_same(self):
        front = self.front("--responses", "shadow")
        self.behind.answer = answer([{"id": "7"}])
        self.assertEqual(front.get("/v1/orders").json(), [{"id": "7"}])
        front.stop()
        self.assertIn("/0/id", front.output)

    def test_the_contract_says_how_its_answers_are_held(self):
        front = self.front(contract=CONTRACT + "x-plimsoll: {responses: 'off'}\n")
        self.behind.answer = answer([{"id": "7"}])
        self.assertEqual(front.get("/v1/orders").status, 200)

    def test_a_server_that_misbehaves_is_502_and_says_nothing_of_where_it_is(self):
        front = self.front()

        def half(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[")

        for given, code in ((lambda _: None, "unreachable"), (half, "bad-answer"), (lambda c: c.sendall(b"SSH-2.0-x\r\n"), "bad-answer"),
                            (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "bad-answer"),
                            (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n", "answer-too-large")):
            self.behind.answer = given
            told = front.get("/v1/orders")
            self.assertEqual((told.status, told.code), (502, code), told)
            self.assertNotIn("127.0.0.1", told.text)
        self.behind.answer = answer([])
        self.assertEqual(front.get("/v1/orders").status, 200)

    def test_a_server_that_is_not_there_is_502(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))  # bound, and nobody listens
            front = self.front(url=f"http://127.0.0.1:{probe.getsockname()[1]}")
            told = front.get("/v1/orders")
            self.assertEqual((told.status, told.code), (502, "unreachable"))
            self.assertNotIn("127.0.0.1", told.text)

    def test_a_server_that_is_slow_is_504_at_the_deadline(self):
        front = self.front(contract=CONTRACT + "x-plimsoll: {deadline: 300ms}\n")
        over = threading.Event()
        self.addCleanup(over.set)
        self.behind.answer = lambda _: over.wait(harness.PATIENCE)
        told = front.get("/v1/orders/1")
        self.assertEqual((told.status, told.code), (504, "deadline-exceeded"), told)

    def test_a_client_that_leaves_is_not_waited_for(self):
        front = self.front()
        here, left = threading.Event(), threading.Event()

        def wait(connection):
            here.set()
            connection.settimeout(harness.PATIENCE)
            if connection.recv(1) == b"":
                left.set()

        self.behind.answer = wait
        with socket.create_connection(("127.0.0.1", front.port)) as line:
            line.sendall(b"GET /v1/orders HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(here.wait(harness.PATIENCE))
        self.assertTrue(left.wait(harness.PATIENCE))

    def test_many_at_once_get_each_its_own(self):
        front = self.front()

        def echo(connection):
            number = self_number(connection)
            connection.sendall(answer({"id": number}))

        lock, numbers = threading.Lock(), iter(range(10_000))

        def self_number(_):
            with lock:
                return next(numbers)

        self.behind.answer = echo
        found, wrong = [], []

        def ask():
            line = http.client.HTTPConnection(front.address, timeout=harness.PATIENCE)
            for _ in range(10):
                got = front.request("GET", "/v1/orders/1", connection=line)
                (found if got.status == 200 else wrong).append(got.json().get("id", got))
            line.close()

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(harness.PATIENCE)
        self.assertEqual((len(found), len(set(found)), wrong), (80, 80, []))

    def test_an_address_that_is_none_refuses_the_start(self):
        for url in ("ftp://a", "http://", "http://a:b", "http://a/?q=1", "a"):
            folder = self.directory()
            (folder / "contract.yaml").write_text(CONTRACT)
            told = self.plimsoll("mock", folder / "contract.yaml", "--upstream", url, directory=folder)
            self.assertEqual(told.returncode, 2, url)
            self.assertIn("URL", told.stderr, url)


if __name__ == "__main__":
    harness.main()
