"""Keys of several columns: rows that are parts of other rows, on the running server."""
import json
import sqlite3

import harness

CONFIG = "database: {url: 'sqlite:shop.db'}\n"
BODY = "requestBody: {content: {application/json: {schema: {type: %s}}}}"
ORDER = "{name: order_id, in: path, required: true, schema: {type: integer}}"
LINE = "{name: line, in: path, required: true, schema: {type: string}}"


def contract(key="[order_id, line]", on="[order_id, line]", more=""):
    return f"""
openapi: 3.1.0
info: {{title: Shop, version: 1.0.0}}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    orders:
      schema: '#/components/schemas/Order'
      embeds: {{lines: {{table: order_lines, by: order_id, limit: 2}}}}
    order_lines:
      schema: '#/components/schemas/OrderLine'
      key: {key}
      filters: {{sku: [eq]}}
      sort: [quantity]
      search: [sku]
      {more}
      embeds: {{returns: {{table: returns, by: {on}}}, order: {{table: orders, on: order_id}}}}
    returns:
      schema: '#/components/schemas/Return'
      embeds: {{of: {{table: order_lines, on: {on}}}}}
components:
  schemas:
    Order:
      type: object
      required: [id]
      properties: {{id: {{type: integer, readOnly: true}}, note: {{type: string}}}}
    OrderLine:
      type: object
      required: [order_id, line, sku]
      properties:
        order_id: {{type: integer}}
        line: {{type: string, minLength: 1}}
        sku: {{type: string}}
        quantity: {{type: integer, default: 1}}
    Return:
      type: object
      required: [id]
      properties:
        id: {{type: integer, readOnly: true}}
        order_id: {{type: [integer, 'null']}}
        line: {{type: [string, 'null']}}
paths:
  /orders:
    post: {{operationId: createOrder, x-plimsoll: {{table: orders}}, {BODY % "object"}, responses: {{'201': {{description: made}}}}}}
  /orders/{{id}}:
    parameters: [{{name: id, in: path, required: true, schema: {{type: integer}}}}]
    get: {{operationId: getOrder, x-plimsoll: {{table: orders}}, responses: {{'200': {{description: it}}}}}}
    delete: {{operationId: removeOrder, x-plimsoll: {{table: orders}}, responses: {{'204': {{description: gone}}}}}}
  /orders/{{order_id}}/lines:
    parameters: [{ORDER}]
    get: {{operationId: listLines, x-plimsoll: {{table: order_lines}}, responses: {{'200': {{description: page}}}}}}
    post: {{operationId: createLine, x-plimsoll: {{table: order_lines, idempotency: optional}}, {BODY % "object"}, responses: {{'201': {{description: made}}}}}}
  /orders/{{order_id}}/lines/{{line}}:
    parameters: [{ORDER}, {LINE}]
    get: {{operationId: getLine, x-plimsoll: {{table: order_lines}}, responses: {{'200': {{description: it}}}}}}
    put: {{operationId: putLine, x-plimsoll: {{table: order_lines}}, {BODY % "object"}, responses: {{'200': {{description: it}}}}}}
    patch: {{operationId: changeLine, x-plimsoll: {{table: order_lines}}, {BODY % "object"}, responses: {{'200': {{description: it}}}}}}
    delete: {{operationId: removeLine, x-plimsoll: {{table: order_lines}}, responses: {{'204': {{description: gone}}}}}}
  /orders/{{order_id}}/changes:
    parameters: [{ORDER}]
    post: {{operationId: changeLines, x-plimsoll: {{table: order_lines, batch: {{update: {{max: 9}}}}}}, {BODY % "array"}, responses: {{'200': {{description: them}}}}}}
  /orders/{{order_id}}/removals:
    parameters: [{ORDER}]
    post: {{operationId: removeLines, x-plimsoll: {{table: order_lines, batch: {{delete: {{max: 9}}}}}}, {BODY % "array"}, responses: {{'204': {{description: gone}}}}}}
  /lines:
    get: {{operationId: listAllLines, x-plimsoll: {{table: order_lines}}, responses: {{'200': {{description: page}}}}}}
  /lines/removals:
    post: {{operationId: removeAnyLines, x-plimsoll: {{table: order_lines, batch: {{delete: {{max: 9, on-error: continue}}}}}}, {BODY % "array"}, responses: {{'207': {{description: each}}}}}}
  /returns:
    post: {{operationId: createReturn, x-plimsoll: {{table: returns}}, {BODY % "object"}, responses: {{'201': {{description: made}}}}}}
  /returns/{{id}}:
    parameters: [{{name: id, in: path, required: true, schema: {{type: integer}}}}]
    get: {{operationId: getReturn, x-plimsoll: {{table: returns}}, responses: {{'200': {{description: it}}}}}}
    patch: {{operationId: changeReturn, x-plimsoll: {{table: returns}}, {BODY % "object"}, responses: {{'200': {{description: it}}}}}}
"""


def pointers(answer):
    return {error["pointer"] for error in answer.json().get("errors", [])}


class Keys(harness.ServerTest):
    def engine(self):
        """The `database` section of the deployment."""
        return CONFIG

    def shop(self, **more):
        server = self.serve(contract(**more), self.engine())
        for _ in range(2):
            self.assertEqual(server.request("POST", "/orders", "{}", {"content-type": "application/json"}).status, 201)
        return server

    def send(self, server, method, target, body=None, status=200, **headers):
        if body is not None:
            headers.setdefault("content-type", "application/json")
        answer = server.request(method, target, None if body is None else json.dumps(body), {name.replace("_", "-"): value for name, value in headers.items()})
        self.assertEqual(answer.status, status, f"{method} {target}: {answer.text}")
        return answer

    def test_a_row_is_made_read_replaced_changed_and_deleted_by_two_path_parameters(self):
        server = self.shop()
        made = self.send(server, "POST", "/orders/1/lines", {"line": "a/b", "sku": "pen"}, 201)
        self.assertEqual(made.json(), {"order_id": 1, "line": "a/b", "sku": "pen", "quantity": 1})
        self.assertEqual(made.headers["location"], "/orders/1/lines/a%2Fb")
        path = made.headers["location"]
        read = self.send(server, "GET", path)
        self.assertEqual((read.json(), read.headers["etag"]), (made.json(), made.headers["etag"]))
        self.send(server, "POST", "/orders/2/lines", {"line": "a/b", "sku": "ink"}, 201)
        self.send(server, "PATCH", path, {"quantity": 3}, If_Match=read.headers["etag"])
        self.send(server, "PUT", path, {"sku": "ink"}, 412, If_Match=read.headers["etag"])
        self.assertEqual(self.send(server, "PUT", path, {"sku": "cap"}).json(), {"order_id": 1, "line": "a/b", "sku": "cap", "quantity": 1})
        self.assertEqual(self.send(server, "GET", "/orders/2/lines/a%2Fb").json()["sku"], "ink")
        self.send(server, "GET", "/orders/2/lines/other", status=404)
        self.send(server, "GET", "/orders/3/lines/a%2Fb", status=404)
        self.send(server, "DELETE", path, status=204)
        self.send(server, "DELETE", path, status=404)
        self.assertEqual(self.send(server, "GET", "/orders/2/lines/a%2Fb").json()["sku"], "ink")

    def test_a_key_that_is_taken_incomplete_or_changed_is_refused_at_its_members(self):
        server = self.shop()
        self.send(server, "POST", "/orders/1/lines", {"line": "a", "sku": "pen"}, 201)
        self.assertEqual(pointers(self.send(server, "POST", "/orders/1/lines", {"line": "a", "sku": "ink"}, 409)), {"/order_id", "/line"})
        self.assertEqual(pointers(self.send(server, "POST", "/orders/1/lines", {"sku": "ink"}, 422)), {"/line"})
        self.assertEqual(pointers(self.send(server, "POST", "/orders/1/lines", {"order_id": 2, "line": "b", "sku": "ink"}, 422)), {"/order_id"})
        self.assertEqual(pointers(self.send(server, "POST", "/orders/9/lines", {"line": "b", "sku": "ink"}, 422)), {"/order_id"})
        self.assertEqual(pointers(self.send(server, "PATCH", "/orders/1/lines/a", {"order_id": 2, "line": "b"}, 422)), {"/order_id", "/line"})
        self.send(server, "PATCH", "/orders/1/lines/a", {"order_id": 1, "line": "a", "sku": "cap"})

    def test_a_repeated_creation_with_an_idempotency_key_makes_one_row(self):
        server = self.shop()
        first, second = (self.send(server, "POST", "/orders/1/lines", {"line": "a", "sku": "pen"}, 201, Idempotency_Key="k1") for _ in range(2))
        self.assertEqual((first.body, first.headers["location"]), (second.body, second.headers["location"]))

    def test_lists_and_cursors_end_with_the_whole_key(self):
        server = self.shop()
        for order in (2, 1):
            for line in ("c", "a", "b"):
                self.send(server, "POST", f"/orders/{order}/lines", {"line": line, "sku": "red pen" if line == "b" else "ink", "quantity": 1}, 201)
        keys = lambda answer: [(row["order_id"], row["line"]) for row in answer.json()["data"]]
        for sort, expected in (("", [(1, "a"), (1, "b"), (1, "c"), (2, "a"), (2, "b"), (2, "c")]), ("&sort=-line", [(2, "c"), (1, "c"), (2, "b"), (1, "b"), (2, "a"), (1, "a")]),
                               ("&sort=-quantity", [(2, "c"), (2, "b"), (2, "a"), (1, "c"), (1, "b"), (1, "a")]), ("&sort=line,-order_id", [(2, "a"), (1, "a"), (2, "b"), (1, "b"), (2, "c"), (1, "c")])):
            page, found = self.send(server, "GET", "/lines?limit=2" + sort), []
            while True:
                found += keys(page)
                if not page.json()["next_cursor"]:
                    break
                page = self.send(server, "GET", f"/lines?limit=2{sort}&cursor={page.json()['next_cursor']}")
            self.assertEqual(found, expected, sort)
            self.assertEqual(keys(self.send(server, "GET", f"/lines?limit=2{sort}&cursor={page.json()['prev_cursor']}")), expected[2:4])
        self.assertEqual(keys(self.send(server, "GET", "/orders/2/lines")), [(2, "a"), (2, "b"), (2, "c")])
        self.assertEqual(keys(self.send(server, "GET", "/lines?q=red")), [(1, "b"), (2, "b")])
        self.assertEqual(keys(self.send(server, "GET", "/orders/1/lines?q=red")), [(1, "b")])

    def test_rows_refer_to_the_whole_key_and_are_embedded_by_it(self):
        server = self.shop()
        for line in ("c", "a", "b"):
            self.send(server, "POST", "/orders/1/lines", {"line": line, "sku": line}, 201)
        order = self.send(server, "GET", "/orders/1?embed=lines").json()
        self.assertEqual(([line["line"] for line in order["lines"]], order["lines_has_more"]), (["a", "b"], True))
        made = self.send(server, "POST", "/returns", {"order_id": 1, "line": "b"}, 201).json()
        self.assertEqual(self.send(server, "GET", f"/returns/{made['id']}?fields=id,of(sku,order(id))").json(), {"id": made["id"], "of": {"sku": "b", "order": {"id": 1}}})
        self.assertEqual(self.send(server, "GET", "/orders/1/lines/b?fields=line,returns(id)").json(), {"line": "b", "returns": [{"id": made["id"]}]})
        self.assertEqual(pointers(self.send(server, "POST", "/returns", {"order_id": 2, "line": "b"}, 422)), {"/order_id", "/line"})
        # A change of one column breaks the reference of both; a NULL in one refers to nothing.
        self.assertEqual(pointers(self.send(server, "PATCH", f"/returns/{made['id']}", {"line": "z"}, 422)), {"/order_id", "/line"})
        self.send(server, "DELETE", "/orders/1/lines/b", status=409)
        self.send(server, "PATCH", f"/returns/{made['id']}", {"line": None})
        self.send(server, "DELETE", "/orders/1/lines/b", status=204)
        self.send(server, "DELETE", "/orders/1", status=409)

    def test_batches_name_what_the_path_leaves_open(self):
        server = self.shop()
        for line in ("a", "b", "c"):
            self.send(server, "POST", "/orders/1/lines", {"line": line, "sku": line}, 201)
        changed = self.send(server, "POST", "/orders/1/changes", [{"line": "a", "quantity": 5}, {"order_id": 1, "line": "b", "quantity": 6}]).json()
        self.assertEqual([(row["line"], row["quantity"]) for row in changed["data"]], [("a", 5), ("b", 6)])
        self.assertEqual(pointers(self.send(server, "POST", "/orders/1/changes", [{"order_id": 2, "line": "a", "quantity": 5}], 422)), {"/0/order_id"})
        self.assertEqual(pointers(self.send(server, "POST", "/orders/1/changes", [{"quantity": 5}], 422)), {"/0/line"})
        self.send(server, "POST", "/orders/1/removals", ["a"], 204)
        self.send(server, "POST", "/orders/2/removals", ["b"], 404)
        each = self.send(server, "POST", "/lines/removals", [{"order_id": 1, "line": "b"}, {"order_id": 1, "line": "b"}, {"order_id": 1}, "c"], 207).json()["results"]
        self.assertEqual([one["status"] for one in each[:2]], [204, 404])
        self.assertEqual([row["line"] for row in self.send(server, "GET", "/lines").json()["data"]], ["c"])

    def test_the_effective_contract_tells_how_rows_are_named(self):
        server = self.shop()
        served = self.send(server, "GET", "/openapi.json").json()
        schemas = served["components"]["schemas"]
        self.assertEqual(schemas["OrderLineKey"]["required"], ["order_id", "line"])
        self.assertEqual(schemas["OrderLineChange_of_order_id"]["required"], ["line"])
        self.assertEqual(schemas["OrderLineKey_of_order_id"]["type"], "string")
        sort = next(one for one in served["paths"]["/lines"]["get"]["parameters"] if one.get("name") == "sort")
        self.assertIn("-line", sort["schema"]["items"]["enum"])


class KeysOnPostgres(Keys):
    def engine(self):
        postgres = harness.Postgres.shared()
        return f"database: {{url: '{postgres.url(postgres.database())}', pool: {{min: 1, max: 4}}}}\n"


class TablesThatAreThere(harness.ServerTest):
    def test_a_table_that_is_there_needs_a_unique_index_on_exactly_the_key(self):
        for there, refused in (("PRIMARY KEY(line, order_id)", False), ("UNIQUE(order_id, line)", False), ("PRIMARY KEY(order_id)", True), ("UNIQUE(order_id, line, sku)", True)):
            folder = self.directory()
            with sqlite3.connect(folder / "shop.db") as database:
                database.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT) STRICT")
                database.execute(f"CREATE TABLE order_lines(order_id INTEGER NOT NULL, line TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER, {there}) STRICT")
            database.close()
            if refused:
                said = self.refused(contract(), CONFIG, directory=folder)
                self.assertIn('the key "order_id", "line" of table "order_lines" is not unique by itself', said)
                self.assertIn('CREATE UNIQUE INDEX "order_lines_key" ON "order_lines"("order_id","line")', said)
                continue
            server = self.serve(contract(), CONFIG, directory=folder)
            self.assertEqual(server.post("/orders", {}).status, 201)
            self.assertEqual(server.post("/orders/1/lines", {"line": "a", "sku": "pen"}).status, 201)
            self.assertEqual(server.get("/orders/1/lines/a").json()["sku"], "pen")
            server.stop()


if __name__ == "__main__":
    harness.main()
