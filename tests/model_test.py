"""Random contracts, random requests by callers of two tenants, and the independent model of model.py: every answer is one that the documentation admits, and every
stored row is valid.

PLIMSOLL_SEED repeats a run. PLIMSOLL_WORLDS and PLIMSOLL_REQUESTS set how many contracts, and requests of each (default 6 and 400; 200 and 1,500 with
PLIMSOLL_TORTURE, which also prints how often each kind of answer was met)."""
import collections
import itertools
import json
import os
import random
import unittest.mock
import urllib.parse

import harness
import model
import tokens

CONFIG = "database: {url: 'sqlite:model.db', synchronous: off}\n"
TORTURE = bool(os.environ.get("PLIMSOLL_TORTURE"))
WORLDS = int(os.environ.get("PLIMSOLL_WORLDS", "200" if TORTURE else "6"))
REQUESTS = int(os.environ.get("PLIMSOLL_REQUESTS", "1500" if TORTURE else "400"))
WORDS = ["", "a", "b", "kettle", "Kettle", "ü", "zoë", "a b", "0", "10", "9", "null", "true", "x" * 12, "'", '"', "\\", "a,b", "%", "_", "{}", "日本"]
# Texts of formats, in the spelling that every engine keeps, and what is not of the format.
FORMATTED = {"date": (("2026-01-31", "2024-02-29", "0999-12-31"), ("2026-02-30", "yesterday")),
             "uuid": (("018f0000-0000-7000-8000-000000000000", "00000000-0000-4000-8000-00000000000a"), ("018f0000", "no-uuid")),
             "email": (("ada@example.com", "b.c+d@example.org"), ("ada", "@example.com"))}
SUBJECTS, TENANTS = ("ada", "bob", "7"), ("acme", "globex")
LIKE = ("%", "a%", "*tt*", "K_ttle", "_", "a_b", "\\%", "\\_%", "Ü", "ü", "ac*", "%1%", "", "zo_", "{%", "日_")
# What a run must have met, whatever the seed: each action with each kind of answer that is not a rare accident, each operator with rows that satisfy it.
MET = ("create 201", "write 403", "create 409 conflict", "create 422 constraint", "create 422 invalid-row",
       "list 200", "list 400 invalid-cursor", "list 400 invalid-query", "list 403 forbidden", "read 200", "read 304", "read 403 forbidden", "read 404 no-such-row",
       "update 200", "update 409 conflict", "update 404 no-such-row", "update 412 precondition-failed", "update 422 constraint", "update 422 invalid-row", "update 428 precondition-required",
       "replace 200", "replace 404 no-such-row", "replace 412 precondition-failed", "replace 422 invalid-row",
       "delete 204", "delete 404 no-such-row", "delete 409 conflict", "delete 412 precondition-failed",
       *(f"batch-{action} {said}" for action, kinds in (("create", ("201", "207", "409 conflict", "422 constraint", "422 invalid-row")),
                                                        ("update", ("200", "207", "404 no-such-row", "422 invalid-row")), ("delete", ("204", "207", "404 no-such-row"))) for said in kinds),
       *(f"filter {op}" for op in ("eq", "ne", "lt", "le", "gt", "ge", "in", "is-null", "like")),
       "a format refused in a change", "a format refused in a filter", "search", "embed 200", "embed 403", "a write of another program", "a page by a cursor", "a null in a sorted page")


class World:
    """A random contract, as the model and as OpenAPI."""

    def __init__(self, dice):
        self.dice = dice
        self.components, self.cursors = {}, []
        self.tables, self.operations = [], []
        for name in ("alphas", "betas", "gammas", "deltas")[:dice.choice((2, 3, 3, 4))]:
            self.tables.append(self.table(name))
        self.connect()
        for table in self.tables:
            self.operate(table)
        self.model = model.Model(self.tables, self.operations)
        self.contract = self.written()

    def chance(self, of):
        return self.dice.random() < of

    # Tables

    def table(self, name):
        dice, columns = self.dice, {}
        # A key of two columns names a part of something: a part that is `readOnly` text is made by the server, any other must be sent. There is one in every world.
        names = dice.choice((("id",), ("code",), ("whole", "part"))) if name != "betas" else ("whole", "part")
        for key in names:
            counted = self.chance(0.4)
            schema = {"type": "integer"} if counted else {"type": "string", "minLength": 1, "maxLength": 40}
            read_only = self.chance(0.5) if len(names) == 1 else key == "part" and not counted and self.chance(0.3)
            columns[key] = model.Column(key, "integer" if counted else "text", schema, required=True, read_only=read_only, filled="key" if len(names) == 1 or read_only else "")
        table = model.Table(name, columns, names, camel=self.chance(0.3), require_match=self.chance(0.15), page_default=dice.choice((2, 5, 50)), page_max=100)
        for number in range(dice.randrange(1, 6)):
            column = self.column(f"c{number}")
            columns[column.name] = column
        if name == "alphas":  # in every world
            properties = {"n": {"type": "integer"}, "kept": {"type": "integer", "readOnly": True}, **({"secret": {"type": "string", "writeOnly": True}} if self.chance(0.3) else {})}
            columns["list"] = model.Column("list", "json", {"type": "array", "items": {"type": "object", "properties": properties}, "maxItems": 3})
        if self.chance(0.5):
            table.tenant = "firm"
            columns["firm"] = model.Column("firm", "text", {"type": "string"}, required=True, filled="tenant")
        if self.chance(0.4):
            table.owner, table.except_roles = "author", ("support",) if self.chance(0.6) else ()
            columns["author"] = model.Column("author", "text", {"type": "string"}, required=True, filled="owner")
        for filled in ("created", "updated"):
            if self.chance(0.3):
                columns[filled + "_at"] = model.Column(filled + "_at", "instant", {"type": "string", "format": "date-time"}, required=True, read_only=True, filled=filled)
        return table

    def column(self, name):
        dice = self.dice
        kind = dice.choice(("text", "text", "integer", "real", "boolean", "decimal", "instant", "json", "json"))
        schema = {"text": lambda: dice.choice(({"type": "string"}, {"type": "string", "minLength": 1, "maxLength": 8}, {"type": "string", "enum": ["a", "b", "kettle"]},
                                           *({"type": "string", "format": format} for format in FORMATTED))),
                  "integer": lambda: dice.choice(({"type": "integer"}, {"type": "integer", "minimum": 0, "maximum": 9})),
                  "real": lambda: dice.choice(({"type": "number"}, {"type": "number", "exclusiveMinimum": 0})),
                  "boolean": lambda: {"type": "boolean"},
                  "decimal": lambda: {"type": "string", "format": "decimal", "pattern": r"^-?\d{1,9}(\.\d{1,2})?$"},
                  "instant": lambda: {"type": "string", "format": "date-time"},
                  "json": self.json_schema}[kind]()
        made = model.Column(name, kind, schema, required=self.chance(0.4), nullable=self.chance(0.35))
        if made.nullable:
            schema["type"] = [schema["type"], "null"]
            if "enum" in schema:
                schema["enum"].append(None)
        if self.chance(0.25):
            schema["default"] = self.fitting(made)
        if self.chance(0.15) and (not made.required or made.nullable or "default" in schema):
            made.read_only = True
        elif self.chance(0.12):
            made.write_only = True
        return made

    def json_schema(self):
        if self.chance(0.2):
            return {"type": "array", "items": {"type": ["integer", "string"]}, "maxItems": 3}
        if self.chance(0.4):
            return self.array_schema()
        inside = {"a": {"type": "integer"}, "b": {"type": "object", "properties": {"x": {}}}}
        for properties in (inside, inside["b"]["properties"]):
            self.mark(properties)
        if self.chance(0.4):
            inside["list"] = self.array_schema()
        return {"type": "object", "properties": inside}

    def array_schema(self):
        """An array of objects with members that are marked."""
        properties = {"n": {"type": "integer"}}
        self.mark(properties)
        return {"type": "array", "items": {"type": "object", "properties": properties}, "maxItems": 3}

    def mark(self, properties):
        if self.chance(0.7):
            properties["kept"] = {"type": "integer", "readOnly": True}
        if self.chance(0.4):
            properties["secret"] = {"type": "string", "writeOnly": True}

    def connect(self):
        """References, each told by an embed of one row, of many rows, or of both."""
        dice, parts = self.dice, set()
        for table in self.tables:
            for other in self.tables:
                if not self.chance(0.45 if other is not table else 0.15):
                    continue
                required = other is not table and self.chance(0.4)
                first = table.columns[table.key[0]]
                if len(table.key) > 1 and len(other.key) == 1 and other is not table and first.kind == other.columns[other.key[0]].kind and table.name not in parts and self.chance(0.7):
                    columns = table.key[:1]  # the rows are parts of those of the other table
                    parts.add(table.name)    # and of one: a column has one foreign key
                else:
                    columns = tuple(f"{other.name[:-1]}_{'up' if other is table else 'of'}{'' if len(other.key) == 1 else '_' + key}" for key in other.key)
                    for column, key in zip(columns, (other.columns[name] for name in other.key)):
                        table.columns[column] = model.Column(column, key.kind, {"type": ["string" if key.kind == "text" else "integer", "null"] if not required else "string" if key.kind == "text" else "integer"},
                                                             required=required, nullable=not required)
                told = dice.choice(("on", "by", "both"))
                if told != "by":
                    table.embeds[other.name[:-1]] = model.Embed(other.name[:-1], other.name, on=columns)
                if told != "on":
                    name = f"{table.name}_there"
                    other.embeds[name] = model.Embed(name, table.name, by=columns, limit=dice.choice((1, 2, 100)))
        for table in self.tables:
            simple = [column for column in table.columns.values() if column.kind != "json" and not column.write_only]
            for column in dice.sample(simple, min(len(simple), dice.randrange(1, 5))):
                table.filters[column.name] = tuple(dice.sample(["eq", "ne", "lt", "le", "gt", "ge", "in", "is-null", *(["like"] if column.kind == "text" and "format" not in column.schema else [])], dice.randrange(2, 7)))
            plain = [column.name for column in simple if column.kind in ("text", "integer", "decimal", "instant") and not column.filled and not column.read_only and column.name not in table.key]
            if len(plain) > 1 and self.chance(0.5):
                table.unique = (tuple(dice.sample(plain, 2)),)
            texts = [column.name for column in simple if column.kind == "text" and "format" not in column.schema]
            if self.chance(0.7) and texts:
                table.search = tuple(dice.sample(texts, dice.randrange(1, min(len(texts), 3) + 1)))
            null = [column for column in simple if not column.required]
            sorts = [*dice.sample(null, min(len(null), 1)), *dice.sample(simple, min(len(simple), dice.randrange(0, 3)))]
            table.sort = tuple(dict.fromkeys(column.name for column in sorts))

    def operate(self, table):
        dice, name = self.dice, table.name
        read = (f"{name}:read",) if self.chance(0.5) else ()
        write = (f"{name}:write",) if self.chance(0.3) else ()
        listed = read if self.chance(0.7) else (f"{name}:list",)
        roles = ("support",) if self.chance(0.1) else ()
        add = self.operations.append
        braces = lambda names: "/".join(f"{{{one}}}" for one in names)
        item = f"/{name}/{braces(table.key)}" if len(table.key) == 1 or self.chance(0.5) else f"/wholes/{{whole}}/{name}/{{part}}"
        if self.chance(0.85):
            add(model.Operation(f"list_{name}", "GET", f"/{name}", name, "list", listed, roles))
        if self.chance(0.9):
            add(model.Operation(f"read_{name}", "GET", item, name, "read", read, key=table.key))
        add(model.Operation(f"create_{name}", "POST", f"/{name}", name, "create", write))
        for action, method in (("update", "PATCH"), ("replace", "PUT"), ("delete", "DELETE")):
            if self.chance(0.85):
                add(model.Operation(f"{action}_{name}", method, item, name, action, write, key=table.key))
        for action in ("create", "update", "delete"):
            for abort in (True, False):
                if self.chance(0.4) and (action == "create" or not table.require_match):
                    add(model.Operation(f"{action}_many_{name}_{abort}", "POST", f"/{name}-{action}-{'all' if abort else 'each'}", name, f"batch-{action}", write, abort=abort))
        for columns, other in list(dict(model.Model([*self.tables], []).references(table)).items()):
            if self.chance(0.5):
                path = f"/{other.name}/{braces(columns)}/{name}"
                if any(operation.path == path for operation in self.operations):
                    continue
                fixed = {column: column for column in columns}
                add(model.Operation(f"list_{name}_of_{'_'.join(columns)}", "GET", path, name, "list", listed, fixed=fixed))
                add(model.Operation(f"create_{name}_of_{'_'.join(columns)}", "POST", path, name, "create", write, fixed=fixed))

    # As OpenAPI

    def schema_of(self, table):
        """Its properties in one schema, or spread over parts of `allOf`, which have parts themselves, some behind references. What is said of a property need not stand in one place."""
        names = list(table.columns)
        self.dice.shuffle(names)
        cuts = sorted(self.dice.randrange(1, len(names) + 1) for _ in range(self.dice.choice((0, 0, 1, 1, 2, 3))))
        apart = {}  # marks and `required` that another part says
        parts = [self.part(table, names[start:end], apart) for start, end in zip([0, *cuts], [*cuts, len(names)]) if start < end]
        if apart:
            parts.append(apart)
        return self.composed(table, parts)

    def composed(self, table, parts):
        if len(parts) == 1:
            return parts[0]
        below = self.composed(table, parts[1:])
        if self.chance(0.4):
            parts, below = [below], parts[0]
        first = parts[0]
        if self.chance(0.6):
            first = self.behind(f"{table.name}_part", first)
        return {"allOf": [first], **below} if "allOf" not in below and self.chance(0.4) else {"allOf": [first, below]}

    def behind(self, name, schema):
        name = f"{name}{len(self.components)}"
        self.components[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}

    def part(self, table, names, apart):
        properties, required = {}, []
        for name in names:
            column = table.columns[name]
            marks = {"readOnly": True} if column.read_only else {"writeOnly": True} if column.write_only else {}
            schema = self.inside(table, column.schema)
            where = self.dice.choice(("beside", "beside", "behind", "wrapped", "apart"))
            if where == "behind":
                schema, marks = {**schema, **marks}, {}
            if self.chance(0.3):
                schema = self.behind(f"{table.name}_{name}_", schema)
            if where == "wrapped":
                schema = {"allOf": [schema, marks]} if self.chance(0.5) else {"allOf": [schema], **marks}
            elif where == "apart" and marks:
                apart.setdefault("properties", {})[name] = marks
            else:
                schema = {**schema, **marks}
            properties[name] = schema
            if column.required and self.chance(0.15):
                apart.setdefault("required", []).append(name)
            elif column.required:
                required.append(name)
        return {"type": "object", "properties": properties, **({"required": required} if required else {})}

    def inside(self, table, schema):
        """Members of a column, some behind references."""
        if "properties" in schema.get("items", {}):
            items = self.inside(table, schema["items"])
            return {**schema, "items": self.behind(f"{table.name}_item", items) if self.chance(0.3) else items}
        if "properties" not in schema:
            return dict(schema)
        properties = {name: self.inside(table, each) for name, each in schema["properties"].items()}
        return {**schema, "properties": {name: self.behind(f"{table.name}_inside", each) if each and self.chance(0.3) else each for name, each in properties.items()}}

    def written(self):
        schemas = {table.name: self.schema_of(table) for table in self.tables}
        schemas.update(self.components)
        tables = {}
        for table in self.tables:
            entry = {"schema": f"#/components/schemas/{table.name}", "key": alone(table.key), "page": {"default": table.page_default, "max": table.page_max}}
            if table.owner:
                entry["owner"] = {"column": table.owner, "except-roles": list(table.except_roles)} if table.except_roles else table.owner
            if table.tenant:
                entry["tenant"] = table.tenant
            if table.filters:
                entry["filters"] = {name: list(operators) for name, operators in table.filters.items()}
            if table.unique:
                entry["unique"] = [list(names) for names in table.unique]
                entry["indexes"] = [names[0] for names in table.unique]
            if table.sort:
                entry["sort"] = list(table.sort)
            if table.search:
                entry["search"] = list(table.search)
            if table.embeds:
                entry["embeds"] = {embed.name: {"table": embed.table, **({"on": alone(embed.on)} if embed.on else {"by": alone(embed.by), "limit": embed.limit})} for embed in table.embeds.values()}
            if table.camel:
                entry["naming"] = "camel"
            if table.require_match:
                entry["require-match"] = True
            tables[table.name] = entry
        paths = {}
        for operation in self.operations:
            table = next(table for table in self.tables if table.name == operation.table)
            named = [(name, name) for name in operation.key] or list(operation.fixed.items())
            policy = {"table": operation.table, "authorization": {"roles": list(operation.roles)} if operation.roles else "any-caller"}
            if operation.action.startswith("batch-"):
                policy["batch"] = {operation.action[6:]: {"max": 100, "on-error": "abort" if operation.abort else "continue"}}
            made = {"operationId": operation.id, "security": [{"bearer": list(operation.scopes)}], "x-plimsoll": policy, "responses": {"default": {"description": "ok"}},
                    "parameters": [{"name": parameter, "in": "path", "required": True, "schema": {"type": "integer" if table.columns[column].kind == "integer" else "string"}} for parameter, column in named]}
            if operation.method in ("POST", "PUT", "PATCH"):
                made["requestBody"] = {"content": {"application/json": {"schema": {"type": "array" if operation.action.startswith("batch-") else "object"}}}}
            paths.setdefault(operation.path, {})[operation.method.lower()] = made
        return json.dumps({"openapi": "3.1.0", "info": {"title": "Model", "version": "1.0.0"}, "x-plimsoll": {"rate-limit": "off", "tables": tables},
                           "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}, "schemas": schemas}, "paths": paths}, indent=1)

    # Values

    def fitting(self, column):
        dice = self.dice
        if "enum" in column.schema:
            return dice.choice([value for value in column.schema["enum"] if value is not None])
        if column.schema.get("format") in FORMATTED:
            return dice.choice(FORMATTED[column.schema["format"]][0])
        low = column.schema.get("minimum", -5)
        return {"text": lambda: dice.choice([word for word in WORDS if column.schema.get("minLength", 0) <= len(word) <= column.schema.get("maxLength", 40)]),
                "integer": lambda: dice.choice((low, 0, 1, 2, 3, 9, *(() if "maximum" in column.schema else (2**53 + 1, -2**63)))), "real": lambda: dice.choice((0.5, 1, 2.25, 1e-7, 123456.789, 100000, 10**14)), "boolean": lambda: dice.choice((True, False)),
                "decimal": lambda: dice.choice(("0", "1.5", "1.50", "10", "9.99", "-3", "123456789.01")),
                "instant": lambda: dice.choice(("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-01-01T02:00:00+02:00", "2025-12-31T23:59:59Z")),
                "json": lambda: dice.choice(({}, {"a": 1}, {"a": 2, "b": {"x": [1, None]}}, {"c": "free", "b": {}}, *(({"list": [{"n": 1}, {"n": 2}]}, {"list": []}) if "list" in column.schema["properties"] else ()))
                                            if "properties" in column.schema else ([], [{"n": 1}], [{"n": 1}, {"n": 2}], [{"n": 2}, {}, {"n": 1}], [{"n": 1}, {"n": 1}], [{"n": 1}, {"n": 1}, {"n": 2}])
                                            if "properties" in column.schema["items"] else ([], [1], ["a", 2, "ü"]))
                }[column.kind]()

    def sent(self, column):
        """One that fits, as a client would send it: with members inside that it should not know, or that are not shown to it."""
        value = self.fitting(column)
        if column.kind == "json":
            value = json.loads(json.dumps(value))
            for part, schema in objects(column.schema, value):
                for name, word in (("kept", self.dice.choice((5, 6))), ("secret", self.dice.choice(("hush", "mum")))):
                    if name in schema["properties"] and self.chance(0.6):
                        part[name] = word
        return value

    def any_value(self, column):
        """Mostly one that fits; null; one of another type; one that its schema does not admit."""
        roll = self.dice.random()
        if roll < 0.8:
            return self.sent(column)
        if roll < 0.88:
            return None
        if column.schema.get("format") in FORMATTED and roll < 0.95:
            return self.dice.choice(FORMATTED[column.schema["format"]][1])
        return self.dice.choice(("", "word", -1, 10, 1.5, True, {"a": "text"}, {"b": 1}, [], "x" * 9))

    def key_value(self, table, caller, mine=0.7):
        """A key of a row: the caller's own, somebody else's, or made up. Which of them it is, nobody is told."""
        rows = self.model.rows[table.name]
        seen = [row for row in rows if self.model.visible(table, caller, row)]
        hidden = [row for row in rows if not self.model.visible(table, caller, row)]
        roll = self.dice.random()
        if seen and roll < mine:
            return table.key_of(self.dice.choice(seen))
        if hidden and roll < mine + 0.7 * (1 - mine):
            return table.key_of(self.dice.choice(hidden))
        # Which number the server gives next is not promised: a row that refers to it may come to refer to itself.
        highest = self.model.highest[table.name]
        return tuple(self.dice.choice([number for number in (1, 2, 3, 77, 10**12) if not highest < number <= highest + 10]) if table.columns[name].kind == "integer"
                     else self.dice.choice(("nobody", "k1", "k2", "k 3", "ü", "018f0000-0000-7000-8000-000000000000")) for name in table.key)

    def body(self, table, caller, operation, creating):
        dice, body = self.dice, {}
        references = {column: value for columns, other in self.model.references(table) for column, value in zip(columns, self.key_value(other, caller))}
        sent = dice.random()
        for name, column in table.columns.items():
            if name in table.key and operation.action in ("update", "replace", "batch-update") and dice.random() < 0.95:
                continue  # the path says it
            if name in references:
                # Mostly all columns of a reference or none.
                if (sent if dice.random() < 0.8 else dice.random()) < (0.95 if creating and column.required else 0.6 if creating else 0.3):
                    body[name] = None if dice.random() < (0.02 if column.required else 0.1) else references[name]
            elif name in table.key and not column.filled:
                if dice.random() < 0.97:
                    body[name] = dice.randrange(1, 8) if column.kind == "integer" else dice.choice(("k1", "k2", "k 3", "ü", "a/b"))
            elif column.filled == "key":
                if creating and dice.random() < (0.8 if not column.read_only and operation.action != "replace" else 0.05):
                    body[name] = dice.randrange(1, 30) if column.kind == "integer" else dice.choice(("k1", "k2", "k 3", "ü", "k5", *(f"n{number}" for number in range(30))))
            elif column.filled in ("owner", "tenant"):
                if dice.random() < 0.05:
                    body[name] = dice.choice((caller.subject, caller.tenant or "none", *SUBJECTS, *TENANTS))
            elif column.filled:
                if dice.random() < 0.05:
                    body[name] = "2001-01-01T00:00:00Z"
            elif dice.random() < (0.98 if creating and column.required else 0.5):
                body[name] = self.sent(column) if dice.random() < (0.85 if creating else 0.6) else self.any_value(column)
        if dice.random() < 0.02:
            body["unheard"] = 1
        return body

    def of_another_program(self):
        """(table, row, {column: value}): what no client can write, written into a row by somebody else."""
        rows = [(table, row) for table in self.tables for row in self.model.rows[table.name]]
        if not rows:
            return None
        table, row = self.dice.choice(rows)
        written = {}
        for name, column in table.columns.items():
            if column.kind == "json" and (row[name] is not None or column.read_only):
                value = json.loads(json.dumps(row[name] or ({} if "properties" in column.schema else [])))
                if "properties" in column.schema:
                    value.setdefault("b", {})
                marked = [part for part, schema in objects(column.schema, value) if "kept" in schema["properties"]]
                for part in marked:
                    part["kept"] = self.dice.randrange(100, 200)
                if marked:
                    written[name] = value
            elif column.read_only and not column.filled and name not in (*table.filters, *table.sort, *table.search):
                written[name] = self.model.stored(column, self.fitting(column))
        return (table, row, written) if written else None

    # Requests

    def caller(self):
        dice = self.dice
        scopes = [scope for operation in self.operations for scope in operation.scopes]
        scopes = dict.fromkeys(scopes)
        granted = tuple(scope for scope in scopes if self.chance(0.9 if scope.endswith(":write") else 0.75)) if self.chance(0.7) else ("*",)
        return model.Caller(dice.choice(SUBJECTS), dice.choice((*TENANTS, *TENANTS, *TENANTS, *TENANTS, "")), ("support",) if self.chance(0.25) else (), granted)

    def selection(self, table, depth=0):
        dice = self.dice
        columns = None
        visible = [name for name, column in table.columns.items() if not column.write_only]
        if self.chance(0.6):
            columns = dice.sample(visible, dice.randrange(0, len(visible) + 1))
        embeds = {}
        for name, embed in table.embeds.items() if columns is not None or not depth else ():
            if self.chance(0.5):
                other = next(one for one in self.tables if one.name == embed.table)
                embeds[name] = self.selection(other, depth + 1) if depth < 2 and columns is not None and self.chance(0.7) else {"columns": None, "embeds": {}}
        if columns is not None and not columns and not embeds:
            columns = [*table.key]
        return {"columns": columns, "embeds": embeds}

    def request(self):
        dice, caller = self.dice, self.dice.choice(self.callers)
        operation = dice.choice(self.weighted)
        table = self.model.tables[operation.table]
        made = model.Request(caller, operation)
        if operation.key:
            made.path.update(zip(table.key, self.key_value(table, caller)))
        if operation.fixed:
            made.path.update(zip(operation.fixed, self.key_value(dict(self.model.references(table))[tuple(operation.fixed)], caller)))
        if operation.action in ("read", "list") and (table.embeds or self.chance(0.3)) and self.chance(0.6):
            made.query["selection"] = self.selection(table)
        if operation.action == "list":
            self.shape(made, table)
        if operation.action in ("create", "update", "replace"):
            made.body = self.body(table, caller, operation, operation.action != "update")
            row = operation.key and self.model.find(self.model.rows, table, caller, self.model.row_named(made, table))
            if row and self.chance(0.3):  # what was read is sent back, with a change or without
                changed = dice.sample(list(made.body), min(len(made.body), dice.choice((0, 0, 1))))
                made.body = {**json.loads(json.dumps(self.model.shown(table, row))), **{name: made.body[name] for name in changed}}
        if operation.action.startswith("batch-"):
            made.body = [self.item(table, caller, operation) for _ in range(dice.randrange(1, 5))]
            counted = table.key[0] if len(table.key) == 1 and table.columns[table.key[0]].kind == "integer" else None
            if operation.action == "batch-create" and counted and any(counted not in item for item in made.body):
                for item in made.body:  # which number the server gives to one item is not promised: another could name it
                    item.pop(counted, None)
        if operation.action in ("update", "replace", "delete") and dice.random() < (0.8 if table.require_match else 0.25):
            tags = [tag for name, tag in self.model.tags if name == table.name]
            row = self.model.find(self.model.rows, table, caller, self.model.row_named(made, table))
            right = [tag for tag in tags if row and self.model.tags[table.name, tag] == self.model.identity(table, row)]
            made.headers["If-Match"] = dice.choice(right) if right and self.chance(0.7) else dice.choice(tags) if tags else '"none"'
        if operation.action == "read" and self.chance(0.3):
            tags = [tag for name, tag in self.model.tags if name == table.name]
            row = self.model.find(self.model.rows, table, caller, self.model.row_named(made, table))
            right = [tag for tag in tags if row and self.model.tags[table.name, tag] == self.model.identity(table, row)]
            if tags:
                made.headers["If-None-Match"] = dice.choice(right) if right and self.chance(0.5) else dice.choice(tags)
        return made

    def item(self, table, caller, operation):
        if operation.action == "batch-delete":
            key = self.key_value(table, caller)
            return key[0] if len(key) == 1 and self.chance(0.8) else dict(zip(table.key, key))
        body = self.body(table, caller, operation, operation.action == "batch-create")
        if operation.action == "batch-update":
            body.update(zip(table.key, self.key_value(table, caller)))
        return body

    def shape(self, made, table):
        dice = self.dice
        possible = [(name, op) for name, operators in table.filters.items() for op in operators
                    if name not in made.operation.fixed.values() and not (op == "eq" and "in" in operators)]
        made.query["filters"] = [(name, op, self.filter_value(table, table.columns[name], op)) for name, op in dice.sample(possible, min(len(possible), dice.choice((0, 1, 1, 1, 2, 3))))]
        if table.sort and self.chance(0.7):
            names = dice.sample(table.sort, dice.randrange(1, len(table.sort) + 1))
            made.query["sort"] = [(name, dice.choice((True, False))) for name in names]
        if table.search and self.chance(0.4):
            made.query["q"] = dice.choice(("a", "b", "kettle", "KETTLE", "kett*", "zoe", "a b", "x*", "1*", "nothing", "acme", "b* a*"))
        if self.chance(0.7):
            made.query["limit"] = dice.choice((1, 1, 2, 2, 3, 7, 100)) if self.chance(0.95) else dice.choice((0, 101, -1))
        if self.chance(0.1):
            made.query["page"] = dice.choice((1, 1, 2, 3))
        elif self.cursors and self.chance(0.1):
            place, cursor = dice.choice(self.cursors)
            if place != self.place(made, table):
                made.query.update(cursor=cursor, foreign=True)
        if self.chance(0.3):
            made.query["count"] = True

    def filter_value(self, table, column, op):
        dice = self.dice
        plain = model.Column(column.name, column.kind, {"type": "x"})
        rows = [row[column.name] for row in self.model.rows[table.name] if row[column.name] is not None]
        value = lambda: self.unreadable(column) if self.chance(0.03) else dice.choice((*LIKE, *(row[:1] + "%" for row in rows))) if op == "like" else dice.choice(rows) if rows and self.chance(0.7) else self.fitting(plain if column.kind != "text" else column)
        return dice.choice((True, False)) if op == "is-null" else [value() for _ in range(dice.randrange(1, 4))] if op == "in" else value()

    def unreadable(self, column):
        """What a filter of the column cannot be asked for; of text without a format, there is no such thing."""
        if column.schema.get("format") in FORMATTED:
            return self.dice.choice(FORMATTED[column.schema["format"]][1])
        return self.dice.choice({"integer": ("1x", "1.5"), "real": ("half", "1.5.0"), "boolean": ("maybe", "0"), "decimal": ("1.5.0", "dear"),
                                 "instant": ("yesterday", "2026-13-01T00:00:00Z"), "text": (self.fitting(column),)}[column.kind])

    def place(self, request, table):
        """What a cursor is good for, as far as two that differ in it are surely of different lists."""
        filters = frozenset((name, op) for name, op, _ in request.query.get("filters", ()))
        return (table.name, table.tenant and request.caller.tenant, tuple(self.model.order(table, request.query.get("sort", ()))), filters,
                request.query.get("q"), tuple(request.path.items()))


def alone(names):
    """A list of one is the one alone."""
    return names[0] if len(names) == 1 else list(names)


def objects(schema, value):
    """The objects inside a JSON column that have members with marks, and their schemas."""
    if isinstance(value, list):
        return [found for item in value for found in objects(schema.get("items", {}), item)]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    return [(value, schema), *(found for name, each in schema["properties"].items() if name in value for found in objects(each, value[name]))]


def fields_text(selection):
    return ",".join([*selection["columns"], *(name if inner["columns"] is None and not inner["embeds"] else f"{name}({fields_text(inner)})" for name, inner in selection["embeds"].items())])


def query_text(query, column_of):
    pairs = []
    quote = lambda value: urllib.parse.quote(json.dumps(value) if isinstance(value, (bool, int, float)) else value, safe="")
    for name, op, value in query.get("filters", ()):
        pairs.append(f"{name}={','.join(map(quote, value))}" if op == "in" else f"{name}={quote(value)}" if op == "eq" else f"{name}[{op}]={quote(value)}")
    if query.get("q"):
        pairs.append("q=" + urllib.parse.quote(query["q"]))
    if query.get("sort"):
        pairs.append("sort=" + ",".join(("-" if descending else "") + name for name, descending in query["sort"]))
    for word in ("limit", "page", "cursor"):
        if word in query:
            pairs.append(f"{word}={query[word]}")
    if query.get("count"):
        pairs.append("count=exact")
    if query.get("selection"):
        selection = query["selection"]
        if selection["columns"] is not None:
            pairs.append("fields=" + urllib.parse.quote(fields_text(selection), safe=",()"))
        elif selection["embeds"]:
            pairs.append("embed=" + ",".join(selection["embeds"]))
    return "?" + "&".join(pairs) if pairs else ""


class Run:
    """One server with one random contract, and its model."""

    def __init__(self, test, seed):
        self.test, self.seed, self.sent, self.reached = test, seed, 0, collections.Counter()
        self.world = World(random.Random(seed))
        self.dice = self.world.dice
        self.model = self.world.model
        self.world.callers = [self.world.caller() for _ in range(8)]
        self.world.weighted = [operation for operation in self.world.operations for _ in range({"create": 5, "list": 4, "update": 2, "read": 2, "batch-create": 2}.get(operation.action, 1))]
        self.server = test.serve(self.world.contract, CONFIG + tokens.DEPLOYMENT)
        self.tokens = {id(caller): tokens.token(caller.subject, caller.tenant, caller.scopes, caller.roles) for caller in self.world.callers}
        self.line = self.server.connection()
        test.addCleanup(self.line.close)

    def send(self, request):
        operation = request.operation
        target = operation.path
        for parameter, value in request.path.items():
            target = target.replace("{" + parameter + "}", urllib.parse.quote(str(value), safe=""))
        target += query_text(request.query, self.model.tables[operation.table].columns)
        headers = {"Authorization": "Bearer " + self.tokens[id(request.caller)], **request.headers}
        body = None if request.body is None else json.dumps(request.body)
        if body is not None:
            headers["Content-Type"] = "application/json"
        answer = self.server.request(operation.method, target, body, headers, connection=self.line)
        self.sent += 1
        try:
            self.reach(request, self.model.judge(request, answer))
        except model.Mismatch as wrong:
            raise AssertionError(f"PLIMSOLL_SEED={self.seed} PLIMSOLL_WORLDS=1, request {self.sent}: {operation.method} {target}\n{request.caller}\n{request.headers}\n{body}\n"
                                 f"{answer.status} {answer.headers.get('etag')} {answer.text}\n{wrong}\n--- the contract is {self.kept()}") from None
        return answer

    def reach(self, request, outcome):
        action, embedded = request.operation.action, (request.query.get("selection") or {}).get("embeds")
        code = outcome.code[-1] if isinstance(outcome.code, tuple) else outcome.code
        self.reached[f"{action} {outcome.status} {code}".rstrip()] += 1
        if outcome.status == 403 and action not in ("read", "list"):
            self.reached["write 403"] += 1
        elif outcome.status == 403 and self.model.may(request.caller, request.operation):
            self.reached["embed 403"] += 1
        elif outcome.status == 200 and embedded:
            self.reached["embed 200"] += 1
        columns = self.model.tables[request.operation.table].columns
        formatted = {(name,) for name, column in columns.items() if column.schema.get("format") in FORMATTED}
        self.reached["a format refused in a change"] += action == "update" and outcome.status == 422 and bool(formatted & (outcome.members or set()))
        self.reached["a format refused in a filter"] += outcome.status == 400 and any((name,) in formatted and not columns[name].readable(value) for name, op, value in request.query.get("filters", ()) if isinstance(value, str))
        for one in request.query.get("filters", ()):
            if outcome.status == 200 and outcome.body["data"]:
                self.reached[f"filter {one[1]}"] += 1
        if "offset" in request.query and outcome.status == 200 and outcome.body["data"]:
            self.reached["a page by a cursor"] += 1
            name = (request.query.get("sort") or [("", False)])[0][0]
            self.reached["a null in a sorted page"] += any(row.get(name, 0) is None for row in outcome.body["data"])
        if request.query.get("q") and outcome.status == 200 and outcome.body["data"]:
            self.reached["search"] += 1

    def kept(self):
        path = os.path.join(os.environ.get("PLIMSOLL_KEEP", "/tmp"), f"model-{self.seed}.json")
        with open(path, "w") as file:
            file.write(self.world.contract)
        return path

    def go(self, requests):
        for number in range(requests):
            request = self.world.request()
            answer = self.send(request)
            if request.operation.action == "list" and answer.status == 200:
                table = self.model.tables[request.operation.table]
                cursor = answer.json()["nextCursor" if table.camel else "next_cursor"]
                if cursor:
                    self.world.cursors = [*self.world.cursors[-30:], (self.world.place(request, table), cursor)]
                if self.world.chance(0.6 if request.query.get("sort") else 0.2) and "page" not in request.query:
                    self.walk(request, answer)
            if number % 10 == 9 and (written := self.world.of_another_program()):
                self.test.write(self.server, *written)
                written[1].update(written[2])
                self.model.note_former(written[0])
                self.reached["a write of another program"] += 1
            if number % 100 == 99:
                self.check_stored()
        self.check_stored()

    def walk(self, request, answer):
        """To the last page by `next_cursor`, and one back: the rows of the model, each once, in order."""
        table = self.model.tables[request.operation.table]
        following, before = ("nextCursor", "prevCursor") if table.camel else ("next_cursor", "prev_cursor")
        limit, offset = request.query.get("limit", table.page_default), 0
        while answer.json()[following] and offset < 20 * limit:
            offset += limit
            answer = self.page(request, offset, answer.json()[following])
        if offset and answer.json()[before]:
            self.page(request, offset - limit, answer.json()[before], back=True)

    def page(self, request, offset, cursor, back=False):
        query = {**request.query, "offset": offset, "cursor": cursor}
        return self.send(model.Request(request.caller, request.operation, request.path, query))

    def check_stored(self):
        """Every stored row is the model's, and valid."""
        for table in self.world.tables:
            stored = self.test.stored(self.server, table)
            expected = self.model.rows[table.name]
            same = lambda one, other: all(model.same(value, other[name]) for name, value in one.items())
            self.test.assertEqual(len(stored), len(expected), f"PLIMSOLL_SEED={self.seed}: rows of {table.name}")
            for row in stored:
                if not any(same(one, row) for one in expected):
                    raise AssertionError(f"PLIMSOLL_SEED={self.seed}: table {table.name} holds {row}, and the model {expected}")
                for name, column in table.columns.items():
                    value = row[name]
                    if value is None and column.required and not column.nullable or value is not None and not column.fits(value):
                        raise AssertionError(f"PLIMSOLL_SEED={self.seed}: table {table.name} holds a row that is not valid at {name}: {row}")


class ModelTest(harness.ServerTest):
    def stored(self, server, table):
        """All rows of a table as they stand in the database, as JSON values."""
        sqlite = self.engine == "sqlite"
        # Of PostgreSQL, an instant as the server shows it.
        shown = {"instant": "rtrim(rtrim(to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), '0'), '.') || 'Z'"} if not sqlite else {}
        names = ",".join(shown.get(column.kind, "%s") % f'"{name}"' for name, column in table.columns.items())
        read = {"boolean": bool, "json": json.loads}
        return [{column.name: None if value is None else read.get(column.kind, lambda value: value)(value) for column, value in zip(table.columns.values(), row)}
                for row in self.database(server.directory, "model.db").rows(f'SELECT {names} FROM "{table.name}"')]

    def write(self, server, table, row, written):
        """Into one row, by another program than the server."""
        values = [json.dumps(value, separators=(",", ":"), ensure_ascii=False) if table.columns[name].kind == "json" else value for name, value in written.items()]
        where = [name for name in (*table.key, table.tenant) if name]
        changed = self.database(server.directory, "model.db").rows(
            f'UPDATE "{table.name}" SET ' + ", ".join(f'"{name}" = ?' for name in written) + " WHERE " + " AND ".join(f'"{name}" = ?' for name in where) + " RETURNING 1",
            [*values, *(row[name] for name in where)])
        self.assertEqual(len(changed), 1)

    def test_every_answer_and_every_stored_row_is_as_the_documentation_has_it(self):
        first, reached = harness.seed(), collections.Counter()
        # More worlds where something was not met in the first ones: then it is rare, and not missing.
        number = 0
        while number < WORLDS or WORLDS > 1 and set(MET) - set(reached) and number < 5 * WORLDS:
            with self.subTest(PLIMSOLL_SEED=first + number):
                run = Run(self, first + number)
                run.go(REQUESTS)
                reached += run.reached
                run.server.stop()
                run.server.give_back_ports()
            number += 1
        if WORLDS > 1:
            self.assertEqual(set(MET) - set(reached), set(), f"PLIMSOLL_SEED={first}: kinds of answers that no request was met with")
        if TORTURE:
            print(*(f"{count:7} {what}" for what, count in sorted(reached.items())), sep="\n")

    # The model without one of its rules, which the same requests must tell from the server: `(where, name, what replaces it)`.
    FORGOTTEN = {
        "rows of another tenant are not visible": (model.Model, "visible", lambda self, table, caller, row: True),
        "a reference names a row that the caller sees": (model.Model, "broken_references", lambda *_: set()),
        "a row that others refer to is kept": (model.Model, "referred_to", lambda *_: False),
        "an embed needs what reading its table needs": (model.Model, "may_read", lambda *_: True),
        "values satisfy their schemas": (model.Model, "unfit", lambda *_: set()),
        "values of the form of a column can be filtered by": (model.Column, "readable", lambda *_: False),
        "values are unique within the tenant": (model.Model, "taken", lambda *_: []),
        "readOnly members keep what is stored": (model, "kept", lambda schema, before, after: after),
        "writeOnly members are not shown": (model, "without_hidden", lambda schema, value: value),
        "nulls are last": (model.Model, "order", staticmethod(lambda table, sort: [(name, False) for name in table.key])),
        "a change needs the tag of the row": (model.Model, "identity", lambda *_: {}),
    }

    def reported(self, first):
        """The message of the first world that differs from the model; empty where none does."""
        for seed in range(first, first + 5 * WORLDS):
            run = Run(self, seed)
            try:
                run.go(REQUESTS)
            except AssertionError as wrong:
                return str(wrong)
            finally:
                run.server.stop()
                run.server.give_back_ports()
        return ""

    @harness.engines("sqlite", why="the judgement is that of the model, not of an engine")
    def test_a_rule_that_server_and_model_do_not_share_is_reported(self):
        first = harness.seed()
        for rule, (where, name, instead) in self.FORGOTTEN.items():
            with self.subTest(rule), unittest.mock.patch.object(where, name, instead):
                self.assertIn("PLIMSOLL_SEED=", self.reported(first))

    @harness.engines("sqlite", why="the judgement is that of the model, not of an engine")
    def test_a_stored_row_that_no_answer_showed_is_reported(self):
        for seed in itertools.count(harness.seed()):
            run = Run(self, seed)
            run.go(REQUESTS)
            rows = [(table, row) for table in run.world.tables for row in run.model.rows[table.name]]
            if rows:
                break
        table, row = run.dice.choice(rows)
        row[table.key[0]] = "another" if isinstance(row[table.key[0]], str) else -1
        with self.assertRaisesRegex(AssertionError, "and the model"):
            run.check_stored()


if __name__ == "__main__":
    harness.main()
