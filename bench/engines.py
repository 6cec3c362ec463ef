#!/usr/bin/env python3
"""Requests per second of CPU time, us beside nginx, haproxy and h2o, as ratios to nginx.

  bench/engines.py [--build build/release] [--rounds 5] [--seconds 2] [--connections 64]

Each server has one thread on one core, the load (wrk) another. Rounds are interleaved, so that whatever else the machine
does falls on all alike; the figure is the median over rounds of requests divided by the server's own utime + stime.
Where callgrind is installed, instructions a request are printed too: they repeat exactly.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BODY = '{"message":"hello"}'
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    """utime + stime of a process and its descendants."""
    total, todo = 0, [pid]
    while todo:
        p = todo.pop()
        try:
            fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
            for task in pathlib.Path(f"/proc/{p}/task").iterdir():
                todo += [int(c) for c in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total / TICK


class Server:
    def __init__(self, name, command, port, cpu):
        self.name, self.port = name, port
        self.process = subprocess.Popen(["taskset", "-c", str(cpu)] + command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 10
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as s:
                    s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    answer = b""
                    while piece := s.recv(4096):
                        answer += piece
                    if b" 200 " in answer and BODY.encode() in answer:
                        return
                    raise SystemExit(f"{name} answers {answer[:300]!r}")
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise SystemExit(f"{name} does not start: {' '.join(command)}")
                time.sleep(0.05)

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            self.process.kill()


def contenders(build, folder, cpu):
    port = free_port()
    yield Server("plimsoll, bare handler", [str(build / "bin/bare_server"), f"127.0.0.1:{port}", "1"], port, cpu)
    port = free_port()
    log = folder / "chain.log"  # a line for each request into a file, as nginx writes it
    yield Server("plimsoll, default chain and log", ["sh", "-c", f"exec {build}/bin/chain_server 127.0.0.1:{port} 1 2>{log}"], port, cpu)
    if shutil.which("nginx"):
        for name, log in (("nginx return 200", f"{folder}/access.log"), ("nginx, access log off", "off")):
            port = free_port()
            conf = folder / f"nginx{port}.conf"
            conf.write_text(f"""daemon off; worker_processes 1; pid {folder}/nginx{port}.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log {log}; keepalive_requests 1000000000; default_type application/json;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{BODY}'; }} }} }}
""")
            yield Server(name, ["nginx", "-c", str(conf), "-p", str(folder), "-e", f"{folder}/error.log"], port, cpu)
    if shutil.which("haproxy"):
        port = free_port()
        conf = folder / "haproxy.cfg"
        escaped = BODY.replace('"', '\\"')
        conf.write_text(f"""global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout client 60s
  timeout http-keep-alive 60s
frontend f
  bind 127.0.0.1:{port}
  http-request return status 200 content-type application/json string "{escaped}"
""")
        yield Server("haproxy http-request return", ["haproxy", "-f", str(conf), "-db"], port, cpu)
    if shutil.which("h2o"):
        port = free_port()
        (folder / "www").mkdir()
        (folder / "www/index.html").write_text(BODY)
        conf = folder / "h2o.conf"
        conf.write_text(f"""num-threads: 1
listen: {{host: 127.0.0.1, port: {port}}}
hosts:
  default:
    paths:
      /:
        file.dir: {folder}/www
""")
        yield Server("h2o, a file", ["h2o", "-m", "worker", "-c", str(conf)], port, cpu)


def load(port, seconds, connections, cpu):
    out = subprocess.run(["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                          f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", out)[1])
    errors = re.search(r"Socket errors:.*|Non-2xx.*", out)
    if errors:
        raise SystemExit(f"port {port}: {errors[0]}")
    quantiles = dict(re.findall(r"^\s+(\d+)%\s+(\S+)", out, re.M))
    return requests, quantiles


def instructions(build, server, count=4000):
    """Instructions in user space a request, by callgrind: the difference of two runs, so that the start costs nothing."""
    if not shutil.which("valgrind"):
        return None
    totals = []
    for requests in (1000, 1000 + count):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.Popen(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", f"--log-file={folder}/said",
                                        str(build / "bin" / server), f"127.0.0.1:{port}", "1"],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            process.stdout.readline()
            with socket.create_connection(("127.0.0.1", port), 30) as s:
                s.settimeout(60)
                request = (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: wrk/4.1.0\r\nAccept: */*\r\n\r\n")
                for _ in range(requests):
                    s.sendall(request)
                    answer = b""
                    while not answer.endswith(BODY.encode()):
                        answer += s.recv(4096)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            totals.append(int(re.search(r"Collected : (\d+)", pathlib.Path(f"{folder}/said").read_text())[1]))
    return (totals[1] - totals[0]) / count


def default_build():
    program = os.environ.get("PLIMSOLL")
    return str(pathlib.Path(program).resolve().parent.parent) if program else "build/release"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", default=default_build())
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=2)
    options.add_argument("--connections", type=int, default=64)
    options.add_argument("--no-callgrind", action="store_true")
    chosen = options.parse_args()
    build = (ROOT / chosen.build).resolve()
    if not shutil.which("wrk"):
        raise SystemExit("bench/engines.py: wrk is not installed; scripts/install-dependencies bench")
    cores = sorted(os.sched_getaffinity(0))
    server_cpu, load_cpu = cores[0], cores[-1]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        servers = []
        try:
            for server in contenders(build, pathlib.Path(folder), server_cpu):
                servers.append(server)
            per_cpu = {s.name: [] for s in servers}
            rates, latency = {s.name: [] for s in servers}, {}
            for round_number in range(chosen.rounds + 1):
                for server in servers:
                    before = cpu_seconds(server.process.pid)
                    requests, quantiles = load(server.port, chosen.seconds if round_number else 1, chosen.connections, load_cpu)
                    spent = cpu_seconds(server.process.pid) - before
                    if round_number:  # the first is for warming up
                        per_cpu[server.name].append(requests / max(spent, 1 / TICK))
                        rates[server.name].append(requests / chosen.seconds)
                        latency[server.name] = quantiles
        finally:
            for server in servers:
                server.stop()
    reference = statistics.median(per_cpu.get("nginx return 200") or [float("nan")])
    print(f"tiny JSON GET, {chosen.connections} keep-alive connections, {chosen.rounds} rounds of {chosen.seconds} s, load on core "
          f"{load_cpu}, server on core {server_cpu}")
    print(f"{'':32} {'ratio':>6} {'requests per CPU-second':>24} {'spread':>7} {'per second':>11} {'p50':>9} {'p99':>9}")
    for name, values in per_cpu.items():
        middle = statistics.median(values)
        spread = (max(values) - min(values)) / middle
        print(f"{name:32} {middle / reference:6.2f} {middle:24.0f} {spread:7.0%} {statistics.median(rates[name]):11.0f} "
              f"{latency[name].get('50', '?'):>9} {latency[name].get('99', '?'):>9}")
    if not chosen.no_callgrind:
        for name, server in (("bare handler", "bare_server"), ("default chain and log", "chain_server")):
            if count := instructions(build, server):
                print(f"instructions a request in user space, {name} (callgrind): {count:.0f}")


if __name__ == "__main__":
    main()
