"""`cache` of an upstream: the private cache of the client (RFC 9111), on a running server with a service behind that answers as told."""
import json
import random
import socket
import threading

import harness
from upstreams_test import Behind, answer, contract

KEYS = """
  /keyed:
    get:
      operationId: keyed
      security: [{key: []}]
      x-plimsoll: {upstream: reviews, authentication: off}
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Shop-Member}}
"""


def stored(control, body=None, more=""):
    return answer(body if body is not None else {}, more=f"Cache-Control: {control}\r\n{more}")


class ClientCache(Behind):
    def cached(self, target, options="cache: 16MiB", **more):
        return self.front(target, options=options, document=", validate: {unknown-query: ignore}", **more)

    def test_a_response_is_used_again_as_long_as_the_service_says(self):
        target = self.target()
        target.does = lambda _, request: stored("max-age=60", {"run": len(target.seen)})
        server = self.cached(target)
        first, second = server.get("/reviews"), server.get("/reviews")
        self.assertEqual((first.json(), second.json(), len(target.seen)), ({"run": 1}, {"run": 1}, 1))
        self.assertIn("plimsoll-client; hit; ttl=", second.headers["cache-status"])
        self.assertRegex(second.headers["age"], "^[0-9]+$")
        self.assertEqual(server.get("/reviews?page=2").json(), {"run": 2})
        self.assertEqual(server.get("/reviews", headers={"Cache-Control": "no-cache"}).json(), {"run": 3})
        self.assertEqual(server.get("/reviews", headers={"Cache-Control": "only-if-cached"}).json(), {"run": 3})
        refused = server.get("/reviews?page=3", headers={"Cache-Control": "only-if-cached"})
        self.assertEqual((refused.status, refused.json()["code"]), (504, "not-cached"))
        self.assertEqual(self.count(server, "plimsoll_client_cache_answers_total", service="reviews", source="hit"), 2)
        self.assertEqual(self.count(server, "plimsoll_client_cache_entries", service="reviews"), 2)
        self.assertGreater(self.count(server, "plimsoll_client_cache_bytes", service="reviews"), 0)
        self.assertEqual(sum(value for name, value in server.metrics().items() if name.startswith("http_client_request_duration_seconds_count")), 3, "what comes from memory is no call")

    def test_a_stale_response_is_validated_and_used_when_the_service_fails(self):
        target = self.target()

        def does(_, request):
            if request[1].get("if-none-match") == '"1"':
                return b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=0, stale-if-error=60\r\n\r\n'
            return stored("max-age=0, stale-if-error=60", {"big": "x" * 1000}, 'ETag: "1"\r\n')
        target.does = does
        server = self.cached(target, "cache: {stale-if-error: 1h}, retry: off")
        for _ in range(3):
            self.assertEqual(len(server.get("/reviews").json()["big"]), 1000)
        self.assertEqual(self.count(server, "plimsoll_client_cache_answers_total", source="validated"), 2, "two of three")
        self.assertEqual(server.get("/reviews", headers={"If-None-Match": '"1"'}).status, 304)
        target.does = answer(status="500 Internal Server Error")
        got = server.get("/reviews")
        self.assertEqual((got.status, len(got.json()["big"])), (200, 1000))
        self.assertIn("stale-if-error", got.headers["cache-status"])
        self.assertEqual(self.count(server, "plimsoll_client_cache_answers_total", source="stale"), 1)
        event = harness.until(lambda: next((line for line in server.logged() if "stale-response-used" in (line.get("msg"), line.get("event"))), None), "the event")
        self.assertEqual((event["service"], event["times"]), ("reviews", 1))

    def test_a_change_makes_what_is_stored_old(self):
        target = self.target()
        target.does = lambda _, request: stored("max-age=60", {"run": len(target.seen)})
        server = self.cached(target)
        self.assertEqual([server.get("/reviews").json()["run"], server.get("/reviews").json()["run"]], [1, 1])
        server.post("/reviews", {"text": "good"})
        self.assertEqual(server.get("/reviews").json(), {"run": 3})

    ITEMS = """
  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    x-plimsoll: {deadline: 500ms}
    get:
      operationId: getItem
      x-plimsoll: {upstream: reviews%s}
      responses: {'200': {description: ok, content: {application/json: {}}}, default: {description: other}}
""" + "".join(f"    {method}: {{operationId: {method}Item, x-plimsoll: {{upstream: reviews}}, responses: {{default: {{description: other}}}}}}\n" for method in ("put", "delete", "patch"))

    def test_a_change_of_which_nobody_knows_what_came_makes_what_is_stored_old(self):
        """A look after an uncertain write is what clients are told to do: it must not be given what was stored before."""
        held = threading.Event()
        self.addCleanup(held.set)

        def hangs(*_):
            held.wait()
            return None

        class Answers(list):
            def __call__(self, *_):
                return self.pop(0) if len(self) > 1 else self[0]
        refused, done, unknown = answer(status="409 Conflict"), answer(), True
        broken = lambda *_: None
        outcomes = [("done", done, True), ("refused", refused, False), ("not taken", answer(status="503 Service Unavailable"), False), ("its connection breaks", broken, unknown), ("no answer until the deadline", hangs, unknown),
                    ("a gateway behind got no answer", answer(status="504 Gateway Timeout"), unknown), ("an error of the service", answer(status="500 Internal Server Error"), False),
                    ("no HTTP", b"nonsense\r\n\r\n", unknown), ("refused after an attempt that broke", Answers([None, answer(status="412 Precondition Failed")]), unknown), ("the client has left", "leaves", unknown)]
        for cache, options in ((", cache: origin", ""), (", cache: 1h", ""), ("", "cache: 16MiB")):
            target = self.target()
            server = self.front(target, options=f"breaker: off{options and ', ' + options}", more=self.ITEMS % cache)
            change = {}

            def does(connection, request):
                if request[0].startswith("GET"):
                    return stored("max-age=3600", {"seen": len(target.seen)})
                return change["does"](connection, request) if callable(change["does"]) else change["does"]
            target.does = does
            for method in ("PUT", "DELETE", "PATCH"):
                for number, (name, outcome, old) in enumerate(outcomes):
                    if method == "PATCH" and isinstance(outcome, Answers):
                        continue  # it is not sent again
                    with self.subTest(cache=cache or options, method=method, outcome=name):
                        path = f"/items/{method}{number}"
                        first = server.get(path).json()
                        self.assertEqual(server.get(path).json(), first)
                        before = len(target.seen)
                        change["does"] = hangs if outcome == "leaves" else Answers(outcome) if isinstance(outcome, Answers) else outcome
                        if outcome == "leaves":
                            line = socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE)
                            line.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
                            harness.until(lambda: len(target.seen) > before, "the request")
                            line.close()
                            harness.until(lambda: any(each.get("client_gone") and each.get("path") == path for each in server.logged()), server.describe)
                        else:
                            server.request(method, path)
                        self.assertGreater(len(target.seen), before)
                        self.assertEqual(server.get(path).json() != first, old)
            with self.subTest(cache=cache or options, outcome="never sent"):
                target = self.target()
                target.does = stored("max-age=3600", {"a": 1}, "Connection: close\r\n")
                server = self.front(target, options=f"retry: off{options and ', ' + options}", more=self.ITEMS % cache)
                self.assertEqual(server.get("/items/a").status, 200)
                target.close()
                self.assertEqual(server.request("PUT", "/items/a").status, 502)
                self.assertEqual(server.get("/items/a").json(), {"a": 1})

    def test_no_caller_is_given_what_was_made_for_another(self):
        """Random pairs of requests with credentials of the caller that are passed on: the service tells each who it is, in all ways in which it may be stored."""
        chance = random.Random(harness.seed())
        target = self.target()
        names = ("authorization", "cookie", "x-api-key", "x-shop-member")
        places = ("x-forwarded-host", "x-forwarded-proto")  # of which a service makes addresses, and says no `Vary`
        fields = names + ("accept-language", "user-agent", "x-user", "forwarded")

        def does(_, request):
            # Of some resources no response is `private`: they are not told apart by all fields.
            control = chance.choice(["max-age=60", "public, max-age=60", "max-age=0, stale-while-revalidate=60"] if "open" in request[0] else ["private, max-age=60", "max-age=60"])
            body = {"whose": {name: request[1].get(name) for name in names + places}, "all": {name: request[1].get(name) for name in fields} if "private" in control else None}
            return stored(control, body, chance.choice(["", "Vary: Accept-Language\r\n", "Vary: Cookie, X-User\r\n"]))
        target.does = does
        server = self.serve(contract(", validate: {unknown-query: ignore}", KEYS), "trusted-proxies: [127.0.0.1]\n" + self.upstreams(target, options="cache: 16MiB"))
        reused = 0
        for _ in range(600):
            host, proto = f"shop-{chance.choice('ab')}.example", chance.choice(["http", "https"])
            said = {name: f"{chance.choice('ab')}=1" for name in fields[:-1] if chance.random() < 0.3}
            said.setdefault("user-agent", "test")
            before = len(target.seen)
            got = server.get(f"{'/keyed' if 'x-shop-member' in said else '/reviews'}?{chance.choice(['open', 'of'])}={chance.randrange(2)}",
                             headers={**said, "Host": host, "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": proto})
            self.assertEqual(got.status, 200, got.body)
            reused += len(target.seen) == before
            given = got.json()
            self.assertEqual(given["whose"], {**{name: said.get(name) for name in names}, "x-forwarded-host": host, "x-forwarded-proto": proto}, got.headers["cache-status"])
            if given["all"]:
                self.assertEqual({name: value for name, value in given["all"].items() if name != "forwarded"}, {name: said.get(name) for name in fields[:-1]}, got.headers["cache-status"])
        self.assertGreater(reused, 30)

    def test_with_a_credential_of_the_server_all_callers_are_one_user(self):
        target = self.target()
        target.does = lambda _, request: stored("max-age=60", {"you": request[1]["authorization"], "run": len(target.seen)})
        server = self.cached(target, "cache: 16MiB, authentication: {bearer: t0ken}")
        for caller in ("a", "b", "a"):
            self.assertEqual(server.get("/reviews", headers={"Authorization": f"Bearer {caller}"}).json(), {"you": "Bearer t0ken", "run": 1})
        self.write(server, self.upstreams(target, options="cache: 16MiB, retry: {attempts: 1}, authentication: {bearer: t0ken}"))
        self.assertEqual(harness.fetch(server.management, "POST", "/reload").status, 200)
        self.assertEqual(server.get("/reviews").json()["run"], 1, "a reload keeps what is stored")
        self.write(server, self.upstreams(target, options="cache: 16MiB, authentication: {bearer: an0ther}"))
        self.assertEqual(harness.fetch(server.management, "POST", "/reload").status, 200)
        self.assertEqual(server.get("/reviews").json(), {"you": "Bearer an0ther", "run": 2}, "but not for another account")

    def test_a_refused_credential_of_the_server_is_no_answer_to_the_caller(self):
        for status in ("401 Unauthorized", "403 Forbidden"):
            for control in ("", "Cache-Control: max-age=60\r\n"):
                with self.subTest(status=status, control=control):
                    target = self.target()
                    target.does = answer(status=status, more=control)
                    server = self.cached(target, "cache: 16MiB, authentication: {bearer: t0ken}")
                    for _ in range(2):
                        self.assertEqual((server.get("/reviews").status, server.get("/reviews").json()["code"]), (502, "credential-refused"))
                    target.does = stored("max-age=60", {"run": 1})
                    self.assertEqual(server.get("/reviews").json(), {"run": 1}, "the credential is good again")
        for options in ("cache: 16MiB", "cache: 16MiB, authentication: {bearer: t0ken, refusals: pass}"):
            target = self.target()
            target.does = answer(status="403 Forbidden", more="Cache-Control: max-age=60\r\n")
            server = self.cached(target, options)
            self.assertEqual([server.get("/reviews").status for _ in range(2)] + [len(target.seen)], [403, 403, 1], "what is said to callers is stored")

    def test_what_may_not_be_stored_passes_through(self):
        target = self.target()
        big = b"x" * (3 << 20)
        bodies = {"/files": answer(big, kind="application/octet-stream", more="Cache-Control: max-age=60\r\n")}
        target.does = lambda _, request: bodies.get(request[0].split()[1], stored("no-store", {"run": len(target.seen)}))
        server = self.cached(target)
        for _ in range(2):
            self.assertEqual(server.get("/files").body, big)
            server.get("/reviews")
        self.assertEqual(len(target.seen), 4)
        self.assertEqual(self.count(server, "plimsoll_client_cache_answers_total", source="hit"), 0)

    def test_what_is_stored_is_bounded(self):
        target = self.target()
        target.does = stored("max-age=60", b'"' + b"x" * 20_000 + b'"')
        server = self.cached(target, "cache: {memory: 1MiB, entries: 100}")
        for number in range(300):
            self.assertEqual(server.get(f"/reviews?page={number}").status, 200)
        self.assertLessEqual(self.count(server, "plimsoll_client_cache_bytes"), 1 << 20)
        self.assertGreater(self.count(server, "plimsoll_client_cache_bytes"), 1 << 19)
        target.does = stored("max-age=60", b"{}")
        for number in range(300, 600):
            server.get(f"/reviews?page={number}")
        self.assertEqual(self.count(server, "plimsoll_client_cache_entries"), 100)

    def test_a_lifetime_in_its_place_is_told(self):
        for options, what in (("cache: 60s", "is the service's to say"), ("cache: origin", "is the service's to say"), ("cache: {memry: 1MiB}", 'did you mean "memory"'), ("cash: 1MiB", 'did you mean "cache"'),
                              ("cache: {entries: 0}", "entries")):
            with self.subTest(options=options):
                self.assertIn(what, self.refused(contract(), self.upstreams("http://127.0.0.1:1", options=options)))


if __name__ == "__main__":
    harness.main()
