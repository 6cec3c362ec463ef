"""Faults of what a server depends on: its database and disk, the reader of its log, signals, addresses in use. A table of cases: for each
fault what the exit status, readiness with its reason, and the log say, that reads go on, that nothing acknowledged is lost, and that the
server recovers by itself. The disk fails as tests/programs/faults.c says, preloaded into the server; no case waits for a bare time."""
import atexit
import contextlib
import errno
import functools
import http.client
import http.server
import itertools
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import unittest.mock

import harness
import jobs_test

TORTURE = bool(os.environ.get("PLIMSOLL_TORTURE"))
CONTRACT = """
openapi: 3.1.0
info: {title: Notes, version: 1.0.0}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables: {notes: {schema: '#/components/schemas/Note', key: id}}
paths:
  /notes:
    get: {operationId: listNotes, security: [], x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    post:
      operationId: createNote
      security: []
      x-plimsoll: {table: notes}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: ok}}
components:
  schemas:
    Note:
      type: object
      required: [title]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        title: {type: string, minLength: 1, maxLength: 200}
"""
CONFIG = "database: {url: 'sqlite:notes.db', busy: 50ms}\nlimits: {drain: 2s%s}\n"


@functools.cache
def shim(program="faults.c"):
    """The library to preload, built once."""
    compiler = shutil.which("clang-19") or shutil.which("cc")
    if not compiler:
        raise unittest.SkipTest("no C compiler")
    folder = tempfile.mkdtemp(prefix="plimsoll-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = pathlib.Path(folder) / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, harness.ROOT / "tests/programs" / program, "-ldl"], check=True)
    return library


class Faults:
    """What goes wrong now: `faults.WRITE_ERROR = errno.ENOSPC`. The server sees it at once."""
    NAMES = ("SYNC_ERROR", "WRITE_ERROR", "OPEN_ERROR", "HANG", "SLOW", "CLOCK", "FULL", "HANGING", "READ_ERROR", "READ_HANG", "READ_SLOW", "READ_BLIND",
             "WHICH")

    def __init__(self, path):
        path.write_bytes(b"\0" * 8 * len(self.NAMES))
        with open(path, "r+b") as file:
            object.__setattr__(self, "memory", mmap.mmap(file.fileno(), 0))
        object.__setattr__(self, "path", path)

    def __setattr__(self, name, value):
        struct.pack_into("q", self.memory, 8 * self.NAMES.index(name), value)

    def __getattr__(self, name):
        return struct.unpack_from("q", self.memory, 8 * self.NAMES.index(name))[0]

    def none(self):
        for name in self.NAMES:
            if name != "HANGING":
                setattr(self, name, 0)


class FaultTest(harness.ServerTest):
    def prepare(self, contract=CONTRACT, limits="", config=None, arguments=()):
        """A server under the shim that is not started yet, its folder and its faults."""
        folder = self.directory()
        faults = Faults(folder / "faults")
        server = self.server(contract, config or CONFIG % limits, directory=folder, arguments=arguments,
                             environment={"LD_PRELOAD": shim(), "FAULTS": folder / "faults"})
        return server, folder, faults

    def readiness(self, server):
        try:
            answer = harness.fetch(server.management, target="/readyz", patience=5)
        except OSError:
            return 0, {}
        return answer.status, answer.json()

    def event(self, server, event, /, **members):
        def there():
            return [line for line in server.logged() if line.get("event") == event and all(line.get(key) == value for key, value in members.items())]
        return harness.until(there, lambda: f"the event {event} {members} in {server.describe()}")[0]

    def quietly(self, server):
        with contextlib.suppress(Exception):
            server.post("/notes", {"title": "hangs"})

    def titles(self, server):
        return {note["title"] for note in server.get("/notes", limit=100).json()["data"]}


class Database(FaultTest):
    """Each row: how it begins, how it ends, what readiness tells operators; `hangs`: a write waits instead of failing."""

    def case(self, begin, end, reason, hangs=False, reads=True):
        server, folder, faults = self.prepare()
        server.start()
        kept = {f"kept {n}" for n in range(3)}
        for title in kept:
            self.assertEqual(server.post("/notes", {"title": title}).status, 201)
        self.assertEqual(server.get("/readyz").json(), {"status": "ok"})
        begin(folder, faults)
        try:
            self.not_ready(server, reason)
            self.assertEqual(server.get("/livez").status, 200, "a server whose database fails is alive")
            if reads:
                self.assertEqual(self.titles(server), kept)
            if not hangs:
                refused = server.post("/notes", {"title": "refused"})
                self.assertEqual((refused.status, refused.code), (503, "database-unavailable"), refused)
                self.assertGreaterEqual(int(refused.headers["retry-after"]), 1)
                self.assertNotIn(str(folder), refused.text)
                self.assertNotIn("/tmp", refused.text)
        finally:
            end(folder, faults)
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {server.describe()}")
        self.event(server, "database-writable")
        self.assertEqual(server.post("/notes", {"title": "after"}).status, 201)
        self.assertEqual(self.titles(server) - {"refused"}, kept | {"after"}, "nothing acknowledged is lost")
        self.assertEqual(server.stop(), 0)
        server.restart()
        self.assertEqual(self.titles(server) - {"refused"}, kept | {"after"})

    def not_ready(self, server, reason):
        def found():
            status, said = self.readiness(server)
            return status == 503 and re.search(reason, said.get("database", "")) and said
        harness.until(found, lambda: f"readiness tells {reason!r}: {self.readiness(server)} {server.describe()}")
        public = server.get("/readyz")
        self.assertEqual((public.status, public.json()), (503, {"status": "unavailable"}), "one word for callers")
        self.assertRegex(self.event(server, "database-not-writable")["reason"], reason)

    def test_a_full_disk(self):
        self.case(lambda folder, faults: setattr(faults, "WRITE_ERROR", errno.ENOSPC), lambda folder, faults: faults.none(), "full")

    def test_a_file_system_without_room_while_small_writes_still_fit_into_files_that_are_there(self):
        server, folder, faults = self.prepare()
        server.start()
        faults.FULL = 1
        self.not_ready(server, "full")
        self.event(server, "database-not-writable")
        faults.none()
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {server.describe()}")
        self.event(server, "database-writable")

    def test_a_disk_that_fails_to_sync(self):
        self.case(lambda folder, faults: setattr(faults, "SYNC_ERROR", errno.EIO), lambda folder, faults: faults.none(), "I/O error")

    def test_a_disk_that_hangs(self):
        self.case(lambda folder, faults: setattr(faults, "HANG", 1), lambda folder, faults: faults.none(), r"has not ended for \d+ s", hangs=True)

    def test_a_full_disk_is_found_beside_requests_that_write_nothing(self):
        contract = CONTRACT.replace("components:", "  /notes/{id}:\n    delete: {operationId: dropNote, security: [], x-plimsoll: {table: notes}, "
                                    "parameters: [{name: id, in: path, required: true, schema: {type: string}}], responses: {'204': {description: gone}}}\ncomponents:")
        server, folder, faults = self.prepare(contract)
        server.start()
        over = threading.Event()

        def ask():
            while not over.is_set():
                self.assertEqual(server.delete("/notes/nothing").status, 404)  # its unit fails, and the commit around it does not

        asking = threading.Thread(target=ask, daemon=True)
        self.addCleanup(lambda: (over.set(), asking.join(harness.PATIENCE)))
        asking.start()
        faults.WRITE_ERROR = errno.ENOSPC
        self.not_ready(server, "full")
        faults.none()
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {server.describe()}")

    def test_a_file_that_is_gone_and_comes_back(self):
        self.case(lambda folder, faults: os.rename(folder / "notes.db", folder / "away"), lambda folder, faults: os.rename(folder / "away", folder / "notes.db"),
                  "moved or deleted", reads=False)

    def test_a_file_that_is_replaced(self):
        def replace(folder, faults):
            os.rename(folder / "notes.db", folder / "away")
            (folder / "notes.db").write_bytes(b"")
        self.case(replace, lambda folder, faults: os.rename(folder / "away", folder / "notes.db"), "moved or deleted", reads=False)

    def test_another_process_that_holds_the_lock(self):
        held = []

        def lock(folder, faults):
            held.append(sqlite3.connect(folder / "notes.db", isolation_level=None))
            harness.until(lambda: self.locks(held[0]), "the lock")

        self.case(lock, lambda folder, faults: held[0].close(), "locked")

    def locks(self, connection):
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("BEGIN IMMEDIATE")
            return True

    def test_a_fault_that_is_not_told_and_a_row_that_is_lost_are_reported(self):
        full = lambda folder, faults: setattr(faults, "WRITE_ERROR", errno.ENOSPC)

        def lose(folder, faults):
            faults.none()
            with contextlib.closing(sqlite3.connect(folder / "notes.db", timeout=10, isolation_level=None)) as connection:
                connection.execute("DELETE FROM notes WHERE title = 'kept 1'")

        with self.assertRaisesRegex(AssertionError, "nothing acknowledged is lost"):
            self.case(full, lose, "full")
        with unittest.mock.patch.object(harness, "PATIENCE", 5), self.assertRaisesRegex(AssertionError, "readiness tells 'full'"):
            self.case(lambda folder, faults: None, lambda folder, faults: None, "full")

    def test_a_slow_disk_is_slow_and_ready(self):
        server, folder, faults = self.prepare()
        server.start()
        faults.SLOW = 300
        for n in range(5):
            self.assertEqual(server.post("/notes", {"title": f"slow {n}"}).status, 201)
            self.assertEqual(self.readiness(server)[0], 200)
        self.assertEqual(len(self.titles(server)), 5)


class Reads(FaultTest):
    """The disk hangs, or is slow, when pages are read that are not in memory: no event loop waits for it."""
    CONTRACT = CONTRACT.replace("components:", """  /notes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: readNote, security: [], x-plimsoll: {table: notes, deadline: 2s}, responses: {'200': {description: ok}}}
    delete: {operationId: dropNote, security: [], x-plimsoll: {table: notes, deadline: 1s}, responses: {'204': {description: gone}}}
  /static:
    get:
      operationId: static
      security: []
      x-plimsoll: {mock: {}}
      responses: {'200': {description: ok, content: {application/json: {schema: {type: object}, example: {from: memory}}}}}
components:""").replace("maxLength: 200", "maxLength: 50000")
    CONFIG = "threads: 2\ndatabase: {url: 'sqlite:notes.db', cache: 64KiB, readers: 4}\nlimits: {drain: 2s}\n"

    def filled(self):
        """A server, its faults and its rows, which take far more than SQLite keeps in memory."""
        server, folder, faults = self.prepare(self.CONTRACT, config=self.CONFIG)
        server.start()
        self.addCleanup(faults.none)
        made = [server.post("/notes", {"title": f"{n:03} " + "x" * 8000}) for n in range(40)]
        self.assertEqual({answer.status for answer in made}, {201})
        return server, faults, [answer.headers["location"] for answer in made]

    def read(self, server, target, answers, caller="127.0.0.1"):
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=harness.PATIENCE, source_address=(caller, 0))
        with contextlib.closing(line), contextlib.suppress(OSError, http.client.HTTPException):
            answers.append(server.request("GET", target, connection=line))

    def reading(self, server, targets, callers=1):
        """Reads all of them at once, for several callers; gives the threads and the list that their answers come into."""
        answers = []
        threads = [threading.Thread(target=self.read, args=(server, target, answers, f"127.0.0.{n % callers + 1}"), daemon=True)
                   for n, target in enumerate(targets)]
        for thread in threads:
            thread.start()
        return threads, answers

    def ended(self, threads):
        for thread in threads:
            thread.join(harness.PATIENCE)
        self.assertFalse(any(thread.is_alive() for thread in threads), "every request is answered")

    def loops_run(self, server):
        """What needs no disk is answered by every loop: connections go to all of them."""
        for _ in range(8):
            self.assertEqual(server.get("/livez").status, 200)
            self.assertEqual(server.get("/static").json(), {"from": "memory"})

    def is_told_to_hang(self, server):
        """A write that looks whether the disk takes any may have met the same disk first."""
        harness.until(lambda: re.search("waited for the disk|a write has not ended", self.readiness(server)[1].get("database", "")), lambda: f"{self.readiness(server)}")

    def hangs(self, server, faults, rows):
        """The disk hangs until this has ended: 504 at the deadline, 503 for what is beyond the threads, not ready with the reason."""
        faults.READ_HANG = 1
        threads, answers = self.reading(server, rows[:12], callers=4)
        harness.until(lambda: faults.HANGING >= 4, lambda: f"the threads of the readers hang: {faults.HANGING}")
        self.loops_run(server)
        self.ended(threads)
        self.assertLessEqual({answer.status for answer in answers}, {503, 504}, answers)
        self.assertGreaterEqual(len([1 for answer in answers if answer.status == 504]), 4, answers)
        self.is_told_to_hang(server)
        self.assertEqual(server.get("/readyz").status, 503)

        def refused():
            answer = server.get(rows[20])
            return answer.status == 503 and answer

        beyond = harness.until(refused, "503 once all threads wait")
        self.assertEqual(beyond.code, "database-unavailable")
        self.assertGreaterEqual(int(beyond.headers["retry-after"]), 1)
        self.loops_run(server)
        self.event(server, "database-not-writable")
        faults.none()
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {self.readiness(server)}")
        self.event(server, "database-writable")
        self.assertEqual({server.get(row).status for row in rows}, {200})

    def test_a_disk_that_hangs_holds_up_no_loop_and_each_read_ends_at_its_deadline(self):
        server, faults, rows = self.filled()
        self.hangs(server, faults, rows)

    def test_where_the_file_system_cannot_read_what_is_in_memory_alone_it_tells_what_that_is(self):
        server, faults, rows = self.filled()
        faults.READ_BLIND = 1
        self.assertEqual({server.get(row).status for row in rows}, {200})
        self.hangs(server, faults, rows)

    def test_where_the_file_system_does_not_tell_what_is_in_memory_one_read_is_held_up_and_none_after_it(self):
        server, faults, rows = self.filled()
        faults.READ_BLIND = 2
        self.assertEqual({server.get(row).status for row in rows}, {200})
        faults.READ_HANG = 1
        threads, answers = self.reading(server, rows[:1])
        harness.until(lambda: faults.HANGING >= 1, "a read that hangs")
        self.is_told_to_hang(server)
        faults.READ_HANG = 0
        self.ended(threads)
        self.hangs(server, faults, rows)

    def test_a_slow_disk_is_slow_and_ready(self):
        server, faults, rows = self.filled()
        faults.READ_SLOW = 150
        threads, answers = self.reading(server, ["/notes?limit=2"] * 4, callers=4)  # which has the usual deadline
        self.loops_run(server)
        self.ended(threads)
        self.assertEqual([answer.status for answer in answers], [200] * 4, answers)
        self.assertEqual(self.readiness(server)[0], 200)

    def test_each_fault_of_the_disk_at_a_start_while_it_serves_and_at_its_end(self):
        for fault, value in (("READ_HANG", 1), ("READ_SLOW", 150), ("READ_ERROR", errno.EIO), ("HANG", 1), ("WRITE_ERROR", errno.ENOSPC), ("SYNC_ERROR", errno.EIO)):
            server, faults, rows = self.filled()
            self.assertEqual(server.stop(), 0)
            setattr(faults, fault, value)
            harness.Process.start(server)
            harness.until(lambda: self.readiness(server)[1].get("status") in ("starting", "ok"), lambda: f"{fault}: {server.describe()}")
            faults.none()
            harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"{fault} has passed: {server.describe()}")
            self.assertEqual({server.get(row).status for row in rows}, {200}, fault)
            setattr(faults, fault, value)
            threads, answers = self.reading(server, rows[:6], callers=3)
            writing = threading.Thread(target=self.quietly, args=(server,), daemon=True)
            writing.start()
            if fault != "READ_SLOW":
                harness.until(lambda: self.readiness(server)[0] == 503, lambda: f"{fault}: {self.readiness(server)} {server.describe()}")
            self.loops_run(server)
            server.signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0, fault)  # within `drain`, whatever hangs
            faults.none()
            self.ended([*threads, writing])
            self.assertLessEqual({answer.status for answer in answers}, {200, 503, 504}, fault)
            server.restart()
            self.assertEqual({server.get(row).status for row in rows}, {200}, fault)

    def test_a_statement_of_a_write_that_hangs_is_left_at_the_deadline_and_rolled_back(self):
        server, faults, rows = self.filled()
        faults.READ_HANG = 1
        left = server.delete(rows[5])
        self.assertEqual((left.status, left.code), (504, "deadline-exceeded"), left)
        self.assertGreaterEqual(faults.HANGING, 1)
        self.loops_run(server)
        faults.none()
        self.assertEqual(server.get(rows[5]).status, 200, "a write that is 504 was not made")
        self.assertEqual((server.delete(rows[5]).status, server.get(rows[5]).status), (204, 404))

    def test_reads_that_hang_do_not_hold_up_the_end(self):
        server, faults, rows = self.filled()
        faults.READ_HANG = 1
        threads, answers = self.reading(server, rows[:4], callers=4)
        harness.until(lambda: faults.HANGING >= 4, "reads that hang")
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)  # it would hang for ever
        self.ended(threads)
        self.assertLessEqual({answer.status for answer in answers}, {504}, answers)


class Writes(FaultTest):
    """The disk hangs under writes: each request is answered at its deadline, and truly, whichever way the write ends later."""
    CONTRACT = CONTRACT.replace("x-plimsoll: {table: notes}\n      requestBody", "x-plimsoll: {table: notes, deadline: 1s, idempotency: optional}\n      requestBody").replace(
        "components:", """  /stored:
    get: {operationId: storedNotes, security: [], x-plimsoll: {table: notes, cache: 10m}, responses: {'200': {description: ok}}}
  /patient:
    post:
      operationId: createPatiently
      security: []
      x-plimsoll: {table: notes, deadline: 10m}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: ok}}
components:""")

    def begin(self):
        """A server that has just committed, so that the next write is that of the test."""
        server, folder, faults = self.prepare(self.CONTRACT)
        server.start()
        self.addCleanup(faults.none)
        self.assertEqual(server.post("/notes", {"title": "kept"}).status, 201)
        return server, faults

    def stored(self, server):
        return sorted(note["title"] for note in server.get("/stored", limit=100).json()["data"])

    def case(self, error, outcome):
        server, faults = self.begin()
        self.assertEqual((self.stored(server), self.stored(server)), (["kept"], ["kept"]))
        pay = lambda: server.post("/notes", {"title": "hangs"}, {"Idempotency-Key": "k"})
        faults.HANG = 1
        first = pay()
        self.assertEqual((first.status, first.code), (503, "outcome-unknown"), first)
        self.assertGreaterEqual(int(first.headers["retry-after"]), 1)
        for behind in (pay(), server.post("/notes", {"title": "behind"})):
            self.assertEqual((behind.status, behind.code), (504, "deadline-exceeded"), behind)
        self.assertEqual((self.titles(server), self.stored(server)), ({"kept"}, ["kept"]), "reads go on")
        self.assertEqual(server.metrics()["plimsoll_database_outcomes_unknown_total"], 1)
        harness.until(lambda: [line for line in server.logged() if line.get("problem") == "outcome-unknown"], "the line of the request")
        faults.WRITE_ERROR = error
        faults.HANG = 0
        self.event(server, "database-late-commit", unknown=1, committed=error == 0)
        faults.none()
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {server.describe()}")
        self.assertEqual(self.stored(server), outcome, "a stored response is not older than what was committed late")
        again = pay()
        self.assertEqual((again.status, again.headers.get("idempotent-replayed")), (201, None if error else "true"))
        self.assertEqual((self.titles(server), self.stored(server)), ({"kept", "hangs"}, ["hangs", "kept"]))
        self.assertEqual(server.stop(), 0)
        server.restart()
        self.assertEqual(self.stored(server), ["hangs", "kept"])

    def test_a_commit_that_hangs_and_succeeds_after_its_request_was_answered(self):
        self.case(0, ["hangs", "kept"])

    def test_a_commit_that_hangs_and_fails_after_its_request_was_answered(self):
        self.case(errno.ENOSPC, ["kept"])

    def test_the_end_of_the_process_does_not_wait_for_a_commit_that_hangs_and_its_request_is_answered(self):
        server, faults = self.begin()
        faults.HANG = 1
        answers = []
        asking = threading.Thread(target=lambda: answers.append(server.post("/patient", {"title": "hangs"})), daemon=True)
        asking.start()
        harness.until(lambda: faults.HANGING > 0, "a write that hangs")
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)  # it would hang for ever
        asking.join(harness.PATIENCE)
        self.assertEqual([(answer.status, answer.code) for answer in answers], [(503, "outcome-unknown")])


class Writers:
    """Threads that write without end and remember what was acknowledged."""

    def __init__(self, server, count=2):
        self.server, self.acknowledged, self.over = server, set(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, which):
        for n in itertools.count():
            if self.over.is_set():
                return
            title = f"{which}-{n}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.server.request("POST", "/notes", {"title": title}, patience=5)
                if answer.status == 201:
                    self.acknowledged.add(title)
                    continue
            time.sleep(0.01)  # a refusal is not asked for as fast as possible

    def progress(self, why, more=5):
        before = len(self.acknowledged)
        harness.until(lambda: len(self.acknowledged) >= before + more, why)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(harness.PATIENCE)


class Strict(Writers):
    """The same, which reads what it may too, and keeps what neither succeeded nor was refused as an outage is."""

    def __init__(self, server):
        self.unexpected = []
        super().__init__(server)

    def run(self, which):
        for n in itertools.count():
            if self.over.is_set():
                return
            title = f"{which}-{n}"
            for method, body in (("POST", {"title": title}), ("GET", None)):
                answer = self.server.request(method, "/notes", body, patience=harness.PATIENCE)
                if answer.status == 201:
                    self.acknowledged.add(title)
                elif answer.status == 503 and int(answer.headers.get("retry-after", 0)) >= 1:
                    time.sleep(0.01)
                elif answer.status != 200:
                    self.unexpected.append((method, answer.status, answer.text))


class AnotherFile(FaultTest):
    """A server whose database file others exchange while two clients read and write."""

    def setUp(self):
        super().setUp()
        self.subject = self.server(CONTRACT, "database: {url: 'sqlite:data/notes.db', busy: 50ms}\nlimits: {drain: 2s}\n",
                                   files={"data/about": "of the database alone"})
        self.folder = self.subject.directory
        self.data = self.folder / "data"
        self.subject.start()
        self.assertEqual(self.subject.post("/notes", {"title": "before"}).status, 201)
        self.load = Strict(self.subject)
        self.addCleanup(self.load.stop)
        self.load.progress("writes before the fault")

    def copy(self, name="copy.db", statements=""):
        done = self.plimsoll("database", "backup", self.folder / name, "--database", "sqlite:data/notes.db", directory=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        with contextlib.closing(sqlite3.connect(self.folder / name)) as connection:
            connection.executescript(statements)
        return self.folder / name

    def stored(self, path):
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
            return {title for (title,) in connection.execute("SELECT title FROM notes")}

    def not_ready(self, reason):
        def found():
            status, said = self.readiness(self.subject)
            return status == 503 and re.search(reason, said.get("database", ""))
        harness.until(found, lambda: f"readiness tells {reason!r}: {self.readiness(self.subject)} {self.subject.describe()}")

    def recovers(self, reopened=True):
        """Ready again by itself, within the patience of this test, and then serves as before."""
        harness.until(lambda: self.readiness(self.subject)[0] == 200, lambda: f"ready again: {self.subject.describe()}")
        if reopened:
            self.event(self.subject, "database-reopened")
        self.load.progress(lambda: f"writes afterwards: {self.subject.describe()}")
        self.assertEqual(self.load.unexpected, [])

    def ends(self, *earlier):
        self.load.stop()
        self.assertEqual(self.load.unexpected, [])
        self.assertEqual(self.subject.stop(), 0)
        kept = self.stored(self.data / "notes.db").union(*(self.stored(path) for path in earlier))
        self.assertEqual(self.load.acknowledged - kept, set(), "what was acknowledged is in the file of its time")
        done = self.plimsoll("database", "verify", "--database", "sqlite:data/notes.db", directory=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout)


class Replaced(AnotherFile):
    """Another file takes the place of the database: it is served when it is good, and else nothing is."""

    def test_a_copy_that_is_renamed_over_it_is_served(self):
        copy = self.copy()
        self.assertEqual(self.subject.post("/notes", {"title": "not in the copy"}).status, 201)
        self.load.progress("writes that the copy lacks")
        os.link(self.data / "notes.db", self.folder / "earlier.db")
        os.rename(copy, self.data / "notes.db")
        self.event(self.subject, "database-replaced", log_frames_dropped=0)
        self.recovers()
        titles = self.stored(self.data / "notes.db")
        self.assertIn("before", titles)
        self.assertNotIn("not in the copy", titles)
        self.assertIn("not in the copy", self.stored(self.folder / "earlier.db"))
        self.ends(self.folder / "earlier.db")

    def test_one_copy_after_the_other_is_served(self):
        for n in range(3):
            copy = self.copy(f"copy-{n}.db")
            os.link(self.data / "notes.db", self.folder / f"earlier-{n}.db")
            os.rename(copy, self.data / "notes.db")
            harness.until(lambda: len([1 for line in self.subject.logged() if line.get("event") == "database-reopened"]) > n, self.subject.describe)
            self.recovers()
        self.ends(*self.folder.glob("earlier-*.db"))

    def test_a_file_that_is_removed_and_restored_from_a_copy_is_served(self):
        os.rename(self.data / "notes.db", self.folder / "earlier.db")
        self.not_ready("moved or deleted")
        self.event(self.subject, "database-not-reopened")  # what was in its log is in it now
        shutil.copy(self.folder / "earlier.db", self.folder / "restored.db")
        os.rename(self.folder / "restored.db", self.data / "notes.db")
        self.recovers()
        self.ends(self.folder / "earlier.db")

    def test_a_folder_that_is_moved_away_and_back_is_served(self):
        os.rename(self.data, self.folder / "away")
        self.not_ready("moved or deleted")
        os.rename(self.folder / "away", self.data)
        self.recovers(reopened=False)
        self.ends()

    def test_a_folder_that_cannot_be_looked_up_is_said_to_be_so(self):
        os.rename(self.data, self.folder / "away")
        os.symlink(self.data.name, self.data)  # to itself
        self.not_ready("symbolic links")
        self.data.unlink()
        os.rename(self.folder / "away", self.data)
        self.recovers(reopened=False)
        self.ends()

    def test_a_copy_of_the_folder_in_its_place_is_served(self):
        os.rename(self.data, self.folder / "away")
        self.not_ready("moved or deleted")
        self.load.stop()  # the copy is of one state
        shutil.copytree(self.folder / "away", self.data)
        self.load = Strict(self.subject)
        self.addCleanup(self.load.stop)
        self.recovers()
        self.ends(self.folder / "away" / "notes.db")

    def test_garbage_in_its_place_is_not_served_until_the_file_is_back(self):
        for garbage in (b"", b"no database " * 1000, b"SQLite format 3\0" + bytes(range(256)) * 64):
            os.rename(self.data / "notes.db", self.folder / "earlier.db")
            (self.folder / "garbage").write_bytes(garbage)
            os.rename(self.folder / "garbage", self.data / "notes.db")
            self.not_ready("not a database|malformed|without the table|unsupported")
            self.event(self.subject, "database-not-reopened")
            self.assertEqual((self.data / "notes.db").read_bytes(), garbage, "it is left as it is")
            os.rename(self.folder / "earlier.db", self.data / "notes.db")
            self.recovers(reopened=False)
        self.ends()

    def test_the_file_of_another_contract_is_not_served_and_left_as_it_is(self):
        other = self.folder / "other.db"
        with contextlib.closing(sqlite3.connect(other)) as connection:
            connection.executescript("CREATE TABLE birds(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO birds(name) VALUES('owl')")
        before = other.read_bytes()
        copy = self.copy()
        os.link(self.data / "notes.db", self.folder / "earlier.db")
        os.rename(other, self.data / "notes.db")
        self.not_ready("without the table")
        self.assertEqual((self.data / "notes.db").read_bytes(), before)
        os.rename(copy, self.data / "notes.db")
        self.recovers()
        self.ends(self.folder / "earlier.db")

    def test_a_file_whose_tables_do_not_fit_is_not_served_until_another_does(self):
        good, bad = self.copy(), self.copy("bad.db", "ALTER TABLE notes RENAME COLUMN title TO heading; DELETE FROM notes")
        os.link(self.data / "notes.db", self.folder / "earlier.db")
        os.rename(bad, self.data / "notes.db")
        self.not_ready("title")
        refused = self.subject.get("/notes")
        self.assertEqual((refused.status, refused.code), (503, "database-unavailable"), "nothing is read that does not fit")
        os.rename(good, self.data / "notes.db")
        self.recovers()
        self.ends(self.folder / "earlier.db")


class Overwritten(AnotherFile):
    """Another program writes into the database file, past SQLite. What is there is served when it is good, and else nothing is."""

    def path(self):
        return self.data / "notes.db"

    def over(self, source):
        """As `cp` does it: the same file with other bytes."""
        subprocess.run(["cp", source, self.path()], check=True)

    def count(self, event):
        return len([1 for line in self.subject.logged() if line.get("event") == event])

    def at(self, event):
        harness.until(lambda: self.count(event) > 0, lambda: f"{event}: {self.subject.describe()}")

    def ends(self):
        """What was acknowledged after the file was opened is in it."""
        self.load.stop()
        self.assertEqual(self.load.unexpected, [])
        self.assertEqual(self.subject.stop(), 0)
        done = self.plimsoll("database", "verify", "--database", "sqlite:data/notes.db", directory=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return self.stored(self.path())

    def test_a_copy_that_is_written_over_it_is_served_and_the_log_is_put_aside(self):
        self.load.progress("rows in the copy", more=50)
        copy = self.copy()
        self.assertEqual(self.subject.post("/notes", {"title": "not in the copy"}).status, 201)
        self.load.progress("writes that the copy lacks", more=50)
        self.over(copy)
        self.at("database-replaced")
        self.recovers()
        afterwards = {f"afterwards {n}" for n in range(5)}
        for title in afterwards:
            self.assertEqual(self.subject.post("/notes", {"title": title}).status, 201)
        titles = self.ends()
        self.assertLessEqual(afterwards | {"before"}, titles)
        self.assertNotIn("not in the copy", titles)
        self.assertEqual(len(list(self.data.glob("notes.db-wal-of-replaced*"))), 1, "what was in the log alone is kept")

    def test_a_file_that_was_only_touched_is_served_as_before(self):
        os.utime(self.path())
        self.at("database-touched")
        self.recovers()
        acknowledged = set(self.load.acknowledged)
        self.assertLessEqual(acknowledged | {"before"}, self.ends())
        self.assertEqual(list(self.data.glob("notes.db-wal-of-replaced*")), [])

    def test_a_file_that_is_cut_is_not_served_until_a_copy_is_there(self):
        copy = self.copy()
        for size in (0, 4096, copy.stat().st_size - 4096):
            os.truncate(self.path(), size)
            self.not_ready("written into|damaged|malformed|without the table")

            def refused():
                answer = self.subject.get("/notes")
                self.assertIn((answer.status, answer.code), ((200, None), (503, "database-unavailable")), answer)
                return answer.status == 503

            harness.until(refused, "reads are refused once the writer has seen it")
            self.assertEqual(self.subject.get("/livez").status, 200)
            self.over(copy)
            self.recovers()
        self.assertIn("before", self.ends())

    def test_garbage_in_it_is_not_served_until_a_copy_is_there(self):
        chosen = random.Random(harness.seed())
        copy = self.copy()
        for _ in range(3):
            damaged = bytearray(copy.read_bytes())
            at = chosen.randrange(0, len(damaged) - 2048)
            damaged[at:at + 2048] = chosen.randbytes(2048)
            (self.folder / "damaged.db").write_bytes(bytes(damaged))
            verify = subprocess.run([harness.program(), "database", "verify", "--database", "sqlite:damaged.db"], cwd=self.folder, capture_output=True)
            if verify.returncode == 0:
                continue  # a part that nothing uses
            touched = self.count("database-touched")
            self.over(self.folder / "damaged.db")
            harness.until(lambda: self.readiness(self.subject)[0] == 503 or self.count("database-touched") > touched, self.subject.describe)
            if self.count("database-touched") == touched:  # else the log has newer pages in the place of all that are damaged
                self.not_ready("sqlite")
                self.assertEqual(self.path().read_bytes(), bytes(damaged), "it is left as it is")
            self.over(copy)
            self.recovers()
        self.assertIn("before", self.ends())

    def test_checkpoints_of_other_processes_are_no_fault(self):
        for n in range(20):
            with contextlib.closing(sqlite3.connect(self.path(), timeout=10)) as connection:
                connection.execute("PRAGMA wal_checkpoint(%s)" % ("TRUNCATE" if n % 2 else "PASSIVE"))
            self.load.progress("writes", more=2)
        self.assertEqual([line for line in self.subject.logged() if "database-re" in line.get("event", "")], [])
        acknowledged = set(self.load.acknowledged)
        self.assertLessEqual(acknowledged, self.ends())

    def test_the_end_of_the_process_does_not_mix_the_log_into_a_copy(self):
        self.load.progress("rows in the copy", more=50)
        copy = self.copy()
        self.load.progress("writes that the copy lacks", more=50)
        self.load.stop()
        self.subject.signal(signal.SIGSTOP)
        self.over(copy)
        self.subject.signal(signal.SIGTERM)
        self.subject.signal(signal.SIGCONT)
        self.assertEqual(self.subject.wait(), 0)
        self.assertEqual(self.path().read_bytes(), copy.read_bytes())


class Damaged(FaultTest):
    """The disk gives other bytes than were written: what can be read is served, and the server is not ready until the file is sound again."""

    def test_damage_that_a_statement_meets_is_told_until_the_file_is_sound(self):
        server, folder, faults = self.prepare(Reads.CONTRACT, config=Reads.CONFIG)
        server.start()
        rows = [server.post("/notes", {"title": f"{n:03} " + "x" * 20000}).headers["location"] for n in range(40)]
        server.stop()  # all is in the file
        path = folder / "notes.db"
        whole, times = path.read_bytes(), path.stat()
        pages = [at for at in range(4096, len(whole), 4096) if whole[at] == 10 and b"x" * 50 in whole[at:at + 4096]]  # leaves with rows
        place = pages[len(pages) // 2]
        server.restart()

        def put(content):
            server.signal(signal.SIGSTOP)  # a disk changes no times
            with open(path, "r+b") as file:
                file.seek(place)
                file.write(content)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            server.signal(signal.SIGCONT)

        times = path.stat()
        put(b"\xff" * 512)
        answers = [server.get(row) for row in rows]
        self.assertEqual({answer.status for answer in answers}, {200, 503}, answers)
        self.assertEqual({answer.code for answer in answers if answer.status == 503}, {"database-unavailable"})
        harness.until(lambda: "malformed" in self.readiness(server)[1].get("database", ""), lambda: f"{self.readiness(server)} {server.describe()}")
        self.event(server, "database-not-writable")
        self.event(server, "database-not-reopened")
        self.assertIn(200, {server.get(row).status for row in rows}, "what can be read is read")
        put(whole[place:place + 512])
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {self.readiness(server)} {server.describe()}")
        self.event(server, "database-reopened")
        self.assertEqual({server.get(row).status for row in rows}, {200})
        self.assertEqual(len([1 for line in server.logged() if line.get("event") == "database-not-writable"]), 1, "it is told once")

    def test_reads_that_fail_are_told_until_the_disk_answers_again(self):
        server, folder, faults = self.prepare(Reads.CONTRACT, config=Reads.CONFIG)
        server.start()
        rows = [server.post("/notes", {"title": f"{n:03} " + "x" * 20000}).headers["location"] for n in range(40)]
        faults.READ_ERROR = errno.EIO
        self.assertEqual({server.get(row).status for row in rows[:20]} - {200}, {503})
        harness.until(lambda: self.readiness(server)[0] == 503, lambda: f"{self.readiness(server)}")
        faults.none()
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {self.readiness(server)} {server.describe()}")
        self.assertEqual({server.get(row).status for row in rows}, {200})

    def test_the_table_of_the_probe_is_made_again(self):
        server, folder, faults = self.prepare()
        server.start()
        with contextlib.closing(sqlite3.connect(folder / "notes.db", timeout=10)) as connection:
            connection.execute("DROP TABLE plimsoll_probe")

        def there():
            self.readiness(server)
            with contextlib.closing(sqlite3.connect(folder / "notes.db", timeout=10)) as connection:
                return connection.execute("SELECT count(*) FROM sqlite_schema WHERE name='plimsoll_probe'").fetchone() == (1,)

        harness.until(there, "the table")
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {self.readiness(server)}")


class Restored(FaultTest):
    """A server was killed, and a backup takes the place of its database: the log that was left is never applied to it."""

    def killed(self, rows=30, limits=""):
        """A server, its folder, and a backup that lacks what was acknowledged last, with which the log begins."""
        server, folder, faults = self.prepare(limits=limits)
        server.start()
        for n in range(rows):
            self.assertEqual(server.post("/notes", {"title": f"in the backup {n}"}).status, 201)
        done = self.plimsoll("database", "backup", "backup.db", "--database", "sqlite:notes.db", directory=folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        server.stop()
        server.restart()
        for n in range(rows):
            self.assertEqual(server.post("/notes", {"title": f"later {n}"}).status, 201)
        return server, folder

    def restore(self, folder, name="backup.db"):
        return self.plimsoll("database", "restore", name, "--database", "sqlite:notes.db", directory=folder)

    def refuses(self, server, folder):
        """The start ends with the remedy, and changes nothing."""
        before = {path.name: path.read_bytes() for path in folder.glob("notes.db*") if not path.name.endswith("-shm")}
        named = ("--database", "sqlite:notes.db")
        for command in (("serve", "contract.yaml", "--config", "plimsoll.yaml", "--listen", server.address, "--management", "off"),
                        ("database", "verify", *named), ("database", "backup", "other.db", *named)):
            done = self.plimsoll(*command, directory=folder)
            self.assertEqual(done.returncode, 2, (command, done))
            self.assertIn("plimsoll database restore", done.stdout + done.stderr, command)
        self.assertEqual({path.name: path.read_bytes() for path in folder.glob("notes.db*") if not path.name.endswith("-shm")}, before)

    def serves_the_backup(self, server, folder):
        done = self.restore(folder)
        self.assertEqual((done.returncode, done.stdout), (0, "restored notes.db from backup.db\nwhat was there is kept as notes.db-before\n"), done)
        server.restart()
        titles = self.titles(server)
        self.assertEqual({title for title in titles if title.startswith("later")}, set())
        self.assertIn("in the backup 0", titles)
        self.assertEqual(server.post("/notes", {"title": "afterwards"}).status, 201)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(self.plimsoll("database", "verify", "--database", "sqlite:notes.db", directory=folder).returncode, 0)

    def test_a_backup_that_was_copied_over_it_is_not_mixed_with_the_log(self):
        server, folder = self.killed()
        server.kill()
        subprocess.run(["cp", folder / "backup.db", folder / "notes.db"], check=True)
        self.refuses(server, folder)
        self.serves_the_backup(server, folder)

    def test_a_backup_that_was_copied_over_it_with_its_times_is_refused_each_time(self):
        server, folder, faults = self.prepare(Reads.CONTRACT, config="database: {url: 'sqlite:notes.db', checkpoint: 64KiB}\n")
        server.start()
        for n in range(40):
            self.assertEqual(server.post("/notes", {"title": f"in the backup {n} " + "x" * 500}).status, 201)
        self.assertEqual(self.plimsoll("database", "backup", "backup.db", "--database", "sqlite:notes.db", directory=folder).returncode, 0)
        for n in range(127):
            self.assertEqual(server.post("/notes", {"title": f"later {n} " + "y" * 1500}).status, 201)
        server.kill()
        subprocess.run(["cp", "-p", folder / "backup.db", folder / "notes.db"], check=True)
        self.refuses(server, folder)
        self.refuses(server, folder)

    def test_a_backup_that_was_renamed_over_it_before_the_kill_is_not_mixed_with_the_log(self):
        server, folder = self.killed()
        subprocess.run(["cp", folder / "backup.db", folder / "copy.db"], check=True)
        server.signal(signal.SIGSTOP)  # it sees nothing of it
        os.rename(folder / "copy.db", folder / "notes.db")
        server.kill()
        self.refuses(server, folder)
        self.serves_the_backup(server, folder)

    def test_a_backup_of_which_the_log_has_all_that_followed_loses_nothing_and_that_is_told(self):
        server, folder, faults = self.prepare()
        server.start()
        self.assertEqual(server.post("/notes", {"title": "in the backup"}).status, 201)
        self.assertEqual(self.plimsoll("database", "backup", "backup.db", "--database", "sqlite:notes.db", directory=folder).returncode, 0)
        self.assertEqual(server.post("/notes", {"title": "later"}).status, 201)
        server.kill()
        subprocess.run(["cp", folder / "backup.db", folder / "notes.db"], check=True)
        server.restart()
        self.event(server, "database-log-in-doubt")
        self.assertEqual(self.titles(server), {"in the backup", "later"})

    def test_restore_puts_a_backup_in_its_place_and_keeps_what_was_there(self):
        server, folder = self.killed()
        running = self.restore(folder)
        self.assertEqual((running.returncode, "a process uses" in running.stderr), (75, True), running)
        server.kill()
        self.serves_the_backup(server, folder)
        with contextlib.closing(sqlite3.connect(folder / "notes.db-before")) as connection:
            titles = {title for (title,) in connection.execute("SELECT title FROM notes")}
        self.assertIn("later 29", titles, "with its log")

    def test_what_a_backup_or_restore_has_left_that_was_killed_is_in_no_way(self):
        server, folder = self.killed()
        server.kill()
        backup = ("database", "backup", "next.db", "--database", "sqlite:notes.db")
        gone = subprocess.Popen(["true"])
        gone.wait()
        for name in ("notes.db-restored", f"notes.db-restored.{gone.pid}.plimsoll-part", f"next.db.{gone.pid}.plimsoll-part"):
            (folder / name).write_bytes((folder / "backup.db").read_bytes()[:5000])
        done = self.plimsoll(*backup, directory=folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.serves_the_backup(server, folder)
        self.assertEqual([path.name for path in folder.iterdir() if "part" in path.name or "restored" in path.name], [])

    def test_a_backup_that_was_killed_under_the_number_of_the_next_one_is_in_no_way(self):
        server, folder = self.killed()
        server.kill()
        (folder / "next.db.1.plimsoll-part").write_bytes(b"half of it")
        done = subprocess.run(["unshare", "--pid", "--fork", harness.program(), "database", "backup", "next.db", "--database", "sqlite:notes.db"], cwd=folder, capture_output=True, text=True)
        if "unshare" in done.stderr:
            self.skipTest("no numbers of processes can be had anew here")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([path.name for path in folder.iterdir() if "part" in path.name], [])

    def test_a_backup_on_a_medium_that_cannot_be_written_is_verified_copied_and_restored(self):
        server, folder = self.killed()
        server.kill()
        medium = folder / "medium"
        medium.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", medium], capture_output=True).returncode != 0:
            self.skipTest("nothing can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", medium])
        shutil.copy(folder / "backup.db", medium / "backup.db")
        subprocess.run(["mount", "-o", "remount,ro", medium], check=True)
        for command in (("verify", "--database", "sqlite:medium/backup.db"), ("backup", "copy.db", "--database", "sqlite:medium/backup.db"),
                        ("restore", "medium/backup.db", "--database", "sqlite:notes.db")):
            done = self.plimsoll("database", *command, directory=folder)
            self.assertEqual(done.returncode, 0, done)
        server.restart()
        self.assertIn("in the backup 0", self.titles(server))

    def test_a_restore_while_a_server_starts_is_refused_or_served(self):
        chosen = random.Random(harness.seed())
        server, folder = self.killed(rows=200, limits=", start-patience: 1s")
        done = set()
        for n in range(8):
            server.kill()
            harness.Process.start(server)
            time.sleep(chosen.random() * 0.05)  # at any moment of the start
            restored = self.restore(folder)
            done.add(restored.returncode)

            def ready():
                if not server.alive:  # 75 where the file was replaced at a bad moment: a manager of services starts it again
                    self.assertEqual(server.wait(), 75)
                    harness.Process.start(server)
                return self.readiness(server)[0] == 200

            harness.until(ready, lambda: f"ready after a restore that ended with {restored}: {server.describe()}")
            made = server.post("/notes", {"title": f"written behind {n}"})
            self.assertEqual(made.status, 201, made)
            self.assertIn(f"written behind {n}", self.stored(folder), "who writes and who reads have one file")
        self.assertLessEqual(done, {0, 75})

    def stored(self, folder):
        with contextlib.closing(sqlite3.connect(folder / "notes.db", timeout=10)) as database:
            return {title for (title,) in database.execute("SELECT title FROM notes")}

    def test_restore_follows_a_link_to_the_database(self):
        server, folder = self.killed()
        (folder / "elsewhere").mkdir()
        os.symlink("../notes.db", folder / "elsewhere" / "linked.db")
        named = ("--database", "sqlite:elsewhere/linked.db")
        running = self.plimsoll("database", "restore", "backup.db", *named, directory=folder)
        self.assertEqual((running.returncode, "a process uses" in running.stderr), (75, True), running)
        server.kill()
        done = self.plimsoll("database", "restore", "backup.db", *named, directory=folder)
        self.assertEqual(done.returncode, 0, done)
        self.assertTrue((folder / "elsewhere" / "linked.db").is_symlink())
        self.assertFalse((folder / "notes.db-wal").exists())
        server.restart()
        self.assertNotIn("later 0", self.titles(server))

    def test_restore_refuses_what_is_no_backup_and_changes_nothing(self):
        server, folder = self.killed()
        server.kill()
        whole = (folder / "backup.db").read_bytes()
        (folder / "damaged.db").write_bytes(whole[:8192] + bytes(len(whole) - 8192))
        (folder / "text.db").write_text("no database " * 1000)
        before = {path.name: path.read_bytes() for path in folder.glob("notes.db*")}
        for name in ("damaged.db", "text.db", "none.db"):
            done = self.restore(folder, name)
            self.assertEqual(done.returncode, 2, (name, done))
        self.assertEqual({path.name: path.read_bytes() for path in folder.glob("notes.db*")}, before)
        server.restart()
        self.assertIn("later 29", self.titles(server))

    def test_restore_makes_a_database_that_is_missing(self):
        server, folder = self.killed()
        server.kill()
        for path in folder.glob("notes.db*"):
            path.unlink()
        done = self.restore(folder)
        self.assertEqual((done.returncode, done.stdout), (0, "restored notes.db from backup.db\n"), done)
        server.restart()
        self.assertIn("in the backup 0", self.titles(server))

    def test_a_log_that_belongs_to_the_file_is_applied_whatever_was_done_to_both(self):
        def touched(folder):
            os.chmod(folder / "notes.db-wal", 0o600)
            os.chmod(folder / "notes.db", 0o600)

        def copied(folder):
            for name in ("notes.db", "notes.db-wal"):
                (folder / (name + ".copy")).write_bytes((folder / name).read_bytes())
            for name in ("notes.db", "notes.db-wal"):
                os.rename(folder / (name + ".copy"), folder / name)
            (folder / "notes.db-shm").unlink()

        def written_back_in_part(folder):
            with contextlib.closing(sqlite3.connect(folder / "notes.db")) as reader, contextlib.closing(sqlite3.connect(folder / "notes.db")) as writer:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM notes").fetchone()
                writer.execute("INSERT INTO notes(id, title) VALUES('x', 'more')")
                writer.commit()
                writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
                for name in ("notes.db", "notes.db-wal"):
                    shutil.copy2(folder / name, folder / (name + ".kept"))
            for name in ("notes.db", "notes.db-wal"):
                os.rename(folder / (name + ".kept"), folder / name)

        for change in (lambda folder: None, touched, copied, written_back_in_part):
            server, folder = self.killed()
            server.kill()
            change(folder)
            server.restart()
            self.assertIn("later 29", self.titles(server))
            self.assertEqual(server.stop(), 0)


class Together(FaultTest):
    """Faults of all kinds in random order while clients write: after each the server goes on by itself, and holds what it acknowledged."""
    ROUNDS = 100 if TORTURE else 6

    def test_random_faults_under_load_lose_nothing_that_was_acknowledged(self):
        self.chosen = random.Random(harness.seed())
        server, folder, faults = self.prepare()
        server.start()
        writers = Writers(server)
        self.addCleanup(writers.stop)
        writers.progress("writes before any fault")
        kinds = [kind for kind in dir(self) if kind.startswith("fault_")]
        done = []
        for number in range(self.ROUNDS):
            kind = kinds[number % len(kinds)] if number < len(kinds) else self.chosen.choice(kinds)
            done.append(kind)
            getattr(self, kind)(server, folder, faults)
            harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready after {done}: {server.describe()}")
            writers.progress(lambda: f"writes after {done}: {server.describe()}")
            acknowledged = set(writers.acknowledged)
            self.assertEqual(acknowledged - self.stored(folder), set(), done)
        writers.stop()
        server.kill()
        self.assertEqual(writers.acknowledged - self.stored(folder), set(), done)
        self.assertEqual(self.plimsoll("database", "verify", "--database", "sqlite:notes.db", directory=folder).returncode, 0)

    def stored(self, folder):
        with contextlib.closing(sqlite3.connect(folder / "notes.db", timeout=10)) as connection:
            return {title for (title,) in connection.execute("SELECT title FROM notes")}

    def refused(self, server):
        harness.until(lambda: self.readiness(server)[0] == 503, lambda: f"not ready: {server.describe()}")

    def fault_full(self, server, folder, faults):
        faults.WRITE_ERROR = errno.ENOSPC
        self.refused(server)
        faults.none()

    def fault_sync(self, server, folder, faults):
        faults.SYNC_ERROR = errno.EIO
        self.refused(server)
        faults.none()

    def fault_hang(self, server, folder, faults):
        faults.HANG = 1
        self.refused(server)
        faults.none()

    def fault_clock(self, server, folder, faults):
        faults.CLOCK = self.chosen.choice((-86400, 3600, 86400))

    def fault_stopped(self, server, folder, faults):
        server.signal(signal.SIGSTOP)
        harness.until(lambda: (pathlib.Path("/proc") / str(server.pid) / "stat").read_text().split(")")[1].split()[0] == "T", "the process has stopped")
        server.signal(signal.SIGCONT)

    def fault_killed(self, server, folder, faults):
        server.kill()
        server.restart()


class Starting(FaultTest):
    """Exit 2: somebody has to correct something. 75: the same start may succeed later, and a manager of services repeats it."""

    def ends(self, server, status, *words):
        harness.Process.start(server)
        self.assertEqual(server.wait(), status, server.describe())
        for word in words:
            self.assertRegex(server.output, word)
        return server.output

    def test_what_the_environment_refuses_ends_with_75_and_a_remedy(self):
        for fault, field, words in ((errno.ENOSPC, "WRITE_ERROR", ("full", "Free space")), (errno.EROFS, "OPEN_ERROR", ("read-?only|unable to open", "writable")),
                                    (errno.EIO, "SYNC_ERROR", ("I/O error", "kernel log"))):
            with self.subTest(errno.errorcode[fault]):
                server, folder, faults = self.prepare(limits=", start-patience: 0s")
                setattr(faults, field, fault)
                output = self.ends(server, 75, *words)
                self.assertNotIn("leave to make tables", output)
                faults.none()
                server.restart()  # as a manager of services does
                self.assertEqual(server.post("/notes", {"title": "after"}).status, 201)

    def test_an_existing_database_on_a_full_disk_is_75_too(self):
        server, folder, faults = self.prepare(limits=", start-patience: 0s")
        server.start()
        self.assertEqual(server.post("/notes", {"title": "kept"}).status, 201)
        server.kill()
        faults.WRITE_ERROR = errno.ENOSPC
        self.ends(server, 75, "full|I/O error")
        faults.none()
        server.restart()
        self.assertEqual(self.titles(server), {"kept"})

    def test_a_lock_that_passes_delays_the_start(self):
        server, folder, faults = self.prepare()
        other = sqlite3.connect(folder / "notes.db", isolation_level=None)
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        harness.Process.start(server)
        self.assertIn("locked", self.event(server, "start-delayed")["reason"])
        status, said = self.readiness(server)
        self.assertEqual((status, said["status"]), (503, "starting"))
        self.assertEqual(harness.fetch(server.management, target="/livez").status, 200)
        other.execute("ROLLBACK")
        other.close()
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"the start: {server.describe()}")
        self.assertEqual(server.post("/notes", {"title": "after"}).status, 201)

    def test_an_address_in_use_that_becomes_free_delays_the_start(self):
        server, folder, faults = self.prepare()
        with socket.create_server(("127.0.0.1", server.port)):
            harness.Process.start(server)
            self.assertIn("in use", self.event(server, "start-delayed")["reason"])
        harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"the start: {server.describe()}")
        self.assertEqual(server.post("/notes", {"title": "after"}).status, 201)

    def test_readiness_says_why_a_start_waits(self):
        server, folder, faults = self.prepare(limits=", start-patience: 60s")
        faults.WRITE_ERROR = errno.ENOSPC
        self.addCleanup(faults.none)
        harness.Process.start(server)
        harness.until(lambda: "full" in self.readiness(server)[1].get("starting", ""), lambda: f"{self.readiness(server)} {server.describe()}")
        faults.none()
        harness.until(lambda: self.readiness(server)[0] == 200, server.describe)

    def test_a_start_that_waits_ends_with_0_when_it_is_told_to(self):
        server, folder, faults = self.prepare(limits=", start-patience: 10m")
        faults.WRITE_ERROR = errno.ENOSPC
        harness.Process.start(server)
        self.event(server, "start-delayed")
        self.assertEqual(server.stop(), 0, server.describe())

    def test_what_the_user_has_to_correct_ends_with_2_at_once(self):
        garbage = {"notes.db": "not a database, and long enough to be looked at: " + "x" * 1000}
        for name, more in (("contract", {"contract": "openapi: 3.1.0\n"}), ("option", {"config": "limits: {drane: 2s}\n"}),
                           ("folder", {"config": "database: {url: 'sqlite:nowhere/notes.db'}\n"}), ("file", {"files": garbage, "config": CONFIG % ""})):
            with self.subTest(name):
                server = self.server(**{"contract": CONTRACT, "config": CONFIG % "", **more})
                self.assertNotIn("start-delayed", self.ends(server, 2))

    def test_another_exit_status_is_reported(self):
        with self.assertRaisesRegex(AssertionError, "2 != 75"):
            self.ends(self.server("openapi: 3.1.0\n", CONFIG % ""), 75)

    def test_commands_tell_the_two_apart_too(self):
        folder = self.directory()
        (folder / "migrations").mkdir()
        (folder / "migrations" / "1_first.sql").write_text("CREATE TABLE t(a)")
        (folder / "plimsoll.yaml").write_text("database: {url: 'sqlite:x.db', migrations: migrations, busy: 50ms}\n")
        other = sqlite3.connect(folder / "x.db", isolation_level=None)
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        locked = self.plimsoll("migrate", "up", directory=folder)
        self.assertEqual((locked.returncode, "locked" in locked.stderr), (75, True), locked)
        other.close()
        self.assertEqual(self.plimsoll("migrate", "up", directory=folder).returncode, 0)
        (folder / "migrations" / "2_wrong.sql").write_text("CREATE TABEL u(a)")
        self.assertEqual(self.plimsoll("migrate", "up", directory=folder).returncode, 2)


class Preparing(FaultTest):
    """Migrations and indexes at the start: not ready, told in the log, ended when asked to, gone on with after a kill."""
    ENDLESS = "CREATE TABLE endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000000) SELECT sum(i) AS s FROM n;"

    def begin(self):
        server, folder, faults = self.prepare(config="database: {url: 'sqlite:notes.db', migrations: migrations}\n")
        (folder / "migrations").mkdir()
        (folder / "migrations" / "1_first.sql").write_text("CREATE TABLE notes(id TEXT PRIMARY KEY NOT NULL, title TEXT NOT NULL) STRICT, WITHOUT ROWID;")
        (folder / "migrations" / "2_second.sql").write_text(self.ENDLESS)
        harness.Process.start(server)
        self.event(server, "migration", name="2_second")
        return server, folder

    def test_a_start_that_prepares_is_alive_and_not_ready_and_tells_the_phase(self):
        server, folder = self.begin()
        self.assertEqual((self.readiness(server)[0], self.readiness(server)[1]["status"]), (503, "starting"))
        self.assertEqual(harness.fetch(server.management, target="/livez").status, 200)
        self.assertEqual(self.event(server, "starting", phase="applying a migration")["detail"], "2_second")
        self.assertEqual(server.stop(), 0)

    def test_a_migration_is_broken_off_when_the_process_is_told_to_end_and_goes_on_after_a_kill(self):
        server, folder = self.begin()
        self.assertEqual(server.stop(), 0)  # it would take years
        self.assertNotIn("shutdown-forced", server.output)
        harness.Process.start(server)
        harness.until(lambda: sum(line.get("event") == "migration" for line in server.logged()) == 3, lambda: server.describe())
        server.kill()
        (folder / "migrations" / "2_second.sql").write_text("CREATE TABLE second(a);")  # it was never applied
        server.restart()
        applied = lambda: [line["name"] for line in server.logged() if line.get("event") == "migration"]  # noqa: E731
        harness.until(lambda: applied() == ["1_first", "2_second", "2_second", "2_second"], lambda: str(applied()))
        self.assertEqual(server.post("/notes", {"title": "after"}).status, 201)


class Jobs(FaultTest):
    def test_a_step_of_the_clock_loses_no_job_that_runs(self):
        service = jobs_test.Service()
        self.addCleanup(service.close)
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        service.answer = lambda path, body: (go_on.wait(harness.PATIENCE), (200, {"Content-Type": "text/plain"}, b"done"))[1]
        server, folder, faults = self.prepare(jobs_test.CONTRACT.replace("x-plimsoll: {job: call}", "security: []\n      x-plimsoll: {job: call}"),
                                              config="database: {url: 'sqlite:notes.db'}\njobs:\n"
                                              f"  call: {{run: {{http: 'http://127.0.0.1:{service.port}/call'}}, attempts: 3, lease: 1s, timeout: 5m}}\n"
                                              "  effect: {run: {sql: 'SELECT 1'}}\n  report: {run: {sql: 'SELECT 1'}}\n")
        server.start()
        for n in range(3):
            self.assertEqual(server.post("/calls", {}).status, 202)
        harness.until(lambda: len(service.seen) == 3, lambda: f"three calls: {server.describe()}")
        for steps, by in enumerate((3600, 7200, -3600, 86400, 0), 1):
            faults.CLOCK = by
            harness.until(lambda: sum(line.get("event") == "clock-stepped" for line in server.logged()) == steps, lambda: server.describe())
            # All leases are written in the new time, by those who hold them.
            wall = time.time() + by
            harness.until(lambda: self.all_leases_near(folder, wall), lambda: f"leases near {by}: {server.describe()}")
        go_on.set()
        states = ["completed"] * 3
        harness.until(lambda: self.query(folder, "SELECT state FROM plimsoll_jobs ORDER BY state") == [(state,) for state in states], lambda: server.describe())
        self.assertEqual(len(service.seen), 3, "no job was called twice")
        self.assertEqual(self.query(folder, "SELECT sum(crashes), sum(failures) FROM plimsoll_jobs"), [(0, 0)])

    def test_jobs_of_a_clock_that_is_set_back_run(self):
        days = 2 * 86400
        server, folder, faults = self.prepare(jobs_test.CONTRACT.replace("x-plimsoll: {job: effect}", "security: []\n      x-plimsoll: {job: effect}"),
                                              config="database: {url: 'sqlite:notes.db'}\njobs:\n  call: {run: {sql: 'SELECT 1'}}\n"
                                              "  effect: {run: {sql: 'SELECT 1'}}\n  report: {run: {sql: 'SELECT 1'}}\n")
        self.addCleanup(lambda: setattr(faults, "CLOCK", 0))
        faults.CLOCK = days
        server.start()
        insert = ("INSERT INTO plimsoll_jobs(id, kind, queue, payload, owner, priority, state, due, enqueued_at) "
                  "VALUES(?, 'effect', 'default', '{}', '', 5, ?, ?, ?)")

        def enqueue(kind):
            """A job, and one that waits for an hour, by a clock that is two days ahead: as an instance that is killed next leaves them."""
            wall = (int(time.time()) + days) * 1_000_000_000
            with contextlib.closing(sqlite3.connect(folder / "notes.db", timeout=10)) as database:
                database.execute(insert, (f"{kind}-now", "available", wall + 30_000_000_000, wall))
                database.execute(insert, (f"{kind}-later", "scheduled", wall + 3600_000_000_000, wall))
                database.commit()

        def state(name):
            return self.query(folder, f"SELECT state FROM plimsoll_jobs WHERE id = '{name}'")

        # While it runs, and while it does not.
        enqueue("running")
        faults.CLOCK = 0
        harness.until(lambda: state("running-now") == [("completed",)], lambda: f"{self.query(folder, 'SELECT id, state, due FROM plimsoll_jobs')} {server.describe()}")
        self.assertEqual(self.event(server, "job-times-corrected")["count"], 2)
        server.kill()
        enqueue("killed")
        server.restart()
        harness.until(lambda: state("killed-now") == [("completed",)], lambda: f"{self.query(folder, 'SELECT id, state, due FROM plimsoll_jobs')} {server.describe()}")
        for name in ("running-later", "killed-later"):
            (standing, due), = self.query(folder, f"SELECT state, due FROM plimsoll_jobs WHERE id = '{name}'")
            self.assertEqual(standing, "scheduled")
            self.assertLess(abs(due / 1e9 - time.time() - 3600), 600, "an hour from when the clock was set")

    def test_a_clock_that_is_set_forward_ends_no_idempotency_key(self):
        contract = CONTRACT.replace("x-plimsoll: {table: notes}\n      requestBody", "x-plimsoll: {table: notes, idempotency: optional}\n      requestBody")
        self.assertNotEqual(contract, CONTRACT)
        server, folder, faults = self.prepare(contract)
        self.addCleanup(lambda: setattr(faults, "CLOCK", 0))
        faults.CLOCK = -2 * 86400
        server.start()
        key = {"Idempotency-Key": "once"}
        first = server.post("/notes", {"title": "once"}, key)
        self.assertEqual(first.status, 201, first)
        faults.CLOCK = 0  # as when a machine whose clock was behind hears the time
        again = server.post("/notes", {"title": "once"}, key)
        self.assertEqual((again.status, again.headers.get("idempotent-replayed"), again.body), (201, "true", first.body), again)
        self.assertEqual(self.query(folder, "SELECT count(*) FROM notes"), [(1,)])

    def test_dead_and_returned_jobs_are_events(self):
        service = jobs_test.Service()
        self.addCleanup(service.close)
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        service.answer = lambda path, body: (422, {}, b"no") if path == "/report" else (go_on.wait(harness.PATIENCE), (200, {}, b""))[1]
        server, folder, faults = self.prepare(jobs_test.CONTRACT, config="database: {url: 'sqlite:notes.db'}\nlimits: {drain: 0s}\njobs:\n"
                                              f"  call: {{run: {{http: 'http://127.0.0.1:{service.port}/call'}}}}\n"
                                              f"  report: {{run: {{http: 'http://127.0.0.1:{service.port}/report'}}}}\n  effect: {{run: {{sql: 'SELECT 1'}}}}\n")
        server.start()
        self.assertEqual(server.post("/shops/a/reports").status, 202)
        dead = self.event(server, "job-dead", kind="report")
        self.assertEqual(self.query(folder, "SELECT id FROM plimsoll_jobs WHERE state = 'dead'"), [(dead["job"],)])
        self.assertEqual(server.post("/calls", {}).status, 202)
        harness.until(lambda: any(path == "/call" for path, _, _ in service.seen), lambda: server.describe())
        self.assertEqual(server.stop(), 0)
        self.event(server, "job-returned", kind="call")
        self.assertEqual(self.query(folder, "SELECT state, crashes FROM plimsoll_jobs WHERE kind = 'call'"), [("available", 0)])

    def query(self, folder, sql):
        with contextlib.closing(sqlite3.connect(folder / "notes.db", timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    def all_leases_near(self, folder, wall):
        leases = self.query(folder, "SELECT lease FROM plimsoll_jobs WHERE state = 'running'")
        return len(leases) == 3 and all(abs(lease / 1e9 - wall) < 600 for (lease,) in leases)


class Behind:
    """Another service, which answers, hangs (it takes a request and says nothing), or fails. `asked` counts requests, `held` those that hang."""

    def __init__(self, answer, port=0):
        self.state, self.asked, self.held, self.go_on = "answers", 0, 0, threading.Condition()
        behind = self

        class Line(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                with behind.go_on:
                    behind.asked += 1
                    behind.held += 1
                    behind.go_on.wait_for(lambda: behind.state != "hangs", harness.PATIENCE)
                    behind.held -= 1
                with contextlib.suppress(OSError):  # nobody may be there any more
                    self.send_response(200 if behind.state == "answers" else 500)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = harness.HttpListener(("127.0.0.1", port), Line)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}).start()

    def now(self, state):
        with self.go_on:
            self.state = state
            self.go_on.notify_all()

    def close(self):
        self.now("fails")
        self.server.shutdown()
        self.server.server_close()


class Issuer(FaultTest):
    """The issuer whose keys verify tokens hangs, fails and comes back."""
    CONTRACT = CONTRACT.replace("operationId: listNotes, security: []", "operationId: listNotes, security: [{bearer: []}]").replace(
        "components:", "components:\n  securitySchemes: {bearer: {type: http, scheme: bearer}}")

    def setUp(self):
        self.folder = self.directory()
        self.command("token", "key", "--private", "private.jwk", "--public", "jwks.json")
        said = self.command("token", "issue", "--key", "private.jwk", "--issuer", "us", "--audience", "notes", "--subject", "ada")
        self.token = {"Authorization": "Bearer " + said.split("\n")[0]}
        self.issuer = Behind((self.folder / "jwks.json").read_bytes())
        self.addCleanup(self.issuer.close)

    def command(self, *arguments):
        done = self.plimsoll(*arguments, directory=self.folder)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def start(self):
        return self.serve(self.CONTRACT, CONFIG % "" + f"authentication: {{bearer: {{issuer: us, audience: notes, jwks: 'http://127.0.0.1:{self.issuer.port}/', refresh: 1s}}}}\n")

    def lines(self, server, event):
        return [line for line in server.logged() if line.get("event") == event]

    def test_one_that_hangs_or_fails_at_the_start_holds_up_tokens_alone_until_it_comes_back(self):
        for state, why in (("hangs", "no first byte of an answer"), ("fails", "answered 500")):
            with self.subTest(state):
                self.issuer.now(state)
                server = self.start()
                refused = server.get("/notes", headers=self.token)
                self.assertEqual((refused.status, refused.code), (503, "keys-unavailable"), refused)
                self.assertGreaterEqual(int(refused.headers["retry-after"]), 1)
                self.assertNotIn(str(self.issuer.port), refused.text)
                self.assertEqual(server.post("/notes", {"title": state}).status, 201, "what needs no token is served")
                status, said = self.readiness(server)
                self.assertEqual((status, said["lacks"]), (503, "the keys that verify tokens"))
                self.assertEqual(server.get("/livez").status, 200)
                self.assertRegex(self.event(server, "no keys to verify tokens")["why"], why)
                self.issuer.now("answers")
                harness.until(lambda: self.readiness(server)[0] == 200, lambda: f"ready again: {server.describe()}")
                self.assertEqual(server.get("/notes", headers=self.token).status, 200)
                self.event(server, "keys-available")
                self.assertEqual(server.stop(), 0)

    def test_one_that_hangs_later_is_asked_by_one_call_that_nobody_waits_for(self):
        server = self.start()
        self.assertEqual(server.get("/notes", headers=self.token).status, 200)
        self.issuer.now("hangs")
        harness.until(lambda: self.issuer.held == 1, lambda: f"a call that hangs: {server.describe()}")
        asked = self.issuer.asked
        for _ in range(200):
            self.assertEqual(server.get("/notes", headers=self.token).status, 200, "the keys at hand stay in force")
        self.assertEqual(self.readiness(server)[0], 200)
        self.assertLessEqual(self.issuer.asked, asked + 1, "callers do not make calls")
        self.event(server, "keys not refreshed")
        self.assertEqual(len(self.lines(server, "keys not refreshed")), 1)
        self.issuer.now("answers")
        self.assertEqual(server.get("/notes", headers=self.token).status, 200)

    def test_one_that_hangs_does_not_hold_up_the_end(self):
        server = self.start()
        self.issuer.now("hangs")
        harness.until(lambda: self.issuer.held == 1, lambda: f"a call that hangs: {server.describe()}")
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("shutdown-forced", server.output)
        self.event(server, "drained")


class Upstream(FaultTest):
    """A server behind `mock --upstream` hangs, fails and comes back: each caller is told at its deadline, and nothing of it stays behind."""
    CONTRACT = """
openapi: 3.1.0
info: {title: Things, version: '1'}
x-plimsoll: {deadline: 300ms, rate-limit: off}
paths:
  /things:
    get: {operationId: listThings, responses: {'200': {description: ok, content: {application/json: {schema: {type: array}}}}, '500': {description: broken, content: {application/json: {}}}}}
"""

    def setUp(self):
        self.behind = Behind(b"[1]")
        self.addCleanup(self.behind.close)
        folder = self.directory()
        (folder / "contract.yaml").write_text(self.CONTRACT)
        self.front = harness.Server(folder / "contract.yaml", folder, verb=("mock",), arguments=("--upstream", f"http://127.0.0.1:{self.behind.port}"))
        self.addCleanup(self._end, self.front)
        self.front.start()

    def code(self):
        answer = self.front.get("/things")
        return answer.status, answer.code if answer.status in (502, 504) else answer.json()

    def test_one_that_hangs_fails_goes_and_comes_back(self):
        self.assertEqual(self.code(), (200, [1]))
        for number in range(2):
            self.behind.now("hangs")
            asked = self.behind.asked
            told = []
            callers = [threading.Thread(target=lambda: told.append(self.code())) for _ in range(8)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            self.assertEqual(told, [(504, "deadline-exceeded")] * 8)
            harness.until(lambda: self.behind.asked >= asked + 8, lambda: f"every call got there: {self.behind.asked - asked}")
            self.assertEqual(self.behind.asked, asked + 8, "what may have happened is not asked again")
            self.assertEqual(harness.fetch(self.front.management, target="/livez").status, 200)
            self.behind.now("fails")
            self.assertEqual(self.code(), (500, [1]), "its own words")
            self.behind.now("answers")
            self.assertEqual([self.code() for _ in range(8)], [(200, [1])] * 8, f"at once, after {number + 1} times")
        port, server = self.behind.port, self.behind
        server.close()
        harness.until(lambda: self.code() == (502, "unreachable"), "nobody is there")
        self.behind = Behind(b"[2]", port)
        self.addCleanup(self.behind.close)
        self.assertEqual(self.code(), (200, [2]), "back at the same address")

    def test_one_that_hangs_does_not_hold_up_the_end(self):
        self.behind.now("hangs")
        asking = threading.Thread(target=lambda: self.quietly(), daemon=True)
        asking.start()
        harness.until(lambda: self.behind.held == 1, "a call that hangs")
        self.assertEqual(self.front.stop(), 0)
        asking.join()
        self.assertNotIn("shutdown-forced", self.front.output)

    def test_a_fill_of_the_cache_that_nobody_waits_for_does_not_hold_up_the_end(self):
        contract = ("openapi: 3.1.0\ninfo: {title: Things, version: '1'}\nsecurity: []\nx-plimsoll: {authorization: any-caller, rate-limit: off, deadline: 60s}\npaths:\n"
                    "  /things:\n    get:\n      operationId: listThings\n      x-plimsoll: {upstream: behind, cache: {ttl: 60s}}\n"
                    "      responses: {'200': {description: ok, content: {application/json: {schema: {type: array}}}}}\n")
        server = self.serve(contract, f"upstreams: {{behind: {{targets: ['http://127.0.0.1:{self.behind.port}']}}}}\nlimits: {{drain: 100ms}}\n")
        self.assertEqual(server.get("/livez").status, 200)
        self.behind.now("hangs")
        with socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE) as client:
            client.sendall(b"GET /things HTTP/1.1\r\nHost: a\r\n\r\n")
            harness.until(lambda: self.behind.held == 1, "a fill that hangs")
        self.event(server, "request", status=499)
        self.assertEqual(self.behind.held, 1, "the fill goes on without its client")
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("shutdown-forced", server.output)

    def quietly(self):
        with contextlib.suppress(Exception):
            self.front.get("/things")


class Files(FaultTest):
    def test_a_new_database_is_for_its_owner_alone(self):
        server = self.serve(CONTRACT, CONFIG % "")
        server.post("/notes", {"title": "private"})
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in server.directory.glob("notes.db*")}
        self.assertEqual(modes, {"notes.db": "0o600", "notes.db-wal": "0o600", "notes.db-shm": "0o600"})

    def test_a_backup_of_a_server_in_use_is_served_and_damage_is_found(self):
        server = self.serve(CONTRACT, CONFIG % "")
        self.assertEqual(server.post("/notes", {"title": "kept"}).status, 201)
        done = self.plimsoll("database", "backup", "copy.db", "--database", "sqlite:notes.db", directory=server.directory)
        self.assertEqual((done.returncode, done.stdout), (0, "copied notes.db to copy.db\n"), done)
        self.assertEqual(self.plimsoll("database", "backup", "copy.db", "--database", "sqlite:notes.db", directory=server.directory).returncode, 2)
        sound = self.plimsoll("database", "verify", "--database", "sqlite:copy.db", directory=server.directory)
        self.assertEqual((sound.returncode, sound.stdout), (0, "copy.db is sound\n"), sound)
        other = self.serve(CONTRACT, "database: {url: 'sqlite:copy.db'}\n", files={"copy.db": (server.directory / "copy.db").read_bytes()})
        self.assertEqual(self.titles(other), {"kept"})
        copy = server.directory / "copy.db"
        whole = copy.read_bytes()
        copy.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
        damaged = self.plimsoll("database", "verify", "--database", "sqlite:copy.db", directory=server.directory)
        self.assertEqual((damaged.returncode, "damaged" in damaged.stderr), (1, True), damaged)

    def test_what_recovery_applied_is_told(self):
        server, folder, faults = self.prepare()
        server.start()
        server.post("/notes", {"title": "kept"})
        server.kill()
        server.restart()
        self.assertGreater(self.event(server, "database-recovered")["log_frames_applied"], 0)
        self.assertEqual(self.titles(server), {"kept"})


class Signals(FaultTest):
    def test_nothing_but_sigterm_and_sigint_ends_the_process(self):
        server, folder, faults = self.prepare()
        server.start()
        spared = {signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
        crashes = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS, signal.SIGTRAP}
        for number in sorted(signal.valid_signals() - spared - crashes):
            server.signal(number)
            self.assertEqual(server.post("/notes", {"title": f"after {int(number)}"}).status, 201, number)
            self.assertTrue(server.alive, number)
        self.event(server, "reload", certificates="reloaded")
        server.signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        self.event(server, "drained")

    def test_sigusr1_opens_the_log_again(self):
        server, folder, faults = self.prepare()
        server.start()
        moved = folder / "plimsoll.log.1"
        os.rename(server.output_path, moved)
        server.signal(signal.SIGUSR1)
        self.event(server, "log-reopened")
        server.get("/notes")
        harness.until(lambda: any(line.get("operation") == "listNotes" for line in server.logged()), "a line in the new file")
        self.assertNotIn("listNotes", moved.read_text())

    def test_a_reader_of_the_log_that_takes_nothing_holds_up_neither_requests_nor_the_end(self):
        server, folder, faults = self.prepare()
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        real = subprocess.Popen

        def with_pipe(*arguments, **more):
            return real(*arguments, **{**more, "stderr": writer})

        subprocess.Popen = with_pipe
        try:
            server.start()
        finally:
            subprocess.Popen = real
            os.close(writer)
        line = server.connection()
        for _ in range(1500):  # more than a pipe holds
            self.assertEqual(server.request("GET", "/notes", connection=line).status, 200)
        line.close()
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)

    def test_a_disk_that_hangs_does_not_hold_up_the_end(self):
        server, folder, faults = self.prepare()
        server.start()
        self.assertEqual(server.post("/notes", {"title": "kept"}).status, 201)
        faults.HANG = 1
        asking = threading.Thread(target=self.quietly, args=(server,), daemon=True)
        asking.start()
        harness.until(lambda: faults.HANGING > 0, "a write that hangs")
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)  # it would hang for ever
        self.event(server, "drained")
        faults.none()
        asking.join()
        server.restart()
        self.assertIn("kept", self.titles(server))

    def test_a_second_sigterm_skips_the_waits(self):
        server, folder, faults = self.prepare(limits=", shutdown-delay: 10m")
        server.start()
        server.signal(signal.SIGTERM)
        self.event(server, "draining")
        self.assertEqual(self.readiness(server)[1]["status"], "draining")
        self.assertEqual((server.get("/readyz").status, server.get("/readyz").json()), (503, {"status": "draining"}))
        self.assertEqual(server.post("/notes", {"title": "still served"}).status, 201)
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)  # not after ten minutes
        self.event(server, "drained", hurried=True)

    def test_shutdown_delay_serves_while_it_lasts_and_then_ends(self):
        server, folder, faults = self.prepare(limits=", shutdown-delay: 500ms")
        server.start()
        server.signal(signal.SIGTERM)
        self.event(server, "draining")
        self.assertEqual(server.wait(), 0)
        self.event(server, "drained", hurried=False)


if __name__ == "__main__":
    harness.main()
