"""One program of the testbed: started with its log in a file, watched, and stopped for certain."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG_LINES_SHOWN = 15
GRACE = 2.0
"""Seconds that a program has to end by itself."""


class ProgramFailedError(RuntimeError):
    """A program of the testbed ended or never became ready; the message holds its last words."""


class Process:
    """A running program, alone in its session, its output in ``log``.

    Unless ``outlive`` is set, the kernel kills it when the thread that started it ends, however
    that comes about: ``setpriv --pdeathsig`` (prctl(2), PR_SET_PDEATHSIG).
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        outlive: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = Path(command[0]).name
        self.log = log
        lifeline = [] if outlive else ["setpriv", "--pdeathsig", "KILL", "--"]
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [*lifeline, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def require_alive(self) -> None:
        """Raise ProgramFailedError with the end of the log when the program has ended."""
        code = self._popen.poll()
        if code is not None:
            raise self.failure(f"ended with status {code}")

    def failure(self, what: str) -> ProgramFailedError:
        """The error to raise about this program: what happened, its last lines, where the rest is."""
        return ProgramFailedError(f"{self.name} {what}; the end of {self.log}:\n{self.tail()}")

    def tail(self, lines: int = LOG_LINES_SHOWN) -> str:
        """The last lines of its log, each cut to a readable length."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(f"  {line[:400]}" for line in text.splitlines()[-lines:]) or "  (empty)"

    def stop(self, grace: float = GRACE) -> None:
        """End it: SIGTERM, and SIGKILL when it still runs after ``grace`` seconds; none: at once."""
        if grace:
            self.terminate()
        elif self._popen.poll() is None:
            self._popen.kill()
        try:
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def terminate(self) -> None:
        """Ask it to end, without waiting; :meth:`stop` waits."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
