#!/usr/bin/env python3
"""HTTP/2 and TLS beside nginx: requests per second of CPU time, as ratios.

  bench/http2.py [--build build/release] [--rounds 5] [--seconds 2]

Rows: HTTP/2 in clear with one and with 32 streams on a connection, HTTP/1.1 keep-alive over TLS 1.3, and full TLS 1.3 handshakes.
Each server has one thread on one core; the load (h2load, openssl s_time) has the other. Rounds are interleaved; the figure is the
median over rounds of requests divided by the server's own utime + stime.
"""
import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from engines import BODY, TICK, cpu_seconds, default_build, free_port  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent


def start(name, command, port, cpu, scheme):
    process = subprocess.Popen(["taskset", "-c", str(cpu), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        done = subprocess.run(["curl", "-sk", "-m", "2", "--http2" if scheme == "https" else "--http2-prior-knowledge",
                               f"{scheme}://127.0.0.1:{port}/"], capture_output=True, text=True)
        if done.stdout == BODY:
            return process
    process.kill()
    raise SystemExit(f"{name} does not answer: {' '.join(command)}")


def servers(build, folder, scheme, cpu):
    crt, key = folder / "tls.crt", folder / "tls.key"
    if not crt.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                        "-out", crt, "-days", "3", "-subj", "/CN=localhost"], check=True, capture_output=True)
    tls = [str(crt), str(key)] if scheme == "https" else []
    port = free_port()
    yield "plimsoll, bare handler", start("plimsoll", [str(build / "bin/bare_server"), f"127.0.0.1:{port}", "1", "{}", *tls], port, cpu, scheme), port
    port = free_port()
    secure = f"listen 127.0.0.1:{port} ssl http2; ssl_certificate {crt}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
    conf = folder / f"nginx{port}.conf"
    conf.write_text(f"""daemon off; worker_processes 1; pid {folder}/nginx{port}.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log {folder}/access.log; keepalive_requests 1000000000; default_type application/json; http2_max_concurrent_streams 128;
  server {{ {secure if tls else f"listen 127.0.0.1:{port} http2;"} location / {{ return 200 '{BODY}'; }} }} }}
""")
    yield "nginx return 200", start("nginx", ["nginx", "-c", str(conf), "-p", str(folder), "-e", f"{folder}/error.log"], port, cpu, scheme), port


def h2load(port, seconds, cpu, scheme, *more):
    out = subprocess.run(["taskset", "-c", str(cpu), "h2load", "-t1", f"-D{seconds}", *more, f"{scheme}://127.0.0.1:{port}/"],
                         capture_output=True, text=True, check=True).stdout
    if "0 failed, 0 errored, 0 timeout" not in out:
        raise SystemExit(f"h2load: {out}")
    return int(re.search(r"(\d+) succeeded", out)[1])


def handshakes(port, seconds, cpu, scheme):
    out = subprocess.run(["taskset", "-c", str(cpu), "openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-tls1_3", "-time", str(seconds)],
                         capture_output=True, text=True, check=True).stdout
    return int(re.search(r"(\d+) connections in", out)[1])


ROWS = [
    ("HTTP/2 in clear, 16 connections of 1 stream", "http", lambda p, s, c: h2load(p, s, c, "http", "-c16", "-m1")),
    ("HTTP/2 in clear, 4 connections of 32 streams", "http", lambda p, s, c: h2load(p, s, c, "http", "-c4", "-m32")),
    ("HTTP/2 over TLS 1.3, 4 connections of 32 streams", "https", lambda p, s, c: h2load(p, s, c, "https", "-c4", "-m32")),
    ("HTTP/1.1 over TLS 1.3, 32 keep-alive connections", "https", lambda p, s, c: h2load(p, s, c, "https", "-c32", "--h1")),
    ("full TLS 1.3 handshakes", "https", lambda p, s, c: handshakes(p, s, c, "https")),
]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", default=default_build())
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=2)
    chosen = options.parse_args()
    for needed in ("h2load", "nginx", "curl", "openssl"):
        if not shutil.which(needed):
            raise SystemExit(f"bench/http2.py: {needed} is not installed; scripts/install-dependencies bench")
    build = (ROOT / chosen.build).resolve()
    cores = sorted(os.sched_getaffinity(0))
    print(f"{chosen.rounds} rounds of {chosen.seconds} s, server on core {cores[0]}, load on core {cores[-1]}; per CPU-second of the server")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        for title, scheme, load in ROWS:
            running = list(servers(build, pathlib.Path(folder), scheme, cores[0]))
            per_cpu = {name: [] for name, _, _ in running}
            try:
                for number in range(chosen.rounds + 1):
                    for name, process, port in running:
                        before = cpu_seconds(process.pid)
                        count = load(port, chosen.seconds if number else 1, cores[-1])
                        if number:  # the first is for warming up
                            per_cpu[name].append(count / max(cpu_seconds(process.pid) - before, 1 / TICK))
            finally:
                for _, process, _ in running:
                    process.terminate()
                    process.wait(10)
            ours, theirs = (statistics.median(per_cpu[name]) for name, _, _ in running)
            print(f"{title:50} {ours / theirs:6.2f}   ours {ours:9.0f}   nginx {theirs:9.0f}", flush=True)


if __name__ == "__main__":
    main()
