"""What changed of what is known, until it is written to the journal."""

from __future__ import annotations

from array import array
from collections.abc import Container

from kvsync.core.relay.encoding import Key


class Changes:
    """Blocks that came and went; of one that did both, the table says what is true now."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """All is written."""
        self.told = array("Q")
        self.gone = array("Q")

    def __bool__(self) -> bool:
        return bool(self.told or self.gone)

    def take(self, *known: Container[Key]) -> tuple[array[int], array[int]]:
        """Those that came and stayed, and those that went; nothing is left.

        ``known`` are the places where a block stands that is there.
        """
        told, gone = self.told, self.gone
        self.clear()
        came = set(told)
        if came.isdisjoint(gone):
            return told, gone
        changed = came.union(gone)
        there = [key for key in changed if any(key in each for each in known)]
        return array("Q", there), array("Q", changed.difference(there))
