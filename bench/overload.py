#!/usr/bin/env python3
"""Overload: what is still served when many more requests arrive than can be, in an open loop (bench/open_load.cpp) on the other core.

  bench/overload.py [--build build/release] [--rounds 3] [--seconds 3]

Rows: of requests that cost 2 ms of CPU, at 10 times the capacity, the share of the peak that is still served; of lists of 100 rows the same at
twice the capacity; how long health takes on the public listener meanwhile, and on the management listener; the share of critical requests
that are served; how much memory it takes. And what one rejection costs, of each kind.

In each round the peak is found first. What is served is counted for each second in which the server's thread could have its core: of a
busy machine's time, what the kernel gave to other processes while that thread was ready to run is left out.
"""
import contextlib
import functools
import http.client
import json
import shutil
import socket
import sqlite3
import statistics
import subprocess
import threading
import time

import instructions
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
    return measure.memory(max(measure.family(server.pid)))


class Core:
    """The seconds in which the busiest thread of a server ran or had nothing to do: without those in which it waited for its core."""

    def __init__(self, server):
        self.pid, self.began = max(measure.family(server.pid)), time.monotonic()
        self.before = measure.thread_times(self.pid)

    def seconds(self):
        _, waited = max((ran - self.before.get(name, (0, 0))[0], waited - self.before.get(name, (0, 0))[1]) for name, (ran, waited) in measure.thread_times(self.pid).items())
        return time.monotonic() - self.began - waited / 1e9


def served(build, server, rate, seconds, *more):
    """What open_load found, and how many requests were served each second of the core."""
    core = Core(server)
    found = load(build, server, rate, seconds, *more)
    return found, (found["target"]["ok"] + found["other"]["ok"]) / core.seconds()


def peak_of(build, server, rate):
    """The most that is served each second of the core, of ever more requests until many are rejected; and the rate at which they were."""
    peak = 0.0
    while True:
        found, rate_served = served(build, server, rate, 1)
        peak = max(peak, rate_served)
        if found["target"]["ok"] < 0.8 * found["target"]["sent"]:
            return peak, found["target"]["ok"] / found["seconds"]
        rate *= 1.5


def overloaded(what, build, server, times, least, chosen):
    shares, critical, health, managed, failed = [], [], [], [], 0
    capacity = 600.0
    peak_of(build, server, capacity / 3)
    before = memory(server)
    for _ in range(chosen.rounds):
        peak, capacity = peak_of(build, server, capacity / 3)
        probes = Probes(server)
        probes.start()
        found, rate = served(build, server, times * capacity, chosen.seconds, 100, "/critical")
        probes.stopped.set()
        probes.join()
        shares.append(rate / peak)
        critical.append(found["other"]["ok"] / found["other"]["sent"])
        health.append(probes.p95(server.port))
        managed.append(probes.p95(server.management))
        failed += probes.failed
        print(f"  {what}: peak {peak:,.0f}/s of the core; {rate:,.0f}/s at {times * capacity:,.0f}/s; {json.dumps(found)}")
    measure.ratio_row(f"{what}: share of the peak still served", shares, least, least=True)
    measure.row(f"{what}: critical requests served", statistics.median(critical), 0.95, low=min(critical), high=max(critical), least=True)
    measure.row(f"{what}: p95 of /livez", statistics.median(health), low=min(health), high=max(health), unit="ms", note=f"{failed} failed")
    measure.row(f"{what}: p95 of /livez, management", statistics.median(managed), low=min(managed), high=max(managed), unit="ms")
    measure.row(f"{what}: memory it takes", memory(server) - before, 64, unit="MiB")


REJECTED = """openapi: 3.1.0
info: {title: Rejected, version: 1.0.0}
security: []
x-plimsoll: {rate-limit: off}
paths:
  /shed: {get: {operationId: shed, responses: {'200': {description: ok}}}}
  /limited: {get: {operationId: limited, x-plimsoll: {rate-limit: 1/hour by address}, responses: {'200': {description: ok}}}}
  /held: {get: {operationId: held, x-plimsoll: {upstream: held, deadline: off, priority: critical}, responses: {'200': {description: ok}}}}
"""
GET = "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: wrk/4.1.0\r\nAccept: */*\r\n\r\n"


@contextlib.contextmanager
def rejecting(build, folder, path, before=()):
    """A server that rejects every request for `path`: for `/shed`, because requests that are never answered take all places."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = f"upstreams: {{held: {{targets: ['http://127.0.0.1:{silent.getsockname()[1]}'], timeouts: off}}}}\n" + "shed: {concurrency: 4}\n" * (path == "/shed")
        with measure.running(lambda: measure.chain(build, folder, contract=REJECTED, operations=("shed", "limited"), config=config, name=path, target="/livez", answer='{"status":"ok"}',
                                                   before=before)) as (server,):
            server.target = path
            with contextlib.ExitStack() as held:
                for _ in range(4 * (path == "/shed")):
                    held.enter_context(socket.create_connection(("127.0.0.1", server.port))).sendall(GET.format("/held").encode())
                    held.enter_context(silent.accept()[0])
                yield server


def rejections(chosen, folder, path, status):
    def rejected(server, seconds):
        return measure.wrk(server, seconds, chosen.connections, status=0 if server.name == measure.NGINX else status)

    with rejecting(chosen.build, folder, path) as server, measure.running(lambda: measure.nginx(folder)) as peers:
        found = measure.take_turns([server, *peers], rejected, 9, 1)
    compared = f"nginx's return 200: {1e6 / statistics.median(found[measure.NGINX]):.1f} µs" if measure.NGINX in found else ""
    measure.ratio_row(f"CPU time of a rejection, {status} by {path[1:]}", [1e6 / each for each in found[path]], 5, unit="µs", note=compared)
    if not shutil.which("callgrind_control"):
        measure.missing(f"instructions of a rejection, {status} by {path[1:]}", "without callgrind")
        return
    counter = instructions.Callgrind(folder)
    with rejecting(chosen.build, folder, path, counter.before) as server:
        line = instructions.Line(server.port)
        ask = {path: lambda n: line.response(GET.format(path).encode())}
        totals = []
        for count in (500, 2000):
            for n in range(count):
                head, _ = ask[path](n)
                assert head.startswith(f"HTTP/1.1 {status}".encode()) or n == 0, head
            totals.append(counter(server))
        measure.row(f"instructions of a rejection, {status} by {path[1:]}", (totals[1] - totals[0]) / 2000, counted=True)


def main():
    chosen = measure.chosen(measure.options(__doc__, rounds=3, seconds=3))
    measure.needs("curl")
    with measure.a_folder() as folder:
        rejections(chosen, folder, "/limited", 429)
        rejections(chosen, folder, "/shed", 503)
        with measure.running(lambda: serve(chosen.build, folder, "busy", BUSY, "/", ("busy", "busyCritical"))) as servers:
            overloaded("10 x capacity of requests of 2 ms", chosen.build, servers[0], 10, 0.85, chosen)
        with measure.running(lambda: serve(chosen.build, folder, "lists", ROWS, "/items?limit=100")) as servers:
            with sqlite3.connect(folder / f"{servers[0].port}.db") as database:
                database.executemany("INSERT INTO items (name, note, stock) VALUES (?, ?, ?)", [("Lamp oil", "n" * 60, i) for i in range(5000)])
            overloaded("2 x capacity of lists of 100 rows", chosen.build, servers[0], 2, 0.7, chosen)


if __name__ == "__main__":
    main()
