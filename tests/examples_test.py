"""The things people copy: each example is served, and asked what its page says it answers."""
import decimal
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import unittest

import harness
import rooms_test

EXAMPLES = harness.ROOT / "examples"


class Shop(harness.ServerTest):
    """No code: products, customers, orders with items, payments."""

    @classmethod
    def setUpClass(cls):
        cls.test = cls("test_pages_hold_every_order_once")
        cls.shop = serve_shop(cls.test)

    @classmethod
    def tearDownClass(cls):
        cls.test.doCleanups()

    def test_pages_hold_every_order_once(self):
        seen, target, pages = [], "/v1/orders?sort=-total,created_at&limit=200&fields=id,total", 0
        while target:
            page = self.shop.get(target)
            self.assertEqual(page.status, 200, page)
            seen += [(float(row["total"]), row["id"]) for row in page.json()["data"]]
            cursor = page.json()["next_cursor"]
            self.assertEqual(page.json()["has_more"], cursor is not None)
            target = cursor and f"/v1/orders?sort=-total,created_at&limit=200&fields=id,total&cursor={cursor}"
            pages += 1
        self.assertGreaterEqual(len(seen), 5000)
        self.assertEqual(len(seen), len({row for _, row in seen}))
        self.assertEqual([total for total, _ in seen], sorted((total for total, _ in seen), reverse=True))
        self.assertGreaterEqual(pages, 25)

    def test_filters_search_and_count(self):
        found = self.shop.get("/v1/products", category="kitchen", **{"price[ge]": "100", "price[le]": "120", "count": "exact", "sort": "price"}).json()
        self.assertGreater(found["total"], 0)
        prices = [float(row["price"]) for row in found["data"]]
        self.assertEqual(prices, sorted(prices))
        self.assertTrue(all(100 <= price <= 120 for price in prices), prices)
        words = self.shop.get("/v1/products", q="copper kettle").json()["data"]
        self.assertTrue(words)
        self.assertTrue(all("copper" in (row["name"] + row["description"]).lower() for row in words))

    def test_an_order_is_shown_with_its_customer_and_items(self):
        rows = self.shop.get("/v1/orders", embed=["customer", "items", "payments"], limit=3).json()["data"]
        for row in rows:
            self.assertEqual(row["customer"]["id"], row["customer_id"])
            self.assertTrue(row["items"])
            self.assertEqual({item["order_id"] for item in row["items"]}, {row["id"]})
            cents = sum(item["quantity"] * round(float(item["price"]) * 100) for item in row["items"])
            self.assertEqual(round(float(row["total"]) * 100), cents)

    def with_tokens(self):
        """The shop that trusts a key of this test, and `caller(subject, role)`, which gives the header of a token of it."""
        folder = self.directory()
        made = self.plimsoll("token", "key", "--private", "private.jwk", "--public", "jwks.json", directory=folder)
        self.assertEqual(made.returncode, 0, made.stderr)
        deployment = (EXAMPLES / "shop/plimsoll.yaml").read_text() + "authentication: {bearer: {issuer: shop-test, audience: shop, jwks: jwks.json}}\n"
        shop = self.serve(EXAMPLES / "shop/shop.yaml", deployment, directory=folder)

        def caller(subject, role):
            issued = self.plimsoll("token", "issue", "--key", "private.jwk", "--subject", subject, "--issuer", "shop-test", "--audience", "shop", "--role", role, directory=folder)
            self.assertEqual(issued.returncode, 0, issued.stderr)
            return {"Authorization": "Bearer " + issued.stdout.strip()}

        return shop, caller

    def test_every_role_on_every_operation(self):
        """What each may do follows from the contract's scopes and the deployment's roles alone; here it is worked out a second time."""
        shop, caller = self.with_tokens()
        roles = {"customer": {"orders:read", "orders:write"},
                 "support": {"orders:read", "orders:write", "orders:manage", "items:read", "items:write", "customers:read", "payments:read", "payments:write"},
                 "admin": None, "unheard-of": set()}
        contract = shop.get("/openapi.json").json()
        nobody = "0192f0c1-ffff-7000-8000-000000000000"
        callers = {role: caller(nobody, role) for role in roles}
        asked, wrong = 0, []
        for path, item in contract["paths"].items():
            for method in item.keys() & {"get", "put", "post", "patch", "delete"}:
                security = item[method].get("security", contract["security"])
                scopes = security[0]["bearer"] if security else None
                target = "/v1" + re.sub(r"\{\w+\}", nobody, path)
                body = {} if "requestBody" in item[method] else None
                for role in (None, *roles):
                    status = shop.request(method.upper(), target, body, callers.get(role)).status
                    allowed = scopes is None or role is not None and (roles[role] is None or set(scopes) <= roles[role])
                    expected = status not in (401, 403) if allowed else status == (401 if role is None else 403)
                    asked += 1
                    if not expected or status >= 500:
                        wrong.append(f"{role} {method} {path}: {status}")
        self.assertEqual(wrong, [])
        self.assertGreater(asked, 100)

    def test_strangers_see_the_catalogue_only_and_customers_their_own_orders(self):
        shop, caller = self.with_tokens()
        ada, support = "0192f0c1-0002-7000-8000-000000000007", caller("someone-of-support", "support")
        customer = caller(ada, "customer")
        self.assertEqual(shop.get("/v1/products").status, 200)
        self.assertEqual(shop.get("/v1/orders").status, 401)
        own = shop.get("/v1/orders?limit=200", customer).json()["data"]
        self.assertTrue(own)
        self.assertEqual({order["customer_id"] for order in own}, {ada})
        self.assertGreater(len({order["customer_id"] for order in shop.get("/v1/orders?limit=200", support).json()["data"]}), 10)
        another = next(order["id"] for order in shop.get("/v1/orders?limit=200", support).json()["data"] if order["customer_id"] != ada)
        self.assertEqual([shop.get(f"/v1/orders/{another}", who).status for who in (customer, support)], [404, 200])
        self.assertEqual(shop.patch(f"/v1/orders/{another}", {"note": "mine"}, customer).status, 404)
        for target in ("/v1/customers", "/v1/payments", "/v1/order-items"):
            self.assertEqual([shop.get(target, who).status for who in (customer, support)], [403, 200], target)
        self.assertEqual(shop.post("/v1/reports/sales", headers=support).status, 403)
        self.assertEqual(shop.post("/v1/reports/sales", headers=caller("boss", "admin")).status, 202)

    def test_a_customer_can_neither_price_nor_pay_nor_remove_an_order_and_sees_no_payment(self):
        shop, caller = self.with_tokens()
        ada, support, admin = "0192f0c1-0002-7000-8000-000000000007", caller("someone-of-support", "support"), caller("boss", "admin")
        customer = caller(ada, "customer")
        for body in ({"total": "0.00"}, {"status": "paid"}, {"id": "0192f0c1-ffff-7000-8000-000000000000"}, {"created_at": "2020-01-01T00:00:00Z"}):
            refused = shop.post("/v1/orders", {"customer_id": ada, **body}, customer)
            self.assertEqual((refused.status, refused.code), (400, "invalid"), (body, refused))
        placed = shop.post("/v1/orders", {"customer_id": ada, "note": "Ring."}, customer)
        self.assertEqual((placed.status, placed.json()["status"], placed.json()["total"]), (201, "open", "0.00"), placed)
        order, place = placed.json()["id"], placed.headers["location"]
        for body in ({"total": "0.01"}, {"status": "paid"}, {"customer_id": "0192f0c1-0002-7000-8000-000000000008"}, {"note": "a", "status": "shipped"}):
            self.assertEqual(shop.patch(place, body, customer).status, 400, body)
        self.assertEqual(shop.patch(place, {"note": "Knock."}, customer).status, 200)
        self.assertEqual([shop.patch(place + "/status", {"status": "paid"}, customer).status, shop.delete(place, customer).status], [403, 403])
        self.assertEqual([shop.get(f"{place}?embed={embed}", customer).status for embed in ("items", "payments", "customer")], [403] * 3)
        # The total is what its items say, even to those who may do everything.
        product = shop.get("/v1/products?limit=1").json()["data"][0]["id"]
        items = [{"order_id": order, "line": line, "product_id": product, "quantity": line, "price": "2.35"} for line in (1, 2)]
        self.assertEqual(shop.post("/v1/order-items/batch", items, support).status, 201)
        self.assertEqual(shop.get(place, customer).json()["total"], "7.05")
        paid = shop.post("/v1/payments", {"order_id": order, "method": "card", "amount": "7.05"}, {**support, "Idempotency-Key": "once"})
        self.assertEqual(paid.status, 201, paid)
        self.assertEqual(shop.patch(place + "/status", {"status": "paid"}, support).status, 200)
        self.assertEqual([shop.delete(place, who).status for who in (customer, support, admin)], [403, 409, 409])
        self.assertEqual(shop.get(f"{place}?embed=payments,items", admin).json()["payments"], [paid.json()])

    def test_the_catalogue_comes_from_memory_and_a_write_is_seen(self):
        target = "/v1/products?limit=5&sort=-created_at"
        seen = [self.shop.get(target).headers["cache-status"] for _ in range(2)]
        self.assertIn("hit", seen[1])
        created = self.shop.post("/v1/products", {"name": "Tin whistle", "category": "toys", "price": "4.00"})
        self.assertEqual(self.shop.get(target).json()["data"][0]["id"], created.json()["id"])

    def test_an_order_is_placed_changed_and_removed(self):
        customer = self.shop.get("/v1/customers?limit=1").json()["data"][0]["id"]
        created = self.shop.post("/v1/orders", {"customer_id": customer, "note": "By the back door."})
        self.assertEqual(created.status, 201, created)
        place = created.headers["location"]
        read = self.shop.get(place)
        self.assertEqual(read.json(), created.json())
        self.assertEqual(self.shop.get(place, {"If-None-Match": read.headers["etag"]}).status, 304)
        changed = self.shop.patch(place, {"note": None}, {"If-Match": read.headers["etag"]})
        self.assertEqual((changed.status, changed.json()["note"]), (200, None), changed)
        self.assertEqual(self.shop.patch(place, {"note": "a"}, {"If-Match": read.headers["etag"]}).status, 412)
        cancelled = self.shop.patch(place + "/status", {"status": "cancelled"})
        self.assertEqual((cancelled.status, cancelled.json()["status"]), (200, "cancelled"), cancelled)
        self.assertEqual(self.shop.delete(place).status, 204)
        self.assertEqual(self.shop.get(place).status, 404)

    def test_a_payment_sent_twice_with_a_key_is_made_once(self):
        order = self.shop.get("/v1/orders?status=open&limit=1").json()["data"][0]
        body = {"order_id": order["id"], "method": "card", "amount": order["total"]}
        refused = self.shop.post("/v1/payments", body)
        self.assertEqual((refused.status, refused.json()["policy"]), (400, "idempotency"), refused)
        first = self.shop.post("/v1/payments", body, {"Idempotency-Key": '"a-7"'})
        again = self.shop.post("/v1/payments", body, {"Idempotency-Key": '"a-7"'})
        self.assertEqual((first.status, again.status, again.body), (201, 201, first.body), again)
        self.assertEqual(again.headers["idempotent-replayed"], "true")
        self.assertEqual(self.shop.get("/v1/payments", order_id=order["id"], count="exact").json()["total"], 1)
        other = self.shop.post("/v1/payments", {**body, "amount": "0.01"}, {"Idempotency-Key": '"a-7"'})
        self.assertEqual(other.status, 422)

    def test_a_report_is_made_later_and_downloaded(self):
        accepted = self.shop.post("/v1/reports/sales")
        self.assertEqual(accepted.status, 202, accepted)
        status = harness.until(lambda: (found := self.shop.get(accepted.headers["location"]).json())["status"] == "completed" and found,
                               lambda: repr(self.shop.get(accepted.headers["location"])))
        report = self.shop.get(status["download_url"])
        self.assertEqual(report.headers["content-type"], "text/csv")
        months = {}
        with sqlite3.connect(f"file:{self.shop.directory}/shop.db?mode=ro", uri=True) as database:
            for month, total in database.execute("SELECT substr(created_at, 1, 7), total FROM orders WHERE status IN ('paid', 'shipped')"):
                orders, revenue = months.get(month, (0, decimal.Decimal()))
                months[month] = orders + 1, revenue + decimal.Decimal(total)
        self.assertEqual(report.text.splitlines(), ["month,orders,revenue", *(f"{month},{orders},{revenue}" for month, (orders, revenue) in sorted(months.items()))])

    def test_a_burst_is_refused_before_it_hurts(self):
        shop = serve_shop(self)
        answers = [shop.post("/v1/reports/sales", headers={"X-Forwarded-For": f"192.0.2.{i}"}) for i in range(12)]
        refused = [answer for answer in answers if answer.status == 429]
        self.assertGreaterEqual(len(refused), 6)
        self.assertGreater(int(refused[0].headers["retry-after"]), 0)
        self.assertEqual(refused[0].json()["policy"], "rate-limit")
        self.assertEqual(shop.get("/v1/products?limit=1").status, 200)

    def test_what_breaks_the_contract_is_told_field_by_field(self):
        refused = self.shop.post("/v1/products", {"name": "", "category": "spaceships", "price": "cheap"})
        self.assertEqual(refused.status, 400, refused)
        self.assertEqual({error["pointer"] for error in refused.json()["errors"]}, {"/name", "/category", "/price"})


class Packages(harness.ServerTest):
    """Real data: the package index of this machine."""

    @classmethod
    def setUpClass(cls):
        harness.needs("apt-cache")
        cls.test = cls("test_the_largest_libraries_with_their_dependencies")
        folder = cls.test.directory()
        cls.count = cls.load(folder)
        if cls.count < 10_000 and os.getuid() == 0:  # only what is installed is known here
            subprocess.run(["apt-get", "update"], stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
            cls.count = cls.load(folder)
        if cls.count < 10_000:
            raise unittest.SkipTest("this machine has no package index: apt-get update")
        cls.packages = cls.test.serve(EXAMPLES / "packages/packages.yaml", f"database: {{url: 'sqlite:{folder}/packages.db'}}\n")
        cls.packages.database = folder / "packages.db"

    @staticmethod
    def load(folder):
        """The number of packages loaded."""
        loaded = subprocess.run([EXAMPLES / "packages/load", folder / "packages.db"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        if "No packages are known" in loaded.stderr:
            return 0
        assert loaded.returncode == 0, loaded.stderr
        return int(re.search(r"(\d+) packages", loaded.stdout)[1])

    @classmethod
    def tearDownClass(cls):
        cls.test.doCleanups()

    def test_the_largest_libraries_with_their_dependencies(self):
        page = self.packages.get("/packages?section=libs&sort=-installed_size,name&limit=50&fields=name,version&embed=dependencies")
        self.assertEqual(page.status, 200, page)
        rows = page.json()["data"]
        self.assertEqual(len(rows), 50)
        for row in rows:
            self.assertEqual(set(row), {"name", "version", "dependencies"})
        self.assertTrue(any(row["dependencies"] for row in rows))

    def test_every_package_is_on_one_page(self):
        seen, cursor = set(), None
        while True:
            page = self.packages.get("/packages", sort="installed_size", limit=200, fields="name", **({"cursor": cursor} if cursor else {})).json()
            names = [row["name"] for row in page["data"]]
            self.assertFalse(seen & set(names))
            seen.update(names)
            cursor = page["next_cursor"]
            if not cursor:
                break
        self.assertEqual(len(seen), self.count)

    def test_who_depends_on_libc(self):
        page = self.packages.get("/dependencies", name="libc6", kind="depends", embed="of", limit=5, count="exact").json()
        self.assertGreater(page["total"], 1000)
        self.assertTrue(all(row["of"]["name"] == row["package"] for row in page["data"]))

    def test_search(self):
        page = self.packages.get("/packages", q="chess", limit=200, count="exact").json()
        with sqlite3.connect(f"file:{self.packages.database}?mode=ro", uri=True) as database:
            told = {name for name, summary in database.execute("SELECT name, summary FROM packages") if "chess" in re.split(r"[^a-z0-9]+", f"{name} {summary}".lower())}
        self.assertGreater(len(told), 10)
        self.assertEqual({row["name"] for row in page["data"]}, told)
        self.assertEqual(page["total"], len(told))


OWN = """
openapi: 3.1.0
info: {title: Own parts, version: '1'}
security: []
x-plimsoll: {authorization: any-caller}
paths:
  /greeting:
    get:
      operationId: greet
      x-plimsoll: %s
      responses: {'200': {description: ok, content: {text/plain: {schema: {type: string}}}}}
"""


class ShopInCpp(harness.ServerTest):
    """A program outside the tree that links the installed library."""

    def command(self, *arguments, directory=None):
        done = subprocess.run([str(argument) for argument in arguments], cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=900)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        return done.stdout

    def test_a_program_outside_the_tree_links_the_installed_library(self):
        build = pathlib.Path(os.environ.get("PLIMSOLL_BUILD", harness.ROOT / "build/dev"))
        said = dict(re.findall(r"^(CMAKE_CXX_COMPILER|CMAKE_BUILD_TYPE|PLIMSOLL_SANITIZE):\w+=(.*)$", (build / "CMakeCache.txt").read_text(), re.M))
        folder = self.directory()
        shutil.copytree(EXAMPLES, folder / "examples")
        self.command("cmake", "--install", build, "--prefix", folder / "installed")
        sanitize = f"-fsanitize={said['PLIMSOLL_SANITIZE']}" if said.get("PLIMSOLL_SANITIZE") else ""
        self.command("cmake", "-S", folder / "examples/shop-cpp", "-B", folder / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={folder}/installed",
                     f"-DCMAKE_CXX_COMPILER={said['CMAKE_CXX_COMPILER']}", f"-DCMAKE_CXX_FLAGS={sanitize}", "-DCMAKE_BUILD_TYPE=Debug")
        self.command("ninja", "-j2", "-C", folder / "build")
        self.assertIn("[  PASSED  ]", self.command(folder / "build/shop_test"))

        server = harness.Server(EXAMPLES / "shop/shop.yaml", folder, EXAMPLES / "shop/plimsoll.yaml", ["--dev"], executable=folder / "build/shop", verb=())
        server.arguments.remove(str(EXAMPLES / "shop/shop.yaml"))  # the program knows its contract
        self.addCleanup(self._end, server)
        server.start().authorize()
        product = server.get("/v1/products?limit=1&sort=price").json()["data"][0]
        quote = server.post("/v1/quotes", {"items": [{"product_id": product["id"], "quantity": 3}]})
        self.assertEqual(quote.status, 200, quote)
        self.assertAlmostEqual(float(quote.json()["total"]), 3 * float(product["price"]), 2)
        self.assertEqual(server.get("/v1/exports/orders").body.count(b"\n"), 5000)
        self.assertLessEqual({"/quotes", "/orders/{id}/checkout", "/exports/orders"}, set(server.get("/openapi.json").json()["paths"]))
        self.put_a_photo(server, product["id"])

        self.own_parts(folder, said, sanitize)

    def own_parts(self, folder, said, sanitize):
        """A policy and a way of answering that the program brings are treated like the server's own."""
        build = folder / "own"
        self.command("cmake", "-S", harness.ROOT / "tests/programs/own_parts", "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={folder}/installed",
                     f"-DCMAKE_CXX_COMPILER={said['CMAKE_CXX_COMPILER']}", f"-DCMAKE_CXX_FLAGS={sanitize}", "-DCMAKE_BUILD_TYPE=Debug")
        self.command("ninja", "-C", build)

        def server(extension, environment=None):
            made = harness.Server(harness._laid(OWN % extension, folder / "own/contract.yaml"), folder / "own", executable=build / "own_parts", verb=(), environment=environment)
            made.arguments.remove(str(folder / "own/contract.yaml"))
            self.addCleanup(self._end, made)
            return made

        serving = server("{greeting: Hello, opening-hours: {to: 12}}").start()
        self.assertEqual(serving.get("/greeting", {"hour": "11"}).text, "Hello")
        closed = serving.get("/greeting", {"hour": "12"})
        self.assertEqual((closed.status, closed.json()["code"], closed.json()["detail"]), (403, "shop-closed", "you are not known"))
        self.assertEqual(serving.get("/problems/shop-closed").status, 200)
        refusals = [value for name, value in serving.metrics().items() if name.startswith('plimsoll_policy_decisions_total{policy="opening-hours",operation="greet"')]
        self.assertEqual(sum(refusals), 1)
        for extension, environment, what in (("{greeting: Hello, opening-hours: {too: 12}}", None, 'unknown key "too"; did you mean "to"?'),
                                             ("{greting: Hello}", None, 'did you mean "greeting"?'),
                                             ("{greeting: Hello}", {"BESIDE": "authenticate"}, "beside `authenticate`, which is none of")):
            refused = server(extension, environment)
            harness.Process.start(refused)
            self.assertEqual(refused.wait(), 2, refused.describe())
            self.assertIn(what, refused.output)
        self.own_engine(folder, build)

    def own_engine(self, folder, build):
        """A database engine that the program brings serves its tables (the same file as in rooms_test)."""
        made = harness.Server(harness._laid(rooms_test.NOTES, folder / "own/contract.yaml"), folder / "own", harness._laid("database: {url: 'toy:toys.db', pieces: 3}", folder / "own/plimsoll.yaml"),
                              executable=build / "own_parts", verb=())
        made.arguments.remove(str(folder / "own/contract.yaml"))
        self.addCleanup(self._end, made)
        rooms_test.use_notes(self, made.start())

    def put_a_photo(self, server, product):
        """A C++ handler reads a body as it comes, of any length, and leaves the disk to threads that serve nobody; `fields` is obeyed."""
        harness.needs("strace")
        photo, photos = os.urandom(1 << 20) * 40, server.directory / "photos"
        trace = server.directory / "strace.out"
        tracer = subprocess.Popen(["strace", "-f", "-y", "-e", "trace=fsync,epoll_wait", "-o", str(trace), "-p", str(server.pid)], stderr=subprocess.PIPE, text=True)
        said = tracer.stderr.readline()
        if "attached" not in said:
            tracer.kill()
            self.skipTest(f"strace cannot attach: {said.strip()}")
        resident = lambda: harness.memory(server.pid) >> 20
        memory = resident()
        line = server.connection()
        line.putrequest("PUT", f"/v1/products/{product}/photo?fields=bytes")
        for name, value in {**server.headers, "Content-Type": "image/jpeg", "Content-Length": str(len(photo))}.items():
            line.putheader(name, value)
        line.endheaders()
        line.send(photo[:1 << 20])
        harness.until(lambda: photos.exists() and any(file.stat().st_size for file in photos.iterdir()), "the first piece is written before the rest is sent")
        self.assertEqual(server.get(f"/v1/products/{product}").status, 200)
        line.send(photo[1 << 20:])
        answer = line.getresponse()
        self.assertEqual((answer.status, json.loads(answer.read())), (200, {"bytes": len(photo)}))
        line.close()
        tracer.terminate()
        tracer.communicate(timeout=harness.PATIENCE)
        self.assertEqual((photos / f"{product}.jpg").read_bytes(), photo)
        self.assertEqual(len(list(photos.iterdir())), 1)
        self.assertLess(resident() - memory, 20, f"MiB more for a body of {len(photo) >> 20}")
        calls = re.findall(r"^(\d+) +(fsync|epoll_wait)\((.*)", trace.read_text(), re.M)
        blocked = {thread for thread, call, rest in calls if call == "fsync" and "/photos/" in rest}
        serving = {thread for thread, call, _ in calls if call == "epoll_wait"}
        self.assertTrue(blocked and serving and not blocked & serving, f"fsync on {blocked}, served by {serving}")


def serve_shop(test):
    """The shop with its seed, in a folder of the test's."""
    return test.serve(EXAMPLES / "shop/shop.yaml", EXAMPLES / "shop/plimsoll.yaml", arguments=["--dev"]).authorize()


if __name__ == "__main__":
    harness.main()
