"""The one testbed that was asked to stay up after its command: noted in a file, ended by it."""

import json
import os
import select
import shutil
import signal
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed.programs import cache_directory

PREFIX = "kvsync-kept-"
ENDS_WITHIN = 10.0  # seconds


@dataclass(frozen=True)
class Kept:
    """A kept testbed: its first process as the host sees it, when that started, its folder."""

    pid: int
    started: int  # clock ticks since boot: tells it from a later process with the same id
    directory: str

    @classmethod
    def of(cls, pid: int, directory: Path) -> "Kept":
        return cls(pid, _started(pid), str(directory))

    @property
    def alive(self) -> bool:
        return _started(self.pid) == self.started

    def end(self) -> None:
        """Kill its first process and so everything in it; remove its folder."""
        self._kill()
        folder = Path(self.directory)
        if folder.name.startswith(PREFIX):
            shutil.rmtree(folder, ignore_errors=True)
        record().unlink(missing_ok=True)

    def _kill(self) -> None:
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # The handle cannot come to mean another process: look only now whether it is ours.
            if self.alive:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                if not select.select([handle], [], [], ENDS_WITHIN)[0]:
                    raise TimeoutError(f"process {self.pid} did not end within {ENDS_WITHIN:g} s")
        finally:
            os.close(handle)


def new_directory() -> Path:
    """A folder for a testbed that may be kept."""
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def record() -> Path:
    """The file that names the kept testbed."""
    return cache_directory() / "kept.json"


def note(kept: Kept) -> None:
    """Remember it."""
    record().parent.mkdir(parents=True, exist_ok=True)
    record().write_text(json.dumps(asdict(kept)))


def find() -> Kept | None:
    """The testbed that was kept last, also when it has died since; None when there is none."""
    try:
        return Kept(**json.loads(record().read_text()))
    except FileNotFoundError:
        return None


def _started(pid: int) -> int:
    """When a process started (proc(5), /proc/PID/stat, field 22); 0 when it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    # The second field, in parentheses, may hold spaces: count from behind it.
    fields = stat.rpartition(")")[2].split()
    # Whom nobody reaps is dead all the same.
    return 0 if fields[0] == "Z" else int(fields[19])
