#!/usr/bin/env python3
"""Latency at equal load: every server is asked at the same constant rate, half of what the slowest of the native ones can answer (Fastify,
which cannot answer that many, at half of what it can itself), and each answer is timed from the instant at which its request was due.

  bench/latency.py [--build build/release] [--rounds 3] [--seconds 2] [--connections 64] [--rate 0]
"""
import functools
import json
import statistics
import subprocess

import measure


def steady(build, server, rate, seconds, connections):
    done = subprocess.run(["taskset", "-c", str(measure.LOAD_CORE), build / "bin/steady_load", str(server.port), server.target, str(connections),
                           str(int(rate)), str(seconds)], capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise SystemExit(f"{server.name} at {rate:.0f}/s: {done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = measure.options(__doc__, rounds=3, seconds=2)
    parser.add_argument("--rate", type=int, default=0, help="requests a second; 0: half of the slowest's capacity")
    chosen = measure.chosen(parser)
    measure.needs("wrk", "curl")
    with measure.a_folder() as folder:
        begin = [functools.partial(measure.chain, chosen.build, folder), functools.partial(measure.bare, chosen.build, folder), functools.partial(measure.nginx, folder),
                 functools.partial(measure.haproxy, folder), functools.partial(measure.h2o, folder), functools.partial(measure.fastify, folder)]
        with measure.running(*begin) as servers:
            capacity = {server.name: max(measure.wrk(server, 1, chosen.connections) for _ in range(2)) for server in servers}
            native = [count for name, count in capacity.items() if name != "Fastify"]
            rates = {name: chosen.rate or (count if name == "Fastify" else min(native)) / 2 for name, count in capacity.items()}
            found = {server.name: [] for server in servers}
            for _ in range(chosen.rounds):
                for server in servers:
                    found[server.name].append(steady(chosen.build, server, rates[server.name], chosen.seconds, chosen.connections))
    print(f"tiny GET at a constant rate, {chosen.connections} connections, {chosen.rounds} rounds of {chosen.seconds} s; µs from when a request was due (median of rounds)")
    print(f"  {'':34} {'capacity/s':>11} {'asked/s':>9} {'p50':>9} {'p90':>9} {'p99':>9} {'p99.9':>9}")
    for name, rounds in found.items():
        middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        print(f"  {name:34} {capacity[name]:11,.0f} {middle['rate']:9,.0f} {middle['p50']:9,.0f} {middle['p90']:9,.0f} {middle['p99']:9,.0f} {middle['p999']:9,.0f}")
    for name, rounds in found.items():
        values = [one["p99"] for one in rounds]
        measure.row(f"p99 at {rates[name]:,.0f} requests/s: {name}", statistics.median(values), low=min(values), high=max(values), unit="µs",
                    note=f"p50 {statistics.median(one['p50'] for one in rounds):,.0f} µs")


if __name__ == "__main__":
    main()
