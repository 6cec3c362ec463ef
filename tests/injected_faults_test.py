"""`plimsoll faults`: dependencies of a server that was started with `--allow-faults` fail as they are told, for a while, and are seen to; any
other server refuses, and the next start knows nothing of it."""
import re

import authentication_test
import harness
import upstreams_test

NOTES = """
openapi: 3.1.0
info: {title: Notes, version: '1'}
security: []
x-plimsoll: {authorization: any-caller, rate-limit: off, tables: {notes: {schema: '#/components/schemas/Note'}}}
paths:
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes, deadline: 1s}, responses: {'200': {description: Notes}}}
    post:
      operationId: addNote
      x-plimsoll: {table: notes, idempotency: optional, deadline: 1s, after: {job: count}}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: The note}}
  /counts:
    get: {operationId: listCounts, x-plimsoll: {table: counts}, responses: {'200': {description: Counts}}}
components:
  schemas:
    Note: {type: object, required: [text], properties: {id: {type: integer, readOnly: true}, text: {type: string}}}
    Count: {type: object, properties: {id: {type: integer, readOnly: true}, note: {type: integer}}}
"""


class Faulty:
    def faults(self, server, *arguments):
        return self.plimsoll("faults", *arguments, "--management", server.management)

    def told(self, ran, status=0):
        self.assertEqual(ran.returncode, status, ran.stdout + ran.stderr)
        return ran.stdout if status == 0 else ran.stderr


class InjectedFaults(Faulty, upstreams_test.Behind):
    def begin(self, *arguments, options="retry: off, breaker: off"):
        self.behind = self.target()
        return self.front(self.behind, options=options, arguments=arguments)

    def test_a_server_that_was_not_started_for_it_refuses(self):
        server = self.begin()
        for arguments in (("add", "reviews", "--outage", "--for", "5m"), ("list",), ("clear",)):
            told = self.told(self.faults(server, *arguments), 2)
            self.assertIn("was not started with --allow-faults", told)
        refused = harness.fetch(server.management, "POST", "/faults?dependency=reviews&outage&for=5m")
        self.assertEqual((refused.status, refused.code), (403, "faults-not-allowed"))
        self.assertEqual(server.get("/reviews").status, 200)
        self.assertNotIn("plimsoll_faults", "".join(server.metrics()))

    def test_a_dependency_fails_as_it_is_told_until_that_is_cleared(self):
        server = self.begin("--allow-faults")
        self.assertEqual(server.get("/reviews").status, 200)
        seen = len(self.behind.seen)
        for arguments, expected in ((("--status", "418"), (418, None)), (("--outage",), (502, "unreachable")), (("--reset",), (502, "unreachable"))):
            told = self.told(self.faults(server, "add", "reviews", *arguments, "--for", "5m"))
            self.assertRegex(told, rf"(?m)^reviews: {arguments[0][2:]}.*, \d+ s left$")
            got = server.get("/reviews")
            self.assertEqual((got.status, got.code if expected[1] else None), expected)
            self.assertEqual(harness.fetch(server.management, "GET", "/readyz").json()["faults"], [f"reviews: {' '.join(arguments)[2:]}"])
            self.assertEqual(harness.fetch(server.management, "GET", "/readyz").status, 200)
            self.assertNotIn("faults", server.get("/readyz").json(), "it is for operators")
            self.assertEqual(self.count(server, "plimsoll_faults_active", dependency="reviews"), 1)
            self.assertEqual(self.count(server, "plimsoll_faults_injected_total", dependency="reviews", kind=arguments[0][2:]), 1)
            self.assertIn("1 cleared\nno faults", self.told(self.faults(server, "clear", "reviews")))
        self.assertEqual(len(self.behind.seen), seen, "the service itself was sent nothing")
        self.assertEqual(server.get("/reviews").status, 200)
        events = lambda: [line["event"] for line in server.logged() if line.get("event", "").startswith("fault")]
        harness.until(lambda: events() == ["faults-allowed"] + ["fault-added", "faults-cleared"] * 3, lambda: f"the events, and not {events()}")

    def test_faults_of_what_nothing_depends_on_are_neither_added_nor_cleared(self):
        server = self.begin("--allow-faults")
        self.told(self.faults(server, "add", "reviews", "--outage", "--for", "5m"))
        for arguments in (("add", "nope", "--outage", "--for", "5m"), ("clear", "nope")):
            self.assertRegex(self.told(self.faults(server, *arguments), 2), "nothing here depends on `nope`; there is: .*reviews")
        self.assertRegex(self.told(self.faults(server, "list")), "(?m)^reviews: outage")
        self.assertIn("1 cleared\nno faults", self.told(self.faults(server, "clear")))

    def test_latency_ends_at_the_deadline_and_a_fault_at_its_time(self):
        server = self.begin("--allow-faults", options="retry: off, breaker: off, timeouts: {total: 300ms}")
        self.told(self.faults(server, "add", "reviews", "--latency", "1h", "--for", "1s"))
        got = server.get("/reviews")
        self.assertEqual((got.status, got.code), (504, "deadline-exceeded"))
        harness.until(lambda: server.get("/reviews").status == 200, "the fault to end")
        self.assertIn("no faults", self.told(self.faults(server, "list")))
        harness.until(lambda: "fault-ended" in [line.get("event") for line in server.logged()], "its event")

    def test_a_share_of_the_calls_fails_and_retries_answer(self):
        server = self.begin("--allow-faults", options="breaker: off, retry: {attempts: 10, base: 1ms, budget: 100%, floor: 100000}")
        self.told(self.faults(server, "add", "reviews", "--status", "503", "--share", "20%", "--for", "5m"))
        self.assertEqual({server.get("/reviews").status for _ in range(100)}, {200}, [each for each in server.metrics().items() if "retries" in each[0]])
        struck = self.count(server, "plimsoll_faults_injected_total", dependency="reviews", kind="status")
        self.assertTrue(5 < struck < 80, struck)
        self.assertEqual(self.count(server, "plimsoll_client_retries_total", service="reviews"), struck)

    def test_a_fault_outlives_a_reload_and_no_restart(self):
        server = self.begin("--allow-faults")
        self.told(self.faults(server, "add", "reviews", "--outage", "--for", "1h"))
        self.write(server, self.upstreams(self.behind, options="retry: off, breaker: off, concurrency: 17"))
        self.told(self.plimsoll("reload", "--management", server.management))
        self.assertEqual(server.get("/reviews").status, 502)
        server.stop()
        server.restart()
        self.assertEqual(server.get("/reviews").status, 200)
        self.assertIn("no faults", self.told(self.faults(server, "list")))

    def test_the_page_shows_what_the_commands_print(self):
        page = (harness.ROOT / "docs/faults.md").read_text()
        block = re.search(r"```\n(\$ plimsoll serve.*?)```", page, re.S)[1]
        commands = re.findall(r"^\$ plimsoll faults (.*)\n((?:[^$].*\n)*)", block, re.M)
        self.assertGreater(len([shown for _, shown in commands if shown]), 2)
        server = self.begin("--allow-faults")
        left = lambda text: re.sub(r"\d+ s left", "some s left", text).strip()
        for command, shown in commands:
            told = self.told(self.faults(server, *command.split()))
            if shown:
                self.assertEqual(left(told), left(shown), command)

    def test_what_is_no_fault_is_told(self):
        server = self.begin("--allow-faults")
        for arguments, said in (
            (("rewiews", "--outage", "--for", "5m"), "nothing here depends on `rewiews`; there is: reviews"),
            (("reviews", "--for", "5m"), "one of `latency`, `status`, `reset` and `outage`"),
            (("reviews", "--reset", "--outage", "--for", "5m"), "one of `latency`"),
            (("reviews", "--outage", "--for", "2h"), "at most 1h"),
            (("reviews", "--outage", "--for", "5"), "at most 1h"),
            (("reviews", "--latency", "2", "--for", "5m"), "`latency` is a duration"),
            (("reviews", "--status", "99", "--for", "5m"), "200 to 599"),
            (("reviews", "--outage", "--share", "0%", "--for", "5m"), "`share` is a ratio"),
        ):
            self.assertIn(said, self.told(self.faults(server, "add", *arguments), 2), arguments)
        for _ in range(64):
            harness.fetch(server.management, "POST", "/faults?dependency=reviews&outage&for=5m")
        self.assertIn("at most 64 faults", self.told(self.faults(server, "add", "reviews", "--outage", "--for", "5m"), 2))
        refused = harness.fetch(server.management, "DELETE", "/faults", headers={"Origin": "http://evil.example.com"})
        self.assertEqual((refused.status, refused.code), (400, "invalid-fault"))


class OfTheDatabase(Faulty, harness.ServerTest):
    def begin(self):
        contract = NOTES.replace("tables: {notes:", "tables: {counts: {schema: '#/components/schemas/Count'}, notes:")
        config = self.database() + "jobs: {count: {run: {sql: 'INSERT INTO counts (note) VALUES (:response.id)'}}}\n"
        return self.serve(contract, config, arguments=["--allow-faults"])

    def database(self):
        return "database: {url: 'sqlite:notes.db'}\n"

    def ready(self, server, status):
        harness.until(lambda: server.get("/readyz").status == status, f"/readyz to be {status}")

    def notes(self, server):
        return [row["text"] for row in server.get("/notes").json()["data"]]

    def test_in_an_outage_nothing_is_done_and_the_server_is_not_ready(self):
        server = self.begin()
        self.assertEqual(server.post("/notes", {"text": "first"}).status, 201)
        self.told(self.faults(server, "add", "database", "--outage", "--for", "1h"))
        for answer in (server.get("/notes"), server.post("/notes", {"text": "second"})):
            self.assertEqual((answer.status, answer.code), (503, "database-unavailable"), answer)
            self.assertIn("retry-after", answer.headers)
        self.ready(server, 503)
        self.assertGreater(sum(value for name, value in server.metrics().items() if "faults_injected_total" in name and 'kind="outage"' in name), 1)
        self.told(self.faults(server, "clear", "database"))
        self.ready(server, 200)
        self.assertEqual(self.notes(server), ["first"])

    def test_a_change_whose_connection_ends_in_the_commit_is_made_once(self):
        server = self.begin()
        self.told(self.faults(server, "add", "database", "--reset", "--for", "1h"))
        note, key = {"text": "once"}, {"Idempotency-Key": "k1"}
        answer = server.post("/notes", note, key)
        self.assertEqual((answer.status, answer.code), (503, "outcome-unknown"), answer)
        self.told(self.faults(server, "clear", "database"))
        again = server.post("/notes", note, key)
        self.assertEqual((again.status, again.headers.get("idempotent-replayed")), (201, "true"), again)
        self.assertEqual(self.notes(server), ["once"])

    def test_latency_ends_at_the_deadline(self):
        server = self.begin()
        self.told(self.faults(server, "add", "database", "--latency", "1h", "--for", "1h"))
        for answer in (server.get("/notes"), server.post("/notes", {"text": "late"})):
            self.assertEqual((answer.status, answer.code), (504, "deadline-exceeded"), answer)
        self.told(self.faults(server, "clear"))
        self.assertEqual(self.notes(server), [])

    def test_jobs_wait_until_it_is_over(self):
        server = self.begin()
        self.told(self.faults(server, "add", "database", "--outage", "--share", "50%", "--for", "1h"))
        made = sum(server.post("/notes", {"text": f"note {n}"}, {"Idempotency-Key": f"k{n}"}).status == 201 for n in range(20))
        self.told(self.faults(server, "clear"))
        for n in range(20):
            self.assertEqual(server.post("/notes", {"text": f"note {n}"}, {"Idempotency-Key": f"k{n}"}).status, 201)
        self.assertLess(made, 20)
        self.assertEqual(len(self.notes(server)), 20)
        harness.until(lambda: len(server.get("/counts").json()["data"]) == 20, "each note to be counted")
        self.assertEqual(len({row["note"] for row in server.get("/counts").json()["data"]}), 20)

    def test_the_database_has_no_statuses(self):
        server = self.begin()
        told = self.told(self.faults(server, "add", "database", "--status", "503", "--for", "5m"), 2)
        self.assertIn("`database` gives no status: its faults are latency, reset and outage", told)


class OfSigningKeys(Faulty, authentication_test.AuthenticationFixture):
    def test_the_keys_at_hand_stay_in_force(self):
        keys = (self.folder / "jwks.json").read_bytes()
        seen = []
        issuer = self.issuer(lambda path: (seen.append(path), (200, keys))[1])
        server = self.start(authentication_test.CONFIG.replace("jwks: jwks.json", f"jwks: 'http://127.0.0.1:{issuer}/jwks', refresh: 1s"), arguments=["--allow-faults"])
        ada = {"Authorization": self.token("--role", "admin")}
        self.told(self.faults(server, "add", "bearer:keys", "--outage", "--for", "1h"))
        harness.until(lambda: "keys not refreshed" in server.output, "the failure to be logged")
        asked = len(seen)
        self.assertEqual(server.get("/orders", headers=ada).status, 200)
        self.assertEqual(len(seen), asked, "the issuer was asked nothing")
        self.told(self.faults(server, "clear"))
        harness.until(lambda: len(seen) > asked, "the keys to be fetched again")


if __name__ == "__main__":
    harness.main()
