#!/usr/bin/env python3
"""HTTP/2 beside h2o, HAProxy and nginx, and TLS beside nginx: requests per second of CPU time, as ratios.

  bench/http2.py [--build build/release] [--rounds 5] [--seconds 1]

Rows: instructions a request by callgrind; HTTP/2 without TLS with 1, 8, 32 and 100 streams on a connection, each server with a log and each without; HTTP/2 and
HTTP/1.1 keep-alive over TLS 1.3, and full TLS 1.3 handshakes (no resumption) with the same key and certificate on both sides.
"""
import functools
import re
import shutil
import socket
import subprocess

import measure

CHAIN = "plimsoll, default chain and log"
BARE = "plimsoll, bare handler"


def handshakes(server, seconds):
    out = subprocess.run(["taskset", "-c", str(measure.LOAD_CORE), "openssl", "s_time", "-connect", f"127.0.0.1:{server.port}", "-new", "-tls1_3",
                          "-time", str(seconds)], capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    return int(re.search(r"(\d+) connections in", out)[1])


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def ask(s, requests, streams):
    """That many requests on one connection, so many streams at once, with heads as h2load sends them: a byte a field."""
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(4, 1, 0) + frame(8, 0, 0, b"\x3f\xff\x00\x00"))
    head = b"\x82\x84\x86\x41\x0e127.0.0.1:8080\x7a\x0dh2load/1.52.0"
    stream, buffer = 1, b""
    while requests > 0:
        left = min(requests, streams) if stream > 1 else 1
        requests -= left
        asked = b""
        for _ in range(left):
            asked += frame(1, 5, stream, head)
            head = b"\x82\x84\x86\xbf\xbe"
            stream += 2
        s.sendall(asked)
        while left:
            buffer += s.recv(65536)
            while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                size = 9 + int.from_bytes(buffer[:3], "big")
                if buffer[3] == 0:
                    assert buffer[9:size] == measure.BODY.encode(), buffer[9:size]
                    left -= 1
                assert buffer[3] not in (3, 7), buffer[:size]
                buffer = buffer[size:]


H2O, HAPROXY = "h2o, a file", "haproxy http-request return"
STREAMS = (1, 8, 32, 100)
TLS_ROWS = [
    ("HTTP/2 over TLS 1.3, 4 of 32 streams", True, lambda s, t: measure.h2load(s, t, "-c4", "-m32"), {CHAIN: None, BARE: None}),
    ("HTTP/1.1 keep-alive over TLS 1.3", False, lambda s, t: measure.h2load(s, t, "-c32", "--h1"), {CHAIN: 0.95, BARE: None}),
    ("full TLS 1.3 handshakes", False, handshakes, {CHAIN: None}),
]


def of_streams(chosen, folder, streams, log):
    """HTTP/2 without TLS: us beside each server whose log is like ours."""
    connections = 16 if streams == 1 else 4
    title = f"HTTP/2, {connections} connections of {streams} streams, {'each with a log' if log else 'no logs'}"
    if chosen.only not in title:
        return
    ours, silent = CHAIN if log else "plimsoll, default chain", "" if log else ", no log"
    begin = [functools.partial(measure.chain, chosen.build, folder, http2=True, name=ours, contract=measure.HELLO if log else measure.SILENT)]
    begin += [functools.partial(start, folder, http2=True, log=log) for start in (measure.h2o, measure.haproxy, measure.nginx)]
    targets = {(ours, H2O + silent): 1.2 if log else 1.0, (ours, HAPROXY + silent): None, (ours, measure.NGINX if log else measure.NGINX_SILENT): None}
    measure.compare(title, begin, lambda server, seconds: measure.h2load(server, seconds, f"-c{connections}", f"-m{streams}"), chosen.rounds, chosen.seconds, targets)


def main():
    parser = measure.options(__doc__, rounds=5)
    parser.add_argument("--only", default="", help="rows whose title contains this")
    chosen = measure.chosen(parser)
    measure.needs("h2load", "curl", "openssl")
    with measure.a_folder() as folder:
        for streams in (1, 32):
            for name, server in (("bare handler", "bare_server"), ("default chain and log", "chain_server")):
                title = f"instructions a request, HTTP/2, {streams} streams, {name}"
                if chosen.only in title and shutil.which("valgrind"):
                    measure.row(title, measure.instructions(chosen.build, server, folder, functools.partial(ask, streams=streams)), counted=True)
        for streams in STREAMS:
            for log in (True, False):
                of_streams(chosen, folder, streams, log)
        for title, http2, load, targets in TLS_ROWS:
            if chosen.only not in title:
                continue
            begin = [functools.partial(measure.chain, chosen.build, folder, tls=True, http2=http2)]
            if BARE in targets:
                begin.append(functools.partial(measure.bare, chosen.build, folder, tls=True, http2=http2))
            begin.append(functools.partial(measure.nginx, folder, tls=True, http2=http2))
            found = measure.compare(title, begin, load, chosen.rounds, chosen.seconds, targets)
            if load is handshakes:
                print("  handshakes a CPU-second: " + ", ".join(f"{name} {sorted(values)[len(values) // 2]:,.0f}" for name, values in found.items()))


if __name__ == "__main__":
    main()
