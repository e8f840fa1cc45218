"""`Views`: what each object's last pass saw, found by what was seen: when that changes it looks again."""

from __future__ import annotations

from collections.abc import Collection

Key = tuple[str, str]
Seen = tuple[str, str]
"""The namespace of a workload and the name of it as a model."""


class Views:
    """Objects by key."""

    def __init__(self) -> None:
        self._seen: dict[Key, frozenset[Seen]] = {}
        self._seers: dict[Seen, dict[Key, None]] = {}

    def __contains__(self, key: Key) -> bool:
        """Whether a pass was made over the object."""
        return key in self._seen

    def note(self, key: Key, seen: frozenset[Seen]) -> None:
        """What a pass sees now."""
        before = self._seen.get(key, frozenset())
        self._seen[key] = seen
        for each in seen - before:
            self._seers.setdefault(each, {})[key] = None
        for each in before - seen:
            seers = self._seers[each]
            del seers[key]
            if not seers:
                del self._seers[each]

    def forget(self, key: Key) -> None:
        """An object is gone."""
        self.note(key, frozenset())
        del self._seen[key]

    def seers(self, seen: Seen) -> Collection[Key]:
        """The objects whose last pass saw it; not to be kept."""
        return self._seers.get(seen, {}).keys()
