#!/usr/bin/env python3
"""Memory of an idle connection: so many connections ask once each and stay open; what the server's resident memory has grown by since
the first few, divided by their number. In clear and over TLS 1.3, HTTP/1.1 and HTTP/2. And of an operation: of five of a table, by what
a server with 600 of them takes more than one with 100.

  bench/memory.py [--build build/release] [--clear 5000] [--tls 2000]

User space only: the kernel's socket buffers are the same for every server.
"""
import json
import pathlib
import resource
import socket
import ssl
import subprocess
import time

import measure

GET = b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: idle/1\r\nAccept: */*\r\n\r\n"
# Preface, SETTINGS, and a GET of / by names and values of HPACK's static table.
GET2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\7\1\5\0\0\0\1" + b"\x82\x86\x84\x41\x01a\x90"
LIMITS = {"idle": "600s", "first-byte": "60s"}


def resident(pid):
    """Bytes that are this process's own (anonymous), of all its family."""
    total = 0
    for p in measure.family(pid):
        for line in pathlib.Path(f"/proc/{p}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                total += int(line.split()[1]) * 1024
    return total


def open_ones(server, count, context, protocol):
    lines = []
    end = b"hello\"}"
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", server.port), 10)
        if context:
            s = context.wrap_socket(s)
        s.sendall(GET2 if protocol == "h2" else GET)
        answer = b""
        while end not in answer:
            piece = s.recv(4096)
            if not piece:
                raise SystemExit(f"{server.name}: closed after {answer[:200]!r}")
            answer += piece
        lines.append(s)
    return lines


def measured(server, count, tls, protocol):
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if protocol == "h2":
            context.set_alpn_protocols(["h2"])
    held = open_ones(server, 200, context, protocol)
    time.sleep(0.3)
    before = resident(server.pid)
    held += open_ones(server, count, context, protocol)
    time.sleep(0.3)  # what is given back is given back by now, or is not
    grown = resident(server.pid) - before
    for s in held:
        s.close()
    return grown / count / 1024


OPERATIONS = (("get", "", "200"), ("post", "", "201"), ("get", "/{id}", "200"), ("patch", "/{id}", "200"), ("delete", "/{id}", "204"))
ROW = {"type": "object", "required": ["id", "name"], "properties": {
    "id": {"type": "integer", "readOnly": True}, "name": {"type": "string"}, "price": {"type": "string", "format": "decimal"},
    "open": {"type": "boolean"}, "note": {"type": ["string", "null"]}}}


def contract(tables):
    """So many tables with five operations each."""
    paths = {}
    for n in range(tables):
        for method, below, status in OPERATIONS:
            item = paths.setdefault(f"/t{n}{below}", {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}] if below else []})
            item[method] = {"operationId": f"{method}{n}{'One' if below else ''}", "security": [], "x-plimsoll": {"table": f"t{n}"},
                            "responses": {status: {"description": "done"}}}
            if method in ("post", "patch"):
                kind = "application/json" if method == "post" else "application/merge-patch+json"
                item[method]["requestBody"] = {"required": True, "content": {kind: {"schema": {"$ref": f"#/components/schemas/T{n}"}}}}
    return {"openapi": "3.1.0", "info": {"title": "Tables", "version": "1"}, "paths": paths,
            "x-plimsoll": {"authorization": "any-caller", "tables": {f"t{n}": {"schema": f"#/components/schemas/T{n}", "key": "id"} for n in range(tables)}},
            "components": {"schemas": {f"T{n}": ROW for n in range(tables)}}}


def of_operations(build, folder, tables):
    """What a server with so many tables takes, before it is asked anything."""
    home = folder / f"tables-{tables}"
    home.mkdir()
    (home / "tables.json").write_text(json.dumps(contract(tables)))
    (home / "plimsoll.yaml").write_text("threads: 1\n")
    port = measure.free_port()
    server = subprocess.Popen([build / "bin/plimsoll", "serve", "tables.json", "--listen", f"127.0.0.1:{port}", "--management", "off"], cwd=home,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 10).close()
                return resident(server.pid)
            except OSError:
                if server.poll() is not None:
                    raise SystemExit("bench/memory.py: the server with tables does not begin") from None
                time.sleep(0.05)
    finally:
        server.kill()
        server.wait()


def main():
    parser = measure.options(__doc__)
    parser.add_argument("--clear", type=int, default=5000)
    parser.add_argument("--tls", type=int, default=2000)
    chosen = measure.chosen(parser)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with measure.a_folder() as folder:
        for title, tls, protocol, count, target in (("in clear", False, "http/1.1", chosen.clear, 2), ("over TLS 1.3", True, "http/1.1", chosen.tls, 24),
                                                    ("HTTP/2 in clear", False, "h2", chosen.clear // 2, None), ("HTTP/2 over TLS 1.3", True, "h2", chosen.tls // 2, None)):
            if count + 300 > hard:
                measure.missing(f"memory of an idle connection, {title}", f"only {hard} descriptors are allowed here (ulimit -Hn)")
                continue
            for name, start in (("plimsoll", lambda: measure.chain(chosen.build, folder, tls=tls, limits=LIMITS)), ("nginx", lambda: measure.nginx(folder, tls=tls, http2=protocol == "h2"))):
                with measure.running(start) as servers:
                    for server in servers:
                        measure.row(f"memory of an idle connection, {title}: {name}", measured(server, count, tls, protocol), target if name == "plimsoll" else None,
                                    unit="KiB", note=f"{count} of them")
        few, many = (of_operations(chosen.build, folder, tables) for tables in (20, 120))
        measure.row("memory of an operation of a table", (many - few) / 500 / 1024, 12, unit="KiB", note="500 of them")


if __name__ == "__main__":
    main()
