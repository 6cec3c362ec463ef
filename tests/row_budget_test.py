"""The row budget of a response, embedded rows included: both engines end at the same row, and neither does the work of what would be beyond.

    PYTHONPATH=tests python3 tests/row_budget_test.py                     # a few random requests
    PLIMSOLL_TORTURE=1 PYTHONPATH=tests python3 tests/row_budget_test.py  # many
"""
import os
import random

import harness

CONTRACT = """
openapi: 3.1.0
info: {{title: Nodes, version: 1.0.0}}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  budgets: {{rows: {rows}}}
  tables:
    nodes:
      schema: '#/components/schemas/Node'
      sort: [rank]
      filters: {{parent_id: [eq]}}
      embeds:
        children: {{table: nodes, by: parent_id, limit: {limit}}}
        parent: {{table: nodes, on: parent_id}}
        notes: {{table: notes, by: node_id, limit: 3}}
      page: {{default: 50, max: 100}}
    notes:
      schema: '#/components/schemas/Note'
      filters: {{node_id: [eq]}}
      embeds:
        node: {{table: nodes, on: node_id}}
components:
  schemas:
    Node:
      type: object
      required: [id]
      properties:
        id: {{type: integer}}
        parent_id: {{type: integer}}
        rank: {{type: [integer, 'null']}}
    Note:
      type: object
      required: [id]
      properties:
        id: {{type: integer}}
        node_id: {{type: integer}}
        text: {{type: string}}
paths:
  /nodes:
    get:
      operationId: listNodes
      x-plimsoll: {{table: nodes}}
      responses: {{'200': {{description: ok, content: {{application/json: {{}}, application/x-ndjson: {{}}}}}}}}
  /nodes/{{id}}:
    parameters: [{{name: id, in: path, required: true, schema: {{type: integer}}}}]
    get:
      operationId: getNode
      x-plimsoll: {{table: nodes}}
      responses: {{'200': {{description: ok}}}}
  /notes/{{id}}:
    parameters: [{{name: id, in: path, required: true, schema: {{type: integer}}}}]
    get:
      operationId: getNote
      x-plimsoll: {{table: notes}}
      responses: {{'200': {{description: ok}}}}
"""


def rows_in(value):
    """How many rows are in a JSON value: objects, however deep."""
    if isinstance(value, dict):
        return 1 + sum(map(rows_in, value.values()))
    return sum(map(rows_in, value)) if isinstance(value, list) else 0


@harness.engines("sqlite", why="it starts both engines itself")
class RowBudget(harness.ServerTest):
    def both(self, rows, limit, fill):
        """A server on each engine with the rows that `fill(number, parent, rank)` and `(number, node)` make."""
        servers = {}
        nodes, notes = fill
        for engine in ("sqlite", "postgres"):
            self.engine = engine
            folder = self.directory()
            database = self.database(folder)
            # One connection: what it has done is told in the order in which it was done.
            deployment = f"database: {{url: '{database.url}', pool: {{min: 1, max: 1}}}}\n" if engine == "postgres" else "database: {url: 'sqlite:contract.db'}\n"
            server = self.server(CONTRACT.format(rows=rows, limit=limit), deployment, directory=folder).start()
            text = lambda value: "NULL" if value is None else str(value)
            for table, all_of in (("nodes(id, parent_id, rank)", nodes), ("notes(id, node_id)", notes)):
                for first in range(0, len(all_of), 1000):
                    database.rows(f"INSERT INTO {table} VALUES " + ",".join("(" + ",".join(map(text, row)) + ")" for row in all_of[first:first + 1000]))
            servers[engine] = server, database
        self.engine = "sqlite"
        return servers

    def selection(self, of, depth):
        """What `fields` may name: columns, and embeds as deep as the server takes them."""
        embeds = {"nodes": {"children": "nodes", "parent": "nodes", "notes": "notes"}, "notes": {"node": "nodes"}}[of]
        parts = ["id"]
        for name in self.random.sample(sorted(embeds), min(len(embeds), self.random.choice((0, 1, 1, 2))) if depth else 0):
            parts.append(f"{name}({self.selection(embeds[name], depth - 1)})")
        return ",".join(parts)

    def test_both_engines_end_at_the_same_row(self):
        seed = int(os.environ.get("PLIMSOLL_SEED") or random.randrange(1 << 30))
        print(f"PLIMSOLL_SEED={seed}", flush=True)
        self.random = random.Random(seed)
        count = 300
        nodes = [(i, None if i < 4 else self.random.randrange(min(i, 12)), self.random.choice((None, 1, 2, 3))) for i in range(count)]
        notes = [(i, self.random.randrange(count)) for i in range(count)]
        budget = 150
        servers = self.both(budget, 20, (nodes, notes))
        answers = {"ended": 0, "refused": 0, "whole": 0}
        requests = 400 if os.environ.get("PLIMSOLL_TORTURE") else 40
        for number in range(requests):
            fields = self.selection("nodes", 3)
            if number == 0:  # one row is too much
                target = "/nodes?limit=1&sort=id&fields=id,children(id,parent(children(id)))"
            elif number % 4 == 3:
                target = f"/nodes/{self.random.randrange(count)}?fields={fields}"
            else:
                target = f"/nodes?fields={fields}&limit={self.random.choice((1, 5, 20, 100))}&sort={self.random.choice(('id', '-id', 'rank', '-rank'))}"
                if self.random.random() < 0.3:
                    target += f"&page={self.random.randrange(1, 4)}"
            cursor = {engine: "" for engine in servers}
            for _ in range(3):
                found = {}
                for engine, (server, _) in servers.items():
                    answer = server.get(target + cursor[engine])
                    self.assertIn(answer.status, (200, 400), answer)
                    body = answer.json()
                    rows = body.get("data", body) if answer.status == 200 else []
                    self.assertLessEqual(rows_in(rows), budget, f"{engine}: {target}")
                    found[engine] = answer.status, body.get("code"), rows, body.get("has_more")
                    following = body.get("next_cursor")
                    cursor[engine] = f"&cursor={following}" if following else ""
                self.assertEqual(found["postgres"], found["sqlite"], target)
                answers["refused" if found["sqlite"][0] == 400 else "ended" if found["sqlite"][3] else "whole"] += 1
                if not all(cursor.values()) or "&page=" in target:
                    break
        print(answers, flush=True)
        self.assertTrue(all(answers.values()), answers)
        lines = {engine: server.get("/nodes?fields=id,children(id,notes(id))&sort=id", headers={"Accept": "application/x-ndjson"}).body for engine, (server, _) in servers.items()}
        self.assertEqual(lines["postgres"], lines["sqlite"])

    def test_embeds_that_multiply_cost_postgresql_no_more_than_the_budget(self):
        """Rows that PostgreSQL reads, by its own statistics. Those of the note are told after those of the nodes, on one connection."""
        width, budget = 300, 1000
        # Enough others that rows are looked up in an index.
        nodes = [(0, None, 0)] + [(i, 0, 1) for i in range(1, width + 1)] + [(i, None, 2) for i in range(1000, 12_000)]
        server, database = self.both(budget, width, (nodes, [(1, 1)]))["postgres"]
        database.rows("ANALYZE nodes")
        read = lambda table: int(database.rows("SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = ?", [table])[0][0])

        def settled():
            """What has been read of the nodes when that of a note which is read now is told."""
            before = read("notes")
            self.assertEqual(server.get("/notes/1").status, 200)
            harness.until(lambda: read("notes") > before, "the statistics of PostgreSQL")
            return read("nodes")

        for target, status in (("/nodes?limit=100&fields=id,children(parent(children(id)))", 400), ("/nodes/0?fields=id,children(parent(children(id)))", 400),
                               ("/nodes?limit=100&fields=id,parent(children(parent))", 200), ("/nodes?limit=2&fields=id,parent(children(id))&page=3", 200)):
            before = settled()
            answer = server.get(target)
            self.assertEqual((answer.status, answer.code), (status, "response-too-large" if status == 400 else None), answer)
            if status == 200:
                self.assertTrue(answer.json()["has_more"])
            done = settled() - before
            print(f"{target}: {done} rows read", flush=True)
            # A row is read once to be shown and once to see whether there are more; what is open at each level is not counted yet.
            self.assertLess(done, 3 * (budget + 4 * width), target)


if __name__ == "__main__":
    harness.main()
