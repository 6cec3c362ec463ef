"""Imports of CSV and NDJSON into tables, on each engine: what is stored, what is refused and how each row that is wrong is told."""
import json

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Stock, version: '1'}
security: [{bearer: []}]
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    parts:
      schema: '#/components/schemas/Part'
      sort: [sku]
      unique: [sku]
      embeds: {shelf: {table: shelves, on: shelf_id}}
    shelves: {schema: '#/components/schemas/Shelf'}
    notes: {schema: '#/components/schemas/Note', owner: owner}
paths:
  /parts:
    get: {operationId: listParts, x-plimsoll: {table: parts}, parameters: [{name: sort, in: query, schema: {type: string}}, {name: limit, in: query, schema: {type: integer}}],
          responses: {'200': {description: Parts, content: {application/json: {}, text/csv: {}, application/x-ndjson: {}}}}}
  /parts/import:
    post:
      operationId: importParts
      x-plimsoll: {table: parts, batch: {import: {max: 5000, body: 1MiB, errors: 5}}}
      requestBody: {required: true, content: {text/csv: {}, application/x-ndjson: {}}}
      responses: {'200': {description: Stored}}
  /shelves:
    post: {operationId: addShelf, x-plimsoll: {table: shelves}, requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Shelf'}}}}, responses: {'201': {description: Made}}}
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes}, responses: {'200': {description: Notes}}}
  /notes/import:
    post:
      operationId: importNotes
      x-plimsoll: {table: notes, batch: {import: {}}}
      requestBody: {required: true, content: {text/csv: {}, application/x-ndjson: {}}}
      responses: {'200': {description: Stored}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Part:
      type: object
      required: [id, sku, name, amount]
      properties:
        id: {type: string, readOnly: true}
        sku: {type: string, pattern: '^[A-Z]{2}-[0-9]+$'}
        name: {type: string, minLength: 1}
        amount: {type: integer, minimum: 0}
        price: {type: string, format: decimal}
        weight: {type: number}
        fragile: {type: boolean, default: false}
        tags: {type: array, items: {type: string}}
        shelf_id: {type: string}
        created_at: {type: string, format: date-time, readOnly: true}
    Shelf:
      type: object
      required: [id]
      properties: {id: {type: string}}
    Note:
      type: object
      required: [id, text]
      properties: {id: {type: string, readOnly: true}, text: {type: string}, owner: {type: string, readOnly: true}}
"""
CSV, NDJSON = {"Content-Type": "text/csv"}, {"Content-Type": "application/x-ndjson"}


class Imports(harness.ServerTest):
    def stock(self, contract=CONTRACT):
        folder = self.directory()
        server = self.serve(contract, self.deployment("database: {url: 'sqlite:contract.db'}\n", folder), directory=folder, arguments=("--dev",)).authorize()
        self.assertEqual(server.post("/shelves", {"id": "s1"}).status, 201)
        return server

    def send(self, server, text, headers=CSV, target="/parts/import"):
        return server.post(target, text.encode() if isinstance(text, str) else text, headers)

    def rows(self, server):
        return server.get("/parts", sort="sku", limit=100).json()["data"]

    def told(self, answer, status, code, *errors):
        """`errors`: line, pointer, a part of the message."""
        self.assertEqual((answer.status, answer.code), (status, code), answer)
        told = answer.json()["errors"]
        self.assertEqual(len(told), len(errors), told)
        for one, (line, pointer, message) in zip(told, errors):
            self.assertEqual(one["pointer"], pointer, told)
            self.assertTrue(one["message"].startswith(f"line {line}: "), told)
            self.assertIn(message, one["message"])

    def test_csv_is_stored_with_the_types_of_its_columns(self):
        server = self.stock()
        answer = self.send(server, '\ufeffsku,name,amount,price,weight,fragile,tags,shelf_id\r\n'
                                   'AA-1,"A ""cup"", blue",3,9.90,0.25,true,"[""a"",""b""]",s1\r\n'
                                   'AA-2,"two\nlines",0,,,,,\r\n')
        self.assertEqual((answer.status, answer.json()), (200, {"imported": 2}), answer)
        one, two = self.rows(server)
        self.assertEqual({name: one[name] for name in ("sku", "name", "amount", "price", "weight", "fragile", "tags", "shelf_id")},
                         {"sku": "AA-1", "name": 'A "cup", blue', "amount": 3, "price": "9.90", "weight": 0.25, "fragile": True, "tags": ["a", "b"], "shelf_id": "s1"})
        self.assertEqual((two["name"], two["fragile"]), ("two\nlines", False), "defaults as at a create")
        self.assertNotIn("price", two)
        self.assertRegex(one["id"], r"^[0-9a-f]{8}-[0-9a-f]{4}-7")
        self.assertRegex(one["created_at"], r"^20\d\d-")
        self.assertEqual(server.metrics()['plimsoll_table_imported_rows_total{table="parts"}'], 2)

    def test_ndjson_is_stored(self):
        server = self.stock()
        text = "".join(json.dumps({"sku": f"AB-{i}", "name": f"Teil {i} ä", "amount": i, **({"price": "1.50"} if i % 2 else {})}) + "\n" for i in range(1200))
        self.assertEqual(self.send(server, text, NDJSON).json(), {"imported": 1200})
        self.assertEqual(self.database(server.directory).rows("SELECT count(*), CAST(sum(amount) AS INTEGER) FROM parts")[0], (1200, sum(range(1200))))

    def test_what_was_exported_is_imported_again(self):
        server = self.stock()
        self.send(server, "sku,name,amount,price,tags\nAA-1,\"a, b\",1,2.5,\"[1]\"\n".replace("[1]", '[""x""]') + "AA-2,c,2,,\n")
        rows = self.rows(server)
        for headers, accept in ((CSV, "text/csv"), (NDJSON, "application/x-ndjson")):
            text = server.get("/parts", {"Accept": accept}, sort="sku").body
            self.database(server.directory).script("DELETE FROM parts")
            self.assertEqual(self.send(server, text, headers).json(), {"imported": 2})
            made = [{name: row.get(name) for name in ("sku", "name", "amount", "price", "tags")} for row in self.rows(server)]
            self.assertEqual(made, [{name: row.get(name) for name in ("sku", "name", "amount", "price", "tags")} for row in rows], accept)

    def test_each_row_that_breaks_the_schema_is_told_and_nothing_is_stored(self):
        server = self.stock()
        answer = self.send(server, "sku,name,amount\nAA-1,good,1\naa-2,bad sku,1\nAA-3,bad amount,many\nAA-4,too,few,cells\n\nAA-5,,2\n")
        self.told(answer, 422, "invalid-row", (3, "/1/sku", ""), (4, "/2/amount", "integer"), (5, "/3", "4 cells"), (7, "/4/name", "required"))
        answer = self.send(server, '{"sku":"AA-1","name":"n","amount":1}\n{"sku":"AA-2","name":"n","amount":-1}\nno json\n[1]\n{"sku":"AA-3","name":"n","amount":1,"more":1}\n', NDJSON)
        self.told(answer, 422, "invalid-row", (2, "/1/amount", ""), (3, "/2", "not JSON"), (4, "/3", "object"), (5, "/4/more", "no such column"))
        self.assertEqual(self.rows(server), [])

    def test_so_many_errors_are_told_and_no_more(self):
        server = self.stock()
        answer = self.send(server, "sku,name,amount\n" + "x,n,1\n" * 1000)
        self.told(answer, 422, "invalid-row", *[(i + 2, f"/{i}/sku", "") for i in range(5)])
        self.assertEqual(server.get("/parts").status, 200)

    def test_each_row_that_the_database_refuses_is_told_and_nothing_is_stored(self):
        server = self.stock()
        self.assertEqual(self.send(server, "sku,name,amount\nAA-7,there,1\n").status, 200)
        lines = [f"AA-{100 + i},n,1" for i in range(700)]
        lines[3] = "AA-7,taken,1"
        lines[650] = "AA-101,twice,1"
        answer = self.send(server, "sku,name,amount\n" + "\n".join(lines))
        self.told(answer, 409, "conflict", (5, "/3/sku", "taken"), (652, "/650/sku", "taken"))
        self.assertEqual([row["sku"] for row in self.rows(server)], ["AA-7"])
        answer = self.send(server, "sku,name,amount,shelf_id\nAA-1,n,1,s1\nAA-2,n,1,nowhere\n")
        self.told(answer, 422, "constraint", (3, "/1/shelf_id", ""))
        self.assertEqual([row["sku"] for row in self.rows(server)], ["AA-7"])

    def test_owners_are_those_of_the_caller(self):
        server = self.stock()
        self.assertEqual(self.send(server, "text\nhello\n", target="/notes/import").json(), {"imported": 1})
        note, = server.get("/notes").json()["data"]
        self.assertEqual(note["text"], "hello")
        answer = self.send(server, "text,owner\nhello,somebody\n", target="/notes/import")
        self.told(answer, 422, "invalid-row", (2, "/0/owner", "must be yourself"))
        self.assertEqual(len(server.get("/notes").json()["data"]), 1)

    def test_limits_of_bodies_rows_and_media_types(self):
        server = self.stock()
        answer = self.send(server, "sku,name,amount\n" + "".join(f"AC-{i},n,1\n" for i in range(5001)))
        self.assertEqual((answer.status, answer.code), (413, "batch-too-large"), answer)
        answer = self.send(server, "sku,name,amount\n" + "AA-1," + "n" * (1 << 20) + ",1\n")
        self.assertEqual(answer.status, 413, answer)
        self.assertEqual(self.send(server, "[]", {"Content-Type": "application/json"}).status, 415)
        self.assertEqual(self.send(server, "", CSV).status, 400)
        self.told(self.send(server, "sku,nothing\n"), 422, "invalid-row", (1, "", "no such column"))
        self.told(self.send(server, "sku,name,amount\nAA-1,\"n,1\n"), 422, "invalid-row", (2, "", "never closed"))
        self.assertEqual(self.send(server, "sku,name,amount\n").json(), {"imported": 0})
        self.assertEqual(self.rows(server), [])

    def test_a_repeated_key_stores_once(self):
        server = self.stock(CONTRACT.replace("errors: 5}}}", "errors: 5}}, idempotency: optional}"))
        headers = {**CSV, "Idempotency-Key": "one"}
        for _ in range(2):
            self.assertEqual(self.send(server, "sku,name,amount\nAA-1,n,1\n", headers).json(), {"imported": 1})
        self.assertEqual(len(self.rows(server)), 1)

    def test_who_may_not_call_stores_nothing(self):
        server = self.stock()
        server.headers.clear()
        self.assertEqual(self.send(server, "sku,name,amount\nAA-1,n,1\n").status, 401)

    def test_a_contract_that_declares_another_body_is_refused(self):
        wrong = CONTRACT.replace("requestBody: {required: true, content: {text/csv: {}, application/x-ndjson: {}}}", "requestBody: {content: {application/json: {}}}")
        said = self.refused(wrong, "database: {url: 'sqlite:contract.db'}\n")
        self.assertIn("an import takes no bodies of the type \"application/json\"", said)


if __name__ == "__main__":
    harness.main()
