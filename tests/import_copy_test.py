"""Imports into PostgreSQL by COPY: that they are copied, that this means the same as inserting them, and that whatever breaks one off leaves nothing behind, in the database or on its connection.

Directly, without prepared statements through PgBouncer in transaction mode, and on a server of its own that dies in the middle."""
import json
import random
import re
import signal
import socket
import threading

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Stock, version: '1'}
security: []
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    parts: {schema: '#/components/schemas/Part', sort: [sku], unique: [sku], embeds: {shelf: {table: shelves, on: shelf_id}}}
    shelves: {schema: '#/components/schemas/Shelf', key: code}
    boxes: {schema: '#/components/schemas/Box'}
paths:
  /parts:
    get: {operationId: listParts, x-plimsoll: {table: parts}, parameters: [{name: sort, in: query, schema: {type: string}}],
          responses: {'200': {description: Parts, content: {application/json: {}, application/x-ndjson: {}}}}}
  /parts/import:
    post:
      operationId: importParts
      x-plimsoll: {table: parts, batch: {import: {max: 1000000, body: 256MiB, errors: 20}}, deadline: DEADLINE}
      requestBody: {required: true, content: {text/csv: {}, application/x-ndjson: {}}}
      responses: {'200': {description: Stored}}
  /shelves:
    post: {operationId: addShelf, x-plimsoll: {table: shelves}, requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Shelf'}}}}, responses: {'201': {description: Made}}}
  /boxes/import:
    post:
      operationId: importBoxes
      x-plimsoll: {table: boxes, batch: {import: {max: 100000}}}
      requestBody: {required: true, content: {application/x-ndjson: {}}}
      responses: {'200': {description: Stored}}
components:
  schemas:
    Part:
      type: object
      required: [id, sku, name, amount]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        sku: {type: string, pattern: '^[A-Z]{2}-[0-9]+$'}
        name: {type: string, minLength: 1}
        amount: {type: integer, minimum: 0}
        price: {type: string, format: decimal}
        weight: {type: number}
        fragile: {type: boolean, default: false}
        tags: {type: array, items: {type: string}}
        shelf_id: {type: string}
        note: {type: [string, 'null']}
        made_at: {type: string, format: date-time}
        created_at: {type: string, format: date-time, readOnly: true}
    Shelf:
      type: object
      required: [code]
      properties: {code: {type: string}}
    Box:
      type: object
      required: [id, text]
      properties: {id: {type: integer, readOnly: true, minimum: 1}, text: {type: string, minLength: 1}}
"""
CSV, NDJSON = {"Content-Type": "text/csv"}, {"Content-Type": "application/x-ndjson"}
SEVERAL = 6000  # rows that are more than one block


class Copying(harness.ServerTest):
    def stock(self, deadline="60s", more="", contract=CONTRACT):
        folder = self.directory()
        self.data = self.database(folder)
        harness.Postgres.shared().sql(f"ALTER DATABASE {self.data.name} SET log_statement='all'")
        config = self.deployment("database: {url: 'sqlite:contract.db'}\n", folder).replace("max: 8", "max: 1").replace("min: 1", "min: 0") + more
        if self.engine == "postgres":  # its buffers hold less than a block
            config = config.replace(self.data.url, harness.Postgres.shared().socket_url(self.data.name))
        server = self.serve(contract.replace("DEADLINE", deadline), config, directory=folder)
        self.assertEqual(server.post("/shelves", {"code": "s1"}).status, 201)
        return server

    def statements(self, table="parts"):
        """What was stored how, as the database server logged it since the last call: COPY and INSERT statements of the table."""
        log = harness.Postgres.shared().output_path
        with open(log, "rb") as file:
            file.seek(getattr(self, "read", 0))
            text = file.read().decode(errors="replace")
            self.read = file.tell()
        return re.findall(rf'(?:statement|execute [^:]*): (COPY|INSERT INTO) "{table}"', text)

    def count(self, table="parts"):
        return self.data.rows(f"SELECT count(*) FROM {table}")[0][0]

    def send(self, server, text, headers=CSV, target="/parts/import"):
        return server.post(target, text.encode() if isinstance(text, str) else text, headers)

    def rows(self, count, **more):
        return "".join(json.dumps({"sku": f"AA-{i}", "name": f"n {i}", "amount": i, **more}) + "\n" for i in range(count))


class Imports(Copying):
    engine = "postgres"

    def test_many_rows_are_copied_and_few_are_inserted(self):
        server = self.stock()
        self.statements()
        self.assertEqual(self.send(server, self.rows(100), NDJSON).json(), {"imported": 100})
        self.assertEqual(set(self.statements()), {"INSERT INTO"})
        text = "sku,name,amount\n" + "".join(f"AB-{i},n,{i}\n" for i in range(SEVERAL))
        self.assertEqual(self.send(server, text).json(), {"imported": SEVERAL})
        made = self.statements()
        self.assertEqual(set(made), {"COPY"})
        self.assertIn(len(made), range(2, 10))
        self.assertEqual(self.data.rows("SELECT count(*), sum(amount)::bigint, count(DISTINCT id) FROM parts WHERE sku LIKE 'AB-%'")[0], (SEVERAL, sum(range(SEVERAL)), SEVERAL))

    def test_copied_rows_are_those_that_are_inserted(self):
        """Random rows of all types, members left out at random: imported at once, and in imports too small for it."""
        seed = random.randrange(1 << 30)
        print("seed", seed)
        pick = random.Random(seed)
        texts = ("a", "\t", "\\", "\\N", "\\.", "\"", "'", "ä", "\r", "\n", ",", "\u0001", "€", "\\x41")
        text = lambda: "n" + "".join(pick.choice(texts) for _ in range(pick.randrange(8)))
        values = {"price": lambda: f"{pick.randrange(-10**12, 10**12)}.{pick.randrange(100):02}", "weight": lambda: pick.choice((0, -0.0, 1e-300, 1.5e300, pick.random())),
                  "fragile": lambda: pick.random() < .5, "tags": lambda: [text() for _ in range(pick.randrange(3))], "shelf_id": lambda: "s1",
                  "note": lambda: pick.choice((None, "", text())),
                  "made_at": lambda: f"20{pick.randrange(100):02}-01-{pick.randrange(1, 29):02}T{pick.randrange(24):02}:00:00.{pick.randrange(1000):03}+0{pick.randrange(10)}:30"}
        rows = [{"sku": f"AA-{i}", "name": text(), "amount": pick.randrange(1 << 62), **{name: value() for name, value in values.items() if pick.random() < .7}} for i in range(2000)]
        lines = [json.dumps(row, ensure_ascii=pick.random() < .5) + "\n" for row in rows]
        server = self.stock()
        self.statements()
        self.assertEqual(self.send(server, "".join(lines), NDJSON).json(), {"imported": len(rows)})
        self.assertEqual(set(self.statements()), {"COPY"})
        columns = "sku,name,amount,price::text,weight::text,fragile::text,tags::text,shelf_id,note,made_at::text"
        stored = lambda: self.data.rows(f"SELECT {columns} FROM parts ORDER BY sku")
        copied = stored()
        self.data.script("DELETE FROM parts")
        for i in range(0, len(rows), 500):
            self.assertEqual(self.send(server, "".join(lines[i:i + 500]), NDJSON).json(), {"imported": 500})
        self.assertEqual(set(self.statements()), {"INSERT INTO"})
        self.assertEqual(len(copied), len(rows))
        for one, other in zip(copied, stored()):
            self.assertEqual(one, other)

    def test_each_row_that_the_database_refuses_is_told_and_nothing_is_stored(self):
        server = self.stock()
        self.data.script("ALTER TABLE parts ADD CONSTRAINT cheap CHECK(weight<1000)")
        self.assertEqual(self.send(server, "sku,name,amount\nAA-7,there,1\n").status, 200)
        lines = [f"AB-{i},n,1,," for i in range(SEVERAL)]
        lines[0] = "AA-7,taken,1,,"
        lines[3000] = "AB-3001,n,1,,"  # 3001 comes second
        lines[4500] = "AC-1,n,1,nowhere,"
        lines[5000] = "AC-2,n,1,,2000"
        lines[SEVERAL - 1] = "AA-7,taken,1,,"
        answer = self.send(server, "sku,name,amount,shelf_id,weight\n" + "\n".join(lines))
        self.assertEqual((answer.status, answer.code), (409, "conflict"), answer)
        told = [(error["pointer"], error["message"].split(":")[0]) for error in answer.json()["errors"]]
        self.assertEqual(told, [("/0/sku", "line 2"), ("/3001/sku", "line 3003"), ("/4500/shelf_id", "line 4502"), ("/5000/weight", "line 5002"), (f"/{SEVERAL - 1}/sku", f"line {SEVERAL + 1}")])
        self.assertEqual(self.count(), 1)
        self.assertEqual(self.send(server, "sku,name,amount\n" + "".join(f"AB-{i},n,{i}\n" for i in range(SEVERAL))).json(), {"imported": SEVERAL})

    def test_no_more_errors_are_told_than_allowed(self):
        server = self.stock()
        answer = self.send(server, "sku,name,amount\n" + "".join(f"AB-{i // 2},n,{i}\n" for i in range(SEVERAL)))
        self.assertEqual((answer.status, answer.code), (409, "conflict"), answer)
        self.assertEqual([error["pointer"] for error in answer.json()["errors"]], [f"/{2 * i + 1}/sku" for i in range(20)])
        self.assertEqual(self.count(), 0)

    def test_keys_that_the_database_counts(self):
        server = self.stock()
        self.statements("boxes")
        rows = [json.dumps({"text": f"t {i}"}) + "\n" for i in range(1000)]
        self.assertEqual(self.send(server, "".join(rows), NDJSON, "/boxes/import").json(), {"imported": 1000})
        self.assertEqual(set(self.statements("boxes")), {"COPY"})
        self.assertEqual(self.data.rows("SELECT count(*), min(id), count(DISTINCT id) FROM boxes WHERE text='t '||(id-1)::text")[0], (1000, 1, 1000))
        self.data.script("CREATE UNIQUE INDEX one_each ON boxes(text)")
        answer = self.send(server, "".join(rows).replace("t ", "u ", 700), NDJSON, "/boxes/import")
        self.assertEqual((answer.status, [error["pointer"] for error in answer.json()["errors"]][:2]), (409, ["/700/text", "/701/text"]), answer)
        self.assertEqual(self.count("boxes"), 1000)

    def test_instants_that_are_stored_as_another_text(self):
        """PostgreSQL drops zeros at the end of a fraction: the same instant, unless the schema says how it is written."""
        rows = self.rows(600, made_at="2026-01-01T00:00:00.120Z")
        server = self.stock()
        self.statements()
        self.assertEqual(self.send(server, rows, NDJSON).json(), {"imported": 600})
        self.assertEqual(set(self.statements()), {"COPY"})
        server.stop()
        server = self.stock(contract=CONTRACT.replace("made_at: {type: string, format: date-time}", "made_at: {type: string, format: date-time, pattern: '[.][0-9]{3}Z$'}"))
        self.statements()
        answer = self.send(server, rows, NDJSON)
        self.assertEqual((answer.status, answer.code, answer.json()["errors"][0]["pointer"]), (422, "invalid-row", "/0/made_at"), answer)
        self.assertEqual(set(self.statements()), {"INSERT INTO"})
        self.assertEqual(self.count(), 0)

    def test_memory_does_not_grow_with_the_rows(self):
        """The body is on disk; what is held beside it is one block, ten times the rows or not."""
        server = self.stock(more="limits: {bodies: 0B}\nthreads: 1\n")
        anonymous = lambda: harness.memory(server.pid, "RssAnon")

        def most(count, first):
            text = "sku,name,amount\n" + "".join(f"AA-{i},{'n' * 50},{i}\n" for i in range(first, first + count))
            seen, answers = [anonymous()], []
            sending = threading.Thread(target=lambda: answers.append(self.send(server, text)))
            sending.start()
            while sending.is_alive():
                seen.append(anonymous())
                sending.join(0.005)
            self.assertEqual(answers[0].json(), {"imported": count})
            return max(seen)

        few = most(20_000, 0)
        self.assertLess(most(200_000, 20_000), few + (8 << 20))

    def test_rows_that_the_database_changes_or_guards_are_inserted(self):
        for what, statements in {
                "a trigger": "CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.name=upper(NEW.name); RETURN NEW; END$$; "
                             "CREATE TRIGGER loud BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION loud()",
                "a default": "ALTER TABLE parts ALTER note SET DEFAULT 'none'",
                "a policy": "ALTER TABLE parts ENABLE ROW LEVEL SECURITY; ALTER TABLE parts FORCE ROW LEVEL SECURITY; CREATE POLICY p ON parts USING (amount<>9)",
                "a type that rounds": "ALTER TABLE parts ALTER price TYPE numeric(12,1)",
        }.items():
            with self.subTest(what):
                server = self.stock()
                self.data.script(statements)
                self.statements()
                lines = self.rows(700, price="1.26")
                if what == "a policy":
                    answer = self.send(server, lines, NDJSON)
                    self.assertEqual((answer.status, [error["pointer"] for error in answer.json()["errors"]]), (403, ["/9"]), answer)
                    lines = lines.replace('"amount": 9,', '"amount": 8,')
                self.assertEqual(self.send(server, lines, NDJSON).json(), {"imported": 700})
                self.assertEqual(set(self.statements()), {"INSERT INTO"})
                row, = self.data.rows("SELECT name,note,price::text FROM parts WHERE sku='AA-1'")
                self.assertEqual(row, {"a trigger": ("N 1", None, "1.26"), "a default": ("n 1", "none", "1.26"), "a policy": ("n 1", None, "1.26"),
                                       "a type that rounds": ("n 1", None, "1.3")}[what])
                server.stop()


class BrokenOff(Copying):
    """The COPY waits in its middle for a row of another transaction."""
    engine = "postgres"

    def wait_in_the_middle(self, server, behind="INSERT INTO parts(id,sku,name,amount,created_at) VALUES('c0ffee00-0000-4000-8000-000000000000','AA-10','n',1,now())"):
        """Sends an import on a connection of its own that waits behind the first rows of its data; that connection, and the one that must roll back."""
        other = self.data.connect()
        other.execute("BEGIN")
        other.execute(behind)
        body = self.rows(SEVERAL, note="x" * 1000).encode()
        importing = socket.create_connection(("127.0.0.1", server.port))
        importing.sendall(f"POST /parts/import HTTP/1.1\r\nHost: {server.address}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        harness.until(self.waiting, "the import to wait")
        return importing, other

    def waiting(self):
        return self.data.rows("SELECT 1 FROM pg_stat_activity WHERE datname=current_database() AND wait_event_type='Lock' AND query LIKE 'COPY%'")

    def is_as_before(self, server):
        """Nothing is stored, no transaction is open, and the one connection of the pool serves."""
        harness.until(lambda: not self.data.rows("SELECT 1 FROM pg_stat_activity WHERE datname=current_database() AND usename='shop' AND pid<>pg_backend_pid() AND state<>'idle'"),
                      "the transaction of the import to end")
        self.assertEqual(self.count(), 0)
        self.assertEqual(server.get("/parts").json()["data"], [])
        self.assertEqual(self.send(server, self.rows(SEVERAL), NDJSON).json(), {"imported": SEVERAL})
        self.assertEqual(self.count(), SEVERAL)

    def test_a_client_that_leaves(self):
        server = self.stock()
        importing, other = self.wait_in_the_middle(server)
        importing.close()
        harness.until(lambda: not self.waiting(), "the COPY to end")
        other.close()
        self.is_as_before(server)

    def test_a_client_that_leaves_before_it_has_begun(self):
        """The server takes the data only when nobody waits for it any more."""
        server = self.stock()
        importing, other = self.wait_in_the_middle(server, "LOCK TABLE parts IN EXCLUSIVE MODE")
        importing.close()
        harness.until(lambda: any(event.get("client_gone") for event in server.logged()), "the server to see that the client has left")
        other.close()
        self.is_as_before(server)

    def test_a_deadline_that_passes(self):
        server = self.stock(deadline="2s")
        importing, other = self.wait_in_the_middle(server)
        answer = importing.recv(65536)
        importing.close()
        self.assertIn(b" 504 ", answer.split(b"\r\n")[0])
        self.assertIn(b"deadline-exceeded", answer)
        other.close()
        self.is_as_before(server)

    def test_a_server_that_is_killed(self):
        server = self.stock()
        importing, other = self.wait_in_the_middle(server)
        server.signal(signal.SIGKILL)
        server.wait()
        importing.close()
        other.close()
        self.is_as_before(server.start())

    def test_a_transaction_that_is_ended_by_an_operator(self):
        """Its connection is lost: the import is repeated on another one, as all work that was not committed."""
        server = self.stock()
        importing, other = self.wait_in_the_middle(server)
        self.data.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname=current_database() AND wait_event_type='Lock' AND query LIKE 'COPY%'")
        harness.until(self.waiting, "the import to wait again")
        other.close()
        self.assertIn(b" 200 ", importing.recv(65536).split(b"\r\n")[0])
        importing.close()
        self.assertEqual(self.count(), SEVERAL)

    def test_a_statement_that_is_cancelled_by_an_operator(self):
        server = self.stock()
        importing, other = self.wait_in_the_middle(server)
        self.data.rows("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname=current_database() AND wait_event_type='Lock' AND query LIKE 'COPY%'")
        answer = importing.recv(65536)
        importing.close()
        self.assertGreaterEqual(int(answer.split()[1]), 500, answer)
        other.close()
        self.is_as_before(server)


@harness.engines("postgres", "pgbouncer", why="PostgreSQL alone has COPY")
class ThroughPgBouncer(BrokenOff):
    engine = "pgbouncer"

    test_a_transaction_that_is_ended_by_an_operator = None

    def test_a_client_that_leaves(self):
        """Nothing is cancelled through PgBouncer: the COPY ends when it need not wait any more, and is rolled back."""
        server = self.stock()
        importing, other = self.wait_in_the_middle(server)
        importing.close()
        harness.until(lambda: any(event.get("client_gone") for event in server.logged()), "the server to see that the client has left")
        other.close()
        self.is_as_before(server)

    def test_many_rows_are_copied_and_refused_rows_are_told(self):
        server = self.stock()
        self.statements()
        answer = self.send(server, self.rows(SEVERAL).replace('"AA-3000"', '"AA-2000"'), NDJSON)
        self.assertEqual((answer.status, [error["pointer"] for error in answer.json()["errors"]]), (409, ["/3000/sku"]), answer)
        self.assertIn("COPY", self.statements())
        self.assertEqual(self.count(), 0)
        self.assertEqual(self.send(server, self.rows(SEVERAL), NDJSON).json(), {"imported": SEVERAL})
        self.assertEqual(set(self.statements()), {"COPY"})


class ServersThatDie(harness.ServerTest):
    def test_a_database_server_that_dies_in_the_middle(self):
        folder = self.directory()
        postgres = harness.Postgres(self.directory()).start()
        self.addCleanup(postgres.stop)
        name = postgres.database()
        server = self.serve(CONTRACT.replace("DEADLINE", "60s"), f"database: {{url: '{postgres.url(name)}', pool: {{min: 0, max: 1}}}}\n", directory=folder)
        copying = BrokenOff()
        copying.data = harness.PostgresDatabase(postgres, name, postgres.url(name))
        importing, other = copying.wait_in_the_middle(server)
        postgres.halt()
        other.close()
        answer = importing.recv(65536)
        importing.close()
        self.assertIn(b" 503 ", answer.split(b"\r\n")[0])
        self.assertIn(b"database-unavailable", answer)
        postgres.start()
        harness.until(lambda: server.get("/parts").status == 200, "the server to reach its database again")
        copying.is_as_before(server)


if __name__ == "__main__":
    harness.main()
