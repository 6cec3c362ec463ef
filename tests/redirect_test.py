"""`redirect-to-https`: requests in clear are redirected, over a listener of their own and behind a proxy; health checks are not."""
import subprocess

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll: {mock: true, authorization: any-caller}
paths:
  /notes:
    get: {operationId: list, security: [], responses: {'200': {description: ok, content: {application/json: {example: {}}}}}}
    post: {operationId: make, security: [], responses: {'200': {description: ok, content: {application/json: {example: {}}}}}}
"""


class Redirect(harness.ServerTest):
    def test_a_listener_in_clear_redirects_and_serves_nothing(self):
        harness.needs("openssl", "curl")
        folder, clear = self.directory(), self.port()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True, timeout=60)
        secure = self.port()
        server = self.server(CONTRACT, f"tls: {{certificate: cert.pem, key: key.pem}}\nredirect-to-https: {{from: ['127.0.0.1:{clear}'], port: {secure}}}\n", directory=folder)
        harness.Process.start(server)  # the public listener speaks TLS
        harness.until(lambda: "management at" in server.output, "the line of the start")
        ask = lambda path, host="localhost", method="GET": harness.fetch(f"127.0.0.1:{clear}", method, path, headers={"Host": host})
        for method, path, host, location in (("GET", "/notes?a=1%20b&c", f"localhost:{clear}", f"https://localhost:{secure}/notes?a=1%20b&c"), ("POST", "/notes", "api.example.com", f"https://api.example.com:{secure}/notes"),
                                             ("GET", "/unknown", "[::1]:80", f"https://[::1]:{secure}/unknown"), ("GET", "/openapi.json", "a", f"https://a:{secure}/openapi.json"),
                                             ("GET", "//evil.example/x", "localhost", f"https://localhost:{secure}//evil.example/x")):
            answer = ask(path, host, method)
            self.assertEqual((answer.status, answer.headers.get("location"), answer.body), (308, location, b""), (method, path))
        self.assertEqual(ask("/livez").status, 200, "a load balancer checks health in clear")
        # The listeners of a start stay: a reload that leaves the section out must not let one serve in clear.
        (folder / "plimsoll.yaml").write_text("tls: {certificate: cert.pem, key: key.pem}\n")
        server.signal(harness.signal.SIGHUP)
        reloaded = harness.until(lambda: next((line for line in server.logged() if line.get("event") == "reload"), None), "the reload")
        self.assertIn("redirect-to-https", reloaded["needs_restart"])
        self.assertEqual(ask("/notes").status, 308)
        curl = lambda *more: subprocess.run(["curl", "-s", "--cacert", folder / "cert.pem", *more], capture_output=True, text=True, timeout=60)
        self.assertEqual(curl(f"https://localhost:{server.port}/notes").stdout, "{}")
        self.assertIn(f"http://127.0.0.1:{clear} redirects to HTTPS", server.output)
        self.assertGreaterEqual(sum(line.get("status") == 308 for line in server.logged()), 1, "redirects are logged")

    def test_behind_a_proxy_its_word_on_the_scheme_counts(self):
        server = self.serve(CONTRACT, "trusted-proxies: [127.0.0.1]\nredirect-to-https: true\n")
        self.assertEqual(server.get("/notes", {"X-Forwarded-Proto": "https"}).status, 200)
        redirected = server.get("/notes", {"X-Forwarded-Proto": "http", "Host": "api.example.com"})
        self.assertEqual((redirected.status, redirected.headers["location"]), (308, "https://api.example.com/notes"))
        self.assertEqual(server.get("/notes").status, 200, "a proxy that says nothing would have its clients redirected without end")

    def test_a_redirect_that_nobody_could_follow_refuses_the_start(self):
        for config, said in (("redirect-to-https: true", "no request can arrive without TLS"), ("redirect-to-https: {from: [':80']}", "there is no certificate"),
                             ("redirect-to-https: {port: 0, from: [':80']}", '"port" is 0, and must be 1 to 65535'), ("redirect-to-https: {form: [':80']}", "from"),
                             ("trusted-proxies: [127.0.0.1]\nredirect-to-https: perhaps", "redirect-to-https")):
            folder = self.directory()
            (folder / "api.yaml").write_text(CONTRACT)
            (folder / "plimsoll.yaml").write_text(config + "\n")
            done = self.plimsoll("check", "api.yaml", directory=folder)
            self.assertNotEqual(done.returncode, 0, config)
            self.assertIn(said, done.stderr)
            self.assertRegex(done.stderr, r"plimsoll\.yaml:\d+:\d+: error")


if __name__ == "__main__":
    harness.main()
