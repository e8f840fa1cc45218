"""One gateway's budget, shared out over the relays that announce to it.

When a gateway restarts they all tell it everything at once. Each gets a part as large as its table, so
that all are done at the same time, however many there are and however different.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

from kvsync.model.relay_budget import LEAST, MOST

Name = TypeVar("Name", bound=Hashable)

USUAL = 100_000
"""Blocks of a table whose size is not known yet (``kvsync relay --max-blocks``)."""

SMALLEST, LARGEST = 1_000, 1_000_000
"""Blocks that a table counts for, at least and at most: a pod says its own, and may lie."""


def share_out(limits: Mapping[Name, int], budget: float) -> dict[Name, float]:
    """Events a second for each relay, by whatever names it, of ``limits``: blocks of its table, 0 where
    that is not known.

    Together at most ``budget``, unless that is less than :data:`LEAST` for each: no relay is stopped
    altogether. A share is rounded down to three binary digits, for then it changes seldom, and a
    relay is told only of a change.
    """
    sizes = {name: _counted(limit) for name, limit in limits.items()}
    whole = sum(sizes.values())
    spare = max(0.0, budget - LEAST * len(sizes))
    return {
        name: min(MOST, max(LEAST, _rounded_down(LEAST + spare * size / whole)))
        for name, size in sizes.items()
    }


def _counted(limit: int) -> int:
    return min(LARGEST, max(SMALLEST, limit or USUAL))


def _rounded_down(share: float) -> float:
    whole = int(share)
    step = 1 << max(0, whole.bit_length() - 3)
    return float(whole // step * step)
