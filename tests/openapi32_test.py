"""What OpenAPI 3.2 adds, as the mock serves it."""
import json

import harness

CONTRACT = """
openapi: 3.2.0
$self: https://example.com/shop
info: {title: Shop, version: '1'}
tags: [{name: shop, kind: nav}, {name: orders, parent: shop}]
components:
  securitySchemes:
    device: {type: oauth2, flows: {deviceAuthorization: {deviceAuthorizationUrl: 'https://example.com/d', tokenUrl: 'https://example.com/t', scopes: {}}}}
  schemas:
    Order: {type: object, required: [id], additionalProperties: false, properties: {id: {type: integer, minimum: 1}}}
  mediaTypes:
    Orders: {itemSchema: {$ref: 'https://example.com/shop#/components/schemas/Order'}}
paths:
  /orders:
    query:
      operationId: findOrders
      security: []
      tags: [orders]
      requestBody: {required: true, content: {application/json: {schema: {type: object, required: [status]}}}}
      responses: {'200': {description: ok, content: {application/x-ndjson: {$ref: '#/components/mediaTypes/Orders'}}}}
    post:
      operationId: addOrders
      security: []
      requestBody: {required: true, content: {application/x-ndjson: {$ref: '#/components/mediaTypes/Orders'}}}
      responses: {'204': {description: added}}
    get:
      operationId: watchOrders
      security: []
      parameters: [{name: filter, in: querystring, required: true, content: {application/json: {schema: {type: object, required: [since]}}}}]
      responses:
        '200':
          description: ok
          content:
            text/event-stream:
              itemSchema: {type: object, required: [data, event], properties: {data: {type: string, enum: ["two\\nlines"]}, event: {const: order}}}
    additionalOperations:
      COPY: {operationId: copyOrders, security: [], responses: {'204': {description: copied}}}
"""


class OpenApi32(harness.ServerTest):
    def setUp(self):
        super().setUp()
        folder = self.directory()
        (folder / "contract.yaml").write_text(CONTRACT)
        self.server = harness.Server(folder / "contract.yaml", folder, verb=("mock",))
        self.addCleanup(self._end, self.server)
        self.server.start()

    def test_query_and_other_methods_are_served(self):
        found = self.server.request("QUERY", "/orders", body=json.dumps({"status": "paid"}), headers={"Content-Type": "application/json"})
        self.assertEqual(found.status, 200, found)
        self.assertTrue(all(json.loads(line)["id"] >= 1 for line in found.text.splitlines()), found.text)
        self.assertEqual(self.server.request("QUERY", "/orders", body="{}", headers={"Content-Type": "application/json"}).status, 400)
        self.assertEqual(self.server.request("COPY", "/orders").status, 204)
        refused = self.server.request("LOCK", "/orders")
        self.assertEqual(refused.status, 405)
        self.assertEqual(refused.headers["allow"], "GET, HEAD, OPTIONS, POST, QUERY, COPY")

    def test_items_are_held_against_their_schema(self):
        lines = {"Content-Type": "application/x-ndjson"}
        self.assertEqual(self.server.request("POST", "/orders", body='{"id":1}\n{"id":2}\n', headers=lines).status, 204)
        wrong = self.server.request("POST", "/orders", body='{"id":1}\n{"id":0}\n', headers=lines)
        self.assertEqual(wrong.status, 400)
        self.assertEqual([error["pointer"] for error in wrong.json()["errors"]], ["/1/id"])

    def test_the_whole_query_is_one_value_and_events_are_made_up(self):
        stream = self.server.get("/orders?%7B%22since%22:1%7D")
        self.assertEqual(stream.status, 200, stream)
        self.assertEqual(stream.headers["content-type"], "text/event-stream")
        self.assertIn("event: order\n", stream.text)
        self.assertIn("data: two\ndata: lines\n", stream.text)
        for query in ("", "?since=1", "?%7B%7D"):
            self.assertEqual(self.server.get("/orders" + query).status, 400, query)


class SafeMethods(harness.ServerTest):
    def test_a_query_changes_nothing_and_needs_no_key(self):
        """What the document demands of operations that change something is not demanded of it (RFC 10008, section 2)."""
        contract = """
openapi: 3.2.0
info: {title: Shop, version: '1'}
x-plimsoll: {idempotency: required}
paths:
  /orders:
    query:
      operationId: findOrders
      x-plimsoll: {mock: true}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok, content: {application/json: {example: []}}}}
    post:
      operationId: addOrder
      x-plimsoll: {mock: true, authorization: any-caller}
      responses: {'204': {description: made}}
"""
        server = self.serve(contract)
        lines = {"Content-Type": "application/json"}
        self.assertEqual(server.request("QUERY", "/orders", body="{}", headers=lines).status, 200)
        self.assertEqual(server.request("POST", "/orders").code, "idempotency-key-missing")
        served = server.get("/openapi.json").json()["paths"]["/orders"]
        names = lambda operation: {parameter.get("name") for parameter in operation.get("parameters", [])}
        self.assertNotIn("Idempotency-Key", names(served["query"]))


if __name__ == "__main__":
    harness.main()
