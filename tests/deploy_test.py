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
        unit.write_text((DEPLOY / "plimsoll.service").read_text().replace("/usr/local/bin/plimsoll", str(harness.program())))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
        self.assertEqual([line for line in done.stderr.splitlines() if "plimsoll.service" in line], [], done.stderr)

    def test_the_unit_runs_the_program_where_the_page_installs_it_and_names_no_file_that_nothing_installs(self):
        unit = (DEPLOY / "plimsoll.service").read_text()
        prefix = re.search(r"cmake --install \S+ --prefix (\S+)", (harness.ROOT / "docs/installation.md").read_text())[1]
        self.assertEqual(re.search(r"ExecStart=(\S+)", unit)[1], f"{prefix}/bin/plimsoll")
        self.assertNotIn("Documentation=file:", unit)

    def test_kubernetes_runs_the_user_of_the_image_and_has_all_that_it_mounts(self):
        image, pod = (DEPLOY / "Containerfile").read_text(), (DEPLOY / "kubernetes.yaml").read_text()
        user, group = re.search(r"(?m)^USER (\d+):(\d+)$", image).groups()
        self.assertNotEqual(user, "0")
        self.assertIn(f"useradd --uid {user} ", image)
        for name, number in (("runAsUser", user), ("runAsGroup", group), ("fsGroup", group)):
            self.assertIn(f"{name}: {number}", pod)
        documents = re.split(r"(?m)^---$", pod)
        named = lambda kind: {re.search(r"metadata: \{name: (\w+)\}", one)[1] for one in documents if f"\nkind: {kind}\n" in one}
        self.assertEqual(set(re.findall(r"claimName: (\w+)", pod)), named("PersistentVolumeClaim"))
        self.assertEqual(set(re.findall(r"configMap: \{name: (\w+)\}", pod)), set(re.findall(r"kubectl create configmap (\w+)", pod)))

    def test_every_command_line_names_the_deployment_beside_its_contract(self):
        """Their working directory is that of the database."""
        for path in DEPLOY.iterdir():
            for line in path.read_text().splitlines():
                if found := re.search(r"\bserve,? (/\S+?),? ", line):
                    folder = found[1].rpartition("/")[0]
                    self.assertRegex(line, rf"--config,? {folder}/plimsoll\.yaml", path)


if __name__ == "__main__":
    harness.main()
