"""Imports of CSV and NDJSON into tables, on each engine: what is stored, what is refused and how each row that is wrong is told."""
import json
import os
import pathlib
import random
import re
import select
import signal
import socket

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
ROWS = """
openapi: 3.1.0
info: {title: Rows, version: '1'}
security: []
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    numbered: {schema: '#/components/schemas/Numbered'}
    conditional: {schema: '#/components/schemas/Conditional'}
    counted: {schema: '#/components/schemas/Counted', key: [word, place]}
    either: {schema: '#/components/schemas/Either'}
    noted: {schema: '#/components/schemas/Noted'}
paths:
PATHS
components:
  schemas:
    Numbered:
      type: object
      required: [id, name, made]
      properties: {id: {type: integer, readOnly: true, minimum: 1}, name: {type: string, minLength: 1}, made: {type: integer, default: 7}, created_at: {type: string, format: date-time, readOnly: true}}
    Conditional:
      allOf:
      - {type: object, required: [id], properties: {id: {type: string, readOnly: true}}, dependentRequired: {much: [many]}}
      - {required: [kind], properties: {kind: {enum: [round, long]}, radius: {type: integer}, length: {type: integer}, much: {type: integer}, many: {type: integer}}, if: {properties: {kind: {const: round}}}, then: {required: [radius]}, else: {required: [length]}}
    Counted:
      type: object
      required: [word, place]
      minProperties: 3
      properties: {word: {type: string}, place: {type: integer}, x: {type: number}, y: {type: boolean}}
    Either:
      type: object
      required: [id]
      properties: {id: {type: integer, readOnly: true}, a: {type: string}, b: {type: string}}
      oneOf: [{required: [a]}, {required: [b]}]
    Noted:
      type: object
      required: [id]
      properties: {id: {type: string, readOnly: true}, note: {type: [string, 'null'], minLength: 2}, list: {type: array, items: {type: integer}, maxItems: 2}}
      anyOf: [{required: [note], properties: {note: {type: string}}}, {required: [list]}]
"""
KINDS = """
openapi: 3.1.0
info: {title: Kinds, version: '1'}
security: []
x-plimsoll: {authorization: any-caller, rate-limit: off, tables: {things: {schema: '#/components/schemas/Thing'}}}
paths:
  /things:
    get: {operationId: listThings, x-plimsoll: {table: things}, responses: {'200': {description: Things, content: {application/json: {}, text/csv: {}, application/x-ndjson: {}}}}}
  /things/import:
    post:
      operationId: importThings
      x-plimsoll: {table: things, batch: {import: {}}}
      requestBody: {required: true, content: {text/csv: {}, application/x-ndjson: {}}}
      responses: {'200': {description: Stored}}
components:
  schemas:
    Thing:
      type: object
      required: [id, text]
      properties:
        id: {type: string}
        text: {type: string}
        maybe: {type: string}
        filled: {type: string, default: as usual}
        nothing: {type: [string, 'null']}
        several: {type: [integer, string, boolean, array]}
        whole: {type: integer}
        number: {type: number}
        yes: {type: boolean}
        price: {type: string, format: decimal}
        list: {type: array, items: {}}
        object: {type: object, additionalProperties: true}
"""
TABLES = ("numbered", "conditional", "counted", "either", "noted")
ROWS = ROWS.replace("PATHS", "".join(f"""
  /{table}:
    get: {{operationId: list-{table}, x-plimsoll: {{table: {table}}}, responses: {{'200': {{description: Rows}}}}}}
    post: {{operationId: add-{table}, x-plimsoll: {{table: {table}}}, requestBody: {{content: {{application/json: {{schema: {{type: object}}}}}}}}, responses: {{'201': {{description: Made}}}}}}
  /{table}/batch:
    post: {{operationId: batch-{table}, x-plimsoll: {{table: {table}, batch: {{create: {{}}}}}}, requestBody: {{content: {{application/json: {{}}}}}}, responses: {{'201': {{description: Made}}}}}}
  /{table}/import:
    post: {{operationId: import-{table}, x-plimsoll: {{table: {table}, batch: {{import: {{}}}}}}, requestBody: {{content: {{application/x-ndjson: {{}}}}}}, responses: {{'200': {{description: Stored}}}}}}
""" for table in TABLES))
CSV, NDJSON = {"Content-Type": "text/csv"}, {"Content-Type": "application/x-ndjson"}


class Imports(harness.ServerTest):
    def stock(self, contract=CONTRACT, database="", more=""):
        folder = self.directory()
        server = self.serve(contract, self.deployment(f"database: {{url: 'sqlite:contract.db'{database}}}\n{more}", folder), directory=folder, arguments=("--dev",)).authorize()
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

    def test_rows_of_every_kind_are_the_same_after_an_export_and_an_import(self):
        """But for texts that a spreadsheet would run: they are stored with the `'` that the export has put in front."""
        seed = random.randrange(1 << 30)
        print("seed", seed)
        dice = random.Random(seed)
        texts = ["", " ", "a", "1", "-0", "1e3", "null", "true", "[1]", "{}", '"x"', '"', "''", "a,b", "a;b", "a\nb", "a\r\nb", "\t.", " x ", "\ufeffx", "é", "😀", "nan", "0x1", "'", "[", "x" * 5000]
        text = lambda: dice.choice(texts)
        whole = lambda: dice.choice([0, 1, -1, 2**63 - 1, -2**63, 10**15])
        any_list = lambda: [dice.choice([text, whole, lambda: None, lambda: [text()], lambda: {"a": text()}])() for _ in range(dice.randrange(3))]
        makers = {"text": text, "maybe": text, "filled": text, "nothing": lambda: dice.choice([None, text()]), "several": lambda: dice.choice([whole, text, lambda: True, any_list])(),
                  "whole": whole, "number": lambda: dice.choice([0.5, -1.25, 1e300, 12]), "yes": lambda: dice.random() < 0.5, "price": lambda: dice.choice(["0", "9.90", "-1.5", "1" * 30]),
                  "list": any_list, "object": lambda: {text(): text() for _ in range(dice.randrange(3))}}
        rows = {f"r{number}": {"id": f"r{number}", **{name: make() for name, make in makers.items() if name == "text" or dice.random() < 0.7}} for number in range(200)}
        folder = self.directory()
        server = self.serve(KINDS, self.deployment("database: {url: 'sqlite:contract.db'}\n", folder), directory=folder)
        given = "".join(json.dumps(row) + "\n" for row in rows.values()).encode()
        self.assertEqual(server.post("/things/import", given, NDJSON).json(), {"imported": 200})
        stored = lambda: {row["id"]: row for line in server.get("/things", {"Accept": "application/x-ndjson"}).body.splitlines() for row in [json.loads(line)]}
        first = stored()
        formula = lambda value: isinstance(value, str) and value[:1] in ("\t",)
        for headers, accept in ((NDJSON, "application/x-ndjson"), (CSV, "text/csv")):
            sent = server.get("/things", {"Accept": accept}).body
            self.database(server.directory).script("DELETE FROM things")
            answer = server.post("/things/import", sent, headers)
            self.assertEqual(answer.status, 200, answer)
            for name, row in stored().items():
                expected = {key: "'" + value if accept == "text/csv" and formula(value) else value for key, value in first[name].items()}
                self.assertEqual(row, expected, accept)

    def test_each_row_that_breaks_the_schema_is_told_and_nothing_is_stored(self):
        server = self.stock()
        answer = self.send(server, "sku,name,amount\nAA-1,good,1\naa-2,bad sku,1\nAA-3,bad amount,many\nAA-4,too,few,cells\n\nAA-5,,2\n")
        self.told(answer, 422, "invalid-row", (3, "/1/sku", ""), (4, "/2/amount", "integer"), (5, "/3", "4 cells"), (7, "/4/name", "required"))
        answer = self.send(server, '{"sku":"AA-1","name":"n","amount":1}\n{"sku":"AA-2","name":"n","amount":-1}\nno json\n[1]\n{"sku":"AA-3","name":"n","amount":1,"more":1}\n', NDJSON)
        self.told(answer, 422, "invalid-row", (2, "/1/amount", ""), (3, "/2", "not JSON"), (4, "/3", "object"), (5, "/4/more", "no such column"))
        self.assertEqual(self.rows(server), [])

    def test_batches_and_imports_take_the_rows_that_a_create_takes(self):
        """Random rows of schemas that judge members together: as one, twice in a batch and twice in an import."""
        seed = random.randrange(1 << 30)
        print("seed", seed)
        choose = random.Random(seed).choice
        members = {"numbered": {"id": (5, "x"), "name": ("n", "n", ""), "made": (1, "x")},
                   "conditional": {"kind": ("round", "long", "long", "flat"), "radius": (1, 2, "x"), "length": (1, 2), "much": (1,), "many": (1,)},
                   "counted": {"word": ("w",), "place": (1, "x"), "x": (1.5,), "y": (True, 1)},
                   "either": {"id": (1,), "a": ("a",), "b": ("b",)},
                   "noted": {"note": ("nn", "n", None), "list": ([1], [1, 2, 3], ["x"])}}
        folder = self.directory()
        server = self.serve(ROWS, self.deployment("database: {url: 'sqlite:contract.db'}\n", folder), directory=folder)
        fields = lambda answer, item: {error["pointer"] for error in answer.json()["errors"] if not item or error["pointer"].startswith(item)}
        taken = refused = 0
        for number in range(1500 if os.environ.get("PLIMSOLL_TORTURE") == "1" else 250):
            table = TABLES[number % len(TABLES)]
            row = {name: choose(values) for name, values in members[table].items() if choose((True, True, False))}
            one, two, three, four, five = ({**row, **({"place": 10 * number + i} if row.get("place") == 1 else {})} for i in range(5))
            alone = server.post(f"/{table}", one)
            batch = server.post(f"/{table}/batch", [two, three])
            imported = server.post(f"/{table}/import", (json.dumps(four) + "\n" + json.dumps(five) + "\n").encode(), NDJSON)
            with self.subTest(table=table, row=row):
                self.assertIn(alone.status, (201, 422))
                if alone.status == 201:
                    taken += 1
                    self.assertEqual((batch.status, imported.status), (201, 200), (batch, imported))
                    continue
                refused += 1
                self.assertEqual((batch.status, batch.code, imported.status, imported.code), (422, alone.code) * 2, (alone, batch, imported))
                self.assertEqual(fields(batch, "/0"), {"/0" + pointer for pointer in fields(alone, "")}, (alone, batch))
                self.assertLessEqual(fields(imported, "/0"), {"/0" + pointer for pointer in fields(alone, "")}, (alone, imported))
                self.assertTrue(fields(imported, "/0"), imported)
        self.assertGreater(min(taken, refused), 25)

    def test_long_rows_are_stored_few_at_a_time(self):
        """What an import holds is bounded by bytes, not only by rows: seen in the rows of each statement."""
        server = self.stock(CONTRACT.replace("body: 1MiB", "body: 64MiB"), database=", slow: 1ms")
        size = 200_000
        rows = "".join(json.dumps({"sku": f"AA-{i}", "name": "n" * size, "amount": 1}) + "\n" for i in range(40))
        self.assertEqual(self.send(server, rows, NDJSON).json(), {"imported": 40})
        told = [event["rows"] for event in server.logged() if event["event"] == "slow-statement" and re.match('(INSERT INTO|COPY) "parts"', event["statement"])]
        self.assertTrue(told)
        self.assertLessEqual(max(told) * size, 1 << 20, told)

    def test_other_requests_have_their_turn_while_an_import_is_read(self):
        """One thread, and a body of which more is always there: what another connection asks is answered before all of it has been read."""
        server = self.stock(CONTRACT.replace("max: 5000, body: 1MiB", "max: 1000000, body: 64MiB"), more="threads: 1\n")
        rows = b"AA-1,n,1\n" * 100_000 + b"wrong,n,1\n"
        text = b"sku,name,amount\n" + rows
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**server.headers, **CSV, "Host": server.address, "Content-Length": len(text)}.items())
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port)) as importing, socket.create_connection(("127.0.0.1", server.port)) as other:
                importing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
                ask = f"GET /parts?limit=1 HTTP/1.1\r\nHost: {server.address}\r\nAuthorization: {server.headers['Authorization']}\r\n\r\n".encode()
                importing.sendall(f"POST /parts/import HTTP/1.1\r\n{lines}\r\n".encode() + text[:100])
                for _ in range(3):  # the import is being read when these are answered
                    other.sendall(ask)
                    self.assertTrue(other.recv(65536).startswith(b"HTTP/1.1 200"))
                server.signal(signal.SIGSTOP)
                harness.until(lambda: re.search(r"State:\s+T", pathlib.Path(f"/proc/{server.pid}/status").read_text()), "the server to stop")
                importing.sendall(text[100:])
                other.sendall(ask)
                server.signal(signal.SIGCONT)
                first = select.select([importing, other], [], [], harness.PATIENCE)[0]
                self.assertEqual(first, [other], "the import was answered before")
                self.assertTrue(importing.recv(65536).startswith(b"HTTP/1.1 422"))

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
