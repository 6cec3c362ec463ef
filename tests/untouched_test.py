"""What only shows something, or invents it, leaves everything outside of its process as it is: `plimsoll mock`, and every command that
lists or checks. What is looked at: the bytes of every file, the files that there are, and who is connected to.
"""
import contextlib
import hashlib
import re
import shutil
import socket
import subprocess
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


class Looking(Folders):
    """Commands that only list, show or check: each on databases in all the states that they meet."""

    JOB = "019a0000-0000-7000-8000-000000000000"
    # What each says where nothing of the server's was ever made, and where a key, a job and a migration are; and how each ends, None: it depends.
    COMMANDS = [
        (("jobs", "list"), "no jobs", JOB, 0, 0),
        (("jobs", "list", "--state", "available", "--json"), "", JOB, 0, 0),
        (("jobs", "show", JOB), "there is no job", '"kind":"remind"', 2, 0),
        (("keys", "list"), "", "nightly", 0, 0),
        (("keys", "list", "--json"), "[]", "nightly", 0, 0),
        (("migrate", "status", "contract.yaml"), "pending      0001_notes", "applied      0001_notes", 0, 0),
        (("database", "verify"), "notes.db is sound", "notes.db is sound", 0, 0),
        (("check", "contract.yaml"), "Notes 1 would be served", "Notes 1 would be served", 0, 0),
        (("check", "contract.yaml", "--database"), "default rate limits", "default rate limits", None, None),
        (("check",), "plimsoll.yaml can be used", "plimsoll.yaml can be used", 0, 0),
        (("routes", "contract.yaml"), "/notes", "/notes", 0, 0),
        (("lint", "contract.yaml"), "", "", None, None),
        (("bundle", "contract.yaml", "--effective"), "openapi", "openapi", 0, 0),
        (("config", "--explain"), "database", "database", 0, 0),
    ]

    def folder(self):
        folder = self.directory()
        (folder / "contract.yaml").write_text(NOTES)
        (folder / "plimsoll.yaml").write_text("database: {url: 'sqlite:notes.db'}\n")
        (folder / "migrations").mkdir()
        (folder / "migrations" / "0001_notes.sql").write_text(TABLE)
        return folder

    def used(self):
        """A folder whose server has made all of its tables, with a key, a job and a note; and the server, which runs."""
        folder = self.folder()
        server = self.serve(folder / "contract.yaml", directory=folder)
        made = self.plimsoll("keys", "create", "--name", "nightly", "--database", "sqlite:notes.db", directory=folder)
        self.assertEqual(made.returncode, 0, made.stderr)
        jobs = self.plimsoll("jobs", "cancel", self.JOB, "--database", "sqlite:notes.db", directory=folder)  # makes the tables of jobs
        self.assertIn("there is no job", jobs.stderr)
        harness.SqliteDatabase(folder / "notes.db").script(
            "INSERT INTO plimsoll_jobs(id, kind, queue, payload, owner, priority, state, due, enqueued_at) "
            f"VALUES('{self.JOB}', 'remind', 'default', '{{}}', '', 5, 'available', 1, 1)")
        self.assertEqual(server.post("/notes", {"text": "one"}, {"Idempotency-Key": "1"}).status, 201)
        return folder, server

    def look(self, folder, ours, contents=None):
        """Each command: what it says, and that all is as it was."""
        contents = contents or self.all_of
        for command, foreign, known, refused, status in self.COMMANDS:
            with self.subTest(command, folder=folder.name):
                before = contents(folder)
                done = self.plimsoll(*command, directory=folder)
                self.assertEqual(contents(folder), before)
                self.assertIn(known if ours else foreign, done.stdout + done.stderr)
                expected = status if ours else refused
                if expected is not None:
                    self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
        with self.subTest("init --from", folder=folder.name):
            before, made = contents(folder), self.directory()
            done = self.plimsoll("init", made / "new", "--from", f"sqlite:{folder}/notes.db", directory=made)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(contents(folder), before)

    @staticmethod
    def all_of(folder):
        """The bytes of each file, the index of a log included, and when it and its folder were changed."""
        told = lambda path: (path.stat().st_mtime_ns, path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        return {str(path.relative_to(folder)): told(path) for path in (folder, *folder.rglob("*"))}

    @staticmethod
    def but_the_log(folder):
        """The same where a server runs, whose probe writes to the log."""
        logs = ("-wal", "-shm", ".log")
        return {name: "" if name.endswith(logs) else told[2] for name, told in Looking.all_of(folder).items()}

    def test_where_there_is_no_database_none_is_made(self):
        folder = self.folder()
        for command, *_ in self.COMMANDS:
            with self.subTest(command):
                before = self.all_of(folder)
                done = self.plimsoll(*command, directory=folder)
                self.assertEqual(self.all_of(folder), before)
                if command[0] in ("jobs", "keys", "database"):
                    self.assertEqual((done.returncode, "there is no database at notes.db" in done.stderr), (2, True), done)

    def test_a_database_of_another_program(self):
        for mode in ("delete", "wal"):
            folder = self.folder()
            harness.SqliteDatabase(folder / "notes.db").script(f"PRAGMA journal_mode={mode}; CREATE TABLE things(id INTEGER PRIMARY KEY); INSERT INTO things VALUES(1);")
            self.look(folder, False)
            self.assertEqual(harness.SqliteDatabase(folder / "notes.db").tables(), {"things"})

    def test_a_database_that_another_program_writes(self):
        folder = self.folder()
        database = harness.SqliteDatabase(folder / "notes.db")
        database.script("PRAGMA journal_mode=wal; CREATE TABLE things(id INTEGER PRIMARY KEY);")
        with contextlib.closing(database.connect()) as other:
            other.execute("BEGIN IMMEDIATE")  # none of them waits for it
            self.look(folder, False, self.but_the_log)

    def test_a_database_of_a_server_that_runs_has_ended_or_was_killed(self):
        folder, server = self.used()
        self.look(folder, True, self.but_the_log)
        server.kill()
        self.assertGreater((folder / "notes.db-wal").stat().st_size, 0)
        self.look(folder, True)
        server.restart()
        self.assertEqual([row["text"] for row in server.get("/notes").json()["data"]], ["one"])
        self.assertEqual(server.stop(), 0)
        self.look(folder, True)

    def test_a_database_on_a_medium_that_cannot_be_written(self):
        for killed in (False, True):
            folder, server = self.used()
            server.kill() if killed else server.stop()
            medium = self.directory()
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", medium], capture_output=True).returncode != 0:
                self.skipTest("nothing can be mounted here")
            self.addCleanup(subprocess.run, ["umount", "-l", medium])
            shutil.copytree(folder, medium, dirs_exist_ok=True)
            if killed:
                (medium / "notes.db-wal").touch()  # it is that of the file, whichever was copied first
            subprocess.run(["mount", "-o", "remount,ro", medium], check=True)
            self.look(medium, True)

    def test_a_role_that_may_only_read_sees_the_same_on_postgresql(self):
        folder = self.folder()
        postgres = harness.Postgres.shared()
        name = postgres.database()
        self.addCleanup(postgres.sql, f"DROP DATABASE {name} WITH (FORCE)")
        role = f"looks_{name}"
        postgres.sql(f"CREATE ROLE {role} LOGIN PASSWORD 's3cret'")
        self.addCleanup(postgres.sql, f"DROP ROLE {role}")
        self.addCleanup(postgres.sql, f"DROP OWNED BY {role}", name)
        owner = postgres.url(name)
        url = owner.replace("shop:", f"{role}:")
        self.assertNotEqual(url, owner)
        tables = lambda: harness.PostgresDatabase(postgres, name, owner).rows("SELECT relname::text, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")
        commands = [each for each in self.COMMANDS if each[0][0] in ("jobs", "keys", "migrate")]
        for ours in (False, True):
            (folder / "plimsoll.yaml").write_text(f"database: {{url: '{owner}'}}\n")
            if ours:
                self.serve(folder / "contract.yaml", directory=folder).stop()
                self.assertEqual(self.plimsoll("keys", "create", "--name", "nightly", directory=folder).returncode, 0)
                self.plimsoll("jobs", "cancel", self.JOB, directory=folder)  # makes the tables of jobs
                postgres.sql("INSERT INTO plimsoll_jobs(id, kind, queue, payload, owner, priority, state, due, enqueued_at) "
                             f"VALUES('{self.JOB}', 'remind', 'default', '{{}}', '', 5, 'available', 1, 1); GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", name)
            (folder / "plimsoll.yaml").write_text(f"database: {{url: '{url}'}}\n")
            before = tables()
            for command, foreign, known, refused, status in commands:
                with self.subTest(command, ours=ours):
                    done = self.plimsoll(*command, directory=folder)
                    self.assertIn(known if ours else foreign, done.stdout + done.stderr)
                    self.assertEqual(done.returncode, status if ours else refused, done.stdout + done.stderr)
            checked = self.plimsoll("check", "contract.yaml", "--database", directory=folder)
            self.assertNotIn("fault of the program", checked.stderr)
            self.assertEqual(tables(), before)


TABLE = "CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT NOT NULL);\n"
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
