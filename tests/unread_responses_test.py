"""Responses that their readers do not take are bounded over all connections, however many ask for them and over either protocol: so many bytes
in memory, the rest on disk, then 503; one address has a quarter. What is sent from disk is byte for byte what is sent from memory."""
import socket
import struct

import harness
import http2_client

ROWS, ROW = 24, 240_000
CONTRACT = """openapi: 3.1.0
info: {title: Unread, version: 1.0.0}
security: []
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables: {items: {schema: '#/components/schemas/Item', page: {default: 100, max: 100}}}
paths:
  /items:
    get: {operationId: listItems, x-plimsoll: {table: items}, responses: {'200': {description: ok}}}
    post: {operationId: createItem, x-plimsoll: {table: items}, requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Item'}}}}, responses: {'201': {description: created}}}
components:
  schemas:
    Item: {type: object, required: [text], properties: {id: {type: integer, readOnly: true}, text: {type: string}}}
"""
MEMORY, DISK = 16 << 20, 48 << 20
CONFIG = f"limits: {{bodies: {MEMORY >> 20}MiB, bodies-on-disk: {DISK >> 20}MiB, response-rate: 0B}}\ntrusted-proxies: [127.0.0.0/8]\n"
BY_ADDRESS = (MEMORY + DISK) // 4


class UnreadResponses(harness.ServerTest):
    def setUp(self):
        self.api = self.serve(CONTRACT, CONFIG, environment={"TMPDIR": str(self.directory())})
        for i in range(ROWS):
            self.assertEqual(self.api.post("/items", {"text": chr(97 + i) * ROW}).status, 201)
        self.whole = self.api.get("/items").body
        self.assertGreater(len(self.whole), ROWS * ROW)
        harness.until(lambda: self.held() == 0, lambda: str(self.taken()))

    def taken(self):
        return {name: value for name, value in self.api.metrics().items() if name.startswith("plimsoll_bod")}

    def held(self):
        return sum(value for name, value in self.taken().items() if name.startswith("plimsoll_body_bytes"))

    def refused(self):
        return self.taken()["plimsoll_bodies_refused_total"]

    def resident(self):
        return harness.memory(self.api.pid)

    def ask(self, address):
        """Asks for the list and does not read it: the buffers of the system take little of it."""
        line = socket.socket()
        self.addCleanup(line.close)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", self.api.port))
        line.sendall(f"GET /items HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: {address}\r\n\r\n".encode())
        return line

    def counted(self, asked):
        harness.until(lambda: self.held() + self.refused() * len(self.whole) >= asked * len(self.whole), lambda: str(self.taken()))

    def read(self, line):
        line.settimeout(60)
        answer = b"".join(iter(lambda: line.recv(1 << 20), b""))
        head, body = answer.split(b"\r\n\r\n", 1)
        return int(head.split()[1]), body

    def test_of_all_addresses_over_http_1(self):
        before, lines = self.resident(), []
        most = (MEMORY // len(self.whole)) + (DISK // len(self.whole))
        for i in range(most + 5):
            lines.append(self.ask(f"192.0.2.{i}"))
            self.counted(len(lines))
        taken = self.taken()
        self.assertLessEqual(taken['plimsoll_body_bytes{store="memory"}'], MEMORY)
        self.assertLessEqual(taken['plimsoll_body_bytes{store="disk"}'], DISK)
        self.assertEqual(self.refused(), 5)
        self.assertLess(self.resident() - before, 3 * MEMORY, "what is on disk is not in memory too")
        answers = [self.read(line) for line in lines]
        self.assertEqual([status for status, _ in answers], [200] * most + [503] * 5)
        self.assertEqual({body for status, body in answers if status == 200}, {self.whole})
        self.assertTrue(all(b'"too-many-bodies"' in body for status, body in answers if status == 503))
        harness.until(lambda: self.held() == 0, lambda: str(self.taken()))
        self.assertEqual(self.api.get("/items").body, self.whole)

    def test_of_one_address_over_http_2(self):
        """With a window of nothing each response waits; the second address is served meanwhile."""
        line = http2_client.Client(self.api.port, settings=struct.pack("!HI", 4, 0))
        streams, most = list(range(1, 40, 2)), BY_ADDRESS // len(self.whole)
        for stream in streams:
            line.send(http2_client.request(stream, http2_client.head(path="/items", more=[("x-forwarded-for", "192.0.2.1")])))
        self.assertTrue(line.until(lambda: len(line.of(http2_client.HEADERS)) == len(streams), harness.PATIENCE), line)
        self.assertEqual(self.held() // len(self.whole), most)
        self.assertGreater(self.refused(), 0)  # `priority` refuses others
        other = self.read(self.ask("192.0.2.2"))
        self.assertEqual(other, (200, self.whole))
        line.line.close()
        harness.until(lambda: self.held() == 0, lambda: str(self.taken()))

    def test_an_unsafe_request_whose_response_has_no_room_does_not_say_that_nothing_was_done(self):
        server = self.serve(CONTRACT, "limits: {bodies: 384KiB, bodies-on-disk: 0B}\n")
        got = server.post("/items", {"text": "z" * ROW})  # which takes most of the room itself
        self.assertEqual((got.status, got.code), (503, "outcome-unknown"))
        self.assertEqual([row["id"] for row in server.get("/items?fields=id").json()["data"]], [1])
        self.assertEqual(server.post("/items", {"text": "z" * (ROW // 2)}).status, 201)


if __name__ == "__main__":
    harness.main()
