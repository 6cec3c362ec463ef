"""`cache: 60s` in front of a service: what the service is sent to fill the cache is made from the key of the cache alone."""
import json
import random

import harness
from upstreams_test import Behind, answer

CONTRACT = """
openapi: 3.1.0
info: {title: Pages, version: '1'}
x-plimsoll: {rate-limit: off, authorization: any-caller, validate: {unknown-query: ignore}}
paths:
  /pages/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: integer}}
      - {name: size, in: query, schema: {type: number}}
      - {name: tag, in: query, schema: {type: array, items: {type: string}}}
      - {name: X-Depth, in: header, schema: {type: number}}
      - {name: X-Parts, in: header, schema: {type: array, items: {type: string}}}
      - {name: theme, in: cookie, schema: {type: string}}
      - {name: zoom, in: cookie, schema: {type: number}}
    get: &get
      operationId: getPage
      security: []
      x-plimsoll: {upstream: reviews, cache: 60s}
      responses: {'200': {description: ok, content: {application/json: {}}}}
    post: &post
      operationId: changePage
      security: []
      x-plimsoll: {upstream: reviews}
      responses: {'200': {description: ok, content: {application/json: {}}}}
  /unread:
    parameters:
      - {name: X-Depth, in: header, schema: {type: number}}
      - {name: theme, in: cookie, schema: {type: string}}
    get: {<<: *get, operationId: getUnread, x-plimsoll: {upstream: reviews, cache: 60s, validate: off}}
    post: {<<: *post, operationId: changeUnread}
  /plain:
    get: {<<: *get, operationId: getPlain, responses: {'200': {description: ok}}}
"""
# Of one request: they name it where its log is read.
OF_THE_REQUEST = ("traceparent", "x-request-id")
FIELDS = ("x-anything accept-language user-agent referer origin authorization via x-request-id traceparent tracestate baggage priority range if-none-match if-modified-since if-match prefer x-forwarded-for "
          "x-forwarded-host x-forwarded-proto forwarded x-real-ip x-api-key idempotency-key plimsoll-after cache-control pragma accept content-language x-plimsoll-attempt x_depth x_parts cookie2 from dnt save-data sec-fetch-site").split()


class Fills(Behind):
    def sent(self, server, method, target, host, fields, version="1.1"):
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        got = server.raw(f"{method} {target} HTTP/{version}\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n".encode())
        head, _, body = got.partition(b"\r\n\r\n")
        self.assertEqual(head.split(b" ")[1], b"200", got)
        return head.decode("latin-1").lower(), body

    def test_requests_with_one_key_make_the_same_request_to_the_service(self):
        """Whatever else they say: fields, cookies, queries that the contract does not declare, forwarding, versions, addresses."""
        chance = random.Random(harness.seed())
        target = self.target()
        server = self.serve(CONTRACT, self.upstreams(target))

        def differences():
            fields = []
            for name in chance.sample(FIELDS, chance.randrange(len(FIELDS))):
                value = {"traceparent": f"00-{chance.getrandbits(128):032x}-{chance.getrandbits(64):016x}-01", "range": "bytes=0-1", "accept": "application/json, text/html;q=0.5", "cache-control": "no-cache",
                         "if-match": "*"}.get(name, f"theirs{chance.getrandbits(40)}")
                fields.append(("".join(chance.choice([letter, letter.upper()]) for letter in name), value))
            return fields

        def cookies(declared):
            pairs = [f"{name}=theirs{chance.getrandbits(40)}" for name in ("session", "csrf", "Theme", "a")[:chance.randrange(5)]] + declared
            chance.shuffle(pairs)
            return [("Cookie", "; ".join(pairs))] if pairs else []

        for _ in range(40):
            number = chance.randrange(50)
            given = {name for name in ("size", "tag", "depth", "parts", "theme", "zoom") if chance.random() < 0.7}
            tags, parts, theme = ([chance.choice(["x", "y z", "é&="]) for _ in range(2)], chance.choice(["p,q", "p, q"]), chance.choice(["dark", "a=b/c+d", "light"]))
            seen = []
            unread = chance.random() < 0.3
            for _ in range(2):
                spelled = lambda value: chance.choice([f"{value}", f"{value}.0", f"{value}e0"]) if not unread else f"{value}"
                query = [f"size={spelled(number)}"] if "size" in given else []
                query += ["&".join(f"tag={''.join(f'%{byte:02x}' for byte in tag.encode())}" for tag in tags)] if "tag" in given else []
                if not unread:
                    query += [f"other{chance.randrange(9)}=theirs{chance.getrandbits(30)}" for _ in range(chance.randrange(3))]
                    chance.shuffle(query)
                path = "/unread" if unread else f"/pages/{number}" if chance.random() < 0.5 else "/pages/" + "".join(f"%3{digit}" for digit in str(number))
                fields = differences()
                if "depth" in given:
                    fields.append(("X-Depth", spelled(number)))
                if "parts" in given:
                    fields.append(("X-Parts", parts if unread else chance.choice(["p,q", "p, q", "p ,q"])))
                fields += cookies(([f"theme={theme}"] if "theme" in given else []) + ([f"zoom={spelled(number)}"] if "zoom" in given else []))
                chance.shuffle(fields)
                self.sent(server, "POST", "/unread" if unread else f"/pages/{number}", "shop.example", [("Content-Length", "0")])
                target.seen.clear()
                head, _ = self.sent(server, "GET", path + ("?" + "&".join(query) if query and not unread else ""), chance.choice(["shop.example", "Shop.Example"]), fields, chance.choice(["1.0", "1.1"]))
                self.assertIn("fwd=uri-miss; stored", head)
                self.assertEqual(len(target.seen), 1, "the fill, which everybody is given")
                line, headers, body = target.seen[0]
                seen.append((line, [field for field in headers.pairs if field[0].lower() not in OF_THE_REQUEST], body))
                self.assertNotIn("theirs", str(seen[-1]))
                if "theme" in given:
                    self.assertIn(f"theme={theme}", headers["cookie"])
                if "depth" in given:
                    self.assertEqual(headers["x-depth"], str(number))
            self.assertEqual(seen[0], seen[1])

    def test_what_was_made_for_one_host_is_never_given_for_another(self):
        target = self.target()
        target.does = lambda _, request: answer({"link": request[1]["x-forwarded-host"], "also": request[1]["forwarded"], "cookie": request[1].get("cookie")})
        server = self.serve(CONTRACT, self.upstreams(target))
        for host in ("evil.example", "shop.example"):
            _, body = self.sent(server, "GET", "/pages/1", host, [("Cookie", f"session={host}; theme=dark"), ("X-Forwarded-Host", "elsewhere.example")])
            self.assertEqual(json.loads(body), {"link": host, "also": f'for=unknown;host="{host}";proto=http', "cookie": "theme=dark"})
        head, body = self.sent(server, "GET", "/pages/1", "SHOP.example", [("Cookie", "theme=dark; session=c")])
        self.assertIn("; hit;", head)
        self.assertEqual((json.loads(body)["link"], len(target.seen)), ("shop.example", 2))

    def test_a_field_that_the_service_varies_by_is_in_the_key_and_then_sent(self):
        target = self.target()
        target.does = lambda _, request: answer({"language": request[1].get("accept-language", "none")}, more="Vary: Accept-Language\r\n")
        server = self.serve(CONTRACT, self.upstreams(target))
        for language in ("de", "en", "de", "en", None, "fr"):
            fields = [("Accept-Language", language), ("Accept_Language", "xx")] if language else []
            _, body = self.sent(server, "GET", "/plain", "shop.example", fields)
            self.assertEqual(json.loads(body), {"language": language or "none"})
        head, body = self.sent(server, "GET", "/plain", "shop.example", [("Accept-Language", "en")])
        self.assertIn("; hit;", head)
        self.assertEqual(json.loads(body), {"language": "en"})
        self.assertFalse([seen for seen in target.seen if "xx" in str(seen[1].pairs)])

    def test_a_response_is_given_to_those_alone_who_say_what_it_was_made_with(self):
        """Though the service names in `Vary` what one branch has looked at, and another field each time."""
        chance = random.Random(harness.seed())
        names = ["x-v1", "x-v2", "x-v3"]
        for _ in range(3):
            target = self.target()
            branch = {(first, second): chance.choice(names) for first in (False, True) for second in (False, True)}

            def does(_, request):
                had = {name: request[1][name] for name in names if name in request[1]}
                return answer(had, more=f"Vary: {branch['x-v1' in had, 'x-v2' in had]}\r\n")
            target.does = does
            server = self.serve(CONTRACT, self.upstreams(target))
            for turn in range(40):
                says = {name: chance.choice(["alice", "bob"]) for name in names if chance.random() < 0.5}
                _, body = self.sent(server, "GET", "/plain", "shop.example", list(says.items()))
                self.assertLessEqual(json.loads(body).items(), says.items(), (branch, turn))
            before = len(target.seen)
            for who in ("alice", "bob"):
                for _ in range(2):
                    self.sent(server, "GET", "/plain", "shop.example", [("x-v1", who)])
            self.assertLessEqual(len(target.seen) - before, 2 * 3, "and is used again")

    def test_who_says_what_no_fill_may_carry_is_answered_for_itself(self):
        """By the service's own word, in `Vary`: cookies, credentials, and the address of the client, which the server says itself."""
        for name, says in (("Cookie", "Cookie"), ("Authorization", "Authorization"), ("X-Forwarded-For", None), ("Forwarded", None), ("*", None)):
            with self.subTest(vary=name):
                target = self.target()
                target.does = lambda _, request, name=name: answer({"you": request[1].get(name, "somebody")}, more=f"Vary: {name}\r\n")
                server = self.serve(CONTRACT, self.upstreams(target))
                for who in ("alice", "bob", "alice"):
                    head, body = self.sent(server, "GET", "/plain", "shop.example", [(says or "X-Who", f"who={who}")])
                    self.assertIn("fwd=bypass", head)
                    self.assertEqual(json.loads(body)["you"], f"who={who}" if says else target.seen[-1][1].get(name, "somebody"))
                if says:
                    _, body = self.sent(server, "GET", "/plain", "shop.example", [])
                    self.assertEqual(json.loads(body), {"you": "somebody"})


if __name__ == "__main__":
    harness.main()
