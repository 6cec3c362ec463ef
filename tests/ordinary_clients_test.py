"""What ordinary clients send beside what a contract asks for: bodies of no bytes, bodies without a type, large bodies that are rejected."""
import subprocess

import harness
import http2_client
import http2_test
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

    def test_a_large_upload_that_is_rejected_has_a_readable_response(self):
        """The curl of Debian 12 over each version of HTTP, in clear and over TLS."""
        harness.needs("curl", "openssl")
        folder = self.directory()
        (folder / "large").write_bytes(bytes(32 << 20))
        crt, key = http2_test.certificate(folder)
        clear = self.serve(CONTRACT)
        secret = self.server(CONTRACT, f"tls: {{certificate: '{crt}', key: '{key}'}}", directory=folder)
        harness.Process.start(secret)
        harness.until(lambda: http2_test.reachable(secret.port), secret.describe)
        for server, scheme, version in ((clear, "http", "--http1.1"), (clear, "http", "--http2-prior-knowledge"), (secret, "https", "--http1.1"), (secret, "https", "--http2")):
            for path, status, code in (("/json", 413, "payload-too-large"), ("/nothing", 404, "not-found")):
                with self.subTest(f"{scheme} {version} {path}"):
                    told = subprocess.run(["curl", "-sS", "--insecure", version, "-H", "Expect:", "-H", "Content-Type: application/json", "--data-binary", f"@{folder}/large",
                                           "-w", "%{http_code}", f"{scheme}://localhost:{server.port}{path}"], capture_output=True, text=True, timeout=harness.PATIENCE)
                    self.assertEqual(told.returncode, 0, told.stderr)
                    self.assertEqual(told.stdout[-3:], str(status))
                    self.assertIn(f'"code":"{code}"', told.stdout)

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
