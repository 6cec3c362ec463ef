"""The pages of the documentation: their commands print what they show, and their links lead somewhere. Their words: english_test.py."""
import re
from concurrent import futures

import harness
import pages


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


def headings(path):
    """Anchors of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.S | re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}


if __name__ == "__main__":
    harness.main()
