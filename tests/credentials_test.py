"""Credentials of calls to upstreams: fields, Basic and OAuth2 client credentials, rotated without a restart and shown nowhere. The servers behind
are of the test's own: one gives tokens that are good for a short time, the other takes none but these."""
import base64
import hashlib
import hmac
import json
import random
import re
import ssl
import threading
import time
import unittest
import urllib.parse

import harness
import npm
import upstreams_test
from upstreams_test import answer, contract

SECRET = "s3cr3t:&+ %41"


KEYS = """
  /keyed:
    get:
      operationId: keyed
      security: [{key: []}, {session: []}, {member: []}]
      x-plimsoll: {upstream: reviews, authentication: off}
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Shop-Key}, session: {type: apiKey, in: cookie, name: session}, member: {type: apiKey, in: query, name: "member key"}}
"""


class Tokens:
    """A token server and a service that takes its tokens. `life`: seconds; a token is taken until its end and no longer."""

    def __init__(self, test, life=3600):
        self.life, self.made, self.refusals, self.failing = life, {}, 0, 0
        self.lock = threading.Lock()
        self.issuer, self.service = test.target("issuer"), test.target("service")
        self.issuer.does, self.service.does = self.issue, self.take

    def issue(self, connection, request):
        line, headers, body = request
        with self.lock:
            if self.failing:
                self.failing -= 1
                return answer({"error": "temporarily_unavailable"}, status="503 Service Unavailable")
            token = f"token-{len(self.made) + 1}"
        time.sleep(0.05)  # so that others wait for it
        with self.lock:
            self.made[token] = time.monotonic() + self.life
        return answer({"access_token": token, "token_type": "Bearer", "expires_in": self.life})

    def take(self, connection, request):
        token = request[1].get("authorization", "").removeprefix("Bearer ")
        with self.lock:
            if self.made.get(token, 0) < time.monotonic():
                self.refusals += 1
                return answer({"refused": token}, status="401 Unauthorized")
        return answer({"token": token})

    def revoke(self):
        with self.lock:
            self.made = {token: 0 for token in self.made}


class TlsTarget(upstreams_test.Target):
    """A service behind that is called with TLS, perhaps with a certificate of the caller."""

    def __init__(self, context):
        self.context = context
        super().__init__("tls")

    def get_request(self):
        line, address = super().get_request()
        return self.context.wrap_socket(line, server_side=True, do_handshake_on_connect=False), address

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"


class Credentials(upstreams_test.Behind):
    def with_tokens(self, tokens, more="", **given):
        oauth2 = f"{{token-url: '{tokens.issuer.url}/token', client: shop, secret: '${{CLIENT_SECRET}}'{more}}}"
        return self.front(tokens.service, options=f"authentication: {{oauth2: {oauth2}}}", environment={"CLIENT_SECRET": SECRET}, **given)

    def load(self, server, seconds, threads=8):
        """Calls from so many threads at once for so long; the answers that were not 200."""
        wrong, count, end = [], [0], time.monotonic() + seconds

        def work():
            line = server.connection()
            while time.monotonic() < end:
                got = server.request("GET", "/reviews", connection=line)
                count[0] += 1
                if got.status != 200:
                    wrong.append(got)
            line.close()

        all = [threading.Thread(target=work) for _ in range(threads)]
        for each in all:
            each.start()
        for each in all:
            each.join()
        self.assertGreater(count[0], threads)
        return wrong

    def test_under_load_each_token_is_fetched_once_and_no_call_fails(self):
        tokens = Tokens(self, life=2)
        server = self.with_tokens(tokens)
        begun = time.monotonic()
        self.assertEqual(self.load(server, 12 if harness.os.environ.get("PLIMSOLL_TORTURE") else 5), [])
        lasted = time.monotonic() - begun
        # Renewed after 1.6 s of 2; one more at the beginning and one at the end.
        self.assertGreaterEqual(len(tokens.made), 2)
        self.assertLessEqual(len(tokens.made), lasted / 1.6 + 2)
        self.assertEqual(self.count(server, "plimsoll_client_token_fetches_total", outcome="fetched"), len(tokens.made))
        line, headers, body = tokens.issuer.seen[0]
        self.assertEqual(line, "POST /token")
        user, _, password = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode().partition(":")
        self.assertEqual((user, urllib.parse.unquote_plus(password)), ("shop", SECRET))
        self.assertEqual(body, b"grant_type=client_credentials")
        self.assertEqual(tokens.service.seen[0][1]["authorization"], "Bearer token-1")

    def test_a_401_fetches_once_anew_and_the_callers_notice_nothing(self):
        tokens = Tokens(self)
        server = self.with_tokens(tokens)
        self.assertEqual(server.get("/reviews", {"Authorization": "Bearer of-the-caller"}).json(), {"token": "token-1"})
        tokens.revoke()
        self.assertEqual(server.post("/reviews", {"text": "written once"}).status, 200)
        self.assertEqual(tokens.service.seen[-1][2], b'{"text": "written once"}')
        self.assertEqual(self.load(server, 0.5), [])
        self.assertEqual(len(tokens.made), 2)
        tokens.revoke()
        got = server.get("/reviews")
        self.assertEqual((got.status, got.code), (502, "credential-refused"), "twice within 30 s: the service takes no token")
        self.assertEqual(len(tokens.made), 2)

    def test_a_service_that_refuses_our_credential_is_no_fault_of_the_caller(self):
        """401 and 403 to our own credential are 502, an event and a count, whatever the credential is; without one they are the service's answer."""
        target = self.target()
        tokens = Tokens(self)
        ways = {"header": "{header: X-Key, value: k}", "bearer": "{bearer: k}", "basic": "{user: u, password: p}", "aws": "{aws: {access-key: a, secret-key: b, region: c, service: d}}",
                "signature": f"{{signature: {{key: '{'k' * 32}', key-id: a, algorithm: hmac-sha256}}}}",
                "oauth2": f"{{oauth2: {{token-url: '{tokens.issuer.url}/token', client: shop, secret: b}}}}"}
        for way, said in ways.items():
            server = self.front(target, options=f"authentication: {said}")
            for status in ("401 Unauthorized", "403 Forbidden"):
                target.does = answer({"inside": "the service's own words"}, status=status, more='WWW-Authenticate: Bearer realm="inside"\r\n')
                before = len(target.seen)
                for method, body in (("GET", None), ("POST", {"text": "x"})):
                    got = server.request(method, "/reviews", body)
                    self.assertEqual((got.status, got.code), (502, "credential-refused"), f"{way} {status}: {got!r}")
                    self.assertNotIn("inside", got.text)
                    self.assertNotIn("www-authenticate", got.headers)
                # A 401 is repeated once with a new token.
                self.assertEqual(len(target.seen) - before, 3 if way == "oauth2" and status.startswith("401") else 2, f"{way} {status}")
            self.assertEqual(self.count(server, "plimsoll_client_credential_refused_total", service="reviews"), 4)
            events = harness.until(lambda: [line for line in server.logged() if "credential-refused" in (line.get("msg"), line.get("event"))], "the event")
            self.assertEqual([(event["service"], event["target"], event["status"], event["operation"]) for event in events], [("reviews", f"127.0.0.1:{target.port}", 401, "listReviews")], "one in 10 s")
            details = {line["detail"] for line in server.logged() if line.get("problem") == "credential-refused"}  # threads log in any order
            self.assertIn("service `reviews` answered 401 to this server's credential", details)
            if way == "header":
                document = server.get("/openapi.json").json()
                declared = document["paths"]["/reviews"]["get"]["responses"]["502"]
                while "$ref" in declared:
                    declared = document["components"]["responses"][declared["$ref"].split("/")[-1]]
                self.assertIn("credential-refused", json.dumps(declared))
        for options in ("", "authentication: {header: X-Key, value: k, refusals: pass}"):
            server = self.front(target, options=options)
            for status in (401, 403):
                target.does = answer({"of": "the caller"}, status=f"{status} Refused", more="WWW-Authenticate: Bearer\r\n")
                got = server.get("/reviews")
                self.assertEqual((got.status, got.json(), got.headers["www-authenticate"]), (status, {"of": "the caller"}, "Bearer"))
            self.assertNotIn("credential-refused", server.output)

    def test_what_the_caller_shows_this_server_is_for_no_service_that_is_shown_its_own_credential(self):
        target = self.target()
        own = {"Authorization": "Bearer of-the-caller", "X-Shop-Key": "k", "x_shop_key": "k", "Cookie": "theme=dark; session=s; x=y"}
        for options, passes in (("", True), ("authentication: {header: X-Key, value: k}", False), ("authentication: {bearer: t}", False),
                                ("authentication: {hmac: {secret: '0123456789abcdef0123456789abcdef', template: '{body}', header: X-Signature}}", False),
                                ("authentication: {header: X-Key, value: k, refusals: pass}", True)):
            with self.subTest(options):
                server = self.front(target, options=options, more=KEYS, document=", validate: {unknown-query: ignore}")
                for query, rest in (("", ""), ("?", "?"), ("?a=1&b=%20x", "?a=1&b=%20x"), ("?member%20key=k", ""), ("?a=1&member+key=k&%6dember%20ke%79=k&b&member%20keys=1&c=", "?a=1&b&member%20keys=1&c=")):
                    self.assertEqual(server.get("/keyed" + query, headers=own).status, 200)
                    self.assertEqual(target.seen[-1][0], "GET /keyed" + (query if passes else rest))
                seen = target.seen[-1][1]
                self.assertEqual((seen.get("authorization") == own["Authorization"], seen.get("x-shop-key"), seen.get("cookie")),
                                 (True, "k", own["Cookie"]) if passes else (False, None, "theme=dark; x=y"))
                self.assertNotIn("x_shop_key", seen)

    def test_a_token_server_that_fails_is_asked_again_and_the_caller_is_told_when_to_come_back(self):
        tokens = Tokens(self)
        tokens.failing = 1
        server = self.with_tokens(tokens)
        self.assertEqual(server.get("/reviews").status, 200)
        other = Tokens(self)
        other.failing = 1000
        server = self.with_tokens(other)
        got = server.get("/reviews")
        self.assertEqual((got.status, got.code), (503, "no-credential"))
        self.assertIn("retry-after", got.headers)
        line = harness.until(lambda: next((each for each in server.logged() if each.get("msg", each.get("event")) == "token-unavailable" or "token-unavailable" in json.dumps(each)), None), "the line of log")
        self.assertEqual(line["why"], "the token server answered 503 temporarily_unavailable")
        other.failing = 0
        harness.until(lambda: server.get("/reviews").status == 200, "a token after the failure is over")

    def test_secrets_are_rotated_by_a_reload_under_load(self):
        tokens = Tokens(self)
        target = tokens.service
        folder = self.directory()
        (folder / "password").write_text("old\n")
        accepted = {"old", "new"}

        def basic(connection, request):
            user, _, password = base64.b64decode(request[1].get("authorization", "").removeprefix("Basic ")).decode().partition(":")
            return answer({"password": password}) if user == "shop" and password in accepted else answer({}, status="401 Unauthorized")

        target.does = basic
        server = self.front(target, options=f"authentication: {{user: shop, password: '${{file:{folder}/password}}'}}")
        self.assertEqual(server.get("/reviews").json(), {"password": "old"})
        wrong = []
        load = threading.Thread(target=lambda: wrong.extend(self.load(server, 1.5, threads=4)))
        load.start()
        (folder / "password").write_text("new\n")
        server.signal(harness.signal.SIGHUP)
        harness.until(lambda: server.get("/reviews").json() == {"password": "new"}, "the new password")
        load.join()
        self.assertEqual(wrong, [])
        accepted.discard("old")
        self.assertEqual(server.get("/reviews").status, 200)

    def test_fields_and_tokens_are_sent_and_shown_nowhere(self):
        target = self.target()
        for options, name, value in (("header: X-Api-Key, value: '${S}'", "x-api-key", SECRET), ("bearer: '${S}'", "authorization", "Bearer " + SECRET),
                                     ("user: shop, password: '${S}'", "authorization", "Basic " + base64.b64encode(f"shop:{SECRET}".encode()).decode())):
            server = self.front(target, options=f"authentication: {{{options}}}", document=", access-log: {failure-headers: true, failure-bodies: 4KiB}", environment={"S": SECRET})
            server.get("/reviews")
            self.assertEqual(target.seen[-1][1][name], value)
            target.does = answer({"no": 1}, status="401 Unauthorized")
            server.get("/reviews")
            target.does = answer({})
            self.assertEqual(server.stop(), 0)
            text = server.output
            self.assertNotIn(SECRET, text)
            self.assertNotIn(value, text)
        # Even where somebody writes one into the file itself.
        folder = self.directory()
        (folder / "plimsoll.yaml").write_text(f"""
upstreams:
  a: {{targets: ['http://127.0.0.1:9'], authentication: {{header: X-Key, value: WRITTEN1}}}}
  b: {{targets: ['http://127.0.0.1:9'], authentication: {{bearer: WRITTEN2}}}}
  c: {{targets: ['http://127.0.0.1:9'], authentication: {{user: u, password: WRITTEN3}}}}
  d: {{targets: ['http://127.0.0.1:9'], authentication: {{oauth2: {{token-url: 'http://127.0.0.1:9/token', client: c, secret: WRITTEN4}}}}}}
  e: {{targets: ['http://127.0.0.1:9'], authentication: {{signature: {{key-id: k, algorithm: hmac-sha256, key: WRITTEN6-of-thirty-two-bytes-or-more}}}}}}
  g: {{targets: ['http://127.0.0.1:9'], authentication: {{hmac: {{secret: WRITTEN9, template: '{{body}}', header: X-Signature}}}}}}
  f: {{targets: ['http://127.0.0.1:9'], authentication: {{aws: {{access-key: a, secret-key: WRITTEN7, session-token: WRITTEN8, region: r, service: s3}}}}}}
jobs: {{j: {{run: {{http: {{url: 'http://127.0.0.1:9', authentication: {{bearer: WRITTEN5}}}}}}}}}}
""")
        shown = self.plimsoll("config", "--explain", directory=folder)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        for not_secret in ("X-Key", "hmac-sha256", "http://127.0.0.1:9/token"):
            self.assertIn(not_secret, shown.stdout)
        self.assertNotIn("WRITTEN", shown.stdout + shown.stderr)

    def test_aws_signatures_are_those_that_the_service_works_out(self):
        """The service behind works out the signature from what arrived, independently of ours (AWS, "Create a signed AWS API request")."""
        key, region = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-central-1"
        sign = lambda key, text: hmac.new(key, text.encode(), hashlib.sha256).digest()
        seen = []

        def check(connection, request):
            line, headers, body = request
            method, target = line.split(" ", 1)
            path, _, query = target.partition("?")
            said = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/(\d{8})/([\w-]+)/([\w-]+)/aws4_request,SignedHeaders=([\w;-]+),Signature=([0-9a-f]{64})", headers["authorization"])
            day, given_region, service, names, signature = said.groups()
            quote = lambda text: urllib.parse.quote(text, safe="-_.~")
            pairs = sorted((quote(name), quote(value)) for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True))
            canonical = "\n".join([method, urllib.parse.quote(path, safe="/-_.~"), "&".join(f"{name}={value}" for name, value in pairs),
                                   *(f"{name}:{' '.join(headers[name].split())}" for name in names.split(";")), "", names, headers["x-amz-content-sha256"]])
            self.assertEqual(headers["x-amz-content-sha256"], hashlib.sha256(body).hexdigest())
            to_sign = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], f"{day}/{given_region}/{service}/aws4_request", hashlib.sha256(canonical.encode()).hexdigest()])
            made = sign(b"AWS4" + key.encode(), day)
            for part in (given_region, service, "aws4_request", to_sign):
                made = sign(made, part)
            seen.append((service, names))
            return answer({"good": made.hex() == signature}, status="200 OK" if made.hex() == signature else "403 Forbidden")

        target = self.target()
        target.does = check
        server = self.front(f"{target.url}/base", options=f"authentication: {{aws: {{access-key: AKIDEXAMPLE, secret-key: '${{KEY}}', session-token: 'a/b+c=', region: {region}, service: execute-api}}}}",
                            environment={"KEY": key})
        for method, path, body in (("GET", "/reviews", None), ("POST", "/reviews", {"text": "x"}), ("GET", "/limited?n=1", None)):
            got = server.request(method, path, body)
            self.assertEqual((got.status, got.json()), (200, {"good": True}), f"{method} {path}: {target.seen[-1]}")
        self.assertEqual(seen[1], ("execute-api", "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token"))
        long = server.request("PUT", "/files", iter([b"x" * 70_000]), {"Content-Type": "application/octet-stream", "Content-Length": "70000"})
        self.assertEqual((long.status, long.code), (413, "body-not-signed"))

    DEPUTY = """
  /files/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
      - {name: X-Amz-Tagging, in: header, schema: {enum: [mine]}}
      - {name: X-Role, in: header, schema: {enum: [reader]}}
    put:
      operationId: putDeputy
      requestBody: {content: {application/json: {}}}
      x-plimsoll: {upstream: reviews}
      responses: {'200': {description: ok}}
"""

    def test_no_field_of_a_caller_acts_in_the_name_of_a_credential(self):
        """What the service takes for the word of this server is of the caller only where the contract declares it."""
        chance = random.Random(harness.seed())
        theirs = ("x-amz-copy-source x-amz-acl x-amz-target x-amz-date x-amz-content-sha256 x-amz-security-token x-amz-website-redirect-location x-amzn-trace-id x-goog-copy-source x-ms-copy-source authorization").split()
        ways = {"aws: {access-key: AKIDEXAMPLE, secret-key: b, region: c, service: s3}": ["date"], "bearer: ours": [],
                f"signature: {{key: '{'k' * 32}', key-id: a, algorithm: hmac-sha256, components: ['@method', date, x-tenant, x-role]}}": ["date", "x-tenant", "signature", "signature-input", "content-digest"],
                "hmac: {secret: a, template: '{method}{header:x-tenant}{header:X-Role}', header: X-Signature}": ["x-tenant", "x-signature"]}
        for way, more in ways.items():
            target = self.target()
            server = self.front(target, options=f"authentication: {{{way}}}", document=", undeclared: {upstream: reviews, authorization: any-caller}", more=self.DEPUTY)
            spelled = lambda name: "".join(chance.choice("-_") if letter == "-" else chance.choice([letter, letter.upper()]) for letter in name)
            passes = {"authorization"} if not way.startswith(("aws", "bearer")) else set()
            for path, declared in (("/files/mine", {"X-Amz-Tagging": "mine", "X-Role": "reader"}), ("/elsewhere", {})):
                for _ in range(8):
                    names = [name for name in {*theirs, *more} if name not in passes]
                    sent = {spelled(name): "theirs" for name in names}
                    got = server.put(path, {"a": 1}, {**sent, **declared})
                    self.assertEqual(got.status, 200, got)
                    headers = target.seen[-1][1]
                    with self.subTest(way=way, path=path, sent=sent):
                        self.assertEqual([pair for pair in headers.pairs if "theirs" in pair[1]], [])
                        if declared:
                            self.assertEqual((headers["x-amz-tagging"], headers["x-role"]), ("mine", "reader"))

    def test_http_message_signatures_are_verified_by_another_implementation(self):
        harness.needs("openssl")
        npm.needs("http-message-signatures")
        folder = self.directory()

        def command(*arguments):
            return harness.subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=True).stdout

        keys = {"ed25519": ("genpkey", "-algorithm", "ed25519"), "ecdsa-p256-sha256": ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
                "rsa-pss-sha512": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"), "rsa-v1_5-sha256": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")}
        (folder / "hmac-sha256").write_text("a secret that is 32 bytes long, or more")
        for algorithm, made in keys.items():
            (folder / algorithm).write_text(command(*made))
            (folder / f"{algorithm}.pub").write_text(command("pkey", "-in", algorithm, "-pubout"))
        target = self.target()
        for algorithm in ("hmac-sha256", *keys):
            server = self.front(target, options=f"authentication: {{signature: {{key: '${{file:{folder}/{algorithm}}}', key-id: shop-1, algorithm: {algorithm}, "
                                "components: ['@method', '@target-uri', '@authority', '@path', '@query', content-type, content-digest], expires: 5m}}")
            for method, path, body in (("GET", "/limited?n=1", None), ("POST", "/reviews", {"text": "x"})):
                self.assertEqual(server.request(method, path, body).status, 200)
                line, headers, body = target.seen[-1]
                if body:
                    self.assertEqual(headers["content-digest"], "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":")
                fields = {name: value for name, value in headers.pairs}
                message = {"method": method, "url": f"http://{headers['host']}{line.split(' ')[1]}", "headers": fields}
                key = folder / (algorithm if algorithm == "hmac-sha256" else algorithm + ".pub")
                for changed in (False, True):
                    if changed:
                        message["url"] += "x" if "?" in message["url"] else "?x"
                    done = harness.subprocess.run(["node", harness.ROOT / "tests/programs/verify_message_signature.mjs", key, algorithm], input=json.dumps(message), cwd=npm.FOLDER,
                                                  capture_output=True, text=True, timeout=60)
                    self.assertEqual(done.stdout.strip(), "false" if changed else "true", f"{algorithm} {method}: {message}\n{done.stderr}")

    def test_an_hmac_over_a_template_is_the_one_that_the_service_works_out(self):
        target = self.target()
        wrong = []

        def check(connection, request):
            line, headers, body = request
            said = dict(part.split("=", 1) for part in headers["x-signature"].split(","))
            content = "\n".join([line.split(" ")[0], line.split(" ")[1], headers["host"], headers["x-nonce"], said["t"], hashlib.sha256(body).hexdigest(), headers.get("content-type", ""), body.decode()])
            good = base64.b64encode(hmac.new(SECRET.encode(), content.encode(), hashlib.sha512).digest()).decode() == said["v1"]
            if not good or abs(int(said["t"]) - time.time()) > 60 or headers.all("x_nonce"):
                wrong.append(request)
            return answer({"nonce": headers["x-nonce"]}, status="200 OK" if good else "401 Unauthorized")

        target.does = check
        folder = self.directory()
        (folder / "secret").write_text(SECRET + "\n")
        template = r'"{method}\n{target}\n{host}\n{nonce}\n{timestamp}\n{body-sha256}\n{header:Content-Type}\n{body}"'
        server = self.front(f"{target.url}/base", options=f"authentication: {{hmac: {{secret: '${{file:{folder}/secret}}', algorithm: sha512, encoding: base64, template: {template}, header: X-Signature, "
                            "prefix: 't={timestamp},v1=', headers: {X-Nonce: '{nonce}'}}}")
        nonces = set()
        for method, path, body in (("GET", "/reviews", None), ("POST", "/reviews", {"text": "x"}), ("GET", "/limited?n=1", None), ("GET", "/reviews/a%20b", None)):
            got = server.request(method, path, body, {"X_Nonce": "theirs", "X-Signature": "t=1,v1=theirs"})
            self.assertEqual(got.status, 200, f"{method} {path}: {wrong}")
            nonces.add(got.json()["nonce"])
        self.assertEqual((wrong, len(nonces)), ([], 4))
        # Rotated without a restart.
        global_secret = SECRET
        (folder / "secret").write_text("another\n")
        target.does = lambda connection, request: answer({"signature": request[1]["x-signature"].split("v1=")[1]})
        before = server.get("/reviews").json()["signature"]
        server.signal(harness.signal.SIGHUP)
        sign = lambda secret, seen: base64.b64encode(hmac.new(secret.encode(), "\n".join([*seen[0].split(" "), seen[1]["host"], seen[1]["x-nonce"], seen[1]["x-signature"][2:].split(",")[0], hashlib.sha256(seen[2]).hexdigest(), "", ""]).encode(), hashlib.sha512).digest()).decode()
        self.assertEqual(before, sign(global_secret, target.seen[-1]))
        harness.until(lambda: server.get("/reviews").json()["signature"] == sign("another", target.seen[-1]), "the new secret")
        long = server.request("PUT", "/files", iter([b"x" * 70_000]), {"Content-Type": "application/octet-stream", "Content-Length": "70000"})
        self.assertEqual((long.status, long.code), (413, "body-not-signed"))

    def test_a_client_certificate_is_shown_and_rotated_by_a_reload_under_load(self):
        harness.needs("openssl")
        folder = self.directory()

        def made(name, *more):
            harness.subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.crt",
                                    "-subj", f"/CN={name}", *more], cwd=folder, check=True, capture_output=True, timeout=60)
            return (folder / f"{name}.crt").read_text(), (folder / f"{name}.key").read_text()

        made("service", "-addext", "subjectAltName=IP:127.0.0.1")
        old, new, stranger = made("old"), made("new"), made("stranger")
        (folder / "callers.pem").write_text(old[0] + new[0])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "callers.pem")
        context.load_cert_chain(folder / "service.crt", folder / "service.key")
        context.verify_mode = ssl.CERT_REQUIRED
        target = TlsTarget(context)
        self.addCleanup(target.close)
        name_of = lambda connection: dict(pair for part in connection.getpeercert()["subject"] for pair in part)["commonName"]
        target.does = lambda connection, request: answer({"caller": name_of(connection)})
        base = f"authorities: '{folder}/service.crt'"

        def show(pair):
            for ending, text in zip(("crt", "key"), pair):
                (folder / f"shown.{ending}.new").write_text(text)
                (folder / f"shown.{ending}.new").rename(folder / f"shown.{ending}")

        show(old)
        server = self.front(target, options=f"{base}, certificate: '{folder}/shown.crt', key: '{folder}/shown.key', health: {{path: /healthz, every: 100ms}}")
        self.assertEqual(server.get("/reviews").json(), {"caller": "old"})
        wrong = []
        load = threading.Thread(target=lambda: wrong.extend(self.load(server, 1.5, threads=4)))
        load.start()
        show(new)
        server.signal(harness.signal.SIGHUP)
        harness.until(lambda: server.get("/reviews").json() == {"caller": "new"}, "the new certificate")
        load.join()
        self.assertEqual(wrong, [])
        harness.until(lambda: target.checks > 0, "a health check, with the certificate")
        self.assertEqual(self.count(server, "plimsoll_client_target_usable", service="reviews"), 1)
        # As a mounted secret: its text, certificate and key in one.
        (folder / "both.pem").write_text(old[0] + old[1])
        server = self.front(target, options=f"{base}, certificate: '${{file:{folder}/both.pem}}'")
        self.assertEqual(server.get("/reviews").json(), {"caller": "old"})
        self.assertNotIn("PRIVATE KEY", server.output)
        show(stranger)
        for options in (base, f"{base}, certificate: '{folder}/shown.crt', key: '{folder}/shown.key'"):
            self.assertEqual(self.front(target, options=options).get("/reviews").status, 502, "the service takes no such caller")
        refused = lambda options, url=None: self.refused(contract(), self.upstreams(url or target, options=options))
        self.assertRegex(refused(f"certificate: '{folder}/none.crt'"), r"plimsoll\.yaml:1:\d+: error\[.*none\.crt")
        self.assertRegex(refused(f"certificate: '{folder}/old.crt', key: '{folder}/new.key'"), r"new\.key: no key could be read that fits the certificate")
        self.assertIn("no `certificate`", refused(f"key: '{folder}/new.key'"))
        self.assertIn("all targets are https", refused(f"certificate: '{folder}/both.pem'", "http://127.0.0.1:9"))

    def test_what_is_wrong_stops_the_start_and_says_where(self):
        good = "http://127.0.0.1:9"

        def refused(authentication):
            told = self.refused(contract(), f"upstreams: {{reviews: {{targets: ['{good}'], authentication: {authentication}}}}}\n")
            self.assertRegex(told, r"plimsoll\.yaml:1:\d+: error\[")
            return told

        base = "client: a, secret: b"
        self.assertIn("has a `token-url`", refused(f"{{oauth2: {{{base}}}}}"))
        self.assertIn("has a `secret`", refused("{oauth2: {token-url: 'http://127.0.0.1:9', client: a}}"))
        self.assertIn("plain-http: allowed", refused(f"{{oauth2: {{token-url: 'http://id.example.com/token', {base}}}}}"))
        self.assertIn("neither http:// nor https://", refused(f"{{oauth2: {{token-url: 'id.example.com', {base}}}}}"))
        self.assertIn('did you mean "scope"', refused(f"{{oauth2: {{token-url: 'https://id.example.com/token', {base}, scopes: a}}}}"))
        self.assertIn("one of `bearer`, `user`, `header`, `oauth2`, `aws`, `signature` and `hmac`", refused(f"{{bearer: a, oauth2: {{token-url: 'https://id.example.com/token', {base}}}}}"))
        self.assertIn("has a `region`", refused("{aws: {access-key: a, secret-key: b, service: s3}}"))
        self.assertIn('did you mean "secret-key"', refused("{aws: {access-key: a, secret_key: b, region: c, service: s3}}"))
        self.assertIn("at least 32 bytes", refused("{signature: {key: short, key-id: a, algorithm: hmac-sha256}}"))
        self.assertIn("no private key in PEM for ed25519", refused("{signature: {key: short, key-id: a}}"))
        self.assertIn("`@status` is no component of a request", refused("{signature: {key: short, key-id: a, components: ['@status']}}"))
        hmac = "secret: a, header: X-Signature"
        self.assertIn("has a `template`", refused(f"{{hmac: {{{hmac}}}}}"))
        self.assertIn("{bdy} is none of the names", refused(f"{{hmac: {{{hmac}, template: '{{bdy}}'}}}}"))
        self.assertIn("signs {nonce}, which the service cannot know", refused(f"{{hmac: {{{hmac}, template: '{{nonce}}{{body}}'}}}}"))
        self.assertIn("the field `X` cannot be sent", refused(f"{{hmac: {{{hmac}, template: '{{body}}', headers: {{X: '{{body}}'}}}}}}"))
        self.assertIn("a parameter's value is text", refused(f"{{oauth2: {{token-url: 'https://id.example.com/token', {base}, parameters: {{a: 1}}}}}}"))
        self.assertIn("one of basic, body", refused(f"{{oauth2: {{token-url: 'https://id.example.com/token', {base}, client-authentication: jwt}}}}"))
        told = self.refused(contract(), f"upstreams: {{reviews: {{targets: ['{good}'], authentication: {{bearer: '${{NOT_SET}}'}}}}}}\n")
        self.assertIn("NOT_SET", told)
        self.serve(contract(), f"upstreams: {{reviews: {{targets: ['{good}'], authentication: {{oauth2: {{token-url: 'http://id.example.com/token', plain-http: allowed, {base}}}}}}}}}\n")


if __name__ == "__main__":
    harness.main()
