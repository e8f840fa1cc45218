"""What is dear to make and kept outside of the work tree: made once, under a lock, seen when whole."""

import fcntl
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, doing: str) -> Iterator[None]:
    """Hold the lock file; says so when another process, which is ``doing`` it, must be waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is {doing}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def made(folder: Path, doing: str, make: Callable[[Path], None]) -> Path:
    """The folder; when it is not there, ``make`` fills an empty one that then takes its name."""
    if folder.is_dir():
        return folder
    with locked(folder.with_name(f"{folder.name}.lock"), doing):
        if folder.is_dir():
            return folder
        for leftover in folder.parent.glob(f"{folder.name}.making-*"):  # of one that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        workshop = Path(tempfile.mkdtemp(prefix=f"{folder.name}.making-", dir=folder.parent))
        try:
            make(workshop)
            workshop.chmod(0o755)
            workshop.rename(folder)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    return folder


def say(text: str) -> None:
    """One line of progress; stdout is for answers."""
    print(text, file=sys.stderr, flush=True)
