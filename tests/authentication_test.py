"""Who may do what, on the running server: keys and tokens made by the commands, roles, the limit of bad credentials, --dev."""
import http.server
import json
import os
import re
import subprocess
import threading
import time
import unittest

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Shop, version: '1'}
x-plimsoll:
  tables: {orders: {schema: '#/components/schemas/Order', key: id}}
components:
  securitySchemes:
    bearer: {type: http, scheme: bearer}
    key: {type: apiKey, in: header, name: X-API-Key}
  schemas:
    Order: {type: object, required: [id], properties: {id: {type: string, maxLength: 40}}}
paths:
  /orders:
    get:
      operationId: listOrders
      security: [{bearer: ['orders:read']}, {key: ['orders:read']}]
      x-plimsoll: {table: orders}
      responses: {'200': {description: ok}}
    post:
      operationId: createOrder
      security: [{bearer: ['orders:write']}, {key: ['orders:write']}]
      x-plimsoll: {table: orders}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}
      responses: {'201': {description: made}}
  /public:
    get:
      operationId: public
      security: []
      x-plimsoll: {table: orders}
      responses: {'200': {description: ok}}
"""
CONFIG = """
database: {url: 'sqlite:shop.db'}
authentication: {bearer: {issuer: us, audience: shop, jwks: jwks.json}}
roles: {support: ['orders:read'], admin: ['*']}
"""


class AuthenticationFixture(harness.ServerTest):
    def setUp(self):
        super().setUp()
        self.folder = self.directory()
        self.command("token", "key", "--private", "private.jwk", "--public", "jwks.json")

    def command(self, *arguments, status=0):
        ran = subprocess.run([harness.program(), *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual(ran.returncode, status, ran.stderr)
        return ran.stdout.strip()

    def token(self, *more):
        return "Bearer " + self.command("token", "issue", "--key", "private.jwk", "--subject", "ada", "--issuer", "us", "--audience",
                                         "shop", *more)

    def start(self, config=CONFIG, **more):
        return self.serve(CONTRACT, config=config, directory=self.folder, **more)

    def issuer(self, answer, port=0):
        """A server of keys, which answers with the status and the bytes that `answer(path)` gives. Its port."""
        class Issuer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, keys, *fields = answer(self.path)
                self.send_response(status)
                for name, value in fields:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(keys)

            def log_message(self, *_):
                pass

        made = harness.HttpListener(("127.0.0.1", port), Issuer)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        self.addCleanup(made.server_close)
        self.addCleanup(made.shutdown)
        return made.server_port


class Authentication(AuthenticationFixture):
    def test_a_token_is_issued_for_a_tenant(self):
        issued = self.token("--tenant", "north", "--role", "support").removeprefix("Bearer ")
        claims = json.loads(self.command("token", "verify", "--keys", "jwks.json", issued))["claims"]
        self.assertEqual((claims["sub"], claims["tenant"], claims["roles"]), ("ada", "north", ["support"]))

    def test_every_role_on_every_operation(self):
        server = self.start()
        callers = {None: {}, "support": {"Authorization": self.token("--role", "support")},
                   "admin": {"Authorization": self.token("--role", "admin")}, "nobody": {"Authorization": self.token()},
                   "writer": {"Authorization": self.token("--scope", "orders:write")}}
        expected = {"listOrders": {None: 401, "support": 200, "admin": 200, "nobody": 403, "writer": 403},
                    "createOrder": {None: 401, "support": 403, "admin": 201, "nobody": 403, "writer": 201},
                    "public": {None: 200, "support": 200, "admin": 200, "nobody": 200, "writer": 200}}
        for operation, by_role in expected.items():
            for role, status in by_role.items():
                with self.subTest(operation=operation, role=role):
                    if operation == "createOrder":
                        answer = server.post("/orders", {"id": f"by-{role}"}, callers[role])
                    else:
                        answer = server.get("/orders" if operation == "listOrders" else "/public", headers=callers[role])
                    self.assertEqual(answer.status, status)
                    if status == 401:
                        self.assertIn('Bearer realm="Shop"', answer.headers["www-authenticate"])
                        self.assertEqual(answer.json()["code"], "unauthenticated")
                    if status == 403:
                        self.assertEqual(answer.json()["code"], "forbidden")
                        self.assertIn("insufficient_scope", answer.headers["www-authenticate"])

    def test_a_stranger_learns_nothing_of_the_schema(self):
        server = self.start()
        self.assertEqual(server.post("/orders", {"nonsense": True}).status, 401)
        self.assertEqual(server.post("/orders", {"nonsense": True}, {"Authorization": self.token()}).status, 403)

    def test_a_key_is_made_listed_rotated_and_revoked(self):
        server = self.start()
        key = self.command("keys", "create", "--name", "nightly", "--scope", "orders:read", "--prefix", "shop", "--expires", "90d")
        self.assertRegex(key, r"^shop_[0-9A-Za-z]{36}$")
        self.assertEqual(server.get("/orders", headers={"X-API-Key": key}).status, 200)
        self.assertEqual(server.post("/orders", {"id": "a"}, {"X-API-Key": key}).status, 403)
        (listed,) = json.loads(self.command("keys", "list", "--json"))
        self.assertEqual((listed["name"], listed["state"], listed["scopes"]), ("nightly", "valid", ["orders:read"]))
        self.assertTrue(key.startswith(listed["hint"]))
        self.assertNotIn(key.encode(), (self.folder / "shop.db").read_bytes() + (self.folder / "shop.db-wal").read_bytes())

        fresh = self.command("keys", "rotate", listed["id"])
        self.assertEqual(server.get("/orders", headers={"X-API-Key": key}).status, 200)  # they overlap
        self.assertEqual(server.get("/orders", headers={"X-API-Key": fresh}).status, 200)
        self.command("keys", "revoke", listed["id"])
        harness.until(lambda: server.get("/orders", headers={"X-API-Key": key}).status == 401, "the revoked key is refused")
        self.assertEqual(server.get("/orders", headers={"X-API-Key": fresh}).status, 200)
        self.command("keys", "revoke", listed["id"], status=2)

    def test_keys_that_nobody_could_use_are_not_made_and_a_mistyped_database_is_none(self):
        for wrong, why in ((("--prefix", ""), "never accepted"), (("--name", ""), "needs a name"), (("--prefix", "Ab-"), "is not a valid prefix"), (("--expires", "-1d"), "duration")):
            said = self.plimsoll("keys", "create", "--database", "sqlite:shop.db", *wrong, *(() if "--name" in wrong else ("--name", "n")), directory=self.folder)
            self.assertEqual((said.returncode, said.stdout), (2, ""), wrong)
            self.assertIn(why, said.stderr)
        for command in (("keys", "list"), ("keys", "revoke", "x"), ("keys", "rotate", "x"), ("jobs", "list")):
            for database, why in (("sqlite:shpo.db", "there is no database at shpo.db"), ("mysql://db/shop", "only sqlite: and postgres:")):
                said = self.plimsoll(*command, "--database", database, directory=self.folder)
                self.assertEqual((said.returncode, said.stdout), (2, ""), command)
                self.assertIn(why, said.stderr)
                self.assertIn("help: Name it: --database sqlite:PATH", said.stderr)
        self.assertEqual(list(self.folder.glob("*.db")), [])

    def test_the_list_shows_all_that_a_key_grants_and_a_new_key_is_told_what_nothing_asks_for(self):
        create = lambda *more: self.plimsoll("keys", "create", "--name", "n", "--database", "sqlite:shop.db", *more, directory=self.folder)
        self.assertEqual(create("--tenant", "north", "--subject", "ann", "--scope", "orders:read", "--role", "clerk").returncode, 0)
        self.assertEqual(create().returncode, 0)
        listed = sorted(line.split("  ", 4)[4] for line in self.command("keys", "list", "--database", "sqlite:shop.db").splitlines())
        self.assertEqual(listed, ["n  subject ann  tenant north  scopes orders:read  roles clerk", "n  subject n  tenant -  scopes -  roles -"])
        (self.folder / "shop.yaml").write_text(CONTRACT)
        (self.folder / "roles.yaml").write_text("roles: {support: [orders:read], clerk: []}\n")
        for words, said in ((("--role", "suport", "--config", "roles.yaml"), ['warning[unknown-role]: nothing asks for the role "suport"; did you mean "support"?']),
                            (("--role", "support", "--scope", "order:read", "--config", "roles.yaml"), []),  # nothing is known of the scopes
                            (("--scope", "order:read", "--contract", "shop.yaml"), ['warning[unknown-scope]: nothing asks for the scope "order:read"; did you mean "orders:read"?']),
                            (("--scope", "orders:read", "--scope", "*", "--contract", "shop.yaml"), []),
                            (("--role", "nosuch", "--contract", "shop.yaml", "--config", "roles.yaml"), ['warning[unknown-role]: nothing asks for the role "nosuch"'])):
            done = create(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, "^pk_")
            self.assertEqual([line.removeprefix("plimsoll: ") for line in done.stderr.splitlines() if "warning" in line], said, words)
        missing = create("--contract", "nowhere.yaml")
        self.assertEqual((missing.returncode, missing.stdout), (2, ""))

    def test_a_new_key_pair_replaces_no_other(self):
        folder = self.directory()
        make = lambda private, public: self.plimsoll("token", "key", "--private", private, "--public", public, directory=folder)
        self.assertEqual(make("a.jwk", "jwks.json").returncode, 0)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        for private, public, named in (("b.jwk", "jwks.json", "jwks.json"), ("a.jwk", "b.json", "a.jwk")):
            refused = make(private, public)
            self.assertEqual((refused.returncode, refused.stdout), (2, ""))
            self.assertIn(f"{named} already exists", refused.stderr)
            self.assertEqual({path.name: path.read_bytes() for path in folder.iterdir()}, before)

    def test_a_command_without_a_database_says_what_the_server_uses(self):
        (self.folder / "none.yaml").write_text("listen: ['127.0.0.1:0']\n")
        for command in (("keys", "create", "--name", "n"), ("keys", "list"), ("keys", "revoke", "x"), ("keys", "rotate", "x"), ("jobs", "list"), ("jobs", "show", "x"),
                        ("database", "verify"), ("database", "backup", "to.db"), ("database", "restore", "from.db")):
            said = self.plimsoll(*command, "--config", "none.yaml", directory=self.folder)
            self.assertEqual((said.returncode, said.stdout), (2, ""), command)
            self.assertIn("error[no-database]: no database is named\n", said.stderr)
            self.assertIn("help: A server of shop.yaml whose plimsoll.yaml names no database uses shop.db: write `--database sqlite:shop.db`", said.stderr)

    def test_an_invalid_credential_is_throttled_and_valid_callers_of_its_address_are_served(self):
        server = self.start()
        statuses = [server.get("/orders", headers={"Authorization": "Bearer nonsense"}).status for _ in range(12)]
        self.assertEqual(statuses[:10], [401] * 10)
        self.assertIn(429, statuses[10:])
        self.assertEqual(server.get("/orders", headers={"Authorization": self.token("--role", "admin")}).status, 200)
        refused = server.get("/orders", headers={"Authorization": "Bearer nonsense"})
        self.assertEqual((refused.status, refused.json()["code"]), (429, "authentication-throttled"))
        self.assertGreaterEqual(int(refused.headers["retry-after"]), 1)
        self.assertEqual(server.get("/orders").status, 401)

    def test_without_a_verifier_the_start_is_refused_and_dev_makes_a_key(self):
        ran = subprocess.run([harness.program(), "serve", self.write("contract.yaml", CONTRACT), "--listen", "127.0.0.1:0", "--management",
                              "off"], cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual(ran.returncode, 2)
        self.assertIn("nothing that verifies its tokens", ran.stderr)
        self.assertIn("--dev", ran.stderr)

        server = self.start(config="database: {url: 'sqlite:shop.db'}", arguments=["--dev"])
        self.assertEqual(server.get("/orders").status, 401)
        harness.until(lambda: "X-API-Key: dev_" in server.output, "what was made is printed")
        said = server.output
        self.assertIn("DEVELOPMENT ONLY", said)
        token = re.search(r"Authorization: (Bearer \S+)", said).group(1)
        key = re.search(r"X-API-Key: (\S+)", said).group(1)
        self.assertEqual(server.post("/orders", {"id": "dev"}, {"Authorization": token}).status, 201)
        self.assertEqual(server.get("/orders", headers={"X-API-Key": key}).status, 200)

    def test_an_error_is_said_in_the_challenge_of_the_credential_that_was_sent(self):
        """RFC 6750, section 3; and a start whose tokens may be from any issuer says so."""
        server = self.start("database: {url: 'sqlite:shop.db'}\nauthentication: {bearer: {jwks: jwks.json}}\n")
        self.assertIn("lacks issuer, audience", server.output)
        key = server.get("/orders", headers={"X-API-Key": "pk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
        self.assertEqual((key.status, "error=" in key.headers["www-authenticate"]), (401, False))
        token = server.get("/orders", headers={"Authorization": "Bearer no.such.token"})
        self.assertEqual((token.status, 'error="invalid_token"' in token.headers["www-authenticate"]), (401, True))

    def test_the_caller_of_dev_creates_and_lists_rows_of_a_tenant(self):
        """With its token and its key, in tables whose tenant is text or an integer."""
        for kind, tenant in (("string", "1"), ("integer", 1)):
            with self.subTest(kind):
                contract = CONTRACT.replace("key: id}", "key: id, tenant: shop}").replace("maxLength: 40}", "maxLength: 40}, shop: {type: %s, readOnly: true}" % kind)
                contract = contract[:contract.index("  /public:")]
                self.assertIn("tenant: shop", contract)
                server = self.serve(contract, config="database: {url: 'sqlite:shop.db'}", directory=self.directory(), arguments=["--dev"])
                harness.until(lambda: "X-API-Key: dev_" in server.output, "what was made is printed")
                for name, value in (("Authorization", r"(Bearer \S+)"), ("X-API-Key", r"(\S+)")):
                    shown = {name: re.search(f"{name}: {value}", server.output)[1]}
                    made = server.post("/orders", {"id": name}, shown)
                    self.assertEqual((made.status, made.json()), (201, {"id": name, "shop": tenant}))
                    self.assertIn({"id": name, "shop": tenant}, server.get("/orders", headers=shown).json()["data"])
                server.stop()

    def test_keys_come_from_a_url_and_are_fetched_anew(self):
        published = {"keys": (self.folder / "jwks.json").read_bytes(), "status": 200}
        issuer = self.issuer(lambda _: (published["status"], published["keys"]))
        config = CONFIG.replace("jwks: jwks.json", f"jwks: 'http://127.0.0.1:{issuer}/jwks', refresh: 1s")
        server = self.start(config)
        old = {"Authorization": self.token("--role", "admin")}
        self.assertEqual(server.get("/orders", headers=old).status, 200)
        published["status"] = 500  # the issuer is ill: the keys at hand stay in force
        harness.until(lambda: "keys not refreshed" in server.output, "the failure is logged")
        self.assertEqual(server.get("/orders", headers=old).status, 200)

        server.stop()
        published["status"] = 200
        server = self.start(config)
        for name in ("private.jwk", "jwks.json"):
            (self.folder / name).unlink()
        self.command("token", "key", "--private", "private.jwk", "--public", "jwks.json")
        fresh = {"Authorization": self.token("--role", "admin")}
        self.assertEqual(server.get("/orders", headers=fresh).status, 401)
        published["keys"] = (self.folder / "jwks.json").read_bytes()
        harness.until(lambda: server.get("/orders", headers=old).status != 200, "the old key is gone")
        self.assertEqual(server.get("/orders", headers=fresh).status, 200)

    def test_keys_are_fetched_again_when_their_response_is_no_longer_fresh(self):
        published = {"keys": (self.folder / "jwks.json").read_bytes()}
        fetches = []

        def answer(_):
            fetches.append(time.monotonic())
            return 200, published["keys"], ("Cache-Control", "public, max-age=1")
        server = self.start(CONFIG.replace("jwks: jwks.json", f"jwks: 'http://127.0.0.1:{self.issuer(answer)}/jwks', refresh: 1h"))
        old = {"Authorization": self.token("--role", "admin")}
        self.assertEqual(server.get("/orders", headers=old).status, 200)
        for name in ("private.jwk", "jwks.json"):
            (self.folder / name).unlink()
        self.command("token", "key", "--private", "private.jwk", "--public", "jwks.json")
        published["keys"] = (self.folder / "jwks.json").read_bytes()
        harness.until(lambda: len(fetches) == 2, "the keys are fetched again", patience=2 * harness.PATIENCE)
        harness.until(lambda: server.get("/orders", headers=old).status == 401, "the key that was withdrawn is gone")
        self.assertEqual(len(fetches), 2)
        self.assertGreaterEqual(fetches[1] - fetches[0], 30, "the issuer is not asked more often, whatever it says")

    def test_a_key_file_that_does_not_answer_stops_nothing(self):
        server = self.start(CONFIG.replace("jwks: jwks.json", "jwks: jwks.json, refresh: 1ms") + "threads: 1\n")
        asks = lambda: server.get("/orders", headers={"Authorization": self.token("--role", "admin")}).status
        self.assertEqual(asks(), 200)
        (self.folder / "jwks.json").rename(self.folder / "kept.json")
        os.mkfifo(self.folder / "jwks.json")
        for _ in range(3):  # each token is another, and the file is looked at again
            self.assertEqual(asks(), 200, "the keys at hand stay in force")
        self.assertEqual(server.get("/livez").status, 200)

    def test_a_key_file_that_cannot_be_read_any_more_leaves_the_keys_in_force_and_is_told(self):
        server = self.start(CONFIG.replace("jwks: jwks.json", "jwks: jwks.json, refresh: 1ms"))
        asks = lambda: server.get("/orders", headers={"Authorization": self.token("--role", "admin")}).status
        self.assertEqual(asks(), 200)
        path = self.folder / "jwks.json"
        whole = path.read_bytes()
        told = lambda: [line["why"] for line in server.logged() if line.get("event") == "keys-not-read"]
        for breaks, why in ((lambda: path.write_bytes(b""), "is not JSON"), (lambda: path.write_bytes(whole[:-5]), "is not JSON"), (path.unlink, "No such file"), (path.mkdir, "Is a directory|is no file")):
            before = len(told())
            breaks()
            harness.until(lambda: asks() == 200 and len(told()) > before, lambda: f"{why}: {told()}")
            self.assertRegex(told()[-1], why)
            for _ in range(3):
                self.assertEqual(asks(), 200, "the keys at hand stay in force")
            self.assertEqual(len(told()), before + 1, "once for each change")
        path.rmdir()
        path.write_bytes(whole)
        self.assertEqual(asks(), 200)

    def test_a_start_while_the_issuer_is_down_serves_what_needs_no_token_and_waits_for_the_keys(self):
        issuer = harness.Ports.take()  # nobody listens there
        self.addCleanup(harness.Ports.give_back, issuer)
        server = self.start(CONFIG.replace("jwks: jwks.json", f"jwks: 'http://127.0.0.1:{issuer}/jwks', refresh: 1h"))
        token = {"Authorization": self.token("--role", "admin")}
        refused = server.get("/orders", headers=token)
        self.assertEqual((refused.status, refused.code), (503, "keys-unavailable"), refused)
        self.assertGreaterEqual(int(refused.headers["retry-after"]), 1)
        self.assertEqual((server.get("/orders").status, server.get("/public").status), (401, 200))
        self.assertEqual((server.get("/readyz").status, server.get("/readyz").json()), (503, {"status": "unavailable"}))
        self.assertEqual(harness.fetch(server.management, target="/readyz").json()["lacks"], "the keys that verify tokens")
        said = harness.until(lambda: [line for line in server.logged() if line.get("event") == "no keys to verify tokens"], "it is said aloud")[0]
        self.assertIn(f"127.0.0.1:{issuer}/jwks cannot be had", said["why"])
        self.assertEqual(said["level"], "error")

        keys = (self.folder / "jwks.json").read_bytes()
        self.issuer(lambda _: (200, keys), issuer)
        harness.until(lambda: server.get("/readyz").status == 200, "the keys are fetched without a restart")
        self.assertEqual(server.get("/orders", headers=token).status, 200)

    def test_a_change_that_says_for_nobody_refuses_the_start(self):
        contract = CONTRACT.replace("security: [{bearer: ['orders:write']}, {key: ['orders:write']}]", "security: [{bearer: []}]")
        ran = subprocess.run([harness.program(), "serve", self.write("contract.yaml", contract), "--listen", "127.0.0.1:0", "--management",
                              "off", "--config", self.write("plimsoll.yaml", CONFIG)], cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual(ran.returncode, 2)
        self.assertIn("authorization: any-caller", ran.stderr)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return name


class RateLimit(harness.ServerTest):
    def test_a_burst_until_429_with_all_headers(self):
        contract = CONTRACT.replace("security: []\n      x-plimsoll: {table: orders}",
                                    "security: []\n      x-plimsoll: {table: orders, rate-limit: 5/minute by address}")
        server = self.serve(contract, config="database: {url: 'sqlite:shop.db'}", arguments=["--dev"])
        for left in (4, 3, 2, 1, 0):
            answer = server.get("/public")
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers["ratelimit-policy"], '"address";q=5;w=60')
            self.assertTrue(answer.headers["ratelimit"].startswith(f'"address";r={left};t='), answer.headers["ratelimit"])
            self.assertEqual(answer.headers["x-ratelimit-remaining"], str(left))
        refused = server.get("/public")
        self.assertEqual((refused.status, refused.json()["code"]), (429, "rate-limited"))
        wait = int(refused.headers["retry-after"])
        self.assertEqual(refused.headers["ratelimit"], f'"address";r=0;t={wait}')
        self.assertEqual(refused.json()["retry_after"], wait)
        self.assertEqual(server.get("/problems/rate-limited").status, 200)

    def test_shadow_counts_and_serves(self):
        contract = CONTRACT.replace("security: []\n      x-plimsoll: {table: orders}",
                                    "security: []\n      x-plimsoll: {table: orders, rate-limit: {limit: 1/minute, by: address, mode: shadow}}")
        server = self.serve(contract, config="database: {url: 'sqlite:shop.db'}", arguments=["--dev"])
        self.assertEqual([server.get("/public").status for _ in range(4)], [200] * 4)
        counted = [value for name, value in server.metrics().items()
                   if all(label in name for label in ('policy="rate-limit"', 'operation="public"', 'decision="shadowed"'))]
        self.assertEqual(counted, [3])


if __name__ == "__main__":
    harness.main()
