"""What ordinary clients send beside what a contract asks for: bodies of no bytes, bodies without a type."""
import harness
import http2_client
from http2_client import DATA, END_STREAM, frame

CONTRACT = """
openapi: 3.1.0
info: {title: Ordinary, version: '1'}
security: []
x-plimsoll: {rate-limit: off, mock: {}, authorization: any-caller}
paths:
  /none:
    post: {operationId: none, responses: {'204': {description: done}}}
  /json:
    post: {operationId: json, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'204': {description: done}}}
  /needed:
    post: {operationId: needed, requestBody: {required: true, content: {application/json: {schema: {type: object}}}}, responses: {'204': {description: done}}}
  /bytes:
    post: {operationId: bytes, requestBody: {content: {application/octet-stream: {}}}, responses: {'204': {description: done}}}
  /any:
    post: {operationId: any, requestBody: {content: {'*/*': {}}}, responses: {'204': {description: done}}}
"""


class OrdinaryClients(harness.ServerTest):
    def chunked(self, server, path, content, more=""):
        body = f"{len(content):x}\r\n{content}\r\n" if content else ""
        answer = server.raw(f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{more}\r\n{body}0\r\n\r\n".encode())
        return int(answer.split(b" ")[1]), answer

    def framed(self, server, path, content, more=()):
        with http2_client.Client(server.port) as client:
            client.send(http2_client.request(1, http2_client.head("POST", path, more=more), end=False), frame(DATA, END_STREAM, 1, content.encode()))
            return client.answer(1)[0], client

    def test_a_body_of_no_bytes_is_none(self):
        server = self.serve(CONTRACT)
        json = "Content-Type: application/json\r\n", [("content-type", "application/json")]
        for path, typed, content, status in (
                ("/none", False, "", 204), ("/none", False, "x", 400), ("/json", False, "", 204), ("/json", True, "", 204), ("/json", True, "{}", 204),
                ("/json", False, "{}", 415), ("/needed", False, "", 400), ("/needed", True, "", 400), ("/needed", True, "{}", 204)):
            with self.subTest(path=path, typed=typed, content=content):
                self.assertEqual(self.chunked(server, path, content, json[0] if typed else "")[0], status)
                self.assertEqual(self.framed(server, path, content, json[1] if typed else ())[0], status)

    def test_a_body_without_a_type_is_bytes_where_those_are_taken(self):
        server = self.serve(CONTRACT)
        for path, status in (("/bytes", 204), ("/any", 204), ("/json", 415)):
            with self.subTest(path=path):
                self.assertEqual(self.chunked(server, path, "abc")[0], status)
                self.assertEqual(self.framed(server, path, "abc")[0], status)
                answer = server.raw(f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc".encode())
                self.assertEqual(int(answer.split(b" ")[1]), status, answer)


if __name__ == "__main__":
    harness.main()
