#!/usr/bin/env python3
"""Validation and compilation of JSON Schemas, ajv 8 beside us in the same run.

Both sides get the same questions as lines: the cases of JSON Schema's suite (PLIMSOLL_REAL_DATA, by default ../shared/real), and one body of
1 KB. The instance is parsed once, the schema compiled once for validation and anew each time for compilation; nothing is kept from one
repetition to the next, and errors are off. ajv's functions are warm before they are measured.

    PLIMSOLL=build/bench/bin/plimsoll python3 bench/schema_vs_ajv.py
"""
import json
import math
import os
import pathlib
import subprocess
import sys

import measure

ROOT = pathlib.Path(__file__).resolve().parent.parent
REAL = pathlib.Path(os.environ.get("PLIMSOLL_REAL_DATA", ROOT / ".." / "shared" / "real"))
PROGRAM = os.environ.get("PLIMSOLL", str(ROOT / "build/release/bin/plimsoll"))
REPEAT = int(os.environ.get("PLIMSOLL_BENCH_REPEAT", "5000"))
COMPILE = 5

ADDRESS = {
    "type": "object",
    "required": ["street", "city", "postal_code", "country"],
    "properties": {
        "street": {"type": "string", "minLength": 1, "maxLength": 200},
        "city": {"type": "string", "minLength": 1, "maxLength": 100},
        "postal_code": {"type": "string", "pattern": "^[0-9A-Z -]{3,10}$"},
        "country": {"type": "string", "pattern": "^[A-Z]{2}$"},
    },
    "additionalProperties": False,
}
ORDER = {
    "type": "object",
    "required": ["id", "customer", "items", "currency", "status", "created_at"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "customer": {
            "type": "object",
            "required": ["id", "email"],
            "properties": {
                "id": {"type": "integer", "minimum": 1},
                "email": {"type": "string", "format": "email", "maxLength": 254},
                "name": {"type": "string", "maxLength": 100},
                "phone": {"type": ["string", "null"], "pattern": "^\\+?[0-9 ]{5,20}$"},
            },
            "additionalProperties": False,
        },
        "items": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["sku", "quantity", "price"],
                "properties": {
                    "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
                    "name": {"type": "string", "maxLength": 200},
                    "quantity": {"type": "integer", "minimum": 1, "maximum": 1000},
                    "price": {"type": "number", "minimum": 0, "multipleOf": 0.01},
                    "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
                },
                "additionalProperties": False,
            },
        },
        "currency": {"enum": ["EUR", "USD", "GBP", "CHF"]},
        "status": {"enum": ["new", "paid", "shipped", "done", "cancelled"]},
        "created_at": {"type": "string", "format": "date-time"},
        "shipping": ADDRESS,
        "billing": ADDRESS,
        "note": {"type": "string", "maxLength": 1000},
    },
    "additionalProperties": False,
}
HOME = {"street": "Rua do Alecrim 12, 3º", "city": "Lisboa", "postal_code": "1200-017", "country": "PT"}
BODY = {
    "id": "0190f4a2-7c1e-7b3a-9d52-6f2f7f1c2a11",
    "customer": {"id": 48213, "email": "ines.carvalho@example.com", "name": "Inês Carvalho", "phone": "+351 912 345 678"},
    "items": [
        {"sku": "TEA-0042", "name": "Gorreana green tea, 100 g", "quantity": 2, "price": 4, "tags": ["tea", "azores", "organic"]},
        {"sku": "CUP-0107", "name": "Stoneware cup, blue glaze", "quantity": 4, "price": 12, "tags": ["kitchen", "handmade"]},
        {"sku": "HON-0009", "name": "Rosemary honey, 500 g", "quantity": 1, "price": 9, "tags": []},
        {"sku": "BAG-0311", "name": "Linen bag with a long handle", "quantity": 1, "price": 18, "tags": ["linen"]},
    ],
    "currency": "EUR",
    "status": "paid",
    "created_at": "2026-03-14T09:26:53.589Z",
    "shipping": HOME,
    "billing": HOME,
    "note": "Please leave the parcel with the neighbour on the second floor when nobody opens; the bell is the one without a name. Thank you!",
}


def remotes():
    folder = REAL / "json-schema" / "remotes"
    return {f"http://localhost:1234/{path.relative_to(folder)}": json.loads(path.read_text())
            for path in sorted((folder / "draft2020-12").rglob("*.json"))}


def suite():
    """(name, line) of each required case."""
    known = remotes()
    for path in sorted((REAL / "json-schema" / "tests" / "draft2020-12").glob("*.json")):
        for group in json.loads(path.read_text()):
            near = known if "localhost:1234" in json.dumps(group["schema"]) else {}
            for test in group["tests"]:
                line = {"schema": group["schema"], "instance": test["data"], "repeat": REPEAT, "compile": COMPILE, "remotes": near}
                yield f"{path.stem}: {group['description']}: {test['description']}", test["valid"], line


def ask(command, lines, **options):
    """All answers of one side."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=3600, check=True, **options)
    return [json.loads(line) for line in done.stdout.splitlines()]


def ask_us(command, lines):
    """The best of three, as ajv's side gives."""
    rounds = [ask(command, lines) for _ in range(3)]
    return [{**each[0], "ns": min(one["ns"] for one in each), "compile_ns": min(one["compile_ns"] for one in each)}
            if "ns" in each[0] else each[0] for each in zip(*rounds)]


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def main():
    bench = ROOT / "bench"
    try:
        there = (measure.packages() / "ajv").exists()
    except measure.Missing:
        there = False
    if not there:
        measure.missing("schemas beside ajv", "npm could not install ajv (bench/package.json)")
        return 0
    ours_command = [PROGRAM, "schema", "validate", "--json-lines"]
    theirs_command = ["node", str(bench / "ajv_lines.mjs")]

    body = [{"schema": ORDER, "instance": BODY, "format": formats, "repeat": 10 * REPEAT, "compile": COMPILE * 10} for formats in (False, True)]
    ours, theirs = ask_us(ours_command, body), ask(theirs_command, body)
    size = len(json.dumps(BODY, separators=(",", ":"), ensure_ascii=False).encode())
    for line, a, b in zip(body, ours, theirs):
        assert a["valid"] and b["valid"], (a, b)
        print(f"a body of {size} bytes{', formats asserted' if line['format'] else '':24}: {a['ns'] / line['repeat']:8.0f} ns, ajv {b['ns'] / line['repeat']:8.0f} ns, "
              f"ratio {b['ns'] / a['ns']:.2f}; compile and validate {a['compile_ns'] / line['compile'] / 1e3:.1f} µs, ajv {b['compile_ns'] / line['compile'] / 1e3:.0f} µs", flush=True)
        measure.row(f"ajv's time / ours, a body of {size} bytes{', formats asserted' if line['format'] else ''}", b["ns"] / a["ns"], 2, least=True)

    if not (REAL / "json-schema").exists():
        measure.missing("ajv's time / ours, JSON Schema's suite", f"it is not at {REAL} (PLIMSOLL_REAL_DATA)")
        return 0
    cases = list(suite())
    lines = [line for _, _, line in cases]
    ours, theirs = ask_us(ours_command, lines), ask(theirs_command, lines)
    both = [(name, line, a, b) for (name, valid, line), a, b in zip(cases, ours, theirs) if a["valid"] == b["valid"] == valid]
    ratios = sorted((b["ns"] / a["ns"], name, a["ns"] / line["repeat"], b["ns"] / line["repeat"]) for name, line, a, b in both)
    print(f"suite: {len(cases)} cases; {len(both)} on which both sides are right are measured (ajv differs or gives up on {len(cases) - len(both)})")
    for kind, expected in (("all", (True, False)), ("valid instances", (True,)), ("invalid instances", (False,))):
        chosen = [b["ns"] / a["ns"] for _, _, a, b in both if a["valid"] in expected]
        print(f"  validation, {kind:18} geometric mean of ajv's time over ours: {geometric_mean(chosen):.2f}")
    measure.row(f"ajv's time / ours, {len(both)} cases of the suite, geometric mean", geometric_mean([one[0] for one in ratios]), 2, least=True)
    print(f"  slowest against ajv: " + "; ".join(f"{ratio:.2f} {name} ({a:.0f} ns, ajv {b:.0f})" for ratio, name, a, b in ratios[:5]))
    a, b = (sum(side["compile_ns"] for side in sides) for sides in zip(*((a, b) for _, _, a, b in both)))
    count = len(both) * COMPILE
    print(f"  compile and validate: {count / a * 1e9:,.0f} cases/s, ajv {count / b * 1e9:,.0f} cases/s, ratio {b / a:.0f}")
    measure.row("cases of the suite compiled and validated in a second / ajv", b / a, 20, least=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
