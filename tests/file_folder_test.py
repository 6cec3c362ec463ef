"""Files of rows that are kept in a folder, on each engine: all that tests/files_test.py says of files in columns, and what a folder adds:
where the bytes are, that none is lost and none is left behind, and that nothing leads out of it."""
import concurrent.futures
import errno
import hashlib
import os
import re
import shutil
import signal
import time

import faults_test
import files_test
import harness

CONTRACT = (files_test.CONTRACT.replace("image: {type: image_type,", "image: {stored: folder, type: image_type,").replace("manual: {column: manual_bytes}", "manual: {stored: folder, column: manual_bytes}")
            .replace("files: {scan: {}}", "files: {scan: {stored: folder}}").replace("files: {seal: {}}", "files: {seal: {stored: folder}}"))
CONFIG = files_test.CONFIG + "files: {folder: kept}\n"
PNG, IMAGE = files_test.PNG, files_test.IMAGE
LONG_AGO = 2 * 86400  # seconds: longer than the folder keeps what no row names


class FilesInFolder(files_test.Files):
    def shop(self, contract=CONTRACT, config=CONFIG, **more):
        return super().shop(contract, config, **more)

    def kept(self, server):
        """The files of the folder that are some row's, or were: their paths."""
        return sorted(path for path in (server.directory / "kept").rglob("*") if path.is_file() and path.name != "database")

    def age(self, server):
        for path in self.kept(server):
            then = time.time() - LONG_AGO
            os.utime(path, (then, then))

    def restarted(self, server, environment=None):
        server.stop()
        server.environment.pop("PLIMSOLL_CRASH", None)
        return server.start()

    def swept(self, server):
        """After what no row names has been that old when it was first seen so, and when it was looked at again."""
        server.stop()
        self.age(server)
        server = self.restarted(server)
        unnamed = {path for path in self.kept(server) if path.parent.parent.name.startswith(("products.", "notes.")) and len(path.name) == 32 and path.name not in self.named(server)}
        harness.until(lambda: all(path.stat().st_mode & 0o200 == 0 for path in unnamed), "what no row names is marked")
        server.stop()
        self.age(server)
        return self.restarted(server), unnamed

    def named(self, server):
        database = self.database(server.directory)
        return {row[0] for column in ("image", "manual_bytes") for row in database.rows(f"SELECT {column} FROM products")} | {row[0] for row in database.rows("SELECT scan FROM notes")}

    def row(self, server, column="image"):
        return self.database(server.directory).rows(f"SELECT {column}, image_size, image_digest FROM products WHERE id = 'p1'")[0]

    def test_the_bytes_are_in_the_folder_and_the_row_names_them(self):
        server = self.product()
        image = os.urandom(300_000)
        self.assertEqual(server.put(IMAGE, image, PNG).status, 201)
        name, size, digest = self.row(server)
        self.assertRegex(name, "^[0-9a-f]{32}$")
        self.assertEqual((size, digest), (len(image), hashlib.sha256(image).hexdigest()))
        self.assertEqual([str(path.relative_to(server.directory)) for path in self.kept(server)], [f"kept/products.image/{name[:2]}/{name}"])
        self.assertEqual(self.kept(server)[0].read_bytes(), image)
        self.assertEqual(server.post("/products", *self.form(id="f1", name="A lamp", image=("a.png", "image/png", b"\0a"), manual=("m.txt", "text/plain", b"turn on"))).status, 201)
        self.assertEqual(sorted(path.read_bytes() for path in self.kept(server)), sorted([image, b"\0a", b"turn on"]))

    def test_a_download_goes_on_with_the_file_that_it_began(self):
        server = self.product()
        self.assertEqual(server.put(IMAGE, b"a" * (3 << 20), PNG).status, 201)
        connection = server.connection()
        self.addCleanup(connection.close)
        connection.request("GET", IMAGE, headers=server.headers)
        answer = connection.getresponse()
        begin = answer.read(1000)
        self.assertEqual(server.put(IMAGE, b"b" * 10, PNG).status, 204)
        self.kept(server)[0].unlink() if self.kept(server)[0].stat().st_size > 10 else self.kept(server)[1].unlink()
        self.assertEqual(begin + answer.read(), b"a" * (3 << 20))

    def test_what_no_row_names_is_removed_when_it_is_old_and_nothing_else(self):
        server = self.product()
        self.assertEqual(server.put(IMAGE, b"first", PNG).status, 201)
        self.assertEqual(server.put(IMAGE, b"second", PNG).status, 204)
        self.assertEqual(server.put("/products/p1/manual", b"removed with its row", {"Content-Type": "text/plain"}).status, 201)
        self.assertEqual(server.post("/products", {"id": "p2", "name": "Gone"}).status, 201)
        self.assertEqual(server.put("/products/p2/image", b"gone", PNG).status, 201)
        self.assertEqual(server.delete("/products/p2").status, 204)
        note = server.post("/notes", {}).json()["id"]
        self.assertEqual(server.put(f"/notes/{note}/scan", b"of another table", PNG).status, 201)
        self.assertEqual(server.delete(f"/notes/{note}/scan").status, 204)
        begun = server.directory / "kept/incoming" / ("0" * 32)
        begun.write_bytes(b"of a process that has ended")
        self.assertEqual(len(self.kept(server)), 6)
        server.stop()
        for other in ("kept/products.image/ab/notes.txt", "kept/other.file/ab/" + "ab" * 16):  # of somebody else, or of another version
            path = server.directory / other
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        server, unnamed = self.swept(server)
        young = server.directory / "kept/products.image/ab" / ("ab" * 16)
        young.write_bytes(b"a transaction that has not committed")
        self.assertEqual(len(unnamed), 3)
        left = [b"second", b"removed with its row", b"a transaction that has not committed", b"x", b"x"]
        harness.until(lambda: len(self.kept(server)) == len(left), "what no row names is removed")
        self.assertEqual(sorted(path.read_bytes() for path in self.kept(server)), sorted(left))
        self.assertEqual((server.get(IMAGE).body, server.get("/products/p1/manual").body), (b"second", b"removed with its row"))
        harness.until(lambda: server.metrics()["plimsoll_table_files_removed_total"] == 3, "they are counted")

    def test_a_file_that_is_old_stays_as_long_as_the_folder_keeps_it_when_its_row_loses_it(self):
        """So that a copy of the database, and of the folder soon after it, fit each other; and a row that is put back has its file."""
        server = self.product()
        self.assertEqual(server.put(IMAGE, b"first", PNG).status, 201)
        lost = self.row(server)
        self.assertEqual(server.put(IMAGE, b"second", PNG).status, 204)
        server.stop()
        self.age(server)
        server = self.restarted(server)
        first = next(path for path in self.kept(server) if path.name == lost[0])
        harness.until(lambda: first.stat().st_mode & 0o200 == 0, "it is marked")
        self.assertGreater(first.stat().st_mtime, time.time() - LONG_AGO / 2, "from now on")
        self.assertEqual(first.read_bytes(), b"first")
        server.stop()
        self.database(server.directory).script(f"UPDATE products SET image = '{lost[0]}', image_size = {lost[1]}, image_digest = '{lost[2]}'")
        self.age(server)
        server = self.restarted(server)
        harness.until(lambda: first.stat().st_mode & 0o200, "the mark is taken off")
        self.assertEqual(server.get(IMAGE).body, b"first")

    def test_what_fails_leaves_nothing_in_the_folder(self):
        server = self.product()
        self.assertEqual(server.put("/products/none/image", b"x", PNG).status, 404)
        self.assertEqual(server.put(IMAGE, b"x", {**PNG, "If-Match": '"other"'}).status, 412)
        self.assertEqual(server.put(IMAGE, iter([b"x" * (3 << 20), b"y"]), PNG).status, 413)
        self.assertEqual(server.put("/products/p1/manual", b"", PNG).status, 422)
        self.assertEqual(server.post("/products", *self.form(id="p1", name="There", image=("a.png", "image/png", b"x"))).status, 409)
        self.assertEqual(self.kept(server), [])

    def test_a_process_that_is_killed_before_the_commit_leaves_no_half_of_a_file(self):
        if b"PLIMSOLL_CRASH" not in harness.program().read_bytes():
            self.skipTest("this program has no crash points")
        server = self.shop(environment={"PLIMSOLL_CRASH": "file.published:2"})
        self.assertEqual(server.post("/products", {"id": "p1", "name": "A lamp"}).status, 201)
        self.assertEqual(server.put(IMAGE, b"first", PNG).status, 201)
        with self.assertRaises(OSError):
            server.put(IMAGE, b"second", PNG)
        server.wait()
        server = self.restarted(server)
        self.assertEqual(server.get(IMAGE).body, b"first")
        self.assertEqual(len(self.kept(server)), 2)
        server, unnamed = self.swept(server)
        self.assertEqual(len(unnamed), 1)
        harness.until(lambda: len(self.kept(server)) == 1, "the file of the lost transaction is removed")
        self.assertEqual(server.get(IMAGE).body, b"first")

    def test_nothing_that_a_row_says_leads_out_of_the_folder(self):
        server = self.product()
        self.assertEqual(server.put(IMAGE, b"image", PNG).status, 201)
        self.assertEqual(server.put("/products/p1/manual", b"secret", {"Content-Type": "text/plain"}).status, 201)
        (server.directory / "secret").write_text("secret")
        manual = self.row(server, "manual_bytes")[0]
        database = self.database(server.directory)
        link = server.directory / "kept/products.image/cd" / ("cd" * 16)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(server.directory / "secret")
        for name in ("../../secret", str(server.directory / "secret"), "../products.manual/" + manual[:2] + "/" + manual, manual, "cd" * 16, "..", "", "AB" * 16, "ab" * 15 + "/a"):
            database.script(f"UPDATE products SET image = '{name}', image_size = 6 WHERE id = 'p1'")
            refused = server.get(IMAGE)
            self.assertEqual((refused.status, refused.code), (503, "files-unavailable"), name)
            self.assertNotIn("secret", refused.text)
            self.assertEqual(server.request("HEAD", IMAGE).status, 503, name)
        harness.until(lambda: "names no file" in server.output, "the log says why")
        odd = CONTRACT.replace("    notes:\n", "    '../../notes':\n").replace("table: notes", "table: '../../notes'")
        if self.engine == "sqlite":
            server = self.shop(odd)
            note = server.post("/notes", {}).json()["id"]
            self.assertEqual(server.put(f"/notes/{note}/scan", b"a", PNG).status, 201)
            self.assertEqual([path.parent.parent.name for path in self.kept(server)], ["%2e%2e%2f%2e%2e%2fnotes.scan"])

    def test_a_large_file_is_never_in_memory(self):
        if any(sign in harness.program().read_bytes() for sign in (b"__asan_init", b"__tsan_init")):
            self.skipTest("a sanitizer keeps what is freed")
        server = self.product(contract=CONTRACT.replace("max: 3MiB", "max: 300MiB"), config=CONFIG + "limits: {bodies: 1MiB}\n")
        self.assertEqual(server.put(IMAGE, b"a" * 100_000, PNG).status, 201)
        before, size = self.resident(server), 200 << 20
        digest = hashlib.sha256()

        def pieces():
            piece = os.urandom(1 << 20)
            for _ in range(size >> 20):
                digest.update(piece)
                yield piece
        self.assertEqual(server.put(IMAGE, pieces(), PNG).status, 204)
        connection = server.connection()
        self.addCleanup(connection.close)
        connection.request("GET", IMAGE, headers=server.headers)
        answer, seen = connection.getresponse(), hashlib.sha256()
        while piece := answer.read(1 << 20):
            seen.update(piece)
        self.assertEqual(seen.hexdigest(), digest.hexdigest())
        grown = self.resident(server) - before
        print(f"{size >> 20} MiB stored and sent: {grown >> 10} KiB more memory")
        self.assertLess(grown, 16 << 20)

    def test_uploads_keep_to_the_budget_of_bodies_on_disk(self):
        server = self.product(config=CONFIG + "limits: {bodies-on-disk: 1MiB}\n")
        refused = server.put(IMAGE, b"x" * ((1 << 20) + 1), PNG)
        self.assertEqual((refused.status, refused.code), (503, "too-many-bodies"))
        refused = server.put(IMAGE, iter([b"x" * (1 << 20), b"y"]), PNG)
        self.assertEqual((refused.status, refused.code), (503, "too-many-bodies"))
        self.assertEqual(self.kept(server), [])
        for _ in range(5):
            self.assertIn(server.put(IMAGE, b"x" * (1 << 20), PNG).status, (201, 204), "the budget is that of uploads under way")

    def test_a_disk_that_is_full_refuses_the_upload_and_keeps_the_file(self):
        folder = self.directory()
        faults = faults_test.Faults(folder / "faults")
        server = self.product(config=CONFIG.replace("folder: kept", "folder: kept.db"), directory=folder, environment={"LD_PRELOAD": str(faults_test.shim()), "FAULTS": str(folder / "faults")})
        self.assertEqual(server.put(IMAGE, b"first", PNG).status, 201)
        for fault in ("WRITE_ERROR", "SYNC_ERROR"):
            setattr(faults, fault, errno.ENOSPC)
            refused = server.put(IMAGE, b"second", PNG)
            self.assertEqual((refused.status, refused.code), (503, "files-unavailable"))
            self.assertEqual(server.get(IMAGE).body, b"first")
            faults.none()
        harness.until(lambda: re.search("files: .*No space left on device", server.output), "the log says why")
        self.assertEqual(len([path for path in (folder / "kept.db").rglob("*") if path.is_file()]), 2, "the file and the mark of the database")
        harness.until(lambda: server.put(IMAGE, b"third", PNG).status == 204, "the disk has room again")
        self.assertEqual(server.get(IMAGE).body, b"third")

    def ready(self, server):
        answer = harness.fetch(server.management, target="/readyz")
        return answer.status, answer.json()["files"]

    def refuses(self, server, reason):
        """Uploads and readiness, as long as the folder is not what it should be."""
        refused = server.put(IMAGE, b"lost", PNG)
        self.assertEqual((refused.status, refused.code), (503, "files-unavailable"), refused)
        self.assertNotIn("database", refused.text)
        harness.until(lambda: self.ready(server)[0] == 503 and reason in self.ready(server)[1], lambda: f"{reason}: {self.ready(server)}")
        self.assertEqual(server.metrics()["plimsoll_files_up"], 0)
        self.assertEqual(server.get("/readyz").json(), {"status": "unavailable"})

    def recovers(self, server, content):
        harness.until(lambda: server.put(IMAGE, content, PNG).status == 204, server.describe)
        harness.until(lambda: self.ready(server) == (200, "ok"), lambda: str(self.ready(server)))
        self.assertEqual(server.metrics()["plimsoll_files_up"], 1)
        self.assertEqual(server.get(IMAGE).body, content)

    def test_a_folder_that_is_moved_or_replaced_takes_nothing_until_the_right_one_is_back(self):
        server = self.product()
        kept, moved, copy = (server.directory / name for name in ("kept", "moved", "copy"))
        self.assertEqual(server.put(IMAGE, b"first", PNG).status, 201)
        self.assertEqual(self.ready(server), (200, "ok"))
        self.assertEqual(server.metrics()["plimsoll_files_up"], 1)
        shutil.copytree(kept, copy)
        kept.rename(moved)
        before = sorted(path.name for path in moved.rglob("*") if path.is_file())
        self.refuses(server, "cannot be opened")
        self.assertEqual(server.get(IMAGE).body, b"first", "what is open is still read")
        kept.mkdir()  # as where nothing is mounted
        self.refuses(server, "lacks the mark of its database")
        self.assertEqual(list(kept.iterdir()), [])
        server.signal(signal.SIGHUP)
        harness.until(lambda: any(line["event"].startswith("reload") for line in server.logged() if "event" in line), server.describe)
        self.refuses(server, "lacks the mark of its database")
        self.assertEqual(list(kept.iterdir()), [], "a reload marks no folder")
        (kept / "database").write_text("0" * 64)
        self.refuses(server, "holds the files of another database")
        shutil.rmtree(kept)
        copy.rename(kept)
        self.recovers(server, b"second")
        self.assertEqual(sorted(path.name for path in moved.rglob("*") if path.is_file()), before, "nothing went into the folder that was moved away")
        events = lambda: {line["event"] for line in server.logged() if line.get("event", "").startswith("files-")}
        harness.until(lambda: events() == {"files-not-writable", "files-writable"}, lambda: str(events()))
        server = self.restarted(server)
        self.assertEqual(server.get(IMAGE).body, b"second")

    def test_a_folder_that_is_full_is_not_ready(self):
        folder = self.directory()
        faults = faults_test.Faults(folder / "faults")
        server = self.product(config=CONFIG.replace("folder: kept", "folder: kept.db"), directory=folder, environment={"LD_PRELOAD": str(faults_test.shim()), "FAULTS": str(folder / "faults")})
        self.assertEqual(server.put(IMAGE, b"first", PNG).status, 201)
        faults.WRITE_ERROR = errno.ENOSPC
        self.refuses(server, "No space left on device")
        faults.none()
        self.recovers(server, b"second")

    def hanging(self, config=CONFIG):
        """A server whose folder does not answer while the file is there."""
        folder = self.directory()
        hangs = folder / "hangs"
        server = self.product(contract=CONTRACT.replace("x-plimsoll:\n", "x-plimsoll:\n  deadline: 1s\n", 1), config=config, directory=folder,
                              environment={"LD_PRELOAD": faults_test.shim("hanging_folder.c"), "FOLDER": str(folder / "kept"), "HANGING": str(hangs)})
        self.addCleanup(hangs.unlink, missing_ok=True)
        return server, hangs

    def test_a_folder_that_hangs_holds_up_nothing_but_its_files(self):
        """More requests than it has threads: each is answered by its deadline, and all else is answered meanwhile."""
        server, hangs = self.hanging()
        large = os.urandom(600_000)
        self.assertEqual(server.put(IMAGE, large, PNG).status, 201)
        opened = server.connection()  # a download that has begun: its next piece hangs, and its descriptor is closed elsewhere
        opened.request("GET", IMAGE)
        hangs.touch()
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = [pool.submit(server.get, IMAGE) for _ in range(7)] + [pool.submit(server.put, IMAGE, os.urandom(300_000), PNG) for _ in range(5)]
            self.assertEqual({each.result().status for each in answers} - {503, 504}, set())
            self.assertIn("deadline-exceeded", {each.result().code for each in answers})
        opened.close()
        note = {"id": "n1", "text": "x" * 400_000}
        self.assertEqual(server.get("/products/p1").status, 200)
        self.assertNotIn(server.post("/notes", note).status, (503, 504), "large JSON is read on threads too")
        self.assertEqual(server.get("/openapi.json", headers={"Accept-Encoding": "zstd"}).status, 200)
        harness.until(lambda: self.ready(server)[0] == 503 and "has not answered for" in self.ready(server)[1], lambda: str(self.ready(server)))
        harness.until(lambda: any(line.get("event") == "files-not-writable" for line in server.logged()), "the log says so while it hangs")
        self.assertEqual(harness.fetch(server.management, "POST", "/reload").status, 200)
        hangs.unlink()
        self.recovers(server, b"second")
        hangs.touch()
        self.assertIn(server.get(IMAGE).status, (503, 504))
        server.stop()  # the harness ends it by its patience

    def test_what_is_no_file_is_not_waited_for(self):
        server = self.product()
        self.assertEqual(server.put(IMAGE, b"first", PNG).status, 201)
        path = self.kept(server)[0]
        path.unlink()
        os.mkfifo(path)
        self.assertEqual(server.request("HEAD", IMAGE).status, 503)
        answer = server.get(IMAGE)
        self.assertEqual((answer.status, answer.code), (503, "files-unavailable"), answer)
        harness.until(lambda: "is no file" in server.output, "the log says why")

    def test_a_folder_that_cannot_be_used_refuses_the_start(self):
        for config, sentence in ((files_test.CONFIG, "there is no folder"), (files_test.CONFIG + "files: {folder: plimsoll.yaml}\n", "cannot be (made|opened)"),
                                 (files_test.CONFIG + "files: {folder: none/kept}\n", "cannot be made"), (files_test.CONFIG + "files: {folder: kept, keep: 1s}\n", "keep")):
            with self.subTest(sentence):
                server = self.server(CONTRACT, config)
                harness.Process.start(server)
                self.assertNotEqual(server.wait(), 0)
                self.assertRegex(server.output, sentence)
                self.assertRegex(server.output, "help: ")

    def test_the_folder_of_another_database_refuses_the_start(self):
        one = self.product()
        self.assertEqual(one.put(IMAGE, b"image", PNG).status, 201)
        other = self.server(CONTRACT, CONFIG.replace("folder: kept", f"folder: {one.directory}/kept"))
        harness.Process.start(other)
        self.assertNotEqual(other.wait(), 0)
        self.assertIn("holds the files of another database", other.output)
        self.assertIn("help: Name a folder of its own", other.output)

    def test_mistakes_refuse_the_start(self):
        for old, new, sentence in (("stored: folder, column: manual_bytes", "stored: disk, column: manual_bytes", "folder"),
                                   ("manual: {stored: folder, column: manual_bytes}", "manual: {column: manual_bytes, size: manual_size}", "Add `stored: folder`"),
                                   ("stored: folder, column: manual_bytes", "stored: folder, column: manual_bytes, size: image_size", 'the column "image_size" is named twice')):
            with self.subTest(sentence):
                server = self.server(CONTRACT.replace(old, new), CONFIG)
                harness.Process.start(server)
                self.assertNotEqual(server.wait(), 0)
                self.assertIn(sentence, server.output)

    def test_a_table_without_the_columns_refuses_the_start_with_the_migration(self):
        folder = self.directory()
        self.database(folder).script("CREATE TABLE sealed(id TEXT PRIMARY KEY NOT NULL)")
        server = self.server(CONTRACT, CONFIG, directory=folder)
        harness.Process.start(server)
        self.assertNotEqual(server.wait(), 0)
        for column in ("seal", "seal_type", "seal_digest", "seal_size"):
            self.assertRegex(server.output, f'ALTER TABLE "sealed" ADD COLUMN "{column}" ')

    test_rows_of_other_programs_have_files_too = None  # they are in columns


if __name__ == "__main__":
    harness.main()
