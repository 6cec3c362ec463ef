"""Indexes of tables that are there: what serves each read that the contract allows, and the statements for those that nothing serves."""
import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Library, version: 1.0.0}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    shelves: {schema: '#/components/schemas/Shelf', sort: [name], embeds: {books: {table: books, by: shelf_id}}}
    books:
      schema: '#/components/schemas/Book'
      filters: {genre: [eq], pages: [ge]}
      sort: [title]
      embeds: {shelf: {table: shelves, on: shelf_id}}
components:
  schemas:
    Shelf:
      type: object
      required: [id, name]
      properties: {id: {type: integer, readOnly: true}, name: {type: string}}
    Book:
      type: object
      required: [id, shelf_id, title, genre, pages]
      properties: {id: {type: integer, readOnly: true}, shelf_id: {type: integer}, title: {type: string}, genre: {type: string}, pages: {type: integer}, lent_to: {type: [integer, 'null']}}
paths:
  /shelves:
    get: {operationId: listShelves, x-plimsoll: {table: shelves}, responses: {'200': {description: ok}}}
  /books:
    get: {operationId: listBooks, x-plimsoll: {table: books}, responses: {'200': {description: ok}}}
"""
DEPLOYMENT = "database: {url: 'sqlite:library.db'}\n"


class Indexes(harness.ServerTest):
    def lay(self, more):
        folder = self.directory()
        data = self.database(folder, "library.db")
        text = "TEXT" if self.engine == "sqlite" else 'TEXT COLLATE "C"'
        for statement in (f"CREATE TABLE shelves(id {data.number}, name {text} NOT NULL)",
                          f"CREATE TABLE books(id {data.number}, shelf_id BIGINT NOT NULL REFERENCES shelves(id), title {text} NOT NULL, genre {text} NOT NULL, "
                          "pages BIGINT NOT NULL, lent_to BIGINT REFERENCES shelves(id))", *more):
            data.script(statement) if self.engine == "sqlite" else data.rows(statement)
        (folder / "contract.yaml").write_text(CONTRACT)
        (folder / "plimsoll.yaml").write_text(self.deployment(DEPLOYMENT, folder))
        return folder, data

    def check(self, folder):
        return self.plimsoll("check", "--database", "contract.yaml", directory=folder)

    def test_check_prints_what_serves_each_read_and_the_statements_that_are_missing(self):
        folder, data = self.lay(["CREATE INDEX names ON shelves(name, id)", "CREATE INDEX genres ON books(genre)"])
        said = self.check(folder)
        self.assertEqual(said.returncode, 1, said.stdout + said.stderr)
        self.assertIn("-- sort `name`: index names", said.stdout)
        self.assertIn("filter `genre` with sort `title`", said.stdout)
        self.assertIn('CREATE INDEX "books_by_genre_title_id" ON "books"("genre","title","id");', said.stdout)
        self.assertIn("embed `books` of table `shelves`", said.stdout)
        self.assertIn("foreign key to table `shelves`", said.stdout)
        self.assertIn('"books"("lent_to");', said.stdout)
        self.assertIn("missing", said.stderr)
        # What it prints is SQL, and all that was missing.
        for line in said.stdout.splitlines():
            if not line.startswith("--"):
                data.script(line) if self.engine == "sqlite" else data.rows(line)
        again = self.check(folder)
        self.assertEqual((again.returncode, again.stdout.count("CREATE INDEX")), (0, 0), again.stdout + again.stderr)
        self.assertIn("-- filter `genre` with sort `title`: index books_by_genre_title_id", again.stdout)

    def test_a_start_names_what_a_missing_index_is_for(self):
        folder, _ = self.lay([])
        server = self.serve(CONTRACT, DEPLOYMENT, directory=folder)
        harness.until(lambda: "has no index on genre, title, id for filter `genre` with sort `title`" in server.output, "the index and its use are named")
        self.assertIn('CREATE INDEX "books_by_pages_id"', server.output)
        self.assertEqual(server.get("/books?genre=a&sort=title").status, 200)

    def test_a_list_that_no_index_serves_names_the_columns_of_one_in_the_log(self):
        if self.engine != "sqlite":
            self.skipTest("other databases choose by themselves")
        folder, data = self.lay(["CREATE INDEX genres ON books(genre)", "CREATE INDEX places ON books(shelf_id)", "CREATE INDEX titles ON books(title)",
                                 "INSERT INTO shelves VALUES(1,'x'),(2,'y')"])
        # Each genre stands on one shelf: half of the books meet either condition, and none meets both.
        data.script("INSERT INTO books(shelf_id,title,genre,pages) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<30000) "
                    "SELECT 1+i%2, printf('t%06d', i*7919%30000), iif(i%2, 'a', 'b'), i FROM n")
        contract = CONTRACT.replace("genre: [eq],", "genre: [eq], shelf_id: [eq],")

        def listed():
            server = self.serve(contract, DEPLOYMENT, directory=folder)
            first = server.get("/books?genre=a&shelf_id=2&sort=title&limit=2").json()
            self.assertEqual([book["title"] for book in first["data"]], ["t000001", "t000003"])
            self.assertEqual(server.get("/books?genre=a&shelf_id=1&sort=title").json()["data"], [])
            server.stop()
            lines = server.logged()
            server.output_path.unlink()
            return [line for line in lines if line["event"] == "list-without-index"]

        told = listed()
        self.assertEqual([(line["table"], line["columns"]) for line in told], [("books", "genre, shelf_id, title, id")])
        data.script("CREATE INDEX shelved ON books(genre, shelf_id, title)")
        self.assertEqual(listed(), [])

    def test_tables_that_the_server_makes_have_them_all(self):
        folder = self.directory()
        server = self.serve(CONTRACT, DEPLOYMENT, directory=folder)
        server.stop()
        said = self.check(folder)
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        self.assertGreaterEqual(said.stdout.count(": index "), 6, said.stdout)


if __name__ == "__main__":
    harness.main()
