"""JSON is read strictly and exactly: random documents, sound and broken, read by the program and by Python's own parser (made strict: duplicate
names, lone surrogates, NaN and Infinity refused; numbers as decimals). PLIMSOLL_SEED repeats a run.
"""
import decimal
import json
import os
import random
import subprocess
import time
import unittest

import harness

DOCUMENTS = 1000
decimal.getcontext().prec = 2000


class Refused(Exception):
    pass


def pairs(members):
    if len({name for name, _ in members}) != len(members):
        raise Refused("a name stands twice")
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


if __name__ == "__main__":
    harness.main()
