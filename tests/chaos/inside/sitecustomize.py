"""Loaded by a Python that is started with this folder on PYTHONPATH: what a test needs inside of it.

``CHAOS_CLOCK``: a file with the seconds by which the wall clock is wrong, read at each look at it.
``CHAOS_TASKS``: a file that is written every few seconds: how many asyncio tasks there are.
"""

import asyncio
import os
import threading
import time
from pathlib import Path

_EVERY = 2.0


def _step_clock(file: Path) -> None:
    true = time.time

    def wrong() -> float:
        return true() + float(file.read_text() or 0)

    time.time = wrong


def _count_tasks(file: Path) -> None:
    tasks = getattr(asyncio.tasks, "_scheduled_tasks", None)
    known = asyncio.tasks._all_tasks if tasks is None else tasks  # type: ignore[attr-defined]

    def count() -> None:
        while True:
            try:
                file.write_text(str(sum(not task.done() for task in list(known))))
            except RuntimeError:  # the set changed meanwhile
                continue
            time.sleep(_EVERY)

    threading.Thread(target=count, daemon=True).start()


if os.environ.get("CHAOS_CLOCK"):
    _step_clock(Path(os.environ["CHAOS_CLOCK"]))
if os.environ.get("CHAOS_TASKS"):
    _count_tasks(Path(os.environ["CHAOS_TASKS"]))
