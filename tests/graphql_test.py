"""Calls of a C++ program (tests/programs/graphql_server.cpp) to a GraphQL service that is not ours: the packages graphql and graphql-http of npm."""
import json

import harness
import npm

ANSWER = "responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}"
CONTRACT = f"""
openapi: 3.1.0
info: {{title: Books, version: '1'}}
x-plimsoll: {{rate-limit: off}}
paths:
  /books/{{id}}:
    get: {{operationId: book, security: [], parameters: [{{name: id, in: path, required: true, schema: {{type: string}}}}], {ANSWER}}}
  /books:
    post:
      operationId: add
      security: []
      x-plimsoll: {{authorization: any-caller}}
      requestBody: {{required: true, content: {{application/json: {{schema: {{type: object, required: [title], properties: {{title: {{type: string}}}}}}}}}}}}
      {ANSWER}
  /secret:
    get: {{operationId: secret, security: [], {ANSWER}}}
  /wrong:
    get: {{operationId: wrong, security: [], {ANSWER}}}
  /runs:
    get: {{operationId: runs, security: [], {ANSWER}}}
  /posted:
    get: {{operationId: posted, security: [], {ANSWER}}}
  /persisted:
    get: {{operationId: persisted, security: [], {ANSWER}}}
"""


class GraphqlService(harness.ServerTest):
    def setUp(self):
        harness.needs("node")
        npm.needs("graphql", "graphql-http")
        service = harness.subprocess.Popen(["node", harness.ROOT / "tests/programs/graphql_service.mjs"], cwd=npm.FOLDER, stdin=harness.subprocess.DEVNULL, stdout=harness.subprocess.PIPE, text=True)
        self.addCleanup(service.stdout.close)
        self.addCleanup(service.wait)
        self.addCleanup(service.kill)
        self.service = f"127.0.0.1:{service.stdout.readline().strip()}"
        executable = harness.program().parent / "graphql_server"
        self.program = self.server(CONTRACT, f"upstreams: {{shop: {{targets: ['http://{self.service}/graphql'], cache: 16MiB}}}}\n", executable=executable)
        at = self.program.arguments.index("serve")
        self.program.arguments[:at + 2] = [str(executable), self.program.arguments[at + 1]]  # a program of its own has no verbs
        self.program.start()

    def log(self):
        return harness.fetch(self.service, "GET", "/log").json()

    def fails(self, times):
        self.assertEqual(harness.fetch(self.service, "POST", f"/fails={times}").status, 200)

    def test_data_and_errors_are_values(self):
        self.assertEqual(self.program.get("/books/1").json(), {"data": {"book": {"id": "1", "title": "Moby Dick", "price": 12.5}}, "errors": []})
        self.assertEqual(self.program.get("/books/77").json(), {"data": {}, "errors": []})
        self.assertEqual(self.program.get("/secret").json(), {"data": {"book": {"id": "1", "title": "Moby Dick"}}, "errors": [{"message": "not for you", "path": "/book/secret", "code": "FORBIDDEN"}]})
        wrong = self.program.get("/wrong").json()
        self.assertNotIn("data", wrong)
        self.assertIn("nothing", wrong["errors"][0]["message"])
        self.assertIn("application/graphql-response+json", self.log()[0]["accept"])

    def test_a_persisted_query_is_sent_once(self):
        self.assertEqual([self.program.get("/persisted").json()["runs"] for _ in range(3)], [1, 2, 3])
        self.assertEqual([(each["query"], each["hash"]) for each in self.log()], [(False, True), (True, True), (False, True), (False, True)], "the hash, the document once, and the hash from then on")

    def test_a_query_by_get_is_answered_from_the_cache_until_a_mutation(self):
        self.assertEqual([self.program.get("/runs").json() for _ in range(3)], [{"runs": 1}] * 3)
        self.assertEqual(self.program.get("/posted").json(), {"runs": 2}, "a query that is posted changes nothing")
        self.assertEqual(self.program.get("/runs").json(), {"runs": 1})
        self.program.post("/books", {"title": "Walden"})
        self.assertEqual(self.program.get("/runs").json(), {"runs": 3})

    def test_queries_are_repeated_and_mutations_never(self):
        self.fails(2)
        self.assertEqual(self.program.get("/posted").json(), {"runs": 3}, "twice in vain")
        self.assertEqual([each["attempt"] for each in self.log()], ["1", "2", "3"])
        self.fails(1)
        added = self.program.post("/books", {"title": "Walden"})
        self.assertEqual((added.status, added.json()["code"]), (502, "bad-answer"), added.body)
        self.assertEqual(self.program.get("/books/2").json()["data"]["book"]["title"], "Walden", "it was done, once")
        self.assertEqual(self.program.get("/books/3").json()["data"], {})
        self.assertEqual([each["method"] for each in self.log()][3], "POST", "also where GET is wished")


if __name__ == "__main__":
    harness.main()
