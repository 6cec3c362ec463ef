"""What RFC 9110 asks of a server beyond the framing of messages: methods, conditions and their order, dates, codings, fields that come
twice. Each row of CASES is sent over HTTP/1.1 and over HTTP/2.

`/usr/bin/python3 tests/http_semantics_test.py --table` prints docs/conformance/rfc9110.md, which is made from the rows.
"""
import sys

import harness
import http2_client

TEXT = "lorem ipsum " * 400
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
CONTRACT = f"""
openapi: 3.1.0
info: {{title: Semantics, version: '1'}}
security: []
x-plimsoll: {{rate-limit: off, mock: {{}}, authorization: any-caller}}
paths:
  /page:
    get:
      operationId: page
      responses:
        '200':
          description: ok
          headers: {{Last-Modified: {{schema: {{type: string}}, example: '{MODIFIED}'}}, ETag: {{schema: {{type: string}}, example: '"own"'}}}}
          content: {{text/plain: {{schema: {{type: string}}, example: '{TEXT}'}}}}
  /untouched:
    get:
      operationId: untouched
      responses:
        '200':
          description: ok
          headers: {{Cache-Control: {{schema: {{type: string}}, example: 'public, no-transform'}}}}
          content: {{text/plain: {{schema: {{type: string}}, example: '{TEXT}'}}}}
  /small:
    get:
      operationId: small
      responses: {{'200': {{description: ok, content: {{application/json: {{schema: {{type: object}}, example: {{a: 1}}}}}}}}}}
    post:
      operationId: add
      requestBody: {{required: true, content: {{application/json: {{schema: {{type: object}}}}}}}}
      responses: {{'201': {{description: ok, content: {{application/json: {{schema: {{type: object}}, example: {{a: 1}}}}}}}}}}
  /either:
    get:
      operationId: either
      responses: {{'200': {{description: ok, content: {{application/json: {{schema: {{type: object}}, example: {{a: 1}}}}, text/plain: {{schema: {{type: string}}, example: a}}}}}}}}
  /whole:
    put:
      operationId: replace
      requestBody: {{required: true, content: {{application/json: {{schema: {{type: object}}}}}}}}
      responses: {{'200': {{description: ok, content: {{application/json: {{schema: {{type: object}}, example: {{a: 1}}}}}}}}}}
"""

JSON = ("content-type", "application/json")
LATER, EARLIER = "Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 06 Nov 1994 08:49:36 GMT"


def get(*fields, method="GET", path="/page", body=b""):
    return method, path, fields, body


def post(*fields, body=b"{}"):
    return get(*fields, method="POST", path="/small", body=body)


def since(date):
    return get(("if-modified-since", date))


def until(date):
    return get(("if-unmodified-since", date))


def accepting(*values):
    return get(*[("accept-encoding", value) for value in values])


# Section, what must be, the request, the status, fields of the answer (None: not there).
CASES = [
    ("5.6.7", "a date of today's form is understood", since(MODIFIED), 304, {}),
    ("5.6.7", "a date of RFC 850 is understood", since("Sunday, 06-Nov-94 08:49:37 GMT"), 304, {}),
    ("5.6.7", "a date of asctime is understood", since("Sun Nov  6 08:49:37 1994"), 304, {}),
    ("5.6.7", "a year of two digits more than fifty years ahead is of the century before", since("Saturday, 06-Nov-93 08:49:37 GMT"), 200, {}),
    ("5.6.7", "a date of another zone is none", since("Sun, 06 Nov 1994 08:49:37 +0000"), 200, {}),
    ("5.6.7", "a date is case-sensitive", since("sun, 06 nov 1994 08:49:37 gmt"), 200, {}),
    ("6.6.1", "each answer has a Date", get(), 200, {"date": ...}),
    ("6.6.1", "an error has a Date too", get(path="/nothing"), 404, {"date": ...}),
    ("8.3", "a Content-Type that comes twice is refused: two readers could take one each", post(JSON, ("content-type", "text/plain")), 415, {}),
    ("8.3", "so is one that says a parameter twice", get(("content-type", "application/json; charset=utf-8; charset=utf-16"), method="POST", path="/small", body=b"{}"), 415, {}),
    ("9.3.4", "a PUT of a part is refused: it would be stored as the whole", get(JSON, ("content-range", "bytes 0-1/100"), method="PUT", path="/whole", body=b"{}"), 400, {}),
    ("8.4", "a body whose coding is unknown is 415, and Accept-Encoding says which are taken (12.5.3)", post(JSON, ("content-encoding", "gzip")), 415, {"accept-encoding": "identity"}),
    ("8.4", "codings on several lines are all seen", post(JSON, ("content-encoding", "identity"), ("content-encoding", "gzip")), 415, {}),
    ("8.4.1", "names of codings have no case", post(JSON, ("content-encoding", "IDENTITY")), 201, {}),
    ("9.1", "methods have case", get(method="get"), 405, {"allow": "GET, HEAD, OPTIONS"}),
    ("9.3.2", "HEAD is GET without the content", get(method="HEAD"), 200, {"content-length": str(len(TEXT)), "etag": '"own"'}),
    ("9.3.2", "HEAD of what is not there has no content either", get(method="HEAD", path="/nothing"), 404, {"content-type": "application/problem+json"}),
    ("9.3.7", "OPTIONS tells the methods", get(method="OPTIONS", path="/small"), 204, {"allow": "GET, HEAD, OPTIONS, POST"}),
    ("9.3.7", "OPTIONS tells the methods where none is safe", get(method="OPTIONS", path="/whole"), 204, {"allow": "OPTIONS, PUT"}),
    ("9.3.7", "so it does where a preflight asks for a method that is not there", get(("origin", "https://app.example.com"), ("access-control-request-method", "DELETE"), method="OPTIONS", path="/whole"), 204, {"allow": "OPTIONS, PUT"}),
    ("9.3.7", "OPTIONS of * is of the server as a whole", get(method="OPTIONS", path="*"), 204, {}),
    ("9.3.8", "TRACE sends nothing back", get(("cookie", "a=b"), method="TRACE"), 405, {"allow": "GET, HEAD, OPTIONS"}),
    ("12.5.3", "the coding with the highest weight", accepting("zstd;q=0.5, br;q=0.500, gzip;q=0.501"), 200, {"content-encoding": "gzip", "etag": '"own;gzip"', "vary": "accept-encoding"}),
    ("12.5.3", "a weight of a thousandth counts", accepting("gzip;q=0.001"), 200, {"content-encoding": "gzip"}),
    ("12.5.3", "a weight of four decimals is none", accepting("gzip;q=0.1234"), 200, {"content-encoding": None}),
    ("12.5.3", "a weight above one is none", accepting("gzip;q=1.001"), 200, {"content-encoding": None}),
    ("12.5.3", "q=0 excludes", accepting("br;q=0, zstd;q=0, *"), 200, {"content-encoding": "gzip"}),
    ("12.5.3", "*;q=0 excludes all that is not named", accepting("gzip, *;q=0"), 200, {"content-encoding": "gzip"}),
    ("12.5.3", "nothing acceptable: as it is", accepting("identity;q=0, *;q=0"), 200, {"content-encoding": None}),
    ("12.5.3", "identity may be preferred", accepting("gzip;q=0.5, identity;q=0.6"), 200, {"content-encoding": None}),
    ("12.5.3", "an empty field accepts identity only", accepting(""), 200, {"content-encoding": None, "vary": "accept-encoding"}),
    ("12.5.3", "lines are one list", accepting("br;q=0.1", "gzip"), 200, {"content-encoding": "gzip"}),
    ("12.5.3", "x-gzip is gzip (8.4.1.3), and names have no case", accepting("X-GZip"), 200, {"content-encoding": "gzip"}),
    ("12.5.3", "nothing is changed under no-transform (9111, 5.2.2.6)", get(("accept-encoding", "gzip"), path="/untouched"), 200, {"content-encoding": None}),
    ("12.5.3", "what is small stays as it is", get(("accept-encoding", "gzip"), path="/small"), 200, {"content-encoding": None}),
    ("12.5.5", "what Accept has chosen varies by it", get(("accept", "text/plain"), path="/either"), 200, {"content-type": "text/plain", "vary": "accept-encoding, accept"}),
    ("13.1.1", "If-Match of another tag is 412, for GET too", get(("if-match", '"other"')), 412, {}),
    ("13.1.1", "If-Match: *", get(("if-match", "*")), 200, {}),
    ("13.1.1", "If-Match of one of several lines", get(("if-match", '"other"'), ("if-match", '"own"')), 200, {}),
    ("13.1.1", "If-Match compares strongly", get(("if-match", 'W/"own"')), 412, {}),
    ("13.1.1", "If-Match takes the tag of a compressed answer", get(("if-match", '"own;gzip"')), 200, {}),
    ("13.1.1", "If-Match that is malformed does not hold", get(("if-match", "own")), 412, {}),
    ("13.1.2", "If-None-Match of this tag is 304", get(("if-none-match", '"a", "own"')), 304, {"etag": '"own"', "content-type": None, "content-length": None}),
    ("13.1.2", "If-None-Match compares weakly", get(("if-none-match", 'W/"own"')), 304, {}),
    ("13.1.2", "If-None-Match takes the tag of a compressed answer, and 304 names it", get(("if-none-match", '"own;br"'), ("accept-encoding", "gzip")), 304, {"etag": '"own;br"'}),
    ("13.1.3", "If-Modified-Since an earlier date", since(EARLIER), 200, {}),
    ("13.1.3", "If-Modified-Since that is no date is ignored", since("yesterday"), 200, {}),
    ("13.1.3", "If-Modified-Since twice is ignored", get(("if-modified-since", MODIFIED), ("if-modified-since", MODIFIED)), 200, {}),
    ("13.1.4", "If-Unmodified-Since an earlier date is 412", until(EARLIER), 412, {}),
    ("13.1.4", "If-Unmodified-Since the date", until(MODIFIED), 200, {}),
    ("13.1.4", "If-Unmodified-Since that is no date is ignored", until("yesterday"), 200, {}),
    ("13.2.1", "conditions mean nothing to OPTIONS", get(("if-match", '"other"'), method="OPTIONS"), 204, {}),
    ("13.2.2", "If-Match goes before If-Unmodified-Since", get(("if-match", '"own"'), ("if-unmodified-since", EARLIER)), 200, {}),
    ("13.2.2", "If-None-Match goes before If-Modified-Since", get(("if-none-match", '"other"'), ("if-modified-since", LATER)), 200, {}),
    ("13.2.2", "If-Match goes before If-None-Match", get(("if-match", '"other"'), ("if-none-match", '"own"')), 412, {}),
    ("13.2.2", "then If-None-Match", get(("if-match", '"own"'), ("if-none-match", '"own"')), 304, {}),
    ("13.2.2", "a condition says nothing of what is not there", get(("if-match", "*"), path="/nothing"), 404, {}),
    ("14.2", "Range is ignored where ranges are not served", get(("range", "bytes=0-1")), 200, {"content-length": str(len(TEXT)), "content-range": None, "accept-ranges": None}),
    ("15.5.6", "405 has Allow", get(method="DELETE", path="/small"), 405, {"allow": "GET, HEAD, OPTIONS, POST"}),
    ("15.5.7", "406 where nothing is acceptable", get(("accept", "image/png")), 406, {}),
    ("15.5.16", "415 says what is taken", post(("content-type", "text/plain")), 415, {"accept": "application/json"}),
]


class Semantics(harness.ServerTest):
    def faults(self, ask):
        wrong = []
        for section, must, (method, path, fields, body), status, expected in CASES:
            found, answered, content = ask(method, path, fields, body)
            differs = {name: answered.get(name) for name, value in expected.items()
                       if (name in answered) != (value is not None) or value not in (None, ..., answered.get(name))}
            if found != status or differs:
                wrong.append(f"[{section}] {must}: {found} {differs}")
            if (method == "HEAD" or status in (204, 304)) and content:
                wrong.append(f"[{section}] {must}: content {content[:40]!r}")
        return wrong

    def test_over_http_1(self):
        server = self.serve(CONTRACT)

        def ask(method, path, fields, body):
            length = [("content-length", len(body))] if body else []
            lines = "".join(f"{name}: {value}\r\n" for name, value in [*fields, *length])
            head, _, content = server.raw(f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n".encode() + body).partition(b"\r\n\r\n")
            first, *rest = head.decode("latin-1").split("\r\n")
            return int(first.split(" ")[1]), harness.Headers([line.split(": ", 1) for line in rest]), content

        self.assertEqual(self.faults(ask), [])

    def test_over_http_2(self):
        server = self.serve(CONTRACT)

        def ask(method, path, fields, body):
            with http2_client.Client(server.port) as client:
                client.send(http2_client.request(1, http2_client.head(method, path, more=fields), end=not body))
                if body:
                    client.send(http2_client.frame(http2_client.DATA, http2_client.END_STREAM, 1, body))
                found, _, content = client.answer(1)
                return found, harness.Headers(client.heads[1][-1]), content

        self.assertEqual(self.faults(ask), [])

    def test_the_page_is_made_from_these_cases(self):
        page = harness.ROOT / "docs/conformance/rfc9110.md"
        self.assertEqual(page.read_text(), table(), f"write it again: /usr/bin/python3 tests/http_semantics_test.py --table > {page}")


def table():
    lines = ["# RFC 9110, what a server does", "",
             "Each row is sent over HTTP/1.1 and over HTTP/2 by `tests/http_semantics_test.py`, which also makes this page. How messages are framed",
             "stands in [rfc9112.md](rfc9112.md) and [rfc9113.md](rfc9113.md).", "",
             "    /usr/bin/python3 tests/http_semantics_test.py", "", f"{len(CASES)} cases.", "",
             "| section | what must be | what happens |", "|---|---|---|"]
    for section, must, _, status, _ in CASES:
        lines.append(f"| {section} | {must} | {status} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--table"]:
        print(table(), end="")
    else:
        harness.main()
