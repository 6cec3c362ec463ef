"""Mistakes in a contract or a deployment: each stops the start with file, line, column and what to do, and none is passed over."""
import os
import pathlib
import pty
import re
import resource
import shutil
import sqlite3
import subprocess
import tempfile
from concurrent import futures

import harness
import mistakes

HEAD = "openapi: 3.1.0\ninfo: {title: Shop, version: '1'}\n"
OK = "{responses: {'200': {description: ok}}, x-plimsoll: {mock: true, authorization: any-caller%s}}"
SECURITY = "components: {securitySchemes: {login: {type: http, scheme: bearer}, key: {type: apiKey, in: header, name: X-Key}}}\n"
GOOD = HEAD + "paths:\n  /a:\n    get: " + OK % "" + "\n"


def contract(more="", get="", post="", top="", path=""):
    text = HEAD + top + "paths:\n  /a:\n" + path
    if get is not None:
        text += "    get: " + OK % get + "\n"
    if post:
        text += "    post: " + OK % post + "\n"
    return text + more




def keyed(path, table):
    parameters = ", ".join(f"{{name: {name}, in: path, required: true, schema: {{type: integer}}}}" for name in re.findall(r"{(\w+)}", path))
    return (HEAD + "x-plimsoll: {authorization: any-caller, tables: {lines: {schema: '#/components/schemas/Line', key: [order, line]}}}\n"
            "components: {schemas: {Line: {type: object, properties: {order: {type: integer}, line: {type: integer}}}}}\n"
            f"paths:\n  {path}:\n    parameters: [{parameters}]\n    get:\n      x-plimsoll:\n        table: {table}\n      responses: {{'200': {{description: ok}}}}\n")


# Name, contract, deployment, place, code, what is said.
MISTAKES = [
    ("x-plimsoll at the top", contract(top="x-plimsol: {cache: 5m}\n"), "", "contract.yaml:3:1", "misspelt-field", 'did you mean "x-plimsoll"?'),
    ("x-plimsoll in capitals", contract(top="X-Plimsoll: {cache: 5m}\n"), "", "contract.yaml:3:1", "misspelt-field", 'did you mean "x-plimsoll"?'),
    ("x-plimsoll of a path", contract(path="    x-plimsolls: {cache: 5m}\n"), "", "contract.yaml:5:5", "misspelt-field", 'did you mean "x-plimsoll"?'),
    ("x-plimsoll in a response", contract(more="components: {responses: {A: {description: a, x-plimsoll: {cache: 5m}}}}\n"), "", "contract.yaml:6:46", "misplaced-extension", "has no effect here"),
    ("a key of the document", contract(top="x-plimsoll: {rate-limits: 5/minute}\n"), "", "contract.yaml:3:14", "unknown-extension", 'did you mean "rate-limit"?'),
    ("a key of an operation", contract(get=", cahce: 5m"), "", "contract.yaml:5:102", "unknown-extension", 'did you mean "cache"?'),
    ("a key in camel case", contract(get=", rateLimit: 5/minute"), "", "contract.yaml:5:102", "unknown-extension", 'did you mean "rate-limit"?'),
    ("a key of a later version", contract(get=", rolout: 5%"), "", "contract.yaml:5:102", "unknown-extension", 'did you mean "rollout"? This version does not implement it yet.'),
    ("an option beside its key", contract(get=", rate-limit: 5/minute, burst: 3"), "", "contract.yaml:5:124", "unknown-extension", 'x-plimsoll has no key "burst": it is an option of "rate-limit"'),
    ("the action of a table beside it", HEAD + "x-plimsoll: {authorization: any-caller, tables: {notes: {schema: '#/components/schemas/Note'}}}\n"
     "paths: {'/notes/{id}': {put: {parameters: [{name: id, in: path, required: true, schema: {type: integer}}], responses: {'200': {description: ok}}, x-plimsoll: {table: notes, action: upsert}}}}\n"
     "components: {schemas: {Note: {type: object, properties: {id: {type: integer}}}}}\n", "", "contract.yaml:4:174", "unknown-extension", 'it is an option of "table"'),
    ("an option", contract(get=", rate-limit: {limit: 5/minute, brust: 3}"), "", "contract.yaml:5:132", "configuration", 'did you mean "burst"?'),
    ("an option of the document, once", contract(top="x-plimsoll: {rate-limit: {limit: 5/minute, brust: 3}}\n", post=" "), "", "contract.yaml:3:44", "configuration", 'did you mean "burst"?'),
    ("a value of an option", contract(get=", priority: urgent"), "", "contract.yaml:5:112", "configuration", "critical, default, sheddable"),
    ("a method in capitals", contract(get=None, more="    GET: " + OK % "" + "\n"), "", "contract.yaml:5:5", "misspelt-field", 'did you mean "get"?'),
    ("a method misspelt", contract(more="    pach: " + OK % "" + "\n"), "", "contract.yaml:6:5", "misspelt-field", 'did you mean "patch"?'),
    ("cache on POST", contract(post=", cache: 5m"), "", "contract.yaml:6:103", "no-effect", "`cache` has no effect on POST"),
    ("idempotency on GET", contract(get=", idempotency: required"), "", "contract.yaml:5:102", "no-effect", "`idempotency` has no effect on GET"),
    ("after on GET", contract(get=", after: {job: a}"), "", "contract.yaml:5:102", "no-effect", "`after` has no effect on GET"),
    ("tables in an operation", contract(get=", tables: {}"), "", "contract.yaml:5:102", "no-effect", "it belongs to the document"),
    ("required", contract(more="components: {schemas: {A: {required: [nmae], properties: {name: {type: string}}}}}\n"), "", "contract.yaml:6:39", "undeclared-required", 'did you mean "name"?'),
    ("authentication of no scheme", contract(more=SECURITY), "authentication:\n  logn: {jwks: x}\n", "deployment.yaml:2:3", "configuration", 'did you mean "login"?'),
    ("authentication without schemes", contract(), "authentication: {bearer: {jwks: x}}\n", "deployment.yaml:1:18", "configuration", "no security scheme of the contract uses"),
    ("failures where no operation has security", contract(more=SECURITY), "authentication:\n  failures: 10\n", "deployment.yaml:2:13", "configuration", "`authentication`: a rate is expected"),
    ("no failures where no operation has security", contract(), "authentication:\n  failures: 0/minute\n", "deployment.yaml:2:13", "configuration", "`off` removes it"),
    ("roles where no operation has security", contract(), "roles:\n  a: [[]]\n", "deployment.yaml:2:7", "configuration", "`roles`: text is expected"),
    ("roles without a list of scopes", contract(), "roles:\n  a: {}\n", "deployment.yaml:2:6", "configuration", "`roles`: a text or a list of texts is expected"),
    ("an option of a scheme that no operation uses", contract(more=SECURITY), "authentication:\n  login:\n    isuer: a\n", "deployment.yaml:3:5", "configuration", 'did you mean "issuer"?'),
    ("algorithms that fit no key", contract(more=SECURITY, top="security: [{login: []}]\n"), "authentication:\n  login:\n    issuer: a\n    audience: b\n    secret: 0123456789abcdef0123456789abcdef\n    algorithms: [RS256]\n", "deployment.yaml:6:17", "configuration", "no key fits the algorithms that `algorithms` allows"),
    ("an option of a scheme", contract(more=SECURITY, get=", authorization: any-caller", top="security: [{login: []}]\n").replace(", authorization: any-caller, authorization", ", authorization"), "authentication:\n  login:\n    isuer: a\n", "deployment.yaml:3:5", "configuration", 'did you mean "issuer"?'),
    ("an option of a batch", HEAD + "x-plimsoll: {authorization: any-caller, tables: {notes: {schema: '#/components/schemas/Note'}}}\n"
     "paths: {/notes/batch: {post: {responses: {'200': {description: ok}}, x-plimsoll: {table: notes, batch: {create: {mx: 5}}}}}}\n"
     "components: {schemas: {Note: {type: object, properties: {id: {type: integer}}}}}\n", "", "contract.yaml:4:114", "invalid-table", 'unknown key "mx"; did you mean "max"?'),
    ("a part of a key that no parameter of the path says", keyed("/lines/{line}", "lines"), "", "contract.yaml:10:16", "invalid-table", 'no path parameter stands for "order", and the key of a row of table "lines" is [order, line]'),
    ("a part of a key that two parameters of the path say", keyed("/orders/{order}/{a}/lines/{line}", "{name: lines, path: {a: line}}"), "", "contract.yaml:10:16", "invalid-table", 'path parameters "a" and "line" both stand for column "line"'),
    ("a section", GOOD, "listn: ['127.0.0.1:0']\n", "deployment.yaml:1:1", "configuration", 'did you mean "listen"?'),
    ("an option of a section", GOOD, "limits:\n  drian: 5s\n", "deployment.yaml:2:3", "configuration", 'did you mean "drain"?'),
    ("an option of a job", GOOD, "database: {url: 'sqlite:a.db'}\njobs:\n  a: {run: {htp: 'http://a/'}}\n", "deployment.yaml:3:13", "configuration", 'did you mean "http"?'),
]


class Mistakes(harness.ServerTest):
    def start(self, written, deployment, verb="serve"):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "contract.yaml").write_text(written)
            (folder / "deployment.yaml").write_text("listen: ['127.0.0.1:0']\nmanagement: off\n" if not deployment else deployment)
            return subprocess.run([harness.program(), verb, "contract.yaml", "--config", "deployment.yaml"], cwd=folder,
                                  capture_output=True, text=True, timeout=harness.PATIENCE)

    def test_each_stops_the_start_with_its_place_and_what_to_do(self):
        for name, written, deployment, place, code, sentence in MISTAKES:
            with self.subTest(name):
                told = self.start(written, deployment)
                self.assertEqual(told.returncode, 2, told.stderr)
                lines = [line for line in told.stderr.splitlines() if line.startswith(f"{place}: error[{code}]: ")]
                self.assertEqual(len(lines), 1, told.stderr)
                self.assert_shape(told.stderr, place)
                self.assertIn(sentence, lines[0])
                self.assertRegex(told.stderr, r"not started: 1 error\n")

    def test_too_few_descriptors_are_told_as_such(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "contract.yaml").write_text(GOOD)
            (folder / "deployment.yaml").write_text("listen: ['127.0.0.1:0']\nmanagement: '127.0.0.1:0'\nthreads: 2\nlimits: {start-patience: 0s}\n")
            refused = 0
            for limit in range(8, 40, 2):
                with self.subTest(limit):
                    process = subprocess.Popen([harness.program(), "serve", "contract.yaml", "--config", "deployment.yaml"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                               text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
                    said = process.stdout.readline()  # its address, where it serves
                    if said:
                        process.terminate()
                    told = process.communicate(timeout=harness.PATIENCE)[1]
                    if said:
                        continue
                    refused += 1
                    self.assertIn(process.returncode, (2, 75), told)
                    self.assertIn("limit of open files", told)
                    self.assertNotIn("fault of the program", told)
            self.assertGreater(refused, 2)

    def check_edited(self, keys, file=None, old="", new=""):
        """What `check` says of the two good files with one edit, and the place that the edit marks."""
        texts, place = {"contract": mistakes.CONTRACT, "deployment": mistakes.DEPLOYMENT}, None
        if file:
            self.assertIn(old, texts[file])
            edited = texts[file].replace(old, new, 1)
            before = edited[:edited.index("▸")].encode()
            place = f"{file}.yaml:{before.count(10) + 1}:{len(before) - (before.rfind(10) + 1) + 1}"
            texts[file] = edited.replace("▸", "")
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "jwks.json").write_text(keys)
            for name, text in texts.items():
                (folder / f"{name}.yaml").write_text(text)
            return place, subprocess.run([harness.program(), "check", "contract.yaml", "--config", "deployment.yaml"], cwd=folder, capture_output=True, text=True,
                                         timeout=harness.PATIENCE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096)))

    def test_each_of_two_hundred_mistakes_is_told_with_its_place_and_what_to_do(self):
        keys = self.plimsoll("token", "key", "--private", self.directory() / "private.jwk").stdout
        _, good = self.check_edited(keys)
        self.assertEqual(good.returncode, 0, good.stderr)
        rows = mistakes.MISTAKES
        self.assertGreaterEqual(len(rows), 200)
        self.assertEqual(len({name for name, *_ in rows}), len(rows))
        with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            checked = pool.map(lambda row: self.check_edited(keys, *row[1:4]), rows)
            for (name, _, _, written, code, sentence, remedy), (place, told) in zip(rows, checked):
                with self.subTest(name):
                    self.assertEqual(told.returncode, 2, told.stdout + told.stderr)
                    self.assertEqual(told.stderr.splitlines()[0], f"{place}: error[{code}]: {sentence}")
                    self.assertIn(f"\n  help: {remedy}\n", told.stderr)
                    self.assertTrue(told.stderr.endswith("\nplimsoll: 1 error\n"), told.stderr)
                    if not re.search("secret|credentials|password", told.stderr + written):  # a line that may hold one is not shown
                        self.assert_shape(told.stderr, place)

    def assert_shape(self, text, place):
        """One complaint: its sentence, the line of the file with a mark below the column, perhaps a pointer, and what to do."""
        head, excerpt, mark, *rest = text.splitlines()
        line, column = place.split(":")[1:]
        self.assertTrue(excerpt.startswith(f"{line:>5} | "), text)
        self.assertRegex(mark, r"^ {5} \| *\^$", text)
        if not excerpt.startswith(f"{line:>5} | …"):
            self.assertEqual(mark.index("^") - len("      | "), int(column) - 1, text)
        rest = rest[1:] if rest[0].startswith("  at /") else rest
        self.assertRegex(rest[0], "^  help: .", text)
        self.assertNotIn("\x1b", text)

    def test_colour_is_for_terminals_alone(self):
        folder = self.directory()
        (folder / "contract.yaml").write_text(contract(top="x-plimsol: {}\n"))
        ours, theirs = pty.openpty()
        for environment, coloured in ({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False):
            environment = {**{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, **environment}
            subprocess.run([harness.program(), "check", "contract.yaml"], cwd=folder, stderr=theirs, env=environment, timeout=harness.PATIENCE)
            text = os.read(ours, 65536).decode()
            self.assertEqual("\x1b[1;31merror[misspelt-field]" in text, coloured, text)
            self.assertEqual("\x1b" in text, coloured, text)
        os.close(ours), os.close(theirs)

    def test_a_line_that_holds_a_secret_is_not_shown(self):
        told = self.start(contract(), "authentication: {bearer: {secret: hunter2, sceret: hunter3}}\n")
        self.assertEqual(told.returncode, 2)
        self.assertIn("deployment.yaml:1:", told.stderr)
        self.assertNotIn("hunter", told.stderr)

    def test_commands_complain_in_the_same_shape(self):
        (folder := self.directory())
        (folder / "a.yaml").write_text("listn: []\n")
        for arguments in (["srve"], ["serve"], ["config"], ["routes", "nowhere.yaml"], ["keys", "list", "--config", "a.yaml"], ["log", "--config", "a.yaml"],
                          ["config", "--explain", "--config", "a.yaml"], ["migrate", "status", "--config", "a.yaml"], ["bundle", "a.yaml"], ["explain", "rate-limt"],
                          ["jobs", "list", "--database", "sqlite:no.db"], ["token", "sign", "--key", "nowhere.json"], ["schema", "validate", "a"]):
            with self.subTest(arguments):
                told = self.plimsoll(*arguments, directory=folder)
                self.assertEqual(told.returncode, 2, told.stderr)
                self.assertRegex(told.stderr.splitlines()[0], r"^(plimsoll|(\S*/)?[a-z]+\.yaml(:\d+:\d+)?): error\[[a-z-]+\]: \S", told.stderr)
                self.assertRegex(told.stderr, r"\n  help: \S")

    def test_an_option_that_is_not_there_is_named_with_one_that_is(self):
        for arguments, sentence, remedy in (
                (["config", "--explan"], "there is no option --explan; did you mean --explain?", "`plimsoll config --help` lists its options."),
                (["token", "issue", "--key", "a", "--subject", "a", "--tennant=b"], "there is no option --tennant; did you mean --tenant?", "`plimsoll token issue --help` lists its options."),
                (["serve", "a.yaml", "--dev", "--prot", "80"], "there is no option --prot", "`plimsoll serve --help` lists its options.")):
            with self.subTest(arguments):
                told = self.plimsoll(*arguments)
                self.assertEqual((told.returncode, told.stderr), (2, f"plimsoll: error[command]: {sentence}\n  help: {remedy}\n"))

    def test_check_finds_what_serve_rejects(self):
        more = [("no handler", HEAD + "paths: {/a: {get: {responses: {'200': {description: ok}}}}}\n", ""),
                ("a listener", GOOD, "listen: ['127.0.0.1:eighty']\n"),
                ("a certificate", GOOD, "tls: {certificate: nowhere.pem, key: nowhere.pem}\n"),
                ("a proxy", GOOD, "trusted-proxies: {header: x-real-ip, networks: [10.0.0.0/8]}\n")]
        for name, written, deployment, *_ in MISTAKES + more:
            with self.subTest(name):
                served, checked = self.start(written, deployment), self.start(written, deployment, "check")
                self.assertEqual((served.returncode, checked.returncode), (2, 2), served.stderr + checked.stderr)
                if name in ("a listener", "a certificate", "a proxy"):  # `serve` finds those when it opens the listener
                    self.assertEqual(re.search(r"\]: (.*)", served.stderr)[1], re.search(r"\]: (.*)", checked.stderr)[1])
                else:
                    self.assertEqual(served.stderr.replace("not started: ", ""), checked.stderr)

    def test_a_mistake_of_a_table_names_the_file_of_its_schema(self):
        """In the declaration of a column, whether the document or the database is against it."""
        written = self.TABLES.replace("components: {schemas: {Note: {type: object, properties: {id: {type: integer, readOnly: true}, title: {type: string}}}}}\n",
                                      "components: {schemas: {Note: {$ref: 'schemas.yaml#/Note'}}}\n")
        folder = self.directory()
        (folder / "notes.yaml").write_text(written)
        note = "Note:\n  type: object\n  properties:\n    id: {type: %s, readOnly: true}\n    title: {type: string%s}\n"
        for key, title, place, sentence in (("boolean", "", 4, 'error[invalid-table]: the key "id" is neither text nor an integer'),
                                            ("integer", ", default: 3", 5, 'error[invalid-default]: the default of column "title"')):
            with self.subTest(sentence):
                (folder / "schemas.yaml").write_text(note % (key, title))
                told = self.plimsoll("check", "notes.yaml", directory=folder)
                self.assertEqual(told.returncode, 2, told.stderr)
                self.assertRegex(told.stderr, rf"(?m)^(\S*/)?schemas\.yaml:{place}:\d+: {re.escape(sentence)}")
        (folder / "schemas.yaml").write_text(note % ("integer", ""))
        self.serve(folder / "notes.yaml", directory=folder).stop()
        (folder / "schemas.yaml").write_text(note.replace("type: string", "type: integer") % ("integer", ""))
        told = self.plimsoll("check", "notes.yaml", directory=folder)
        self.assertRegex(told.stderr, r'(?m)^(\S*/)?schemas\.yaml:5:\d+: error\[table-disagrees\]: column "title" of table "notes" is TEXT', told.stderr)

    def test_a_job_that_is_not_declared_is_told_once(self):
        """Whether the deployment declares other jobs or none; the operations that follow from it say nothing more."""
        more = "  /reports:\n    post: {operationId: report, responses: {'202': {description: ok}}, x-plimsoll: {job: reprot, authorization: any-caller}}\n"
        other = "jobs: {report: {run: {http: 'http://127.0.0.1:9/'}}}\n"
        for jobs, written, said in (("", contract(more=more), "there is no job `reprot`"), (other, contract(more=more), "there is no job `reprot`; did you mean `report`?"),
                                    ("", contract(post=", after: {job: reprot}"), "`after`: there is no job `reprot`"),
                                    (other, contract(post=", after: {job: reprot}"), "`after`: there is no job `reprot`; did you mean `report`?")):
            with self.subTest(said):
                told = self.start(written, "database: {url: 'sqlite:a.db'}\nlisten: ['127.0.0.1:0']\nmanagement: off\n" + jobs, "check")
                self.assertEqual(told.returncode, 2)
                lines = [line for line in told.stderr.splitlines() if ": error[" in line]
                self.assertEqual([line.split("]: ")[1] for line in lines], [said], told.stderr)
                self.assertIn("Declare it under `jobs` of the deployment", told.stderr)

    TABLES = HEAD + """x-plimsoll: {authorization: any-caller, tables: {notes: {schema: '#/components/schemas/Note', sort: [title]}}}
paths:
  /notes:
    get: {security: [], x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    post:
      x-plimsoll: {table: notes, idempotency: required}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: ok}}
components: {schemas: {Note: {type: object, properties: {id: {type: integer, readOnly: true}, title: {type: string}}}}}
"""

    def test_check_makes_nothing_and_reads_the_database_that_is_there(self):
        folder = self.directory()
        (folder / "notes.yaml").write_text(self.TABLES)
        checked = self.plimsoll("check", "notes.yaml", directory=folder)
        self.assertEqual((checked.returncode, checked.stdout), (0, "plimsoll: Shop 1 would be served: 2 operations\n"), checked.stderr)
        self.assertEqual([path.name for path in folder.iterdir()], ["notes.yaml"], "no file is made")
        server = self.serve(folder / "notes.yaml", directory=folder)
        server.post("/notes", {"title": "a"}, headers={"Idempotency-Key": "k"})
        self.assertEqual(self.plimsoll("check", "notes.yaml", directory=folder).returncode, 0, "beside the server, and on its address")
        server.stop()
        file = folder / "notes.db"
        before = file.read_bytes(), file.stat().st_mtime_ns, sorted(path.name for path in folder.iterdir())
        (folder / "notes.yaml").write_text(self.TABLES.replace("title: {type", "subject: {type").replace("[title]", "[subject]"))
        checked = self.plimsoll("check", "notes.yaml", directory=folder)
        self.assertEqual(checked.returncode, 2, checked.stdout)
        self.assertRegex(checked.stderr, r'error\[[a-z-]+\]: .*"notes".*"subject"')
        self.assertEqual(before, (file.read_bytes(), file.stat().st_mtime_ns, sorted(path.name for path in folder.iterdir())))
        (folder / "notes.yaml").write_text(self.TABLES)
        (folder / "migrations").mkdir()
        (folder / "migrations" / "0001_wrong.sql").write_text("ALTER TABLE notes ADD COLUMN;\n")
        checked = self.plimsoll("check", "notes.yaml", directory=folder)
        self.assertEqual(checked.returncode, 2, checked.stdout)
        self.assertIn("error[migration]: migration 0001_wrong failed", checked.stderr)
        (folder / "migrations" / "0001_wrong.sql").unlink()
        file.write_bytes(b"no database at all, and long enough to be told from one" * 20)
        checked = self.plimsoll("check", "notes.yaml", directory=folder)
        self.assertEqual(checked.returncode, self.plimsoll("serve", "notes.yaml", "--listen", "127.0.0.1:0", "--management", "off", directory=folder).returncode)
        self.assertIn("error[database]: the database notes.db cannot be opened", checked.stderr)

    FILES = HEAD + """x-plimsoll: {authorization: any-caller, tables: {notes: {schema: '#/components/schemas/Note', search: [title], files: {scan: {stored: folder}}}}}
paths:
  /notes:
    get: {security: [], x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
  /notes/{id}/scan:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    put: {security: [], x-plimsoll: {table: notes, file: scan}, requestBody: {content: {image/png: {}}}, responses: {'204': {description: ok}}}
components: {schemas: {Note: {type: object, properties: {id: {type: string, format: uuid, readOnly: true}, title: {type: string}}}}}
"""

    def everything(self):
        """A folder for each: the examples that need no program, a contract of all keys, and one with files in a folder. With the
        name of its contract and what `serve` is given beside it."""
        for name in ("shop", "packages"):
            yield self.copied(harness.ROOT / "examples" / name), f"{name}.yaml", ["--dev"]
        library = self.directory()
        self.plimsoll("token", "key", "--private", "private.jwk", "--public", "jwks.json", directory=library)
        (library / "library.yaml").write_text(mistakes.CONTRACT)
        (library / "plimsoll.yaml").write_text(mistakes.DEPLOYMENT)
        yield library, "library.yaml", []
        files = self.directory()
        (files / "files.yaml").write_text(self.FILES)
        (files / "plimsoll.yaml").write_text("database: {url: 'sqlite:files.db'}\nfiles: {folder: kept}\n")
        yield files, "files.yaml", []

    def copied(self, folder):
        made = self.directory() / folder.name
        shutil.copytree(folder, made)
        return made

    def contents(self, folder):
        """All that is in a folder: of files their bytes, and when they were written."""
        return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else path.stat().st_mode
                for path in folder.rglob("*") if path.name != "plimsoll.log"}

    def test_check_leaves_everything_as_it_is_before_and_after_a_server_and_both_go_on(self):
        for folder, contract, more in self.everything():
            with self.subTest(contract):
                before = self.contents(folder)
                checked = self.plimsoll("check", contract, *more, directory=folder)
                self.assertEqual(checked.returncode, 0, checked.stderr)
                self.assertEqual(self.contents(folder), before)
                for _ in range(2):
                    server = self.serve(folder / contract, directory=folder, arguments=more)
                    self.assertEqual(self.plimsoll("check", contract, *more, directory=folder).returncode, 0, "beside the server")
                    server.stop()
                    before = self.contents(folder)
                    checked = self.plimsoll("check", contract, *more, directory=folder)
                    self.assertEqual(checked.returncode, 0, checked.stderr)
                    self.assertEqual(self.contents(folder), before)

    def test_mock_serves_every_contract_that_check_accepts(self):
        alone = self.directory()
        (alone / "notes.yaml").write_text(self.TABLES)  # `idempotency: required`, and no deployment
        for folder, contract, _ in [*self.everything(), (alone, "notes.yaml", [])]:
            with self.subTest(contract):
                before = self.contents(folder)
                server = harness.Server(folder / contract, folder, verb=("mock",))
                self.addCleanup(self._end, server)
                server.start()
                served = server.get("/openapi.json").json()["paths"]
                self.assertGreater(len(served), 0)
                if folder == alone:
                    self.assertEqual(server.post("/notes", {"title": "a"}).code, "idempotency-key-missing")
                    self.assertEqual(server.post("/notes", {"title": "a"}, {"Idempotency-Key": "a\tb" * 200}).code, "idempotency-key-invalid")
                    made = [server.post("/notes", {"title": title}, {"Idempotency-Key": "k"}) for title in "ab"]
                    self.assertEqual([one.status for one in made], [201, 201])
                server.stop()
                self.assertEqual(self.contents(folder), before, "no database is made, and none is opened")

    def test_what_is_pending_is_told_as_such_and_no_database_is_made_by_looking(self):
        folder = self.directory()
        (folder / "notes.yaml").write_text(self.TABLES)
        (folder / "migrations").mkdir()
        (folder / "migrations/0001_tables.sql").write_text("CREATE TABLE notes(id INTEGER PRIMARY KEY, title TEXT);\n")
        before = self.contents(folder)
        checked = self.plimsoll("check", "notes.yaml", directory=folder)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertIn("would apply migration 0001_tables\n", checked.stderr)
        status = self.plimsoll("migrate", "status", "notes.yaml", directory=folder)
        self.assertEqual((status.returncode, status.stdout), (0, "pending      0001_tables\n"), status.stderr)
        self.assertEqual(self.contents(folder), before)
        server = self.serve(folder / "notes.yaml", directory=folder)
        self.assertIn("applied migration 0001_tables", server.output)

    def test_a_url_of_sqlite_that_names_no_file_ends_check_and_serve_alike(self):
        folder = self.directory()
        (folder / "notes.yaml").write_text(self.TABLES)
        (folder / "a-folder").mkdir()
        for url, status, said in (("sqlite:", 2, "`sqlite:`: it names no file"), ("sqlite::memory:", 2, "`sqlite::memory:`: a database in memory has no readers"),
                                  ("sqlite:file:notes.db", 2, "the URIs of SQLite are not read"), ("sqlite:a-folder", 2, "`sqlite:a-folder`: it is a folder"),
                                  ("sqlite:nowhere/notes.db", 2, "nowhere"), ("sqlite:/nowhere/notes.db", 75, "/nowhere")):
            with self.subTest(url):
                (folder / "plimsoll.yaml").write_text(f"database: {{url: '{url}'}}\nlimits: {{start-patience: 0s}}\n")
                for command in (("check",), ("serve", "--listen", "127.0.0.1:0", "--management", "off")):
                    done = self.plimsoll(*command, "notes.yaml", directory=folder)
                    self.assertEqual(done.returncode, status, done.stderr)
                    self.assertIn(said, done.stderr)
                self.assertEqual(sorted(path.name for path in folder.iterdir()), ["a-folder", "notes.yaml", "plimsoll.yaml"])

    def test_check_finds_a_folder_of_files_that_serve_could_not_use(self):
        folder = self.directory()
        (folder / "files.yaml").write_text(self.FILES)
        (folder / "a-file").write_text("no folder")
        for name, said in (("nowhere/kept", "cannot be made: No such file or directory"), ("a-file", "cannot be opened: Not a directory")):
            (folder / "plimsoll.yaml").write_text(f"database: {{url: 'sqlite:files.db'}}\nfiles: {{folder: {name}}}\n")
            checked = self.plimsoll("check", "files.yaml", directory=folder)
            served = self.plimsoll("serve", "files.yaml", "--listen", "127.0.0.1:0", "--management", "off", directory=folder)
            self.assertEqual((checked.returncode, served.returncode), (2, 2), checked.stderr + served.stderr)
            self.assertIn(f"files: {name} {said}", checked.stderr)
            self.assertEqual(served.stderr.replace("not started: ", ""), checked.stderr)

    def test_a_deployment_beside_the_contract_is_read_or_the_command_is_refused(self):
        """Of every command that reads a deployment and is given a contract."""
        parent = self.directory()
        folder = parent / "shop"
        folder.mkdir()
        (folder / "notes.yaml").write_text(self.TABLES)
        (folder / "plimsoll.yaml").write_text("database: {url: 'sqlite:real.db'}\nlisten: ['127.0.0.1:0']\nmanagement: off\n")
        commands = (["serve"], ["serve", "shop/other.yaml"], ["check"], ["mock"], ["migrate", "new", "first"], ["migrate", "status"], ["migrate", "up"], ["migrate", "rls"])
        (folder / "other.yaml").write_text(self.TABLES.replace("paths:", "servers: [{url: /v2}]\npaths:"))
        for command in commands:
            with self.subTest(command):
                refused = self.plimsoll(*command, "shop/notes.yaml", directory=parent)
                self.assertEqual(refused.returncode, 2, refused.stdout + refused.stderr)
                self.assertIn("error[deployment-not-read]: this file is not read: without --config it is plimsoll.yaml in the working directory that is read, "
                              "and there is none\n", refused.stderr)
                self.assertTrue(refused.stderr.startswith("shop/plimsoll.yaml: "), refused.stderr)
                self.assertEqual(refused.stderr.count("help: Write `--config shop/plimsoll.yaml`, or run the command in that folder."), 1, refused.stderr)
                self.assertEqual([path.name for path in parent.rglob("*.db")], [])
        (parent / "plimsoll.yaml").write_text("listen: ['127.0.0.1:0']\n")
        both = self.plimsoll("check", "shop/notes.yaml", directory=parent)
        self.assertEqual(both.returncode, 2, both.stdout)
        self.assertIn("help: Write `--config shop/plimsoll.yaml`, or `--config plimsoll.yaml` for the one in the working directory.", both.stderr)
        for named in ("shop/plimsoll.yaml", "plimsoll.yaml"):
            self.assertEqual(self.plimsoll("check", "shop/notes.yaml", "--config", named, directory=parent).returncode, 0)
        self.assertEqual(self.plimsoll("check", "notes.yaml", directory=folder).returncode, 0)
        self.assertEqual(self.plimsoll("check", folder / "notes.yaml", directory=folder).returncode, 0)

    def test_check_says_that_a_locked_database_may_be_free_later(self):
        folder = self.directory()
        (folder / "notes.yaml").write_text(self.TABLES)
        (folder / "plimsoll.yaml").write_text("database: {url: 'sqlite:notes.db', busy: 100ms}\n")
        with sqlite3.connect(folder / "notes.db") as locked:
            locked.execute("CREATE TABLE other(id)")
            locked.commit()
            locked.execute("BEGIN EXCLUSIVE")
            checked = self.plimsoll("check", "notes.yaml", directory=folder)
            self.assertEqual(checked.returncode, 75, checked.stderr)
            self.assertIn("locked", checked.stderr)

    def test_a_short_form_has_the_bounds_of_the_options_that_it_stands_for(self):
        upstream = lambda text: (contract(get=", mock: false, upstream: a").replace("mock: true, ", "").replace("mock: false, ", ""),
                                 f"upstreams: {{a: {{targets: ['http://127.0.0.1:9'], {text}}}}}\n")
        served = lambda text: (contract(get=f", {text}"), "")
        for laid, key, option, most, beyond in ((served, "deadline", "after", "3650d", "106751d"), (served, "cache", "ttl", "3650d", "3651d"),
                                                (upstream, "quota", "longest", "1h", "61m"), (upstream, "timeouts", "total", "3650d", "3651d"),
                                                (upstream, "concurrency", "limit", "1000000", "1000001"), (upstream, "concurrency", "limit", "1", "0")):
            said = []
            for text, status in ((f"{key}: {most}", 0), (f"{key}: {beyond}", 2), (f"{key}: {{{option}: {beyond}}}", 2)):
                folder = self.directory()
                api, deployment = laid(text)
                (folder / "contract.yaml").write_text(api)
                (folder / "plimsoll.yaml").write_text(deployment)
                checked = self.plimsoll("check", "contract.yaml", directory=folder)
                self.assertEqual(checked.returncode, status, (text, checked.stdout, checked.stderr))
                if status:
                    self.assertIn(f'"{option}" is ', checked.stderr)
                    said.append(re.search(r'"%s" is .*' % option, checked.stderr)[0])
            self.assertEqual(said[0], said[1])

    def test_a_get_without_security_among_others_warns(self):
        written = contract(more=SECURITY, get="").replace("authorization: any-caller}}", "authorization: any-caller}}", 1)
        written = written.replace("  /a:\n", "  /b:\n    get: {security: [{key: []}], " + (OK % "")[1:] + "\n  /c:\n    get: {security: [], " + (OK % "")[1:] + "\n  /a:\n", 1)
        server = self.serve(written, arguments=["--dev"])
        server.stop()
        self.assertEqual(len(re.findall(r"contract\.yaml:9:10: warning\[missing-security\]: ", server.output)), 1, server.output)
        self.assertIn("security: []", server.output)


if __name__ == "__main__":
    harness.main()
