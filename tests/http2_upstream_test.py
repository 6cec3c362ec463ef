"""HTTP/2 to upstreams: Plimsoll in front of a service that python3-h2 speaks for. It answers, refuses, resets, leaves, is slow or sends garbage."""
import hashlib
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time
import unittest

import h2.settings

import harness
import http2_client
import http2_origin

CONTRACT = """
openapi: 3.1.0
info: {title: Shop, version: '1'}
x-plimsoll: {authorization: any-caller, rate-limit: off, priority: off, deadline: 120s}
paths:
  /things:
    get:
      operationId: listThings
      parameters: [{name: q, in: query, schema: {type: string}}]
      x-plimsoll: {upstream: back}
      responses: {'200': {description: ok}}
    post:
      operationId: createThing
      x-plimsoll: {upstream: back}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'201': {description: made}}
  /things/{id}:
    get:
      operationId: getThing
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      x-plimsoll: {upstream: back}
      responses: {'200': {description: ok}}
  /files:
    get: {operationId: getFile, x-plimsoll: {upstream: back}, responses: {'200': {description: ok, content: {application/octet-stream: {}}}}}
    put:
      operationId: putFile
      x-plimsoll: {upstream: back}
      requestBody: {content: {application/octet-stream: {}}}
      responses: {'200': {description: ok, content: {application/octet-stream: {}}}}
  /events:
    get: {operationId: getEvents, x-plimsoll: {upstream: back}, responses: {'200': {description: ok, content: {text/event-stream: {}}}}}
"""
MIB = 1 << 20


class Upstream(harness.ServerTest):
    def behind(self, script, **more):
        origin = http2_origin.Origin(script, **more)
        self.addCleanup(origin.close)
        return origin

    def front(self, origin, options="http: 2", more="", contract=CONTRACT):
        url = origin if isinstance(origin, str) else origin.url
        if "timeouts" not in options:  # what a test is not about has the time that a slow machine needs
            options += ", timeouts: {connect: 60s, first-byte: 60s, idle: 60s, total: 120s}"
        config = f"upstreams:\n  back: {{targets: ['{url}'], {options}}}\nlimits: {{drain: 3s, body: 128MiB}}\nthreads: 1\n{more}"
        return self.serve(contract, config)

    def test_requests_and_answers_pass_through(self):
        def script(stream):
            body = stream.body()
            if stream.method == "HEAD":
                return stream.head(200, [("content-length", "5")], end=True)
            return stream.answer(201 if stream.method == "POST" else 200, json.dumps({"method": stream.method, "path": stream.path, "body": body.decode()}).encode(),
                          [("content-type", "application/json"), ("x-back", "yes")])

        origin = self.behind(script)
        server = self.front(origin)
        answer = server.get("/things?q=1%202")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json(), {"method": "GET", "path": "/things?q=1%202", "body": ""})
        self.assertEqual(answer.headers["x-back"], "yes")
        answer = server.post("/things", {"name": "x"})
        self.assertEqual((answer.status, json.loads(answer.json()["body"])), (201, {"name": "x"}), answer)
        head = server.request("HEAD", "/things")
        self.assertEqual((head.status, head.headers["content-length"], head.body), (200, "5", b""))
        seen = origin.requests[0]
        self.assertEqual((seen.headers[":scheme"], seen.headers[":authority"]), ("http", f"127.0.0.1:{origin.port}"))
        for name in ("connection", "host", "transfer-encoding", "keep-alive"):
            self.assertNotIn(name, seen.headers)
        self.assertEqual(origin.requests[1].headers["content-length"], "13")
        self.assertEqual(origin.connections, 1)


    # -- bodies

    def test_large_bodies_pass_through_both_ways_in_bounded_memory(self):
        sent = os.urandom(MIB) * 32

        def script(stream):
            if stream.method == "PUT":
                digest = hashlib.sha256()
                for piece in iter(stream.read, b""):
                    digest.update(piece)
                return stream.answer(200, digest.hexdigest().encode(), [("content-type", "application/octet-stream")])
            stream.head(200, [("content-type", "application/octet-stream")])
            return stream.send(sent, end=True)

        origin = self.behind(script)
        server = self.front(origin)
        self.assertEqual(server.get("/files").status, 200)  # so that the peak is not that of the start
        before = self.peak(server)
        answer = server.request("PUT", "/files", sent, {"Content-Type": "application/octet-stream"})
        self.assertEqual((answer.status, answer.text), (200, hashlib.sha256(sent).hexdigest()), answer)
        answer = server.get("/files")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.body == sent)
        self.assertLess(self.peak(server) - before, 16 * MIB)

    def peak(self, server):
        return harness.memory(server.pid, "VmHWM")

    def test_an_upload_of_unknown_length_passes_as_it_comes(self):
        origin = self.behind(lambda stream: stream.answer(200, stream.body(), [("content-type", "application/octet-stream")]))
        server = self.front(origin)
        line = http.client.HTTPConnection(server.address, timeout=harness.PATIENCE)
        pieces = [os.urandom(1000), os.urandom(100_000), b"x"]
        line.request("PUT", "/files", body=iter(pieces), headers={"Content-Type": "application/octet-stream"}, encode_chunked=True)
        answer = line.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b"".join(pieces)))
        line.close()
        self.assertNotIn("content-length", origin.requests[0].headers)

    def test_an_answer_may_come_while_the_body_is_still_sent(self):
        def script(stream):
            stream.head(200, [("content-type", "application/octet-stream")])
            for piece in iter(stream.read, b""):
                stream.send(piece.upper())
            stream.end()

        origin = self.behind(script)
        server = self.front(origin)
        sent = b"abcdefgh" * 40_000
        answer = server.request("PUT", "/files", sent, {"Content-Type": "application/octet-stream"})
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.body == sent.upper())

    def test_a_service_that_refuses_a_body_is_not_sent_the_rest(self):
        origin = self.behind(lambda stream: stream.answer(413, b"no", [("x-back", "refused")]))
        server = self.front(origin)
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port)), timeout=harness.PATIENCE) as line:
            line.sendall(f"PUT /files HTTP/1.1\r\nHost: {server.address}\r\nContent-Type: application/octet-stream\r\nContent-Length: {64 * MIB}\r\n\r\n".encode())
            line.settimeout(0.01)
            said, sent = b"", 0
            deadline = time.monotonic() + harness.PATIENCE
            while b"\r\n" not in said and time.monotonic() < deadline:  # goes on sending until it is answered
                try:
                    sent += line.send(b"x" * 65536) if sent < 64 * MIB else 0
                    said += line.recv(65536)
                except TimeoutError:
                    pass
        self.assertTrue(said.startswith(b"HTTP/1.1 413 "), said)
        self.assertIn(b"x-back: refused", said.lower())
        self.assertLess(origin.requests[0].received, 16 * MIB)
        self.assertEqual(server.get("/things").status, 413)
        self.assertEqual(origin.connections, 1, "the connection goes on")

    def test_a_slow_reader_holds_its_own_stream_back_and_no_other(self):
        given = {}

        def script(stream):
            if stream.path == "/files":
                stream.head(200, [("content-type", "application/octet-stream")])
                for i in range(64):
                    stream.send(b"x" * MIB)
                    given[stream.number] = i + 1
                return stream.end()
            return stream.answer(200, b"quick")

        origin = self.behind(script)
        server = self.front(origin)
        slow = [http.client.HTTPConnection(server.address, timeout=harness.PATIENCE) for _ in range(40)]
        for line in slow:
            line.sock = None
            line.connect()
            line.request("GET", "/files")
        harness.until(lambda: len(origin.requests) >= 40, "the requests arrive")
        for _ in range(50):
            self.assertEqual(server.get("/things").text, "quick")
        self.assertEqual(origin.connections, 1)
        self.assertLess(max(given.values(), default=0), 32, "the window of a stream that is not read stays shut")
        for line in slow:
            line.close()
        harness.until(lambda: all(s.reset_by is not None for s in origin.requests if s.path == "/files"), "streams whose readers are gone are reset")
        self.assertEqual({s.reset_by for s in origin.requests if s.path == "/files"}, {8})

    def test_events_come_one_by_one_and_end_with_their_reader(self):
        go = threading.Semaphore(0)

        def script(stream):
            stream.head(200, [("content-type", "text/event-stream")])
            for i in range(100):
                if not go.acquire(timeout=harness.PATIENCE):
                    return
                stream.send(f"data: {i}\n\n".encode())

        origin = self.behind(script)
        server = self.front(origin, "http: 2, timeouts: {idle: 200ms, total: 1s, first-byte: 1s, connect: 1s}")
        line = http.client.HTTPConnection(server.address, timeout=harness.PATIENCE)
        line.request("GET", "/events")
        go.release()
        answer = line.getresponse()
        for i in range(3):
            if i == 2:
                time.sleep(0.5)  # longer than `idle`, which does not hold for event streams
            if i:
                go.release()
            self.assertEqual(answer.readline() + answer.readline(), f"data: {i}\n\n".encode())
        answer.close()
        line.close()
        self.assertEqual(origin.requests[0].wait_for_reset(), 8)

    def test_fields_behind_a_response_are_passed_on(self):
        def script(stream):
            stream.head(200, [("content-type", "application/grpc")])
            if stream.path != "/things":
                stream.send(b"abc")
            stream.end([("grpc-status", "0"), ("x-sum", "f00"), ("x-inner", "1"), ("set-cookie", "a=b")])

        origin = self.behind(script)
        server = self.front(origin, contract=CONTRACT.replace("operationId: getFile, x-plimsoll: {upstream: back}",
                                                              "operationId: getFile, x-plimsoll: {upstream: {name: back, response-headers: {remove: [X-Inner]}}}"))
        with http2_client.Client(int(server.address.split(":")[1]), patience=harness.PATIENCE) as client:
            client.send(http2_client.request(1, http2_client.head(path="/files")), http2_client.request(3, http2_client.head(path="/things")))
            client.until(lambda: client.over(1) and client.over(3))
            self.assertEqual((client.over(1), client.over(3)), ("ended", "ended"))
            heads = client.of(http2_client.HEADERS)
            self.assertEqual(len(heads), 4, client.frames)
            self.assertEqual(b"".join(f[3] for f in client.of(http2_client.DATA, 1)), b"abc")
            import hpack
            decoder, behind = hpack.Decoder(), {}
            for _, flags, stream, payload in heads:
                fields = dict(decoder.decode(payload))
                if flags & http2_client.END_STREAM:
                    behind[stream] = fields
        self.assertEqual(behind[1], {"grpc-status": "0", "x-sum": "f00"})
        self.assertEqual(behind[3], {"grpc-status": "0", "x-sum": "f00", "x-inner": "1"})
        self.assertEqual(origin.requests[0].headers["te"], "trailers")
        for te, expected in ((None, b"3\r\nabc\r\n0\r\n\r\n"), ("trailers", b"3\r\nabc\r\n0\r\ngrpc-status: 0\r\nx-sum: f00\r\n\r\n")):
            host, port = server.address.split(":")
            with socket.create_connection((host, int(port)), timeout=harness.PATIENCE) as line:
                asked = f"GET /files HTTP/1.1\r\nHost: {server.address}\r\nConnection: close, te\r\n" + (f"TE: {te}\r\n" if te else "")
                line.sendall(asked.encode() + b"\r\n")
                said = b"".join(iter(lambda: line.recv(65536), b""))
            self.assertEqual(said.partition(b"\r\n\r\n")[2], expected)

    def test_a_body_that_waits_to_be_asked_for_is_asked_for_by_the_service(self):
        def two(stream):
            if stream.headers.get("x-refuse"):
                return stream.answer(413, b"no")
            stream.line.do(lambda h: h.send_headers(stream.number, [(":status", "100")]))
            return stream.answer(200, str(len(stream.body())).encode(), [("content-type", "application/octet-stream")])

        for version in (2, 1):
            with self.subTest(f"HTTP/{version}"):
                behind = self.behind(two).url if version == 2 else self.one_that_waits()
                server = self.front(behind, f"http: {version}")
                host, port = server.address.split(":")
                for refuse in (False, True):
                    with socket.create_connection((host, int(port)), timeout=harness.PATIENCE) as line:
                        line.sendall((f"PUT /files HTTP/1.1\r\nHost: {server.address}\r\nContent-Type: application/octet-stream\r\nContent-Length: {MIB}\r\n"
                                      f"Expect: 100-continue\r\n{'X-Refuse: 1' if refuse else 'X-Take: 1'}\r\n\r\n").encode())
                        said = line.recv(65536)
                        if refuse:
                            self.assertTrue(said.startswith(b"HTTP/1.1 413 "), said)
                            continue
                        self.assertEqual(said, b"HTTP/1.1 100 Continue\r\n\r\n")
                        line.sendall(b"x" * MIB)
                        said = b""
                        while str(MIB).encode() not in said.partition(b"\r\n\r\n")[2]:
                            piece = line.recv(65536)
                            self.assertTrue(piece, said)
                            said += piece
                        self.assertTrue(said.startswith(b"HTTP/1.1 200 "), said)
                server.stop()

    def one_that_waits(self):
        """A service of HTTP/1.1 that asks for a body, or refuses it, before it has come."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                with line:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += line.recv(65536)
                    assert b"\r\nexpect: 100-continue\r\n" in head, head
                    if b"x-refuse" in head:
                        line.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
                        continue
                    line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    came = 0
                    while came < MIB:
                        came += len(line.recv(65536))
                    line.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {len(str(came))}\r\n\r\n{came}".encode())

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    # -- many at once

    def test_many_calls_share_one_connection(self):
        here = threading.Barrier(50, timeout=harness.PATIENCE)

        def script(stream):
            here.wait()
            stream.answer(200, stream.path.encode())

        origin = self.behind(script)
        server = self.front(origin)
        answers = self.at_once(50, lambda i: server.get(f"/things/{i}"))
        self.assertEqual([answer.text for answer in answers], [f"/things/{i}" for i in range(50)])
        self.assertEqual(origin.connections, 1)

    def at_once(self, count, what):
        answers = [None] * count

        def one(i):
            try:
                answers[i] = what(i)
            except Exception as error:  # shown by the test
                answers[i] = error

        threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def test_a_further_connection_is_opened_where_the_streams_are_used_up(self):
        here, most, lock = threading.Barrier(12, timeout=harness.PATIENCE), {}, threading.Lock()

        def script(stream):
            if stream.path != "/things":
                with lock:
                    open_now = sum(1 for s in stream.line.streams.values() if s.path != "/things" and not getattr(s, "done", False))
                    most[stream.line.number] = max(most.get(stream.line.number, 0), open_now)
                here.wait()
                stream.done = True
            stream.answer(200, b"ok")

        origin = self.behind(script, settings={http2_origin.h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 4})
        server = self.front(origin)
        self.assertEqual(server.get("/things").status, 200)  # from here on the limit is known
        answers = self.at_once(12, lambda i: server.get(f"/things/{i}"))
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertLessEqual(max(most.values()), 4)
        self.assertGreaterEqual(origin.connections, 3)
        self.assertLessEqual(origin.connections, 12)

    # -- what goes wrong

    def test_a_refused_stream_is_sent_again_whatever_its_method(self):
        def script(stream):
            if len(origin.requests) == 1:
                return stream.reset(7)
            return stream.answer(201, stream.body())

        origin = self.behind(script)
        server = self.front(origin, "http: 2, retry: off")
        answer = server.post("/things", {"n": 1})
        self.assertEqual((answer.status, answer.json()), (201, {"n": 1}), answer)
        self.assertEqual(len(origin.requests), 2)

    def test_a_service_that_refuses_everything_is_unreachable(self):
        origin = self.behind(lambda stream: stream.reset(7))
        server = self.front(origin, "http: 2, retry: off")
        answer = server.post("/things", {"n": 1})
        self.assertEqual((answer.status, answer.code), (502, "unreachable"))
        self.assertEqual(len(origin.requests), 3)

    def test_a_post_that_may_have_been_processed_is_not_sent_again(self):
        origin = self.behind(lambda stream: stream.reset(2))
        server = self.front(origin)
        answer = server.post("/things", {"n": 1})
        self.assertEqual(answer.status, 502, answer)
        self.assertEqual(len(origin.requests), 1)
        self.assertEqual(server.get("/things").status, 502)
        self.assertEqual(len(origin.requests), 5, "a GET is repeated three times")

    def test_streams_that_a_goodbye_leaves_out_are_sent_again(self):
        first = threading.Event()

        def script(stream):
            if stream.line.number == 0 and stream.path == "/things/first":
                first.wait(harness.PATIENCE)
                return stream.answer(200, b"kept")
            if stream.line.number == 0:
                stream.line.raw(goaway(1))
                first.set()
                return None
            return stream.answer(200, b"again")

        def goaway(last):
            return http2_client.frame(http2_client.GOAWAY, payload=last.to_bytes(4, "big") + bytes(4))

        origin = self.behind(script)
        server = self.front(origin, "http: 2, retry: off")
        answers = [None]
        thread = threading.Thread(target=lambda: answers.__setitem__(0, server.get("/things/first")))
        thread.start()
        harness.until(lambda: origin.requests, "the first request arrives")
        answer = server.post("/things", {"n": 1})
        self.assertEqual((answer.status, answer.text), (200, "again"), answer)
        thread.join()
        self.assertEqual(answers[0].text, "kept", "what the goodbye does not leave out ends as it would have")
        self.assertEqual(server.get("/things").text, "again")
        self.assertEqual(origin.connections, 2)

    def test_the_deadline_resets_the_stream(self):
        origin = self.behind(lambda stream: stream.wait_for_reset())
        server = self.front(origin, "http: 2, retry: off, timeouts: {first-byte: 300ms, connect: 1s}")
        answer = server.get("/things")
        self.assertEqual((answer.status, answer.code), (504, "deadline-exceeded"), answer)
        self.assertEqual(origin.requests[0].wait_for_reset(), 8)
        self.assertEqual(origin.connections, 1)

    def test_a_client_that_leaves_resets_the_stream(self):
        origin = self.behind(lambda stream: stream.wait_for_reset())
        server = self.front(origin)
        line = http.client.HTTPConnection(server.address, timeout=harness.PATIENCE)
        line.request("GET", "/things")
        harness.until(lambda: origin.requests, "the request arrives")
        line.close()
        self.assertEqual(origin.requests[0].wait_for_reset(), 8)

    def test_what_is_no_http2_is_an_error_and_ends_the_connection(self):
        def garbage(data, preface=True):
            def raw(line):
                line.socket.recv(65536)
                line.raw((http2_client.frame(http2_client.SETTINGS) if preface else b"") + data)
                while line.socket.recv(65536):
                    pass
                return True
            return raw

        head = http2_client.frame(http2_client.HEADERS, 4, 1, http2_client.field(":status", "200"))
        cases = {
            "HTTP/1.1": garbage(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", preface=False),
            "no HPACK": garbage(http2_client.frame(http2_client.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff")),
            "a stream of its own": garbage(http2_client.frame(http2_client.HEADERS, 4, 2, http2_client.field(":status", "200"))),
            "no status": garbage(http2_client.frame(http2_client.HEADERS, 4, 1, http2_client.field("x", "y"))),
            "half an answer": lambda line: (line.socket.recv(65536), line.raw(http2_client.frame(http2_client.SETTINGS) + head[:-3]), True)[-1],
            "nothing": lambda line: True,
            "a flood of pings": garbage(http2_client.frame(http2_client.PING, payload=bytes(8)) * 5000),
        }
        for name, raw in cases.items():
            with self.subTest(name):
                origin = self.behind(None, raw=raw)
                server = self.front(origin, "http: 2, retry: off")
                answer = server.post("/things", {"n": 1})
                self.assertEqual(answer.status, 502, (name, answer))
                self.assertIn(answer.code, ("unreachable", "bad-answer"))
                server.stop()

    def test_an_answer_that_breaks_off_is_never_taken_for_whole(self):
        def script(stream):
            stream.head(200, [("content-type", "application/octet-stream")])
            stream.send(b"x" * 1000)
            if stream.path == "/files":
                stream.reset(2)
            else:
                stream.line.close()

        origin = self.behind(script)
        server = self.front(origin, "http: 2, retry: off")
        for path in ("/files", "/things"):
            with self.assertRaises((http.client.IncompleteRead, ConnectionError), msg=path):
                server.get(path)

    def test_the_log_says_what_was_sent_of_an_answer_that_breaks_off(self):
        frame, field = http2_client.frame, http2_client.field

        def head(stream, more=b""):
            fields = field(":status", "200") + field("content-type", "application/octet-stream") + more
            return frame(http2_client.HEADERS, http2_client.END_HEADERS, stream.number, fields)

        def reset(stream):
            return frame(http2_client.RST_STREAM, 0, stream.number, (2).to_bytes(4, "big"))

        def closes(stream, *parts):
            stream.line.raw(b"".join(parts))
            stream.line.close()

        ways = {"before its head": (lambda stream: stream.line.raw(reset(stream)), {502}),
                "with its head": (lambda stream: stream.line.raw(head(stream) + reset(stream)), {502}),
                "with a head that tells its length": (lambda stream: stream.line.raw(head(stream, field("content-length", "5")) + reset(stream)), {502}),
                "with its head and the connection": (lambda stream: closes(stream, head(stream)), {502}),
                "with its head, by a frame too long": (lambda stream: stream.line.raw(head(stream) + frame(http2_client.DATA, 0, stream.number, b"x" * (1 << 20))), {502}),
                "soon behind its head": (lambda stream: (stream.line.raw(head(stream)), stream.line.raw(reset(stream))), {200, 502}),
                "behind its first bytes": (lambda stream: stream.line.raw(head(stream) + frame(http2_client.DATA, 0, stream.number, b"x") + reset(stream)), {200})}
        for way, (script, expected) in ways.items():
            origin = self.behind(script)
            server = self.front(origin, "http: 2, retry: off, breaker: off")
            sent = []
            for client in ("HTTP/1.1", "HTTP/2"):
                with self.subTest(way, client=client):
                    if client == "HTTP/2":
                        with http2_client.Client(server.port, patience=harness.PATIENCE) as line:
                            line.send(http2_client.request(1, http2_client.head(path="/files")))
                            status = line.answer(1)[0]
                    else:
                        line = http.client.HTTPConnection(server.address, timeout=harness.PATIENCE)
                        line.request("GET", "/files")
                        status = line.getresponse().status
                        line.close()
                    sent.append(status)
                    self.assertIn(status, expected)
                    logged = lambda: [each for each in server.logged() if each.get("event") == "request" and each.get("path") == "/files"]
                    harness.until(lambda: len(logged()) == len(sent), server.describe)
                    self.assertEqual(logged()[-1]["status"], status)
                    self.assertIn(f"127.0.0.1:{origin.port}", logged()[-1]["detail"])
            of = lambda status: sum(value for series, value in server.metrics().items() if series.startswith("http_server_request_duration_seconds_count{") and f'http_response_status_code="{status}"' in series and 'operation="getFile"' in series)
            self.assertEqual({status: of(status) for status in set(sent)}, {status: sent.count(status) for status in set(sent)}, way)

    def test_a_head_that_is_reset_at_once_is_a_failed_call(self):
        head = http2_client.field(":status", "200")
        origin = self.behind(lambda stream: stream.line.raw(http2_client.frame(http2_client.HEADERS, http2_client.END_HEADERS, stream.number, head) + http2_client.frame(http2_client.RST_STREAM, 0, stream.number, (2).to_bytes(4, "big"))))
        server = self.front(origin, "http: 2, retry: {attempts: 1}, breaker: {of: 20}")
        self.assertEqual((server.get("/files").code, len(origin.requests)), ("bad-answer", 2), "it is repeated, as any answer that cannot be used")
        failed = lambda: sum(value for series, value in server.metrics().items() if series.startswith("http_client_request_duration_seconds_count") and 'error_type="bad-answer"' in series)
        self.assertEqual(failed(), 1)
        for _ in range(9):
            server.get("/files")
        refused = server.get("/files")
        self.assertEqual((refused.status, refused.code), (503, "circuit-open"))

    def test_a_connection_that_the_service_closed_is_replaced(self):
        origin = self.behind(lambda stream: stream.answer(200, b"ok"))
        server = self.front(origin, "http: 2, retry: off")
        for i in range(3):
            self.assertEqual(server.post("/things", {"n": i}).status, 200)
            line = origin.lines[-1]
            line.close()
            harness.until(lambda: self.closed(server, origin.port), "the server has seen the end")
        self.assertEqual(origin.connections, 3)

    def closed(self, server, port):
        """No connection of the server to that port is established: what the other side has ended is CLOSE_WAIT."""
        listed = pathlib.Path(f"/proc/{server.popen.pid}/net/tcp").read_text()
        return not re.search(rf":[0-9A-F]{{4}} 0100007F:{port:04X} 01 ", listed)

    # -- which version

    def test_a_service_that_speaks_http1_is_called_with_it(self):
        for offers, options, status in ((("h2",), "", 200), (("h2", "http/1.1"), "", 200), (("h2",), "http: 2", 200), (("http/1.1",), "http: 2", 502)):
            with self.subTest(f"{offers} {options}"):
                behind = self.behind(lambda stream: stream.answer(200, b"two"), tls=self.certificate(), protocols=offers)
                server = self.front(behind, f"authorities: {self.certificate()[0]}" + (f", {options}" if options else ""))
                answer = server.get("/things")
                self.assertEqual(answer.status, status, answer)
                if status == 200:
                    self.assertEqual(answer.text, "two")
                    self.assertEqual(behind.requests[0].headers[":scheme"], "https")
                server.stop()

    def certificate(self):
        if not hasattr(self, "made"):
            folder = self.directory()
            cert, key = folder / "cert.pem", folder / "key.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                            "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
            self.made = (str(cert), str(key))
        return self.made

    def test_what_the_option_may_be(self):
        for text, good in (("1", True), ("2", True), ("auto", True), ("3", False), ("h2", False)):
            config = f"upstreams: {{back: {{targets: ['http://127.0.0.1:1'], http: {text}}}}}\n"
            server = self.server(CONTRACT, config)
            if good:
                server.start()
                server.stop()
            else:
                with self.assertRaisesRegex(AssertionError, "the version of HTTP is 1, 2 or auto"):
                    server.start()



if __name__ == "__main__":
    harness.main()
