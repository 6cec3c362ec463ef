"""The API reference page in a real browser: it shows every operation, runs under our own strict policy, and asks nobody else for anything."""
import json
import os
import re
import subprocess

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Lighthouse, version: '2.1', description: 'Lamps, and **who** keeps them.'}
servers: [{url: /v2}]
tags: [{name: Lamps, description: All that shines.}]
paths:
  /lamps:
    parameters: [{name: colour, in: query, schema: {type: string, enum: [red, green]}, description: Which colour.}]
    get:
      tags: [Lamps]
      operationId: listLamps
      summary: List lamps
      security: []
      responses: {'200': {description: 'The lamps.', content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Lamp'}}, example: []}}}}
  /lamps/{id}:
    get:
      tags: [Lamps]
      operationId: getLamp
      summary: '<img src=x onerror=alert(1)>'
      description: "A [link](javascript:alert(1)), <script>alert(1)</script> and `code`."
      security: []
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer}}
        - {name: sort, in: query, schema: {type: array, minItems: 1, maxItems: 2, items: {type: string, enum: [height, -height]}}}
      responses: {'200': {description: The lamp., content: {application/json: {schema: {$ref: '#/components/schemas/Lamp'}, example: {id: 1}}}}}
components:
  schemas:
    Lamp:
      type: object
      required: [id]
      properties:
        id: {type: integer, minimum: 1}
        colour: {type: string, description: What sailors see.}
        beside: {$ref: '#/components/schemas/Lamp'}
"""


class Docs(harness.ServerTest):
    def setUp(self):
        harness.needs("chromium")

    def browse(self, url):
        """Opens a page in a new headless browser: its DOM once scripts have run, every address that the page asked for (the browser's own
        talk with its maker is told apart by who initiated it, and reaches nobody), and complaints of the console."""
        folder = self.directory()
        done = subprocess.run([
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--disable-extensions", "--disable-default-apps", "--no-pings", "--disable-dev-shm-usage", "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={folder}/profile", f"--log-net-log={folder}/net.json", "--virtual-time-budget=10000", "--window-size=1280,1000",
            f"--screenshot={os.environ.get('PLIMSOLL_SCREENSHOT', folder / 'page.png')}", "--dump-dom", url],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=harness.PATIENCE * 2, env={**os.environ, "HOME": str(folder)})
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        log = json.loads((folder / "net.json").read_text())
        origin = "/".join(url.split("/")[:3])
        asked = {event["params"]["url"] for event in log["events"] if event.get("params", {}).get("initiator") == origin and "url" in event["params"]}
        complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, asked, complaints

    def test_the_page_shows_every_operation_and_asks_nobody_else(self):
        server = self.serve(CONTRACT, arguments=["--mock-unbound"])
        dom, asked, complaints = self.browse(f"{server.url}/docs#getLamp")
        self.assertIn('data-ready="2"', dom)
        for text in ("Lighthouse", "version 2.1", "/lamps", "List lamps", "All that shines.", "<strong>who</strong>"):
            self.assertIn(text, dom)
        self.assertIn("at least 1 item · at most 2 items · each one of height, -height", dom)
        self.assertIn("What sailors see.", dom)  # of the operation that the address names, which is open
        self.assertIn(f"curl '{server.url}/v2/lamps/1'", dom)
        self.assertEqual(complaints, [])
        self.assertEqual(asked, {f"{server.url}/{name}" for name in ("openapi.json", "docs/page.css", "docs/icon.svg", "docs/markdown.js", "docs/schema.js", "docs/request.js", "docs/samples.js", "docs/authorize.js", "docs/try.js", "docs/page.js")})

    def test_text_of_the_contract_is_never_markup(self):
        server = self.serve(CONTRACT, arguments=["--mock-unbound"])
        dom, _, complaints = self.browse(f"{server.url}/docs#getLamp")
        self.assertNotIn("<img src=x", dom)
        self.assertNotIn("<script>alert", dom)
        self.assertNotIn('href="javascript:', dom)
        self.assertIn("&lt;script&gt;alert(1)&lt;/script&gt;", dom)
        self.assertEqual(complaints, [])

    def test_the_policy_of_the_page_allows_nothing_inline(self):
        server = self.serve(CONTRACT, arguments=["--mock-unbound"])
        page = server.get("/docs")
        self.assertEqual((page.status, page.headers["content-type"]), (200, "text/html; charset=utf-8"))
        policy = page.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertIn("script-src 'self'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertEqual(page.headers["x-content-type-options"], "nosniff")
        for name in re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text):
            answer = server.get("/" + name)
            self.assertEqual(answer.status, 200, name)
            again = server.get("/" + name, {"If-None-Match": answer.headers["etag"]})
            self.assertEqual((again.status, again.body), (304, b""), name)


if __name__ == "__main__":
    harness.main()
