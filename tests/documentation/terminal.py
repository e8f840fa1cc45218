"""A reader's terminal: commands are typed into it one after the other, and what they export stays."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from documentation.markdown import ROOT
from documentation.steps import Step
from testbed.api import find_kubectl
from testbed.bed import SYSTEM_PATH, Bed
from testbed.helm.install import find_helm

PATIENCE = 90.0  # seconds for one command
CHECKOUT = ("charts", "crds", "docs", "templates", "README.md")
OWN_PROGRAMS = ("kvsync", "kubectl-kvsync")


@dataclass(frozen=True)
class Came:
    """What a command came to: stdout and stderr as they mix on a screen, and the exit code."""

    output: str
    code: int


class Terminal:
    """In a folder that looks like the checkout, with a reader's programs, as the cluster's admin."""

    def __init__(self, bed: Bed, folder: Path, helm_major: int = 4) -> None:
        self._state = folder / "environment"
        self._work, programs, home = (folder / each for each in ("kvsync-operator", "bin", "home"))
        for each in (self._work, programs, home):
            each.mkdir()
        for name in CHECKOUT:
            (self._work / name).symlink_to(ROOT / name)
        (programs / "helm").symlink_to(find_helm(helm_major))
        (programs / "kubectl").symlink_to(find_kubectl())
        for name in OWN_PROGRAMS:
            own = Path(sys.executable).parent / name
            if own.exists():
                (programs / name).symlink_to(own)
        self._environment = {
            "PATH": f"{programs}:{SYSTEM_PATH}",
            "HOME": str(home),
            "KUBECONFIG": str(bed.kubeconfig),
            "PWD": str(self._work),
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
        }
        if os.environ.get("PYTHONPATH"):
            self._environment["PYTHONPATH"] = os.environ["PYTHONPATH"]

    def type(self, command: str) -> Came:
        """Run it as bash would; a script stops at its first failure."""
        keeps = f"trap '(export -p; echo cd $PWD) > {self._state}' EXIT"
        script = f"[ -e {self._state} ] && . {self._state}\n{keeps}\nset -e -o pipefail\n{command}"
        try:
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=self._work,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            so_far = error.stdout if isinstance(error.stdout, bytes) else b""
            return Came(so_far.decode(errors="replace") + f"\n(not within {PATIENCE:g} s)", 124)
        return Came(done.stdout, done.returncode)

    def save(self, name: str, text: str) -> None:
        """Save a file as a reader would."""
        (self._work / name).write_text(text + "\n")

    def take(self, step: Step) -> Came:
        """Do a step of a page."""
        text = self._filled(step.command, step.wheres)
        if step.saved:
            self.save(step.saved, text)
            return Came("", 0)
        return self.type(text)

    def _filled(self, text: str, wheres: Sequence[tuple[str, str]]) -> str:
        for name, command in wheres:
            if name in text:
                text = text.replace(name, self.type(command).output.strip())
        return text
