"""Work on many MiB is not done by an I/O thread, whose other connections would wait for it: rows, bodies and responses are read, checked and
written by other threads. What is compared is processor time of threads, not how long anything takes."""
import contextlib
import json
import pathlib
import sqlite3

import harness

MIB = 1 << 20
CONTRACT = """
openapi: 3.1.0
info: {title: Long, version: '1'}
security: []
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  compression: off
  budgets: {response: 64MiB, steps: 100000000}
  tables: {notes: {schema: '#/components/schemas/Note', key: id}}
paths:
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
  /notes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: readNote, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
  /numbers:
    post:
      operationId: addNumbers
      x-plimsoll: {mock: {}, validate: {body-limit: 16MiB}}
      requestBody: {content: {application/json: {schema: {type: array, items: {type: object, required: [a], properties: {a: {type: integer, maximum: 5}}}}}}}
      responses: {'200': {description: ok, content: {application/json: {example: {}}}}}
components:
  schemas:
    Note:
      type: object
      properties:
        id: {type: integer, readOnly: true}
        text: {type: string}
"""


class LongWork(harness.ServerTest):
    def setUp(self):
        super().setUp()
        self.subject = self.server(CONTRACT, "threads: 1\ndatabase: {url: 'sqlite:notes.db'}\n")
        self.subject.start()
        with contextlib.closing(sqlite3.connect(self.subject.directory / "notes.db")) as connection:
            connection.execute("INSERT INTO notes(id, text) VALUES(1, 'short')")
            connection.execute("INSERT INTO notes(id, text) VALUES(2, ?)", ("\n\u00e9" * (5 * MIB),))
            connection.executemany("INSERT INTO notes(id, text) VALUES(?, ?)", [(n, "\n" * (200 << 10)) for n in range(3, 40)])
            connection.commit()
        before = self.times()
        for _ in range(300):
            self.assertEqual(self.subject.get("/notes/1").status, 200)
        used = self.used(before)
        self.loop = max(used, key=used.get)  # of the one I/O thread, where short reads are made

    def times(self):
        """Nanoseconds of processor time of each thread."""
        return {task.name: int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{self.subject.pid}/task").iterdir()}

    def used(self, before):
        return {thread: time - before.get(thread, 0) for thread, time in self.times().items()}

    def elsewhere(self, ask):
        """The I/O thread has done less than half of the work for it: what it sends and receives."""
        ask()
        before = self.times()
        for _ in range(5):
            ask()
        used = self.used(before)
        on_loop = used.pop(self.loop)
        print(f"{on_loop / 5e6:.1f} ms on the I/O thread, {sum(used.values()) / 5e6:.1f} ms on others")
        self.assertLess(on_loop, sum(used.values()))

    def test_a_row_of_many_mebibytes_is_read_and_written_by_another_thread(self):
        def ask():
            row = self.subject.get("/notes/2")
            self.assertEqual((row.status, len(json.loads(row.body)["text"])), (200, 10 * MIB))
        self.elsewhere(ask)

    def test_a_page_of_many_mebibytes_is_read_and_written_by_another_thread(self):
        def ask():
            page = self.subject.get("/notes?limit=50")
            self.assertEqual((page.status, len(page.json()["data"])), (200, 39), page)
        self.elsewhere(ask)

    def test_a_body_of_many_mebibytes_is_read_and_checked_by_another_thread(self):
        good = json.dumps([{"a": 1}] * (12 * MIB // 10)).encode()

        def ask():
            answer = self.subject.request("POST", "/numbers", good, {"Content-Type": "application/json"})
            self.assertEqual(answer.status, 200, answer.text[:500])
        self.elsewhere(ask)
        bad = self.subject.request("POST", "/numbers", good[:-2] + b',"b":0},{"a":6}]', {"Content-Type": "application/json"})
        self.assertEqual((bad.status, bad.code), (400, "invalid"), bad)


if __name__ == "__main__":
    harness.main()
