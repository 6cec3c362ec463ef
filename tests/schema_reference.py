"""JSON Schema 2020-12 evaluated slowly and plainly, keyword by keyword as the text of the standard has it: the third judge where two validators
disagree. It shares nothing with either. Numbers in brackets are sections of "JSON Schema: A Media Type for Describing JSON Documents"
(core) and of "JSON Schema Validation" (validation), both of 2020-12.

Of regular expressions and formats it knows those that the tests use.
"""
import datetime
import fractions
import ipaddress
import re
import unicodedata
import urllib.parse

SCHEMA = {"additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else", "unevaluatedItems", "unevaluatedProperties",
          "contentSchema"}
SCHEMAS = {"allOf", "anyOf", "oneOf", "prefixItems"}
SCHEMA_MAP = {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}


def below(schema):
    """(keyword, subschema) for every schema directly below one."""
    for word, value in schema.items():
        if word in SCHEMA:
            yield word, value
        elif word in SCHEMAS:
            yield from ((word, each) for each in value)
        elif word in SCHEMA_MAP:
            yield from ((word, each) for each in value.values())
        elif word == "dependencies":
            yield from ((word, each) for each in value.values() if not isinstance(each, list))


def rebuilt(schema, change):
    """A copy of a schema in which `change` has been applied to each schema object, the innermost first."""
    if not isinstance(schema, dict):
        return schema
    made = {}
    for word, value in schema.items():
        if word in SCHEMA:
            value = rebuilt(value, change)
        elif word in SCHEMAS:
            value = [rebuilt(each, change) for each in value]
        elif word in SCHEMA_MAP or word == "dependencies":
            value = {name: each if isinstance(each, list) else rebuilt(each, change) for name, each in value.items()}
        made[word] = value
    return change(schema, made)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def exact(number):
    return fractions.Fraction(repr(number))


def equal(one, other):
    """Equality of instances (core, 4.2.2)."""
    if is_number(one) and is_number(other):
        return exact(one) == exact(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    return one == other


TYPES = {
    "null": lambda value: value is None, "boolean": lambda value: isinstance(value, bool), "number": is_number,
    "integer": lambda value: is_number(value) and exact(value).denominator == 1,  # any number with a zero fractional part (validation, 6.1.1)
    "string": lambda value: isinstance(value, str), "array": lambda value: isinstance(value, list), "object": lambda value: isinstance(value, dict),
}


def searches(pattern, text):
    """ECMA-262 with the `u` flag, of which only `$`, `.`, `\\w` and `\\p{L}` differ from Python in what the tests use; not anchored (validation, 6.3.3)."""
    if pattern == r"^\p{L}+$":
        return bool(text) and all(unicodedata.category(c).startswith("L") for c in text)
    return re.search(pattern.replace("$", r"\Z").replace(".", "[^\n\r\u2028\u2029]"), text, re.ASCII) is not None


def parses(read):
    def judge(text):
        try:
            read(text)
        except ValueError:
            return False
        return True
    return judge


def is_date(text):
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII)) and parses(datetime.date.fromisoformat)(text)


def is_date_time(text):
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", text, re.ASCII)
    return bool(found) and is_date(found[1])


LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
FORMATS = {
    "date": is_date,
    "date-time": is_date_time,
    "ipv4": lambda text: bool(re.fullmatch(r"(\d{1,3}\.){3}\d{1,3}", text, re.ASCII)) and parses(ipaddress.IPv4Address)(text),
    "ipv6": lambda text: "%" not in text and parses(ipaddress.IPv6Address)(text),
    "uuid": lambda text: bool(re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text)),
    "email": lambda text: bool(re.fullmatch(rf'([A-Za-z0-9.+-]+|"[ !#-\[\]-~]*")@{LABEL}(\.{LABEL})*', text)),
    "duration": lambda text: bool(re.fullmatch(r"P(?=.)((\d+Y)?(?(2)(\d+M(\d+D)?)?|(\d+M(\d+D)?|\d+D)?)(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?|\d+W)", text, re.ASCII)),
    "idn-hostname": lambda text: all(label and not label.startswith("-") and not label.endswith("-") for label in text.split(".")),
    "uri": lambda text: bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]*", text)),
    "hostname": lambda text: bool(re.fullmatch(rf"{LABEL}(\.{LABEL})*", text)),
}


# The type of instance that a keyword says something of; those not named say it of all.
SPEAKS_OF = {word: kind for kind, words in {
    "number": "multipleOf maximum exclusiveMaximum minimum exclusiveMinimum",
    "string": "maxLength minLength pattern format",
    "array": "maxItems minItems uniqueItems prefixItems items contains minContains maxContains unevaluatedItems",
    "object": "maxProperties minProperties required dependentRequired properties patternProperties additionalProperties propertyNames dependentSchemas "
              "dependencies unevaluatedProperties",
}.items() for word in words.split()}


class Evaluated:
    """What a schema that validates has evaluated of an instance: names of members, indexes of items (core, 10.3 and 11)."""

    def __init__(self, names=(), items=()):
        self.names, self.items = set(names), set(items)

    def add(self, other):
        self.names |= other.names
        self.items |= other.items


PASSED = Evaluated()


def asserted(good):
    return PASSED if good else None


class Reference:
    """Judges instances by one schema. With `watched` keywords, `outcomes` tells of each schema object (by `id`) which of its keywords failed for
    which values; `reached` are the keywords that had something to say of some part of the last instance."""

    def __init__(self, schema, formats=True, watched=()):
        self.root, self.formats, self.watched = schema, formats, watched
        self.outcomes, self.reached = {}, set()
        self.resources, self.anchors, self.dynamic, self.home = {}, {}, {}, {}
        self.index(schema, "")

    def index(self, schema, base):
        """Identifiers (core, 8.2): `$id` begins a resource, anchors are named within theirs."""
        if not isinstance(schema, dict):
            return
        if "$id" in schema or schema is self.root:
            base = urllib.parse.urljoin(base, schema.get("$id", ""))
            self.resources[base] = schema
        self.home[id(schema)] = base
        for word in ("$anchor", "$dynamicAnchor"):
            if word in schema:
                self.anchors[base, schema[word]] = schema
        if "$dynamicAnchor" in schema:
            self.dynamic[base, schema["$dynamicAnchor"]] = schema
        for _, each in below(schema):
            self.index(each, base)

    def valid(self, instance):
        self.reached = set()
        return self.evaluate(self.root, instance, ()) is not None

    def evaluate(self, schema, instance, scope):
        """What has been evaluated, or None: the instance fails, and with it go all annotations made below (core, 7.7.1.2)."""
        if isinstance(schema, bool):
            return asserted(schema)
        scope = scope + (self.home[id(schema)],)
        self.reached.update(word for word in schema if word not in SPEAKS_OF or TYPES[SPEAKS_OF[word]](instance))
        collected, good = Evaluated(), True
        for word, judge in KEYWORDS.items():
            if word not in schema:
                continue
            found = judge(self, schema[word], instance, scope, schema, collected)
            if word in self.watched:
                self.outcomes.setdefault((id(schema), word), []).append((instance, found is not None))
            if found is None:
                good = False
            else:
                collected.add(found)
        return collected if good else None

    # --- references (core, 8.2.3) ---

    def resolve(self, reference, base):
        uri, fragment = urllib.parse.urldefrag(urllib.parse.urljoin(base, reference) if not reference.startswith("#") else base + reference)
        fragment = urllib.parse.unquote(fragment)
        if fragment and not fragment.startswith("/"):
            return uri, fragment, self.anchors[uri, fragment]
        at = self.resources[uri]
        for token in fragment.split("/")[1:]:
            token = token.replace("~1", "/").replace("~0", "~")
            at = at[int(token)] if isinstance(at, list) else at[token]
        return uri, None, at

    def ref(self, value, instance, scope, *_):
        return self.evaluate(self.resolve(value, scope[-1])[2], instance, scope)

    def dynamic_ref(self, value, instance, scope, *_):
        """To the outermost schema of the dynamic scope with that anchor, if the starting point is a `$dynamicAnchor`; else as `$ref` (8.2.3.2)."""
        uri, anchor, target = self.resolve(value, scope[-1])
        if anchor is not None and self.dynamic.get((uri, anchor)) is target:
            target = next(self.dynamic[base, anchor] for base in (*scope, uri) if (base, anchor) in self.dynamic)
        return self.evaluate(target, instance, scope)

    # --- applicators in place (core, 10.2) ---

    def all_of(self, value, instance, scope, *_):
        found = [self.evaluate(each, instance, scope) for each in value]
        return None if None in found else merged(found)

    def any_of(self, value, instance, scope, *_):
        """Annotations are collected from every branch that validates (10.2.1.2)."""
        found = [each for each in (self.evaluate(each, instance, scope) for each in value) if each is not None]
        return merged(found) if found else None

    def one_of(self, value, instance, scope, *_):
        found = [each for each in (self.evaluate(each, instance, scope) for each in value) if each is not None]
        return found[0] if len(found) == 1 else None

    def negation(self, value, instance, scope, *_):
        return asserted(self.evaluate(value, instance, scope) is None)

    def condition(self, value, instance, scope, schema, _):
        """`if` never fails by itself and annotates when it validates (10.2.2.1)."""
        found = self.evaluate(value, instance, scope)
        chosen = self.evaluate(schema.get("else" if found is None else "then", True), instance, scope)
        return None if chosen is None else merged([found or PASSED, chosen])

    def dependent_schemas(self, value, instance, scope, *_):
        if not isinstance(instance, dict):
            return PASSED
        found = [self.evaluate(each, instance, scope) for name, each in value.items() if name in instance]
        return None if None in found else merged(found)

    # --- applicators to children (core, 10.3) ---

    def prefix_items(self, value, instance, scope, *_):
        if not isinstance(instance, list):
            return PASSED
        some = range(min(len(value), len(instance)))
        return Evaluated(items=some) if all(self.evaluate(value[i], instance[i], scope) is not None for i in some) else None

    def items(self, value, instance, scope, schema, _):
        if not isinstance(instance, list):
            return PASSED
        rest = range(len(schema.get("prefixItems", [])), len(instance))
        return Evaluated(items=rest) if all([self.evaluate(value, instance[i], scope) is not None for i in rest]) else None

    def contains(self, value, instance, scope, schema, _):
        """With `minContains` and `maxContains` (validation, 6.4.4 and 6.4.5); it annotates the items that matched (core, 10.3.1.3)."""
        if not isinstance(instance, list):
            return PASSED
        found = [i for i, each in enumerate(instance) if self.evaluate(value, each, scope) is not None]
        good = schema.get("minContains", 1) <= len(found) <= schema.get("maxContains", len(found))
        return Evaluated(items=found) if good else None

    def properties(self, value, instance, scope, *_):
        return self.members(instance, lambda name: [value[name]] if name in value else [], scope)

    def pattern_properties(self, value, instance, scope, *_):
        return self.members(instance, lambda name: [each for pattern, each in value.items() if searches(pattern, name)], scope)

    def additional_properties(self, value, instance, scope, schema, _):
        named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        return self.members(instance, lambda name: [] if name in named or any(searches(each, name) for each in patterns) else [value], scope)

    def property_names(self, value, instance, scope, *_):
        return asserted(not isinstance(instance, dict) or all([self.evaluate(value, name, scope) is not None for name in instance]))

    def members(self, instance, schemas_for, scope):
        if not isinstance(instance, dict):
            return PASSED
        applied = {name: [self.evaluate(each, value, scope) for each in schemas_for(name)] for name, value in instance.items()}
        if any(None in found for found in applied.values()):
            return None
        return Evaluated(names=[name for name, found in applied.items() if found])

    # --- what nothing else has evaluated (core, 11) ---

    def unevaluated_items(self, value, instance, scope, _, collected):
        if not isinstance(instance, list):
            return PASSED
        rest = [i for i in range(len(instance)) if i not in collected.items]
        return Evaluated(items=rest) if all([self.evaluate(value, instance[i], scope) is not None for i in rest]) else None

    def unevaluated_properties(self, value, instance, scope, _, collected):
        return self.members(instance, lambda name: [] if name in collected.names else [value], scope)

    # --- assertions (validation, 6 and 7) ---

    def dependencies(self, value, instance, scope, *_):
        """Before 2019-09 one keyword was both; its two kinds of members mean the same still."""
        lists = {name: each for name, each in value.items() if isinstance(each, list)}
        if dependent_required(self, lists, instance) is None:
            return None
        return self.dependent_schemas({name: each for name, each in value.items() if name not in lists}, instance, scope)

    def format(self, value, instance, *_):
        return asserted(not self.formats or not isinstance(instance, str) or FORMATS[value](instance))


def merged(found):
    all_of_them = Evaluated()
    for each in found:
        all_of_them.add(each)
    return all_of_them


def dependent_required(_, value, instance, *__):
    return asserted(not isinstance(instance, dict) or all(set(names) <= instance.keys() for name, names in value.items() if name in instance))


def unique(items):
    return not any(equal(one, other) for i, one in enumerate(items) for other in items[:i])


def of_type(kind, holds):
    """An assertion about instances of one type, which all others pass."""
    return lambda _, value, instance, *__: asserted(not TYPES[kind](instance) or holds(value, instance))


# In an order in which each comes after those whose annotations it reads.
KEYWORDS = {
    "type": lambda _, value, instance, *__: asserted(any(TYPES[name](instance) for name in (value if isinstance(value, list) else [value]))),
    "enum": lambda _, value, instance, *__: asserted(any(equal(each, instance) for each in value)),
    "const": lambda _, value, instance, *__: asserted(equal(value, instance)),
    "multipleOf": of_type("number", lambda value, number: (exact(number) / exact(value)).denominator == 1),
    "maximum": of_type("number", lambda value, number: exact(number) <= exact(value)),
    "exclusiveMaximum": of_type("number", lambda value, number: exact(number) < exact(value)),
    "minimum": of_type("number", lambda value, number: exact(number) >= exact(value)),
    "exclusiveMinimum": of_type("number", lambda value, number: exact(number) > exact(value)),
    "maxLength": of_type("string", lambda value, text: len(text) <= value),
    "minLength": of_type("string", lambda value, text: len(text) >= value),
    "pattern": of_type("string", searches),
    "maxItems": of_type("array", lambda value, items: len(items) <= value),
    "minItems": of_type("array", lambda value, items: len(items) >= value),
    "uniqueItems": of_type("array", lambda value, items: not value or unique(items)),
    "maxProperties": of_type("object", lambda value, members: len(members) <= value),
    "minProperties": of_type("object", lambda value, members: len(members) >= value),
    "required": of_type("object", lambda value, members: set(value) <= members.keys()),
    "dependentRequired": dependent_required,
    "format": Reference.format,
    "$ref": Reference.ref,
    "$dynamicRef": Reference.dynamic_ref,
    "allOf": Reference.all_of,
    "anyOf": Reference.any_of,
    "oneOf": Reference.one_of,
    "not": Reference.negation,
    "if": Reference.condition,
    "dependentSchemas": Reference.dependent_schemas,
    "dependencies": Reference.dependencies,
    "prefixItems": Reference.prefix_items,
    "items": Reference.items,
    "contains": Reference.contains,
    "properties": Reference.properties,
    "patternProperties": Reference.pattern_properties,
    "additionalProperties": Reference.additional_properties,
    "propertyNames": Reference.property_names,
    "unevaluatedItems": Reference.unevaluated_items,
    "unevaluatedProperties": Reference.unevaluated_properties,
}
