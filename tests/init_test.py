"""`plimsoll init --from`: a contract for a database that is there already, served, listed, embedded and checked without an edit."""
import gzip
import json
import os
import pathlib
import re
import subprocess
import unittest

import harness

SHOP = """
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'on');
CREATE DOMAIN mail AS text CHECK (value LIKE '%@%');
CREATE TABLE customers(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(40) NOT NULL, mail mail UNIQUE, mood mood, born date, since timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE customers IS 'Who buys: "us"
and others';
COMMENT ON COLUMN customers.name IS '#1, as on letters';
CREATE TABLE orders(number uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer_id bigint NOT NULL REFERENCES customers, total numeric(10,2) NOT NULL, notes jsonb, picture bytea,
  tags text[], twice numeric GENERATED ALWAYS AS (total * 2) STORED, paid boolean NOT NULL DEFAULT false, "limit" integer);
CREATE INDEX ON orders(customer_id);
CREATE INDEX ON orders(total, paid);
CREATE INDEX ON orders("limit");
CREATE TABLE payments(id serial PRIMARY KEY, order_number uuid NOT NULL REFERENCES orders, by_customer bigint REFERENCES customers, ratio double precision);
CREATE TABLE order_lines(order_number uuid REFERENCES orders, line int, what text, PRIMARY KEY(order_number, line));
CREATE TABLE notes(order_number uuid, line int, id int PRIMARY KEY, FOREIGN KEY(order_number, line) REFERENCES order_lines);
CREATE TABLE log(at timestamptz, what text);
CREATE TABLE codes(code text NOT NULL UNIQUE, meaning text);
CREATE TABLE files(id int PRIMARY KEY, content bytea NOT NULL);
CREATE VIEW big_orders AS SELECT number AS id, customer_id, total FROM orders WHERE total > 100;
CREATE VIEW totals AS SELECT customer_id, sum(total) AS total FROM orders GROUP BY 1 UNION ALL SELECT customer_id, 0 FROM orders;
CREATE MATERIALIZED VIEW counted AS SELECT customer_id, count(*) AS orders FROM orders GROUP BY 1;
CREATE SCHEMA archive;
CREATE TABLE archive.old(id int PRIMARY KEY);
CREATE TABLE "Odd: name"("yes" int PRIMARY KEY, "select" text, "a: b # c" text);
CREATE TABLE nameless("the key" int PRIMARY KEY);
CREATE TABLE events(id bigint PRIMARY KEY, what text) PARTITION BY HASH(id);
CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO customers(name, mail, mood, born) VALUES('Ada', 'ada@example.com', 'it''s ok', '1815-12-10'), ('Bob', NULL, NULL, NULL);
INSERT INTO orders(number, customer_id, total, notes, picture) VALUES('0192f0c1-0000-7000-8000-000000000001', 1, 150.50, '{"a": [1]}', '\\x00'),
  ('0192f0c1-0000-7000-8000-000000000002', 1, 9.90, NULL, NULL);
INSERT INTO payments(order_number, by_customer, ratio) VALUES('0192f0c1-0000-7000-8000-000000000001', 2, 0.5);
INSERT INTO order_lines VALUES('0192f0c1-0000-7000-8000-000000000001', 1, 'bolts'), ('0192f0c1-0000-7000-8000-000000000001', 2, 'nuts');
INSERT INTO notes VALUES('0192f0c1-0000-7000-8000-000000000001', 2, 5);
INSERT INTO "Odd: name" VALUES(7, 'x', 'y');
INSERT INTO events VALUES(1, 'begun');
REFRESH MATERIALIZED VIEW counted;
"""

SQLITE = """
CREATE TABLE customers(id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, born DATE, seen DATETIME DEFAULT CURRENT_TIMESTAMP, likes JSON, worth DECIMAL(10,2), tag UUID, photo BLOB);
CREATE TABLE orders(number TEXT PRIMARY KEY NOT NULL, customer_id INTEGER NOT NULL REFERENCES customers, total NUMERIC, paid BOOLEAN NOT NULL DEFAULT 0);
CREATE INDEX by_customer ON orders(customer_id);
CREATE TABLE order_lines(number TEXT REFERENCES orders, line INTEGER, PRIMARY KEY(number, line));
CREATE TABLE log(what TEXT);
CREATE VIEW open_orders AS SELECT number AS id, total FROM orders WHERE NOT paid;
CREATE VIRTUAL TABLE words USING fts5(text);
INSERT INTO customers VALUES(1, 'Ada', '1815-12-10', '2026-01-31 09:30:00', '["tea"]', 12.5, '0192f0c1-0000-7000-8000-000000000001', x'00');
INSERT INTO orders VALUES('a1', 1, 9.5, 0), ('a2', 1, 3, 1);
INSERT INTO order_lines VALUES('a1', 1);
"""


class Init(harness.ServerTest):
    def init(self, url, *more, status=0):
        """The folder with the files, and what was said."""
        folder = self.directory()
        done = self.plimsoll("init", "made", "--from", url, *more, directory=folder)
        self.assertEqual(done.returncode, status, done.stderr)
        self.environment = {"DATABASE_PASSWORD": "s3cret"}
        return folder / "made", done.stdout + done.stderr

    def contract(self, folder):
        found = [path for path in folder.glob("*.yaml") if path.name != "plimsoll.yaml"]
        self.assertEqual(len(found), 1)
        return found[0]

    def checked(self, folder):
        done = self.plimsoll("check", self.contract(folder).name, directory=folder, environment=self.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def serve_it(self, folder, scope="*"):
        server = self.serve(self.contract(folder), folder / "plimsoll.yaml", directory=folder, environment=self.environment)
        made = self.plimsoll("keys", "create", "--name", "me", "--scope", scope, directory=folder, environment=self.environment)
        self.assertEqual(made.returncode, 0, made.stderr)
        server.headers["X-API-Key"] = made.stdout.strip()
        return server

    def left_out(self, folder):
        """{name: reason}, of the comment at the head of the contract."""
        found = {}
        for line in self.contract(folder).read_text().splitlines():
            if not line.startswith("#"):
                return found
            if entry := re.match(r"#   (.*?): (.*)", line):
                found[entry[1]] = entry[2]

    def postgres(self, schema):
        postgres = harness.Postgres.shared()
        name = postgres.database()
        self.addCleanup(postgres.sql, f"DROP DATABASE {name} WITH (FORCE)")
        loaded = subprocess.run([postgres.bin / "psql", "-h", postgres.folder, "-p", str(postgres.port), "-U", "shop", "-d", name, "-qX", "-v", "ON_ERROR_STOP=1"],
                                input=schema, cwd="/", capture_output=True, text=True, timeout=300)
        self.assertEqual(loaded.returncode, 0, loaded.stderr[-2000:])
        return postgres.url(name)


class Folders(Init):
    def test_a_folder_with_one_of_its_files_is_left_as_it_is(self):
        for there in ("plimsoll.yaml", "notes.yaml"):
            folder = self.directory()
            (folder / there).write_text("mine")
            done = self.plimsoll("init", directory=folder)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(f"{there} already exists", done.stderr)
            self.assertEqual([(path.name, path.read_text()) for path in folder.iterdir()], [(there, "mine")])


class Postgres(Init):
    def test_a_contract_for_tables_that_are_there_is_served_listed_embedded_and_checked_without_an_edit(self):
        url = self.postgres(SHOP)
        folder, said = self.init(url)
        self.assertNotIn("s3cret", "".join(path.read_text() for path in folder.glob("*.yaml")))
        self.checked(folder)
        left = self.left_out(folder)
        for name, reason in {"log": "it has no primary key", "archive.old": "outside of the search path",
                             "nameless": "no path can name the key", "totals": "a view without a column that is known to be unique", "orders.picture": "bytea", "orders.tags": "text[]",
                             "files.content": "bytea"}.items():
            self.assertIn(reason, left[name])
        self.assertEqual(set(left), {"log", "archive.old", "nameless", "totals", "orders.picture", "orders.tags", "files.content"})
        routes = json.loads(self.plimsoll("routes", self.contract(folder).name, "--json", directory=folder).stdout)
        self.assertEqual({route["method"] for route in routes}, {"GET"})
        server = self.serve_it(folder)
        ada, bob = server.get("/customers", sort="id").json()["data"]
        self.assertEqual((ada["name"], ada["mood"], ada["born"], bob["mail"], bob["mood"]), ("Ada", "it's ok", "1815-12-10", None, None))
        first = server.get("/orders/0192f0c1-0000-7000-8000-000000000001?embed=customer,payments").json()
        self.assertEqual((first["total"], first["notes"], first["twice"], first["customer"]["name"], [each["ratio"] for each in first["payments"]]),
                         ("150.50", {"a": [1]}, "301.00", "Ada", [0.5]))
        self.assertNotIn("picture", first)
        shown = server.get("/customers/1", embed="orders").json()
        self.assertEqual(sorted(order["total"] for order in shown["orders"]), ["150.50", "9.90"])
        self.assertEqual([row["total"] for row in server.get("/orders", **{"total[ge]": "10"}).json()["data"]], ["150.50"])
        self.assertEqual([row["total"] for row in server.get("/big_orders").json()["data"]], ["150.50"])
        self.assertEqual(server.get("/counted/1").json(), {"customer_id": 1, "orders": 2})
        self.assertEqual(server.get("/Odd__name/7").json(), {"yes": 7, "select": "x", "a: b # c": "y"})
        self.assertEqual(server.get("/events/1").json(), {"id": 1, "what": "begun"})
        self.assertEqual(server.get("/codes").json()["data"], [])
        order = "0192f0c1-0000-7000-8000-000000000001"
        line = server.get(f"/order_lines/{order}/2?embed=notes,orders").json()
        self.assertEqual((line["what"], line["orders"]["total"], [note["id"] for note in line["notes"]]), ("nuts", "150.50", [5]), line)
        self.assertEqual(server.get("/notes/5", embed="order_lines").json()["order_lines"]["what"], "nuts")
        self.assertEqual(server.get(f"/order_lines/{order}/3").status, 404)
        self.assertEqual(server.post("/customers", {"name": "Eve"}).status, 405)
        row = server.get("/openapi.json").json()["components"]["schemas"]["customers"]
        self.assertEqual((row["description"], row["properties"]["name"]["description"], row["properties"]["name"]["maxLength"]), ('Who buys: "us"\nand others', "#1, as on letters", 40))
        self.assertEqual(row["properties"]["mood"]["enum"], ["sad", "it's ok", "on", None])

    def test_each_table_has_a_scope_of_its_own(self):
        folder, _ = self.init(self.postgres(SHOP))
        server = self.serve_it(folder, "orders:read")
        self.assertEqual([server.get(path).status for path in ("/orders", "/customers", "/orders?embed=customer")], [200, 403, 403])

    def test_keys_with_dates_are_served_and_the_column_that_makes_another_impossible_is_named(self):
        folder, _ = self.init(self.postgres("""
            CREATE TABLE days(d date PRIMARY KEY, what text);
            CREATE TABLE readings(id int, d date, v text, PRIMARY KEY(id, d)) PARTITION BY RANGE(d);
            CREATE TABLE readings_1 PARTITION OF readings DEFAULT;
            CREATE TABLE stamps(id int, at timestamptz, PRIMARY KEY(id, at));
            CREATE TABLE prices(price numeric(9,2) PRIMARY KEY);
            CREATE TYPE mood AS ENUM('ok', 'bad');
            CREATE TABLE moods(mood mood PRIMARY KEY);
            INSERT INTO days VALUES('2020-05-05', 'begun');
            INSERT INTO readings VALUES(1, '2020-05-05', 'a'), (1, '2020-05-06', 'b'), (2, '2020-05-05', 'c');"""))
        self.checked(folder)
        self.assertEqual({name: reason for name, reason in self.left_out(folder).items()}, {
            "stamps": "its key id, at cannot be served: at (timestamp with time zone) is neither text, a date nor an integer",
            "prices": "its key price cannot be served: price (numeric(9,2)) is neither text, a date nor an integer",
            "moods": "its key mood cannot be served: mood is an enumeration"})
        server = self.serve_it(folder)
        self.assertEqual(server.get("/days/2020-05-05").json(), {"d": "2020-05-05", "what": "begun"})
        self.assertEqual(server.get("/readings/1/2020-05-06").json(), {"id": 1, "d": "2020-05-06", "v": "b"})
        self.assertEqual(server.get("/readings/2/2020-05-06").status, 404)
        page = server.get("/readings?limit=2").json()
        more = server.get("/readings", limit=2, cursor=page["next_cursor"]).json()
        self.assertEqual([row["v"] for row in page["data"] + more["data"]], ["a", "b", "c"])

    def test_rows_are_written_where_that_is_asked_for(self):
        folder, _ = self.init(self.postgres(SHOP), "--writable")
        self.checked(folder)
        self.assertIn("so that the table is served read-only", self.left_out(folder)["files.content"])
        server = self.serve_it(folder)
        made = server.post("/customers", {"name": "Eve", "mail": "eve@example.com"})
        self.assertEqual((made.status, made.json()["name"], made.json()["id"]), (201, "Eve", 3), made)
        order = server.post("/orders", {"customer_id": 3, "total": "1.10"})
        self.assertEqual((order.status, order.json()["twice"], order.json()["paid"]), (201, "2.20", False), order)
        place = order.headers["location"]
        self.assertEqual(server.patch(place, {"paid": True, "notes": [1]}).json()["notes"], [1])
        self.assertEqual(server.delete(place).status, 204)
        self.assertEqual(server.post("/customers", {"name": "x" * 41}).status, 400)
        self.assertEqual(server.post("/big_orders", {"total": "1"}).status, 405)
        self.assertEqual(server.post("/files", {"id": 1}).status, 405)

    def test_a_database_that_cannot_be_read_writes_nothing(self):
        for url, said in (("mysql://x/y", "is no database"), ("sqlite:nowhere.db", "there is no database at nowhere.db"), ("postgres://shop@127.0.0.1:1/x", "cannot")):
            folder = self.directory()
            done = self.plimsoll("init", "made", "--from", url, directory=folder, patience=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(list(folder.iterdir()), [], done.stderr)
        self.assertEqual(self.plimsoll("init", "made", "--writable").returncode, 2)


    def test_tables_with_policies_of_the_server_are_served_with_them(self):
        """And an error names no file that is gone with the command."""
        made = self.directory()
        (made / "notes.yaml").write_text("""
openapi: 3.1.0
info: {title: Notes, version: '1'}
security: [{key: []}]
x-plimsoll: {tables: {notes: {schema: '#/components/schemas/Note', tenant: org}}}
paths: {/notes: {get: {x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}
  schemas: {Note: {type: object, required: [id, org], properties: {id: {type: integer, readOnly: true}, org: {type: string, readOnly: true}, text: {type: string}}}}
""")
        postgres = harness.Postgres.shared()
        name = postgres.database()
        url = postgres.url(name)
        (made / "plimsoll.yaml").write_text(f"database: {{url: '{url}', row-security: true}}\n")
        for words in (("new", "tables", "notes.yaml"), ("rls", "notes.yaml"), ("up", "notes.yaml")):
            done = self.plimsoll("migrate", *words, directory=made)
            self.assertEqual(done.returncode, 0, done.stderr)
        postgres.sql("INSERT INTO notes(org, text) VALUES ('north', 'ours'), ('south', 'theirs')", name)
        folder, _ = self.init(url)
        self.checked(folder)
        self.assertIn(", row-security: true}", (folder / "plimsoll.yaml").read_text())
        server = self.serve_it(folder)
        key = self.plimsoll("keys", "create", "--name", "n", "--scope", "*", "--tenant", "north", directory=folder, environment=self.environment).stdout.strip()
        self.assertEqual([row["text"] for row in server.get("/notes", {"X-API-Key": key}).json()["data"]], ["ours"])
        done = self.plimsoll("init", "other", "--from", f"postgres://postgres@/{name}?host={postgres.folder}&port={postgres.port}", directory=self.directory())
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("the role postgres is a superuser", done.stderr)
        self.assertNotIn("/tmp/", done.stderr)


class Sqlite(Init):
    def test_a_contract_for_the_tables_of_a_file_is_served_and_checked_without_an_edit(self):
        database = self.database(self.directory(), "old.db")
        database.script(SQLITE)
        folder, _ = self.init(database.url, "--writable")
        self.checked(folder)
        left = self.left_out(folder)
        self.assertEqual(set(left), {"log", "customers.photo"}, left)
        server = self.serve_it(folder)
        self.assertEqual(server.get("/customers/1", embed="orders").json()["orders"][0]["number"], "a1")
        self.assertEqual(server.get("/orders/a1", embed="customer").json()["customer"]["name"], "Ada")
        self.assertEqual(server.get("/order_lines/a1/1", embed="orders").json()["orders"]["total"], 9.5)
        self.assertEqual(server.post("/order_lines", {"number": "a2", "line": 7}).headers["location"], "/order_lines/a2/7")
        ada = server.get("/customers/1").json()
        self.assertEqual(ada, {"id": 1, "name": "Ada", "born": "1815-12-10", "seen": "2026-01-31T09:30:00Z", "likes": ["tea"], "worth": 12.5, "tag": "0192f0c1-0000-7000-8000-000000000001"})
        self.assertEqual([row["id"] for row in server.get("/open_orders").json()["data"]], ["a1"])
        made = server.post("/customers", {"name": "Bob", "born": "1999-12-31", "likes": {"a": [1]}, "worth": 0.1})
        self.assertEqual((made.status, made.json()["id"]), (201, 2), made)
        bob = server.get("/customers/2").json()
        self.assertEqual((bob["born"], bob["likes"], bob["worth"], bob["seen"][-1]), ("1999-12-31", {"a": [1]}, 0.1, "Z"), bob)
        self.assertEqual(server.post("/customers", {"name": "Eve", "born": "yesterday"}).code, "invalid")
        self.assertEqual(server.post("/orders", {"number": "a3", "customer_id": 2, "total": 1.5}).json()["paid"], False)


    def test_a_view_that_the_database_cannot_read_is_left_out_with_the_reason(self):
        database = self.database(self.directory(), "old.db")
        database.script(SQLITE + """
CREATE TABLE dropped(nope);
CREATE VIEW of_a_table_that_is_gone AS SELECT nope FROM dropped;
DROP TABLE dropped;
CREATE VIEW of_a_column_that_is_gone AS SELECT colour FROM customers;
CREATE VIEW of_a_function_of_a_program AS SELECT shout(name) AS name FROM customers;
CREATE VIEW one_of_a_circle AS SELECT * FROM other_of_a_circle;
CREATE VIEW other_of_a_circle AS SELECT * FROM one_of_a_circle;
""")
        folder, _ = self.init(database.url)
        self.checked(folder)
        left = self.left_out(folder)
        self.assertEqual(left["of_a_table_that_is_gone"], "it cannot be read: no such table: main.dropped")
        self.assertEqual(left["of_a_column_that_is_gone"], "it cannot be read: no such column: colour")
        self.assertEqual(left["of_a_function_of_a_program"], "it cannot be read: no such function: shout")
        self.assertIn("circularly defined", left["one_of_a_circle"])
        self.assertEqual([row["id"] for row in self.serve_it(folder).get("/open_orders").json()["data"]], ["a1"])

    def test_what_the_server_made_for_itself_is_no_table_of_the_contract(self):
        made = self.directory()
        (made / "notes.yaml").write_text("""
openapi: 3.1.0
info: {title: Notes, version: '1'}
x-plimsoll: {authorization: any-caller, tables: {notes: {schema: '#/components/schemas/Note', search: [text]}, lines: {schema: '#/components/schemas/Line', key: [note, line], search: [text]}}}
paths:
  /notes: {get: {security: [], x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}}
  /lines: {get: {security: [], x-plimsoll: {table: lines}, responses: {'200': {description: ok}}}}
components:
  schemas:
    Note: {type: object, properties: {id: {type: string, format: uuid, readOnly: true}, text: {type: string}}}
    Line: {type: object, required: [note, line], properties: {note: {type: string}, line: {type: integer}, text: {type: string}}}
""")
        self.serve(made / "notes.yaml", directory=made).stop()
        database = harness.SqliteDatabase(made / "notes.db")
        self.assertLess({"notes_search_rows", "lines_search_rows", "notes_search"}, database.tables())
        database.script("CREATE TABLE words_search_rows(id INTEGER PRIMARY KEY, text TEXT)")  # of somebody else
        folder, _ = self.init(database.url, "--writable")
        self.checked(folder)
        self.assertEqual(sorted(re.findall(r"operationId: list_(\w+)", self.contract(folder).read_text())), ["lines", "notes", "words_search_rows"])


class Debian(Init):
    """Schemas of Debian packages, in build/schemas or $PLIMSOLL_SCHEMAS; with PLIMSOLL_TORTURE they are downloaded there. None of these packages is installed."""

    def unpacked(self, package):
        folder = pathlib.Path(os.environ.get("PLIMSOLL_SCHEMAS", harness.ROOT / "build/schemas"))
        if not (folder / package).exists() and os.environ.get("PLIMSOLL_TORTURE"):
            place = self.directory()
            place.chmod(0o777)
            got = subprocess.run(["apt-get", "download", package], cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
            for file in place.glob("*.deb") if got.returncode == 0 else ():
                subprocess.run(["dpkg", "-x", file, folder / package], check=True)
        if not (folder / package).exists():
            raise unittest.SkipTest(f"real data is not here: {folder / package}")
        return folder / package

    def judge(self, schema, least, rows=None):
        """Everything that is served is listed; each row of the first pages is read and shown with all that is embedded."""
        url = self.postgres(schema)
        folder, said = self.init(url)
        self.checked(folder)
        routes = json.loads(self.plimsoll("routes", self.contract(folder).name, "--json", directory=folder).stdout)
        lists = sorted(route["path"] for route in routes if "{" not in route["path"])
        self.assertGreaterEqual(len(lists), least, said)
        server = self.serve_it(folder)
        paths = server.get("/openapi.json").json()["paths"]
        read = embedded = 0
        line = server.connection()
        self.addCleanup(line.close)
        for path in lists:
            page = server.request("GET", path + "?limit=3", connection=line)
            self.assertEqual(page.status, 200, (path, page))
            item = next(route["path"] for route in routes if route["path"].startswith(path + "/{"))
            keys = [part[1:-1] for part in item[len(path) + 1:].split("/")]
            for row in page.json()["data"]:
                place = "/".join(harness.urllib.parse.quote(str(row[key]), safe="") for key in keys)
                one = server.request("GET", f"{path}/{place}", connection=line)
                self.assertEqual((one.status, one.json()), (200, row), path)
                read += 1
            parameters = {parameter["name"]: parameter for parameter in paths[path]["get"]["parameters"]}
            for name in parameters.get("embed", {}).get("schema", {}).get("items", {}).get("enum", ()):
                shown = server.request("GET", f"{path}?limit=3&embed={name}", connection=line)
                self.assertEqual(shown.status, 200, (path, name, shown))
                embedded += sum(bool(row[name]) for row in shown.json()["data"])
        count = len(self.left_out(folder))
        print(f"{len(lists)} tables served, {count} entries left out, {read} rows read by key, {embedded} rows shown with others inside")
        return read, embedded

    def test_roundcube(self):
        package = self.unpacked("roundcube-core")
        self.judge((package / "usr/share/roundcube/SQL/postgres.initial.sql").read_text() + """
            INSERT INTO users(username, mail_host) VALUES('ada', 'localhost');
            INSERT INTO identities(user_id, name, email) SELECT user_id, 'Ada', 'ada@example.com' FROM users;
            INSERT INTO contacts(user_id, name, email) SELECT user_id, 'Bob', 'bob@example.com' FROM users;
            INSERT INTO session(sess_id, ip, vars) VALUES('s1', '127.0.0.1', 'x');""", 10)

    def test_bacula(self):
        package = self.unpacked("bacula-director-pgsql")
        read, _ = self.judge((package / "usr/share/dbconfig-common/data/bacula-director-pgsql/install/pgsql").read_text(), 15)
        self.assertGreaterEqual(read, 3)

    def test_zabbix(self):
        folder = self.unpacked("zabbix-server-pgsql") / "usr/share/zabbix-server-pgsql"
        schema = "".join(gzip.open(folder / f"{name}.sql.gz", "rt").read() for name in ("schema", "images", "data"))
        read, embedded = self.judge(schema, 140)
        self.assertGreater(read, 100)
        self.assertGreater(embedded, 50)


if __name__ == "__main__":
    harness.main()
