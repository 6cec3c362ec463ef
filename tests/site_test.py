"""`make docs`: the pages as a static site, every link followed; a link that leads nowhere fails the build."""
import os
import re
import subprocess

import harness


class Site(harness.ServerTest):
    def setUp(self):
        harness.needs("mkdocs")

    def build(self, root):
        site = self.directory() / "site"
        done = subprocess.run([harness.ROOT / "scripts/docs", site], env={**os.environ, "PLIMSOLL_ROOT": str(root)}, capture_output=True, text=True, timeout=240)
        return site, done

    def test_every_page_is_built_and_every_link_leads_somewhere(self):
        site, done = self.build(harness.ROOT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("every link leads somewhere", done.stdout)
        pages = {path.relative_to(harness.ROOT / "docs") for path in (harness.ROOT / "docs").rglob("*.md")}
        built = {path.relative_to(site) for path in site.rglob("*.html")}
        self.assertEqual({str(path.with_suffix(".html")).replace("README", "index") for path in pages} - {str(path) for path in built}, set())
        text = (site / "authentication.html").read_text()
        self.assertNotRegex(text, r"<script|\ssrc=\"http|@import", "the site loads nothing and runs nothing")
        self.assertIn('aria-current="page"', text)
        for path in (harness.ROOT / "docs").rglob("*.md"):
            page = site / str(path.relative_to(harness.ROOT / "docs").with_suffix(".html")).replace("README", "index")
            self.assertGreaterEqual(page.read_text().count("<pre>"), len(re.findall(r"^ *```", path.read_text(), re.M)) // 2, f"each block of {path.name} is a block")
        self.assertRegex((site / "index.html").read_text(), r'<a href="getting-started\.html">')
        size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
        self.assertLess(size, 3 << 20)

    def test_a_link_that_leads_nowhere_fails_the_build(self):
        wrong = {"nowhere.md": "leads nowhere", "../nowhere.yaml": "leads nowhere", "limitations.html#no-such": "names no heading", "#no-such": "names no heading"}
        root = self.directory()
        (root / "docs").mkdir()
        (root / "docs/limitations.md").write_text("# Limitations\n\n## A heading\n\n[there](#a-heading)\n")
        page = root / "docs/README.md"
        table = "# Documentation\n\n| to | read |\n|---|---|\n| **begin** | [limitations](limitations.md#a-heading) |\n\n"
        page.write_text(table + " ".join(f"[x]({link.replace('.html', '.md')})" for link in wrong) + "\n")
        _, done = self.build(root)
        self.assertNotEqual(done.returncode, 0)
        for link, said in wrong.items():
            self.assertIn(f"index.html: {link} {said}", done.stderr)
        page.write_text(table)
        self.assertEqual(self.build(root)[1].returncode, 0)


if __name__ == "__main__":
    harness.main()
