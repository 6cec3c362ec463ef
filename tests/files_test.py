"""Files of rows, on each engine: stored, sent whole and in parts, removed, and never shown to other callers."""
import hashlib
import random

import harness
import tokens

CONTRACT = """
openapi: 3.1.0
info: {title: Shop, version: '1'}
security: [{bearer: []}]
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    products:
      schema: '#/components/schemas/Product'
      sort: [name]
      files:
        image: {type: image_type, name: image_name}
        manual: {column: manual_bytes}
    notes:
      schema: '#/components/schemas/Note'
      owner: author
      tenant: firm
      files: {scan: {}}
    sealed: {schema: '#/components/schemas/Sealed', require-match: true, files: {seal: {}}}
paths:
  /products:
    get: {operationId: listProducts, x-plimsoll: {table: products}, responses: {'200': {description: Products}}}
    post: {operationId: createProduct, x-plimsoll: {table: products}, responses: {'201': {description: Made}},
           requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Product'}}, multipart/form-data: {schema: {$ref: '#/components/schemas/ProductForm'}, encoding: {manual: {contentType: 'text/plain, application/pdf'}}}}}}
  /products/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: readProduct, x-plimsoll: {table: products}, responses: {'200': {description: A product}}}
    patch: {operationId: changeProduct, x-plimsoll: {table: products}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'200': {description: Changed}}}
    delete: {operationId: removeProduct, x-plimsoll: {table: products}, responses: {'204': {description: Gone}}}
  /products/{id}/image:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    x-plimsoll: {table: products}
    get:
      operationId: getImage
      x-plimsoll: {file: image}
      responses: {'200': {description: The image, content: {image/png: {}, image/svg+xml: {}, text/plain: {}, application/json: {}}}}
    put:
      operationId: putImage
      x-plimsoll: {file: {name: image, max: 3MiB}, responses: enforce}
      requestBody: {required: true, content: {image/png: {schema: {type: string, format: binary}}, image/svg+xml: {}, text/plain: {}, application/json: {}}}
      responses: {'204': {description: Stored}}
    delete:
      operationId: deleteImage
      x-plimsoll: {file: image}
      responses: {'204': {description: Gone}}
  /products/{id}/manual:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    x-plimsoll: {table: products, file: manual}
    get: {operationId: getManual, responses: {'200': {description: The manual, content: {'*/*': {}}}}}
    put: {operationId: putManual, x-plimsoll: {idempotency: optional}, requestBody: {content: {'*/*': {}}}, responses: {'204': {description: Stored}}}
  /notes:
    post: {operationId: createNote, x-plimsoll: {table: notes}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'201': {description: Made}}}
  /notes/{id}/scan:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    x-plimsoll: {table: notes, file: scan}
    get: {operationId: getScan, responses: {'200': {description: The scan, content: {image/png: {}}}}}
    put: {operationId: putScan, requestBody: {content: {image/png: {}}}, responses: {'204': {description: Stored}}}
    delete: {operationId: deleteScan, responses: {'204': {description: Gone}}}
  /sealed:
    post: {operationId: createSealed, x-plimsoll: {table: sealed}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'201': {description: Made}}}
  /sealed/{id}/seal:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    x-plimsoll: {table: sealed, file: seal}
    get: {operationId: getSeal, responses: {'200': {description: The seal, content: {image/png: {}}}}}
    put: {operationId: putSeal, requestBody: {content: {image/png: {}}}, responses: {'204': {description: Stored}}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Product:
      type: object
      required: [id, name]
      properties:
        id: {type: string}
        name: {type: string}
        image_type: {type: string, readOnly: true}
        image_name: {type: string, readOnly: true}
        updated_at: {type: string, format: date-time, readOnly: true}
    ProductForm:
      type: object
      required: [id, name]
      properties: {id: {type: string}, name: {type: string}, image: {type: string, format: binary}, manual: {type: string, format: binary}}
    Note:
      type: object
      required: [id, author, firm]
      properties: {id: {type: integer, readOnly: true}, author: {type: string, readOnly: true}, firm: {type: string, readOnly: true}}
    Sealed: {type: object, required: [id], properties: {id: {type: string}}}
"""
CONFIG = "database: {url: 'sqlite:contract.db'}\n" + tokens.DEPLOYMENT
ADA, BOB, EVE = (tokens.caller(name, firm) for name, firm in (("ada", "acme"), ("bob", "acme"), ("eve", "globex")))
PNG = {"Content-Type": "image/png"}
IMAGE = "/products/p1/image"


def told(answer):
    """A refusal without what differs from request to request."""
    body = {name: value for name, value in answer.json().items() if name not in ("trace_id", "instance")}
    return answer.status, body, sorted(name for name, _ in answer.headers.pairs if name not in ("date", "x-request-id", "traceresponse"))


class Files(harness.ServerTest):
    def shop(self, contract=CONTRACT, config=CONFIG, **more):
        server = self.serve(contract, config, **more)
        server.headers.update(ADA)
        return server

    def product(self, **more):
        server = self.shop(**more)
        self.assertEqual(server.post("/products", {"id": "p1", "name": "A lamp"}).status, 201)
        return server

    def test_a_file_is_stored_sent_replaced_and_removed(self):
        server = self.product()
        missing = server.get(IMAGE)
        self.assertEqual((missing.status, missing.code), (404, "no-such-row"))
        image = bytes(range(256)) * 5
        stored = server.put(IMAGE, image, PNG)
        self.assertEqual((stored.status, stored.body), (201, b""), stored)
        sent = server.get(IMAGE)
        self.assertEqual((sent.status, sent.body), (200, image))
        expected = {"content-type": "image/png", "content-length": str(len(image)), "etag": stored.headers["etag"], "cache-control": "private, no-cache", "accept-ranges": "bytes",
                    "content-disposition": "inline", "x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox"}
        self.assertEqual({name: sent.headers.get(name) for name in expected}, expected)
        head = server.request("HEAD", IMAGE)
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual({name: head.headers.get(name) for name in expected}, expected)
        again = server.put(IMAGE, b"<svg/>", {"Content-Type": "image/svg+xml", "Content-Disposition": 'attachment; filename="../../etc/l\u00e4mp.svg"'.encode()})
        self.assertEqual(again.status, 204, again)
        self.assertNotEqual(again.headers["etag"], stored.headers["etag"])
        sent = server.get(IMAGE)
        self.assertEqual((sent.body, sent.headers["content-type"]), (b"<svg/>", "image/svg+xml"))
        self.assertEqual(sent.headers["content-disposition"], "attachment; filename=\"l_mp.svg\"; filename*=UTF-8''l%C3%A4mp.svg", "what runs scripts is saved")
        self.assertEqual(server.delete(IMAGE).status, 204)
        self.assertEqual([server.get(IMAGE).status, server.delete(IMAGE).status, server.get("/products/p1").status], [404, 404, 200])

    def test_rows_show_what_is_said_of_a_file_and_never_its_bytes(self):
        server = self.product()
        before = server.get("/products/p1")
        self.assertNotIn("image_type", before.json())
        self.assertEqual(server.put(IMAGE, b"some bytes", {**PNG, "Content-Disposition": "attachment; filename=a.png"}).status, 201)
        after = server.get("/products/p1")
        self.assertEqual((after.json()["image_type"], after.json()["image_name"]), ("image/png", "a.png"))
        self.assertGreater(after.json()["updated_at"].rstrip("Z"), before.json()["updated_at"].rstrip("Z"))
        self.assertNotEqual(after.headers["etag"], before.headers["etag"])
        self.assertEqual(set(after.json()), {"id", "name", "image_type", "image_name", "updated_at"})
        self.assertEqual(server.patch("/products/p1", {"name": "A chair", "image_type": "text/html"}).json()["image_type"], "image/png")
        self.assertEqual(server.get(IMAGE).body, b"some bytes", "a change of the row leaves it")
        self.assertEqual(server.get("/products").json()["data"][0]["image_type"], "image/png")
        self.assertEqual(self.database(server.directory).rows("SELECT image_digest FROM products")[0][0], hashlib.sha256(b"some bytes").hexdigest())

    def test_parts_are_those_of_a_slice(self):
        random.seed(harness.seed())
        server = self.product()
        connection = server.connection()
        self.addCleanup(connection.close)
        for size in (1, 1000, 700_000):
            image = random.randbytes(size)
            self.assertIn(server.put(IMAGE, image, PNG).status, (201, 204))
            whole = server.request("GET", IMAGE, connection=connection)
            self.assertEqual((whole.status, whole.body == image), (200, True))
            for _ in range(25):
                first, last = sorted((random.randrange(size), random.randrange(size * 2)))
                asked, wanted = random.choice([(f"{first}-{last}", image[first:last + 1]), (f"{first}-", image[first:]), (f"-{last}", image[-last:] if last else None)])
                sent = server.request("GET", IMAGE, headers={"Range": "bytes=" + asked}, connection=connection)
                if wanted is None or first >= size:
                    self.assertEqual((sent.status, sent.code, sent.headers["content-range"]), (416, "range-not-satisfiable", f"bytes */{size}"), asked)
                    continue
                begin = size - len(wanted) if asked.startswith("-") else first
                self.assertEqual((sent.status, sent.headers["content-range"]), (206, f"bytes {begin}-{begin + len(wanted) - 1}/{size}"), asked)
                self.assertTrue(sent.body == wanted, asked)
                self.assertEqual((sent.headers["content-length"], sent.headers["etag"]), (str(len(wanted)), whole.headers["etag"]))
            self.assertEqual(server.get(IMAGE, {"Range": f"bytes={size}-"}).status, 416)
            for ignored in ("bytes=0-0,2-3", "lines=1-2", "bytes=x"):
                self.assertEqual(server.get(IMAGE, {"Range": ignored}).status, 200, ignored)
            self.assertEqual(server.request("HEAD", IMAGE, headers={"Range": "bytes=0-0"}).status, 200)

    def test_conditions_of_requests(self):
        server = self.product()
        self.assertEqual(server.put(IMAGE, b"one", {**PNG, "If-Match": "*"}).status, 412, "there is none")
        first = server.put(IMAGE, b"one", {**PNG, "If-None-Match": "*"})
        self.assertEqual(first.status, 201)
        self.assertEqual(server.put(IMAGE, b"two", {**PNG, "If-None-Match": "*"}).status, 412)
        one = first.headers["etag"]
        self.assertEqual([server.get(IMAGE, {"If-None-Match": one}).status, server.get(IMAGE, {"If-None-Match": '"x"'}).status, server.get(IMAGE, {"If-Match": '"x"'}).status], [304, 200, 412])
        two = server.put(IMAGE, b"two", {**PNG, "If-Match": one}).headers["etag"]
        self.assertEqual(server.put(IMAGE, b"three", {**PNG, "If-Match": one}).status, 412)
        self.assertEqual(server.delete(IMAGE, {"If-Match": one}).status, 412)
        self.assertEqual(server.get(IMAGE).body, b"two")
        part = server.get(IMAGE, {"Range": "bytes=1-", "If-Range": two})
        self.assertEqual((part.status, part.body), (206, b"wo"))
        part = server.get(IMAGE, {"Range": "bytes=1-", "If-Range": one})
        self.assertEqual((part.status, part.body), (200, b"two"), "another one: all of it")
        self.assertEqual(server.put(IMAGE, b"one", PNG).headers["etag"], one, "the same bytes and type have the same tag")
        self.assertNotEqual(server.put(IMAGE, b"one", {"Content-Type": "text/plain"}).headers["etag"], one)
        self.assertEqual(server.delete(IMAGE, {"If-Match": server.get(IMAGE).headers["etag"]}).status, 204)

    def test_changes_need_a_condition_where_the_table_says_so(self):
        server = self.shop()
        self.assertEqual(server.post("/sealed", {"id": "s"}).status, 201)
        self.assertEqual([server.put("/sealed/s/seal", b"a", {**PNG, **more}).status for more in ({}, {"If-None-Match": "*"}, {}, {"If-Match": "*"})], [428, 201, 428, 204])

    def test_what_is_not_stored(self):
        server = self.product()
        self.assertEqual(server.put("/products/none/image", b"x", PNG).status, 404)
        other = server.put(IMAGE, b"x", {"Content-Type": "text/html"})
        self.assertEqual((other.status, other.code), (415, "unsupported-media-type"))
        self.assertIn("image/png", other.headers["accept"])
        self.assertEqual(server.put(IMAGE, b"x").status, 415)
        empty = server.put(IMAGE, b"", PNG)
        self.assertEqual((empty.status, empty.code), (400, "invalid"))
        self.assertEqual(server.put("/products/p1/manual", b"", PNG).status, 422)
        part = server.put(IMAGE, b"x", {**PNG, "Content-Range": "bytes 0-0/2"})
        self.assertEqual((part.status, part.json()["errors"][0]["pointer"]), (400, "/content-range"))
        most = 3 << 20
        for body in (b"x" * (most + 1), iter([b"x" * most, b"y"])):
            large = server.put(IMAGE, body, PNG)
            self.assertEqual((large.status, large.code), (413, "payload-too-large"))
        self.assertEqual(server.get(IMAGE).status, 404)
        self.assertEqual(server.put(IMAGE, b"x" * most, PNG).status, 201)
        self.assertEqual(server.put("/products/p1/manual", b"x" * ((1 << 20) + 1), PNG).status, 413, "without `max` the limit of all bodies")

    def test_files_of_any_type_are_sent_as_they_came(self):
        server = self.product()
        manual = "/products/p1/manual"
        for sent, kept, shown in (("application/pdf", "application/pdf", "attachment"), ("Text/Plain; Charset=UTF-8", "text/plain; charset=utf-8", "inline"),
                                  ("text/html;x=y", "text/html", "attachment"), (None, "application/octet-stream", "attachment"), ("application/json", "application/json", "attachment")):
            self.assertIn(server.put(manual, b"{not json\xff", {"Content-Type": sent} if sent else {}).status, (201, 204), sent)
            answer = server.get(manual)
            self.assertEqual((answer.headers["content-type"], answer.headers["content-disposition"], answer.body), (kept, shown, b"{not json\xff"))

    def test_a_repeated_upload_with_a_key_is_stored_once(self):
        server = self.product()
        key = {**PNG, "Idempotency-Key": '"k1"'}
        one = server.put("/products/p1/manual", b"a", key)
        self.assertEqual(server.put("/products/p1/manual", b"b", PNG).status, 204)
        again = server.put("/products/p1/manual", b"a", key)
        self.assertEqual((one.status, again.status, again.headers["etag"]), (201, 201, one.headers["etag"]))
        self.assertEqual(server.get("/products/p1/manual").body, b"b")
        # The same bytes as another type are another file: no repetition, or the type would be lost.
        for other in ("text/html", "image/png;x=y", "application/json"):
            refused = server.put("/products/p1/manual", b"a", {**key, "Content-Type": other})
            self.assertEqual((refused.status, refused.code), (422, "idempotency-key-reused"), other)

    def form(self, **parts):
        """The body of a form and its header; parts are texts, or (file name, media type, bytes)."""
        boundary, body = "x" * 20, b""
        for name, part in parts.items():
            file, kind, data = part if isinstance(part, tuple) else (None, None, part.encode())
            body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode() + (f'; filename="{file}"'.encode() if file else b"")
            body += (f"\r\nContent-Type: {kind}".encode() if kind else b"") + b"\r\n\r\n" + data + b"\r\n"
        return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}

    def test_a_form_creates_a_row_with_its_files(self):
        server = self.shop()
        image = bytes(range(256)) * 100
        made = server.post("/products", *self.form(id="f1", name="A lamp", image=("../l\u00e4mp.png", "image/png", image), manual=("m.txt", "text/plain", b"turn on")))
        self.assertEqual(made.status, 201, made)
        self.assertEqual((made.json()["name"], made.json()["image_type"], made.json()["image_name"]), ("A lamp", "image/png", "l\u00e4mp.png"))
        self.assertEqual(made.headers["etag"], server.get("/products/f1").headers["etag"])
        sent = server.get("/products/f1/image")
        self.assertEqual((sent.status, sent.body == image, sent.headers["content-disposition"]), (200, True, "inline; filename=\"l_mp.png\"; filename*=UTF-8''l%C3%A4mp.png"))
        self.assertEqual(server.get("/products/f1/manual").body, b"turn on")
        self.assertEqual(server.put("/products/f1/image", image, {**PNG, "If-Match": sent.headers["etag"]}).status, 204)
        self.assertEqual(server.post("/products", *self.form(id="f2", name="None")).status, 201)
        self.assertEqual(server.get("/products/f2/image").status, 404)

    def test_the_bytes_of_a_form_are_those_of_its_file_whatever_its_type(self):
        server = self.shop()
        for kind in ("application/json", "image/png", "text/plain", "image/svg+xml"):
            for number, data in enumerate((b'{"b": 1.0,\r\n "b" : 2}', b"{not json", b"\xff\x00", b" 7 ", b"null")):
                if kind == "text/plain" and b"\xff" in data:
                    continue
                row = f"{kind.replace('/', '-').replace('+', '-')}-{number}"
                made = server.post("/products", *self.form(id=row, name="A lamp", image=("a", kind, data)))
                self.assertEqual(made.status, 201, (kind, data, made.body))
                self.assertEqual(server.get(f"/products/{row}/image").body, data, kind)

    def test_a_part_of_a_form_has_the_media_types_that_a_body_has(self):
        server = self.product()
        texts = ("text/plain", "application/json")
        sets = [f"{kind}; charset={name}" for kind in texts for name in ("utf-8", "UTF-8", '"utf-8"', "us-ascii", "utf-7", "utf-16", "iso-8859-1", "unknown", '""', "utf-8; charset=utf-16")]
        taken = 0
        for number, kind in enumerate([*sets, *texts, "image/png; charset=utf-7", "text/plain; x=y", "text/plain; x=y; X=z", "text/plain; " + "; ".join(f"a{n}=b" for n in range(9))]):
            with self.subTest(kind):
                body = server.put(IMAGE, b"7", {"Content-Type": kind})
                part = server.post("/products", *self.form(id=f"f{number}", name="A lamp", image=("a", kind, b"7")))
                self.assertIn((body.status, part.status), ((201, 201), (204, 201), (415, 400)), (body, part))
                if part.status == 400:
                    self.assertEqual([(error["pointer"], error["keyword"]) for error in part.json()["errors"]], [("/image", "contentType")])
                    self.assertIn(part.json()["errors"][0]["message"], body.json()["detail"])
                taken += part.status == 201
        self.assertEqual(taken, 12)

    def test_a_form_that_is_wrong_stores_nothing(self):
        server = self.shop()
        for status, pointer, parts in ((422, "/image", {"image": ("a.gif", "image/gif", b"x")}), (422, "/image", {"image": ("a.png", "image/png", b"")}), (400, "/manual", {"manual": ("a.html", "text/html", b"x")}),
                                       (422, "/color", {"color": "red"})):
            refused = server.post("/products", *self.form(id="f1", name="A lamp", **parts))
            self.assertEqual((refused.status, [error["pointer"] for error in refused.json()["errors"]]), (status, [pointer]), refused)
        body, headers = self.form(id="f1", name="A lamp", image=("a.png", "image/png", b"x"))
        twice = body.replace(b"--" + b"x" * 20 + b"--", body[body.index(b"--" + b"x" * 20 + b'\r\nContent-Disposition: form-data; name="image"'):])
        self.assertEqual(server.post("/products", twice, headers).status, 400)
        self.assertEqual(server.post("/products", {"id": "f1", "name": "A lamp", "image": "eA=="}).status, 422, "JSON holds no files")
        self.assertEqual(server.get("/products").json()["data"], [])

    def test_files_of_others_do_not_exist(self):
        server = self.shop()
        made = server.post("/notes", {}).json()["id"]
        scan = f"/notes/{made}/scan"
        self.assertEqual(server.put(scan, b"secret", PNG).status, 201)
        nothing = told(server.get("/notes/999999/scan"))
        for who in (BOB, EVE, tokens.caller("ada", "globex"), tokens.caller("ada")):
            for ask in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=9999-"}, {"If-None-Match": "*"}, {"If-Match": "*"}):
                self.assertEqual(told(server.get(scan, {**who, **ask})), nothing)
            self.assertEqual(server.request("HEAD", scan, headers=who).status, 404)
            self.assertEqual(told(server.put(scan, b"mine", {**PNG, **who})), told(server.put("/notes/999999/scan", b"mine", PNG)))
            self.assertEqual(told(server.delete(scan, who)), told(server.delete("/notes/999999/scan")))
        self.assertEqual(server.get(scan).body, b"secret")
        other = server.post("/notes", {}, EVE).json()["id"]
        server.put(f"/notes/{other}/scan", b"secret", {**PNG, **EVE})
        self.assertNotEqual(server.get(f"/notes/{other}/scan", EVE).headers["etag"], server.get(scan).headers["etag"], "a tag says nothing of another tenant's bytes")
        self.assertNotIn("secret", server.output)

    def test_a_download_never_mixes_two_files(self):
        server = self.product()
        self.assertEqual(server.put(IMAGE, b"a" * (3 << 20), PNG).status, 201)
        connection = server.connection()
        self.addCleanup(connection.close)
        connection.request("GET", IMAGE, headers=server.headers)
        answer = connection.getresponse()
        begin = answer.read(1000)
        self.assertEqual(server.put(IMAGE, b"b" * (3 << 20), PNG).status, 204)
        try:
            rest = answer.read()
        except harness.http.client.IncompleteRead as cut:
            rest = cut.partial
        self.assertEqual(set(begin + rest), {ord("a")})

    def test_slow_downloads_hold_a_piece_of_the_file_each(self):
        server = self.product()
        size = 3 << 20
        self.assertEqual(server.put(IMAGE, b"a" * size, PNG).status, 201)
        if any(sign in harness.program().read_bytes() for sign in (b"__asan_init", b"__tsan_init")):
            self.skipTest("a sanitizer keeps what is freed")
        self.assertEqual(len(server.get(IMAGE).body), size)
        before, downloads = self.resident(server), 60
        for _ in range(downloads):
            connection = server.connection()
            self.addCleanup(connection.close)
            connection.request("GET", IMAGE, headers=server.headers)
            self.assertEqual(connection.getresponse().status, 200)
        grown = self.resident(server) - before
        self.assertLess(grown, downloads * size / 3, f"{downloads} downloads of {size} bytes")

    def resident(self, server):
        """Bytes of memory of the server's own; of the file of SQLite, which is mapped, nothing counts."""
        return harness.memory(server.pid, "RssAnon")

    def test_rows_of_other_programs_have_files_too(self):
        folder = self.directory()
        bytes_, made = ("BLOB", "X'00616263'") if self.engine == "sqlite" else ("bytea", "'\\x00616263'")
        database = self.database(folder)
        database.script(f"CREATE TABLE products(id TEXT PRIMARY KEY, name TEXT NOT NULL, updated_at TEXT, image {bytes_}, image_type TEXT, image_name TEXT, image_digest TEXT, manual_bytes {bytes_}, manual_type TEXT, manual_digest TEXT)"
                        .replace("updated_at TEXT", "updated_at TEXT" if self.engine == "sqlite" else "updated_at timestamptz"))
        database.script(f"INSERT INTO products(id, name, image, image_type, image_name) VALUES('p1', 'A lamp', {made}, 'text/html', 'a/b\"c\\d.png'), ('p2', 'A desk', {made}, 'image/png', NULL)")
        server = self.shop(directory=folder)
        sent = server.get(IMAGE)
        self.assertEqual((sent.status, sent.body, sent.headers["content-type"]), (200, b"\0abc", "application/octet-stream"), "no type that the contract does not declare")
        self.assertEqual(sent.headers["content-disposition"], 'attachment; filename="d.png"')
        self.assertEqual(server.get("/products/p2/image").headers["content-type"], "image/png")
        part = server.get(IMAGE, {"Range": "bytes=1-2", "If-Range": sent.headers["etag"]})
        self.assertEqual((part.status, part.body), (206, b"ab"))
        self.assertEqual(server.put(IMAGE, b"new", {**PNG, "If-Match": sent.headers["etag"]}).status, 204)
        self.assertEqual(server.get(IMAGE).body, b"new")

    def test_a_table_without_the_columns_refuses_the_start_with_the_migration(self):
        folder = self.directory()
        self.database(folder).script("CREATE TABLE sealed(id TEXT PRIMARY KEY NOT NULL)")
        server = self.server(CONTRACT, CONFIG, directory=folder)
        harness.Process.start(server)
        self.assertNotEqual(server.wait(), 0)
        for column in ("seal", "seal_type", "seal_digest"):
            self.assertRegex(server.output, f'ALTER TABLE "sealed" ADD COLUMN "{column}" ')

    def test_mistakes_refuse_the_start(self):
        for old, new, sentence in (
                ("file: scan}", "file: scann}", 'table "notes" has no file "scann"; did you mean "scan"?'),
                ("put: {operationId: putScan,", "post: {operationId: putScan,", "a file of a row is not served by POST"),
                ("requestBody: {content: {image/png: {}}}, responses: {'204': {description: Stored}}}\n    delete", "requestBody: {content: {multipart/form-data: {}}}, responses: {'204': {description: Stored}}}\n    delete",
                 "a file is stored as it is sent, and not from a form"),
                ("requestBody: {content: {image/png: {}}}, responses: {'204': {description: Stored}}}\n    delete", "requestBody: {content: {image/gif: {}}}, responses: {'204': {description: Stored}}}\n    delete",
                 "image/gif, which operation getScan does not declare"),
                ("{description: The scan, content: {image/png: {}}}", "{description: The scan}", "no media type of the file is declared"),
                ("image_type: {type: string, readOnly: true}", "image_type: {type: string}", 'the property "image_type" cannot hold what the server says of a file'),
                ("name: {type: string}\n", "name: {type: string}\n        manual_bytes: {type: string}\n", 'the column "manual_bytes" is a property of the schema'),
                ("files: {scan: {}}", "files: {scan: {columns: x}}", 'did you mean "column"?'),
                ("delete: {operationId: deleteScan,", "delete: {operationId: deleteScan, x-plimsoll: {file: {name: scan, max: 1MiB}},", "`max` has no effect on DELETE")):
            with self.subTest(sentence):
                self.assertIn(old, CONTRACT)
                checked = self.server(CONTRACT.replace(old, new), CONFIG)
                harness.Process.start(checked)
                self.assertNotEqual(checked.wait(), 0)
                self.assertIn(sentence, checked.output)
                self.assertRegex(checked.output, r"contract\.yaml:\d+:\d+")
                self.assertRegex(checked.output, r"help: ")

    def test_the_contract_says_what_is_sent(self):
        server = self.shop()
        item = server.get("/openapi.json").json()["paths"]["/products/{id}/image"]
        read, write = item["get"], item["put"]
        self.assertEqual({one["name"] for one in read["parameters"]} & {"Range", "If-Range", "If-None-Match"}, {"Range", "If-Range", "If-None-Match"})
        self.assertTrue({"200", "206", "304", "404", "416"} <= set(read["responses"]), read["responses"].keys())
        self.assertTrue({"201", "204", "404", "412", "413", "415"} <= set(write["responses"]), write["responses"].keys())
        self.assertIn("Content-Range", read["responses"]["206"]["headers"])


if __name__ == "__main__":
    harness.main()
