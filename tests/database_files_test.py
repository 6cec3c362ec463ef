"""Faults of the files of a SQLite database, one by one: what a server tells while calls on one of them fail, what becomes of a log that another
program cuts, and a file system that fills. As tests/faults_test.py has them for the whole disk."""
import contextlib
import errno
import http.client
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess

import faults_test
import harness


class EachFile(faults_test.FaultTest):
    """Calls on one of the two files fail, the database or its log: what cannot be done is 503 and never 500, the server is not ready and says
    why, nothing else is blamed, and it recovers by itself with all that was acknowledged."""
    CONFIG = "database: {url: 'sqlite:notes.db', cache: 64KiB, checkpoint: 64KiB}\nlimits: {drain: 2s}\n"

    def fails(self, which, fault, error, reason):
        server, folder, faults = self.prepare(faults_test.Reads.CONTRACT, config=self.CONFIG)
        server.start()
        self.addCleanup(faults.none)
        rows = [server.post("/notes", {"title": f"{n:03} " + "x" * 8000}).headers["location"] for n in range(40)]
        faults.WHICH = which
        setattr(faults, fault, error)
        answers = []

        def noticed():
            answer = server.post("/notes", {"title": f"more {len(rows)} " + "x" * 8000})
            if answer.status == 201:
                rows.append(answer.headers["location"])
            answers.extend((answer, *(server.get(row) for row in random.sample(rows, 5)), server.get("/notes", limit=100)))
            status, said = self.readiness(server)
            return status == 503 and re.search(reason, said.get("database", ""))

        harness.until(noticed, lambda: f"{reason!r} in {self.readiness(server)}, after {[answer.status for answer in answers[-20:]]}: {server.describe()}")
        noticed()
        for answer in answers:
            self.assertIn(answer.status, (200, 201, 503), answer)
            self.assertIn(answer.code, (None, "database-unavailable"), answer)
        self.assertRegex(self.event(server, "database-not-writable")["reason"], reason)
        faults.none()
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {self.readiness(server)} {server.describe()}")
        self.event(server, "database-writable")
        self.assertNotIn("database-log-held", {line.get("event") for line in server.logged()}, "no other process has the file open")
        self.assertEqual({server.get(row).status for row in rows}, {200})
        self.assertLess((folder / "notes.db-wal").stat().st_size, 4 << 20, "the log is written back again")
        self.assertEqual(server.stop(), 0)
        server.restart()
        self.assertEqual({server.get(row).status for row in rows}, {200}, "nothing acknowledged is lost")

    def test_the_database_cannot_be_read(self):
        self.fails(1, "READ_ERROR", errno.EIO, "I/O error")

    def test_its_log_cannot_be_read(self):
        self.fails(2, "READ_ERROR", errno.EIO, "I/O error")

    def test_the_database_cannot_be_written(self):
        self.fails(1, "WRITE_ERROR", errno.EIO, "written back.*I/O error")

    def test_there_is_no_room_for_the_database(self):
        self.fails(1, "WRITE_ERROR", errno.ENOSPC, "written back.*full")

    def test_the_database_cannot_be_synced(self):
        self.fails(1, "SYNC_ERROR", errno.EIO, "written back.*I/O error")

    def test_its_log_cannot_be_written(self):
        self.fails(2, "WRITE_ERROR", errno.EIO, "I/O error")

    def test_there_is_no_room_for_its_log(self):
        self.fails(2, "WRITE_ERROR", errno.ENOSPC, "full")

    def test_its_log_cannot_be_synced(self):
        self.fails(2, "SYNC_ERROR", errno.EIO, "I/O error")


class LogOfOthers(faults_test.FaultTest):
    """Another program cuts the log of a server that runs: nothing of it gets into the database any more."""

    def with_rows_in_the_log(self):
        """A server with rows that are in the file, and rows that are in the log alone; gives the titles of the first."""
        server, folder, faults = self.prepare()
        server.start()
        in_file = {f"in the file {n}" for n in range(5)}
        for title in in_file:
            self.assertEqual(server.post("/notes", {"title": title}).status, 201)
        with contextlib.closing(sqlite3.connect(folder / "notes.db", timeout=10)) as database:
            self.assertEqual(database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0], 0)
        for n in range(20):
            self.assertEqual(server.post("/notes", {"title": f"in the log {n}"}).status, 201)
        return server, folder, in_file

    def test_it_is_put_aside_and_what_the_file_holds_is_served(self):
        for size in (0, 20000):
            with self.subTest(size):
                server, folder, in_file = self.with_rows_in_the_log()
                os.truncate(folder / "notes.db-wal", size)
                self.event(server, "database-replaced")
                harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {server.describe()}")
                self.assertEqual(self.titles(server), in_file)
                self.assertEqual(server.post("/notes", {"title": "after"}).status, 201)
                self.assertEqual(server.stop(), 0)
                self.assertEqual(self.plimsoll("database", "verify", "--database", "sqlite:notes.db", directory=folder).returncode, 0)
                server.restart()
                self.assertEqual(self.titles(server), in_file | {"after"})

    def test_the_end_of_the_process_writes_nothing_of_it(self):
        server, folder, in_file = self.with_rows_in_the_log()
        server.signal(signal.SIGSTOP)
        os.truncate(folder / "notes.db-wal", 0)
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        self.assertEqual(server.wait(), 0)
        with contextlib.closing(sqlite3.connect(f"file:{folder}/notes.db?mode=ro&immutable=1", uri=True)) as database:
            self.assertEqual({title for (title,) in database.execute("SELECT title FROM notes")}, in_file)


class IndexOfTheLog(faults_test.FaultTest):
    """Another program cuts `-shm`, which the processes that use a database have mapped."""

    def test_a_server_whose_index_is_cut_ends_with_75_and_a_reason(self):
        for size in (0, 4096):
            with self.subTest(size):
                server, folder, faults = self.prepare()
                server.start()
                acknowledged = {f"note {n}" for n in range(20)}
                for title in sorted(acknowledged):
                    self.assertEqual(server.post("/notes", {"title": title}).status, 201)
                os.truncate(folder / "notes.db-shm", size)

                def ended():
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        if server.post("/notes", {"title": "later"}).status == 201:
                            acknowledged.add("later")
                    return not server.alive

                harness.until(ended, lambda: f"the end of {server.describe()}")
                self.assertEqual(server.wait(), 75, server.describe())
                self.assertIn("-shm", self.event(server, "mapped-file-lost")["reason"])
                server.restart()
                self.assertLessEqual(acknowledged, self.titles(server))


class Commands(faults_test.FaultTest):
    """What `plimsoll database` says of files, and how it ends: 75 where the same command may succeed later, else 2."""
    # All that chooses a help where an engine or the system says it: in the name of a folder it says nothing.
    WORDS = ("full", "No space left", "quota", "locked", "readonly", "Read-only", "Permission denied", "unable to open", "cannot open", "moved or deleted",
             "not a database", "malformed", "I/O error", "Input/output error", "Too many open files", "postgres", "password", "certificate", "does not exist", "sqlite", " in: ")

    def command(self, folder, *words):
        done = self.plimsoll("database", *words, directory=folder)
        self.assertNotIn("fault of the program", done.stderr)
        return done.returncode, done.stderr

    def lay(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(folder / "notes.db")) as connection:
            connection.executescript("PRAGMA journal_mode=wal; CREATE TABLE notes(id INTEGER PRIMARY KEY);")
        (folder / "garbage.db").write_text("not what it should be, and long enough to be looked at: " + "x" * 1000)
        (folder / "there.db").write_text("")
        return folder

    def refusals(self, folder):
        """Each fault that needs no other machine, at absolute paths in the folder: the status and the help of each."""
        named = ("--database", f"sqlite:{folder}/notes.db")
        for words in (("backup", folder / "there.db", *named), ("backup", folder / "nowhere" / "x.db", *named), ("backup", folder / "x.db-journal", *named),
                      ("verify", "--database", f"sqlite:{folder}/garbage.db"), ("verify", "--database", f"sqlite:{folder}/missing.db"),
                      ("verify", "--database", f"sqlite:{folder}/nowhere/missing.db"), ("restore", folder / "missing.db", *named),
                      ("restore", folder / "nowhere" / "missing.db", *named), ("restore", folder / "garbage.db", *named)):
            status, said = self.command(folder, *words)
            yield words[0], status, said.split("help: ")[1].replace(str(folder), "FOLDER")

    def test_the_name_of_a_folder_chooses_no_help(self):
        here = self.directory()
        plain = list(self.refusals(self.lay(here / "plain")))
        self.assertEqual([status for _, status, _ in plain], [2, 75, 2, 2, 2, 75, 2, 75, 2], plain)
        for word in self.WORDS:
            with self.subTest(word):
                self.assertEqual(list(self.refusals(self.lay(here / word))), plain)

    def test_each_refusal_says_what_to_do_and_whether_to_try_again(self):
        folder = self.lay(self.directory())
        for words, status, help in (
                (("backup", "there.db"), 2, "Name a file that does not exist yet."),
                (("backup", "nowhere/x.db"), 2, "Make the folder"), (("backup", folder / "nowhere/x.db"), 75, "Make the folder"),
                (("backup", "notes.db-journal"), 2, "Name it otherwise"), (("backup", "x.db-wal"), 2, "Name it otherwise"), (("backup", "x.db-shm"), 2, "Name it otherwise"),
                (("restore", "missing.db"), 2, "The database is as it was."), (("restore", folder / "nowhere/missing.db"), 75, "The database is as it was.")):
            with self.subTest(words):
                before = sorted(path.name for path in folder.iterdir())
                done = self.command(folder, *words, "--database", "sqlite:notes.db")
                self.assertEqual((done[0], help in done[1]), (status, True), done)
                self.assertEqual(sorted(path.name for path in folder.iterdir()), before)

    def test_a_medium_that_is_full_or_cannot_be_written_is_75_with_its_help(self):
        folder = self.lay(self.directory())
        with contextlib.closing(sqlite3.connect(folder / "notes.db")) as connection:
            connection.executescript("CREATE TABLE large(bytes); INSERT INTO large VALUES(randomblob(400000));")
        medium = folder / "medium"
        medium.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", medium], capture_output=True).returncode != 0:
            self.skipTest("nothing can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", medium])
        for option, help in (("remount,rw", "Free space on the file system"), ("remount,ro", "a file system may be mounted read-only")):
            subprocess.run(["mount", "-o", option, medium], check=True)
            status, said = self.command(folder, "backup", "medium/x.db", "--database", "sqlite:notes.db")
            self.assertEqual((status, help in said), (75, True), said)
            self.assertEqual(list(medium.iterdir()), [])
        migrations = folder / "migrations"
        migrations.mkdir()
        (migrations / "0001_first.sql").write_text("CREATE TABLE more(id INTEGER PRIMARY KEY);")
        (folder / "plimsoll.yaml").write_text("database: {url: 'sqlite:medium/x.db', migrations: migrations}\n")
        for there in (False, True):  # neither a database nor its index can be made
            if there:
                subprocess.run(["mount", "-o", "remount,rw,size=2m", medium], check=True)
                shutil.copy(folder / "notes.db", medium / "x.db")
                subprocess.run(["mount", "-o", "remount,ro", medium], check=True)
            done = self.plimsoll("migrate", "up", directory=folder)
            self.assertEqual((done.returncode, "a file system may be mounted read-only" in done.stderr), (75, True), done)


class SmallBlocks(faults_test.FaultTest):
    """A file system whose blocks are smaller than a page of memory, and that fills: 75 with the reason, and no signal."""

    def test_a_start_ends_with_75_however_much_room_is_left(self):
        folder = self.directory()
        image, place = folder / "image", folder / "place"
        place.mkdir()
        with open(image, "wb") as file:
            file.truncate(4 << 20)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "1024", image], capture_output=True).returncode == 0 if shutil.which("mkfs.ext4") else False
        if not made or subprocess.run(["mount", "-o", "loop", image, place], capture_output=True).returncode != 0:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", place])
        (folder / "api.yaml").write_text(faults_test.CONTRACT)
        (folder / "plimsoll.yaml").write_text(f"database: {{url: 'sqlite:{place}/notes.db'}}\nlimits: {{start-patience: 0s}}\n")
        server = self.server(folder / "api.yaml", folder / "plimsoll.yaml", directory=folder)
        server.start()
        self.assertEqual(server.post("/notes", {"title": "kept"}).status, 201)
        self.assertEqual(server.stop(), 0)
        seen = set()
        for left in range(0, 60, 4):  # KiB
            with open(place / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
                while True:
                    filler.write(b"x" * 1024)
            os.truncate(place / "filler", max(0, (place / "filler").stat().st_size - left * 1024))
            for arguments in (("database", "verify"), ("jobs", "list")):
                self.assertIn(self.plimsoll(*arguments, "--database", f"sqlite:{place}/notes.db", directory=folder).returncode, (0, 75), (left, arguments))
            harness.Process.start(server)
            try:
                harness.until(lambda: not server.alive or self.answers(server), lambda: server.describe())
                seen.add(server.stop() if server.alive else server.wait())
            finally:
                server.kill()
            (place / "filler").unlink()
        self.assertLessEqual(seen, {0, 75})
        self.assertIn(75, seen)
        server.restart()
        self.assertEqual(self.titles(server), {"kept"})

    def answers(self, server):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return harness.fetch(server.address, target="/livez", patience=5).status == 200


if __name__ == "__main__":
    harness.main()
