"""`LabelIndex`: things with labels, found by what a selector demands of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import Generic, TypeVar

from kvsync.model.selector import LabelSelector

MAX_KEYS = 64
"""Label keys that are kept at a time: whoever makes objects that select by ever new ones must not make
this grow."""

Thing = TypeVar("Thing")


class LabelIndex(Generic[Thing]):
    """Kept only for the keys that selectors name, from the first such question on."""

    def __init__(self) -> None:
        self._labels: dict[Thing, Mapping[str, str]] = {}
        self._by: dict[str, dict[str, dict[Thing, None]]] = {}

    def put(self, thing: Thing, labels: Mapping[str, str]) -> None:
        """A thing with its labels, new or not."""
        self.drop(thing)
        self._labels[thing] = labels
        for key, by_value in self._by.items():
            if key in labels:
                by_value.setdefault(labels[key], {})[thing] = None

    def drop(self, thing: Thing) -> None:
        """It is gone, if it was there."""
        labels = self._labels.pop(thing, {})
        for key, by_value in self._by.items():
            if key in labels:
                things = by_value[labels[key]]
                del things[thing]
                if not things:
                    del by_value[labels[key]]

    def candidates(self, selector: LabelSelector) -> Collection[Thing]:
        """All that it selects and maybe more: those that meet the demand that the fewest do, or all where
        it demands nothing."""
        found: list[dict[Thing, None]] | None = None
        for key, values in selector.demands:
            by_value = self._values_of(key)
            known = (by_value.get(value) for value in values) if values else by_value.values()
            groups = [group for group in known if group]
            if found is None or _size(groups) < _size(found):
                found = groups
        return self._labels.keys() if found is None else list(chain.from_iterable(found))

    def _values_of(self, key: str) -> Mapping[str, dict[Thing, None]]:
        known = self._by.get(key)
        if known is None:
            if len(self._by) >= MAX_KEYS:
                self._by.clear()
            known = self._by[key] = {}
            for thing, labels in self._labels.items():
                if key in labels:
                    known.setdefault(labels[key], {})[thing] = None
        return known


def _size(groups: Iterable[Collection[Thing]]) -> int:
    return sum(map(len, groups))
