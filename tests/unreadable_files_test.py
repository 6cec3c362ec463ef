"""Files that a start, a reload or a command reads, and that cannot be read: a folder stands in their place, as container engines make one where
what they mount is missing, or the disk fails while it is read. Never is such a file taken for an empty one."""
import contextlib
import os
import signal
import sqlite3

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Notes, version: 1.0.0}
security: []
x-plimsoll: {authorization: any-caller, tables: {notes: {schema: '#/components/schemas/Note'}}}
paths:
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
components:
  schemas:
    Note: {type: object, properties: {id: {type: integer, readOnly: true}, title: {type: string}}}
"""
WAYS = {"a folder": (os.mkdir, "Is a directory"), "an error of the disk": (lambda path: os.symlink("/proc/self/mem", path), "Input/output error")}


class Unreadable(harness.ServerTest):
    def in_each_way(self, path):
        """Puts what cannot be read in the place of the file, and gives what is to be said of it."""
        for put, said in WAYS.values():
            kept = path.with_name(path.name + ".kept")
            if path.exists():
                path.rename(kept)
            put(path)
            yield said
            os.rmdir(path) if path.is_dir() else path.unlink()
            if kept.exists():
                kept.rename(path)

    def folder_with(self, **files):
        folder = self.directory()
        for name, text in {"contract.yaml": CONTRACT, **files}.items():
            (folder / name.replace("__", ".")).write_text(text)
        return folder

    def said_by(self, folder, *arguments, said, file):
        before = sorted(str(path) for path in folder.rglob("*"))
        ran = self.plimsoll(*arguments, directory=folder)
        self.assertIn(ran.returncode, (2, 75), ran.stdout + ran.stderr)
        self.assertIn(said, ran.stderr, arguments)
        self.assertIn(file, ran.stderr, arguments)
        self.assertEqual(sorted(str(path) for path in folder.rglob("*")), before, "nothing is made")

    def test_a_deployment_that_cannot_be_read_is_not_an_empty_one(self):
        folder = self.folder_with(plimsoll__yaml="database: {url: 'sqlite:real.db'}\n")
        for said in self.in_each_way(folder / "plimsoll.yaml"):
            for arguments in (("serve", "contract.yaml", "--listen", "127.0.0.1:0"), ("serve", "contract.yaml", "--config", "plimsoll.yaml"),
                              ("check", "contract.yaml"), ("config", "--changed"), ("jobs", "list"), ("keys", "list"), ("migrate", "status")):
                self.said_by(folder, *arguments, said=said, file="plimsoll.yaml")

    def test_a_contract_that_cannot_be_read_is_told_as_such(self):
        folder = self.folder_with()
        for said in self.in_each_way(folder / "contract.yaml"):
            for arguments in (("serve", "contract.yaml"), ("check", "contract.yaml")):
                self.said_by(folder, *arguments, said=said, file="contract.yaml")

    def test_a_reload_of_what_cannot_be_read_changes_nothing(self):
        server = self.serve(CONTRACT, "database: {url: 'sqlite:real.db'}\n")
        for name in ("plimsoll.yaml", "contract.yaml"):
            for said in self.in_each_way(server.directory / name):
                told = self.plimsoll("reload", "--management", server.management)
                self.assertEqual(told.returncode, 2, told.stdout)
                self.assertIn(said, told.stderr)
                refused = server.output.count("reload-refused")
                server.signal(signal.SIGHUP)
                harness.until(lambda: server.output.count("reload-refused") > refused, lambda: f"the event: {server.describe()}")
                self.assertNotIn("listeners_opened", server.output)
                self.assertEqual(server.get("/notes").status, 200)

    def test_a_migration_that_cannot_be_read_is_not_applied(self):
        folder = self.folder_with(plimsoll__yaml="database: {url: 'sqlite:real.db'}\n")
        (folder / "migrations").mkdir()
        (folder / "migrations/0001_tables.sql").write_text("CREATE TABLE notes(id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT);")
        self.assertEqual(self.plimsoll("migrate", "up", directory=folder).returncode, 0)
        (folder / "migrations/0002_more.sql").write_text("CREATE TABLE more(id INTEGER PRIMARY KEY);")
        for said in self.in_each_way(folder / "migrations/0002_more.sql"):
            for arguments in (("migrate", "up"), ("migrate", "status"), ("serve", "contract.yaml"), ("check", "contract.yaml")):
                self.said_by(folder, *arguments, said=said, file="0002_more.sql")
        self.assertIn("applied 0002_more", self.plimsoll("migrate", "up", directory=folder).stdout)
        with contextlib.closing(sqlite3.connect(folder / "real.db")) as database:
            self.assertEqual([name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE name IN ('notes', 'more') ORDER BY 1")], ["more", "notes"])

    def test_secrets_and_rulesets_that_cannot_be_read_are_told(self):
        folder = self.folder_with(plimsoll__yaml="database: {url: '${file:secret}'}\n", secret="sqlite:real.db\n", rules__yaml="rules: {}\n")
        for said in self.in_each_way(folder / "secret"):
            self.said_by(folder, "serve", "contract.yaml", said=said, file="secret")
        for said in self.in_each_way(folder / "rules.yaml"):
            self.said_by(folder, "lint", "contract.yaml", "--ruleset", "rules.yaml", said=said, file="rules.yaml")


class Refused(harness.ServerTest):
    """Names that the system refuses to look up, and folders for temporary files that are none: each command says what is wrong with which."""

    def folder(self):
        folder = self.directory()
        (folder / "contract.yaml").write_text(CONTRACT)
        (folder / "migrations").mkdir()
        (folder / "migrations" / "1_notes.sql").write_text("CREATE TABLE notes(id INTEGER PRIMARY KEY, title TEXT);")
        os.symlink("loop", folder / "loop")
        return folder

    def test_a_name_that_cannot_be_looked_up(self):
        folder = self.folder()
        made = self.plimsoll("migrate", "up", "contract.yaml", directory=folder)
        self.assertEqual(made.returncode, 0, made)
        good = ("--database", "sqlite:contract.db")
        for bad in ("x" * 300, "loop", "loop/x.db", "contract.yaml/x.db"):
            named = ("--database", f"sqlite:{bad}")
            (folder / "plimsoll.yaml").write_text(f"database: {{url: 'sqlite:{bad}'}}\nlimits: {{start-patience: 0s}}\n")
            deployed = [("migrate", "status", "contract.yaml"), ("migrate", "up", "contract.yaml"), ("migrate", "new", "more", "contract.yaml", "--migrations", "new"),
                        ("check", "contract.yaml", "--database"), ("serve", "contract.yaml", "--listen", "127.0.0.1:0", "--management", "off")]
            alone = [("migrate", "up", bad), ("migrate", "rls", bad), ("migrate", "status", "contract.yaml", "--migrations", bad), ("check", bad), ("schema", "validate", bad, bad),
                     ("jobs", "list", *named), ("jobs", "show", "1", *named), ("keys", "list", *named), ("keys", "create", "--name", "n", *named),
                     ("database", "verify", *named), ("database", "backup", "y.db", *named), ("database", "backup", bad, *good), ("database", "restore", bad, *good),
                     ("init", "made", "--from", f"sqlite:{bad}")]
            if bad == "contract.yaml/x.db":
                deployed.remove(("migrate", "new", "more", "contract.yaml", "--migrations", "new"))  # as where there is none yet
            for command in (*deployed, *alone):
                with self.subTest(command[:2], bad=bad[:20]):
                    done = self.plimsoll(*command, directory=folder)
                    self.assertIn(done.returncode, (2, 75), done.stdout + done.stderr)
                    self.assertIn("error", done.stderr)
                    self.assertNotIn("fault of the program", done.stderr)

    def test_a_folder_for_temporary_files_that_is_none(self):
        folder = self.folder()
        made = self.plimsoll("migrate", "up", "contract.yaml", directory=folder)
        self.assertEqual(made.returncode, 0, made)
        for command in (("migrate", "new", "more", "contract.yaml"), ("check", "contract.yaml"), ("init", "made", "--from", "sqlite:contract.db")):
            with self.subTest(command[:2]):
                done = self.plimsoll(*command, directory=folder, environment={"TMPDIR": str(folder / "nowhere")})
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertIn("Set TMPDIR", done.stderr)


if __name__ == "__main__":
    harness.main()
