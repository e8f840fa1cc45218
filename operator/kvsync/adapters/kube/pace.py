"""Spacing of attempts: growing pauses with jitter, and a budget that refills with time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Where time and chance come from: seconds that only grow, a pause, a number in [0, 1)."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


class Backoff:
    """Pauses that double from ``first`` to ``most`` seconds, each between half and all of that.

    The jitter keeps many clients of a restarted API server from returning in step.
    """

    def __init__(
        self, first: float, most: float, jitter: Callable[[], float] = random.random
    ) -> None:
        self._first = first
        self._most = most
        self._jitter = jitter
        self._ceiling = first

    def pause(self) -> float:
        """Seconds to wait before the next attempt; each call grows the following one."""
        ceiling = self._ceiling
        self._ceiling = min(self._most, ceiling * 2)
        return ceiling * (0.5 + 0.5 * self._jitter())

    def reset(self) -> None:
        """Start over: an attempt went well."""
        self._ceiling = self._first


class TokenBucket:
    """At most ``burst`` at once and ``per_second`` in the long run; ``clock`` in seconds."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._level = burst
        self._at = clock()

    def take(self) -> bool:
        """Use one token if there is one."""
        now = self._clock()
        earned = max(0.0, now - self._at) * self._per_second
        self._level = min(self._burst, self._level + earned)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
