#!/usr/bin/env python3
"""/docs beside the viewers of npm, all with the served contract of Box (1.7 MB as written, 296 operations), in headless Chromium.

  bench/reference_page.py [--build build/release] [--rounds 3]

Processor time of the page's main thread (scripts, styles, layout) until its first operation (or group of operations) is shown, and until it has
nothing left to do; nodes and heap. The viewers are fetched once into build/viewers and served without a Content-Security-Policy.
"""
import functools
import http.server
import json
import os
import pathlib
import statistics
import subprocess
import threading
import urllib.request

import measure

PACKAGES = ("rapidoc@9.3.8", "swagger-ui-dist@5.35.0", "@stoplight/elements@9.0.25", "@scalar/api-reference@1.46.4")
# The page of each: what it loads, and how it is started. Swagger UI draws only what is in view, in the order
# of the tags; Elements and Scalar show groups of operations, which are closed at first.
VIEWERS = {
    "RapiDoc": ("Authorize user", """<script type="module" src="/node_modules/rapidoc/dist/rapidoc-min.js"></script><rapi-doc spec-url="/openapi.json"></rapi-doc>"""),
    "Swagger UI": ("Ask question", """<link rel="stylesheet" href="/node_modules/swagger-ui-dist/swagger-ui.css"><div id="ui"></div>
<script src="/node_modules/swagger-ui-dist/swagger-ui-bundle.js"></script><script>SwaggerUIBundle({url: '/openapi.json', dom_id: '#ui'})</script>"""),
    "Stoplight Elements": ("Authorization", """<link rel="stylesheet" href="/node_modules/@stoplight/elements/styles.min.css">
<script src="/node_modules/@stoplight/elements/web-components.min.js"></script><elements-api apiDescriptionUrl="/openapi.json" router="hash"></elements-api>"""),
    "Scalar": ("Authorization", """<div id="app"></div><script src="/node_modules/@scalar/api-reference/dist/browser/standalone.js"></script>
<script>Scalar.createApiReference('#app', {url: '/openapi.json', withDefaultFonts: false})</script>"""),
}


def viewers():
    folder = measure.ROOT / "build" / "viewers"
    if not all((folder / "node_modules" / name.rsplit("@", 1)[0]).is_dir() for name in PACKAGES):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix", folder, *PACKAGES], check=True, timeout=900)
    for name, (_, body) in VIEWERS.items():
        (folder / f"{name}.html").write_text(f'<!doctype html><meta charset="utf-8"><title>{name}</title>{body}')
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


def main():
    chosen = measure.chosen(measure.options(__doc__, rounds=3))
    contract = pathlib.Path(os.environ.get("PLIMSOLL_REAL_DATA", measure.ROOT.parent / "shared" / "real")) / "contracts" / "box.json"
    if not contract.exists():
        return measure.missing("/docs beside other viewers", f"{contract} is not there")
    folder = viewers()
    port = measure.free_port()
    server = subprocess.Popen([chosen.build / "bin/plimsoll", "mock", contract, "--listen", f"127.0.0.1:{port}", "--management", "off"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    others = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=others.serve_forever, daemon=True).start()
    try:
        while " at http://" not in server.stdout.readline():
            if server.poll() is not None:
                raise SystemExit(f"{contract} is not served")
        (folder / "openapi.json").write_bytes(urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=30).read())
        pages = [["/docs", f"http://127.0.0.1:{port}/docs", "Authorize user"],
                 *([name, f"http://127.0.0.1:{others.server_port}/{name.replace(' ', '%20')}.html", text] for name, (text, _) in VIEWERS.items())]
        rounds = [json.loads(subprocess.run(["node", "reference_page.mjs", json.dumps(pages)], cwd=measure.ROOT / "bench", check=True, stdout=subprocess.PIPE, text=True,
                                            timeout=900, env={**os.environ, "HOME": str(folder)}).stdout) for _ in range(chosen.rounds)]
    finally:
        others.shutdown()
        server.kill()
        server.wait()
    for name, *_ in pages:
        for what, unit, figures in (("main thread until shown", "ms", [one[name]["shown"]["thread"] for one in rounds]),
                                    ("on the wall until shown", "ms", [one[name]["shown"]["wall"] for one in rounds]),
                                    ("main thread until done", "ms", [one[name]["done"]["thread"] for one in rounds]),
                                    ("nodes", "", [one[name]["done"]["nodes"] for one in rounds]),
                                    ("heap", "MiB", [one[name]["done"]["heap"] for one in rounds])):
            measure.row(f"{name}: {what}", statistics.median(figures), low=min(figures), high=max(figures), unit=unit)


if __name__ == "__main__":
    main()
