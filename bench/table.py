#!/usr/bin/env python3
"""The closing table of `make bench`: table.py ROWS, where the measurements have left their rows (one JSON object a line)."""
import json
import sys

import measure


def main():
    rows = [json.loads(line) for line in open(sys.argv[1])]
    print(f"{'':62} {'figure':>9} {'':6} {'lowest to highest':20} {'target':>10}")
    bench = None
    for one in rows:
        if one["bench"] != bench:
            bench = one["bench"]
            print(f"-- bench/{bench}")
        print(measure.line(one))
    judged = [one for one in rows if one.get("met") is not None]
    short = [one for one in judged if not one["met"]]
    absent = [one for one in rows if one["figure"] is None]
    loose = [one for one in rows if one["figure"] is not None and not one["measurable"]]
    print(f"\n{len(judged) - len(short)} of {len(judged)} targets met, {len(short)} short, {len(absent)} not measured, {len(loose)} not measurable here")
    for one in short:
        print(f"  SHORT: {one['what']}: {measure.shown(one['figure'])}, wanted {'>=' if one['least'] else '<='} {measure.shown(one['target'])}")


if __name__ == "__main__":
    main()
