"""The response cache as a client sees it: hits, one fill, writes that are visible at once, 304, a copy for each encoding."""
import gzip
import sqlite3
import threading
import unittest

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

    def test_a_thousand_concurrent_misses_make_one_fill(self):
        server = self.serve(CONTRACT)
        for i in range(20):
            server.post("/products", {"name": f"tea {i}"})
        clients, each, answers = 50, 20, []
        start = threading.Barrier(clients)

        def client():
            line = server.connection()
            start.wait()
            for _ in range(each):
                answers.append(server.request("GET", "/products", connection=line))
            line.close()

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(answers), clients * each)
        self.assertEqual(len({answer.body for answer in answers}), 1)
        stored = [answer for answer in answers if "stored" in answer.headers["cache-status"]]
        self.assertEqual(len(stored), 1)

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
