"""The house keeps its shape: a room uses only its elders, and a policy is one file and one row."""
import os
import pathlib
import re
import shutil
import subprocess

import harness

POLICY = r"""
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"

namespace plimsoll::policy {
namespace {

constexpr Problem kNoGreeting{"no-greeting", 400, "No greeting", "Send `X-Greeting`."};

struct Manners {
  std::string tone = "plain";
};
constexpr config::Field kMannersFields[] = {config::field<&Manners::tone>("tone", "How it is said.")};
constexpr config::Section kManners = config::section<Manners, kMannersFields>("manners", "How callers are spoken to.");

class Greeting final : public Check {
 public:
  struct Options {
    std::string word = "hello";
  };
  static constexpr config::Field fields[] = {config::field<&Options::word>("word", "What is said back.")};
  static constexpr const Problem* problems[] = {&kNoGreeting};
  static constexpr config::Section deployment[] = {kManners};
  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    if (!build.operation.extension("greeting")) return nullptr;
    auto manners = read_section<Manners>(build.services, kManners);
    if (!manners) return std::unexpected(manners.error());
    return std::make_unique<Greeting>(std::move(options), std::move(manners->tone));
  }
  Greeting(Options options, std::string tone) : options_(std::move(options)), tone_(std::move(tone)) {}

  Result<> check(Request& request, Context& context) override {
    if (request.headers.find("x-greeting").empty()) return fail(kNoGreeting);
    context.promise("x-greeting", options_.word);
    context.promise("x-tone", tone_);
    return {};
  }

 private:
  Options options_;
  std::string tone_;
};

}  // namespace

extern constinit const Part greeting = part<Greeting>("greeting", "Greets back.");

}  // namespace plimsoll::policy
"""

CONTRACT = """
openapi: 3.1.0
info: {title: Greeting, version: '1'}
paths:
  /greeted:
    get:
      operationId: greeted
      security: []
      x-plimsoll: {greeting: {word: ahoy}}
      responses: {'200': {description: ok, content: {application/json: {example: {}}}}}
  /silent:
    get:
      operationId: silent
      security: []
      responses: {'200': {description: ok, content: {application/json: {example: {}}}}}
"""

NOTES = """
openapi: 3.1.0
info: {title: Notes, version: '1'}
security: []
x-plimsoll:
  authorization: any-caller
  tables: {notes: {schema: '#/components/schemas/notes', key: id, filters: {stars: [eq, ge]}, sort: [stars], search: [text]}}
paths:
  /notes:
    get: {operationId: list, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    post:
      operationId: create
      x-plimsoll: {table: notes}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/notes'}}}}
      responses: {'201': {description: made}}
  /notes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: read, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    patch:
      operationId: change
      x-plimsoll: {table: notes}
      requestBody: {required: true, content: {application/merge-patch+json: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
    delete: {operationId: remove, x-plimsoll: {table: notes}, responses: {'204': {description: gone}}}
components:
  schemas:
    notes:
      type: object
      required: [id, text]
      properties: {id: {type: integer, readOnly: true}, text: {type: string}, stars: {type: integer}}
"""


def use_notes(test, server):
    """Asks for all that a table answers."""
    made = [server.post("/notes", {"text": text, "stars": stars}) for text, stars in (("a red kite", 3), ("a blue top", 5), ("a red ball", 1))]
    test.assertEqual([each.status for each in made], [201] * 3, made)
    first, second, third = (each.json()["id"] for each in made)
    test.assertEqual([row["stars"] for row in server.get("/notes?sort=-stars&stars[ge]=3").json()["data"]], [5, 3])
    test.assertEqual(sorted(row["id"] for row in server.get("/notes?q=red").json()["data"]), sorted([first, third]))
    test.assertEqual(server.get(f"/notes/{first}").json(), {"id": first, "text": "a red kite", "stars": 3})
    changed = server.patch(f"/notes/{second}", {"stars": 4}, {"Content-Type": "application/merge-patch+json"})
    test.assertEqual((changed.status, changed.json()["stars"]), (200, 4))
    test.assertEqual((server.delete(f"/notes/{third}").status, server.get(f"/notes/{third}").status), (204, 404))


class Rooms(harness.ServerTest):
    def tree(self):
        """A copy of the sources, configured like the build under test. The compiler cache knows most of it."""
        copy = self.directory()
        for name in ("CMakeLists.txt", "LICENSE", "README.md"):
            if (harness.ROOT / name).exists():
                shutil.copy(harness.ROOT / name, copy)
        for name in ("cmake", "scripts", "plimsoll", "apps"):
            shutil.copytree(harness.ROOT / name, copy / name)
        said = {}
        cache = pathlib.Path(os.environ.get("PLIMSOLL_BUILD", harness.ROOT / "build/dev")) / "CMakeCache.txt"
        if cache.exists():
            said = dict(re.findall(r"^(CMAKE_(?:CXX|C)_COMPILER|CMAKE_BUILD_TYPE|PLIMSOLL_SANITIZE):\w+=(.*)$", cache.read_text(), re.M))
        build = copy / "build" / "test"  # as deep as the real one: the compiler cache knows relative paths
        done = self.command(["cmake", "-S", copy, "-B", build, "-G", "Ninja", "-DPLIMSOLL_TESTS=OFF", *(f"-D{key}={value}" for key, value in said.items())], copy)
        self.assertEqual(done.returncode, 0, done.stdout)
        return copy, build

    def command(self, arguments, directory):
        return subprocess.run([str(argument) for argument in arguments], cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=1500)

    def ninja(self, build, target):
        return self.command(["ninja", "-j2", "-C", build, target], build)

    def test_a_forbidden_include_fails_the_build(self):
        copy, build = self.tree()
        done = self.ninja(build, "plimsoll_base")
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        arena = copy / "plimsoll/base/arena.cpp"
        arena.write_text('#include "plimsoll/json/value.hpp"\n' + arena.read_text())
        done = self.ninja(build, "plimsoll_base")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("plimsoll/base/arena.cpp:1: base/ may not include json/", done.stdout)

    def test_a_room_that_uses_a_younger_one_fails_the_build(self):
        copy, build = self.tree()
        lists = copy / "CMakeLists.txt"
        lists.write_text(lists.read_text().replace("plimsoll_room(json USES base", "plimsoll_room(json USES base edge"))
        done = self.command([copy / "scripts/check-includes", copy], copy)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("room json uses edge, which stands after it", done.stdout)

    def test_a_call_of_the_file_system_that_throws_is_found(self):
        folder = self.directory()
        for name in ("apps", "plimsoll", "scripts"):
            shutil.copytree(harness.ROOT / name, folder / name)
        check = [folder / "scripts/check-sources", "--files"]
        self.assertEqual(self.command(check, folder).stdout, "0 calls of std::filesystem throw\n")
        arena = folder / "plimsoll/base/arena.cpp"
        text = arena.read_text()
        for planted in ("std::filesystem::exists(path)", "std::filesystem::absolute(f(path, code))", "fs::is_regular_file(path, other)",
                        "for (auto& each : std::filesystem::directory_iterator(path, code))", 'std::string("a//b") + fs::canonical(path)'):
            with self.subTest(planted):
                arena.write_text(text + f"\nvoid planted(const char* path, std::error_code& code) {{\n  {planted};\n}}\n")
                done = self.command(check, folder)
                self.assertEqual((done.returncode, f"plimsoll/base/arena.cpp:{text.count(chr(10)) + 3}: " in done.stdout), (1, True), done.stdout)
        arena.write_text(text + "\nvoid planted(const char* path, std::error_code& code) {\n  std::filesystem::exists(path, code);  // fs::exists(path)\n}\n")
        self.assertEqual(self.command(check, folder).returncode, 0)

    def test_the_server_knows_policies_by_their_rows_only(self):
        rows = (harness.ROOT / "plimsoll/server/chain.cpp").read_text()
        names = re.findall(r"^extern const Part (\w+);", rows, re.M)
        self.assertGreater(len(names), 15)
        for path in sorted((harness.ROOT / "plimsoll/server").glob("*.[ch]pp")):
            if path.name.endswith("_test.cpp"):
                continue
            text = path.read_text()
            self.assertNotIn('"plimsoll/policy/', text, path.name)
            if path.name != "chain.cpp":
                self.assertNotIn("policy::", text, path.name)

    def test_a_policy_is_one_file_and_one_row(self):
        copy, build = self.tree()
        (copy / "plimsoll/policy/greeting.cpp").write_text(POLICY)
        chain = copy / "plimsoll/server/chain.cpp"
        text = chain.read_text()
        text = re.sub(r"(extern const Part [^;]*?trace\b)", r"\1, greeting", text, count=1)
        text = re.sub(r"(constexpr Row kChain\[\] = \{\n)", r'\1    {&policy::greeting, operations, "a sample"},' + "\n", text, count=1)
        self.assertEqual(text.count("greeting"), 2)
        chain.write_text(text)
        done = self.ninja(build, "plimsoll")
        self.assertEqual(done.returncode, 0, done.stdout[-5000:])

        more = {"executable": build / "bin/plimsoll", "arguments": ["--mock-unbound"]}
        server = self.serve(CONTRACT, "manners: {tone: polite}", **more)
        greeted = server.get("/greeted", {"X-Greeting": "hi"}).headers
        self.assertEqual((greeted["x-greeting"], greeted["x-tone"]), ("ahoy", "polite"))
        refusal = server.get("/greeted")
        self.assertEqual((refusal.status, refusal.code, refusal.json()["policy"]), (400, "no-greeting", "greeting"))
        self.assertEqual(server.get("/problems/no-greeting").status, 200)
        self.assertEqual(server.get("/silent").status, 200)

        # The vocabulary of the contract and of the deployment, its checks and `mode` know it without a further word.
        self.assertIn('did you mean "manners"', self.refused(CONTRACT, "maners: {tone: polite}", **more))
        self.assertRegex(self.refused(CONTRACT, "manners: {tune: polite}", **more), r'plimsoll\.yaml:1:\d+.*did you mean "tone"')
        explained = self.command([more["executable"], "config", "--explain", "--config", server.directory / "plimsoll.yaml"], server.directory).stdout
        self.assertRegex(explained, r'manners\.tone: "polite"\n  from:    \S*plimsoll\.yaml:1\n  default: "plain"\n  How it is said\.')
        self.assertIn('did you mean "greeting"', self.refused(CONTRACT.replace("greeting:", "greetin:"), **more))
        self.assertIn("wrod", self.refused(CONTRACT.replace("word:", "wrod:"), **more))
        shadow = self.serve(CONTRACT.replace("word: ahoy", "mode: shadow"), **more)
        self.assertEqual(shadow.get("/greeted").status, 200)

    def test_a_database_engine_is_one_folder_and_one_row(self):
        copy, build = self.tree()
        toy = copy / "plimsoll/database/toy"
        toy.mkdir()
        shutil.copy(harness.ROOT / "tests/programs/own_parts/toy.cpp", toy)
        rows = copy / "plimsoll/database/engine.cpp"
        text = rows.read_text()
        text = text.replace("extern const Engine sqlite_engine", "extern const Engine toy_engine, sqlite_engine", 1)
        text = text.replace("    &postgres_engine,\n", "    &postgres_engine,\n    &toy_engine,\n", 1)
        self.assertEqual(text.count("toy_engine"), 2)
        rows.write_text(text)
        done = self.ninja(build, "plimsoll")
        self.assertEqual(done.returncode, 0, done.stdout[-5000:])
        plimsoll = build / "bin/plimsoll"
        server = self.serve(NOTES, "database: {url: 'toy:toys.db', pieces: 3}", executable=plimsoll)
        use_notes(self, server)
        folder, contract = server.directory, server.directory / "contract.yaml"

        # The deployment knows its options, and to whom they belong.
        more = {"executable": plimsoll}
        for config, said in (("{url: 'toy:a.db', pices: 3}", 'did you mean "pieces"'), ("{url: 'toy:a.db', pieces: 0}", "pieces"), ("{url: 'toy:a.db', pieces: 13}", "no toy has 13 pieces"),
                             ("{url: 'toy:a.db', pool: {max: 3}}", "`database.pool` is for PostgreSQL"), ("{url: 'sqlite:a.db', pieces: 3}", "`database.pieces` is for Toy"),
                             ("{url: 'toys:a.db'}", "only `sqlite:`, `postgres:` and `toy:` are served"), ("{url: 'toy:nowhere/a.db'}", "nowhere/a.db cannot be opened")):
            self.assertIn(said, self.refused(NOTES, f"database: {config}", **more), config)
        server.stop()

        def command(*arguments, status=0):
            done = self.command([plimsoll, *arguments], folder)
            self.assertEqual(done.returncode, status, done.stdout)
            return done.stdout

        self.assertRegex(command("config", "--explain"), r"database\.pieces: 3\n  from:    \S*plimsoll\.yaml:1\n  default: 1\n  How many pieces")
        self.assertIn("pieces", command("schema", "deployment"))
        command("check", contract)
        # Commands ask the same rows.
        command("migrate", "new", "tables", contract)
        self.assertIn("TOY CREATE TABLE IF NOT EXISTS", (folder / "migrations/0001_tables.sql").read_text())
        self.assertIn("applied 0001_tables", command("migrate", "up", contract))
        self.assertIn("Toy has no row-level security", command("migrate", "rls", contract, status=2))
        self.assertIn("no jobs", command("jobs", "list"))
        self.assertIn("sqlite:PATH", command("database", "verify", status=2))
        self.assertIn("there is no database at b.db", command("jobs", "list", "--database", "toy:b.db", status=2))
        self.assertIn("only sqlite:, postgres: and toy: databases", command("jobs", "list", "--database", "mysql://a/b", status=2))
        (folder / "imported").mkdir()
        command("init", "imported", "--from", "toy:toys.db")
        self.assertIn("/notes/{id}", (folder / "imported/toys.yaml").read_text())
        self.assertIn("'toy:/", (folder / "imported/plimsoll.yaml").read_text())


if __name__ == "__main__":
    harness.main()
