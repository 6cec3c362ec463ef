#!/usr/bin/env python3
"""What each policy costs: the tiny GET from a C++ handler with exactly one policy on, and with all of them on together, beside the bare
tiny GET of the engine alone.

  bench/policies.py [--build build/release] [--rounds 5] [--seconds 1] [--connections 64]

Instructions a request in user space are counted by callgrind: exact, and of the server only. CPU time has the system's work in it, which
is most of a request's, and is what the target is about: all policies together at most 1.4 times the bare tiny GET.
"""
import copy
import http.client
import json
import pathlib
import re
import shutil
import subprocess

import measure

OFF = {name: "off" for name in ("trace", "access-log", "measure", "security-headers", "cors", "deadline", "priority", "rate-limit", "validate",
                                "compression", "conditional", "fields", "responses", "cache", "idempotency")}
# Each as it is when somebody turns it on; the limits are higher than any load here, and are looked at for every request.
ON = {
    "trace": {"trace": {}},
    "access-log": {"access-log": {}},
    "measure": {"measure": {}},
    "security-headers": {"security-headers": {}},
    "cors": {"cors": {"origins": ["https://app.example.com"]}},
    "deadline": {"deadline": "30s"},
    "priority": {"priority": "default"},
    "rate-limit": {"rate-limit": "100000000/second by address"},
    "authentication": {},
    "validate": {"validate": {}},
    "compression": {"compression": {}},
    "conditional": {"conditional": {}},
    "fields": {"fields": {}},
    "responses": {"responses": "enforce"},
    "cache": {"cache": "1h"},
}
SECURED = ("authentication", "all")
TITLES = {"authentication": "authentication and authorization", "priority": "shed", "all": "all policies on"}
GREETING = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string", "maxLength": 100}}}


def contract():
    paths = {}
    for name in ("none", *ON, "all"):
        words = dict(OFF)
        for policy in ON if name == "all" else [name] if name in ON else []:
            words.update(ON[policy])
        if name == "all":
            words["rate-limit"] = ["100000000/second by address", "100000000/second by caller"]
        paths[f"/{name}"] = {"get": {
            "operationId": name, "parameters": [{"name": "fields", "in": "query", "schema": {"type": "string"}}] if name in ("fields", "all") else [],
            "security": [{"bearer": ["read"]}] if name in SECURED else [], "x-plimsoll": words,
            "responses": {"200": {"description": "A greeting", "content": {"application/json": {"schema": GREETING}}}}}}
    return {"openapi": "3.1.0", "info": {"title": "Policies", "version": "1"}, "paths": paths,
            "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}}}


class Credential:
    """A token of a key made for this run."""

    def __init__(self, build, folder):
        program = [build / "bin/plimsoll", "token"]
        subprocess.run([*program, "key", "--private", "private.jwk", "--public", "jwks.json"], cwd=folder, check=True, capture_output=True)
        self.token = subprocess.run([*program, "issue", "--key", "private.jwk", "--subject", "ada", "--issuer", "https://id.example.com/", "--audience",
                                     "hello", "--scope", "read", "--expires", "12h"], cwd=folder, check=True, capture_output=True, text=True).stdout.split()[-1]
        self.config = f"authentication: {{bearer: {{issuer: 'https://id.example.com/', audience: hello, jwks: {folder}/jwks.json}}}}\n"
        self.lua = folder / "token.lua"
        self.lua.write_text(f'wrk.headers["Authorization"] = "Bearer {self.token}"\n')


def start(build, folder, credential, before=()):
    return measure.chain(build, folder, contract=json.dumps(contract()), operations=("none", *ON, "all"), config=credential.config,
                         target="/none", name="plimsoll", before=before)


def instructions(build, folder, credential, count=2000):
    """path -> instructions a request: one server under callgrind, whose counters are written out between the paths."""
    out = folder / "callgrind.out"
    server = start(build, folder, credential, before=["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--log-file={folder}/said"])
    found = {}
    try:
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

        def dump():
            subprocess.run(["callgrind_control", "-d", str(server.pid)], check=True, capture_output=True, timeout=60)

        parts = 0
        for name in ("none", *ON, "all"):
            headers = {"Authorization": f"Bearer {credential.token}"} if name in SECURED else {}
            for number, rounds in enumerate((count // 4, count)):
                for _ in range(rounds):
                    line.request("GET", f"/{name}", headers={"User-Agent": "wrk/4.1.0", "Accept": "*/*", **headers})
                    answer = line.getresponse()
                    if answer.read() != measure.BODY.encode() or answer.status != 200:
                        raise SystemExit(f"bench/policies.py: /{name} answers {answer.status}")
                dump()
                parts += 1
            part = pathlib.Path(f"{out}.{parts}")
            files = sorted(folder.glob(f"{out.name}.{parts}*"))
            text = (part if part.exists() else files[0]).read_text()
            found[name] = int(re.search(r"^(?:summary|totals): (\d+)", text, re.M)[1]) / count
    finally:
        server.stop()
    return found


def main():
    parser = measure.options(__doc__, rounds=4)
    parser.add_argument("--no-callgrind", action="store_true")
    chosen = measure.chosen(parser)
    measure.needs("wrk", "curl")
    with measure.a_folder() as folder:
        credential = Credential(chosen.build, folder)
        with measure.running(lambda: measure.bare(chosen.build, folder), lambda: start(chosen.build, folder, credential)) as (bare, ours):
            views = [bare]
            for name in ("none", *ON, "all"):
                view = copy.copy(ours)
                view.name, view.target = name, f"/{name}"
                views.append(view)

            def load(server, seconds):
                return measure.wrk(server, seconds, chosen.connections, *(["-s", credential.lua] if server.name in SECURED else []))

            found = measure.take_turns(views, load, chosen.rounds, chosen.seconds)
        counted = {}
        if not chosen.no_callgrind and shutil.which("callgrind_control"):
            counted = instructions(chosen.build, folder, credential)
    measure.show(found, bare.name)
    for name in ("none", *ON):
        told = f"+{counted[name] - counted['none']:,.0f} instructions" if counted and name != "none" else f"{counted['none']:,.0f} instructions" if counted else ""
        what = "a contract, no policy" if name == "none" else f"policy {TITLES.get(name, name)}"
        measure.ratio_row(f"CPU of the tiny GET with {what} / " + (bare.name.split(", ")[1] if name == "none" else "no policy"),
                          measure.ratios(found, bare.name if name == "none" else "none", name), note=told)
    measure.ratio_row("CPU of the tiny GET with all policies on / bare handler", measure.ratios(found, bare.name, "all"), 1.4,
                      note=f"{counted['all']:,.0f} instructions" if counted else "")


if __name__ == "__main__":
    main()
