#!/usr/bin/env python3
"""From the start of the process to the first 200 of `plimsoll mock`, for contracts of 1.7 MB: on the wall, in processor time, and the memory.

  bench/startup.py [--build build/release] [--rounds 7]

The contracts are those of Box (JSON) and Twilio (YAML) in $PLIMSOLL_REAL_DATA, by default ../shared/real.
"""
import argparse
import http.client
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import engines  # noqa: E402

CONTRACTS = (("box.json", "/2.0/users/me"), ("twilio-api-v2010.yaml", "/2010-04-01/Accounts.json"))


def start(program, contract, target, folder):
    """Milliseconds on the wall and of processor time, and MiB."""
    port = engines.free_port()
    began = time.monotonic()
    server = subprocess.Popen([program, "mock", contract, "--listen", f"127.0.0.1:{port}", "--management", "off"], cwd=folder,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                line.request("GET", target, headers={"Authorization": "Basic dDp0" if "twilio" in contract else "Bearer t"})
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
        memory = next(int(line.split()[1]) for line in pathlib.Path(f"/proc/{server.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
        return wall * 1000, engines.cpu_seconds(server.pid) * 1000, memory / 1024
    finally:
        server.kill()
        server.wait()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", type=pathlib.Path, default=engines.default_build())
    options.add_argument("--rounds", type=int, default=7)
    chosen = options.parse_args()
    program = str((chosen.build / "bin/plimsoll").resolve())
    real = pathlib.Path(os.environ.get("PLIMSOLL_REAL_DATA", ROOT.parent / "shared" / "real")) / "contracts"
    with tempfile.TemporaryDirectory() as folder:
        for name, target in CONTRACTS:
            if not (real / name).exists():
                print(f"{name}: not measured, {real / name} is not there")
                continue
            found = [start(program, str(real / name), target, folder) for _ in range(chosen.rounds)]
            wall, processor, memory = zip(*found)
            print(f"{name}: first 200 after {statistics.median(wall):.0f} ms (least {min(wall):.0f}), {statistics.median(processor):.0f} ms of "
                  f"processor time, {max(memory):.0f} MiB; promised: 300 ms, 80 MiB")


if __name__ == "__main__":
    main()
