"""A walk over the table of problems: each one provoked on a running server and held against its entry, its page, its number, its line of log.

The table is the program's own (`plimsoll problems --json`). A problem that nobody provokes here fails the walk, and so does one that the sources declare
and the table does not have. What a policy with a `mode` refuses is provoked again in `shadow`: there it is served, counted and logged."""
import html
import http.client
import http.server
import io
import json
import os
import pathlib
import re
import select
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import harness

# Declared in the sources, and never told to a caller.
NEVER_TOLD = {
    "backup": "of the command `database`",
    "restore": "of the command `database`",
    "bad-key": "refuses a start, or a line of `token verify`",
    "bad-network": "refuses a start",
    "bad-url": "refuses a start",
    "cannot-listen": "refuses a start",
    "configuration": "refuses a start",
    "ambiguous-sql-name": "refuses a start",
    "job-statement": "refuses a start",
    "unknown-sql-name": "refuses a start",
    "invalid-pattern": "refuses a start",
    "invalid-schema": "refuses a start",
    "malformed-yaml": "refuses a start",
    "migration": "refuses a start",
    "database-url": "refuses a start",
    "run-again": "PostgreSQL has undone a transaction, which is run again",
    "no-verifier": "refuses a start",
    "not-implemented": "refuses a start",
    "tls": "refuses a start",
    "no-such-key": "of the command `keys`",
    "unknown-job-kind": "a contract that names one is refused at the start",
    "client-gone": "nobody is there to be told",
    "tls-handshake": "there is no HTTP to tell it in",
    "untrusted-peer": "the connection is closed before HTTP begins",
    "network": "the client of this library tells `unreachable` instead",
    "name-not-resolved": "the client of this library tells `unreachable` instead",
    "over-budget": "a read on an I/O thread that takes too many steps is moved to another thread",
    "stale-claim": "between a worker and the queue",
    "cancelled": "between lines of work of one exchange",
    "store-unavailable": "no policy keeps anything in a store outside the process yet",
}

OPERATIONS = {  # what `faulty_server` does for them
    "answers": "withdrawn neighbours deadline held throttled admitted visited unverified allowed limited shared checked typed negotiated small selected watched cached paid plain streamed",
    "throws": "broken", "strays": "strayed", "waits": "slow", "calls": "called", "form": "uploaded", "refuses": "dry", "starves": "starved",
}

# Operations whose x-plimsoll has one policy, of which the mode is under test: path, method, x-plimsoll, more members.
JSON_BODY = {"required": True, "content": {"application/json": {"schema": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}}}}
ANY_JSON = {"content": {"application/json": {"schema": {"type": "object"}}}}
ANY_TEXT = {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}}
MESSAGE = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}
POLICIES = [
    ("deadline", "post", {"deadline": {"after": "300ms"}}, {"requestBody": ANY_JSON}),
    ("neighbours", "get", {"addresses": {"deny": ["192.0.2.0/24"]}}, {}),
    ("held", "post", {"priority": {"class": "default"}}, {"requestBody": ANY_JSON}),
    ("throttled", "get", {"authentication": {}}, {"security": [{"bearer": []}]}),
    ("admitted", "get", {"authentication": {}}, {"security": [{"bearer": []}]}),
    ("visited", "post", {"authentication": {}}, {"security": [{"cookie": []}], "requestBody": ANY_JSON}),
    ("unverified", "get", {"authentication": {}}, {"security": [{"remote": []}]}),
    ("allowed", "get", {"authorization": {}}, {"security": [{"bearer": ["walk"]}]}),
    ("limited", "get", {"rate-limit": {"limit": "1/hour", "by": "address"}}, {}),
    ("shared", "get", {"cors": {"origins": ["https://app.example.com"]}}, {}),
    ("checked", "post", {"validate": {}}, {"requestBody": JSON_BODY}),
    ("typed", "post", {"validate": {}}, {"requestBody": ANY_TEXT}),
    ("negotiated", "get", {"validate": {}}, {}),
    ("small", "post", {"validate": {"body-limit": "16B"}}, {"requestBody": JSON_BODY}),
    ("selected", "get", {"fields": {}}, {"parameters": [{"name": "fields", "in": "query", "schema": {"type": "string"}}]}),
    ("watched", "get", {"conditional": {}}, {}),
    ("cached", "get", {"cache": {"ttl": "1m"}}, {}),
    ("strayed", "get", {"responses": {}}, {}),
    ("paid", "post", {"idempotency": {"key": "required"}}, {"requestBody": ANY_JSON}),
    ("slow", "post", {"idempotency": {"key": "required", "wait": "50ms"}}, {}),
]


def contract(mode):
    """Every operation of the walk; the policies that it is about are in `mode`."""
    paths = {}

    def operation(name, method, extension, more, path=None):
        paths.setdefault(path or f"/{name}", {})[method] = {
            "operationId": name, "security": [], "x-plimsoll": extension,
            "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": MESSAGE}}}}, **more}

    for name, method, extension, more in POLICIES:
        ((policy, options),) = extension.items()
        operation(name, method, {policy: {**options, "mode": mode}}, more)
    for name, method in (("plain", "get"), ("broken", "get"), ("starved", "get"), ("dry", "get"), ("called", "get"), ("uploaded", "post"), ("streamed", "post")):
        operation(name, method, {}, {"requestBody": {"content": {"*/*": {}}}} if method == "post" else {})
    paths["/called"]["get"]["x-plimsoll"]["validate"] = paths["/uploaded"]["post"]["x-plimsoll"]["validate"] = {"unknown-query": "ignore", "body": "stream"}
    paths["/streamed"]["post"]["x-plimsoll"]["validate"] = {"body": "stream"}
    paths["/slow"]["post"]["x-plimsoll"]["validate"] = {"unknown-query": "ignore"}

    paths["/checked"]["post"]["x-plimsoll"]["budgets"] = {"steps": 200}
    operation("withdrawn", "get", {"deprecation": {"mode": mode}, "deprecated-since": "2020-01-01", "sunset": "2020-12-31", "after-sunset": "gone"}, {"deprecated": True})

    any_object = {**ANY_JSON, "required": True}
    listed = {"content": {"application/json": {"schema": {"type": "array"}}}, "required": True}
    operation("listThings", "get", {"table": "things"}, {}, "/things")
    operation("addThing", "post", {"table": "things"}, {"requestBody": any_object}, "/things")
    operation("addThings", "post", {"table": "things", "batch": {"create": {"max": 2}}}, {"requestBody": listed}, "/things/batch")
    paths["/things/{id}"] = {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]}
    operation("getThing", "get", {"table": "things"}, {}, "/things/{id}")
    paths["/brief/{id}"] = paths["/things/{id}"].copy()
    paths["/things/{id}/scan"] = paths["/things/{id}"].copy()
    operation("getThingBriefly", "get", {"table": "things", "budgets": {"response": "1KiB"}}, {}, "/brief/{id}")
    operation("listEndless", "get", {"table": "endless", "priority": "off"}, {}, "/endless")
    operation("putThing", "put", {"table": "things"}, {"requestBody": any_object}, "/things/{id}")
    operation("getScan", "get", {"table": "things", "file": "scan"}, {}, "/things/{id}/scan")
    operation("putScan", "put", {"table": "things", "file": "scan"}, {"requestBody": any_object}, "/things/{id}/scan")
    for name in ("refused", "failed", "done"):
        operation(name, "post", {"job": name}, {"responses": {"202": {"description": "accepted"}}}, f"/jobs/{name}")

    text = {"description": "none", "content": {"text/plain": {"example": "none"}}}
    operation("mocked", "get", {"mock": {}}, {"responses": {"200": {"description": "ok", "content": {"application/json": {"example": {}}}}, "203": text}})
    operation("unmade", "get", {"mock": {}}, {"responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {"not": {}}}}}}})
    thing = {"type": "object", "required": ["id", "name"],
             "properties": {"id": {"type": "integer", "readOnly": True}, "name": {"type": "string", "minLength": 1}, "size": {"type": ["integer", "null"]}}}
    bearer = {"type": "http", "scheme": "bearer"}
    return json.dumps({
        "openapi": "3.1.0", "info": {"title": "Walk", "version": "1"}, "paths": paths,
        "components": {"schemas": {"Thing": thing, "Number": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}}, "securitySchemes": {"bearer": bearer, "remote": bearer, "cookie": {"type": "apiKey", "in": "cookie", "name": "session"}}},
        "x-plimsoll": {"authorization": "any-caller", "rate-limit": "off",
                       "tables": {"things": {"schema": "#/components/schemas/Thing", "sort": ["name"], "require-match": True, "files": {"scan": {"stored": "folder"}}},
                                  "endless": {"schema": "#/components/schemas/Number"}}}})


CONFIG = """
database: {{url: 'sqlite:walk.db', busy: 50ms, queue: 1}}
files: {{folder: kept}}
authentication:
  bearer: {{issuer: us, audience: walk, jwks: keys.json}}
  remote: {{issuer: them, audience: walk, jwks: 'http://127.0.0.1:{port}/no-keys'}}
  failures: 2/hour
shed: {{concurrency: 4}}
trusted-proxies: [127.0.0.1]
limits: {{head-time: 1s, body: 64KiB, drain: 1s, bodies: 8KiB, bodies-on-disk: 20KiB}}
jobs:
  refused: {{run: {{http: 'http://127.0.0.1:{port}/422'}}}}
  failed: {{run: {{http: 'http://127.0.0.1:{port}/503'}}, attempts: 1}}
  done: {{run: {{sql: "DELETE FROM things WHERE id = -1"}}}}
"""

PROVOCATIONS = []


def provokes(code, policy=None, operation=None, lets_pass=True):
    """The method returns the answer to the last of its requests, which tells `code`. With `policy`: the policy that refuses; the same requests are
    made in `shadow`, where that one is served, unless it cannot be (`lets_pass`)."""
    def keep(function):
        PROVOCATIONS.append((code, policy, operation, lets_pass, function))
        return function
    return keep


class Elsewhere:
    """A service that is called: `/422` and `/503` answer so, `/large` with more than is taken, `/hang` when it is told to go on."""

    def __init__(self):
        elsewhere = self
        self.called, self.go = threading.Event(), threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                elsewhere.called.set()
                if self.path == "/hang":
                    elsewhere.go.wait(harness.PATIENCE)
                self.send_response(int(self.path[1:]) if self.path[1:].isdigit() else 204)
                self.end_headers()

            def do_GET(self):
                if self.path == "/nonsense":
                    self.wfile.write(b"this is no HTTP\r\n\r\n")
                    return
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                self.wfile.write(b"x" * 100000)

            def log_message(self, *_):
                pass

        self.server = harness.HttpListener(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


class Line:
    """A connection of bytes: what HTTP libraries would not send."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def post(self, path, sent=b"{", size=2, more=b""):
        """The head of a POST, and of its body no more than `sent`."""
        return self.send(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n" % (path, more, size) + sent)

    def answered(self):
        return bool(select.select([self.socket], [], [], 0)[0])

    def answer(self):
        """The next answer; `100 Continue` is one."""
        first = self.socket.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL)
        if first == b"HTTP/1.1 100":
            self.socket.recv(len(b"HTTP/1.1 100 Continue\r\n\r\n"), socket.MSG_WAITALL)
            return harness.Answer(100, harness.Headers([]), b"")
        answer = http.client.HTTPResponse(self.socket)
        answer.begin()
        return harness.Answer(answer.status, harness.Headers(answer.getheaders()), answer.read())

    def close(self):
        self.socket.close()


class Walk:
    """A server of the walk, and the requests that provoke its problems."""

    def __init__(self, test, mode):
        self.test, self.folder = test, test.directory()
        self.elsewhere = Elsewhere()
        test.addCleanup(self.elsewhere.close)
        self.command("token", "key", "--private", "key.json", "--public", "keys.json")
        database = sqlite3.connect(self.folder / "walk.db")
        database.execute("CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER CONSTRAINT size CHECK(size < 100), scan TEXT, scan_type TEXT, scan_size INTEGER, scan_digest TEXT)")
        database.executescript("""CREATE TABLE many(i INTEGER);
            CREATE VIEW endless AS SELECT a.i AS id FROM many a, many b, many c, many d WHERE a.i + b.i + c.i + d.i < 0;
            CREATE TRIGGER slowly AFTER INSERT ON things WHEN new.name = 'slow' BEGIN SELECT count(*) FROM endless; END""")
        database.close()
        bindings = " ".join(f"{name}={behaviour}" for behaviour, names in OPERATIONS.items() for name in names.split())
        (self.folder / "contract.yaml").write_text(contract(mode))
        (self.folder / "plimsoll.yaml").write_text(CONFIG.format(port=self.elsewhere.port))
        self.server = harness.Server(self.folder / "contract.yaml", self.folder, self.folder / "plimsoll.yaml", verb=(),
                                     executable=harness.program().parent / "faulty_server", environment={"FAULTY": bindings})
        test.addCleanup(test._end, self.server)
        self.server.start()
        self.lines = []

    def command(self, *arguments):
        return subprocess.run([harness.program(), *arguments], cwd=self.folder, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def line(self):
        self.lines.append(Line(self.server))
        return self.lines[-1]

    def close_lines(self):
        for line in self.lines:
            line.close()
        self.lines.clear()

    def token(self, *more):
        return {"Authorization": "Bearer " + self.command("token", "issue", "--key", "key.json", "--subject", "ada", "--issuer", "us", "--audience", "walk", *more)}

    def key(self):
        return self.command("keys", "create", "--database", "sqlite:walk.db", "--name", "ada", "--subject", "ada")

    def ended(self, target):
        """The status document of a job made by POST to `target`, at its end."""
        url = self.server.post(target).json()["status_url"]
        return harness.until(lambda: (lambda d: d if d["status"] in ("completed", "dead", "cancelled") else None)(self.server.get(url).json()), url), url

    # What reads bytes.

    @provokes("malformed-request")
    def malformed(self):
        return self.line().send(b"nonsense\r\n\r\n").answer()

    @provokes("target-too-long")
    def long_target(self):
        return self.line().send(b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").answer()

    @provokes("head-too-large")
    def large_head(self):
        return self.line().send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 40_000 + b"\r\n\r\n").answer()

    @provokes("transfer-coding-unknown")
    def coding(self):
        return self.line().send(b"POST /plain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n").answer()

    @provokes("method-not-implemented")
    def connect(self):
        return self.line().send(b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n").answer()

    @provokes("http-version-unknown")
    def version(self):
        return self.line().send(b"GET / HTTP/2.7\r\nHost: x\r\n\r\n").answer()

    @provokes("expectation-failed")
    def expectation(self):
        return self.line().send(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n").answer()

    @provokes("head-too-slow")
    def slow_head(self):
        return self.line().send(b"GET / HTTP/1.1\r\nHost:").answer()

    @provokes("body-too-slow")
    def slow_body(self):
        return self.line().post(b"/streamed").answer()

    @provokes("body-broken")
    def broken_body(self):
        line = self.line().post(b"/streamed")
        line.socket.shutdown(socket.SHUT_WR)
        return line.answer()

    @provokes("payload-too-large")
    def listener_limit(self):
        return self.server.post("/streamed", "x" * 100_000, {"Content-Type": "text/plain"})

    # What answers beside the operations.

    @provokes("not-found")
    def nowhere(self):
        return self.server.get("/nowhere")

    @provokes("method-not-allowed")
    def wrong_method(self):
        return self.server.delete("/plain")

    @provokes("invalid-log-level")
    def wrong_log_level(self):
        return harness.fetch(self.server.management, "PUT", "/log?level=loud")

    @provokes("misdirected-request")
    def a_name_that_leads_here(self):
        return harness.fetch(self.server.management, target="/metrics", headers={"Host": "rebound.example"})

    @provokes("not-reloaded")
    def reload_from_a_page(self):
        return harness.fetch(self.server.management, "POST", "/reload", headers={"Origin": "https://elsewhere.example"})

    @provokes("internal")
    def thrown(self):
        return self.server.get("/broken")

    @provokes("out-of-memory")
    def starved(self):
        return self.server.get("/starved")

    @provokes("unreachable")
    def nobody_there(self):
        return self.server.get(f"/called?http://127.0.0.1:{self.test.port()}/")

    @provokes("bad-answer")
    def no_http(self):
        return self.server.get(f"/called?http://127.0.0.1:{self.elsewhere.port}/nonsense")

    @provokes("answer-too-large")
    def too_much(self):
        return self.server.get(f"/called?http://127.0.0.1:{self.elsewhere.port}/large")

    def form(self, part, folder="."):
        body = b"--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n" + part + b"\r\n--b--\r\n"
        return self.server.request("POST", f"/uploaded?{folder}", body, {"Content-Type": "multipart/form-data; boundary=b"})

    @provokes("multipart-malformed")
    def no_form(self):
        return self.server.request("POST", "/uploaded?.", b"--b\r\nno", {"Content-Type": "multipart/form-data; boundary=b"})

    @provokes("multipart-too-large")
    def large_part(self):
        return self.form(b"x" * 5000)

    @provokes("multipart-storage")
    def no_room(self):
        return self.form(b"x" * 1000, "/proc/nowhere")

    # Tables.

    @provokes("no-such-row")
    def no_row(self):
        return self.server.get("/things/99")

    @provokes("invalid-query")
    def beyond(self):
        return self.server.get("/things", limit=100, page=101)

    @provokes("invalid-cursor")
    def strange_cursor(self):
        return self.server.get("/things", cursor="AAAA")

    @provokes("invalid-row")
    def empty_name(self):
        return self.server.post("/things", {"name": ""})

    @provokes("batch-too-large")
    def batch(self):
        return self.server.post("/things/batch", [{"name": "a"}, {"name": "b"}, {"name": "c"}])

    @provokes("range-not-satisfiable")
    def behind_the_end(self):
        scan = f"/things/{self.server.post('/things', {'name': 'scanned'}).json()['id']}/scan"
        self.server.put(scan, b"{}", {"Content-Type": "application/json", "If-None-Match": "*"})
        return self.server.get(scan, {"Range": "bytes=2-"})

    @provokes("conflict")
    def twice(self):
        self.server.post("/things", {"name": "twice"})
        return self.server.post("/things", {"name": "twice"})

    @provokes("constraint")
    def check_fails(self):
        return self.server.post("/things", {"name": "large", "size": 100})

    @provokes("precondition-required")
    def no_match(self):
        made = self.server.post("/things", {"name": "kept"}).json()["id"]
        return self.server.put(f"/things/{made}", {"name": "changed"})

    @provokes("precondition-failed")
    def old_match(self):
        made = self.server.post("/things", {"name": "new"}).json()["id"]
        return self.server.put(f"/things/{made}", {"name": "changed"}, {"If-Match": '"older"'})

    @provokes("database-unavailable")
    def gone(self):
        place, aside = self.folder / "walk.db", self.folder / "aside.db"
        os.rename(place, aside)
        try:
            return self.server.post("/things", {"name": "lost"})
        finally:
            os.rename(aside, place)

    @provokes("files-unavailable")
    def folder_gone(self):
        place, aside = self.folder / "kept", self.folder / "aside"
        scan = f"/things/{self.server.post('/things', {'name': 'filed'}).json()['id']}/scan"
        os.rename(place, aside)
        try:
            return self.server.put(scan, b"{}", {"Content-Type": "application/json", "If-None-Match": "*"})
        finally:
            os.rename(aside, place)

    @provokes("response-too-large")
    def long_row(self):
        made = self.server.post("/things", {"name": "x" * 2000}).json()["id"]
        return self.server.get(f"/brief/{made}")

    def make_endless(self):
        database = sqlite3.connect(self.folder / "walk.db")
        with database:
            database.execute("INSERT INTO many SELECT value FROM json_each('[' || substr(replace(hex(zeroblob(2000)), '00', ',1'), 2) || ']')")
        database.close()

    @provokes("write-too-long")
    def slow_trigger(self):
        self.make_endless()
        return self.server.post("/things", {"name": "slow"})

    @provokes("database-busy")
    def full_queue(self):
        """Reads that find no end: two of them have the threads that one caller may have, one waits, and there is no room for a fourth. The numbers
        that are asked for meanwhile are read from the database too: while that waits, there is none for an earlier one, which is refused then."""
        self.make_endless()
        active = 'http_server_active_requests{http_request_method="GET",http_route="/endless"}'
        for n in range(3):
            line = self.line().send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            harness.until(lambda: line.answered() or self.server.metrics().get(active) == n + 1, f"{n + 1} reads are under way")
            if line.answered():
                return line.answer()
        return self.server.get("/endless")

    # Jobs.

    @provokes("job-not-found")
    def no_job(self):
        return self.server.get("/jobs/done/0190f5e2-0000-7000-8000-000000000000/status")

    @provokes("job-without-result")
    def no_result(self):
        _, url = self.ended("/jobs/done")
        return self.server.get(url.replace("/status", "/result"))

    @provokes("job-ended")
    def too_late(self):
        _, url = self.ended("/jobs/done")
        return self.server.delete(url.removesuffix("/status"))

    @provokes("job-refused")
    def refused_job(self):
        return self.ended("/jobs/refused")[0]

    @provokes("job-service-failed")
    def failed_job(self):
        return self.ended("/jobs/failed")[0]

    # The mock.

    @provokes("mock-no-such-answer")
    def no_example(self):
        return self.server.get("/mocked", {"Prefer": "code=418"})

    @provokes("mock-not-acceptable")
    def other_type(self):
        return self.server.get("/mocked", {"Prefer": "code=203", "Accept": "application/json"})

    @provokes("mock-not-generated")
    def impossible(self):
        return self.server.get("/unmade")

    # Policies.

    @provokes("deadline-exceeded", "deadline", "deadline")
    def late(self):
        line = self.line().post(b"/deadline")
        if self.test.mode == "shadow":  # the body ends when the deadline has passed
            harness.until(lambda: self.decisions("deadline", "deadline", "deadline-exceeded") > 0, "the deadline is seen")
            line.send(b"}")
        return line.answer()

    @provokes("operation-gone", "deprecation", "withdrawn")
    def after_the_sunset(self):
        return self.server.get("/withdrawn")

    @provokes("overloaded", "priority", "held")
    def full(self):
        for _ in range(4):  # the door closes before the bound itself for what is not critical
            line = self.line().post(b"/held", b"", 2, b"Expect: 100-continue\r\n")
            answer = line.answer()
            if answer.status != 100:
                return answer
        return self.server.post("/held", {})

    @provokes("unauthenticated", "authentication", "admitted")
    def stranger(self):
        return self.server.get("/admitted")

    @provokes("invalid-credentials", "authentication", "admitted")
    def bad_token(self):
        return self.server.get("/admitted", {"Authorization": "Bearer nonsense", "X-Forwarded-For": "198.51.100.1"})

    @provokes("authentication-throttled", "authentication", "throttled")
    def many_bad_tokens(self):
        bad = {"Authorization": "Bearer repeated", "X-Forwarded-For": "198.51.100.2"}
        for _ in range(2):
            self.server.get("/throttled", bad)
        return self.server.get("/throttled", bad)

    @provokes("cross-site-request", "authentication", "visited")
    def cookie_from_another_site(self):
        return self.server.post("/visited", {}, {"Cookie": f"session={self.key()}", "Sec-Fetch-Site": "cross-site"})

    @provokes("keys-unavailable", "authentication", "unverified")
    def no_keys(self):
        return self.server.get("/unverified", self.token())

    @provokes("forbidden", "authorization", "allowed")
    def without_scope(self):
        return self.server.get("/allowed", self.token("--scope", "other"))

    @provokes("address-refused", "addresses", "neighbours")
    def from_next_door(self):
        return self.server.get("/neighbours", {"X-Forwarded-For": "192.0.2.1"})

    @provokes("rate-limited", "rate-limit", "limited")
    def too_often(self):
        self.server.get("/limited")
        return self.server.get("/limited")

    @provokes("cors-refused", "cors", "shared")
    def strange_origin(self):
        return self.server.request("OPTIONS", "/shared", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"})

    @provokes("invalid", "validate", "checked")
    def wrong_type(self):
        return self.server.post("/checked", {"a": "text"})

    @provokes("too-complex", "validate", "checked")
    def too_many_members(self):
        return self.server.post("/checked", {"a": 1, **{f"m{i}": i for i in range(300)}})

    @provokes("malformed-json", "validate", "checked")
    def no_json(self):
        return self.server.post("/checked", "{", {"Content-Type": "application/json"})

    @provokes("unsupported-media-type", "validate", "checked")
    def other_body(self):
        return self.server.post("/checked", "a", {"Content-Type": "text/csv"})

    @provokes("malformed-body", "validate", "typed")
    def no_text(self):
        return self.server.post("/typed", b"\xff\xfe", {"Content-Type": "text/plain"})

    @provokes("not-acceptable", "validate", "negotiated")
    def strange_wish(self):
        return self.server.get("/negotiated", {"Accept": "image/png"})

    @provokes("payload-too-large", "validate", "small", lets_pass=False)
    def operation_limit(self):
        return self.server.post("/small", {"a": 1, "b": "more than is taken"})

    @provokes("too-many-bodies", "validate", "checked", lets_pass=False)
    def more_than_all_bodies_may_take(self):
        return self.server.post("/checked", {"a": 1, "b": "x" * 40_000})

    @provokes("precondition-failed", "conditional", "watched")
    def another_tag(self):
        return self.server.get("/watched", {"If-Match": '"older"'})

    @provokes("invalid-fields", "fields", "selected")
    def open_bracket(self):
        return self.server.get("/selected", fields="message(")

    @provokes("not-cached", "cache", "cached")
    def only_if_cached(self):
        return self.server.get("/cached", {"Cache-Control": "only-if-cached"})

    @provokes("invalid-response", "responses", "strayed")
    def stray(self):
        return self.server.get("/strayed")

    @provokes("idempotency-key-missing", "idempotency", "paid")
    def no_key(self):
        return self.server.post("/paid")

    @provokes("idempotency-key-invalid", "idempotency", "paid")
    def odd_key(self):
        return self.server.post("/paid", headers={"Idempotency-Key": "a b"})

    @provokes("idempotency-key-reused", "idempotency", "paid")
    def same_key(self):
        self.server.post("/paid", {"amount": 1}, {"Idempotency-Key": "k"})
        return self.server.post("/paid", {"amount": 2}, {"Idempotency-Key": "k"})

    @provokes("idempotency-in-flight", "idempotency", "slow")
    def at_once(self):
        first = self.line().send(b"POST /slow?3000 HTTP/1.1\r\nHost: x\r\nIdempotency-Key: f\r\nContent-Length: 0\r\n\r\n")
        active = 'http_server_active_requests{http_request_method="POST",http_route="/slow"}'
        harness.until(lambda: self.server.metrics().get(active) == 1, "the first is under way")
        answer = self.server.post("/slow?3000", headers={"Idempotency-Key": "f"})
        first.answer()
        return answer

    # What is seen from outside.

    def decisions(self, policy, operation, code, decision="shadowed", metrics=None):
        name = f'plimsoll_policy_decisions_total{{policy="{policy}",operation="{operation}",problem="{code}",decision="{decision}"}}'
        return (metrics or self.server.metrics()).get(name)

    def told(self, code, metrics=None):
        return (metrics or self.server.metrics()).get(f'plimsoll_problems_total{{problem="{code}"}}')

    def line_of_log(self, message, **members):
        def found():
            return [line for line in self.server.logged() if line.get("event") == message and all(line.get(key) == value for key, value in members.items())]
        return harness.until(found, lambda: f"a line {message!r} with {members} in {self.server.output[-3000:]}")[0]


def table():
    listed = subprocess.run([harness.program(), "problems", "--json"], check=True, capture_output=True, text=True, timeout=60).stdout
    return {entry["code"]: entry for entry in json.loads(listed)}


class Problems(harness.ServerTest):
    mode = "enforce"

    def told_as_the_table_says(self, walk, code, policy, operation, provoke):
        entry, before = table()[code], walk.server.metrics()
        self.assertIsNotNone(walk.told(code, before), f"{code} has no number")
        answer = provoke(walk)
        walk.close_lines()
        after = walk.server.metrics()
        self.assertEqual(walk.told(code, after) - walk.told(code, before), 1, f"{code} is counted once: {answer!r}")
        if isinstance(answer, dict):  # the status document of a job
            self.assertTrue(answer["error"].startswith(code), answer)
            walk.line_of_log("job failed", problem=code, job=answer["job_id"])
            return
        self.assertEqual(answer.headers["content-type"], "application/problem+json", answer)
        document = answer.json()
        self.assertEqual((answer.status, document["status"], document["code"], document["title"]), (entry["status"], entry["status"], code, entry["title"]), answer)
        self.assertEqual(document["type"], f"/problems/{code}")
        self.assertEqual(document.get("policy"), policy, document)
        line = walk.line_of_log("request", problem=code, trace_id=document["trace_id"])
        self.assertEqual((line["status"], line.get("policy")), (entry["status"], policy), line)
        if policy:
            self.assertIn(policy, entry["policies"])
            told = [walk.decisions(policy, operation, code, "refused", metrics) for metrics in (before, after)]
            self.assertIsNotNone(told[0], f"{policy} has no number before it refuses: a rate would not see the first")
            self.assertEqual(told[1] - told[0], 1, f"{policy} counts what it refuses")

    def test_each_problem_is_told_counted_and_logged(self):
        walk = Walk(self, "enforce")
        for code, policy, operation, _, provoke in PROVOCATIONS:
            with self.subTest(problem=code, by=provoke.__name__):
                self.told_as_the_table_says(walk, code, policy, operation, provoke)
        print(f"{len(PROVOCATIONS)} provocations of {len({code for code, *_ in PROVOCATIONS})} problems")

    def test_in_shadow_what_a_policy_would_refuse_is_served_counted_and_logged(self):
        self.mode = "shadow"
        walk, served = Walk(self, "shadow"), 0
        for code, policy, operation, lets_pass, provoke in PROVOCATIONS:
            if not policy:
                continue
            with self.subTest(problem=code, by=provoke.__name__):
                before = walk.server.metrics()
                answer = provoke(walk)
                walk.close_lines()
                after = walk.server.metrics()
                would = [walk.decisions(policy, operation, code, "shadowed", metrics) for metrics in (before, after)]
                self.assertIsNotNone(would[0], f"{policy} has no number before it would refuse")
                if not lets_pass:
                    self.assertEqual((answer.status, answer.code, would), (table()[code]["status"], code, [0, 0]), answer)
                    continue
                self.assertEqual(answer.status // 100, 2, answer)
                self.assertEqual(would[1] - would[0], 1, f"{policy} counts what it would refuse")
                self.assertEqual(walk.told(code, after), walk.told(code, before), "nobody is told")
                walk.line_of_log("would-reject", policy=policy, problem=code, operation=operation)
                served += 1
        print(f"{served} refusals served in shadow")

    def test_a_server_that_goes_down_says_so_to_who_is_still_sending(self):
        # Its numbers can be read between that answer and its end: where this process did not get its turn in between, nothing was seen.
        for last in (False, False, True):
            try:
                return self.goes_down_while_somebody_sends()
            except ConnectionError:
                if last:
                    raise

    def goes_down_while_somebody_sends(self):
        walk = Walk(self, "enforce")
        (walk.folder / "plimsoll.yaml").write_text(CONFIG.format(port=walk.elsewhere.port).replace("/422", "/hang"))
        walk.server.stop()
        walk.server.restart()
        walk.server.post("/jobs/refused")  # while a job runs, the management listener stays: the numbers can be read
        self.assertTrue(walk.elsewhere.called.wait(harness.PATIENCE))

        def sends(walk):
            line = walk.line().post(b"/streamed", b"", 2, b"Expect: 100-continue\r\n")
            self.assertEqual(line.answer().status, 100)
            walk.server.signal(signal.SIGTERM)
            return line.answer()

        self.told_as_the_table_says(walk, "draining", None, None, sends)
        walk.elsewhere.go.set()
        self.assertEqual(walk.server.wait(), 0)

    def test_a_problem_of_the_programs_own_has_a_page_a_number_and_a_line_too(self):
        walk = Walk(self, "enforce")
        answer = walk.server.get("/dry")
        self.assertEqual((answer.status, answer.code, answer.json()["detail"]), (409, "out-of-tea", "the pot is empty"))
        self.assertEqual(walk.told("out-of-tea"), 1)
        walk.line_of_log("request", problem="out-of-tea", trace_id=answer.json()["trace_id"])
        page = walk.server.get(answer.json()["type"])
        self.assertEqual(page.status, 200)
        self.assertIn("Ask for coffee.", page.text)
        self.assertIn('href="/problems/out-of-tea"', walk.server.get("/problems").text)

    def test_each_problem_of_the_table_is_provoked_and_documented(self):
        provoked = {code for code, *_ in PROVOCATIONS} | {"draining", "reload-unanswered", "unknown-version"}  # the latter two by tests/reload_test.py and tests/versions_test.py
        provoked |= {"faults-not-allowed", "invalid-fault"}  # by tests/injected_faults_test.py
        provoked |= {"not-learning"}  # by tests/learn_test.py
        provoked |= {"idempotency-uncertain"}  # by tests/idempotency_upstream_test.py
        provoked |= {"circuit-open", "too-many-calls", "quota-exhausted"}  # by tests/upstreams_test.py and client/resilience_test.cpp
        provoked |= {"websocket-handshake", "websocket-version", "too-many-websockets"}  # by tests/websockets_test.py
        provoked |= {"websocket-not-opened"}  # by tests/websockets_http2_test.py
        provoked |= {"no-credential", "body-not-signed", "credential-refused"}  # by client/oauth2_test.cpp and tests/credentials_test.py
        provoked |= {"outcome-unknown"}  # of PostgreSQL, by tests/postgres_faults_test.py
        plain = subprocess.run([harness.program(), "problems"], check=True, capture_output=True, text=True, timeout=60).stdout
        self.assertEqual([line.split(None, 2) for line in plain.splitlines()], [[str(e["status"]), code, e["title"]] for code, e in table().items()])
        self.assertEqual(sorted(table().keys() - provoked), [], "problems that nobody provokes here")
        self.assertEqual(sorted(provoked - table().keys()), [], "problems that the program does not have")
        for code, entry in table().items():
            for policy in entry["policies"]:
                if code == "idempotency-uncertain":  # in shadow no key is leased
                    continue
                self.assertIn((code, policy), {(c, p) for c, p, *_ in PROVOCATIONS}, "a policy that nobody makes refuse for this reason")
        server = Walk(self, "enforce").server
        index = server.get("/problems").text
        for code, entry in table().items():
            page = server.get(f"/problems/{code}")
            self.assertEqual((page.status, page.headers["content-type"]), (200, "text/html; charset=utf-8"), code)
            self.assertTrue(entry["remedy"], f"{code} has no remedy")
            for text in (code, str(entry["status"]), entry["title"], entry["remedy"]):
                self.assertIn(html.escape(text, quote=True).replace("&#x27;", "'"), page.text)
            self.assertIn(f'href="/problems/{code}"', index)

    def test_each_problem_that_the_sources_declare_is_in_the_table_or_never_told(self):
        declared = {}
        for path in (harness.ROOT / "plimsoll").rglob("*.[ch]pp"):
            if not re.search(r"_(test|bench|fuzz)\.cpp$", path.name):
                for code in re.findall(r'\bProblem k\w+\{\s*(?:\.code = )?"([a-z0-9-]+)"', path.read_text()):
                    declared.setdefault(code, []).append(path.relative_to(harness.ROOT))
        self.assertGreater(len(declared), 60)
        known = table()
        self.assertEqual({code: paths for code, paths in declared.items() if code not in known and code not in NEVER_TOLD}, {}, "without a page")
        self.assertEqual(sorted(known.keys() - declared.keys()), [], "the table has what the sources do not declare in this form")
        self.assertEqual(sorted(NEVER_TOLD.keys() & known.keys()), [])
        self.assertEqual(sorted(NEVER_TOLD.keys() - declared.keys()), [], "no longer declared")


if __name__ == "__main__":
    harness.main()
