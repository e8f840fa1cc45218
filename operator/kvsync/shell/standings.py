"""What each object is to the others, as its last pass left it: kept here, and gone with the process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from kvsync.model.standing import GatewayWish, Standing

Key = tuple[str, str]

PATIENCE = 30.0
"""Seconds after the start in which an object that was listed is waited for. One that was deleted in
that moment is never told of by a watch, and must not hold the others for ever."""


class Standings:
    """Standings by key. ``clock`` is monotonic, in seconds; ``on_change`` enqueues an object."""

    def __init__(self, on_change: Callable[[Key], None], clock: Callable[[], float]) -> None:
        self._on_change = on_change
        self._clock = clock
        self._known: dict[Key, Standing] = {}
        self._expected: dict[Key, float] = {}

    def expect(self, key: Key) -> None:
        """Wait for the first pass over an object that exists."""
        if key not in self._known:
            self._expected[key] = self._clock() + PATIENCE

    def note(self, key: Key, standing: Standing) -> None:
        """Remember what a pass found, and have the others looked at that it concerns."""
        before = self._known.get(key)
        self._known[key] = standing
        first = self._expected.pop(key, None) is not None
        concerned = set(self._concerned(before, standing)) if before != standing else set()
        if first and not self._expected:
            concerned |= {other for other, each in self._known.items() if each.awaits_all}
        self._tell(key, sorted(concerned))

    def note_failed(self, key: Key, mark: str) -> None:
        """Remember that no pass over an object can be made: it must not hold the others up."""
        known = self._known.get(key, Standing(mark))
        self.note(key, replace(known, waiting=False))

    def forget(self, key: Key) -> None:
        """Forget an object that is gone."""
        before = self._known.pop(key, None)
        self._expected.pop(key, None)
        if before is not None:
            self._tell(key, self._concerned(before, Standing(before.sync)))

    def others(self, key: Key) -> tuple[Standing, ...]:
        """The standings of all objects but this one, by name."""
        return tuple(self._known[other] for other in sorted(self._known) if other != key)

    def unheard(self, key: Key) -> tuple[str, ...]:
        """Other objects, as ``namespace/name``, that were not looked at yet."""
        now = self._clock()
        late = [other for other, end in self._expected.items() if end <= now]
        for other in late:
            del self._expected[other]
        return tuple("/".join(other) for other in sorted(self._expected) if other != key)

    def _concerned(self, before: Standing | None, after: Standing) -> list[Key]:
        """Who shares the gateway with it, and who waits for what it gives free, or for its pods."""
        before = before or Standing(after.sync)
        wishes = {w for w in (before.wish, after.wish) if w is not None}
        new = _asked(before.wish) != _asked(after.wish)
        shared = {consumer for w in wishes for consumer in w.spec.consumers} if new else set()
        moved = _turn(before) != _turn(after)
        answered = before.wish != after.wish
        return [
            key
            for key, each in self._known.items()
            if (moved and each.waiting)
            or (answered and each.awaits_pods)
            or (shared and each.wish is not None and _shares(each.wish, shared))
        ]

    def _tell(self, key: Key, concerned: Iterable[Key]) -> None:
        for other in list(concerned):
            if other != key:
                self._on_change(other)


def _turn(standing: Standing) -> tuple[frozenset[str], bool]:
    """What decides whose turn it is among those who wait for a common place."""
    return frozenset(standing.in_flight), standing.waiting


def _asked(wish: GatewayWish | None) -> GatewayWish | None:
    """What a wish is to those who share the gateway: one that does not ask is none, and pods matter
    only to who waits for them."""
    return replace(wish, unanswering=()) if wish is not None and wish.asks else None


def _shares(wish: GatewayWish, shared: set[Key]) -> bool:
    """Whether what others want of these Deployments matters to it."""
    return wish.asks and not shared.isdisjoint(wish.spec.consumers)
