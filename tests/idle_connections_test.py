"""Ten thousand idle keep-alive connections beside the traffic: what a request costs the server then, and without them.

Two servers take turns with the same requests; ten thousand clients, in processes of their own, sit on one of them. CPU time is compared,
not the clock, in many short rounds, of which the quickest quarter counts: what else the machine does only ever adds to it.
"""
import os
import pathlib
import resource
import select
import socket
import statistics
import subprocess
import sys
import time
import unittest

import harness

IDLE = 10_000
PROCESSES = 4
REQUESTS = 960
BUSY = 16
ROUNDS = 32
GET = b"GET /hello HTTP/1.1\r\nHost: a\r\nUser-Agent: idle/1\r\nAccept: */*\r\n\r\n"
END = b'{"message":"hello"}'

CONTRACT = """openapi: 3.1.0
info: {title: Idle, version: '1'}
paths:
  /hello:
    get:
      operationId: hello
      security: []
      x-plimsoll: {mock: {}, rate-limit: off}
      responses: {'200': {description: hello, content: {application/json: {schema: {type: object}, example: {message: hello}}}}}
"""
CONFIG = f"""threads: 1
limits: {{connections: {2 * IDLE}, connections-per-address: {2 * IDLE}, idle: 30m, lifetime: 1h}}
"""

# Opens its connections, asks once on each, says so, and holds them until its input ends.
HOLDER = """
import resource, socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
for _ in range(count):
    s = socket.create_connection(("127.0.0.1", port), 60)
    s.sendall(%r)
    answer = b""
    while not answer.endswith(%r):
        piece = s.recv(4096)
        assert piece, answer
        answer += piece
    held.append(s)
print("ready", flush=True)
sys.stdin.read()
""" % (GET, END)


def cpu_seconds(pid):
    """Of all threads; to the nanosecond where the kernel tells."""
    precise = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        schedstat = task / "schedstat"
        if schedstat.exists():
            precise += int(schedstat.read_text().split()[0])
    if precise:
        return precise / 1e9
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def pin(pid, core):
    """All threads of a process to one core: a request costs another sum where its client shares the core than where it does not."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


class Traffic:
    """Some connections that are busy, again and again the same ones."""

    def __init__(self, port):
        self.lines = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(BUSY)]
        for line in self.lines:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, requests):
        for _ in range(requests // BUSY):
            for line in self.lines:
                line.sendall(GET)
            for line in self.lines:
                answer = b""
                while not answer.endswith(END):
                    piece = line.recv(65536)
                    if not piece:
                        raise AssertionError(f"closed after {answer[:200]!r}")
                    answer += piece

    def close(self):
        for line in self.lines:
            line.close()


class IdleConnections(harness.ServerTest):
    def hold(self, server):
        holders = [subprocess.Popen([sys.executable, "-c", HOLDER, str(server.port), str(IDLE // PROCESSES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    text=True) for _ in range(PROCESSES)]
        for holder in holders:
            self.addCleanup(holder.stdout.close)
            self.addCleanup(holder.wait)
            self.addCleanup(holder.kill)
            self.addCleanup(holder.stdin.close)
        for holder in holders:
            self.assertEqual(holder.stdout.readline(), "ready\n", "a process of idle clients has failed")
        return holders

    def test_ten_thousand_idle_connections_cost_the_traffic_beside_them_nothing(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < IDLE + 500:
            self.skipTest(f"{IDLE} connections need as many descriptors; {hard} are allowed here (ulimit -Hn)")
        alone, crowded = self.serve(CONTRACT, CONFIG), self.serve(CONTRACT, CONFIG)
        holders = self.hold(crowded)
        descriptors = len(list(pathlib.Path(f"/proc/{crowded.pid}/fd").iterdir()))
        self.assertGreaterEqual(descriptors, IDLE)
        cores = sorted(os.sched_getaffinity(0))
        for server in (alone, crowded):
            pin(server.pid, cores[0])
        pin(os.getpid(), cores[-1])
        self.addCleanup(os.sched_setaffinity, 0, set(cores))
        traffic = {server: Traffic(server.port) for server in (alone, crowded)}
        for one in traffic.values():
            self.addCleanup(one.close)
            one.ask(3 * REQUESTS)  # warm

        def cost(server):
            before = cpu_seconds(server.pid)
            traffic[server].ask(REQUESTS)
            return (cpu_seconds(server.pid) - before) / REQUESTS

        found = {alone: [], crowded: []}
        for number in range(ROUNDS):
            for server in (alone, crowded) if number % 2 else (crowded, alone):
                found[server].append(cost(server))
        quick = {server: statistics.mean(sorted(costs)[:ROUNDS // 4]) for server, costs in found.items()}
        ratio = quick[crowded] / quick[alone]
        self.assertTrue(all(holder.poll() is None for holder in holders))
        self.assertGreaterEqual(len(list(pathlib.Path(f"/proc/{crowded.pid}/fd").iterdir())), IDLE, "they must still be there")
        print(f"CPU of a request beside {IDLE} idle connections: {quick[crowded] * 1e6:.1f} µs, without {quick[alone] * 1e6:.1f} µs, {ratio:.2f} times")
        self.assertLessEqual(ratio, 1.2)

    def test_a_server_that_nobody_asks_hardly_wakes(self):
        """Timers are waited for, not looked at: a server with nothing to do sleeps until something is due."""
        server = self.serve(CONTRACT, CONFIG)

        def switches():
            return sum(int(line.split()[1]) for task in pathlib.Path(f"/proc/{server.pid}/task").iterdir()
                       for line in (task / "status").read_text().splitlines() if line.startswith("voluntary_ctxt_switches"))

        server.get("/hello")
        line = server.connection()
        self.addCleanup(line.close)
        server.request("GET", "/hello", connection=line)  # one idle connection
        before, began = switches(), time.monotonic()
        # Not a wait to be right: the longer this process is kept from looking, the more it would see.
        select.select([line.sock], [], [], 2)
        a_second = (switches() - before) / (time.monotonic() - began)
        print(f"a server that nobody asks wakes {a_second:.0f} times a second")
        self.assertLess(a_second, 10)


if __name__ == "__main__":
    harness.main()
