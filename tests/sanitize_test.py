"""`sanitize`: what is done to the texts of requests before the contract judges them."""
import json
import random
import unicodedata
import urllib.parse

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Names, version: '1'}
security: []
x-plimsoll:
  authorization: any-caller
  sanitize: {trim: true, nfc: true, control: strip}
  tables: {people: {schema: '#/components/schemas/Person', filters: {name: [eq]}}}
components:
  schemas:
    Person:
      type: object
      required: [id, name]
      properties:
        id: {type: string, minLength: 1, maxLength: 40}
        name: {type: string, minLength: 1, maxLength: 8}
        password: {type: string, format: password}
        code: {type: string, x-plimsoll: {sanitize: false}}
        note: {type: string, x-plimsoll: {sanitize: {trim: false}}}
paths:
  /people:
    get:
      operationId: listPeople
      x-plimsoll: {table: people}
      responses: {'200': {description: ok}}
    post:
      operationId: createPerson
      x-plimsoll: {table: people}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Person'}}}}
      responses: {'201': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Person'}}}}}
  /people/import:
    post:
      operationId: importPeople
      x-plimsoll: {table: people, batch: {import: {}}}
      requestBody: {required: true, content: {text/csv: {}, application/x-ndjson: {}}}
      responses: {'200': {description: ok}}
  /people/{id}:
    get:
      operationId: getPerson
      x-plimsoll: {table: people}
      parameters: [{name: id, in: path, required: true, schema: {type: string, minLength: 1}}]
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Person'}}}}}
    patch:
      operationId: changePerson
      x-plimsoll: {table: people}
      parameters: [{name: id, in: path, required: true, schema: {type: string, minLength: 1}}]
      requestBody: {content: {application/merge-patch+json: {schema: {$ref: '#/components/schemas/Person'}}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Person'}}}}}
"""
# The same rows by every way on which they come; the contract says no schema where the table's own is meant.
WAYS = CONTRACT.replace("filters: {name: [eq]}", "filters: {name: [eq], code: [eq, ne], note: [in]}") + """
    put:
      operationId: replacePerson
      x-plimsoll: {table: people}
      parameters: [{name: id, in: path, required: true, schema: {type: string, minLength: 1}}]
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Person'}}}}
      responses: {'200': {description: ok}}
  /people/batch:
    post:
      operationId: createPeople
      x-plimsoll: {table: people, batch: {create: {}}}
      requestBody: {content: {application/json: {}}}
      responses: {'201': {description: ok}}
  /people/changes:
    post:
      operationId: changePeople
      x-plimsoll: {table: people, batch: {update: {}}}
      requestBody: {content: {application/json: {}}}
      responses: {'200': {description: ok}}
"""
KEPT = "\t\n\r"


def expected(text):
    """What the options of the document make of it, by an implementation of Unicode that is not ours."""
    text = "".join(c for c in text if c in KEPT or unicodedata.category(c) != "Cc")
    return unicodedata.normalize("NFC", text).strip("\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000")


class Sanitize(harness.ServerTest):
    def test_texts_are_changed_before_they_are_judged_and_stored(self):
        server = self.serve(CONTRACT)
        created = server.post("/people", {"id": " a ", "name": "  Zoe\u0308\x00  ", "password": " x ", "code": " c ", "note": " e\u0301 "})
        self.assertEqual(created.status, 201, created)
        self.assertEqual(created.json(), {"id": "a", "name": "Zo\u00eb", "password": " x ", "code": " c ", "note": " \u00e9 "})
        self.assertEqual(server.get("/people?name=%20Zoe%CC%88%20").json()["data"], [created.json()], "a parameter is changed as well")
        self.assertEqual(server.get("/people/%20a%20").status, 404, "a path names what it names")
        changed = server.patch("/people/a", {"name": "\u3000Ann\u00a0"})
        self.assertEqual((changed.status, changed.json()["name"]), (200, "Ann"), changed)
        # Longer than the contract allows only before it is trimmed; and nothing is left of blanks.
        self.assertEqual(server.patch("/people/a", {"name": " " * 20 + "12345678"}).status, 200)
        refused = server.patch("/people/a", {"name": " \t\u2003 "})
        self.assertEqual((refused.status, refused.json()["errors"][0]["pointer"]), (400, "/name"), refused)

    def test_the_schema_of_a_row_holds_by_every_way_on_which_its_texts_come(self):
        patches = "{content: {application/merge-patch+json: {schema: {$ref: '#/components/schemas/Person'}}}}"
        document = "  sanitize: {trim: true, nfc: true, control: strip}\n"
        for contract, name in ((WAYS, expected), (WAYS.replace(patches, "{content: {application/merge-patch+json: {schema: {type: object}}}}"), expected),
                               (WAYS.replace(document, "").replace("note: {type: string, x-plimsoll: {sanitize: {trim: false}}}", "note: {type: string, x-plimsoll: {sanitize: {nfc: true, control: strip}}}"),
                                lambda text: text)):
            server = self.serve(contract)
            sent = {"name": " e\u0301 ", "password": " x\u0301\u0085 ", "code": " e\u0301\u0085 ", "note": " e\u0301\u0085 "}
            stored = {**sent, "name": name(sent["name"]), "note": " \u00e9 "}
            plain = {"name": "n", "password": "p", "code": "c", "note": "n"}
            ways = {"create": lambda: server.post("/people", {"id": "by-create", **sent}),
                    "replace": lambda: server.put("/people/by-replace", {"id": "by-replace", **sent}),
                    "patch": lambda: server.patch("/people/by-patch", sent),
                    "batch": lambda: server.post("/people/batch", [{"id": "by-batch", **sent}]),
                    "changes": lambda: server.post("/people/changes", [{"id": "by-changes", **sent}]),
                    "import": lambda: server.request("POST", "/people/import", json.dumps({"id": "by-import", **sent}), {"Content-Type": "application/x-ndjson"})}
            for way, send in ways.items():
                if way in ("replace", "patch", "changes"):
                    self.assertEqual(server.post("/people", {"id": "by-" + way, **plain}).status, 201)
                answer = send()
                self.assertIn(answer.status, (200, 201), answer)
                self.assertEqual(server.get(f"/people/by-{way}").json(), {"id": "by-" + way, **stored}, way)
            found = lambda query: sorted(row["id"] for row in server.get("/people?" + query).json()["data"])
            for query in ("code=" + urllib.parse.quote(sent["code"]), "name=" + urllib.parse.quote(sent["name"]), "note=x," + urllib.parse.quote(sent["note"])):
                self.assertEqual(found(query), sorted("by-" + way for way in ways), query)
            self.assertEqual(found("code[ne]=" + urllib.parse.quote(sent["code"])), [])

    def test_imported_rows_too(self):
        server = self.serve(CONTRACT)
        self.assertEqual(server.request("POST", "/people/import", 'id,name,code\n" a ",  Ann  , c \n', {"Content-Type": "text/csv"}).json(), {"imported": 1})
        self.assertEqual(server.request("POST", "/people/import", json.dumps({"id": " b ", "name": " Ben\u0001 "}), {"Content-Type": "application/x-ndjson"}).json(), {"imported": 1})
        self.assertEqual([(row["id"], row["name"], row.get("code")) for row in server.get("/people").json()["data"]], [("a", "Ann", " c "), ("b", "Ben", None)])
        refused = server.request("POST", "/people/import", "id,name\nc,  \n", {"Content-Type": "text/csv"})
        self.assertEqual((refused.status, refused.json()["errors"][0]["pointer"]), (422, "/0/name"), refused)

    def test_random_texts_become_what_another_implementation_makes_of_them(self):
        server = self.serve(CONTRACT.replace("maxLength: 8", "maxLength: 4000"))
        rng = random.Random(harness.seed())
        ranges = [(0, 0x24F), (0x300, 0x36F), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0xAC00, 0xAC80), (0xF900, 0xFAFF), (0x1D150, 0x1D170), (0x2F800, 0x2F9FF)]
        for number in range(30):
            text = "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(200))
            created = server.post("/people", {"id": str(number), "name": "a" + text + "a"})
            self.assertEqual(created.status, 201, created)
            self.assertEqual(created.json()["name"], expected("a" + text + "a"), ascii(text))

    def test_forms_and_operations_of_upstreams(self):
        form = CONTRACT.replace("{required: true, content: {application/json:", "{required: true, content: {application/x-www-form-urlencoded:")
        server = self.serve(form)
        created = server.request("POST", "/people", urllib.parse.urlencode({"id": " f ", "name": " Zoe\u0308 "}), {"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual((created.status, created.json()["id"], created.json()["name"]), (201, "f", "Zo\u00eb"), created)
        told = self.refused(CONTRACT.replace("      operationId: createPerson\n      x-plimsoll: {table: people}", "      operationId: createPerson\n      x-plimsoll: {upstream: behind}"),
                            "upstreams: {behind: {targets: ['http://127.0.0.1:9'], plain-http: allowed}}\n")
        self.assertIn("`sanitize` has no effect on what the upstream of operation createPerson is sent", told)
        self.assertIn("Write `sanitize: false` at the operation.", told)
        told = self.refused(CONTRACT.replace("sanitize: {trim: false}", "sanitize: {trimm: false}"))
        self.assertIn('did you mean "trim"?', told)


if __name__ == "__main__":
    harness.main()
