"""WebSockets of clients that use HTTP/2 (RFC 8441): all that tests/websockets_test.py shows of clients of HTTP/1.1, and what is of HTTP/2 alone. The
client is python3-h2, and one of raw frames where a request is malformed."""
import random
import signal
import socket
import threading
import time

import harness
import http2_client
import http2_origin
import http2_websockets
import websockets_test
from websockets_test import Line, Service, contract, echo, frame, resident


class Client(Line):
    """A client that has sent an extended CONNECT and read the head of the answer."""

    def __init__(self, server, path="/chat", headers=None, without=(), behind=b"", context=None, receive=0, connection=None, protocol="websocket"):
        self.connection = connection or http2_websockets.Connection(server, context)
        fields = [(":method", "CONNECT"), (":protocol", protocol), (":scheme", self.connection.scheme), (":path", path), (":authority", server.address),
                  ("sec-websocket-version", "13")]
        fields = [(name, value) for name, value in fields if name not in without] + [(name.lower(), value) for name, value in (headers or {}).items()]
        stream = self.connection.begin(fields)
        super().__init__(stream)
        if behind:
            stream.sendall(behind)
        stream.wait(lambda: stream.status)
        self.status, self.headers = stream.status, stream.headers
        if self.status is None:
            raise ConnectionResetError(f"reset by {stream.reset_by}")

    send, says = websockets_test.Client.send, websockets_test.Client.says

    def body(self):
        pieces = []
        try:
            while piece := self.line.recv(65536):
                pieces.append(piece)
        except ConnectionResetError:  # behind the end: the rest of the request is of no use
            pass
        return b"".join(pieces)

    def close(self):
        self.line.close()


class OverHttp2(websockets_test.WebSocketTest):
    OPENED = 200

    def connection(self, server, shared=True, **more):
        connection = http2_websockets.Connection(server, shared=shared, **more)
        self.addCleanup(connection.close)
        return connection

    def opens_none(self, server):
        self.assertFalse(self.connection(server).offers_websockets())

    def client(self, server, *arguments, **more):
        client = Client(server, *arguments, **more)
        if "connection" not in more:
            self.addCleanup(client.close)
        return client


class Policies(OverHttp2, websockets_test.Policies):
    def test_undeclared_paths_open_them_where_the_document_says_so(self):
        service = self.service()
        server = self.start(service, contract(document=", undeclared: {upstream: {name: chat, websocket: true}, cache: origin, authorization: any-caller}"))
        client = self.client(server, "/socket.io/?EIO=4")
        self.assertEqual((client.status, client.says(b"x")), (200, b"x"))
        self.assertEqual(self.client(server, "/Chat").status, 404)
        server = self.start(service, contract(document=", undeclared: {upstream: chat, authorization: any-caller}"))
        self.assertEqual(self.client(server, "/socket.io/").status, 404)


class Passing(OverHttp2, websockets_test.Passing):
    pass


class Ends(OverHttp2, websockets_test.Ends):
    pass


class Watching(OverHttp2, websockets_test.Watching):
    def test_an_idle_pair_takes_little_memory(self):
        """Streams of shared connections: 50 on each."""
        service = self.service()
        server = self.start(service, config="threads: 1\n")
        connections = [self.connection(server) for _ in range(10)]
        warm = [self.client(server, connection=connection) for connection in connections for _ in range(5)]
        for client in warm:
            client.says(b"x")
            client.close()
        harness.until(lambda: not any(value for name, value in server.metrics().items() if name.startswith("plimsoll_websockets_open{")), "they are closed")
        before = resident(server.pid)
        clients = [self.client(server, connection=connection) for connection in connections for _ in range(50)]
        for client in clients:
            self.assertEqual(client.says(b"x" * 3000), b"x" * 3000)
        each = (resident(server.pid) - before) / len(clients)
        print(f"an idle pair takes {each / 1024:.1f} KiB", flush=True)
        self.assertLess(each, 20 << 10)


class Handshakes(OverHttp2):
    def test_the_handshake_is_that_of_http1_towards_the_service(self):
        service = self.service()
        service.more = "Sec-WebSocket-Protocol: chat.v2\r\nSec-WebSocket-Extensions: permessage-deflate\r\nX-Room: 7\r\n"
        server = self.start(service)
        client = self.client(server, "/chat?room=7", {"Sec-WebSocket-Protocol": "chat.v1, chat.v2", "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
                                                      "Origin": "https://elsewhere.example", "X-Tenant": "shop", "Sec-WebSocket-Key": "not one"})
        self.assertEqual(client.status, 200)
        self.assertEqual(client.headers["sec-websocket-protocol"], "chat.v2")
        self.assertEqual(client.headers["sec-websocket-extensions"], "permessage-deflate")
        self.assertEqual(client.headers["x-room"], "7")
        for name in ("sec-websocket-accept", "upgrade", "connection", "content-length", "transfer-encoding"):
            self.assertNotIn(name, client.headers)
        (first, headers), = service.seen
        self.assertEqual(first, "GET /chat?room=7 HTTP/1.1")
        self.assertEqual((headers.all("upgrade"), headers.all("connection")), (["websocket"], ["upgrade"]))
        self.assertEqual(len(headers.all("sec-websocket-key")), 1)
        self.assertEqual(len(websockets_test.base64.b64decode(headers["sec-websocket-key"])), 16)
        self.assertEqual(headers["sec-websocket-version"], "13")
        self.assertEqual(headers["sec-websocket-protocol"], "chat.v1, chat.v2")
        self.assertEqual(headers["origin"], "https://elsewhere.example")
        self.assertEqual(headers["x-tenant"], "shop")
        self.assertEqual(client.says(b"hello"), b"hello")
        # Each has a key of its own.
        self.client(server)
        self.assertNotEqual(service.seen[1][1]["sec-websocket-key"], headers["sec-websocket-key"])

    def test_it_is_offered_where_the_document_has_one(self):
        service = self.service()
        self.assertTrue(self.connection(self.start(service)).offers_websockets())
        self.assertTrue(self.connection(self.start(service, contract(websocket="false", document=", undeclared: {upstream: {name: chat, websocket: true}, authorization: any-caller}"))).offers_websockets())
        server = self.start(service, contract(websocket="false"))
        self.assertFalse(self.connection(server).offers_websockets())
        # To one that does not know the extension its field is an unknown one (RFC 9113, section 8.3).
        self.assertEqual(self.ends(server, self.connect()), "PROTOCOL_ERROR")

    def test_where_there_is_none_connect_is_a_method_that_is_not_allowed(self):
        service = self.service()
        server = self.start(service)
        for path, status in (("/plain", 405), ("/docs", 405), ("/nowhere", 404)):
            client = self.client(server, path)
            self.assertEqual(client.status, status, path)
            if status == 405:
                self.assertIn("GET", client.headers["allow"])
                self.assertIn(b"method-not-allowed", client.body())
        self.assertEqual(self.client(server, protocol="connect-udp").status, 501)  # RFC 9220, section 3
        self.assertEqual(service.seen, [])

    def test_a_handshake_that_is_not_valid_is_rejected_here(self):
        service = self.service()
        server = self.start(service)
        for headers, without, status, code in (({"sec-websocket-version": "8"}, ("sec-websocket-version",), 426, "websocket-version"), ({}, ("sec-websocket-version",), 426, "websocket-version"),
                                               ({"content-length": "0"}, (), 400, "websocket-handshake"), ({"content-length": "5"}, (), 400, "websocket-handshake")):
            client = self.client(server, headers=headers, without=without)
            self.assertEqual(client.status, status, headers)
            self.assertIn(code.encode(), client.body())
            if status == 426:
                self.assertEqual(client.headers["sec-websocket-version"], "13")
        self.assertEqual(service.seen, [])

    def test_what_the_service_answers_instead_is_an_ordinary_response(self):
        service = self.service()
        service.answer = b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nno"
        server = self.start(service)
        connection = self.connection(server)
        client = self.client(server, connection=connection)
        self.assertEqual((client.status, client.body()), (403, b"no"))
        service.answer = None
        again = self.client(server, connection=connection)
        self.assertEqual((again.status, again.says(b"x")), (200, b"x"))

    def test_a_2xx_that_opens_nothing_never_looks_as_if_it_did(self):
        service = self.service()
        service.answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nno"
        more = """
  /fallback:
    get:
      operationId: fallback
      x-plimsoll: {upstream: {name: chat, websocket: true}, fallback: {body: {data: []}, flag: gone}}
      responses: {default: {description: other, content: {application/json: {}}}}"""
        server = self.start(service, contract(more=more), options=", retry: off, breaker: off")
        client = self.client(server)
        self.assertEqual(client.status, 502)
        self.assertIn(b"websocket-not-opened", client.body())
        service.answer = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"
        client = self.client(server, "/fallback")
        self.assertEqual(client.status, 502)
        self.assertIn(b"websocket-not-opened", client.body())

    # -- malformed ones

    @staticmethod
    def connect(method="CONNECT", scheme="http", path="/chat", authority="test", protocol="websocket", more=(("sec-websocket-version", "13"),)):
        block = http2_client.head(method, path, scheme, authority)
        if protocol is not None:
            block += http2_client.field(":protocol", protocol)
        return block + b"".join(http2_client.field(name, value) for name, value in more)

    def ends(self, server, block):
        """How the stream of such a request ends: `opened`, a status, or the error of its reset."""
        with http2_client.Client(server.port) as client:
            client.until(lambda: client.of(http2_client.SETTINGS))
            client.send(http2_client.request(1, block, end=False))
            client.until(lambda: client.over(1) or client.goaway() or client.of(http2_client.HEADERS, 1))
            if not client.of(http2_client.HEADERS, 1):
                return client.goaway() or client.over(1)
            import hpack
            status = dict(hpack.Decoder().decode(client.of(http2_client.HEADERS, 1)[0][3]))[":status"]
            return "opened" if status == "200" else int(status)

    def test_malformed_requests_are_errors_of_their_stream(self):
        service = self.service()
        server = self.start(service)
        self.assertEqual(self.ends(server, self.connect()), "opened")
        self.assertEqual(self.ends(server, self.connect(protocol="WebSocket")), "opened")
        opened = len(service.seen)
        malformed = {
            "without :scheme": self.connect(scheme=None),
            "without :path": self.connect(path=None),
            "without :authority": self.connect(authority=None),
            "an empty :path": self.connect(path=""),
            "a path that is none": self.connect(path="chat"),
            "an asterisk": self.connect(path="*"),
            "an authority as path": self.connect(path="http://test/chat"),
            "another method": self.connect(method="GET"),
            "a POST": self.connect(method="POST"),
            "no token": self.connect(protocol="web socket"),
            "an empty one": self.connect(protocol=""),
            "twice": self.connect(more=()) + http2_client.field(":protocol", "websocket"),
            "behind a field": self.connect(protocol=None) + http2_client.field(":protocol", "websocket"),
            "with Upgrade": self.connect(more=(("upgrade", "websocket"),)),
            "with Connection": self.connect(more=(("connection", "upgrade"),)),
            "an old CONNECT with :path": self.connect(protocol=None),
        }
        for name, block in malformed.items():
            self.assertEqual(self.ends(server, block), "PROTOCOL_ERROR", name)
        self.assertEqual(self.ends(server, self.connect(protocol=None, scheme=None, path=None)), 501)
        self.assertEqual(len(service.seen), opened)

    def test_nothing_but_content_is_sent_on_an_open_one(self):
        """RFC 9113, section 8.5."""
        service = self.service()
        server = self.start(service)
        with http2_client.Client(server.port) as client:
            client.send(http2_client.request(1, self.connect(), end=False))
            self.assertTrue(client.until(lambda: client.of(http2_client.HEADERS, 1)))
            client.send(http2_client.frame(http2_client.HEADERS, http2_client.END_HEADERS | http2_client.END_STREAM, 1, http2_client.field("x-trailer", "1")))
            client.until(lambda: client.over(1))
            self.assertEqual(client.over(1), "PROTOCOL_ERROR")
            # The connection goes on.
            client.send(http2_client.request(3, http2_client.head(path="/plain")))
            self.assertEqual(client.answer(3)[0], 200)


class Streams(OverHttp2):
    def test_many_share_a_connection_with_requests(self):
        service = self.service()
        server = self.start(service)
        connection = self.connection(server)
        clients = [self.client(server, connection=connection) for _ in range(60)]
        generator = random.Random(harness.seed())
        for _ in range(300):
            client = generator.choice(clients)
            payload = generator.randbytes(generator.randrange(2000))
            self.assertEqual(client.says(payload), payload)
        plain = connection.begin([(":method", "GET"), (":scheme", "http"), (":path", "/plain"), (":authority", "a")], end=True)
        plain.wait(lambda: plain.ended)
        self.assertEqual(plain.status, 200)
        sample = server.metrics()
        self.assertEqual(sample['plimsoll_websockets_open{service="chat",operation="chat"}'], 60)

    def test_one_that_is_not_read_holds_up_no_other(self):
        """Its window is shut; that of the connection is the client's to keep open."""
        service = self.service()
        server = self.start(service)
        connection = self.connection(server)
        with connection.changed:
            connection.do(lambda h: h.increment_flow_control_window(1 << 24))
        slow, quick = self.client(server, connection=connection), self.client(server, connection=connection)
        sent = threading.Thread(target=lambda: [slow.send(b"x" * 4000, 2) for _ in range(200)], daemon=True)
        sent.start()
        for _ in range(20):
            self.assertEqual(quick.says(b"quick"), b"quick")
        for _ in range(200):
            self.assertEqual(slow.frame()[1], b"x" * 4000)
        sent.join(harness.PATIENCE)
        self.assertFalse(sent.is_alive())

    def test_a_reset_ends_the_connection_of_the_service(self):
        ended = threading.Event()

        def talks(line):
            echo(line)
            ended.set()

        service = self.service(talks)
        server = self.start(service)
        connection = self.connection(server)
        client = self.client(server, connection=connection)
        self.assertEqual(client.says(b"x"), b"x")
        client.line.reset()
        self.assertTrue(ended.wait(harness.PATIENCE), "the service is not told")
        self.assertEqual(self.line_of(server, 101)["detail"], "the connection of the client broke")
        self.assertEqual(self.client(server, connection=connection).says(b"y"), b"y")

    def test_a_service_that_breaks_resets_the_stream(self):
        def talks(line):
            line.line.sendall(frame(b"last words"))
            line.frame()
            line.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, websockets_test.struct.pack("ii", 1, 0))
            line.line.close()

        service = self.service(talks)
        server = self.start(service)
        connection = self.connection(server)
        client = self.client(server, connection=connection)
        self.assertEqual(client.frame()[1], b"last words")
        client.send(b"x")
        client.line.wait(lambda: client.line.reset_by is not None)
        self.assertEqual(client.line.reset_by, 8)  # CANCEL (RFC 8441, section 5)
        self.assertFalse(client.line.ended)
        service.talks = echo
        self.assertEqual(self.client(server, connection=connection).says(b"y"), b"y")

    def test_both_ends_close_the_stream_and_no_more(self):
        service = self.service()
        server = self.start(service)
        connection = self.connection(server)
        client = self.client(server, connection=connection)
        client.send(b"\x03\xe8", opcode=8)
        self.assertEqual(client.frame()[:2], (8, b"\x03\xe8"))
        self.assertTrue(client.line.wait(lambda: client.line.ended))
        self.assertEqual(self.line_of(server, 101)["detail"], "both sides have ended")
        self.assertEqual(self.client(server, connection=connection).says(b"y"), b"y")

    def opened(self, server, streams=(1,)):
        client = http2_client.Client(server.port, patience=harness.PATIENCE)
        self.addCleanup(client.close)
        client.until(lambda: client.of(http2_client.SETTINGS))
        for stream in streams:
            client.send(http2_client.request(stream, Handshakes.connect(), end=False))
        self.assertTrue(client.until(lambda: all(client.of(http2_client.HEADERS, stream) for stream in streams)))
        return client

    @staticmethod
    def received(client, stream):
        return b"".join(one[3] for one in client.of(http2_client.DATA, stream))

    def echoes(self, client, stream):
        before = len(self.received(client, stream))
        client.send(http2_client.frame(http2_client.DATA, 0, stream, frame(b"hello", 1, masked=True)))
        self.assertTrue(client.until(lambda: len(self.received(client, stream)) >= before + 7), client)
        self.assertEqual(self.received(client, stream)[before:], frame(b"hello", 1))

    def test_lifetime_and_number_of_requests_of_a_connection_end_none(self):
        service = self.service()
        server = self.start(service, config="limits: {lifetime: 1s, requests-per-connection: 2}\n")
        client = self.opened(server, (1, 3))
        self.assertTrue(client.until(lambda: client.goaway()))
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            self.echoes(client, 1)
            self.echoes(client, 3)

    def test_a_server_that_stops_tells_those_of_a_connection_that_takes_no_more(self):
        service = self.service()
        server = self.start(service, config="threads: 1\nlimits: {drain: 1h, requests-per-connection: 1}\n")
        client = self.opened(server)
        self.assertTrue(client.until(lambda: client.goaway()))
        self.echoes(client, 1)
        server.signal(signal.SIGTERM)
        self.assertTrue(client.until(lambda: self.received(client, 1).endswith(frame(b"\x03\xe9", 8))), client)
        client.send(http2_client.frame(http2_client.DATA, 0, 1, frame(b"\x03\xe9", 8, masked=True)))
        self.assertTrue(client.until(lambda: client.over(1)))
        self.assertIn(client.over(1), ("ended", "NO_ERROR"))
        self.assertEqual(server.wait(), 0)


# -- to a service that speaks HTTP/2


class StreamOfService:
    """A stream of python3-h2's server, with what of a socket the tests use."""

    def __init__(self, stream):
        self.stream, self.rest, self.over = stream, b"", False

    def recv(self, size):
        try:
            self.rest = self.rest or self.stream.read()
        except http2_origin.Gone as gone:
            raise ConnectionResetError(str(gone)) from None
        piece, self.rest = self.rest[:size], self.rest[size:]
        return piece

    def sendall(self, data):
        try:
            self.stream.send(data)
        except http2_origin.Gone as gone:
            raise BrokenPipeError(str(gone)) from None

    def shutdown(self, _how):
        if not self.over:
            self.over = True
            self.stream.end()

    def setsockopt(self, *_):
        pass

    def close(self):
        if not self.over:
            self.over = True
            self.stream.reset(8)


class Http2Service:
    """As `websockets_test.Service`: `answer` is (status, body), `more` fields."""

    def __init__(self, talks=echo, context=None):
        assert context is None
        self.talks, self.seen, self.answer, self.more, self.behind = talks, [], None, [], b""
        self.origin = http2_origin.Origin(self.script, settings={http2_websockets.OFFERED: 1})
        self.url = self.origin.url

    def script(self, stream):
        self.seen.append((f"{stream.method} {stream.path}", harness.Headers(stream.pairs)))
        if stream.headers.get(":protocol") != "websocket":
            return stream.answer(200, f"{stream.method} {stream.path}".encode(), [("content-type", "text/plain")])
        if self.answer:
            return stream.answer(*self.answer, [("content-type", "text/plain")])
        stream.head(200, self.more)
        if self.behind:
            stream.send(self.behind)
        line = StreamOfService(stream)
        self.talks(Line(line))
        try:
            return line.shutdown(socket.SHUT_RDWR)
        except http2_origin.Gone:
            return None

    def end(self):
        self.origin.close()


class ToHttp2(websockets_test.WebSocketTest):
    def service(self, *arguments, **more):
        service = Http2Service(*arguments, **more)
        self.addCleanup(service.end)
        return service

    def start(self, service, text=None, config="", options="", files=None):
        return super().start(service, text, config, options + ", http: 2", files)


class PassingToHttp2(ToHttp2, websockets_test.Passing):
    test_tls_on_both_sides = None


class PassingAllOverHttp2(OverHttp2, ToHttp2, websockets_test.Passing):
    test_tls_on_both_sides = None


class EndsToHttp2(ToHttp2, websockets_test.Ends):
    pass


class EndsAllOverHttp2(OverHttp2, ToHttp2, websockets_test.Ends):
    pass


class HandshakesToHttp2(ToHttp2):
    def test_the_service_is_sent_an_extended_connect(self):
        service = self.service()
        service.more = [("sec-websocket-protocol", "chat.v2"), ("x-room", "7")]
        server = self.start(service, config="threads: 1\n")
        headers = {"Sec-WebSocket-Protocol": "chat.v1, chat.v2", "Origin": "https://elsewhere.example", "X-Tenant": "shop"}
        one = websockets_test.Client(server, "/chat?room=7", headers)
        two = Client(server, "/chat?room=7", headers)
        for client, status in ((one, 101), (two, 200)):
            self.addCleanup(client.close)
            self.assertEqual(client.status, status)
            self.assertEqual(client.headers["sec-websocket-protocol"], "chat.v2")
            self.assertEqual(client.headers["x-room"], "7")
            self.assertEqual(client.says(b"hello"), b"hello")
        self.assertEqual(one.headers["sec-websocket-accept"], websockets_test.accept_of(one.key))
        self.assertNotIn("sec-websocket-accept", two.headers)
        self.assertEqual(len(service.seen), 2)
        for first, seen in service.seen:
            self.assertEqual(first, "CONNECT /chat?room=7")
            self.assertEqual((seen[":protocol"], seen[":scheme"], seen[":authority"]), ("websocket", "http", service.url.removeprefix("http://")))
            self.assertEqual((seen["sec-websocket-version"], seen["sec-websocket-protocol"], seen["x-tenant"]), ("13", "chat.v1, chat.v2", "shop"))
            for name in ("sec-websocket-key", "connection", "upgrade", "te", "content-length", "host"):
                self.assertNotIn(name, seen)
        self.assertEqual(service.origin.connections, 1)

    def test_another_status_is_passed_on(self):
        service = self.service()
        service.answer = (403, b"no")
        server = self.start(service)
        for client in (websockets_test.Client(server), Client(server)):
            self.addCleanup(client.close)
            self.assertEqual((client.status, client.body()), (403, b"no"))

    def dual(self, settings=None):
        """A service at one address that speaks HTTP/1.1, and HTTP/2 by prior knowledge."""
        old = Service()
        self.addCleanup(old.end)
        new = http2_origin.Origin(lambda stream: stream.answer(200, b"two", [("content-type", "text/plain")]), settings=settings)
        self.addCleanup(new.close)
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.addCleanup(listener.close)

        def accept():
            while True:
                try:
                    sock, address = listener.accept()
                except OSError:
                    return
                threading.Thread(target=begin, args=(sock, address), daemon=True).start()

        def begin(sock, address):
            if sock.recv(3, socket.MSG_PEEK) == b"PRI":
                new.begin(sock)
            else:
                old.process_request(sock, address)

        threading.Thread(target=accept, daemon=True).start()
        old.place = f"http://127.0.0.1:{listener.getsockname()[1]}"
        return old, new

    def test_a_service_that_does_not_offer_it_is_asked_by_http1(self):
        for settings in (None, {http2_websockets.OFFERED: 0}):
            old, new = self.dual(settings)
            server = self.serve(contract(), f"upstreams: {{chat: {{targets: ['{old.place}'], http: 2}}}}\nthreads: 1\n")
            for _ in range(2):
                client = websockets_test.Client(server)
                self.addCleanup(client.close)
                self.assertEqual((client.status, client.says(b"x")), (101, b"x"))
            self.assertEqual(server.get("/plain").text, "two")
            self.assertEqual([first for first, _ in old.seen], ["GET /chat HTTP/1.1"] * 2)
            self.assertEqual([stream.method for stream in new.requests], ["GET"])

    def test_one_whose_requests_are_signed_is_asked_by_the_method_that_was_signed(self):
        old, _ = self.dual({http2_websockets.OFFERED: 1})
        server = self.serve(contract(), f"upstreams: {{chat: {{targets: ['{old.place}'], http: 2, authentication: {{hmac: {{secret: s, template: '{{method}}.{{path}}', header: X-Signature}}}}}}}}\n")
        client = websockets_test.Client(server)
        self.addCleanup(client.close)
        self.assertEqual(client.status, 101)
        self.assertIn("x-signature", old.seen[0][1])

    def test_a_service_that_takes_the_offer_back_ends_the_connection(self):
        """RFC 8441, section 3."""
        service = self.service()
        server = self.start(service, options=", retry: off, breaker: off")
        client = websockets_test.Client(server)
        self.addCleanup(client.close)
        self.assertEqual(client.says(b"x"), b"x")
        line, = service.origin.lines
        line.raw(http2_client.frame(http2_client.SETTINGS, 0, 0, b"\0\x08\0\0\0\0"))
        self.assertTrue(client.ended())
        harness.until(lambda: line.goaway is not None or line.over, "it is told")


if __name__ == "__main__":
    harness.main()
