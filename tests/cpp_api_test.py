"""The library for C++ programs: what is installed, what the compiler refuses, what the start refuses."""
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import subprocess

import harness

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
        self.assertGreater(len(named), 3)
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


if __name__ == "__main__":
    harness.main()
