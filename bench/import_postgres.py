#!/usr/bin/env python3
"""Imports into PostgreSQL beside psql's \\copy of the same rows into the same table, and the memory of an export.

  bench/import_postgres.py [--build build/release] [--rounds 3] [--rows 1000000]

In each round, one after the other: `\\copy`; an import whose last row breaks the schema, which is what validation costs; the import; the import with
90 rows that a unique index refuses; and, by psql, a staging table (\\copy into a temporary table, INSERT ... SELECT). Time is that on the
clock and the CPU time of both sides: psql, or the server, and PostgreSQL. Ratios are taken within a round.
"""
import contextlib
import json
import pathlib
import resource
import subprocess
import time

import harness
import measure

CONTRACT = """
openapi: 3.1.0
info: {title: Stock, version: '1'}
security: []
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables: {parts: {schema: '#/components/schemas/Part', unique: [sku]}}
paths:
  /parts:
    get: {operationId: listParts, x-plimsoll: {table: parts, deadline: 10m}, responses: {'200': {description: Parts, content: {application/json: {}, application/x-ndjson: {}}}}}
  /parts/import:
    post:
      operationId: importParts
      x-plimsoll: {table: parts, batch: {import: {max: 10000000, body: 2GiB}}, deadline: 30m}
      requestBody: {required: true, content: {text/csv: {}}}
      responses: {'200': {description: Stored}}
components:
  schemas:
    Part:
      type: object
      required: [id, sku, name, amount]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        sku: {type: string, pattern: '^[A-Z]{2}-[0-9]+$'}
        name: {type: string, minLength: 1, maxLength: 100}
        amount: {type: integer, minimum: 0}
        price: {type: string, format: decimal}
        weight: {type: number}
        fragile: {type: boolean}
        created_at: {type: string, format: date-time, readOnly: true}
"""
COLUMNS = "id,sku,name,amount,price,weight,fragile,created_at"
REFUSED = 90  # rows, all over the import; fewer than are reported, so that all are looked for
HEAD = "sku,name,amount,price,weight,fragile\n"


def row(i):
    return f"AA-{i},Part number {i} of the stock,{i % 1000},{i % 100000}.{i % 100:02},{i % 977 / 8},{'true' if i % 3 else 'false'}\n"


def written(path, rows, changed=None, last=""):
    with open(path, "w") as file:
        file.write(HEAD)
        for i in range(rows):
            file.write(row(changed[i] if changed and i in changed else i))
        file.write(last)
    return path


def copied(path, rows):
    """What \\copy takes: with the columns that the server fills."""
    with open(path, "w") as file:
        for i in range(rows):
            file.write(f"01900000-0000-7000-8000-{i:012x},{row(i).strip()},2026-01-01T00:00:00.123Z\n")
    return path


def spent(pid):
    """CPU seconds of a process, of its descendants, and of those of them that have ended."""
    total = 0.0
    for one in measure.family(pid):
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(map(int, fields[11:15])) / measure.TICK
    return total


class Sides:
    def __init__(self, postgres, server, database):
        self.postgres, self.server, self.database = postgres, server, database

    def clear(self):
        self.postgres.sql("TRUNCATE parts", self.database)
        self.postgres.sql("CHECKPOINT", self.database)

    def timed(self, run):
        self.clear()
        before = spent(self.postgres.pid), spent(self.server.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        ours = run()
        took = time.monotonic() - began
        after = spent(self.postgres.pid), spent(self.server.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
        client = after[1] - before[1] if ours else sum(getattr(after[2], name) - getattr(before[2], name) for name in ("ru_utime", "ru_stime"))
        return took, client, after[0] - before[0]

    def psql(self, *commands):
        arguments = [one for command in commands for one in ("-c", command)]
        said = self.postgres._run("psql", "-h", self.postgres.folder, "-p", self.postgres.port, "-U", "postgres", "-d", self.database, "-qtAX", "-v", "ON_ERROR_STOP=1", *arguments)
        return False and said

    def send(self, path, status):
        done = subprocess.run(["curl", "-sS", "-X", "POST", "-H", "Content-Type: text/csv", "-H", "Expect:", "-T", str(path), "-w", "\n%{http_code}", f"{self.server.url}/parts/import"],
                              capture_output=True, text=True, check=True)
        if not done.stdout.endswith(f"\n{status}"):
            raise SystemExit(f"the import was answered otherwise than by {status}: {done.stdout[:2000]}")
        return True


def main():
    parser = measure.options(__doc__, rounds=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    chosen = measure.chosen(parser)
    measure.needs("curl")
    with measure.a_folder() as folder:
        (folder / "pg").mkdir()
        postgres = harness.Postgres(folder / "pg", "max_wal_size=8GB\ncheckpoint_timeout=1h\nshared_buffers=256MB\n").start()
        database = postgres.database()
        (folder / "contract.yaml").write_text(CONTRACT)
        (folder / "plimsoll.yaml").write_text(f"database: {{url: '{postgres.socket_url(database)}', pool: {{min: 1, max: 4}}}}\nlimits: {{bodies-on-disk: 4GiB}}\n")
        server = harness.Server(folder / "contract.yaml", folder, folder / "plimsoll.yaml", executable=chosen.build / "bin" / "plimsoll").start()
        sides = Sides(postgres, server, database)
        try:
            good, wrong = written(folder / "good.csv", chosen.rows), written(folder / "wrong.csv", chosen.rows, last="bad,,,,,\n")
            taken = written(folder / "taken.csv", chosen.rows, {(i + 1) * chosen.rows // (REFUSED + 1): 0 for i in range(REFUSED)})
            whole = copied(folder / "whole.csv", chosen.rows)
            copy = f"\\copy {{}}({COLUMNS}) FROM '{whole}' WITH (FORMAT csv)"
            ways = {
                "copy": lambda: sides.psql(copy.format("parts")),
                "validation": lambda: sides.send(wrong, 422),
                "import": lambda: sides.send(good, 200),
                "refused": lambda: sides.send(taken, 409),
                "staging": lambda: sides.psql("BEGIN", "CREATE TEMP TABLE staged(LIKE parts) ON COMMIT DROP", copy.format("staged"),
                                              f"INSERT INTO parts({COLUMNS}) SELECT {COLUMNS} FROM staged", "COMMIT"),
            }
            all_rounds = []
            for number in range(chosen.rounds):
                figures = {name: sides.timed(run) for name, run in ways.items()}
                all_rounds.append(figures)
                print(f"round {number + 1}: " + "; ".join(f"{name} {took:.2f} s ({client:.2f} + {backend:.2f} s CPU)" for name, (took, client, backend) in figures.items()), flush=True)
            clock = lambda one: one[0]
            cpu = lambda one: one[1] + one[2]
            for what, of in (("time", clock), ("CPU", cpu)):
                ratios = lambda name: [of(each[name]) / (of(each["copy"]) + of(each["validation"])) for each in all_rounds]
                measure.ratio_row(f"{chosen.rows:,} rows, {what}: import / (\\copy + validation)", ratios("import"), 1.3)
                measure.ratio_row(f"{chosen.rows:,} rows, {what}: with 90 rows refused / (\\copy + validation)", ratios("refused"), 2.5)
                measure.ratio_row(f"{chosen.rows:,} rows, {what}: a staging table by psql / \\copy", [of(each["staging"]) / of(each["copy"]) for each in all_rounds])
                measure.ratio_row(f"{chosen.rows:,} rows, {what}: import / \\copy", [of(each["import"]) / of(each["copy"]) for each in all_rounds])
            sides.clear()
            sides.send(good, 200)
            pathlib.Path(f"/proc/{server.pid}/clear_refs").write_text("5")
            before = measure.memory(server.pid, "VmRSS")
            said = subprocess.run(["curl", "-sS", "-H", "Accept: application/x-ndjson", f"{server.url}/parts", "-o", "/dev/null", "-w", "%{http_code} %{size_download}"],
                                  capture_output=True, text=True, check=True).stdout
            measure.row(f"an export of {chosen.rows:,} rows: the most memory of the process", measure.memory(server.pid), 64, unit="MiB", note=f"{before:.0f} MiB before; {said}")
        finally:
            server.stop()
            postgres.stop()


if __name__ == "__main__":
    main()
