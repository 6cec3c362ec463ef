"""Values that SQLite stores and PostgreSQL does not: they are refused at their place, and never stored as others.

    PYTHONPATH=tests python3 tests/engine_values_test.py                     # some random values
    PLIMSOLL_TORTURE=1 PYTHONPATH=tests python3 tests/engine_values_test.py  # many
"""
import fractions
import os
import random
import re

import harness

CONTRACT = """
openapi: 3.1.0
info: {{title: Values, version: 1.0.0}}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    things:
      schema: '#/components/schemas/Thing'
      key: id
      filters: {{at: [eq, ge, lt, in], kind: [eq], text: [eq]}}
      sort: [at, text]
      search: [words]
      unique: [code]
components:
  schemas:
    Thing:
      type: object
      required: [id]
      properties:
        id: {{type: string, maxLength: 200}}
        at: {{type: string, format: date-time}}
        kind: {{type: string}}
        text: {{type: string, maxLength: 20000}}
        code: {{type: string, maxLength: {code}}}
        free: {{type: string, maxLength: 20000}}
        words: {{type: string}}
paths:
  /things:
    get:
      operationId: listThings
      x-plimsoll: {{table: things}}
      responses: {{'200': {{description: ok}}}}
    post:
      operationId: createThing
      x-plimsoll: {{table: things}}
      requestBody: {{required: true, content: {{application/json: {{schema: {{type: object}}}}}}}}
      responses: {{'201': {{description: made}}}}
  /things/batch:
    post:
      operationId: createThings
      x-plimsoll: {{table: things, batch: {{create: {{max: 100}}}}}}
      requestBody: {{required: true, content: {{application/json: {{schema: {{type: array}}}}}}}}
      responses: {{'201': {{description: made}}}}
  /things/{{id}}:
    parameters: [{{name: id, in: path, required: true, schema: {{type: string}}}}]
    get:
      operationId: getThing
      x-plimsoll: {{table: things}}
      responses: {{'200': {{description: ok}}}}
    patch:
      operationId: patchThing
      x-plimsoll: {{table: things}}
      requestBody: {{required: true, content: {{application/json: {{schema: {{type: object}}}}}}}}
      responses: {{'200': {{description: ok}}}}
"""
CHINESE = [chr(code) for code in range(0x4E00, 0x9FFF)]


def seconds(instant):
    """An instant in UTC as date, minutes, and seconds with their fraction, exactly."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d(?:\.\d+)?)Z", instant)
    return found[1], fractions.Fraction(found[2])


@harness.engines("sqlite", why="it starts both engines itself")
class EngineValues(harness.ServerTest):
    def setUp(self):
        seed = int(os.environ.get("PLIMSOLL_SEED") or random.randrange(1 << 30))
        print(f"PLIMSOLL_SEED={seed}", flush=True)
        self.random = random.Random(seed)

    def on(self, engine, before="", code=200):
        self.engine = engine
        folder = self.directory()
        database = self.database(folder)
        if before:
            database.rows(before)
        server = self.server(CONTRACT.format(code=code), "database: {url: 'sqlite:contract.db'}\n", directory=folder).start()
        self.engine = "sqlite"
        return server

    def an_instant(self):
        """An instant in UTC, and how many digits of its fraction count."""
        year = self.random.choice((0, 1, 1969, 2016, 2024, 9999))
        digits = self.random.choice((0, 0, 1, 3, 6, 6, 7, 9))
        fraction = "".join(self.random.choice("0123456789") for _ in range(digits)) if self.random.random() < 0.8 else "9" * digits
        zeros = "0" * self.random.choice((0, 0, 3))
        second = self.random.choice(("00", "30", "59", "60"))
        shown = f".{fraction}{zeros}" if fraction + zeros else ""
        return f"{year:04}-12-31T23:59:{second}{shown}Z", len(fraction.rstrip("0"))

    def test_an_instant_is_stored_as_it_is_or_refused_at_its_member_and_its_parameter(self):
        servers = {
            ("sqlite", None): self.on("sqlite"),
            ("postgres", 6): self.on("postgres"),
            # Of another program, which keeps less.
            ("postgres", 3): self.on("postgres", 'CREATE TABLE things(id text COLLATE "C" PRIMARY KEY, at timestamptz(3), kind text COLLATE "C", text text COLLATE "C", code text COLLATE "C" UNIQUE, free text COLLATE "C", words text COLLATE "C")'),
            ("postgres", 0): self.on("postgres", 'CREATE TABLE things(id text COLLATE "C" PRIMARY KEY, at timestamp(0) without time zone, kind text COLLATE "C", text text COLLATE "C", code text COLLATE "C" UNIQUE, free text COLLATE "C", words text COLLATE "C")'),
        }
        outcomes = {key: set() for key in servers}
        for number in range(600 if os.environ.get("PLIMSOLL_TORTURE") else 60):
            instant, digits = self.an_instant()
            for (engine, kept), server in servers.items():
                held = kept is None or (digits <= kept and instant[17:19] != "60" and not instant.startswith("0000"))
                outcomes[engine, kept].add(held)
                where = f"{engine}, {kept} digits: {instant}"
                made = server.post("/things", {"id": str(number), "at": instant})
                listed = server.get("/things", at=instant)
                if held:
                    self.assertEqual(made.status, 201, f"{where} {made}")
                    for shown in (made.json()["at"], server.get(f"/things/{number}").json()["at"]):
                        self.assertEqual(seconds(shown), seconds(instant), where)
                    self.assertEqual(listed.status, 200, f"{where} {listed}")
                    self.assertIn(str(number), [row["id"] for row in listed.json()["data"]], where)
                    continue
                self.assertEqual((made.status, made.code), (422, "invalid-row"), f"{where} {made}")
                self.assertEqual([(error["in"], error["pointer"]) for error in made.json()["errors"]], [("body", "/at")], where)
                self.assertEqual(server.get(f"/things/{number}").status, 404, where)
                self.assertEqual(listed.status, 400, f"{where} {listed}")
                self.assertEqual([(error["in"], error["pointer"]) for error in listed.json()["errors"]], [("query", "/at")], where)
                self.assertEqual(listed.json()["errors"][0]["message"], made.json()["errors"][0]["message"], where)
        for key, both in outcomes.items():
            self.assertEqual(both, {True} if key[1] is None else {True, False}, key)
        server = servers["postgres", 6]
        for parameter in ("at[ge]", "at[lt]", "at"):
            refused = server.get("/things", **{parameter: "0000-01-01"})
            self.assertEqual((refused.status, [error["pointer"] for error in refused.json()["errors"]]), (400, [f"/{parameter}"]), refused)

    def test_q_differs_between_the_engines_as_the_page_says(self):
        texts = {"accent": "Caf\u00e9 au lait", "plain": "cafe noir", "composed": "na\u00efve", "combining": "nai\u0308ve", "half": "\u00bd litre", "long": "x" * 3_000}
        looked = {"cafe": "cafe", "composed": "na\u00efve", "half": "\u00bd", "litre": "LITRE"}
        found = {}
        for engine in ("sqlite", "postgres"):
            server = self.on(engine)
            for name, text in texts.items():
                self.assertEqual(server.post("/things", {"id": name, "words": text}).status, 201)
            for name, words in looked.items():
                answer = server.get("/things", q=words)
                self.assertEqual(answer.status, 200, answer)
                found[engine, name] = {row["id"] for row in answer.json()["data"]}
        self.assertEqual(found, {("sqlite", "cafe"): {"accent", "plain"}, ("postgres", "cafe"): {"plain"}, ("sqlite", "composed"): {"composed", "combining"}, ("postgres", "composed"): {"composed"},
                                 ("sqlite", "half"): {"half"}, ("postgres", "half"): set(), ("sqlite", "litre"): {"half"}, ("postgres", "litre"): {"half"}})

    def long(self, size):
        """So many bytes that no compression makes short."""
        return "".join(self.random.choice(CHINESE) for _ in range(size // 3)) + "a" * (size % 3)

    def test_text_that_is_too_long_for_an_index_is_refused_at_its_member(self):
        lite, post = self.on("sqlite"), self.on("postgres")
        for size in (1_000, 2_400, 2_900, 9_000, 30_000):
            name = f"n{size}"
            for member in ("text", "free"):
                row = {"id": f"{name}-{member}", member: self.long(size)}
                self.assertEqual(lite.post("/things", row).status, 201, size)
                made = post.post("/things", row)
                if member == "free" or size < 2_500:
                    self.assertEqual(made.status, 201, f"{size} {made}")
                    continue
                for answer, pointer in ((made, "/text"), (post.post("/things", {**row, "free": row["text"]}), "/text"), (post.post("/things/batch", [{"id": f"{name}-b"}, {**row, "id": f"{name}-c"}]), "/1/text"), (post.patch("/things/n1000-text", {"text": row["text"], "kind": "k"}), "/text")):
                    self.assertEqual((answer.status, answer.code), (422, "constraint"), f"{size} {answer}")
                    errors = answer.json()["errors"]
                    self.assertEqual([error["pointer"] for error in errors], [pointer], f"{size} {answer}")
                    self.assertIn("too long for an index", errors[0]["message"])
                    self.assertIn("2600 bytes", errors[0]["message"])
                self.assertEqual(post.get(f"/things/{name}-b").status, 404)

    def test_too_many_words_for_q_are_refused_at_their_member(self):
        lite, post = self.on("sqlite"), self.on("postgres")
        row = {"id": "w", "words": " ".join(f"{number:07x}" for number in range(110_000))}
        self.assertEqual(lite.post("/things", row).status, 201)
        refused = post.post("/things", row)
        self.assertEqual((refused.status, refused.code, [error["pointer"] for error in refused.json()["errors"]]), (422, "constraint", ["/words"]), refused)
        self.assertIn("index of `q`", refused.json()["errors"][0]["message"])

    def test_a_start_names_the_columns_that_admit_more_than_an_index_takes(self):
        warned = [line for line in self.on("postgres", code=651).output.splitlines() if "is in an index" in line]
        self.assertEqual([re.search(r'column \\?"(\w+)\\?"', line)[1] for line in warned], ["text", "code"], warned)
        self.assertEqual([line for line in self.on("postgres", code=650).output.splitlines() if "is in an index" in line and "code" in line], [])
        self.assertNotIn("is in an index", self.on("sqlite", code=651).output)


if __name__ == "__main__":
    harness.main()
