"""A contract on the command line and on the running server: mock, lint, routes, bundle, and the refusal to start."""
import http.server
import json
import os
import pathlib
import threading
import unittest

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Orders, version: '1'}
servers: [{url: /v1}]
components: {securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}}
paths:
  /orders:
    get:
      operationId: listOrders
      summary: Lists
      security: []
      parameters: [{name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100, default: 20}}]
      responses:
        '200':
          description: ok
          content:
            application/json:
              schema: {type: array, maxItems: 100, items: {$ref: 'parts/order.yaml'}}
              examples: {two: {value: [{id: 1}, {id: 2}]}, none: {value: []}}
        4XX: {description: wrong, content: {application/problem+json: {schema: {type: object}}}}
    post:
      operationId: createOrder
      summary: Creates
      security: [{key: []}]
      requestBody: {required: true, content: {application/json: {schema: {$ref: 'parts/order.yaml'}}}}
      responses: {'201': {description: made}, 4XX: {description: wrong, content: {application/problem+json: {}}}}
"""
ORDER = "type: object\nrequired: [id]\nadditionalProperties: false\nproperties: {id: {type: integer, minimum: 1, maximum: 9999}}\n"


class Contracts(harness.ServerTest):
    def folder(self, contract=CONTRACT):
        folder = self.directory()
        (folder / "parts").mkdir()
        (folder / "parts/order.yaml").write_text(ORDER)
        (folder / "contract.yaml").write_text(contract)
        return folder

    def mock(self, contract, folder, *arguments):
        server = harness.Server(contract, folder, arguments=arguments, verb=("mock",))
        self.addCleanup(self._end, server)
        return server.start()

    def test_mock_answers_from_examples_and_checks_requests(self):
        folder = self.folder()
        server = self.mock(folder / "contract.yaml", folder)
        self.assertEqual(server.get("/v1/orders").json(), [{"id": 1}, {"id": 2}])
        self.assertEqual(server.get("/v1/orders", {"Prefer": "example=none"}).json(), [])
        made = server.get("/v1/orders", {"Prefer": "dynamic=true"})
        self.assertTrue(all(1 <= order["id"] <= 9999 for order in made.json()), made)
        self.assertEqual(server.get("/v1/orders", {"Prefer": "dynamic=true"}).json(), made.json())
        self.assertEqual(server.get("/v1/orders", {"Prefer": "code=503"}).code, "mock-no-such-answer")
        self.assertEqual(server.get("/v1/orders?limit=0").code, "invalid")
        self.assertEqual(server.get("/orders").status, 404)
        self.assertEqual(server.request("PUT", "/v1/orders").headers["allow"], "GET, HEAD, OPTIONS, POST")
        refused = server.post("/v1/orders", {"id": 1})
        self.assertEqual(refused.status, 401)
        self.assertIn("www-authenticate", refused.headers)
        self.assertEqual(server.post("/v1/orders", {"id": 1}, {"X-Key": "k"}).status, 201)
        wrong = server.post("/v1/orders", {"id": 0, "more": 1}, {"X-Key": "k"})
        self.assertEqual(wrong.status, 400)
        self.assertEqual({error["pointer"] for error in wrong.json()["errors"]}, {"/id", "/more"})

    def test_mock_answers_as_serve_does(self):
        """The product's own format, the response to an operation that starts a job, and the problem of a missing credential."""
        folder = self.directory()
        (folder / "contract.yaml").write_text("""
openapi: 3.1.0
info: {title: Items, version: '1'}
x-plimsoll: {tables: {items: {schema: '#/components/schemas/Item'}}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Item: {type: object, required: [id, price, weight], properties: {id: {type: integer, readOnly: true}, price: {type: string, format: decimal}, weight: {type: number, format: decimal}}}
paths:
  /items:
    get: {operationId: listItems, security: [{bearer: []}], x-plimsoll: {table: items}, responses: {'200': {description: ok}}}
    post: {operationId: addItem, security: [{bearer: [items]}], x-plimsoll: {table: items, after: {job: report}}, requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Item'}}}},
           responses: {'201': {description: ok}}}
  /reports:
    post: {operationId: report, security: [{bearer: [reports]}], x-plimsoll: {job: report}, responses: {'202': {description: ok}}}
""")
        (folder / "plimsoll.yaml").write_text("database: {url: 'sqlite:items.db'}\njobs: {report: {run: {sql: 'SELECT 1'}}}\n")
        mock = self.mock(folder / "contract.yaml", folder)
        real = self.serve(folder / "contract.yaml", directory=folder, arguments=["--dev"])
        self.assertEqual({server.get("/items").code for server in (mock, real)}, {"unauthenticated"})
        self.assertEqual({server.get("/items").headers["www-authenticate"].split()[0] for server in (mock, real)}, {"Bearer"})
        mock.headers = {"Authorization": "Bearer x.y.z"}
        real.authorize()
        rows = [row for seed in range(20) for row in mock.get(f"/items?limit={seed + 1}", {"Prefer": "dynamic=true"}).json()["data"]]
        self.assertGreater(len(rows), 10)
        for row in rows:
            self.assertEqual(real.post("/items", {"price": row["price"], "weight": row["weight"]}).status, 201, row)
        answers = [server.post("/reports") for server in (mock, real)]
        self.assertEqual([answer.status for answer in answers], [202, 202])
        self.assertEqual([sorted(answer.json()) for answer in answers], [["job_id", "status_url"]] * 2)
        self.assertTrue(all("location" in answer.headers for answer in answers))

    def test_large_contracts_serve_soon_and_within_their_memory(self):
        """1.7 MB each: 300 ms of processor time from the start of the process to the first answer, and 80 MiB. The clock on the wall is
        bench/startup.py's: here other tests run beside."""
        sanitized = any(sign in harness.program().read_bytes() for sign in (b"__asan_init", b"__tsan_init"))
        for name, target in (("box.json", "/2.0/users/me"), ("twilio-api-v2010.yaml", "/2010-04-01/Accounts.json")):
            contract = harness.real(f"contracts/{name}")
            spent = []
            for _ in range(3):
                server = harness.Server(contract, self.directory(), verb=("mock",))
                self.addCleanup(self._end, server)
                server.start()
                self.assertIn(server.get(target, {"Authorization": "Bearer t"}).status, (200, 401))
                processor = pathlib.Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
                spent.append(sum(map(int, processor[11:13])) / os.sysconf("SC_CLK_TCK"))
                memory = harness.memory(server.pid, "VmHWM")
                server.stop()
                if not sanitized:
                    self.assertLess(memory, 80 << 20, name)
            print(f"{name}: first answer after {min(spent) * 1000:.0f} ms of processor time, {memory / 2**20:.0f} MiB")
            if not sanitized:
                self.assertLess(min(spent), 0.3, name)

    def test_lint_says_what_where_and_what_to_do(self):
        folder = self.folder()
        clean = self.plimsoll("lint", folder / "contract.yaml")
        self.assertEqual(clean.returncode, 0, clean.stdout)
        (folder / "contract.yaml").write_text(CONTRACT.replace("[{id: 1}, {id: 2}]", "[{id: 0}]"))
        wrong = self.plimsoll("lint", folder / "contract.yaml", "--format", "json")
        self.assertEqual(wrong.returncode, 1)
        found = [finding for finding in json.loads(wrong.stdout) if finding["rule"] == "example-valid"]
        self.assertEqual(len(found), 1)
        self.assertEqual(found[0]["line"], 19)
        sarif = json.loads(self.plimsoll("lint", folder / "contract.yaml", "--format", "sarif").stdout)
        self.assertEqual(sarif["version"], "2.1.0")
        self.assertEqual(self.plimsoll("lint", folder / "contract.yaml", "--fail-on", "never").returncode, 0)

    def test_what_init_writes_has_no_warnings(self):
        folder = self.directory()
        self.assertEqual(self.plimsoll("init", folder).returncode, 0)
        told = self.plimsoll("lint", folder / "notes.yaml", "--fail-on", "warning")
        self.assertEqual((told.returncode, told.stdout.splitlines()[-1]), (0, "0 errors, 0 warnings, 0 notes"), told.stdout)

    def test_routes_lists_every_operation(self):
        folder = self.folder()
        told = self.plimsoll("routes", folder / "contract.yaml", "--json")
        self.assertEqual([(route["method"], route["path"], route["operation"], route["security"]) for route in json.loads(told.stdout)],
                         [("GET", "/v1/orders", "listOrders", "none"), ("POST", "/v1/orders", "createOrder", "key")])
        self.assertIn("listOrders", self.plimsoll("routes", folder / "contract.yaml").stdout)

    def test_bundle_makes_one_file_that_is_the_same_contract(self):
        folder = self.folder()
        (folder / "overlay.yaml").write_text("overlay: 1.0.0\ninfo: {title: T, version: '1'}\nactions:\n"
                                             "  - {target: $.paths.*.post, remove: true}\n")
        told = self.plimsoll("bundle", folder / "contract.yaml", "--overlay", folder / "overlay.yaml")
        self.assertEqual(told.returncode, 0, told.stderr)
        bundled = json.loads(told.stdout)
        self.assertEqual(list(bundled["paths"]["/orders"]), ["get"])
        self.assertEqual(bundled["components"]["schemas"]["order"]["required"], ["id"])
        alone = self.directory() / "bundled.json"
        alone.write_text(told.stdout)
        self.assertEqual(json.loads(self.plimsoll("bundle", alone).stdout), bundled)

    def test_what_is_warned_about_is_said_beside_what_is_printed(self):
        folder = self.folder()
        (folder / "overlay.yaml").write_text("overlay: 1.0.0\ninfo: {title: T, version: '1'}\nactions:\n"
                                             "  - {target: $.paths.*.patch, remove: true}\n")
        for command in ("bundle", "routes"):
            told = self.plimsoll(command, folder / "contract.yaml", "--overlay", folder / "overlay.yaml")
            self.assertEqual(told.returncode, 0, told.stderr)
            self.assertIn("overlay.yaml:4:14: warning[target-matches-nothing]: the target \"$.paths.*.patch\" matches nothing", told.stderr)
            self.assertNotIn("warning", told.stdout)

    def test_bundle_fetches_what_is_referred_to_when_it_may(self):
        texts = {"/api/common.yaml": "Order: {type: object, required: [id], properties: {id: {$ref: 'types/id.yaml#/Id'}}}\n",
                 "/api/types/id.yaml": "Id: {type: string, maxLength: 36}\n",
                 "/api/file.yaml": "Secret: {$ref: 'file:///etc/hostname'}\n"}

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                text = texts.get(self.path)
                self.send_response(200 if text else 404)
                self.send_header("Content-Length", str(len(text or "")))
                self.end_headers()
                self.wfile.write((text or "").encode())

            def log_message(self, *_):
                pass

        server = harness.HttpListener(("127.0.0.1", 0), Answer)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        folder = self.directory()

        def bundled(reference, *arguments):
            (folder / "api.yaml").write_text("openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths:\n  /a:\n    get:\n      operationId: a\n"
                                             "      responses:\n        '200': {description: d, content: {application/json: {schema: {$ref: '%s'}}}}\n"
                                             % reference.format(port=server.server_port))
            return self.plimsoll("bundle", folder / "api.yaml", *arguments)

        there = "http://127.0.0.1:{port}/api/common.yaml#/Order"
        warned = bundled(there)
        self.assertEqual(warned.returncode, 0)
        self.assertRegex(warned.stderr, r"warning\[network-reference\]: .* leads to the network")
        refused = bundled(there, "--strict")
        self.assertEqual(refused.returncode, 2)
        self.assertRegex(refused.stderr, r"error\[network-reference\]: .* leads to the network")
        self.assertIn("plimsoll bundle --allow-network", refused.stderr)
        made = bundled(there, "--allow-network")
        self.assertEqual(made.returncode, 0, made.stderr)
        schemas = json.loads(made.stdout)["components"]["schemas"]
        self.assertEqual(schemas["Id"]["maxLength"], 36, "what was fetched refers to what lies beside it")
        for reference, said in (("http://127.0.0.1:{port}/api/none.yaml", "cannot be fetched: the answer is 404"),
                                ("http://127.0.0.1:1/api.yaml", "cannot be fetched: "),
                                ("http://127.0.0.1:{port}/api/common.yaml#/None", "cannot be resolved"),
                                ("http://127.0.0.1:{port}/api/file.yaml#/Secret", 'the reference "file:///etc/hostname" leads from the network to a file')):
            with self.subTest(reference):
                told = bundled(reference, "--allow-network")
                self.assertEqual(told.returncode, 2, told.stdout)
                self.assertIn(said, told.stderr)

    def test_bundle_effective_writes_out_what_follows_from_the_tables(self):
        shop = harness.ROOT / "examples/shop/shop.yaml"

        def parameters(*arguments):
            told = self.plimsoll("bundle", shop, *arguments)
            self.assertEqual(told.returncode, 0, told.stderr)
            return {each["name"] for each in json.loads(told.stdout)["paths"]["/customers"]["get"].get("parameters", [])}

        self.assertTrue({"sort", "limit", "cursor"} <= parameters("--effective"))
        self.assertFalse({"sort", "cursor"} & parameters())

    def test_a_faulty_contract_is_refused_with_place_and_remedy(self):
        folder = self.folder(CONTRACT.replace("parts/order.yaml'}}", "parts/ordr.yaml'}}"))
        for command in (["serve"], ["check"], ["mock", "--strict"], ["routes", "--strict"], ["bundle", "--strict"]):
            told = self.plimsoll(*command, folder / "contract.yaml")
            self.assertEqual(told.returncode, 2, command)
            self.assertRegex(told.stderr + told.stdout, r"contract\.yaml:\d+:\d+: error\[[a-z-]+\]: .*ordr\.yaml", command)

    def test_a_start_prints_the_first_errors_and_counts_the_rest(self):
        faults = "".join(f"  /p{number}: {{get: {{security: [], responses: {{'{number}': {{description: no status}}}}}}}}\n" for number in range(1000, 1120))
        folder = self.folder(CONTRACT + faults)
        told = self.plimsoll("serve", folder / "contract.yaml")
        self.assertEqual(told.returncode, 2)
        self.assertEqual(told.stderr.count(": error[invalid-status]: "), 50)
        self.assertIn("\nplimsoll: and 70 more errors\nplimsoll: not started: 120 errors\n", told.stderr)
        server = self.mock(folder / "contract.yaml", folder)
        harness.until(lambda: "more warnings; " in server.output, server.describe)  # it may answer before that is read
        self.assertEqual(server.output.count(": warning[invalid-status]: "), 50)
        self.assertIn("\nplimsoll: and 70 more warnings; `plimsoll lint` shows them all\n", server.output)

    def test_commands_that_serve_no_real_data_tell_faults_and_go_on(self):
        folder = self.folder(CONTRACT.replace("maximum: 100, default: 20", "maximum: 100, default: many")
                             .replace("    post:\n", "    put:\n      responses: {ok: {description: no status}}\n    post:\n"))
        for command in ("routes", "bundle"):
            told = self.plimsoll(command, folder / "contract.yaml")
            self.assertEqual(told.returncode, 0, told.stderr)
            self.assertRegex(told.stderr, r"contract\.yaml:\d+:\d+: warning\[invalid-default\]: .*\"limit\"")
            self.assertRegex(told.stderr, r"contract\.yaml:\d+:\d+: warning\[invalid-status\]: ")
        found = json.loads(self.plimsoll("lint", folder / "contract.yaml", "--format", "json").stdout)
        self.assertEqual({each["severity"] for each in found if each["rule"] in ("invalid-default", "invalid-status")}, {"error"})
        self.assertTrue(any(each["rule"] not in ("invalid-default", "invalid-status") for each in found), "the rest is linted")
        server = self.mock(folder / "contract.yaml", folder)
        self.assertEqual(server.get("/v1/orders").json(), [{"id": 1}, {"id": 2}])
        self.assertEqual(server.get("/v1/orders?limit=0").code, "invalid", "what is right is checked")


if __name__ == "__main__":
    harness.main()
