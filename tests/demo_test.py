"""`make demo` says where it serves and six commands to try; each of them works."""
import re
import signal
import socket
import subprocess

import harness


class Demo(harness.ServerTest):
    def test_each_command_that_the_demo_prints_works(self):
        harness.needs("curl")
        listen, management = (f"127.0.0.1:{self.port()}" for _ in range(2))
        demo = self.process([harness.ROOT / "scripts/demo"], environment={
            "LISTEN": listen, "MANAGEMENT": management, "PLIMSOLL": harness.program(), "DEMO": self.directory()})
        output = harness.until(lambda: "Ctrl-C ends it." in demo.output and demo.output or (not demo.alive and self.fail(demo.describe())), demo.describe)
        commands = re.findall(r"^  (curl .*)$", output, re.M)
        self.assertEqual(len(commands), 6, output)
        for address in (f"http://{listen}/v1", f"http://{listen}/docs", f"http://{management}/metrics"):
            self.assertIn(address, output)
        answers = [subprocess.run(["bash", "-c", command], cwd=harness.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60).stdout for command in commands]
        expected = ['"name"', '"total"', '"id"', '"/category"', "Leave it at the door.", "http_server_request_duration"]
        for command, answer, part in zip(commands, answers, expected):
            self.assertIn(part, answer, command)

    def test_the_demo_takes_other_ports_where_its_own_are_in_use(self):
        taken = []
        for port in (8080, 9180):  # by this test, unless somebody has them already
            try:
                taken.append(socket.create_server(("127.0.0.1", port)))
                self.addCleanup(taken[-1].close)
            except OSError:
                pass
        demo = self.process([harness.ROOT / "scripts/demo"], environment={"PLIMSOLL": harness.program(), "DEMO": self.directory()})
        output = harness.until(lambda: "Ctrl-C ends it." in demo.output and demo.output or (not demo.alive and self.fail(demo.describe())), demo.describe)
        self.assertRegex(output, r"Port 8080 is in use: the demo takes \d+\.")
        for name, path in (("served at  ", "/products"), ("health at  ", "")):
            address = re.search(rf"{name} +http://(\S+?)(/\S*)$", output, re.M)
            self.assertNotIn(address[1], ("127.0.0.1:8080", "127.0.0.1:9180"))
            self.assertEqual(harness.fetch(address[1], target=address[2] + path).status, 200)
        demo.signal(signal.SIGTERM)
        self.assertEqual(demo.wait(), 0, demo.describe())

    def test_the_demo_ends_when_it_is_told_to(self):
        listen, management = (f"127.0.0.1:{self.port()}" for _ in range(2))
        demo = self.process([harness.ROOT / "scripts/demo"], environment={
            "LISTEN": listen, "MANAGEMENT": management, "PLIMSOLL": harness.program(), "DEMO": self.directory()})
        harness.until(lambda: "Ctrl-C ends it." in demo.output or not demo.alive, demo.describe)
        demo.signal(signal.SIGTERM)
        self.assertEqual(demo.wait(), 0, demo.describe())
        with self.assertRaises(OSError):
            harness.fetch(listen, target="/livez", patience=5)


if __name__ == "__main__":
    harness.main()
