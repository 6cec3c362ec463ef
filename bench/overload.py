#!/usr/bin/env python3
"""Overload: what is still served when many more requests arrive than can be, in an open loop (bench/open_load.cpp) on the other core.

  bench/overload.py [--build build/release] [--rounds 3] [--seconds 3]

Rows: of requests that cost 2 ms of CPU, at 10 times the capacity, the share of the peak that is still served; of lists of 100 rows the same at
twice the capacity; how long health takes on the public listener meanwhile, and on the management listener; the share of critical requests
that are served; how much memory it takes.
"""
import functools
import http.client
import json
import re
import pathlib
import sqlite3
import statistics
import subprocess
import threading
import time

import measure

BUSY = """openapi: 3.1.0
info: {title: Busy, version: 1.0.0}
security: []
x-plimsoll: {rate-limit: off, authorization: any-caller}
paths:
  /: {get: {operationId: busy, responses: {'200': {description: ok}}}}
  /critical: {get: {operationId: busyCritical, x-plimsoll: {priority: critical}, responses: {'200': {description: ok}}}}
"""
ROWS = """openapi: 3.1.0
info: {title: Rows, version: 1.0.0}
security: []
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables: {items: {schema: '#/components/schemas/Item'}}
paths:
  /items: {get: {operationId: listItems, x-plimsoll: {table: items}, responses: {'200': {description: ok}}}}
  /critical: {get: {operationId: critical, x-plimsoll: {table: items, priority: critical}, responses: {'200': {description: ok}}}}
components:
  schemas:
    Item:
      type: object
      required: [id, name]
      properties: {id: {type: integer, readOnly: true}, name: {type: string}, note: {type: [string, 'null']}, stock: {type: [integer, 'null']}}
"""


def answered(path, server):
    try:
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        line.request("GET", path)
        return line.getresponse().read() and True
    except (OSError, http.client.HTTPException):
        return False


def serve(build, folder, program, contract, target, operations=()):
    port, management = measure.free_port(), measure.free_port()
    (folder / f"{port}.yaml").write_text(contract)
    (folder / f"{port}.plimsoll.yaml").write_text(f"management: '127.0.0.1:{management}'\nthreads: 1\ndatabase: {{url: 'sqlite:{folder}/{port}.db'}}\n"
                                                  f"limits: {json.dumps(measure.LIMITS)}\n")
    command = ([build / "bin/chain_server", f"127.0.0.1:{port}", "1", f"{port}.yaml", f"{port}.plimsoll.yaml", *operations] if operations else
               [build / "bin/plimsoll", "serve", f"{port}.yaml", "--config", f"{port}.plimsoll.yaml", "--listen", f"127.0.0.1:{port}"])
    server = measure.Server(program, command, port, folder, target=target, check=functools.partial(answered, "/livez"))
    server.management = management
    return server


def load(build, server, rate, seconds, *more):
    done = subprocess.run(["taskset", "-c", str(measure.LOAD_CORE), build / "bin/open_load", str(server.port), f"{rate:.0f}", str(seconds), server.target,
                           *map(str, more)], capture_output=True, text=True, timeout=seconds + 60, check=True)
    return json.loads(done.stdout)


class Probes(threading.Thread):
    """Asks for /livez on both listeners, each time on a new connection, until it is told to stop."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.ports, self.stopped = (server.port, server.management), threading.Event()
        self.took = {port: [] for port in self.ports}
        self.failed = 0

    def run(self):
        while not self.stopped.wait(0.02):
            for port in self.ports:
                began = time.monotonic()
                line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                try:
                    line.request("GET", "/livez")
                    self.failed += line.getresponse().status != 200
                except (OSError, http.client.HTTPException):
                    self.failed += 1
                finally:
                    line.close()
                self.took[port].append(time.monotonic() - began)

    def p95(self, port):
        took = sorted(self.took[port])
        return took[int(0.95 * len(took))] * 1000 if took else float("nan")


def memory(server):
    pid = max(measure.family(server.pid))
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def overloaded(what, build, server, times, least, chosen):
    # The peak: what is served of a little more than there is room for, where nothing waits long.
    rate = 200.0
    peak = 0.0
    while True:
        found = load(build, server, rate, 1)
        peak = max(peak, found["target"]["ok"] / found["seconds"])
        if found["target"]["ok"] < 0.9 * found["target"]["sent"]:
            break
        rate *= 1.5
    shares, critical, health, managed, failed = [], [], [], [], 0
    before = memory(server)
    for _ in range(chosen.rounds):
        probes = Probes(server)
        probes.start()
        found = load(build, server, times * peak, chosen.seconds, 100, "/critical")
        probes.stopped.set()
        probes.join()
        shares.append((found["target"]["ok"] + found["other"]["ok"]) / chosen.seconds / peak)
        critical.append(found["other"]["ok"] / found["other"]["sent"])
        health.append(probes.p95(server.port))
        managed.append(probes.p95(server.management))
        failed += probes.failed
        print(f"  {what}: peak {peak:,.0f}/s; {json.dumps(found)}")
    measure.row(f"{what}: share of the peak still served", statistics.median(shares), least, low=min(shares), high=max(shares), least=True)
    measure.row(f"{what}: critical requests served", statistics.median(critical), 0.95, low=min(critical), high=max(critical), least=True)
    measure.row(f"{what}: p95 of /livez", statistics.median(health), low=min(health), high=max(health), unit="ms", note=f"{failed} failed")
    measure.row(f"{what}: p95 of /livez, management", statistics.median(managed), low=min(managed), high=max(managed), unit="ms")
    measure.row(f"{what}: memory it takes", memory(server) - before, 64, unit="MiB")


def main():
    chosen = measure.chosen(measure.options(__doc__, rounds=3, seconds=3))
    measure.needs("curl")
    with measure.a_folder() as folder:
        with measure.running(lambda: serve(chosen.build, folder, "busy", BUSY, "/", ("busy", "busyCritical"))) as servers:
            overloaded("10 x capacity of requests of 2 ms", chosen.build, servers[0], 10, 0.85, chosen)
        with measure.running(lambda: serve(chosen.build, folder, "lists", ROWS, "/items?limit=100")) as servers:
            with sqlite3.connect(folder / f"{servers[0].port}.db") as database:
                database.executemany("INSERT INTO items (name, note, stock) VALUES (?, ?, ?)", [("Lamp oil", "n" * 60, i) for i in range(5000)])
            overloaded("2 x capacity of lists of 100 rows", chosen.build, servers[0], 2, 0.7, chosen)


if __name__ == "__main__":
    main()
