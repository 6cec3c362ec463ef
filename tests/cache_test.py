"""The response cache as a client sees it: hits, one fill, writes that are visible at once, 304, a copy for each encoding."""
import gzip
import http.client
import resource
import socket

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Shop, version: '1'}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    products:
      schema: '#/components/schemas/Product'
      key: id
      filters: {name: [eq]}
paths:
  /products:
    get:
      operationId: listProducts
      security: []
      x-plimsoll: {table: products, cache: {ttl: 5m, browser-ttl: 10s}}
      responses: {'200': {description: A page}}
    post:
      operationId: createProduct
      security: []
      x-plimsoll: {table: products, idempotency: optional}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Product'}}}}
      responses: {'201': {description: The product}}
  /products/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string, format: uuid}}]
    get:
      operationId: readProduct
      security: []
      x-plimsoll: {table: products, cache: 5m}
      responses: {'200': {description: One product}}
    patch:
      operationId: updateProduct
      security: []
      x-plimsoll: {table: products}
      requestBody: {required: true, content: {application/merge-patch+json: {schema: {type: object}}}}
      responses: {'200': {description: The product}}
components:
  schemas:
    Product:
      type: object
      required: [name]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        name: {type: string, maxLength: 5000}
"""


SLOW = """
openapi: 3.1.0
info: {title: Slow, version: '1'}
x-plimsoll: {rate-limit: off, priority: off}
paths:
  /slow:
    get:
      operationId: slow
      security: []
      x-plimsoll: {cache: 5m}
      parameters: [{name: ms, in: query, schema: {type: integer}}]
      responses: {'200': {description: ok}}
"""


class Cache(harness.ServerTest):
    def test_the_second_answer_comes_from_memory_and_says_so(self):
        server = self.serve(CONTRACT)
        server.post("/products", {"name": "tea"})
        first, second = server.get("/products"), server.get("/products")
        self.assertEqual(first.status, 200, first)
        self.assertIn("fwd=uri-miss; stored", first.headers["cache-status"])
        self.assertRegex(second.headers["cache-status"], r"^plimsoll; hit; ttl=\d+$")
        self.assertEqual(second.body, first.body)
        self.assertRegex(second.headers["cache-control"], r"^public, max-age=1\d$")
        self.assertEqual(second.headers["cdn-cache-control"], "max-age=300")
        self.assertIn("age", second.headers)

    def test_a_write_is_visible_at_the_next_read(self):
        server = self.serve(CONTRACT)
        made = server.post("/products", {"name": "tea"}).json()
        one = f"/products/{made['id']}"
        for name in ("green tea", "black tea", "white tea"):
            server.get(one), server.get("/products")
            self.assertIn("hit", server.get(one).headers["cache-status"])
            self.assertEqual(server.patch(one, {"name": name}).status, 200)
            self.assertEqual(server.get(one).json()["name"], name)
            self.assertEqual(server.get("/products").json()["data"][0]["name"], name)

    def test_who_has_it_already_is_told_304_from_memory(self):
        server = self.serve(CONTRACT)
        server.post("/products", {"name": "tea"})
        tag = server.get("/products").headers["etag"]
        again = server.get("/products", {"If-None-Match": tag})
        self.assertEqual((again.status, again.body, again.headers["etag"]), (304, b"", tag))
        self.assertIn("hit", again.headers["cache-status"])

    def test_a_thousand_concurrent_misses_make_one_fill_though_its_client_leaves(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        folder = self.directory()
        for name, text in (("contract.yaml", SLOW), ("plimsoll.yaml", "limits: {connections-per-address: 2000}\n")):
            (folder / name).write_text(text)
        server = harness.Server(folder / "contract.yaml", folder, folder / "plimsoll.yaml", verb=(), environment={"FAULTY": "slow=waits"},
                                executable=harness.program().parent / "faulty_server")
        self.addCleanup(self._end, server)
        server.start()
        clients, request = 1000, b"GET /slow?ms=3000 HTTP/1.1\r\nHost: x\r\n\r\n"  # the handler takes 3 s
        lines = [socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE) for _ in range(clients)]
        lines[0].sendall(request)
        harness.until(lambda: server.metrics().get('http_server_active_requests{http_request_method="GET",http_route="/slow"}') == 1, "the first is under way")
        lines.pop(0).close()  # whoever began the fill leaves
        for line in lines:
            line.sendall(request)
        answers = []
        for line in lines:
            answer = http.client.HTTPResponse(line)
            answer.begin()
            answers.append((answer.status, answer.read(), answer.getheader("cache-status")))
            line.close()
        self.assertEqual({answer[:2] for answer in answers}, {(200, b'{"message":"rested"}')})
        collapsed = sum("collapsed" in status for _, _, status in answers)
        self.assertEqual([status for _, _, status in answers if "collapsed" not in status and "; hit" not in status], [], "nobody else made a fill")
        self.assertGreater(collapsed, 500, "most came while the fill was under way")
        print(f"{clients} requests, {collapsed} waited for the one fill")

    def test_all_answers_together_take_what_the_deployment_says(self):
        hits, many = {}, 300
        for config in ("cache: {memory: 1MiB}\n", "cache: {memory: 8MiB}\n"):
            server = self.serve(CONTRACT, config)
            line = server.connection()
            ids = [server.request("POST", "/products", {"name": "x" * 4900}, connection=line).json()["id"] for _ in range(many)]
            for _ in range(2):  # 1.5 MB of answers
                hits[config] = sum("; hit" in server.request("GET", f"/products/{each}", connection=line).headers["cache-status"] for each in ids)
            line.close()
            server.stop()
        little, enough = hits.values()
        self.assertLess(little, many * 3 // 4)
        self.assertEqual(enough, many)
        self.assertIn("at least 1MiB", self.refused(CONTRACT, "cache: {memory: 1KiB}\n"))
        self.assertIn('did you mean "memory"', self.refused(CONTRACT, "cache: {memry: 1MiB}\n"))

    def test_each_encoding_is_the_same_answer_and_unknown_parameters_share_it(self):
        server = self.serve(CONTRACT)
        server.post("/products", {"name": "tea " * 1000})
        plain = server.get("/products")
        for _ in range(2):
            packed = server.get("/products", {"Accept-Encoding": "gzip"})
            self.assertIn("hit", packed.headers["cache-status"])
            self.assertEqual(packed.headers["content-encoding"], "gzip")
            self.assertEqual(gzip.decompress(packed.body), plain.body)
            self.assertLess(len(packed.body), len(plain.body))
        self.assertEqual(server.get("/products").body, plain.body)

    def test_what_is_not_declared_cacheable_is_private_with_a_tag(self):
        server = self.serve(CONTRACT.replace(", cache: 5m", ""))
        made = server.post("/products", {"name": "tea"}).json()
        answer = server.get(f"/products/{made['id']}")
        self.assertEqual(answer.headers["cache-control"], "private, no-cache")
        self.assertNotIn("cache-status", answer.headers)
        self.assertEqual(server.get(f"/products/{made['id']}", {"If-None-Match": answer.headers["etag"]}).status, 304)


if __name__ == "__main__":
    harness.main()
