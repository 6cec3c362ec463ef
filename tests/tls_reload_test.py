"""Certificates exchanged a hundred times under load: no connection notices, new or old."""
import http.client
import os
import signal
import ssl
import subprocess
import threading
import time

import harness
from http2_test import CONTRACT

RELOADS = 100


def make(directory, name, common="localhost", extra=()):
    crt, key = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", crt,
                    "-days", "30", "-subj", f"/CN={common}", "-addext", f"subjectAltName=DNS:{common}", *extra], check=True, capture_output=True)
    return crt, key


def trusting():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def shown(port, name="localhost", context=None):
    """The certificate (DER) that a new connection is shown."""
    import socket
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line, (context or trusting()).wrap_socket(line, server_hostname=name) as tls:
        return tls.getpeercert(binary_form=True)


class Load(threading.Thread):
    """Posts on one connection that stays, or on a new one each time. Never tries anything twice."""

    def __init__(self, port, fresh):
        super().__init__(daemon=True)
        self.port, self.fresh, self.made, self.faults, self.over = port, fresh, 0, [], threading.Event()

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=trusting())

    def run(self):
        line = self.connect()
        while not self.over.is_set():
            try:
                if self.fresh:
                    line.close()
                    line = self.connect()
                line.request("POST", "/items", body=b'{"name":"a"}', headers={"content-type": "application/json"})
                answer = line.getresponse()
                answer.read()
                if answer.status != 201:
                    self.faults.append(answer.status)
                self.made += 1
            except Exception as error:  # noqa: BLE001: whatever a client would see
                self.faults.append(repr(error))
                line = self.connect()
        line.close()


class Tls(harness.ServerTest):
    def test_a_key_of_another_certificate_is_said_to_be_one(self):
        directory = self.directory()
        crt, _ = make(directory, "tls")
        _, key = make(directory, "other")
        said = self.refused(CONTRACT, f"listen: ['127.0.0.1:0']\ntls: {{certificate: '{crt}', key: '{key}'}}\n", directory=directory)
        self.assertIn("other.key: the key is not that of", said)

    def secure(self, config, directory):
        server = self.server(CONTRACT, config, directory=directory)
        harness.Process.start(server)

        def reachable():
            if not server.alive:
                raise AssertionError(server.describe())
            try:
                return shown(server.port)
            except OSError:
                return None

        harness.until(reachable, server.describe)
        return server

    def test_a_hundred_exchanges_under_load_lose_nothing(self):
        directory = self.directory()
        pairs = [make(directory, f"pair{n}") for n in range(4)]
        crt, key = directory / "tls.crt", directory / "tls.key"
        crt.write_bytes(pairs[0][0].read_bytes())
        key.write_bytes(pairs[0][1].read_bytes())
        server = self.secure(f"tls: {{certificate: '{crt}', key: '{key}', reload: 20ms}}", directory)
        load = [Load(server.port, fresh) for fresh in (False, False, True, True)]
        for each in load:
            each.start()
        for number in range(1, RELOADS + 1):
            new_crt, new_key = pairs[number % len(pairs)]
            expected = ssl.PEM_cert_to_DER_cert(new_crt.read_text())
            for path, source in ((key, new_key), (crt, new_crt)):  # two files are never exchanged in one instant
                beside = path.with_suffix(".new")
                beside.write_bytes(source.read_bytes())
                beside.rename(path)
            harness.until(lambda: shown(server.port) == expected, lambda: f"exchange {number}: the old certificate is still shown")
        for each in load:
            each.over.set()
        for each in load:
            each.join(30)
        made = sum(each.made for each in load)
        print(f"{RELOADS} exchanges, {made} POSTs, {sum(each.made for each in load if each.fresh)} of them on new connections", flush=True)
        self.assertEqual([fault for each in load for fault in each.faults], [])
        self.assertGreater(min(each.made for each in load), 10)
        # The log is written a moment later, by a thread of its own.
        harness.until(lambda: sum(line.get("event") == "certificates-reloaded" for line in server.logged()) >= RELOADS, "a line for each exchange")

    def test_a_broken_file_changes_nothing_and_is_told(self):
        directory = self.directory()
        crt, key = make(directory, "tls")
        server = self.secure(f"tls: {{certificate: '{crt}', key: '{key}', reload: 20ms}}", directory)
        before = shown(server.port)
        crt.write_text("rubbish")
        harness.until(lambda: any(line.get("event") == "certificates-not-reloaded" for line in server.logged()), server.describe)
        self.assertEqual(shown(server.port), before)

    def test_a_file_that_does_not_answer_ends_neither_the_reloading_nor_the_end(self):
        directory = self.directory()
        crt, key = make(directory, "tls")
        new_crt, new_key = make(directory, "new")
        server = self.secure(f"tls: {{certificate: '{crt}', key: '{key}', reload: 20ms}}\nlimits: {{drain: 60s}}", directory)
        before = shown(server.port)
        crt.unlink()
        os.mkfifo(crt)
        harness.until(lambda: any(line.get("event") == "certificates-not-reloaded" for line in server.logged()), server.describe)
        self.assertEqual(shown(server.port), before)
        crt.unlink()
        key.write_bytes(new_key.read_bytes())
        crt.write_bytes(new_crt.read_bytes())
        expected = ssl.PEM_cert_to_DER_cert(new_crt.read_text())
        harness.until(lambda: shown(server.port) == expected, server.describe)
        key.unlink()
        os.mkfifo(key)
        harness.until(lambda: sum(line.get("event") == "certificates-not-reloaded" for line in server.logged()) > 1, server.describe)
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(50), 0, server.describe())
        self.assertFalse([line for line in server.logged() if "forced" in line.get("event", "")])

    def expired(self, directory, name):
        """A pair whose certificate ended yesterday; openssl makes one only by a certificate authority."""
        (directory / "index.txt").write_text("")
        (directory / "serial").write_text("01")
        (directory / "ca.cnf").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={directory}/index.txt\nserial={directory}/serial\nnew_certs_dir={directory}\n"
                                          "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
        crt, key, request = (directory / f"{name}.{end}" for end in ("crt", "key", "csr"))
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", request,
                        "-subj", "/CN=localhost"], check=True, capture_output=True)
        subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-config", directory / "ca.cnf", "-keyfile", key, "-in", request, "-out", crt, "-notext",
                        "-startdate", "20200101000000Z", "-enddate", "20200201000000Z"], check=True, capture_output=True)
        return crt, key

    def event(self, server, name):
        return harness.until(lambda: [line for line in server.logged() if line.get("event") == name], lambda: f"{name} in {server.describe()}")

    def test_an_expired_certificate_never_replaces_a_valid_one(self):
        directory = self.directory()
        crt, key = make(directory, "tls")
        old_crt, old_key = self.expired(directory, "old")
        server = self.secure(f"tls: {{certificate: '{crt}', key: '{key}', reload: 20ms}}", directory)
        before = shown(server.port)
        crt.write_bytes(old_crt.read_bytes())
        key.write_bytes(old_key.read_bytes())
        harness.until(lambda: any("expired on 2020-02-01T00:00:00Z" in line.get("detail", "") for line in server.logged()), server.describe)
        server.signal(signal.SIGHUP)  # not even when it is asked for
        self.assertIn("expired", self.event(server, "reload")[0]["reason"])
        self.assertEqual(shown(server.port), before)
        # What is wrong is said once, not at every look.
        self.assertEqual(sum("expired" in line.get("detail", "") for line in server.logged()), 1)
        fresh_crt, fresh_key = make(directory, "fresh")
        crt.write_bytes(fresh_crt.read_bytes())
        key.write_bytes(fresh_key.read_bytes())
        harness.until(lambda: shown(server.port) == ssl.PEM_cert_to_DER_cert(fresh_crt.read_text()), "the renewed one is used")

    def test_the_expiry_is_told_before_it_comes(self):
        for name, pair, event in (("soon", lambda folder: make(folder, "soon", extra=("-days", "13")), "certificate-expires"),
                                  ("past", lambda folder: self.expired(folder, "past"), "certificate-expired")):
            with self.subTest(name):
                directory = self.directory()
                crt, key = pair(directory)
                server = self.secure(f"tls: {{certificate: '{crt}', key: '{key}', reload: 20ms}}", directory)
                self.assertLess(self.event(server, event)[0]["days_left"], 14)
                make(directory, "later")
                server.stop()
                self.assertEqual(len(self.event(server, event)), 1, "once a day")

    def test_the_expiry_is_a_metric(self):
        directory = self.directory()
        crt, key = make(directory, "tls")
        server = self.secure(f"tls: {{certificate: '{crt}', key: '{key}'}}", directory)
        ends = subprocess.run(["openssl", "x509", "-in", crt, "-noout", "-enddate"], check=True, capture_output=True, text=True).stdout.strip().removeprefix("notAfter=")
        self.assertEqual(server.metrics()["plimsoll_tls_certificate_expiry_timestamp_seconds"], ssl.cert_time_to_seconds(ends))

    def test_the_certificate_is_chosen_by_server_name(self):
        directory = self.directory()
        first, first_key = make(directory, "first", "first.example")
        second, second_key = make(directory, "second", "*.second.example")
        server = self.secure(f"tls: {{certificate: '{first}', key: '{first_key}', certificates: [{{certificate: '{second}', key: '{second_key}'}}]}}", directory)
        own = [ssl.PEM_cert_to_DER_cert(path.read_text()) for path in (first, second)]
        for name, which in (("first.example", 0), ("a.second.example", 1), ("A.Second.Example", 1), ("a.b.second.example", 0), ("other.example", 0)):
            self.assertEqual(shown(server.port, name), own[which], name)

    def test_callers_certificates_are_verified_where_asked_for(self):
        directory = self.directory()
        crt, key = make(directory, "tls")
        caller, caller_key = make(directory, "caller", "caller")
        stranger, stranger_key = make(directory, "stranger", "stranger")
        config = f"tls: {{certificate: '{crt}', key: '{key}', client-certificate: required, client-authorities: '{caller}'}}"
        server = self.server(CONTRACT, config, directory=directory)
        harness.Process.start(server)

        def status(pair):
            context = trusting()
            if pair:
                context.load_cert_chain(*pair)
            line = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=context)
            try:
                line.request("GET", "/items")
                return line.getresponse().status
            except OSError as error:
                return type(error).__name__ if server.alive else server.describe()
            finally:
                line.close()

        harness.until(lambda: status((caller, caller_key)) == 200, server.describe)
        self.assertNotEqual(status(None), 200)
        self.assertNotEqual(status((stranger, stranger_key)), 200)

    def test_old_versions_and_weak_suites_are_refused_and_sessions_resume(self):
        import socket
        directory = self.directory()
        crt, key = make(directory, "tls")
        server = self.secure(f"tls: {{certificate: '{crt}', key: '{key}'}}", directory)
        for arguments in (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-GCM-SHA256"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"]):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *arguments], input=b"", capture_output=True, timeout=20)
            self.assertIn(b"Cipher is (NONE)", done.stdout, arguments)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting()
            context.minimum_version = context.maximum_version = version
            session = None
            for resumed in (False, True):
                with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line, \
                        context.wrap_socket(line, server_hostname="localhost", session=session) as tls:
                    tls.sendall(b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n")
                    self.assertTrue(tls.recv(100).startswith(b"HTTP/1.1 200"))
                    session = tls.session
                    self.assertEqual(tls.session_reused, resumed, version)

    def test_tickets_end_with_their_lifetime_and_others_are_given(self):
        import socket
        directory = self.directory()
        crt, key = make(directory, "tls")
        server = self.secure(f"tls: {{certificate: '{crt}', key: '{key}', ticket-lifetime: 3s}}", directory)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting()
            context.minimum_version = context.maximum_version = version

            def asks(session=None):
                """Whether the session was resumed, and the one that can be."""
                with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line, \
                        context.wrap_socket(line, server_hostname="localhost", session=session) as tls:
                    tls.sendall(b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n")
                    self.assertTrue(tls.recv(100).startswith(b"HTTP/1.1 200"))
                    return tls.session_reused, tls.session

            for _ in range(2):  # the second time with keys that were not there at first
                _, first = asks()
                self.assertTrue(asks(first)[0], version)
                harness.until(lambda: not asks(first)[0], "the ticket ends")


if __name__ == "__main__":
    harness.main()
