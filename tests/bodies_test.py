"""Every kind of body on a running server (tests/programs/bodies_server.cpp): files, rows as CSV and NDJSON, events, forms; over HTTP/1.1, HTTP/2
and TLS; and whose certificate a caller has shown."""
import csv
import hashlib
import http.client
import io
import json
import os
import re
import socket
import ssl
import subprocess

import harness
import http2_client
from http2_test import certificate

CONTRACT = """
openapi: 3.1.0
info: {title: Bodies, version: '1'}
security: []
x-plimsoll: {rate-limit: off, authorization: any-caller, responses: off, compression: off}
paths:
""" + "\n".join(f"  /{name}: {{get: {{operationId: {name}, responses: {{'200': {{description: ok}}}}}}}}"
                for name in ("file", "cut", "csv", "ndjson", "events", "alive", "who")) + """
  /form:
    post:
      operationId: form
      x-plimsoll: {validate: {body: stream}}
      requestBody: {content: {multipart/form-data: {}}}
      responses: {'200': {description: ok}}
"""
MIB = 1 << 20


def multipart(parts, end="--b--\r\n"):
    """`parts`: (header lines without the last line break, content)."""
    return b"".join(b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts) + end.encode()


def named(name, content, filename=None):
    return f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else ""), content


class Bodies(harness.ServerTest):
    def start(self, config=None, wrap=(), directory=None, wait=True):
        folder = directory or self.directory()
        (folder / "spool").mkdir()
        self.content = os.urandom(3 * MIB + 17)
        (folder / "file.bin").write_bytes(self.content)
        executable = harness.program().parent / "bodies_server"
        server = self.server(CONTRACT, config, directory=folder, executable=executable)
        at = server.arguments.index("serve")
        server.arguments[:at + 2] = [*map(str, wrap), str(executable), server.arguments[at + 1]]  # a program of its own has no verbs
        if wait:
            return server.start()
        harness.Process.start(server)
        harness.until(lambda: "management at" in server.output, server.describe)
        return server

    def test_a_file_is_sent_by_the_kernel(self):
        harness.needs("strace")
        calls = self.directory() / "calls"
        server = self.start(wrap=("strace", "-D", "-f", "-e", "trace=sendfile", "-o", calls))
        self.assertEqual(server.get("/file").body, self.content)
        head = server.request("HEAD", "/file")
        self.assertEqual((head.headers["content-length"], head.body), (str(len(self.content)), b""))
        server.stop()
        harness.until(lambda: "+++ exited" in calls.read_text(), "the end of what was traced")
        self.assertEqual(sum(map(int, re.findall(r"sendfile\(.* = (\d+)$", calls.read_text(), re.M))), len(self.content))

    def test_a_file_over_http_2_and_tls(self):
        folder = self.directory()
        crt, key = certificate(folder)
        server = self.start(f"tls: {{certificate: '{crt}', key: '{key}'}}", directory=folder, wait=False)
        line = http.client.HTTPSConnection("localhost", server.port, context=ssl.create_default_context(cafile=crt), timeout=harness.PATIENCE)
        line.request("GET", "/file")
        self.assertEqual(line.getresponse().read(), self.content)
        line.close()
        with http2_client.Client(server.port, tls=True, settings=b"\0\4\x7f\xff\xff\xff") as client:
            client.send(http2_client.frame(http2_client.WINDOW_UPDATE, payload=b"\x7f\0\0\0"), http2_client.request(1, http2_client.head(path="/file")))
            status, fields, content = client.answer(1, harness.PATIENCE)
            self.assertEqual((status, fields["content-length"]), (200, str(len(self.content))))
            self.assertEqual(content, self.content)

    def test_a_file_that_is_shorter_than_was_said_is_no_whole_answer(self):
        server = self.start()
        with self.assertRaises(http.client.IncompleteRead):
            server.get("/cut")
        with http2_client.Client(server.port, settings=b"\0\4\x7f\xff\xff\xff") as client:
            client.send(http2_client.frame(http2_client.WINDOW_UPDATE, payload=b"\x7f\0\0\0"), http2_client.request(1, http2_client.head(path="/cut")))
            client.until(lambda: client.over(1), harness.PATIENCE)
            self.assertEqual(client.over(1), "INTERNAL_ERROR")
        self.assertEqual(server.get("/alive").status, 200)

    def test_csv_defuses_formulas(self):
        answer = self.start().get("/csv")
        self.assertEqual(answer.headers["content-type"], "text/csv; charset=utf-8; header=present")
        self.assertNotIn("content-length", answer.headers)
        rows = list(csv.reader(io.StringIO(answer.text, newline="")))
        self.assertEqual(rows[:7], [["name", "amount"], ["'=1+1", "-5"], ["'@SUM(A1)", "-5"], ['a,"b"\n', ""], ["'+49 30 1234", "'-2+3"],
                                    ["'\tx", "1.50"], ["plain", "2"]])
        self.assertEqual(len(rows), 20_001)

    def test_ndjson_is_a_line_for_each_row(self):
        lines = self.start().get("/ndjson").text.splitlines()
        self.assertEqual(len(lines), 20_000)
        self.assertEqual([json.loads(line) for line in lines[:3]], [{"name": "=1+1", "amount": -5}, {"name": "@SUM(A1)", "amount": "-5"}, {"name": 'a,"b"\n', "amount": None}])

    def test_a_stream_waits_for_its_reader(self):
        """200 readers that take nothing: what is made for each stays within the buffers of its socket and one piece."""
        server = self.start("limits: {connections-per-address: 1000}")

        private = lambda: harness.memory(server.pid, "RssAnon")
        server.get("/csv")
        before = private()
        lines = []
        for path in ("/csv", "/ndjson") * 100:
            line = socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE)
            self.addCleanup(line.close)
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            # Each has begun before the next one asks: so many at once would be more than is borne.
            self.assertTrue(line.recv(12, socket.MSG_WAITALL).endswith(b"200"))
            lines.append(line)
        self.assertEqual(server.get("/alive").status, 200)
        self.assertLess(private() - before, 16 * MIB)

    def events(self, server, last=None):
        """What comes of the stream as it comes: a function that returns all up to and with a text."""
        line = socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE)
        self.addCleanup(line.close)
        field = f"Last-Event-ID: {last}\r\n" if last else ""
        line.sendall(f"GET /events HTTP/1.1\r\nHost: a\r\n{field}\r\n".encode())
        received = b""

        def until(text):
            nonlocal received
            while text not in received:
                piece = line.recv(65536)
                self.assertTrue(piece, received)
                received += piece
            return received

        return line, until

    def test_events_go_on_behind_the_last_that_was_seen(self):
        server = self.start()
        _, until = self.events(server)
        received = until(b"id: 3\ndata: number\ndata: 3\n\n")
        self.assertIn(b"content-type: text/event-stream\r\n", received)
        self.assertEqual(re.findall(rb"^id: (\d)", received, re.M), [b"1", b"2", b"3"])
        _, until = self.events(server, last=2)
        self.assertEqual(re.findall(rb"^id: (\d)", until(b"data: 3\n\n"), re.M), [b"3"])

    def test_silence_is_filled_with_heartbeats_and_who_has_left_is_noticed(self):
        server = self.start()
        line, until = self.events(server, last=3)
        until(b"3\r\n:\n\n\r\n3\r\n:\n\n\r\n3\r\n:\n\n\r\n")  # each a chunk of its own
        self.assertEqual(server.get("/alive").text, "1")
        line.close()
        harness.until(lambda: server.get("/alive").text == "0", "the stream ends")
        with http2_client.Client(server.port) as client:
            client.send(http2_client.request(1, http2_client.head(path="/events", more=[("last-event-id", "3")])))
            self.assertTrue(client.until(lambda: b"".join(f[3] for f in client.of(http2_client.DATA, 1)).count(b":\n\n") >= 3))
            client.send(http2_client.frame(http2_client.RST_STREAM, stream=1, payload=b"\0\0\0\x08"))
            harness.until(lambda: server.get("/alive").text == "0", "the stream ends")

    def test_a_server_that_goes_down_ends_its_streams(self):
        server = self.start("limits: {drain: 1s}")
        _, until = self.events(server, last=3)
        until(b":\n\n")
        self.assertEqual(server.stop(), 0)

    def form(self, server, body, chunked=False):
        fields = {"Content-Type": "multipart/form-data; boundary=b"}
        if not chunked:
            return server.post("/form", body, fields)
        line = server.connection()
        try:
            line.request("POST", "/form", iter([body[i:i + 1000] for i in range(0, len(body), 1000)]), fields, encode_chunked=True)
            found = line.getresponse()
            return harness.Answer(found.status, harness.Headers(found.getheaders()), found.read())
        finally:
            line.close()

    def test_a_form_is_spooled_to_disk_beyond_the_threshold(self):
        server = self.start()
        contents = [b"x" * 1000, b"y" * 1001, os.urandom(MIB)]
        body = multipart([named("a", contents[0]), named("b", contents[1], "b.txt"), named("c", contents[2], "c.bin")])
        for chunked in (False, True):
            told = self.form(server, body, chunked).json()
            self.assertEqual(told, [[name, file, place, hashlib.sha256(content).hexdigest()] for name, file, place, content in
                                    (("a", "", "memory", contents[0]), ("b", "b.txt", "disk", contents[1]), ("c", "c.bin", "disk", contents[2]))])
        self.assertEqual(os.listdir(server.directory / "spool"), [], "spooled parts have no name that could be left behind")

    def test_each_limit_of_a_form(self):
        server = self.start()
        head, _ = named("a", b"")
        padded = lambda size: head + "\r\nX: " + "y" * (size - len(head) - 7)  # noqa: E731 (the line end before them counts)
        for body, status, code in (
                (multipart([named("a", b"1")] * 3), 200, None), (multipart([named("a", b"1")] * 4), 413, "multipart-too-large"),
                (multipart([named("a", b"x" * MIB)]), 200, None), (multipart([named("a", b"x" * (MIB + 1))]), 413, "multipart-too-large"),
                (multipart([(padded(200), b"1")]), 200, None), (multipart([(padded(201), b"1")]), 413, "multipart-too-large"),
                (multipart([named("a", b"1")], end=""), 400, "multipart-malformed"), (multipart([named("a", b"1")], end="--b"), 400, "multipart-malformed"),
                (multipart([("X: y", b"1")]), 400, "multipart-malformed"), (b"", 400, "multipart-malformed")):
            answer = self.form(server, body)
            self.assertEqual((answer.status, answer.json().get("code") if status != 200 else None), (status, code), body[:300])
        self.assertEqual(os.listdir(server.directory / "spool"), [])

    def test_descriptors_come_back(self):
        server = self.start()
        count = lambda: len(os.listdir(f"/proc/{server.pid}/fd"))  # noqa: E731
        server.get("/alive")
        before = count()
        for _ in range(20):
            server.get("/file")
            self.form(server, multipart([named("a", b"x" * 5000)] * 2))
            self.form(server, multipart([named("a", b"x" * 5000)] * 2, end=""))
            with self.assertRaises(http.client.IncompleteRead):
                server.get("/cut")
        harness.until(lambda: count() <= before, lambda: f"{count()} descriptors, {before} before")

    def test_a_handler_is_told_whose_certificate_a_caller_has_shown(self):
        folder = self.directory()

        def made(name, *more):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-keyout",
                            folder / f"{name}.key", "-out", folder / f"{name}.crt", *more], check=True, capture_output=True)

        made("authority", "-subj", "/CN=authority")
        made("caller", "-subj", "/O=Shop/CN=ada", "-CA", folder / "authority.crt", "-CAkey", folder / "authority.key")
        made("stranger", "-subj", "/CN=eve")
        crt, key = certificate(folder)
        config = f"tls: {{certificate: '{crt}', key: '{key}', client-certificate: optional, client-authorities: '{folder}/authority.crt'}}"
        server = self.start(config, directory=folder, wait=False)

        def asks(name=None):
            context = ssl.create_default_context(cafile=crt)
            if name:
                context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
            with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE), server_hostname="localhost") as line:
                line.sendall(b"GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answer = b""
                while piece := line.recv(65536):
                    answer += piece
                return answer.partition(b"\r\n\r\n")[2].decode()

        self.assertEqual(asks(), "")
        self.assertIn("CN=ada", asks("caller"))
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            asks("stranger")
        self.assertEqual(asks(), "", "what one caller has shown does not stick")


if __name__ == "__main__":
    harness.main()
