"""Handlers of a program that answer with more than anybody should hold (tests/programs/large_server.cpp): 1 GiB in one piece, and streams
without an end, behind every policy that might keep, copy or look at a body. What is too large is refused; the process does not grow."""
import socket

import harness

MIB = 1 << 20
POLICIES = {
    "plain": "{compression: off, responses: off}",
    "compressed": "{compression: {minimum: 1KiB}, responses: off}",
    "cached": "{cache: {ttl: 60s, largest: 1MiB}, compression: off, responses: off}",
    "selected": "{fields: true, compression: off, responses: off}",
    "looked-at": "{responses: enforce, compression: off}",
    "recorded": "{idempotency: optional, compression: off, responses: off}",
}


def contract():
    paths = ""
    for policy, options in POLICIES.items():
        for kind in ("whole", "endless"):
            method = "post" if policy == "recorded" else "get"
            parameters = "parameters: [{name: fields, in: query, schema: {type: string}}], " if policy == "selected" else ""
            paths += (f"  /{kind}/{policy}: {{{method}: {{operationId: {kind}-{policy}, {parameters}x-plimsoll: {options}, responses: "
                      "{'200': {description: ok, content: {application/json: {schema: {type: object}}}}}}}\n")
    return ("openapi: 3.1.0\ninfo: {title: Large, version: '1'}\nsecurity: []\n"
            "x-plimsoll: {rate-limit: off, authorization: any-caller}\npaths:\n" + paths)


class LargeAnswers(harness.ServerTest):
    def setUp(self):
        super().setUp()
        executable = harness.program().parent / "large_server"
        self.subject = self.server(contract(), "threads: 1\ndatabase: {url: 'sqlite:large.db'}\n", executable=executable)
        at = self.subject.arguments.index("serve")
        self.subject.arguments[:at + 2] = [str(executable), self.subject.arguments[at + 1]]  # a program of its own has no verbs
        self.subject.start()

    def grown(self):
        """Bytes of memory of its own that the process has, which no mapping of zeros counts in."""
        return harness.memory(self.subject.pid, "RssAnon")

    def ask(self, kind, policy):
        path = f"/{kind}/{policy}" + ("?fields=a" if policy == "selected" else "")
        return "POST" if policy == "recorded" else "GET", path, {"Accept-Encoding": "gzip" if policy == "compressed" else "identity",
                                                                "Idempotency-Key": "k" * 8} if policy in ("recorded", "compressed") else {}

    def test_one_piece_that_is_too_large_is_refused_behind_every_policy(self):
        before = self.grown()
        for policy in POLICIES:
            for _ in range(2):
                method, path, headers = self.ask("whole", policy)
                refused = self.subject.request(method, path, None, headers)
                self.assertEqual((refused.status, refused.code), (400, "response-too-large"), f"{policy}: {refused}")
                self.assertIn("at most 16MiB", refused.json()["detail"])
        self.assertLess(self.grown() - before, 48 * MIB)

    def test_a_stream_without_an_end_is_held_by_no_policy(self):
        before = self.grown()
        for policy in POLICIES:
            method, path, headers = self.ask("endless", policy)
            with socket.create_connection(("127.0.0.1", self.subject.port), timeout=harness.PATIENCE) as client:
                head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                client.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n{head}\r\n".encode())
                taken, wanted = 0, (MIB // 4 if policy == "compressed" else 256 * MIB)  # of as many blanks
                while taken < wanted:
                    piece = client.recv(MIB)
                    self.assertTrue(piece, f"{policy}: {taken} bytes: {self.subject.describe()}")
                    taken += len(piece)
            self.assertLess(self.grown() - before, 48 * MIB, policy)
        self.assertEqual(self.subject.get("/livez").status, 200)


if __name__ == "__main__":
    harness.main()
