"""The library for C++ programs: what is installed, what the compiler refuses, what the start refuses, and the guide."""
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess

import harness
import pages

BUILD = pathlib.Path(os.environ.get("PLIMSOLL_BUILD", harness.ROOT / "build/dev"))


def script(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(harness.ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def cached(name):
    found = re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)
    return found[1] if found else ""


class PublicHeaders(harness.ServerTest):
    def test_the_list_holds_what_programs_may_include_and_nothing_else(self):
        listed = (harness.ROOT / "cmake/public-headers.txt").read_text().split()
        self.assertEqual(listed, script("public-headers").public(), "run scripts/public-headers --write")
        for header in listed:
            self.assertNotRegex(header, r"(^|/)test_|_(check|cases|judge|simulation)\.hpp$", "a test's header")
            self.assertNotIn("gtest", (harness.ROOT / header).read_text(), header)

    def test_the_guide_and_the_examples_include_no_other(self):
        listed = set((harness.ROOT / "cmake/public-headers.txt").read_text().split())
        named = {}
        for path in [*(harness.ROOT / "docs").rglob("*.md"), *(harness.ROOT / "examples").rglob("*.[ch]pp"), *(harness.ROOT / "tests/programs/own_parts").glob("*.cpp")]:
            for header in re.findall(r"#include <(plimsoll/[^>]+)>", path.read_text()):
                named.setdefault(header, path.name)
        self.assertGreater(len(named), 5)
        self.assertEqual({header: place for header, place in named.items() if header not in listed}, {})


class Misuse(harness.ServerTest):
    SOURCE = harness.ROOT / "tests/programs/misuse.cpp"

    def test_each_misuse_is_an_error_of_the_compiler(self):
        compiler = cached("CMAKE_CXX_COMPILER")
        if "clang" not in compiler:
            self.skipTest("the lifetimes of tasks are checked by clang")
        done = subprocess.run([compiler, "-std=c++23", "-fsyntax-only", "-ferror-limit=0", "-Wno-everything", "-Werror=dangling", "-DPLIMSOLL_CHECK_TASKS",
                               f"-I{harness.ROOT}", self.SOURCE], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=harness.PATIENCE)
        self.assertNotEqual(done.returncode, 0)
        # Each error with the notes that say on which line of ours it came up.
        errors = [part for part in re.split(r"^(?=[^\s:]+:\d+:\d+: (?:fatal )?error: )", done.stderr, flags=re.M) if "error: " in part]
        misuses = [(number, line.split("// refused: ")[1]) for number, line in enumerate(self.SOURCE.read_text().splitlines(), 1) if "// refused: " in line]
        self.assertGreaterEqual(len(misuses), 15)
        for number, words in misuses:
            with self.subTest(line=number, words=words):
                self.assertTrue(any(words in error and f"misuse.cpp:{number}:" in error for error in errors), done.stderr[:6000])
        lines = {number for number, _ in misuses}
        for error in errors:  # and nothing else is refused
            own = {int(number) for number in re.findall(r"misuse\.cpp:(\d+):", error)}
            self.assertTrue(own & lines, error[:2000])


class Guide(harness.ServerTest):
    """docs/cpp: each page is followed from its beginning to its end, and its commands print what it shows."""

    @classmethod
    def setUpClass(cls):
        harness.needs("curl", "jq", "cmake", "ninja")
        cls.test = cls("test_the_first_program_and_its_unit_test")
        cls.prefix = cls.test.directory() / "installed"
        done = subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.prefix], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=harness.PATIENCE)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    @classmethod
    def tearDownClass(cls):
        cls.test.doCleanups()

    def test_what_is_installed_is_what_the_list_says(self):
        installed = sorted(str(path.relative_to(self.prefix / "include")) for path in (self.prefix / "include").rglob("*") if path.is_file())
        self.assertEqual(installed, (harness.ROOT / "cmake/public-headers.txt").read_text().split())

    def follow(self, name):
        page = CppPage(harness.ROOT / "docs/cpp" / name, self, self.prefix)
        found, printed = page.run()
        self.assertTrue(found, "the page shows no output")
        for commands, shown, output in found:
            self.assertTrue(pages.matches(shown, output), f"{commands}\nshown:\n{shown}\nprinted:\n{output}\n---\n{printed[-6000:]}")

    def test_the_first_program_and_its_unit_test(self):
        self.follow("README.md")

    def test_every_page_has_its_test(self):
        here = set(re.findall(r'self\.follow\("([\w-]+\.md)"\)', pathlib.Path(__file__).read_text()))
        self.assertEqual(here, {path.name for path in (harness.ROOT / "docs/cpp").glob("*.md")})

    def test_parameters_and_bodies(self):
        self.follow("parameters-and-bodies.md")

    def test_the_database(self):
        self.follow("database.md")

    def test_jobs(self):
        self.follow("jobs.md")

    def test_calling_out(self):
        self.follow("calling-out.md")

    def test_graphql(self):
        self.follow("graphql.md")

    def test_a_policy(self):
        self.follow("policy.md")

    def test_testing(self):
        self.follow("testing.md")

    def test_configuration(self):
        self.follow("configuration.md")

    def test_logging_and_metrics(self):
        self.follow("logging-and-metrics.md")


class CppPage(pages.Page):
    """Where the page installs the library, the test uses what it has installed. Programs are built without optimisation, and in the long form for sanitizers."""
    patience = 600  # programs are built

    def __init__(self, path, test, prefix):
        self.prefix = prefix
        super().__init__(path, test)
        self.ports.update({shown: test.port() for shown in ("8090", "8091")})

    def to_free(self, text):
        text = re.sub(r"^cmake --install .*$", ":", text, flags=re.M).replace("/opt/plimsoll", str(self.prefix))
        sanitize = cached("PLIMSOLL_SANITIZE") or (os.environ.get("PLIMSOLL_TORTURE") == "1" and "address,undefined")
        flags = f"-DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS='{f'-g1 -fsanitize={sanitize}' if sanitize else '-O0'}'"
        if shutil.which("ld.lld-19"):
            flags += " -DCMAKE_EXE_LINKER_FLAGS=--ld-path=/usr/bin/ld.lld-19"
        text = re.sub(r"^(cmake -S .*)$", rf"\1 {flags} >/dev/null", text, flags=re.M)
        text = text.replace("clang++-19", cached("CMAKE_CXX_COMPILER"))
        text = re.sub(r"^ninja -C build$", "ninja -C build >ninja.log 2>&1 || { cat ninja.log; exit 1; }", text, flags=re.M)
        return super().to_free(text)

    def script(self, steps):
        listen = " --listen 127.0.0.1:8080 --management 127.0.0.1:9180"
        started = [(kind, name, re.sub(r"^(build/library\b[^&\n]*?) *&$", rf"{{ \1{listen} >>server.log 2>&1 & }}; ready $!", content, flags=re.M) if kind == "sh" else content)
                   for kind, name, content in steps]
        return super().script(started)


if __name__ == "__main__":
    harness.main()
