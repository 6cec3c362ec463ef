#!/usr/bin/env python3
"""HTTP/2 and TLS beside nginx: requests per second of CPU time, as ratios.

  bench/http2.py [--build build/release] [--rounds 5] [--seconds 1]

Rows: HTTP/2 in clear and over TLS with one and with 32 streams on a connection, HTTP/1.1 keep-alive over TLS 1.3, and full TLS 1.3
handshakes (no resumption) with the same key and certificate on both sides.
"""
import functools
import re
import subprocess

import measure

CHAIN = "plimsoll, default chain and log"
BARE = "plimsoll, bare handler"


def handshakes(server, seconds):
    out = subprocess.run(["taskset", "-c", str(measure.LOAD_CORE), "openssl", "s_time", "-connect", f"127.0.0.1:{server.port}", "-new", "-tls1_3",
                          "-time", str(seconds)], capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    return int(re.search(r"(\d+) connections in", out)[1])


ROWS = [
    ("HTTP/2, 16 connections of 1 stream", False, True, lambda s, t: measure.h2load(s, t, "-c16", "-m1"), {CHAIN: 1.3, BARE: None}),
    ("HTTP/2, 4 connections of 32 streams", False, True, lambda s, t: measure.h2load(s, t, "-c4", "-m32"), {CHAIN: 4, BARE: None}),
    ("HTTP/2 over TLS 1.3, 4 of 32 streams", True, True, lambda s, t: measure.h2load(s, t, "-c4", "-m32"), {CHAIN: None, BARE: None}),
    ("HTTP/1.1 keep-alive over TLS 1.3", True, False, lambda s, t: measure.h2load(s, t, "-c32", "--h1"), {CHAIN: 0.95, BARE: None}),
    ("full TLS 1.3 handshakes", True, False, handshakes, {CHAIN: None}),
]


def main():
    parser = measure.options(__doc__)
    parser.add_argument("--only", default="", help="rows whose title contains this")
    chosen = measure.chosen(parser)
    measure.needs("h2load", "curl", "openssl")
    with measure.a_folder() as folder:
        for title, tls, http2, load, targets in ROWS:
            if chosen.only not in title:
                continue
            begin = [functools.partial(measure.chain, chosen.build, folder, tls=tls, http2=http2)]
            if BARE in targets:
                begin.append(functools.partial(measure.bare, chosen.build, folder, tls=tls, http2=http2))
            begin.append(functools.partial(measure.nginx, folder, tls=tls, http2=http2))
            found = measure.compare(title, begin, load, chosen.rounds, chosen.seconds, targets)
            if load is handshakes:
                print("  handshakes a CPU-second: " + ", ".join(f"{name} {sorted(values)[len(values) // 2]:,.0f}" for name, values in found.items()))


if __name__ == "__main__":
    main()
