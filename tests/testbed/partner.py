"""A module of the tests in a process of its own, spoken with by lines."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


class Partner:
    """Runs until :meth:`end`; its standard error is ours."""

    def __init__(self, module: str, *words: object) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def say(self, line: str) -> None:
        """Write it a line."""
        assert self._process.stdin is not None  # a pipe
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """The next line that it writes. Raises RuntimeError where it ended."""
        assert self._process.stdout is not None  # a pipe
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended; see its error above")
        return line.removesuffix("\n")

    def end(self) -> None:
        """Kill it; once more changes nothing."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
