"""A client that knows a server by its served contract alone: it makes requests, valid ones and others, and judges responses by what is declared.

What `Contract` generates follows from the document and from rows that earlier responses have shown; nothing here knows Plimsoll.
"""
import base64
import csv
import gzip
import io
import json
import random
import re
import re._parser as sre
import shutil
import string
import subprocess
import urllib.parse
import uuid

import harness

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
# Of the message and not of the answer (RFC 9110, sections 6.6 and 8; RFC 9112): OpenAPI has other words for them, or none.
FRAMING = {"date", "connection", "keep-alive", "transfer-encoding", "content-length", "content-type", "content-encoding", "server"}
# In place of what follows from no schema: words of a query that only the server's documentation defines.
SEARCHED = {"fields", "cursor", "q", "page"}


def essence(media):
    return media.split(";")[0].strip().lower()


def is_json(media):
    return essence(media) == "application/json" or essence(media).endswith("+json")


def singular(word):
    if word.endswith("ves"):
        return word[:-3] + "f"
    return word[:-3] + "y" if word.endswith("ies") else word[:-1] if word.endswith("s") else word


class Operation:
    def __init__(self, contract, path, method, item, raw):
        self.contract, self.path, self.method, self.raw = contract, path, method, raw
        self.id = raw.get("operationId", f"{method} {path}")
        found = {}
        for parameter in [*item.get("parameters", []), *raw.get("parameters", [])]:
            resolved = contract.resolve(parameter)
            found[resolved["in"], resolved["name"]] = resolved
        self.parameters = list(found.values())
        self.body = contract.resolve(raw["requestBody"]) if "requestBody" in raw else None
        self.responses = raw["responses"]

    def response(self, status):
        """(the response, its JSON pointer), or None where the status is not declared: `default` does not count."""
        if str(status) not in self.responses:
            return None
        return self.contract.follow(self.responses[str(status)], ["paths", self.path, self.method, "responses", str(status)])


class Contract:
    """`document` as it is served; `rows` are objects that responses have shown, by the path that showed them."""

    def __init__(self, document, seed):
        self.document, self.random, self.rows, self.place = document, random.Random(seed), {}, ""
        self.base = urllib.parse.urlparse(document.get("servers", [{"url": "/"}])[0]["url"]).path.rstrip("/")
        self.operations = [Operation(self, path, method, item, item[method]) for path, item in document["paths"].items() for method in METHODS if method in item]

    # --- reading the document ---

    def follow(self, value, place):
        while isinstance(value, dict) and "$ref" in value:
            place = [urllib.parse.unquote(step).replace("~1", "/").replace("~0", "~") for step in value["$ref"][2:].split("/")]
            value = self.document
            for step in place:
                value = value[step]
        return value, place

    def resolve(self, value):
        return self.follow(value, [])[0]

    def asked(self, operation, method):
        """The operation of the same path that a request with this method asks for; None where the contract declares none."""
        return next((one for one in self.operations if one.path == operation.path and one.method.upper() == {"HEAD": "GET"}.get(method, method)), None)

    def allowed(self, operation):
        return {one.method.upper() for one in self.operations if one.path == operation.path}

    # --- making values ---

    def known(self, name, path=None, few=0):
        """A value that some row has under that name, or that names a row: `order_id` is the `id` of a row of /orders. Nothing: no such row was seen.
        `few`: of the latest rows only."""
        found = []
        for place, rows in self.rows.items():
            words = {place, singular(place.replace("-", "_").rsplit("/", 1)[-1])}
            for row in rows:
                if path is not None and place == path and name in row:
                    found.append(row[name])
                elif path is not None and place == path and len(row) and "id" in row:
                    found.append(row["id"])
                elif path is None and name.endswith("_id") and name[:-3] in words and "id" in row:
                    found.append(row["id"])
        if not found and path is not None:
            found = [row[name] for rows in self.rows.values() for row in rows if name in row and isinstance(row[name], (str, int))]
        return self.random.choice(found[-few:] if few else found) if found else None

    def value(self, schema, name="", depth=0):
        schema = self.flat(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = self.random.choice([one for one in kind if one != "null"] or ["null"])
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else "string" if {"pattern", "format", "maxLength", "minLength"} & schema.keys() else "integer"
        return getattr(self, "make_" + kind)(schema, name, depth)

    def flat(self, schema):
        """The schema with its references followed and one of its alternatives chosen: enough for what documents of APIs say."""
        if schema is True or schema is None:
            return {}
        made = {}
        schema = dict(schema)
        for part in [self.flat(self.resolve({"$ref": schema.pop("$ref")}))] if "$ref" in schema else []:
            made = self.merged(made, part)
        for part in schema.pop("allOf", []):
            made = self.merged(made, self.flat(part))
        for word in ("anyOf", "oneOf"):
            if word in schema:
                made = self.merged(made, self.flat(self.random.choice(schema.pop(word))))
        return self.merged(made, schema)

    @staticmethod
    def merged(first, second):
        made = {**first, **second}
        for word in ("properties",):
            if word in first and word in second:
                made[word] = {**first[word], **second[word]}
        if "required" in first and "required" in second:
            made["required"] = [*first["required"], *second["required"]]
        return made

    def make_null(self, schema, name, depth):
        return None

    def make_boolean(self, schema, name, depth):
        return self.random.random() < 0.5

    def make_integer(self, schema, name, depth):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        return self.random.randint(int(low), int(min(schema.get("maximum", low + 1000), low + 1000)))

    def make_number(self, schema, name, depth):
        return self.make_integer(schema, name, depth)

    def make_array(self, schema, name, depth):
        low = schema.get("minItems", 0 if depth > 2 else 1)
        count = min(self.random.randint(low, low + 2), schema.get("maxItems", low + 2))
        made = []
        for _ in range(count * 4):
            one = self.value(schema.get("items", {}), name, depth + 1)
            # What sorts by a column in both directions says nothing.
            same = [other for other in made if other == one or isinstance(one, str) and str(other).lstrip("-") == one.lstrip("-")]
            if len(made) < count and not (schema.get("uniqueItems") and same):
                made.append(one)
        return made

    def make_object(self, schema, name, depth):
        made = {}
        required = set(schema.get("required", []))
        wanted = max(schema.get("minProperties", 0), len(required))
        properties = list(schema.get("properties", {}).items())
        self.random.shuffle(properties)
        for key, below in properties:
            if key in required or len(made) < wanted or self.random.random() < 0.5 and depth < 3:
                made[key] = self.value(below, key, depth + 1)
        return made

    def make_string(self, schema, name, depth):
        known = self.known(name) if name != "id" else next((row["id"] for place, rows in self.rows.items() if self.place.startswith(place) for row in rows[::-1] if "id" in row), None)
        if known is not None and isinstance(known, str):
            return known
        makers = {"uuid": lambda: str(uuid.UUID(int=self.random.getrandbits(128), version=4)), "date-time": lambda: "2026-01-02T03:04:05Z", "date": lambda: "2026-01-02",
                  "time": lambda: "03:04:05Z", "email": lambda: f"u{self.random.getrandbits(64):x}@example.com", "uri": lambda: "https://example.com/x",
                  "byte": lambda: base64.b64encode(self.random.randbytes(6)).decode(), "ipv4": lambda: "192.0.2.1"}
        if schema.get("format") in makers:
            return makers[schema["format"]]()
        if "pattern" in schema:
            for _ in range(100):
                text = self.of_pattern(sre.parse(schema["pattern"]))
                if "," in schema["pattern"]:  # a list of words: each once, in one direction, as in an array
                    text = ",".join({one.lstrip("-"): one for one in text.split(",")}.values())
                if schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)):
                    return text
        low = schema.get("minLength", 0)
        length = self.random.randint(max(low, 1), max(low, min(schema.get("maxLength", low + 12), low + 12), 1))
        return "".join(self.random.choice(string.ascii_lowercase) for _ in range(length))

    def of_pattern(self, parsed):
        """A text that a regular expression matches; of the constructs that documents use."""
        out = ""
        for operator, argument in parsed:
            name = str(operator)
            if name == "LITERAL":
                out += chr(argument)
            elif name == "NOT_LITERAL":
                out += "a" if chr(argument) != "a" else "b"
            elif name == "ANY":
                out += "a"
            elif name == "IN":
                out += self.of_class(argument)
            elif name in ("MAX_REPEAT", "MIN_REPEAT"):
                low, high, inner = argument
                out += "".join(self.of_pattern(inner) for _ in range(self.random.randint(low, min(int(high), low + 12))))
            elif name == "SUBPATTERN":
                out += self.of_pattern(argument[3])
            elif name == "BRANCH":
                out += self.of_pattern(self.random.choice(argument[1]))
        return out

    def of_class(self, items):
        texts = []
        negated = str(items[0][0]) == "NEGATE"
        for operator, argument in items:
            name = str(operator)
            if name == "LITERAL":
                texts.append(chr(argument))
            elif name == "RANGE":
                texts += [chr(argument[0]), chr(argument[1])]
            elif name == "CATEGORY":
                texts += {"CATEGORY_DIGIT": "159", "CATEGORY_WORD": "az", "CATEGORY_SPACE": " "}.get(str(argument), "a")
        if negated:
            return self.random.choice([one for one in string.ascii_lowercase + string.digits if one not in texts])
        return self.random.choice(texts)

    # --- requests ---

    def request(self, operation, credentials):
        """A valid request: (method, target, headers, body). `credentials` are the headers or the query of who calls."""
        self.place = operation.path
        path, query, headers, named = operation.path, [], dict(credentials), {}
        # A condition is on what is not known yet; where one is asked for (RFC 6585, section 3), there is something, or there is nothing.
        condition = self.random.choice(["If-Match", "If-None-Match"]) if "428" in operation.responses else ""
        for parameter in operation.parameters:
            name, place = parameter["name"], parameter["in"]
            optional = not parameter.get("required", False) and name != condition
            if optional and (name in SEARCHED or self.random.random() < 0.8 or len(query) > 2):
                continue
            if optional and place == "header":
                continue
            schema = parameter.get("schema", {})
            if place == "path":
                before, after = operation.path.split("{" + name + "}", 1)
                value = self.known(name, before.rstrip("/") or "/", 3 if after else 0)  # what is below a row was made a moment ago
                value = self.value(schema, name) if value is None else value
                path = path.replace("{" + name + "}", urllib.parse.quote(str(value), safe=""), 1)
                named[name] = value
                continue
            value = self.value(schema, name) if name not in ("If-Match", "If-None-Match") else "*"  # whatever is there
            texts = [self.text(one) for one in value] if isinstance(value, list) else [self.text(value)]
            if place == "query":
                if isinstance(value, list) and parameter.get("explode", parameter.get("style", "form") == "form"):
                    query += [(name, text) for text in texts]
                else:
                    query.append((name, texts))
            elif place == "header":
                headers[name] = ",".join(texts)
            else:
                headers["Cookie"] = f"{name}={texts[0]}"
        body = None
        if operation.body and (operation.body.get("required") or self.random.random() < 0.7):
            media = self.random.choice(sorted(operation.body["content"]))
            declared = operation.body["content"][media]
            made = self.value(declared["schema"]) if declared.get("schema", {}) not in ({}, {"type": "string", "format": "binary"}) else self.random.randbytes(self.random.randint(1, 3000))
            if isinstance(made, dict):  # what the path says, the body says too
                made.update({name: value for name, value in named.items() if name in made})
            headers["Content-Type"], body = self.written(media, made)
        text = "&".join(f"{urllib.parse.quote(name)}={','.join(urllib.parse.quote(one, safe='') for one in (value if isinstance(value, list) else [value]))}" for name, value in query)
        return [operation.method.upper(), self.base + path + ("?" + text if text else ""), headers, body]

    def written(self, media, value):
        """A value in a media type: (the Content-Type, the bytes)."""
        kind = essence(media)
        if is_json(media):
            return media, json.dumps(value if not isinstance(value, bytes) else {}).encode()
        if isinstance(value, (bytes, str)):
            return media.replace("*/*", "application/octet-stream"), value if isinstance(value, bytes) else value.encode()
        if kind in ("application/x-ndjson", "application/jsonl"):
            return media, b"".join(json.dumps(row).encode() + b"\n" for row in value)
        if kind == "text/csv":
            names = list(dict.fromkeys(name for row in value for name in row))
            cells = [[row.get(name, "") for name in names] for row in value]
            out = io.StringIO()
            csv.writer(out, lineterminator="\r\n").writerows([names, *([cell if isinstance(cell, str) else json.dumps(cell) for cell in row] for row in cells)])
            return media, out.getvalue().encode()
        if kind == "multipart/form-data":
            mark = f"mark-{self.random.getrandbits(64):x}"
            parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{one if isinstance(one, str) else json.dumps(one)}\r\n' for name, one in value.items()]
            return f"{media}; boundary={mark}", ("".join(parts) + f"--{mark}--\r\n").encode()
        return media, urllib.parse.urlencode(value).encode()

    @staticmethod
    def text(value):
        return "true" if value is True else "false" if value is False else str(value)

    def remember(self, operation, request, answer):
        """Notes the rows that a response shows, and forgets one that is gone."""
        if operation.path.endswith("}") and (answer.status == 404 or operation.method == "delete" and answer.status == 204):
            gone = urllib.parse.unquote(request[1].split("?")[0].rsplit("/", 1)[-1])
            for place in self.rows:
                self.rows[place] = [row for row in self.rows[place] if gone not in map(str, row.values())]
        if answer.status >= 300 or not is_json(answer.headers.get("content-type", "")) or not readable(answer):
            return
        try:
            body = json.loads(answer.body)
        except ValueError:  # a file that somebody has stored under that type
            return
        items = body if isinstance(body, list) else body.get("data", [body]) if isinstance(body, dict) else []
        place = operation.path.split("/{")[0]
        if "{" in operation.path and operation.method == "get" and not operation.path.endswith("}"):
            place = operation.path
        rows = self.rows.setdefault(place, [])
        # Changed rows are still the same: the latest are enough.
        rows += [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
        del rows[:-40]

    def spoiled(self, operation, request):
        """The request with something wrong, odd or special about it, or as it is."""
        method, target, headers, body = request
        headers = dict(headers)
        pick = self.random.choice
        more = "&" if "?" in target else "?"
        json_body = body is not None and is_json(headers.get("Content-Type", ""))
        path = target.split("?")[0]

        def change(make):
            value = json.loads(body)
            return json.dumps(make(value)).encode()

        def of_object(make):
            def changed(value):
                if isinstance(value, list) and value and isinstance(value[0], dict):
                    return [make(dict(value[0])), *value[1:]]
                return make(dict(value)) if isinstance(value, dict) else [value]
            return change(changed)

        def with_header(name, *values):
            headers[name] = pick(values)

        ways = [
            lambda: None,
            lambda: [headers.pop(name, None) for name in ("Authorization", "X-API-Key", "X-Api-Key", "Cookie")],
            lambda: with_header("Authorization", "Bearer nonsense", "Bearer a.b.c", "Basic eDp5", ""),
            lambda: with_header("X-API-Key", "nonsense"),
            lambda: with_header("Accept", "image/png", "application/json;q=0", "text/*", "*/*", "application/problem+json"),
            lambda: with_header("Accept-Encoding", "gzip", "br, gzip;q=0.5", "zstd", "identity;q=0"),
            lambda: with_header("If-Match", '"nonsense"', "*", 'W/"x"'),
            lambda: with_header("If-None-Match", '"nonsense"', "*"),
            lambda: with_header("If-Modified-Since", "Sat, 01 Jan 2050 00:00:00 GMT"),
            lambda: with_header("Idempotency-Key", "", "with space", '"quoted"', "k" * 300, "same", "same"),
            lambda: headers.pop("Idempotency-Key", None),
            lambda: with_header("Prefer", "return=minimal", "return=representation", "respond-async"),
            lambda: with_header("Origin", "https://elsewhere.example.com", "https://app.example.com"),
            lambda: with_header("Sec-Fetch-Site", "cross-site", "same-origin"),
            lambda: with_header("Cache-Control", "no-cache", "only-if-cached", "max-age=0", "no-store"),
            lambda: with_header("Range", "bytes=0-3", "bytes=-2", "bytes=9999999-", "bytes=0-1,3-4", "bytes=4-2", "rows=0-1"),
            lambda: with_header("If-Range", '"nonsense"', "Sat, 01 Jan 2050 00:00:00 GMT"),
            lambda: with_header("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT", "nonsense"),
            lambda: with_header("Accept", "text/csv", "application/x-ndjson", "text/csv;q=0.5, application/json", "nonsense", ""),
            lambda: with_header("Prefer", "return=minimal, respond-async", "wait=5", "return=nonsense", ","),
            lambda: with_header("Plimsoll-After", "nonsense", "1"),
            lambda: request.__setitem__(0, pick(["HEAD", "OPTIONS", "GET", "PUT", "POST", "PATCH", "DELETE", "TRACE", "QUERY", "PROPFIND", "get"])),
            lambda: with_header("Expect", "the-unexpected"),
            lambda: with_header("X-Request-Id", "a-request", "bad id"),
            lambda: with_header("Request-Timeout", "0.000001", "5"),
            lambda: with_header("X-Large", "x" * 200_000),
            lambda: request.__setitem__(1, target + more + "unheard-of=1"),
            lambda: request.__setitem__(1, target + more + "x" * 100_000),
            lambda: request.__setitem__(1, target + more + pick(["limit=0", "limit=abc", "limit=1&limit=2", "limit=100000", "page=0", "cursor=nonsense", "sort=unheard-of", "count=maybe"])),
            lambda: request.__setitem__(1, target + more + pick(["fields=id", "fields=unheard-of", "fields=id,(", "embed=unheard-of", "fields=id,name", "q=a", "fields=,"])),
            lambda: request.__setitem__(1, path + "?" + self.shaping(operation)),
            lambda: request.__setitem__(1, path + "?" + self.shaping(operation)),
        ]
        if operation.path.endswith("}"):
            ways.append(lambda: request.__setitem__(1, path[:path.rfind("/") + 1] + pick([str(uuid.UUID(int=7)), "nonsense", "%00", "a%2Fb", "%C3"])))
        if any(parameter["in"] == "header" and parameter["name"] == "Range" for parameter in operation.parameters):
            ways += 9 * [lambda: with_header("Range", "bytes=0-3", "bytes=-2", "bytes=1-", "bytes=9999999-", "bytes=0-1,3-4")]
        if method == "GET":
            ways += [lambda: request.__setitem__(0, "HEAD"), lambda: request.__setitem__(3, b"{}")]
        if body is not None:
            ways += [
                lambda: with_header("Content-Type", "text/plain", "image/png", "application/json; charset=latin-1", "application/xml", "nonsense"),
                lambda: headers.pop("Content-Type", None),
                lambda: with_header("Content-Encoding", "gzip", "identity", "br", "nonsense"),
                lambda: with_header("Content-Type", "text/csv", "application/x-ndjson", "multipart/form-data", "multipart/form-data; boundary=x", "application/octet-stream", "application/json"),
                lambda: request.__setitem__(3, body[:len(body) // 2]),
                lambda: request.__setitem__(3, body + pick([b"\n", b"nonsense", b'"', b"\0", b"\n{}\n"])),
                lambda: request.__setitem__(3, pick([b"", b"{", b"[1,", b"\xff\xfe", b'{"a":1,"a":2}', b"null", b"7", b'"text"', b"[]", b"{}"])),
                lambda: request.__setitem__(3, b'{"a":"' + b"x" * (3 << 20) + b'"}'),
                lambda: request.__setitem__(3, b"[" * 5000 + b"]" * 5000),
            ]
        if json_body:
            ways += 2 * [
                lambda: request.__setitem__(3, of_object(lambda value: {**value, "unheard-of": 1})),
                lambda: request.__setitem__(3, of_object(lambda value: {key: value[key] for key in list(value)[1:]})),
                lambda: request.__setitem__(3, of_object(lambda value: {key: pick([None, 7, "text", [], {}, value[key]]) for key in value})),
                lambda: request.__setitem__(3, of_object(lambda value: {key: str(uuid.UUID(int=9)) if key.endswith("_id") else value[key] for key in value})),
                lambda: request.__setitem__(3, of_object(lambda value: {**value, "id": str(uuid.UUID(int=11))})),
                lambda: request.__setitem__(3, change(lambda value: value * 2000 if isinstance(value, list) else [value])),
                lambda: request.__setitem__(3, change(lambda value: [*value, 7] if isinstance(value, list) else value)),
            ]
        request[2] = headers
        for _ in range(pick([1, 1, 1, 2])):
            pick(ways)()
        return request

    def shaping(self, operation):
        """A query that changes which members rows have."""
        named = {parameter["name"]: parameter for parameter in operation.parameters if parameter["in"] == "query"}
        rows = [row for rows in self.rows.values() for row in rows]
        parts = []
        if "embed" in named and self.random.random() < 0.8:
            parts.append("embed=" + ",".join(self.value(named["embed"]["schema"], "embed")))
        if "fields" in named and rows and self.random.random() < 0.7:
            parts.append("fields=" + self.random.choice(["id", "name", self.random.choice(list(self.random.choice(rows)) or ["id"])]))
        if "count" in named:
            parts.append("count=exact&limit=2")
        return "&".join(parts)


class Judge:
    """Holds values against schemas of a document: by ajv where node and its packages are here, else by `plimsoll schema validate`."""

    def __init__(self, document, folder):
        self.document, self.file = document, folder / "served.json"
        self.file.write_text(json.dumps(document))
        self.by_ajv = bool(shutil.which("node")) and all((harness.ROOT / "bench/node_modules" / package).exists() for package in ("ajv", "ajv-formats"))
        self.asked, self.about = [], []

    def ask(self, about, steps, value):
        """`steps` lead to the schema. The verdict comes with `verdicts`."""
        self.asked.append(("".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps), value))
        self.about.append(about)

    def verdicts(self):
        """What is wrong: (about what, the errors)."""
        if self.by_ajv:
            command = ["node", str(harness.ROOT / "tests/programs/schemas_by_ajv.mjs"), str(self.file)]
            lines = [{"pointer": pointer, "value": value} for pointer, value in self.asked]
        else:
            uri = "https://example.com/contract"
            command = [str(harness.program()), "schema", "validate", "--json-lines"]
            lines = [{"schema": {"$ref": uri + "#" + urllib.parse.quote(pointer)}, "instance": value, "format": True, "remotes": {uri: self.document}} for pointer, value in self.asked]
        done = subprocess.run(command, input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True, timeout=1800)
        told = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(told) == len(lines), done.stderr[-2000:]
        return [(about, one.get("errors") or one.get("error")) for about, one in zip(self.about, told) if one.get("errors") or one.get("valid") is False or one.get("error")]


def readable(answer):
    """Whether the response has a body that can be looked at; one in gzip is read."""
    if answer.headers.get("content-encoding") == "gzip" and answer.body:
        answer.body = gzip.decompress(answer.body)
        answer.headers.pairs = [pair for pair in answer.headers.pairs if pair[0] != "content-encoding"]
    return bool(answer.body) and answer.headers.get("content-encoding", "identity") == "identity"


def judged_undeclared(contract, operation, method, answer, judge, about):
    """What is wrong with the answer to a method that the contract does not declare at the path of `operation`."""
    told = {one.strip() for one in answer.headers.get("allow", "").split(",")}
    if answer.status == 405 or method == "OPTIONS" and answer.status == 204:
        missing = contract.allowed(operation) - told
        if missing:
            return [f"Allow of {answer.status} lacks {sorted(missing)}"]
    elif not 400 <= answer.status < 500 and answer.status != 501:
        return [f"status {answer.status} to {method}, which is not declared"]
    if method != "HEAD" and answer.status >= 400 and readable(answer):
        judge.ask((*about, f"body {answer.body[:400]!r}"), ["components", "schemas", "Problem"], answer.json())
    return []


def judged(operation, answer, judge, about):
    """What of a response is not declared, at once; bodies and header values are given to the judge."""
    found = operation.response(answer.status)
    if not found:
        code = f" {answer.code}" if "problem" in answer.headers.get("content-type", "") and readable(answer) else ""
        return [f"status {answer.status}{code} is not declared"]
    response, place = found
    wrong = []
    declared = {name.lower(): name for name in response.get("headers", {})}
    for name, value in answer.headers.pairs:
        if name in FRAMING:
            continue
        if name not in declared:
            wrong.append(f"header {name} of {answer.status} is not declared")
            continue
        header, at = operation.contract.follow(response["headers"][declared[name]], [*place, "headers", declared[name]])
        schema = operation.contract.flat(header.get("schema", {}))
        typed = int(value) if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", value) else value
        judge.ask((*about, f"header {name}: {value}"), [*at, "schema"], typed)
    for name, header in response.get("headers", {}).items():
        if operation.contract.resolve(header).get("required") and name.lower() not in answer.headers:
            wrong.append(f"header {name} of {answer.status} is missing")
    media = answer.headers.get("content-type")
    if not readable(answer):
        return wrong
    content = {essence(name): name for name in response.get("content", {})}
    name = content.get(essence(media or "")) or content.get("*/*")
    if name is None:
        return [*wrong, f"media type {media} of {answer.status} is not declared"]
    if is_json(media) and "schema" in response["content"][name]:
        judge.ask((*about, f"body {answer.body[:400]!r}"), [*place, "content", name, "schema"], answer.json())
    return wrong
