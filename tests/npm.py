"""What some tests ask for a second opinion: packages of npm, pinned in bench/package.json and installed into bench/node_modules."""
import fcntl
import shutil
import subprocess
import unittest

import harness

FOLDER = harness.ROOT / "bench"


def needs(*packages):
    """The packages in bench/node_modules, or the test is skipped, saying so."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise unittest.SkipTest(f"node and npm are not here: {', '.join(packages)} cannot be asked (scripts/install-dependencies test)")
    with open(FOLDER / "package.json") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if all((FOLDER / "node_modules" / package).exists() for package in packages):
            return
        command = ["npm", "install", "--omit=optional", "--no-audit", "--no-fund", "--silent"]
        try:
            done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:  # a registry that never answers is none
            raise unittest.SkipTest("npm install in bench/ has not ended within 300 s") from None
        if done.returncode:
            raise unittest.SkipTest(f"npm install in bench/ failed: {done.stderr.strip()[-300:]}")
