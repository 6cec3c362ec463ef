"""Where a server listens: IPv4 and IPv6, a Unix socket, a socket that the service manager holds; each asked with real connections."""
import signal
import socket
import subprocess
import sys

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Listeners, version: "1"}
paths:
  /hello:
    get:
      operationId: hello
      x-plimsoll: {mock: true}
      responses:
        "200": {description: ok, content: {application/json: {schema: {const: hello}}}}
"""
GET = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def ask(family, address, patience=10):
    """All that comes back for one request, or nothing when nobody listens."""
    received = b""
    with socket.socket(family) as line:
        line.settimeout(patience)
        try:
            line.connect(address)
            line.sendall(GET)
            while piece := line.recv(65536):
                received += piece
        except OSError:
            pass
    return received


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class Listeners(harness.ServerTest):
    def listening(self, *listen, directory=None, wrap=(), environment=None):
        """The program on these addresses; ended with the test."""
        directory = directory or self.directory()
        (directory / "contract.yaml").write_text(CONTRACT)
        (directory / "deployment.yaml").write_text("limits: {start-patience: 0s}\n")  # what may pass by itself is waited for otherwise
        arguments = [harness.program(), "serve", directory / "contract.yaml", "--config", directory / "deployment.yaml", "--management", "off"]
        for address in listen:
            arguments += ["--listen", address]
        return self.process([*wrap, *arguments], directory, environment, name="plimsoll")

    def answered(self, process, family, address):
        def asked():
            self.assertTrue(process.alive, process.describe())
            return ask(family, address)

        answer = harness.until(asked, lambda: f"an answer at {address}: {process.describe()}")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertTrue(answer.endswith(b'"hello"'), answer)

    def test_several_addresses_are_served_at_once(self):
        if not has_ipv6():
            self.skipTest("this machine has no IPv6")
        directory, four, six = self.directory(), self.port(), self.port()
        path = directory / "s.sock"
        process = self.listening(f"127.0.0.1:{four}", f"[::1]:{six}", f"unix:{path}", directory=directory)
        self.answered(process, socket.AF_INET, ("127.0.0.1", four))
        self.answered(process, socket.AF_INET6, ("::1", six))
        self.answered(process, socket.AF_UNIX, str(path))
        # each at its own address only
        self.assertEqual(ask(socket.AF_INET, ("127.0.0.1", six)), b"")

    def test_no_address_means_all_of_both_families(self):
        if not has_ipv6():
            self.skipTest("this machine has no IPv6")
        port = self.port()
        process = self.listening(f":{port}")
        self.answered(process, socket.AF_INET, ("127.0.0.1", port))
        self.answered(process, socket.AF_INET6, ("::1", port))

    def test_a_unix_socket_that_a_killed_process_left_is_replaced(self):
        directory = self.directory()
        path = directory / "s.sock"
        first = self.listening(f"unix:{path}", directory=directory)
        self.answered(first, socket.AF_UNIX, str(path))
        first.kill()
        self.assertTrue(path.is_socket(), "a killed process cannot tidy up")
        second = self.listening(f"unix:{path}", directory=directory)
        self.answered(second, socket.AF_UNIX, str(path))

    def test_a_unix_socket_that_is_answered_is_left_alone(self):
        directory = self.directory()
        path = directory / "s.sock"
        first = self.listening(f"unix:{path}", directory=directory)
        self.answered(first, socket.AF_UNIX, str(path))
        second = self.listening(f"unix:{path}", directory=directory)
        self.assertEqual(second.wait(), 75)  # it may end by itself: the start has waited for that
        self.assertIn("another process listens there", second.output)
        self.answered(first, socket.AF_UNIX, str(path))

    def test_a_file_in_the_way_of_a_unix_socket_is_kept(self):
        directory = self.directory()
        path = directory / "precious"
        path.write_text("data")
        process = self.listening(f"unix:{path}", directory=directory)
        self.assertEqual(process.wait(), 2)
        self.assertIn("a file that is no socket is in the way", process.output)
        self.assertEqual(path.read_text(), "data")

    def test_a_unix_socket_is_gone_after_an_orderly_end(self):
        directory = self.directory()
        path = directory / "s.sock"
        process = self.listening(f"unix:{path}", directory=directory)
        self.answered(process, socket.AF_UNIX, str(path))
        self.assertEqual(process.stop(), 0, process.describe())
        self.assertFalse(path.exists())

    def test_a_socket_of_the_service_manager_outlives_the_process(self):
        """The listening socket stays with who made it: what connects between two processes waits for the second, and is served."""
        with socket.create_server(("127.0.0.1", 0)) as held, socket.create_server(("127.0.0.1", 0)) as other:
            # As a service manager does: descriptors from 3 on, named, and the pid of who is to take them.
            activate = (
                "import os, sys\n"
                f"os.dup2({other.fileno()}, 100); os.dup2({held.fileno()}, 101); os.dup2(100, 3); os.dup2(101, 4)\n"
                "os.set_inheritable(3, True); os.set_inheritable(4, True)\n"
                "os.environ.update(LISTEN_FDS='2', LISTEN_FDNAMES='other:api', LISTEN_PID=str(os.getpid()))\n"
                "os.execv(sys.argv[1], sys.argv[1:])\n")
            address = held.getsockname()

            def started():
                directory = self.directory()
                (directory / "contract.yaml").write_text(CONTRACT)
                arguments = [sys.executable, "-c", activate, harness.program(), "serve", directory / "contract.yaml", "--management", "off",
                             "--listen", "systemd:api"]
                log = open(directory / "log", "w+")
                self.addCleanup(log.close)
                process = subprocess.Popen([str(one) for one in arguments], cwd=directory, stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=subprocess.STDOUT, pass_fds=[held.fileno(), other.fileno()])
                self.addCleanup(process.wait)
                self.addCleanup(process.kill)
                return process

            def served(answer):
                self.assertTrue(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b'"hello"'), answer)

            first = started()
            served(ask(socket.AF_INET, address, harness.PATIENCE))  # waits in the backlog until the process is up
            first.send_signal(signal.SIGTERM)
            self.assertEqual(first.wait(harness.PATIENCE), 0)
            with socket.create_connection(address, timeout=harness.PATIENCE) as waiting:
                waiting.sendall(GET)
                second = started()
                received = b""
                while piece := waiting.recv(65536):
                    received += piece
                served(received)
            second.send_signal(signal.SIGTERM)
            self.assertEqual(second.wait(harness.PATIENCE), 0)

    def test_a_socket_that_was_not_handed_over_is_refused(self):
        for address, said in (("systemd", "no socket was inherited (LISTEN_FDS)"), ("systemd:api", "no socket was inherited (LISTEN_FDS)")):
            process = self.listening(address)
            self.assertEqual(process.wait(), 2)
            self.assertIn(said, process.output)

    def test_an_address_that_cannot_be_is_refused_with_what_to_write(self):
        for address, said, status in (("8080", "write ADDRESS:PORT, [IPv6]:PORT or unix:PATH", 2),
                                      ("127.0.0.1:70000", "the port is not a number from 0 to 65535", 2),
                                      ("unix:" + "x" * 200, "the path is empty or too long", 2),
                                      ("192.0.2.1:80", "192.0.2.1:80", 75)):  # an address may come up later
            process = self.listening(address)
            self.assertEqual(process.wait(), status, process.describe())
            self.assertIn(said, process.output)


if __name__ == "__main__":
    harness.main()
