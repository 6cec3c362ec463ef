"""Random schemas and instances, judged by `plimsoll schema validate` and by ajv: every pair must be judged alike.

PLIMSOLL_PAIRS (default 20000) sets how many pairs, PLIMSOLL_SEED the seed. Where the two disagree and the standard is on our side, the pair is kept
in tests/fixtures/schema_differences.json with the sentence that settles it. ajv comes from npm (bench/package.json); without it the test is skipped.
"""
import collections
import fcntl
import json
import os
import pathlib
import random
import shutil
import subprocess
import time
import unittest

import harness

BENCH = harness.ROOT / "bench"
FIXTURE = harness.ROOT / "tests" / "fixtures" / "schema_differences.json"
PAIRS = int(os.environ.get("PLIMSOLL_PAIRS", "20000"))
PER_SCHEMA = 20

NAMES = ["a", "b", "c", "ab", "x-1", "é"]
STRINGS = ["", "a", "b", "ab", "abc", "x-1", "é", "éé", "😀", "12", "2026-03-14", "127.0.0.1"]
NUMBERS = [-2, -1, 0, 1, 2, 3, 4, 10, 0.5, 1.5, -0.5, 2.0, 1e3, 123456789]
PATTERNS = ["^a", "b$", "^[a-z]+$", "^.{2}$", "^x-", "[0-9]", "^(a|b)*$", "^a?b?c?$", "é", "^\\w{1,2}$", "^$", "(?=.*a)(?=.*b)", "^[^a]", "^\\p{L}+$"]
FORMATS = {
    "date": "2026-03-14", "ipv4": "127.0.0.1", "uuid": "0190f4a2-7c1e-7b3a-9d52-6f2f7f1c2a11", "email": "a@example.com",
    "date-time": "2026-03-14T09:26:53Z", "uri": "https://example.com/a?b#c", "ipv6": "2001:db8::1", "hostname": "example.com",
}
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, probability):
        return self.random.random() < probability

    def some(self, items, least=1, most=3):
        return self.random.sample(items, self.random.randint(least, min(most, len(items))))

    # --- instances ---

    def scalar(self):
        kind = self.random.randrange(8)
        if kind < 3:
            return self.random.choice(STRINGS + [self.random.choice(list(FORMATS.values()))])
        if kind < 6:
            return self.random.choice(NUMBERS)
        return self.random.choice([None, True, False])

    def value(self, depth=2):
        if depth and self.chance(0.6):
            if self.chance(0.45):
                return [self.value(depth - 1) for _ in range(self.random.randrange(5))]
            return {name: self.value(depth - 1) for name in self.some(NAMES, 0, 4)}
        return self.scalar()

    def fitting(self, schema, depth=3):
        """A value that is led by the schema, so that a good part is valid."""
        if not isinstance(schema, dict) or self.chance(0.12) or depth == 0:
            return self.value(max(0, depth - 1))
        if "const" in schema:
            return schema["const"]
        if "enum" in schema and schema["enum"] and self.chance(0.9):
            return self.random.choice(schema["enum"])
        if "format" in schema and self.chance(0.7):
            return FORMATS[schema["format"]]
        for word in ("allOf", "anyOf", "oneOf"):
            if word in schema and self.chance(0.5):
                return self.fitting(self.random.choice(schema[word]), depth)
        kinds = schema.get("type")
        kind = self.random.choice(kinds) if isinstance(kinds, list) else kinds
        if kind is None:
            hints = {"object": {"properties", "required", "patternProperties", "additionalProperties", "dependentRequired", "dependentSchemas",
                                "propertyNames", "minProperties", "maxProperties", "unevaluatedProperties"},
                     "array": {"items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"},
                     "string": {"minLength", "maxLength", "pattern"},
                     "number": {"minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"}}
            fits = [name for name, words in hints.items() if words & schema.keys()]
            kind = self.random.choice(fits) if fits else None
        if kind == "object":
            names = set(self.some(NAMES, 0, 3)) | set(schema.get("required", []))
            properties = schema.get("properties", {})
            names |= {name for name in properties if self.chance(0.5)}
            if self.chance(0.3) and properties:
                names &= set(properties)
            return {name: self.fitting(properties.get(name, True), depth - 1) for name in sorted(names)}
        if kind == "array":
            prefix, items = schema.get("prefixItems", []), schema.get("items", schema.get("contains", True))
            return [self.fitting(prefix[i] if i < len(prefix) else items, depth - 1) for i in range(self.random.randrange(5))]
        if kind == "string":
            return self.random.choice(STRINGS)
        if kind in ("number", "integer"):
            return self.random.choice(NUMBERS)
        if kind == "boolean":
            return self.chance(0.5)
        return None if kind == "null" else self.value(depth - 1)

    # --- schemas ---

    def schema(self, depth, defs, in_place=True):
        """A schema of a few keywords. `defs` are the names it may refer to without going in circles."""
        if self.chance(0.04):
            return self.chance(0.7)
        made = {}
        for word in self.some(self.words(depth), 1, 3):
            made.update(getattr(self, word)(depth - 1, defs))
        if self.chance(0.25):
            made["type"] = self.random.choice(TYPES) if self.chance(0.6) else sorted(self.some(TYPES, 2, 4))
        return made

    def words(self, depth):
        flat = ["constant", "enumeration", "bounds", "multiple", "lengths", "pattern", "counts", "members", "required", "dependent_required", "unique", "format"]
        if depth <= 0:
            return flat
        return flat + ["properties", "properties", "pattern_properties", "items", "prefix_items", "contains", "property_names", "combined", "combined", "negated",
                       "conditional", "dependent_schemas", "unevaluated_properties", "unevaluated_items", "reference"]

    def constant(self, depth, defs):
        return {"const": self.value(1)}

    def enumeration(self, depth, defs):
        return {"enum": [self.value(1) for _ in range(self.random.randint(1, 5))]}

    def bounds(self, depth, defs):
        return {word: self.random.choice(NUMBERS) for word in self.some(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], 1, 2)}

    def multiple(self, depth, defs):
        return {"multipleOf": self.random.choice([1, 2, 3, 0.5, 1.5, 5])}

    def lengths(self, depth, defs):
        return {word: self.random.randrange(4) for word in self.some(["minLength", "maxLength"], 1, 2)}

    def pattern(self, depth, defs):
        return {"pattern": self.random.choice(PATTERNS)}

    def format(self, depth, defs):
        return {"format": self.random.choice(list(FORMATS))}

    def counts(self, depth, defs):
        return {word: self.random.randrange(4) for word in self.some(["minItems", "maxItems"], 1, 2)}

    def members(self, depth, defs):
        return {word: self.random.randrange(4) for word in self.some(["minProperties", "maxProperties"], 1, 2)}

    def unique(self, depth, defs):
        return {"uniqueItems": self.chance(0.9)}

    def required(self, depth, defs):
        return {"required": self.some(NAMES, 0, 2)}

    def dependent_required(self, depth, defs):
        return {"dependentRequired": {name: self.some(NAMES, 0, 2) for name in self.some(NAMES, 1, 2)}}

    def properties(self, depth, defs):
        made = {"properties": {name: self.schema(depth, defs) for name in self.some(NAMES, 1, 3)}}
        if self.chance(0.3):
            made["additionalProperties"] = self.schema(depth, defs) if self.chance(0.6) else False
        return made

    def pattern_properties(self, depth, defs):
        return {"patternProperties": {pattern: self.schema(depth, defs) for pattern in self.some(PATTERNS, 1, 2)}}

    def items(self, depth, defs):
        return {"items": self.schema(depth, defs)}

    def prefix_items(self, depth, defs):
        return {"prefixItems": [self.schema(depth, defs) for _ in range(self.random.randint(1, 3))]}

    def contains(self, depth, defs):
        made = {"contains": self.schema(depth, defs)}
        if self.chance(0.5):
            made["minContains"] = self.random.randrange(3)
        if self.chance(0.5):
            made["maxContains"] = self.random.randrange(1, 4)
        return made

    def property_names(self, depth, defs):
        return {"propertyNames": self.schema(0, defs)}

    def combined(self, depth, defs):
        word = self.random.choice(["allOf", "anyOf", "oneOf"])
        return {word: [self.schema(depth, defs) for _ in range(self.random.randint(1, 3))]}

    def negated(self, depth, defs):
        return {"not": self.schema(depth, defs)}

    def conditional(self, depth, defs):
        made = {"if": self.schema(depth, defs)}
        for word in ("then", "else"):
            if self.chance(0.75):
                made[word] = self.schema(depth, defs)
        return made

    def dependent_schemas(self, depth, defs):
        return {"dependentSchemas": {name: self.schema(depth, defs) for name in self.some(NAMES, 1, 2)}}

    def unevaluated_properties(self, depth, defs):
        made = self.random.choice([self.combined, self.properties, self.conditional])(depth, defs)
        made["unevaluatedProperties"] = self.schema(0, defs) if self.chance(0.4) else False
        return made

    def unevaluated_items(self, depth, defs):
        made = self.random.choice([self.combined, self.prefix_items, self.conditional])(depth, defs)
        made["unevaluatedItems"] = self.schema(0, defs) if self.chance(0.4) else False
        return made

    def reference(self, depth, defs):
        if not defs:
            return {}
        name = self.random.choice(defs)
        return self.random.choice([{"$ref": f"#/$defs/{name}"}, {"$ref": f"#{name}"}])

    def document(self):
        """A whole schema. A definition refers to those after it only, so that references end."""
        names = ["d0", "d1", "d2"]
        root = self.schema(3, names)
        if not isinstance(root, dict):
            root = {"allOf": [root]}
        defs = {}
        for i, name in enumerate(names):
            made = self.schema(2, names[i + 1:])
            made = made if isinstance(made, dict) else {"allOf": [made]}
            made["$anchor"] = name
            defs[name] = made
        if self.chance(0.3):  # recursion, one level of the instance at a time
            below = {"$ref": "#"}
            if self.chance(0.6):
                root["$dynamicAnchor"] = "root"
                below = {"$dynamicRef": "#root"}
            root.setdefault("properties", {})["a"] = below
        root["$defs"] = defs
        return root


def words_in(schema, found):
    """The keywords of a schema and its subschemas."""
    if not isinstance(schema, dict):
        return found
    for word, value in schema.items():
        found.add(word)
        if word in ("properties", "patternProperties", "dependentSchemas", "$defs"):
            for below in value.values():
                words_in(below, found)
        elif word in ("allOf", "anyOf", "oneOf", "prefixItems"):
            for below in value:
                words_in(below, found)
        elif word in ("items", "contains", "additionalProperties", "propertyNames", "not", "if", "then", "else", "unevaluatedItems", "unevaluatedProperties"):
            words_in(value, found)
    return found


def without(schema, word):
    """The schema as a compiler would see it that does not know `word`."""
    if not isinstance(schema, dict):
        return schema
    made = {}
    for key, value in schema.items():
        if key == word:
            continue
        if key in ("properties", "patternProperties", "dependentSchemas", "$defs"):
            value = {name: without(below, word) for name, below in value.items()}
        elif key in ("allOf", "anyOf", "oneOf", "prefixItems"):
            value = [without(below, word) for below in value]
        elif key in ("items", "contains", "additionalProperties", "propertyNames", "not", "if", "then", "else", "unevaluatedItems", "unevaluatedProperties"):
            value = without(value, word)
        made[key] = value
    return made


def ask(command, lines):
    done = subprocess.run(command, input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True, timeout=3600)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(lines):
        raise AssertionError(f"{command[0]} gave {len(answers)} answers to {len(lines)} lines: {done.stderr[-2000:]}")
    return answers


def ours(lines):
    return ask([str(harness.program()), "schema", "validate", "--json-lines"], lines)


def theirs(lines):
    return ask(["node", str(BENCH / "ajv_lines.mjs")], lines)


def install():
    """ajv in bench/node_modules, or the test is skipped, saying so."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise unittest.SkipTest("node and npm are not here: ajv cannot be asked (scripts/install-dependencies bench)")
    with open(BENCH / "package.json") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (BENCH / "node_modules" / "ajv").exists():
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=BENCH, capture_output=True, text=True, timeout=300)
            if done.returncode:
                raise unittest.SkipTest(f"npm install in bench/ failed: {done.stderr.strip()[-300:]}")


class Differential(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        install()
        cls.seed = int(os.environ.get("PLIMSOLL_SEED", time.time_ns() % 1_000_000_007))
        print(f"seed {cls.seed} (PLIMSOLL_SEED), {PAIRS} pairs (PLIMSOLL_PAIRS)", flush=True)

    def lines(self, pairs, seed, per_schema=PER_SCHEMA):
        generator = Generator(seed)
        made = []
        while len(made) < pairs:
            schema = generator.document()
            made += [{"schema": schema, "instance": generator.fitting(schema), "format": True} for _ in range(min(per_schema, pairs - len(made)))]
        return made

    def test_every_pair_is_judged_alike(self):
        counts, judged, valid, differing = collections.Counter(), 0, 0, []
        batch, given_up, known = 10_000, 0, 0
        for start in range(0, PAIRS, batch):
            lines = self.lines(min(batch, PAIRS - start), self.seed + start)
            words = {}
            for line, mine, other in zip(lines, ours(lines), theirs(lines)):
                if mine["valid"] is None or other["valid"] is None:
                    given_up += 1
                    self.assertIsNone(other["valid"], f"seed {self.seed}: we refuse what ajv takes: {mine} {json.dumps(line)}")
                    continue
                judged += 1
                valid += mine["valid"]
                self.assertNotIn("too many steps", str(mine["errors"]), f"seed {self.seed}: refused, but no reason is found: {json.dumps(line)}")
                key = id(line["schema"])
                if key not in words:
                    words[key] = words_in(line["schema"], set())
                counts.update(words[key])
                if mine["valid"] != other["valid"]:
                    if settled(line):
                        known += 1
                    else:
                        differing.append({"ours": mine["valid"], **line})
        print(f"{judged} pairs judged, {100 * valid / judged:.1f} % valid, {given_up} that ajv gives up on, {known} of the kinds kept in {FIXTURE.name}")
        print("  pairs per keyword: " + ", ".join(f"{word} {count}" for word, count in sorted(counts.items())))
        smallest = sorted(differing, key=lambda line: len(json.dumps(line)))[:5]
        self.assertFalse(differing, f"seed {self.seed}: {len(differing)} pairs are judged differently, the smallest:\n" + "\n".join(map(json.dumps, smallest)))
        self.assertLess(known, max(40, 0.02 * judged), f"seed {self.seed}: more of the known kinds than ever were")
        self.assertGreater(valid / judged, 0.3)
        self.assertLess(valid / judged, 0.7)
        self.assertGreaterEqual(min(counts.values()) * 200_000 / PAIRS, 1000, "a keyword comes too seldom")

    def test_a_compiler_without_any_one_keyword_would_be_noticed(self):
        lines = self.lines(8_000, self.seed + 1, per_schema=4)
        with_word = collections.defaultdict(list)
        for line, answer in zip(lines, ours(lines)):
            for word in words_in(line["schema"], set()):
                with_word[word].append((line, answer["valid"]))
        words = sorted(set(with_word) - {"$defs", "$anchor", "$dynamicAnchor"})
        self.assertGreaterEqual(len(words), 36)
        for word in words:
            self.assertTrue(self.is_noticed(word, with_word[word]), f"seed {self.seed}: nobody notices that {word} is not looked at")

    def is_noticed(self, word, chosen):
        """Whether some instance is judged otherwise when `word` is taken out of the schema; a few at a time, because the first mostly do."""
        for start in range(0, len(chosen), 200):
            some = chosen[start:start + 200]
            blind = ours([{**line, "schema": without(line["schema"], word)} for line, _ in some])
            if any(valid != answer["valid"] for (_, valid), answer in zip(some, blind)):
                return True
        return False

    def test_where_ajv_differs_the_standard_is_with_us(self):
        kept = json.loads(FIXTURE.read_text())
        lines = [{"schema": each["schema"], "instance": each["instance"], "format": True} for each in kept]
        for each, mine, other in zip(kept, ours(lines), theirs(lines)):
            self.assertEqual(mine["valid"], each["valid"], each["sentence"])
            self.assertNotEqual(other["valid"], each["valid"], f"ajv agrees now: {each['sentence']}")


def settled(line):
    """Whether a disagreement is of a kind that is kept in the fixture, with the sentence that settles it."""
    words = words_in(line["schema"], set())
    unevaluated = bool({"unevaluatedItems", "unevaluatedProperties"} & words)
    return (unevaluated and bool({"contains", "if", "oneOf", "anyOf"} & words)) or {"contains", "prefixItems"} <= words



if __name__ == "__main__":
    harness.main()
