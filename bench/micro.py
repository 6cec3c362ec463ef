#!/usr/bin/env python3
"""The micro benchmarks beside the sources (x_bench.cpp), each for a moment, and the figures of them that have a target.

  bench/micro.py [--build build/release] [--seconds 0.1] [--only policy]
"""
import json
import pathlib
import re
import shutil
import statistics
import subprocess

import measure


def run(program, seconds, folder):
    """name -> the figures of a benchmark, the median of three."""
    out = folder / f"{program.name}.json"
    subprocess.run([program, f"--benchmark_min_time={seconds}", "--benchmark_repetitions=3", "--benchmark_enable_random_interleaving=true",
                    "--benchmark_filter=-^counted", f"--benchmark_out={out}", "--benchmark_out_format=json"], check=True, capture_output=True, text=True, timeout=300,
                   cwd=folder)
    found = {}
    for one in json.loads(out.read_text())["benchmarks"]:
        if one.get("run_type") == "iteration":
            if one.get("error_occurred"):
                raise SystemExit(f"{program.name}: {one['name']}: {one.get('error_message')}")
            found.setdefault(one["run_name"], []).append(one)
    return found


def middle(rounds, key):
    return statistics.median(one[key] for one in rounds)


def router_instructions(program, folder):
    """operations -> instructions a match: the difference of a run and one twice as long, under callgrind."""
    found = {}
    for operations in (20, 2000):
        totals, matches = [], 120 * 500  # of the requests of router_bench.cpp, in 500 rounds
        for name in ("counted", "counted_twice"):
            subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", f"--log-file={folder}/said", program,
                            f"--benchmark_filter=^{name}/{operations}/", f"--benchmark_out={folder}/counted.json", "--benchmark_out_format=json"],
                           check=True, capture_output=True, timeout=300)
            totals.append(int(re.search(r"Collected : (\d+)", (folder / "said").read_text())[1]))
        found[operations] = (totals[1] - totals[0]) / matches
    return found


def main():
    parser = measure.options(__doc__, seconds=0.1)
    parser.add_argument("--only", default="")
    chosen = measure.chosen(parser)
    with measure.a_folder() as folder:
        for program in sorted(chosen.build.glob("bin/*_bench")):
            if chosen.only not in program.name:
                continue
            print(f"{program.name}:", flush=True)
            found = run(program, chosen.seconds, folder)
            for name, rounds in found.items():
                more = "  ".join(f"{key} {measure.shown(statistics.median(one[key] for one in rounds))}" for key in rounds[0]
                                 if key in ("rows/s", "times_row_by_row", "bytes_per_second", "items_per_second", "instructions/match"))
                print(f"  {name:50} {middle(rounds, 'real_time'):12,.0f} {rounds[0]['time_unit']}  {more}", flush=True)
            for name, rounds in found.items():
                if name == "match/2000":
                    values = [one["per_match"] * 1e9 for one in rounds]
                    measure.row("a match among 2,000 operations", statistics.median(values), 150, low=min(values), high=max(values), unit="ns")
            if program.name == "contract_bench":
                if shutil.which("valgrind"):
                    counted = router_instructions(program, folder)
                    measure.row("instructions a match, 2,000 operations / 20", counted[2000] / counted[20], 1.2, counted=True,
                                note=f"{counted[2000]:,.0f} and {counted[20]:,.0f}")
                else:
                    measure.missing("instructions a match, 2,000 operations / 20", "without callgrind")
            if program.name == "database_bench":
                rates = {name.split("/")[1]: [one["rows/s"] for one in rounds] for name, rounds in found.items() if name.startswith("writes/")}
                for what, key, target in (("a batch of 1,000", "batch_of_1000", 15), ("64 clients, commits grouped,", "group_of_64_clients", 4)):
                    measure.ratio_row(f"rows/s written by {what} / row by row", [a / b for a, b in zip(rates[key], rates["row_by_row"])], target, least=True)


if __name__ == "__main__":
    main()
