"""JSON is read strictly and exactly: random documents, sound and broken, read by the program and by Python's own parser (made strict: duplicate
names, lone surrogates, NaN and Infinity refused; numbers as decimals), from lines of a file and as bodies of requests. PLIMSOLL_SEED repeats a run.
"""
import decimal
import fcntl
import json
import os
import random
import socket
import struct
import subprocess
import termios
import time
import unittest

import harness

DOCUMENTS = 1000
BODIES = 3000 if os.environ.get("PLIMSOLL_TORTURE") else 300
CONTRACT = """
openapi: 3.1.0
info: {title: Echo, version: '1'}
security: []
x-plimsoll: {rate-limit: off}
paths:
  /echo:
    post:
      operationId: echo
      x-plimsoll: {authorization: any-caller}
      requestBody: {required: true, content: {application/json: {schema: true}}}
      responses: {'200': {description: what was read}}
"""
decimal.getcontext().prec = 2000


class Refused(Exception):
    pass


def pairs(members):
    if len({name for name, _ in members}) != len(members):
        raise Refused("a name appears twice")
    return dict(members)


def refuse(text):
    raise Refused(text)


def has_lone_surrogate(value):
    if isinstance(value, str):
        return any(0xD800 <= ord(c) < 0xE000 for c in value)
    if isinstance(value, dict):
        return any(has_lone_surrogate(each) for pair in value.items() for each in pair)
    return isinstance(value, list) and any(map(has_lone_surrogate, value))


def number(text):
    exponent = text.lower().partition("e")[2]
    if exponent and abs(int(exponent)) > 999_999_999:
        raise Refused("our bound on exponents")
    return decimal.Decimal(text)


def oracle(raw):
    """What Python reads, or None."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=pairs, parse_constant=refuse, parse_float=number, parse_int=decimal.Decimal)
    except (ValueError, Refused, UnicodeDecodeError):
        return False, None
    return not has_lone_surrogate(value), value


def plain(value):
    """Another text of the same value: escapes everywhere, numbers without exponent."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{plain(name)}:{plain(each)}" for name, each in reversed(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(plain, value)) + "]"
    if isinstance(value, decimal.Decimal):
        return format(value, "f") if abs(value.adjusted()) < 1000 else str(value)
    if isinstance(value, str):
        return '"' + "".join(f"\\u{unit:04x}" for unit in memoryview(value.encode("utf-16-le")).cast("H")) + '"'
    return json.dumps(value)


def changed(value):
    """The same value but for one digit of one number; None without numbers."""
    if isinstance(value, decimal.Decimal):
        digits = value.as_tuple()
        return decimal.Decimal((digits.sign, digits.digits + (1,), digits.exponent - 1))
    if isinstance(value, list):
        for i, each in enumerate(value):
            if (other := changed(each)) is not None:
                return value[:i] + [other] + value[i + 1:]
    if isinstance(value, dict):
        for name, each in value.items():
            if (other := changed(each)) is not None:
                return {**value, name: other}
    return None


class Documents:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def space(self):
        return self.random.choice(["", "", "", " ", "\t", "\r", "  "])

    def number(self):
        r = self.random
        whole = r.choice(["0", str(r.randrange(1, 10)), str(r.randrange(10**17, 10**19)), str(r.randrange(1, 10**40)), "9007199254740993"])
        text = r.choice(["", "-"]) + whole
        if r.random() < 0.4:
            text += "." + "".join(r.choice("0123456789") for _ in range(r.choice([1, 2, 17, 30])))
        if r.random() < 0.3:
            text += r.choice("eE") + r.choice(["", "+", "-"]) + str(r.choice([0, 1, 5, 20, 300, 400]))
        return text

    def string(self):
        r = self.random
        parts = ["a", "é", "😀", " ", "\\n", "\\\"", "\\\\", "\\/", "\\u0000", "\\u00e9", "\\ud83d\\ude00", "\u2028", "\x7f", "~", "name"]
        return '"' + "".join(r.choice(parts) for _ in range(r.randrange(12))) + '"'

    def value(self, depth):
        r, s = self.random, self.space
        kind = r.randrange(8 if depth else 5)
        if kind < 2:
            return self.number()
        if kind < 4:
            return self.string()
        if kind == 4:
            return r.choice(["true", "false", "null"])
        if kind < 7:
            return "[" + s() + ",".join(s() + self.value(depth - 1) + s() for _ in range(r.randrange(4))) + "]"
        names = {f'"{i}{self.string()[1:]}' for i in range(r.randrange(5))}
        return "{" + s() + ",".join(f"{s()}{name}{s()}:{s()}{self.value(depth - 1)}{s()}" for name in sorted(names)) + "}"

    def sound(self):
        return (self.space() + self.value(4) + self.space()).encode()

    def broken(self):
        """A sound document with something done to it; some stay sound, which the oracle tells."""
        raw, r = bytearray(self.sound()), self.random
        at = r.randrange(len(raw))
        what = r.randrange(9)
        if what == 0:
            del raw[at]
        elif what == 1:
            raw.insert(at, r.choice(b"{}[],:\"\\0123456789eE+-.tfn/x\x00\x01\x1f\x80\xc3\xff"))
        elif what == 2:
            raw[at] = r.choice(b"{}[],:\"\\0123456789eE+-.tfn \x7f\xed")
        elif what == 3:
            raw = raw[:at]
        elif what == 4:
            raw += r.choice([b",", b"]", b"}", b" 1", b"//", b"\x0c", b"\xef\xbb\xbf"])
        elif what == 5:
            raw = bytearray(r.choice([b"NaN", b"-Infinity", b"+1", b"01", b".5", b"1.", b"0x1", b"1e", b"--1", b"nul", b"True", b"'a'", b"[1,]", b"{\"a\":1,}",
                                      b"{a:1}", b"\"\\x41\"", b"\"\\u12\"", b"\"\t\"", b"{\"a\":1,\"a\":2}", b"{\"a\":1,\"\\u0061\":2}", b"[1 2]", b"{\"a\" 1}"]))
        elif what == 6:
            raw = bytearray(b'["' + r.choice([b"\\ud800", b"\\udc00", b"\\ud800\\u0041", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x80"]) + b'"]')
        elif what == 7:
            raw = raw.replace(b":", b"=", 1) if b":" in raw else raw + b"="
        else:
            raw = raw.replace(b"\"", b"'", 1) if b"\"" in raw else raw + b"'"
        return bytes(raw).replace(b"\n", b" ")


def judge(lines):
    done = subprocess.run([str(harness.program()), "schema", "validate", "--json-lines"], input=b"\n".join(lines) + b"\n", capture_output=True, timeout=120)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines), (len(answers), len(lines), done.stderr[-500:])
    return [answer["valid"] for answer in answers]


class StrictJson(unittest.TestCase):
    def test_documents_are_accepted_and_read_as_another_parser_reads_them(self):
        seed = int(os.environ.get("PLIMSOLL_SEED", time.time_ns() % 1_000_000_007))
        documents = Documents(seed)
        raws = [documents.sound() if i % 2 else documents.broken() for i in range(DOCUMENTS)]
        lines, expected = [], []
        for raw in raws:
            good, value = oracle(raw)
            schema = b'{"const":[' + plain(value).encode() + b"]}" if good else b'{"type":"array","minItems":1,"maxItems":1}'
            lines.append(b'{"schema":' + schema + b',"instance":[' + raw + b"]}")
            expected.append(good)
        accepted = 0
        for raw, good, valid in zip(raws, expected, judge(lines)):
            self.assertEqual(valid is True, good, f"seed {seed}: {raw!r} is {'sound' if good else 'broken'}, we say {valid}")
            accepted += good
        print(f"seed {seed}: {len(raws)} documents, {accepted} accepted and equal, {len(raws) - accepted} refused", flush=True)
        self.assertGreaterEqual(accepted, 0.4 * len(raws))

    def test_one_digit_more_is_another_number(self):
        seed = int(os.environ.get("PLIMSOLL_SEED", time.time_ns() % 1_000_000_007))
        documents = Documents(seed)
        lines = []
        while len(lines) < 250:
            good, value = oracle(raw := documents.sound())
            other = changed(value) if good else None
            if other is not None:
                lines.append(b'{"schema":{"const":' + plain(other).encode() + b'},"instance":' + raw + b"}")
        self.assertEqual(set(judge(lines)), {False}, f"seed {seed}")


def heard(value):
    """What tests/programs/echo_server.cpp tells, as `oracle` gives it; a number's text, integer and double must agree."""
    if not isinstance(value, list):
        return value
    kind, *told = value
    if kind == "a":
        return [heard(each) for each in told[0]]
    if kind == "o":
        assert len({name for name, _ in told[0]}) == len(told[0])
        return {name: heard(each) for name, each in told[0]}
    text, integer, double = told
    number = decimal.Decimal(text)
    if integer is not None:
        assert decimal.Decimal(integer) == number, value
    elif number.adjusted() <= 18 and number == number.to_integral_value() and abs(number) <= 2**63 - 1:
        raise AssertionError(f"an integer of 64 bits was not read as one: {value}")
    assert float.fromhex(double) == float(text), value
    return number


def same(one, other):
    """Equal, digit for digit and in the order of the text."""
    if type(one) is not type(other):
        return False
    if isinstance(one, decimal.Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(each, other[name]) for name, each in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


class Line:
    """A connection on which a request can be sent in pieces: the server has read each before the next is sent, which only a Unix socket tells."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(harness.PATIENCE)
        self.socket.connect(str(path))
        self.reader = self.socket.makefile("rb")

    def close(self):
        self.reader.close()
        self.socket.close()

    def send(self, data, cuts=()):
        for start, end in zip([0, *cuts], [*cuts, len(data)]):
            self.socket.sendall(data[start:end])
            deadline = time.monotonic() + harness.PATIENCE
            while struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4))[0]:
                assert time.monotonic() < deadline, "the server reads nothing"

    def answer(self):
        status, headers = int(self.reader.readline().split()[1]), {}
        while line := self.reader.readline().strip():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        return status, self.reader.read(int(headers[b"content-length"])), headers.get(b"connection", b"").lower() == b"close"


class Bodies(harness.ServerTest):
    def request(self, raw, chunked, random_):
        head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        if not chunked:
            return head + b"Content-Length: %d\r\n\r\n" % len(raw) + raw
        body, at = b"", 0
        while at < len(raw):
            piece = raw[at:at + random_.randrange(1, len(raw) + 1)]
            body, at = body + b"%x\r\n" % len(piece) + piece + b"\r\n", at + len(piece)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"

    def test_bodies_whole_and_in_random_cuts_are_read_as_another_parser_reads_them(self):
        seed = int(os.environ.get("PLIMSOLL_SEED", time.time_ns() % 1_000_000_007))
        documents, random_ = Documents(seed), random.Random(seed + 1)
        folder = self.directory()
        (folder / "contract.yaml").write_text(CONTRACT)
        server = harness.Server(folder / "contract.yaml", folder, executable=harness.program().parent / "echo_server", verb=(),
                                arguments=["--listen", f"unix:{folder / 'socket'}"])
        self.addCleanup(self._end, server)
        server.start()
        lines, accepted, cut = {}, 0, 0
        self.addCleanup(lambda: [line.close() for line in lines.values()])
        for number in range(BODIES):
            raw = documents.sound() if number % 2 else documents.broken()
            good, expected = oracle(raw)
            accepted += good
            for way in ("whole", "cut", "chunked and cut"):
                line = lines.get(way) or lines.setdefault(way, Line(folder / "socket"))
                data = self.request(raw, way == "chunked and cut", random_)
                cuts = [] if way == "whole" else sorted(random_.sample(range(1, len(data)), min(random_.randint(1, 8), len(data) - 1)))
                cut += bool(cuts)
                line.send(data, cuts)
                status, body, closed = line.answer()
                where = f"seed {seed}: {raw!r}, {way} at {cuts}: {status} {body[:300]!r}"
                if closed:
                    lines.pop(way).close()
                if good:
                    self.assertEqual(status, 200, where)
                    self.assertTrue(same(heard(json.loads(body)), expected), where)
                else:
                    self.assertEqual(status, 400, where)
                    self.assertEqual(json.loads(body)["code"], "malformed-json" if raw.strip() else json.loads(body)["code"], where)
        print(f"seed {seed}: {BODIES} documents as bodies, whole and in {cut} ways cut, {accepted} accepted and equal, {BODIES - accepted} refused", flush=True)
        self.assertGreaterEqual(accepted, 0.4 * BODIES)


if __name__ == "__main__":
    harness.main()
