"""A Lease (coordination.k8s.io/v1) as leadership reads it: who holds it, and whether that one lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_TRANSITIONS = 2**31 - 1
"""``spec.leaseTransitions`` is an int32 (k8s.io/api/coordination/v1)."""

_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True)
class Lease:
    """What counts of a Lease. Two that are equal were not renewed in between.

    ``renewed`` is its time as text: it is compared with itself and never with a clock. Whoever may
    write Leases may write anything there, so nothing is taken as it stands.
    """

    holder: str
    """Empty: free, because nobody held it yet or because its holder let go of it."""
    renewed: str = ""
    transitions: int = 0
    duration: float = 0.0
    """Seconds that its holder asks the others to wait; 0 where it says nothing that makes sense."""


def read_lease(body: Mapping[str, Any]) -> Lease:
    """The Lease in an object as the API server sent it, whatever stands in it."""
    said = body.get("spec")
    spec: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
    return Lease(
        holder=_text(spec.get("holderIdentity")),
        renewed=_text(spec.get("renewTime")),
        transitions=_whole(spec.get("leaseTransitions"), MOST_TRANSITIONS),
        duration=float(_whole(spec.get("leaseDurationSeconds"), MOST_TRANSITIONS)),
    )


def _text(value: object) -> str:
    """A text of one printable line; it is quoted in logs and pages."""
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else "?" for c in value[:_LONGEST_NAME])


def _whole(value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return min(max(value, 0), most)
