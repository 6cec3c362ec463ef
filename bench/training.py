#!/usr/bin/env python3
"""What a build with a profile learns from (`make profile`): load as applications have it, on a program that counts how often each of its branches
is taken. The contracts are not those of the measurements: the shop of examples/, and a gateway in front of it.

  bench/training.py --build build/profile

Counts are written by the program itself when it ends, to the folder that LLVM_PROFILE_FILE names. Weights: mostly reads, some writes, few refusals.
"""
import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.request
import uuid

import harness
import measure

GATEWAY = """openapi: 3.1.0
info: {title: Gateway, version: 1.0.0}
security: []
x-plimsoll: {authorization: any-caller, rate-limit: 100000000/second by address}
paths:
  /health:
    get:
      operationId: health
      x-plimsoll: {mock: {}}
      responses: {'200': {description: well, content: {application/json: {schema: {type: object}, example: {status: well, since: 7}}}}}
  /limited:
    get:
      operationId: limited
      x-plimsoll: {mock: {}, rate-limit: 5/minute by address}
      responses: {'200': {description: well, content: {application/json: {schema: {type: object}, example: {status: well}}}}}
  /v1/products:
    get: {operationId: list, x-plimsoll: {upstream: shop}, responses: {default: {description: products}}}
  /v1/products/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string, format: uuid}}]
    get: {operationId: read, x-plimsoll: {upstream: shop}, responses: {default: {description: the product}}}
  /echo:
    post:
      operationId: send
      x-plimsoll: {upstream: sink}
      requestBody: {content: {application/octet-stream: {}}}
      responses: {default: {description: taken}}
"""
SINK = """openapi: 3.1.0
info: {title: Sink, version: 1.0.0}
security: []
x-plimsoll: {authorization: any-caller, rate-limit: off}
paths:
  /echo:
    post:
      operationId: take
      x-plimsoll: {mock: {}}
      requestBody: {content: {application/octet-stream: {}}}
      responses: {'200': {description: taken, content: {application/json: {schema: {type: object}, example: {bytes: many}}}}}
"""
NOTES = """openapi: 3.1.0
info: {title: Notes, version: 1.0.0}
security: []
x-plimsoll: {authorization: any-caller, rate-limit: 100000000/second by address, tables: {notes: {schema: '#/components/schemas/Note', sort: [written], filters: {topic: [eq]}}}}
paths:
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes}, responses: {'200': {description: notes}}}
    post:
      operationId: addNote
      x-plimsoll: {table: notes}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: added}}
  /notes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string, format: uuid}}]
    get: {operationId: readNote, x-plimsoll: {table: notes}, responses: {'200': {description: the note}}}
components:
  schemas:
    Note:
      type: object
      required: [id, topic, text]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        topic: {type: string, maxLength: 40}
        text: {type: string, maxLength: 400}
        rank: {type: [integer, 'null']}
        written: {type: string, format: date-time, readOnly: true}
"""


def answers(server):
    return subprocess.run(["curl", "-sk", "-m", "5", "-o", "/dev/null", f"{server.url}livez"]).returncode == 0


def program(build, folder, name, contract, deployment, *arguments):
    """The program with a contract, from when it answers; it writes its counts when it ends."""
    port, config = measure.free_port(), folder / f"{name}.plimsoll.yaml"
    config.write_text(f"limits: {json.dumps(measure.LIMITS)}\n{deployment}")
    command = [build / "bin/plimsoll", "serve", contract, "--config", config, *arguments, "--listen", f"127.0.0.1:{port}", "--management", "off"]
    return measure.Server(name, command, port, folder, scheme="https" if "tls:" in deployment else "http", check=answers)


def load(server, count, target, *more, clients=32, refused=False):
    """That many requests, by h2load with `more`; nearly all are answered by success, unless `refused`."""
    out = subprocess.run(["h2load", "-t1", f"-n{count}", f"-c{clients}", *map(str, more), server.url + target.removeprefix("/")], capture_output=True, text=True, check=True,
                         timeout=600).stdout
    failed = int(re.search(r"(\d+) failed, 0 errored, 0 timeout", out)[1])
    if failed > count // 20 and not refused:  # on a busy machine some are refused
        raise SystemExit(f"bench/training.py: {target}: {out}")


def ask(port, method, target, body=None, **headers):
    """One request with fields `headers` (`_` for `-`), and the status and document of its response."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{target}", None if body is None else json.dumps(body).encode(), method=method,
                                   headers={"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}})
    try:
        with urllib.request.urlopen(asked, timeout=60) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read() or b"null")


def shopping(shop, folder, token):
    """Callers of the shop: lists of many kinds, rows, changes."""
    bearer = f"Authorization: Bearer {token}"
    _, page = ask(shop.port, "GET", "/v1/products?limit=50")
    products = [row["id"] for row in page["data"]]
    for target in ("/v1/products", "/v1/products?category=kitchen&sort=-price", "/v1/products?limit=100", f"/v1/products/{products[0]}", f"/v1/products/{products[1]}"):
        load(shop, 4000, target, "--h1")
    for target in ("/v1/orders", "/v1/orders?status=open&sort=-total&fields=id,total", "/v1/orders?limit=100", "/v1/orders?limit=20&embed=customer,items", "/v1/customers?country=DE&sort=name",
                   "/v1/payments?sort=-amount"):
        load(shop, 2000, target, "--h1", "-H", bearer)
    _, page = ask(shop.port, "GET", "/v1/orders?limit=50", Authorization=f"Bearer {token}")
    for order in page["data"][:4]:
        load(shop, 4000, f"/v1/orders/{order['id']}", "--h1", "-H", bearer)
    with open(folder / "product", "w") as body:
        json.dump({"name": "Blue kite", "category": "toys", "price": "19.90", "description": "Flies in any wind from force 2 on."}, body)
    load(shop, 4000, "/v1/products", "--h1", "-H", bearer, "-H", "Content-Type: application/json", "-d", body.name)
    for number in range(800):
        key = {"Authorization": f"Bearer {token}", "Idempotency_Key": str(uuid.uuid4())}
        payment = {"order_id": page["data"][number % 50]["id"], "method": "card", "amount": "9.90"}
        for _ in range(2 if number % 10 == 0 else 1):
            assert ask(shop.port, "POST", "/v1/payments", payment, **key)[0] == 201
        order = page["data"][number % 50]["id"]
        ask(shop.port, "PATCH", f"/v1/orders/{order}", {"note": f"Ring {number} times."}, Authorization=f"Bearer {token}", Content_Type="application/merge-patch+json")
    for number in range(100):
        assert ask(shop.port, "GET", "/v1/orders")[0] == 401
        assert ask(shop.port, "GET", "/v1/products/0192f0c1-7000-7000-8000-ffffffffffff")[0] == 404
        assert ask(shop.port, "POST", "/v1/products", {"name": "", "category": "spaceships"}, Authorization=f"Bearer {token}")[0] == 400
    return products[0]


def passing_on(gateway, folder, product):
    """What a gateway does: small responses, calls to services behind it, over HTTP/1.1 and HTTP/2; and refusals."""
    body = folder / "body"
    body.write_bytes(b"x" * (4 << 10))
    load(gateway, 40000, "/health", "--h1")
    load(gateway, 3000, "/health", "--h1", "-H", "Accept-Encoding: gzip, br")
    for streams in (1, 6, 50):
        load(gateway, 20000, "/health", f"-m{streams}", clients=8)
        load(gateway, 3000, f"/v1/products/{product}", f"-m{streams}", clients=4)
    load(gateway, 15000, f"/v1/products/{product}", "--h1")
    load(gateway, 3000, "/v1/products", "--h1")
    load(gateway, 8000, "/echo", "--h1", "-H", "Content-Type: application/octet-stream", "-d", body)
    load(gateway, 10000, "/limited", "--h1", refused=True)


def secured(server):
    """The same to clients with TLS, some of which come anew."""
    for more in (("--h1",), ("-m10",)):
        load(server, 10000, "/health", *more, clients=8)
        for _ in range(10):
            load(server, 60, "/health", *more, clients=30)


def noting(notes, folder):
    """Tables on PostgreSQL."""
    body = folder / "note"
    body.write_text(json.dumps({"topic": "boats", "text": "The line is where it should be.", "rank": 3}))
    load(notes, 3000, "/notes", "--h1", "-H", "Content-Type: application/json", "-d", body)
    _, page = ask(notes.port, "GET", "/notes")
    for row in page["data"][:3]:
        load(notes, 5000, f"/notes/{row['id']}", "--h1")
    load(notes, 2000, "/notes", "--h1")
    load(notes, 1000, "/notes?topic=boats&sort=-written&limit=50", "--h1")


def main():
    chosen = measure.chosen(measure.options(__doc__))
    measure.needs("h2load")
    example = measure.ROOT / "examples/shop"
    with measure.a_folder() as folder, contextlib.ExitStack() as running:
        def begin(name, text, deployment, *arguments):
            contract = folder / f"{name}.yaml"
            contract.write_text(text)
            server = program(chosen.build, folder, name, contract, deployment, *arguments)
            running.callback(server.stop)
            return server

        text = (example / "shop.yaml").read_text().replace("x-plimsoll:\n  tables:", "x-plimsoll:\n  rate-limit: 100000000/second by caller\n  tables:", 1)
        deployment = "".join(line for line in (example / "plimsoll.yaml").read_text().splitlines(True) if not line.startswith(("listen:", "management:", "database:")))
        shop = begin("shop", text, f"{deployment}database: {{url: 'sqlite:shop.db', migrations: {example}/migrations}}\n", "--dev")
        product = shopping(shop, folder, re.search(r"Bearer (\S+)", shop.said.read_text())[1])
        sink = begin("sink", SINK, "")
        upstreams = f"upstreams: {{shop: {{targets: ['{shop.url}']}}, sink: {{targets: ['{sink.url}']}}}}\n"
        passing_on(begin("gateway", GATEWAY, upstreams), folder, product)
        certificate, key = measure.certificate(folder)
        secured(begin("secure", GATEWAY, f"{upstreams}tls: {{certificate: {certificate}, key: {key}}}\n"))
        (folder / "pg").mkdir()
        postgres = harness.Postgres(folder / "pg").start()
        running.callback(postgres.stop)
        noting(begin("notes", NOTES, f"database: {{url: '{postgres.socket_url(postgres.database())}'}}\n"), folder)


if __name__ == "__main__":
    main()
