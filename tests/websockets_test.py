"""WebSockets through `upstream`: the handshake is checked in both directions and stands behind all policies, the bytes that follow pass both ways as
fast as the slower side takes them, and whatever ends one side ends the other. The service behind is of the test's own and speaks RFC 6455."""
import base64
import hashlib
import os
import random
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
import unittest

import harness

TORTURE = bool(os.environ.get("PLIMSOLL_TORTURE"))
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTRACT = """
openapi: 3.1.0
info: {title: Chat, version: '1'}
components:
  securitySchemes:
    session: {type: apiKey, in: cookie, name: session}
    key: {type: apiKey, in: header, name: X-API-Key}
x-plimsoll: {rate-limit: off, authorization: any-caller%(document)s}
paths:
  /chat:
    get:
      operationId: chat
      parameters: [{name: room, in: query, schema: {type: integer}}]
      x-plimsoll: {upstream: {name: chat, websocket: %(websocket)s}}
      responses: {'101': {description: a WebSocket}, default: {description: other}}
  /plain:
    get:
      operationId: plain
      x-plimsoll: {upstream: chat}
      responses: {default: {description: other}}
%(more)s
"""


def contract(websocket="true", document="", more=""):
    return CONTRACT % {"document": document, "websocket": websocket, "more": more}


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def frame(payload, opcode=2, masked=False, fin=True, generator=random):
    head = bytes([(0x80 if fin else 0) | opcode])
    size, mark = len(payload), 0x80 if masked else 0
    if size < 126:
        head += bytes([mark | size])
    elif size < 65536:
        head += bytes([mark | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mark | 127]) + struct.pack(">Q", size)
    if not masked:
        return head + payload
    mask = generator.randbytes(4)
    stream = mask * (size // 4 + 1)
    mixed = (int.from_bytes(payload, "big") ^ int.from_bytes(stream[:size], "big")).to_bytes(size, "big")
    return head + mask + mixed


class Line:
    """A connection read frame by frame."""

    def __init__(self, line, rest=b""):
        self.line, self.rest = line, rest

    def exactly(self, size):
        while len(self.rest) < size:
            piece = self.line.recv(65536)
            if not piece:
                raise EOFError(f"ended with {self.rest!r}")
            self.rest += piece
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def head(self):
        while b"\r\n\r\n" not in self.rest:
            piece = self.line.recv(65536)
            if not piece:
                raise EOFError(f"ended with {self.rest!r}")
            self.rest += piece
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        return first, harness.Headers([(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)])

    def frame(self):
        """(opcode, payload, fin)"""
        first, second = self.exactly(2)
        size = second & 0x7F
        if size == 126:
            size, = struct.unpack(">H", self.exactly(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.exactly(8))
        mask = self.exactly(4) if second & 0x80 else None
        payload = self.exactly(size)
        if mask:
            stream = mask * (size // 4 + 1)
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(stream[:size], "big")).to_bytes(size, "big")
        return first & 0x0F, payload, bool(first & 0x80)

    def ended(self):
        """Whether the other side ends now; what comes before is thrown away."""
        try:
            while self.line.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


def echo(line):
    """Sends each frame back as it came, unmasked, until a close frame."""
    while True:
        try:
            opcode, payload, fin = line.frame()
        except (EOFError, OSError):
            return
        line.line.sendall(frame(payload, opcode, fin=fin))
        if opcode == 8:
            return


class Service(socketserver.ThreadingTCPServer):
    """A service behind. `handshake(headers)` returns the bytes that answer one, else it accepts; `talks(line)` goes on with the connection. A
    request that asks for no WebSocket is answered with what it was."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, talks=echo, context=None):
        self.talks, self.seen, self.answer, self.more, self.behind = talks, [], None, "", b""
        self.context = context
        self.open = set()
        service = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                connection = self.request
                if service.context:
                    try:
                        connection = service.context.wrap_socket(connection, server_side=True)
                    except (OSError, ssl.SSLError):
                        return
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line = Line(connection)
                service.open.add(connection)
                try:
                    while True:
                        first, headers = line.head()
                        service.seen.append((first, headers))
                        if headers.get("upgrade") is None:
                            body = first.encode()
                            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                            continue
                        if service.answer is not None:
                            connection.sendall(service.answer)
                            continue
                        key = headers["sec-websocket-key"]
                        connection.sendall((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                            f"Sec-WebSocket-Accept: {accept_of(key)}\r\n{service.more}\r\n").encode() + service.behind)
                        return service.talks(line)
                except (EOFError, OSError):
                    pass
                finally:
                    service.open.discard(connection)
                    if service.context:
                        connection.close()

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    @property
    def url(self):
        return f"http{'s' if self.context else ''}://127.0.0.1:{self.server_address[1]}"

    def end(self):
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            connection.close()


class Client(Line):
    """A client that has sent its handshake and read the answer."""

    def __init__(self, server, path="/chat", headers=None, without=(), behind=b"", context=None, receive=0):
        self.key = base64.b64encode(random.randbytes(16)).decode()
        fields = {"Host": server.address, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": self.key, "Sec-WebSocket-Version": "13"}
        fields = {name: value for name, value in {**fields, **(headers or {})}.items() if name not in without and value is not None}
        line = socket.socket()
        if receive:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        line.settimeout(harness.PATIENCE)
        line.connect(("127.0.0.1", server.port))
        if context:
            line = context.wrap_socket(line, server_hostname="localhost")
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(line)
        text = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        line.sendall(text.encode() + behind)
        first, self.headers = self.head()
        self.status = int(first.split()[1])

    def send(self, payload, opcode=1):
        self.line.sendall(frame(payload, opcode, masked=True))

    def says(self, payload):
        """What the service echoes."""
        self.send(payload)
        return self.frame()[1]

    def body(self):
        return self.exactly(int(self.headers["content-length"]))

    def close(self):
        self.line.close()


class WebSocketTest(harness.ServerTest):
    OPENED = 101  # what the client is answered where one is opened

    def service(self, *arguments, **more):
        service = Service(*arguments, **more)
        self.addCleanup(service.end)
        return service

    def start(self, service, text=None, config="", options="", files=None):
        upstream = f"upstreams: {{chat: {{targets: ['{service.url}']{options}}}}}\n"
        return self.serve(text or contract(), upstream + config, files=files)

    def client(self, server, *arguments, **more):
        client = Client(server, *arguments, **more)
        self.addCleanup(client.close)
        return client

    def opens_none(self, server):
        self.assertEqual(self.client(server).status, 200)

    def line_of(self, server, status, patience=None):
        """The last request of that status in the log."""
        def found():
            return [line for line in server.logged() if line.get("event") == "request" and line.get("status") == status]
        return harness.until(found, f"a line of the log with status {status}", patience)[-1]


class Handshakes(WebSocketTest):
    def test_the_handshake_passes_with_its_subprotocol_and_extensions(self):
        service = self.service()
        service.more = "Sec-WebSocket-Protocol: chat.v2\r\nSec-WebSocket-Extensions: permessage-deflate\r\nX-Room: 7\r\n"
        server = self.start(service)
        client = self.client(server, "/chat?room=7", {"Sec-WebSocket-Protocol": "chat.v1, chat.v2", "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
                                                      "Origin": "https://elsewhere.example", "X-Tenant": "shop"})
        self.assertEqual(client.status, 101)
        self.assertEqual(client.headers["sec-websocket-accept"], accept_of(client.key))
        self.assertEqual(client.headers["upgrade"], "websocket")
        self.assertEqual(client.headers["connection"], "upgrade")
        self.assertEqual(client.headers["sec-websocket-protocol"], "chat.v2")
        self.assertEqual(client.headers["sec-websocket-extensions"], "permessage-deflate")
        self.assertEqual(client.headers["x-room"], "7")
        self.assertNotIn("content-length", client.headers)
        self.assertNotIn("transfer-encoding", client.headers)
        (first, headers), = service.seen
        self.assertEqual(first, "GET /chat?room=7 HTTP/1.1")
        self.assertEqual(headers.all("upgrade"), ["websocket"])
        self.assertEqual(headers.all("connection"), ["upgrade"])
        self.assertEqual(headers["sec-websocket-key"], client.key)
        self.assertEqual(headers["sec-websocket-version"], "13")
        self.assertEqual(headers["sec-websocket-protocol"], "chat.v1, chat.v2")
        self.assertEqual(headers["origin"], "https://elsewhere.example")
        self.assertEqual(headers["x-tenant"], "shop")
        self.assertEqual(headers["x-forwarded-for"], "127.0.0.1")
        self.assertEqual(client.says(b"hello"), b"hello")

    def test_an_operation_without_the_option_is_an_ordinary_get(self):
        service = self.service()
        server = self.start(service)
        client = self.client(server, "/plain")
        self.assertEqual(client.status, 200)
        self.assertEqual(client.body(), b"GET /plain HTTP/1.1")
        self.assertNotIn("upgrade", service.seen[0][1])
        off = self.client(self.start(service, contract(websocket="false")))
        self.assertEqual(off.status, 200)

    def test_a_get_that_asks_for_no_websocket_is_an_ordinary_get(self):
        service = self.service()
        server = self.start(service)
        for without in (("Upgrade",), ("Connection",), ("Upgrade", "Connection")):
            self.assertEqual(self.client(server, without=without).status, 200, without)
        self.assertEqual(self.client(server, headers={"Upgrade": "h2c"}).status, 200)
        self.assertEqual([headers.get("upgrade") for _, headers in service.seen], [None] * 4)
        self.assertIn(b"HTTP/1.1 200", server.raw(b"GET /chat HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"))

    def test_a_handshake_that_is_not_valid_is_rejected_here(self):
        service = self.service()
        server = self.start(service)
        for headers, status, code in (({"Sec-WebSocket-Key": None}, 400, "websocket-handshake"), ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400, "websocket-handshake"),
                                      ({"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"}, 400, "websocket-handshake"), ({"Sec-WebSocket-Version": "8"}, 426, "websocket-version"),
                                      ({"Sec-WebSocket-Version": None}, 426, "websocket-version")):
            client = self.client(server, headers=headers)
            self.assertEqual(client.status, status, headers)
            self.assertIn(code.encode(), client.body())
            if status == 426:
                self.assertEqual(client.headers["sec-websocket-version"], "13")
                self.assertEqual(client.headers["upgrade"], "websocket")
                self.assertIn("upgrade", client.headers["connection"])
        self.assertEqual(service.seen, [])

    def test_what_the_service_answers_instead_is_an_ordinary_response(self):
        service = self.service()
        service.answer = b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nno"
        server = self.start(service)
        client = self.client(server)
        self.assertEqual((client.status, client.body()), (403, b"no"))
        # What follows on the connection is a request like any other.
        client.line.sendall(b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
        first, client.headers = client.head()
        self.assertEqual((first, client.body()), ("HTTP/1.1 200 OK", b"GET /plain HTTP/1.1"))
        service.answer = b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: upgrade\r\ncontent-length: 0\r\n\r\n"
        client = self.client(server)
        self.assertEqual((client.status, client.headers["sec-websocket-version"], client.headers["upgrade"]), (426, "13", "websocket"))

    def test_a_wrong_answer_to_the_handshake_is_502(self):
        service = self.service()
        server = self.start(service, options=", retry: off, breaker: off")
        head = b"HTTP/1.1 101 Switching Protocols\r\n"
        good = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        for answer in (good + b"Sec-WebSocket-Accept: " + accept_of("AAAAAAAAAAAAAAAAAAAAAA==").encode() + b"\r\n", good, b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
                       good + b"Content-Length: 5\r\n"):
            service.answer = head + answer + b"\r\nhello"
            client = self.client(server)
            self.assertEqual(client.status, 502, answer)
            self.assertIn(b"bad-answer", client.body())
        service.answer = head  # to a request that did not ask
        self.assertEqual(server.get("/plain").status, 200)

    def test_a_contract_that_misuses_the_option_is_refused(self):
        more = """
  /post:
    post:
      operationId: post
      x-plimsoll: {upstream: {name: chat, websocket: true}}
      responses: {default: {description: other}}"""
        upstream = "upstreams: {chat: {targets: ['http://127.0.0.1:9']}}\n"
        self.assertIn("a WebSocket begins with GET", self.refused(contract(more=more), upstream))
        self.assertIn("`websocket` is `true`, or an object", self.refused(contract(websocket="3"), upstream))
        self.assertIn("did you mean \"idle\"", self.refused(contract(websocket="{idel: 5m}"), upstream))
        self.assertIn("`Sec-WebSocket-Key` cannot be removed", self.refused(contract(websocket="true, request-headers: {remove: [Sec-WebSocket-Key]}"), upstream))


class Policies(WebSocketTest):
    def test_all_policies_stand_before_the_handshake(self):
        service = self.service()
        more = """
  /guarded:
    get:
      operationId: guarded
      security: [{key: []}]
      x-plimsoll: {upstream: {name: chat, websocket: true}}
      responses: {default: {description: other}}
  /limited:
    get:
      operationId: limited
      parameters: [{name: room, in: query, required: true, schema: {type: integer}}]
      x-plimsoll: {upstream: {name: chat, websocket: true}, rate-limit: 1/hour by address}
      responses: {default: {description: other}}"""
        server = self.start(service, contract(more=more), "database: {url: 'sqlite:contract.db'}\n")
        self.assertEqual(self.client(server, "/guarded").status, 401)
        self.assertEqual(self.client(server, "/limited?room=x").status, 400)
        self.assertEqual(self.client(server, "/limited?room=1").status, 429)
        self.assertEqual(service.seen, [])
        created = self.plimsoll("keys", "create", "--database", "sqlite:contract.db", "--name", "ann", directory=server.directory)
        key = created.stdout.split()[0]
        self.assertEqual(self.client(server, "/guarded", {"X-API-Key": key}).status, self.OPENED, created)

    def test_a_page_of_another_site_opens_none_with_cookies(self):
        service = self.service()
        server = self.start(service, contract(document=", cors: {origins: ['https://app.example.com'], credentials: true}"))
        cookie = {"Cookie": "session=1"}
        foreign = {"Origin": "https://evil.example"}
        for headers, status in (({**cookie, **foreign}, 403), ({**cookie, "Origin": "null"}, 403), ({**cookie, "Sec-Fetch-Site": "cross-site"}, 403),
                                ({**cookie, "Sec-Fetch-Site": "same-site", "Origin": f"http://{server.address}"}, 403), (cookie, self.OPENED), (foreign, self.OPENED),
                                ({**cookie, "Origin": f"http://{server.address}"}, self.OPENED), ({**cookie, "Origin": "https://app.example.com"}, self.OPENED),
                                ({**cookie, "Sec-Fetch-Site": "same-origin"}, self.OPENED)):
            client = self.client(server, headers=headers)
            self.assertEqual(client.status, status, headers)
            if status == 403:
                self.assertIn(b"cross-site-request", client.body())
            client.close()
        self.assertEqual(sum(first.startswith("GET /chat") for first, _ in service.seen), 5)

    def test_as_many_as_allowed_are_open_at_once(self):
        service = self.service()
        server = self.start(service, contract(websocket="{at-most: 2}"))
        first, second = self.client(server), self.client(server)
        third = self.client(server)
        self.assertEqual((first.status, second.status, third.status), (self.OPENED, self.OPENED, 503))
        self.assertIn(b"too-many-websockets", third.body())
        self.assertIn("retry-after", third.headers)
        self.assertEqual(server.get("/chat").status, 200)  # what is none is not counted
        first.close()
        harness.until(lambda: self.client(server).status == self.OPENED, "one that was closed makes room")

    def test_open_ones_take_no_room_of_calls_and_requests(self):
        service = self.service()
        server = self.start(service, config="shed: {concurrency: 4}\n", options=", concurrency: 2, breaker: {of: 4}")
        clients = [self.client(server) for _ in range(8)]
        self.assertEqual([client.status for client in clients], [self.OPENED] * 8)
        for _ in range(3):
            self.assertEqual(server.get("/plain").status, 200)
        sample = server.metrics()
        calls = next(value for name, value in sample.items() if name.startswith("plimsoll_client_target_calls"))
        self.assertEqual(calls, 8)  # the balance between targets sees them
        for client in clients:  # a reset is no failure of the service
            client.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        harness.until(lambda: not any(value for name, value in server.metrics().items() if name.startswith(("plimsoll_client_target_calls", "plimsoll_websockets_open{"))),
                      "nothing is counted any more")
        self.assertEqual(self.client(server).status, self.OPENED)

    def test_undeclared_paths_open_them_where_the_document_says_so(self):
        service = self.service()
        server = self.start(service, contract(document=", undeclared: {upstream: {name: chat, websocket: true}, cache: origin, authorization: any-caller}"))
        client = self.client(server, "/socket.io/?EIO=4")
        self.assertEqual((client.status, client.says(b"x")), (self.OPENED, b"x"))
        self.assertEqual(self.client(server, "/Chat").status, 404)
        self.assertEqual(self.client(server, "/socket.io/", without=("Upgrade",)).status, 200)
        server = self.start(service, contract(document=", undeclared: {upstream: chat, authorization: any-caller}"))
        self.assertEqual(self.client(server, "/socket.io/").status, 200)

    def test_a_cache_does_not_answer_a_handshake(self):
        service = self.service()
        more = """
  /cached:
    get:
      operationId: cached
      x-plimsoll: {upstream: {name: chat, websocket: true}, cache: 1m}
      responses: {'200': {description: ok, content: {text/plain: {}}}, default: {description: other}}"""
        server = self.start(service, contract(more=more))
        for _ in range(2):
            self.assertEqual(server.get("/cached").status, 200)
        for _ in range(2):
            client = self.client(server, "/cached")
            self.assertEqual((client.status, client.says(b"x")), (self.OPENED, b"x"))
        self.assertEqual(server.get("/cached").headers["cache-status"].split(";")[1].strip(), "hit")


class Passing(WebSocketTest):
    def exchange(self, client, generator, frames, at_once=True):
        """Random frames in random pieces; each comes back as it was. Not `at_once`: before the next is sent, because two threads may not use one line of
        TLS (OpenSSL, "Thread safety")."""
        sent = []
        for _ in range(frames):
            size = generator.choice((0, 1, 125, 126, 127, 1000, 65535, 65536, generator.randrange(200_000)))
            sent.append((generator.choice((1, 2, 9, 10)) if size < 126 else 2, generator.randbytes(size), True))
            if generator.random() < 0.2:
                sent[-1] = (sent[-1][0] & 3, sent[-1][1], False)
        failures = []

        def send(frames=sent):
            try:
                data = b"".join(frame(payload, opcode, True, fin, generator) for opcode, payload, fin in frames)
                while data:
                    size = generator.choice((1, 2, 7, 100, 4096, 70_000))
                    client.line.sendall(data[:size])
                    data = data[size:]
            except OSError as error:
                failures.append(error)

        sender = threading.Thread(target=send if at_once else failures.clear, daemon=True)
        sender.start()
        for number, (opcode, payload, fin) in enumerate(sent):
            if not at_once:
                send(sent[number:number + 1])
            self.assertEqual(client.frame(), (opcode, payload, fin), f"frame {number}")
        sender.join()
        self.assertEqual(failures, [])

    def test_random_frames_in_random_pieces_pass_both_ways(self):
        generator = random.Random(harness.seed())

        def dribble(line):
            """Echoes in pieces of its own."""
            while True:
                try:
                    opcode, payload, fin = line.frame()
                except (EOFError, OSError):
                    return
                data = frame(payload, opcode, fin=fin)
                while data:
                    size = generator.choice((1, 3, 1000, 20_000, 70_000))
                    line.line.sendall(data[:size])
                    data = data[size:]

        service = self.service(dribble)
        server = self.start(service)
        for _ in range(10 if TORTURE else 2):
            self.exchange(self.client(server), generator, 100 if TORTURE else 25)

    def test_bytes_behind_the_heads_are_not_lost(self):
        service = self.service()
        service.behind = frame(b"welcome", 1) + frame(b"x" * 30_000)[:20_000]

        def talks(line):
            line.line.sendall(frame(b"x" * 30_000)[20_000:])
            echo(line)

        service.talks = talks
        server = self.start(service)
        early = frame(b"early", 1, masked=True) + frame(b"y" * 40_000, masked=True)
        for cut in (len(early), 3, 10_000):
            client = self.client(server, behind=early[:cut])
            self.assertEqual(client.status, self.OPENED)
            client.line.sendall(early[cut:])
            self.assertEqual([client.frame()[1] for _ in range(4)], [b"welcome", b"x" * 30_000, b"early", b"y" * 40_000])

    def test_tls_on_both_sides(self):
        folder = self.directory()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days",
                        "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        inside.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        service = self.service(context=inside)
        server = self.server(contract(), f"upstreams: {{chat: {{targets: ['{service.url}'], authorities: {folder}/cert.pem}}}}\ntls: {{certificate: {folder}/cert.pem, key: {folder}/key.pem}}\n")
        harness.Process.start(server)
        harness.until(lambda: server.accepts(), server.describe)
        outside = ssl.create_default_context(cafile=folder / "cert.pem")
        generator = random.Random(harness.seed())
        client = self.client(server, context=outside)
        self.assertEqual(client.status, self.OPENED)
        self.exchange(client, generator, 20, at_once=False)
        client.send(b"\x03\xe8", opcode=8)
        self.assertEqual(client.frame()[:2], (8, b"\x03\xe8"))
        self.assertTrue(client.ended())

    def test_a_reader_that_is_slow_holds_the_sender_up(self):
        """What is not taken stays with its sender: the memory of the server does not grow by it."""
        whole = (256 if TORTURE else 48) << 20
        piece = random.randbytes(1 << 20)
        state = {"sent": 0, "hash": hashlib.sha256()}

        def push(line):
            while state["sent"] < whole:
                line.line.sendall(piece)
                state["sent"] += len(piece)
            line.line.shutdown(socket.SHUT_WR)
            while data := line.line.recv(1 << 20):
                state["hash"].update(data)
            state["ended"] = True

        service = self.service(push)
        server = self.start(service)
        before = resident(server.pid)
        client = self.client(server, receive=65536)
        self.assertEqual(client.status, self.OPENED)

        def stands(count):
            last = -1
            while (now := count()) != last:
                last = now
                time.sleep(0.3)
            return last

        held_up = stands(lambda: state["sent"])
        self.assertLess(held_up, whole, "the sender was not held up")
        received = len(client.rest)
        digest = hashlib.sha256(client.rest)
        while data := client.line.recv(1 << 20):
            received += len(data)
            digest.update(data)
        self.assertEqual(received, whole)
        self.assertEqual(digest.digest(), hashlib.sha256(piece * (whole >> 20)).digest())
        # The other way: the service reads only now, what the client sends meanwhile.
        for _ in range(whole >> 20):
            client.line.sendall(piece)
        client.line.shutdown(socket.SHUT_WR)
        self.assertTrue(client.ended())
        harness.until(lambda: state.get("ended"), "the service has read all")
        self.assertEqual(state["hash"].digest(), digest.digest())
        grown = resident(server.pid) - before
        self.assertLess(grown, 8 << 20, f"{grown >> 10} KiB more")


class Ends(WebSocketTest):
    def test_the_end_of_one_side_leaves_the_other_open(self):
        told, go_on = threading.Event(), threading.Event()

        def talks(line):
            while line.line.recv(65536):
                pass
            told.set()
            go_on.wait(harness.PATIENCE)
            line.line.sendall(frame(b"after the end"))
            line.line.shutdown(socket.SHUT_RDWR)

        service = self.service(talks)
        server = self.start(service)
        client = self.client(server)
        client.line.shutdown(socket.SHUT_WR)
        self.assertTrue(told.wait(harness.PATIENCE), "the service does not see the end of the client")
        go_on.set()
        self.assertEqual(client.frame()[1], b"after the end")
        self.assertTrue(client.ended())
        line = self.line_of(server, 101)
        self.assertEqual(line["detail"], "both sides have ended")

    def test_the_end_of_the_service_reaches_the_client(self):
        def talks(line):
            line.frame()
            line.line.sendall(frame(b"bye"))
            line.line.shutdown(socket.SHUT_WR)
            line.line.recv(1)

        service = self.service(talks)
        server = self.start(service)
        client = self.client(server)
        client.send(b"x")
        self.assertEqual(client.frame()[1], b"bye")
        with self.assertRaises(EOFError):
            client.frame()
        client.close()
        self.assertEqual(self.line_of(server, 101)["status"], 101)

    def test_a_connection_that_breaks_ends_the_other(self):
        for broken in ("client", "service"):
            lines = []

            def talks(line):
                lines.append(line)
                line.frame()
                if broken == "service":
                    line.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    line.line.close()
                    return
                lines.append(line.ended())

            service = self.service(talks)
            server = self.start(service)
            client = self.client(server)
            client.send(b"x")
            if broken == "client":
                harness.until(lambda: lines, "the frame has come")
                client.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                harness.until(lambda: len(lines) == 2, "the service is told")
            else:
                self.assertTrue(client.ended())
            self.assertIn(self.line_of(server, 101)["detail"], (f"the connection of the {broken} broke", "both sides have ended"))

    def test_an_idle_one_is_closed_and_one_in_use_is_not(self):
        service = self.service()
        server = self.start(service, contract(websocket="{idle: 400ms}"))
        closed = []
        idle = self.client(server)
        busy = self.client(server)
        watcher = threading.Thread(target=lambda: closed.extend((idle.frame(), idle.ended())), daemon=True)
        watcher.start()
        while watcher.is_alive():
            self.assertEqual(busy.says(b"still here"), b"still here")
            watcher.join(0.05)
        self.assertEqual(busy.says(b"still here"), b"still here")
        self.assertEqual(closed, [self.GOING_AWAY, True])
        self.assertEqual(self.line_of(server, 101)["detail"], "idle for too long")

    def test_one_that_is_used_ends_with_its_lifetime(self):
        service = self.service()
        server = self.start(service, contract(websocket="{lifetime: 500ms}"))
        client = self.client(server)
        while (said := (client.send(b"x"), client.frame())[1]) == (1, b"x", True):
            time.sleep(0.02)
        self.assertEqual(said, self.GOING_AWAY)
        self.assertEqual(self.line_of(server, 101)["detail"], "its lifetime is over")

    GOING_AWAY = (8, b"\x03\xe9", True)

    def test_a_server_that_stops_says_goodbye(self):
        """By a close frame behind the last frame of the service, so that a drain of an hour is over when its clients have answered."""
        half = frame(b"x" * 3000)
        sent, go_on = threading.Event(), threading.Event()

        def talks(line):
            line.line.sendall(half[:1000])
            sent.set()
            go_on.wait(harness.PATIENCE)
            line.line.sendall(half[1000:] + frame(b"too late"))
            echo(line)

        service = self.service()
        server = self.start(service, config="threads: 1\nlimits: {drain: 1h}\n")
        idle = self.client(server)
        self.assertEqual(idle.says(b"x"), b"x")
        service.talks = talks
        busy = self.client(server)
        self.assertTrue(sent.wait(harness.PATIENCE))
        server.signal(signal.SIGTERM)
        self.assertEqual(idle.frame(), self.GOING_AWAY)
        go_on.set()
        self.assertEqual(busy.frame(), (2, b"x" * 3000, True))
        self.assertEqual(busy.frame(), self.GOING_AWAY)
        for client in (idle, busy):
            client.send(b"\x03\xe9", opcode=8)
            self.assertTrue(client.ended())
        self.assertEqual(server.wait(), 0)
        self.assertEqual([line["detail"] for line in server.logged() if line.get("status") == 101], ["the server ends it"] * 2)

    def test_a_drain_ends_them_at_its_limit(self):
        service = self.service()
        server = self.start(service, config="limits: {drain: 1s}\n")
        client = self.client(server)
        self.assertEqual(client.says(b"x"), b"x")
        server.signal(signal.SIGTERM)
        self.assertEqual(client.frame(), self.GOING_AWAY)
        self.assertTrue(client.ended())  # it does not answer
        self.assertEqual(server.wait(), 0)
        self.assertEqual(self.line_of(server, 101)["detail"], "the server ends it")

    def test_one_goes_on_over_a_reload_with_the_plan_it_began_with(self):
        service = self.service()
        server = self.start(service)
        client = self.client(server)
        self.assertEqual(client.says(b"before"), b"before")
        text = (server.directory / "contract.yaml").read_text()
        (server.directory / "contract.yaml").write_text(text.replace("websocket: true", "websocket: false"))
        server.signal(signal.SIGHUP)
        harness.until(lambda: any(line.get("event") == "reload" for line in server.logged()), server.describe)
        self.assertEqual(client.says(b"after"), b"after")
        self.opens_none(server)
        self.assertEqual(server.metrics()['plimsoll_plans'], 2)
        client.close()
        harness.until(lambda: server.metrics()["plimsoll_plans"] == 1, "the plan ends with the last that uses it")


    def test_reloads_without_end_are_not_held_up_by_them(self):
        """Each keeps the plan that it began with, and only so many plans may be kept: the oldest give way."""
        service = self.service()
        server = self.start(service)
        path = server.directory / "contract.yaml"
        clients = []
        for number in range(12):
            clients.append(self.client(server))
            self.assertEqual(clients[-1].says(b"x"), b"x")
            path.write_text(path.read_text().replace("version: '", "version: '1"))
            run = self.plimsoll("reload", "--management", server.management)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        for client in clients[:3]:
            self.assertTrue(client.ended())
        for client in clients[5:]:
            self.assertEqual(client.says(b"y"), b"y")
        self.assertIn("replaced too often", self.line_of(server, 101)["detail"])


class Watching(WebSocketTest):
    def test_metrics_and_the_line_of_the_log(self):
        service = self.service()
        server = self.start(service)
        client = self.client(server)
        self.assertEqual(client.says(b"12345"), b"12345")
        labels = '{service="chat",operation="chat"%s}'
        sample = server.metrics()
        self.assertEqual(sample["plimsoll_websockets_open" + labels % ""], 1)
        self.assertEqual(sample["plimsoll_websockets_opened_total" + labels % ""], 1)
        self.assertEqual(sample["plimsoll_websocket_bytes_total" + labels % ',direction="received"'], 11)
        self.assertEqual(sample["plimsoll_websocket_bytes_total" + labels % ',direction="sent"'], 7)
        self.assertEqual([line for line in server.logged() if line.get("status") == 101], [])
        client.close()
        line = self.line_of(server, 101)
        self.assertEqual((line["operation"], line["bytes"], line["bytes_received"], line["path"]), ("chat", 7, 11, "/chat"))
        self.assertGreater(line["duration_us"], 0)
        harness.until(lambda: server.metrics()["plimsoll_websockets_open" + labels % ""] == 0, "it is counted out")

    def test_an_idle_pair_takes_little_memory(self):
        pairs = 2000 if TORTURE else 500
        service = self.service()
        server = self.start(service, config="threads: 1\n")
        warm = [self.client(server) for _ in range(50)]
        for client in warm:
            client.says(b"x")
            client.close()
        harness.until(lambda: not any(value for name, value in server.metrics().items() if name.startswith("plimsoll_websockets_open{")), "they are closed")
        before = resident(server.pid)
        clients = [self.client(server) for _ in range(pairs)]
        for client in clients:
            self.assertEqual(client.says(b"x" * 3000), b"x" * 3000)
        each = (resident(server.pid) - before) / pairs
        print(f"an idle pair takes {each / 1024:.1f} KiB", flush=True)
        self.assertLess(each, 16 << 10)


def resident(pid):
    """Bytes of memory that are the process's own."""
    return harness.memory(pid, "RssAnon")


if __name__ == "__main__":
    harness.main()
