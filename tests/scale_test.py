"""What a request of examples/shop costs its database, counted: docs/design/scale.md shows what these tests print.

    PYTHONPATH=tests python3 tests/scale_test.py                     # with 5,000 orders
    PLIMSOLL_TORTURE=1 PYTHONPATH=tests python3 tests/scale_test.py  # with 50,000 and 500,000 orders and 100,000 finished jobs too

Counts only, of one client: statements and shared buffers from pg_stat_statements, bytes by a relay before the server of PostgreSQL,
system calls by strace. Each is the median of several requests, so that a poll or a probe in between does not count.
"""
import atexit
import collections
import os
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading

import harness
import postgres_client

PAGE = harness.ROOT / "docs/design/scale.md"
SHOP = harness.ROOT / "examples/shop"
ORDERS = (5_000, 50_000, 500_000) if os.environ.get("PLIMSOLL_TORTURE") else (5_000,)
FINISHED = (0, 10_000, 100_000) if os.environ.get("PLIMSOLL_TORTURE") else (0, 10_000)  # jobs that have ended
TIMES = 5  # requests of which the median counts

# The rows of migrations/003_seed.sql, in as many orders as the test wants.
SEED = """
INSERT INTO customers(id, name, email, country, created_at)
  SELECT ('0192f0c1-0002-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'Ada Berg', 'ada.' || i || '@example.com', 'DE', timestamptz '2025-01-01 00:00Z' + i * interval '1 minute' FROM generate_series(1, 300) i;
INSERT INTO products(id, name, category, price, stock, created_at)
  SELECT ('0192f0c1-0001-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'Copper kettle ' || i, 'kitchen', 3 + i % 190, i % 250, timestamptz '2025-01-01 00:00Z' + i * interval '11 hours' FROM generate_series(1, 500) i;
INSERT INTO orders(id, customer_id, status, total, note, created_at)
  SELECT ('0192f0c1-0003-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, ('0192f0c1-0002-7000-8000-' || lpad(to_hex(1 + i * 7907 % 300), 12, '0'))::uuid,
    CASE WHEN i % 23 = 0 THEN 'cancelled' WHEN i % 5 = 0 THEN 'paid' ELSE 'shipped' END, i % 997, NULL, timestamptz '2025-02-20 00:00Z' + i * interval '1 minute' FROM generate_series(1::int8, {orders}) i;
INSERT INTO order_items(id, order_id, line, product_id, quantity, price)
  SELECT ('0192f0c1-0004-7000-8000-' || lpad(to_hex(i * 4 + l), 12, '0'))::uuid, ('0192f0c1-0003-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, l,
    ('0192f0c1-0001-7000-8000-' || lpad(to_hex(1 + (i * 13 + l * 101) % 500), 12, '0'))::uuid, 1 + (i + l) % 3, 19 FROM generate_series(1::int8, {orders}) i, generate_series(1, 4) l WHERE l <= 1 + i % 4;
"""


class Relay:
    """Passes the bytes of one port on to another, and counts them in both directions, and the round trips: how often a client goes on after an answer."""

    def __init__(self, to):
        self.to, self.counted, self.last = to, collections.Counter(), ""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                one, _ = self.listener.accept()
            except OSError:
                return
            other = socket.create_connection(("127.0.0.1", self.to))
            for line in (one, other):
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.pump, args=(one, other, "sent"), daemon=True).start()
            threading.Thread(target=self.pump, args=(other, one, "received"), daemon=True).start()

    def pump(self, source, sink, way):
        try:
            while data := source.recv(1 << 16):
                self.counted[way] += len(data)
                self.counted["trips"] += way == "sent" and self.last != "sent"
                self.last = way
                sink.sendall(data)
        except OSError:
            pass
        for line in (source, sink):
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def order(number):
    return f"0192f0c1-0003-7000-8000-{number:012x}"


def customer(number):
    return f"0192f0c1-0002-7000-8000-{number:012x}"


@harness.engines("sqlite", why="it starts both engines itself")
class Scale(harness.ServerTest):
    postgres = None  # one with pg_stat_statements, for all of these tests

    def shown(self, heading):
        """The rows of the first table below a heading of the page, as `{first cell: [other cells]}`."""
        text = PAGE.read_text() if PAGE.exists() else ""
        section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.M | re.S)
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", section[1] if section else "", re.M)]
        return {row[0]: row[1:] for row in rows[2:]}

    def compare(self, heading, found):
        """`found` is `{first cell: [other cells]}`: the same as on the page, whose last columns are those of the long run."""
        table = "\n".join(f"| {name} | {' | '.join(cells)} |" for name, cells in found.items())
        print(f"\n{heading}\n{table}", flush=True)
        shown = {name: cells[:len(found.get(name, cells))] for name, cells in self.shown(heading).items()}
        self.assertEqual(shown, found, f"{PAGE.name} shows otherwise; counted:\n{table}")

    def start(self, orders, jobs=""):
        """The shop on PostgreSQL with so many orders, one thread and one connection; without `jobs` there are no polls, which are statements too."""
        if Scale.postgres is None:
            folder = tempfile.mkdtemp(prefix="plimsoll-pg-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            Scale.postgres = harness.Postgres(folder, "shared_preload_libraries=pg_stat_statements\nmax_wal_size=8GB").start()
        self.name = self.postgres.database()
        self.postgres.sql("CREATE EXTENSION pg_stat_statements", self.name)
        self.relay = Relay(self.postgres.port)
        self.addCleanup(self.relay.listener.close)
        contract = (SHOP / "shop.yaml").read_text().replace("rate-limit: 5/minute", "rate-limit: off")
        if not jobs:
            contract = re.sub(r"\n  /reports/sales:.*?(?=\ncomponents:)", "", contract, flags=re.S)
        contract = contract.replace("x-plimsoll:\n  tables:", "x-plimsoll:\n  rate-limit: off\n  tables:")
        server = self.serve(contract, f"threads: 1\nroles: {{admin: ['*']}}\ndatabase: {{url: '{self.postgres.url(self.name).replace(str(self.postgres.port), str(self.relay.port))}', pool: {{min: 1, max: 1}}}}\n{jobs}",
                            arguments=("--dev",)).authorize()
        # Without checks of foreign keys. The server's indexes begin with the owner; those of the shop's migrations serve callers of all rows too.
        self.postgres.sql("SET session_replication_role = replica;" + SEED.format(orders=orders), self.name)
        self.postgres.sql((SHOP / "migrations/002_indexes.sql").read_text().replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS"), self.name)
        self.postgres.sql("VACUUM (ANALYZE)", self.name)
        self.look = postgres_client.Connection(self.postgres.folder, self.postgres.port, self.name, "postgres")
        return server

    def stop(self, server):
        server.stop()
        self.look.close()
        self.postgres.sql(f"DROP DATABASE {self.name} WITH (FORCE)")

    def count(self, ask):
        """The medians of statements, round trips, bytes sent and received, and shared buffers of `ask(n)`, which makes one request and checks its answer."""
        seen = []
        for number in range(TIMES + 2):
            self.look.execute("SELECT pg_stat_statements_reset()")
            before = self.relay.counted.copy()
            ask(number)
            (calls, buffers), = self.look.execute("SELECT coalesce(sum(calls), 0)::int8, coalesce(sum(shared_blks_hit + shared_blks_read), 0)::int8 FROM pg_stat_statements WHERE userid = 'shop'::regrole")
            passed = self.relay.counted - before
            if number >= 2:  # until then statements are prepared, and plans made
                seen.append((calls, passed["trips"], passed["sent"], passed["received"], buffers))
        return [int(statistics.median(column)) for column in zip(*seen)]

    def operations(self, server):
        def get(target, check=lambda answer: True):
            def ask(_):
                answer = server.get(target)
                self.assertEqual(answer.status, 200, answer)
                self.assertTrue(check(answer), answer)
            return ask

        def post(target, body, headers=lambda n: None, status=201):
            def ask(number):
                answer = server.post(target, body(number), headers(number))
                self.assertEqual(answer.status, status, answer)
            return ask

        def change(number):
            self.assertEqual(server.patch(f"/v1/orders/{order(100 + number)}", {"note": f"note {number:02}"}).status, 200)

        full = lambda answer: len(answer.json()["data"]) == 20
        deep = "/v1/orders?limit=200"
        for _ in range(20):
            deep = server.get(deep).headers["link"].partition("<")[2].partition(">")[0]
        deep = deep.replace("limit=200", "limit=20")
        items = lambda number: [{"order_id": order(20 + number), "line": 1 + i, "product_id": f"0192f0c1-0001-7000-8000-{1 + i:012x}", "quantity": 1, "price": "1.00"} for i in range(100)]
        payment = lambda number: {"order_id": order(7), "method": "card", "amount": "9.90"}
        return {
            "a product, cached": get("/v1/products/0192f0c1-0001-7000-8000-000000000001"),
            "an order by its key": get(f"/v1/orders/{order(77)}"),
            "20 orders, the first page": get("/v1/orders?limit=20", full),
            "20 orders behind 4,000": get(deep, full),
            "20 orders, filter and sort": get("/v1/orders?status=paid&sort=-created_at&limit=20", full),
            "20 orders with customer and items": get("/v1/orders?limit=20&embed=customer,items", full),
            "20 orders with `count=exact`": get("/v1/orders?limit=20&count=exact", full),
            "create an order": post("/v1/orders", lambda n: {"customer_id": customer(9)}),
            "change an order": change,
            "create a payment with a key": post("/v1/payments", payment, lambda n: {"Idempotency-Key": f"key-{n:04}"}),
            "the same key again": post("/v1/payments", payment, lambda n: {"Idempotency-Key": f"key-{n:04}"}),
            "create 100 items in a batch": post("/v1/order-items/batch", items),
        }

    def test_requests_cost_postgresql_what_the_page_shows(self):
        found = collections.defaultdict(list)
        for orders in ORDERS:
            server = self.start(orders)
            for name, ask in self.operations(server).items():
                *first, buffers = self.count(ask)
                if "batch" in name:
                    buffers = "–"  # not the same each time: splits of pages of indexes
                found[name] += [str(buffers)] if found[name] else [*map(str, first), str(buffers)]
            self.stop(server)
        self.compare("PostgreSQL", found)

    FIND_NO_JOB = 18  # buffers: two for each priority
    STATEMENTS = {  # of jobs: a part of their text, by what the page calls them
        "enqueue": "INSERT INTO plimsoll_jobs(%",
        "mark as running": "UPDATE plimsoll_jobs SET state = $1, due%",
        "write the result": "INSERT INTO plimsoll_job_results%",
        "mark as completed": "UPDATE plimsoll_jobs SET state = 'completed'%",
    }

    def test_jobs_cost_postgresql_what_the_page_shows(self):
        """Statements are found by their text, so that other statements in between do not count."""
        found = collections.defaultdict(list)
        counted = lambda text: self.look.execute("SELECT coalesce(sum(calls), 0)::int8, coalesce(sum(shared_blks_hit + shared_blks_read), 0)::int8 FROM pg_stat_statements WHERE query LIKE ?", [text])[0]
        for finished in FINISHED:
            server = self.start(0, jobs="jobs: {sales_report: {run: {sql: 'SELECT count(*) AS line FROM orders', result: {type: text/csv, file: a.csv}}}}\n")
            self.run_job(server)
            columns = [name for name, in self.look.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'plimsoll_jobs'::regclass AND attnum > 0")]
            values = ", ".join("'done-' || i" if name == "id" else f'"{name}"' for name in columns)
            self.look.execute(f"INSERT INTO plimsoll_jobs({', '.join(columns)}) SELECT {values} FROM (SELECT * FROM plimsoll_jobs WHERE state = 'completed' LIMIT 1) j, generate_series(1, {finished}) i")
            self.look.execute("VACUUM (ANALYZE)")
            # The lock is that of a claim, which is made only where something is due.
            polls = lambda: [counted(text) for text in ("SELECT (SELECT min(due) FROM plimsoll_jobs%", "SELECT pg_advisory_xact_lock%")]
            before = self.between_transactions(polls)
            after = self.between_transactions(polls, lambda found: found[0][0] >= before[0][0] + 4)
            (calls, buffers), (claims, _) = ([now - then for now, then in zip(*pair)] for pair in zip(after, before))
            self.assertEqual(claims, 0)
            self.assertLessEqual(buffers, self.FIND_NO_JOB * calls)
            seen = {"find no job": [(1, self.FIND_NO_JOB)]}
            for number in range(TIMES + 2):
                self.look.execute("SELECT pg_stat_statements_reset()")
                self.run_job(server)
                for name, text in self.STATEMENTS.items() if number >= 2 else ():
                    seen.setdefault(name, []).append(counted(text))
            for name, all_of in seen.items():
                calls, buffers = (str(int(statistics.median(column))) for column in zip(*all_of))
                if name == "find no job":
                    buffers = f"≤ {buffers}"
                found[name] += [buffers] if found[name] else [calls, buffers]
            self.stop(server)
        self.compare("Jobs", found)

    def between_transactions(self, look, enough=lambda found: True):
        """What `look()` counts while the server is in no transaction: the same before and after a moment in which it has none."""
        def quiet():
            found = look()
            (busy,), = self.look.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop' AND state <> 'idle'")
            return found if not busy and look() == found and enough(found) else None

        return harness.until(quiet, "a moment without a transaction")

    def run_job(self, server):
        started = server.post("/v1/reports/sales")
        self.assertEqual(started.status, 202, started)
        harness.until(lambda: server.get(started.headers["location"]).json()["status"] == "completed", lambda: f"the end of the job: {server.get(started.headers['location'])}")

    def test_requests_cost_sqlite_the_system_calls_that_the_page_shows(self):
        harness.needs("strace")
        folder = self.directory()
        shutil.copytree(SHOP, folder / "shop")
        contract = (SHOP / "shop.yaml").read_text().replace("x-plimsoll:\n  tables:", "x-plimsoll:\n  rate-limit: off\n  tables:")
        (folder / "shop/shop.yaml").write_text(contract)
        (folder / "shop/plimsoll.yaml").write_text("threads: 1\nroles: {admin: ['*']}\ndatabase: {url: 'sqlite:shop.db'}\njobs: {sales_report: {run: {sql: 'SELECT 1'}}}\n")
        server = self.serve(folder / "shop/shop.yaml", folder / "shop/plimsoll.yaml", directory=folder / "shop", arguments=("--dev",)).authorize()
        line = server.connection()
        self.addCleanup(line.close)

        def once(method, target, body=None, headers=None, status=200):
            answer = server.request(method, target, body, headers, connection=line)
            self.assertEqual(answer.status, status, answer)

        items = lambda n: [{"order_id": order(4), "line": 1 + i, "product_id": f"0192f0c1-0001-7000-8000-{1 + i:012x}", "quantity": 1, "price": "1.00"} for i in range(100)]
        operations = {
            "a product, cached": lambda n: once("GET", "/v1/products/0192f0c1-0001-7000-8000-000000000001"),
            "an order by its key": lambda n: once("GET", f"/v1/orders/{order(77)}"),
            "20 orders, the first page": lambda n: once("GET", "/v1/orders?limit=20"),
            "20 orders, filter and sort": lambda n: once("GET", "/v1/orders?status=paid&sort=-created_at&limit=20"),
            "20 orders with customer and items": lambda n: once("GET", "/v1/orders?limit=20&embed=customer,items"),
            "create an order": lambda n: once("POST", "/v1/orders", {"customer_id": customer(9)}, None, 201),
            "create a payment with a key": lambda n: once("POST", "/v1/payments", {"order_id": order(7), "method": "card", "amount": "9.90"}, {"Idempotency-Key": f"key-{n}"}, 201),
            "the same key again": lambda n: once("POST", "/v1/payments", {"order_id": order(7), "method": "card", "amount": "9.90"}, {"Idempotency-Key": "key-3"}, 201),
        }
        found = {}
        for name, ask in operations.items():
            for number in range(20):
                ask(number)
            calls = self.calls_during(server, lambda: [ask(number) for number in range(20, 220)])
            calls["pread64"] += calls["preadv2"]  # of pages that are in memory
            found[name] = [str(round(calls[call] / 200)) for call in self.CALLS]
        self.compare("SQLite", found)

    CALLS = ("recvfrom", "fcntl", "pread64", "pwrite64", "fdatasync")

    def calls_during(self, server, work):
        """How often the server makes each system call while `work` runs."""
        log = server.directory / "strace.out"
        tracer = subprocess.Popen(["strace", "-f", "-o", str(log), "-p", str(server.pid)], stderr=subprocess.PIPE, text=True)
        said = tracer.stderr.readline()
        if "attached" not in said:
            tracer.kill()
            self.skipTest(f"strace cannot attach: {said.strip()}")
        try:
            work()
        finally:
            tracer.terminate()
            tracer.communicate(timeout=harness.PATIENCE)
        return collections.Counter(re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.M))


if __name__ == "__main__":
    harness.main()
