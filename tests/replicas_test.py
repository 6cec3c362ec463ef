"""Reads that standby servers answer, and how they show what a caller has written: one primary and one streaming standby of Debian's PostgreSQL."""
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import threading
from concurrent import futures

import harness
import postgres_client
import tenants_test
import tokens

NOTES = """
openapi: 3.1.0
info: {title: Notes, version: 1.0.0}
security: [{bearer: []}]
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    notes: {schema: '#/components/schemas/Note', filters: {text: [eq]}, sort: [text]}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Note: {type: object, required: [id, text], properties: {id: {type: string}, text: {type: string}}}
paths:
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    post: {operationId: createNote, x-plimsoll: {table: notes, idempotency: {key: optional}}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'201': {description: ok}}}
  /notes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: getNote, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    patch: {operationId: changeNote, x-plimsoll: {table: notes}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'200': {description: ok}}}
    delete: {operationId: deleteNote, x-plimsoll: {table: notes}, responses: {'204': {description: ok}}}
  /kept/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: getKept, x-plimsoll: {table: notes, cache: 1h}, responses: {'200': {description: ok}}}
  /open/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: getOpen, security: [], x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    put: {operationId: putOpen, security: [], x-plimsoll: {table: notes}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'200': {description: ok}, '201': {description: ok}}}
"""
ADA, BOB = (tokens.caller(name) for name in ("ada", "bob"))
LONG = bool(os.environ.get("PLIMSOLL_TORTURE"))


class ReplicaTest(harness.ServerTest):
    engine = "postgres"

    @classmethod
    def setUpClass(cls):
        cls.primary, cls.standby = harness.Postgres.shared(), harness.Standby.shared()

    def setUp(self):
        self.name = self.primary.database()
        self.standby.catch_up()

    def tearDown(self):
        if not self.standby.alive:
            self.standby.start()
        self.standby.resume()

    def config(self, *replicas, more=", replica-lag: 1h"):
        urls = ", ".join(f"'{url}'" for url in replicas or [self.standby.url(self.name)])
        return f"database: {{url: '{self.primary.url(self.name)}', replicas: [{urls}], pool: {{min: 1, max: 6}}{more}}}\n" + tokens.DEPLOYMENT

    def notes(self, config=None, used=True):
        server = self.serve(NOTES, config or self.config())
        if used:
            self.used(server)
        return server

    def used(self, server, used=1):
        """Waits until the replica answers reads, or does not."""
        harness.until(lambda: {value for name, value in server.metrics().items() if name.startswith("plimsoll_database_replica_used")} == {used},
                      lambda: f"{server.metrics()} {server.output[-2000:]}")

    def by_replicas(self, server):
        return sum(value for name, value in server.metrics().items() if name.startswith("plimsoll_database_replica_reads_total"))

    def reading(self, server):
        """How many reads of one note are in progress."""
        return sum(value for name, value in server.metrics().items() if name.startswith("http_server_active_requests") and 'http_route="/notes/{id}"' in name)

    def by_primary(self, server, why):
        return server.metrics()[f'plimsoll_database_replica_reads_by_primary_total{{why="{why}"}}']


class Replicas(ReplicaTest):
    def test_a_write_says_where_it_is_and_a_read_says_nothing(self):
        server = self.notes()
        made = server.post("/notes", {"id": "a", "text": "one"}, ADA)
        self.assertEqual(made.status, 201, made)
        self.assertRegex(made.headers["plimsoll-after"], r"^[\w-]{32}$")
        self.assertNotIn("plimsoll-after", server.get("/notes/a", ADA).headers)
        changed = server.patch("/notes/a", {"text": "two"}, ADA)
        self.assertNotEqual(changed.headers["plimsoll-after"], made.headers["plimsoll-after"])
        self.assertIn("plimsoll-after", server.delete("/notes/a", ADA).headers)
        self.assertNotIn("plimsoll-after", server.post("/notes", {"id": 7}, ADA).headers)

    def test_a_replica_that_stands_still_shows_no_caller_less_than_it_has_written(self):
        server = self.notes()
        self.assertEqual(server.post("/notes", {"id": "a", "text": "old"}, ADA).status, 201)
        self.standby.catch_up()
        self.standby.pause()
        made = server.patch("/notes/a", {"text": "new"}, ADA)
        for _ in range(3):  # the caller itself, by its key and in a list
            self.assertEqual(server.get("/notes/a", ADA).json()["text"], "new")
            self.assertEqual([row["id"] for row in server.get("/notes", ADA, text="new").json()["data"]], ["a"])
        before = self.by_replicas(server)
        self.assertEqual([server.get("/notes/a", BOB).json()["text"] for _ in range(5)], ["old"] * 5, "of others the replica answers")
        self.assertEqual(self.by_replicas(server), before + 5)
        token = {"Plimsoll-After": made.headers["plimsoll-after"]}
        self.assertEqual(server.get("/notes/a", {**BOB, **token}).json()["text"], "new")
        self.assertEqual(self.by_replicas(server), before + 5)
        self.assertGreaterEqual(self.by_primary(server, "behind"), 7)
        self.standby.resume()
        self.standby.catch_up()
        self.used(server)
        before = self.by_replicas(server)
        harness.until(lambda: server.get("/notes/a", ADA).json()["text"] == "new" and self.by_replicas(server) > before, "the replica answers its writer again")
        self.assertEqual(server.get("/notes/a", {**BOB, **token}).json()["text"], "new")

    def test_a_token_that_is_none_names_nothing(self):
        server = self.notes()
        server.post("/notes", {"id": "a", "text": "old"}, ADA)
        self.standby.catch_up()
        self.standby.pause()
        token = server.patch("/notes/a", {"text": "new"}, ADA).headers["plimsoll-after"]
        other = chr(ord(token[3]) ^ 1) if token[3].isalnum() else "A"
        for forged in ("0", "0/16B374D848", token[:-1], token + "A", token[:3] + other + token[4:], "_" * 32, "f" * 4000):
            found = server.get("/notes/a", {**BOB, "Plimsoll-After": forged})
            self.assertEqual((found.status, found.json()["text"]), (200, "old"), forged)

    def test_behind_pgbouncer_in_transaction_mode_a_caller_sees_what_it_has_written(self):
        bouncers = [harness.PgBouncer(self.directory(), server) for server in (self.primary, self.standby)]
        for bouncer in bouncers:
            self.addCleanup(bouncer.stop)
            bouncer.start()
        config = self.config(bouncers[1].url(self.name)).replace(self.primary.url(self.name), bouncers[0].url(self.name)).replace("max: 6", "max: 6, statements: off")
        server = self.notes(config)
        server.post("/notes", {"id": "a", "text": "old"}, ADA)
        self.standby.catch_up()
        self.standby.pause()
        self.assertIn("plimsoll-after", server.patch("/notes/a", {"text": "new"}, ADA).headers)
        self.assertEqual(server.get("/notes/a", ADA).json()["text"], "new")
        before = self.by_replicas(server)
        self.assertEqual(server.get("/notes/a", BOB).json()["text"], "old")
        self.assertEqual(self.by_replicas(server), before + 1)

    def test_a_caller_sees_what_it_has_written_after_a_restart_of_the_instance(self):
        server = self.notes()
        server.post("/notes", {"id": "a", "text": "old"}, ADA)
        self.standby.catch_up()
        self.standby.pause()
        self.assertEqual(server.patch("/notes/a", {"text": "new"}, ADA).status, 200)
        server.kill()
        server.restart()
        self.assertEqual([server.get("/notes/a", ADA).json()["text"] for _ in range(20)], ["new"] * 20)
        self.standby.resume()
        self.standby.catch_up()
        before = self.by_replicas(server)
        harness.until(lambda: server.get("/notes/a", ADA).json()["text"] == "new" and self.by_replicas(server) > before, "the replica answers once it has replayed that")

    def test_callers_without_a_name_are_told_apart_by_their_address(self):
        server = self.notes()
        server.post("/notes", {"id": "a", "text": "old"}, ADA)
        self.standby.catch_up()
        self.standby.pause()
        self.assertEqual(server.put("/open/a", {"text": "new"}).status, 200)
        self.assertEqual(server.get("/open/a").json()["text"], "new")
        self.assertEqual(server.get("/notes/a", BOB).json()["text"], "old")

    def test_what_is_kept_for_others_shows_what_was_written_here_and_what_a_token_names(self):
        server, other = self.notes(), self.notes()
        server.post("/notes", {"id": "a", "text": "old"}, ADA)
        self.standby.catch_up()
        for each in (server, other):
            self.assertEqual([each.get("/kept/a", BOB).json()["text"] for _ in range(2)], ["old"] * 2)
        self.standby.pause()
        token = {"Plimsoll-After": server.patch("/notes/a", {"text": "new"}, ADA).headers["plimsoll-after"]}
        self.assertEqual(server.get("/kept/a", BOB).json()["text"], "new", "a write ends what is kept, and the fill shows it")
        self.assertIn("hit", server.get("/kept/a", BOB).headers["cache-status"])
        self.assertEqual(other.get("/kept/a", BOB).json()["text"], "old", "nobody has told the other instance")
        self.assertEqual(other.get("/kept/a", {**BOB, **token}).json()["text"], "new")
        self.assertEqual(other.get("/notes/a", {**BOB, **token}).json()["text"], "new")

    def test_a_response_that_is_replayed_says_where_its_write_is(self):
        server = self.notes()
        key = {"Idempotency-Key": "k-1"}
        first = server.post("/notes", {"id": "a", "text": "one"}, {**ADA, **key})
        self.standby.catch_up()
        again = server.post("/notes", {"id": "a", "text": "one"}, {**ADA, **key})
        self.assertEqual((first.status, again.status, again.headers["idempotent-replayed"]), (201, 201, "true"))
        self.assertIn("plimsoll-after", again.headers)

    def test_a_replica_that_stops_is_not_missed_and_is_used_again_when_it_is_back(self):
        server = self.notes()
        server.post("/notes", {"id": "a", "text": "one"}, ADA)
        self.standby.catch_up()
        self.standby.halt()
        for _ in range(10):
            self.assertEqual(server.get("/notes/a", BOB).status, 200)
        self.used(server, 0)
        health = harness.fetch(server.management, target="/readyz")
        self.assertEqual((health.status, list(health.json()["replicas"])), (200, [f"127.0.0.1:{self.standby.port}"]), health)
        self.assertNotIn("ok", health.json()["replicas"].values())
        self.assertNotIn("replicas", harness.fetch(server.address, target="/readyz").json())
        before = self.by_replicas(server)
        self.assertEqual(server.get("/notes/a", BOB).status, 200)
        self.assertEqual(self.by_replicas(server), before)
        self.standby.start()
        self.used(server)
        harness.until(lambda: server.get("/notes/a", BOB).status == 200 and self.by_replicas(server) > before, "the replica answers again")
        events = lambda: [line["event"] for line in server.logged() if line.get("event", "").startswith("replica-")]  # lines come later than answers
        harness.until(lambda: events().count("replica-used") == 2, events)
        self.assertIn("replica-not-used", events())

    def test_a_server_that_is_no_standby_of_the_primary_answers_nothing(self):
        server = self.notes(self.config(self.primary.url(self.name)), used=False)
        server.post("/notes", {"id": "a", "text": "one"}, ADA)
        self.assertEqual(server.get("/notes/a", BOB).status, 200)
        harness.until(lambda: "it is not a standby" in server.output, server.describe)
        self.assertEqual(self.by_replicas(server), 0)
        other = harness.Postgres(self.directory())
        self.addCleanup(other.stop)
        foreign = self.notes(self.config(other.start().url(other.database())), used=False)
        harness.until(lambda: "it belongs to another cluster than the primary" in foreign.output, foreign.describe)
        self.assertEqual(foreign.get("/notes/a", BOB).status, 200)
        self.assertEqual(self.by_replicas(foreign), 0)
        self.assertNotIn("s3cret", foreign.output)

    def test_a_replica_behind_its_limit_answers_nothing(self):
        server = self.notes(self.config(more=", replica-lag: 1s"))
        self.standby.pause()
        server.post("/notes", {"id": "a", "text": "one"}, ADA)
        self.used(server, 0)
        harness.until(lambda: "it is further behind than `replica-lag`" in server.output, server.describe)
        self.assertEqual(server.get("/notes/a", BOB).status, 200)
        lag = [value for name, value in server.metrics().items() if name.startswith("plimsoll_database_replica_lag_seconds")]
        self.assertGreater(lag[0], 1)
        self.standby.resume()
        self.used(server)

    def test_no_caller_ever_reads_less_than_it_has_written(self):
        """Callers that write and read at the same time, by two instances, while the replay pauses at random. What one instance wrote is read at the other with its token."""
        servers = [self.notes(), self.notes()]
        chance = random.Random(harness.seed())
        wrong, ended = [], threading.Event()

        def work(name, seed):
            mine, who = random.Random(seed), tokens.caller(name)
            servers[0].post("/notes", {"id": name, "text": "0"}, who)
            for i in range(1, 150 if LONG else 25):
                one, two = mine.sample(servers, 2)
                token = {"Plimsoll-After": one.patch(f"/notes/{name}", {"text": str(i)}, who).headers["plimsoll-after"]}
                seen = [one.get(f"/notes/{name}", who), two.get(f"/notes/{name}", {**who, **token})]
                kept = [one.get(f"/kept/{name}", who), two.get(f"/kept/{name}", {**who, **token})] if i % 3 == 0 else []
                listed = one.get("/notes", who, text=str(i)).json()["data"] if i % 5 == 0 else None
                if [each.json().get("text") for each in seen + kept] != [str(i)] * len(seen + kept) or (listed is not None and name not in [row["id"] for row in listed]):
                    wrong.append((name, i, seen, kept, listed))

        def pause():
            while not ended.is_set():  # paused first: on a fast machine the callers end before the first wait does
                self.standby.pause()
                ended.wait(chance.uniform(0.02, 0.3))
                self.standby.resume()
                ended.wait(chance.uniform(0.02, 0.3))

        pausing = threading.Thread(target=pause)
        threads = [threading.Thread(target=work, args=(f"caller-{i}", chance.random())) for i in range(4)]
        for thread in (pausing, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        ended.set()
        pausing.join()
        self.assertEqual(wrong, [])
        for server in servers:
            self.assertGreater(self.by_replicas(server), 0)
            self.assertGreater(self.by_primary(server, "behind"), 0)

    @staticmethod
    def answer(line):
        response = http.client.HTTPResponse(line, method="GET")
        response.begin()
        return response.read()

    def test_reads_of_one_row_share_a_connection_of_the_replica(self):
        """Eight callers read at once while the replica holds a lock on the table: one connection waits for it, with all eight."""
        server = self.notes("threads: 1\n" + self.config())
        callers = [tokens.caller(f"caller-{i}") for i in range(8)]
        for i in range(8):
            server.post("/notes", {"id": f"n{i}", "text": str(i)}, ADA)
        self.standby.catch_up()
        self.assertEqual(server.get("/notes/n0", callers[0]).status, 200)  # a connection is open, and knows the statement
        before = self.by_replicas(server)
        lock = postgres_client.Connection(self.primary.folder, self.primary.port, self.name, "shop")
        self.addCleanup(lock.close)
        lock.execute("BEGIN; LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        self.primary.sql("CREATE TABLE flushed(one int)", self.name)  # its commit flushes the record of the lock
        self.standby.catch_up()
        with contextlib.ExitStack() as lines, futures.ThreadPoolExecutor(8) as pool:
            server.signal(signal.SIGSTOP)  # so that it sees all eight at once: none joins one that has waited for long
            try:
                sent = [lines.enter_context(socket.create_connection(server.address.split(":"), timeout=harness.PATIENCE)) for _ in callers]
                for i, line in enumerate(sent):
                    fields = "".join(f"{name}: {value}\r\n" for name, value in callers[i].items())
                    line.sendall(f"GET /notes/n{i} HTTP/1.1\r\nHost: {server.address}\r\n{fields}\r\n".encode())
            finally:
                server.signal(signal.SIGCONT)
            reads = [pool.submit(self.answer, line) for line in sent]
            harness.until(lambda: self.reading(server) == 8, lambda: f"8 requests in progress: {self.reading(server)}")
            waiting = self.standby.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname='{self.name}' AND wait_event_type='Lock'")
            self.assertEqual([read.done() for read in reads], [False] * 8)
            lock.execute("COMMIT")
            self.assertEqual([json.loads(read.result())["text"] for read in reads], [str(i) for i in range(8)])
        self.assertEqual(waiting, "1")
        self.assertEqual(self.by_replicas(server), before + 8)


class RowSecurity(ReplicaTest):
    def test_replicas_keep_the_rows_of_callers_apart(self):
        folder = self.directory()
        (folder / "contract.yaml").write_text(tenants_test.FIRM)
        config = self.config(more=", replica-lag: 1h, row-security: true")
        (folder / "plimsoll.yaml").write_text(config)
        for words in (("new", "tables", "contract.yaml"), ("rls", "contract.yaml"), ("up", "contract.yaml")):
            done = self.plimsoll("migrate", *words, directory=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.standby.catch_up()
        server = self.server(folder / "contract.yaml", config, directory=folder).start()
        self.used(server)
        callers = (("of-ada", tenants_test.ADA), ("of-bob", tenants_test.BOB), ("of-eve", tenants_test.EVE))
        for key, who in callers:
            self.assertEqual(server.post("/folders", {"id": key}, who).status, 201)
        self.standby.catch_up()
        before = self.by_replicas(server)
        for _ in range(4):
            for key, who in callers:
                self.assertEqual([row["id"] for row in server.get("/folders", who).json()["data"]], [key])
                self.assertEqual([server.get(f"/folders/{other}", who).status for other, _ in callers], [200 if other == key else 404 for other, _ in callers])
        self.assertGreater(self.by_replicas(server), before)


if __name__ == "__main__":
    harness.main()
