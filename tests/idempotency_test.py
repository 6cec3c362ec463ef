"""Requests with an Idempotency-Key: one effect and one answer, whoever races and wherever the process is killed."""
import re
import threading
import unittest

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Payments, version: '1'}
x-plimsoll:
  priority: off  # many at once are the point: none is to be told to come again
  authorization: any-caller
  rate-limit: off
  tables:
    payments:
      schema: '#/components/schemas/Payment'
      key: id
paths:
  /payments:
    post:
      operationId: pay
      security: []
      x-plimsoll: {table: payments, idempotency: required, after: {job: receipt}}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Payment'}}}}
      responses: {'201': {description: Paid}}
components:
  schemas:
    Payment:
      type: object
      required: [amount]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        amount: {type: integer, minimum: 1}
"""

CONFIG = """
jobs:
  receipt: {run: {sql: "INSERT INTO receipt(job, amount) VALUES(:run.job_id, :body.amount)"}, lease: 1s}
"""

# Between the arrival of a request and its answer, in their order.
CRASH_POINTS = ("idempotency.entered", "idempotency.leading", "unit.settling", "idempotency.recorded", "unit.committed",
                "idempotency.answering")


class Idempotency(harness.ServerTest):
    def setUp(self):
        self.folder = self.directory()
        self.data = self.database(self.folder)
        self.data.script("CREATE TABLE receipt(job TEXT, amount INTEGER)")

    def begin(self, **more):
        return self.serve(CONTRACT, CONFIG, directory=self.folder, **more)

    def count(self, table):
        return self.data.rows(f"SELECT count(*) FROM {table}")[0][0]

    def test_a_repeated_request_is_answered_byte_for_byte_and_takes_effect_once(self):
        server = self.begin()
        first = server.post("/payments", {"amount": 10}, {"Idempotency-Key": "k-1"})
        again = server.post("/payments", {"amount": 10}, {"Idempotency-Key": '"k-1"'})
        self.assertEqual((first.status, again.status), (201, 201), first)
        self.assertEqual((again.body, again.headers["etag"]), (first.body, first.headers["etag"]))
        self.assertNotIn("idempotent-replayed", first.headers)
        self.assertEqual(again.headers["idempotent-replayed"], "true")
        harness.until(lambda: self.count("receipt") == 1, "the receipt")
        self.assertEqual((self.count("payments"), self.count("plimsoll_jobs")), (1, 1))

    def test_what_is_wrong_with_a_key_is_said(self):
        server = self.begin()
        self.assertEqual(server.post("/payments", {"amount": 10}).code, "idempotency-key-missing")
        self.assertEqual(server.post("/payments", {"amount": 10}, {"Idempotency-Key": "a b"}).code, "idempotency-key-invalid")
        server.post("/payments", {"amount": 10}, {"Idempotency-Key": "k"})
        other = server.post("/payments", {"amount": 11}, {"Idempotency-Key": "k"})
        self.assertEqual((other.status, other.code), (422, "idempotency-key-reused"))
        self.assertEqual(server.get("/problems/idempotency-key-reused").status, 200)
        self.assertEqual(self.count("payments"), 1)

    def test_a_precondition_belongs_to_the_request_and_its_failure_is_not_recorded(self):
        change = ("  /payments/{id}:\n    patch:\n      operationId: correct\n      security: []\n      x-plimsoll: {table: payments, idempotency: required}\n"
                  "      parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n"
                  "      requestBody: {required: true, content: {application/merge-patch+json: {schema: {type: object}}}}\n"
                  "      responses: {'200': {description: Corrected}}\n")
        server = self.serve(CONTRACT.replace("components:\n", change + "components:\n"), CONFIG, directory=self.folder)
        made = server.post("/payments", {"amount": 10}, {"Idempotency-Key": "make"})

        def correct(tag):
            return server.request("PATCH", f"/payments/{made.json()['id']}", {"amount": 11},
                                  {"Content-Type": "application/merge-patch+json", "Idempotency-Key": "k", "If-Match": tag})
        failed = correct('"another"')
        self.assertEqual(failed.status, 412, failed)
        done = correct(made.headers["etag"])
        self.assertEqual((done.status, done.json()["amount"]), (200, 11), "the failure occupies no key")
        again = correct(made.headers["etag"])
        self.assertEqual((again.status, again.body, again.headers.get("idempotent-replayed")), (200, done.body, "true"), "though the row has another tag now")
        other = correct(done.headers["etag"])
        self.assertEqual((other.status, other.code), (422, "idempotency-key-reused"), "another precondition is another request")

    def test_a_validation_failure_occupies_no_key(self):
        server = self.begin()
        self.assertIn(server.post("/payments", {"amount": 0}, {"Idempotency-Key": "k"}).status, (400, 422))
        self.assertEqual(server.post("/payments", {"amount": 1}, {"Idempotency-Key": "k"}).status, 201)

    def test_two_hundred_clients_racing_with_one_key_cause_one_execution(self):
        server = self.begin()
        clients, answers = 200, []
        start = threading.Barrier(clients)

        def client():
            line = server.connection()
            line.connect()
            start.wait()
            answers.append(server.request("POST", "/payments", {"amount": 7}, {"Idempotency-Key": "race"}, connection=line))
            line.close()

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({answer.status for answer in answers}, {201})
        self.assertEqual(len({(answer.body, answer.headers["etag"]) for answer in answers}), 1)
        self.assertEqual(sum("idempotent-replayed" in answer.headers for answer in answers), clients - 1)
        self.assertEqual(self.count("payments"), 1)
        print(f"{len(answers)} clients, 1 execution, 1 distinct answer")

    def test_every_crash_point_on_the_way_is_among_those_at_which_it_is_killed(self):
        found = {point for folder in ("policy", "exchange") for path in (harness.ROOT / "plimsoll" / folder).rglob("*.cpp")
                 for point in re.findall(r'crash_point\("([\w.]+)"\)', path.read_text())}
        elsewhere = {"idempotency.leased"}  # tests/idempotency_upstream_test.py
        self.assertEqual(found, set(CRASH_POINTS) | elsewhere)

    def test_killed_at_every_crash_point_and_retried_there_are_never_two_effects_and_never_none(self):
        if b"PLIMSOLL_CRASH" not in harness.program().read_bytes():
            self.skipTest("this program has no crash points: build it with CMAKE_BUILD_TYPE=Debug")
        server = self.begin()
        server.stop()
        killed = 0
        for number, point in enumerate(CRASH_POINTS):
            server.environment["PLIMSOLL_CRASH"] = point
            server.restart()
            key = {"Idempotency-Key": f"k-{point}"}
            with self.assertRaises((OSError, harness.http.client.HTTPException), msg=point):
                server.post("/payments", {"amount": 1 + number}, key)
            server.wait()
            killed += 1
            del server.environment["PLIMSOLL_CRASH"]
            server.restart()
            retried = server.post("/payments", {"amount": 1 + number}, key)
            self.assertEqual(retried.status, 201, retried)
            committed = point in ("unit.committed", "idempotency.answering")
            self.assertEqual("idempotent-replayed" in retried.headers, committed, point)
            again = server.post("/payments", {"amount": 1 + number}, key)
            self.assertEqual(again.body, retried.body, point)
            self.assertEqual(self.count("payments"), number + 1, point)
            self.assertEqual(self.count("plimsoll_jobs"), number + 1, point)
            server.stop()
        server.restart()
        harness.until(lambda: self.count("receipt") == len(CRASH_POINTS), lambda: f"{self.count('receipt')} receipts")
        print(f"killed at {killed} of {len(CRASH_POINTS)} crash points, retried: one effect each")


if __name__ == "__main__":
    harness.main()
