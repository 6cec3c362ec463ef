#!/usr/bin/env python3
"""What a cached 2 KB answer costs beside the tiny GET: CPU time of the server for a request, over interleaved rounds of wrk.

    bench/cache.py [--build build/release] [--rounds 7] [--seconds 2]

The tiny GET is an example answered by `mock`, without entity tag and compression. The mark: at most 1.3 times. CPU time (user and system, from /proc) is compared, not the clock, so that a busy machine moves it little.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import harness  # noqa: E402

CONTRACT = """
openapi: 3.1.0
info: {title: Cache, version: '1'}
x-plimsoll: {rate-limit: off}
paths:
  /tiny:
    get:
      operationId: tiny
      security: []
      x-plimsoll: {mock: {}, conditional: off, compression: off}
      responses: {'200': {description: tiny, content: {application/json: {schema: {type: object}, example: {message: hello}}}}}
  /plain:
    get:
      operationId: plain
      security: []
      x-plimsoll: {mock: {}}
      responses: {'200': {description: 2 KB, content: {application/json: {schema: {type: object}, example: {text: TEXT}}}}}
  /cached:
    get:
      operationId: cached
      security: []
      x-plimsoll: {mock: {}, cache: 1h}
      responses: {'200': {description: 2 KB, content: {application/json: {schema: {type: object}, example: {text: TEXT}}}}}
""".replace("TEXT", "x" * 2000)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", default=str(ROOT / "build/release"))
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=2)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "contract.yaml").write_text(CONTRACT)
        (folder / "plimsoll.yaml").write_text("threads: 1\ntelemetry: {log: warning}\n")
        server = harness.Server(folder / "contract.yaml", folder, folder / "plimsoll.yaml", executable=pathlib.Path(chosen.build) / "bin/plimsoll").start()
        try:
            urllib.request.urlopen(server.url + "/cached").read()
            hit = urllib.request.urlopen(server.url + "/cached")
            assert "hit" in hit.headers["cache-status"] and len(hit.read()) > 2000
            costs = {path: [] for path in ("/tiny", "/plain", "/cached")}
            for _ in range(chosen.rounds):
                for path, found in costs.items():
                    before = cpu_seconds(server.pid)
                    out = subprocess.run(["wrk", "-t1", "-c64", f"-d{chosen.seconds:g}s", server.url + path], capture_output=True, text=True, check=True).stdout
                    requests = int(re.search(r"(\d+) requests in", out)[1])
                    if "Non-2xx" in out:
                        raise SystemExit(out)
                    found.append((cpu_seconds(server.pid) - before) / requests * 1e6)
            middle = {path: statistics.median(found) for path, found in costs.items()}
            for path, cost in middle.items():
                print(f"{path:8} {cost:6.2f} µs of CPU a request, {cost / middle['/tiny']:.2f} times the tiny GET")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
