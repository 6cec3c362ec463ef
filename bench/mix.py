#!/usr/bin/env python3
"""A mix as applications have it, beside a tuned and warmed-up Fastify with better-sqlite3 (bench/fastify_mix.mjs): of ten requests seven for a cached list
of 20 rows, two for a row by its key, one POST with an idempotency key; each with a JWT, both sides with a log. Requests per CPU-second.

  bench/mix.py [--build build/release] [--rounds 7] [--seconds 1] [--connections 64]
"""
import functools
import json
import sqlite3
import urllib.error
import urllib.request
import uuid

import measure
from policies import Credential
from rows import listening

OURS, THEIRS = "plimsoll, the mix", "Fastify, the mix"
CONTRACT = """openapi: 3.1.0
info: {title: Mix, version: 1.0.0}
security: [{bearer: [read]}]
x-plimsoll:
  rate-limit: 100000000/second by caller
  tables: {products: {schema: '#/components/schemas/Product'}, orders: {schema: '#/components/schemas/Order'}}
paths:
  /products:
    get: {operationId: listProducts, x-plimsoll: {table: products, cache: 1h}, responses: {'200': {description: products}}}
  /products/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string, format: uuid}}]
    get: {operationId: readProduct, x-plimsoll: {table: products}, responses: {'200': {description: the product}}}
  /orders:
    post:
      operationId: createOrder
      x-plimsoll: {table: orders, idempotency: required}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}
      responses: {'201': {description: made}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Product:
      type: object
      required: [id, name]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        name: {type: string, maxLength: 100}
        price: {type: string, format: decimal}
        stock: {type: integer}
        note: {type: [string, 'null'], maxLength: 1000}
    Order:
      type: object
      required: [id, product, quantity]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        product: {type: string, maxLength: 100}
        quantity: {type: integer, minimum: 1}
        note: {type: [string, 'null'], maxLength: 1000}
"""
ROW = "01900000-0000-7000-8000-000000000007"
LUA = """
local bearer = "Bearer %(token)s"
local n, run, list, row = 0
function init(args)
  run = os.time() .. tostring({}):gsub("[^%%w]", "")
  list = wrk.format("GET", "/products?limit=20", {Authorization = bearer})
  row = wrk.format("GET", "/products/%(row)s", {Authorization = bearer})
end
function request()
  n = n + 1
  local kind = n %% 10
  if kind < %(lists)d then return list end
  if kind < %(rows)d then return row end
  return wrk.format("POST", "/orders", {Authorization = bearer, ["Content-Type"] = "application/json", ["Idempotency-Key"] = run .. "-" .. n},
                    '{"product":"Lamp oil","quantity":2,"note":"Ring twice"}')
end
"""
KINDS = {"the mix": (7, 9), "the cached list": (10, 10), "the row": (0, 10), "the idempotent POST": (0, 0)}  # lists, and lists and rows, of ten


def fill(path, create):
    with sqlite3.connect(path, timeout=30) as database:
        if create:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE products(id TEXT PRIMARY KEY, name TEXT NOT NULL, price TEXT, stock INTEGER, note TEXT) WITHOUT ROWID")
        database.executemany("INSERT INTO products(id, name, price, stock, note) VALUES (?, ?, ?, ?, ?)",
                             [(f"01900000-0000-7000-8000-{i:012x}", f"Lamp oil, number {i}", "9.90", i, None) for i in range(1000)])


def check(server, token):
    """Each kind is answered, the list from the cache, and nothing without a token."""
    def get(target, **headers):
        return urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{server.port}{target}", headers=headers))

    listed = json.loads(get("/products?limit=20", Authorization=f"Bearer {token}").read())
    assert len(listed["data"]) == 20 and listed["data"][0]["price"] == "9.90", listed
    assert json.loads(get(f"/products/{ROW}", Authorization=f"Bearer {token}").read())["id"] == ROW
    try:
        get("/products")
    except urllib.error.HTTPError as refused:
        assert refused.code == 401, refused
    else:
        raise SystemExit(f"bench/mix.py: {server.name} answers without a token")
    key, order = str(uuid.uuid4()), b'{"product":"Lamp oil","quantity":2}'
    made = [json.loads(urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{server.port}/orders", order, {
        "Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key})).read()) for _ in range(2)]
    assert made[0] == made[1], made


def checked(server, token):
    try:
        check(server, token)
    except BaseException:
        server.stop()
        raise
    return server


def ours(build, folder, credential):
    port = measure.free_port()
    (folder / "mix.yaml").write_text(CONTRACT)
    (folder / "mix.plimsoll.yaml").write_text(f"threads: 1\nlimits: {json.dumps(measure.LIMITS)}\ndatabase: {{url: 'sqlite:{folder}/mix.db'}}\nroles: {{buyer: [read]}}\n{credential.config}")
    server = measure.Server(OURS, [build / "bin/plimsoll", "serve", "mix.yaml", "--config", "mix.plimsoll.yaml", "--listen", f"127.0.0.1:{port}", "--management", "off"], port, folder,
                            check=listening)
    fill(folder / "mix.db", False)
    return checked(server, credential.token)


def theirs(folder, credential):
    if not (measure.packages() / "better-sqlite3" / "build").exists():
        raise measure.Missing(THEIRS, "npm could not install better-sqlite3 (bench/package.json)")
    fill(folder / "fastify.db", True)
    port = measure.free_port()
    server = measure.Server(THEIRS, ["node", measure.ROOT / "bench/fastify_mix.mjs", port, folder / "fastify.db", folder / "jwks.json", folder / "fastify.log"], port, folder,
                            check=listening)
    server.warm = 5
    return checked(server, credential.token)


def main():
    chosen = measure.chosen(measure.options(__doc__, rounds=7))
    measure.needs("wrk", "curl")
    with measure.a_folder() as folder:
        credential = Credential(chosen.build, folder)
        scripts = {}
        for number, (kind, (lists, rows)) in enumerate(KINDS.items()):
            scripts[kind] = folder / f"{number}.lua"
            scripts[kind].write_text(LUA % {"token": credential.token, "row": ROW, "lists": lists, "rows": rows})
        with measure.running(functools.partial(ours, chosen.build, folder, credential), functools.partial(theirs, folder, credential)) as servers:
            for kind, script in scripts.items():
                found = measure.take_turns(servers, lambda server, seconds: measure.wrk(server, seconds, chosen.connections, "-s", script), chosen.rounds, chosen.seconds)
                measure.show(found, THEIRS)
                if THEIRS in found:
                    measure.ratio_row(f"{kind}: plimsoll / Fastify", measure.ratios(found, OURS, THEIRS), {"the mix": 9, "the idempotent POST": 7}.get(kind), least=True)


if __name__ == "__main__":
    main()
