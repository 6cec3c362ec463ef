"""The pages of the documentation: their commands print what they show, their links lead somewhere, and their words are plain."""
import json
import re
from concurrent import futures

import harness
import pages

# Phrases that are hard to understand, and what to write instead. Short on purpose: each has been met in a page or a message.
PLAIN = {
    r"who(ever)? asks\b": "the caller",
    r"\bwho may\b": "authorization",
    r"\bwho lacks\b": "callers without",
    r"nobody (has )?vouched": "unauthenticated callers",
    r"\bvouch(es|ed)?\b": "verify",
    r"the data says otherwise": "conflict with existing data",
    r"what is there is not": "the resource has changed",
    r"nothing that answers it": "no handler",
    r"another's row does not exist": "rows of other owners are not visible (404)",
    r"rows? of (somebody else|others) do(es)? not exist": "rows of other owners are not visible (404)",
    r"\bfor a laptop\b": "development mode",
    r"another life": "requeue",
    r"\bknocking\b": "rejected requests",
    r"\bstrangers?\b": "unauthenticated callers",
    r"\bnewcomers?\b": "new callers",
    r"too much to do": "overloaded",
    r"somebody else's": "of another",
    r"whose word counts": "which proxies are trusted",
    r"\bwherefore|\bhence\b|\btherein\b|\bthereof\b": "so, in it",
}
FORBIDDEN = re.compile("|".join(f"(?:{phrase})" for phrase in PLAIN), re.I)


def advice(found):
    return next(instead for phrase, instead in PLAIN.items() if re.fullmatch(phrase, found, re.I))


class Pages(harness.ServerTest):
    def test_every_command_of_a_page_prints_what_the_page_shows(self):
        harness.needs("curl", "jq", "openssl")
        shown = pages.with_commands()
        self.assertGreater(len(shown), 7)
        prepared = [pages.Page(path, self) for path in shown]
        with futures.ThreadPoolExecutor(4) as pool:
            for page, (blocks, printed) in zip(prepared, pool.map(pages.Page.run, prepared)):
                self.assertTrue(blocks, f"{page.path.name} shows commands and no output")
                for commands, expected, found in blocks:
                    with self.subTest(page.path.name, commands=commands[:60]):
                        self.assertTrue(pages.matches(expected, found), f"{commands}\nshown:\n{expected}\nprinted:\n{found}\nall:\n{printed[-3000:]}")

    def test_every_link_and_heading_that_a_page_names_is_there(self):
        broken = []
        for page in pages.all_pages():
            text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.S | re.M)
            for path, heading in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
                if re.match(r"[a-z]+:", path):
                    continue
                target = page.parent / path if path else page
                if not target.exists():
                    broken.append(f"{page.relative_to(harness.ROOT)}: {path}")
                elif heading and target.suffix == ".md" and heading not in headings(target):
                    broken.append(f"{page.relative_to(harness.ROOT)}: {path}#{heading}")
        self.assertEqual(broken, [])

    def test_the_index_names_every_page(self):
        index = (harness.ROOT / "docs/README.md").read_text()
        linked = set(re.findall(r"\]\(([^)#\s]+)", index))
        missing = [path.name for path in (harness.ROOT / "docs").glob("*.md") if path.name != "README.md" and path.name not in linked]
        self.assertEqual(missing, [])

    def test_what_the_page_of_limits_names_is_refused_by_this_version(self):
        """A row `| what | ```key: value``` |` of limitations.md: the contract, or plimsoll.yaml, with it is refused as not implemented."""
        rows = re.findall(r"^\| [^|]*\| `(contract|plimsoll.yaml)`: `([^`]*)` \|", (harness.ROOT / "docs/limitations.md").read_text(), re.M)
        self.assertGreater(len(rows), 8)
        for where, text in rows:
            with self.subTest(text):
                folder = self.directory()
                operation = "x-plimsoll: {mock: true, %s}" % text if where == "contract" and not text.startswith("type:") else "x-plimsoll: {mock: true}"
                scheme = text if text.startswith("type:") else "type: http, scheme: bearer"
                (folder / "contract.yaml").write_text(
                    "openapi: 3.1.0\ninfo: {title: A, version: '1'}\n"
                    f"components: {{securitySchemes: {{login: {{{scheme}}}}}}}\n"
                    f"paths: {{/a: {{post: {{security: [{{login: [a]}}], responses: {{'200': {{description: ok}}}}, {operation}}}}}}}\n")
                (folder / "plimsoll.yaml").write_text(("authentication: {bearer: {secret: '%s'}}\n" % ("x" * 40) if scheme.endswith("bearer") else "") +
                                                      (text + "\n" if where == "plimsoll.yaml" else "") +
                                                      ("" if text.startswith("database:") else "database: {url: 'sqlite:a.db'}\n"))
                said = self.plimsoll("check", "contract.yaml", directory=folder)
                self.assertEqual(said.returncode, 2, said.stdout)
                self.assertRegex(said.stderr, r"error\[(later-word|not-implemented|no-verifier)\]")


class PlainEnglish(harness.ServerTest):
    def assert_plain(self, texts):
        """`texts`: (where, text)."""
        met = [f"{where}: \"{found[0]}\": write \"{advice(found[0])}\"" for where, text in texts for found in FORBIDDEN.finditer(text)]
        self.assertEqual(met, [])

    def test_the_pages(self):
        self.assert_plain((f"{path.relative_to(harness.ROOT)}:{number}", line) for path in pages.all_pages() if path.name not in ("CHANGELOG.md", "coverage.md")
                          for number, line in enumerate(path.read_text().splitlines(), 1))

    def test_problem_titles_and_remedies(self):
        listed = json.loads(self.plimsoll("problems", "--json").stdout)
        self.assertGreater(len(listed), 60)
        self.assert_plain((one["code"], f'{one["title"]}. {one["remedy"]}') for one in listed)
        self.assertEqual([one["code"] for one in listed if not one["title"][0].isupper() or one["title"].endswith(".") or len(one["title"]) > 60], [])

    def test_help_of_every_command_and_option(self):
        def commands(*words):
            text = self.plimsoll(*words, "--help").stdout
            yield " ".join(words), text
            listed = re.search(r"^Subcommands:\n(.*)", text, re.S | re.M)
            for name in re.findall(r"^  (\S+)", listed[1], re.M) if listed else ():
                yield from commands(*words, name)
        said = dict(commands())
        self.assertGreater(len(said), 25)
        self.assert_plain(said.items())
        self.assert_plain([("config --explain", self.plimsoll("config", "--explain").stdout), ("schema contract", self.plimsoll("schema", "contract").stdout),
                           ("schema deployment", self.plimsoll("schema", "deployment").stdout)])

    def test_events_of_the_log_are_names(self):
        """`certificates-reloaded`: something to filter by, no sentence."""
        wrong, seen = [], 0
        for path in [*(harness.ROOT / "plimsoll").rglob("*.cpp"), *(harness.ROOT / "plimsoll").rglob("*.hpp")]:
            if "_test" in path.name or "_bench" in path.name:
                continue
            for event in re.findall(r"\bwrite\(\s*(?:telemetry::)?(?:Level::|level)\w*[^,\"]*,\s*\"([^\"]+)\"", path.read_text()):
                seen += 1
                if not re.fullmatch(r"[a-z]+(-[a-z]+)*", event):
                    wrong.append(f"{path.relative_to(harness.ROOT)}: {event}")
        self.assertGreater(seen, 15)
        self.assertEqual(wrong, [])


def headings(path):
    """Anchors of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.S | re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}


if __name__ == "__main__":
    harness.main()
