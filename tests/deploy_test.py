"""What lies in deploy/ fits the program."""
import re
import shutil
import subprocess
import unittest

import harness

DEPLOY = harness.ROOT / "deploy"


class Deploy(harness.ServerTest):
    def test_the_container_has_every_library_that_the_program_links(self):
        harness.needs("dpkg", "ldd")
        linked = subprocess.run(["ldd", harness.program()], capture_output=True, text=True, check=True).stdout
        paths = [path for path in re.findall(r"=> (/\S+)", linked) if not re.search(r"lib(asan|ubsan|tsan|clang_rt)", path)]
        # Files of merged /usr are known to dpkg by either name.
        known = [name for path in paths for name in {path, "/usr" + path, path.removeprefix("/usr")}]
        owners = dict(reversed(line.split(": ")) for line in subprocess.run(["dpkg", "-S", *known], capture_output=True, text=True).stdout.splitlines())
        names = {owner.split(":")[0] for owner in owners.values()}
        found = {path.removeprefix("/usr") for path in owners}
        self.assertEqual([path for path in paths if path.removeprefix("/usr") not in found], [], "of no package")
        basic = {"libc6", "libgcc-s1"}  # of every Debian
        listed = set(re.search(r"no-install-recommends \\\n(.*?)&& \\\n", (DEPLOY / "Containerfile").read_text(), re.S)[1].replace("\\", "").split())
        brought, new = set(), listed & names  # by what is listed, and by what that brings
        while new:
            said = subprocess.run(["dpkg-query", "-W", "-f", "${Depends}, ", *sorted(new)], capture_output=True, text=True).stdout
            new = ({one.split()[0].split(":")[0] for one in said.split(", ") if one.strip()} - brought) & names
            brought |= new
        self.assertEqual(names - basic - listed - brought, set())

    def test_the_unit_is_understood_by_systemd(self):
        if not shutil.which("systemd-analyze"):
            raise unittest.SkipTest("systemd-analyze is not installed")
        unit = self.directory() / "plimsoll.service"
        unit.write_text((DEPLOY / "plimsoll.service").read_text().replace("/usr/bin/plimsoll", str(harness.program())))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
        self.assertEqual([line for line in done.stderr.splitlines() if "plimsoll.service" in line], [], done.stderr)


if __name__ == "__main__":
    harness.main()
