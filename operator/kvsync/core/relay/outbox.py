"""What is about to be said, in order."""

from __future__ import annotations

from array import array
from collections.abc import Container

from kvsync.core.relay.encoding import CLEARED, Key, removed_events

REMEMBERED = 1 << 16
"""Removals that can be said again: of a reader that was away nobody knows what it missed."""


class Outbox:
    """Events that are to be published; removals that follow each other become one event."""

    def __init__(self) -> None:
        self._events: list[bytes] = []
        self._removed: list[Key] = []
        self._recent = array("Q")
        self._oldest = 0

    def stored(self, event: bytes) -> None:
        """Say that a block is there."""
        if self._removed:
            self._close_removals()
        self._events.append(event)

    def removed(self, key: Key) -> None:
        """Say that a block is gone."""
        self._removed.append(key)
        if len(self._recent) < REMEMBERED:
            self._recent.append(key)
        else:
            self._recent[self._oldest] = key
            self._oldest = (self._oldest + 1) % REMEMBERED

    def removed_again(self, resident: Container[Key]) -> None:
        """Say once more which blocks are gone: the last ones, but for those that came back."""
        self._close_removals()
        self._removed = [key for key in self._recent if key not in resident]

    def cleared(self) -> None:
        """Say that everything is gone; released gateways pass over it, newer ones obey."""
        self._close_removals()
        self._events.append(CLEARED)

    def take(self) -> list[bytes]:
        """All of it; nothing is left."""
        self._close_removals()
        events, self._events = self._events, []
        return events

    def _close_removals(self) -> None:
        self._events += removed_events(self._removed)
        self._removed = []
