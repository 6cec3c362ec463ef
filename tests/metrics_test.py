"""What an operator reads: metrics of the process, its database and its jobs, histograms that add up, and a log level that changes while the server runs."""
import re
import socket
import subprocess

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Notes, version: 1.0.0}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    notes: {schema: '#/components/schemas/Note'}
paths:
  /notes:
    get: {operationId: listNotes, security: [], x-plimsoll: {table: notes}, responses: {'200': {description: Notes}}}
    post:
      operationId: addNote
      security: []
      x-plimsoll: {table: notes}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: Created}}
  /work:
    post: {operationId: work, security: [], x-plimsoll: {job: hopeless}, responses: {'202': {description: Accepted}}}
components:
  schemas:
    Note: {type: object, required: [id, text], properties: {id: {type: string, format: uuid, readOnly: true}, text: {type: string}}}
"""

CONFIG = """
jobs:
  hopeless: {run: {http: 'http://127.0.0.1:1/'}, attempts: 1}
"""

BOUNDS = [".00025", ".0005", ".001", ".0025", ".005", ".01", ".025", ".05", ".075", ".1", ".25", ".5", ".75", "1", "2.5", "5", "7.5", "10"]


def series(server, family):
    """`{labels: value}` of a family, labels as a frozenset of pairs."""
    found = {}
    for key, value in server.metrics().items():
        name, _, labels = key.partition("{")
        if name == family:
            found[frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))] = value
    return found


class Metrics(harness.ServerTest):
    def test_every_histogram_series_has_the_same_bounds_so_that_they_can_be_summed(self):
        server = self.serve(CONTRACT, CONFIG)
        server.get("/notes")
        server.post("/notes", {"text": "a"})
        server.post("/notes", {"text": 1})
        server.get("/nowhere")
        by_series = {}
        for labels, value in series(server, "http_server_request_duration_seconds_bucket").items():
            le = dict(labels)["le"]
            by_series.setdefault(labels - {("le", le)}, {})[le] = value
        self.assertGreaterEqual(len(by_series), 4)
        for labels, buckets in by_series.items():
            bounds = sorted((float(le) for le in buckets if le != "+Inf"))
            self.assertEqual(bounds, [float(bound) for bound in BOUNDS], dict(labels))
            counts = [value for _, value in sorted(buckets.items(), key=lambda pair: float(pair[0]))]
            self.assertEqual(counts, sorted(counts), "cumulative")

    def test_process_database_and_log_are_measured(self):
        server = self.serve(CONTRACT, CONFIG)
        before = server.metrics()
        for _ in range(3):
            self.assertEqual(server.post("/notes", {"text": "a"}).status, 201)
        after = server.metrics()
        self.assertGreaterEqual(after["plimsoll_database_commits_total"], before["plimsoll_database_commits_total"] + 1)
        self.assertEqual(after["plimsoll_database_units_total"], before["plimsoll_database_units_total"] + 3)
        self.assertGreater(after["process_resident_memory_bytes"], 1e6)
        self.assertGreater(after["process_open_fds"], 5)
        self.assertGreaterEqual(after["process_cpu_seconds_total"], before["process_cpu_seconds_total"])
        self.assertEqual(after["plimsoll_log_lines_lost_total"], 0)
        self.assertIn("process_threads", after)
        self.assertTrue(any(name.startswith("plimsoll_build_info{") for name in after))
        self.assertGreater(after["plimsoll_database_log_bytes"], 0)
        self.assertEqual(after['plimsoll_database_operations{kind="write",state="waiting"}'], 0)
        self.assertEqual(after["plimsoll_database_log_held_total"], 0)
        self.assertGreaterEqual(after["plimsoll_loop_lag_seconds"], 0)

    def test_open_connections_are_counted_by_listener(self):
        server = self.serve(CONTRACT, CONFIG)
        name = 'plimsoll_connections{listener="public"}'
        harness.until(lambda: server.metrics()[name] == 0, lambda: f"no connection: {server.metrics()[name]}")
        lines = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        harness.until(lambda: server.metrics()[name] == 3, lambda: f"three connections: {server.metrics()[name]}")
        for line in lines:
            line.close()
        harness.until(lambda: server.metrics()[name] == 0, lambda: f"no connection: {server.metrics()[name]}")
        self.assertGreaterEqual(server.metrics()['plimsoll_connections{listener="management"}'], 1, "the scrape's own")

    def test_jobs_are_counted_by_kind_and_state(self):
        server = self.serve(CONTRACT, CONFIG)
        self.assertEqual(server.post("/work").status, 202)
        dead = 'plimsoll_job_backlog{kind="hopeless",state="dead"}'
        harness.until(lambda: server.metrics().get(dead) == 1, lambda: f"a dead job: {server.metrics()}")
        self.assertEqual(server.metrics()['plimsoll_job_oldest_age_seconds{kind="hopeless"}'], 0, "nothing waits")


class Page(harness.ServerTest):
    """docs/metrics.md and the metrics of the program."""

    # Strings of the sources that look like metrics: labels, tables, functions and settings of databases, and the policy of row-level security.
    OTHER = {"http_request_method", "http_response_status_code", "http_route", "plimsoll_caller", "plimsoll_decimal", "plimsoll_digest", "plimsoll_finds", "plimsoll_real", "plimsoll_idempotency", "plimsoll_instant", "plimsoll_job_results",
             "plimsoll_jobs", "plimsoll_keys", "plimsoll_migrations", "plimsoll_piece", "plimsoll_place", "plimsoll_placed", "plimsoll_probe", "plimsoll_row", "plimsoll_rows", "plimsoll_scratch_", "plimsoll_secrets"}
    NAME = r"(?:plimsoll|http|process)_[a-z0-9_]+"

    def on_the_page(self):
        """The names in the first column of its table."""
        rows = re.findall(r"^\| (`[^|]*) \|", (harness.ROOT / "docs/metrics.md").read_text(), re.M)
        return {name for row in rows for name in re.findall(rf"`({self.NAME})`", row)}

    def test_the_page_names_each_metric_of_the_sources_and_no_other(self):
        found = set()
        for folder in ("plimsoll", "apps"):
            for path in (harness.ROOT / folder).rglob("*.?pp"):
                if not re.search(r"_test\.|_bench\.|_fuzz\.|testkit|conformance", str(path.relative_to(harness.ROOT))):
                    found.update(re.findall(rf'"({self.NAME})"', path.read_text()))
        self.assertGreater(len(found), 70)
        self.assertEqual(self.OTHER - found, set(), "no longer in the sources")
        self.assertEqual(found - self.OTHER - self.on_the_page(), set(), "missing in docs/metrics.md")
        self.assertEqual(self.on_the_page() - found, set(), "not in the sources")

    def test_the_page_names_each_metric_of_a_scrape(self):
        server = self.serve(CONTRACT, CONFIG)
        families = set(re.findall(r"^# TYPE (\S+)", harness.fetch(server.management, target="/metrics").text, re.M))
        self.assertGreater(len(families), 25)
        self.assertEqual(families - self.on_the_page(), set())


class LogLevel(harness.ServerTest):
    def command(self, server, *arguments):
        done = subprocess.run([harness.program(), "log", *arguments, "--management", server.management], capture_output=True, text=True,
                              timeout=harness.PATIENCE)
        return done.returncode, done.stdout + done.stderr

    def lines_of(self, server, path):
        return [line for line in server.logged() if line["event"] == "request" and line["path"] == path]

    def test_the_log_level_changes_while_the_server_runs(self):
        server = self.serve(CONTRACT, CONFIG)
        self.assertEqual(self.command(server), (0, "log level: info\n"))
        self.assertEqual(self.command(server, "error"), (0, "log level: error\n"))
        server.get("/unheard")
        self.assertEqual(self.command(server, "info"), (0, "log level: info\n"))
        server.get("/heard")
        harness.until(lambda: self.lines_of(server, "/heard"), "the line of a request")
        self.assertEqual(self.lines_of(server, "/unheard"), [])
        changes = [(line["from"], line["to"]) for line in server.logged() if line["event"] == "log-level-changed"]
        self.assertEqual(changes, [("info", "error"), ("error", "info")])

    def test_a_level_for_a_while_ends_by_itself(self):
        server = self.serve(CONTRACT, CONFIG)
        self.assertEqual(self.command(server, "error", "--for", "200ms"), (0, "log level: error for 200ms\n"))
        harness.until(lambda: self.command(server) == (0, "log level: info\n"), "the level before")

    def test_what_cannot_be_done_is_said(self):
        server = self.serve(CONTRACT, CONFIG)
        status, said = self.command(server, "debug", "--for", "long")
        self.assertEqual(status, 2)
        self.assertIn("duration", said)
        for query in ("", "?level=loud", "?level=debug&for=0s", "?level=debug&more=1"):
            answer = harness.fetch(server.management, "PUT", "/log" + query)
            self.assertEqual((answer.status, answer.code), (400, "invalid-log-level"), query)
        page = harness.fetch(server.management, "PUT", "/log?level=off", headers={"Origin": "http://127.0.0.1:9180"})
        self.assertEqual(page.status, 400, "a web page")
        self.assertEqual(harness.fetch(server.management, "POST", "/log").headers["allow"], "GET, HEAD, PUT")
        self.assertEqual(server.get("/log").status, 404, "not on the public listener")
        port = harness.Ports.take()
        gone = subprocess.run([harness.program(), "log", "--management", f"127.0.0.1:{port}"], capture_output=True, text=True)
        self.assertEqual(gone.returncode, 2)
        self.assertIn("no management listener answers at", gone.stderr)


class Failures(harness.ServerTest):
    def test_failed_exchanges_are_logged_with_headers_and_bodies_and_without_secrets(self):
        contract = CONTRACT.replace("  rate-limit: off\n", "  rate-limit: off\n  access-log: {failure-headers: true, failure-bodies: 200B, redact: [text]}\n")
        server = self.serve(contract, CONFIG)
        secret = "do-not-log-this"
        wrong = {"text": secret, "password": secret, "nested": [{"api_key": secret}], "seen": "x", "id": 7}
        self.assertEqual(server.post("/notes", wrong, {"Authorization": f"Bearer {secret}", "X-Seen": "1"}).status, 400)
        self.assertEqual(server.post("/notes", '{"a": "b, "password": "%s"}' % secret, {"Content-Type": "application/json"}).status, 400)
        self.assertEqual(server.post("/notes", {"text": "fine"}).status, 201)
        lines = harness.until(lambda: (lines := [line for line in server.logged() if line["event"] == "request" and line["path"] == "/notes"]) and len(lines) == 3 and lines, "three lines")
        self.assertNotIn(secret, server.output)
        # Those of several threads are not in the order of the requests.
        first, second, third = (next(line for line in lines if told(line)) for told in (
            lambda line: "request_body" in line and "seen" in line["request_body"], lambda line: line.get("request_body") == "[not JSON]",
            lambda line: line["status"] == 201))
        self.assertIn("x-seen: 1", first["request_headers"])
        self.assertIn("authorization: [redacted]", first["request_headers"])
        self.assertIn("content-type: application/problem+json", first["response_headers"])
        self.assertIn('"seen": "x"', first["request_body"])
        self.assertIn('"status":400', first["response_body"])
        self.assertLessEqual(len(first["response_body"]), 200)
        self.assertEqual(second["request_body"], "[not JSON]")
        self.assertNotIn("request_body", third)

    def test_nothing_of_a_body_is_logged_unless_the_contract_says_so(self):
        server = self.serve(CONTRACT, CONFIG)
        server.post("/notes", {"text": 1})
        (line,) = harness.until(lambda: [line for line in server.logged() if line["event"] == "request" and line["path"] == "/notes"], "a line")
        self.assertEqual({"request_body", "response_body", "request_headers", "response_headers"} & line.keys(), set())


if __name__ == "__main__":
    harness.main()
