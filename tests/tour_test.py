"""The tour of the README: each command is run as it stands there, and prints what is shown there (`…` stands for anything)."""
import os
import re
import shutil
import subprocess

import harness
from pages import matches


def steps():
    """(title, commands, output or None) of each block of commands in the README."""
    text = (harness.ROOT / "README.md").read_text()
    found = re.findall(r"\*\*([^*\n]+)\*\*(?:(?!\n\*\*).)*?```sh\n(.*?)```\n(?:```output\n(.*?)```)?", text, re.S)
    return [(title, commands, output) for title, commands, output in found]


class Tour(harness.ServerTest):
    def test_every_command_prints_what_the_readme_shows(self):
        harness.needs("curl", "jq")
        text = (harness.ROOT / "README.md").read_text()
        self.assertEqual(len(steps()), text.count("```sh\n"), "a block of commands has no bold title before it")
        listen, management, own = (f"127.0.0.1:{self.port()}" for _ in range(3))
        folder = self.directory()
        (folder / "build/demo").mkdir(parents=True)
        demo = self.process([harness.ROOT / "scripts/demo"], environment={
            "LISTEN": listen, "MANAGEMENT": management, "PLIMSOLL": harness.program(), "DEMO": folder / "build/demo"})
        harness.until(lambda: "Ctrl-C ends it." in demo.output or not demo.alive, demo.describe)
        self.assertTrue(demo.alive, demo.describe())
        (folder / "bin").mkdir()
        (folder / "bin/plimsoll").symlink_to(harness.program())
        for title, commands, output in steps():
            with self.subTest(title):
                for written, used in (("127.0.0.1:8080", listen), ("127.0.0.1:9180", management), ("127.0.0.1:8090", own)):
                    commands = commands.replace(written, used)
                # Job control as on a terminal (`kill %1`); whatever is left behind ends with its process group.
                done = subprocess.run(["bash", "-c", "set -m\n" + commands + "\nwait"], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                      timeout=harness.PATIENCE, env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"})
                own_lines = "\n".join(line for line in done.stdout.splitlines() if not re.match(r"plimsoll: |  ?|$", line) or line in output)
                self.assertTrue(matches(output, own_lines), f"{commands}\nshown:\n{output}\nprinted:\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    harness.main()
