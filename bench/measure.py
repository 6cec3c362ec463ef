"""What the measurements share: servers on one core, the load on another, rounds in which they take turns, and the rows of the table that
`make bench` ends with.

A figure is the median over rounds, with the lowest and the highest beside it. A ratio is taken within each round, between servers that
ran one after the other, so that what else the machine does falls on both. CPU time is the server's own, of all its threads and children.
If the interval in which the median lies (by `interval`) is wider than 10 % to either side, the row is not measurable: no target is judged by it.
"""
import argparse
import contextlib
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BODY = '{"message":"hello"}'
TICK = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
NGINX, NGINX_SILENT = "nginx return 200", "nginx return 200, no log"


class Missing(Exception):
    """What is measured beside us is not here: said in the table, and no failure."""


# Rows of the table.

def row(what, figure, target=None, *, least=False, low=None, high=None, unit="", counted=False, measurable=True, note=""):
    """One line of the table. `least`: the target is a lower bound, else an upper one. `counted`: the figure repeats exactly."""
    met = None if target is None or not measurable else bool(figure >= target if least else figure <= target)
    one = {"bench": pathlib.Path(sys.argv[0]).name, "what": what, "figure": figure, "low": low, "high": high, "target": target,
           "least": least, "unit": unit, "counted": counted, "measurable": measurable, "met": met, "note": note}
    print(line(one), flush=True)
    _keep(one)


def missing(what, why):
    one = {"bench": pathlib.Path(sys.argv[0]).name, "what": what, "figure": None, "note": why}
    print(line(one), flush=True)
    _keep(one)


def interval(values):
    """Where the median of what is measured lies, by the ranks of the values: the narrowest such pair that is right in 90 % of all cases."""
    ordered, outside, left = sorted(values), 0, 0.0
    while 2 * (left + math.comb(len(ordered), outside) / 2 ** len(ordered)) <= 0.1:
        left += math.comb(len(ordered), outside) / 2 ** len(ordered)
        outside += 1
    skipped = max(outside - 1, 0)
    return ordered[skipped], ordered[-1 - skipped]


def ratio_row(what, ratios, target=None, **more):
    """Of ratios or other figures, one a round."""
    middle, (low, high) = statistics.median(ratios), interval(ratios)
    row(what, middle, target, low=min(ratios), high=max(ratios), measurable=low >= 0.9 * middle and high <= 1.1 * middle, **more)


def _keep(one):
    if path := os.environ.get("PLIMSOLL_BENCH_ROWS"):
        with open(path, "a") as rows:
            rows.write(json.dumps(one) + "\n")


def shown(number):
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.2f}"


def line(one):
    if one["figure"] is None:
        return f"{one['what']:62} {'-':>9}  not measured: {one['note']}"
    spread = f"{shown(one['low'])} to {shown(one['high'])}" if one["low"] is not None else "exact" if one["counted"] else ""
    target = "" if one["target"] is None else f"{'>=' if one['least'] else '<='} {shown(one['target'])}"
    verdict = {True: "met", False: "SHORT", None: ""}[one["met"]] if one["measurable"] else "not measurable"
    return f"{one['what']:62} {shown(one['figure']):>9} {one['unit']:6} {spread:20} {target:>10}  {verdict:5} {one['note']}".rstrip()


# Options every measurement takes.

def options(doc, rounds=5, seconds=1, connections=64):
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    program = os.environ.get("PLIMSOLL")
    parser.add_argument("--build", default=str(pathlib.Path(program).resolve().parent.parent) if program else "build/release")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=type(seconds), default=seconds, help="of load, for each server in each round")
    parser.add_argument("--connections", type=int, default=connections)
    return parser


def chosen(parser):
    found = parser.parse_args()
    found.build = (ROOT / found.build).resolve()
    return found


def needs(*programs):
    for program in programs:
        if not shutil.which(program):
            raise SystemExit(f"{sys.argv[0]}: {program} is not installed: scripts/install-dependencies bench")


@contextlib.contextmanager
def a_folder():
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as name:
        os.chmod(name, 0o777)  # nginx's workers are somebody else when root starts them
        yield pathlib.Path(name)


# Processes.

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def family(pid):
    """A process and its descendants."""
    todo = [pid]
    while todo:
        p = todo.pop()
        yield p
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{p}/task").iterdir():
                todo += [int(c) for c in (task / "children").read_text().split()]


def memory(pid, what="VmHWM"):
    """MiB of a process, by a line of its status: `VmHWM` is the most that was resident."""
    return int(re.search(rf"^{what}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]) / 1024


def thread_times(pid):
    """Thread -> nanoseconds in which it ran, and in which it waited for a core."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found[task.name] = [int(word) for word in (task / "schedstat").read_text().split()[:2]]
    return found


def cpu_seconds(pid):
    """CPU time of a process and its descendants: to the nanosecond where the kernel tells, else in clock ticks."""
    total = 0.0
    for p in family(pid):
        with contextlib.suppress(OSError):
            if precise := sum(ran for ran, _ in thread_times(p).values()):
                total += precise / 1e9
            else:
                fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / TICK
    return total


class Server:
    """A server pinned to its core, that has answered."""

    def __init__(self, name, command, port, folder, *, target="/", answer=BODY, scheme="http", http2=False, output=None, check=None, core=SERVER_CORE):
        self.name, self.port, self.target, self.scheme = name, port, target, scheme
        self.warm = 0  # CPU seconds of load before it is measured
        self.said = folder / f"{port}.said"
        with open(output or self.said, "wb") as out:
            self.process = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, cwd=folder, start_new_session=True)
        self.pid = self.process.pid
        deadline = time.monotonic() + 30
        ask = ["curl", "-sk", "-m", "5", "--http2" if scheme == "https" else "--http2-prior-knowledge"] if http2 else ["curl", "-sk", "-m", "5"]
        while True:
            if check:
                got = answer if check(self) else ""
            else:
                got = subprocess.run([*ask, self.url], capture_output=True, text=True).stdout
            if got == answer:
                return
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.stop()
                raise SystemExit(f"{name} does not answer as it should ({got[:200]!r}): {' '.join(map(str, command))}\n"
                                 f"{pathlib.Path(output or self.said).read_text(errors='replace')[-1000:]}")
            time.sleep(0.02)

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}{self.target}"

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def running(*begin):
    """Servers, each from a function without arguments; whatever happens, they end. One that is not here is told and left out."""
    servers = []
    try:
        for start in begin:
            try:
                servers.append(start())
            except Missing as why:
                missing(str(why.args[0]), str(why.args[1]))
        yield servers
    finally:
        for server in servers:
            server.stop()


def certificate(folder):
    """One key and certificate for all sides: ECDSA P-256."""
    crt, key = folder / "tls.crt", folder / "tls.key"
    if not crt.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                        "-out", crt, "-days", "3", "-subj", "/CN=localhost"], check=True, capture_output=True)
        key.chmod(0o644)
    return crt, key


# Who is measured.

LIMITS = {"connections-per-address": 12000, "connections": 12000, "requests-per-connection": 10**9, "lifetime": "24h"}
HELLO = """openapi: 3.1.0
info: {title: Hello, version: 1.0.0}
x-plimsoll:
  rate-limit: 100000000/second by address
paths:
  /:
    get:
      operationId: hello
      security: []
      responses:
        '200':
          description: A greeting
          content: {application/json: {schema: {type: object}}}
"""

SILENT = HELLO.replace("x-plimsoll:\n", "x-plimsoll:\n  access-log: off\n", 1)


def bare(build, folder, *, tls=False, http2=False, limits=None):
    """The engine alone."""
    port = free_port()
    files = certificate(folder) if tls else ()
    return Server("plimsoll, bare handler", [build / "bin/bare_server", f"127.0.0.1:{port}", "1", json.dumps({**LIMITS, **(limits or {})}), *files],
                  port, folder, scheme="https" if tls else "http", http2=http2)


def chain(build, folder, *, contract=HELLO, operations=("hello",), config="", tls=False, http2=False, limits=None, name="plimsoll, default chain and log",
          target="/", answer=BODY, before=()):
    """A C++ handler behind the chain, a line of log for each request into a file, as nginx writes it."""
    port = free_port()
    (folder / f"{port}.yaml").write_text(contract)
    secured = "tls: {certificate: %s, key: %s}\n" % certificate(folder) if tls else ""
    (folder / f"{port}.plimsoll.yaml").write_text(
        f"management: 'off'\nthreads: 1\ndatabase: {{url: 'sqlite:{folder}/{port}.db'}}\nlimits: {json.dumps({**LIMITS, **(limits or {})})}\n{secured}{config}")
    return Server(name, [*before, build / "bin/chain_server", f"127.0.0.1:{port}", "1", folder / f"{port}.yaml", folder / f"{port}.plimsoll.yaml", *operations],
                  port, folder, scheme="https" if tls else "http", http2=http2, target=target, answer=answer)


def nginx(folder, *, tls=False, http2=False, log=True):
    if not shutil.which("nginx"):
        raise Missing("nginx", "not installed: scripts/install-dependencies bench")
    port = free_port()
    words = " ssl" * tls + " http2" * http2
    secured = "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3;".format(*certificate(folder)) if tls else ""
    conf = folder / f"nginx{port}.conf"
    conf.write_text(f"""daemon off; worker_processes 1; pid {folder}/nginx{port}.pid; error_log {folder}/error.log; worker_rlimit_nofile 20000;
events {{ worker_connections 20000; }}
http {{ access_log {f'{folder}/access{port}.log combined buffer=64k flush=1s' if log else 'off'}; keepalive_requests 1000000000; default_type application/json; keepalive_timeout 600s;
  http2_max_concurrent_streams 128; client_body_buffer_size 16k;
  server {{ listen 127.0.0.1:{port}{words}; {secured} location / {{ return 200 '{BODY}'; }} }} }}
""")
    return Server(NGINX if log else NGINX_SILENT, ["nginx", "-c", conf, "-p", folder, "-e", f"{folder}/error.log"], port, folder,
                  scheme="https" if tls else "http", http2=http2)


def haproxy_start(folder, log):
    """What its configuration begins with. Its log goes through a buffer in memory that is a file (`ring`)."""
    ring = f"ring requests\n  format raw\n  maxlen 1000\n  size 65536\n  backing-file {folder}/haproxy{free_port()}.log\n"
    return f"""{ring * log}global
  nbthread 1
  maxconn 9900
{"  log ring@requests len 1000 local0" * log}
defaults
  mode http
  timeout connect 10s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 60s
{"  log global" * log}
{"  option httplog" * log}
"""


def haproxy(folder, *, http2=False, log=True):
    if not shutil.which("haproxy"):
        raise Missing("haproxy", "not installed: scripts/install-dependencies bench")
    port = free_port()
    conf = folder / f"haproxy{port}.cfg"
    escaped = BODY.replace('"', '\\"')
    conf.write_text(f"""{haproxy_start(folder, log)}
frontend f
  bind 127.0.0.1:{port}{" proto h2" * http2}
  http-request return status 200 content-type application/json string "{escaped}"
""")
    return Server("haproxy http-request return" + ", no log" * (not log), ["haproxy", "-f", conf, "-db"], port, folder, http2=http2)


def h2o(folder, *, http2=False, log=True):
    if not shutil.which("h2o"):
        raise Missing("h2o", "not installed: scripts/install-dependencies bench")
    port = free_port()
    (folder / "www").mkdir(exist_ok=True)
    (folder / "www/index.html").write_text(BODY)
    conf = folder / f"h2o{port}.conf"
    conf.write_text(f"""num-threads: 1
listen: {{host: 127.0.0.1, port: {port}}}
{f"access-log: {folder}/h2o{port}.log" * log}
hosts:
  default:
    paths:
      /:
        file.dir: {folder}/www
""")
    return Server("h2o, a file" + ", no log" * (not log), ["h2o", "-m", "worker", "-c", conf], port, folder, http2=http2)


def packages():
    """What npm has of bench/package.json, installed when it is not there yet."""
    modules = ROOT / "bench" / "node_modules"
    if not shutil.which("npm"):
        raise Missing("npm", "not installed: scripts/install-dependencies bench")
    if not (modules / "fastify").exists() or not (modules / "ajv").exists():
        # better-sqlite3 is compiled where there is nothing made for this machine: once, within minutes.
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=ROOT / "bench", timeout=600, capture_output=True)
    return modules


def fastify(folder, *arguments, name="Fastify", target="/", answer=BODY):
    try:
        there = (packages() / "fastify").exists()
    except Missing:
        there = False
    if not there:
        raise Missing(name, "npm could not install it (bench/package.json)")
    port = free_port()
    server = Server(name, ["node", ROOT / "bench/fastify.mjs", str(port), *arguments], port, folder, target=target, answer=answer)
    server.warm = 5  # until its code is compiled
    return server


# Load.

def wrk(server, seconds, connections=64, *more, status=0):
    """How many responses there were. `status`: that all of them must have, where it is none of success."""
    out = subprocess.run(["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *map(str, more), server.url],
                         capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    count = int(re.search(r"(\d+) requests in", out)[1])
    errors = re.search(r"Socket errors:.*|Non-2xx or 3xx responses: (\d+)", out)
    if (errors and (not status or errors[1] is None)) or (status and (not errors or int(errors[1]) < count - 1)):
        raise SystemExit(f"{server.name}, {server.url}: {errors and errors[0]} of {count}")
    return count


def h2load(server, seconds, *more):
    out = subprocess.run(["taskset", "-c", str(LOAD_CORE), "h2load", "-t1", f"-D{seconds}", *map(str, more), server.url], capture_output=True,
                         text=True, check=True, timeout=seconds + 60).stdout
    if "0 failed, 0 errored, 0 timeout" not in out:
        raise SystemExit(f"h2load, {server.name}: {out}")
    return int(re.search(r"(\d+) succeeded", out)[1])


def take_turns(servers, load, rounds, seconds):
    """name -> requests per CPU-second of the server, one figure a round. One round before is for warming up."""
    found = {server.name: [] for server in servers}
    for server in servers:
        while cpu_seconds(server.pid) < server.warm:
            load(server, seconds)
    for number in range(rounds + 1):
        order = servers if number % 2 else list(reversed(servers))
        for server in order:
            before = cpu_seconds(server.pid)
            count = load(server, seconds)
            spent = cpu_seconds(server.pid) - before
            if number:
                found[server.name].append(count / max(spent, 1e-6))
    return found


def ratios(found, name, to=NGINX):
    return [ours / theirs for ours, theirs in zip(found[name], found[to])]


def instructions(build, server, folder, ask, count=4000):
    """Instructions in user space a request, by callgrind: the difference of two runs, so that the start costs nothing. `ask` makes that many
    requests on a connection."""
    totals = []
    for requests in (1000, 1000 + count):
        port = free_port()
        process = subprocess.Popen(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", f"--log-file={folder}/said",
                                    str(build / "bin" / server), f"127.0.0.1:{port}", "1"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        process.stdout.readline()
        with socket.create_connection(("127.0.0.1", port), 30) as s:
            s.settimeout(60)
            ask(s, requests)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        totals.append(int(re.search(r"Collected : (\d+)", pathlib.Path(f"{folder}/said").read_text())[1]))
    return (totals[1] - totals[0]) / count


def show(found, reference=NGINX):
    print(f"  {'':34} {'ratio':>6} {'per CPU-second':>15} {'lowest':>9} {'highest':>9}")
    for name, values in found.items():
        ratio = f"{statistics.median(ratios(found, name, reference)):6.2f}" if reference in found else ""
        print(f"  {name:34} {ratio:>6} {statistics.median(values):15,.0f} {min(values):9,.0f} {max(values):9,.0f}", flush=True)


def compare(title, begin, load, rounds, seconds, targets):
    """Measures servers in turns; for each name in `targets`, a row with its ratio to nginx and the target (None: only told), or for each
    pair of names a row with their ratio."""
    print(f"{title}: {rounds} rounds of {seconds} s, server on core {SERVER_CORE}, load on core {LOAD_CORE}", flush=True)
    with running(*begin) as servers:
        found = take_turns(servers, load, rounds, seconds)
    show(found)
    for names, target in targets.items():
        name, reference = names if isinstance(names, tuple) else (names, NGINX)
        if reference not in found:
            missing(f"{title}: {name} / {reference}", f"{reference} is not here")
        elif name in found:
            ratio_row(f"{title}: {name} / {reference}", ratios(found, name, reference), target, least=True)
    return found
