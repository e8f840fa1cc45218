"""A bound on what a stranger can make this process hold.

libzmq keeps the parts of a message until its last one, and no option of it bounds their number
(``ZMQ_MAXMSGSIZE`` and ``ZMQ_RCVHWM`` of zmq_setsockopt(3) do not): a peer that never ends a
message is seen only by the memory that it takes.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from kvsync.model.errors import KvsyncError

GROWTH = 256 << 20
"""Bytes that may come on top of what the process began with."""

_STATM = Path("/proc/self/statm")


class MemoryGuard:
    """Tells when this process has grown too far."""

    def __init__(self, growth: int = GROWTH) -> None:
        self._growth = growth
        self._start = resident()

    def check(self) -> None:
        """Raise KvsyncError when too much is held."""
        grown = resident() - self._start
        if grown > self._growth:
            raise KvsyncError(
                f"stopped: what the peer sends took {grown >> 20} MiB. No engine does that "
                "(a message without an end?); find out what listens there"
            )


def resident() -> int:
    """Bytes of memory that this process holds; where that cannot be read, the most it ever held."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak << 10
