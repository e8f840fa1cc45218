"""What another process of this machine costs, as the kernel tells it (proc_pid_stat(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """CPU seconds since its start, bytes of memory held, open file descriptors."""

    cpu_seconds: float
    resident_bytes: int
    open_fds: int


def cost_of(pid: int, proc: Path = _PROC) -> ProcessCost | None:
    """The cost of a process; None when it is gone, is not ours to look at, or there is no /proc."""
    try:
        # The name in parentheses may hold anything, also spaces and parentheses.
        fields = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        open_fds = len(os.listdir(proc / str(pid) / "fd"))  # noqa: PTH208 - names are enough
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])
    return ProcessCost(
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        resident_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        open_fds=open_fds,
    )
