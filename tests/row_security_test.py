"""Row-level security: `plimsoll migrate rls` writes policies from `tenant` and `owner`, and PostgreSQL itself keeps the rows of callers apart."""
import threading

import harness
import tenants_test
import tokens
from tenants_test import ADA, BOB, EVE

FIRM = tenants_test.FIRM.replace("owner: author}", "owner: {column: author, except-roles: [support]}}")
SUPPORT = tokens.caller("sue", "acme", roles=["support"])


NAMES = """
openapi: 3.1.0
info: {title: Names, version: '1'}
security: [{bearer: []}]
x-plimsoll: {authorization: any-caller, rate-limit: off, tables: {secrets: {schema: '#/components/schemas/Secret', owner: own, tenant: org}}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas: {Secret: {type: object, required: [id, own, org], properties: {id: {type: string}, own: {type: string, readOnly: true}, org: {type: string, readOnly: true}, text: {type: string}}}}
paths:
  /secrets:
    get: {operationId: list, x-plimsoll: {table: secrets}, responses: {'200': {description: Secrets}}}
    post: {operationId: add, x-plimsoll: {table: secrets}, requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Secret'}}}}, responses: {'201': {description: Made}}}
  /secrets/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: read, x-plimsoll: {table: secrets}, responses: {'200': {description: Secret}}}
    patch: {operationId: change, x-plimsoll: {table: secrets}, requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Secret'}}}}, responses: {'200': {description: Changed}}}
    delete: {operationId: remove, x-plimsoll: {table: secrets}, responses: {'204': {description: Gone}}}
"""


class Names(harness.ServerTest):
    engine = "postgres"

    def test_names_that_a_collation_takes_for_equal_are_those_of_two_callers(self):
        postgres = harness.Postgres.shared()
        for typed in ("text COLLATE folding", "varchar(40) COLLATE folding", "char(12)"):
            with self.subTest(typed):
                folder = self.directory()
                data = self.database(folder)
                postgres.sql("CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false)", data.name)
                postgres.sql(f"CREATE TABLE secrets(id text PRIMARY KEY, own {typed} NOT NULL, org {typed} NOT NULL, text text); ALTER TABLE secrets OWNER TO shop", data.name)
                server = self.serve(NAMES, self.deployment("database: {url: 'sqlite:contract.db'}\n" + tokens.DEPLOYMENT, folder), directory=folder)
                ann = tokens.caller("ann", "o1")
                made = server.post("/secrets", {"id": "s", "text": "of ann"}, ann)
                if typed.startswith("char("):  # filled up with blanks: what is stored is no name of anybody
                    self.assertIn(made.status, (201, 422))
                    continue
                self.assertEqual(made.status, 201, made)
                self.assertEqual(server.get("/secrets/s", ann).status, 200)
                for subject, tenant in (("ANN", "o1"), ("ann", "O1"), ("Ann", "o1"), ("ann ", "o1")):
                    other = tokens.caller(subject, tenant)
                    told = [server.get("/secrets/s", other), server.patch("/secrets/s", {"text": "mine"}, other), server.delete("/secrets/s", other)]
                    self.assertEqual([one.status for one in told], [404] * 3, (subject, tenant))
                    self.assertEqual(server.get("/secrets", other).json()["data"], [], (subject, tenant))
                server.stop()
                for words in (("new", "tables", "contract.yaml"), ("rls", "contract.yaml")):
                    done = self.plimsoll("migrate", *words, directory=folder)
                    self.assertEqual(done.returncode, 0, done.stderr)
                policies = max((folder / "migrations").iterdir()).read_text()
                postgres.sql(policies, data.name)
                seen = lambda subject, tenant: postgres._run("psql", "-h", postgres.folder, "-p", postgres.port, "-U", "shop", "-d", data.name, "-qtAX", "-c", f"BEGIN; SELECT set_config('plimsoll.subject', '{subject}', true); SELECT set_config('plimsoll.tenant', '{tenant}', true); SELECT 'id ' || id FROM secrets; COMMIT").count("id s")
                self.assertEqual([seen(*who) for who in (("ann", "o1"), ("ANN", "o1"), ("ann", "O1"))], [1, 0, 0])


class RowSecurity(harness.ServerTest):
    engine = "postgres"

    def lay(self, engine="postgres"):
        """A folder with contract, deployment and migrations, which are applied by the owner of the tables. The server has a role that can make nothing."""
        self.engine = engine
        folder = self.directory()
        self.data = self.database(folder, "firm.db")
        (folder / "contract.yaml").write_text(FIRM)
        (folder / "owner.yaml").write_text(f"database: {{url: '{harness.Postgres.shared().url(self.data.name)}', row-security: true}}\n")
        for words in (("new", "tables", "contract.yaml"), ("rls", "contract.yaml"), ("up", "contract.yaml")):
            done = self.plimsoll("migrate", *words, "--config", "owner.yaml", directory=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(path.name for path in (folder / "migrations").iterdir()), ["0001_tables.sql", "0002_row_level_security.sql"])
        return folder

    def serve_as_web(self, folder):
        """By a role without the right to make or change tables: the first start, by their owner, has made those of the server."""
        postgres = harness.Postgres.shared()
        config = self.deployment("database: {url: 'sqlite:firm.db'}\n" + tokens.DEPLOYMENT, folder).replace("pool:", "row-security: true, pool:")
        first = self.server(folder / "contract.yaml", config, directory=folder).start()
        first.stop()
        postgres.sql("DO $$BEGIN CREATE ROLE web LOGIN PASSWORD 's3cret'; EXCEPTION WHEN duplicate_object THEN NULL; END$$")
        postgres.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO web; "
                     "GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA public TO web", self.data.name)
        if self.engine == "pgbouncer":
            return self.server(folder / "contract.yaml", config, directory=folder).start()
        # Beside no migrations: those are applied by their owner.
        served = self.directory()
        (served / "contract.yaml").write_text(FIRM)
        return self.server(served / "contract.yaml", config.replace("postgres://shop:", "postgres://web:"), directory=served).start()

    def seen_by(self, **settings):
        """Keys of the notes that a transaction sees which is told this, and nothing in its SQL asks for anybody."""
        told = "".join(f"SELECT set_config('plimsoll.{name}', '{value}', true);" for name, value in settings.items())
        said = harness.Postgres.shared()._run("psql", "-h", self.data.postgres.folder, "-p", self.data.postgres.port, "-U", "shop", "-d", self.data.name, "-qtAX", "-c",
                                              f"BEGIN;{told} SELECT id FROM folders ORDER BY 1; COMMIT")
        return [line for line in said.splitlines() if line.startswith("of-")]

    def test_rows_of_others_are_hidden_by_the_database_itself(self):
        folder = self.lay()
        server = self.serve_as_web(folder)
        made = [server.post("/folders", {"id": key}, who) for key, who in (("of-ada", ADA), ("of-bob", BOB), ("of-eve", EVE))]
        self.assertEqual([each.status for each in made], [201] * 3, made)
        seen = lambda who: sorted(row["id"] for row in server.get("/folders", who).json()["data"])
        self.assertEqual([seen(who) for who in (ADA, BOB, EVE, SUPPORT)], [["of-ada"], ["of-bob"], ["of-eve"], ["of-ada", "of-bob"]])
        self.assertEqual(self.seen_by(), [], "a transaction that is told nothing sees nothing, though it is the owner's of the table")
        self.assertEqual(self.seen_by(tenant="acme"), [])
        self.assertEqual(self.seen_by(tenant="acme", subject="ada"), ["of-ada"])
        self.assertEqual(self.seen_by(tenant="globex", subject="ada"), [])
        self.assertEqual(self.seen_by(tenant="acme", subject="sue", roles="clerk\nsupport"), ["of-ada", "of-bob"])
        self.assertEqual(self.seen_by(server="on"), ["of-ada", "of-bob", "of-eve"])
        self.assertEqual(server.patch("/folders/of-eve", {}, ADA).status, 404)
        self.assertEqual(server.post("/notes", {"id": "n", "folder_id": "of-bob"}, ADA).status, 422)
        self.assertEqual(server.post("/notes", {"id": "n", "folder_id": "of-ada"}, ADA).status, 201)
        self.assertEqual(server.get("/notes/n?embed=folder", ADA).json()["folder"]["id"], "of-ada")
        self.assertEqual(server.delete("/folders/of-bob", BOB).status, 204)

    def test_a_condition_that_is_missing_in_the_statements_shows_nothing(self):
        folder = self.lay()
        server = self.serve_as_web(folder)
        self.assertEqual([server.post("/parts", {}, who).json()["id"] for who in (ADA, EVE)], [1, 2])
        server.stop()
        # A server whose contract has forgotten the tenant: the database has not.
        forgetful = server.directory / "forgetful.yaml"
        forgetful.write_text(FIRM.replace("schemas/parts', tenant: firm,", "schemas/parts',").replace(", parts: {table: parts, by: note_id, limit: 2}", ""))
        server = self.server(forgetful, server.directory / "plimsoll.yaml", directory=server.directory).start()
        self.assertEqual([[row["id"] for row in server.get("/parts", who).json()["data"]] for who in (ADA, EVE)], [[1], [2]])
        self.assertEqual([server.get("/parts/2", ADA).status, server.patch("/parts/2", {"firm": "acme"}, ADA).status, server.delete("/parts/2", ADA).status], [404] * 3)

    def test_a_start_that_tells_nobody_is_refused_where_there_are_policies(self):
        folder = self.lay()
        said = self.refused(folder / "contract.yaml", "database: {url: 'sqlite:firm.db'}\n" + tokens.DEPLOYMENT, directory=folder)
        self.assertIn("has a row-level security policy, and the server does not set the caller", said)
        self.assertIn("row-security: true", said)

    def test_a_start_that_promises_what_no_policy_keeps_is_refused(self):
        folder = self.lay()
        postgres = harness.Postgres.shared()
        config = self.deployment("database: {url: 'sqlite:firm.db'}\n" + tokens.DEPLOYMENT, folder).replace("pool:", "row-security: true, pool:")
        postgres.sql("DO $$BEGIN CREATE ROLE passer LOGIN PASSWORD 's3cret' BYPASSRLS; EXCEPTION WHEN duplicate_object THEN NULL; END$$; GRANT shop TO passer")
        said = self.refused(folder / "contract.yaml", config.replace("postgres://shop:", "postgres://passer:"), directory=folder)
        self.assertIn("the role passer has BYPASSRLS, for which no policy holds", said)
        postgres.sql("ALTER ROLE passer SUPERUSER")
        said = self.refused(folder / "contract.yaml", config.replace("postgres://shop:", "postgres://passer:"), directory=folder)
        self.assertIn("the role passer is a superuser, for which no policy holds", said)
        # Catalogues that cannot be read are no sign that nothing is there.
        postgres.sql("REVOKE SELECT ON pg_policy FROM PUBLIC", self.data.name)
        for text in (config, config.replace("row-security: true, ", "")):
            said = self.refused(folder / "contract.yaml", text, directory=folder)
            self.assertIn("policies of the tables cannot be looked up: postgres 42501: ", said)
            self.assertIn("GRANT SELECT ON pg_policy TO shop;", said)
        postgres.sql("GRANT SELECT ON pg_policy TO PUBLIC", self.data.name)
        for table in postgres.sql("SELECT DISTINCT polrelid::regclass FROM pg_policy", self.data.name).split():
            postgres.sql(f"DROP POLICY plimsoll_caller ON {table}", self.data.name)
        said = self.refused(folder / "contract.yaml", config, directory=folder)
        self.assertIn("no table has a policy", said)
        self.assertIn("plimsoll migrate rls", said)

    def test_values_of_a_caller_end_with_its_transaction_behind_pgbouncer_too(self):
        folder = self.lay("pgbouncer")
        server = self.serve_as_web(folder)
        wrong = []

        def work(who, name):
            for i in range(15):
                made = server.post("/folders", {"id": f"{name}-{i}"}, who)
                found = server.get(f"/folders/{name}-{i}", who)
                if (made.status, found.status) != (201, 200):
                    wrong.append((made, found))

        threads = [threading.Thread(target=work, args=each) for each in ((ADA, "a"), (BOB, "b"), (EVE, "e"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual([len(server.get("/folders", who, limit=100).json()["data"]) for who in (ADA, BOB, EVE)], [15] * 3)
        self.assertEqual(self.seen_by(), [])


if __name__ == "__main__":
    harness.main()
