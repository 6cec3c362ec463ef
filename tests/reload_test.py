"""A reload: contract and deployment are read again beside what is served. Nothing in flight is cut, no response comes from a plan that was not
in force, what is wrong changes nothing, and what outlives a plan (limits, keys, jobs) goes on."""
import contextlib
import http.client
import http.server
import json
import os
import random
import signal
import socket
import sqlite3
import threading
import time

import bodies_test
import harness

TORTURE = os.environ.get("PLIMSOLL_TORTURE")
RELOADS = 1000 if TORTURE else 20

HEAD = """
openapi: 3.1.0
info: {title: Reloaded, version: '%(number)d'}
x-plimsoll: {authorization: any-caller, rate-limit: off, mock: {}}
paths:
"""
NUMBERED = """
  /number:
    get:
      operationId: number
      parameters: [{name: p%(number)d, in: query, schema: {type: integer}}]
      responses: {'200': {description: ok, content: {application/json: {example: {plan: %(number)d, operation: number}}}}}
  /cached:
    get:
      operationId: cached
      x-plimsoll: {cache: 1h}
      responses: {'200': {description: ok, content: {application/json: {example: {plan: %(number)d, operation: cached}}}}}
  /limited:
    get:
      operationId: limited
      x-plimsoll: {rate-limit: '%(limit)d/hour by address'}
      responses: {'200': {description: ok, content: {application/json: {example: {plan: %(number)d, operation: limited}}}}}
  /sent:
    post:
      operationId: send
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'201': {description: ok, content: {application/json: {example: {plan: %(number)d, operation: send}}}}}
"""
INSERTED = """
  /inserted%(i)d:
    get:
      operationId: inserted%(i)d
      responses: {'200': {description: ok, content: {application/json: {example: {plan: %(number)d, operation: inserted%(i)d}}}}}
"""


def contract(number, limit=3):
    """Plan `number`: other operations stand before the same ones, a parameter has another name, a limit is another."""
    return (HEAD % {"number": number} + "".join(INSERTED % {"i": i, "number": number} for i in range(number % 5))
            + NUMBERED % {"number": number, "limit": limit})


class Load(threading.Thread):
    """Asks without pause. `span` is the pair of numbers (least, most) of the plans that may answer now."""

    def __init__(self, server, span, fresh):
        super().__init__(daemon=True)
        self.server, self.span, self.fresh = server, span, fresh
        self.over = threading.Event()
        self.made, self.faults = 0, []

    def run(self):
        chosen = random.Random(self.fresh)
        connection = self.server.connection()
        while not self.over.is_set():
            path = chosen.choice(["/number", "/cached", "/number", "/unknown"])
            least = self.span[0]
            if self.fresh:
                connection.close()
            try:
                answer = self.server.request("GET", path, connection=connection)
            except Exception as error:
                self.faults.append(repr(error))
                return
            most = self.span[1]
            self.made += 1
            if path == "/unknown":
                if answer.status != 404:
                    self.faults.append((path, answer.status))
                continue
            told = answer.json() if answer.status == 200 else {}
            if answer.status != 200 or told["operation"] != path[1:] or not least <= told["plan"] <= most:
                self.faults.append((path, answer.status, answer.text, least, most))
        connection.close()


class Slow:
    """A service whose first answer waits until it is told."""

    def __init__(self):
        slow = self
        self.asked, self.go = threading.Event(), threading.Event()
        self.calls = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                slow.calls += 1
                slow.asked.set()
                slow.go.wait(harness.PATIENCE)
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = harness.HttpListener(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_address[1]

    def close(self):
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


def rss(server):
    return harness.memory(server.pid)


class Reload(harness.ServerTest):
    def write(self, server, text, name="contract.yaml"):
        """As editors and deployment tools do: at once."""
        beside = server.directory / (name + ".new")
        beside.write_text(text)
        beside.rename(server.directory / name)

    def reload(self, server, status=200):
        answer = harness.fetch(server.management, "POST", "/reload")
        self.assertEqual(answer.status, status, answer.text)
        return answer.json()

    def events(self, server, name):
        return [line for line in server.logged() if line.get("event") == name]

    def test_reloads_under_load_fail_no_request_and_no_response_is_of_another_plan(self):
        server = self.serve(contract(0), "threads: 2\n", files=None)
        span = [0, 0]
        load = [Load(server, span, fresh) for fresh in (False, False, True)]
        for each in load:
            each.start()
        after_half = 0
        for number in range(1, RELOADS + 1):
            self.write(server, contract(number))
            span[1] = number
            self.reload(server)
            span[0] = number
            # The new name of the parameter is the only one that is known.
            self.assertEqual(server.get("/number", **{f"p{number}": "x"}).status, 400)
            made = [each.made for each in load]
            harness.until(lambda: all(each.made > before + 2 or each.faults for each, before in zip(load, made)), "requests between two reloads")
            if number == RELOADS // 2:
                after_half = rss(server)
        for each in load:
            each.over.set()
        for each in load:
            each.join(30)
        self.assertEqual([fault for each in load for fault in each.faults][:5], [])
        harness.until(lambda: server.metrics()["plimsoll_plans"] == 1, "the plans that were replaced are gone")
        self.assertEqual(server.metrics()['plimsoll_reloads_total{outcome="done"}'], RELOADS)
        print(f"{RELOADS} reloads, {sum(each.made for each in load)} requests, memory {after_half >> 20} MiB after half of them, {rss(server) >> 20} MiB at the end", flush=True)
        if TORTURE:
            self.assertLess(rss(server) - after_half, 2 << 20)

    def test_a_request_whose_body_is_still_coming_is_answered_by_the_plan_it_began_with(self):
        server = self.serve(contract(1), "threads: 1\n")
        with socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE) as line:
            line.sendall(b"POST /sent HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
            harness.until(lambda: server.metrics().get('http_server_active_requests{http_request_method="POST",http_route="/sent"}'), "the request has begun")
            self.write(server, contract(2))
            self.reload(server)
            self.assertEqual(server.metrics()["plimsoll_plans"], 2)
            self.assertEqual(server.get("/number").json()["plan"], 2)
            line.sendall(b"}")
            received = b""
            while b'"plan"' not in received:
                piece = line.recv(65536)
                self.assertTrue(piece, received)
                received += piece
        self.assertIn(b"201", received.split(b"\r\n")[0])
        self.assertIn(b'"plan":1', received.replace(b" ", b""))
        harness.until(lambda: server.metrics()["plimsoll_plans"] == 1, "the first plan is gone with its last request")

    def test_what_is_wrong_is_told_with_its_line_and_changes_nothing(self):
        server = self.serve(contract(1))
        self.write(server, contract(2) + "  /broken: {get: {operationId: number, responses: {}}}\n")
        refused = self.reload(server, 422)
        self.assertIn("contract.yaml:", refused["detail"])
        self.assertIn("number", refused["detail"])
        self.assertEqual(server.get("/number").json()["plan"], 1)
        told = harness.until(lambda: self.events(server, "reload-refused"), server.describe)[0]
        self.assertEqual(told["effect"], "the previous contract stays in force")
        run = self.plimsoll("reload", "--management", server.management)
        self.assertEqual(run.returncode, 2)
        self.assertIn("contract.yaml:", run.stderr)
        self.write(server, contract(3))
        run = self.plimsoll("reload", "--management", server.management)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertIn("reloaded\n", run.stdout)
        self.assertIn("added: inserted1, inserted2", run.stdout)
        self.assertIn("changed: inserted0, number, cached", run.stdout)
        self.assertEqual(server.get("/number").json()["plan"], 3)
        metrics = server.metrics()
        self.assertEqual((metrics['plimsoll_reloads_total{outcome="done"}'], metrics['plimsoll_reloads_total{outcome="refused"}']), (1, 2))

    SHARED = """
openapi: 3.1.0
info: {title: Notes, version: '1'}
x-plimsoll: {authorization: any-caller, rate-limit: 100/minute, tables: {notes: {schema: '#/components/schemas/Note', embeds: {tags: {table: tags, by: note}}}, tags: {schema: '#/components/schemas/Tag'}}}
paths:
  /notes:
    parameters: [{$ref: '#/components/parameters/Lang'}]
    get: {operationId: listNotes, security: [], x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    post:
      operationId: addNote
      security: []
      x-plimsoll: {table: notes}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: ok}}
  /tags:
    get: {operationId: listTags, security: [], x-plimsoll: {table: tags}, responses: {'200': {description: ok}}}
  /tree:
    post:
      operationId: addTree
      security: []
      x-plimsoll: {mock: true, rate-limit: off}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Tree'}}}}
      responses: {'201': {$ref: '#/components/responses/Made'}}
  /locked:
    get: {operationId: locked, security: [{key: []}], x-plimsoll: {mock: true}, responses: {'200': {description: ok}}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}
  parameters: {Lang: {name: lang, in: query, schema: {$ref: '#/components/schemas/Lang'}}}
  responses: {Made: {description: made}}
  schemas:
    Lang: {type: string, maxLength: 2}
    Note: {type: object, properties: {id: {type: integer, readOnly: true}, text: {$ref: '#/components/schemas/Text'}}}
    Tag: {type: object, properties: {id: {type: integer, readOnly: true}, note: {type: integer}, name: {type: string}}}
    Text: {type: string, maxLength: 10}
    Tree: {type: object, properties: {name: {type: string, minLength: 1}, children: {type: array, items: {$ref: '#/components/schemas/Tree'}}}}
"""

    def test_each_operation_that_a_change_concerns_is_named_and_no_other(self):
        server = self.serve(self.SHARED, "database: {url: 'sqlite:notes.db'}\n", arguments=["--dev"])
        every = {"listNotes", "addNote", "listTags", "addTree", "locked"}
        for old, new, named in (("maxLength: 10}", "maxLength: 20}", {"listNotes", "addNote"}),  # two references away
                                ("maxLength: 2}", "maxLength: 3}", {"listNotes", "addNote"}),  # of the path item
                                ("minLength: 1}", "minLength: 2}", {"addTree"}),  # of a schema that refers to itself
                                ("name: {type: string}", "name: {type: string, maxLength: 9}", {"listNotes", "addNote", "listTags"}),  # embedded
                                ("by: note}", "by: note, limit: 3}", {"listNotes", "addNote"}),  # of the declaration of a table
                                ("description: made", "description: here", {"addTree"}),
                                ("name: X-Key", "name: X-API-Key", {"locked"}),
                                ("100/minute", "99/minute", every),  # in force for all; `off` takes it back and stands in the operation
                                ("title: Notes", "title: Remarks", set()),
                                ("openapi: 3.1.0", "openapi: 3.1.1  # a comment", set())):
            with self.subTest(new):
                text = (server.directory / "contract.yaml").read_text()
                self.assertEqual(text.count(old), 1)
                self.write(server, text.replace(old, new))
                told = self.reload(server)["operations"]
                self.assertEqual((set(told.get("changed", [])), told.get("added", []), told.get("removed", [])), (named, [], []))

    def test_limits_go_on_where_their_name_is_the_same_and_cached_responses_are_of_one_document(self):
        server = self.serve(contract(1))
        self.assertEqual([server.get("/limited").status for _ in range(2)], [200, 200])
        self.assertEqual([server.get("/cached").json()["plan"] for _ in range(2)], [1, 1])
        self.write(server, contract(2))
        self.reload(server)
        self.assertEqual(server.get("/cached").json()["plan"], 2)
        self.assertEqual([server.get("/limited").status for _ in range(2)], [200, 429])

    def test_a_deployment_that_changes_is_used_and_what_needs_a_new_process_is_named(self):
        server = self.serve(contract(1), "threads: 1\nroles: {reader: ['a:read']}\n")
        self.write(server, "threads: 2\nroles: {reader: ['a:write']}\n", "plimsoll.yaml")
        self.assertEqual(self.reload(server)["needs-restart"], ["threads"])
        told = harness.until(lambda: self.events(server, "reload"), server.describe)[-1]
        self.assertEqual((told["level"], told["needs_restart"]), ("warning", "threads"))
        self.write(server, "threads: 1\nrolls: {}\n", "plimsoll.yaml")
        self.assertIn("plimsoll.yaml:2:1", self.reload(server, 422)["detail"])

    def listening(self, text, config, **more):
        """A server whose addresses are those of its plimsoll.yaml alone; not started yet."""
        server = self.server(text, config, **more)
        at = server.arguments.index("--listen")
        del server.arguments[at:at + 4]
        return server

    def test_listeners_are_opened_and_closed_and_no_request_is_lost_between(self):
        first, second, third = (self.port() for _ in range(3))
        config = "threads: 2\nlisten: [%s]\nmanagement: %s\n"
        server = self.listening(contract(1), "")
        (server.directory / "plimsoll.yaml").write_text(config % (f"127.0.0.1:{first}", server.management))
        server.arguments += ["--config", str(server.directory / "plimsoll.yaml")]
        server.address, server.port = f"127.0.0.1:{first}", first
        server.start()
        over, faults, made, at = threading.Event(), [], [0], [first]

        def ask(fresh):
            line = None
            while not over.is_set():
                # Whoever finds an address closed knows the next one: it must answer by then.
                port = at[0]
                try:
                    line = line or http.client.HTTPConnection(f"127.0.0.1:{port}", timeout=harness.PATIENCE)
                    line.request("GET", "/number")
                    answer = line.getresponse()
                    body = answer.read()
                    if answer.status != 200:
                        faults.append((port, answer.status, body))
                    made[0] += 1
                    if fresh or answer.getheader("connection") == "close":
                        line.close()
                        line = None
                except ConnectionRefusedError as error:
                    line.close()
                    line = None
                    if at[0] == port and ports[-1] == port:
                        faults.append((port, repr(error)))
                    at[0] = ports[-1]
                except Exception as error:
                    # The end of an idle connection may meet a request that is on its way; a new connection must not be lost.
                    if fresh:
                        faults.append((port, repr(error)))
                    line.close()
                    line = None
            if line:
                line.close()

        ports = [first]
        load = [threading.Thread(target=ask, args=(fresh,), daemon=True) for fresh in (False, True, True)]
        for each in load:
            each.start()
        with socket.create_connection(("127.0.0.1", first), timeout=harness.PATIENCE) as begun, \
                socket.create_connection(("127.0.0.1", first), timeout=harness.PATIENCE) as idle:
            begun.sendall(b"POST /sent HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
            idle.sendall(b"GET /number HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"200 OK", idle.recv(65536))
            harness.until(lambda: server.metrics().get('http_server_active_requests{http_request_method="POST",http_route="/sent"}'), "the request has begun")
            ports.append(second)
            self.write(server, config % (f"127.0.0.1:{second}", server.management), "plimsoll.yaml")
            told = self.reload(server)
            self.assertEqual(told["listeners"], {"opened": [f"127.0.0.1:{second}"], "closed": [f"127.0.0.1:{first}"]})
            self.assertEqual(told["needs-restart"], [])
            self.assertEqual(harness.fetch(f"127.0.0.1:{second}", target="/number").json()["plan"], 1)
            server.address, server.port = f"127.0.0.1:{second}", second
            # What has begun is finished, and its connection ends with it; an idle one ends.
            begun.sendall(b"}")
            received = b""
            while piece := begun.recv(65536):
                received += piece
            self.assertIn(b"201", received.split(b"\r\n")[0])
            self.assertIn(b"connection: close", received.lower())
            self.assertEqual(idle.recv(65536), b"")

            def refused(port):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=harness.PATIENCE).close()
                except ConnectionRefusedError:
                    return True
                return False

            harness.until(lambda: refused(first), "the old address is closed")
        # There and back, with another beside: what stays is not touched.
        kept = server.connection()
        self.assertEqual(server.request("GET", "/number", connection=kept).status, 200)
        for listens in (f"127.0.0.1:{second}, 127.0.0.1:{third}", f"127.0.0.1:{second}, 127.0.0.1:{first}", f"127.0.0.1:{second}"):
            self.write(server, config % (listens, server.management), "plimsoll.yaml")
            self.reload(server)
            for port in (int(each.split(":")[1]) for each in listens.split(", ")):
                self.assertEqual(harness.fetch(f"127.0.0.1:{port}", target="/number").status, 200)
        self.assertEqual(server.request("GET", "/number", connection=kept).headers.get("connection"), None)
        kept.close()
        before = made[0]
        harness.until(lambda: made[0] > before + 3, "requests at the end")
        over.set()
        for each in load:
            each.join(30)
        self.assertEqual(faults[:5], [])

    def test_an_address_that_cannot_be_opened_is_told_with_its_line_and_changes_nothing(self):
        server = self.listening(contract(1), "")
        config = f"management: {server.management}\nlisten:\n  - {server.address}\n"
        (server.directory / "plimsoll.yaml").write_text(config)
        server.arguments += ["--config", str(server.directory / "plimsoll.yaml")]
        server.start()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", self.port()))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.write(server, contract(2))
            self.write(server, config + f"  - 127.0.0.1:{self.port()}\n  - {address}\n", "plimsoll.yaml")
            refused = self.reload(server, 422)
            self.assertIn(f"plimsoll.yaml:5:5: error[listen]: {address}: Address already in use", refused["detail"])
            self.write(server, f"listen: [{server.address}]\nmanagement: {address}\n", "plimsoll.yaml")
            self.assertIn(f"plimsoll.yaml:2:13: error[listen]: {address}: Address already in use", self.reload(server, 422)["detail"])
        self.write(server, f"listen: []\nmanagement: {server.management}\n", "plimsoll.yaml")
        self.assertIn("`listen` names no address", self.reload(server, 422)["detail"])
        self.assertEqual(server.get("/number").json()["plan"], 1)
        self.write(server, config, "plimsoll.yaml")
        self.reload(server)
        self.assertEqual(server.get("/number").json()["plan"], 2)

    def test_the_management_listener_moves_ends_and_begins_with_a_reload(self):
        server = self.listening(contract(1), "")
        config = f"listen: [{server.address}, 'unix:{server.directory}/s']\nmanagement: %s\n"
        (server.directory / "plimsoll.yaml").write_text(config % server.management)
        server.arguments += ["--config", str(server.directory / "plimsoll.yaml")]
        server.start()
        moved = f"127.0.0.1:{self.port()}"
        self.write(server, config % moved, "plimsoll.yaml")
        told = self.reload(server)  # the answer comes over the listener that is closed
        self.assertEqual(told["listeners"], {"opened": [moved], "closed": [server.management]})
        server.management = moved
        harness.until(lambda: server.metrics()["plimsoll_plans"] == 1, "the plan of the connection that was closed ends")
        self.write(server, (config % "'off'").replace(f", 'unix:{server.directory}/s'", ""), "plimsoll.yaml")
        self.reload(server)
        self.assertFalse((server.directory / "s").exists())
        self.assertEqual(server.get("/number").status, 200)

        def closed():
            try:
                socket.create_connection(("127.0.0.1", int(moved.split(":")[1])), timeout=harness.PATIENCE).close()
            except ConnectionRefusedError:
                return True
            return False

        harness.until(closed, "the management listener is closed")
        self.write(server, config % moved, "plimsoll.yaml")
        server.signal(signal.SIGHUP)
        harness.until(lambda: server.get("/number").status == 200 and "reload-refused" not in server.output and len(self.events(server, "reload")) == 3, server.describe)
        self.assertEqual(server.metrics()['plimsoll_connections{listener="management"}'], 1)
        self.assertTrue((server.directory / "s").exists())
        self.assertEqual(server.stop(), 0)

    def test_streams_are_not_cut_by_reloads_and_their_plan_ends_with_them(self):
        def events(number):
            return bodies_test.CONTRACT.replace("version: '1'", f"version: '{number}'")

        executable = harness.program().parent / "bodies_server"
        server = self.server(events(0), executable=executable)
        at = server.arguments.index("serve")
        server.arguments[at:at + 2] = [server.arguments[at + 1]]
        server.arguments[0:1] = [str(executable)]
        server.start()
        lines = []
        for _ in range(5):
            line = socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE)
            self.addCleanup(line.close)
            line.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            lines.append(line)
        harness.until(lambda: server.get("/alive").text == "5", "five streams")
        for number in range(1, RELOADS + 1):
            self.write(server, events(number))
            self.reload(server)
        # Each still sends: the heartbeats that come from now on were sent after the last reload.
        for line in lines:
            line.setblocking(False)
            try:
                while line.recv(65536):
                    pass
                self.fail("a stream was cut")
            except BlockingIOError:
                line.settimeout(harness.PATIENCE)
            self.assertTrue(line.recv(65536))
        self.assertEqual((server.get("/alive").text, server.metrics()["plimsoll_plans"]), ("5", 2))
        for line in lines:
            line.close()
        harness.until(lambda: server.metrics()["plimsoll_plans"] == 1, "the first plan is gone with its last stream")
        self.assertEqual(server.get("/alive").text, "0")

    def test_sighup_reloads(self):
        server = self.serve(contract(1))
        self.write(server, contract(2))
        server.signal(signal.SIGHUP)
        harness.until(lambda: server.get("/number").json()["plan"] == 2, server.describe)

    def test_sighup_reloads_as_soon_as_requests_are_answered(self):
        """Nobody reads what this server prints, so that it stands between its first answer and the line that says where it listens."""
        server, port = self.server(contract(1)), self.port()
        os.mkfifo(server.directory / "printed")
        printed = os.open(server.directory / "printed", os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, printed)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(printed, bytes(4096))
        process = self.process(["sh", "-c", 'exec "$0" serve contract.yaml --listen 127.0.0.1:$1 --management off > printed', harness.program(), port],
                               server.directory)

        def plan():
            with contextlib.suppress(OSError):
                return harness.fetch(f"127.0.0.1:{port}", target="/number").json()["plan"]

        harness.until(lambda: plan() == 1, process.describe)
        self.write(server, contract(2))
        process.signal(signal.SIGHUP)
        process.signal(signal.SIGUSR1)  # taken behind it
        harness.until(lambda: "reopened" in process.output, process.describe)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.read(printed, 65536)
        harness.until(lambda: plan() == 2, process.describe)

    def test_watch_reloads_when_a_file_changes(self):
        server = self.serve(contract(1), arguments=["--watch"])
        self.write(server, contract(2))
        harness.until(lambda: server.get("/number").json()["plan"] == 2, server.describe)
        self.write(server, contract(3) + "  nonsense")
        harness.until(lambda: self.events(server, "reload-refused"), server.describe)
        self.write(server, contract(4))
        harness.until(lambda: server.get("/number").json()["plan"] == 4, server.describe)

    def test_a_job_that_runs_comes_to_its_end_and_its_successor_is_run_by_the_new_plan(self):
        slow = Slow()
        self.addCleanup(slow.close)
        job = HEAD + """
  /calls:
    post:
      operationId: call
      x-plimsoll: {job: call}
      responses: {'202': {description: accepted}}
"""
        config = f"jobs: {{call: {{run: {{http: 'http://127.0.0.1:{slow.port}/'}}, attempts: 1}}}}\n"
        server = self.serve(job.replace(", mock: {}", "") % {"number": 1}, config)
        begun = server.post("/calls")
        self.assertEqual(begun.status, 202, begun.text)
        self.assertTrue(slow.asked.wait(harness.PATIENCE))
        self.write(server, job.replace(", mock: {}", "") % {"number": 2})
        self.reload(server)
        second = server.post("/calls")
        harness.until(lambda: slow.calls == 2, "the new plan runs jobs while the old one still does")
        slow.go.set()
        for each in (begun, second):
            harness.until(lambda: server.get(each.headers["location"]).json()["status"] == "completed", server.describe)
        self.assertEqual(slow.calls, 2)
        harness.until(lambda: server.metrics()["plimsoll_plans"] == 1, "the first plan is gone with its last job")

    def test_a_reload_while_the_server_starts_is_refused(self):
        table = HEAD.replace("mock: {}", "tables: {notes: {schema: '#/components/schemas/Note', key: id}}") + """
  /notes:
    get:
      operationId: listNotes
      x-plimsoll: {table: notes}
      responses: {'200': {description: ok}}
components:
  schemas:
    Note: {type: object, required: [id], properties: {id: {type: string, format: uuid, readOnly: true}}}
"""
        server = self.server(table % {"number": 1}, "database: {url: 'sqlite:notes.db', busy: 50ms}\n")
        lock = sqlite3.connect(server.directory / "notes.db", isolation_level=None)
        self.addCleanup(lock.close)
        lock.execute("BEGIN EXCLUSIVE")
        harness.Process.start(server)
        refused = []

        def asked():
            try:
                refused.append(harness.fetch(server.management, "POST", "/reload"))
            except OSError:
                return False
            return True

        harness.until(asked, server.describe)
        self.assertEqual((refused[0].status, refused[0].code), (503, "reload-unanswered"))
        lock.execute("ROLLBACK")
        harness.until(lambda: server.accepts() and server.get("/readyz").status == 200, server.describe)
        self.reload(server)

    def test_the_key_of_a_developer_is_good_after_a_reload(self):
        text = contract(1).replace("paths:", "security: [{bearer: []}]\ncomponents: {securitySchemes: {bearer: {type: http, scheme: bearer}}}\npaths:", 1)
        server = self.serve(text, arguments=["--dev"])
        server.authorize()
        self.assertEqual(server.get("/number").status, 200)
        self.write(server, text.replace("version: '1'", "version: '2'"))
        self.reload(server)
        self.assertEqual(server.get("/number").status, 200)

    def test_the_end_of_the_process_does_not_wait_for_plans_that_were_replaced(self):
        server = self.serve(contract(1), "limits: {drain: 1s}\n")
        with socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE) as line:
            line.sendall(b"POST /sent HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
            harness.until(lambda: server.metrics().get('http_server_active_requests{http_request_method="POST",http_route="/sent"}'), "the request has begun")
            self.write(server, contract(2))
            self.reload(server)
            server.signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0, server.describe())
        self.assertTrue(self.events(server, "drained"), server.describe())
        self.assertFalse(self.events(server, "shutdown-forced"))


if __name__ == "__main__":
    harness.main()
