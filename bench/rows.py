#!/usr/bin/env python3
"""A row by its key from a SQLite table, through the whole chain and with its log, beside nginx's `return 200` with its own: requests per
CPU-second as a ratio, one run, interleaved.

  bench/rows.py [--build build/release] [--rounds 5] [--seconds 2] [--connections 64]
"""
import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import engines  # noqa: E402

CONTRACT = """openapi: 3.1.0
info: {title: Rows, version: 1.0.0}
x-plimsoll:
  rate-limit: 100000000/second by address
  tables: {items: {schema: '#/components/schemas/Item', key: id}}
paths:
  /items:
    post:
      operationId: createItem
      security: []
      x-plimsoll: {table: items, authorization: any-caller}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Item'}}}}
      responses: {'201': {description: made}}
  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string, format: uuid}}]
    get:
      operationId: readItem
      security: []
      x-plimsoll: {table: items}
      responses: {'200': {description: the item}}
components:
  schemas:
    Item:
      type: object
      required: [name]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        name: {type: string, maxLength: 100}
        price: {type: string, format: decimal}
        stock: {type: integer}
        note: {type: [string, 'null'], maxLength: 1000}
"""


def answering(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            line.request("GET", "/livez")
            line.getresponse().read()
            return line
        except OSError:
            time.sleep(0.05)
    raise SystemExit("bench/rows.py: the server does not answer")


def load(port, target, seconds, connections, cpu):
    out = subprocess.run(["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}{target}"],
                         capture_output=True, text=True, check=True).stdout
    if errors := re.search(r"Socket errors:.*|Non-2xx.*", out):
        raise SystemExit(f"{target}: {errors[0]}")
    return int(re.search(r"(\d+) requests in", out)[1])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", default=engines.default_build())
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=2)
    options.add_argument("--connections", type=int, default=64)
    chosen = options.parse_args()
    if not shutil.which("wrk") or not shutil.which("nginx"):
        raise SystemExit("bench/rows.py needs wrk and nginx: scripts/install-dependencies bench")
    cores = sorted(os.sched_getaffinity(0))
    build = (engines.ROOT / chosen.build).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o777)
        (folder / "rows.yaml").write_text(CONTRACT)
        (folder / "plimsoll.yaml").write_text("threads: 1\n")
        ours, theirs = engines.free_port(), engines.free_port()
        (folder / "nginx.conf").write_text(f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log {folder}/access.log; keepalive_requests 1000000000; default_type application/json;
  server {{ listen 127.0.0.1:{theirs}; location / {{ return 200 '{engines.BODY}'; }} }} }}
""")
        pin = ["taskset", "-c", str(cores[0])]
        processes = []
        try:
            with open(folder / "log", "wb") as log:
                processes.append(subprocess.Popen([*pin, str(build / "bin/plimsoll"), "serve", "rows.yaml", "--listen", f"127.0.0.1:{ours}",
                                                   "--management", "off"], cwd=folder, stdout=log, stderr=log))
            processes.append(subprocess.Popen([*pin, "nginx", "-c", str(folder / "nginx.conf"), "-p", name, "-e", f"{folder}/error.log"]))
            line = answering(ours)
            line.request("POST", "/items", json.dumps({"name": "Lamp oil", "price": "9.90", "stock": 12, "note": None}),
                         {"Content-Type": "application/json"})
            made = line.getresponse()
            row = json.loads(made.read())
            if made.status != 201:
                raise SystemExit(f"no row: {made.status} {row}")
            answering(theirs)
            found = {"a row by key": [], "nginx return 200": []}
            for number in range(chosen.rounds + 1):
                for (what, figures), process, port, target in zip(found.items(), processes, (ours, theirs), (f"/items/{row['id']}", "/")):
                    before = engines.cpu_seconds(process.pid)
                    requests = load(port, target, chosen.seconds if number else 1, chosen.connections, cores[-1])
                    if number:  # the first is for warming up
                        figures.append(requests / max(engines.cpu_seconds(process.pid) - before, 1 / engines.TICK))
        finally:
            for process in processes:
                process.terminate()
                process.wait(10)
    reference = statistics.median(found["nginx return 200"])
    print(f"{'':20} {'ratio':>6} {'requests per CPU-second':>24} {'spread':>7}")
    for what, figures in found.items():
        middle = statistics.median(figures)
        print(f"{what:20} {middle / reference:6.2f} {middle:24.0f} {(max(figures) - min(figures)) / middle:7.0%}")


if __name__ == "__main__":
    main()
