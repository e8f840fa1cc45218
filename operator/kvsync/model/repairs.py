"""How often we put back what someone took off a workload: kept on the workload, and in the status.

Both copies are written, for an opponent may wipe every annotation (``kubectl replace``, Helm 3
``--force``), bring back those of an older revision (``kubectl rollout undo``), or leave all alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_TIMES = 3
"""Repairs that are kept: the newest ones."""

MAX_BY = 400
_LATEST = 1 << 40
_TERMS = 64


@dataclass(frozen=True, slots=True)
class Repairs:
    """The newest repairs under one set of terms.

    ``terms`` is a digest of what we want: under other terms the count starts anew. ``times`` are in
    seconds since the epoch, oldest first; ``by`` says in words who made the last one necessary.
    """

    terms: str
    times: tuple[int, ...] = ()
    by: str = ""

    def entry(self) -> dict[str, Any]:
        """The form that both copies have, as JSON values."""
        return {"terms": self.terms, "times": list(self.times), "by": self.by}


def dump_repairs(repairs: Repairs) -> str:
    """The annotation's value: compact JSON."""
    return json.dumps(repairs.entry(), separators=(",", ":"), ensure_ascii=False)


def load_repairs(text: str | None) -> Repairs | None:
    """The repairs in an annotation's value; an unreadable one counts as none."""
    try:
        return read_repairs(json.loads(text or ""))
    except (ValueError, RecursionError):
        return None


def read_repairs(entry: object) -> Repairs | None:
    """The repairs in JSON values that anyone may have written; None for anything else."""
    if not isinstance(entry, Mapping):
        return None
    terms, times, by = entry.get("terms"), entry.get("times"), entry.get("by", "")
    if not isinstance(terms, str) or not isinstance(by, str) or not isinstance(times, list):
        return None
    if len(terms) > _TERMS or not all(type(t) is int and 0 <= t < _LATEST for t in times):
        return None
    return Repairs(terms, tuple(sorted(times)[-MAX_TIMES:]), by[:MAX_BY])
