"""Too little memory: whatever cannot be allocated is one request that is refused, or one connection that is closed. The process lives and
serves afterwards; and bodies that are withheld do not take the memory of all."""
import contextlib
import http.client
import itertools
import json
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading

import harness

SHOP = harness.ROOT / "examples/shop"
TORTURE = os.environ.get("PLIMSOLL_TORTURE")
MIB = 1 << 20
NONE = "0192f0c1-7000-7000-8000-000000000001"  # what ids of the shop look like; no row has it


class Allocations:
    """Tells a server that has tests/programs/fail_allocations.c preloaded which of its allocations fail."""

    def __init__(self, folder):
        compiler = shutil.which("clang-19") or shutil.which("cc")
        if not compiler:
            raise harness.unittest.SkipTest("no C compiler")
        library = folder / "fail.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", library, harness.ROOT / "tests/programs/fail_allocations.c"], check=True)
        path = folder / "control"
        path.write_bytes(struct.pack("qqqqq", -1, 0, 0, 0, 0))
        self.environment = {"LD_PRELOAD": library, "FAIL_ALLOCATIONS": path}
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 40)

    def fail(self, before, count=1, smallest=0, threads=0):
        """`before` allocations succeed, `count` fail. `threads`: of event loops, 1 of all threads but the first, 2 of all."""
        self.memory[0:40] = struct.pack("qqqqq", -1, count, 0, smallest, threads)
        self.memory[0:8] = struct.pack("q", before)

    def failed(self):
        return struct.unpack("q", self.memory[16:24])[0]

    def stop(self):
        """How many have failed."""
        self.memory[0:8] = struct.pack("q", -1)
        return self.failed()


class Memory(harness.ServerTest):
    def shop(self, **more):
        contract = (SHOP / "shop.yaml").read_text().replace(", rate-limit: 5/minute", "")
        self.assertNotIn("rate-limit", contract)
        # Each operation is asked for hundreds of times.
        contract = contract.replace("\nx-plimsoll:\n", "\nx-plimsoll:\n  rate-limit: off\n", 1)
        config = ("threads: 1\nroles: {admin: ['*']}\n"
                  "jobs: {sales_report: {run: {sql: 'SELECT 1', result: {type: text/csv, file: a.csv}}}}\n")
        server = self.server(contract, config, arguments=["--dev"], **more)
        server.start()
        return server.authorize()

    def operations(self, server):
        """`(method, path)` of every operation, placeholders filled in."""
        contract = json.loads(server.get("/openapi.json").text)
        prefix = re.sub(r"^\w+://[^/]*", "", contract["servers"][0]["url"]).rstrip("/")
        for path, item in contract["paths"].items():
            for method, operation in item.items():
                if method in ("get", "post", "put", "patch", "delete"):
                    yield method.upper(), prefix + re.sub(r"\{\w+\}", NONE, path), operation

    def ask(self, server, method, path, body):
        """The status; None where the connection was closed instead."""
        headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json", "Idempotency-Key": os.urandom(8).hex()} if body else {}
        try:
            return server.request(method, path, body, headers).status
        except (OSError, http.client.HTTPException):
            return None

    def test_an_allocation_that_fails_is_at_most_one_request_that_fails(self):
        """Each of the allocations that an event loop makes for a request fails once, and once with all that follow it for a while. The workers of
        jobs and the probe of the database have loops too."""
        folder = self.directory()
        allocations = Allocations(folder)
        server = self.shop(environment=allocations.environment)
        chosen = random.Random(harness.seed())
        outcomes = {}
        wanted = [("GET", "/healthz", None), ("GET", "/nothing", None)]
        for method, path, operation in self.operations(server):
            body = b"[{}]" if path.endswith("batch") else b"{}" if "requestBody" in operation else None
            wanted.append((method, path, body))
        for method, path, body in wanted:
            usual = self.ask(server, method, path, body)
            steps = range(0, 160) if TORTURE else sorted({*range(0, 12), *(chosen.randrange(12, 150) for _ in range(12))})
            for before in steps:
                for count in (1, 1000):
                    allocations.fail(before, count)
                    status = self.ask(server, method, path, body)
                    failed = allocations.stop()
                    self.assertTrue(server.alive, f"{method} {path}: allocation {before} and {count - 1} more failed: {server.describe()}")
                    self.assertIn(status, {None, 503, 500, 202, 200, 201, usual}, f"{method} {path}, {before}, {count}")
                    outcomes[(status, bool(failed))] = outcomes.get((status, bool(failed)), 0) + 1
            alive = server.get("/livez")
            self.assertEqual(alive.status, 200, alive.text)
            self.assertEqual(self.ask(server, method, path, body), usual, f"{method} {path} afterwards")
        print(outcomes)
        self.assertGreater(outcomes.get((503, True), 0), 10, outcomes)

    def test_signals_are_obeyed_or_refused_while_memory_is_short(self):
        """Each of the allocations that come behind a signal fails, with those that follow it: the process lives on, and obeys the next one. Told to end,
        it ends with 0."""
        chosen = random.Random(harness.seed())
        steps = lambda: range(0, 60) if TORTURE else sorted({*range(0, 6), *(chosen.randrange(6, 60) for _ in range(4))})
        folder = self.directory()
        allocations = Allocations(folder)
        for name, answers in (("SIGHUP", ("reload", "reload-refused")), ("SIGUSR1", ("log-reopened", "log-not-reopened"))):
            for before in steps():  # a fresh process each: what a thread does for the first time is what fails
                with self.subTest(name, before=before):
                    server = self.shop(environment=allocations.environment)
                    said = lambda: sum(server.output.count(f'"event":"{event}"') for event in (*answers, "signal-not-obeyed", "log lines lost"))
                    allocations.fail(before, 1000, threads=2)
                    server.signal(getattr(signal, name))
                    harness.until(lambda: said() or allocations.failed() or not server.alive, server.describe, 20)
                    allocations.stop()
                    self.assertTrue(server.alive, server.describe())
                    self.assertEqual(server.get("/livez").status, 200)
                    seen = said()
                    server.signal(getattr(signal, name))
                    harness.until(lambda: said() > seen, server.describe, 20)
                    self.assertEqual(server.stop(), 0)
        for before in steps():
            with self.subTest("SIGTERM", before=before):
                server = self.shop(environment=allocations.environment)
                allocations.fail(before, 20, threads=2)
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(), 0, server.describe())
                allocations.stop()

    def test_an_allocation_that_fails_on_any_thread_ends_nothing(self):
        """Readers, the writer, resolver threads, job workers, the log, blocking threads and the probe, under the load of two clients: one
        allocation after the other fails, alone and with all that follow it for a while, whoever makes it."""
        allocations = Allocations(self.directory())
        contract = (SHOP / "shop.yaml").read_text().replace(", rate-limit: 5/minute", "").replace("\nx-plimsoll:\n", "\nx-plimsoll:\n  rate-limit: off\n", 1)
        config = ("threads: 1\nroles: {admin: ['*']}\ndatabase: {inline-steps: 0, slow: 1ms}\n"
                  "jobs: {sales_report: {run: {http: {url: 'http://localhost:9/'}}}}\n")
        server = self.server(contract, config, arguments=["--dev"], environment=allocations.environment)
        server.start()
        server.authorize()
        chosen = random.Random(harness.seed())
        wanted = [(method, path, b"[{}]" if path.endswith("batch") else json.dumps({"name": "x" * chosen.choice((1, 300_000))}).encode() if "requestBody" in operation else None)
                  for method, path, operation in self.operations(server)]
        statuses, over = {}, threading.Event()

        def load(seed):
            mine = random.Random(seed)
            while not over.is_set():
                status = self.ask(server, *mine.choice(wanted))
                statuses[status] = statuses.get(status, 0) + 1

        clients = [threading.Thread(target=load, args=(chosen.random(),), daemon=True) for _ in range(2)]
        self.addCleanup(lambda: (over.set(), [client.join(harness.PATIENCE) for client in clients]))
        for client in clients:
            client.start()
        failed = 0
        for step in range(3000 if TORTURE else 150):
            before = step if step < 40 else chosen.randrange(40, 3000)
            allocations.fail(before, chosen.choice((1, 50)), threads=1)
            harness.until(lambda: allocations.failed() > 0, lambda: f"allocation {before} has failed: {server.describe()}")
            failed += allocations.stop()
            self.assertTrue(server.alive, f"allocation {before}: {server.describe()}")
        over.set()
        for client in clients:
            client.join(harness.PATIENCE)
        print(failed, statuses)
        self.assertLessEqual(set(statuses) - {None}, {200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 412, 415, 422, 428, 500, 503}, statuses)
        self.assertEqual(server.get("/v1/products").status, 200)
        harness.until(lambda: server.get("/readyz").status == 200, server.describe)
        self.assertEqual(server.stop(), 0, server.describe())

    def test_under_a_limit_of_memory_just_above_its_need_the_largest_requests_leave_the_process_alive(self):
        server = self.shop()
        operations = list(self.operations(server))
        status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
        room = int(re.search(r"VmSize:\s+(\d+) kB", status)[1]) * 1024 + 8 * MIB
        subprocess.run(["prlimit", "--pid", str(server.pid), f"--as={room}:{room}"], check=True)
        statuses = {}
        for method, path, operation in operations:
            bodies = [None]
            if "requestBody" in operation:
                # As large as the limits admit: one long text, and many small members.
                bodies = [json.dumps({"name": "x" * (MIB - 100)}).encode(), json.dumps([{"a": 1}] * (MIB // 12)).encode()[:MIB],
                          b'{"a":' * 30 + b"[" + b"0," * (MIB // 2 - 200) + b"0]" + b"}" * 30]
            for body in bodies:
                for _ in range(2):
                    got = self.ask(server, method, path + ("" if body else "?limit=100"), body)
                    statuses[got] = statuses.get(got, 0) + 1
                    self.assertTrue(server.alive, f"{method} {path}: {server.describe()}")
        print(statuses)
        self.assertEqual(server.get("/livez").status, 200)
        self.assertEqual(server.get("/v1/products").status, 200)

    def fill(self, server, orders=200, items=100):
        """Rows of which one list with embeds is as large as responses get."""
        key = lambda table, number=0: f"0192f0c1-7000-7000-8{table}00-{number:012}"
        now = "2026-01-01T00:00:00Z"
        rows = {"customers": [{"id": key(1), "name": "x", "email": "a@b.example", "country": "DE", "created_at": now}],
                "products": [{"id": key(2), "name": "x", "description": "y" * 1500, "category": "z", "price": "1.00", "created_at": now}],
                "orders": [{"id": key(3, order), "customer_id": key(1), "note": "n" * 400, "created_at": now} for order in range(orders)],
                "order_items": [{"id": key(4, order * items + line), "order_id": key(3, order), "product_id": key(2), "line": line + 1, "quantity": 1, "price": "1.00"}
                                for order in range(orders) for line in range(items)]}
        with contextlib.closing(self.database(server.directory).connect()) as database:
            database.execute("BEGIN")
            for table, each in rows.items():
                for row in each:
                    database.execute(f"INSERT INTO {table} ({','.join(row)}) VALUES ({','.join('?' * len(row))})", list(row.values()))
            database.execute("COMMIT")

    def test_under_the_same_limit_the_largest_lists_with_embeds_leave_the_process_alive(self):
        server = self.shop()
        self.fill(server)
        room = harness.memory(server.pid, "VmSize") + 24 * MIB
        subprocess.run(["prlimit", "--pid", str(server.pid), f"--as={room}:{room}"], check=True)
        statuses = [self.ask(server, "GET", "/v1/orders?limit=200&fields=id,note,items(id,line,product(id,name,description))", None) for _ in range(3)]
        self.assertTrue(server.alive, f"{statuses}: {server.describe()}")
        self.assertLessEqual(set(statuses), {200, 503, None})
        self.assertEqual(server.get("/livez").status, 200)
        self.assertEqual(server.get("/v1/products").status, 200)

    def test_a_process_that_ends_is_reported(self):
        ask, calls = self.ask, itertools.count()
        self.ask = lambda server, *request: server.kill() if next(calls) == 20 else ask(server, *request)
        with self.assertRaisesRegex(AssertionError, " serve "):
            self.test_under_a_limit_of_memory_just_above_its_need_the_largest_requests_leave_the_process_alive()


CONTRACT = """
openapi: 3.1.0
info: {title: Bodies, version: '1'}
security: []
x-plimsoll: {rate-limit: off, priority: off, mock: {}, authorization: any-caller}
paths:
  /items:
    post:
      operationId: add
      requestBody: {content: {application/json: {schema: {type: string}}}}
      responses: {'201': {description: ok, content: {application/json: {example: {a: 1}}}}}
"""


class Bodies(harness.ServerTest):
    def withheld(self, server, count, size, sent=None):
        """So many uploads, each of another address, that lack their last byte; or all but the first `sent`."""
        body = b'"' + b"x" * (size - 2) + b'"'
        lines = []
        for i in range(count):
            line = socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE)
            self.addCleanup(line.close)
            head = f"POST /items HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.{i % 250}\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
            line.sendall(head.encode() + body[:sent or -1])
            lines.append(line)
        return lines

    @staticmethod
    def status(line):
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = line.recv(65536)
            if not piece:
                break
            answer += piece
        return int(answer.split(b" ")[1]) if answer else None

    def test_bodies_that_are_withheld_at_the_end_are_bounded_in_memory_then_on_disk_then_refused(self):
        server = self.serve(CONTRACT, "threads: 1\nlimits: {bodies: 2MiB, bodies-on-disk: 3MiB, body-rate: 0B}\ntrusted-proxies: [127.0.0.0/8]\n", environment={"TMPDIR": "/tmp"})
        size = MIB // 4
        lines = self.withheld(server, 6 + 12 + 6, size)
        taken = lambda: {name: value for name, value in server.metrics().items() if name.startswith("plimsoll_bod")}
        harness.until(lambda: taken()["plimsoll_bodies_refused_total"] >= 6, lambda: str(taken()))
        self.assertLessEqual(taken()['plimsoll_body_bytes{store="memory"}'], 2 * MIB)
        self.assertLessEqual(taken()['plimsoll_body_bytes{store="disk"}'], 3 * MIB)
        # A small body is still taken, and so is what has all its bytes now.
        self.assertEqual(server.post("/items", b'"small"', {"Content-Type": "application/json"}).status, 201)
        for line in lines:
            try:
                line.sendall(b'"')
            except OSError:
                pass  # refused and closed already
        statuses = [self.status(line) for line in lines]
        self.assertEqual(statuses.count(503), taken()["plimsoll_bodies_refused_total"], statuses)
        self.assertEqual(statuses.count(201), len(lines) - statuses.count(503), statuses)
        self.assertGreaterEqual(statuses.count(201), 6, "those that came at the same time may have kept room from each other")
        for line in lines:
            line.close()
        harness.until(lambda: sum(value for name, value in taken().items() if name.startswith("plimsoll_body_bytes")) == 0, lambda: str(taken()))
        # All of it is free again.
        self.assertEqual(server.post("/items", b'"' + b"y" * (MIB - 2) + b'"', {"Content-Type": "application/json"}).status, 201)

    def test_bodies_count_as_far_as_they_have_come_and_one_address_leaves_room_for_others(self):
        server = self.serve(CONTRACT, "threads: 1\nlimits: {bodies: 2MiB, bodies-on-disk: 6MiB, body-rate: 0B}\ntrusted-proxies: [127.0.0.0/8]\n")
        held = lambda: sum(value for name, value in server.metrics().items() if name.startswith("plimsoll_body_bytes"))
        post = lambda address: server.post("/items", b'"' + b"y" * 20_000 + b'"', {"Content-Type": "application/json", "X-Forwarded-For": address})
        sent = 6500
        lines = self.withheld(server, 60, MIB, sent)
        harness.until(lambda: held() >= len(lines) * sent, lambda: str(held()))
        self.assertLessEqual(held(), len(lines) * 16 * sent, "of 60 MiB that were declared")
        self.assertEqual(post("198.51.100.1").status, 201)
        for line in lines:
            line.close()
        harness.until(lambda: held() == 0, lambda: str(held()))
        for _ in range(12):
            line = socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE)
            self.addCleanup(line.close)
            line.sendall(b"POST /items HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n" + b'"' + b"x" * (MIB - 2))
        harness.until(lambda: server.metrics()["plimsoll_bodies_refused_total"] >= 10, lambda: str(server.metrics()))
        self.assertLessEqual(held(), 3 * MIB, "two bodies")
        self.assertEqual(post("198.51.100.1").status, 201)

    def test_a_body_that_went_to_disk_is_the_same_and_leaves_no_file(self):
        folder = self.directory()
        server = self.serve(CONTRACT, "threads: 1\nlimits: {bodies: 0B}\n", environment={"TMPDIR": folder})
        self.assertEqual(server.post("/items", b'"' + b"z" * (MIB - 2) + b'"', {"Content-Type": "application/json"}).status, 201)
        self.assertEqual(server.post("/items", b'{"' + b"z" * (MIB - 10) + b'":1}', {"Content-Type": "application/json"}).status, 400)
        self.assertEqual(list(folder.iterdir()), [])

    def test_a_folder_that_takes_no_bodies_refuses_the_start_with_what_to_do(self):
        none, file = self.directory() / "none", self.directory() / "file"
        file.write_bytes(b"")
        for folder in (none, file):
            with self.subTest(folder.name):
                server = self.server(CONTRACT, "limits: {start-patience: 0s}\n", environment={"TMPDIR": folder})
                harness.Process.start(server)
                self.assertEqual(server.wait(), 75, server.output)
                self.assertRegex(server.output, re.escape(f"a body cannot be written to {folder}: ") + ".*\n.*help: Set TMPDIR")
        later = self.directory() / "later"
        server = self.server(CONTRACT, None, environment={"TMPDIR": later})
        harness.Process.start(server)
        harness.until(lambda: any(line.get("event") == "start-delayed" and str(later) in line["reason"] for line in server.logged()), server.describe)
        later.mkdir()
        harness.until(lambda: server.accepts(), server.describe)
        server = self.serve(CONTRACT, "limits: {bodies-on-disk: 0B}\n", environment={"TMPDIR": none})
        self.assertEqual(server.post("/items", b'"small"', {"Content-Type": "application/json"}).status, 201)


if __name__ == "__main__":
    harness.main()
