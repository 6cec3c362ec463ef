#!/usr/bin/env python3
"""Tables on PostgreSQL over a Unix socket: rows by key beside nginx's `return 200`, `pgbench -S` and Fastify with pg; the pool beside a
connection for each request; batches beside single rows; all clients on one of two threads; pages far behind the first.

  bench/postgres.py [--build build/release] [--rounds 7] [--seconds 1] [--connections 64] [--rows 1000100]

PostgreSQL runs in a temporary folder, with `fsync` on. "All CPU" is that of the server, or of pgbench, and of PostgreSQL together.
"""
import contextlib
import functools
import http.client
import json
import random
import re
import resource
import shutil
import socket
import statistics
import subprocess
import time

import harness
import measure
from import_postgres import spent
from rows import CONTRACT, ITEM, listening

OURS, THEIRS = "plimsoll, a row by key", "Fastify with pg"
BATCH = 100
LISTED = CONTRACT.replace("  /items/{id}:", """    get:
      operationId: listItems
      security: []
      x-plimsoll: {table: items, authorization: any-caller}
      responses: {'200': {description: items}}
  /items/batch:
    post:
      operationId: createItems
      security: []
      x-plimsoll: {table: items, authorization: any-caller, batch: {create: {max: 100}}}
      requestBody: {required: true, content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Item'}}}}}
      responses: {'201': {description: made}}
  /items/{id}:""")


def ask(port, method, target, body=None):
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    line.request(method, target, body and json.dumps(body), {"Content-Type": "application/json"} if body else {})
    answer = line.getresponse()
    text = answer.read()
    if answer.status not in (200, 201):
        raise SystemExit(f"bench/postgres.py: {method} {target} is answered {answer.status}: {text[:300]}")
    return json.loads(text)


class Database:
    def __init__(self, folder):
        (folder / "pg").mkdir()
        self.postgres = harness.Postgres(folder / "pg", "shared_buffers=512MB\nmax_wal_size=8GB\ncheckpoint_timeout=1h\nfsync=on\nfull_page_writes=on\n"
                                         "shared_preload_libraries='pg_stat_statements'\n").start()
        self.name = self.postgres.database()
        self.sql("CREATE EXTENSION pg_stat_statements")

    @property
    def pid(self):
        return self.postgres.pid

    def sql(self, text):
        return self.postgres.sql(text, self.name)

    def url(self):
        return self.postgres.socket_url(self.name)

    def pgbench(self, seconds, connections, *more):
        """Transactions."""
        said = subprocess.run(["taskset", "-c", str(measure.LOAD_CORE), self.postgres.bin / "pgbench", "-h", self.postgres.folder, "-p", str(self.postgres.port), "-U", "postgres", "-n",
                               "-c", str(connections), "-j", "1", "-T", str(seconds), *map(str, more), self.name], capture_output=True, text=True, timeout=seconds + 120)
        if said.returncode:
            raise SystemExit(f"bench/postgres.py: pgbench: {said.stderr[-1000:]}")
        return int(re.search(r"transactions actually processed: (\d+)", said.stdout)[1])


def serve(build, folder, database, pool, *, threads=1, name=OURS):
    port = measure.free_port()
    (folder / "rows.yaml").write_text(LISTED)
    (folder / f"{port}.yaml").write_text(f"threads: {threads}\nlimits: {json.dumps(measure.LIMITS)}\ndatabase: {{url: '{database.url()}', pool: {pool}}}\n")
    return measure.Server(name, [build / "bin/plimsoll", "serve", "rows.yaml", "--config", f"{port}.yaml", "--listen", f"127.0.0.1:{port}", "--management", "off"], port, folder,
                          check=listening)


class Turn:
    """What one way did in one round: units, seconds on the clock, and CPU seconds of all."""

    def __init__(self, database, pid, run):
        before, began = self._spent(database, pid), time.monotonic()
        self.units = run()
        self.seconds = time.monotonic() - began
        self.cpu = self._spent(database, pid) - before

    @staticmethod
    def _spent(database, pid):
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent(database.pid) + (spent(pid) if pid else children.ru_utime + children.ru_stime)


def in_turns(database, ways, rounds):
    """name -> turns, of (pid, or None for a program that ends by itself; what runs and returns how much it did)."""
    found = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (pid, run) in sorted(ways.items(), reverse=number % 2):
            turn = Turn(database, pid, run)
            if number:
                found[name].append(turn)
    return found


def by_cpu(turns, to):
    return [(one.units / one.cpu) / (other.units / other.cpu) for one, other in zip(turns, to)]


def by_time(turns, to):
    return [(one.units / one.seconds) / (other.units / other.seconds) for one, other in zip(turns, to)]


def rows_by_key(chosen, folder, database, row):
    target = f"/items/{row['id']}"

    def ours():
        server = serve(chosen.build, folder, database, "{min: 5, max: 20}")
        server.target = target
        return server

    def theirs():
        if not (measure.packages() / "pg").exists():
            raise measure.Missing(THEIRS, "npm could not install pg (bench/package.json)")
        server = measure.fastify(folder, database.url(), name=THEIRS)
        server.target = target
        if (answer := ask(server.port, "GET", target)) != row:
            server.stop()
            raise SystemExit(f"{THEIRS} answers otherwise: {answer}")
        return server

    wrk = lambda server, seconds: measure.wrk(server, seconds, chosen.connections)
    measure.compare("a row by its key from PostgreSQL", [ours, theirs, functools.partial(measure.nginx, folder)], wrk, chosen.rounds, chosen.seconds,
                    {OURS: 0.5, (OURS, THEIRS): 3})
    database.postgres._run("pgbench", "-h", database.postgres.folder, "-p", database.postgres.port, "-U", "postgres", "-i", "-q", "-s", "10", database.name)
    database.sql("VACUUM ANALYZE")
    with measure.running(ours) as (server,), measure.running(lambda: serve(chosen.build, folder, database, "{min: 0, max: 20, idle: 1ms, life: 1ms}")) as (unpooled,):
        unpooled.target = target
        sessions = lambda: int(database.sql(f"SELECT sessions FROM pg_stat_database WHERE datname = '{database.name}'"))
        found = in_turns(database, {"ours": (server.pid, lambda: wrk(server, chosen.seconds)),
                                    "pgbench": (None, lambda: database.pgbench(chosen.seconds, 20, "-S", "-M", "prepared"))}, chosen.rounds)
        measure.ratio_row("a row by its key, all CPU: plimsoll / pgbench -S -M prepared", by_cpu(found["ours"], found["pgbench"]), 0.6, least=True)
        before = sessions()
        found = in_turns(database, {"pool": (server.pid, lambda: measure.wrk(server, chosen.seconds, 1)),
                                    "many": (server.pid, lambda: wrk(server, chosen.seconds)),
                                    "none": (unpooled.pid, lambda: measure.wrk(unpooled, chosen.seconds, 1)),
                                    "pgbench": (None, lambda: database.pgbench(chosen.seconds, 1, "-S", "-C"))}, chosen.rounds)
        time.sleep(1)  # PostgreSQL counts sessions when it writes its statistics
        requests = sum(turn.units for turn in found["none"] + found["pgbench"])
        note = f"{(sessions() - before) / max(requests, 1):.1f} connections for each such request"
        measure.ratio_row(f"{chosen.connections} clients of the pool, all CPU / a connection for each request, pgbench -C", by_cpu(found["many"], found["pgbench"]), 50, least=True)
        measure.ratio_row("one client, all CPU: the pool / a connection for each request, pgbench -C", by_cpu(found["pool"], found["pgbench"]), 50, least=True)
        measure.ratio_row("one client, all CPU: the pool / a connection for each request, plimsoll", by_cpu(found["pool"], found["none"]), note=note)


def batches(chosen, folder, database):
    one = {"name": "Lamp oil", "price": "9.90", "stock": 12}
    for name, body in (("single", one), ("batch", [one] * BATCH)):
        (folder / f"{name}.lua").write_text(f"wrk.method = 'POST'\nwrk.body = [==[{json.dumps(body)}]==]\nwrk.headers['Content-Type'] = 'application/json'\n")
    value = "(gen_random_uuid(), 'Lamp oil', 9.90, 12)"
    database.sql("CREATE TABLE raw (LIKE items INCLUDING INDEXES)")
    (folder / "single.sql").write_text(f"INSERT INTO raw(id, name, price, stock) VALUES {value};\n")
    (folder / "batch.sql").write_text(f"INSERT INTO raw(id, name, price, stock) VALUES {', '.join([value] * BATCH)};\n")
    with measure.running(lambda: serve(chosen.build, folder, database, "{min: 1, max: 4}")) as (server,):
        def sent(name, target, units):
            server.target = target
            return units * measure.wrk(server, chosen.seconds, 1, "-s", folder / f"{name}.lua")

        found = in_turns(database, {"single": (server.pid, lambda: sent("single", "/items", 1)), "batch": (server.pid, lambda: sent("batch", "/items/batch", BATCH)),
                                    "raw single": (None, lambda: database.pgbench(chosen.seconds, 1, "-M", "prepared", "-f", folder / "single.sql")),
                                    "raw batch": (None, lambda: BATCH * database.pgbench(chosen.seconds, 1, "-M", "prepared", "-f", folder / "batch.sql"))}, chosen.rounds)
    for what, of, target in (("rows a second", by_time, 25), ("rows for all CPU", by_cpu, None)):
        ours, raw = of(found["batch"], found["single"]), of(found["raw batch"], found["raw single"])
        measure.ratio_row(f"a batch of 100, one client, {what}: batch / singles", ours, target, least=True, note=f"pgbench: {statistics.median(raw):.1f}")
        measure.ratio_row(f"a batch of 100, one client, {what}: this / pgbench's ratio", [a / b for a, b in zip(ours, raw)], 0.6 if target else None, least=True)
    database.sql("DROP TABLE raw; TRUNCATE items")


def local_ports(server, one_thread, count):
    """Local ports whose connections one thread of the server accepts, or any: the kernel chooses the thread by the ports, and will so again."""
    ports, first, target = [], None, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    def ran():
        return {thread: ran for thread, (ran, _) in measure.thread_times(max(measure.family(server.pid))).items()}

    while len(ports) < count:
        port = random.randrange(20000, 60000)
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # nothing stays behind
            line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                line.bind(("127.0.0.1", port))
            except OSError:
                continue  # another process has it
            line.connect(("127.0.0.1", server.port))
            before = ran()
            for _ in range(20):
                line.sendall(target)
                line.recv(4096)
            after = ran()
            busiest = max(after, key=lambda task: after[task] - before.get(task, 0))
            first = first or busiest
            if (busiest == first or not one_thread) and port not in ports:
                ports.append(port)
    return ports


def one_thread(chosen, folder, database, row):
    with measure.running(lambda: serve(chosen.build, folder, database, "{min: 8, max: 8}", threads=2)) as (server,):
        ways = {"one": True, "spread": False}
        found = {name: [] for name in ways}
        for number in range(2 * chosen.rounds + 1):
            for name, only in sorted(ways.items(), reverse=number % 2):
                for _ in range(20):  # another process may take a port meanwhile
                    ports = ",".join(map(str, local_ports(server, only, 16)))
                    done = subprocess.run(["taskset", "-c", str(measure.LOAD_CORE), chosen.build / "bin/steady_load", str(server.port), f"/items/{row['id']}", "16", "1000", "2", ports],
                                          capture_output=True, text=True)
                    if "Address already in use" not in done.stderr:
                        break
                if done.returncode:
                    raise SystemExit(f"bench/postgres.py: {done.stderr}")
                if number:
                    found[name].append(json.loads(done.stdout)["p99"])
    ratios = [a / b for a, b in zip(found["one"], found["spread"])]
    measure.ratio_row("p99 with all 16 clients on one of two threads / spread", ratios, 1.5, note=f"{statistics.median(found['one']):,.0f} µs, {statistics.median(found['spread']):,.0f} µs")


def deep_pages(chosen, folder, database):
    database.sql(f"INSERT INTO items(id, name, price, stock) SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'Lamp oil', 9.90, 12 FROM generate_series(1, {chosen.rows}) i")
    database.sql("VACUUM ANALYZE items")

    def buffers(target):
        """Shared buffers that all statements of one such request touch, in the mean of 20."""
        database.sql("SELECT pg_stat_statements_reset()")
        for _ in range(20):
            ask(server.port, "GET", target)
        return int(database.sql("SELECT sum(shared_blks_hit + shared_blks_read) FROM pg_stat_statements WHERE query LIKE '%items%' AND query NOT LIKE '%pg_stat%'")) / 20

    with measure.running(lambda: serve(chosen.build, folder, database, "{min: 1, max: 4}")) as (server,):
        target, depth = "/items?limit=100", 0
        while depth < chosen.rows - 100:
            page = ask(server.port, "GET", target)
            depth += len(page["data"])
            cursor, target = page["next_cursor"], f"/items?limit=100&cursor={page['next_cursor']}"
        for limit in (20, 100):
            first, last = f"/items?limit={limit}", f"/items?limit={limit}&cursor={cursor}"
            for warm in (first, last):
                ask(server.port, "GET", warm)
            of_first, of_last = buffers(first), buffers(last)
            measure.row(f"shared buffers of a page of {limit} behind {depth:,} rows, beyond page 1", of_last - of_first, 2, counted=True, note=f"page 1: {of_first:.0f}")


def main():
    parser = measure.options(__doc__, rounds=7)
    parser.add_argument("--rows", type=int, default=1_000_100)
    parser.add_argument("--only", default="", help="rows, batches, threads or pages")
    chosen = measure.chosen(parser)
    measure.needs("wrk", "curl", "nginx")
    if not shutil.which("pgbench"):
        raise SystemExit("bench/postgres.py: PostgreSQL is not installed: scripts/install-dependencies bench")
    with measure.a_folder() as folder, contextlib.ExitStack() as at_end:
        database = Database(folder)
        at_end.callback(database.postgres.stop)
        with measure.running(lambda: serve(chosen.build, folder, database, "{min: 1, max: 4}")) as (server,):
            row = ask(server.port, "POST", "/items", ITEM)
        if chosen.only in "rows":
            rows_by_key(chosen, folder, database, row)
        if chosen.only in "threads":
            one_thread(chosen, folder, database, row)
        if chosen.only in "batches":
            batches(chosen, folder, database)
        if chosen.only in "pages":
            database.sql("TRUNCATE items")
            deep_pages(chosen, folder, database)


if __name__ == "__main__":
    main()
