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


if __name__ == "__main__":
    harness.main()
