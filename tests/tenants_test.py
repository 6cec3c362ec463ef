"""Rows of others on the running server: keys, references and embeds say nothing of rows that a caller does not see."""
import contextlib
import pathlib

import harness
import tokens

CONFIG = "database: {url: 'sqlite:firm.db'}\n" + tokens.DEPLOYMENT
ADA, BOB, EVE = (tokens.caller(name, firm) for name, firm in (("ada", "acme"), ("bob", "acme"), ("eve", "globex")))
NOBODY = tokens.caller("ada")
READER = tokens.caller("ada", "acme", ["payments:read"])


def contract(tables, schemas, paths):
    written = "\n".join(f"  /{table}:{paths_of(table, '')}\n  /{table}/{{id}}:\n    parameters: [{{name: id, in: path, required: true, schema: {{type: string}}}}]{paths_of(table, '/{id}')}" for table in schemas)
    return f"""
openapi: 3.1.0
info: {{title: Firm, version: 1.0.0}}
security: [{{bearer: []}}]
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
{tables}
components:
  securitySchemes: {{bearer: {{type: http, scheme: bearer}}}}
  schemas:
{chr(10).join(f'    {name}: {schema}' for name, schema in schemas.items())}
paths:
{written}
{paths}"""


def paths_of(table, item):
    body = "requestBody: {content: {application/json: {schema: {type: object}}}}"
    scopes = "security: [{bearer: [payments:read]}], " if table == "payments" else ""
    methods = {"get": ("200", ""), "patch": ("200", body), "put": ("200", body), "delete": ("204", "")} if item else {"get": ("200", ""), "post": ("201", body)}
    return "".join(f"\n    {method}: {{operationId: {method}_{table}{'_one' if item else ''}, {scopes if method == 'get' else ''}x-plimsoll: {{table: {table}}}, {asked + ', ' if asked else ''}"
                   f"responses: {{'{status}': {{description: ok}}}}}}" for method, (status, asked) in methods.items())


# Folders and notes belong to a tenant and an owner, pages to a tenant, payments to a tenant; keys are chosen by clients but for payments.
FIRM = contract("""
    folders: {schema: '#/components/schemas/folders', tenant: firm, owner: author}
    notes: {schema: '#/components/schemas/notes', tenant: firm, search: [text], embeds: {folder: {table: folders, on: folder_id}, parts: {table: parts, by: note_id, limit: 2},
            payments: {table: payments, by: note_id}, pay: {table: payments, on: payment_id}}}
    parts: {schema: '#/components/schemas/parts', tenant: firm, naming: camel}
    payments: {schema: '#/components/schemas/payments', tenant: firm}
""", {
    "folders": "{type: object, required: [id, firm, author], properties: {id: {type: string}, firm: {type: string}, author: {type: string}}}",
    "notes": "{type: object, required: [id, firm], properties: {id: {type: string}, firm: {type: string}, text: {type: string}, folder_id: {type: [string, 'null']}, payment_id: {type: [integer, 'null']}}}",
    "parts": "{type: object, required: [id, firm], properties: {id: {type: integer, readOnly: true}, firm: {type: string}, note_id: {type: [string, 'null']}}}",
    "payments": "{type: object, required: [id, firm], properties: {id: {type: integer, readOnly: true}, firm: {type: string}, note_id: {type: [string, 'null']}, amount: {type: integer}}}",
}, """
  /folders/{folder_id}/notes:
    parameters: [{name: folder_id, in: path, required: true, schema: {type: string}}]
    post: {operationId: noteInFolder, x-plimsoll: {table: notes}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'201': {description: ok}}}
  /notes-all:
    post: {operationId: notesAll, x-plimsoll: {table: notes, batch: {create: {}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'201': {description: ok}}}
  /notes-each:
    post: {operationId: notesEach, x-plimsoll: {table: notes, batch: {create: {on-error: continue}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'207': {description: ok}}}
  /notes-change:
    post: {operationId: notesChange, x-plimsoll: {table: notes, batch: {update: {}}}, requestBody: {content: {application/json: {schema: {type: array}}}}, responses: {'200': {description: ok}}}
""")


def told(answer):
    """An answer without what differs from request to request."""
    body = answer.json() if answer.body else None
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name not in ("trace_id", "instance")}
    return answer.status, body


NODES = contract("""
    nodes: {schema: '#/components/schemas/nodes', tenant: firm, unique: [[name]], sort: [name], embeds: {children: {table: nodes, by: up, limit: 20}}}
""", {"nodes": "{type: object, required: [id, firm], properties: {id: {type: string, readOnly: true}, firm: {type: string}, name: {type: string}, up: {type: [string, 'null']}}}"}, "")


class Tenants(harness.ServerTest):
    def firm(self):
        return self.serve(FIRM, CONFIG)

    def test_two_tenants_choose_the_same_keys_and_neither_hears_of_the_other(self):
        server = self.firm()
        for who, text in ((ADA, "of acme"), (EVE, "of globex")):
            self.assertEqual(server.post("/notes", {"id": "first", "text": text}, who).status, 201)
        self.assertEqual([server.get("/notes/first", who).json()["text"] for who in (ADA, EVE, BOB)], ["of acme", "of globex", "of acme"])
        self.assertEqual([[row["text"] for row in server.get("/notes", who, q=word).json()["data"]] for who, word in ((ADA, "acme"), (ADA, "globex"), (EVE, "of"))],
                         [["of acme"], [], ["of globex"]])
        self.assertEqual(server.patch("/notes/first", {"text": "changed"}, EVE).status, 200)
        self.assertEqual(server.get("/notes/first", ADA).json()["text"], "of acme")
        self.assertEqual(server.post("/notes", {"id": "first"}, BOB).status, 409)
        self.assertEqual([server.get("/notes/first", NOBODY).status, server.delete("/notes/first", NOBODY).status, server.post("/notes", {"id": "x"}, NOBODY).status], [404, 404, 422])
        self.assertEqual(server.delete("/notes/first", EVE).status, 204)
        self.assertEqual([server.get("/notes/first", who).status for who in (ADA, EVE)], [200, 404])
        server.stop()
        server.restart()
        self.assertEqual(server.get("/notes/first", ADA).json()["text"], "of acme")
        self.assertNotIn("unique over all tenants", server.output)

    def test_alike_rows_of_two_tenants_have_different_entity_tags(self):
        hidden = FIRM.replace("notes\": ", "notes\": ").replace("firm: {type: string}, text", "firm: {type: string, writeOnly: true}, text")
        server = self.serve(hidden, CONFIG)
        tags = [server.post("/notes", {"id": "same", "text": "same"}, who).headers["etag"] for who in (ADA, EVE)]
        self.assertNotEqual(*tags)
        self.assertEqual(server.patch("/notes/same", {"text": "b"}, {**ADA, "If-Match": tags[1]}).status, 412)
        self.assertEqual(server.patch("/notes/same", {"text": "b"}, {**ADA, "If-Match": tags[0]}).status, 200)

    def test_a_key_that_is_unique_over_all_tenants_is_warned_of_and_its_refusal_says_nothing(self):
        folder = self.directory()
        self.database(folder, "firm.db").script("CREATE TABLE folders(id TEXT PRIMARY KEY, firm TEXT NOT NULL, author TEXT NOT NULL)")
        server = self.serve(FIRM, CONFIG, directory=folder)
        harness.until(lambda: 'clients choose the key "id" of table "folders", which is unique over all tenants' in server.output, lambda: server.output)
        self.assertEqual(server.post("/folders", {"id": "a"}, ADA).status, 201)
        refusals = [told(server.post("/folders", {"id": "a"}, who)) for who in (ADA, BOB, EVE)]
        self.assertEqual(refusals, refusals[:1] * 3)
        self.assertEqual(refusals[0][0], 409)
        self.assertRegex(refusals[0][1]["detail"], "cannot be used: choose another value")
        self.assertNotRegex(str(refusals[0]), "(?i)already|another row|taken|acme|tenant")

    def test_a_table_without_a_tenant_that_refers_to_tenants_rows_keeps_their_keys_apart(self):
        server = self.serve(FIRM.replace("parts: {schema: '#/components/schemas/parts', tenant: firm,", "parts: {schema: '#/components/schemas/parts',"), CONFIG)
        harness.until(lambda: 'table "parts", which has no tenant, refers to it' in server.output, lambda: server.output)
        self.assertEqual([server.post("/notes", {"id": "a"}, who).status for who in (ADA, EVE)], [201, 409])

    def test_a_reference_to_a_row_that_the_caller_does_not_see_is_refused_as_one_to_no_row(self):
        server = self.firm()
        self.assertEqual([server.post("/folders", {"id": key}, who).status for key, who in (("of-ada", ADA), ("of-bob", BOB), ("of-eve", EVE))], [201] * 3)
        self.assertEqual(server.post("/notes", {"id": "mine", "text": "a"}, ADA).status, 201)
        ways = {
            "create": lambda key: server.post("/notes", {"id": "new", "folder_id": key}, ADA),
            "patch": lambda key: server.patch("/notes/mine", {"folder_id": key}, ADA),
            "replace": lambda key: server.put("/notes/mine", {"text": "b", "folder_id": key}, ADA),
            "nested": lambda key: server.post(f"/folders/{key}/notes", {"id": "new"}, ADA),
            "batch": lambda key: server.post("/notes-all", [{"id": "new"}, {"id": "new2", "folder_id": key}], ADA),
            "each": lambda key: server.post("/notes-each", [{"id": "new", "folder_id": key}], ADA),
            "changes": lambda key: server.post("/notes-change", [{"id": "mine", "folder_id": key}], ADA),
        }
        for name, way in ways.items():
            refusals = [told(way(key)) for key in ("of-nobody", "of-bob", "of-eve")]
            self.assertEqual(refusals, refusals[:1] * 3, name)
            self.assertEqual(refusals[0][0], 207 if name == "each" else 422, refusals[0])
            self.assertIn("refers to a row that does not exist", str(refusals[0]))
            self.assertIn("/folder_id", str(refusals[0]))
        self.assertEqual(server.get("/notes", ADA).json()["data"], [{"id": "mine", "firm": "acme", "text": "a", "folder_id": None, "payment_id": None}])
        # Nobody keeps others from removing what is theirs.
        self.assertEqual([server.delete(f"/folders/{key}", who).status for key, who in (("of-bob", BOB), ("of-eve", EVE))], [204] * 2)
        self.assertEqual(server.patch("/notes/mine", {"folder_id": "of-ada"}, ADA).status, 200)
        # Bob sees the note, and not the folder it is in: what stays as it is is not his to prove.
        self.assertEqual(server.patch("/notes/mine", {"text": "c"}, BOB).status, 200)
        self.assertEqual(server.patch("/notes/mine", {"folder_id": "of-ada", "text": "d"}, BOB).status, 200)
        self.assertEqual(server.put("/notes/mine", {"folder_id": "of-ada", "text": "e"}, BOB).status, 200)

    def test_a_foreign_key_that_only_the_database_knows_is_no_way_to_others_rows(self):
        folder = self.directory()
        database = self.database(folder, "firm.db")
        database.script(f"""
            CREATE TABLE folders(id TEXT PRIMARY KEY NOT NULL, firm TEXT NOT NULL, author TEXT NOT NULL, number INTEGER UNIQUE);
            CREATE TABLE parts(id {database.number}, firm TEXT NOT NULL, note_id TEXT REFERENCES folders);""")
        server = self.serve(FIRM.replace(", parts: {table: parts, by: note_id, limit: 2}", ""), CONFIG, directory=folder)
        self.assertEqual(server.post("/folders", {"id": "of-bob"}, BOB).status, 201)
        refusals = [told(server.post("/parts", {"note_id": key}, ADA)) for key in ("of-nobody", "of-bob")]
        self.assertEqual(refusals, refusals[:1] * 2)
        self.assertEqual(refusals[0][0], 422)
        self.assertEqual(server.post("/parts", {"note_id": "of-bob"}, BOB).status, 201)

    def test_an_embed_needs_the_scopes_of_reading_its_table(self):
        server = self.firm()
        self.assertEqual(server.post("/notes", {"id": "a"}, ADA).status, 201)
        paid = server.post("/payments", {"note_id": "a", "amount": 3}, ADA)
        self.assertEqual(paid.status, 201)
        self.assertEqual(server.get("/payments", ADA).status, 403)
        for query in ("embed=payments", "embed=pay", "fields=id,payments(amount)", "fields=id,payments"):
            for target in ("/notes", "/notes/a", "/notes/none"):
                refused = server.get(f"{target}?{query}", ADA)
                self.assertEqual((refused.status, refused.code), (403, "forbidden"), (target, query, refused))
                self.assertIn("payments:read", refused.json()["detail"])
                self.assertNotIn("amount", refused.text)
        shown = server.get("/notes/a?embed=payments", READER)
        self.assertEqual((shown.status, shown.json()["payments"]), (200, [paid.json()]))
        self.assertEqual(server.get("/notes/a?embed=folder,parts", ADA).status, 200)
        parameters = server.get("/openapi.json").json()["paths"]["/notes"]["get"]["parameters"]
        described = next(parameter["description"] for parameter in parameters if parameter["name"] == "embed")
        self.assertIn("`payments` needs the scope `payments:read`.", described)
        self.assertNotIn("`folder` needs", described)

    def test_an_embedded_list_that_is_cut_says_so(self):
        server = self.firm()
        self.assertEqual([server.post("/notes", {"id": key}, ADA).status for key in ("few", "many")], [201] * 2)
        self.assertEqual([server.post("/parts", {"note_id": key}, ADA).status for key in ("few", "few", "many", "many", "many")], [201] * 5)
        for target in ("/notes?embed=parts", "/notes?fields=id,parts(id)", "/notes?fields=parts"):
            few, many = server.get(target, ADA).json()["data"]
            self.assertEqual((len(few["parts"]), "parts_has_more" in few), (2, False), target)
            self.assertEqual((len(many["parts"]), many["parts_has_more"]), (2, True), target)
        self.assertTrue(server.get("/notes/many?embed=parts", ADA).json()["parts_has_more"])
        self.assertNotIn("parts_has_more", server.get("/notes/many?embed=parts", EVE).json())
        described = [parameter["description"] for parameter in server.get("/openapi.json").json()["paths"]["/notes"]["get"]["parameters"] if parameter["name"] == "embed"]
        self.assertIn("`parts` shows at most 2; `parts_has_more` is true beside it where there are more.", described[0])
        clash = FIRM.replace("text: {type: string}, folder_id", "text: {type: string}, parts_has_more: {type: string}, folder_id")
        self.assertIn("`parts_has_more` that there are more rows, and that is the name of a column", self.refused(clash, CONFIG))

    @harness.engines("sqlite", why="PostgreSQL decides by the statistics that it keeps")
    def test_embedded_rows_cost_the_same_however_many_others_the_tenant_has(self):
        server = self.serve(NODES, CONFIG)
        database = self.database(server.directory, "firm.db")
        key = lambda number: f"{number:08}"
        with contextlib.closing(database.connect()) as connection:
            insert = lambda first, last, up: [connection.execute("INSERT INTO nodes(id, name, firm, up) VALUES(?, ?, 'acme', ?)", (key(one), f"n{one}", up(one))) for one in range(first, last)]
            connection.execute("BEGIN")
            insert(0, 50, lambda one: None)
            insert(50, 1000, lambda one: key(one % 50))
            connection.execute("COMMIT")
            few = self.cost(server)
            connection.execute("BEGIN")
            insert(1000, 40_000, lambda one: None)
            connection.execute("COMMIT")
            # Whichever index is the newest: SQLite takes that one of those that it takes for equally good.
            for renewed in ("", "nodes_by_firm_id", "nodes_unique_firm_name"):
                with self.subTest(renewed):
                    if renewed:
                        server.stop()
                        said, = next(iter(connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (renewed,))))
                        connection.execute(f"DROP INDEX {renewed}")
                        connection.execute(said)
                        server.restart()
                    many = self.cost(server)
                    print(f"{few * 1e3:.1f} ms among 1,000 rows, {many * 1e3:.1f} ms among 40,000")
                    self.assertLess(many, 5 * few + 0.01)

    def cost(self, server):
        """Seconds of CPU of a page of 50 rows and those that are embedded, the least of five."""
        spent = lambda: sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{server.pid}/task").glob("*/schedstat")) / 1e9
        found = []
        for _ in range(5):
            before = spent()
            answer = server.get("/nodes?limit=50&fields=id,children(id)", ADA)
            self.assertEqual([len(row["children"]) for row in answer.json()["data"]], [19] * 50)
            found.append(spent() - before)
        return min(found)

    def test_location_is_a_path_of_the_contract_or_absent(self):
        contract = FIRM.replace("  /folders/{id}:\n", "  /in/{firm}/folder/{id}:\n").replace("name: id, in: path, required: true, schema: {type: string}}]\n    get: {operationId: get_folders_one",
            "name: id, in: path, required: true, schema: {type: string}}, {name: firm, in: path, required: true, schema: {type: string}}]\n    get: {operationId: get_folders_one")
        server = self.serve(contract, CONFIG)
        made = server.post("/folders", {"id": "a b/ü"}, ADA)
        self.assertEqual((made.status, made.headers["location"]), (201, "/in/acme/folder/a%20b%2F%C3%BC"))
        self.assertEqual(server.get(made.headers["location"], ADA).json(), made.json())
        unread = "\n".join(line for line in FIRM.splitlines() if "operationId: get_parts_one" not in line)
        self.assertNotIn("location", self.serve(unread, CONFIG).post("/parts", {}, ADA).headers)

    def test_the_number_of_a_deleted_row_is_never_given_to_another(self):
        server = self.firm()
        numbers = [server.post("/parts", {}, ADA).json()["id"] for _ in range(3)]
        self.assertEqual([server.delete(f"/parts/{number}", ADA).status for number in numbers[1:]], [204] * 2)
        server.stop()
        server.restart()
        self.assertGreater(server.post("/parts", {}, EVE).json()["id"], numbers[-1])


if __name__ == "__main__":
    harness.main()
