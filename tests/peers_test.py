"""Who asks, as proxies in front say: the PROXY protocol in both versions, `X-Forwarded-*` and `Forwarded`, over TCP, TLS and a Unix socket,
from peers that are trusted and from others. What the server makes of it stands in its log."""
import itertools
import socket
import ssl
import struct

import harness
from http2_test import certificate

CONTRACT = """
openapi: 3.1.0
info: {title: Peers, version: '1'}
security: []
paths:
  /from/{number}:
    parameters: [{name: number, in: path, required: true, schema: {type: integer}}]
    get: {operationId: from, x-plimsoll: {mock: {}, rate-limit: off}, responses: {'200': {description: ok, content: {application/json: {example: {}}}}}}
"""
NUMBERS = itertools.count(1)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def binary(command, family, addresses=b"", vectors=b""):
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(addresses) + len(vectors)) + addresses + vectors


def vector(kind, value):
    return bytes([kind]) + struct.pack("!H", len(value)) + value


PORTS = struct.pack("!HH", 56324, 443)
V4 = socket.inet_aton("192.0.2.9") + socket.inet_aton("198.51.100.1") + PORTS
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::9") + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + PORTS
PATHS = b"/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0")
OURSELVES = "127.0.0.1"

# What stands before the request, and who the client is; None: the connection is closed without a word of HTTP.
HEADERS = [
    (b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 443\r\n", "192.0.2.9"),
    (b"PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n", "2001:db8::9"),
    (b"PROXY UNKNOWN\r\n", OURSELVES),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", OURSELVES),
    (binary(1, 0x11, V4), "192.0.2.9"),
    (binary(1, 0x21, V6), "2001:db8::9"),
    (binary(1, 0x31, PATHS), "unix"),
    (binary(0, 0x00), OURSELVES),  # LOCAL: the proxy itself asks
    (binary(0, 0x11, V4), OURSELVES),
    (binary(1, 0x00), OURSELVES),
    (binary(1, 0x11, V4, vector(0x03, b"\0" * 4) + vector(0x20, b"\7\0\0\0\0" + vector(0x21, b"TLSv1.3")) + vector(0xEA, b"\1vpce-1")), "192.0.2.9"),
    (binary(1, 0x11, V4, vector(0x04, b"\0" * 4065)), "192.0.2.9"),  # 4,096 bytes in all, the most that is read
    (binary(1, 0x11, V4, vector(0x04, b"\0" * 4066)), None),
    (binary(1, 0x11, V4[:11]), None),
    (binary(1, 0x21, V4), None),
    (binary(1, 0x12, V4), None),  # UDP
    (binary(2, 0x11, V4), None),
    (SIGNATURE + b"\x11\x11\0\x0c" + V4, None),  # version 1 in binary
    (b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 443\n", None),
    (b"PROXY  TCP4 192.0.2.9 198.51.100.1 56324 443\r\n", None),
    (b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 443 \r\n", None),
    (b"PROXY TCP4 192.0.2.009 198.51.100.1 56324 443\r\n", None),
    (b"PROXY TCP4 192.0.2.9 198.51.100.1 65536 443\r\n", None),
    (b"PROXY TCP6 192.0.2.9 198.51.100.1 56324 443\r\n", None),
    (b"proxy TCP4 192.0.2.9 198.51.100.1 56324 443\r\n", None),
    (b"PROXY UNKNOWN" + b" " * 95 + b"\r\n", None),  # longer than a line may be
    (b"", None),
]

# What a trusted proxy writes, beside `X-Forwarded-For: 6.6.6.6` or `Forwarded: for=6.6.6.6` of the client before it.
FORWARDED_FOR = [
    (["X-Forwarded-For: 192.0.2.9"], "192.0.2.9"),
    (["X-Forwarded-For: 6.6.6.6, 192.0.2.9, 10.0.0.5"], "192.0.2.9"),
    (["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.9"], "192.0.2.9"),
    (["X-Forwarded-For: [2001:db8::9]:443"], "2001:db8::9"),
    (["X-Forwarded-For: 192.0.2.9:4711"], "192.0.2.9"),
    (["X-Forwarded-For: 6.6.6.6, garbage"], OURSELVES),
    (["X-Forwarded-For: 6.6.6.6, garbage, 10.0.0.5"], "10.0.0.5"),
    (["X-Forwarded-For: 10.0.0.6, 10.0.0.5"], "10.0.0.6"),
    (["X-Forwarded-For: ,,"], OURSELVES),
    (["Forwarded: for=6.6.6.6"], OURSELVES),
]
FORWARDED = [
    (["Forwarded: for=192.0.2.9"], "192.0.2.9"),
    (['Forwarded: for=6.6.6.6, FOR="[2001:db8::9]:4711";Proto=https;by=_us'], "2001:db8::9"),
    (['Forwarded: for="6.6.6.6, for=192.0.2.9'], "192.0.2.9"),  # a quote that the client left open takes nothing away
    (['Forwarded: for="6.6.6.6,", for=192.0.2.9'], "192.0.2.9"),
    (["Forwarded: for=6.6.6.6, for=unknown"], OURSELVES),
    (["Forwarded: for=6.6.6.6, for=_hidden"], OURSELVES),
    (["Forwarded: for=6.6.6.6, by=192.0.2.9"], OURSELVES),
    (["X-Forwarded-For: 6.6.6.6"], OURSELVES),
]


class Peers(harness.ServerTest):
    def clients(self, server, rows, connect=None):
        """Sends a request for each row (bytes before it, lines in it) and returns who the log says asked, None where nothing was answered."""
        answered = []
        for before, lines in rows:
            number = next(NUMBERS)
            head = "".join(f"{line}\r\n" for line in lines)
            request = f"GET /from/{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}\r\n".encode()
            answer = b""
            try:
                with (connect(before) if connect else socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE)) as line:
                    line.sendall(request if connect else before + request)
                    while piece := line.recv(65536):
                        answer += piece
            except ConnectionError:
                pass
            answered.append((number, answer.startswith(b"HTTP/1.1 200")))
        server.stop()  # which writes the last lines of the log
        said = {line["path"]: line["client"] for line in server.logged() if line.get("event") == "request"}
        return [said.get(f"/from/{number}") if good else None for number, good in answered]

    def warned(self, server):
        return [line["claims"] for line in server.logged() if line.get("event") == "untrusted-proxy"]

    def behind(self, config):
        server = self.server(CONTRACT, config)
        harness.Process.start(server)
        harness.until(lambda: "management at" in server.output or not server.alive, server.describe)
        return server

    def held_against(self, rows, config):
        server = self.behind(config)
        found = self.clients(server, [(b"", lines) for lines, _ in rows])
        self.assertEqual(list(zip([lines for lines, _ in rows], found)), rows)

    def test_proxy_protocol_of_a_trusted_proxy(self):
        server = self.behind("trusted-proxies: {networks: [127.0.0.1], protocol: true}")
        found = self.clients(server, [(before, ["X-Forwarded-For: 6.6.6.6"]) for before, client in HEADERS if client != OURSELVES])
        self.assertEqual(found, [client for _, client in HEADERS if client != OURSELVES])

    def test_a_proxy_that_speaks_for_itself_may_forward(self):
        server = self.behind("trusted-proxies: {networks: [127.0.0.1], protocol: true}")
        rows = [before for before, client in HEADERS if client == OURSELVES]
        self.assertEqual(self.clients(server, [row for before in rows for row in ((before, []), (before, ["X-Forwarded-For: 192.0.2.9"]))]),
                         [OURSELVES, "192.0.2.9"] * len(rows))

    def test_proxy_protocol_of_others_is_no_connection_and_a_warning(self):
        server = self.behind("trusted-proxies: {networks: [10.0.0.1], protocol: true}")
        self.assertEqual(self.clients(server, [(HEADERS[0][0], []), (binary(0, 0), []), (b"", [])]), [None] * 3)
        self.assertEqual(set(self.warned(server)), {"a connection with a PROXY header"})

    def test_proxy_protocol_stands_before_tls(self):
        folder = self.directory()
        crt, key = certificate(folder)
        server = self.behind(f"tls: {{certificate: '{crt}', key: '{key}'}}\ntrusted-proxies: {{networks: [127.0.0.1], protocol: true}}")
        context = ssl.create_default_context(cafile=crt)

        def connect(before):
            line = socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE)
            line.sendall(before)
            return context.wrap_socket(line, server_hostname="localhost")

        self.assertEqual(self.clients(server, [(HEADERS[0][0], []), (binary(1, 0x21, V6), [])], connect), ["192.0.2.9", "2001:db8::9"])

    def test_proxy_protocol_over_a_unix_socket(self):
        folder = self.directory()
        server = self.server(CONTRACT, "trusted-proxies: {networks: [unix], protocol: true}", directory=folder, arguments=("--listen", f"unix:{folder}/s"))
        harness.Process.start(server)
        harness.until(lambda: (folder / "s").exists() and "management at" in server.output, server.describe)

        def connect(before):
            line = socket.socket(socket.AF_UNIX)
            line.connect(f"{folder}/s")
            line.sendall(before)
            return line

        self.assertEqual(self.clients(server, [(binary(1, 0x11, V4), []), (binary(0, 0), []), (binary(1, 0x31, PATHS), []), (HEADERS[1][0], [])], connect),
                         ["192.0.2.9", "unix", "unix", "2001:db8::9"])

    def test_x_forwarded_for_of_a_trusted_proxy(self):
        self.held_against(FORWARDED_FOR, "trusted-proxies: [127.0.0.1, 10.0.0.0/8]")

    def test_forwarded_of_a_trusted_proxy(self):
        self.held_against(FORWARDED, "trusted-proxies: {networks: [127.0.0.1], header: forwarded}")

    def test_nothing_is_believed_of_others_and_each_field_is_a_warning(self):
        for line in ("X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: b", "Forwarded: for=192.0.2.9"):
            with self.subTest(line):
                server = self.behind("trusted-proxies: [10.0.0.1]")
                self.assertEqual(self.clients(server, [(b"", [line])]), [OURSELVES])
                self.assertEqual(self.warned(server), ["a forwarding header"])
        server = self.behind("trusted-proxies: [10.0.0.1]")
        self.assertEqual(self.clients(server, [(b"", ["X-Forward: a", "From: a@b"])]), [OURSELVES])
        self.assertEqual(self.warned(server), [])


if __name__ == "__main__":
    harness.main()
