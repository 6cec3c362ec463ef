#!/usr/bin/env python3
"""How the work of the server grows, in instructions by callgrind: for each quantity three sizes, each four times the one before, and the exponent between them.
0: the cost does not depend on it; 1: twice as much costs twice as much. Of what grows by its nature the fixed part is left out: the exponent is that of the
differences.

  bench/growth.py [--build build/release] [--only rows]
"""
import contextlib
import http.client
import json
import math
import signal
import sqlite3
import subprocess
import time

import instructions
import measure
import memory

CONTRACT = """openapi: 3.1.0
info: {title: Growth, version: 1.0.0}
security: []
x-plimsoll:
  rate-limit: 100000000/second by address
  authorization: any-caller
  tables: {items: {schema: '#/components/schemas/Item'}}
paths:
  /items:
    get: {operationId: listItems, x-plimsoll: {table: items}, responses: {'200': {description: items}}}
  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: readItem, x-plimsoll: {table: items}, responses: {'200': {description: the item}}}
  /cached:
    get:
      operationId: cached
      parameters: [{name: n, in: query, schema: {type: integer}}]
      x-plimsoll: {mock: {}, cache: 1h}
      responses: {'200': {description: ok, content: {application/json: {schema: {type: object}, example: {message: hello}}}}}
  /orders:
    post:
      operationId: order
      x-plimsoll: {mock: {}}
      requestBody: {required: true, content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Line'}}}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {type: object}, example: {message: hello}}}}}
components:
  schemas:
    Item:
      type: object
      required: [id, name]
      properties: {id: {type: integer, readOnly: true}, name: {type: string}, note: {type: [string, 'null']}, stock: {type: [integer, 'null']}}
    Line:
      type: object
      required: [product, quantity]
      properties: {product: {type: string, maxLength: 100}, quantity: {type: integer, minimum: 1}}
"""
def exponent(sizes, costs, grows):
    """Of the costs of three sizes in a geometric row."""
    if grows:
        return math.log((costs[2] - costs[1]) / (costs[1] - costs[0])) / math.log(sizes[1] / sizes[0])
    return math.log(costs[2] / costs[0]) / math.log(sizes[2] / sizes[0])


def tell(what, sizes, costs, grows):
    note = "; ".join(f"{size:,}: {cost:,.0f}" for size, cost in zip(sizes, costs))
    measure.row(f"exponent of instructions by {what}", exponent(sizes, costs, grows), 1.1 if grows else 0.1, counted=True, note=note)


class Counted:
    """A server under callgrind, and a connection to it."""

    def __init__(self, server, line, look, folder):
        self.server, self.line, self.look, self.folder = server, line, look, folder

    def cost(self, request, count=200):
        """Instructions of one of so many requests, after as many for warming up. `request`: of its number, whole or with the connection that it takes."""
        def run():
            for n in range(count):
                asked = request(n)
                line, text = asked if isinstance(asked, tuple) else (self.line, asked)
                line.ask(text)

        run()
        before = self.look(self.server)
        run()
        return (self.look(self.server) - before) / count


@contextlib.contextmanager
def serving(build, folder):
    look = instructions.Callgrind(folder)
    port = measure.free_port()
    (folder / "growth.yaml").write_text(CONTRACT)
    (folder / "plimsoll.yaml").write_text(f"threads: 1\nlimits: {json.dumps({**instructions.LIMITS, 'connections': 2000, 'connections-per-address': 2000})}\n"
                                          f"database: {{url: 'sqlite:{folder}/growth.db'}}\ncache: {{memory: 64MiB}}\n")
    command = [*look.before, build / "bin/plimsoll", "serve", "growth.yaml", "--listen", f"127.0.0.1:{port}", "--management", "off"]

    def listening(_):
        with contextlib.suppress(OSError, http.client.HTTPException):
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            line.request("GET", "/livez")
            return line.getresponse().status == 200

    with measure.running(lambda: measure.Server("plimsoll", command, port, folder, check=listening)) as (server,):
        yield Counted(server, instructions.Line(port), look, folder)


def rows(counted):
    sizes, keys, lists = (1000, 4000, 16000), [], []
    with contextlib.closing(sqlite3.connect(counted.folder / "growth.db", timeout=30)) as database:
        there = 0
        for size in sizes:
            with database:
                database.executemany("INSERT INTO items (name, note, stock) VALUES (?, ?, ?)", [("Lamp oil", "n" * 60, i) for i in range(there, size)])
            there = size
            keys.append(counted.cost(lambda n: instructions.get(f"/items/{1 + n * 7919 % size}")))
            lists.append(counted.cost(lambda n: instructions.get("/items?limit=20")))
    tell("rows, a row by its key", sizes, keys, False)
    tell("rows, a list of 20", sizes, lists, False)
    pages = (6, 24, 96)
    tell("rows of a page", pages, [counted.cost(lambda n: instructions.get(f"/items?limit={size}")) for size in pages], True)


def cache_keys(counted):
    sizes, costs, there = (250, 1000, 4000), [], 0
    for size in sizes:
        for n in range(there, size):
            counted.line.ask(instructions.get(f"/cached?n={n}"))
        there = size
        costs.append(counted.cost(lambda n: instructions.get(f"/cached?n={n * 7919 % size}")))
    tell("keys in the cache, a hit", sizes, costs, False)


def connections(counted):
    sizes, costs, lines = (50, 200, 800), [], []
    for size in sizes:
        lines += [instructions.Line(counted.server.port) for _ in range(size - len(lines))]
        costs.append(counted.cost(lambda n: (lines[n % size], instructions.get("/cached?n=0")), 1600))
    tell("connections, a hit of the cache", sizes, costs, False)


def body_size(counted):
    sizes, costs = (20, 80, 320), []
    for size in sizes:
        body = [{"product": f"Lamp oil, number {i:04}", "quantity": 1 + i} for i in range(size)]
        costs.append(counted.cost(lambda n: instructions.post("/orders", body)))
    tell("items of a JSON body, checked by its schema", sizes, costs, True)


def operations(count):
    """So many operations that are answered by examples."""
    example = {"200": {"description": "ok", "content": {"application/json": {"schema": {"type": "object"}, "example": {"message": "hello"}}}}}
    paths = {f"/p{n}/{{id}}": {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
                               "get": {"operationId": f"get{n}", "security": [], "x-plimsoll": {"mock": {}}, "responses": example}} for n in range(count)}
    return {"openapi": "3.1.0", "info": {"title": "Operations", "version": "1"}, "paths": paths}


def starts(build, folder, what, contract, least):
    """Instructions from the start to the end of a server that was asked nothing."""
    sizes, costs = [least, 4 * least, 16 * least], []
    for size in sizes:
        home = folder / f"{what}-{size}"
        home.mkdir()
        (home / "contract.json").write_text(json.dumps(contract(size)))
        (home / "plimsoll.yaml").write_text("threads: 1\nlimits: {connections: 100}\n")
        port = measure.free_port()
        server = subprocess.Popen(["valgrind", "--tool=callgrind", f"--callgrind-out-file={home}/out", f"--log-file={home}/said", str(build / "bin/plimsoll"), "serve", "contract.json",
                                   "--listen", f"127.0.0.1:{port}", "--management", "off"], cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            with contextlib.suppress(OSError):
                instructions.socket.create_connection(("127.0.0.1", port), 5).close()
                break
            if server.poll() is not None:
                raise SystemExit(f"bench/growth.py: the server with {size} {what} does not begin: {(home / 'said').read_text()[-500:]}")
            time.sleep(0.05)
        server.send_signal(signal.SIGTERM)
        server.wait(120)
        costs.append(int(instructions.re.search(r"Collected : (\d+)", (home / "said").read_text())[1]))
    tell(f"{what}, the start", sizes, costs, True)


def main():
    parser = measure.options(__doc__)
    parser.add_argument("--only", default="", help="one of: start, requests")
    chosen = measure.chosen(parser)
    measure.needs("valgrind", "callgrind_control")
    with measure.a_folder() as folder:
        if chosen.only in "start":
            starts(chosen.build, folder, "tables", memory.contract, 8)
            starts(chosen.build, folder, "operations", operations, 32)
        if chosen.only in "requests":
            with serving(chosen.build, folder) as counted:
                for one in (body_size, connections, cache_keys, rows):
                    one(counted)


if __name__ == "__main__":
    main()
