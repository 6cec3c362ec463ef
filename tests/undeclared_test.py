"""`undeclared: {upstream: legacy}`: paths that no operation has are passed on, to an nginx with files and to a program in another language.
What arrives is compared with what the server behind says when it is asked directly."""
import gzip
import hashlib
import http.client
import json
import os
import random
import re
import socket
import threading
import unittest

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Shop, version: '1'}
servers: [{url: /v1}]
%(security)s
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
x-plimsoll:
  rate-limit: %(limit)s
  undeclared: {upstream: legacy%(more)s}
paths:
  /orders:
    get:
      operationId: listOrders
      security: [{bearer: ['orders:read']}]
      x-plimsoll: {mock: true}
      responses: {'200': {description: ok, content: {application/json: {example: {declared: true}}}}}
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getOrder
      security: [{bearer: ['orders:read']}]
      x-plimsoll: {mock: true}
      responses: {'200': {description: ok, content: {application/json: {example: {declared: true}}}}}
"""
NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr warn;
events { worker_connections 512; }
http {
  types { text/html html; text/css css; application/javascript js; application/json json; image/png png; }
  default_type application/octet-stream;
  access_log off; gzip on; gzip_types text/css application/javascript application/json; gzip_min_length 100; gzip_vary on; gzip_proxied any;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  server {
    listen 127.0.0.1:%(port)d; root site;
    add_header X-One a; add_header X-One b; add_header Set-Cookie "a=1; Path=/"; add_header Set-Cookie "b=2";
    location /moved { return 301 /pages/; }
    location /kept { dav_methods PUT DELETE; create_full_put_path on; client_max_body_size 64m; }
    location /gone { return 410 "gone\\n"; }
  }
}
"""
NODE = """
const http = require('http'), crypto = require('crypto');
http.createServer((request, response) => {
  const hash = crypto.createHash('sha256');
  let size = 0;
  if (request.url.startsWith('/events')) {
    response.writeHead(200, {'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache'});
    response.write('data: 1\\n\\n');
    globalThis.more = () => response.write('data: 2\\n\\n');
    request.on('close', () => { globalThis.left = true; });
    return;
  }
  if (request.url === '/more') { globalThis.more(); return response.end(); }
  if (request.url === '/left') return response.end(String(!!globalThis.left));
  request.on('data', piece => { hash.update(piece); size += piece.length; });
  request.on('end', () => {
    const body = JSON.stringify({method: request.method, url: request.url, headers: request.rawHeaders, size, sha256: hash.digest('hex')});
    const status = Number(new URL(request.url, 'http://a').searchParams.get('status') || 200);
    response.writeHead(status, [['Content-Type', 'application/json'], ['Set-Cookie', 'a=1'], ['Set-Cookie', 'b=2'], ['X-Mixed-Case', 'Yes'],
                                ['Cache-Control', 'private, max-age=5'], ['ETag', 'W/"x"'], ['Link', '</a>; rel=next'], ['Link', '</b>; rel=prev']].flat());
    response.end(status === 204 || status === 304 ? undefined : body);
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
"""
# The page docs/upstreams.md lists both.
OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "date"}  # date: a second may pass between two requests
ADDED = {"x-request-id"}


def bearer(folder, *more, subject="ada"):
    def command(*arguments):
        ran = harness.subprocess.run([harness.program(), *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    if not (folder / "jwks.json").exists():
        command("token", "key", "--private", "private.jwk", "--public", "jwks.json")
    return {"Authorization": "Bearer " + command("token", "issue", "--key", "private.jwk", "--subject", subject, "--issuer", "us", "--audience", "shop", *more)}


AUTHENTICATION = "authentication: {bearer: {issuer: us, audience: shop, jwks: jwks.json}}\n"


class Passing(harness.ServerTest):
    def front(self, port, security="", limit="off", more=", authorization: any-caller", deployment="", **given):
        contract = CONTRACT % {"security": security, "limit": limit, "more": more}
        directory = given.pop("directory", None) or self.directory()
        if not (directory / "jwks.json").exists():
            bearer(directory)
        return self.serve(contract, f"upstreams: {{legacy: {{targets: ['http://127.0.0.1:{port}']}}}}\n" + AUTHENTICATION + deployment, directory=directory, **given)

    def answering(self, process, port):
        def ready():
            self.assertTrue(process.alive, process.describe)
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                return True
            except OSError:
                return False

        harness.until(ready, process.describe)
        return port

    def nginx(self):
        harness.needs("nginx")
        folder = self.directory()
        os.chmod(folder, 0o755)
        random.seed(harness.seed())
        site = {"index.html": b"<html>start</html>\n", "pages/index.html": b"<html>pages</html>\n", "style.css": b"a { color: red }\n" * 500,
                "app.js": b"let x = 1;\n" * 20000, "empty.json": b"", "one.png": random.randbytes(1), "big.png": random.randbytes(3_000_001),
                "odd name é%;.png": b"odd", "v1/orders.txt": b"beside", "v1/orders/5": b"SECRET", "v1/free/5": b"free",
                "orders/index.html": b"not below the base path"}
        for name, content in site.items():
            path = folder / "site" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / "tmp").mkdir()
        port = self.port()
        (folder / "nginx.conf").write_text(NGINX % {"port": port})
        process = self.process(["nginx", "-p", folder, "-c", "nginx.conf", "-e", "stderr"], folder, name="nginx")
        return self.answering(process, port), site

    def node(self):
        harness.needs("node")
        folder, port = self.directory(), self.port()
        (folder / "server.js").write_text(NODE)
        return self.answering(self.process(["node", "server.js", port], folder, name="node"), port)

    def compare(self, server, port, method, target, headers=None, body=None):
        """The same request to both; what differs of the answers beyond what is documented is a failure."""
        behind = harness.fetch(f"127.0.0.1:{port}", method, target, body, headers)
        through = server.request(method, target, body, headers)
        self.assertEqual(through.status, behind.status, f"{method} {target}: {through!r}")
        of = lambda answer, without: sorted((name, value) for name, value in answer.headers.pairs if name not in without)
        boundary = re.search(r"boundary=(\S+)", behind.headers.get("content-type", ""))
        if boundary:  # nginx makes a new one each time
            through.body = through.body.replace(re.search(r"boundary=(\S+)", through.headers["content-type"])[1].encode(), boundary[1].encode())
            self.assertEqual(of(through, OF_THE_CONNECTION | ADDED | {"content-type"}), of(behind, OF_THE_CONNECTION | {"content-type"}))
        else:
            self.assertEqual(of(through, OF_THE_CONNECTION | ADDED), of(behind, OF_THE_CONNECTION), f"{method} {target} {headers}")
        self.assertEqual(through.body, behind.body, f"{method} {target}")
        self.assertIn("date", through.headers)
        if method == "HEAD":
            self.assertEqual(through.headers.get("content-length"), behind.headers.get("content-length"))
        return through


class Files(Passing):
    def test_files_of_nginx_arrive_byte_for_byte_with_all_their_headers(self):
        port, site = self.nginx()
        server = self.front(port)
        for name in site:
            if "orders/" in name:
                continue
            target = "/" + harness.urllib.parse.quote(name, safe="/")
            for method in ("GET", "HEAD"):
                for headers in ({}, {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "br;q=1, gzip;q=0.2"}):
                    got = self.compare(server, port, method, target, headers)
            if method == "GET":
                self.assertEqual(got.body if "content-encoding" not in got.headers else gzip.decompress(got.body), site[name])
        tag = server.get("/app.js").headers["etag"]
        changed = server.get("/app.js").headers["last-modified"]
        for headers in ({"If-None-Match": tag}, {"If-Modified-Since": changed}, {"If-Match": '"other"'}, {"Range": "bytes=0-0"}, {"Range": "bytes=-5"},
                        {"Range": "bytes=100-199"}, {"Range": "bytes=0-9,100-109,-3"}, {"Range": "bytes=999999999-"}, {"Range": "bytes=5-1"},
                        {"Range": "bytes=0-9", "If-Range": tag}, {"Range": "bytes=0-9", "If-Range": '"other"'}):
            for method in ("GET", "HEAD"):
                self.compare(server, port, method, "/app.js", headers)
        for method, target in (("GET", "/"), ("GET", "/pages"), ("GET", "/pages/"), ("GET", "/none"), ("GET", "/moved"), ("GET", "/gone"), ("POST", "/app.js"),
                               ("GET", "/app.js?x=1&y=%2F"), ("GET", "/v1/orders.txt"), ("GET", "/v1/free/5"), ("GET", "/orders/"), ("OPTIONS", "/app.js")):
            self.compare(server, port, method, target)

    def test_uploads_and_ranges_of_them(self):
        port, _ = self.nginx()
        server = self.front(port, deployment="limits: {body: 32MiB}\n")
        for size in (0, 1, 70_000, 8_000_000):
            content = random.randbytes(size)
            put = server.request("PUT", "/kept/a.bin", content, {"Content-Type": "application/octet-stream"})
            self.assertIn(put.status, (201, 204), put)
            self.assertEqual(server.get("/kept/a.bin").body, content)
        pieces = [random.randbytes(100_000) for _ in range(20)]
        put = server.request("PUT", "/kept/b.bin", iter(pieces))  # without a length: chunked
        self.assertIn(put.status, (201, 204), put)
        self.assertEqual(server.get("/kept/b.bin").body, b"".join(pieces))
        part = server.get("/kept/a.bin", {"Range": "bytes=7000000-7000099"})
        self.assertEqual((part.status, part.body, part.headers["content-range"]), (206, content[7000000:7000100], "bytes 7000000-7000099/8000000"))
        self.assertEqual(server.delete("/kept/a.bin").status, 204)
        self.assertEqual(server.get("/kept/a.bin").status, 404)

    def test_no_spelling_of_a_declared_path_gets_past_what_it_demands(self):
        port, _ = self.nginx()
        server = self.front(port)
        secret = harness.fetch(f"127.0.0.1:{port}", "GET", "/v1/orders/5")
        self.assertEqual(secret.body, b"SECRET")
        spellings = ["/v1/orders/5", "/v1//orders/5", "//v1/orders/5", "/v1/./orders/5", "/x/../v1/orders/5", "/x/%2e%2e/v1/orders/5", "/v1/%6frders/5",
                     "/v1/orders%2f5", "/v1%2Forders/5", "/v1/orders/5/", "/v1/orders/%35", "/V1/orders/5", "/v1/orders/5;x", "/v1/orders/5%20", "/v1/free/../orders/5",
                     "/v1/orders/x/..%2f5", "/v1/orders/.%2e/orders/5"]
        exposed = [path for path in spellings if harness.fetch(f"127.0.0.1:{port}", "GET", path).body == b"SECRET"]
        self.assertGreater(len(exposed), 8, "nginx takes most of these for the same")
        for path in spellings:
            for method in ("GET", "HEAD", "POST"):
                got = server.request(method, path)
                self.assertIn(got.status, (400, 401, 404, 405), f"{method} {path}: {got!r}")
                self.assertNotIn(b"SECRET", got.body)
        self.assertEqual(server.get("/v1/free/5", {"X-Original-URL": "/v1/orders/5", "X-Rewrite-URL": "/v1/orders/5"}).body, b"free")


class Program(Passing):
    def test_requests_arrive_as_they_were_sent(self):
        port = self.node()
        server = self.front(port)
        sent = {"X-Custom": "a, b", "Accept": "text/*;q=0.5, */*", "Accept-Language": "de", "Cookie": "a=1; b=2", "Authorization": "Basic abc", "Content-Type": "text/plain; charset=x",
                "User-Agent": "test", "Accept-Encoding": "gzip, br", "If-None-Match": '"a"', "Range": "bytes=0-5", "Origin": "https://a", "Connection": "keep-alive, X-Hop", "X-Hop": "1"}
        made_here = {"host", "via", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "traceparent", "x-request-id", "x-plimsoll-attempt", "connection", "keep-alive",
                     "content-length", "transfer-encoding"}
        for method, body in (("GET", None), ("POST", b"x" * 70_001), ("PUT", b"y"), ("PATCH", b"{"), ("DELETE", None), ("OPTIONS", None), ("PROPFIND", b"<a/>"), ("POST", b"")):
            for target in ("/", "/a/b%20c/%E2%82%AC?q=1&q=2&empty=&r=%2F", "/a;b=c/d.php?x[]=1", "/deep/%2Fslash", "/v1", "/healthz/no"):
                got = server.request(method, target, body, sent)
                self.assertEqual(got.status, 200, f"{method} {target}: {got!r}")
                seen = got.json()
                self.assertEqual((seen["method"], seen["url"]), (method, target))
                self.assertEqual((seen["size"], seen["sha256"]), (len(body or b""), hashlib.sha256(body or b"").hexdigest()))
                pairs = list(zip(seen["headers"][::2], seen["headers"][1::2]))
                fields = {name.lower(): value for name, value in pairs}
                for name, value in sent.items():
                    if name not in ("Connection", "X-Hop"):
                        self.assertEqual(fields.get(name.lower()), value, f"{method} {target} {name}")
                self.assertNotIn("x-hop", fields)
                self.assertEqual(set(fields) - {name.lower() for name in sent} - made_here, set())
                self.assertEqual((fields["host"], fields["x-forwarded-host"], fields["x-forwarded-for"]), (f"127.0.0.1:{port}", server.address, "127.0.0.1"))

    def test_answers_arrive_as_they_were_given(self):
        port = self.node()
        server = self.front(port)
        for status in (200, 201, 204, 301, 304, 400, 401, 404, 418, 500):
            behind = harness.fetch(f"127.0.0.1:{port}", "GET", f"/a?status={status}")
            through = server.get(f"/a?status={status}")
            self.assertEqual(through.status, status)
            without = OF_THE_CONNECTION | ADDED
            of = lambda answer: [(name, value) for name, value in answer.headers.pairs if name not in without]
            self.assertEqual(sorted(of(through)), sorted(of(behind)))
            self.assertEqual(through.headers.all("set-cookie"), ["a=1", "b=2"])
            if status not in (204, 304):
                self.assertEqual(through.json()["url"], f"/a?status={status}")

    def test_an_upload_that_waits_for_100_and_one_without_a_length(self):
        port = self.node()
        server = self.front(port)
        body = random.randbytes(300_000)
        with socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE) as line:
            line.sendall(b"POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n")
            self.assertTrue(line.recv(1000).startswith(b"HTTP/1.1 100 "))
            line.sendall(body)
            answer = b""
            while piece := line.recv(65536):
                answer += piece
        self.assertIn(hashlib.sha256(body).hexdigest().encode(), answer)
        with socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE) as line:
            line.sendall(b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
            for at in range(0, len(body), 10_000):
                line.sendall(b"%x\r\n" % 10_000 + body[at:at + 10_000] + b"\r\n")
            line.sendall(b"0\r\n\r\n")
            answer = b""
            while piece := line.recv(65536):
                answer += piece
        self.assertIn(hashlib.sha256(body).hexdigest().encode(), answer)

    def test_events_come_one_by_one_and_end_with_their_reader(self):
        port = self.node()
        server = self.front(port)
        line = server.connection()
        line.request("GET", "/events")
        got = line.getresponse()
        self.assertEqual(got.getheader("content-type"), "text/event-stream")
        self.assertEqual(got.read1(), b"data: 1\n\n")
        server.get("/more")
        self.assertEqual(got.read1(), b"data: 2\n\n")
        got.close()
        line.close()
        harness.until(lambda: server.get("/left").text == "true", "the server behind to see that the reader left")

    def test_a_declared_path_with_an_undeclared_method_stays_405(self):
        port = self.node()
        server = self.front(port)
        for method in ("POST", "DELETE", "PROPFIND"):
            got = server.request(method, "/v1/orders/5")
            self.assertEqual((got.status, got.code, got.headers["allow"]), (405, "method-not-allowed", "GET, HEAD, OPTIONS"), method)
        self.assertEqual(server.request("TRACE", "/anything").status, 405)
        self.assertEqual(server.get("/openapi.json").json()["info"]["title"], "Shop", "the server's own pages stay its own")
        self.assertEqual(server.get("/livez").status, 200)
        self.assertEqual(server.request("OPTIONS", "*").status, 204)

    def test_log_limits_and_metrics_hold(self):
        port = self.node()
        server = self.front(port, limit="3/hour by address")
        statuses = [server.get(f"/page/{i}").status for i in range(5)]
        self.assertEqual(statuses, [200, 200, 200, 429, 429])
        self.assertEqual(server.get("/page/9").headers["content-type"], "application/problem+json")
        line = harness.until(lambda: next((each for each in server.logged() if each.get("path") == "/page/4"), None), "the line of log")
        self.assertEqual((line["operation"], line["status"], line["problem"]), ("undeclared", 429, "rate-limited"))
        counted = {series: value for series, value in server.metrics().items() if series.startswith("http_server_request_duration_seconds_count") and 'http_route="undeclared"' in series}
        self.assertEqual({re.search(r'status_code="(\d+)"', series)[1]: value for series, value in counted.items()}, {"200": 3, "429": 3})
        other = self.front(port, limit="3/hour by address", more=", authorization: any-caller, rate-limit: 5/hour by address")
        self.assertEqual([other.get("/page").status for _ in range(7)], [200] * 5 + [429] * 2)
        self.assertEqual(other.get("/v1/orders").status, 401, "declared paths have their own limit")

    def test_the_security_of_the_document_applies(self):
        port = self.node()
        folder = self.directory()
        caller, reader = bearer(folder), bearer(folder, "--scope", "legacy:read")
        server = self.front(port, security="security: [{bearer: []}]", more="", directory=folder)
        got = server.get("/page")
        self.assertEqual((got.status, "www-authenticate" in got.headers), (401, True))
        self.assertEqual(server.post("/page", {"a": 1}).status, 401)
        self.assertEqual(server.get("/page", caller).status, 200)
        self.assertEqual(server.post("/page", {"a": 1}, caller).status, 200)
        scoped = self.front(port, security="security: [{bearer: ['legacy:read']}]", more="", directory=folder)
        self.assertEqual((scoped.get("/page", caller).status, scoped.get("/page", reader).status), (403, 200))
        roles = self.front(port, security="security: [{bearer: []}]", more=", authorization: {roles: [staff]}", directory=folder)
        self.assertEqual((roles.get("/page", caller).status, roles.get("/page", bearer(folder, "--role", "staff")).status), (403, 200))

    def test_what_is_wrong_stops_the_start_and_says_where(self):
        port = self.port()
        folder = self.directory()
        bearer(folder)
        deployment = f"upstreams: {{legacy: {{targets: ['http://127.0.0.1:{port}']}}}}\n" + AUTHENTICATION

        def refused(more, security="", limit="off"):
            return self.refused(CONTRACT % {"security": security, "limit": limit, "more": more}, deployment, directory=folder)

        for security in ("", "security: []", "security: [{}]", "security: [{bearer: []}, {}]"):
            self.assertIn("everybody may call undeclared paths", refused("", security))
        for more in (", authorization: off", ", authorization: {mode: off}"):
            self.assertIn("everybody may call undeclared paths", refused(more))
        self.assertIn("`undeclared` passes on", refused(", authorization: {roles: []}"))
        self.assertRegex(refused(", authorisation: any-caller"), r'contract\.yaml:10:\d+.*unknown key "authorisation"; did you mean "authorization"')
        self.assertIn("what is not declared is cached as its upstream says", refused(", cache: 5m, authorization: any-caller"))
        self.assertIn('unknown key "table"', refused(", table: orders, authorization: any-caller"))
        text = CONTRACT % {"security": "", "limit": "off", "more": ", authorization: any-caller"}
        for old, new, said in (("upstream: legacy", "upstream: legcy", "did you mean `legacy`"),
                               ("upstream: legacy", "upstream: {name: legacy, path: /a}", "goes to the path it came with"),
                               ("upstream: legacy, ", "", "names no service that answers"),
                               ("undeclared: {upstream: legacy, authorization: any-caller}", "undeclared: legacy", "is an object such as")):
            self.assertIn(old, text)
            self.assertIn(said, self.refused(text.replace(old, new), deployment, directory=folder))
        self.assertIn("belongs to the document", self.refused(text.replace("x-plimsoll: {mock: true}", "x-plimsoll: {mock: true, undeclared: {upstream: legacy}}", 1), deployment, directory=folder))


if __name__ == "__main__":
    harness.main()
