"""New rows of batches and imports have the outcomes of the same rows sent one after another, on both engines.

    PYTHONPATH=tests python3 tests/batch_outcomes_test.py                     # some random batches
    PLIMSOLL_TORTURE=1 PYTHONPATH=tests python3 tests/batch_outcomes_test.py  # many
"""
import json
import os
import random

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Outcomes, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    shelves: {schema: '#/components/schemas/Shelf', key: id}
    notes:
      schema: '#/components/schemas/Note'
      key: id
      search: [text]
      unique: [slug, [code, rank]]
      embeds: {place: {table: shelves, on: shelf}, above: {table: notes, on: parent}}
components:
  schemas:
    Shelf: {type: object, required: [id], properties: {id: {type: string}}}
    Note:
      type: object
      required: [id, slug, rank]
      properties:
        id: {type: string}
        slug: {type: string, maxLength: 8}
        code: {type: string}
        rank: {type: integer, minimum: 0}
        shelf: {type: string}
        parent: {type: string}
        text: {type: string}
paths:
  /shelves:
    post: {operationId: createShelf, x-plimsoll: {table: shelves}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'201': {description: made}}}
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    post: {operationId: createNote, x-plimsoll: {table: notes}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'201': {description: made}}}
  /notes/each:
    post: {operationId: createEach, x-plimsoll: {table: notes, batch: {create: {max: 100, on-error: continue}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'207': {description: results}}}
  /notes/all:
    post: {operationId: createAll, x-plimsoll: {table: notes, batch: {create: {max: 100}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'201': {description: made}}}
  /notes/import:
    post: {operationId: importNotes, x-plimsoll: {table: notes, batch: {import: {max: 100, errors: 1000}}}, requestBody: {content: {application/x-ndjson: {}}}, responses: {'200': {description: stored}}}
"""


# Of another program: PostgreSQL refuses ON CONFLICT beside deferrable constraints.
DEFERRABLE = (
    'CREATE TABLE shelves(id text COLLATE "C" PRIMARY KEY)',
    'CREATE TABLE notes(id text COLLATE "C" PRIMARY KEY, slug text COLLATE "C" NOT NULL UNIQUE DEFERRABLE, code text COLLATE "C", rank bigint NOT NULL,'
    ' shelf text COLLATE "C" REFERENCES shelves(id), parent text COLLATE "C" REFERENCES notes(id), text text COLLATE "C", UNIQUE(code, rank))',
)


def errors_of(problem):
    """The places and words of what is wrong with one row."""
    return [(error["pointer"], error["keyword"], error["message"]) for error in problem.get("errors", [])]


def of_row(errors, place):
    """The same of a row at a place of a batch."""
    return [(f"/{place}{pointer}", keyword, message) for pointer, keyword, message in errors]


@harness.engines("sqlite", why="it starts both engines itself")
class BatchOutcomes(harness.ServerTest):
    def setUp(self):
        seed = int(os.environ.get("PLIMSOLL_SEED") or random.randrange(1 << 30))
        print(f"PLIMSOLL_SEED={seed}", flush=True)
        self.random = random.Random(seed)

    def on(self, engine, before=()):
        self.engine = engine
        folder = self.directory()
        database = self.database(folder)
        for statement in before:
            database.rows(statement)
        server = self.server(CONTRACT, "database: {url: 'sqlite:contract.db'}\n", directory=folder).start()
        self.engine = "sqlite"
        self.assertEqual(server.post("/shelves", {"id": "here"}).status, 201)
        return server

    def row(self, wrong, valid):
        """`wrong`: how often a value is one that may be refused; `valid`: never by the schema."""
        self.number += 1
        some = lambda: self.random.randrange(max(1, self.number))
        fresh = lambda: self.random.random() >= wrong
        row = {"id": f"i{self.number if fresh() else some()}", "slug": f"s{self.number if fresh() else some()}",
               "rank": self.random.choice((0, 1, 2)) if valid or fresh() else -1, "text": f"lamp oil, number {self.number}"}
        if self.random.random() < 0.5:
            row["code"] = f"c{self.number if fresh() else some()}"
        if self.random.random() < 0.5:
            row["shelf"] = "here" if fresh() else "nowhere"
        if self.random.random() < wrong:
            row["parent"] = f"i{some() + self.random.randrange(3)}"
        if not valid and self.random.random() < wrong / 4:
            row["slug"] = self.random.choice((7, "x" * 9))
        return row

    def test_are_those_of_the_rows_one_after_another(self):
        for engine, before in (("sqlite", ()), ("postgres", ()), ("postgres", DEFERRABLE)):
            self.number = 0
            together, alone = self.on(engine, before), self.on(engine, before)
            kinds = {"each": 0, "all": 0, "import": 0}
            refused = stored = 0
            for _ in range(300 if os.environ.get("PLIMSOLL_TORTURE") else 40):
                wrong = self.random.choice((0.0, 0.05, 0.1, 0.4))
                valid = self.random.random() < 0.5
                rows = [self.row(wrong, valid) for _ in range(self.random.choice((1, 2, 5, 17, 40)))]
                single = [alone.post("/notes", row) for row in rows]
                expected = [(made.status, "" if made.status == 201 else made.code, [] if made.status == 201 else errors_of(made.json())) for made in single]
                where = f"{engine}: {json.dumps(rows)}"
                failed = [i for i, (status, _, _) in enumerate(expected) if status != 201]
                if failed and self.random.random() < 0.5:  # nothing is stored
                    kinds["all"] += 1
                    first = failed[0]
                    answer = together.post("/notes/all", rows)
                    told, wanted = errors_of(answer.json()), of_row(expected[first][2], first)
                    if engine == "postgres" and len(wanted) > 1 and wanted[0][1] == "foreign-key":  # it names one of them, and goes no further
                        wanted = [error for error in wanted if error in told][:1]
                    self.assertEqual((answer.status, answer.code, told), (*expected[first][:2], wanted), where)
                if failed and valid:  # an import refuses rows that the schema refuses before it stores any
                    kinds["import"] += 1
                    answer = together.post("/notes/import", "\n".join(map(json.dumps, rows)).encode(), {"Content-Type": "application/x-ndjson"})
                    told = [(pointer, keyword, message.partition(": ")[2]) for pointer, keyword, message in errors_of(answer.json())]
                    self.assertEqual((answer.status, answer.code), expected[failed[0]][:2], where)
                    self.assertEqual(told, [error for i in failed for error in of_row(expected[i][2], i)], where)
                kinds["each"] += 1
                answer = together.post("/notes/each", rows)
                self.assertEqual(answer.status, 207, f"{where} {answer}")
                results = answer.json()["results"]
                self.assertEqual([(result["status"], result.get("error", {}).get("code", ""), errors_of(result.get("error", {}))) for result in results],
                                 [(status, code, of_row(errors, i)) for i, (status, code, errors) in enumerate(expected)], where)
                self.assertEqual([result.get("data") for result in results], [made.json() if made.status == 201 else None for made in single], where)
                refused += len(failed)
                stored += len(rows) - len(failed)
            self.assertTrue(refused and stored and all(kinds.values()), (refused, stored, kinds))
            print(f"{engine}: {stored} rows stored, {refused} refused, {kinds}", flush=True)


if __name__ == "__main__":
    harness.main()
