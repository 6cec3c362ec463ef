"""Faults of PostgreSQL, of PgBouncer and of the network between, each against each kind of operation, under random load. A ledger of all responses
is compared with the database afterwards: what was acknowledged is there once, what a response says was not done is not there, and only
`outcome-unknown` leaves it open. Every response comes within its deadline, readiness is right, and all is served again when the fault has ended.

    PLIMSOLL_TORTURE=1 PLIMSOLL_CYCLES=20 python3 tests/postgres_faults_test.py
"""
import collections
import errno
import http.client
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import harness
import postgres_client

TORTURE = bool(os.environ.get("PLIMSOLL_TORTURE"))
WANTED = os.environ.get("PLIMSOLL_FAULTS", "").split()  # names of faults; none: all
CYCLES = int(os.environ.get("PLIMSOLL_CYCLES", "12" if TORTURE else "1"))  # how often each fault comes
DEADLINE = 1.0  # of every operation, in seconds
LEAST = 5 if TORTURE else 2  # attempts of each client while a fault lasts
MOST = 2 * DEADLINE  # after which a response is late: the machine may be busy, too
CLIENTS = 6
ATTEMPTS = 30  # after the end of a fault, within which each operation is served again
GROWTH = 24 << 20  # bytes of memory that the server may have more after all faults than after the first load

# Commits take their time, so that faults come in the middle of them.
SLOW_COMMITS = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03 * random()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON plimsoll_jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
"""
CONTRACT = """
openapi: 3.1.0
info: {title: Faults, version: '1'}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  deadline: 1s
  tables: {items: {schema: '#/components/schemas/Item', filters: {client: [eq]}}}
paths:
  /items:
    get: {operationId: list, x-plimsoll: {table: items}, responses: {'200': {description: ok}}}
    post: {operationId: create, x-plimsoll: {table: items, idempotency: optional}, requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Item'}}}}, responses: {'201': {description: made}}}
  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string, format: uuid}}]
    get: {operationId: get, x-plimsoll: {table: items}, responses: {'200': {description: ok}}}
    patch: {operationId: patch, x-plimsoll: {table: items}, requestBody: {content: {application/merge-patch+json: {schema: {type: object}}}}, responses: {'200': {description: ok}}}
  /effects:
    post: {operationId: effect, x-plimsoll: {job: effect, idempotency: optional}, requestBody: {content: {application/json: {schema: {type: object, properties: {what: {type: string}}}}}}, responses: {'202': {description: accepted}}}
components:
  schemas:
    Item: {type: object, required: [client, label, number], properties: {id: {type: string, format: uuid, readOnly: true}, client: {type: string}, label: {type: string}, number: {type: integer}, text: {type: string}}}
"""
CONFIG = """
jobs: {{effect: {{run: {{sql: "INSERT INTO effect(job, what) VALUES(:run.job_id, :body.what)"}}, lease: 1s}}}}
database: {{url: '{url}', pool: {{min: 2, max: 8, connect: 500ms, acquire: 500ms{more}}}}}
"""
# What a response may say when it is not a success; a 503 has Retry-After, and of all these only `outcome-unknown` leaves open what was done.
REFUSALS = {503: {"database-unavailable", "database-busy", "overloaded", "outcome-unknown"}, 504: {"deadline-exceeded"}, 409: {"idempotency-in-flight"}}


def command(*arguments):
    """Whether it succeeds, and what it says."""
    done = subprocess.run([str(one) for one in arguments], capture_output=True, text=True)
    return done.returncode == 0, done.stderr.strip()


class Link:
    """A network namespace and the two ends of the only way to it, either of which may lose all that it is to send."""

    def __init__(self):
        harness.needs("ip", "tc", "nsenter", "setpriv", "openssl")
        self.name = f"plimsoll{os.getpid()}"
        self.here, self.there = f"pl{os.getpid()}a", f"pl{os.getpid()}b"
        net = random.SystemRandom().randrange(1 << 14) * 4  # of 198.18.0.0/16, which is for tests of networks
        self.address, self.mine = (f"198.18.{net >> 8}.{net % 256 + last}" for last in (2, 1))
        inside = "ip", "netns", "exec", self.name
        try:
            for step in (("ip", "netns", "add", self.name), ("ip", "link", "add", self.here, "type", "veth", "peer", "name", self.there, "netns", self.name),
                         ("ip", "addr", "add", f"{self.mine}/30", "dev", self.here), ("ip", "link", "set", self.here, "up"),
                         (*inside, "ip", "addr", "add", f"{self.address}/30", "dev", self.there), (*inside, "ip", "link", "set", self.there, "up"), (*inside, "ip", "link", "set", "lo", "up")):
                done, said = command(*step)
                if not done:
                    raise unittest.SkipTest(f"a network namespace is not permitted here: {' '.join(step)}: {said}")
        except BaseException:
            self.close()
            raise

    def close(self):
        command("ip", "link", "delete", self.here)
        command("ip", "netns", "delete", self.name)

    def cut(self, requests=True, answers=True):
        """A queue in which no packet has room: what is sent is lost without a word."""
        for wanted, where in ((requests, ("tc", "qdisc", "replace", "dev", self.here)), (answers, ("ip", "netns", "exec", self.name, "tc", "qdisc", "replace", "dev", self.there))):
            if wanted:
                done, said = command(*where, "root", "bfifo", "limit", "1")
                assert done, said

    def mend(self):
        command("tc", "qdisc", "delete", "dev", self.here, "root")
        command("ip", "netns", "exec", self.name, "tc", "qdisc", "delete", "dev", self.there, "root")


class FarPostgres(harness.Postgres):
    """A PostgreSQL server in a namespace of its own, reached over TLS; its Unix socket is where it always is."""

    def __init__(self, folder, link, settings=""):
        self.link = link
        super().__init__(folder, f"listen_addresses='{link.address}'\nssl=on\n{settings}")
        self.certificate = self.data / "server.crt"
        done, said = command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=postgres", "-addext",
                             f"subjectAltName=IP:{link.address}", "-keyout", self.data / "server.key", "-out", self.certificate)
        assert done, said
        with open(self.data / "pg_hba.conf", "a") as rules:
            rules.write(f"hostssl all all {link.mine}/32 scram-sha-256\n")
        for path in (self.data / "server.key", self.certificate):
            shutil.chown(path, self.user, self.user)
        self.arguments = ["nsenter", f"--net=/run/netns/{link.name}", "setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--pdeathsig", "KILL",
                          *map(str, self.arguments)]
        self.starts_as = None  # who enters a namespace is root

    def url(self, database):
        return f"postgres://shop:s3cret@{self.link.address}:{self.port}/{database}?sslmode=verify-full&sslrootcert={self.certificate}"


class Ledger:
    """What clients were told, by the label of each piece of work: how often it must be there afterwards."""

    def __init__(self):
        self.lock, self.wrong = threading.Lock(), []
        self.counts = collections.Counter()  # (operation, status, code)
        self.done, self.open, self.never = ({"items": {}, "effects": {}} for _ in range(3))
        self.rows = {}  # id of a row that is patched -> the numbers that it may have
        self.slowest = collections.Counter()

    def complain(self, what):
        with self.lock:
            self.wrong.append(what)

    def judge(self, database):
        """Compares with the database. Returns what is wrong."""
        wrong = list(self.wrong)
        found = {"items": collections.Counter(label for label, in database.rows("SELECT label FROM items")),
                 "effects": collections.Counter(what for what, in database.rows("SELECT what FROM effect"))}
        jobs = collections.Counter(json_member(payload, "what") for payload, in database.rows("SELECT payload FROM plimsoll_jobs"))
        for table, count in found.items():
            wrong += [f"{table}: {label} was acknowledged ({said}) and is there {count[label]} times" for label, said in self.done[table].items() if count[label] != 1]
            wrong += [f"{table}: {label} is there {count[label]} times" for label in self.open[table] if count[label] > 1]
            there = count if table == "items" else jobs
            wrong += [f"{table}: {label} is there, and the response said that nothing was done: {said}" for label, said in self.never[table].items() if there[label]]
        numbers = dict(database.rows("SELECT id, number FROM items WHERE label = 'row'"))
        wrong += [f"row {key} has {numbers.get(key)} instead of one of {allowed}" for key, allowed in self.rows.items() if numbers.get(key) not in allowed]
        return wrong


def json_member(text, name):
    found = re.search(rf'"{name}":"([^"]*)"', text)
    return found and found[1]


class Client:
    """Does one operation after the other, chosen at random, each with what it has not finished yet."""

    OPERATIONS = ("get", "list", "create", "create with a key", "patch", "enqueue")

    def __init__(self, server, ledger, name, seed):
        self.server, self.ledger, self.name, self.chance = server, ledger, name, random.Random(seed)
        self.line = http.client.HTTPConnection(server.address, timeout=10 * DEADLINE)
        self.serial, self.attempts, self.refused = 0, 0, 0
        self.group, self.next_group, self.acknowledged, self.known = None, None, set(), set()
        self.pending = {}  # operation -> its label, attempts that are left, whether it may have been done
        self.row = self.tag = None
        self.numbers = set()

    def begin(self, group):
        """Rows are of this group, which is listed as a whole, once those of the last one are finished."""
        self.next_group = f"{self.name}.{group}"

    def make_row(self):
        made = self.send("make row", "POST", "/items", {"client": self.name, "label": "row", "number": 0})
        assert made and made.status == 201, made
        self.row, self.numbers = made.json()["id"], {0}
        self.ledger.rows[self.row] = self.numbers

    def send(self, operation, method, target, body=None, headers=None, most=MOST):
        """The response, or None where it is one that may come while there is a fault; what may never be is a complaint."""
        begun = time.monotonic()
        self.attempts += 1
        try:
            answer = self.server.request(method, target, body, headers, connection=self.line)
        except (OSError, http.client.HTTPException) as error:
            self.line.close()
            self.ledger.complain(f"{operation}: no response after {time.monotonic() - begun:.2f} s: {error!r}")
            return None
        took = time.monotonic() - begun
        said = answer.code if answer.status >= 400 else None
        with self.ledger.lock:
            self.ledger.counts[operation, answer.status, said] += 1
            self.ledger.slowest[operation] = max(self.ledger.slowest[operation], took)
        if took > most:
            self.ledger.complain(f"{operation}: {answer.status} {said} after {took:.2f} s")
        if answer.status < 400 or (operation == "patch" and answer.status == 412):
            return answer
        self.refused += 1
        if said not in REFUSALS.get(answer.status, ()) or (answer.status == 503 and int(answer.headers.get("retry-after", "0")) < 1):
            self.ledger.complain(f"{operation}: {answer!r}")
        return answer

    def step(self):
        return self.attempt(self.chance.choice(self.OPERATIONS))

    def attempt(self, operation):
        """One attempt. Whether it was served."""
        if self.next_group != self.group and not self.pending:
            self.group, self.acknowledged, self.known = self.next_group, set(), set()
        return getattr(self, "do_" + operation.replace(" ", "_"))()

    def do_get(self):
        found = self.send("get", "GET", f"/items/{self.row}")
        if not found or found.status != 200:
            return False
        if found.json()["number"] not in self.numbers:
            self.ledger.complain(f"get: {found.json()} instead of one of {self.numbers}")
        self.tag = found.headers["etag"]
        return True

    def do_list(self):
        listed = self.send("list", "GET", f"/items?client={self.group}&limit=100")
        if not listed or listed.status != 200:
            return False
        labels = [row["label"] for row in listed.json()["data"]]
        if not set(labels) <= self.known or len(set(labels)) != len(labels) or (len(self.acknowledged) <= 100 and not listed.json().get("next_cursor") and not self.acknowledged <= set(labels)):
            self.ledger.complain(f"list: {labels} where {self.acknowledged} were acknowledged of {self.known}")
        return True

    def once(self, operation, table, target, body, keyed):
        """One attempt of a piece of work that leaves its label in `table`; with a key it is made again until it is answered, or given up."""
        label, left, maybe, said = self.pending.pop(operation, None) or (f"{self.name}-{self.next()}", self.chance.randint(1, 8) if keyed else 1, False, None)
        self.known.add(label)
        answer = self.send(operation, "POST", target, body(label), {"Idempotency-Key": label} if keyed else None)
        if answer and answer.status < 300:
            self.ledger.done[table][label] = answer.status
            if table == "items":
                self.acknowledged.add(label)
            return True
        said = answer and f"{answer.status} {answer.code}"
        maybe |= answer is None or answer.code == "outcome-unknown"
        if left > 1:
            self.pending[operation] = label, left - 1, maybe, said
        elif maybe:
            self.ledger.open[table][label] = said
        else:
            self.ledger.never[table][label] = said
        return False

    def next(self):
        self.serial += 1
        return self.serial

    def item(self, label):
        return {"client": self.group, "label": label, "number": 0, "text": "x" * self.chance.choice((10, 3000))}

    def do_create(self):
        return self.once("create", "items", "/items", self.item, False)

    def do_create_with_a_key(self):
        operation = "create with a key"
        if operation in self.pending:  # the same request again
            return self.once(operation, "items", "/items", lambda label: self.last, True)
        self.last = None

        def body(label):
            self.last = self.item(label)
            return self.last

        return self.once(operation, "items", "/items", body, True)

    def do_enqueue(self):
        return self.once("enqueue", "effects", "/effects", lambda label: {"what": label}, True)

    def do_patch(self):
        if not self.tag:
            return self.do_get() and self.do_patch()
        number = self.next()
        # Where it is not known what the response says, it may have been done.
        tag, self.tag = self.tag, None
        self.numbers.add(number)
        changed = self.send("patch", "PATCH", f"/items/{self.row}", {"number": number}, {"If-Match": tag, "Content-Type": "application/merge-patch+json"})
        if changed and changed.status == 200:
            if changed.json()["number"] != number:
                self.ledger.complain(f"patch: {changed!r}")
            self.numbers.intersection_update({number})
            self.tag = changed.headers["etag"]
            return True
        if changed and changed.code != "outcome-unknown":
            self.numbers.discard(number)
        if changed and changed.status == 412 and len(self.numbers) == 1:
            self.ledger.complain(f"patch: {changed!r} where nobody else changes the row")
        return False


class Load:
    """Clients that go on all the time, and who asks for the health of the server."""

    def __init__(self, server, seed):
        self.server, self.ledger, self.ended = server, Ledger(), threading.Event()
        chance = random.Random(seed)
        self.prober = Client(server, self.ledger, "p", chance.random())
        self.clients = [Client(server, self.ledger, f"c{number}", chance.random()) for number in range(CLIENTS)]
        self.ready, self.readiness = None, collections.Counter()
        for client in [self.prober, *self.clients]:
            client.begin("start")
            client.make_row()
        self.threads = [threading.Thread(target=self.run, args=(client,), daemon=True) for client in self.clients] + [threading.Thread(target=self.look, daemon=True)]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        try:
            while not self.ended.is_set():
                if not client.step():
                    self.ended.wait(client.chance.uniform(0, 0.05))
        except Exception as error:  # a thread that ends silently would be a test that cannot fail
            self.ledger.complain(f"{client.name}: {error!r}")
            raise
        finally:
            client.line.close()

    def look(self):
        """Health is told at once, whatever happens to the database."""
        line = http.client.HTTPConnection(self.server.address, timeout=10 * DEADLINE)
        while not self.ended.wait(0.1):
            for target in ("/livez", "/readyz"):
                begun = time.monotonic()
                try:
                    answer = harness.fetch(self.server.address, target=target, connection=line)
                except (OSError, http.client.HTTPException) as error:
                    self.ledger.complain(f"{target}: {error!r}")
                    line.close()
                    continue
                if time.monotonic() - begun > MOST:
                    self.ledger.complain(f"{target}: {answer.status} after {time.monotonic() - begun:.2f} s")
                if target == "/livez" and answer.status != 200:
                    self.ledger.complain(f"{target}: {answer!r}")
                if target == "/readyz":
                    self.ready = answer.status == 200
        line.close()

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(harness.PATIENCE)
            assert not thread.is_alive(), "a client does not end"
        self.prober.line.close()

    def attempts(self):
        return [client.attempts for client in self.clients]


def memory(server):
    """Bytes that are resident, and open descriptors."""
    resident = int(pathlib.Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(os.listdir(f"/proc/{server.pid}/fd"))


# Faults: each begins and ends. `ready`: what readiness says while it lasts; None: either, for some writes are served. `bites`: operations are refused meanwhile.


class Fault:
    ready, bites = False, True

    def __init__(self, world):
        self.world, self.postgres = world, world.postgres

    def possible(self):
        """Skips the fault, saying why, where it cannot be made."""

    def again(self):
        """Now and then while it lasts."""


class Stopped(Fault):
    def begin(self):
        self.postgres.halt()

    def end(self):
        self.postgres.start()


class Hung(Fault):
    """All processes of the server stand still."""

    def server(self):
        return self.postgres

    def begin(self):
        main = self.server().pid
        os.kill(main, signal.SIGSTOP)  # first: it makes no further processes, once it has stopped
        harness.until(lambda: pathlib.Path(f"/proc/{main}/stat").read_text().rsplit(") ", 1)[1][0] == "T", "the server stands still")
        self.stopped = [main, *(int(pid) for pid in pathlib.Path(f"/proc/{main}/task/{main}/children").read_text().split())]
        for pid in self.stopped[1:]:
            os.kill(pid, signal.SIGSTOP)

    def end(self):
        for pid in reversed(self.stopped):
            os.kill(pid, signal.SIGCONT)


class Partitioned(Fault):
    lost = {}

    def possible(self):
        if not self.world.link:
            raise unittest.SkipTest(self.world.why_no_link)

    def begin(self):
        self.world.link.cut(**self.lost)

    def end(self):
        self.world.link.mend()


class AnswersLost(Partitioned):
    """What is sent arrives and is done, and no answer comes."""

    lost = {"requests": False}


class OutOfConnections(Fault):
    def begin(self):
        self.taken = []
        self.admin = self.world.admin()

        def none_left():
            try:
                while True:
                    self.taken.append(self.world.admin())
            except postgres_client.Refused as refused:
                assert refused.code == "53300", refused
            return self.admin.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'shop'") == [(0,)]

        harness.until(none_left, "all connections are taken")

    def end(self):
        for line in [*self.taken, self.admin]:
            line.close()


class DiskFull(Fault):
    ready = None  # the probe needs no room for its row, as long as a page of it has some

    def possible(self):
        if not self.world.disk:
            raise unittest.SkipTest(self.world.why_no_disk)

    def begin(self):
        self.ballast = self.world.disk / "ballast"
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"0" * 4096)
            except OSError as error:
                assert error.errno == errno.ENOSPC, error

    def end(self):
        self.ballast.unlink()


class StatementHung(Fault):
    """Somebody holds a lock of the table: statements wait for it."""

    ready = None

    def begin(self):
        self.holder = self.world.admin()
        self.holder.execute("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE")

    def end(self):
        self.holder.execute("ROLLBACK")
        self.holder.close()


class ConnectionsKilled(Fault):
    """All connections end again and again, whatever they do, COMMIT among it."""

    ready, bites = None, False  # a connection that was lost before COMMIT is replaced without a word

    def begin(self):
        self.admin = self.world.admin()

    def again(self):
        self.admin.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'shop' AND random() < 0.5")

    def end(self):
        self.admin.close()


class BouncerRestarted(Fault):
    def begin(self):
        self.world.bouncer.kill()

    def end(self):
        self.world.bouncer.start()


class Promoted(Fault):
    """The primary ends; the standby, which has all that was acknowledged, takes its place."""

    def begin(self):
        self.postgres.halt()

    def end(self):
        standby = self.world.standby
        standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
        standby.sql("SELECT pg_reload_conf()")
        standby.sql("SELECT pg_promote()")
        self.world.data.postgres = standby


class StandbyHung(Hung):
    """Commits wait for a standby that does not take them. Connections that commit are not given to others, so reads are refused too."""

    ready = None

    def server(self):
        return self.world.standby


class FaultsTest(harness.ServerTest):
    engine = "postgres"

    def setUp(self):
        self.chance = random.Random(harness.seed())
        self.link = self.disk = self.bouncer = None
        self.why_no_link = self.why_no_disk = "not wanted by this test"

    def admin(self):
        return postgres_client.Connection(self.data.postgres.folder, self.data.postgres.port, self.data.name, "postgres")

    def begin(self, postgres, name, url, more=""):
        """A server with its load."""
        self.postgres, self.data = postgres, harness.PostgresDatabase(postgres, name, url)
        self.data.script("CREATE TABLE effect(job TEXT, what TEXT)")
        self.instance = self.serve(CONTRACT, CONFIG.format(url=url, more=more))
        self.data.script(SLOW_COMMITS)
        self.load = Load(self.instance, self.chance.random())
        self.addCleanup(self.load.stop)
        self.served("the start")
        self.before = memory(self.instance)

    def served(self, what):
        """Within some attempts every operation is served, the server is ready, and a job is run."""
        load, prober = self.load, self.load.prober
        needed = {}
        for operation in Client.OPERATIONS:
            for attempt in range(1, ATTEMPTS + 1):
                if prober.attempt(operation):
                    break
                load.ended.wait(0.1)
            else:
                self.fail(f"{operation} is not served after {what}, {ATTEMPTS} attempts later: {self.told()}")
            needed[operation] = attempt
        for look in range(ATTEMPTS):
            if load.ready:
                break
            load.ended.wait(0.2)
        else:
            self.fail(f"not ready after {what}: {harness.fetch(self.instance.management, target='/readyz')!r}")
        label = f"p-run-{prober.next()}"
        accepted = self.instance.post("/effects", {"what": label})
        self.assertEqual(accepted.status, 202, accepted)
        for look in range(5 * ATTEMPTS):
            if self.data.rows("SELECT 1 FROM effect WHERE what = ?", (label,)):
                break
            load.ended.wait(0.1)
        else:
            self.fail(f"a job is not run after {what}: {self.told()}")
        return needed, look

    def told(self):
        return f"{dict(self.load.ledger.counts)}\n{self.instance.output[-3000:]}"

    def cycle(self, fault):
        """The fault begins, bites, and ends; then all is well again."""
        load, name = self.load, type(fault).__name__
        before = collections.Counter(load.ledger.counts)
        for client in [load.prober, *load.clients]:
            client.begin(f"{name}.{self.chance.random()}")
        refused = [client.refused for client in load.clients]
        begun = time.monotonic()
        fault.begin()
        try:
            attempts = load.attempts()

            def bitten():
                fault.again()
                enough = all(now >= was + LEAST for now, was in zip(load.attempts(), attempts))
                return enough and (not fault.bites or all(client.refused > was for client, was in zip(load.clients, refused))) and (fault.ready is None or load.ready == fault.ready)

            harness.until(bitten, lambda: f"{name} is felt: ready {load.ready}, {self.told()}")
            lasts = time.monotonic() - begun
        finally:
            fault.end()
        ended = time.monotonic()
        needed, looks = self.served(name)
        self.assertEqual(load.ledger.wrong, [], f"{name}: {self.told()}")
        counts = collections.Counter({f"{status} {code or ''}".strip(): 0 for _, status, code in load.ledger.counts})
        for (_, status, code), count in (load.ledger.counts - before).items():
            counts[f"{status} {code or ''}".strip()] += count
        print(f"{name}: {lasts:.1f} s, served again after {time.monotonic() - ended:.1f} s ({max(needed.values())} attempts); responses {dict(counts)}")

    def finish(self):
        """All jobs end, and the ledger agrees with the database."""
        self.load.stop()
        harness.until(lambda: self.data.rows("SELECT count(*) FROM plimsoll_jobs WHERE state NOT IN ('completed', 'dead')") == [(0,)],
                      lambda: f"the end of all jobs: {self.data.rows('SELECT state, count(*) FROM plimsoll_jobs GROUP BY state')}")
        for job, in self.data.rows("SELECT id FROM plimsoll_jobs WHERE state = 'dead' AND error = 'the worker was not heard of again'"):
            self.plimsoll("jobs", "requeue", job, "--database", self.data.url)
        harness.until(lambda: self.data.rows("SELECT count(*) FROM plimsoll_jobs WHERE state <> 'completed'") == [(0,)], "the end of those that were dead")
        ledger = self.load.ledger
        self.assertEqual(ledger.judge(self.data), [])
        after = memory(self.instance)
        print(f"acknowledged {len(ledger.done['items'])} rows and {len(ledger.done['effects'])} jobs, unknown {len(ledger.open['items'])} and {len(ledger.open['effects'])}, refused "
              f"{len(ledger.never['items'])} and {len(ledger.never['effects'])}; memory {self.before[0] >> 20} -> {after[0] >> 20} MiB, descriptors {self.before[1]} -> {after[1]}; "
              f"slowest {', '.join(f'{name} {took:.2f} s' for name, took in ledger.slowest.items())}")
        if not any(word in self.instance.output for word in ("Sanitizer",)):
            self.assertLess(after[0] - self.before[0], GROWTH)
        self.assertLess(after[1] - self.before[1], 32)

    def in_any_order(self, kinds, cycles=CYCLES):
        faults = [kind(self) for kind in kinds if not WANTED or kind.__name__ in WANTED]
        possible = []
        for fault in faults:
            try:
                fault.possible()
                possible.append(fault)
            except unittest.SkipTest as skipped:
                print(f"{type(fault).__name__}: skipped: {skipped}")
        for _ in range(cycles):
            self.chance.shuffle(possible)
            for fault in possible:
                self.cycle(fault)


class Faults(FaultsTest):
    def small_disk(self, folder):
        """A file system for the database, which can be filled."""
        place = folder / "small"
        place.mkdir()
        done, said = command("mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", place)
        if not done:
            self.why_no_disk = f"a file system cannot be mounted here: {said}"
            return None
        self.addCleanup(command, "umount", "--lazy", place)
        shutil.chown(place, "postgres", "postgres")
        return place

    def test_faults_of_the_server_and_of_the_network(self):
        folder = self.directory()
        settings = "max_connections=20"
        try:
            self.link = Link()
            self.addCleanup(self.link.close)
        except unittest.SkipTest as skipped:
            self.why_no_link = str(skipped)
        self.disk = self.small_disk(folder)
        postgres = FarPostgres(folder, self.link, settings) if self.link else harness.Postgres(folder, settings)
        self.addCleanup(postgres.stop)
        postgres.start()
        if self.disk:
            postgres.sql(f"CREATE TABLESPACE small LOCATION '{self.disk}'")
        name = "faults"
        postgres.sql(f"CREATE DATABASE {name} OWNER shop STRATEGY FILE_COPY {'TABLESPACE small' if self.disk else ''}")
        self.begin(postgres, name, postgres.url(name))
        self.in_any_order([Stopped, Hung, Partitioned, AnswersLost, OutOfConnections, DiskFull, StatementHung, ConnectionsKilled])
        self.finish()

    def test_a_pooler_that_is_restarted_and_a_server_behind_it(self):
        if TORTURE:
            postgres = harness.Postgres(self.directory())
            self.addCleanup(postgres.stop)
            postgres.start()
        else:
            postgres = harness.Postgres.shared()
        # By default PgBouncer itself answers for 15 s that a server which it could not reach is down.
        self.bouncer = harness.PgBouncer(self.directory(), postgres, "server_login_retry=1\nquery_wait_timeout=2")
        self.addCleanup(self.bouncer.stop)
        self.bouncer.start()
        name = postgres.database()
        self.begin(postgres, name, self.bouncer.url(name), ", statements: off")
        self.data.url = postgres.url(name)
        self.in_any_order([BouncerRestarted, Stopped, Hung] if TORTURE else [BouncerRestarted])
        self.finish()

    def test_a_standby_that_is_promoted_has_all_that_was_acknowledged(self):
        for _ in range(CYCLES):
            primary = harness.Postgres(self.directory(), "synchronous_standby_names='*'\nsynchronous_commit=local")
            self.addCleanup(primary.stop)
            primary.start()
            name = primary.database()
            self.standby = harness.Standby(self.directory(), primary)
            self.addCleanup(self.standby.stop)
            self.standby.start()
            harness.until(lambda: primary.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1", "the standby is synchronous")
            primary.sql("ALTER ROLE shop SET synchronous_commit = on")
            hosts = f"127.0.0.1:{primary.port},127.0.0.1:{self.standby.port}"
            self.begin(primary, name, f"postgres://shop:s3cret@{hosts}/{name}?target_session_attrs=read-write")
            if TORTURE:
                self.in_any_order([StandbyHung], 1)
            self.in_any_order([Promoted], 1)
            self.finish()
            self.instance.stop()
            self.standby.stop()


class Outcomes(FaultsTest):
    """What becomes of a COMMIT of which no answer comes, made on purpose: a connection that ends in it, and one that takes longer than the deadline."""

    FATE = """
    CREATE SEQUENCE fate;
    CREATE FUNCTION fate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
      IF NEW.label = 'lost' AND nextval('fate') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
      IF NEW.label = 'late' AND nextval('fate') = 1 THEN PERFORM pg_sleep(1.5); END IF;
      RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER fate AFTER INSERT OR UPDATE ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fate();
    """

    def test_the_response_says_so_and_a_repetition_with_its_key_finds_out(self):
        postgres = harness.Postgres.shared()
        name = postgres.database()
        self.data = harness.PostgresDatabase(postgres, name, postgres.url(name))
        self.data.script("CREATE TABLE effect(job TEXT, what TEXT)")
        server = self.serve(CONTRACT, CONFIG.format(url=self.data.url, more=""))
        self.data.script(self.FATE)
        for label, replayed in (("lost", False), ("late", True)):
            with self.subTest(label):
                self.data.script("ALTER SEQUENCE fate RESTART")
                item, key = {"client": "c", "label": label, "number": 1}, {"Idempotency-Key": f"the-{label}-one"}
                unknown = server.post("/items", item, key)
                self.assertEqual((unknown.status, unknown.code), (503, "outcome-unknown"), unknown)
                self.assertGreaterEqual(int(unknown.headers["retry-after"]), 1)
                self.assertIn("Idempotency-Key", harness.fetch(server.address, target=unknown.json()["type"]).text)
                found = []

                def repeated():
                    found.append(server.post("/items", item, key))
                    return found[-1].status == 201

                harness.until(repeated, lambda: f"a response to the repetition: {found}")
                self.assertEqual("idempotent-replayed" in found[-1].headers, replayed, found)
                self.assertEqual(self.data.rows("SELECT id FROM items WHERE label = ?", (label,)), [(found[-1].json()["id"],)])
        logged = harness.until(lambda: [line for line in server.logged() if line.get("problem") == "outcome-unknown"], "the line of the request")
        self.assertIn("no answer to COMMIT came", logged[0]["detail"])
        self.assertGreaterEqual(server.metrics()["plimsoll_database_outcomes_unknown_total"], 2)


if __name__ == "__main__":
    harness.main()
