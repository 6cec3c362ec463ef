"""Several versions of an API in one process: chosen by base path or by header, each compiled for itself, with one database, one set of limits and
one lifetime (docs/versions.md)."""
import json
import pathlib
import re
import threading

import harness
import http2_client

SHOP = pathlib.Path(__file__).resolve().parent.parent / "examples" / "shop"
GONE = "deprecated: true\n      x-plimsoll: {table: products, deprecated-since: 2019-01-01, sunset: 2020-01-01, after-sunset: gone%s}"


def shop(version, base="/v1", header="", page=20, gone="", old_product=False):
    """The shop with another version, base path, number of products on a page and, if wanted, an operation that has ended."""
    text = (SHOP / "shop.yaml").read_text()
    text = text.replace("version: 1.0.0", f"version: '{version}'", 1).replace("url: /v1", f"url: {base}", 1)
    text = text.replace("page: {default: 20, max: 100}", f"page: {{default: {page}, max: 100}}", 1)
    if header:
        text = text.replace("x-plimsoll:\n", f"x-plimsoll:\n  version: {{header: API-Version{header if header != '-' else ''}}}\n", 1)
    if old_product:
        text, made = re.subn(r"(operationId: getProduct\n.*?)x-plimsoll: [^\n]*", lambda found: found[1] + GONE % gone, text, count=1, flags=re.S)
        assert made == 1
    return text


def small(version, base, tables="", paths="", schemas="", header="", rest=""):
    """A contract of its own, as YAML."""
    return f"""
openapi: 3.1.0
info: {{title: Small, version: '{version}'}}
servers: [{{url: {base}}}]
x-plimsoll:
  authorization: any-caller
  rate-limit: off
{f"  version: {{header: {header}}}" if header else ""}
{rest}
  tables:
    notes:
      schema: '#/components/schemas/Note'
      key: id
{tables}
paths:
  /notes:
    get:
      operationId: listNotes
      x-plimsoll: {{table: notes}}
      responses: {{'200': {{description: ok}}}}
    post:
      operationId: createNote
      x-plimsoll: {{table: notes, idempotency: optional}}
      requestBody: {{content: {{application/json: {{schema: {{$ref: '#/components/schemas/Note'}}}}}}}}
      responses: {{'201': {{description: ok}}}}
{paths}
components:
  schemas:
    Note:
      type: object
      required: [id, text]
      properties:
        id: {{type: string, format: uuid, readOnly: true}}
        text: {{type: string}}
{schemas}
"""


NUMBERED = """
openapi: 3.1.0
info: {title: Numbered, version: '%(version)s'}
servers: [{url: /v%(version)s}]
x-plimsoll: {authorization: any-caller, rate-limit: off, mock: {}}
paths:
  /number:
    get:
      operationId: number
      responses: {'200': {description: ok, content: {application/json: {example: {version: %(version)s, plan: %(plan)d}}}}}
"""


class Versions(harness.ServerTest):
    def both(self, first, second, config=None, arguments=(), shop=False, **more):
        """A server of two contracts, `v1.yaml` and `v2.yaml`, that is not started yet."""
        directory = self.directory()
        if shop:
            config = (SHOP / "plimsoll.yaml").read_text()
            (directory / "migrations").mkdir()
            for file in (SHOP / "migrations").iterdir():
                (directory / "migrations" / file.name).write_text(file.read_text())
        for name, text in (("v1.yaml", first), ("v2.yaml", second)):
            (directory / name).write_text(text)
        return self.server(directory / "v1.yaml", config, arguments=(directory / "v2.yaml", *arguments), directory=directory, **more)

    def serve_both(self, *texts, **more):
        server = self.both(*texts, **more).start()
        return server.authorize() if "--dev" in more.get("arguments", ()) else server

    def refuse_both(self, *texts, **more):
        server = self.both(*texts, **more)
        harness.Process.start(server)
        self.assertEqual(server.wait(), 2, server.describe())
        return server.output.replace(f"{server.directory}/", "")

    def reload(self, server, name, text, status=200):
        beside = server.directory / (name + ".new")
        beside.write_text(text)
        beside.rename(server.directory / name)
        answer = harness.fetch(server.management, "POST", "/reload")
        self.assertEqual(answer.status, status, answer.text)
        return answer.json()

    def check_shop(self, server, v1, v2):
        """`v1` and `v2` ask one of the versions: a page has 20 products in the first and 5 in the second."""
        # Cached responses are of one version, and both are old once either has written.
        for _ in range(2):
            self.assertEqual([len(ask("GET", "/products").json()["data"]) for ask in (v1, v2)], [20, 5])
        self.assertTrue(all("hit" in ask("GET", "/products").headers["cache-status"] for ask in (v1, v2)))
        made = v1("POST", "/products", {"name": "Made in the first", "category": "kitchen", "price": "1.00", "stock": 1})
        self.assertEqual(made.status, 201, made.text)
        self.assertNotIn("hit", v2("GET", "/products").headers["cache-status"])
        seen = v2("GET", f"/products/{made.json()['id']}")
        self.assertEqual((seen.status, seen.json()["name"]), (200, "Made in the first"))
        # A limit is one where it has one name: 5 in a minute over both.
        self.assertEqual([ask("POST", "/reports/sales").status for ask in (v1, v2, v1, v2, v1, v2, v1)], [202] * 5 + [429] * 2)
        # What has ended in one version has not in the other.
        gone = v1("GET", f"/products/{made.json()['id']}")
        self.assertEqual((gone.status, gone.code), (410, "operation-gone"))
        # Health is that of the process.
        self.assertEqual(server.get("/healthz").json(), {"status": "ok"})

    @harness.engines("sqlite", why="the migrations of the shop are for SQLite")
    def test_versions_by_base_path_share_the_database_and_the_limits_and_no_cached_response(self):
        server = self.serve_both(shop(1, "/v1", old_product=True, gone=", successor: '/v2/products/{id}'"), shop(2, "/v2", page=5), shop=True,
                                 arguments=("--dev",))

        def of(base):
            return lambda method, path, body=None: server.request(method, base + path, body)

        self.check_shop(server, of("/v1"), of("/v2"))
        self.assertIn('</v2/products/1>; rel="successor-version"', server.get("/v1/products/1").headers["link"])
        for base, version in (("/v1", "1"), ("/v2", "2")):
            self.assertEqual(server.get(base + "/openapi.json").json()["info"]["version"], version)
            self.assertIn("<html", server.get(base + "/docs").text)
            self.assertEqual(server.get(base + "/problems/not-found").status, 200)
            self.assertEqual(server.get(base + "/nothing").code, "not-found")
            self.assertEqual(server.get(base + "/healthz").status, 404)
        unknown = server.get("/v3/products")
        self.assertEqual((unknown.status, unknown.code, unknown.json()["detail"]), (404, "not-found", "The versions of this API are at /v1 and /v2."))
        self.assertEqual(server.get("/v22/products").status, 404)
        self.assertEqual(server.get("/problems/not-found").status, 200)
        for path in ("/versions", "/docs"):
            self.assertIn('href="/v2/docs"', server.get(path).text)
        self.assertIn("/v2, documentation at http://", server.output)
        metrics = server.metrics()
        self.assertEqual(metrics["plimsoll_plans"], 1)
        self.assertGreater(metrics['plimsoll_deprecated_requests_total{operation="getProduct",caller="anonymous",version="/v1"}']
                           + metrics.get('plimsoll_deprecated_requests_total{operation="getProduct",caller="developer",version="/v1"}', 0), 0)
        self.assertTrue(any('operation="listProducts"' in name and 'version="/v2"' in name for name in metrics))
        self.assertTrue(any(line.get("operation") == "listProducts" and line.get("version") == "/v2" for line in server.logged()))

    @harness.engines("sqlite", why="the migrations of the shop are for SQLite")
    def test_versions_by_header_are_told_apart_at_one_address(self):
        server = self.serve_both(shop(1, header=", default: true", old_product=True), shop(2, header="-", page=5), shop=True, arguments=("--dev",))

        def of(version):
            return lambda method, path, body=None: server.request(method, "/v1" + path, body, {"API-Version": version})

        self.check_shop(server, of("1"), of("2"))
        self.assertEqual(len(server.get("/v1/products").json()["data"]), 20)  # the default
        for version in ("1", "2"):
            answer = of(version)("GET", "/products")
            self.assertIn("api-version", answer.headers["vary"])
            self.assertEqual(of(version)("GET", "/openapi.json").json()["info"]["version"], version)
            # A browser that opens a page sends no header.
            self.assertEqual(server.get(f"/versions/{version}/openapi.json").json()["info"]["version"], version)
            self.assertIn("<html", server.get(f"/versions/{version}/docs").text)
        # Two streams of one HTTP/2 connection are of different versions.
        with http2_client.Client(server.port) as client:
            for stream, version in ((1, "2"), (3, "1"), (5, "9")):
                client.send(http2_client.request(stream, http2_client.head(path="/v1/problems", more=[("api-version", version)])))
            self.assertEqual([client.answer(stream)[0] for stream in (1, 3, 5)], [200, 200, 400])
        harness.until(lambda: {"1", "2"} <= {line.get("version") for line in server.logged() if line.get("path") == "/v1/problems"},
                      "a line of log of either version")
        for value in ("3", "1.0", ""):
            unknown = server.get("/v1/products", {"API-Version": value} if value else {"API-Version": "1, 2"})
            self.assertEqual((unknown.status, unknown.code), (400, "unknown-version"))
            self.assertIn("the versions are 1 and 2.", unknown.json()["detail"])
            self.assertIn("api-version", unknown.headers["vary"])
        self.assertIn(b"400 Bad Request", server.raw(b"GET /v1/products HTTP/1.1\r\nHost: a\r\nAPI-Version: 1\r\nAPI-Version: 2\r\nConnection: close\r\n\r\n"))

    def test_without_a_default_the_header_is_needed_and_a_preflight_needs_none(self):
        mocked = NUMBERED.replace("mock: {}", "mock: {}, cors: 'https://app.example', version: {header: API-Version, value: %(value)s}").replace("/v%(version)s", "/api")
        server = self.serve_both(mocked % {"version": 1, "plan": 1, "value": "2024-01-01"}, mocked % {"version": 2, "plan": 1, "value": "beta"})
        for value, version in (("2024-01-01", 1), ("beta", 2)):
            self.assertEqual(server.get("/api/number", {"API-Version": value}).json()["version"], version)
        missing = server.get("/api/number")
        self.assertEqual((missing.status, missing.json()["detail"]), (400, "The header API-Version is missing; the versions are 2024-01-01 and beta."))
        preflight = server.request("OPTIONS", "/api/number", headers={"Origin": "https://app.example", "Access-Control-Request-Method": "GET"})
        self.assertEqual((preflight.status, preflight.headers["access-control-allow-origin"]), (204, "https://app.example"))
        self.assertEqual(server.get("/api/docs").code, "unknown-version")
        self.assertEqual(server.get("/versions/beta/docs").status, 200)

    def test_an_idempotency_key_of_one_version_is_never_answered_with_the_response_of_another(self):
        server = self.serve_both(small(1, "/api", header="API-Version"), small(2, "/api", header="API-Version"), "database: {url: 'sqlite:notes.db'}\n")
        key = {"Idempotency-Key": "k1"}
        first = server.post("/api/notes", {"text": "a"}, {**key, "API-Version": "1"})
        self.assertEqual(first.status, 201, first.text)
        self.assertEqual(server.post("/api/notes", {"text": "a"}, {**key, "API-Version": "1"}).headers["idempotent-replayed"], "true")
        self.assertEqual(server.post("/api/notes", {"text": "a"}, {**key, "API-Version": "2"}).status, 422)
        self.assertEqual(len(server.get("/api/notes", {"API-Version": "2"}).json()["data"]), 1)

    def test_tables_have_what_any_version_needs_of_them(self):
        one = small(1, "/v1", schemas="        colour: {type: string}\n", tables="      filters: {colour: [eq]}\n")
        two = small(2, "/v2", schemas="        size: {type: integer}\n", tables="      filters: {size: [ge]}\n      sort: [size]\n")
        server = self.serve_both(one, two, "database: {url: 'sqlite:notes.db'}\n")
        self.assertEqual(server.post("/v1/notes", {"text": "a", "colour": "red"}).status, 201)
        self.assertEqual(server.post("/v2/notes", {"text": "b", "size": 3}).status, 201)
        self.assertEqual([row["text"] for row in server.get("/v1/notes").json()["data"]], ["a", "b"])
        self.assertEqual([row["text"] for row in server.get("/v2/notes", sort="-size").json()["data"]], ["b", "a"])
        self.assertNotIn("size", server.get("/v1/notes").text)
        self.assertEqual(server.get("/v2/notes", size="1").status, 400)
        self.assertEqual([row["text"] for row in server.get("/v1/notes", colour="red").json()["data"]], ["a"])
        self.assertEqual(server.stop(), 0)
        server.restart()
        self.assertEqual(len(server.get("/v2/notes").json()["data"]), 2)
        self.assertNotIn("warning", server.output)

    @harness.engines("sqlite", why="it looks at the files of SQLite")
    def test_migrations_of_all_versions_make_what_a_start_of_all_makes(self):
        one = small(1, "/v1", schemas="        colour: {type: string}\n", tables="      filters: {colour: [eq]}\n")
        two = small(2, "/v2", schemas="        size: {type: integer}\n", tables="      sort: [size]\n")
        directory = self.directory()
        (directory / "v1.yaml").write_text(one)
        (directory / "v2.yaml").write_text(small(2, "/v2"))
        migrate = lambda *words: self.plimsoll("migrate", *words, "v1.yaml", "v2.yaml", directory=directory)
        self.assertEqual(migrate("new", "tables").stdout, "wrote migrations/0001_tables.sql\n")
        (directory / "v2.yaml").write_text(two)
        self.assertEqual(migrate("new", "size").stdout, "wrote migrations/0002_size.sql\n")
        text = (directory / "migrations/0002_size.sql").read_text()
        self.assertIn('ADD COLUMN "size"', text)
        self.assertNotIn('ADD COLUMN "colour"', text)
        self.assertEqual(migrate("up").stdout, "applied 0001_tables\napplied 0002_size\n")
        self.assertEqual(re.findall(r"^(\w+) +(\w+)", migrate("status").stdout, re.M), [("applied", "0001_tables"), ("applied", "0002_size")])
        self.assertEqual([path.name for path in directory.glob("*.db")], ["v1.db"], "as `serve v1.yaml v2.yaml` calls it")
        nothing = migrate("new", "nothing")
        self.assertEqual((nothing.returncode, (directory / "migrations/0003_nothing.sql").read_text().count("\n")), (0, 1), nothing.stderr)
        server = self.serve(directory / "v1.yaml", directory=directory, arguments=(directory / "v2.yaml",))
        self.assertEqual(server.post("/v1/notes", {"text": "a", "colour": "red"}).status, 201)
        self.assertEqual(server.post("/v2/notes", {"text": "b", "size": 3}).status, 201)
        (directory / "v2.yaml").write_text(two.replace("size: {type: integer}", "colour: {type: integer}").replace("sort: [size]", "sort: [colour]"))
        refused = migrate("new", "more")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("error[versions-disagree]", refused.stderr)

    def test_a_job_that_one_version_starts_is_run(self):
        job = """
  /copies:
    post:
      operationId: copy
      x-plimsoll: {job: copy}
      requestBody: {content: {application/json: {schema: {type: object, required: [%s], properties: {%s: {type: string}}}}}}
      responses: {'202': {description: accepted}}
"""
        config = "database: {url: 'sqlite:notes.db'}\njobs: {copy: {run: {sql: \"INSERT INTO marks(id, text) VALUES(:run.job_id, :body.mark)\"}}}\n"
        marks = """    marks:
      schema: '#/components/schemas/Mark'
      key: id
"""
        mark = """    Mark: {type: object, required: [id, text], properties: {id: {type: string, readOnly: true, format: uuid}, text: {type: string}}}
"""
        listed = """
  /marks:
    get:
      operationId: listMarks
      x-plimsoll: {table: marks}
      responses: {'200': {description: ok}}
"""
        server = self.serve_both(small(1, "/v1"), small(2, "/v2", tables=marks, paths=listed + job % ("mark", "mark"), schemas=mark), config)
        begun = server.post("/v2/copies", {"mark": "done"})
        self.assertEqual(begun.status, 202, begun.text)
        harness.until(lambda: server.get(begun.headers["location"]).json()["status"] == "completed", server.describe)
        self.assertEqual([row["text"] for row in server.get("/v2/marks").json()["data"]], ["done"])

    def test_a_reload_under_load_changes_one_version_and_never_the_other(self):
        server = self.serve_both(NUMBERED % {"version": 1, "plan": 0}, NUMBERED % {"version": 2, "plan": 0}, "threads: 2\n")
        span, over, faults, made = [0, 0], threading.Event(), [], [0, 0]

        def ask(version):
            connection = server.connection()
            while not over.is_set():
                least = span[0]
                answer = server.request("GET", f"/v{version}/number", connection=connection)
                told = answer.json() if answer.status == 200 else {}
                made[version - 1] += 1
                if told.get("version") != version or not (told["plan"] == 0 if version == 1 else least <= told["plan"] <= span[1]):
                    faults.append((version, answer.status, answer.text, least))
            connection.close()

        threads = [threading.Thread(target=ask, args=(version,), daemon=True) for version in (1, 2)]
        for thread in threads:
            thread.start()
        for number in range(1, 11):
            span[1] = number
            told = self.reload(server, "v2.yaml", NUMBERED % {"version": 2, "plan": number})
            span[0] = number
            self.assertEqual(told["operations"]["changed"], ["/v2 number"])
            before = list(made)
            harness.until(lambda: faults or all(now > then + 2 for now, then in zip(made, before)), "requests between two reloads")
        over.set()
        for thread in threads:
            thread.join(30)
        self.assertEqual(faults[:5], [])
        # All or none: what is wrong in one of them changes neither.
        self.reload(server, "v1.yaml", NUMBERED % {"version": 1, "plan": 99})
        (server.directory / "v1.yaml").write_text(NUMBERED % {"version": 1, "plan": 100})
        refused = self.reload(server, "v2.yaml", NUMBERED.replace("/v%(version)s", "/v1") % {"version": 2, "plan": 100}, 422)
        self.assertIn("v1.yaml:", refused["detail"])
        self.assertEqual([server.get(f"/v{version}/number").json()["plan"] for version in (1, 2)], [99, 10])
        harness.until(lambda: server.metrics()["plimsoll_plans"] == 1, "what was replaced is gone")

    def test_versions_that_cannot_be_told_apart_are_refused_with_both_files(self):
        told = self.refuse_both(small(1, "/api"), small(2, "/api"))
        self.assertIn("v2.yaml:4:", told)
        self.assertIn("the base path /api of v2.yaml is that of v1.yaml:4, and no header distinguishes them", told)
        told = self.refuse_both(small(1, "/api"), small(2, "/api/v2"))
        self.assertIn("the base path /api/v2 of v2.yaml overlaps with /api of v1.yaml:4", told)
        told = self.refuse_both(small(1, "/api", header="API-Version"), small(1, "/api", header="API-Version"))
        self.assertIn('the version "1" of v2.yaml is also that of v1.yaml:8', told)
        told = self.refuse_both(small(1, "/api", header="API-Version"), small(2, "/api", header="Version"))
        self.assertIn("they do not choose by the same header", told)
        told = self.refuse_both(small("a b", "/api", header="API-Version"), small(2, "/api", header="API-Version"))
        self.assertIn('"a b" cannot be a version', told)

    def test_tables_that_versions_declare_differently_are_refused_with_both_places(self):
        one = small(1, "/v1", schemas="        size: {type: integer}\n")
        two = small(2, "/v2", schemas="        size: {type: string}\n")
        config = "database: {url: 'sqlite:notes.db'}\n"
        told = self.refuse_both(one, two, config)
        self.assertRegex(told, r'v2\.yaml:\d+:\d+: error\[versions-disagree\]: table "notes" is also declared at v1\.yaml:\d+, and column "size" is text there and an '
                               r'integer in the other')
        told = self.refuse_both(small(1, "/v1"), small(2, "/v2", tables="      owner: text\n"), config)
        self.assertIn('its `owner` is "text" there and none in the other', told)

    def test_a_column_that_only_a_later_version_declares_is_missing_at_its_place(self):
        folder = self.directory()
        (folder / "v1.yaml").write_text(small("1", "/v1"))
        (folder / "plimsoll.yaml").write_text("database: {url: 'sqlite:n.db'}\n")
        self.server(folder / "v1.yaml", folder / "plimsoll.yaml", directory=folder).start().stop()
        later = small("2", "/v2").replace("      properties:", "      properties:\n        phone: {type: string}", 1)
        self.assertIn("phone", later)
        (folder / "v2.yaml").write_text(later)
        line = later[:later.index("phone:")].count("\n") + 1
        checked = self.plimsoll("check", "--database", "v1.yaml", "v2.yaml", directory=folder)
        said = checked.stdout + checked.stderr
        self.assertRegex(said, rf'v2\.yaml:{line}:\d+: error\[table-disagrees\]: table "notes" has no column "phone"')

    def test_a_column_that_only_a_later_version_declares_disagrees_at_its_place(self):
        """Its type is changed after the table is made."""
        folder = self.directory()
        (folder / "plimsoll.yaml").write_text("database: {url: 'sqlite:n.db'}\n")
        (folder / "v1.yaml").write_text(small("1", "/v1"))
        later = small("2", "/v2").replace("      properties:", "      properties:\n        phone: {type: string}", 1)
        (folder / "v2.yaml").write_text(later)
        self.server(folder / "v1.yaml", folder / "plimsoll.yaml", arguments=(folder / "v2.yaml",), directory=folder).start().stop()
        (folder / "v2.yaml").write_text(later.replace("phone: {type: string}", "phone: {type: integer}"))
        line = later[:later.index("phone:")].count("\n") + 1
        checked = self.plimsoll("check", "v1.yaml", "v2.yaml", directory=folder)
        self.assertEqual(checked.returncode, 2, checked.stdout)
        self.assertRegex(checked.stderr, rf'v2\.yaml:{line}:\d+: error\[table-disagrees\]: column "phone" of table "notes" is TEXT, which cannot hold')

    def test_commands_take_several_contracts(self):
        directory = self.directory()
        for number in (1, 2):
            (directory / f"v{number}.yaml").write_text(NUMBERED % {"version": number, "plan": 1})
        checked = self.plimsoll("check", "v1.yaml", "v2.yaml", directory=directory)
        self.assertEqual((checked.returncode, checked.stdout), (0, "plimsoll: Numbered 1 would be served: 1 operation\nplimsoll: Numbered 2 would be served: 1 operation\n"))
        routes = self.plimsoll("routes", "v1.yaml", "v2.yaml", "--json", directory=directory)
        self.assertEqual([(each["contract"], each["path"]) for each in json.loads(routes.stdout)], [("v1.yaml", "/v1/number"), ("v2.yaml", "/v2/number")])
        self.assertIn("v2.yaml: Numbered 2\n", self.plimsoll("routes", "v1.yaml", "v2.yaml", directory=directory).stdout)


if __name__ == "__main__":
    harness.main()
