"""Tables on the running server: what a client sees, and what whoever starts it is told."""
import os
import socket
import sqlite3
import threading

import harness

CONFIG = "database: {url: 'sqlite:things.db', busy: 50ms}\n"


def contract(table="", columns="", security="", filters="filters: {size: [ge, in], name: [eq, like]}", required="[id, name]"):
    return f"""
openapi: 3.1.0
info: {{title: Things, version: 1.0.0}}
{security}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    things:
      schema: '#/components/schemas/Thing'
      {filters}
      sort: [size, name]
      {table}
components:
  schemas:
    Thing:
      type: object
      required: {required}
      properties:
        id: {{type: integer, readOnly: true}}
        name: {{type: string, minLength: 1}}
        size: {{type: [integer, 'null']}}
        price: {{type: [string, 'null'], format: decimal}}
        {columns}
paths:
  /things:
    get:
      operationId: listThings
      x-plimsoll: {{table: things}}
      responses: {{'200': {{description: ok}}}}
    post:
      operationId: createThing
      x-plimsoll: {{table: things}}
      requestBody: {{required: true, content: {{application/json: {{schema: {{type: object}}}}}}}}
      responses: {{'201': {{description: made}}}}
  /things/batch:
    post:
      operationId: createThings
      x-plimsoll: {{table: things, batch: {{create: {{max: 1000}}}}}}
      requestBody: {{required: true, content: {{application/json: {{schema: {{type: array}}}}}}}}
      responses: {{'201': {{description: made}}}}
  /things/import:
    post:
      operationId: importThings
      x-plimsoll: {{table: things, batch: {{create: {{max: 1000, on-error: continue}}}}}}
      requestBody: {{required: true, content: {{application/json: {{schema: {{type: array}}}}}}}}
      responses: {{'207': {{description: results}}}}
  /things/{{id}}:
    parameters: [{{name: id, in: path, required: true, schema: {{type: integer}}}}]
    get:
      operationId: getThing
      x-plimsoll: {{table: things}}
      responses: {{'200': {{description: ok}}}}
    put:
      operationId: putThing
      x-plimsoll: {{table: things}}
      requestBody: {{required: true, content: {{application/json: {{schema: {{type: object}}}}}}}}
      responses: {{'200': {{description: ok}}}}
    delete:
      operationId: deleteThing
      x-plimsoll: {{table: things}}
      responses: {{'204': {{description: gone}}}}
"""


ENFORCED = """
openapi: 3.1.0
info: {title: Enforced, version: 1.0.0}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  responses: enforce
  tables:
    shelves: {schema: '#/components/schemas/Shelf', sort: [name], naming: camel, embeds: {books: {table: books, by: shelf_id}}}
    books: {schema: '#/components/schemas/Book', embeds: {shelf: {table: shelves, on: shelf_id}}}
components:
  schemas:
    Shelf:
      type: object
      additionalProperties: false
      required: [id, name]
      properties: {id: {type: integer, readOnly: true}, name: {type: string}, room: {type: string}, tags: {type: array, items: {type: string}}}
    Book:
      type: object
      required: [id, shelf_id]
      properties: {id: {type: integer, readOnly: true}, shelf_id: {type: integer}, pages: {type: integer}}
  responses:
    Ok: {description: As the table has it.}
paths:
  /shelves:
    get: {operationId: listShelves, x-plimsoll: {table: shelves}, responses: {'200': {$ref: '#/components/responses/Ok'}}}
    post: {operationId: createShelf, x-plimsoll: {table: shelves}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'201': {description: made}}}
  /shelves/many:
    post: {operationId: createShelves, x-plimsoll: {table: shelves, batch: {create: {max: 9}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'201': {description: made}}}
    patch: {operationId: changeShelves, x-plimsoll: {table: shelves, batch: {update: {max: 9, on-error: continue}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'207': {description: results}}}
  /shelves/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: getShelf, x-plimsoll: {table: shelves}, responses: {'200': {$ref: '#/components/responses/Ok'}}}
    patch: {operationId: changeShelf, x-plimsoll: {table: shelves}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'200': {description: changed}}}
    put: {operationId: putShelf, x-plimsoll: {table: shelves}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'200': {description: put}}}
    delete: {operationId: removeShelf, x-plimsoll: {table: shelves}, responses: {'204': {description: gone}}}
  /books:
    post: {operationId: createBook, x-plimsoll: {table: books}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'201': {description: made}}}
"""


def pointers(answer):
    return {error["pointer"] for error in answer.json().get("errors", [])}


class Tables(harness.ServerTest):
    def things(self, **more):
        return self.serve(contract(**more), CONFIG)

    def data(self, folder):
        return self.database(folder, "things.db")

    def lay(self, folder, text):
        """A contract and its deployment, for commands that run in the folder."""
        (folder / "contract.yaml").write_text(text)
        (folder / "plimsoll.yaml").write_text(self.deployment(CONFIG, folder))

    def test_a_row_is_replaced_whole(self):
        server = self.things()
        server.post("/things", {"name": "a", "size": 3, "price": "1.50"})
        replaced = server.put("/things/1", {"name": "b"})
        self.assertEqual((replaced.status, replaced.json()), (200, {"id": 1, "name": "b", "size": None, "price": None}))
        self.assertEqual(server.put("/things/2", {"name": "b"}).status, 404)

    @harness.engines("sqlite", why="PostgreSQL does not count on from keys that are sent")
    def test_a_key_that_is_sent_leaves_keys_for_rows_without_one(self):
        largest = 2 ** 62
        made = {"there": "CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT NOT NULL, size INTEGER, price NUMERIC)"}
        for name, statement in {"new": None, **made}.items():
            folder = self.directory()
            if statement:
                database = sqlite3.connect(folder / "things.db")
                database.execute(statement)
                database.close()
            server = self.serve(contract().replace("{type: integer, readOnly: true}", "{type: integer}"), CONFIG, directory=folder)
            with self.subTest(table=name):
                for target, rows, pointer in (("/things", lambda row: row, "/id"), ("/things/batch", lambda row: [{"id": 1, "name": "a"}, row], "/1/id")):
                    for key in (largest + 1, 2 ** 63 - 1):
                        refused = server.post(target, rows({"id": key, "name": "b"}))
                        self.assertEqual((refused.status, pointers(refused)), (422, {pointer}), refused.text)
                        self.assertIn(f"must be at most {largest}", refused.text)
                results = server.post("/things/import", [{"id": 2 ** 63 - 1, "name": "b"}, {"name": "c"}]).json()["results"]
                self.assertEqual([result["status"] for result in results], [422, 201])
                self.assertEqual(results[0]["error"]["errors"][0]["pointer"], "/0/id")
                self.assertEqual(server.post("/things", {"id": largest, "name": "last"}).status, 201)
                self.assertEqual(server.post("/things", {"name": "next"}).json()["id"], largest + 1)
            server.stop()

    def test_every_wrong_member_of_a_change_is_named(self):
        text = contract(columns="mixed: {type: [string, integer, 'null']}\n        box: {type: [object, 'null'], properties: {a: {type: integer}, b: {type: object, properties: {c: {type: integer}}}}}")
        change = "    {method}:\n      operationId: {name}\n      x-plimsoll: {use}\n      requestBody: {{required: true, content: {{application/json: {{schema: {{type: {type}}}}}}}}}\n      responses: {{'{status}': {{description: changed}}}}\n"
        text = text.replace("  /things/{id}:\n", "  /things/changes:\n" + change.format(method="post", name="changeThings", use="{table: things, batch: {update: {max: 9}}}", type="array", status=200) + "  /things/{id}:\n")
        server = self.serve(text + change.format(method="patch", name="changeThing", use="{table: things}", type="object", status=200), CONFIG)
        self.assertEqual(server.post("/things", {"name": "kettle", "mixed": -5, "box": {"a": 1, "b": {"c": 2}}}).status, 201)
        for change, wrong in (({"mixed": {}, "size": {}}, {"/mixed", "/size"}), ({"box": {"a": "x"}, "name": 5}, {"/box/a", "/name"}),
                              ({"box": {"b": {"c": "x"}, "a": None}, "size": "x"}, {"/box/b/c", "/size"}), ({"box": {"b": {"c": 3}}, "size": "x"}, {"/size"}),
                              ({"mixed": {"q": None}, "nothing": 1}, {"/mixed", "/nothing"}),
                              ({"mixed": {}, "size": {}, "name": None, "id": 9, "price": "x", "box": {"a": "x", "b": 1}}, {"/mixed", "/size", "/name", "/id", "/price", "/box/a", "/box/b"})):
            with self.subTest(change=change):
                refused = server.patch("/things/1", change)
                self.assertEqual((refused.status, refused.json()["code"], pointers(refused)), (422, "invalid-row", wrong), refused.text)
                if "id" not in change:
                    refused = server.post("/things/changes", [{"id": 1, **change}])
                    self.assertEqual((refused.status, pointers(refused)), (422, {"/0" + one for one in wrong}), refused.text)
        refused = server.put("/things/1", {"name": 5, "mixed": {}, "size": {}, "box": {"a": "x"}})
        self.assertEqual((refused.status, pointers(refused)), (422, {"/name", "/mixed", "/size", "/box/a"}), refused.text)
        self.assertEqual(server.patch("/things/9", {"mixed": {}, "size": {}}).status, 422)

    def test_what_was_wrong_with_a_row_before_is_not_told_of_a_change(self):
        server = self.things(columns="box: {type: [object, 'null'], properties: {a: {type: integer}, ro: {type: integer, readOnly: true}}, required: [ro]}")
        database = self.data(server.directory)
        self.assertEqual(server.post("/things", {"name": "kettle"}).status, 201)
        database.script("UPDATE things SET box='{\"a\": \"old\", \"ro\": 7}'")
        self.assertEqual(pointers(server.put("/things/1", {"name": "pot", "size": "x", "box": {"a": "old"}})), {"/size"})
        self.assertEqual(server.put("/things/1", {"name": "pot", "size": 1, "box": {"a": "old"}}).json()["box"], {"a": "old", "ro": 7})

    def test_a_put_gives_a_column_that_it_leaves_out_its_default_and_keeps_the_members_that_are_read_only(self):
        for default, stored, expected in (("", 7, {"ro": 7}), (", default: {a: 5}", 7, {"a": 5, "ro": 7}), (", default: {a: 5}", None, {"a": 5}), (", default: {a: 5, ro: 1}", 7, {"a": 5, "ro": 7})):
            with self.subTest(default=default, stored=stored):
                server = self.things(columns="box: {type: object, properties: {a: {type: integer}, ro: {type: integer, readOnly: true}}" + default + "}")
                self.assertEqual(server.post("/things", {"name": "kettle", "box": {"a": 1}}).status, 201)
                if stored:
                    self.data(server.directory).script("UPDATE things SET box='{\"a\": 1, \"ro\": 7}'")
                for _ in range(2):
                    self.assertEqual(server.put("/things/1", {"name": "pot"}).json()["box"], expected)
                server.stop()

    def test_pages_by_number_end_at_row_10000(self):
        server = self.things(table="page: {max: 100}")
        server.post("/things/batch", [{"name": f"n{i:03}", "size": i % 7} for i in range(250)])
        names = [row["name"] for page in (1, 2, 3) for row in server.get("/things", sort="name", limit=100, page=page).json()["data"]]
        self.assertEqual(names, [f"n{i:03}" for i in range(250)])
        self.assertEqual(server.get("/things", limit=100, page=100).status, 200)
        beyond = server.get("/things", limit=100, page=101)
        self.assertEqual((beyond.status, beyond.code, pointers(beyond)), (400, "invalid-query", {"/page"}))
        too_many = server.get("/things", limit=101)
        self.assertEqual((too_many.status, pointers(too_many)), (400, {"/limit"}))

    def test_batches_are_all_or_nothing_or_tell_each_result(self):
        server = self.things()
        self.assertEqual(server.post("/things/batch", [{"name": "a"}, {"name": "b"}]).status, 201)
        broken = server.post("/things/batch", [{"name": "c"}, {"size": 1}])
        self.assertEqual((broken.status, pointers(broken)), (422, {"/1/name"}))
        mixed = server.post("/things/import", [{"name": "d"}, {"size": 1}, {"name": "e"}])
        self.assertEqual((mixed.status, [item["status"] for item in mixed.json()["results"]]), (207, [201, 422, 201]))
        self.assertEqual([row["name"] for row in server.get("/things", sort="name").json()["data"]], ["a", "b", "d", "e"])

    def test_violations_name_the_field(self):
        server = self.server(contract(), CONFIG)
        database = self.data(server.directory)
        database.script(f"CREATE TABLE things(id {database.number}, name TEXT NOT NULL UNIQUE, size INTEGER CONSTRAINT size CHECK(size < 100), price {database.decimal})")
        server.start()
        self.assertEqual(server.post("/things", {"name": "a"}).status, 201)
        taken = server.post("/things", {"name": "a"})
        self.assertEqual((taken.status, taken.code, pointers(taken)), (409, "conflict", {"/name"}))
        checked = server.post("/things", {"name": "b", "size": 100})
        self.assertEqual((checked.status, checked.code, pointers(checked)), (422, "constraint", {"/size"}))
        invalid = server.post("/things", {"name": ""})
        self.assertEqual((invalid.status, invalid.code, pointers(invalid)), (422, "invalid-row", {"/name"}))

    def test_violations_of_rules_that_the_contract_does_not_know_name_the_field_too(self):
        server = self.server(contract(columns="boss: {type: integer}\n        team: {type: string}"), CONFIG)
        database = self.data(server.directory)
        database.script(f"""
            CREATE TABLE teams(name TEXT PRIMARY KEY);
            CREATE TABLE things(id {database.number}, name TEXT NOT NULL, size INTEGER CHECK(size < 100), price {database.decimal}, boss INTEGER REFERENCES things,
              team TEXT REFERENCES teams(name), CHECK(name <> team), UNIQUE(name, size));""")
        server.start()
        self.assertEqual(server.post("/things", {"name": "a", "size": 1, "boss": None}).status, 422)
        self.assertEqual(server.post("/things", {"name": "a", "size": 1}).status, 201)
        for body, status, at in (({"name": "b", "size": 100}, 422, {"/size"}), ({"name": "b", "team": "b"}, 422, {"/name", "/team"}), ({"name": "b", "boss": 7}, 422, {"/boss"}),
                                 ({"name": "b", "boss": 1, "team": "none"}, 422, {"/team"}), ({"name": "a", "size": 1}, 409, {"/name", "/size"})):
            refused = server.post("/things", body)
            self.assertEqual((refused.status, pointers(refused)), (status, at), body)
            self.assertNotRegex(refused.text, "CHECK|<>|FOREIGN", "rules stay inside")
        item = server.post("/things/batch", [{"name": "b"}, {"name": "c", "boss": 9}])
        self.assertEqual((item.status, pointers(item), item.json()["detail"]), (422, {"/1/boss"}, "body /1/boss: refers to a row that does not exist"))

    def test_decimals_are_exact_and_ordered_by_value(self):
        server = self.things(filters="filters: {price: [ge, eq]}")
        prices = ["9.50", "10", "0.1", "0.30000000000000000001", "100000000000000000000.01"]
        for price in prices:
            self.assertEqual(server.post("/things", {"name": price, "price": price}).json()["price"], price)
        found = [row["price"] for row in server.get("/things", **{"price[ge]": "9.5"}).json()["data"]]
        self.assertEqual(found, ["9.50", "10", "100000000000000000000.01"])
        self.assertEqual(len(server.get("/things", price="9.5").json()["data"]), 1)

    def test_indexes_are_made_with_a_table_and_missed_in_one_that_is_found(self):
        server = self.things()
        server.stop()
        database = self.data(server.directory)
        made = {name for name, in database.rows("SELECT name FROM sqlite_schema WHERE type='index' AND tbl_name='things'" if self.engine == "sqlite" else
                                                "SELECT indexname FROM pg_indexes WHERE tablename='things'")}
        self.assertLessEqual({"things_by_size_id", "things_by_name_id", "things_by_name_size_id", "things_by_size_name_id"}, made)
        database.script("DROP INDEX things_by_name_size_id")
        server.restart()
        harness.until(lambda: 'CREATE INDEX "things_by_name_size_id"' in server.output, "the missing index is told")

    def test_a_start_is_refused_where_contract_and_table_disagree_with_the_migration_to_write(self):
        folder = self.directory()
        database = self.data(folder)
        database.script(f"CREATE TABLE things(id {database.number}, name TEXT NOT NULL, size INTEGER)")
        said = self.refused(contract(), CONFIG, directory=folder)
        self.assertRegex(said, r'contract\.yaml:\d+:\d+: error\[[a-z-]+\]: table "things" has no column "price"')
        self.assertIn(f'alter table "things" add column "price" {database.decimal};'.lower(), said.lower())

    @harness.engines("sqlite", why="PostgreSQL has no table of an index")
    def test_a_start_is_refused_where_another_index_stands_in_the_place_of_that_of_q(self):
        folder = self.directory()
        self.data(folder).script("CREATE VIRTUAL TABLE things_search USING fts5(title, body)")
        said = self.refused(contract(table="search: [name]"), CONFIG, directory=folder)
        self.assertIn('table "things_search" is not the index that this server keeps for `q` of table "things"', said)
        self.assertIn('ALTER TABLE "things_search" RENAME TO "things_search_old";', said)

    def test_migrations_are_applied_once_in_order_and_edits_are_refused(self):
        folder = self.directory()
        (folder / "migrations").mkdir()
        first, second = folder / "migrations/001_things.sql", folder / "migrations/002_price.sql"
        first.write_text(f"CREATE TABLE things(id {self.data(folder).number}, name TEXT NOT NULL, size INTEGER);\n")
        second.write_text(f"ALTER TABLE things ADD COLUMN price {self.data(folder).decimal};\n")
        self.lay(folder, contract())
        pending = self.plimsoll("migrate", "status", "contract.yaml", directory=folder)
        self.assertEqual((pending.returncode, pending.stdout.split()), (0, ["pending", "001_things", "pending", "002_price"]), pending.stderr)
        up = self.plimsoll("migrate", "up", "contract.yaml", directory=folder)
        self.assertEqual((up.returncode, up.stdout), (0, "applied 001_things\napplied 002_price\n"), up.stderr)
        again = self.plimsoll("migrate", "up", "contract.yaml", directory=folder)
        self.assertEqual((again.returncode, again.stdout), (0, "nothing to do: all are applied\n"))
        written = first.read_text()
        first.write_text("CREATE TABLE things(id INTEGER PRIMARY KEY);\n")
        edited = self.plimsoll("migrate", "up", "contract.yaml", directory=folder)
        self.assertEqual(edited.returncode, 2)
        self.assertIn("001_things was edited after it had been applied", edited.stderr)
        self.assertIn("help: Restore the file as it was applied", edited.stderr)
        self.assertIn("001_things was edited", self.refused(folder / "contract.yaml", folder / "plimsoll.yaml", directory=folder))
        first.write_text(written)
        second.unlink()
        gone = self.plimsoll("migrate", "up", "contract.yaml", directory=folder)
        self.assertEqual(gone.returncode, 2)
        self.assertRegex(gone.stderr, r"migration 002_price was applied and its file is gone\n(.*\n)?  help: Put the file back into the folder")

    def test_a_migration_that_fails_names_its_line_and_leaves_nothing(self):
        files = {"migrations/0001_more.sql": "CREATE TABLE more(\n  id INTEGER PRIMARY KEY);\nINSERT INTO more VALUES(1);\n\n-- again\nINSERT INTO more\n  VALUES(1);\n"}
        server = self.server(contract(), CONFIG, files=files)
        harness.Process.start(server)
        self.assertEqual(server.wait(), 2)
        # PostgreSQL gives no place in a script for what is wrong with its data.
        self.assertRegex(server.output, r"error\[migration\]: migration 0001_more failed and was rolled back: " + (
            "line [56]: UNIQUE constraint failed: more.id" if self.engine == "sqlite" else ".*duplicate key value violates unique constraint"))
        (server.directory / "migrations/0001_more.sql").write_text("CREATE TABLE more(id INTEGER);\nSELECT a\n  FROM nowhere;\n")
        again = self.plimsoll("migrate", "up", "contract.yaml", "--config", "plimsoll.yaml", directory=server.directory)
        self.assertEqual(again.returncode, 2)
        self.assertRegex(again.stderr, "rolled back: line [23]: " + ("no such table: nowhere\n" if self.engine == "sqlite" else '.*relation "nowhere" does not exist'))
        self.assertNotIn("more", self.data(server.directory).tables())

    def test_migrations_of_a_contract_that_is_not_there_are_not_looked_for(self):
        done = self.plimsoll("migrate", "up", "thngs.yaml")
        self.assertEqual((done.returncode, "thngs.yaml" in done.stderr, "no migrations" in done.stderr), (2, True, False), done.stderr)

    def test_a_start_applies_what_is_pending(self):
        folder = self.directory()
        database = self.data(folder)
        server = self.server(contract(), CONFIG, directory=folder, files={
            "migrations/1.sql": f"CREATE TABLE things(id {database.number}, name TEXT NOT NULL, size INTEGER, price {database.decimal});",
            "migrations/2.sql": "INSERT INTO things(name) VALUES('seed'); -- one; row"}).start()
        self.assertEqual([row["name"] for row in server.get("/things").json()["data"]], ["seed"])

    def schema_of(self, folder):
        """Names and definitions of tables, indexes and whatever else a contract makes."""
        if self.engine == "sqlite":
            return self.data(folder).rows("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'plimsoll_%' AND name NOT LIKE 'sqlite_%' ORDER BY name")
        return self.data(folder).rows("""
            SELECT indexname AS name, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'plimsoll\\_%' UNION ALL
            SELECT table_name || '.' || column_name, concat_ws(' ', data_type, collation_name, is_nullable, column_default, identity_generation) FROM information_schema.columns
              WHERE table_schema = 'public' AND table_name NOT LIKE 'plimsoll\\_%' UNION ALL
            SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'plimsoll\\_%' ORDER BY name""")

    @harness.engines("sqlite", "postgres", why="PgBouncer hands on no options of a session: migrations are tried on the server itself")
    def test_a_first_migration_makes_what_a_start_makes(self):
        files = contract(table="search: [name]"), CONFIG
        served = self.serve(*files)
        wanted = self.schema_of(served.directory)
        self.assertIn("things_search", [name for name, _ in wanted])
        fresh = self.directory()
        self.lay(fresh, files[0])
        made = self.plimsoll("migrate", "new", "tables", "contract.yaml", directory=fresh)
        self.assertEqual((made.returncode, made.stdout), (0, "wrote migrations/0001_tables.sql\n"), made.stderr)
        if self.engine == "sqlite":
            self.assertEqual([path.name for path in fresh.iterdir() if path.suffix == ".db"], [])
        up = self.plimsoll("migrate", "up", "contract.yaml", directory=fresh)
        self.assertEqual((up.returncode, up.stdout), (0, "applied 0001_tables\n"), up.stderr)
        self.assertEqual(self.schema_of(fresh), wanted)
        started = self.server(*files, directory=fresh).start()
        self.assertEqual(self.schema_of(fresh), wanted)
        self.assertNotIn("warning", started.output)
        self.assertEqual(started.post("/things", {"name": "a"}).status, 201)
        self.assertEqual(len(started.get("/things?q=a").json()["data"]), 1)
        # The same file is for the database whose tables the server made.
        (served.directory / "migrations").mkdir()
        (served.directory / "migrations/0001_tables.sql").write_text((fresh / "migrations/0001_tables.sql").read_text())
        served.stop()
        served.start()
        self.assertEqual(self.schema_of(served.directory), wanted)

    @harness.engines("sqlite", "postgres", why="PgBouncer hands on no options of a session: migrations are tried on the server itself")
    def test_a_change_of_the_contract_is_the_next_migration_on_any_database(self):
        folder = self.directory()
        self.lay(folder, contract())
        self.assertEqual(self.plimsoll("migrate", "new", "tables", "contract.yaml", directory=folder).returncode, 0)
        self.assertEqual(self.plimsoll("migrate", "up", "contract.yaml", directory=folder).returncode, 0)
        changed = contract(columns="colour: {type: string}", filters="filters: {size: [ge], colour: [eq]}")
        said = self.refused(changed, CONFIG, directory=folder)
        self.assertIn('table "things" has no column "colour"', said)
        self.assertIn("plimsoll migrate new NAME", said)
        (folder / "contract.yaml").write_text(changed)
        new = self.plimsoll("migrate", "new", "colour", "contract.yaml", directory=folder)
        self.assertEqual((new.returncode, new.stdout), (0, "wrote migrations/0002_colour.sql\n"), new.stderr)
        self.server(changed, CONFIG, directory=folder).start().stop()
        columns = lambda name: self.database(folder, name).rows("SELECT name, type FROM pragma_table_info('things')" if self.engine == "sqlite" else
                                                                "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'things' ORDER BY ordinal_position")
        self.server(changed, CONFIG.replace("things.db", "fresh.db"), directory=folder).start().stop()  # and from nothing
        self.assertEqual(columns("things.db"), columns("fresh.db"))
        self.lay(folder, changed)
        again = self.plimsoll("migrate", "new", "more", "contract.yaml", directory=folder)
        self.assertEqual((again.returncode, (folder / "migrations/0003_more.sql").read_text().startswith("-- The migrations before this one make all")), (0, True), again.stderr + (folder / "migrations/0003_more.sql").read_text())

    @harness.engines("sqlite", "postgres", why="PgBouncer hands on no options of a session: migrations are tried on the server itself")
    def test_tables_that_are_there_are_the_first_migration(self):
        folder = self.directory()
        database = self.data(folder)
        database.script(f"CREATE TABLE things(id {database.number}, name TEXT NOT NULL, size INTEGER); CREATE INDEX mine ON things(name, id);"
                        "INSERT INTO things(name) VALUES('kept');")
        self.lay(folder, contract())
        first = self.plimsoll("migrate", "new", "found", "contract.yaml", directory=folder)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertIn("the contract declares more", first.stdout)
        text = (folder / "migrations/0001_found.sql").read_text()
        self.assertRegex(text, r"CREATE INDEX IF NOT EXISTS mine ON (public\.)?things( USING btree )?\(name, id\);")
        self.assertEqual(self.plimsoll("migrate", "new", "price", "contract.yaml", directory=folder).returncode, 0)
        server = self.server(contract(), CONFIG, directory=folder).start()
        self.assertEqual([row["name"] for row in server.get("/things").json()["data"]], ["kept"])

    def test_where_there_are_migrations_tables_are_made_by_nothing_else(self):
        folder = self.directory()
        (folder / "migrations").mkdir()
        (folder / "migrations/0001_other.sql").write_text("CREATE TABLE other(id INTEGER PRIMARY KEY);\n")
        said = self.refused(contract(), CONFIG, directory=folder)
        self.assertIn('there is no table "things", and the tables of this database are made by migrations', said)
        self.assertIn('CREATE TABLE "things"', said)

    def test_owner_and_tenant_are_never_served_as_if_they_were_absent(self):
        for word in ("owner", "tenant"):
            said = self.refused(contract(table=f"{word}: name"), CONFIG)
            self.assertIn("has an owner or tenant", said)
        secured = "security: [{key: []}]"
        for word in ("off", "{mode: off}", "{mode: shadow}"):
            open_door = contract(table="owner: name").replace(
                "components:\n", "components:\n  securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}\n").replace(
                "  authorization: any-caller\n", f"  authorization: any-caller\n  authentication: {word}\n").replace("\nx-plimsoll:\n", f"\n{secured}\nx-plimsoll:\n", 1)
            said = self.refused(open_door, CONFIG)
            self.assertIn("has an owner or tenant, and `authentication` is not enforced", said)
        self.serve(open_door.replace("  authentication: {mode: shadow}\n", ""), CONFIG)

    def test_an_entity_tag_changes_with_what_is_stored_and_not_shown(self):
        for column, value in (("secret: {type: string, writeOnly: true}", "a"), ("more: {type: object, properties: {pin: {type: string, writeOnly: true}, at: {type: string}}}", {"pin": "a", "at": "x"})):
            name = column.split(":")[0]
            server = self.things(columns=column)
            made = server.post("/things", {"name": "kettle", name: value})
            self.assertEqual(made.status, 201, made.text)
            target = f"/things/{made.json()['id']}"
            before = server.get(target)
            self.assertEqual((before.headers["etag"], before.text), (made.headers["etag"], made.text))
            self.assertEqual(server.get(target, {"If-None-Match": before.headers["etag"]}).status, 304)
            other = {"pin": "b", "at": "x"} if isinstance(value, dict) else "b"
            changed = server.put(target, {"name": "kettle", name: other}, {"If-Match": before.headers["etag"]})
            self.assertEqual((changed.status, changed.text), (200, before.text), column)
            # Whoever read the row before the change must not write over it unseen.
            self.assertNotEqual(changed.headers["etag"], before.headers["etag"])
            self.assertEqual(server.put(target, {"name": "pot", name: value}, {"If-Match": before.headers["etag"]}).status, 412)
            self.assertEqual(server.delete(target, {"If-Match": before.headers["etag"]}).status, 412)
            after = server.get(target, {"If-None-Match": before.headers["etag"]})
            self.assertEqual((after.status, after.headers["etag"], after.text), (200, changed.headers["etag"], before.text))
            self.assertEqual(server.delete(target, {"If-Match": after.headers["etag"]}).status, 204)
            server.stop()

    def test_unique_values_are_refused_at_their_members(self):
        server = self.things(table="unique: [[name, price], size]")
        add = lambda **row: server.post("/things", row)
        self.assertEqual(add(name="kettle", price="1.50", size=1).status, 201)
        self.assertEqual(add(name="kettle", price="1.51", size=2).status, 201)
        refused = add(name="kettle", price="1.5", size=3)
        self.assertEqual((refused.status, refused.json()["code"], pointers(refused)), (409, "conflict", {"/name", "/price"}))
        self.assertEqual(pointers(add(name="pot", size=2)), {"/size"})
        for _ in range(2):  # NULL is not equal to NULL
            self.assertEqual(add(name="kettle").status, 201)
        self.assertEqual(pointers(server.put("/things/2", {"name": "kettle", "price": "1.500"})), {"/name", "/price"})
        self.assertEqual(pointers(server.post("/things/batch", [{"name": "cup", "size": 9}, {"name": "cup", "size": 9}])), {"/1/size"})

    @harness.engines("sqlite", why="makes its tables with SQLite")
    def test_what_is_declared_unique_is_unique_in_a_table_that_is_there_or_the_start_is_refused(self):
        declared = contract(table="unique: [[name, price]]\n      indexes: [[price, size]]")
        for index, good in (("", False), ("CREATE INDEX i ON things(name, price)", False), ("CREATE UNIQUE INDEX i ON things(name, price) WHERE size>0", False),
                            ("CREATE UNIQUE INDEX i ON things(name, price, size)", False), ("CREATE UNIQUE INDEX i ON things(price, name)", True), ("CREATE UNIQUE INDEX i ON things(name)", True)):
            folder = self.directory()
            with sqlite3.connect(folder / "things.db") as database:
                database.create_collation("decimal", lambda one, other: (one > other) - (one < other))
                database.executescript(f"CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT NOT NULL, size INTEGER, price TEXT COLLATE decimal) STRICT; {index}")
            database.close()
            if good:
                server = self.serve(declared, CONFIG, directory=folder)
                harness.until(lambda: 'CREATE INDEX "things_by_price_size"' in server.output, "the missing index is told")
                server.stop()
                continue
            said = self.refused(declared, CONFIG, directory=folder)
            self.assertIn('table "things" has no UNIQUE index on "name", "price", which the contract says is unique', said)
            self.assertIn('CREATE UNIQUE INDEX "things_unique_name_price" ON "things"("name","price")', said)

    @harness.engines("sqlite", why="`migrate new` writes for SQLite")
    def test_a_migration_makes_what_is_newly_declared_unique(self):
        folder, changed = self.directory(), contract(table="unique: [[name, price]]\n      indexes: [[price, size]]")
        (folder / "plimsoll.yaml").write_text(CONFIG)
        for name, written in (("first", contract()), ("second", changed)):
            (folder / "contract.yaml").write_text(written)
            said = self.plimsoll("migrate", "new", name, "contract.yaml", directory=folder)
            self.assertEqual(said.returncode, 0, said.stderr)
        made = next((folder / "migrations").glob("*_second.sql")).read_text()
        self.assertIn('CREATE UNIQUE INDEX "things_unique_name_price" ON "things"("name","price");', made)
        self.assertIn('CREATE INDEX "things_by_price_size" ON "things"("price","size");', made)
        server = self.serve(changed, CONFIG, directory=folder)
        self.assertEqual([server.post("/things", {"name": "a", "price": "1"}).status for _ in range(2)], [201, 409])
        self.assertNotIn("things_by_price_size", server.output)

    @harness.engines("sqlite", why="PostgreSQL locks rows")
    def test_a_database_that_is_locked_is_503_for_writes_and_serves_reads(self):
        server = self.things()
        self.assertEqual(server.post("/things", {"name": "a"}).status, 201)
        other = self.data(server.directory).connect()
        other.execute("BEGIN IMMEDIATE")
        locked = server.post("/things", {"name": "b"})
        self.assertEqual((locked.status, locked.code), (503, "database-unavailable"))
        self.assertEqual(server.get("/things/1").status, 200)
        other.execute("ROLLBACK")
        self.assertEqual(server.post("/things", {"name": "b"}).status, 201)
        other.close()

    @harness.engines("sqlite", why="its server is another process")
    def test_a_database_that_is_full_is_503_and_the_process_lives(self):
        server = self.server(contract(), CONFIG)
        server.start()
        server.stop()
        # A file may not grow beyond this: what a full disk is to a process (EFBIG instead of ENOSPC).
        server.arguments = ["prlimit", f"--fsize={400 * 1024}", "--", *server.arguments]
        harness.needs("prlimit")
        server.start()
        statuses = set()
        for i in range(200):
            statuses.add(server.post("/things", {"name": "x" * 5000}).status)
            if 503 in statuses:
                break
        self.assertIn(503, statuses)
        self.assertLessEqual(statuses, {201, 503})
        self.assertEqual(server.get("/things/1").status, 200)
        self.assertTrue(server.alive)

    @harness.engines("sqlite", why="postgres_test stops the server")
    def test_a_database_that_is_gone_is_503_and_the_process_lives(self):
        server = self.things()
        self.assertEqual(server.post("/things", {"name": "a"}).status, 201)
        place = server.directory / "things.db"
        os.rename(place, server.directory / "elsewhere.db")
        gone = server.post("/things", {"name": "b"})
        self.assertEqual((gone.status, gone.code), (503, "database-unavailable"))
        harness.until(lambda: server.get("/things/1").status == 503, "reads see that the file is gone")
        os.rename(server.directory / "elsewhere.db", place)
        harness.until(lambda: server.get("/things/1").status == 200, "the file is back")
        self.assertEqual(server.post("/things", {"name": "b"}).status, 201)

    def test_a_read_sees_every_write_that_was_acknowledged_before_it(self):
        server = self.things()
        server.post("/things", {"name": "first"})
        other = self.data(server.directory).connect()
        stop = threading.Event()

        def keep_reading():  # so that turns of the server's loops hold many reads, and one is always under way
            with socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE) as line:
                while not stop.is_set():
                    line.sendall(b"GET /things/1?fields=id HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
                    answered = b""
                    while answered.count(b'{"id":1}') < 8:
                        answered += line.recv(65536)

        readers = [threading.Thread(target=keep_reading, daemon=True) for _ in range(4)]
        for reader in readers:
            reader.start()
        writing, reading = server.connection(), server.connection()
        try:
            for n in range(30):
                written = server.request("PUT", "/things/1", {"name": f"by the server {n}"}, connection=writing)
                self.assertEqual(written.status, 200)
                self.assertEqual(server.request("GET", "/things/1", connection=reading).json()["name"], f"by the server {n}")
                other.execute("UPDATE things SET name=? WHERE id=1", (f"by another process {n}",))
                self.assertEqual(server.request("GET", "/things/1", connection=reading).json()["name"], f"by another process {n}")
        finally:
            stop.set()
            for reader in readers:
                reader.join(harness.PATIENCE)
            writing.close()
            reading.close()
            other.close()

    def test_a_query_that_is_refused_is_told_what_to_write(self):
        server = self.things(columns="tags: {type: array, items: {type: string}}")
        for query, said in (("fields=tags(a)", '"tags" is shown as a whole'), ("fields=name,,id", "a field's name is missing before `,`"),
                            ("fields=name,", "a field's name is missing at the end"), ("fields=name)", "a comma is expected before `)`"),
                            ("size[in]=1,2", 'did you mean "size"?'), ("name[eq]=a", 'did you mean "name"?'), ("size[gt]=1", 'did you mean "size[ge]"?')):
            refused = server.get("/things?" + query)
            self.assertEqual(refused.status, 400, query)
            self.assertIn(said, refused.json()["detail"], query)

    def test_every_answer_of_a_table_keeps_the_contract_whatever_the_caller_has_chosen(self):
        server = self.serve(ENFORCED, CONFIG)
        statuses = [answer.status for answer in (
            server.post("/shelves", {"name": "a"}), server.post("/shelves/many", [{"name": "b", "room": "north"}, {"name": "c"}]), server.post("/books", {"shelf_id": 1}),
            server.request("PATCH", "/shelves/many", [{"id": 1, "tags": ["old"]}, {"id": 9}]), server.patch("/shelves/1", {"room": "south"}),
            server.put("/shelves/1", {"name": "d"}), server.get("/shelves/1"), server.get("/shelves"), server.get("/shelves?count=exact&limit=1&sort=-name"),
            server.get("/shelves/1?fields=room"), server.get("/shelves/1?embed=books"), server.get("/shelves?fields=room,books(pages)"), server.get("/shelves?embed=books"),
            server.delete("/shelves/3"))]
        self.assertEqual(statuses, [201, 201, 201, 207, 200, 200, 200, 200, 200, 200, 200, 200, 200, 204], server.output)
        refused = (server.delete("/shelves/99"), server.post("/books", {"shelf_id": 99}), server.patch("/shelves/1", {"name": 7}), server.get("/shelves/99"))
        self.assertEqual([(answer.status, answer.code) for answer in refused], [(404, "no-such-row"), (422, "constraint"), (422, "invalid-row"), (404, "no-such-row")])
        paths = server.get("/openapi.json").json()["paths"]
        schema = lambda path, method, status: paths[path][method]["responses"][status]["content"]["application/json"]["schema"]
        row, partial = ({"$ref": "#/components/schemas/" + name} for name in ("Shelf", "PartialShelf"))
        page = schema("/shelves", "get", "200")
        self.assertEqual((page["required"], page["properties"]["data"]["items"]), (["data", "nextCursor", "prevCursor", "hasMore"], partial))
        self.assertEqual(schema("/shelves/{id}", "get", "200"), partial)
        self.assertEqual([schema("/shelves", "post", "201"), schema("/shelves/{id}", "put", "200")], [row] * 2)
        self.assertEqual(schema("/shelves/many", "patch", "207")["properties"]["results"]["items"]["properties"]["data"], row)
        self.assertNotIn("content", paths["/shelves/{id}"]["delete"]["responses"]["204"])

    def test_hostile_queries_are_answered_or_refused_and_never_a_fault(self):
        server = self.things()
        server.post("/things", {"name": "a", "size": 1})
        line = server.connection()
        for attack in ("' OR 1=1 --", "1; DROP TABLE things", "\0", "%", "[ge]", "9" * 400, "1e400", "\udcff".encode("utf-8", "surrogateescape"), "(" * 3000,
                       ",".join(map(str, range(500))), "AAAA", "true", "null", "{}", "\r\n"):
            for position in ("name", "size[ge]", "size", "sort", "limit", "page", "cursor", "fields", "count", "nothing"):
                query = harness.urllib.parse.urlencode({position: attack})
                answer = server.request("GET", "/things?" + query, connection=line)
                self.assertIn(answer.status, (200, 400, 414), (position, attack, answer))
        line.close()
        self.assertEqual(len(server.get("/things").json()["data"]), 1)


if __name__ == "__main__":
    harness.main()
