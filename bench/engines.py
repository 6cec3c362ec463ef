#!/usr/bin/env python3
"""A tiny JSON GET in requests per second of CPU time, us beside nginx, haproxy, h2o and Fastify, as ratios to nginx; each with a log (of
nginx and of us buffered), or none of a pair.

  bench/engines.py [--build build/release] [--rounds 5] [--seconds 1] [--connections 64]

Each server has one thread on one core, the load (wrk) another. Where callgrind is installed, instructions a request are counted too: they
repeat exactly.
"""
import functools
import shutil

import measure


def ask(s, requests):
    """That many requests on one connection, one after another."""
    request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: wrk/4.1.0\r\nAccept: */*\r\n\r\n"
    for _ in range(requests):
        s.sendall(request)
        answer = b""
        while not answer.endswith(measure.BODY.encode()):
            answer += s.recv(4096)


def main():
    parser = measure.options(__doc__)
    parser.add_argument("--no-callgrind", action="store_true")
    chosen = measure.chosen(parser)
    measure.needs("wrk", "curl")
    with measure.a_folder() as folder:
        with_log, without = "plimsoll, default chain and log", "plimsoll, default chain, no log"
        begin = [functools.partial(measure.bare, chosen.build, folder), functools.partial(measure.chain, chosen.build, folder),
                 functools.partial(measure.chain, chosen.build, folder, contract=measure.SILENT, name=without),
                 functools.partial(measure.nginx, folder), functools.partial(measure.nginx, folder, log=False),
                 functools.partial(measure.haproxy, folder), functools.partial(measure.h2o, folder), functools.partial(measure.fastify, folder)]
        measure.compare("tiny GET", begin, lambda server, seconds: measure.wrk(server, seconds, chosen.connections), chosen.rounds, chosen.seconds,
                        {("plimsoll, bare handler", measure.NGINX_SILENT): 1.1, with_log: 1.0, (without, measure.NGINX_SILENT): 1.0,
                         "haproxy http-request return": None, "h2o, a file": None, "Fastify": None})
        for name, server, target in (("bare handler", "bare_server", None), ("default chain and log", "chain_server", 8500)):
            if chosen.no_callgrind or not shutil.which("valgrind"):
                measure.missing(f"instructions a request, {name}", "without callgrind")
            else:
                measure.row(f"instructions a request, {name}", measure.instructions(chosen.build, server, folder, ask), target, counted=True)


if __name__ == "__main__":
    main()
