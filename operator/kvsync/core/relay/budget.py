"""How many events a second may be told again: as the operator said of late, else as configured."""

from __future__ import annotations

import math
import re

from kvsync.model.relay_budget import KEPT, LEAST, MOST

_NUMBER = re.compile(rb"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*")


class Budget:
    """``own`` is events a second, as configured. Times are monotonic seconds."""

    def __init__(self, own: float) -> None:
        self._own = own
        self._told: float | None = None
        self._told_at = -math.inf

    def tell(self, value: float, now: float) -> None:
        """From now on so many, until it is said again or too long ago."""
        self._told, self._told_at = value, now

    def at(self, now: float) -> float:
        """What holds now."""
        if self._told is None or now - self._told_at > KEPT:
            return self._own
        return self._told


def read_budget(body: bytes) -> float | None:
    """The number in what was posted; None where it is none, or not one that a relay may be told."""
    found = _NUMBER.fullmatch(body)
    value = float(found[1]) if found else math.nan
    return value if LEAST <= value <= MOST else None
