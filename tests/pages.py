"""Pages of documentation as tests: what a page shows is laid down, run and compared.

A fenced block says what it is:

    ```yaml library.yaml        a file of that name, written into the folder of the page
    ```sh                       commands, run by one bash for the whole page
    ```output                   what the commands above it print; `…` stands for anything

`plimsoll serve … &` returns once the server answers. The ports that a page shows are replaced by free ones.
"""
import os
import pathlib
import re
import signal
import subprocess

import harness

SHOWN = {"8080": None, "9180": None, "8443": None}  # ports that pages show
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.S | re.M)

START = r"""
set -m
trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null' EXIT
ready() {  # PID: returns once that server answers
  for ((i = 0; i < 600; ++i)); do
    kill -0 $1 2>/dev/null || { cat server.log; return 1; }
    for at in http://127.0.0.1:@8080 https://127.0.0.1:@8443; do curl -sk -m 5 -o /dev/null "$at/livez" && return; done
    sleep 0.1
  done
  cat server.log; return 1
}
"""

# On a command line without addresses, and without a plimsoll.yaml that names them, the page's server takes the ports of the page.
WRAPPER = r"""#!/bin/bash
more=()
case $1 in
  serve|mock)
    [[ "$*" == *--listen* ]] || grep -qs '^listen' plimsoll.yaml || more+=(--listen 127.0.0.1:@8080)
    [[ "$*" == *--management* ]] || grep -qs '^management' plimsoll.yaml || more+=(--management 127.0.0.1:@9180) ;;
  log|reload)
    [[ "$*" == *--management* ]] || grep -qs '^management' plimsoll.yaml || more+=(--management 127.0.0.1:@9180) ;;
esac
exec "%s" "$@" "${more[@]}"
"""


def blocks(text):
    """(kind, name, content) of each fenced block, in their order."""
    return BLOCK.findall(text)


def matches(shown, printed):
    pattern = ".*?".join(re.escape(part) for part in shown.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.S)


class Page:
    """A page that is run from its beginning to its end."""
    patience = harness.PATIENCE

    def __init__(self, path, test):
        self.path, self.test, self.folder = path, test, test.directory()
        self.ports = {shown: test.port() for shown in SHOWN}
        (self.folder / ".bin").mkdir()
        wrapper = self.folder / ".bin/plimsoll"
        wrapper.write_text(self.to_free(WRAPPER) % harness.program())
        wrapper.chmod(0o755)

    def to_free(self, text):
        for shown, free in self.ports.items():
            text = re.sub(rf"(?<=[@:]){shown}\b", str(free), text).replace(f"@{free}", str(free))
        return text

    def to_shown(self, text):
        for shown, free in self.ports.items():
            text = text.replace(str(free), shown)
        return text.replace(str(self.folder), "/srv")

    def script(self, steps):
        parts = [self.to_free(START)]
        for at, (kind, name, content) in enumerate(steps):
            content = self.to_free(content)
            if kind == "sh":
                content = re.sub(r"^(plimsoll (?:serve|mock) .*?) *&$", r"{ \1 >>server.log 2>&1 & }; ready $!", content, flags=re.M)
                parts.append(f"printf '\\n@@{at}\\n'\n{content}")
            else:  # a file, at this place of the page
                parts.append(f"mkdir -p $(dirname {name}); cat >{name} <<'@@END'\n{content}@@END")
        return "\n".join(parts)

    def run(self):
        """(commands, what is shown, what was printed) of each block of commands that has an output, and all that was printed."""
        all_blocks = blocks(self.path.read_text())
        steps = [each for each in all_blocks if each[0] == "sh" or each[1]]
        process = subprocess.Popen(["bash", "-c", self.script(steps)], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                   env={**os.environ, "PATH": f"{self.folder}/.bin:{os.environ['PATH']}", "HOME": str(self.folder)})
        try:
            printed, _ = process.communicate(timeout=self.patience)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        printed = self.to_shown(printed)
        by_step = {int(number): text for number, text in re.findall(r"\n@@(\d+)\n(.*?)(?=\n@@\d+\n|\Z)", printed, re.S)}
        found = []
        for at, (kind, name, content) in enumerate(all_blocks):
            if kind == "output":
                before = all_blocks[at - 1]
                found.append((before[2], content, by_step.get(steps.index(before), "")))
        return found, printed


def with_commands():
    """The pages of docs/ that show commands to run."""
    return sorted(path for path in (harness.ROOT / "docs").glob("*.md") if re.search(r"^```sh$", path.read_text(), re.M))


def all_pages():
    """Every page that somebody reads."""
    root = pathlib.Path(harness.ROOT)
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("examples/**/*.md")])
