"""Clients that change and read rows of a service at the same time, and note what they see as operations of `history`.

A world is the instances of a service on one database, the keys in use and what was noted. A change that was not answered, or with a 5xx, stays
open; with an idempotency key it is repeated, at any instance, until it is answered. Keys are given up after a number of operations, so that each
history stays short enough to be searched.
"""
import collections
import http.client
import itertools
import json
import random
import threading
import time

import harness
import history
import postgres_client
import tokens
from history import ABSENT, OPEN, Delete, Exchange, Read, Refused, Swap, Write, session_read

CONTRACT = """
openapi: 3.1.0
info: {title: Registers, version: 1.0.0}
security: [{bearer: []}]
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  priority: off
  tables:
    registers: {schema: '#/components/schemas/Register', filters: {id: [eq]}}
    entries: {schema: '#/components/schemas/Entry'}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Register: {type: object, required: [id, value], properties: {id: {type: string}, value: {type: string}}}
    Entry: {type: object, required: [label], properties: {id: {type: string, format: uuid, readOnly: true}, label: {type: string}}}
paths:
  /registers:
    get: {operationId: list, x-plimsoll: {table: registers}, responses: {'200': {description: ok}}}
    post: {operationId: create, x-plimsoll: {table: registers, idempotency: optional}, requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Register'}}}}, responses: {'201': {description: made}}}
  /registers/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: get, x-plimsoll: {table: registers}, responses: {'200': {description: ok}}}
    put: {operationId: put, x-plimsoll: {table: registers, idempotency: optional}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'200': {description: ok}}}
    patch: {operationId: patch, x-plimsoll: {table: registers, idempotency: optional}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'200': {description: ok}}}
    delete: {operationId: delete, x-plimsoll: {table: registers}, responses: {'204': {description: ok}}}
  /kept/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: kept, x-plimsoll: {table: registers, cache: 1h}, responses: {'200': {description: ok}}}
  /entries:
    post: {operationId: enter, x-plimsoll: {table: entries, idempotency: required}, requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Entry'}}}}, responses: {'201': {description: made}}}
"""


class NotSent(Exception):
    """No connection could be made: nothing of the request has left."""


class Instance:
    """A server that is killed and started again. `incarnation` changes before and after each kill: what it remembers of its callers is gone
    then, also of those that it answers while it is being killed."""

    def __init__(self, server):
        self.server, self.incarnation = server, 0

    def kill(self):
        self.incarnation += 1
        self.server.kill()
        self.incarnation += 1


class Floor:
    """A write that later reads of whoever holds it must show."""

    __slots__ = ("operation", "key", "token")

    def __init__(self, operation, key, token):
        self.operation, self.key, self.token = operation, key, token


class World:
    """`postgres` and `database` are where the rows are; `transport` sends, and may be one that spoils."""

    names = itertools.count(1)

    def __init__(self, instances, postgres, database, seed, operations, clients=8, slots=4, per_key=120, transport=None):
        self.instances, self.postgres, self.database = instances, postgres, database
        self.name, self.transport, self.limit, self.per_key = f"w{next(self.names)}", transport or send, operations, per_key
        self.chance = random.Random(seed)
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.begun = 0
        self.slots = [[0, 0] for _ in range(slots)]  # the generation of the key, and how often it was used
        self.operations, self.exchanges, self.requests = collections.defaultdict(list), collections.defaultdict(list), {}
        self.lost, self.floors, self.unexpected, self.counts = set(), {}, [], collections.Counter()
        self.clients = [Client(self, number, self.chance.random()) for number in range(clients)]
        self.threads = [threading.Thread(target=client.run, daemon=True) for client in self.clients]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def join(self):
        for thread in self.threads:
            thread.join(4 * harness.PATIENCE)
            assert not thread.is_alive(), "a client does not end"
        self.ended.set()

    def running(self):
        return any(thread.is_alive() for thread in self.threads)

    def begin(self):
        """A place among the operations of the world, and a key for it; None at their end."""
        with self.lock:
            if self.begun >= self.limit or self.ended.is_set():
                return None
            self.begun += 1
            number = self.chance.randrange(len(self.slots))
            slot = self.slots[number]
            slot[1] += 1
            if slot[1] > self.per_key:
                slot[0], slot[1] = slot[0] + 1, 1
            return f"{self.name}.{number}.{slot[0]}"

    def note(self, key, operation):
        with self.lock:
            self.operations[key].append(operation)
            self.counts[type(operation).__name__ + (" open" if operation.returned == OPEN else "")] += 1
        return operation

    def judge(self, final):
        """Checks all that was noted, with the rows there are now (`final`: key -> value) and the effects of keys. Returns the violations."""
        found = []
        now = time.monotonic()
        for key, operations in self.operations.items():
            last = Read(final.get(key, ABSENT), now, now + 1, "the database at the end")
            try:
                history.check([*operations, last])
            except (history.Violation, history.Undecided) as error:
                found.append(error)
        effects = collections.Counter(self.rows("SELECT label FROM entries WHERE label LIKE ?", f"{self.name}-%"))
        for key, (_, target, _, _) in self.requests.items():
            try:
                history.check_key(key, self.exchanges[key], effects[(key,)] if target == "/entries" else None, key in self.lost)
            except history.Violation as error:
                found.append(error)
        return found

    def rows(self, statement, *values, at=None):
        at = at or self.postgres
        connection = postgres_client.Connection(at.folder, at.port, self.database, "postgres")
        try:
            return connection.execute(statement, values)
        finally:
            connection.close()

    def final(self, at=None):
        """The rows as they are at the primary, or there."""
        return dict(self.rows("SELECT id, value FROM registers WHERE id LIKE ?", f"{self.name}.%", at=at))


def send(client, number, method, target, body, headers):
    """One request of a client to an instance, over a connection that is kept."""
    line = client.lines.get(number)
    if line is None:
        line = http.client.HTTPConnection(client.world.instances[number].server.address, timeout=harness.PATIENCE)
        try:
            line.connect()
        except OSError as error:
            raise NotSent from error
        client.lines[number] = line
    try:
        return harness.fetch(line.host, method, target, body, headers, connection=line)
    except (OSError, http.client.HTTPException):
        client.lines.pop(number).close()
        raise


class Client:
    def __init__(self, world, number, seed):
        self.world, self.name, self.chance = world, f"{world.name}-c{number}", random.Random(seed)
        self.caller, self.observer = tokens.caller(self.name), tokens.caller(f"{self.name}-observer")
        self.lines, self.serial, self.database = {}, itertools.count(1), None
        self.tags, self.last, self.here, self.rows_here, self.done = {}, None, {}, {}, []

    def run(self):
        try:
            while key := self.world.begin():
                self.step(key)
        except Exception as error:  # a thread that ends silently would be a test that cannot fail
            self.world.unexpected.append(f"{self.name}: {error!r}")
            raise
        finally:
            for line in self.lines.values():
                line.close()
            if self.database:
                self.database.close()

    def step(self, key):
        kind = self.chance.choices(("put", "swap", "delete", "enter", "repeat", "session", "other", "primary"), (14, 20, 2, 5, 5, 26, 22, 6))[0]
        if kind == "put":
            value = f"{self.name}.{next(self.serial)}"
            if key in self.tags and self.chance.random() < 0.9:
                self.change(key, "PUT", {"value": value})
            else:
                self.change(key, "POST", {"id": key, "value": value})
        elif kind == "swap":
            if self.chance.random() < 0.8 or key not in self.tags:
                self.read_as_writer(key, "row")
            if self.tags.get(key):
                self.change(key, "PATCH", {"value": f"{self.name}.{next(self.serial)}"}, self.tags[key])
        elif kind == "delete":
            self.change(key, "DELETE")
        elif kind == "enter":
            self.enter()
        elif kind == "repeat" and self.done:
            self.repeat(self.chance.choice(self.done[-50:]))
        elif kind == "primary":
            self.look(key)
        elif kind == "other":
            self.read_as_observer(key)
        else:
            self.read_as_writer(key)

    def rest(self):
        """A service that is down is not asked without pause."""
        self.world.ended.wait(self.chance.uniform(0.02, 0.2))

    def instance(self):
        return self.chance.randrange(len(self.world.instances))

    # Changes

    def change(self, key, method, body=None, tag=None):
        value = body and body["value"]
        headers = {**self.caller, "Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
        if tag:
            headers["If-Match"] = tag[0]
        named = f"{self.name}-{next(self.serial)}" if method != "DELETE" and self.chance.random() < 0.5 else None
        outcome = self.ask(named, method, "/registers" if method == "POST" else f"/registers/{key}", body and json.dumps(body), headers)
        if outcome is None:
            return
        answer, invoked, attempted, returned, lost = outcome
        made = {"POST": lambda until: Write(value, invoked, until, self.name, expected=False),
                "PUT": lambda until: Write(value, invoked, until, self.name, expected=True),
                "PATCH": lambda until: Swap(tag and tag[1], value, invoked, until, self.name),
                "DELETE": lambda until: Delete(invoked, until, self.name)}[method]
        note = self.world.note
        if answer is None:
            note(key, made(OPEN))
        elif answer.status in (200, 201, 204):
            self.wrote(note(key, made(returned)), key, answer)
        elif answer.status == 404 and method != "POST":
            self.tags.pop(key, None)
            note(key, Read(ABSENT, invoked, returned, self.name))
        elif answer.status == 409 and answer.code == "conflict" and method == "POST":
            self.tags.setdefault(key, None)
            note(key, Refused(ABSENT, value, invoked, returned, self.name))
        elif answer.status == 412 and tag:
            note(key, Refused(tag[1], value, attempted, returned, self.name))
            if lost:  # a refusal is not kept for its key: an earlier attempt may still be on its way
                note(key, made(OPEN))
            self.tags.pop(key, None)
        else:
            self.world.unexpected.append(f"{method} {key}: {answer!r}")

    def enter(self):
        named = f"{self.name}-{next(self.serial)}"
        outcome = self.ask(named, "POST", "/entries", json.dumps({"label": named}), {**self.caller, "Content-Type": "application/json"})
        if outcome is None or outcome[0] is None:
            return
        answer, invoked, _, returned, _ = outcome
        if answer.status == 201:
            self.wrote(Write(named, invoked, returned, self.name), "entries", answer)
        else:
            self.world.unexpected.append(f"POST /entries: {answer!r}")

    def ask(self, named, method, target, body, headers):
        """Sends a change, with a key until it is answered. Gives the answer (None: not known), the instants at which it began, at which the last
        attempt began and at which it ended, and whether an attempt was lost. None: nothing of it was ever sent."""
        if named:
            headers = {**headers, "Idempotency-Key": named}
            self.world.requests[named] = method, target, body, headers
        invoked, lost = time.monotonic(), False
        while True:
            number = self.instance()
            self.at = number, self.world.instances[number].incarnation
            attempted = time.monotonic()
            try:
                answer = self.world.transport(self, number, method, target, body, headers)
            except NotSent:
                answer = None
                if not named:
                    self.rest()
                    return None
            except (OSError, http.client.HTTPException):
                answer, lost = None, True
            returned = time.monotonic()
            if answer and answer.status >= 500:
                answer, lost = None, True
            if answer and answer.status == 409 and answer.code == "idempotency-in-flight":
                answer = None
            elif answer or not named:
                break
            if returned > invoked + 2 * harness.PATIENCE:
                self.world.unexpected.append(f"{named} is not answered")
                break
            self.rest()
        if lost and named:
            self.world.lost.add(named)
        if not answer:
            self.rest()
        elif named and answer.status != 412:
            self.exchanged(named, attempted, returned, answer)
            self.done.append(named)
        return answer, invoked, attempted, returned, lost

    def exchanged(self, named, invoked, returned, answer):
        seen = answer.status, answer.body, *(answer.headers.get(name) for name in ("etag", "location", "content-type"))
        with self.world.lock:
            self.world.exchanges[named].append(Exchange(invoked, returned, answer.headers.get("idempotent-replayed") == "true", seen))
            self.world.counts["replayed"] += "idempotent-replayed" in answer.headers

    def repeat(self, named):
        """An old request again, wherever: its response must be the first one."""
        invoked = time.monotonic()
        try:
            answer = self.world.transport(self, self.instance(), *self.world.requests[named])
        except (NotSent, OSError, http.client.HTTPException):
            return self.rest()
        if answer.status >= 500:
            return self.rest()
        self.exchanged(named, invoked, time.monotonic(), answer)

    def wrote(self, operation, key, answer):
        floor = Floor(operation, key, answer.headers.get("plimsoll-after"))
        if floor.token:
            self.last = self.world.floors[self.name] = floor
        else:  # the connection was lost after the commit, before its position was known
            self.world.counts["without token"] += 1
        number, incarnation = self.at
        # A replay is no commit of that instance: only the token speaks of it.
        if "idempotent-replayed" not in answer.headers and self.world.instances[number].incarnation == incarnation:
            self.here[number] = incarnation, floor
            if key != "entries":
                self.rows_here[number] = incarnation, floor

    # Reads

    def read_as_writer(self, key, route=None):
        """By the caller that writes: with its token at any instance, or with nothing where it has written. Without the token, what the cache keeps
        of registers is ended by writes of registers alone."""
        number, route = self.instance(), self.route(route)
        incarnation = self.world.instances[number].incarnation
        if self.last and self.chance.random() < 0.5:
            self.read(key, number, {**self.caller, "Plimsoll-After": self.last.token}, self.last, route)
        else:
            of, floor = (self.rows_here if route == "kept" else self.here).get(number, (None, None))
            self.read(key, number, self.caller, floor if of == incarnation else None, route, incarnation)

    def read_as_observer(self, key):
        """By a caller that never writes: with nothing, or with the token of somebody who does."""
        floor = self.world.floors.get(self.chance.choice(self.world.clients).name) if self.chance.random() < 0.3 else None
        self.read(key, self.instance(), {**self.observer, **({"Plimsoll-After": floor.token} if floor else {})}, floor)

    def route(self, route=None):
        return route or self.chance.choice(("row", "row", "kept", "list"))

    def read(self, key, number, headers, floor, route=None, incarnation=None):
        route = self.route(route)
        target = {"row": f"/registers/{key}", "kept": f"/kept/{key}", "list": f"/registers?id={key}"}[route]
        invoked = time.monotonic()
        try:
            answer = self.world.transport(self, number, "GET", target, None, headers)
        except (NotSent, OSError, http.client.HTTPException):
            return self.rest()
        returned = time.monotonic()
        if answer.status >= 500:
            return self.rest()
        if answer.status not in (200, 404):
            self.world.unexpected.append(f"GET {target}: {answer!r}")
            return
        if route == "list":
            rows = answer.json()["data"]
            value = rows[0]["value"] if rows else ABSENT
        else:
            value = ABSENT if answer.status == 404 else answer.json()["value"]
        if value is ABSENT:
            self.tags.pop(key, None)
        elif route == "row":
            self.tags[key] = answer.headers["etag"], value
        if incarnation is not None and self.world.instances[number].incarnation != incarnation:
            floor = None  # it was killed in between, and what it remembered is gone
        self.world.note(key, session_read(value, invoked, returned, floor and floor.operation, floor is not None and floor.key == key, f"{self.name} {route}"))
        with self.world.lock:
            self.world.counts["reads with a promise" if floor else "reads without"] += 1

    def look(self, key):
        """What the primary itself has: the newest."""
        invoked = time.monotonic()
        try:
            if not self.database:
                self.database = postgres_client.Connection(self.world.postgres.folder, self.world.postgres.port, self.world.database, "postgres")
            rows = self.database.execute("SELECT value FROM registers WHERE id = ?", (key,))
        except (OSError, postgres_client.Refused):
            self.database = self.database and self.database.close()
            return self.rest()
        self.world.note(key, Read(rows[0][0] if rows else ABSENT, invoked, time.monotonic(), f"{self.name} at the primary"))
