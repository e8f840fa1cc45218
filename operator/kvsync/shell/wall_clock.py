"""The wall clock as decisions see it: it never leaps, though somebody may set the machine's."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

RATE = 0.1
"""By what part it may run faster or slower than time passes, to follow a clock that was set."""

HOPELESS = 86_400.0
"""Seconds from which on it is set too: a machine that began in another year is corrected at once."""


class WallClock:
    """Seconds since the epoch; call it.

    Deadlines are kept as moments (the record of a change, its trial), so that another operator goes on
    with them. Were they compared with a clock that was just set an hour ahead, a rollout that is well
    under way would count as failed, and be rolled back. ``wall`` is the machine's clock, ``passing``
    one that only grows, both in seconds.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        passing: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._passing = wall, passing
        self._told, self._at = wall(), passing()

    def __call__(self) -> float:
        """Now."""
        at = self._passing()
        passed = at - self._at
        untouched = self._told + passed
        off = self._wall() - untouched
        if abs(off) >= HOPELESS:
            log.warning("the clock was set by %.0f s, which is followed at once", off)
        else:
            off = max(-RATE * passed, min(RATE * passed, off))
        self._told, self._at = untouched + off, at
        return self._told
