"""What whole-server tests stand on: a server of one's own on free ports, in a folder of its own, always ended again.

    import harness

    class Orders(harness.ServerTest):
        def test_a_new_order_is_found_by_its_id(self):
            server = self.serve(CONTRACT)
            created = server.post("/orders", {"total": "9.90"})
            self.assertEqual(created.status, 201)
            self.assertEqual(server.get(created.headers["location"]).json(), created.json())

    if __name__ == "__main__":
        harness.main()

The program is $PLIMSOLL, or the newest of build/release/bin/plimsoll and build/dev/bin/plimsoll. Only the standard library is
used. With PLIMSOLL_TEST_ENGINE=postgres, or pgbouncer, servers of tests stand on a PostgreSQL server that the test program starts, directly or
behind PgBouncer in transaction mode; `ServerTest.database` is what a test looks into, whatever the engine. Waiting is always for something, with a deadline; nothing sleeps to be right.
"""
import atexit
import ctypes
import fcntl
import http.client
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

import postgres_client

ROOT = pathlib.Path(__file__).resolve().parent.parent
REAL = pathlib.Path(os.environ.get("PLIMSOLL_REAL_DATA", ROOT.parent / "shared" / "real"))
PATIENCE = float(os.environ.get("PLIMSOLL_PATIENCE", "60"))  # seconds a start, an answer or an end may take; sanitizers are slow


def program():
    """The path of the plimsoll program under test."""
    if os.environ.get("PLIMSOLL"):
        return pathlib.Path(os.environ["PLIMSOLL"]).resolve()
    built = [path for path in (ROOT / "build/release/bin/plimsoll", ROOT / "build/dev/bin/plimsoll") if path.exists()]
    if not built:
        raise FileNotFoundError("no program to test: run `make build`, or set PLIMSOLL to the path of the binary")
    return max(built, key=lambda path: path.stat().st_mtime)


def real(path):
    """A file of real data, or the test is skipped, saying so."""
    found = REAL / path
    if not found.exists():
        raise unittest.SkipTest(f"real data is not here: {found}")
    return found


def needs(*commands):
    """Skips the test, saying so, where a program it drives is not installed."""
    for command in commands:
        if not shutil.which(command):
            raise unittest.SkipTest(f"{command} is not installed: scripts/install-dependencies test")


def seed():
    """A seed for the random generators of a test, printed so that a failure can be repeated with PLIMSOLL_SEED."""
    value = int(os.environ.get("PLIMSOLL_SEED", random.SystemRandom().randrange(2**32)))
    print(f"PLIMSOLL_SEED={value}", file=sys.stderr, flush=True)
    return value


def memory(pid, what="VmRSS"):
    """Bytes of memory of a process, by its name in proc(5): `VmRSS`; `RssAnon`, without what is mapped from files; `VmHWM`, the most it had."""
    return int(re.search(rf"^{what}:\s+(\d+) kB$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]) << 10


def until(ready, what, patience=None):
    """Asks `ready()` until it gives something true, and returns that. Fails with `what` when the patience ends."""
    deadline = time.monotonic() + (patience or PATIENCE)
    while True:
        found = ready()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience or PATIENCE:g} s: {what() if callable(what) else what}")
        time.sleep(0.01)


class HttpListener(http.server.ThreadingHTTPServer):
    """A service of a test's own. Many may call at once, and whoever called may go away or be killed."""

    daemon_threads = True
    request_queue_size = 1024  # the default of 5 drops connections, which then wait for a second

    def handle_error(self, *_):
        pass


class Ports:
    """Free ports of the loopback interface. A port is locked by a file while a test holds it: two servers of tests that run
    side by side could otherwise share one, since listeners set SO_REUSEPORT."""

    # Per user, and outside the range from which the system takes the ports of outgoing connections.
    folder = pathlib.Path(tempfile.gettempdir()) / f"plimsoll-test-ports-{os.getuid()}"
    held = {}

    @classmethod
    def take(cls):
        cls.folder.mkdir(exist_ok=True)
        for _ in range(1000):
            port = random.SystemRandom().randrange(10_000, 30_000)
            if port in cls.held:
                continue
            lock = open(cls.folder / str(port), "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:
                lock.close()
                continue
            cls.held[port] = lock
            return port
        raise RuntimeError("no free port between 10000 and 30000")

    @classmethod
    def give_back(cls, port):
        lock = cls.held.pop(port, None)
        if lock:
            lock.close()


class Headers:
    """Headers of an answer: names in any case, several values of one name joined by a comma."""

    def __init__(self, pairs):
        self.pairs = [(name.lower(), value) for name, value in pairs]

    @classmethod
    def read(cls, file):
        """Those of a message, from lines of the file up to the empty one."""
        pairs = []
        while (line := file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            pairs.append((name, value.strip()))
        return cls(pairs)

    def all(self, name):
        return [value for key, value in self.pairs if key == name.lower()]

    def get(self, name, otherwise=None):
        return ", ".join(self.all(name)) if name in self else otherwise

    def __contains__(self, name):
        return bool(self.all(name))

    def __getitem__(self, name):
        if name not in self:
            raise KeyError(f"no header {name}; there are {', '.join(sorted({key for key, _ in self.pairs}))}")
        return self.get(name)

    def __repr__(self):
        return "\n".join(f"{name}: {value}" for name, value in self.pairs)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise AssertionError(f"not JSON ({error}): {self!r}") from None

    @property
    def code(self):
        """The `code` of a problem document."""
        return self.json().get("code")

    def __repr__(self):
        return f"{self.status}\n{self.headers!r}\n\n{self.body[:2000]!r}"


def engines(*names, why):
    """A test, or class of tests, of what these engines alone do. It is skipped on the others, saying why."""
    def marked(what):
        what.engines, what.why_engines = names, why
        return what

    return marked


class FinalResponse(http.client.HTTPResponse):
    """Python's own passes over 100 alone, and takes any other interim response (RFC 9110, section 15.2) for the final one."""

    def _read_status(self):
        while True:
            version, status, reason = super()._read_status()
            if not 102 <= status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)


def fetch(address, method="GET", target="/", body=None, headers=None, connection=None, patience=None):
    """One request to `host:port`. A `dict` or `list` body is sent as JSON. `connection` (http.client) is used again if given."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
    if isinstance(body, str):
        body = body.encode()
    line = connection or http.client.HTTPConnection(address, timeout=patience or PATIENCE)
    line.response_class = FinalResponse
    try:
        try:
            line.request(method, target, body=body, headers=headers)
        except BrokenPipeError:
            pass  # answered before all of the body was taken: the answer says why
        answer = line.getresponse()
        return Answer(answer.status, Headers(answer.getheaders()), answer.read())
    finally:
        if not connection:
            line.close()


class Process:
    """A program that runs beside a test and is ended with it, come what may: by `stop`, at the end of the interpreter, or by the
    kernel when the test is killed. It must be started by a thread that outlives it (the main one)."""

    running = []

    def __init__(self, arguments, directory, environment=None, name=None):
        self.arguments = [str(argument) for argument in arguments]
        self.directory = pathlib.Path(directory)
        self.environment = {**os.environ, **{key: str(value) for key, value in (environment or {}).items()}}
        self.output_path = self.directory / f"{name or pathlib.Path(self.arguments[0]).name}.log"
        self.popen = None

    def start(self):
        with open(self.output_path, "ab") as output:
            self.popen = subprocess.Popen(self.arguments, cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
                                          stdout=output, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent)
        Process.running.append(self)
        return self

    @property
    def pid(self):
        return self.popen.pid

    @property
    def output(self):
        """All that was printed so far, both streams."""
        return self.output_path.read_text(errors="replace") if self.output_path.exists() else ""

    @property
    def alive(self):
        return self.popen is not None and self.popen.poll() is None

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, patience=None):
        """The exit status, once it has ended."""
        try:
            status = self.popen.wait(patience or PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {patience or PATIENCE:g} s: {self.describe()}") from None
        if self in Process.running:
            Process.running.remove(self)
        return status

    def kill(self):
        """SIGKILL: what a power cut does to a process."""
        if self.alive:
            self.popen.kill()
        return self.wait()

    def stop(self):
        """SIGTERM, then SIGKILL when that is ignored. Returns the exit status."""
        if self.popen is None:
            return None
        if self.alive:
            self.popen.terminate()
            try:
                self.popen.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        return self.wait()

    def describe(self):
        return f"{' '.join(self.arguments)}\n--- its output:\n{self.output[-4000:]}"


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


@atexit.register
def _end_all():
    for process in list(Process.running):
        if process.alive:
            process.popen.kill()
            process.popen.wait()


class Server(Process):
    """`plimsoll serve` on two free ports."""

    def __init__(self, contract, directory, config=None, arguments=(), environment=None, management=True, executable=None, verb=("serve",)):
        self.port = Ports.take()
        self.management_port = Ports.take() if management else None
        self.address = f"127.0.0.1:{self.port}"
        self.headers = {}  # of every request that does not say otherwise
        self.management = f"127.0.0.1:{self.management_port}" if management else "off"
        command = [executable or program(), *verb, contract, "--listen", self.address, "--management", self.management]
        if config:
            command += ["--config", config]
        super().__init__([*command, *arguments], directory, environment, name="plimsoll")

    @property
    def url(self):
        return f"http://{self.address}"

    def start(self):
        """Returns once requests are answered; fails with what the server printed when it ends before."""
        super().start()

        def answering():
            if not self.alive:
                raise AssertionError(f"ended with status {self.popen.returncode} instead of serving: {self.describe()}")
            try:
                return fetch(self.address, target="/livez", patience=5).status == 200
            except (OSError, http.client.HTTPException):
                return False

        until(answering, lambda: f"/livez of {self.describe()}")
        return self

    def request(self, method, target, body=None, headers=None, connection=None, patience=None):
        return fetch(self.address, method, target, body, {**self.headers, **(headers or {})}, connection, patience)

    def get(self, target, headers=None, **more):
        """`more` becomes the query, properly encoded: `get("/orders", limit=2, status=["open", "paid"], **{"total[ge]": 10})`. The commas
        between the values of a list stay as they are; one inside a value is encoded, and is no separator."""
        query = "&".join(f"{urllib.parse.quote(name)}={','.join(urllib.parse.quote(str(one), safe='') for one in (value if isinstance(value, (list, tuple)) else [value]))}"
                         for name, value in more.items())
        return self.request("GET", target + ("?" + query if query else ""), headers=headers)

    def post(self, target, body=None, headers=None):
        return self.request("POST", target, body, headers)

    def put(self, target, body=None, headers=None):
        return self.request("PUT", target, body, headers)

    def patch(self, target, body=None, headers=None):
        return self.request("PATCH", target, body, {"Content-Type": "application/merge-patch+json", **(headers or {})})

    def delete(self, target, headers=None):
        return self.request("DELETE", target, headers=headers)

    def authorize(self):
        """From now on requests carry the credential that `--dev` has made."""
        said = until(lambda: re.search(r"^\s*(Authorization): (.*)$", self.output, re.M), lambda: f"a credential of {self.describe()}")
        self.headers[said[1]] = said[2]
        return self

    def connection(self):
        """A keep-alive connection to give to `request`; the caller closes it."""
        return http.client.HTTPConnection(self.address, timeout=PATIENCE)

    def raw(self, data, patience=5):
        """Sends these bytes and returns all that comes back until the server closes or `patience` seconds bring nothing."""
        received = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as line:
            line.sendall(data)
            line.settimeout(patience)
            try:
                while piece := line.recv(65536):
                    received += piece
            except (TimeoutError, ConnectionResetError):
                pass
        return received

    def metrics(self):
        """`{'name{label="value"}': number}` as the management listener says now."""
        found = {}
        for line in fetch(self.management, target="/metrics").text.splitlines():
            sample = re.match(r"([a-zA-Z_:][\w:]*(?:\{.*\})?)\s+(\S+)", line)
            if sample and not line.startswith("#"):
                found[sample[1]] = float(sample[2])
        return found

    def logged(self):
        """The JSON lines of the log so far, as dictionaries."""
        lines = []
        for line in self.output.splitlines():
            if line.startswith("{"):
                try:
                    lines.append(json.loads(line))
                except ValueError:
                    pass  # the last line may be half written
        return lines

    def restart(self):
        """Starts again on the same ports and files, after `kill` or `stop`."""
        return self.start()

    def accepts(self):
        """Whether a new connection to the public listener is accepted."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE).close()
            return True
        except OSError:
            return False

    def give_back_ports(self):
        Ports.give_back(self.port)
        if self.management_port:
            Ports.give_back(self.management_port)


class Postgres(Process):
    """A PostgreSQL server of Debian's programs in a folder of its own: on a Unix socket without a password, on a free port of the
    loopback interface with one (user `shop`, password `s3cret`). Its programs refuse root, so they run as `postgres`."""

    shared_server = None

    @classmethod
    def programs(cls):
        folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not folders:
            raise unittest.SkipTest("PostgreSQL is not installed: scripts/install-dependencies test")
        return folders[-1].parent

    @classmethod
    def shared(cls):
        """One for all tests of a program that do not stop it."""
        return cls._shared()

    @classmethod
    def _shared(cls, *more):
        if cls.shared_server is None:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="plimsoll-pg-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            cls.shared_server = cls(folder, *more).start()
        return cls.shared_server

    def __init__(self, folder, settings=""):
        self.bin = self.programs()
        self.folder = pathlib.Path(folder)
        self.user = "postgres" if os.getuid() == 0 else None
        self.starts_as = self.user  # None: `arguments` change the user themselves
        self.port = Ports.take()
        self.made = 0
        if self.user:
            shutil.chown(self.folder, self.user, self.user)
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self._make()
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"listen_addresses='127.0.0.1'\nport={self.port}\nunix_socket_directories='{self.folder}'\nfsync=off\n"
                       f"full_page_writes=off\nshared_buffers=32MB\nmax_connections=120\nautovacuum=off\n{settings}\n")
        super().__init__([self.bin / "postgres", "-D", self.data], self.folder, name="postgres")

    def _make(self):
        self._run("initdb", "-D", self.data, "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8",
                  "--no-sync", "--no-instructions")

    def _greet(self):
        self.sql("CREATE ROLE shop LOGIN PASSWORD 's3cret'")

    def _run(self, program, *arguments):
        done = subprocess.run([self.bin / program, *map(str, arguments)], cwd="/", user=self.user, group=self.user, extra_groups=[] if self.user else None,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            raise AssertionError(f"{program}: {done.stderr}")
        return done.stdout

    def start(self):
        first = self.popen is None
        with open(self.output_path, "ab") as output:
            self.popen = subprocess.Popen(self.arguments, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, user=self.starts_as,
                                          group=self.starts_as, extra_groups=[] if self.starts_as else None, preexec_fn=_die_with_parent)
        Process.running.append(self)

        def ready():
            if not self.alive:
                raise AssertionError(f"ended with status {self.popen.returncode}: {self.describe()}")
            return subprocess.run([self.bin / "pg_isready", "-h", self.folder, "-p", str(self.port), "-q"]).returncode == 0

        until(ready, lambda: f"a connection to {self.describe()}")
        if first:
            self._greet()
        return self

    def halt(self):
        """`pg_ctl stop -m immediate`: what a crash does to it."""
        self.signal(signal.SIGQUIT)
        return self.wait()

    def stop(self):
        if self.alive:
            self.signal(signal.SIGCONT)
            self.halt()

    def sql(self, text, database="postgres"):
        """What `psql` prints, unaligned, without headings."""
        return self._run("psql", "-h", self.folder, "-p", self.port, "-U", "postgres", "-d", database, "-qtAX", "-v", "ON_ERROR_STOP=1", "-c", text).strip()

    def database(self):
        """The name of a new empty database that `shop` owns."""
        self.made += 1
        self.sql(f"CREATE DATABASE test{self.made} OWNER shop STRATEGY FILE_COPY")
        return f"test{self.made}"

    def url(self, database):
        return f"postgres://shop:s3cret@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database):
        return f"postgres://shop@/{database}?host={self.folder}&port={self.port}"


class Standby(Postgres):
    """A streaming replica of a Postgres that runs, in a folder of its own. Roles and databases are those of the primary."""

    shared_server = None  # not that of Postgres

    @classmethod
    def shared(cls):
        """One of the shared Postgres, for all tests of a program that do not stop it, or start it again."""
        return cls._shared(Postgres.shared())

    def __init__(self, folder, primary):
        self.primary = primary
        super().__init__(folder)

    def _make(self):
        self._run("pg_basebackup", "-h", self.primary.folder, "-p", self.primary.port, "-U", "postgres", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync")

    def _greet(self):
        pass

    def has(self, position):
        """Whether it has replayed what the primary had at this position (text of a pg_lsn)."""
        return self.sql(f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn") == "t"

    def catch_up(self):
        """Waits until it has all that the primary has now."""
        position = self.primary.sql("SELECT pg_current_wal_flush_lsn()")
        until(lambda: self.has(position), lambda: f"{position} is not replayed: {self.describe()}")

    def pause(self):
        self.sql("SELECT pg_wal_replay_pause()")
        until(lambda: self.sql("SELECT pg_get_wal_replay_pause_state()") == "paused", "the replay has paused")

    def resume(self):
        self.sql("SELECT pg_wal_replay_resume()")


class PgBouncer(Process):
    """PgBouncer in transaction mode before a Postgres, on a free port of the loopback interface; it lets everybody in."""

    shared_bouncer = None

    @classmethod
    def shared(cls):
        """One before the shared Postgres, for all tests of a program that do not stop it."""
        if cls.shared_bouncer is None:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="plimsoll-pgbouncer-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            cls.shared_bouncer = cls(folder, Postgres.shared()).start()
        return cls.shared_bouncer

    def __init__(self, folder, postgres, settings=""):
        needs("/usr/sbin/pgbouncer")
        self.folder = pathlib.Path(folder)
        self.port = Ports.take()
        (self.folder / "users.txt").write_text('"shop" "s3cret"\n')
        (self.folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={postgres.folder} port={postgres.port}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={self.port}\nunix_socket_dir=\n"
            f"auth_type=trust\nauth_file={self.folder}/users.txt\npool_mode=transaction\nmax_client_conn=200\ndefault_pool_size=5\n{settings}\n")
        self.folder.chmod(0o755)
        user = [] if os.getuid() else ["-u", "postgres"]
        super().__init__(["/usr/sbin/pgbouncer", "-q", *user, self.folder / "pgbouncer.ini"], self.folder, name="pgbouncer")

    def start(self):
        super().start()

        def ready():
            if not self.alive:
                raise AssertionError(f"ended with status {self.popen.returncode}: {self.describe()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return True
            except OSError:
                return False

        until(ready, lambda: f"a connection to {self.describe()}")
        return self

    def url(self, database):
        return f"postgres://shop:s3cret@127.0.0.1:{self.port}/{database}"


class SqliteDatabase:
    """The database of a server as its test sees it from outside: a file of SQLite."""

    number = "INTEGER PRIMARY KEY"  # of a key that the database counts
    decimal = "TEXT COLLATE decimal"

    def __init__(self, path):
        self.path = path
        self.url = f"sqlite:{path}"

    def connect(self):
        """A connection with `execute(statement, values)`, outside of a transaction until it begins one; the caller closes it."""
        made = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        for name in ("decimal", "instant"):
            made.create_collation(name, lambda one, other: (one > other) - (one < other))
        return made

    def rows(self, statement, values=()):
        """What one statement gives, as tuples; `?` are its values."""
        connection = self.connect()
        try:
            return list(connection.execute(statement, values))
        finally:
            connection.close()

    def script(self, statements):
        connection = self.connect()
        try:
            connection.executescript(statements)
        finally:
            connection.close()

    def tables(self):
        return {name for name, in self.rows("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")}


class PostgresDatabase:
    """The same, a database of the PostgreSQL server of all tests."""

    number = "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
    decimal = "NUMERIC"

    def __init__(self, postgres, name, url):
        self.postgres, self.name, self.url = postgres, name, url

    def connect(self):
        return postgres_client.Connection(self.postgres.folder, self.postgres.port, self.name, "shop")

    def rows(self, statement, values=()):
        connection = self.connect()
        try:
            return connection.execute(statement, values)
        finally:
            connection.close()

    script = rows

    def tables(self):
        return {name for name, in self.rows("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')")}


class ServerTest(unittest.TestCase):
    """A test with a folder of its own; whatever it starts is ended with it, and a sanitizer's report in a log is a failure."""

    maxDiff = None
    engine = os.environ.get("PLIMSOLL_TEST_ENGINE", "sqlite")  # or postgres, or pgbouncer

    def run(self, result=None):
        for marked in (type(self), getattr(type(self), self._testMethodName, None)):
            if self.engine not in getattr(marked, "engines", (self.engine,)):
                (result.startTest(self), result.addSkip(self, f"not on {self.engine}: {marked.why_engines}"), result.stopTest(self))
                return result
        return super().run(result)

    def database(self, folder, name="contract.db"):
        """What servers in the folder keep their rows in where their deployments say `sqlite:NAME`."""
        if self.engine == "sqlite":
            return SqliteDatabase(pathlib.Path(folder) / name)
        known = self.__dict__.setdefault("databases", {})
        place = str(pathlib.Path(folder, name).resolve())
        if place not in known:
            postgres = Postgres.shared()
            made = postgres.database()
            # Without it a thousand tests would leave ten gigabytes.
            self.addCleanup(postgres.sql, f"DROP DATABASE {made} WITH (FORCE)")
            known[place] = PostgresDatabase(postgres, made, PgBouncer.shared().url(made) if self.engine == "pgbouncer" else postgres.url(made))
        return known[place]

    def deployment(self, text, folder, name="contract.db"):
        """The text of a deployment, on the engine of this test: the options of SQLite go with its URL."""
        text = text or ""
        if self.engine == "sqlite" or "postgres:" in text:
            return text
        pool = ", pool: {min: 1, max: 8" + (", statements: off" if self.engine == "pgbouncer" else "") + "}"
        section = re.search(r"^database: \{(.*)\}$", text, re.M)
        if not section and re.search(r"^database:", text, re.M):
            raise AssertionError(f"a deployment whose `database` is not on one line: {text}")
        said = re.search(r"\burl: ['\"]?sqlite:([^'\",}]+)", section[1]) if section else None
        kept = "".join(re.findall(r", (?:migrations|slow): [^,}]+", section[1])) if section else ""
        line = "database: {url: '%s'%s%s}" % (self.database(folder, said[1] if said else name).url, kept, pool)
        return text.replace(section[0], line) if section else text + ("" if text.endswith("\n") or not text else "\n") + line + "\n"

    def directory(self):
        """A new empty folder, removed with the test."""
        made = tempfile.mkdtemp(prefix="plimsoll-test-")
        self.addCleanup(shutil.rmtree, made, ignore_errors=True)
        return pathlib.Path(made)

    def server(self, contract, config=None, files=None, arguments=(), environment=None, directory=None, management=True, executable=None):
        """A server that is not started yet. `contract` and `config` are paths, or the texts of such files. `files` maps names to
        texts that are laid beside them."""
        directory = directory or self.directory()
        for name, text in (files or {}).items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        contract = _laid(contract, directory / "contract.yaml")
        config = self._deployed(config, directory, contract.stem + ".db")
        server = Server(contract, directory, config and _laid(config, directory / "plimsoll.yaml"), arguments, environment, management, executable)
        self.addCleanup(self._end, server)
        return server

    def _deployed(self, config, directory, name):
        if self.engine == "sqlite":
            return config
        beside = directory / "plimsoll.yaml"
        if config is None and beside.exists():
            config = beside
        if not isinstance(config, pathlib.Path):
            return self.deployment(config, directory, name)
        changed = self.deployment(config.read_text(), directory, name)
        if changed == config.read_text():
            return config
        if directory in config.parents:
            config.write_text(changed)
            return config
        return changed

    def serve(self, contract, config=None, **more):
        """A server that answers. Its folder is `server.directory`."""
        return self.server(contract, config, **more).start()

    def process(self, arguments, directory=None, environment=None, name=None):
        """Any other program that runs beside the test."""
        process = Process(arguments, directory or self.directory(), environment, name)
        self.addCleanup(process.stop)
        return process.start()

    def port(self):
        """A free port, held for this test."""
        port = Ports.take()
        self.addCleanup(Ports.give_back, port)
        return port

    def plimsoll(self, *arguments, directory=None, environment=None, patience=None):
        """Runs the command to its end: `returncode`, `stdout`, `stderr`."""
        return subprocess.run([str(program()), *map(str, arguments)], cwd=directory or self.directory(), stdin=subprocess.DEVNULL,
                              env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=patience or PATIENCE)

    def refused(self, contract, config=None, status=2, **more):
        """What a start that must be refused prints. Fails when the server starts, or does not exit with this status: 2, or 75 where the
        environment refuses."""
        server = self.server(contract, config, **more)
        Process.start(server)
        self.assertEqual(server.wait(), status, server.describe())
        return server.output

    def _end(self, server):
        server.stop()
        server.give_back_ports()
        for sign in ("ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "runtime error:", "ERROR: LeakSanitizer"):
            self.assertNotIn(sign, server.output, server.describe())


def _laid(source, path):
    """`source` itself when it is a path, else the path of a file that now holds it."""
    if isinstance(source, pathlib.Path):
        return source
    path.write_text(source)
    return path


def main():
    """Runs the tests of the calling module. Prints each test's name and outcome, which scripts/check-coverage reads."""
    unittest.main(verbosity=2)
