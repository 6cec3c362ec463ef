"""What only shows something, or invents it, leaves everything outside of its process as it is: `plimsoll mock`, and every command that
lists or checks. What is looked at: the bytes of every file, the files that there are, and who is connected to.
"""
import contextlib
import re
import shutil
import socket
import threading
import urllib.parse

import harness
import mistakes


class Listener:
    """A port that counts who connects to it, and says nothing."""

    def __init__(self):
        self.count = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                self.socket.accept()[0].close()
                self.count += 1


class Folders(harness.ServerTest):
    def contents(self, folder):
        """All that is in a folder: of files their bytes, and when they were written. Of the index of a SQLite log, which those who read
        share, that it is there."""
        what = lambda path: (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() and not path.name.endswith("-shm") else path.stat().st_mode
        return {str(path.relative_to(folder)): what(path) for path in folder.rglob("*") if path.name != "plimsoll.log"}


class Mocking(Folders):
    # Of all that a deployment can have a server connect to, and of all policies that keep something.
    CONTRACT = (mistakes.CONTRACT
                .replace("sort: [title, year]", "sort: [title, year]\n      files: {cover: {stored: folder}}", 1)
                .replace("  /search:\n", """\
  /books/{id}/cover:
    parameters: [{$ref: '#/components/parameters/Id'}]
    put:
      operationId: putCover
      security: [{bearer: [books:write]}]
      x-plimsoll: {table: books, file: cover, idempotency: optional}
      requestBody: {content: {image/png: {}}}
      responses: {'204': {description: Stored}}
  /shelves:
    post:
      operationId: addShelf
      security: [{bearer: [books:write]}]
      x-plimsoll: {upstream: {name: shelves}, idempotency: required, after: {job: remind}}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'201': {description: The shelf}}
  /search:
""", 1))
    MIGRATION = "CREATE TABLE books(id INTEGER PRIMARY KEY, title TEXT NOT NULL, author TEXT, year INTEGER);\n"

    def deployment(self, url, port):
        return (mistakes.DEPLOYMENT
                .replace("'sqlite:library.db'", f"'{url}'")
                .replace("jwks: jwks.json", f"jwks: 'http://127.0.0.1:{port}/jwks'")
                .replace("http://127.0.0.1:9000/", f"http://127.0.0.1:{port}/") +
                f"files: {{folder: kept}}\nupstreams: {{shelves: {{targets: 'http://127.0.0.1:{port}', health: {{path: /health, every: 1s}}}}}}\n")

    def library(self, url, port):
        folder = self.directory()
        (folder / "contract.yaml").write_text(self.CONTRACT)
        (folder / "plimsoll.yaml").write_text(self.deployment(url, port))
        (folder / "migrations").mkdir()
        (folder / "migrations" / "0001_books.sql").write_text(self.MIGRATION)
        return folder

    def mock(self, folder, contract):
        server = harness.Server(folder / contract, folder, verb=("mock",))
        self.addCleanup(self._end, server)
        server.headers = {"Authorization": "Bearer a.b.c", "X-API-Key": "pk_0", "Idempotency-Key": "same"}
        return server.start()

    def ask_all(self, server):
        """Sends to every operation twice what its parameters and its body are invented as. The operations that were answered with success."""
        done = set()
        document = server.get("/openapi.json").json()
        base = urllib.parse.urlsplit(document.get("servers", [{"url": ""}])[0]["url"]).path.rstrip("/")
        for path, item in document["paths"].items():
            for method in item.keys() & {"get", "post", "put", "patch", "delete"}:
                content = item[method].get("requestBody", {}).get("content", {})
                media = next(iter(content), None)
                body = None if media is None else b"x" if "json" not in media else b'{"title":"Emma","book_id":1,"loan":1}'
                for _ in range(2):
                    answer = server.request(method.upper(), base + re.sub(r"{\w+}", "1", path), body, {"Content-Type": media} if media else {})
                    if answer.status < 300:
                        done.add(item[method]["operationId"])
        return done

    def test_a_mock_opens_no_database_and_connects_to_nothing_whatever_the_contract_asks_for(self):
        for engine in ("sqlite", "postgres"):
            with self.subTest(engine):
                listener = Listener()
                self.addCleanup(listener.socket.close)
                folder = self.library("sqlite:library.db" if engine == "sqlite" else f"postgres://shop:s3cret@127.0.0.1:{listener.port}/shop", listener.port)
                before = self.contents(folder)
                server = self.mock(folder, "contract.yaml")
                self.assertLess({"listBooks", "addBook", "lend", "report", "putCover", "addShelf", "forget"}, self.ask_all(server))
                server.stop()
                self.assertEqual(self.contents(folder), before)
                self.assertEqual(listener.count, 0)

    def test_a_mock_of_an_example_changes_nothing_before_and_after_its_server_has_run(self):
        for name in ("shop", "packages"):
            folder = self.directory() / name
            shutil.copytree(harness.ROOT / "examples" / name, folder)
            for started in (False, True):
                with self.subTest(name, started=started):
                    if started:
                        self.serve(folder / f"{name}.yaml", directory=folder, arguments=["--dev"]).stop()
                    before = self.contents(folder)
                    server = self.mock(folder, f"{name}.yaml")
                    self.assertGreater(len(self.ask_all(server)), 0)
                    server.stop()
                    self.assertEqual(self.contents(folder), before)

    def test_what_a_mock_has_answered_is_never_an_answer_of_the_server(self):
        listener = Listener()
        self.addCleanup(listener.socket.close)
        folder = self.directory()
        (folder / "contract.yaml").write_text(NOTES)
        (folder / "plimsoll.yaml").write_text("database: {url: 'sqlite:notes.db'}\n")
        mock = self.mock(folder, "contract.yaml")
        key = {"Idempotency-Key": "order-1"}
        self.assertEqual(mock.post("/notes", {"text": "pay"}, key).status, 201)
        mock.stop()
        server = self.serve(folder / "contract.yaml", directory=folder)
        made = server.post("/notes", {"text": "pay"}, key)
        self.assertEqual((made.status, made.json()["text"]), (201, "pay"))
        self.assertNotIn("idempotent-replayed", made.headers)
        self.assertEqual([row["text"] for row in server.get("/notes").json()["data"]], ["pay"])

    def test_a_mock_takes_no_requests_of_a_server_that_listens_at_the_same_address(self):
        folder = self.directory()
        (folder / "contract.yaml").write_text(NOTES)
        (folder / "plimsoll.yaml").write_text("database: {url: 'sqlite:notes.db'}\noverlap: true\nlimits: {start-patience: 0s}\n")
        server = self.serve(folder / "contract.yaml", directory=folder)
        told = self.plimsoll("mock", "contract.yaml", "--listen", server.address, "--management", "off", directory=folder)
        self.assertIn(told.returncode, (2, 75), told.stdout + told.stderr)
        self.assertIn("already", told.stderr)


NOTES = """\
openapi: 3.1.0
info: {title: Notes, version: '1'}
x-plimsoll: {authorization: any-caller, tables: {notes: {schema: '#/components/schemas/Note'}}}
paths:
  /notes:
    get: {operationId: listNotes, security: [], x-plimsoll: {table: notes}, responses: {'200': {description: A page}}}
    post:
      operationId: addNote
      security: []
      x-plimsoll: {table: notes, idempotency: required}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: The note}}
components:
  schemas:
    Note: {type: object, required: [id, text], properties: {id: {type: integer, readOnly: true}, text: {type: string, maxLength: 50}}}
"""

if __name__ == "__main__":
    harness.main()
