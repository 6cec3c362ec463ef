"""Slow statements: what is logged and counted of them on each engine, with their plans, and what is not."""
import threading

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Notes, version: '1'}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    notes: {schema: '#/components/schemas/Note', filters: {text: [eq]}}
    slow_notes: {schema: '#/components/schemas/Note', filters: {text: [eq, in]}}
paths:
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes}, parameters: [{name: text, in: query, schema: {type: string}}], responses: {'200': {description: Notes}}}
    post:
      operationId: addNote
      x-plimsoll: {table: notes}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: Made}}
  /slow:
    get: {operationId: listSlowly, x-plimsoll: {table: slow_notes}, parameters: [{name: text, in: query, schema: {type: string}}], responses: {'200': {description: Notes}}}
components:
  schemas:
    Note:
      type: object
      required: [id, text]
      properties: {id: {type: string}, text: {type: string}}
"""
TABLE = "CREATE TABLE notes(id TEXT NOT NULL PRIMARY KEY, text TEXT NOT NULL);\nCREATE INDEX notes_by_text_id ON notes(text, id);\n"
SLOW_VIEW = {
    "sqlite": """CREATE VIEW slow_notes AS
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000)
        SELECT 'one' || (SELECT sum(i) * 0 FROM n) AS id, 'a secret text' AS text UNION ALL SELECT id, text FROM notes;""",
    "postgres": """CREATE VIEW slow_notes AS
        SELECT 'one' || pg_sleep(0.1)::text AS id, 'a secret text' AS text UNION ALL SELECT id, text FROM notes;""",
}
# A row whose text is `slow` takes as long.
SLOW_INSERT = {
    "sqlite": """CREATE TRIGGER slow_insert AFTER INSERT ON notes WHEN NEW.text = 'a slow secret' BEGIN
        SELECT sum(i) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) SELECT i FROM n); END;""",
    "postgres": """CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
        CREATE TRIGGER slow_insert AFTER INSERT ON notes FOR EACH ROW WHEN (NEW.text = 'a slow secret') EXECUTE FUNCTION wait_here();""",
}


class SlowStatements(harness.ServerTest):
    OPTIONS = {"sqlite": ", writer: 60s", "postgres": "", "pgbouncer": ", pool: {statements: off}"}
    PLAN = {"sqlite": r"(?s)^(CO-ROUTINE|COMPOUND|SCAN|MATERIALIZE).*notes",
            "postgres": r"(?s)^\s*(Limit|Sort|Append|Subquery|Result).*cost=.*\$1"}  # whatever the value

    @property
    def kind(self):
        return "sqlite" if self.engine == "sqlite" else "postgres"

    def notes(self, options="slow: 30ms", more=None):
        folder = self.directory()
        url = self.database(folder).url
        return self.serve(CONTRACT, f"database: {{url: '{url}', {options}{more or self.OPTIONS[self.engine]}}}\n", directory=folder,
                          files={"migrations/001.sql": TABLE + SLOW_VIEW[self.kind] + SLOW_INSERT[self.kind]})

    def events(self, server, **members):
        return [line for line in server.logged() if line["event"] == "slow-statement" and all(line.get(name) == value for name, value in members.items())]

    def one(self, server, **members):
        return harness.until(lambda: self.events(server, **members), lambda: f"an event with {members} in {server.output}")[0]

    def test_a_slow_read_is_logged_with_its_plan_and_without_values(self):
        server = self.notes()
        answer = server.get("/slow", text="a secret text")
        self.assertEqual((answer.status, len(answer.json()["data"])), (200, 1), answer)
        event = self.one(server, operation="listSlowly")
        self.assertEqual((event["level"], event["rows"]), ("warning", 1), event)
        self.assertGreaterEqual(event["duration_ms"], 30)
        self.assertIn('"slow_notes"', event["statement"])
        self.assertIn("?", event["statement"])
        self.assertRegex(event["parameters"], r"^text\(13\), integer$")
        self.assertRegex(event["plan"], self.PLAN[self.kind])
        self.assertNotIn("secret", "".join(str(value) for name, value in event.items() if name != "plan"))
        self.assertGreaterEqual(server.metrics()["plimsoll_database_slow_statements_total"], 1)

    def test_a_slow_write_is_logged_for_its_operation(self):
        server = self.notes()
        made = server.post("/notes", {"id": "n1", "text": "a slow secret"})
        self.assertEqual(made.status, 201, made)
        event = self.one(server, operation="addNote")
        self.assertTrue(event["statement"].startswith('INSERT INTO "notes"'), event)
        self.assertEqual(event["rows"], 1)
        if self.kind == "postgres":  # SQLite has nothing to say about it
            self.assertIn("Insert on notes", event["plan"])
        self.assertNotIn("secret", str(event))
        self.assertEqual(server.get("/notes").json()["data"], [{"id": "n1", "text": "a slow secret"}], "the plan has run nothing")

    def test_many_of_one_text_are_one_line_and_all_are_counted(self):
        server = self.notes()
        before = server.metrics().get("plimsoll_database_slow_statements_total", 0)
        for _ in range(5):
            self.assertEqual(server.get("/slow", text="a secret text").status, 200)
        self.one(server, operation="listSlowly")
        texts = [event["statement"] for event in self.events(server, operation="listSlowly")]
        self.assertEqual(sorted(texts), sorted(set(texts)), server.output)
        self.assertGreaterEqual(server.metrics()["plimsoll_database_slow_statements_total"] - before, 5)

    def test_nothing_is_logged_where_it_is_off_or_in_time(self):
        for options in ("slow: 0s", "slow: 1h"):
            server = self.notes(options)
            self.assertEqual(server.get("/slow").status, 200)
            self.assertEqual(server.get("/notes").status, 200)
            server.stop()
            self.assertEqual(self.events(server), [], options)

    @harness.engines("sqlite", why="its one writer has a limit of time")
    def test_a_statement_that_is_ended_by_a_limit_is_logged_with_its_problem(self):
        server = self.notes(more=", writer: 40ms")
        self.database(server.directory).script("DROP TRIGGER slow_insert;" + SLOW_INSERT["sqlite"].replace("300000", "3000000000"))
        self.assertEqual(server.post("/notes", {"id": "n1", "text": "a slow secret"}).status, 503)
        self.assertEqual(self.one(server, operation="addNote")["problem"], "write-too-long")

    @harness.engines("postgres", "pgbouncer", why="SQLite has no locks of rows")
    def test_a_statement_that_waits_for_a_lock_is_logged_and_its_plan_waits_for_none(self):
        server = self.notes()
        database = self.database(server.directory)
        other = database.connect()
        self.addCleanup(other.close)
        other.execute("BEGIN")
        other.execute("INSERT INTO notes VALUES('n1', 'theirs')")
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.post("/notes", {"id": "n1", "text": "ours"})))
        thread.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND now() - query_start > interval '60 ms'"
        harness.until(lambda: database.rows(waits)[0][0] == 1, "a write that waits for the lock")
        other.execute("COMMIT")
        thread.join(harness.PATIENCE)
        self.assertEqual(answers[0].status, 409, answers)
        event = self.one(server, operation="addNote")
        self.assertEqual((event["problem"], event["rows"]), ("conflict", 0), event)
        self.assertIn("Insert on notes", event["plan"])


if __name__ == "__main__":
    harness.main()
