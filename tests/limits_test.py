"""Each limit of `limits:` that counts something, set low: what is just within it is served, one more is not, over HTTP/1.1 whole and byte
by byte and over HTTP/2; and nothing is left behind. Limits of time are those of slow_clients_test.py and http2_abuse_test.py."""
import os
import socket

import harness
import http2_client
from http2_client import DATA, END_HEADERS, END_STREAM, HEADERS, frame

CONTRACT = """
openapi: 3.1.0
info: {title: Limits, version: '1'}
security: []
x-plimsoll: {rate-limit: off, mock: {}, authorization: any-caller, validate: {unknown-query: ignore}}
paths:
  /items:
    get: {operationId: list, responses: {'200': {description: ok, content: {application/json: {example: {a: 1}}}}}}
    post: &post
      operationId: add
      requestBody: {content: {application/json: {schema: {type: string}}}}
      responses: {'201': {description: ok, content: {application/json: {example: {a: 1}}}}}
  /roomier:
    post:
      <<: *post
      operationId: addMore
      x-plimsoll: {validate: {body-limit: 200B}}
"""
GET = b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n"


def head(size):
    begin, end = b"GET /items HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n\r\n"
    return begin + b"y" * (size - len(begin) - len(end)) + end


def fields(count):
    return b"GET /items HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * (count - 1) + b"\r\n"


def target(size):
    return b"GET /items?" + b"a" * (size - 7) + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def body(size):
    return b'"' + b"x" * (size - 2) + b'"'


def with_length(size, path=b"/items"):
    return b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (path, size) + body(size)


def in_chunks(size):
    return b"POST /items HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % size + body(size) + b"\r\n0\r\n\r\n"


class Limits(harness.ServerTest):
    def limited(self, limits):
        self.server_ = self.serve(CONTRACT, f"limits: {{{limits}}}")
        return self.server_

    def status(self, data, bytewise=False):
        """The status of the answer, and whether the connection was closed with it."""
        with socket.create_connection(("127.0.0.1", self.server_.port), timeout=harness.PATIENCE) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer = b""
            try:
                for piece in [data[i:i + 1] for i in range(len(data))] if bytewise else [data]:
                    line.sendall(piece)
                while b"\r\n\r\n" not in answer:
                    answer += line.recv(65536)
            except OSError as error:
                self.fail(f"{error} instead of an answer")
            return int(answer.split(b" ")[1]), b"connection: close" in answer

    @staticmethod
    def link(server, name):
        try:
            return os.readlink(f"/proc/{server.pid}/fd/{name}")
        except OSError:
            return ""

    @staticmethod
    def connected(port):
        """Names of the sockets at this port that do not listen, as /proc says them."""
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table][1:]
        return {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] != "0A"}

    def boundary(self, make, limit, served, refused, closes=True):
        for bytewise in (False, True):
            self.assertEqual(self.status(make(limit - 1), bytewise), (served, False))
            self.assertEqual(self.status(make(limit), bytewise), (served, False))
            self.assertEqual(self.status(make(limit + 1), bytewise), (refused, closes))

    def second(self, block, content=None):
        """The status of a request over HTTP/2; another one is served on the connection after it."""
        with http2_client.Client(self.server_.port) as client:
            client.send(frame(HEADERS, END_HEADERS | (0 if content else END_STREAM), 1, block))
            if content:
                client.send(frame(DATA, END_STREAM, 1, content))
            found = client.answer(1)[0]
            client.send(http2_client.request(3))
            self.assertEqual(client.answer(3)[0], 200)
            return found

    def test_bytes_of_a_head(self):
        self.limited("head: 1KiB")
        self.boundary(head, 1024, 200, 431)
        # Of HTTP/2 a field counts 32 bytes more (RFC 9113, section 6.5.2).
        rest = sum(len(name) + len(value) + 32 for name, value in
                   ((":method", "GET"), (":scheme", "http"), (":path", "/items"), (":authority", "test"), ("x", "")))
        for size, status in ((1024, 200), (1025, 431)):
            self.assertEqual(self.second(http2_client.head(more=[("x", "y" * (size - rest))])), status)

    def test_fields_of_a_head(self):
        self.limited("header-count: 10")
        self.boundary(fields, 10, 200, 431)
        for count, status in ((6, 200), (7, 431)):  # and four that begin with a colon
            self.assertEqual(self.second(http2_client.head(more=[("x", "1")] * count)), status)

    def test_bytes_of_a_target(self):
        self.limited("target: 64B")
        self.boundary(target, 64, 200, 414)
        for size, status in ((64, 200), (65, 414)):
            self.assertEqual(self.second(http2_client.head(path="/items?" + "a" * (size - 7))), status)

    def test_bytes_of_a_body(self):
        self.limited("body: 100B")
        self.boundary(with_length, 100, 201, 413, closes=False)  # the rest of it is short enough to be read past
        self.boundary(in_chunks, 100, 201, 413)
        self.boundary(lambda size: with_length(size, b"/roomier"), 200, 201, 413, closes=False)
        block = http2_client.head("POST", more=[("content-type", "application/json")])
        for size, status in ((100, 201), (101, 413)):
            self.assertEqual(self.second(block, body(size)), status)

    def test_requests_of_a_connection(self):
        server = self.limited("requests-per-connection: 3")
        answers = server.raw(GET * 5)
        self.assertEqual((answers.count(b"HTTP/1.1 200"), answers.count(b"connection: close")), (3, 1))
        with http2_client.Client(server.port) as client:
            for number in (1, 3, 5):
                client.send(http2_client.request(number))
                self.assertEqual(client.answer(number)[0], 200)
                self.assertEqual(bool(client.until(client.goaway, 5 if number == 5 else 0.05)), number == 5)

    def test_connections(self):
        server = self.limited("connections-per-address: 5, connections: 7")

        def held():
            """Sockets of connections that the server has not closed."""
            return [name for name in os.listdir(f"/proc/{server.pid}/fd") if self.link(server, name) in self.connected(server.port)]

        def connect(address):
            line = socket.socket()
            self.addCleanup(line.close)
            line.settimeout(harness.PATIENCE)
            line.bind((address, 0))
            line.connect(("127.0.0.1", server.port))
            try:
                line.sendall(GET)
                return line, line.recv(12) == b"HTTP/1.1 200"
            except OSError:
                return line, False

        def fill():
            return [connect(address) for address in ["127.0.0.1"] * 6 + ["127.0.0.2"] * 3]

        expected = [True] * 5 + [False] + [True] * 2 + [False]
        for _ in range(3):  # what has gone makes room
            harness.until(lambda: not held(), "descriptors come back")
            lines = fill()
            self.assertEqual([served for _, served in lines], expected)
            for line, _ in lines:
                line.close()


if __name__ == "__main__":
    harness.main()
