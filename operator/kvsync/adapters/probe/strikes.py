"""Sources whose reading ended a worker: the second time is no accident."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST, LONGEST = 60.0, 600.0
"""Seconds for which such a source is left alone; twice as long each time."""
MEMORY = 3600.0
"""Seconds after which a strike is forgotten."""


@dataclass(slots=True)
class _Mark:
    count: int
    at: float


class Strikes:
    """Counts them by source number."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks: dict[int, _Mark] = {}

    def strike(self, number: int) -> float:
        """One more; the seconds for which to leave the source alone, 0 for the first time."""
        now = self._clock()
        mark = self._marks.setdefault(number, _Mark(0, now))
        if now - mark.at > MEMORY:
            mark.count = 0
        mark.count, mark.at = mark.count + 1, now
        return 0.0 if mark.count == 1 else min(LONGEST, FIRST * 2 ** min(mark.count - 2, 8))

    def forget(self, number: int) -> None:
        """The source is gone."""
        self._marks.pop(number, None)
