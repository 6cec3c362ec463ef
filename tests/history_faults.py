"""Transports of `history_clients` that spoil what they carry, each in one way: what a wrong server would do. `planted` counts how often."""
import collections
import json
import random
import threading

import harness
import tokens
from history_clients import send


class Fault:
    """Of the requests that qualify, a part (`rate`) is spoiled. `found_as`: what the checker may call it."""

    found_as, rate = (), 0.4

    def __init__(self, seed):
        self.chance, self.lock, self.planted = random.Random(seed), threading.Lock(), 0
        self.kept = collections.defaultdict(lambda: collections.deque(maxlen=8))

    def __call__(self, client, number, method, target, body, headers):
        return self.carry(client, number, method, target, body, headers)

    def now(self):
        with self.lock:
            spoiled = self.chance.random() < self.rate
            self.planted += spoiled
            return spoiled


def answered(answer, headers=(), body=None):
    """A copy of an answer, with other headers or another body."""
    changed = dict(headers)
    return harness.Answer(answer.status, harness.Headers([(name, changed.get(name, value)) for name, value in answer.headers.pairs]), answer.body if body is None else body)


class StaleReads(Fault):
    """A response of a while ago."""

    found_as = ("stale read",)

    def carry(self, client, number, method, target, body, headers):
        answer = send(client, number, method, target, body, headers)
        kept = self.kept[target]
        if method == "GET" and answer.status == 200:
            kept.append(answer)
            if kept[0].body != answer.body and self.now():
                return kept[0]
        return answer


class ForgottenPromises(Fault):
    """Reads arrive as those of a stranger without a token: a replica that stands still answers them."""

    found_as = ("stale read",)
    stranger = tokens.caller("stranger")

    def carry(self, client, number, method, target, body, headers):
        if method == "GET" and self.now():
            headers = {**{name: value for name, value in headers.items() if name != "Plimsoll-After"}, **self.stranger}
        return send(client, number, method, target, body, headers)


class ValuesFromNowhere(Fault):
    found_as = ("value from nowhere",)

    def carry(self, client, number, method, target, body, headers):
        answer = send(client, number, method, target, body, headers)
        if method == "GET" and answer.status == 200 and not target.startswith("/registers?") and self.now():
            return answered(answer, body=json.dumps({**answer.json(), "value": "nobody's"}).encode())
        return answer


class LostWrites(Fault):
    """Acknowledged, and never done."""

    found_as = ("stale read", "not linearizable", "value from nowhere")

    def carry(self, client, number, method, target, body, headers):
        if method in ("PUT", "PATCH") and client.last and self.now():
            return harness.Answer(200, harness.Headers([("etag", '"lost"'), ("plimsoll-after", client.last.token)]), body.encode())
        return send(client, number, method, target, body, headers)


class RepeatedWrites(Fault):
    """A write that was answered arrives once more, later."""

    found_as = ("stale read", "not linearizable")

    def carry(self, client, number, method, target, body, headers):
        kept = self.kept["all"]
        if kept and method != "GET" and self.now():
            send(client, number, *kept.popleft())
        answer = send(client, number, method, target, body, headers)
        if method == "PUT" and answer.status == 200 and "Idempotency-Key" not in headers:
            kept.append((method, target, body, headers))
        return answer


class IgnoredPreconditions(Fault):
    """`If-Match` is not looked at: updates are lost."""

    found_as = ("stale read", "not linearizable")

    def carry(self, client, number, method, target, body, headers):
        if "If-Match" in headers and self.now():
            headers = {name: value for name, value in headers.items() if name != "If-Match"}
        return send(client, number, method, target, body, headers)


class RefusedChanges(Fault):
    """A swap that was refused takes place all the same."""

    found_as = ("value of a refused change", "stale read", "not linearizable")

    def carry(self, client, number, method, target, body, headers):
        answer = send(client, number, method, target, body, headers)
        if answer.status == 412 and self.now():
            send(client, number, method, target, body, {name: value for name, value in headers.items() if name not in ("If-Match", "Idempotency-Key")})
        return answer


class ForgottenKeys(Fault):
    """A repetition is executed again."""

    found_as, rate = ("effect more than once", "executed more than once", "another response", "stale read", "not linearizable"), 0.9

    def carry(self, client, number, method, target, body, headers):
        named = headers.get("Idempotency-Key")
        if named:
            kept = self.kept[named]
            kept.append(None)
            if len(kept) > 1 and self.now():
                headers = {**headers, "Idempotency-Key": f"{named}-{len(kept)}"}
        return send(client, number, method, target, body, headers)


class ChangedReplays(Fault):
    """A repetition gets another response than the first."""

    found_as, rate = ("another response",), 0.9

    def carry(self, client, number, method, target, body, headers):
        answer = send(client, number, method, target, body, headers)
        if "idempotent-replayed" in answer.headers and "etag" in answer.headers and self.now():
            return answered(answer, {"etag": '"other"'})
        return answer


class LostEffects(Fault):
    """An entry is acknowledged, and never made."""

    found_as = ("lost effect",)

    def carry(self, client, number, method, target, body, headers):
        if method == "POST" and target == "/entries" and client.last and self.now():
            return harness.Answer(201, harness.Headers([("plimsoll-after", client.last.token)]), body.encode())
        return send(client, number, method, target, body, headers)


FAULTS = (StaleReads, ForgottenPromises, ValuesFromNowhere, LostWrites, RepeatedWrites, IgnoredPreconditions, RefusedChanges, ForgottenKeys, ChangedReplays, LostEffects)
