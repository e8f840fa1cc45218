"""The program of a process that watches sources for the operator (``adapters.probe.pool``)."""

from __future__ import annotations

import sys

from kvsync.adapters.log_lines import begin_logging
from kvsync.adapters.probe.worker import run_worker
from kvsync.shell.readers import READERS


def command(memory: int, log_format: str = "text", log_level: str = "info") -> tuple[str, ...]:
    """What starts it; the descriptor of its mark follows. ``memory`` is in bytes."""
    return sys.executable, "-P", "-m", __name__, log_format, log_level, str(memory)


def main() -> None:
    """Watch until stdin ends."""
    log_format, log_level, memory, mark = sys.argv[1:]
    begin_logging(log_format, log_level)
    run_worker(READERS, int(memory), int(mark))


if __name__ == "__main__":
    main()
