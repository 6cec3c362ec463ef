"""What was acknowledged is there after `kill -9`, whole batches or none; and how often the disk is asked to keep it."""
import concurrent.futures
import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import threading
import time
import random

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Ledger, version: 1.0.0}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    entries:
      schema: '#/components/schemas/Entry'
      filters: {batch: eq}
components:
  schemas:
    Entry:
      type: object
      required: [id, batch, amount]
      properties:
        id: {type: string}
        batch: {type: string}
        amount: {type: integer}
paths:
  /entries:
    get:
      operationId: listEntries
      x-plimsoll: {table: entries}
      responses: {'200': {description: ok}}
    post:
      operationId: createEntry
      x-plimsoll: {table: entries}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Entry'}}}}
      responses: {'201': {description: made}}
  /entries/batch:
    post:
      operationId: createEntries
      x-plimsoll: {table: entries, batch: {create: {max: 1000}}}
      requestBody:
        required: true
        content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Entry'}}}}
      responses: {'201': {description: made}}
  /entries/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getEntry
      x-plimsoll: {table: entries}
      responses: {'200': {description: ok}}
    patch:
      operationId: patchEntry
      x-plimsoll: {table: entries}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
"""
CONFIG = "database: {url: 'sqlite:ledger.db'}\n"
TORTURE = bool(os.environ.get("PLIMSOLL_TORTURE"))


class Writers:
    """Clients that write single rows and batches until the server is gone, and remember what was acknowledged."""

    def __init__(self, server, round_number, singles=6, batches=2, size=50):
        self.server, self.size = server, size
        self.singles, self.batches = set(), set()
        self.tried_batches = set()
        self.threads = [threading.Thread(target=self.write, args=(f"{round_number}-{kind}{n}", kind), daemon=True)
                        for kind, count in (("s", singles), ("b", batches)) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def write(self, name, kind):
        line = self.server.connection()
        try:
            for serial in range(1_000_000):
                key = f"{name}-{serial}"
                if kind == "s":
                    answer = self.server.request("POST", "/entries", {"id": key, "batch": "single", "amount": 1}, connection=line)
                else:
                    self.tried_batches.add(key)
                    rows = [{"id": f"{key}-{i}", "batch": key, "amount": i} for i in range(self.size)]
                    answer = self.server.request("POST", "/entries/batch", rows, connection=line)
                if answer.status == 201:
                    (self.singles if kind == "s" else self.batches).add(key)
        except (OSError, http.client.HTTPException):
            pass  # killed
        finally:
            line.close()

    def acknowledged(self):
        return len(self.singles) + len(self.batches)

    def join(self):
        for thread in self.threads:
            thread.join(harness.PATIENCE)


class Durability(harness.ServerTest):
    def check(self, path, writers):
        database = sqlite3.connect(path)
        try:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            ids = {row[0] for row in database.execute("SELECT id FROM entries")}
            sizes = dict(database.execute("SELECT batch, count(*) FROM entries WHERE batch<>'single' GROUP BY batch"))
        finally:
            database.close()
        for one in writers:
            self.assertEqual(one.singles - ids, set(), "acknowledged rows are missing")
            for batch in one.batches:
                self.assertEqual(sizes.get(batch), one.size, "an acknowledged batch is missing or half")
            for batch in one.tried_batches:
                self.assertIn(sizes.get(batch, 0), (0, one.size), "half a batch")
        return len(ids)

    def test_kill_9_under_load_loses_no_acknowledged_write_and_leaves_no_half_batch(self):
        rounds = 200 if TORTURE else 20
        generator = random.Random(harness.seed())
        server = self.server(CONTRACT, CONFIG)
        server.start()
        acknowledged = []
        for number in range(rounds):
            writers = Writers(server, number)
            harness.until(lambda: writers.acknowledged() >= 5, "writes are acknowledged")
            killed_after = generator.uniform(0, 0.3)
            harness.until(lambda: writers.acknowledged() >= 5 + generator.randrange(60), "more writes")
            time.sleep(killed_after)  # any moment will do: this chooses one
            server.kill()
            writers.join()
            acknowledged.append(writers)
            server.restart()
        rows = self.check(server.directory / "ledger.db", acknowledged)
        total = sum(one.acknowledged() for one in acknowledged)
        print(f"{rounds} times killed, {total} writes acknowledged, {rows} rows", flush=True)
        server.stop()
        self.check(server.directory / "ledger.db", acknowledged)

    def syncs_during(self, server, work):
        """Syncs that the server asks for while `work` runs."""
        harness.needs("strace")
        log = server.directory / "strace.out"
        tracer = subprocess.Popen(["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(log), "-p", str(server.pid)],
                                  stderr=subprocess.PIPE, text=True)
        line = tracer.stderr.readline()
        if "attached" not in line:
            tracer.kill()
            raise harness.unittest.SkipTest(f"strace cannot attach: {line.strip()}")
        try:
            work()
        finally:
            tracer.terminate()
            tracer.communicate(timeout=harness.PATIENCE)
        return len(re.findall(r"\b(?:fsync|fdatasync)\(", log.read_text()))

    def test_a_batch_is_one_sync_and_clients_that_write_at_once_share_theirs(self):
        server = self.serve(CONTRACT, CONFIG)
        server.post("/entries", {"id": "first", "batch": "warm", "amount": 0})  # the log's header is written once

        def batch():
            rows = [{"id": f"b{i}", "batch": "b", "amount": i} for i in range(1000)]
            self.assertEqual(server.post("/entries/batch", rows).status, 201)

        def one_by_one():
            line = server.connection()
            for i in range(64):
                self.assertEqual(server.request("POST", "/entries", {"id": f"o{i}", "batch": "o", "amount": i}, connection=line).status, 201)
            line.close()

        clients, each = 64, 10

        def together():
            lines = [socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE) for _ in range(clients)]
            for i in range(each):
                for number, line in enumerate(lines):
                    row = json.dumps({"id": f"t{number}-{i}", "batch": "t", "amount": i})
                    line.sendall(f"POST /entries HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(row)}\r\n\r\n{row}".encode())
                for line in lines:
                    answer = b""
                    while b"\r\n\r\n" not in answer:
                        answer += line.recv(65536)
                    head, _, body = answer.partition(b"\r\n\r\n")
                    self.assertTrue(head.startswith(b"HTTP/1.1 201"), answer)
                    length = int(re.search(rb"content-length: (\d+)", head, re.I)[1])
                    while len(body) < length:
                        body += line.recv(65536)
            for line in lines:
                line.close()

        of_batch = self.syncs_during(server, batch)
        of_rows = self.syncs_during(server, one_by_one)
        # What arrives while the disk syncs is committed by the next sync, which waits for the others no longer than the last one took.
        of_clients = self.syncs_during(server, together)
        print(f"syncs: {of_batch} for a batch of 1000, {of_rows} for 64 rows one by one, "
              f"{of_clients} for {clients * each} rows of {clients} clients ({clients * each / max(1, of_clients):.1f} rows each)", flush=True)
        self.assertEqual(of_batch, 1)
        self.assertGreaterEqual(of_rows, 64)
        self.assertLessEqual(of_clients, clients * each / 16)

    def test_64_clients_that_change_one_row_lose_no_update(self):
        server = self.serve(CONTRACT, CONFIG)
        self.assertEqual(server.post("/entries", {"id": "x", "batch": "single", "amount": 0}).status, 201)
        clients, each = 64, 5

        def client(_):
            line = server.connection()
            done = refused = 0
            while done < each:
                row = server.request("GET", "/entries/x", connection=line)
                assert row.status == 200, row
                answer = server.request("PATCH", "/entries/x", {"amount": row.json()["amount"] + 1},
                                        {"If-Match": row.headers["etag"], "Content-Type": "application/merge-patch+json"}, connection=line)
                assert answer.status in (200, 412), answer
                done += answer.status == 200
                refused += answer.status == 412
            line.close()
            return refused

        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            refused = sum(pool.map(client, range(clients)))
        print(f"{clients * each} changes made, {refused} refused as stale", flush=True)
        self.assertEqual(server.get("/entries/x").json()["amount"], clients * each)


if __name__ == "__main__":
    harness.main()
