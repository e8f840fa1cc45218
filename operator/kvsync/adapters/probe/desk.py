"""What all sources of one process share: clocks, readers, and bounds on what they do at once."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kvsync.adapters.probe.reading import Readers
from kvsync.adapters.probe.sample import EACH_SOURCE, Budget
from kvsync.adapters.zmtp.frames import Allowance

DIALS_AT_ONCE = 128
"""Connections that are between dialling and their handshake: more answers than can be taken in within
the patience for them would make healthy peers look bad."""
SLOT = 0.1
"""Seconds: timers of a second and more end on its multiples, so that one waking of this process serves
many sources."""
LATE = 0.3
"""Seconds by which a timer of ours may come late before it accuses nobody: the peer's answer may lie
unread."""
CLOSE_LOOKS_AT_ONCE = 4
READ_OCTETS = 16 << 10
"""Bytes that are read of one connection before it is the next one's turn."""
HELD_OCTETS = 24 << 20
"""Bytes of unfinished messages of all publishers together, beside 16 KiB of each."""


@dataclass(slots=True)
class Desk:
    """Shared by the sources."""

    readers: Readers
    own_limit: Callable[[str], None]
    """Called when a connection was not tried for want of something on this machine."""
    reading: Callable[[int], None] = lambda number: None
    """Called with a source's rank before bytes of it are read, and with 0 behind."""
    budgets: Sequence[Budget] = EACH_SOURCE
    """Of the samples of a source that is no suspect, in turn."""
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    rng: random.Random = field(default_factory=random.Random)
    incoming: bytearray = field(default_factory=lambda: bytearray(READ_OCTETS))
    """Where a connection's bytes are read into."""
    allowance: Allowance = field(default_factory=lambda: Allowance(HELD_OCTETS))
    dialling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DIALS_AT_ONCE))
    close_looks: int = 0

    def begin_close_look(self) -> bool:
        """Whether one more suspect may be watched closely."""
        if self.close_looks >= CLOSE_LOOKS_AT_ONCE:
            return False
        self.close_looks += 1
        return True

    def end_close_look(self) -> None:
        """A place is free again."""
        self.close_looks -= 1

    def later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        """Act after so many seconds."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        return loop.call_at(math.ceil(when / SLOT) * SLOT if seconds >= 1 else when, act)

    def jittered(self, seconds: float) -> float:
        """About so many seconds, so that many sources do not act as one."""
        return seconds * (0.85 + 0.3 * self.rng.random())
