"""Interim responses (1xx) of upstreams: 103 Early Hints (RFC 8297) and those that nobody knows pass to clients of HTTP/1.1 and HTTP/2, before the final
response (RFC 9110, section 15.2), and only those of the attempt that is used."""
import os
import random
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import unittest

import harness
import http2_origin
import http2_websockets

CONTRACT = """
openapi: 3.1.0
info: {title: Pages, version: '1'}
x-plimsoll: {authorization: any-caller, rate-limit: off, priority: off}
paths:
  /page:
    get:
      operationId: getPage
      x-plimsoll: {upstream: {name: back, response-headers: {remove: [X-Inner], set: {X-Set: ours}}}}
      responses: {'200': {description: ok, content: {text/html: {}}}}
    post:
      operationId: postPage
      x-plimsoll: {upstream: back}
      requestBody: {content: {application/octet-stream: {}}}
      responses: {'200': {description: ok, content: {text/html: {}}}}
  /cached:
    get: {operationId: cached, x-plimsoll: {upstream: back, cache: 1m}, responses: {'200': {description: ok, content: {text/html: {}}}}}
  /origin:
    get: {operationId: origin, x-plimsoll: {upstream: back, cache: origin}, responses: {'200': {description: ok, content: {text/html: {}}}}}
"""
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
FINAL = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\npage"


class Service(socketserver.ThreadingTCPServer):
    """A service of HTTP/1.1: `script(line, number)` answers each request by raw bytes; false: the connection ends."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, script):
        self.requests, lock = [], threading.Lock()
        service = self

        class Line(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                try:
                    while first := self.rfile.readline():
                        self.headers = harness.Headers.read(self.rfile)
                        with lock:
                            number = len(service.requests)
                            service.requests.append((first.decode(), self.headers))
                        if not script(self, number):
                            return
                except OSError:
                    pass

        super().__init__(("127.0.0.1", 0), Line)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_):
        pass

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


def says(*texts):
    def script(line, _):
        line.wfile.write(b"".join(texts))
        return True
    return script


class InterimTest(harness.ServerTest):
    def service(self, script):
        service = Service(script)
        self.addCleanup(service.server_close)
        self.addCleanup(service.shutdown)
        return service

    def front(self, *services, options="retry: off"):
        targets = ", ".join(f"'{service if isinstance(service, str) else service.url}'" for service in services)
        return self.serve(CONTRACT, f"upstreams:\n  back: {{targets: [{targets}], timeouts: {{connect: 60s, first-byte: 60s, idle: 60s, total: 120s}}, {options}}}\nthreads: 1\n")

    def line(self, server, method="GET", path="/page", version="1.1", more="", body=b""):
        line = socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE)
        self.addCleanup(line.close)
        line.sendall(f"{method} {path} HTTP/{version}\r\nHost: {server.address}\r\n{more}\r\n".encode() + body)
        return line

    @staticmethod
    def heads(line, rest=b""):
        """The interim heads and the final one, each (status, Headers)."""
        found = []
        while True:
            while b"\r\n\r\n" not in rest:
                piece = line.recv(65536)
                if not piece:
                    raise EOFError(f"ended with {rest!r}")
                rest += piece
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            found.append((int(first.split()[1]), harness.Headers([(name, value.strip()) for name, _, value in (one.partition(":") for one in lines)])))
            if found[-1][0] >= 200:
                return found

    def statuses(self, server, **more):
        return [status for status, _ in self.heads(self.line(server, **more))]

    def over_http2(self, server, path="/page"):
        """([(status, Headers)…], the stream)"""
        connection = http2_websockets.Connection(server)
        self.addCleanup(connection.close)
        stream = connection.begin([(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", server.address)], end=True)
        return stream


class Passing(InterimTest):
    def test_early_hints_come_before_the_service_has_answered(self):
        go_on = threading.Event()

        def script(line, _):
            line.wfile.write(HINT)
            go_on.wait(harness.PATIENCE)
            line.wfile.write(FINAL)
            return True

        def script2(stream):
            stream.line.do(lambda h: h.send_headers(stream.number, [(":status", "103"), ("link", "</style.css>; rel=preload")]))
            go_on.wait(harness.PATIENCE)
            stream.answer(200, b"page", [("content-type", "text/html")])

        origin = http2_origin.Origin(script2)
        self.addCleanup(origin.close)
        for version, behind, options in ((1, self.service(script), "retry: off"), (2, origin, "retry: off, http: 2")):
            with self.subTest(f"the service speaks HTTP/{version}"):
                server = self.front(behind, options=options)
                go_on.clear()
                line, said = self.line(server), b""
                while b"\r\n\r\n" not in said:
                    said += line.recv(65536)
                self.assertEqual(said.split(b"\r\n")[0], b"HTTP/1.1 103 Early Hints")
                self.assertIn(b"link: </style.css>; rel=preload\r\n", said)
                stream = self.over_http2(server)
                self.assertTrue(stream.wait(lambda: stream.interim))
                self.assertEqual(stream.interim, [[(":status", "103"), ("link", "</style.css>; rel=preload")]])
                self.assertIsNone(stream.status)
                go_on.set()
                (_, hints), (status, headers) = self.heads(line, said)
                self.assertEqual((status, headers["content-type"]), (200, "text/html"))
                self.assertEqual(hints.pairs, [("link", "</style.css>; rel=preload")])
                self.assertNotIn("link", headers)
                self.assertTrue(stream.wait(lambda: stream.ended))
                self.assertEqual((stream.status, stream.data, len(stream.interim)), (200, b"page", 1))

    def test_unknown_ones_pass_in_their_order_and_100_does_not(self):
        several = b"".join(b"HTTP/1.1 %d Said\r\nX-Number: %d\r\n\r\n" % (status, status) for status in (102, 100, 103, 103, 104, 150, 199))
        server = self.front(self.service(says(several, FINAL)))
        found = self.heads(self.line(server))
        self.assertEqual([status for status, _ in found], [102, 103, 103, 104, 150, 199, 200])
        self.assertEqual([headers["x-number"] for _, headers in found[:-1]], ["102", "103", "103", "104", "150", "199"])
        stream = self.over_http2(server)
        stream.wait(lambda: stream.ended)
        self.assertEqual([dict(one)[":status"] for one in stream.interim], ["102", "103", "103", "104", "150", "199"])

    def test_none_are_sent_to_clients_of_http_1_0(self):
        server = self.front(self.service(says(HINT, FINAL)))
        self.assertEqual(self.statuses(server, version="1.0"), [200])
        self.assertEqual(self.statuses(server), [103, 200])

    def test_curl_reads_them(self):
        server = self.front(self.service(says(HINT, FINAL)))
        for option in ("--http1.1", "--http2-prior-knowledge"):
            run = subprocess.run(["curl", "-sS", option, "-D", "-", "--max-time", "60", f"http://{server.address}/page"], capture_output=True, text=True, check=True)
            firsts = [line.split()[1] for line in run.stdout.splitlines() if line.startswith("HTTP/")]
            self.assertEqual((firsts, run.stdout[-4:]), (["103", "200"], "page"), run.stdout)

    def test_fields_are_filtered_as_those_of_responses(self):
        hint = (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nX-Inner: 1\r\nX-Set: theirs\r\n"
                b"X-Kept: yes\r\nUpgrade: h2c\r\nTrailer: x\r\nTE: x\r\n\r\n")
        server = self.front(self.service(says(hint, FINAL)))
        (_, headers), (_, final) = self.heads(self.line(server))
        self.assertEqual(headers.pairs, [("link", "</a>"), ("x-kept", "yes")])
        self.assertEqual(final["x-set"], "ours")

    def test_they_come_while_a_body_is_sent(self):
        seen = threading.Event()

        def script(line, _):
            line.wfile.write(HINT + b"HTTP/1.1 100 Continue\r\n\r\n" + HINT)
            line.rfile.read(int(line.headers["content-length"]))
            seen.wait(harness.PATIENCE)
            line.wfile.write(HINT + FINAL)
            return True

        server = self.front(self.service(script))
        line = self.line(server, "POST", more="Content-Type: application/octet-stream\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n")
        said = b""
        while said.count(b"\r\n\r\n") < 3:
            said += line.recv(65536)
        line.sendall(b"x" * 200_000)
        seen.set()
        self.assertEqual(sorted(status for status, _ in self.heads(line, said)), [100, 103, 103, 103, 200])

    def test_responses_without_a_body_have_them_too(self):
        for final in (b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"):
            server = self.front(self.service(says(HINT, final)))
            self.assertEqual(self.statuses(server), [103, int(final.split()[1])])
        server = self.front(self.service(says(HINT, FINAL[:-4])))
        self.assertEqual(self.statuses(server, method="HEAD"), [103, 200])

    def test_no_cache_keeps_them(self):
        server = self.front(self.service(says(HINT, FINAL.replace(b"\r\nContent-Type", b"\r\nCache-Control: max-age=60\r\nContent-Type"))))
        for path in ("/cached", "/origin"):
            # What is fetched for all who wait for it has none.
            self.assertEqual(self.statuses(server, path=path), [200], path)
            (status, headers), = self.heads(self.line(server, path=path))
            self.assertEqual(status, 200)
            self.assertIn("hit", headers["cache-status"])
            self.assertNotIn("link", headers)


class Bounds(InterimTest):
    def test_their_number_is_bounded(self):
        server = self.front(self.service(says(HINT * 32, FINAL)))
        self.assertEqual(self.statuses(server), [103] * 32 + [200])
        server = self.front(self.service(says(HINT * 33, FINAL)))
        *interim, final = self.statuses(server)
        self.assertEqual((set(interim) | {103}, final), ({103}, 502))
        self.assertLessEqual(len(interim), 32)

    def test_their_size_is_bounded(self):
        """What is beyond 64 KiB in all does not pass; of HTTP/1.1 no head is larger, interim ones included."""
        def script(stream):
            for number in range(20):
                stream.line.do(lambda h, number=number: h.send_headers(stream.number, [(":status", "103"), ("x-number", str(number)), ("x-large", "x" * 8000)]))
            stream.answer(200, b"page", [("content-type", "text/html")])

        origin = http2_origin.Origin(script)
        self.addCleanup(origin.close)
        server = self.front(origin, options="retry: off, http: 2")
        self.assertEqual(self.statuses(server), [103] * 8 + [200])
        large = b"HTTP/1.1 103 Early Hints\r\nX-Large: " + b"x" * 40_000 + b"\r\n\r\n"
        server = self.front(self.service(says(large * 2, FINAL)))
        self.assertEqual(self.statuses(server), [103, 502])

    def test_one_that_says_a_body_is_no_interim_response(self):
        for field in (b"Content-Length: 5", b"Transfer-Encoding: chunked"):
            server = self.front(self.service(says(b"HTTP/1.1 103 Early Hints\r\n" + field + b"\r\n\r\n", FINAL)))
            self.assertEqual(self.statuses(server), [502])

    def test_a_client_that_reads_nothing_holds_nothing_up(self):
        """What its socket does not take is a part of what is written next."""
        hint = b"HTTP/1.1 103 Early Hints\r\nX-Large: " + b"x" * 1900 + b"\r\n\r\n"
        server = self.front(self.service(says(hint * 32, b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3000000\r\n\r\n" + b"y" * 3_000_000)))
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(harness.PATIENCE)
        line.connect(("127.0.0.1", server.port))
        self.addCleanup(line.close)
        line.sendall(f"GET /page HTTP/1.1\r\nHost: {server.address}\r\n\r\n".encode())
        time.sleep(0.2)  # only so that the sockets are full in most runs
        said = b""
        while len(said.rpartition(b"\r\n\r\n")[2]) < 3_000_000:
            piece = line.recv(65536)
            self.assertTrue(piece)
            said += piece
        self.assertEqual(said.count(b"HTTP/1.1 103 Early Hints\r\n"), 32)
        head, _, body = said.rpartition(b"\r\n\r\n")
        self.assertEqual(body, b"y" * 3_000_000)


class Attempts(InterimTest):
    """None of an attempt that is not used."""

    @staticmethod
    def hint(name):
        return b"HTTP/1.1 103 Early Hints\r\nX-Of: " + name + b"\r\n\r\n"

    def test_of_a_retried_call_those_of_the_last_attempt(self):
        fails = {"503": lambda line: line.wfile.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") or True, "a connection that breaks": lambda line: False,
                 "nonsense": lambda line: line.wfile.write(b"nonsense\r\n\r\n") and False}
        for name, fail in fails.items():
            def script(line, number, fail=fail):
                line.wfile.write(self.hint(b"%d" % number))
                if number < 2:
                    return fail(line)
                line.wfile.write(FINAL)
                return True

            service = self.service(script)
            server = self.front(service, options="breaker: off, retry: {base: 1ms}")
            found = self.heads(self.line(server))
            self.assertEqual([(status, headers.get("x-of")) for status, headers in found], [(103, "2"), (200, None)], name)
            self.assertEqual(len(service.requests), 3)

    def test_of_a_call_that_fails_for_good_none_is_held_back_at_its_last_attempt(self):
        service = self.service(lambda line, number: line.wfile.write(self.hint(b"%d" % number) + b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") or True)
        server = self.front(service, options="breaker: off, retry: {attempts: 1, base: 1ms}")
        found = self.heads(self.line(server))
        self.assertEqual([(status, headers.get("x-of")) for status, headers in found], [(103, "1"), (503, None)])

    def test_what_may_not_be_repeated_passes_at_once(self):
        go_on = threading.Event()

        def script(line, _):
            line.rfile.read(int(line.headers["content-length"]))
            line.wfile.write(HINT)
            go_on.wait(harness.PATIENCE)
            line.wfile.write(FINAL)
            return True

        server = self.front(self.service(script), options="retry: {base: 1ms}")
        line = self.line(server, "POST", more="Content-Type: application/octet-stream\r\nContent-Length: 1\r\n", body=b"x")
        said = b""
        while b"\r\n\r\n" not in said:
            said += line.recv(65536)
        go_on.set()
        self.assertEqual([status for status, _ in self.heads(line, said)], [103, 200])

    def test_of_a_hedged_call_those_of_the_attempt_that_won(self):
        slow, other = threading.Event(), threading.Event()
        self.addCleanup(other.set)

        def script(line, number):
            if slow.is_set():
                first = not other.is_set()
                other.set()
                line.wfile.write(self.hint(b"first" if first else b"second"))
                if first:
                    self.stalls.wait(harness.PATIENCE)
                    return False
            line.wfile.write(FINAL)
            return True

        self.stalls = threading.Event()
        self.addCleanup(self.stalls.set)
        services = [self.service(script), self.service(script)]
        server = self.front(*services, options="retry: off, hedge: {after: p95, at-most: 100%}")
        for _ in range(80):
            self.assertEqual(self.statuses(server), [200])
        slow.set()
        found = self.heads(self.line(server))
        self.assertEqual([(status, headers.get("x-of")) for status, headers in found], [(103, "second"), (200, None)])


if __name__ == "__main__":
    harness.main()
