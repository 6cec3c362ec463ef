"""Tokens that a test signs itself (HS256), and the section of the deployment that believes them."""
import base64
import hashlib
import hmac
import json
import time

SECRET = "a secret of the tests, long enough for HS256"
DEPLOYMENT = f"authentication: {{bearer: {{issuer: tests, audience: tests, secret: '{SECRET}'}}}}\n"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(subject, tenant="", scopes=(), roles=()):
    claims = {"sub": subject, "exp": int(time.time()) + 86_400, "iss": "tests", "aud": "tests", "scope": " ".join(scopes), "roles": list(roles)}
    if tenant:
        claims["tenant"] = tenant
    text = b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + b64(json.dumps(claims).encode())
    return text + "." + b64(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


def caller(subject, tenant="", scopes=(), roles=()):
    """The header of a caller."""
    return {"Authorization": "Bearer " + token(subject, tenant, scopes, roles)}
