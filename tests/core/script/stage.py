"""A place where scripts run for real: the shells themselves have the last word."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvsync.core.script.model import Script
from testbed.kubelet.expansion import expand

WORD = '--kv-events-config={"enable_kv_cache_events":true,"endpoint":"tcp://*:5557","topic":""}'

ENV = {
    "MODEL": "org/model",
    "PORT": "8000",
    "EMPTY": "",
    "QUOTED": "--name 'a b'",
    "FLAGS": " --max-num-seqs  4 ",
    "RAY_START": "ray start --head",
}

END = "\1"

# What the engines' stand-ins write down: each argument and an end sign, every one closed by a NUL.
RECORDER = f"""#!/bin/sh
printf '%s\\0' "${{0##*/}}" "$@" '{END}' >> "$RECORD"
"""

WRAPPER = """#!/bin/sh
while [ "$1" != vllm ]; do shift; done
exec "$@"
"""

QUIET = "#!/bin/sh\nexit 0\n"


@dataclass(frozen=True)
class Stage:
    """A place where scripts run for real, with stand-ins for the programs that they start."""

    root: Path

    def build(self) -> None:
        programs = {
            **dict.fromkeys(("vllm", "python3", "start.sh"), RECORDER),
            **dict.fromkeys(("numactl", "tini"), WRAPPER),
            **dict.fromkeys(("pip", "ray", "curl"), QUIET),
        }
        self.bin.mkdir()
        for name, text in programs.items():
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        for name in ("bash", "cat", "env", "nohup", "sh", "tee"):
            (self.bin / name).symlink_to(shutil.which(name) or pytest.skip(f"no {name}"))

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    def run(self, shell: str, text: str, variables: Mapping[str, str]) -> list[list[str]]:
        """The command lines that the engines' stand-ins got, in order."""
        record, directory = self.root / "record", self.root / "directory"
        record.write_bytes(b"")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        subprocess.run(
            [self.bin / shell, "-c", expand(text, variables)],
            env={**variables, "PATH": str(self.bin), "RECORD": str(record), "LC_ALL": "C.UTF-8"},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
        calls: list[list[str]] = [[]]
        for word in record.read_bytes().decode().split("\0")[:-1]:
            if word == END:
                calls.append([])
            else:
                calls[-1].append(word)
        return calls[:-1]


def words_of(script: Script) -> list[list[str]]:
    return [[word.text for word in command.words] for command in script.commands]
