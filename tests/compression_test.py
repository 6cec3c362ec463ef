"""Compressed answers as a client meets them; each coding is undone by another implementation's library than the one that made the body,
or by the reference library called from here."""
import ctypes
import ctypes.util
import json
import unittest
import zlib

import harness

ROWS = [{"id": number, "name": f"item {number}", "note": "the same words again and again"} for number in range(200)]
CONTRACT = f"""
openapi: 3.1.0
info: {{title: Compression, version: "1"}}
paths:
  /items:
    get:
      operationId: items
      x-plimsoll: {{mock: true}}
      responses:
        "200":
          description: ok
          content: {{application/json: {{schema: {{type: array}}, example: {json.dumps(ROWS)}}}}}
  /small:
    get:
      operationId: small
      x-plimsoll: {{mock: true}}
      responses:
        "200": {{description: ok, content: {{application/json: {{schema: {{const: 1}}}}}}}}
  /plain:
    get:
      operationId: plain
      x-plimsoll: {{mock: true, compression: off}}
      responses:
        "200":
          description: ok
          content: {{application/json: {{schema: {{type: array}}, example: {json.dumps(ROWS)}}}}}
"""


def library(name):
    found = ctypes.util.find_library(name)
    if not found:
        raise unittest.SkipTest(f"lib{name} is not installed: scripts/install-dependencies test")
    return ctypes.CDLL(found)


def undone(coding, body, room=1 << 20):
    """The body before its coding."""
    if coding == "gzip":
        return zlib.decompress(body, wbits=31)
    out = ctypes.create_string_buffer(room)
    if coding == "br":
        size = ctypes.c_size_t(room)
        done = library("brotlidec").BrotliDecoderDecompress(ctypes.c_size_t(len(body)), body, ctypes.byref(size), out)
        assert done == 1, "no whole brotli stream"
        return out.raw[:size.value]
    assert coding == "zstd", coding
    zstd = library("zstd")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    size = zstd.ZSTD_decompress(out, ctypes.c_size_t(room), body, ctypes.c_size_t(len(body)))
    assert not zstd.ZSTD_isError(ctypes.c_size_t(size)), "no whole zstd frame"
    return out.raw[:size]


class Compression(harness.ServerTest):
    def setUp(self):
        self.running = self.serve(CONTRACT)

    def items(self, accepted, path="/items", **headers):
        return self.running.get(path, {"Accept-Encoding": accepted, **headers} if accepted is not None else headers)

    def test_each_coding_gives_the_same_body(self):
        plain = self.items(None)
        self.assertNotIn("content-encoding", plain.headers)
        self.assertEqual(plain.json(), ROWS)
        for coding in ("gzip", "br", "zstd"):
            with self.subTest(coding):
                answer = self.items(coding)
                self.assertEqual(answer.headers["content-encoding"], coding)
                self.assertIn("accept-encoding", answer.headers["vary"].lower())
                self.assertLess(len(answer.body) * 4, len(plain.body))
                self.assertEqual(undone(coding, answer.body), plain.body)

    def test_the_callers_preference_decides(self):
        for accepted, coding in (("gzip, deflate, br, zstd", "zstd"), ("gzip, br", "br"), ("gzip;q=1.0, br;q=0.5", "gzip"), ("*", "zstd"),
                                 ("zstd;q=0, *;q=0.1", "br"), ("GZIP", "gzip"), ("identity", None), ("", None), ("gzip;q=0", None),
                                 ("deflate", None), ("gzip;q=0.2, identity;q=0.9", None)):
            with self.subTest(accepted):
                answer = self.items(accepted)
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers.get("content-encoding"), coding)
                self.assertEqual(json.loads(undone(coding, answer.body) if coding else answer.body), ROWS)

    def test_small_answers_and_operations_that_say_off_stay_as_they_are(self):
        for path in ("/small", "/plain"):
            with self.subTest(path):
                self.assertNotIn("content-encoding", self.items("gzip", path).headers)

    def test_a_coded_answer_has_its_own_entity_tag_and_is_found_unchanged_by_it(self):
        plain, coded = self.items(None), self.items("gzip")
        self.assertIn("etag", plain.headers)
        self.assertNotEqual(plain.headers["etag"], coded.headers["etag"])
        for tag, accepted in ((plain.headers["etag"], None), (coded.headers["etag"], "gzip")):
            again = self.items(accepted, **{"If-None-Match": tag})
            self.assertEqual((again.status, again.body), (304, b""))
            self.assertEqual(again.headers["etag"], tag)
            self.assertNotIn("content-encoding", again.headers)

    def test_head_says_what_get_would(self):
        got = self.items("br")
        head = self.running.request("HEAD", "/items", headers={"Accept-Encoding": "br"})
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers.get("content-encoding"), got.headers["content-encoding"])
        self.assertEqual(head.headers.get("etag"), got.headers["etag"])


if __name__ == "__main__":
    harness.main()
