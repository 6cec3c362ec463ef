#!/usr/bin/env python3
"""Five origins of which one, or all, misbehave, behind us, HAProxy and nginx: what share of the requests succeeds, how long they take, and how many
requests reach the origins for each that is sent.

  bench/faults.py [--build build/release] [--rate 200] [--healthy 6] [--faulty 15] [--only black-holed,failing]

All three stand in front of five origins of their own and take the same load at the same time, so that what else the machine does falls on all: GETs,
each sent when it is due, whatever became of those before it. An origin takes 5 to 15 ms. After a healthy phase the fifth of them misbehaves
(or all, at a higher rate, and later no more). Each proxy is set up as its manual advises for such a service: retries on another origin for all that may
be repeated, health checks of the application every second where it has them, origins left out for their failures, at most 1 s for a response. We have
`balance: latency, hedge: p95` besides, which the others have nothing like, and once more without them.

"p99" is that of the requests that were due more than 5 s after the beginning of the fault, as a multiple of the p99 of a control at the same time: our
server with the defaults before origins that are well. Seconds in which that is held up as well, because the machine does other things, are left out;
with fewer than 5 others the row is not measurable, nor are counts where the load itself was late, or the control failed.
"""
import asyncio
import collections
import functools
import json
import multiprocessing
import random
import re
import shutil
import socket
import statistics
import struct
import time

import measure

CONTROL, PLAIN, OURS, HAPROXY, NGINX = "control", "plimsoll, defaults", "plimsoll", "haproxy", "nginx"
ORIGINS = 5
TOTAL = "all failing"
WARM, ADJUSTING, PATIENCE = 2, 5, 10  # seconds: before what is measured; in which a proxy may find a fault; for a response
AFTER = 14                            # and after a fault of all origins
CONTRACT = """openapi: 3.1.0
info: {title: Front, version: '1'}
security: []
x-plimsoll: {rate-limit: off, authorization: any-caller}
paths:
  /:
    get: {operationId: read, x-plimsoll: {upstream: origins}, responses: {default: {description: what an origin says}}}
"""
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def response(status="200 OK", body=measure.BODY, more=""):
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}".encode()


# The origins, in a process of their own.

class Origin:
    """Answers after 5 to 15 ms, until it is told a fault. Counts the requests that reach it, health checks aside."""

    def __init__(self):
        self.reached, self.fault, self.connections, self.listening = 0, None, set(), None

    async def listen(self):
        self.listening = await asyncio.get_running_loop().create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=1024)
        return self.listening.sockets[0].getsockname()[1]

    def begin(self, fault):
        self.fault = fault
        if fault == "draining":
            asyncio.get_running_loop().call_later(2, self.close)

    def close(self):
        """The end of a drain: nothing is accepted, and connections without a request end."""
        self.listening.close()
        for connection in [each for each in self.connections if not each.asked]:
            connection.transport.close()


class Connection(asyncio.Protocol):
    def __init__(self, origin):
        self.origin, self.transport, self.asked = origin, None, False

    def connection_made(self, transport):
        self.transport = transport
        self.origin.connections.add(self)

    def connection_lost(self, _):
        self.origin.connections.discard(self)

    def data_received(self, data):  # a GET comes in one piece over the loopback
        self.asked, check = True, data.startswith(b"GET /healthz")
        self.origin.reached += not check
        asyncio.get_running_loop().call_later(random.uniform(0.005, 0.015) * (10 if self.origin.fault == "slow" else 1), self.answer, check)

    def answer(self, check):
        said, stays, fault = response(), True, self.origin.fault
        if fault == "black-holed" or self.transport.is_closing():
            return
        if fault == "resetting":
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            return
        if (fault == "failing" and not check) or fault == TOTAL or (fault == "flapping" and time.monotonic() % 1 < 0.5):  # health checks know nothing of the first
            said = response("503 Service Unavailable")
        if fault == "garbage":
            said, stays = b"\x15\x03\x01\x00\x02\x02\x16 this is no HTTP\r\n\r\n", False
        if fault == "draining":
            said, stays = response("503 Service Unavailable" if check else "200 OK", more="Connection: close\r\n"), False
        self.asked = False
        self.transport.write(said)
        if not stays:
            self.transport.close()


def origins(proxies, orders):
    """Serves until the process ends. Sends the ports of each proxy's origins first. An order is a fault, or None: each is answered with what has reached
    the origins of each proxy since the last."""
    async def serve():
        groups = {proxy: [Origin() for _ in range(ORIGINS)] for proxy in proxies}
        orders.send({proxy: [await origin.listen() for origin in group] for proxy, group in groups.items()})

        def obey():
            fault = orders.recv()
            orders.send({proxy: sum(origin.reached for origin in group) for proxy, group in groups.items()})
            for proxy, group in groups.items():
                for number, origin in enumerate(group):
                    origin.reached = 0
                    if proxy != CONTROL and (number == ORIGINS - 1 or fault in (None, TOTAL)):
                        origin.begin(fault)

        asyncio.get_running_loop().add_reader(orders.fileno(), obey)
        await asyncio.Event().wait()

    asyncio.run(serve())


# The proxies.

def plimsoll(build, folder, name, ports):
    port = measure.free_port()
    options = {"targets": [f"http://127.0.0.1:{each}" for each in ports], "health": {"path": "/healthz", "every": "1s", "timeout": "500ms"},
               "timeouts": {"total": "5s", "connect": "500ms", "first-byte": "1s"}}
    if name == OURS:
        options |= {"balance": "latency", "hedge": "p95"}
    (folder / f"{port}.yaml").write_text(CONTRACT)
    (folder / f"{port}.plimsoll.yaml").write_text(f"management: 'off'\nthreads: 1\nlimits: {json.dumps(measure.LIMITS)}\nupstreams: {json.dumps({'origins': options})}\n")
    return measure.Server(name, [build / "bin/plimsoll", "serve", f"{port}.yaml", "--config", f"{port}.plimsoll.yaml", "--listen", f"127.0.0.1:{port}"], port, folder)


def haproxy(folder, ports):
    """As its manual has it for HTTP services that may be called again: checks of the application, observed responses, retries on another server."""
    if not shutil.which("haproxy"):
        raise measure.Missing(HAPROXY, "not installed: scripts/install-dependencies bench")
    port = measure.free_port()
    conf = folder / f"haproxy{port}.cfg"
    servers = "".join(f"  server s{number} 127.0.0.1:{each}\n" for number, each in enumerate(ports))
    conf.write_text(f"""{measure.haproxy_start(folder, True)}
frontend f
  bind 127.0.0.1:{port}
  default_backend origins
backend origins
  balance leastconn
  timeout connect 500ms
  timeout server 1s
  timeout queue 1s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response junk-response response-timeout 502 503 504
  http-request disable-l7-retry unless METH_GET
  option httpchk GET /healthz
  http-reuse safe
  default-server check inter 1s fastinter 250ms downinter 1s fall 2 rise 2 observe layer7 error-limit 5 on-error mark-down
{servers}""")
    return measure.Server(HAPROXY, ["haproxy", "-f", conf, "-db"], port, folder)


def nginx(folder, ports):
    """It checks no health by itself (that is for sale): it leaves a server out for 10 s after 3 failures."""
    if not shutil.which("nginx"):
        raise measure.Missing(NGINX, "not installed: scripts/install-dependencies bench")
    port = measure.free_port()
    conf = folder / f"nginx{port}.conf"
    servers = " ".join(f"server 127.0.0.1:{each} max_fails=3 fail_timeout=10s;" for each in ports)
    conf.write_text(f"""daemon off; worker_processes 1; pid {folder}/nginx{port}.pid; error_log {folder}/error.log crit; worker_rlimit_nofile 20000;
events {{ worker_connections 20000; }}
http {{ access_log {folder}/nginx{port}.log combined buffer=64k flush=1s; keepalive_requests 1000000000; keepalive_timeout 600s;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_connect_timeout 500ms; proxy_read_timeout 1s; proxy_send_timeout 1s;
  proxy_next_upstream error timeout invalid_header http_502 http_503 http_504; proxy_next_upstream_tries 4; proxy_next_upstream_timeout 5s;
  upstream origins {{ zone origins 64k; least_conn; {servers} keepalive 128; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://origins; }} }} }}
""")
    return measure.Server(NGINX, ["nginx", "-c", conf, "-p", folder, "-e", f"{folder}/error.log"], port, folder)


# The load.

Sent = collections.namedtuple("Sent", "due ok took")  # seconds since the load began; whether the right response came; seconds since it was due


class Line(asyncio.Protocol):
    """A connection to a proxy, with one request at a time."""

    def __init__(self, load, due):
        self.load, self.due, self.got, self.transport = load, due, b"", None

    def connection_made(self, transport):
        self.transport = transport
        transport.write(GET)

    def ask(self, due):
        self.due, self.got = due, b""
        self.transport.write(GET)

    def data_received(self, data):
        self.got += data
        if not self.got.startswith(b"HTTP/"[:len(self.got)]):  # nginx passes on what it takes for a response of HTTP/0.9
            self.answered(False)
            return self.transport.abort()
        head, _, body = self.got.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
        if length and len(body) >= int(length[1]):
            self.answered(head.startswith(b"HTTP/1.1 200 ") and body == measure.BODY.encode())
            if re.search(rb"\r\nconnection: *close", head, re.I):
                self.transport.close()
            else:
                self.load.free.append(self)
        elif not length and body.endswith(b"0\r\n\r\n"):  # chunked: none of the origins' own
            self.answered(False)
            self.transport.close()

    def connection_lost(self, _):
        if self.due is not None:
            self.answered(False)
        elif self in self.load.free:
            self.load.free.remove(self)

    def answered(self, ok):
        self.load.note(self.due, ok)
        self.due = None


class Load:
    """Requests to one proxy at a constant rate, each on a free connection or a further one."""

    def __init__(self, port, began):
        self.port, self.began, self.free, self.sent, self.waiting = port, began, [], [], set()

    def ask(self, due):
        if self.free:
            self.free.pop().ask(due)
        else:
            task = asyncio.ensure_future(self.open(due))
            self.waiting.add(task)
            task.add_done_callback(self.waiting.discard)

    async def open(self, due):
        try:
            await asyncio.get_running_loop().create_connection(lambda: Line(self, due), "127.0.0.1", self.port)
        except OSError:
            self.note(due, False)

    def note(self, due, ok):
        self.sent.append(Sent(due, ok, time.monotonic() - self.began - due))


async def run(servers, orders, fault, rate, chosen):
    """Of each server what was sent to it; what reached its origins in the time of the fault; and how late the load was, in seconds."""
    begin, end = WARM + chosen.healthy, WARM + chosen.healthy + chosen.faulty
    began = time.monotonic() + 0.2
    loads = {server.name: Load(server.port, began) for server in servers}
    dues = [number / rate for number in range(int(rate * (end + AFTER * (fault == TOTAL))))]
    told, late = [(begin, fault), (end, None)], 0
    for due in dues:
        if (early := began + due - time.monotonic()) > 0:
            await asyncio.sleep(early)
        late = max(late, -early)
        if told and due >= told[0][0]:
            orders.send(told.pop(0)[1])
        for load in loads.values():
            load.ask(due)
    if told:
        orders.send(None)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and any(len(load.sent) < len(dues) for load in loads.values()):
        await asyncio.sleep(0.1)
    for load in loads.values():
        answered = {each.due for each in load.sent}
        load.sent += [Sent(due, False, PATIENCE) for due in dues if due not in answered]
    orders.recv()
    return {name: list(load.sent) for name, load in loads.items()}, orders.recv(), late  # copies: what ends with the loop is noted as well


def p99(sent):
    took = sorted(each.took for each in sent)
    return took[len(took) * 99 // 100]


def quiet_seconds(control, begin, end):
    """Those in which the control was not held up: 95 % of its requests took at most twice as long as an origin takes."""
    def held_up(second):
        took = sorted(each.took for each in control if second <= each.due < second + 1)
        return took[len(took) * 95 // 100] > 2 * 0.015

    return [second for second in range(begin, end) if not held_up(second)]


def tell_total(what, rate, faulty, later, reached, ours, late):
    measure.row(f"{what}: requests that reach origins", reached / len(faulty), 1.2 + 10 / rate if ours else None, note=f"{reached} for {len(faulty)}, {rate:.0f}/s", measurable=late < 1)
    measure.row(f"{what}: served again after", max((each.due for each in later if not each.ok), default=later[0].due) - later[0].due, 6 if ours else None, unit="s", measurable=late < 1)


def tell(fault, rate, name, sent, control, reached, late, chosen):
    begin, end = WARM + chosen.healthy, WARM + chosen.healthy + chosen.faulty
    faulty, what = [each for each in sent if begin <= each.due < end], f"{fault}: {name}"
    if fault == TOTAL:
        return tell_total(what, rate, faulty, [each for each in sent if each.due >= end], reached, name == OURS, late)
    failed, counts = sum(not each.ok for each in faulty), late < 1 and all(each.ok for each in control)
    measure.row(f"{what}: success", 100 * (1 - failed / len(faulty)), 99.9 if name in (OURS, PLAIN) else None, least=True, unit="%", note=f"{failed} of {len(faulty)} failed", measurable=counts)
    seconds = quiet_seconds(control, begin + ADJUSTING, end)
    first = p99([each for each in faulty if each.due < begin + ADJUSTING])
    after, well = (p99([each for each in several if each.due >= begin + ADJUSTING and (int(each.due) in seconds or not seconds)]) for several in (sent, control))
    measure.row(f"{what}: p99", after / well, 2 if name == OURS else None, unit="times", measurable=len(seconds) >= 5,
                note=f"{1000 * after:.0f} ms in {len(seconds)} s; {1000 * first:.0f} ms in the first {ADJUSTING} s")
    measure.row(f"{what}: requests that reach origins", reached / len(faulty), 1.05 if name == OURS and fault == "slow" else None, note=f"{reached} for {len(faulty)}", measurable=counts)


def scenario(folder, fault, chosen):
    begin = {name: functools.partial(plimsoll, chosen.build, folder, name) for name in (CONTROL, PLAIN, OURS)} | {HAPROXY: functools.partial(haproxy, folder), NGINX: functools.partial(nginx, folder)}
    rate = chosen.rate * (2.5 if fault == TOTAL else 1)
    if fault == TOTAL:  # the more requests, the fewer servers at once
        del begin[CONTROL], begin[PLAIN]
    orders, theirs = multiprocessing.Pipe()
    behind = multiprocessing.Process(target=origins, args=(list(begin), theirs), daemon=True)
    behind.start()
    theirs.close()  # so that its end is noticed
    try:
        ports = orders.recv()
        with measure.running(*[functools.partial(start, ports[name]) for name, start in begin.items()]) as servers:
            sent, reached, late = asyncio.run(run(servers, orders, fault, rate, chosen))
        for name in [server.name for server in servers if server.name != CONTROL]:
            tell(fault, rate, name, sent[name], sent.get(CONTROL), reached[name], late, chosen)
    finally:
        behind.kill()


def main():
    faults = ["slow", "failing", "flapping", "black-holed", "resetting", "garbage", "draining", TOTAL]
    parser = measure.options(__doc__, rounds=1)
    parser.add_argument("--rate", type=int, default=200, help="requests a second to each proxy; 2.5 times as many where all origins fail")
    parser.add_argument("--healthy", type=int, default=6, help="seconds before the fault")
    parser.add_argument("--faulty", type=int, default=20, help="seconds of it")
    parser.add_argument("--only", default=",".join(faults), help="faults, separated by commas")
    chosen = measure.chosen(parser)
    measure.needs("curl")
    with measure.a_folder() as folder:
        for _ in range(chosen.rounds):
            for fault in chosen.only.split(","):
                scenario(folder, fault, chosen)


if __name__ == "__main__":
    main()
