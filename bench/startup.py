#!/usr/bin/env python3
"""From the start of the process to the first 200 of `plimsoll mock`, for contracts of 1.7 MB: on the wall, in processor time, and the memory.

  bench/startup.py [--build build/release] [--rounds 7]

The contracts are those of Box (JSON) and Twilio (YAML) in $PLIMSOLL_REAL_DATA, by default ../shared/real.
"""
import http.client
import os
import pathlib
import statistics
import subprocess
import time

import measure

CONTRACTS = (("box.json", "/2.0/users/me", "Bearer t"), ("twilio-api-v2010.yaml", "/2010-04-01/Accounts.json", "Basic dDp0"))


def start(program, contract, target, credential, folder):
    """Milliseconds on the wall and of processor time, and MiB."""
    port = measure.free_port()
    began = time.monotonic()
    server = subprocess.Popen([program, "mock", contract, "--listen", f"127.0.0.1:{port}", "--management", "off"], cwd=folder,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                line.request("GET", target, headers={"Authorization": credential})
                status = line.getresponse().status
                break
            except OSError:
                if server.poll() is not None or time.monotonic() - began > 30:
                    raise SystemExit(f"{contract} is not served") from None
                time.sleep(0.001)
            finally:
                line.close()
        wall = time.monotonic() - began
        if status != 200:
            raise SystemExit(f"{contract}: {target} answered {status}")
        return wall * 1000, measure.cpu_seconds(server.pid) * 1000, measure.memory(server.pid)
    finally:
        server.kill()
        server.wait()


def main():
    chosen = measure.chosen(measure.options(__doc__, rounds=7))
    real = pathlib.Path(os.environ.get("PLIMSOLL_REAL_DATA", measure.ROOT.parent / "shared" / "real")) / "contracts"
    with measure.a_folder() as folder:
        for name, target, credential in CONTRACTS:
            if not (real / name).exists():
                measure.missing(f"start of mock, {name}", f"{real / name} is not there")
                continue
            found = [start(str(chosen.build / "bin/plimsoll"), str(real / name), target, credential, folder) for _ in range(chosen.rounds)]
            for what, unit, promised, values in zip(("first 200", "CPU until then", "memory at most"), ("ms", "ms", "MiB"), (300, None, 80), zip(*found)):
                measure.row(f"start of mock, {name}: {what}", statistics.median(values), promised, low=min(values), high=max(values), unit=unit)


if __name__ == "__main__":
    main()
