"""A service that is dead while a thousand connections wait for it: what that takes is bounded, and over when its time is."""
import resource
import select
import socket
import time

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Pages, version: '1'}
x-plimsoll: {authorization: any-caller, rate-limit: off, priority: off, deadline: 60s}
paths:
  /page:
    get: {operationId: getPage, x-plimsoll: {upstream: back}, responses: {'200': {description: ok}}}
"""
CALLS, CONNECTIONS = 800, 1000
KIB = 1 << 10


class DeadUpstream(harness.ServerTest):
    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard != resource.RLIM_INFINITY else 4096, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def silent(self):
        """Its system takes connections, and nothing answers on them."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        return listener.getsockname()[1]

    def black_hole(self):
        """Its system takes no connection: the queue of those that nobody accepts is full."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            line = socket.socket()
            self.addCleanup(line.close)
            line.setblocking(False)
            line.connect_ex(listener.getsockname())
        return listener.getsockname()[1]

    @staticmethod
    def resident(server):
        return harness.memory(server.pid, "RssAnon")

    def calls(self, server):
        return sum(value for name, value in server.metrics().items() if name.startswith("plimsoll_client_target_calls"))

    def wave(self, server):
        """A thousand requests at once: bytes that they take while they wait, and how many of each status there were."""
        before = self.resident(server)
        lines = []
        for _ in range(CONNECTIONS):
            line = socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE)
            line.sendall(f"GET /page HTTP/1.1\r\nHost: {server.address}\r\nConnection: close\r\n\r\n".encode())
            lines.append(line)
        harness.until(lambda: self.calls(server) == CALLS, "as many calls as may be are under way")
        taken = self.resident(server) - before
        statuses, open_lines = {}, {line.fileno(): line for line in lines}
        poll = select.poll()
        for number in open_lines:
            poll.register(number, select.POLLIN)
        until = time.monotonic() + harness.PATIENCE
        while open_lines:
            self.assertLess(time.monotonic(), until, f"{len(open_lines)} are not answered")
            for number, _ in poll.poll(1000):
                line = open_lines.pop(number)
                poll.unregister(number)
                said = line.recv(65536)
                status = int(said.split()[1])
                statuses[status] = statuses.get(status, 0) + 1
                line.close()
        return taken, statuses

    def test_a_thousand_connections_take_bounded_memory_and_all_are_answered(self):
        for kind in (self.silent, self.black_hole):
            with self.subTest(kind.__doc__):
                config = (f"upstreams: {{back: {{targets: ['http://127.0.0.1:{kind()}'], retry: off, breaker: off, concurrency: {CALLS}, timeouts: {{connect: 15s, first-byte: 15s}}}}}}\n"
                          f"threads: 1\nlimits: {{connections-per-address: {CONNECTIONS}}}\n")
                server = self.serve(CONTRACT, config)
                taken, statuses = self.wave(server)
                print(f"{CONNECTIONS} connections take {taken / CONNECTIONS / KIB:.1f} KiB each", flush=True)
                self.assertLess(taken, CONNECTIONS * 48 * KIB)
                self.assertEqual(statuses, {503: CONNECTIONS - CALLS, 504: CALLS})
                harness.until(lambda: self.calls(server) == 0, "no call is under way any more")
                again, statuses = self.wave(server)
                self.assertEqual(statuses, {503: CONNECTIONS - CALLS, 504: CALLS})
                self.assertLess(again, 8 << 20, "what was used before is used again")
                server.stop()


if __name__ == "__main__":
    harness.main()
