#!/usr/bin/env python3
"""A proxy in front of one origin: us with trace, log, limit, metrics and retries, beside nginx and HAProxy with keepalive to the origin and a
buffered log. CPU time of the proxy alone, by rounds in which they take turns; memory for large bodies and for idle WebSockets.

  bench/upstream.py [--build build/release] [--rounds 9] [--seconds 1] [--connections 64] [--websockets 10000]

The origin (nginx) and the load share the other core.
"""
import asyncio
import base64
import functools
import hashlib
import json
import multiprocessing
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import time

import measure
from memory import resident

OURS, NGINX, HAPROXY = "plimsoll", "nginx", "haproxy"
CONTRACT = """openapi: 3.1.0
info: {title: Front, version: '1'}
security: []
x-plimsoll: {rate-limit: 100000000/second by address, authorization: any-caller, deadline: 10m}
paths:
  /:
    get: {operationId: read, x-plimsoll: {upstream: origin}, responses: {default: {description: what the origin says}}}
    post: {operationId: write, x-plimsoll: {upstream: origin}, requestBody: {content: {application/octet-stream: {}}}, responses: {default: {description: taken}}}
  /big:
    get: {operationId: download, x-plimsoll: {upstream: origin}, responses: {default: {description: a file}}}
  /sink:
    post: {operationId: upload, x-plimsoll: {upstream: origin}, requestBody: {content: {application/octet-stream: {}}}, responses: {default: {description: taken}}}
  /chat:
    get: {operationId: chat, x-plimsoll: {upstream: {name: chat, websocket: true}}, responses: {'101': {description: a WebSocket}}}
"""
BIG = 100_000_000


def origin(folder):
    port = measure.free_port()
    (folder / "www").mkdir()
    with open(folder / "www/big", "wb") as file:
        for _ in range(BIG // 100_000):
            file.write(os.urandom(1000) * 100)
    (folder / "origin.conf").write_text(f"""daemon off; worker_processes 1; pid {folder}/origin.pid; error_log {folder}/error.log;
events {{ worker_connections 10000; }}
http {{ access_log off; keepalive_requests 1000000000; default_type application/json; client_max_body_size 0; client_body_buffer_size 16k; sendfile on;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{measure.BODY}'; }} location = /big {{ root {folder}/www; default_type application/octet-stream; }}
    location = /sink {{ proxy_pass http://127.0.0.1:{port}/; proxy_method GET; proxy_set_body ""; }} }} }}  # answered when all of the body is there
""")
    return measure.Server("origin", ["nginx", "-c", folder / "origin.conf", "-p", folder, "-e", f"{folder}/error.log"], port, folder, core=measure.LOAD_CORE)


def ours(build, folder, behind, chat):
    port = measure.free_port()
    (folder / "front.yaml").write_text(CONTRACT)
    (folder / "plimsoll.yaml").write_text(f"management: 'off'\nthreads: 1\nlimits: {json.dumps({**measure.LIMITS, 'connections': min(measure.LIMITS['connections'], 9900), 'body': '1GiB'})}\n"
                                          f"upstreams:\n  origin: {{targets: ['http://127.0.0.1:{behind}']}}\n  chat: {{targets: ['http://127.0.0.1:{chat}']}}\n")
    return measure.Server(OURS, [build / "bin/plimsoll", "serve", "front.yaml", "--listen", f"127.0.0.1:{port}"], port, folder)


def nginx(folder, behind, chat):
    port = measure.free_port()
    conf = folder / "front.conf"
    conf.write_text(f"""daemon off; worker_processes 1; pid {folder}/front.pid; error_log {folder}/error.log; worker_rlimit_nofile 20000;
events {{ worker_connections 20000; }}
http {{ access_log {folder}/front.log combined buffer=64k flush=1s; keepalive_requests 1000000000; keepalive_timeout 600s; client_max_body_size 0;
  client_body_buffer_size 16k; proxy_http_version 1.1; proxy_max_temp_file_size 0; proxy_request_buffering off;
  upstream origin {{ server 127.0.0.1:{behind}; keepalive 128; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://origin; proxy_set_header Connection ""; }}
    location /chat {{ proxy_pass http://127.0.0.1:{chat}; proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade; }} }} }}
""")
    return measure.Server(NGINX, ["nginx", "-c", conf, "-p", folder, "-e", f"{folder}/error.log"], port, folder)


def haproxy(folder, behind, chat):
    if not shutil.which("haproxy"):
        raise measure.Missing(HAPROXY, "not installed: scripts/install-dependencies bench")
    port = measure.free_port()
    conf = folder / "front.cfg"
    conf.write_text(f"""{measure.haproxy_start(folder, True)}
  http-reuse always
  retries 3
  timeout tunnel 600s
frontend f
  bind 127.0.0.1:{port}
  use_backend chat if {{ path /chat }}
  default_backend origin
backend origin
  server one 127.0.0.1:{behind}
backend chat
  server one 127.0.0.1:{chat}
""")
    return measure.Server(HAPROXY, ["haproxy", "-f", conf, "-db"], port, folder)


def requests(chosen, folder, servers):
    for what, more in (("a proxied GET", ()), ("a proxied POST of 10 KB", ("-s", folder / "post.lua"))):
        found = measure.take_turns(servers, lambda server, seconds: measure.wrk(server, seconds, chosen.connections, *more), chosen.rounds, chosen.seconds)
        measure.show(found, NGINX)
        for name in [each.name for each in servers[1:]]:
            measure.ratio_row(f"CPU of {what}: {OURS} / {name}", measure.ratios(found, name, OURS), 1.0 if name == NGINX else None)


# Large bodies.

def transfer(folder, upload, server, _seconds):
    """Sends or fetches the large body once; its megabytes."""
    more = ["-H", "Content-Type: application/octet-stream", "-H", "Expect:", "--data-binary", f"@{folder}/www/big", f"{server.url}sink"] if upload else [f"{server.url}big"]
    said = subprocess.run(["taskset", "-c", str(measure.LOAD_CORE), "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{size_upload}", *more],
                          capture_output=True, text=True, check=True, timeout=300).stdout.split()
    if said[0] != "200" or said[2 if upload else 1] != str(BIG):
        raise SystemExit(f"bench/upstream.py: {server.name} answers the large body with {said}")
    return BIG / 1e6


def peak(server):
    """Most resident memory of the process that works since `clear`, in MiB."""
    return measure.memory(max(measure.family(server.pid)))


def large_bodies(folder, servers, rounds):
    for upload in (False, True):
        what = "an upload" if upload else "a download"
        for server in servers:
            pathlib.Path(f"/proc/{max(measure.family(server.pid))}/clear_refs").write_text("5")
        found = measure.take_turns(servers, functools.partial(transfer, folder, upload), rounds, 0)
        for server in servers:
            measure.row(f"{what} of 100 MB through {server.name}: most resident memory", peak(server), 32 if server.name == OURS else None, unit="MiB")
        for name in [each.name for each in servers[1:]]:
            measure.ratio_row(f"CPU of {what} of 100 MB: {OURS} / {name}", measure.ratios(found, name, OURS))


# WebSockets.

def chat(port):
    """A service that accepts every WebSocket and answers whatever comes by one frame."""
    async def talk(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b":")[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while await reader.read(4096):
            writer.write(b"\x82\x05hello")
        writer.close()

    async def serve():
        async with await asyncio.start_server(talk, "127.0.0.1", port, backlog=4096) as server:
            await server.serve_forever()

    asyncio.run(serve())


def open_websocket(server):
    s = socket.create_connection(("127.0.0.1", server.port), 30)
    s.sendall(b"GET /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
              + base64.b64encode(os.urandom(16)) + b"\r\n\r\n")
    for end, say in ((b"\r\n\r\n", b"\x82\x85\0\0\0\0hello"), (b"\x82\x05hello", b"")):
        got = b""
        while not got.endswith(end):
            piece = s.recv(4096)
            if not piece:
                raise SystemExit(f"bench/upstream.py: {server.name} does not open a WebSocket: {got[:300]!r}")
            got += piece
        s.sendall(say)
    return s


def idle_websockets(server, count):
    held = [open_websocket(server) for _ in range(100)]
    time.sleep(0.3)
    before = resident(server.pid)
    held += [open_websocket(server) for _ in range(count)]
    time.sleep(0.3)  # what is given back is given back by now, or is not
    grown = resident(server.pid) - before
    for s in held:
        s.close()
    return grown / count / 1024


def main():
    parser = measure.options(__doc__, rounds=9)
    parser.add_argument("--websockets", type=int, default=10_000)
    chosen = measure.chosen(parser)
    measure.needs("wrk", "curl", "nginx")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with measure.a_folder() as folder:
        (folder / "post.lua").write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {10 << 10})\nwrk.headers["Content-Type"] = "application/octet-stream"\n')
        port = measure.free_port()
        service = multiprocessing.Process(target=chat, args=(port,), daemon=True)
        service.start()
        with measure.running(lambda: origin(folder)) as (behind,):
            begin = [lambda: ours(chosen.build, folder, behind.port, port), lambda: nginx(folder, behind.port, port), lambda: haproxy(folder, behind.port, port)]
            with measure.running(*begin) as servers:
                requests(chosen, folder, servers)
                large_bodies(folder, servers, 3)
            count = min(chosen.websockets, (hard - 600) // 2 - 100)  # each takes two descriptors of the proxy
            with measure.running(*begin) as servers:
                for server in servers:
                    measure.row(f"memory of an idle WebSocket: {server.name}", idle_websockets(server, count), 16 if server.name == OURS else None, unit="KiB", note=f"{count} of them")
        service.kill()


if __name__ == "__main__":
    main()
