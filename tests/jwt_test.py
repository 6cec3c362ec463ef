"""Tokens of every kind, good and bad, made by another library (python3-cryptography): what `token verify` says of each, what a
server answers to each, and whether rhonabwy (rnbyc) agrees where it knows the algorithm.

JWT_CORPUS=FILE writes the corpus as JSON lines.
"""
import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

import harness

try:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, ed448, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
except ImportError:
    raise unittest.SkipTest("python3-cryptography is not installed")

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES = {"ES256": ("P-256", ec.SECP256R1, 32), "ES384": ("P-384", ec.SECP384R1, 48), "ES512": ("P-521", ec.SECP521R1, 66)}
NOW = int(time.time())


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).rstrip(b"=").decode()


def integer(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Key:
    """A key of one algorithm's family that signs as the RFC says, and its public JWK."""

    def __init__(self, algorithm, kid=None, bits=2048):
        self.algorithm = algorithm
        self.kid = kid
        if algorithm[:2] in ("RS", "PS"):
            self.private = rsa.generate_private_key(65537, bits)
            numbers = self.private.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "n": integer(numbers.n), "e": integer(numbers.e)}
        elif algorithm[:2] == "ES":
            name, curve, size = CURVES[algorithm]
            self.private = ec.generate_private_key(curve())
            numbers = self.private.public_key().public_numbers()
            self.jwk = {"kty": "EC", "crv": name, "x": integer(numbers.x, size), "y": integer(numbers.y, size)}
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
            raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        elif algorithm == "Ed448":
            self.private = ed448.Ed448PrivateKey.generate()
            raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            self.jwk = {"kty": "OKP", "crv": "Ed448", "x": b64(raw)}
        else:
            self.private = os.urandom(64)
            self.jwk = {"kty": "oct", "k": b64(self.private)}
        if kid:
            self.jwk["kid"] = kid

    def pem(self):
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message, algorithm=None, salt=None):
        algorithm = algorithm or self.algorithm
        kind, bits = algorithm[:2], algorithm[2:]
        if kind == "HS":
            secret = self.private if isinstance(self.private, bytes) else self.pem()
            return hmac.new(secret, message, getattr(hashlib, "sha" + bits)).digest()
        if kind == "RS":
            return self.private.sign(message, padding.PKCS1v15(), HASHES[bits]())
        if kind == "PS":
            digest = HASHES[bits]()
            return self.private.sign(message, padding.PSS(padding.MGF1(HASHES[bits]()), salt if salt is not None else digest.digest_size),
                                     digest)
        if kind == "ES":
            size = CURVES[algorithm][2]
            r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(HASHES[bits]())))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        return self.private.sign(message)

    def token(self, claims=None, header=None, algorithm=None, signature=None, raw_header=None, raw_claims=None, salt=None):
        algorithm = algorithm or self.algorithm
        head = {"alg": "EdDSA" if algorithm == "Ed448" else algorithm, "typ": "JWT"}
        if self.kid:
            head["kid"] = self.kid
        head.update(header or {})
        head = {name: value for name, value in head.items() if value is not None}
        body = {"sub": "ada", "iss": "us", "aud": "shop", "exp": NOW + 3600}
        body.update(claims or {})
        body = {name: value for name, value in body.items() if value is not None}
        message = b64(raw_header if raw_header is not None else json.dumps(head)) + "." + b64(
            raw_claims if raw_claims is not None else json.dumps(body))
        if signature is None:
            signature = self.sign(message.encode(), algorithm, salt)
        return message + "." + (signature if isinstance(signature, str) else b64(signature))


ALGORITHMS = [kind + bits for kind in ("RS", "PS", "ES", "HS") for bits in ("256", "384", "512")] + ["EdDSA"]


def corpus():
    """(name, keys, token, valid, kind) of each; keys is {"jwk": …} or {"jwks": …}."""
    made = []
    keys = {algorithm: Key(algorithm) for algorithm in ALGORITHMS}
    rs, ps, es, ed, hs = keys["RS256"], keys["PS256"], keys["ES256"], keys["EdDSA"], keys["HS256"]

    def add(name, key, token, valid, kind="", **more):
        made.append((name, {"jwk": {**key.jwk, **more}}, token, valid, kind))

    for algorithm, key in keys.items():
        add("good " + algorithm, key, key.token(), True)
        add("good " + algorithm + " with alg in the key", key, key.token(), True, alg=algorithm, use="sig")
        add("another key " + algorithm, Key(algorithm), key.token(), False)
        token = key.token()
        head, body, signature = token.split(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        for place in (0, len(raw) // 2, len(raw) - 1):
            flipped = bytearray(raw)
            flipped[place] ^= 0x40
            add(f"signature flipped at {place} {algorithm}", key, f"{head}.{body}.{b64(bytes(flipped))}", False)
        add("signature truncated " + algorithm, key, f"{head}.{body}.{b64(raw[:-1])}", False)
        add("signature lengthened " + algorithm, key, f"{head}.{body}.{b64(raw + bytes(1))}", False)
        add("no signature " + algorithm, key, f"{head}.{body}.", False)
        add("claims changed " + algorithm, key, f"{head}.{b64(json.dumps({'sub': 'root', 'exp': NOW + 3600}))}.{signature}", False)
        add("header changed " + algorithm, key, key.token(header={"typ": "at+jwt"}).split(".")[0] + f".{body}.{signature}", False)

    for none in ("none", "None", "NONE", "nOnE", "none ", "", "null"):
        for key in (rs, es, hs):
            add(f"alg {none!r} without signature {key.algorithm}", key, key.token(header={"alg": none}, signature=""), False)
            add(f"alg {none!r} with signature {key.algorithm}", key, key.token(header={"alg": none}), False)
    for alg in (None, 7, ["RS256"], True):
        add(f"alg {alg!r}", rs, rs.token(header={"alg": alg}), False)

    for key, bits in ((rs, "256"), (rs, "384"), (ps, "256"), (es, "256"), (ed, "256")):
        add(f"HS{bits} signed with the public PEM of {key.algorithm}", key, hs_with(key, key.pem(), bits), False)
        add(f"HS{bits} signed with the public JWK of {key.algorithm}", key, hs_with(key, json.dumps(key.jwk).encode(), bits), False)
    for named, signed in (("RS256", "PS256"), ("PS256", "RS256"), ("RS384", "RS256"), ("PS512", "PS256"), ("ES256", "RS256")):
        key = rs
        message = b64(json.dumps({"alg": named})) + "." + b64(json.dumps({"sub": "ada", "exp": NOW + 3600}))
        add(f"named {named}, signed {signed}", key, message + "." + b64(key.sign(message.encode(), signed)), False)
    add("RS256 by a key for PS256", rs, rs.token(), False, alg="PS256")
    add("PS256 by a key for RS256", rs, rs.token(algorithm="PS256"), False, alg="RS256")
    add("RS512 by a key for RS256", rs, rs.token(algorithm="RS512"), False, alg="RS256")
    add("RS256 and PS256 by one key without alg", rs, rs.token(algorithm="PS256"), True)
    add("HS512 by a key for HS256", hs, hs.token(algorithm="HS512"), False, alg="HS256")
    add("PS256 with an empty salt", ps, ps.token(salt=0), False)
    add("PS256 with a long salt", ps, ps.token(salt=64), False)
    add("ES256 by a P-384 key", keys["ES384"], es.token(), False)
    message = b64(json.dumps({"alg": "ES256"})) + "." + b64(json.dumps({"sub": "ada", "exp": NOW + 3600}))
    wide = keys["ES384"]
    r, s = decode_dss_signature(wide.private.sign(message.encode(), ec.ECDSA(hashes.SHA256())))
    add("P-384 under the name ES256", wide, message + "." + b64(r.to_bytes(48, "big") + s.to_bytes(48, "big")), False, "own")

    add("a key for encryption", rs, rs.token(), False, use="enc")
    add("a key of another use", es, es.token(), False, use="Sig")
    add("a key for wrapping", rs, rs.token(), False, key_ops=["wrapKey"])
    add("a key for verifying", rs, rs.token(), True, key_ops=["verify"])
    add("a key of an encryption algorithm", rs, rs.token(), False, alg="RSA-OAEP")
    add("a weak RSA key", (weak := Key("RS256", bits=1024)), weak.token(), False, "own")

    for crit in (["b64"], ["exp"], ["unknown"], [], "b64", {"a": 1}):
        add(f"crit {crit!r}", rs, rs.token(header={"crit": crit, "b64": True, "unknown": 1}), False)
    add("b64 false without crit", hs, hs.token(header={"b64": False}), False, "own")

    attacker = Key("RS256")
    for name, value in (("jwk", attacker.jwk), ("jku", "https://evil.example/keys"), ("x5u", "https://evil.example/cert"),
                        ("x5c", [b64(attacker.pem())])):
        add(f"signed by the key in {name}", rs, attacker.token(header={name: value}), False)
    add("a foreign jwk in a token of ours", rs, rs.token(header={"jwk": attacker.jwk}), True, "own")

    ring = {"jwks": {"keys": [Key("RS256", "a").jwk, (mine := Key("ES256", "b")).jwk, {"kty": "unknown", "kid": "c"}]}}
    made.append(("found by kid in a set", ring, mine.token(), True, ""))
    made.append(("found without kid in a set", ring, mine.token(header={"kid": None}), True, ""))
    for kid in ("a", "c", "d", "../../../dev/null", "/dev/null", "b\u0000", "' OR '1'='1", "b ", "B", "", "b/../b", "file:///etc/passwd",
                "x" * 5000):
        made.append((f"kid {kid[:20]!r}", ring, mine.token(header={"kid": kid}), False, "own"))
    for kid in (7, ["b"], {"b": 1}, True):
        made.append((f"kid {kid!r}", ring, mine.token(header={"kid": kid}), False, "own"))
    for secret in (b"", b"\x00", b"\n"):
        head = {"alg": "HS256", "kid": "../../../dev/null"}
        message = b64(json.dumps(head)) + "." + b64(json.dumps({"sub": "ada", "exp": NOW + 3600}))
        made.append((f"kid to /dev/null signed with {secret!r}", ring,
                     message + "." + b64(hmac.new(secret, message.encode(), hashlib.sha256).digest()), False, ""))

    for name, claims, valid in (
            ("expired", {"exp": NOW - 3600}, False), ("expired within the leeway", {"exp": NOW - 5}, True),
            ("expired at the epoch", {"exp": 0}, False), ("exp negative", {"exp": -1}, False),
            ("no expiry", {"exp": None}, False), ("exp as text", {"exp": str(NOW + 3600)}, False), ("exp true", {"exp": True}, False),
            ("exp a list", {"exp": [NOW + 3600]}, False), ("exp with a fraction", {"exp": NOW + 3600.5}, True),
            ("exp far off", {"exp": 10 ** 17}, True),
            ("not yet valid", {"nbf": NOW + 3600}, False), ("valid since now", {"nbf": NOW - 1}, True),
            ("nbf within the leeway", {"nbf": NOW + 5}, True), ("nbf as text", {"nbf": "soon"}, False),
            ("another audience", {"aud": "bank"}, False), ("no audience", {"aud": None}, False),
            ("audience in a list", {"aud": ["bank", "shop"]}, True), ("audience not in the list", {"aud": ["bank"]}, False),
            ("an empty list of audiences", {"aud": []}, False), ("audience with blank", {"aud": "shop "}, False),
            ("audience a number", {"aud": 7}, False), ("audiences of mixed types", {"aud": ["shop", 7]}, False),
            ("another issuer", {"iss": "them"}, False), ("no issuer", {"iss": None}, False), ("issuer with slash", {"iss": "us/"}, False),
            ("issuer a list", {"iss": ["us"]}, False), ("subject a number", {"sub": 7}, False), ("iat as text", {"iat": "now"}, False)):
        add(name, es, es.token(claims), valid, "claims")

    good = json.dumps({"sub": "ada", "iss": "us", "aud": "shop", "exp": NOW + 3600})
    for name, raw in (("exp twice", '{"exp":1,' + good[1:]), ("sub twice", good[:-1] + ',"sub":"root"}'),
                      ("claims that are a list", "[" + good + "]"), ("claims that are text", '"ada"'), ("claims that are no JSON", good[:-1]),
                      ("claims with something behind", good + "{}"), ("empty claims", ""), ("claims in UTF-16", good.encode("utf-16")),
                      ("claims with a mark of byte order", b"\xef\xbb\xbf" + good.encode()), ("NaN", '{"exp":NaN}')):
        add(name, es, es.token(raw_claims=raw), False, "claims")
    for name, raw in (("alg twice", '{"alg":"ES256","alg":"none"}'), ("alg twice the other way", '{"alg":"none","alg":"ES256"}'),
                      ("header that is a list", '["ES256"]'), ("empty header", ""), ("Alg for alg", '{"Alg":"ES256"}'),
                      ("header with a comment", '{"alg":"ES256"/**/}')):
        add(name, es, es.token(raw_header=raw), False, "own")

    token = es.token()
    head, body, signature = token.split(".")
    for name, bad in (
            ("padding", f"{head}=.{body}.{signature}"), ("padding of the signature", token + "=="), ("a line break", token + "\n"),
            ("a blank before", " " + token), ("a blank within", f"{head}. {body}.{signature}"), ("standard base64", f"{head}.{body}.{signature[:-4]}+/+/"),
            ("four parts", token + ".x"), ("five parts", token + ".x.y"), ("two parts", f"{head}.{body}"), ("one part", head), ("nothing", ""),
            ("only dots", ".."), ("a NUL", token + "\0"), ("twice", token + token)):
        add(name, es, bad, False, "own")
    # 86 characters carry 516 bits, 4 more than the signature: 15 other spellings of the last one decode to the same bytes.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signature[-1])
    for more in (1, 7, 15):
        add(f"another spelling of the signature {more}", es, f"{head}.{body}.{signature[:-1]}{alphabet[last ^ more]}", False, "own")

    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    for name, pair in (("r and s zero", (0, 0)), ("r zero", (0, s)), ("s zero", (r, 0)), ("r the order", (order, s)), ("s the order", (r, order)),
                       ("r and s the order", (order, order)), ("all ones", (2 ** 256 - 1, 2 ** 256 - 1)), ("r one and s one", (1, 1))):
        add("ECDSA " + name, es, f"{head}.{body}.{b64(pair[0].to_bytes(32, 'big') + pair[1].to_bytes(32, 'big'))}", False)
    add("ECDSA as DER", es, f"{head}.{body}.{b64(es.private.sign((head + '.' + body).encode(), ec.ECDSA(hashes.SHA256())))}", False)

    add("1 MB of claims", hs, hs.token({"fill": "x" * 1_000_000}), False, "own")
    add("1 MB of header", hs, hs.token(header={"fill": "x" * 1_000_000}), False, "own")
    add("1 MB of nothing", hs, "A" * 1_000_000, False, "own")
    add("1 MB of dots", hs, "." * 1_000_000, False, "own")
    add("deeply nested claims", hs, hs.token(raw_claims='{"a":' + "[" * 4000 + "]" * 4000 + f',"exp":{NOW + 3600}' + "}"), False, "own")
    add("good Ed448", (edwards := Key("Ed448")), edwards.token(), True, "own")
    return made


def hs_with(key, secret, bits):
    message = b64(json.dumps({"alg": "HS" + bits, "typ": "JWT"})) + "." + b64(json.dumps({"sub": "ada", "exp": NOW + 3600}))
    return message + "." + b64(hmac.new(secret, message.encode(), getattr(hashlib, "sha" + bits)).digest())


class Jwt(harness.ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.corpus = corpus()
        if os.environ.get("JWT_CORPUS"):
            with open(os.environ["JWT_CORPUS"], "w") as out:
                for name, keys, token, valid, kind in cls.corpus:
                    out.write(json.dumps({"name": name, **keys, "token": token, "valid": valid}) + "\n")

    def test_token_verify_judges_each_as_it_must(self):
        self.assertGreaterEqual(len(self.corpus), 150)
        lines = "".join(json.dumps({**keys, "token": token, "now": NOW, "issuer": "us" if kind == "claims" else "", "audience": "shop"
                                    if kind == "claims" else ""}) + "\n" for _, keys, token, _, kind in self.corpus)
        ran = subprocess.run([harness.program(), "token", "verify", "--json-lines"], input=lines, capture_output=True, text=True,
                             timeout=120)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        answers = [json.loads(line) for line in ran.stdout.splitlines()]
        self.assertEqual(len(answers), len(self.corpus))
        wrong = [(name, answer) for (name, _, _, valid, _), answer in zip(self.corpus, answers) if answer["valid"] != valid]
        self.assertEqual(wrong, [])
        print(f"{len(answers)} tokens judged, {sum(answer['valid'] for answer in answers)} of them valid", file=sys.stderr)
        for answer in answers:
            self.assertEqual(answer["reason"] is None, answer["valid"])

    def test_a_server_answers_200_or_401(self):
        by_keys = {}
        for name, keys, token, valid, _ in self.corpus:
            sendable = token and len(token) < 6000 and all("!" <= c <= "~" for c in token)
            if sendable and not name.startswith("a weak") and "leeway" not in name:  # by the time they arrive it has passed
                keys = {"keys": [keys["jwk"]]} if "jwk" in keys else keys["jwks"]
                by_keys.setdefault(json.dumps(keys), []).append((name, token, valid))
        asked = 0
        for text, cases in sorted(by_keys.items(), key=lambda item: -len(item[1]))[:5]:  # each set needs a server of its own
            server = self.serve(CONTRACT, config=DEPLOYMENT, files={"jwks.json": text})
            for name, token, valid in cases:
                with self.subTest(name):
                    answer = server.get("/things", headers={"Authorization": "Bearer " + token})
                    self.assertEqual(answer.status, 200 if valid else 401)
                    if not valid:
                        self.assertIn("invalid_token", answer.headers["www-authenticate"])
                        self.assertEqual(answer.json()["code"], "invalid-credentials")
                    asked += 1
        self.assertGreater(asked, 100)
        print(f"{asked} tokens sent to a server", file=sys.stderr)

    def test_rhonabwy_agrees_where_it_knows_the_algorithm(self):
        """Signatures only: rnbyc looks at no claims, is lenient with base64 and duplicates, and takes any key for `use`."""
        harness.needs("rnbyc")
        disagreed, asked = [], 0
        for name, keys, token, valid, kind in self.corpus:
            if kind or "jwk" not in keys or len(token) > 8000 or "\0" in token or not token.strip() or "alg" in keys["jwk"]:
                continue
            if "use" in keys["jwk"] or "key_ops" in keys["jwk"] or "crit" in name:
                continue
            with tempfile.NamedTemporaryFile("w", suffix=".json") as out:
                json.dump({"keys": [{**keys["jwk"], "kid": "k"}]}, out)
                out.flush()
                ran = subprocess.run(["rnbyc", "-t", token, "-P", out.name], capture_output=True, text=True, timeout=30)
            agreed = ("signature verified" in (ran.stdout + ran.stderr).lower()) == valid
            asked += 1
            if not agreed:
                disagreed.append((name, valid, (ran.stdout + ran.stderr)[-200:]))
        self.assertEqual(disagreed, [])
        self.assertGreater(asked, 100)
        print(f"rhonabwy agrees on {asked} tokens", file=sys.stderr)


CONTRACT = """
openapi: 3.1.0
info: {title: Things, version: '1'}
x-plimsoll:
  rate-limit: off
  tables: {things: {schema: '#/components/schemas/Thing', key: id}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas: {Thing: {type: object, required: [id], properties: {id: {type: string, maxLength: 40}}}}
paths:
  /things:
    get:
      operationId: listThings
      security: [{bearer: []}]
      x-plimsoll: {table: things}
      responses: {'200': {description: ok}}
"""
DEPLOYMENT = """
authentication: {failures: off, bearer: {issuer: us, audience: shop, jwks: jwks.json}}
"""

if __name__ == "__main__":
    harness.main()
