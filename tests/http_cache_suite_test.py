"""The public suite of HTTP caches, http-cache-tests of npm (https://cache-tests.fyi), against `cache: origin`. Of its kinds of tests `required` must
pass. The edition that npm has is older than RFC 9111 and RFC 9213: where it demands what these took back, it is named here with the reason.
tests/origin_cache_test.py has tests of our own for each requirement, those of the suite's later editions among them."""
import fnmatch
import json

import harness
import npm

CONTRACT = """
openapi: 3.1.0
info: {title: Suite, version: '1'}
x-plimsoll:
  rate-limit: off
  undeclared: {upstream: suite, authorization: any-caller, cache: {origin: true, heuristic: true, obey-requests: true}}
paths: {}
"""
IGNORED = "RFC 9111, section 5.1: the first member of `Age` counts, and one that is no number of seconds is ignored; the suite once took such a response for stale"
REPLACED = "`Surrogate-Control` was never a standard; RFC 9213 has `CDN-Cache-Control`, which later editions test instead"
NO_STALE = "not judged by the suite: nothing is served stale when the origin closes the connection"
DIFFERENT = {
    "age-parse-nonnumeric": IGNORED, "age-parse-negative": IGNORED, "age-parse-float": IGNORED, "age-parse-*parameter": IGNORED,
    "age-parse-dup-*": IGNORED, "age-parse-prefix-twoline": IGNORED,
    "surrogate-*": REPLACED,
    "304-etag-update-response-Content-MD5": "RFC 9111, section 3.2: a 304 updates all fields but those of framing and `Content-Length`; later editions only ask",
    "304-etag-update-response-ETag": "its origin says 304 with another tag than was asked for, and has no response when it is asked again",
    "headers-store-Transfer-Encoding": "its origin sends a `Transfer-Encoding` that is none, which is no response",
    "stale-close-*": NO_STALE,
}


def passed(tests):
    """The ids of tests that pass together with those that they need."""
    met = {each["id"] for each in tests if each["result"] is True}
    return {each["id"] for each in tests if each["id"] in met and met.issuperset(each["needs"])}


def different(name):
    return next((why for pattern, why in DIFFERENT.items() if fnmatch.fnmatchcase(name, pattern)), None)


class HttpCacheTests(harness.ServerTest):
    def setUp(self):
        harness.needs("node")
        npm.needs("http-cache-tests")

    def run_suite(self, only=None):
        command = ["node", "--no-warnings", harness.ROOT / "tests/programs/http_cache_tests.mjs"]
        suite = harness.subprocess.Popen(command, cwd=npm.FOLDER, stdin=harness.subprocess.PIPE, stdout=harness.subprocess.PIPE, stderr=harness.subprocess.DEVNULL, text=True)
        self.addCleanup(suite.wait)
        self.addCleanup(suite.kill)
        server = self.server(CONTRACT, f"upstreams: {{suite: {{targets: ['http://127.0.0.1:{suite.stdout.readline().strip()}'], retry: off, breaker: off}}}}\n")
        server.start()
        said, _ = suite.communicate(json.dumps({"base": server.url, **({"only": only} if only else {})}) + "\n", timeout=5 * harness.PATIENCE)
        server.stop()
        return json.loads(said)

    def test_what_it_requires_holds(self):
        tests = self.run_suite()
        required = [each for each in tests if each["kind"] == "required"]
        self.assertGreaterEqual(len(required), 160)
        failed = [each for each in required if each["id"] not in passed(tests)]
        # Paths share a bounded number of places by which changes are known, so a few responses are fetched again for the change of another path. Such a test passes when it is alone.
        if again := [each for each in failed if not different(each["id"])]:
            names = {each["id"] for each in again}.union(*(each["needs"] for each in again))
            alone = passed(self.run_suite(sorted(names)))
            failed = [each for each in failed if each["id"] not in alone]
        self.assertEqual([each for each in failed if not different(each["id"])], [])
        print(f"required: {len(required) - len(failed)} of {len(required)}, the others as the standards say; optimal: "
              f"{len([each for each in tests if each['kind'] == 'optimal' and each['id'] in passed(tests)])} of {len([each for each in tests if each['kind'] == 'optimal'])}")
        unused = [pattern for pattern in DIFFERENT if not fnmatch.filter([each["id"] for each in failed], pattern)]
        self.assertEqual(unused, [], "named as different, but nothing of them is")


if __name__ == "__main__":
    harness.main()
