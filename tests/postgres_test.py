"""Tables, idempotency keys and the pool on a PostgreSQL server that the tests start."""
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import threading

import harness

SHOP = harness.ROOT / "examples/shop/shop.yaml"


REPORT = """
roles: {admin: ['*']}
jobs:
  sales_report:
    run:
      sql: |
        SELECT 'status,orders' AS line UNION ALL SELECT status || ',' || count(*) FROM orders GROUP BY status ORDER BY 1 DESC
      result: {type: text/csv, file: sales.csv}
"""


class PostgresTest(harness.ServerTest):
    def postgres(self):
        return harness.Postgres.shared()

    def shop(self, url=None, pool="{min: 1, max: 6}", deadline="30s", **arguments):
        """The shop of the examples, on a new database. The caller may do everything."""
        postgres = self.postgres()
        self.name = postgres.database() if url is None else None
        config = f"database: {{url: '{url or postgres.url(self.name)}', pool: {pool}}}\n{REPORT}"
        contract = SHOP.read_text().replace("x-plimsoll:\n  tables:", f"x-plimsoll:\n  deadline: {deadline}\n  tables:")
        server = self.serve(contract, config, arguments=("--dev",), **arguments)
        return server.authorize()

    def product(self, server, **values):
        made = server.post("/v1/products", {"name": "Kettle", "category": "kitchen", "price": "19.90", "stock": 3, **values})
        self.assertEqual(made.status, 201, made)
        return made

    def customer(self, server, **values):
        made = server.post("/v1/customers", {"name": "Ada", "email": "ada@example.com", "country": "GB", **values})
        self.assertEqual(made.status, 201, made)
        return made


class Tables(PostgresTest):
    def test_a_row_is_created_read_changed_and_deleted(self):
        server = self.shop()
        made = self.product(server, name="K\u00e4ttle \"'; --")
        row = made.json()
        self.assertEqual((row["name"], row["price"], row["stock"]), ("K\u00e4ttle \"'; --", "19.90", 3))
        place = made.headers["location"]
        found = server.get(place)
        self.assertEqual(found.json(), row)
        self.assertRegex(row["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        tag = found.headers["etag"]
        changed = server.patch(place, {"stock": 2, "description": None}, {"If-Match": tag})
        self.assertEqual((changed.status, changed.json()["stock"]), (200, 2), changed)
        self.assertEqual(server.get(place).json(), changed.json())
        self.assertEqual(server.patch(place, {"stock": 1}, {"If-Match": tag}).status, 412)
        self.assertEqual(server.delete(place).status, 204)
        self.assertEqual(server.get(place).status, 404)
        self.assertEqual(self.postgres().sql("SELECT count(*) FROM products", self.name), "0")

    def test_lists_are_filtered_sorted_searched_and_paged(self):
        server = self.shop()
        for i in range(25):
            self.product(server, name=f"Thing {i:02}", category="garden" if i % 2 == 0 else "toys", price=f"{i}.50", stock=i % 5,
                         description="red" if i % 3 else "a blue one")
        names = lambda **query: [row["name"] for row in server.get("/v1/products", **query).json()["data"]]
        self.assertEqual(names(category="garden", sort="-price", limit=3), ["Thing 24", "Thing 22", "Thing 20"])
        self.assertEqual(names(**{"price[ge]": "9.5", "price[le]": "11.50", "sort": "price"}), ["Thing 09", "Thing 10", "Thing 11"])
        self.assertEqual(sorted(names(q="blue", limit=100)), [f"Thing {i:02}" for i in range(0, 25, 3)])
        self.assertEqual(names(**{"name[like]": "thing 0*", "sort": "name", "limit": 2}), ["Thing 00", "Thing 01"])
        seen, target, pages = [], "/v1/products?sort=stock,-name&limit=7", 0
        while target:
            page = server.get(target)
            self.assertEqual(page.status, 200, page)
            seen += [(row["stock"], row["name"]) for row in page.json()["data"]]
            cursor = page.json()["next_cursor"]
            target = cursor and f"/v1/products?sort=stock,-name&limit=7&cursor={cursor}"
            pages += 1
        self.assertEqual(pages, 4)
        self.assertEqual(seen, sorted(((i % 5, f"Thing {i:02}") for i in range(25)), key=lambda row: (row[0], -int(row[1][-2:]))))

    def test_rows_are_embedded_and_made_in_batches(self):
        server = self.shop()
        ada = self.customer(server).json()["id"]
        product = self.product(server).json()["id"]
        order = server.post("/v1/orders", {"customer_id": ada, "note": "Ring."})
        self.assertEqual(order.status, 201, order)
        number = order.json()["id"]
        items = [{"order_id": number, "line": line, "product_id": product, "quantity": line, "price": "2.35"} for line in (1, 2, 3)]
        self.assertEqual(server.post("/v1/order-items/batch", items).status, 201)
        broken = server.post("/v1/order-items/batch", [items[0], {**items[1], "product_id": "0192f0c1-ffff-7000-8000-000000000000"}])
        self.assertEqual(broken.status, 422, broken)
        self.assertEqual(self.postgres().sql("SELECT count(*) FROM order_items", self.name), "3")
        shown = server.get(f"/v1/orders/{number}", embed=["customer", "items", "payments"])
        self.assertEqual(shown.status, 200, shown)
        body = shown.json()
        self.assertEqual(body["customer"]["name"], "Ada")
        self.assertEqual(sorted(item["line"] for item in body["items"]), [1, 2, 3])
        self.assertEqual({item["price"] for item in body["items"]}, {"2.35"})
        self.assertEqual(body["payments"], [])

    def test_what_breaks_a_rule_of_the_database_names_its_member(self):
        server = self.shop()
        nobody = server.post("/v1/orders", {"customer_id": "0192f0c1-ffff-7000-8000-000000000000"})
        self.assertEqual((nobody.status, nobody.code), (422, "constraint"), nobody)
        self.assertEqual([error["pointer"] for error in nobody.json()["errors"]], ["/customer_id"])
        order = server.post("/v1/orders", {"customer_id": self.customer(server).json()["id"]})
        kettle = self.product(server)
        item = server.post("/v1/order-items/batch", [{"order_id": order.json()["id"], "product_id": kettle.json()["id"], "line": 1, "quantity": 1, "price": "19.90"}])
        self.assertEqual(item.status, 201, item)
        kept = server.delete(kettle.headers["location"])
        self.assertEqual((kept.status, kept.code), (409, "conflict"), kept)

    def test_concurrent_changes_with_if_match_lose_nothing(self):
        server = self.shop()
        place = self.product(server, stock=0).headers["location"]
        done = []

        def raise_stock():
            for _ in range(5):
                while True:
                    found = server.get(place, {"Cache-Control": "no-cache"})
                    changed = server.patch(place, {"stock": found.json()["stock"] + 1}, {"If-Match": found.headers["etag"]})
                    if changed.status == 200:
                        break
                    if changed.status != 412:
                        return done.append(changed)

        threads = [threading.Thread(target=raise_stock) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(done, [])
        self.assertEqual(self.postgres().sql("SELECT stock FROM products", self.name), "20")

    def test_a_repeated_idempotency_key_gives_the_first_response_again(self):
        server = self.shop()
        order = server.post("/v1/orders", {"customer_id": self.customer(server).json()["id"]}).json()["id"]
        pay = lambda amount: server.post("/v1/payments", {"order_id": order, "amount": amount, "method": "card"}, {"Idempotency-Key": '"k-1"'})
        first, again, other = pay("9.90"), pay("9.90"), pay("1.00")
        self.assertEqual((first.status, again.status, again.headers["idempotent-replayed"]), (201, 201, "true"), first)
        self.assertEqual(first.body, again.body)
        self.assertEqual(other.status, 422)
        self.assertEqual(self.postgres().sql("SELECT count(*) FROM payments", self.name), "1")

    def test_a_job_is_done_and_its_result_is_downloaded(self):
        server = self.shop()
        server.post("/v1/orders", {"customer_id": self.customer(server).json()["id"]})
        accepted = server.post("/v1/reports/sales")
        self.assertEqual(accepted.status, 202, accepted)
        status = harness.until(lambda: (found := server.get(accepted.headers["location"]).json())["status"] == "completed" and found,
                               lambda: repr(server.get(accepted.headers["location"])))
        self.assertEqual(server.get(status["download_url"]).text.splitlines(), ["status,orders", "open,1"])

    def test_two_instances_start_at_once_on_an_empty_database(self):
        url = self.postgres().url(self.postgres().database())
        config = f"database: {{url: '{url}', pool: {{min: 1, max: 4}}}}\n{REPORT}"
        servers = [self.server(SHOP.read_text(), config, arguments=("--dev",)) for _ in range(3)]
        for server in servers:
            harness.Process.start(server)
        for server in servers:
            harness.until(lambda: not server.alive or (server.accepts() and harness.fetch(server.address, target="/readyz").status == 200), server.describe)
            self.assertTrue(server.alive, server.describe())


class RefusingProxy:
    """Before a PostgreSQL server: hands on all bytes but the text of the n-th statement that is parsed or asked, in place of which goes one that no server
    accepts. So the server itself refuses it, with all that follows from that."""

    REFUSED = b"plimsoll refuses this"

    def __init__(self, port, nth):
        self.port, self.nth, self.seen, self.refused = port, nth, 0, None
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self._copy, args=(server, client), daemon=True).start()
            threading.Thread(target=self._ask, args=(client, server), daemon=True).start()

    @staticmethod
    def _copy(source, to):
        try:
            while piece := source.recv(65536):
                to.sendall(piece)
            to.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _ask(self, client, server):
        stream = client.makefile("rb")
        try:
            length = stream.read(4)  # the startup message has no kind
            server.sendall(length + stream.read(int.from_bytes(length, "big") - 4))
            while kind := stream.read(1):
                body = stream.read(int.from_bytes(stream.read(4), "big") - 4)
                if kind in b"PQ":
                    body = self._judge(kind, body)
                server.sendall(kind + (len(body) + 4).to_bytes(4, "big") + body)
            server.shutdown(socket.SHUT_RDWR)
        except (OSError, ValueError):
            pass

    def _judge(self, kind, body):
        name, rest = (b"", body) if kind == b"Q" else body.split(b"\0", 1)
        sql, rest = rest.split(b"\0", 1)
        with self.lock:
            self.seen += 1
            if self.seen != self.nth:
                return body
            self.refused = sql
        return self.REFUSED + b"\0" if kind == b"Q" else name + b"\0" + self.REFUSED + b"\0\0\0"


class Starts(PostgresTest):
    def lay(self):
        """The shop with migrations that the owner has applied, in a folder of its own."""
        folder = self.directory()
        postgres = self.postgres()
        self.name = postgres.database()
        (folder / "shop.yaml").write_text(SHOP.read_text())
        (folder / "owner.yaml").write_text(f"database: {{url: '{postgres.url(self.name)}', pool: {{min: 0, max: 4}}}}\n{REPORT}")
        for words in (("new", "tables", "shop.yaml"), ("up", "shop.yaml")):
            done = self.plimsoll("migrate", *words, "--config", "owner.yaml", directory=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
        return folder

    def begin(self, folder, config):
        """A server that serves, or has ended; in a copy of the folder, so that its output is its own."""
        copied = self.directory()
        shutil.copytree(folder, copied, dirs_exist_ok=True)
        config = config.read_text() if isinstance(config, pathlib.Path) else config
        server = self.server(copied / "shop.yaml", config, directory=copied, arguments=("--dev",))
        harness.Process.start(server)
        harness.until(lambda: not server.alive or (server.accepts() and harness.fetch(server.address, target="/readyz").status == 200), server.describe)
        return server

    def test_a_role_needs_no_right_to_make_tables_where_all_are_there(self):
        folder = self.lay()
        self.begin(folder, folder / "owner.yaml").stop()
        role = f"web_{self.name}"
        self.postgres().sql(f"CREATE ROLE {role} LOGIN PASSWORD 's3cret'")
        self.postgres().sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}", self.name)
        server = self.begin(folder, (folder / "owner.yaml").read_text().replace("shop:", f"{role}:"))
        self.assertTrue(server.alive, server.describe())
        self.assertEqual(server.authorize().get("/v1/products").status, 200)
        # One that a request needs costs that request, and the log says how it is given.
        self.postgres().sql(f"REVOKE INSERT ON products FROM {role}", self.name)
        refused = server.post("/v1/products", {"name": "Kettle", "category": "kitchen", "price": "19.90", "stock": 3})
        self.assertEqual((refused.status, refused.code), (500, "internal"), refused)
        self.assertNotIn("GRANT", refused.text)
        remedy = harness.until(lambda: re.search(rf"GRANT SELECT, INSERT ON products TO {role};", server.output), server.describe)
        self.postgres().sql(remedy[0], self.name)
        self.product(server)

    def test_a_role_with_the_rights_of_the_documentation_serves_the_shop(self):
        folder = self.lay()
        postgres, role = self.postgres(), f"documented_{self.name}"
        page = (harness.ROOT / "docs/postgresql.md").read_text()
        rights = re.search(r"```sql\n(GRANT .*?)```", page, re.S)[1]
        postgres.sql(f"CREATE ROLE {role} LOGIN PASSWORD 's3cret'")
        postgres.sql(re.sub(r"\bweb\b", role, rights), self.name)
        config = (folder / "owner.yaml").read_text().replace("shop:", f"{role}:")
        for start in range(2):
            server = self.begin(folder, config)
            self.assertTrue(server.alive, server.describe())
            server.authorize()
            customer = self.customer(server, email=f"ada-{start}@example.com").json()["id"]
            product = self.product(server)
            order = server.post("/v1/orders", {"customer_id": customer}).json()["id"]
            self.assertEqual(server.post("/v1/order-items/batch", [{"order_id": order, "product_id": product.json()["id"], "line": 1, "quantity": 1, "price": "19.90"}]).status, 201)
            paid = server.post("/v1/payments", {"order_id": order, "amount": "19.90", "method": "card"}, {"Idempotency-Key": f'"k-{start}"'})
            self.assertEqual(paid.status, 201, paid)
            self.assertEqual(server.patch(product.headers["location"], {"stock": 2}).status, 200)
            self.assertEqual(server.delete(self.product(server).headers["location"]).status, 204)
            accepted = server.post("/v1/reports/sales")
            harness.until(lambda: server.get(accepted.headers["location"]).json()["status"] == "completed", lambda: repr(server.get(accepted.headers["location"])))
            self.assertNotIn("42501", server.output)
            server.stop()
            postgres.sql(f"REVOKE CREATE ON SCHEMA public FROM {role}", self.name)

    def test_a_later_migration_gives_the_rights_to_its_tables_as_the_documentation_says(self):
        folder = self.lay()
        postgres, role = self.postgres(), f"later_{self.name}"
        page = (harness.ROOT / "docs/postgresql.md").read_text()
        postgres.sql(f"CREATE ROLE {role} LOGIN PASSWORD 's3cret'")
        of_role = lambda statements: re.sub(r"\bweb\b", role, statements)
        all_tables = re.search(r"```sql\n(GRANT .*?)```", page, re.S)[1]
        postgres.sql(of_role(all_tables), self.name)
        self.begin(folder, (folder / "owner.yaml").read_text().replace("shop:", f"{role}:")).stop()  # its own tables are made now
        makes = "CREATE TABLE fines(id serial PRIMARY KEY, amount integer);\n"
        up = lambda statements: ((folder / "migrations/0099_fines.sql").write_text(statements), self.plimsoll("migrate", "up", "shop.yaml", "--config", "owner.yaml", directory=folder))[1]
        refused = up(of_role(all_tables.splitlines()[1]) + "\n" + makes)
        self.assertEqual(refused.returncode, 2, refused.stdout)
        self.assertIn("permission denied for table plimsoll_", refused.stderr)
        named = re.findall(r"`(GRANT [^`]*\bfines\w* TO web;)`", page)
        self.assertEqual(len(named), 2, page)
        applied = up(makes + of_role("\n".join(named)))
        self.assertEqual((applied.returncode, applied.stdout), (0, "applied 0099_fines\n"), applied.stderr)
        as_role = lambda table: f"SET ROLE {role}; INSERT INTO {table}(amount) VALUES(1); UPDATE {table} SET amount=2; DELETE FROM {table} WHERE amount=2 RETURNING id"
        self.assertEqual(postgres.sql(as_role("fines"), self.name), "1")
        default = re.search(r"`(ALTER DEFAULT PRIVILEGES [^`]*;)`", page)[1]
        sequences = re.sub(r"GRANT .* TO", "GRANT USAGE ON SEQUENCES TO", default)
        postgres.sql(f"SET ROLE shop; {of_role(default + sequences)} CREATE TABLE fees(id serial PRIMARY KEY, amount integer)", self.name)
        self.assertEqual(postgres.sql(as_role("fees"), self.name), "1")

    def test_each_right_that_a_start_lacks_is_named_with_the_statement_that_gives_it(self):
        folder = self.lay()
        postgres, role = self.postgres(), f"clerk_{self.name}"
        postgres.sql(f"CREATE ROLE {role} LOGIN PASSWORD 's3cret'")
        config = (folder / "owner.yaml").read_text().replace("shop:", f"{role}:")
        granted = []
        for _ in range(60):
            server = self.begin(folder, config)
            if server.alive:
                break
            said = server.output
            self.assertIn("postgres 42501: ", said)
            self.assertIn(f"role {role}", said)
            remedy = re.search(rf"GRANT [A-Z, ]+ ON [A-Za-z ]*[a-z_]+ TO {role};", said)
            self.assertTrue(remedy, said)
            self.assertNotIn(remedy[0], granted, "it was given, and is still missing")
            granted.append(remedy[0])
            postgres.sql(remedy[0], self.name)
            server.stop()
        self.assertTrue(server.alive, server.describe())
        self.assertGreater(len(granted), 5)

    def test_whichever_statement_of_a_start_is_refused_the_message_says_why(self):
        folder = self.lay()
        self.begin(folder, folder / "owner.yaml").stop()
        config = (folder / "owner.yaml").read_text()
        every = RefusingProxy(self.postgres().port, 0)
        whole = lambda proxy: config.replace(f":{self.postgres().port}/{self.name}", f":{proxy.address[1]}/{self.name}?sslmode=disable")
        self.begin(folder, whole(every)).stop()
        chance = random.Random(harness.seed())
        places = range(1, every.seen + 1)
        if not os.environ.get("PLIMSOLL_TORTURE"):
            places = sorted(chance.sample(places, min(8, len(places))))
        refused = 0
        for nth in places:
            proxy = RefusingProxy(self.postgres().port, nth)
            server = self.begin(folder, whole(proxy))
            said, served = server.output, server.alive
            server.stop()
            proxy.close()
            if served:  # of a connection that was opened beside the start, or advice
                continue
            refused += 1
            where = f"statement {nth} of {every.seen}, {proxy.refused}: {said}"
            self.assertIn("42601", said, where)
            self.assertRegex(said, r"error\[(?!internal)[a-z-]+\]: \S", where)
            self.assertRegex(said, r"help: \S", where)
            self.assertNotIn("Start the server", said, where)
        self.assertGreater(refused, len(places) // 2)


class Pool(PostgresTest):
    def test_metrics_show_the_pool(self):
        server = self.shop()
        self.product(server)
        metrics = server.metrics()
        self.assertEqual(metrics["plimsoll_database_up"], 1)
        self.assertGreaterEqual(metrics['plimsoll_database_connections{state="idle"}'] + metrics['plimsoll_database_connections{state="in-use"}'], 1)
        self.assertGreater(metrics["plimsoll_database_acquire_seconds_count"], 0)
        self.assertIn("plimsoll_database_pool_waiting", metrics)

    def test_a_password_is_shown_nowhere(self):
        server = self.shop()
        self.product(server)
        self.assertNotIn("s3cret", server.output)
        self.assertNotIn("s3cret", harness.fetch(server.management, target="/metrics").text)


class Faults(PostgresTest):
    def postgres(self):
        """One of its own, which is stopped and killed."""
        if not hasattr(self, "own"):
            self.own = harness.Postgres(self.directory())
            self.addCleanup(self.own.stop)
            self.own.start()
        return self.own

    def test_a_server_that_is_gone_is_503_at_once_and_is_used_again_when_it_is_back(self):
        server = self.shop(pool="{min: 2, max: 4}")
        place = self.customer(server).headers["location"]
        self.postgres().halt()
        gone = server.get(place)
        self.assertEqual((gone.status, gone.code), (503, "database-unavailable"), gone)
        self.assertGreaterEqual(int(gone.headers["retry-after"]), 1)
        harness.until(lambda: server.metrics()["plimsoll_database_up"] == 0, "the metric says that the server is down")
        # None of them waits for a connection: all are answered before one could be.
        before = server.metrics()["plimsoll_database_acquire_seconds_count"]
        for _ in range(20):
            self.assertEqual(server.post("/v1/customers", {"name": "Bob", "email": "b@example.com", "country": "DE"}).status, 503)
        self.assertEqual(server.metrics()["plimsoll_database_acquire_seconds_count"], before)
        self.assertEqual(harness.fetch(server.management, target="/livez").status, 200)
        self.postgres().start()
        harness.until(lambda: server.get(place).status == 200, "the server is used again")
        harness.until(lambda: {"database-unreachable", "database-reachable"} <= {line.get("event") for line in server.logged()}, "both are in the log")

    def test_a_restart_between_two_requests_is_not_seen(self):
        server = self.shop(pool="{min: 2, max: 4}")
        place = self.customer(server).headers["location"]
        self.postgres().halt()
        self.postgres().start()
        harness.until(lambda: server.get(place).status == 200, "the server is used again")
        self.assertEqual(server.patch(place, {"country": "FR"}).status, 200)

    def test_a_server_that_hangs_costs_a_request_its_deadline_and_no_more(self):
        server = self.shop(pool="{min: 2, max: 4, connect: 500ms, acquire: 500ms}", deadline="1s")
        place = self.customer(server).headers["location"]
        main = self.postgres().pid
        os.kill(main, signal.SIGSTOP)  # first: it makes no further processes, once it has stopped
        harness.until(lambda: pathlib.Path(f"/proc/{main}/stat").read_text().rsplit(") ", 1)[1][0] == "T", "the server stands still")
        children = [int(pid) for pid in pathlib.Path(f"/proc/{main}/task/{main}/children").read_text().split()]
        for pid in children:
            os.kill(pid, signal.SIGSTOP)
        try:
            statuses = []

            def ask():
                statuses.append(server.request("GET", place, patience=25).status)

            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertTrue(set(statuses) <= {503, 504}, statuses)
        finally:
            for pid in (*children, main):
                os.kill(pid, signal.SIGCONT)
        harness.until(lambda: server.get(place).status == 200, "the server is used again")


class Bouncer(PostgresTest):
    def test_behind_pgbouncer_in_transaction_mode_everything_works_without_statements(self):
        bouncer = harness.PgBouncer(self.directory(), self.postgres())
        self.addCleanup(bouncer.stop)
        bouncer.start()
        name = self.postgres().database()
        server = self.shop(url=bouncer.url(name), pool="{min: 1, max: 20, statements: off}")
        places = [self.customer(server, name=f"Ada {i}").headers["location"] for i in range(5)]
        failures = []

        def work(place):
            for i in range(10):
                changed = server.patch(place, {"name": f"Ada {i}"})
                found = server.get(place)
                if changed.status != 200 or found.json().get("name") != f"Ada {i}":
                    failures.append((changed, found))

        threads = [threading.Thread(target=work, args=(place,)) for place in places]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(server.get("/v1/customers", limit=100).json()["data"]), 5)


if __name__ == "__main__":
    harness.main()
