"""What a request costs, counted from outside over 10,000 GETs after warm-up on 64 busy keep-alive connections: heap allocations by a
preloaded allocator, system calls by strace."""
import contextlib
import json
import os
import pathlib
import re
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import harness

CONNECTIONS = 64
REQUESTS = 10_000
LONG_TURN = 200  # requests that take a loop longer than it begins them as they come
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: count/1\r\nAccept: */*\r\n\r\n"
END = b'{"message":"hello"}'


def streams(port, turns, at_once=32):
    """A connection by HTTP/2 that asks so often, so many streams at once; a function that asks as often again."""
    from http2_client import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, field, frame
    s = socket.create_connection(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.settimeout(10)
    s.sendall(PREFACE + frame(SETTINGS) + frame(SETTINGS, ACK) + frame(WINDOW_UPDATE, 0, 0, b"\x3f\xff\0\0"))
    state = {"stream": 1, "head": b"\x82\x84\x86" + field(":authority", "a", 0x40) + field("user-agent", "count/1", 0x40)}

    def ask():
        for _ in range(turns):
            first = state["stream"]
            state["stream"] += 2 * at_once
            for stream in range(first, state["stream"], 2):
                s.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream, state["head"]))
                state["head"] = b"\x82\x84\x86\xbf\xbe"
            left, buffer = at_once, b""
            while left:
                buffer += s.recv(65536)
                while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                    size = 9 + int.from_bytes(buffer[:3], "big")
                    if buffer[3] == DATA:
                        assert buffer[9:size] == END, buffer[9:size]
                        left -= 1
                    buffer = buffer[size:]

    ask()
    return s, ask


def warmed(process, port):
    """Connections with which the server has all that it keeps: a pool keeps as much as was in use at once, so all of them are in use at once:
    the first connection has so much to ask that the others find its turn too long to be begun as they come.
    A server beside busy programs may take that for overload, refuse some and close their connections: those are made anew."""
    def connection():
        made = socket.create_connection(("127.0.0.1", port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    held, good = [connection() for _ in range(CONNECTIONS)], 0
    for _ in range(200):
        process.send_signal(signal.SIGSTOP)
        for index, s in enumerate(held):
            s.sendall(HEAD * (LONG_TURN if index == 0 else 1))
        process.send_signal(signal.SIGCONT)
        refused = 0
        for index, s in enumerate(held):
            answer = b""
            while answer.count(END) < (LONG_TURN if index == 0 else 1):
                more = s.recv(65536)
                if not more:
                    if b"HTTP/1.1 503" not in answer:
                        raise AssertionError(f"closed after {answer[:200]!r}")
                    s.close()
                    held[index], refused = connection(), refused + 1
                    break
                answer += more
        good = 0 if refused else good + 1
        if good == 40:
            return held
    raise AssertionError(f"in 200 rounds of {CONNECTIONS} requests never 40 after another without one that was refused")


def drive(port, requests, path=b"/", end=END, connections=CONNECTIONS):
    """That many requests over so many connections, all of them busy at once."""
    head = HEAD.replace(b"GET / ", b"GET " + path + b" ")
    chosen = selectors.DefaultSelector()
    sockets = []
    for _ in range(connections):
        s = socket.create_connection(("127.0.0.1", port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets.append(s)
        chosen.register(s, selectors.EVENT_READ)
    begun = done = 0
    for s in sockets:
        s.sendall(head)
        begun += 1
    while done < requests:
        # All that are ready are read before any asks again: so they are busy together, as they are under load.
        ready = [key.fileobj for key, _ in chosen.select(10)]
        if not ready:
            raise AssertionError(f"no answer after {done} of {requests}")
        for s in ready:
            answer = s.recv(65536)
            while not answer.endswith(end):
                more = s.recv(65536)
                if not more:
                    raise AssertionError(f"closed after {answer[:200]!r}")
                answer += more
            if not answer.startswith(b"HTTP/1.1 200"):
                raise AssertionError(answer[:200])
            done += 1
        for s in ready:
            if begun < requests:
                s.sendall(head)
                begun += 1
    return sockets


LIST = """openapi: 3.1.0
info: {title: Rows, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables: {items: {schema: '#/components/schemas/Item', key: id, filters: {name: [eq]}}}
paths:
  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get:
      operationId: readItem
      security: []
      x-plimsoll: {table: items}
      responses: {'200': {description: the item}}
  /cached:
    get:
      operationId: cachedItems
      security: []
      x-plimsoll: {table: items, cache: 1h}
      responses: {'200': {description: items}}
  /items:
    get:
      operationId: listItems
      security: []
      x-plimsoll: {table: items}
      responses: {'200': {description: items}}
    post:
      operationId: createItem
      security: []
      x-plimsoll: {table: items}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Item'}}}}
      responses: {'201': {description: made}}
components:
  schemas:
    Item:
      type: object
      required: [id, name]
      properties:
        id: {type: integer, readOnly: true}
        name: {type: string}
        price: {type: string, format: decimal}
        open: {type: boolean}
        note: {type: [string, 'null']}
"""

LIMITED = """openapi: 3.1.0
info: {title: Limited, version: 1.0.0}
security: []
x-plimsoll: {authorization: any-caller}
paths:
  /limited:
    get:
      operationId: limited
      x-plimsoll: {rate-limit: 1/hour by address, mock: {}}
      responses: {'200': {description: ok, content: {application/json: {schema: {type: object}, example: {}}}}}
"""


FRONT = """openapi: 3.1.0
info: {title: Front, version: '1'}
security: []
x-plimsoll: {rate-limit: 100000000/second by address, authorization: any-caller}
paths:
  /:
    get: {operationId: read, x-plimsoll: {upstream: origin}, responses: {default: {description: what the origin says}}}
    post: {operationId: write, x-plimsoll: {upstream: origin}, requestBody: {content: {application/octet-stream: {}}}, responses: {default: {description: taken}}}
"""


def front(folder, origin):
    """What a proxy in front of that server is told: its contract and its deployment."""
    pathlib.Path(folder, "front.yaml").write_text(FRONT)
    pathlib.Path(folder, "front.plimsoll.yaml").write_text(f"{{threads: 1, upstreams: {{origin: {{targets: ['{origin.url}']}}}}}}\n")
    return f"{folder}/front.yaml", f"{folder}/front.plimsoll.yaml"


def ask(line, request):
    """One request on that connection, and its response."""
    line.sendall(request)
    answer = b""
    while not answer.endswith(END):
        more = line.recv(65536)
        if not more:
            raise AssertionError(f"closed after {answer[:200]!r}")
        answer += more
    if not answer.startswith(b"HTTP/1.1 200"):
        raise AssertionError(answer[:200])


class Counter:
    """A library that counts the heap allocations of the programs into which it is loaded."""

    def __init__(self, compiler, folder):
        library = f"{folder}/count.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", library,
                        harness.ROOT / "tests/programs/count_allocations.c"], check=True)
        self.out = pathlib.Path(folder) / "count"
        self.environment = {"LD_PRELOAD": library, "COUNT_ALLOCATIONS": str(self.out)}

    def count(self, pid):
        """How many the process has made so far."""
        lines = len(self.out.read_text().splitlines()) if self.out.exists() else 0
        os.kill(pid, signal.SIGRTMIN + 5)
        harness.until(lambda: self.out.exists() and len(self.out.read_text().splitlines()) > lines, "the count is written", 10)
        return int(self.out.read_text().splitlines()[-1])


def many_tables(tables):
    """A contract with so many tables of five operations each."""
    row = {"type": "object", "required": ["id", "name"], "properties": {
        "id": {"type": "integer", "readOnly": True}, "name": {"type": "string"}, "note": {"type": ["string", "null"]}}}
    paths = {}
    for n in range(tables):
        for below, methods in (("", {"get": "200", "post": "201"}), ("/{id}", {"get": "200", "patch": "200", "delete": "204"})):
            item = paths[f"/t{n}{below}"] = {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}] if below else []}
            for method, status in methods.items():
                item[method] = {"operationId": f"{method}{n}{'One' if below else ''}", "security": [], "x-plimsoll": {"table": f"t{n}"},
                                "responses": {status: {"description": "done"}}}
                if method in ("post", "patch"):
                    kind = "application/json" if method == "post" else "application/merge-patch+json"
                    item[method]["requestBody"] = {"required": True, "content": {kind: {"schema": {"$ref": f"#/components/schemas/T{n}"}}}}
    return json.dumps({"openapi": "3.1.0", "info": {"title": "Tables", "version": "1"}, "paths": paths, "components": {"schemas": {f"T{n}": row for n in range(tables)}},
                       "x-plimsoll": {"authorization": "any-caller", "tables": {f"t{n}": {"schema": f"#/components/schemas/T{n}", "key": "id"} for n in range(tables)}}})


class HotPath(unittest.TestCase):
    def test_an_operation_of_a_table_takes_little_memory(self):
        """What a server with 600 operations holds more than one with 100, each by itself, before any is asked."""
        found = []
        for tables in (20, 120):
            with tempfile.TemporaryDirectory() as folder:
                pathlib.Path(folder, "tables.json").write_text(many_tables(tables))
                pathlib.Path(folder, "plimsoll.yaml").write_text("threads: 1\n")
                server = harness.Server("tables.json", folder)
                self.addCleanup(server.stop)
                server.start()
                found.append(harness.memory(server.pid, "RssAnon") >> 10)
                server.stop()
        each = (found[1] - found[0]) / 500
        print(f"memory of an operation of a table: {each:.1f} KiB")
        self.assertLess(each, 15)

    def counter(self, folder):
        compiler = shutil.which("clang-19") or shutil.which("cc")
        if not compiler:
            self.skipTest("no C compiler")
        return Counter(compiler, folder)

    @contextlib.contextmanager
    def counted(self, contract):
        """A server of that contract whose allocations are counted: their counter, the server, and a connection to it."""
        with tempfile.TemporaryDirectory() as folder:
            counter = self.counter(folder)
            pathlib.Path(folder, "contract.yaml").write_text(contract)
            pathlib.Path(folder, "plimsoll.yaml").write_text("threads: 1\n")
            server = harness.Server("contract.yaml", folder, environment=counter.environment)
            self.addCleanup(server.stop)
            server.start()
            line = server.connection()
            self.addCleanup(line.close)
            yield counter, server, line

    def allocations(self, counter, server, numbers, request):
        """Of one request of those numbers, on average; and how many may come from elsewhere: each second the database is probed beside them."""
        before, began = counter.count(server.pid), time.monotonic()
        for n in numbers:
            request(n)
        return (counter.count(server.pid) - before) / len(numbers), 24 * (1 + time.monotonic() - began) / len(numbers)

    def test_the_rows_of_a_list_allocate_nothing(self):
        """A page of 100 rows allocates as often as one of 20."""
        with self.counted(LIST) as (counter, server, line):
            for n in range(101):
                made = server.post("/items", {"name": f"Lamp oil {n % 7}", "price": f"{n}.90", "open": n % 2 == 0, "note": None})
                self.assertEqual(made.status, 201, made.text)
            found = {}
            for limit in (20, 100):
                for _ in range(20):
                    self.assertEqual(len(server.request("GET", f"/items?limit={limit}", connection=line).json()["data"]), limit)
                found[limit] = self.allocations(counter, server, range(100), lambda _: server.request("GET", f"/items?limit={limit}", connection=line))
            print(f"heap allocations of a list: {found[20][0]:.1f} with 20 rows, {found[100][0]:.1f} with 100")
            self.assertLess(found[100][0] - found[20][0], 2 + found[20][1] + found[100][1])

    # Allocations of one request, those of SQLite included, once the server has what it keeps.
    MOST = {"a row": 4, "a list of 20 rows": 27, "a new row": 51, "a miss in the cache": 40, "a hit in the cache": 2}

    def test_requests_of_a_table_allocate_no_more_than_they_did(self):
        with self.counted(LIST) as (counter, server, line):
            row = {"name": "Lamp oil, number 7", "price": "7.90", "open": True, "note": None}
            ask = {"a new row": lambda n: server.request("POST", "/items", row, connection=line),
                   "a row": lambda n: server.request("GET", f"/items/{1 + n}", connection=line),
                   "a list of 20 rows": lambda n: server.request("GET", "/items?limit=20", connection=line),
                   "a miss in the cache": lambda n: server.request("GET", f"/cached?limit=20&name=Lamp{n}", connection=line),
                   "a hit in the cache": lambda n: server.request("GET", "/cached?limit=20", connection=line)}
            found = {}
            for name, request in ask.items():
                for n in range(50):
                    self.assertIn(request(n).status, (200, 201))
                found[name] = self.allocations(counter, server, range(50, 250), request)
            print("heap allocations of", ", ".join(f"{name}: {count:.1f}" for name, (count, _) in found.items()))
            for name, (count, beside) in found.items():
                self.assertLessEqual(count, self.MOST[name] + beside, name)

    def start(self, command, environment=None):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                   env={**os.environ, **(environment or {})})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, int(re.search(r":(\d+)\b", process.stdout.readline().replace("://", " "))[1])

    def bare(self):
        return harness.program().parent / "bare_server"

    def chain(self):
        return harness.program().parent / "chain_server"

    def test_a_request_allocates_nothing(self):
        self.allocates_nothing(self.bare())

    def test_a_request_through_the_default_chain_allocates_nothing(self):
        self.allocates_nothing(self.chain())

    def test_a_rejection_allocates_only_what_its_error_holds(self):
        """Its detail, and what few errors have beside that: the response lies in the memory of the exchange."""
        with self.counted(LIMITED) as (counter, server, line):
            found = {}
            for path, status in (("/limited", 429), ("/nowhere", 404)):
                for _ in range(50):
                    response = server.request("GET", path, connection=line)
                self.assertEqual(response.status, status, response.text)
                found[status] = self.allocations(counter, server, range(400), lambda _: server.request("GET", path, connection=line))
            print("heap allocations of a rejection:", ", ".join(f"{status}: {count:.1f}" for status, (count, _) in found.items()))
            for status, most in ((429, 2), (404, 1)):
                self.assertLessEqual(found[status][0], most + found[status][1], status)

    def test_a_request_over_http2_allocates_nothing(self):
        self.allocates_nothing(self.bare(), http2=True)

    def test_a_request_over_http2_through_the_default_chain_allocates_nothing(self):
        self.allocates_nothing(self.chain(), http2=True)

    def allocates_nothing(self, server, http2=False):
        with tempfile.TemporaryDirectory() as folder:
            counter = self.counter(folder)
            process, port = self.start([server, "127.0.0.1:0", "1"], counter.environment)

            def count():
                return counter.count(process.pid)

            def ask_all(sockets):
                for s in sockets:
                    s.sendall(HEAD)

            def read_all(sockets):
                for s in sockets:
                    answer = b""
                    while not answer.endswith(END):
                        more = s.recv(65536)
                        if not more:
                            raise AssertionError(f"closed after {answer[:200]!r}")
                        answer += more

            # Warm: every connection, pool and thread has what it keeps.
            if http2:
                turns = REQUESTS // 32
                connection, ask = streams(port, turns)
                held = [connection]
            else:
                held = warmed(process, port)
            before, began = count(), time.monotonic()
            # The same connections go on; the next ones would allocate, as a connection may.
            if http2:
                ask()
            for _ in range(0 if http2 else REQUESTS // CONNECTIONS):
                ask_all(held)
                read_all(held)
            after = count()
            for s in held:
                s.close()
            requests = turns * 32 if http2 else REQUESTS // CONNECTIONS * CONNECTIONS
            print(f"heap allocations: {after - before} in {requests} requests")
            # Each second the database is probed beside the requests, and over HTTP/2 what is another one then, the date and when a limit is
            # reset, is kept in the connection's table of fields.
            each_second = 4 * http2 + 24 * (server == self.chain())
            self.assertLessEqual(after - before, each_second * (1 + time.monotonic() - began))

    def test_a_request_costs_few_system_calls(self):
        self.costs_few_system_calls(self.bare())

    def test_a_request_through_the_default_chain_costs_few_system_calls(self):
        self.costs_few_system_calls(self.chain())

    POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: 10240\r\n\r\n" + b"x" * 10240

    @contextlib.contextmanager
    def origin(self):
        """A server for a proxy to call."""
        from upstreams_test import Target, answer
        target = Target()
        target.does = answer(END, more="Connection: keep-alive\r\n")
        try:
            yield target
        finally:
            target.close()

    def test_a_proxied_request_allocates_little(self):
        with tempfile.TemporaryDirectory() as folder, self.origin() as origin:
            counter = self.counter(folder)
            contract, config = front(folder, origin)
            server = harness.Server(contract, folder, config, environment=counter.environment, management=False)
            self.addCleanup(server.stop)
            server.start()
            with socket.create_connection(("127.0.0.1", server.port)) as line:
                line.settimeout(10)
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for name, request, most in (("GET", HEAD, 0), ("POST of 10 KB", self.POST, 1)):
                    for _ in range(200):
                        ask(line, request)
                    before, began = counter.count(server.pid), time.monotonic()
                    for _ in range(1000):
                        ask(line, request)
                    found, beside = counter.count(server.pid) - before, 24 * (1 + time.monotonic() - began)
                    print(f"heap allocations of a proxied {name}: {found / 1000:.2f}")
                    self.assertLessEqual(found, 1000 * most + beside)

    def test_a_proxied_get_costs_six_system_calls(self):
        """Both sides are read once, written once and waited for once."""
        harness.needs("strace")
        with tempfile.TemporaryDirectory() as folder, self.origin() as origin:
            contract, config = front(folder, origin)
            process, port = self.start(["strace", "-f", "-c", "-o", f"{folder}/calls", harness.program(), "serve", contract, "--config", config,
                                        "--listen", "127.0.0.1:0", "--management", "off"])
            with socket.create_connection(("127.0.0.1", port)) as line:
                line.settimeout(30)
                for _ in range(2000):
                    ask(line, HEAD)
            self.assertLessEqual(self.calls_of(process, f"{folder}/calls", 2000), 6.4)

    def costs_few_system_calls(self, server):
        harness.needs("strace")
        with tempfile.TemporaryDirectory() as folder:
            summary = f"{folder}/calls"
            for attempt in range(3):
                process, port = self.start(["strace", "-f", "-c", "-o", summary, server, "127.0.0.1:0", "1"])
                try:
                    drive(port, REQUESTS, connections=CONNECTIONS >> 2 * attempt)
                    break
                except AssertionError as refused:  # a server that is traced beside other programs may have too much to do for so many
                    if attempt == 2 or "503" not in str(refused):
                        raise
            self.assertLessEqual(self.calls_of(process, summary, REQUESTS), 3.1)

    def calls_of(self, process, summary, requests):
        """Ends what strace follows; the system calls of a request, by its summary."""
        child = int(pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        os.kill(child, signal.SIGTERM)
        process.wait(30)
        text = pathlib.Path(summary).read_text()
        calls = {m[2]: int(m[1]) for m in re.finditer(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", text, re.M)}
        mine = sum(calls.get(name, 0) for name in ("recvfrom", "recvmsg", "read", "readv", "sendto", "sendmsg", "write", "writev",
                                                   "epoll_wait", "epoll_pwait", "epoll_ctl", "timerfd_settime", "futex"))
        per_request = mine / requests
        print(f"system calls a request: {per_request:.2f} ({', '.join(f'{n} {c / requests:.2f}' for n, c in calls.items() if c > requests / 50)})")
        return per_request


if __name__ == "__main__":
    harness.main()
