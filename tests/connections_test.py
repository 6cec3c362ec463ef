"""Connections that are not accepted are counted and logged; proxies bring many clients; clients that leave are no errors of the server."""
import socket
import struct
import subprocess

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Connections, version: '1'}
security: []
x-plimsoll: {rate-limit: off, authorization: any-caller}
paths:
  /items: {get: {operationId: list, x-plimsoll: {mock: {}}, responses: {'200': {description: ok, content: {application/json: {example: {a: 1}}}}}}}
"""
GET = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"


class Connections(harness.ServerTest):
    def lines(self, server, count, data=GET):
        """How many of so many connections are answered."""
        opened = []
        for _ in range(count):
            line = socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE)
            self.addCleanup(line.close)
            opened.append(line)
        answered = 0
        for line in opened:
            try:
                line.sendall(data)
                answered += line.recv(4096).startswith(b"HTTP/1.1 200")
            except OSError:
                pass
        return answered

    @staticmethod
    def rejected(server, reason):
        return server.metrics().get(f'plimsoll_connections_rejected_total{{reason="{reason}"}}')

    def events(self, server, reason):
        return [line for line in server.logged() if line.get("event", line.get("message")) == "connection-rejected" and line.get("reason") == reason]

    def test_connections_of_a_trusted_proxy_do_not_count_against_those_of_one_address(self):
        limits = "threads: 1\nlimits: {connections: 60, connections-per-address: 10}\n"
        strangers = self.serve(CONTRACT, limits)
        self.assertEqual(self.lines(strangers, 30), 10)
        proxy = self.serve(CONTRACT, limits + "trusted-proxies: [127.0.0.1]\n")
        self.assertEqual(self.lines(proxy, 30), 30)
        self.assertEqual(self.lines(proxy, 60), 30, "the limit of all connections holds for it as well")

    def test_rejected_connections_are_counted_and_logged_once_for_many(self):
        server = self.serve(CONTRACT, "threads: 1\nlimits: {connections: 40, connections-per-address: 25}\n")
        self.assertEqual(self.rejected(server, "address"), 0)
        answered = self.lines(server, 100)
        self.assertLessEqual(answered, 25)
        self.assertEqual(self.rejected(server, "address"), 100 - answered)
        told = harness.until(lambda: self.events(server, "address"), server.describe)
        self.assertEqual(len(told), 1)
        self.assertIn("connections-per-address", told[0]["remedy"])

    def test_connections_for_which_no_descriptor_is_left_are_counted_and_logged(self):
        server = self.serve(CONTRACT, "threads: 1\n")
        subprocess.run(["prlimit", "--pid", str(server.pid), "--nofile=5:"], check=True)
        line = socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE)
        self.addCleanup(line.close)
        harness.until(lambda: self.events(server, "descriptors"), server.describe)
        subprocess.run(["prlimit", "--pid", str(server.pid), "--nofile=1000:"], check=True)
        self.assertGreaterEqual(self.rejected(server, "descriptors"), 1)
        line.sendall(GET)
        self.assertTrue(line.recv(4096).startswith(b"HTTP/1.1 200"), "it waited, and is served now")

    def test_too_few_descriptors_for_the_connections_stop_the_start_with_the_remedy(self):
        server = self.server(CONTRACT, "threads: 1\nlimits: {connections: 5000}\n")
        server.arguments = ["prlimit", "--nofile=1024:1024", "--", *server.arguments]
        harness.Process.start(server)
        self.assertEqual(server.wait(), 2, server.describe())
        for word in ("connections", "5000", "1024", "ulimit -n"):
            self.assertIn(word, server.output)
        fits = self.server(CONTRACT, "threads: 1\nlimits: {connections: 500}\n")
        fits.arguments = ["prlimit", "--nofile=1024:1024", "--", *fits.arguments]
        fits.start()

    def test_limits_that_allow_no_connection_are_refused_at_the_start(self):
        for wrong in ("connections: -5", "connections-per-address: 0", "requests-per-connection: 0"):
            self.assertIn(wrong.split(":")[0], self.refused(CONTRACT, f"limits: {{{wrong}}}\n"))

    def test_a_client_that_leaves_before_its_answer_is_logged_as_499_and_not_as_an_error(self):
        silent = socket.create_server(("127.0.0.1", 0))  # takes the call and never answers
        self.addCleanup(silent.close)
        folder = self.directory()
        (folder / "contract.yaml").write_text(CONTRACT.replace("x-plimsoll: {mock: {}}, ", ""))
        server = harness.Server(folder / "contract.yaml", folder, verb=("mock",), arguments=("--upstream", f"http://127.0.0.1:{silent.getsockname()[1]}"))
        self.addCleanup(self._end, server)
        server.start()
        for reset in (False, True):
            line = socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE)
            line.sendall(b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n")
            harness.until(lambda: any(value == 1 for name, value in server.metrics().items() if name.startswith("http_server_active_requests") and "/items" in name), server.describe)
            if reset:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.close()
            harness.until(lambda: not any(value for name, value in server.metrics().items() if name.startswith("http_server_active_requests") and "/items" in name), server.describe)
        told = harness.until(lambda: (lambda found: found if len(found) == 2 else None)([line for line in server.logged() if line.get("path") == "/items"]), server.describe)
        for line in told:
            self.assertEqual(line["status"], 499)
            self.assertEqual(line["problem"], "client-gone")
            self.assertNotEqual(line["level"], "error")
        self.assertFalse([name for name, value in server.metrics().items() if 'status_code="5' in name and "/items" in name and value], "no 5xx is counted")


if __name__ == "__main__":
    harness.main()
