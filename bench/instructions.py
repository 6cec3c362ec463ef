#!/usr/bin/env python3
"""Instructions (user space, by callgrind) and heap allocations a request, of the server alone. They repeat within some
percent (how often the loop turns depends on when requests arrive), whatever else the machine does.

  bench/instructions.py [--build build/release] [--only list] [--count 400]

Each kind of request is asked one after another on a connection of its own server, first for warming up and then counted.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import measure
from hot_path_test import FRONT

TEXT = "x" * 200  # of ten members: 2 KB
CONTRACT = """openapi: 3.1.0
info: {title: Counted, version: 1.0.0}
x-plimsoll:
  rate-limit: 100000000/second by address
  authorization: any-caller
  tables:
    items: {schema: '#/components/schemas/Item', key: id, sort: [price, created], filters: {kind: [eq, ne]}}
paths:
  /items:
    get:
      operationId: listItems
      security: []
      x-plimsoll: {table: items}
      responses: {'200': {description: items}}
    post:
      operationId: createItem
      security: []
      x-plimsoll: {table: items}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Item'}}}}
      responses: {'201': {description: made}}
  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get:
      operationId: readItem
      security: []
      x-plimsoll: {table: items}
      responses: {'200': {description: the item}}
  /uncached:
    get:
      operationId: uncached
      security: []
      parameters: [{name: n, in: query, schema: {type: integer}}]
      x-plimsoll: {mock: {}}
      responses: {'200': {description: 2 KB, content: {application/json: {schema: {type: object}, example: EXAMPLE}}}}
  /cached:
    get:
      operationId: cached
      security: []
      parameters: [{name: n, in: query, schema: {type: integer}}]
      x-plimsoll: {mock: {}, cache: 1h}
      responses: {'200': {description: 2 KB, content: {application/json: {schema: {type: object}, example: EXAMPLE}}}}
  /cached/items:
    get:
      operationId: cachedItems
      security: []
      x-plimsoll: {table: items, cache: 1h}
      responses: {'200': {description: items}}
components:
  schemas:
    Item:
      type: object
      required: [id, kind, name, created]
      properties:
        id: {type: integer, readOnly: true}
        kind: {type: string, maxLength: 20}
        name: {type: string, maxLength: 100}
        price: {type: string, format: decimal}
        stock: {type: integer}
        open: {type: boolean}
        created: {type: string, format: date-time}
        note: {type: [string, 'null'], maxLength: 1000}
"""
ROWS = 2_000
LIMITS = {"requests-per-connection": 10**9, "lifetime": "24h"}


def item(n):
    return {"kind": f"k{n % 5}", "name": f"Lamp oil, number {n}", "price": f"{n % 900}.90", "stock": n % 40, "open": n % 2 == 0,
            "created": f"2026-01-{1 + n % 28:02}T10:00:00Z", "note": None}


def get(target):
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: wrk/4.1.0\r\nAccept: */*\r\n\r\n".encode()


def post_text(target, kind, body):
    return (f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: wrk/4.1.0\r\nAccept: */*\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def post(target, body):
    return post_text(target, "application/json", json.dumps(body, separators=(",", ":")))


class Line:
    """A connection that asks and reads whole responses."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request, *need):
        head, body = self.response(request)
        if not head.startswith(b"HTTP/1.1 20") or any(word not in head + body for word in need):
            raise SystemExit(f"bench/instructions.py: {request[:100]!r} answers {head!r} {body[:300]!r}")
        return body

    def response(self, request):
        self.socket.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, _, body = got.partition(b"\r\n\r\n")
        size = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head)[1])
        while len(body) < size:
            body += self._more()
        return head, body

    def _more(self):
        more = self.socket.recv(1 << 20)
        if not more:
            raise ConnectionResetError("the server has closed the connection")
        return more


def origin():
    """A service that answers every request as nginx does in bench/upstream.py; its port. It ends with this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    answer = (f"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"
              f"Content-Length: {len(measure.BODY)}\r\nConnection: keep-alive\r\n\r\n{measure.BODY}").encode()

    def serve(line):
        got = b""
        while more := line.recv(1 << 16):
            got += more
            head, end, body = got.partition(b"\r\n\r\n")
            size = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            if end and len(body) == int(size[1] if size else 0):
                line.sendall(answer)
                got = b""

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def row_requests():
    """name -> request number n, and what its response must have."""
    listed = "/items?kind=k3&sort=-price&limit=20"
    return {
        "row by key": lambda n: (get(f"/items/{1 + n % ROWS}"), b'"id":'),
        "list of 20": lambda n: (get("/items?limit=20"), b'"next_cursor":"'),
        "list of 100": lambda n: (get("/items?limit=100"), b'"next_cursor":"'),
        "list of 20, filtered and sorted": lambda n: (get(listed), b'"next_cursor":"'),
        "list of 20, three fields": lambda n: (get("/items?limit=20&fields=id,name,price"), b'"next_cursor":"'),
        "create": lambda n: (post("/items", item(n)), b"201"),
        "2 KB uncached": lambda n: (get(f"/uncached?n={n}"), TEXT.encode()),
        "2 KB, a miss": lambda n: (get(f"/cached?n={n}"), b"fwd=uri-miss; stored"),
        "2 KB, a hit": lambda n: (get("/cached?n=0"), b"; hit" if n > 0 else b""),
        "list of 20, a miss": lambda n: (get(f"/cached/items?limit=20&kind%5Bne%5D=z{n}"), b"fwd=uri-miss; stored"),
        "list of 20, uncached": lambda n: (get(f"/items?limit=20&kind%5Bne%5D=z{n}"), b'"next_cursor":"'),
    }


@contextlib.contextmanager
def server(build, folder, name, before, environment=None):
    """The program in its own folder, with rows or (`proxy`) an upstream; `bare` and `chain` are the servers of bench/."""
    port = measure.free_port()
    home = folder / f"home-{port}"
    home.mkdir()
    if name == "bare":
        command = [build / "bin/bare_server", f"127.0.0.1:{port}", "1", json.dumps(LIMITS)]
    elif name == "chain":
        (home / "hello.yaml").write_text(measure.HELLO)
        (home / "plimsoll.yaml").write_text(f"management: 'off'\nthreads: 1\nlimits: {json.dumps(LIMITS)}\n")
        command = [build / "bin/chain_server", f"127.0.0.1:{port}", "1", "hello.yaml", "plimsoll.yaml", "hello"]
    elif name == "proxy":
        (home / "front.yaml").write_text(FRONT)
        (home / "plimsoll.yaml").write_text(f"management: 'off'\nthreads: 1\nlimits: {json.dumps(LIMITS)}\nupstreams:\n"
                                            f"  origin: {{targets: ['http://127.0.0.1:{origin()}']}}\n")
        command = [build / "bin/plimsoll", "serve", "front.yaml", "--listen", f"127.0.0.1:{port}"]
    else:
        example = json.dumps({f"t{i}": TEXT for i in range(10)})
        (home / "rows.yaml").write_text(CONTRACT.replace("EXAMPLE", example))
        (home / "plimsoll.yaml").write_text(f"threads: 1\nlimits: {json.dumps(LIMITS)}\ncache: {{memory: 8MiB}}\n")
        command = [build / "bin/plimsoll", "serve", "rows.yaml", "--listen", f"127.0.0.1:{port}", "--management", "off"]
    with open(home / "said", "wb") as said:
        process = subprocess.Popen([*map(str, [*before, *command])], stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=home,
                                   env={**os.environ, **(environment or {})})
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                line = Line(port)
                line.response(get("/livez"))
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"bench/instructions.py: the server does not begin: {(home / 'said').read_text(errors='replace')[-500:]}") from None
                time.sleep(0.05)
        yield process, line
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        if process.poll() is None:
            process.kill()
            process.wait()


def counted(process, line, requests, count, look):
    """name -> what `look` has gone up by, a request."""
    found = {}
    for name, request in requests.items():
        for n in range(count // 4):
            ask = request(n)
            line.ask(*ask)
        before = look(process)
        for n in range(count // 4, count // 4 + count):
            line.ask(*request(n))
        found[name] = (look(process) - before) / count
    return found


class Callgrind:
    """Instructions so far: callgrind writes out what it has counted since it did so last, and goes on."""

    def __init__(self, folder):
        self.out, self.parts, self.sum = folder / "callgrind.out", 0, 0
        self.before = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.out}", f"--log-file={folder}/callgrind.said"]

    def __call__(self, process):
        subprocess.run(["callgrind_control", "-d", str(process.pid)], check=True, capture_output=True, timeout=60)
        self.parts += 1
        part = pathlib.Path(f"{self.out}.{self.parts}")
        self.sum += int(re.search(r"^(?:summary|totals): (\d+)", part.read_text(), re.M)[1])
        return self.sum


class Allocations:
    def __init__(self, folder):
        compiler = shutil.which("clang-19") or shutil.which("cc")
        self.out = folder / "allocations"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", folder / "count.so",
                        measure.ROOT / "tests/programs/count_allocations.c"], check=True)
        self.environment = {"LD_PRELOAD": str(folder / "count.so"), "COUNT_ALLOCATIONS": str(self.out)}

    def __call__(self, process):
        lines = len(self.out.read_text().splitlines()) if self.out.exists() else 0
        process.send_signal(signal.SIGRTMIN + 5)
        deadline = time.monotonic() + 20
        while not self.out.exists() or len(self.out.read_text().splitlines()) == lines:
            if time.monotonic() > deadline:
                raise SystemExit("bench/instructions.py: allocations are not counted")
            time.sleep(0.01)
        return int(self.out.read_text().splitlines()[-1])


def fill(line):
    for n in range(ROWS):
        line.ask(post("/items", item(n)), b"201")


def main():
    parser = measure.options(__doc__)
    parser.add_argument("--only", default="", help="kinds of request with this in their name")
    parser.add_argument("--count", type=int, default=400)
    chosen = measure.chosen(parser)
    measure.needs("valgrind", "callgrind_control")
    tiny = {"bare GET": ("bare", lambda n: (get("/"), measure.BODY.encode())),
            "GET, default chain": ("chain", lambda n: (get("/"), measure.BODY.encode())),
            "a proxied GET": ("proxy", lambda n: (get("/"), measure.BODY.encode())),
            "a proxied POST of 10 KB": ("proxy", lambda n: (post_text("/", "application/octet-stream", "x" * (10 << 10)), measure.BODY.encode()))}
    instructions, allocations = {}, {}
    for what, found in (("instructions", instructions), ("allocations", allocations)):
        for name, (program, request) in tiny.items():
            if chosen.only in name:
                with measure.a_folder() as folder:
                    look = Callgrind(folder) if what == "instructions" else Allocations(folder)
                    with server(chosen.build, folder, program, getattr(look, "before", []), getattr(look, "environment", None)) as (process, line):
                        found.update(counted(process, line, {name: request}, 4 * chosen.count, look))
        wanted = {name: request for name, request in row_requests().items() if chosen.only in name}
        if wanted:
            with measure.a_folder() as folder:
                look = Callgrind(folder) if what == "instructions" else Allocations(folder)
                with server(chosen.build, folder, "rows", getattr(look, "before", []), getattr(look, "environment", None)) as (process, line):
                    fill(line)
                    found.update(counted(process, line, wanted, chosen.count, look))
    for name, figure in instructions.items():
        measure.row(f"instructions a request: {name}", figure, note=f"{allocations[name]:.1f} allocations")
    for kind, without in (("2 KB, a miss", "2 KB uncached"), ("list of 20, a miss", "list of 20, uncached")):
        if kind in instructions and without in instructions:
            measure.row(f"instructions of {kind} / {without}", instructions[kind] / instructions[without], 1.15)


if __name__ == "__main__":
    main()
