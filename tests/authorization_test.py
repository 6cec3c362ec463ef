"""Every role on every operation of the example shop, and none: what the contract says is what the server does."""
import json
import re
import shutil
import sys
import unittest
import urllib.parse
import uuid

import harness

SHOP = harness.ROOT / "examples/shop"


def roles():
    """Each role of the shop's deployment with its scopes."""
    section = re.search(r"^roles:\n((?:  .*\n)+)", (SHOP / "plimsoll.yaml").read_text(), re.M)[1]
    return {name: {scope.strip(" '\"") for scope in scopes.split(",")} for name, scopes in re.findall(r"^  ([\w-]+): \[(.*)\]", section, re.M)}


def needed(security):
    """`bearer(orders:read)` → {'orders:read'}; `none` → None."""
    return None if security == "none" else {scope for group in re.findall(r"\(([^)]*)\)", security) for scope in re.split(r"[ ,]+", group)}


class Authorization(harness.ServerTest):
    @harness.engines("sqlite", why="the migrations of the shop are for SQLite")
    def test_every_role_on_every_operation_of_the_shop(self):
        folder = self.directory()
        shutil.copytree(SHOP, folder, dirs_exist_ok=True)
        made = self.plimsoll("token", "key", "--private", "private.jwk", "--public", "jwks.json", directory=folder)
        self.assertEqual(made.returncode, 0, made.stderr)
        config = re.sub(r"^roles:", "authentication: {bearer: {issuer: us, audience: shop, jwks: jwks.json}}\nroles:",
                        (SHOP / "plimsoll.yaml").read_text(), count=1, flags=re.M)
        (folder / "plimsoll.yaml").write_text(config)
        # The limits are for somebody else's test: this one asks a thousand times from one address.
        contract = (SHOP / "shop.yaml").read_text().replace("\nx-plimsoll:\n", "\nx-plimsoll:\n  rate-limit: off\n", 1)
        (folder / "shop.yaml").write_text(contract)
        told = self.plimsoll("routes", "shop.yaml", "--json", directory=folder)
        self.assertEqual(told.returncode, 0, told.stderr)
        routes = json.loads(told.stdout)
        migrated = self.plimsoll("migrate", "up", directory=folder)
        self.assertEqual(migrated.returncode, 0, migrated.stderr)
        server = self.serve(folder / "shop.yaml", config=folder / "plimsoll.yaml", directory=folder)

        tokens = {None: None}
        for role in roles():
            issued = self.plimsoll("token", "issue", "--key", "private.jwk", "--subject", f"a {role}", "--issuer", "us", "--audience", "shop",
                                   "--role", role, directory=folder)
            self.assertEqual(issued.returncode, 0, issued.stderr)
            tokens[role] = issued.stdout.strip()
        asked = 0
        for route in routes:
            scopes = needed(route["security"])
            for role, token in tokens.items():
                path = re.sub(r"\{\w+\}", lambda _: urllib.parse.quote(str(uuid.uuid4())), route["path"])
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                body = None if route["method"] in ("GET", "DELETE") else {}
                if route["method"] == "PATCH":
                    headers["Content-Type"] = "application/merge-patch+json"
                with self.subTest(operation=route["operation"], role=role):
                    status = server.request(route["method"], path, body, headers).status
                    if scopes is not None and role is None:
                        self.assertEqual(status, 401)
                    elif scopes and "*" not in roles()[role] and not scopes <= roles()[role]:
                        self.assertEqual(status, 403)
                    else:
                        self.assertNotIn(status, (401, 403, 429, 500, 503))
                    asked += 1
        self.assertGreaterEqual(asked, len(routes) * 4)
        print(f"{len(routes)} operations, {len(tokens)} callers, {asked} answers as the contract says", file=sys.stderr)


if __name__ == "__main__":
    harness.main()
