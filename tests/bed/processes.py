"""Looking for processes by a word in their command line, to see that none is left."""

import uuid
from pathlib import Path

from testbed.waiting import wait_for


def running_with(word: str) -> list[int]:
    """The ids of processes whose command line holds ``word``; a zombie has none."""
    return [pid for pid, line in _command_lines() if word in line]


def wait_until_gone(word: str) -> None:
    """Wait until no process has ``word`` in its command line."""
    wait_for(lambda: not running_with(word), 10.0, what=f"the end of all processes with {word}")


def unique_sleep() -> str:
    """A long sleep's argument, in seconds, that no other process has."""
    return f"3600.{uuid.uuid4().int % 10**12:012d}"


def _command_lines() -> list[tuple[int, str]]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append((int(path.parent.name), line))
    return found
