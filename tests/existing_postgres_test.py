"""Tables of PostgreSQL that other programs have made: `migrate new` makes them again, and a start says what their types change."""
import json
import re

import harness

CONTRACT = """
openapi: 3.1.0
info: {{title: T, version: '1'}}
x-plimsoll: {{authorization: any-caller, tables: {{{tables}}}}}
paths:
{paths}
components: {{schemas: {{{schemas}}}}}
"""


def contract(**tables):
    """Of tables by name: the properties of their rows."""
    return CONTRACT.format(
        tables=", ".join(f"{name}: {{schema: '#/components/schemas/{name}'}}" for name in tables),
        paths="\n".join(f"  /{name}: {{get: {{operationId: {name}, security: [], x-plimsoll: {{table: {name}}}, responses: {{'200': {{description: Rows}}}}}}, "
                        f"post: {{operationId: add-{name}, security: [], x-plimsoll: {{table: {name}}}, requestBody: {{content: {{application/json: {{schema: {{type: object}}}}}}}}, responses: {{'201': {{description: Made}}}}}}}}"
                        for name in tables),
        schemas=", ".join(f"{name}: {{type: object, properties: {{id: {{type: integer}}, {columns}}}}}" for name, columns in tables.items()))


class Existing(harness.ServerTest):
    def setUp(self):
        super().setUp()
        self.postgres = harness.Postgres.shared()

    def database(self, statements=""):
        """A new database that `shop` owns, in which it has run these."""
        name = self.postgres.database()
        if statements:
            self.postgres.sql(f"SET ROLE shop; {statements}", name)
        return name

    def config(self, name):
        return f"database: {{url: '{self.postgres.url(name)}'}}\n"

    def folder(self, text, name):
        folder = self.directory()
        (folder / "contract.yaml").write_text(text)
        (folder / "plimsoll.yaml").write_text(self.config(name))
        return folder

    def said(self, text, name):
        """What a start says that serves; the server is ended."""
        server = self.serve(text, self.config(name))
        server.stop()
        return server.output


class Migrations(Existing):
    def schema_of(self, name):
        return self.postgres.sql("""
            SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid)
              FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
              WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm') AND c.relname NOT LIKE 'plimsoll%' AND a.attnum > 0 ORDER BY 1, 2;
            SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'plimsoll%' ORDER BY 1, 2, 3;
            SELECT t.typname, e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid ORDER BY t.typname, e.enumsortorder;
            SELECT collname, collprovider, collisdeterministic FROM pg_collation WHERE collnamespace = 'public'::regnamespace ORDER BY 1""", name)

    def remade(self, text, name):
        """What `migrate new` writes for a database makes the same tables in an empty one, and nothing where they are."""
        folder = self.folder(text, name)
        made = self.plimsoll("migrate", "new", "tables", "contract.yaml", directory=folder)
        self.assertEqual(made.returncode, 0, made.stderr + made.stdout)
        written = (folder / "migrations/0001_tables.sql").read_text()
        empty = self.database()
        (folder / "plimsoll.yaml").write_text(self.config(empty))
        up = self.plimsoll("migrate", "up", "contract.yaml", directory=folder)
        self.assertEqual((up.returncode, up.stdout), (0, "applied 0001_tables\n"), up.stderr + written)
        self.assertEqual(self.schema_of(empty), self.schema_of(name), written)
        (folder / "plimsoll.yaml").write_text(self.config(name))
        up = self.plimsoll("migrate", "up", "contract.yaml", directory=folder)
        self.assertEqual((up.returncode, up.stdout), (0, "applied 0001_tables\n"), up.stderr + written)
        self.assertEqual(self.schema_of(empty), self.schema_of(name), written)
        return written

    def test_tables_that_refer_to_later_ones_and_to_each_other_are_made_again(self):
        name = self.database("""
            CREATE TABLE orders(id bigint PRIMARY KEY, last_line bigint, v text);
            CREATE TABLE lines(id bigint PRIMARY KEY, order_id bigint REFERENCES orders ON DELETE CASCADE, above bigint REFERENCES lines);
            ALTER TABLE orders ADD CONSTRAINT last FOREIGN KEY(last_line) REFERENCES lines DEFERRABLE INITIALLY DEFERRED;
            CREATE VIEW big AS SELECT id, v FROM orders WHERE id > 100""")
        self.remade(contract(big="v: {type: string}", lines="order_id: {type: integer}, above: {type: integer}", orders="last_line: {type: integer}, v: {type: string}"), name)

    def test_tables_that_the_server_has_made_are_made_again_in_any_order(self):
        text = contract(lines="order_id: {type: integer}", orders="v: {type: string}").replace(
            "lines: {schema: '#/components/schemas/lines'}", "lines: {schema: '#/components/schemas/lines', embeds: {order: {table: orders, on: order_id}}}")
        name = self.database()
        self.said(text, name)
        self.assertIn("FOREIGN KEY", self.remade(text, name))

    def test_types_collations_and_sequences_are_made_before_the_tables(self):
        self.postgres.sql("SELECT 1")
        name = self.database("""
            CREATE TYPE mood AS ENUM('sad', 'it''s ok', 'on');
            CREATE COLLATION nocase(provider=icu, locale='und-u-ks-level2', deterministic=false);
            CREATE DOMAIN feeling AS mood DEFAULT 'on' CHECK(value <> 'sad');
            CREATE DOMAIN word AS varchar(20) COLLATE nocase NOT NULL;
            CREATE SEQUENCE counter;
            CREATE TABLE t(id bigint PRIMARY KEY, en mood DEFAULT 'sad', felt feeling, w word, many mood[], v text COLLATE nocase, n bigint DEFAULT nextval('counter'))""")
        text = contract(t="en: {type: string}, felt: {type: string}, w: {type: string}, v: {type: string}, n: {type: integer}")
        self.remade(text, name)

    def test_a_type_of_an_extension_is_named_with_its_schema(self):
        name = self.database()
        self.postgres.sql("CREATE EXTENSION citext", name)
        self.postgres.sql("SET ROLE shop; CREATE TABLE t(id bigint PRIMARY KEY, v citext UNIQUE)", name)
        folder = self.folder(contract(t="v: {type: string}"), name)
        made = self.plimsoll("migrate", "new", "tables", "contract.yaml", directory=folder)
        self.assertEqual(made.returncode, 0, made.stderr)
        written = (folder / "migrations/0001_tables.sql").read_text()
        self.assertIn("CREATE EXTENSION IF NOT EXISTS citext;", written)
        self.assertIn("public.citext", written)

    def test_what_cannot_be_made_again_is_not_written_and_the_file_is_named(self):
        name = self.database("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE t(id bigint PRIMARY KEY, n bigint DEFAULT one())")
        folder = self.folder(contract(t="n: {type: integer}"), name)
        made = self.plimsoll("migrate", "new", "tables", "contract.yaml", directory=folder)
        self.assertEqual(made.returncode, 2, made.stdout)
        self.assertIn("migrations/0001_tables.sql", made.stderr)
        self.assertIn("one()", made.stderr)
        self.assertNotIn("migration 0 ", made.stderr)
        self.assertFalse((folder / "migrations/0001_tables.sql").exists())


class Types(Existing):
    def test_a_start_warns_of_types_that_change_what_is_sent(self):
        name = self.database("""
            CREATE TABLE t(id bigint PRIMARY KEY, nm numeric(10,2), rl real, tz timestamptz(0), ts timestamp(3), ch char(5), na name, tm time(0),
              ok numeric, dp double precision, tz6 timestamptz(6), vc varchar(9), vt time)""")
        decimal, time = "{type: string, format: decimal}", "{type: string, format: date-time}"
        said = self.said(contract(t=f"nm: {decimal}, ok: {decimal}, rl: {{type: number}}, dp: {{type: number}}, tz: {time}, tz6: {time}, ts: {time}, "
                                    "ch: {type: string}, na: {type: string}, tm: {type: string}, vt: {type: string}, vc: {type: string}"), name)
        for column, kind, kept in (("nm", "numeric(10,2)", "numeric"), ("rl", "real", "double precision"), ("tz", "timestamp(0) with time zone", "timestamp with time zone"),
                                   ("ts", "timestamp(3) without time zone", "timestamp"), ("ch", "character(5)", "text"), ("na", "name", "text"), ("tm", "time(0) without time zone", "time")):
            with self.subTest(column=column):
                self.assertIn(f'column "{column}" of table "t" is {kind}, which', said)
                self.assertIn(f'ALTER COLUMN "{column}" TYPE {kept}', said)
        for column in ("ok", "dp", "tz6", "vc", "vt"):
            self.assertNotIn(f'column "{column}" of table "t" is', said)
        # As the warnings say it, the values are kept.
        self.postgres.sql("SET ROLE shop; " + " ".join(re.findall(r"ALTER TABLE \"t\" ALTER COLUMN \"(?:nm|rl|tz|ch|na|tm)\" TYPE [^;]*;", said)), name)
        server = self.serve(contract(t=f"nm: {decimal}, rl: {{type: number}}, tz: {time}, ch: {{type: string}}, tm: {{type: string}}"), self.config(name))
        self.assertNotIn("do not come back", server.output)
        row = {"id": 1, "nm": "1.555", "rl": 16777217, "tz": "2024-01-01T00:00:00.6Z", "ch": "ab", "tm": "10:00:00.25"}
        self.assertEqual(server.post("/t", row).json(), row)

    def test_settings_of_the_database_change_nothing_at_the_start(self):
        text = contract(t="u: {type: string, format: uuid}, j: {type: object}, w: {type: string}, at: {type: string, format: date-time}")
        name = self.database()
        self.said(text, name)
        self.postgres.sql(f"ALTER DATABASE {name} SET quote_all_identifiers=on")
        said = self.said(text, name)
        self.assertNotIn("table-disagrees", said)
        self.assertNotIn("table-advice", said)


if __name__ == "__main__":
    harness.main()
