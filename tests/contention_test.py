"""Clients of PostgreSQL that write the same rows at the same time in other orders: none waits for a deadlock to be noticed."""
import threading

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Notes, version: '1'}
security: []
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  deadline: 60s
  tables:
    notes: {schema: '#/components/schemas/Note', unique: [slug]}
    places: {schema: '#/components/schemas/Place', key: [row, seat]}
paths:
  /notes:
    get: {operationId: list, x-plimsoll: {table: notes}, responses: {'200': {description: Notes}}}
  /notes/update:
    post: {operationId: update, x-plimsoll: {table: notes, batch: {update: {max: 5000}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'200': {description: Changed}}}
  /notes/create:
    post: {operationId: create, x-plimsoll: {table: notes, batch: {create: {max: 5000}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'201': {description: Made}}}
  /notes/import:
    post: {operationId: import, x-plimsoll: {table: notes, batch: {import: {max: 5000}}}, requestBody: {content: {text/csv: {}}}, responses: {'200': {description: Stored}}}
  /places/create:
    post: {operationId: createPlaces, x-plimsoll: {table: places, batch: {create: {}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'201': {description: Made}}}
  /places/update:
    post: {operationId: updatePlaces, x-plimsoll: {table: places, batch: {update: {}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'200': {description: Changed}}}
components:
  schemas:
    Note:
      type: object
      required: [id]
      properties: {id: {type: string}, title: {type: string}, slug: {type: string}}
    Place:
      type: object
      required: [row, seat]
      properties: {row: {type: string}, seat: {type: integer}, taken: {type: boolean}}
"""


class Contention(harness.ServerTest):
    def setUp(self):
        super().setUp()
        self.postgres = harness.Postgres.shared()
        self.name = self.postgres.database()
        self.server = self.serve(CONTRACT, f"database: {{url: '{self.postgres.url(self.name)}', pool: {{max: 12}}}}\n")

    def deadlocks(self):
        return int(self.postgres.sql(f"SELECT deadlocks FROM pg_stat_database WHERE datname='{self.name}'"))

    def at_once(self, count, work):
        answers = [None] * count
        start = threading.Barrier(count)

        def one(number):
            start.wait()
            answers[number] = work(number)

        lines = [threading.Thread(target=one, args=(number,)) for number in range(count)]
        [line.start() for line in lines]
        [line.join() for line in lines]
        return answers

    def test_batches_that_change_the_same_rows_in_opposite_orders_all_commit_without_a_deadlock(self):
        made = [{"id": f"n{i:03}", "title": "new", "slug": f"s{i}"} for i in range(60)]
        self.assertEqual(self.server.post("/notes/create", made).status, 201)
        places = [{"row": "abc"[i % 3], "seat": i} for i in range(30)]
        self.assertEqual(self.server.post("/places/create", places).status, 201)
        for round_number in range(4):
            def update(number):
                order = 1 if number % 2 else -1
                if number % 3 == 2:
                    return self.server.post("/places/update", [{**place, "taken": bool(number % 2)} for place in places[::order]])
                title = f"{round_number}-{number}"
                return self.server.post("/notes/update", [{"id": note["id"], "title": title} for note in made[::order]])

            answers = self.at_once(9, update)
            self.assertEqual({answer.status for answer in answers}, {200}, answers)
            titles = {row["title"] for row in self.server.get("/notes?limit=60").json()["data"]}
            self.assertEqual(len(titles), 1, "a batch is stored in part")
            # Rows are told in the order of the items, whatever the order of the locks.
            for number, answer in enumerate(answers):
                rows = answer.json()["data"]
                if number % 3 == 2:
                    self.assertEqual([row["seat"] for row in rows], list(range(30))[::1 if number % 2 else -1])
                else:
                    self.assertEqual([row["id"] for row in rows], [note["id"] for note in made][::1 if number % 2 else -1])
        self.assertEqual(self.deadlocks(), 0)

    def test_items_of_a_batch_are_changed_in_their_order(self):
        made = [{"id": "a", "slug": "one"}, {"id": "b", "slug": "two"}]
        self.assertEqual(self.server.post("/notes/create", made).status, 201)
        moved = self.server.post("/notes/update", [{"id": "b", "slug": "three"}, {"id": "a", "slug": "two"}])
        self.assertEqual(moved.status, 200, moved)
        twice = self.server.post("/notes/update", [{"id": "b", "title": "x"}, {"id": "a", "title": "y"}, {"id": "b", "title": "z"}])
        self.assertEqual([row["title"] for row in twice.json()["data"]], ["x", "y", "z"])
        gone = self.server.post("/notes/update", [{"id": "b", "title": "no"}, {"id": "c", "title": "no"}])
        self.assertEqual(gone.status, 404, gone)

    def test_imports_of_the_same_values_in_opposite_orders_store_one_of_them(self):
        for round_number in range(2):
            def store(number):
                rows = [f"{round_number}-{number}-{i},r{round_number}-{i}" for i in range(1500)]
                text = "\n".join(["id,slug", *rows[::1 if number % 2 else -1]]) + "\n"
                return self.server.post("/notes/import", text.encode(), headers={"content-type": "text/csv"})

            answers = self.at_once(6, store)
            self.assertEqual(sorted(answer.status for answer in answers), [200] + [409] * 5, answers)
        self.assertEqual(int(self.postgres.sql("SELECT count(*) FROM notes", self.name)), 3000)
        self.assertEqual(self.deadlocks(), 0)


if __name__ == "__main__":
    harness.main()
