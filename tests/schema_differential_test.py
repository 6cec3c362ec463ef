"""Random schemas and instances, judged by `plimsoll schema validate`, by ajv, and by a plain evaluator written from the standard's text
(schema_reference.py). We must always say what the plain one says. Where ajv says otherwise, its answer is traced to keywords: told the outcome of just these, it
must agree. Which they may be, and the sentence of the standard that settles each, stands in docs/conformance/json-schema-disagreements.md.

PLIMSOLL_PAIRS sets how many pairs (default 4,000; 200,000 with PLIMSOLL_TORTURE), PLIMSOLL_SEED the seed. ajv comes from npm (bench/package.json); without it
the tests that ask it are skipped.
"""
import collections
import itertools
import json
import os
import pathlib
import random
import re
import subprocess
import time
import unittest

import harness
import npm
import schema_reference

BENCH = harness.ROOT / "bench"
PAGE = harness.ROOT / "docs" / "conformance" / "json-schema-disagreements.md"
PAIRS = int(os.environ.get("PLIMSOLL_PAIRS", "200000" if os.environ.get("PLIMSOLL_TORTURE") else "4000"))
PER_SCHEMA = 20
ROOT, FAR = "https://example.com/root.json", "https://example.com/far.json"

NAMES = ["a", "b", "c", "ab", "x-1", "é"]
STRINGS = ["", "a", "b", "ab", "abc", "x-1", "é", "éé", "😀", "12", "2026-03-14", "127.0.0.1"]
NUMBERS = [-2, -1, 0, 1, 2, 3, 4, 10, 0.5, 1.5, -0.5, 2.0, 1e3, 4.35, 123456789]
PATTERNS = ["^a", "b$", "^[a-z]+$", "^.{2}$", "^x-", "[0-9]", "^(a|b)*$", "^a?b?c?$", "é", "^\\w{1,2}$", "^$", "(?=.*a)(?=.*b)", "^[^a]", "^\\p{L}+$"]
FORMATS = {
    "date": "2026-03-14", "ipv4": "127.0.0.1", "uuid": "0190f4a2-7c1e-7b3a-9d52-6f2f7f1c2a11", "email": "a@example.com",
    "date-time": "2026-03-14T09:26:53Z", "uri": "https://example.com/a?b#c", "ipv6": "2001:db8::1", "hostname": "example.com",
}
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
# They say nothing of an instance, wherever they stand.
REMARKS = {"title": "t", "description": "d", "default": 1, "examples": [1], "deprecated": True, "readOnly": True, "writeOnly": True, "$comment": "c",
           "contentEncoding": "base64", "contentMediaType": "application/json"}


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
        if self.chance(0.1):
            made.update({word: REMARKS[word] for word in self.some(list(REMARKS), 1, 3)})
        if self.chance(0.25):
            made["type"] = self.random.choice(TYPES) if self.chance(0.6) else sorted(self.some(TYPES, 2, 4))
        return made

    def words(self, depth):
        flat = ["constant", "enumeration", "bounds", "multiple", "lengths", "pattern", "counts", "members", "required", "dependent_required", "unique", "format"]
        if depth <= 0:
            return flat
        return flat + ["properties", "properties", "pattern_properties", "items", "prefix_items", "contains", "property_names", "combined", "combined", "negated",
                       "conditional", "dependent_schemas", "dependencies", "content", "unevaluated_properties", "unevaluated_items", "reference"]

    def constant(self, depth, defs):
        return {"const": self.value(1)}

    def enumeration(self, depth, defs):
        return {"enum": [self.value(1) for _ in range(self.random.randint(1, 5))]}

    def bounds(self, depth, defs):
        return {word: self.random.choice(NUMBERS) for word in self.some(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], 1, 2)}

    def multiple(self, depth, defs):
        return {"multipleOf": self.random.choice([1, 2, 3, 0.5, 1.5, 5, 0.01])}

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

    def dependencies(self, depth, defs):
        """What `dependentRequired` and `dependentSchemas` were before 2019-09; ajv knows it still, and so do we."""
        return {"dependencies": {name: self.some(NAMES, 0, 2) if self.chance(0.5) else self.schema(depth, defs) for name in self.some(NAMES, 1, 2)}}

    def content(self, depth, defs):
        return {"contentMediaType": "application/json", "contentSchema": self.schema(0, [])}

    def reference(self, depth, defs):
        """`defs` holds for each schema that may be referred to the ways to say so."""
        return {"$ref": self.random.choice(self.random.choice(defs))} if defs else {}

    def definition(self, depth, defs, **identifiers):
        made = self.schema(depth, defs)
        return {**(made if isinstance(made, dict) else {"allOf": [made]}), **identifiers}

    def far(self):
        """A resource of its own, which may be entered with another in its dynamic scope: at `b` it goes on with the outermost `node`."""
        made = self.definition(2, [], **{"$id": FAR, "$dynamicAnchor": "node"})
        made.setdefault("properties", {})["b"] = {"$dynamicRef": "#node"}
        return made

    def document(self):
        """A whole schema. A definition refers to those after it only, so that references end."""
        names = ["d0", "d1", "d2"]
        home = ROOT if self.chance(0.3) else ""
        ways = [[f"#/$defs/{name}", f"#{name}"] + ([f"{ROOT}#{name}", f"root.json#/$defs/{name}"] if home else []) for name in names]
        defs = {name: self.definition(2, ways[i + 1:], **{"$anchor": name}) for i, name in enumerate(names)}
        held = {"$defs": defs}
        if self.chance(0.2):
            held["definitions"] = {"e0": self.definition(1, [], **{"$anchor": "e0"})}
            ways.append(["#/definitions/e0", "#e0"])
        if self.chance(0.2):
            held["contentSchema"] = self.definition(1, [], **{"$anchor": "c0"})
            ways.append(["#/contentSchema", "#c0"])
        if self.chance(0.3):
            defs["far"] = self.far()
            ways += [[FAR, FAR + "#node", "#/$defs/far"]] * 3
        root = self.definition(3, ways, **held)
        if home:
            root["$id"] = home
        if self.chance(0.2):
            root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        if self.chance(0.4):  # recursion, one level of the instance at a time
            below = {"$ref": "#"}
            if self.chance(0.7):
                root["$dynamicAnchor"] = "node"
                below = {"$dynamicRef": "#node"}
            root.setdefault("properties", {})["a"] = below
        return root


def words_in(schema, found):
    """The keywords of a schema and its subschemas."""
    if isinstance(schema, dict):
        found.update(schema)
        for _, each in schema_reference.below(schema):
            words_in(each, found)
    return found


def ask(command, lines, environment=None):
    done = subprocess.run(command, input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True, timeout=3600,
                          env={**os.environ, **(environment or {})})
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(lines):
        raise AssertionError(f"{command[0]} gave {len(answers)} answers to {len(lines)} lines: {done.stderr[-2000:]}")
    return answers


def ours(lines, blind_to=None):
    return ask([str(harness.program()), "schema", "validate", "--json-lines"], lines, blind_to and {"PLIMSOLL_BLIND": blind_to})


def theirs(lines):
    return ask(["node", str(BENCH / "ajv_lines.mjs")], lines)


def judged_by_reference(lines):
    """What the plain evaluator says of each line, and which keywords it came to; neighbours of one schema share its index."""
    verdicts, reached, reference = [], [], None
    for line in lines:
        if reference is None or reference.root is not line["schema"]:
            reference = schema_reference.Reference(line["schema"])
        verdicts.append(reference.valid(line["instance"]))
        reached.append(reference.reached)
    return verdicts, reached


COMPANIONS = {"contains": ("minContains", "maxContains")}  # they go with it


def told(line, words):
    """The line with a schema in which each of `words` is replaced by its outcome, as the plain evaluator has it: the values that it refuses are
    listed. None where a keyword gave the same value different outcomes, which only a dynamic scope can do."""
    reference = schema_reference.Reference(line["schema"], watched=words)
    reference.valid(line["instance"])
    refused = {}
    for key, outcomes in reference.outcomes.items():
        refused[key] = [value for value, good in outcomes if not good]
        if any(good and schema_reference.equal(value, other) for value, good in outcomes for other in refused[key]):
            return None

    def change(schema, made):
        for word in words:
            if word in made:
                for gone in (word, *COMPANIONS.get(word, ())):
                    made.pop(gone, None)
                if refused.get((id(schema), word)):
                    made["allOf"] = [*made.get("allOf", []), {"not": {"enum": refused[id(schema), word]}}]
        return made

    return {**line, "schema": schema_reference.rebuilt(line["schema"], change)}


class Page:
    """The page of kept disagreements: for each keyword the sentence that settles it, and pairs to try."""

    def __init__(self):
        text = PAGE.read_text()
        self.words = re.findall(r"^## `(.+)`$", text, re.M)
        self.pairs = [json.loads(line) for block in re.findall(r"^```json\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]

    def settle(self, lines, verdicts):
        """For each line the keywords to which ajv's disagreement is traced: as few as do; none where it cannot be."""
        traced = [None] * len(lines)
        for count in (1, 2, 3):
            for words in itertools.combinations(self.words, count):
                open_ = [i for i, line in enumerate(lines) if traced[i] is None and set(words) <= words_in(line["schema"], set())]
                asked = [(i, changed) for i in open_ if (changed := told(lines[i], words))]
                for (i, _), answer in zip(asked, theirs([changed for _, changed in asked]) if asked else []):
                    if answer["valid"] == verdicts[i]:
                        traced[i] = words
        return traced


def rules():
    """The keywords that the compiler has rules for, and the identifiers that it looks for."""
    text = (harness.ROOT / "plimsoll" / "schema" / "keywords.cpp").read_text()
    return re.findall(r'^    \{"([^"]+)", Word::', text, re.M) + ["$id", "$anchor", "$dynamicAnchor"]


def smallest(lines):
    return "\n".join(map(json.dumps, sorted(lines, key=lambda line: len(json.dumps(line)))[:5]))


class Differential(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.seed = int(os.environ.get("PLIMSOLL_SEED", time.time_ns() % 1_000_000_007))
        print(f"seed {cls.seed} (PLIMSOLL_SEED), {PAIRS} pairs (PLIMSOLL_PAIRS)", flush=True)

    def lines(self, pairs, seed, per_schema=PER_SCHEMA):
        generator = Generator(seed)
        made = []
        while len(made) < pairs:
            schema = generator.document()
            made += [{"schema": schema, "instance": generator.fitting(schema), "format": True} for _ in range(min(per_schema, pairs - len(made)))]
        return made

    def test_every_pair_is_judged_as_the_standard_has_it(self):
        npm.needs("ajv", "ajv-formats")
        page, counts, given_up, traced = Page(), collections.Counter(), collections.Counter(), collections.Counter()
        judged, valid = 0, 0
        batch = min(PAIRS, 10_000)
        for start in itertools.count(0, batch):  # until ajv, too, has judged so many
            if judged >= PAIRS:
                break
            lines = self.lines(batch, self.seed + start)
            mine, other, (right, reached) = ours(lines), theirs(lines), judged_by_reference(lines)
            wrong = [line for line, answer, verdict in zip(lines, mine, right) if answer["valid"] is not verdict]
            self.assertFalse(wrong, f"seed {self.seed}: {len(wrong)} pairs are not judged as the standard has it, the smallest:\n{smallest(wrong)}")
            differing = []
            for line, answer, ajv, verdict, words in zip(lines, mine, other, right, reached):
                self.assertNotIn("too many steps", str(answer["errors"]), f"seed {self.seed}: refused, but no reason is found: {json.dumps(line)}")
                if ajv["valid"] is None:
                    given_up[ajv["error"]] += 1
                    continue
                judged += 1
                valid += verdict
                counts.update(words)
                if ajv["valid"] is not verdict:
                    differing.append((line, verdict))
            for (line, _), found in zip(differing, page.settle(*map(list, zip(*differing))) if differing else []):
                self.assertIsNotNone(found, f"seed {self.seed}: a disagreement with ajv that {PAGE.name} does not settle: {json.dumps(line)}")
                traced[found] += 1
        print(f"{judged} pairs judged by three, {100 * valid / judged:.1f} % valid; ajv differs on {sum(traced.values())}, each settled: "
              + (", ".join(f"{' and '.join(words)} {count}" for words, count in traced.most_common()) or "none"))
        print(f"  ajv gives up on {sum(given_up.values())} more: " + (", ".join(f"{count} × {error}" for error, count in given_up.most_common(3)) or "none"))
        print("  pairs in which a keyword had something to say: " + ", ".join(f"{word} {count}" for word, count in sorted(counts.items())))
        self.assertLess(sum(given_up.values()), 0.03 * PAIRS)
        self.assertTrue(0.3 < valid / judged < 0.7, valid / judged)
        self.assertEqual(set(rules()) - counts.keys(), set())
        self.assertGreaterEqual(min(counts.values()) * 200_000 / PAIRS, 1000, "a keyword comes too seldom")

    def test_a_compiler_without_any_one_keyword_is_noticed(self):
        """The compiler itself passes over a keyword when a build for tests is told so by PLIMSOLL_BLIND."""
        if ours([{"schema": {"type": "string"}, "instance": 1}], blind_to="type")[0]["valid"] is not True:
            self.skipTest("this build of the program takes no PLIMSOLL_BLIND; one of type Test does")
        lines = self.lines(6_000, self.seed + 1, per_schema=4)
        right, words = judged_by_reference(lines)[0], [words_in(line["schema"], set()) for line in lines]
        for word in rules():
            chosen = [(line, verdict) for line, verdict, found in zip(lines, right, words) if word in found]
            self.assertTrue(self.is_noticed(word, chosen), f"seed {self.seed}: nobody notices that the compiler does not look at {word}")
        print(f"{len(rules())} keywords switched off in the compiler one by one, each noticed")

    def is_noticed(self, word, chosen):
        """Whether some instance is judged wrongly; a few at a time, because the first mostly are."""
        for start in range(0, len(chosen), 100):
            some = chosen[start:start + 100]
            if any(answer["valid"] is not verdict for (_, verdict), answer in zip(some, ours([line for line, _ in some], blind_to=word))):
                return True
        return False

    def test_where_ajv_differs_the_standard_is_with_us(self):
        npm.needs("ajv", "ajv-formats")
        page = Page()
        lines = [{"schema": each["schema"], "instance": each["instance"], "format": True} for each in page.pairs]
        self.assertGreaterEqual(len(lines), len(page.words))
        for each, mine, other, verdict in zip(page.pairs, ours(lines), theirs(lines), judged_by_reference(lines)[0]):
            self.assertEqual((mine["valid"], verdict), (each["valid"],) * 2, each)
            self.assertNotEqual(other["valid"], each["valid"], f"ajv agrees now: {each}")


if __name__ == "__main__":
    harness.main()
