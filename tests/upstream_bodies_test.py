"""Responses of a service whose bodies something reads: `writeOnly` members, `responses: enforce`, `fields`. Neither the caller nor the way in which the service frames its response decides whether they are read."""
import json
import random

import harness
from upstreams_test import Behind, answer

CONTRACT = """
openapi: 3.1.0
info: {title: Accounts, version: '1'}
x-plimsoll: {rate-limit: off, authorization: any-caller}
paths:
  /hidden: {get: {operationId: hidden, security: [], x-plimsoll: {upstream: reviews}, responses: {'200': &account {description: ok, content: {application/json: {schema: {type: object, properties: {id: {type: integer}, pw: {type: string, writeOnly: true}}}}}}}}}
  /validated: {get: {operationId: validated, security: [], x-plimsoll: {upstream: reviews, responses: enforce}, responses: {'200': &plain {description: ok, content: {application/json: {schema: {type: object, properties: {id: {type: integer}}}}}}}}}
  /selected: {get: {operationId: selected, security: [], x-plimsoll: {upstream: reviews, fields: true}, parameters: [{name: fields, in: query, schema: {type: string}}], responses: {'200': *plain}}}
  /unread: {get: {operationId: unread, security: [], x-plimsoll: {upstream: reviews}, responses: {'200': *plain}}}
  /files: {get: {operationId: files, security: [], x-plimsoll: {upstream: reviews, responses: enforce}, responses: {'200': {description: ok, content: {application/octet-stream: {}}}}}}
"""
HIDDEN = {"id": 1, "pw": "SECRET"}


def part(request, body, kind):
    """As a service answers that knows ranges."""
    said = request[1].get("range")
    if not said:
        return answer(body, kind=kind, more="Cache-Control: max-age=60\r\nAccept-Ranges: bytes\r\n")
    first, _, last = said.partition("=")[2].partition("-")
    start, end = (int(first), min(int(last or len(body)), len(body) - 1)) if first else (max(len(body) - int(last), 0), len(body) - 1)
    return answer(body[start:end + 1], "206 Partial Content", kind, f"Content-Range: bytes {start}-{end}/{len(body)}\r\n")


class Bodies(Behind):
    def test_no_range_of_a_caller_takes_a_body_past_what_reads_it(self):
        """Whether the service cuts the part, or the cache of the upstream would."""
        chance = random.Random(harness.seed())
        for options in ("", "cache: 16MiB"):
            with self.subTest(options):
                target = self.target()
                bodies = {"/hidden": json.dumps(HIDDEN).encode(), "/validated": b'{"id": "no number"}', "/selected?fields=id": json.dumps(HIDDEN).encode()}
                target.does = lambda _, request: part(request, bodies[request[0].split()[1]], "application/json")
                server = self.serve(CONTRACT, self.upstreams(target, options=options))
                ranges = [None, "bytes=0-", "bytes=-15", "bytes=0-30"] + [f"bytes={chance.randrange(9)}-{chance.randrange(9, 40)}" for _ in range(4)]
                for path, expected in (("/hidden", (200, {"id": 1})), ("/validated", (500, "invalid-response")), ("/selected?fields=id", (200, {"id": 1}))):
                    for name in ("Range", "RANGE"):
                        for said in ranges:
                            got = server.get(path, headers={name: said, "If-Range": '"1"'} if said else {})
                            self.assertEqual((got.status, got.json()["code"] if got.status >= 400 else got.json()), expected, (path, said))
                self.assertFalse([seen for seen in target.seen if "range" in seen[1] or "if-range" in seen[1]])

    def test_a_part_that_was_not_asked_for_is_no_response(self):
        target = self.target()
        target.does = answer(HIDDEN, "206 Partial Content", more="Content-Range: bytes 0-25/26\r\n")
        server = self.serve(CONTRACT, self.upstreams(target, options="retry: off, breaker: off"))
        for path in ("/hidden", "/validated"):
            got = server.get(path)
            self.assertEqual((got.status, got.json()["code"]), (502, "bad-answer"), path)

    def test_parts_of_what_nothing_reads_pass(self):
        target = self.target()
        target.does = lambda _, request: part(request, b"0123456789", "application/octet-stream" if "files" in request[0] else "application/json")
        server = self.serve(CONTRACT, self.upstreams(target))
        for path in ("/files", "/unread"):
            got = server.get(path, headers={"Range": "bytes=2-4"})
            self.assertEqual((got.status, got.body), (206, b"234"), path)

    def test_the_media_type_is_validated_however_the_body_comes(self):
        """At once, in pieces, long or of unknown length."""
        target = self.target()
        small, large = b"0123456789", b"x" * 60_000

        def framed(body, kind, way):
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n"
            if way == "chunked":
                return (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            return (head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        server = self.serve(CONTRACT, self.upstreams(target))
        for body in (small, large):
            for way in ("length", "chunked"):
                for kind in ("application/octet-stream", "image/png", "application/xml", "text/event-stream"):
                    target.does = framed(body, kind, way)
                    got = server.get("/validated")
                    self.assertEqual((got.status, got.json()["code"]), (500, "invalid-response"), (kind, way, len(body)))
                    got = server.get("/files")
                    self.assertEqual((got.status, got.body == body), (200, True) if kind == "application/octet-stream" else (500, False), (kind, way, len(body)))
        target.does = lambda _, request: part(request, small, "image/png")
        self.assertEqual(server.get("/files", headers={"Range": "bytes=2-4"}).status, 500, "of a part too")


if __name__ == "__main__":
    harness.main()
