"""When each of many is due: what is not due yet costs nothing to look for."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Timetable(Generic[Key]):
    """Keys by the one time that each is due, of any clock, in seconds."""

    def __init__(self) -> None:
        self._times: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        """Where a key was put off or forgotten, its entry stays until its time: one or two a key."""
        self._entries: dict[Key, float] = {}
        """The earliest entry of each key in the heap."""
        self._order = itertools.count()

    def __len__(self) -> int:
        """How many are due at some time."""
        return len(self._times)

    def set(self, key: Key, when: float) -> None:
        """It is due then, and not when it was before."""
        self._times[key] = when
        if when < self._entries.get(key, when + 1):
            self._enter(key, when)

    def forget(self, key: Key) -> None:
        """It is due no more."""
        self._times.pop(key, None)

    def take(self, now: float) -> Key | None:
        """The one that is due longest; it is due no more. None where none is due by ``now``."""
        while self._heap and self._heap[0][0] <= now:
            entered, _, key = heapq.heappop(self._heap)
            if self._entries.get(key) == entered:
                del self._entries[key]
            when = self._times.get(key)
            if when == entered:
                del self._times[key]
                return key
            if when is not None and key not in self._entries:
                self._enter(key, when)  # it was put off
        return None

    def take_all(self, now: float) -> list[Key]:
        """All that are due by ``now``, the one that is due longest first; they are due no more."""
        found = list[Key]()
        while (key := self.take(now)) is not None:
            found.append(key)
        return found

    def _enter(self, key: Key, when: float) -> None:
        self._entries[key] = when
        heapq.heappush(self._heap, (when, next(self._order), key))
