"""A command run to its end: how long it took, and what it used.

``python -m bench.commands`` runs one a line of stdin. It is small: a process counts what its parent had in
memory when it was started (getrusage(2), ru_maxrss).
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, seconds of CPU, and bytes in memory at most; of a process and those it waited for."""

    seconds: float
    cpu: float
    peak: int


class Runner:
    """Runs commands; :meth:`end` ends it."""

    def __init__(self) -> None:
        from testbed.partner import Partner  # noqa: PLC0415 - the other side has no use for it

        self._partner = Partner("bench.commands")

    def cost_of(self, command: Sequence[str]) -> Cost:
        """Run it, its output thrown away. Raises RuntimeError where it fails."""
        self._partner.say(json.dumps(command))
        return Cost(*json.loads(self._partner.hear()))

    def end(self) -> None:
        """End it."""
        self._partner.end()


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        int(statistics.median(cost.peak for cost in costs)),
    )


def _run(command: Sequence[str]) -> tuple[float, float, int]:
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    # Linux counts kilobytes (getrusage(2)).
    return time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)
