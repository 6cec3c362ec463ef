"""Work that is done later: 202 and a status document, retries, dead letters, cancellation, and what a kill leaves behind."""
import http.server
import json
import os
import random
import re
import signal
import ssl
import subprocess
import threading
import time
import unittest

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Jobs, version: '1'}
x-plimsoll: {authorization: any-caller, rate-limit: off}
paths:
  /effects:
    post:
      operationId: makeEffect
      x-plimsoll: {job: effect}
      requestBody: {content: {application/json: {schema: {type: object, properties: {what: {type: string}}}}}}
      responses: {'202': {description: accepted}}
  /calls:
    post:
      operationId: call
      x-plimsoll: {job: call}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'202': {description: accepted}}
  /shops/{shop}/reports:
    parameters: [{name: shop, in: path, required: true, schema: {type: string}}]
    post:
      operationId: report
      x-plimsoll: {job: report}
      responses: {'202': {description: accepted}}
"""

CONFIG = """
jobs:
  effect: {{run: {{sql: "INSERT INTO effect(job, what) VALUES(:run.job_id, :body.what)"}}, lease: 1s}}
  call: {{run: {{http: 'http://127.0.0.1:{port}/call'}}, attempts: 3, lease: 1s, queue: calls}}
  report: {{run: {{http: 'http://127.0.0.1:{port}/report'}}, queue: calls}}
"""


class Service:
    """A service that jobs call, which answers as the test says."""

    def __init__(self):
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                service.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
                status, headers, answer = service.answer(self.path, json.loads(body))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.seen = []
        self.answer = lambda path, body: (200, {"Content-Type": "text/csv"}, b"a,b\n1,2\n")
        self.server = harness.HttpListener(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class JobsTest(harness.ServerTest):
    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.close)
        self.folder = self.directory()
        self.data = self.database(self.folder)
        self.data.script("CREATE TABLE effect(job TEXT, what TEXT)")

    def begin(self, **more):
        return self.serve(CONTRACT, CONFIG.format(port=self.service.port), directory=self.folder, **more)

    def effects(self, job=None):
        return self.data.rows("SELECT count(*) FROM effect WHERE job = ?" if job else "SELECT count(*) FROM effect", (job,) if job else ())[0][0]

    def ended(self, server, status_url):
        def look():
            document = server.get(status_url).json()
            return document["status"] in ("completed", "dead", "cancelled") and document

        return harness.until(look, lambda: f"{server.get(status_url)!r} {server.output[-2000:]}")


class Jobs(JobsTest):
    def test_answers_202_with_a_status_document_that_comes_to_its_end(self):
        server = self.begin()
        accepted = server.post("/effects", {"what": "a"})
        self.assertEqual(accepted.status, 202, accepted)
        self.assertEqual(accepted.headers["location"], accepted.json()["status_url"])
        document = self.ended(server, accepted.json()["status_url"])
        self.assertEqual(document["status"], "completed")
        self.assertEqual(document["job_id"], accepted.json()["job_id"])
        self.assertEqual((document["progress"], document["attempts"], document["error"]), (100, 1, None))
        for instant in ("enqueued_at", "started_at", "finished_at"):
            self.assertRegex(document[instant], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(self.effects(document["job_id"]), 1)

    def test_the_result_can_be_downloaded_from_a_path_with_its_own_parameters(self):
        server = self.begin()
        accepted = server.post("/shops/north/reports").json()
        self.assertTrue(accepted["status_url"].startswith("/shops/north/reports/"), accepted)
        document = self.ended(server, accepted["status_url"])
        download = server.get(document["download_url"])
        self.assertEqual((download.status, download.headers["content-type"], download.body), (200, "text/csv", b"a,b\n1,2\n"))
        path, headers, payload = self.service.seen[0]
        self.assertEqual(headers["plimsoll-job-id"], accepted["job_id"])
        self.assertEqual(headers["idempotency-key"], f'"{accepted["job_id"]}"')
        self.assertEqual(payload["operation"], "report")
        self.assertEqual(payload["parameters"], {"shop": "north"})

    def test_a_result_of_several_columns_is_refused(self):
        def config(report, effect="SELECT 1"):
            result = {"type": "application/x-ndjson", "file": "a.ndjson"}
            jobs = {"report": {"run": {"sql": report, "result": result}}, "effect": {"run": {"sql": effect, "result": result}}, "call": {"run": {"sql": "SELECT 1, 2"}}}
            return f"jobs: {json.dumps(jobs)}\n"

        for several in ("SELECT 1 AS a, 2 AS b UNION ALL SELECT 3, 4;\n", "WITH x AS (SELECT 1 AS a) SELECT a, a FROM x -- twice", ["SELECT 1", "SELECT * FROM effect WHERE what = :run.kind"]):
            with self.subTest(several):
                server = self.server(CONTRACT, config(several), directory=self.folder)
                harness.Process.start(server)
                self.assertEqual(server.wait(), 2, server.output)
                self.assertIn("error[job-statement]: the result of the job `report` has a line for each row, and the rows of its last statement have several columns", server.output)
                self.assertIn("help: Select one column", server.output)
        # What a statement gives that changes something is known only when it runs.
        server = self.serve(CONTRACT, config(["SELECT 1, 2", "SELECT 1 UNION ALL SELECT 2 ORDER BY 1;"], "INSERT INTO effect(job, what) VALUES(:run.job_id, 'x') RETURNING job, what"), directory=self.folder)
        document = self.ended(server, server.post("/shops/north/reports").json()["status_url"])
        self.assertEqual(server.get(document["download_url"]).body, b"1\n2\n")
        document = self.ended(server, server.post("/effects", {"what": "a"}).json()["status_url"])
        self.assertEqual((document["status"], document["download_url"]), ("dead", None))
        self.assertIn("several columns", document["error"])
        self.assertEqual(self.effects(), 0)

    def test_what_the_contract_does_not_write_is_in_the_document_that_is_served(self):
        paths = self.begin().get("/openapi.json").json()["paths"]
        self.assertIn("get", paths["/effects/{job_id}/status"])
        self.assertIn("get", paths["/shops/{shop}/reports/{job_id}/result"])
        self.assertIn("delete", paths["/effects/{job_id}"])

    def test_a_job_that_nobody_knows_is_404(self):
        server = self.begin()
        answer = server.get("/effects/0190f5e2-0000-7000-8000-000000000000/status")
        self.assertEqual((answer.status, answer.code), (404, "job-not-found"))
        other = server.post("/effects", {"what": "a"}).json()["job_id"]
        self.assertEqual(server.get(f"/calls/{other}/status").status, 404)

    def test_a_refusal_makes_the_job_dead_at_once_and_requeue_restores_its_attempts(self):
        self.service.answer = lambda path, body: (422, {}, b"no such customer")
        server = self.begin()
        accepted = server.post("/calls", {"x": 1}).json()
        document = self.ended(server, accepted["status_url"])
        self.assertEqual((document["status"], document["attempts"]), ("dead", 1))
        self.assertIn("422", document["error"])
        self.assertNotIn("customer", document["error"])
        self.service.answer = lambda path, body: (204, {}, b"")
        listed = self.plimsoll("jobs", "list", "--state", "dead", "--database", self.data.url, directory=self.folder)
        self.assertIn(accepted["job_id"], listed.stdout, listed.stderr)
        shown = self.plimsoll("jobs", "show", accepted["job_id"], "--database", self.data.url, directory=self.folder)
        self.assertIn("no such customer", shown.stdout, shown.stderr)
        again = self.plimsoll("jobs", "requeue", accepted["job_id"], "--database", self.data.url, directory=self.folder)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(self.ended(server, accepted["status_url"])["status"], "completed")
        for command, job, said in (("requeue", accepted["job_id"], "is not changed: it is neither dead nor cancelled"), ("cancel", "nowhere", "there is no job nowhere")):
            told = self.plimsoll("jobs", command, job, "--database", self.data.url, directory=self.folder)
            self.assertEqual(told.returncode, 2)
            self.assertIn(said, told.stderr)

    def test_a_failing_service_is_called_again_but_not_before_it_wants(self):
        calls = []

        def answer(path, body):
            calls.append(time.monotonic())
            return (503, {"Retry-After": "3"}, b"") if len(calls) == 1 else (204, {}, b"")

        self.service.answer = answer
        server = self.begin()
        accepted = server.post("/calls", {}).json()
        document = self.ended(server, accepted["status_url"])
        self.assertEqual((document["status"], document["attempts"]), ("completed", 2))
        self.assertGreaterEqual(calls[1] - calls[0], 3)

    def test_only_who_asked_for_a_job_sees_it(self):
        def plimsoll(*arguments):
            done = self.plimsoll(*arguments, directory=self.folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout.strip()

        def issue(issuer, name):
            return {"Authorization": "Bearer " + plimsoll("token", "issue", "--key", f"{issuer}.key", "--subject", name, "--issuer", f"https://{issuer}.test/",
                                                          "--audience", "jobs", "--scope", "run")}

        for issuer in ("staff", "partner"):
            plimsoll("token", "key", "--private", f"{issuer}.key", "--public", f"{issuer}.json")
        caller = {"ada": issue("staff", "ada"), "bob": issue("staff", "bob"), "another ada": issue("partner", "ada")}
        contract = CONTRACT.replace("paths:", "security: [{staff: [run]}, {partner: [run]}]\npaths:", 1) + \
            "components: {securitySchemes: {staff: {type: http, scheme: bearer}, partner: {type: http, scheme: bearer}}}\n"
        config = CONFIG.format(port=self.service.port) + "authentication:\n" + "".join(
            f"  {issuer}: {{issuer: 'https://{issuer}.test/', audience: jobs, jwks: {self.folder / issuer}.json}}\n" for issuer in ("staff", "partner"))
        server = self.serve(contract, config, directory=self.folder)
        self.assertEqual(server.post("/effects", {"what": "a"}).status, 401)
        accepted = server.post("/effects", {"what": "a"}, caller["ada"])
        self.assertEqual(accepted.status, 202, accepted)
        url = accepted.json()["status_url"]
        harness.until(lambda: server.get(url, caller["ada"]).json()["status"] == "completed", "the job")
        for name in ("bob", "another ada"):  # a subject is somebody's only together with who vouches for it
            with self.subTest(name):
                self.assertEqual(server.post("/effects", {"what": "b"}, caller[name]).status, 202)
                stranger = server.get(url, caller[name])
                self.assertEqual((stranger.status, stranger.code), (404, "job-not-found"))
                self.assertEqual(server.delete(url.removesuffix("/status"), caller[name]).status, 404)
                self.assertEqual(server.get(url.replace("/status", "/result"), caller[name]).status, 404)
        self.assertEqual(server.get(url).status, 401)

    def test_a_call_over_tls_is_made_only_to_who_it_is_meant_for(self):
        harness.needs("openssl")
        certificate, key = self.folder / "tls.crt", self.folder / "tls.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        secure = Service()
        self.addCleanup(secure.close)
        secure.server.socket = context.wrap_socket(secure.server.socket, server_side=True)
        config = """
jobs:
  effect: {run: {http: {url: 'https://localhost:%d/known', authorities: %s}}}
  call: {run: {http: 'https://localhost:%d/stranger'}, attempts: 1}
  report: {run: {http: {url: 'https://127.0.0.1:%d/wrong-name', authorities: %s}}, attempts: 1}
""" % (secure.port, certificate, secure.port, secure.port, certificate)
        server = self.serve(CONTRACT, config, directory=self.folder)
        known = self.ended(server, server.post("/effects", {"what": "a"}).json()["status_url"])
        self.assertEqual(known["status"], "completed", known)
        for target in ("/calls", "/shops/north/reports"):
            document = self.ended(server, server.post(target, {} if target == "/calls" else None).json()["status_url"])
            self.assertEqual(document["status"], "dead", document)
            self.assertIn("unreachable", document["error"])
        self.assertEqual([path for path, _, _ in secure.seen], ["/known"])

    def test_a_cancelled_job_is_not_finished_by_its_worker(self):
        called, go = threading.Event(), threading.Event()

        def answer(path, body):
            called.set()
            go.wait(30)
            return (200, {}, b"late")

        self.service.answer = answer
        server = self.begin()
        accepted = server.post("/calls", {}).json()
        self.assertTrue(called.wait(30))
        self.assertEqual(server.delete(f"/calls/{accepted['job_id']}").status, 204)
        go.set()
        harness.until(lambda: "job lost to another" in server.output, "the worker finds its claim lost")
        self.assertEqual(server.get(accepted["status_url"]).json()["status"], "cancelled")
        ended = server.delete(f"/calls/{accepted['job_id']}")
        self.assertEqual((ended.status, ended.code), (409, "job-ended"))

    def test_a_running_job_is_handed_back_at_sigterm_and_runs_after_the_restart(self):
        server = self.begin()
        ids = [server.post("/effects", {"what": str(i)}).json() for i in range(30)]
        self.assertEqual(server.stop(), 0)
        server.restart()
        for accepted in ids:
            self.assertEqual(self.ended(server, accepted["status_url"])["status"], "completed")
            self.assertEqual(self.effects(accepted["job_id"]), 1)

    def test_a_worker_stopped_past_its_lease_and_woken_changes_nothing(self):
        called, go = threading.Event(), threading.Event()

        def answer(path, body):
            if not called.is_set():
                called.set()
                go.wait(60)
            return (200, {"Content-Type": "text/plain"}, b"x")

        self.service.answer = answer
        first = self.begin()
        accepted = first.post("/calls", {}).json()
        self.assertTrue(called.wait(30))
        first.signal(signal.SIGSTOP)
        second = self.begin()  # another process on the same database takes the job over
        document = self.ended(second, accepted["status_url"])
        self.assertEqual((document["status"], document["attempts"]), ("completed", 2))
        first.signal(signal.SIGCONT)
        go.set()
        harness.until(lambda: "job lost to another" in first.output, "the woken worker finds its claim lost")
        self.assertEqual(second.get(accepted["status_url"]).json(), document)

    def test_a_job_that_kills_the_process_is_dead_after_three_crashes_and_the_others_run_on(self):
        servers = []

        def answer(path, body):
            if body["body"].get("poison"):
                servers[0].popen.kill()
            return (204, {}, b"")

        self.service.answer = answer
        server = self.begin()
        servers.append(server)
        poison = server.post("/calls", {"poison": True}).json()
        others = []
        for crash in range(3):
            server.wait()
            server.restart()
            others.append(server.post("/effects", {"what": "x"}).json())
        document = self.ended(server, poison["status_url"])
        self.assertEqual((document["status"], document["attempts"]), ("dead", 3), document)
        for other in others:
            self.assertEqual(self.ended(server, other["status_url"])["status"], "completed")
            self.assertEqual(self.effects(other["job_id"]), 1)


CRASH_POINTS = ("job.claimed", "job.started", "job.completing", "job.completed", "job.finished", "unit.settling", "unit.committed")


class Killed(JobsTest):
    def test_every_crash_point_of_a_job_is_among_those_at_which_it_is_killed(self):
        found = {point for folder in ("queue", "exchange") for path in (harness.ROOT / "plimsoll" / folder).rglob("*.cpp")
                 for point in re.findall(r'crash_point\("([\w.]+)"\)', path.read_text())}
        self.assertEqual(found, set(CRASH_POINTS))

    def test_no_acknowledged_job_is_lost_and_no_effect_is_doubled_by_kills(self):
        rng = random.Random(harness.seed())
        rounds = int(os.environ.get("PLIMSOLL_KILLS", "20"))
        points = CRASH_POINTS if b"PLIMSOLL_CRASH" in harness.program().read_bytes() else ()
        if not points:
            print("this program has no crash points: killed at random only")
        acknowledged, calls, reached = [], [], dict.fromkeys(points, 0)
        server = self.begin()
        for round in range(rounds):
            server.kill()
            point = points[round // 2 % len(points)] if points and round % 2 else None
            server.environment.pop("PLIMSOLL_CRASH", None)
            if point:
                server.environment["PLIMSOLL_CRASH"] = f"{point}:{rng.randint(1, 4)}"
            try:
                server.start()
                death = time.monotonic() + (5 if point else rng.uniform(0, 0.3))
                while time.monotonic() < death and server.alive:
                    answer = server.post("/effects", {"what": "x"})
                    if answer.status == 202:
                        acknowledged.append(answer.json())
                    answer = server.post("/calls", {})
                    if answer.status == 202:
                        calls.append(answer.json())
            except (OSError, AssertionError, harness.http.client.HTTPException):
                pass  # it died under a request: nothing was acknowledged
            if point and not server.alive:
                reached[point] += 1
        server.kill()
        server.environment.pop("PLIMSOLL_CRASH", None)
        server.restart()

        rows = self.data.rows

        harness.until(lambda: rows("SELECT count(*) FROM plimsoll_jobs WHERE state NOT IN ('completed', 'dead')") == [(0,)], "the end of all jobs", 600)
        states = dict(rows("SELECT id, state FROM plimsoll_jobs"))
        effects = dict(rows("SELECT job, count(*) FROM effect GROUP BY job"))
        called = {headers["plimsoll-job-id"] for _, headers, _ in self.service.seen}
        self.assertEqual([job for job in acknowledged + calls if job["job_id"] not in states], [], "acknowledged and lost")
        self.assertEqual({count for count in effects.values()}, {1}, "an effect took place twice")
        # Whatever was acknowledged has its effect, unless it is dead of crashes: then it has none. A call may be made again, with its key.
        self.assertEqual([job for job in acknowledged if (states[job["job_id"]] == "completed") != (job["job_id"] in effects)], [])
        self.assertEqual([job for job in calls if states[job["job_id"]] == "completed" and job["job_id"] not in called], [])
        for job in rng.sample(acknowledged, min(20, len(acknowledged))):
            self.assertEqual(server.get(job["status_url"]).json()["status"], states[job["job_id"]])
        dead = sum(state == "dead" for state in states.values())
        self.assertLessEqual(dead, rounds * 20 // 3, "dead of fewer than three crashes: a kill is one of each of the twenty that may run at once")
        if rounds >= 100:
            self.assertNotIn(0, reached.values(), reached)
        print(f"{rounds} kills ({sum(reached.values())} at crash points, {reached}): {len(acknowledged) + len(calls)} acknowledged jobs, none lost, no effect of {len(acknowledged)} doubled, {dead} dead of crashes")


if __name__ == "__main__":
    harness.main()
