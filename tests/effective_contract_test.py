"""The served contract promises what the server does: whatever is asked, the status, every header and the body of the response are declared at
`/openapi.json`, and a valid request made from it alone succeeds on every operation.

PLIMSOLL_TORTURE=1 asks more than 20,000 times over all contracts; else 1,500 times. PLIMSOLL_SEED repeats a run. Schemas are judged by ajv, and by
`plimsoll schema validate` where node and ajv are not here.
"""
import collections
import os
import random
import subprocess
import time

import deprecation_test
import files_test
import harness
import import_test
import npm
import tables_test
import tokens
from served_contract import Contract, Judge, judged, judged_undeclared

ASKED = int(os.environ.get("PLIMSOLL_ASKED", "3000" if os.environ.get("PLIMSOLL_TORTURE") else "215"))  # requests to each server
EXAMPLES = harness.ROOT / "examples"
OVERLAY = """
overlay: 1.0.0
info: {title: room for many requests, version: '1'}
actions: [{target: $, update: {x-plimsoll: {rate-limit: [200000/second by address, 1000000/minute by caller]}}}]
"""
PACKAGES = """
PRAGMA foreign_keys = off;
INSERT INTO packages(name, version, section, priority, architecture, maintainer, installed_size, summary) VALUES
  ('libc6', '2.36', 'libs', 'optional', 'amd64', 'GNU Libc', 12, 'C library'), ('sqlite3', '3.40', 'database', 'optional', 'amd64', 'Laszlo', NULL, 'Command line');
INSERT INTO dependencies(id, package, kind, place, alternative, name) VALUES(1, 'sqlite3', 'depends', 1, 1, 'libc6'), (2, 'sqlite3', 'suggests', 2, 1, 'sqlite3-doc');
"""
# Success depends on the moment: a job may have ended before anybody cancels it, or not have begun to make its result.
AT_ITS_TIME = {"reportSalesCancel": 409, "makeReportCancel": 409, "getLabel": 410}


class EffectiveContract(harness.ServerTest):
    def setUp(self):
        self.seed = harness.seed()
        try:
            npm.needs("ajv", "ajv-formats")
        except harness.unittest.SkipTest as why:
            print(f"judged by plimsoll itself: {why}", flush=True)

    def contract_of(self, server):
        told = server.get("/openapi.json")
        self.assertEqual(told.status, 200, told)
        return Contract(told.json(), self.seed)

    # --- the servers ---

    def shop(self):
        return self.serve(EXAMPLES / "shop/shop.yaml", EXAMPLES / "shop/plimsoll.yaml", files={"overlay.yaml": OVERLAY}, arguments=["--dev", "--overlay", "overlay.yaml"]).authorize()

    def packages(self):
        server = self.serve(EXAMPLES / "packages/packages.yaml", "database: {url: 'sqlite:packages.db'}\n", files={"overlay.yaml": OVERLAY}, arguments=["--overlay", "overlay.yaml"])
        subprocess.run(["sqlite3", str(server.directory / "packages.db")], input=PACKAGES, text=True, check=True, timeout=60)
        return server

    def depot(self):
        config = tokens.DEPLOYMENT + "jobs: {report: {run: {sql: 'SELECT 1 AS one', result: {type: text/csv, file: one.csv}}}, noted: {run: {sql: 'SELECT 1'}}}\n"
        server = self.serve(harness.ROOT / "tests/fixtures/effective.yaml", config)
        server.headers = tokens.caller("ada", roles=["developer"])
        return server

    def files(self):
        server = self.serve(files_test.CONTRACT, tokens.DEPLOYMENT)
        server.headers = tokens.caller("ada", "acme")
        return server

    def imports(self):
        return self.serve(import_test.CONTRACT, arguments=["--dev"]).authorize()

    # --- what they promise ---

    def ask(self, server, contract, operation, request):
        """The response; None where the connection ends before one (a refusal before all was sent)."""
        method, target, headers, body = request
        try:
            return server.request(method, target, body, headers)
        except OSError:
            return None

    def hold(self, server, name):
        contract = self.contract_of(server)
        judge = Judge(contract.document, self.directory())
        dice = random.Random(self.seed)
        credentials, server.headers = server.headers, {}
        wrong, seen = [], collections.Counter()
        for number in range(ASKED):
            operation = contract.operations[number % len(contract.operations)] if number < 3 * len(contract.operations) else dice.choice(contract.operations)
            request = contract.request(operation, credentials)
            if number >= 2 * len(contract.operations) and dice.random() < 0.8:
                request = contract.spoiled(operation, request)
            answer = self.ask(server, contract, operation, request)
            if answer is None:
                continue
            seen[answer.status] += 1
            asked = contract.asked(operation, request[0])
            if asked:
                contract.remember(asked, request, answer)
            about = (operation.id, f"{request[0]} {request[1][:200]} {dict((key, value[:60]) for key, value in request[2].items())} {(request[3] or b'')[:200]!r}", answer.status)
            found = judged(asked, answer, judge, about) if asked else judged_undeclared(contract, operation, request[0], answer, judge, about)
            wrong += [(*about, what) for what in found]
        wrong += [(*about[:3], f"{about[3]}: {errors}") for about, errors in judge.verdicts()]
        print(f"{name}: {ASKED} requests, {len(wrong)} violations, statuses {dict(sorted(seen.items()))}", flush=True)
        kinds = collections.Counter(what[3][:90] for what in wrong)
        shown = "\n".join(f"{count} x {kind}" for kind, count in kinds.most_common(40)) + "\n" + "\n".join(map(str, wrong[:8]))
        self.assertFalse(wrong, f"{len(wrong)} violations in {ASKED} requests\n{shown}")
        self.assertGreater(len(seen), 5)

    def test_every_response_of_the_shop_is_declared(self):
        self.hold(self.shop(), "shop")

    def test_every_response_of_the_packages_is_declared(self):
        harness.needs("sqlite3")
        self.hold(self.packages(), "packages")

    def test_every_response_of_the_depot_is_declared(self):
        self.hold(self.depot(), "depot")

    def test_every_response_of_files_of_rows_is_declared(self):
        self.hold(self.files(), "files")

    def test_every_response_of_imports_and_exports_is_declared(self):
        self.hold(self.imports(), "imports")

    def test_every_response_of_contracts_of_other_tests_is_declared(self):
        for name, contract, config in (("tables", tables_test.ENFORCED, tables_test.CONFIG), ("deprecation", deprecation_test.FUTURE, tokens.DEPLOYMENT)):
            with self.subTest(name):
                server = self.serve(contract, config)
                server.headers = tokens.caller("ada")
                self.hold(server, name)

    # --- what it asks for suffices ---

    def succeed(self, server):
        contract = self.contract_of(server)
        credentials, server.headers = server.headers, {}
        failed, lies = {operation.id: "never asked" for operation in contract.operations}, []
        until = time.monotonic() + harness.PATIENCE
        while any(failed.values()) and time.monotonic() < until:
            for operation in contract.operations:
                if not failed[operation.id] and operation.method == "delete":
                    continue
                request = contract.request(operation, credentials)
                answer = self.ask(server, contract, operation, request)
                contract.remember(operation, request, answer)
                # What a first request cannot know is another row: the next one does. What the schemas forbid is a lie of the contract.
                if answer.status in (400, 415, 428) or answer.status == 422 and request[3] is None:
                    lies.append(f"{request[:2]} {request[3]}: {answer.status} {answer.body}"[:1500])
                if not failed[operation.id]:
                    continue
                good = answer.status < 400 or answer.status == AT_ITS_TIME.get(operation.id)
                failed[operation.id] = "" if good else f"{request[:2]} {request[3]}: {answer.status} {answer.body}"
        for operation, told in failed.items():
            if told:
                print(f"{operation}: {told[:1500]}", flush=True)
        self.assertEqual([operation for operation, told in failed.items() if told], [])
        self.assertEqual(lies, [], "valid requests are refused as invalid")

    def test_a_valid_request_made_from_the_contract_of_the_shop_succeeds_on_every_operation(self):
        self.succeed(self.shop())

    def test_a_valid_request_made_from_the_contract_of_the_packages_succeeds_on_every_operation(self):
        harness.needs("sqlite3")
        self.succeed(self.packages())

    def test_a_valid_request_made_from_the_contract_of_the_depot_succeeds_on_every_operation(self):
        self.succeed(self.depot())

    def test_a_valid_request_made_from_the_contract_of_files_of_rows_succeeds_on_every_operation(self):
        self.succeed(self.files())

    def test_a_valid_request_made_from_the_contract_of_imports_succeeds_on_every_operation(self):
        self.succeed(self.imports())

    def test_parameters_that_the_contract_declares_itself_are_served_with_what_the_server_asks_of_them(self):
        listed = self.imports().get("/openapi.json").json()["paths"]["/parts"]["get"]["parameters"]
        schemas = {parameter["name"]: parameter["schema"] for parameter in listed}
        self.assertEqual(schemas["sort"], {"allOf": [{"type": "string"}, {"pattern": "^(sku|-sku|id|-id)(,(sku|-sku|id|-id))*$"}]})
        self.assertEqual(schemas["limit"], {"allOf": [{"type": "integer"}, {"type": "integer", "minimum": 1, "maximum": 100}]})

    def test_how_many_members_a_contract_asks_for_is_promised_where_a_table_describes_the_body(self):
        told = self.shop().get("/openapi.json").json()
        schema = told["paths"]["/customers/{id}"]["patch"]["requestBody"]["content"]["application/merge-patch+json"]["schema"]
        self.assertIn({"minProperties": 1}, schema["allOf"])

    # --- who may read it ---

    def test_callers_do_not_see_what_is_for_operators(self):
        server = self.depot()
        public, operators = server.get("/openapi.json"), harness.fetch(server.management, target="/openapi.json")
        self.assertNotIn("x-plimsoll", public.text)
        self.assertEqual(operators.json()["x-plimsoll"]["tables"]["boxes"]["owner"], "keeper")
        bundled = self.plimsoll("bundle", "--effective", harness.ROOT / "tests/fixtures/effective.yaml")
        self.assertEqual(harness.json.loads(bundled.stdout), operators.json())
        self.assertEqual(server.get("/openapi.json", {"If-None-Match": public.headers["etag"]}).status, 304)
        self.assertEqual(self.plimsoll("lint", "--fail-on", "never", self.kept(public.text)).returncode, 0)

    def kept(self, text):
        path = self.directory() / "served.json"
        path.write_text(text)
        return path

    def test_openapi_and_docs_are_public_for_authenticated_callers_or_off(self):
        contract = (harness.ROOT / "tests/fixtures/effective.yaml").read_text()
        config = tokens.DEPLOYMENT + "jobs: {report: {run: {sql: 'SELECT 1'}}, noted: {run: {sql: 'SELECT 1'}}}\n"
        ada = tokens.caller("ada")

        def statuses(words):
            server = self.serve(contract.replace("x-plimsoll:\n", f"x-plimsoll:\n  {words}\n", 1), config)
            found = [server.get(page, who).status for page in ("/openapi.json", "/docs", "/docs/page.css") for who in ({}, {"Authorization": "Bearer no"}, ada)]
            self.assertEqual(harness.fetch(server.management, target="/openapi.json").status, 200)
            told = server.get("/openapi.json")
            self.assertEqual("www-authenticate" in told.headers, told.status == 401)
            return found

        self.assertEqual(statuses("openapi: public"), [200] * 9)
        self.assertEqual(statuses("openapi: authenticated"), [401, 401, 200] * 3)
        self.assertEqual(statuses("openapi: authenticated\n  docs: public"), [401, 401, 200] + [200] * 6)
        self.assertEqual(statuses("docs: off"), [200] * 3 + [404] * 6)
        self.assertEqual(statuses("openapi: off"), [404] * 9)
        self.assertIn("one of public, authenticated, off is expected", self.refused(contract.replace("x-plimsoll:\n", "x-plimsoll:\n  openapi: publik\n", 1), config))


if __name__ == "__main__":
    harness.main()
