"""An independent model of what operations on tables answer: rows in plain dictionaries, plain loops, written from docs/tables.md, docs/authorization.md and JSON Schema,
not from the program. It knows no SQL and no engine, so the same model judges every database.

A `Model` holds all rows. `expect(request)` gives every answer that the documentation admits: one where all is well; one for each kind of fault where something is wrong,
since the documentation does not say which of several kinds is told first. `judge` finds the one that was given, or raises `Mismatch`, and then changes the rows as that
answer says. Values that the server makes (keys, times) are `Made`: judged by their form and adopted.
"""
import dataclasses
import datetime
import decimal
import functools
import re
import unicodedata
import urllib.parse

import schema_reference

SIMPLE = ("text", "integer", "real", "boolean", "decimal", "instant")
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Mismatch(AssertionError):
    """The server said something that the documentation does not."""


@dataclasses.dataclass
class Column:
    name: str
    kind: str                  # one of SIMPLE, or "json"
    schema: dict               # of its values, references resolved
    required: bool = False     # listed under `required`
    nullable: bool = False
    read_only: bool = False
    write_only: bool = False
    filled: str = ""           # "key", "owner", "tenant", "created", "updated"

    @functools.cached_property
    def judge(self):
        # schema_reference knows no patterns and formats but those of its own test.
        return schema_reference.Reference({word: value for word, value in self.schema.items() if word != "pattern" and value != "decimal"})

    def fits(self, value):
        return self.judge.valid(value) and ("pattern" not in self.schema or not isinstance(value, str) or bool(re.search(self.schema["pattern"], value)))

    def has_type(self, value):
        """Whether the column can hold the value at all, whatever else its schema says."""
        if self.kind in ("text", "decimal", "instant"):
            return isinstance(value, str)
        if self.kind == "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        if self.kind == "real":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        return self.kind == "json" or isinstance(value, bool)

    def readable(self, value):
        """Whether a filter can be asked for the value at all: it has the form of the column's."""
        if self.kind == "decimal":
            return isinstance(value, str) and bool(re.fullmatch(r"-?\d+(\.\d+)?", value))
        if self.kind == "instant":
            try:
                return bool(self.order(value))
            except ValueError:
                return False
        if self.kind == "text" and "format" in self.schema:
            return isinstance(value, str) and schema_reference.FORMATS[self.schema["format"]](value)
        return self.has_type(value)

    def order(self, value):
        """What two values are compared by."""
        if self.kind == "text":
            return value.encode()
        if self.kind == "decimal":
            return decimal.Decimal(value)
        if self.kind == "instant":
            # A date in place of a date-time is its first instant.
            return datetime.datetime.fromisoformat((f"{value}T00:00:00Z" if len(value) == 10 else utc(value)).replace("Z", "+00:00"))
        return value


@dataclasses.dataclass
class Embed:
    name: str
    table: str
    on: tuple = ()             # columns, in the order of the key that they hold
    by: tuple = ()
    limit: int = 100


@dataclasses.dataclass
class Table:
    name: str
    columns: dict              # name: Column
    key: tuple                 # columns
    owner: str = ""
    except_roles: tuple = ()
    tenant: str = ""
    filters: dict = dataclasses.field(default_factory=dict)  # column: operators
    sort: tuple = ()
    search: tuple = ()
    unique: tuple = ()         # tuples of columns
    embeds: dict = dataclasses.field(default_factory=dict)   # name: Embed
    page_default: int = 50
    page_max: int = 100
    camel: bool = False
    require_match: bool = False

    @property
    def client_key(self):
        return not all(self.columns[name].read_only for name in self.key)

    def key_of(self, row):
        return tuple(row[name] for name in self.key)

    def has_type(self, key):
        return len(key) == len(self.key) and all(self.columns[name].has_type(value) for name, value in zip(self.key, key))


@dataclasses.dataclass
class Operation:
    id: str
    method: str
    path: str
    table: str
    action: str                # list, read, create, update, replace, delete, batch-create, batch-update, batch-delete
    scopes: tuple = ()
    roles: tuple = ()
    fixed: dict = dataclasses.field(default_factory=dict)    # path parameter: column
    key: tuple = ()            # path parameters that name the row, each as its column
    abort: bool = True         # of a batch


@dataclasses.dataclass
class Caller:
    subject: str
    tenant: str = ""
    roles: tuple = ()
    scopes: tuple = ()


@dataclasses.dataclass
class Request:
    caller: Caller
    operation: Operation
    path: dict = dataclasses.field(default_factory=dict)
    query: dict = dataclasses.field(default_factory=dict)
    body: object = None
    headers: dict = dataclasses.field(default_factory=dict)


class Made:
    """A value that the server makes. It is judged once, and is then what the answer said."""

    def __init__(self, what, above=None):
        self.what, self.above, self.value = what, above, None

    def adopt(self, value):
        good = {"uuid": lambda: isinstance(value, str) and bool(UUID7.fullmatch(value)),
                "number": lambda: isinstance(value, int) and not isinstance(value, bool) and value > self.above,
                "time": lambda: isinstance(value, str) and bool(TIME.fullmatch(value))}[self.what]()
        if good:
            self.value = value
        return good


@dataclasses.dataclass
class Outcome:
    status: int
    body: object = None        # with Made inside; None: not looked at
    code: object = ""          # of a problem, or several of which it is one
    members: object = None     # which members a problem names: {("total",), (3, "total")}; None: not looked at
    items: object = None       # of a 207: a list of lists of outcomes
    rows: object = None        # what the tables hold after it; None: as before


def refused(status, code, members=None):
    return Outcome(status, code=code, members=None if members is None else frozenset(members))


def utc(text):
    """An RFC 3339 date-time in UTC, the fraction as sent."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text)
    if not found:
        return text
    zone = "+00:00" if found[4] in "Zz" else found[4]
    moment = datetime.datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}").astimezone(datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (found[3] or "") + "Z"


def fold(text):
    return "".join(letter for letter in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(letter))


def tokens(text):
    """Words as `q` knows them: runs of letters and digits, without case and diacritics."""
    return [fold(word) for word in re.findall(r"[^\W_]+", text)]


def same(expected, actual):
    """Equal as JSON values; numbers by value, and what is Made by its form."""
    if isinstance(expected, Made):
        return same(expected.value, actual) if expected.value is not None else expected.adopt(actual)
    if isinstance(expected, bool) or isinstance(actual, bool) or expected is None or actual is None:
        return expected is actual
    if isinstance(expected, dict):
        return isinstance(actual, dict) and expected.keys() == actual.keys() and all(same(value, actual[name]) for name, value in expected.items())
    if isinstance(expected, list):
        return isinstance(actual, list) and len(expected) == len(actual) and all(map(same, expected, actual))
    return type(expected) is type(actual) and expected == actual or isinstance(expected, (int, float)) and isinstance(actual, (int, float)) and expected == actual


def merge(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    made = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merge(made.get(name), value)
    return made


def marked(schema, mark):
    """Names of the members of an object that are marked, and (name, schema) of those that are not."""
    inside = schema.get("properties", {}).items()
    return [name for name, each in inside if each.get(mark)], [(name, each) for name, each in inside if not each.get(mark)]


def kept(schema, before, after):
    """What is stored in place of `before` where `after` is sent: `readOnly` members inside a column keep their values, and a new one has none."""
    if isinstance(after, list):
        return kept_items(schema.get("items", {}), before if isinstance(before, list) else [], after)
    if not isinstance(after, dict):
        return after  # and refused
    made, before = dict(after), before if isinstance(before, dict) else {}
    names, others = marked(schema, "readOnly")
    for name in names:
        made.pop(name, None)
        if name in before:
            made[name] = before[name]
    for name, each in others:
        if name in made:
            made[name] = kept(each, before.get(name), made[name])
        elif left := kept(each, before.get(name), {}):
            made[name] = left
    return made


def kept_items(schema, before, after):
    """An item that comes back unchanged is the stored one, each of which comes back once; a changed one is new."""
    made, left = [], list(before)
    for item in after:
        item = kept(schema, None, item)
        stored = next((place for place, one in enumerate(left) if same(kept(schema, None, one), item)), None)
        made.append(item if stored is None else left.pop(stored))
    return made


def hides(schema):
    """Whether members inside a column are `writeOnly`."""
    return bool(marked(schema, "writeOnly")[0]) or any(hides(each) for each in (schema.get("items", {}), *schema.get("properties", {}).values()) if each)


def without_hidden(schema, value):
    if isinstance(value, list):
        return [without_hidden(schema.get("items", {}), item) for item in value]
    if not isinstance(value, dict):
        return value
    names, others = marked(schema, "writeOnly")
    others = dict(others)
    return {name: without_hidden(others.get(name, {}), each) for name, each in value.items() if name not in names}


def like(pattern, text):
    """`%` and `*` are any text, `_` is one character, `\\` takes the meaning away; the case of ASCII letters does not count."""
    made = ""
    for escaped, letter in re.findall(r"(\\?)(.)", pattern, re.DOTALL):
        made += re.escape(letter) if escaped or letter not in "%*_" else "." if letter == "_" else ".*"
    return bool(re.fullmatch(made, text, re.DOTALL | re.ASCII | re.IGNORECASE)) if text.isascii() and pattern.isascii() else \
        bool(re.fullmatch(lower(made), lower(text), re.DOTALL))


def lower(text):
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


class Model:
    def __init__(self, tables, operations):
        self.tables = {table.name: table for table in tables}
        self.operations = operations
        self.rows = {table.name: [] for table in tables}
        self.highest = {table.name: 0 for table in tables}  # integer keys are never used again
        self.tags = {}  # (table, tag): the representation that it names
        self.whole, self.former = set(), set()  # of these: of a row as it is by itself; of what a row with a JSON column once was

    # Who sees what

    def sees_all_owners(self, table, caller):
        return bool(set(table.except_roles) & set(caller.roles))

    def visible(self, table, caller, row):
        if table.tenant and (not caller.tenant or row[table.tenant] != caller.tenant):
            return False
        return not table.owner or self.sees_all_owners(table, caller) or row[table.owner] == caller.subject

    def find(self, rows, table, caller, key):
        return next((row for row in rows[table.name] if table.key_of(row) == key and self.visible(table, caller, row)), None)

    def may_read(self, caller, embed):
        """An embed needs what reading that table directly needs: one row what a read or list needs, many rows what a list needs."""
        reads = [operation for operation in self.operations if operation.table == embed.table and operation.action in ("read", "list")]
        if embed.by:
            reads = [operation for operation in reads if operation.action == "list"] or reads
        return not reads or any(self.may(caller, operation) for operation in reads)

    @staticmethod
    def may(caller, operation):
        granted = set(caller.scopes) | set(caller.roles)
        return ("*" in granted or set(operation.scopes) <= granted) and (not operation.roles or bool(set(operation.roles) & set(caller.roles)))

    # References: what embeds say

    def references(self, table):
        """(columns, the table that they refer to)."""
        for embed in table.embeds.values():
            if embed.on:
                yield embed.on, self.tables[embed.table]
        for other in self.tables.values():
            for embed in other.embeds.values():
                if embed.by and embed.table == table.name:
                    yield embed.by, other

    def broken_references(self, rows, table, caller, row, before=None):
        broken = set()
        for columns, other in self.references(table):
            value = tuple(row.get(column) for column in columns)
            if None in value or before is not None and all(same(before.get(column), row.get(column)) for column in columns):
                continue
            itself = other is table and not any(isinstance(row.get(name), Made) for name in table.key) and tuple(row.get(name) for name in table.key) == value
            if not itself and not self.find(rows, other, caller, value):
                broken.update(columns)
        return broken

    def referred_to(self, rows, table, row):
        for other in self.tables.values():
            for columns, target in self.references(other):
                if target is table:
                    for one in rows[other.name]:
                        itself = other is table and one is row
                        # A tenant's rows refer to rows of the tenant only.
                        if not itself and tuple(one.get(column) for column in columns) == table.key_of(row) and (not table.tenant or not other.tenant or one[other.tenant] == row[table.tenant]):
                            return True
        return False

    def keys_of_all_tenants(self, table):
        """Keys are unique within the tenant, unless the server counts them, or a table without a tenant refers to them."""
        if not table.tenant or not table.client_key:
            return True
        return any(target is table and not other.tenant for other in self.tables.values() for _, target in self.references(other))

    # Bodies into rows

    def stored(self, column, value):
        return utc(value) if column.kind == "instant" and isinstance(value, str) else value

    def said_caller(self, table, column, value, caller, wrong):
        """The value of an owner or tenant column that the body names; None where it changes nothing."""
        owner = column.filled == "owner"
        if owner and self.sees_all_owners(table, caller):
            if value is None and not column.nullable or value is not None and not column.has_type(value):
                wrong.add(column.name)
                return None
            return value
        own = caller.subject if owner else caller.tenant
        if not own or value != own:
            wrong.add(column.name)
        return None

    def created(self, table, body, caller, fixed):
        """(row, names of members that are wrong)"""
        row, wrong = {}, set()
        if not isinstance(body, dict):
            return None, {None}
        for name, value in body.items():
            column = table.columns.get(name)
            if not column:
                wrong.add(name)
            elif column.filled in ("owner", "tenant"):
                said = self.said_caller(table, column, value, caller, wrong)
                if said is not None:
                    row[name] = said
            elif not column.read_only:
                self.put(column, value, row, wrong)
        self.fix(table, row, wrong, fixed)
        for name, column in table.columns.items():
            if column.filled == "key" and name not in row and name not in wrong:
                if column.kind == "text":
                    row[name] = Made("uuid")
                elif not self.keys_of_all_tenants(table):
                    row[name] = None  # nobody counts a tenant's own numbers
                else:
                    row[name] = Made("number", self.highest[table.name])
            elif column.filled in ("created", "updated"):
                row[name] = Made("time")
            elif column.filled == "owner" and name not in row and name not in wrong:
                row[name] = caller.subject
            elif column.filled == "tenant":
                if not caller.tenant:
                    wrong.add(name)
                row[name] = caller.tenant
        self.complete(table, row, wrong, None)
        return row, wrong | self.unfit(table, row)

    def fix(self, table, row, wrong, fixed):
        for name, value in fixed.items():
            if name in row and not same(row[name], value):
                wrong.add(name)
            row[name] = value

    def complete(self, table, row, wrong, before):
        for name, column in table.columns.items():
            if name in row or name in wrong or before is not None and (column.read_only or column.filled or name in table.key):
                continue
            if "default" in column.schema and (column.nullable or column.schema["default"] is not None):
                row[name] = self.stored(column, column.schema["default"])
                if before is not None:
                    row[name] = kept(column.schema, before[name], row[name])
            elif column.required and not column.nullable and not column.filled and not column.read_only:
                wrong.add(name)
            else:
                row[name] = (kept(column.schema, before[name], {}) or None) if before is not None else None

    def put(self, column, value, row, wrong, before=None):
        if value is None and not column.nullable or value is not None and not column.has_type(value):
            wrong.add(column.name)
        else:
            value = self.stored(column, value)
            row[column.name] = kept(column.schema, before, value) if value is not None else kept(column.schema, before, {}) or None

    def unfit(self, table, row):
        """Members whose value does not satisfy its schema. NULL is shown as null where that is a value, else it is left out."""
        return {name for name, column in table.columns.items()
                if row.get(name) is not None and not isinstance(row[name], Made) and not column.fits(row[name])}

    def patched(self, table, before, body, caller, replacing):
        row, wrong = {}, set()
        if not isinstance(body, dict):
            return None, {None}
        for name, value in body.items():
            column = table.columns.get(name)
            if not column:
                wrong.add(name)
            elif column.filled in ("owner", "tenant"):
                said = self.said_caller(table, column, value, caller, wrong)
                if said is not None:
                    row[name] = said
            elif name in table.key:
                if not same(before[name], value):
                    wrong.add(name)
            elif column.read_only:
                pass
            elif replacing:
                self.put(column, value, row, wrong, before.get(name))
            elif value is None:
                if column.required and not column.nullable:
                    wrong.add(name)
                row[name] = kept(column.schema, before.get(name), {}) or None
            elif column.kind == "json" and isinstance(value, dict):
                row[name] = kept(column.schema, before.get(name), merge(before.get(name), value))
            else:
                self.put(column, value, row, wrong, before.get(name))
        if replacing:
            self.complete(table, row, wrong, before)
        if row:
            for name, column in table.columns.items():
                if column.filled == "updated":
                    row[name] = Made("time")
        made = {**before, **row}
        return made, wrong | self.unfit(table, made)

    # Rows as they are shown

    def shown(self, table, row, names=None):
        made = {}
        for name, column in table.columns.items():
            if column.write_only or names is not None and name not in names:
                continue
            if row[name] is None and not column.nullable and not column.required:
                continue
            made[name] = without_hidden(column.schema, row[name])
        return made

    @staticmethod
    def shaped(request):
        """Whether `fields` or `embed` is sent: the answer is then not the whole row."""
        selection = request.query.get("selection")
        return bool(selection and (selection["columns"] is not None or selection["embeds"]))

    def identity(self, table, row):
        """What the tag of a whole row names: what is shown, and beside it what is stored and not shown, whole columns or members of them."""
        unseen = {name: row[name] for name, column in table.columns.items() if column.write_only or hides(column.schema)}
        return {**self.shown(table, row), **({"unseen": unseen} if unseen else {})}

    def selected(self, rows, table, caller, row, selection):
        """`selection`: {"columns": names or None, "embeds": {name: selection}}."""
        made = self.shown(table, row, selection["columns"])
        for name, inner in selection["embeds"].items():
            embed = table.embeds[name]
            other = self.tables[embed.table]
            if embed.on:
                value = tuple(row[name] for name in embed.on)
                found = None not in value and self.find(rows, other, caller, value)
                made[name] = self.selected(rows, other, caller, found, inner) if found else None
            else:
                found = [one for one in rows[other.name] if tuple(one[name] for name in embed.by) == table.key_of(row) and self.visible(other, caller, one)]
                found.sort(key=lambda one: [other.columns[name].order(one[name]) for name in other.key])
                made[name] = [self.selected(rows, other, caller, one, inner) for one in found[:embed.limit]]
                if len(found) > embed.limit:
                    made[name + ("HasMore" if table.camel else "_has_more")] = True
        return made

    def forbidden_embed(self, table, caller, selection):
        return any(not self.may_read(caller, table.embeds[name]) or self.forbidden_embed(self.tables[table.embeds[name].table], caller, inner)
                   for name, inner in selection["embeds"].items())

    # Lists

    def holds(self, column, op, value, stored):
        if op == "is-null":
            return (stored is None) == value
        if op == "ne":
            return stored is None or column.order(stored) != column.order(value)
        if stored is None:
            return False
        if op == "like":
            return like(value, stored)
        if op == "in":
            return any(column.order(stored) == column.order(one) for one in value)
        one, other = column.order(stored), column.order(value)
        return {"eq": one == other, "lt": one < other, "le": one <= other, "gt": one > other, "ge": one >= other}[op]

    def found(self, table, row, words):
        """Whether all words occur in the columns of `search`; a last `*` makes a word a beginning."""
        there = {token for name in table.search if row[name] is not None for token in tokens(row[name])}
        return all(any(token.startswith(word) for token in there) if beginning else word in there
                   for word, beginning in ((fold(word.rstrip("*")), word.endswith("*")) for word in words.split()))

    @staticmethod
    def order(table, sort):
        """What a list is sorted by: (column, whether descending), down to the key, which decides between equal rows."""
        names = [name for name, _ in sort]
        if set(table.key) <= set(names):
            return list(sort[:max(names.index(name) for name in table.key) + 1])
        return [*sort, *((name, bool(sort) and sort[-1][1]) for name in table.key if name not in names)]

    def listed(self, table, caller, fixed, filters, sort, words=""):
        found = [row for row in self.rows[table.name] if self.visible(table, caller, row) and self.found(table, row, words)
                 and all(row[name] is not None and same(row[name], value) for name, value in fixed.items())
                 and all(self.holds(table.columns[name], op, value, row[name]) for name, op, value in filters)]
        for name, descending in reversed(self.order(table, sort)):
            column = table.columns[name]
            there = [row for row in found if row[name] is not None]
            there.sort(key=lambda row: column.order(row[name]), reverse=descending)
            found = there + [row for row in found if row[name] is None]  # nulls are last, whatever the direction
        return found

    # Requests

    def expect(self, request):
        operation, caller = request.operation, request.caller
        if not self.may(caller, operation):
            return [refused(403, "forbidden")]
        return getattr(self, "_" + operation.action.replace("-", "_"))(request, self.tables[operation.table])

    def _list(self, request, table):
        selection = request.query.get("selection") or {"columns": None, "embeds": {}}
        failures = []
        if self.forbidden_embed(table, request.caller, selection):
            failures.append(refused(403, "forbidden"))
        if request.query.get("limit", 1) > table.page_max or request.query.get("limit", 1) < 1:
            failures.append(refused(400, ("invalid", "invalid-query")))
        filters = [(name, op, value[0].split(",") if op == "in" and len(value) == 1 and "," in str(value[0]) else value) for name, op, value in request.query.get("filters", ())]
        if any(op == "in" and value == [""] for _, op, value in filters):
            failures.append(refused(400, ("invalid", "invalid-query")))  # a list of no items
        for name, op, value in filters:
            if op != "is-null" and not all(map(table.columns[name].readable, value if op == "in" else [value])):
                failures.append(refused(400, ("invalid", "invalid-query")))
        if request.query.get("foreign"):
            failures.append(refused(400, "invalid-cursor"))
        if failures:
            return failures
        rows = self.listed(table, request.caller, self._fixed(request), filters, request.query.get("sort", ()), request.query.get("q", ""))
        limit = request.query.get("limit", table.page_default)
        offset = request.query.get("offset", 0) + limit * (request.query.get("page", 1) - 1)
        named = (lambda snake, camel: camel) if table.camel else (lambda snake, camel: snake)
        page = {"data": [self.selected(self.rows, table, request.caller, row, selection) for row in rows[offset:offset + limit]],
                named("has_more", "hasMore"): offset + limit < len(rows)}
        if request.query.get("count"):
            page["total"] = len(rows)
        return [Outcome(200, page)]

    @staticmethod
    def row_named(request, table):
        """The key in the path."""
        return tuple(request.path[name] for name in table.key)

    def _fixed(self, request):
        return {column: request.path[parameter] for parameter, column in request.operation.fixed.items()}

    def _read(self, request, table):
        selection = request.query.get("selection") or {"columns": None, "embeds": {}}
        if self.forbidden_embed(table, request.caller, selection):
            return [refused(403, "forbidden")]
        row = self.find(self.rows, table, request.caller, self.row_named(request, table))
        if not row:
            return [refused(404, "no-such-row")]
        shown = self.selected(self.rows, table, request.caller, row, selection)
        tag = request.headers.get("If-None-Match")
        if tag and (table.name, tag) in self.tags and self.tags[table.name, tag] == (shown if self.shaped(request) else self.identity(table, row)):
            return [Outcome(304), Outcome(200, shown)] if self.doubtful(table, tag) or request.query.get("selection") else [Outcome(304)]
        return [Outcome(200, shown)]

    def _insert(self, rows, table, body, caller, fixed, prefix=()):
        row, wrong = self.created(table, body, caller, fixed)
        failures = []
        if wrong:
            failures.append(refused(422, "invalid-row", {prefix if name is None else (*prefix, name) for name in wrong}))
        if row is not None:
            broken = self.broken_references(rows, table, caller, row)
            if broken - wrong:
                failures.append(refused(422, "constraint", {(*prefix, name) for name in broken - wrong}))
            key = tuple(row.get(name) for name in table.key)
            if set(table.key) & wrong:
                pass
            elif key == (None,):
                failures.append(refused(422, "constraint", {(*prefix, *table.key)}))
            elif not any(isinstance(value, Made) for value in key):
                everywhere = self.keys_of_all_tenants(table)
                if any(table.key_of(one) == key and (everywhere or one[table.tenant] == row[table.tenant]) for one in rows[table.name]):
                    failures.append(refused(409, "conflict", {(*prefix, name) for name in table.key}))
            failures += self.taken(rows, table, row, None, prefix)
        if failures:
            return None, failures
        rows[table.name].append(row)
        return self.shown(table, row), []

    def taken(self, rows, table, row, itself, prefix):
        """Values that are unique, within the tenant, and that another row has already; NULL is not equal to NULL."""
        by = lambda one, columns: [table.columns[name].order(one[name]) for name in columns]
        return [refused(409, "conflict", {(*prefix, name) for name in columns}) for columns in table.unique
                if all(row.get(name) is not None and table.columns[name].has_type(row[name]) and table.columns[name].readable(row[name]) for name in columns)
                and any(one is not itself and all(one[name] is not None for name in columns) and by(one, columns) == by(row, columns)
                        and (not table.tenant or one[table.tenant] == row[table.tenant]) for one in rows[table.name])]

    def _create(self, request, table):
        rows = self._copy()
        shown, failures = self._insert(rows, table, request.body, request.caller, self._fixed(request))
        return failures or [Outcome(201, shown, rows=rows)]

    def _copy(self):
        return {name: [dict(row) for row in rows] for name, rows in self.rows.items()}

    def _change(self, rows, table, key, body, caller, replacing, headers=None, prefix=()):
        row = self.find(rows, table, caller, key)
        failures = []
        matching = (headers or {}).get("If-Match")
        if table.require_match and headers is not None and not matching:
            failures.append(refused(428, "precondition-required"))
        if not row:
            # What is wrong with the body by itself may be told first: it says nothing about rows.
            _, wrong = self.patched(table, {name: None for name in table.columns} | dict(zip(table.key, key)), body, caller, replacing)
            return None, failures + [refused(404, "no-such-row"), *self.faults(table, body, wrong, replacing, prefix)]
        if matching and matching != "*" and self.tags.get((table.name, matching)) != self.identity(table, row):
            failures.append(refused(412, "precondition-failed"))
        made, wrong = self.patched(table, row, body, caller, replacing)
        failures += self.faults(table, body, wrong, replacing, prefix)
        if made is not None:
            broken = self.broken_references(rows, table, caller, made, row) - wrong
            if broken:
                failures.append(refused(422, "constraint", {(*prefix, name) for name in broken}))
            failures += self.taken(rows, table, made, row, prefix)
        if failures:
            return None, failures
        row.update(made)
        return self.shown(table, row), []

    def faults(self, table, body, wrong, replacing, prefix):
        """All that is wrong is told at once; of objects that are merged into what is stored only once the rest can be stored."""
        merged = {name for name in wrong if not replacing and name in table.columns and table.columns[name].kind == "json" and isinstance(body[name], dict)}
        return [refused(422, "invalid-row", {prefix if name is None else (*prefix, name) for name in named}) for named in (wrong, wrong - merged) if named]

    def _changed(self, request, table, replacing):
        rows = self._copy()
        shown, failures = self._change(rows, table, self.row_named(request, table), request.body, request.caller, replacing, request.headers)
        return (failures or [Outcome(200, shown, rows=rows)]) + self.perhaps_not(request, table)

    def doubtful(self, table, tag):
        """Equal as JSON is not equal as text: members of a selection, or inside a JSON column, may have come in another order when the tag was given."""
        return (table.name, tag) in self.tags and ((table.name, tag) not in self.whole or (table.name, tag) in self.former)

    def perhaps_not(self, request, table):
        return [refused(412, "precondition-failed")] if self.doubtful(table, request.headers.get("If-Match")) and \
            self.find(self.rows, table, request.caller, self.row_named(request, table)) else []

    def _update(self, request, table):
        return self._changed(request, table, False)

    def _replace(self, request, table):
        return self._changed(request, table, True)

    def _erase(self, rows, table, key, caller, headers=None):
        row = self.find(rows, table, caller, key)
        failures = []
        matching = (headers or {}).get("If-Match")
        if table.require_match and headers is not None and not matching:
            failures.append(refused(428, "precondition-required"))
        if not row:
            return failures + [refused(404, "no-such-row")]
        if matching and matching != "*" and self.tags.get((table.name, matching)) != self.identity(table, row):
            failures.append(refused(412, "precondition-failed"))
        if self.referred_to(rows, table, row):
            failures.append(refused(409, "conflict"))
        if not failures:
            rows[table.name].remove(row)
        return failures

    def _delete(self, request, table):
        rows = self._copy()
        return (self._erase(rows, table, self.row_named(request, table), request.caller, request.headers) or [Outcome(204, rows=rows)]) + self.perhaps_not(request, table)

    def _batch(self, request, table, one, status):
        rows, results, shown = self._copy(), [], []
        for place, item in enumerate(request.body):
            made, failures = one(rows, table, item, request.caller, (place,))
            if failures and request.operation.abort:
                return failures
            results.append(failures or [Outcome(status, made)])
            shown.append(made)
        if not request.operation.abort:
            return [Outcome(207, items=results, rows=rows)]
        return [Outcome(204, rows=rows) if status == 204 else Outcome(status, {"data": shown}, rows=rows)]

    def _batch_create(self, request, table):
        def one(rows, table, item, caller, prefix):
            return self._insert(rows, table, item, caller, self._fixed(request), prefix)
        return self._batch(request, table, one, 201)

    def _batch_update(self, request, table):
        def one(rows, table, item, caller, prefix):
            key = tuple(item.get(name) for name in table.key) if isinstance(item, dict) else ()
            if not table.has_type(key):
                return None, [refused(422, "invalid-row")]
            return self._change(rows, table, key, item, caller, False, None, prefix)
        return self._batch(request, table, one, 200)

    def _batch_delete(self, request, table):
        def one(rows, table, item, caller, prefix):
            # Of a key of one column the value alone is enough.
            key = tuple(item.get(name) for name in table.key) if isinstance(item, dict) else (item,)
            if not table.has_type(key):
                return None, [refused(422, "invalid-row")]
            return None, self._erase(rows, table, key, caller)
        return self._batch(request, table, one, 204)

    # Judgement

    def judge(self, request, answer):
        """The outcome that was given; the rows are then as it says."""
        outcomes = self.expect(request)
        reasons = []
        for outcome in outcomes:
            reason = self.differs(request, outcome, answer)
            if not reason:
                self.settle(request, outcome, answer)
                return outcome
            reasons.append(reason)
        raise Mismatch("\n  or ".join(reasons))

    def differs(self, request, outcome, answer):
        """Why the answer is not this outcome; empty when it is."""
        if answer.status != outcome.status:
            return f"status {outcome.status} {outcome.code} {sorted(outcome.members or (), key=str)} is expected"
        if outcome.code:
            return self.problem_differs(outcome, answer.json())
        if outcome.items is not None:
            return self.items_differ(outcome, answer.json())
        if outcome.body is None:
            return "" if not answer.body else "no body is expected"
        said = answer.json()
        if request.operation.action == "list":
            said = {name: value for name, value in said.items() if name not in ("next_cursor", "prev_cursor", "nextCursor", "prevCursor")}
        return "" if same(outcome.body, said) else f"the body is expected to be {plain(outcome.body)!r}"

    def problem_differs(self, outcome, said):
        if said.get("code") not in (outcome.code if isinstance(outcome.code, tuple) else (outcome.code,)):
            return f"{outcome.code} is expected"
        return self.members_differ(outcome, said.get("errors", []))

    @staticmethod
    def members_differ(outcome, errors):
        if outcome.members is None:
            return ""
        depth = max((len(member) for member in outcome.members), default=1)
        named = set()
        for error in errors:
            tokens = [token.replace("~1", "/").replace("~0", "~") for token in error["pointer"].split("/")[1:]][:depth]
            named.add(tuple(int(token) if place == 0 and depth > 1 else token for place, token in enumerate(tokens)))
        return "" if named == outcome.members else f"errors at {sorted(outcome.members, key=str)} are expected, not at {sorted(named, key=str)}"

    def items_differ(self, outcome, said):
        results = said.get("results", [])
        if len(results) != len(outcome.items):
            return f"{len(outcome.items)} results are expected"
        for place, (expected, result) in enumerate(zip(outcome.items, results)):
            reasons = []
            for one in expected:
                if result.get("status") != one.status:
                    reasons.append(f"status {one.status} {one.code}")
                elif one.code:
                    reasons.append(self.problem_differs(one, result["error"]))
                else:
                    reasons.append("" if one.body is None or same(one.body, result.get("data")) else f"data {plain(one.body)!r}")
            if all(reasons):
                return f"of item {place} is expected: " + " or ".join(reasons)
        return ""

    def settle(self, request, outcome, answer):
        if outcome.rows is not None:
            self.rows = {name: [{column: value.value if isinstance(value, Made) else value for column, value in row.items()} for row in rows]
                         for name, rows in outcome.rows.items()}
            for table in self.tables.values():
                if len(table.key) == 1 and table.columns[table.key[0]].kind == "integer":
                    self.highest[table.name] = max([self.highest[table.name], *(row[table.key[0]] for row in self.rows[table.name])])
            self.note_former(self.tables[request.operation.table], self.rewritten(request))
        if outcome.status in (200, 201) and request.operation.action in ("read", "create", "update", "replace"):
            table = self.tables[request.operation.table]
            row = next(row for row in self.rows[table.name] if table.key_of(row) == table.key_of(answer.json()) and self.visible(table, request.caller, row)) \
                if not self.shaped(request) else None
            self.note_tag(table, answer, row)
            if outcome.status == 201:
                self.check_location(request, answer)

    def note_tag(self, table, answer, row):
        """A tag names one representation, and all that is stored of a whole `row`: the same again has the same tag, another one has another."""
        tag = answer.headers.get("etag")
        if not tag:
            raise Mismatch("an ETag is expected")
        known, named = self.tags.get((table.name, tag)), self.identity(table, row) if row else answer.json()
        if known is not None and not same(known, named):
            raise Mismatch(f"the tag {tag} names two representations: {known} and {named}")
        self.tags[table.name, tag] = named
        if row:
            self.whole.add((table.name, tag))
            self.former.discard((table.name, tag))

    def rewritten(self, request):
        """Keys of the rows that a change names. What is sent may equal what is stored and have another text."""
        table, action = self.tables[request.operation.table], request.operation.action
        if action == "batch-update":
            return [tuple(item.get(name) for name in table.key) for item in request.body]
        return [self.row_named(request, table)] if action in ("update", "replace") else []

    def note_former(self, table, rewritten=()):
        """After a change: tags that name no row as it is now, or one that was written anew. One that is equal to it may have another text, if it has a JSON column."""
        if any(column.kind == "json" for column in table.columns.values()):
            now = [self.identity(table, row) for row in self.rows[table.name] if table.key_of(row) not in rewritten]
            self.former |= {(name, tag) for (name, tag), representation in self.tags.items() if name == table.name and representation not in now}

    def check_location(self, request, answer):
        """A path of the contract at which the row can be read; nothing where there is none."""
        table = self.tables[request.operation.table]
        reads = [operation for operation in self.operations if operation.table == table.name and operation.action == "read"]
        row = answer.json()
        paths = [re.sub(r"{(\w+)}", lambda found: urllib.parse.quote(str(row[found[1]]), safe=""), operation.path) for operation in reads]
        given = answer.headers.get("location")
        if given not in (paths or [None]):
            raise Mismatch(f"Location is expected to be one of {paths}, not {given}")


def plain(value):
    """For messages."""
    if isinstance(value, Made):
        return f"<{value.what}>"
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value
