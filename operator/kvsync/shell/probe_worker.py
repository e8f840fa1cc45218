"""The program of a process that watches sources for the operator (``adapters.probe.pool``)."""

from __future__ import annotations

import logging
import sys

from kvsync.adapters.probe.worker import run_worker
from kvsync.shell.readers import READERS


def command(memory: int) -> tuple[str, ...]:
    """What starts it; the descriptor of its mark follows. ``memory`` is in bytes."""
    return sys.executable, "-P", "-m", __name__, str(memory)


def main() -> None:
    """Watch until stdin ends."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    run_worker(READERS, int(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    main()
