#!/usr/bin/env python3
"""A row by its key from a SQLite table, through the whole chain and with its log, beside nginx's `return 200` with its own, and beside
Fastify with better-sqlite3 (without a log): requests per CPU-second as ratios, one run, interleaved.

  bench/rows.py [--build build/release] [--rounds 5] [--seconds 1] [--connections 64]
"""
import functools
import http.client
import json
import sqlite3

import measure

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
ITEM = {"name": "Lamp oil", "price": "9.90", "stock": 12, "note": None}
OURS, THEIRS = "plimsoll, a row by key", "Fastify with better-sqlite3"


def listening(server):
    try:
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        line.request("GET", "/livez")
        return line.getresponse().read() and True
    except (OSError, http.client.HTTPException):
        return False


def ours(build, folder):
    port = measure.free_port()
    (folder / "rows.yaml").write_text(CONTRACT)
    (folder / "plimsoll.yaml").write_text(f"threads: 1\nlimits: {json.dumps(measure.LIMITS)}\n")
    server = measure.Server(OURS, [build / "bin/plimsoll", "serve", "rows.yaml", "--listen", f"127.0.0.1:{port}", "--management", "off"], port, folder,
                            check=listening)
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request("POST", "/items", json.dumps(ITEM), {"Content-Type": "application/json"})
    made = line.getresponse()
    row = json.loads(made.read())
    if made.status != 201:
        server.stop()
        raise SystemExit(f"bench/rows.py: no row: {made.status} {row}")
    server.target = f"/items/{row['id']}"
    return server


def theirs(folder):
    if not (measure.packages() / "better-sqlite3" / "build").exists():
        raise measure.Missing(THEIRS, "npm could not install better-sqlite3 (bench/package.json)")
    database = sqlite3.connect(folder / "fastify.db")
    database.executescript("""PRAGMA journal_mode=WAL;
CREATE TABLE items(id TEXT PRIMARY KEY, name TEXT NOT NULL, price TEXT, stock INTEGER, note TEXT) WITHOUT ROWID;
INSERT INTO items VALUES('0190f4a2-7c1e-7b3a-9d52-6f2f7f1c2a11', 'Lamp oil', '9.90', 12, NULL);""")
    database.commit()
    answer = json.dumps({"id": "0190f4a2-7c1e-7b3a-9d52-6f2f7f1c2a11", **ITEM}, separators=(",", ":"))
    return measure.fastify(folder, str(folder / "fastify.db"), name=THEIRS, target="/items/0190f4a2-7c1e-7b3a-9d52-6f2f7f1c2a11", answer=answer)


def main():
    chosen = measure.chosen(measure.options(__doc__))
    measure.needs("wrk", "curl")
    with measure.a_folder() as folder:
        begin = [functools.partial(ours, chosen.build, folder), functools.partial(theirs, folder), functools.partial(measure.nginx, folder)]
        found = measure.compare("a row by its key", begin, lambda server, seconds: measure.wrk(server, seconds, chosen.connections), chosen.rounds,
                                chosen.seconds, {OURS: 0.5})
        if THEIRS in found:
            measure.ratio_row(f"a row by its key: {OURS} / {THEIRS}", measure.ratios(found, OURS, THEIRS), 1.5, least=True)


if __name__ == "__main__":
    main()
