"""Who may write: the rules of leadership by a Lease, as client-go's leaderelection has them.

No wall clock is compared with another machine's. A standby measures by its own clock how long the
Lease has not changed; a leader measures by its own how long ago it sent the renewal that the server
took. ``now`` is seconds of one clock that only grows, of this machine alone.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvsync.core.digest import digest
from kvsync.model.lease import MOST_TRANSITIONS, Lease
from kvsync.model.selector import LabelSelector
from kvsync.model.selector_text import selector_text

SHORTEST, LONGEST = 3, 60
"""Seconds that a Lease may be asked to last. A holder's own wish beyond that is not believed: whoever
may write Leases could lock everybody out with one write."""

USUAL = 10
"""Seconds that it lasts where nobody says otherwise."""

DEFAULT_LEASE = "kvsync-operator"


def lease_of(selector: LabelSelector | None) -> str:
    """The Lease of an operator that was told of none: operators of different objects never share one."""
    if selector is None:
        return DEFAULT_LEASE
    return f"{DEFAULT_LEASE}-{digest(selector_text(selector))[:8]}"


@dataclass(frozen=True, slots=True)
class Terms:
    """What follows from how long a Lease lasts, in seconds."""

    duration: float = USUAL

    @property
    def renew_every(self) -> float:
        """Pause between two renewals."""
        return self.duration / 5

    @property
    def deadline(self) -> float:
        """Age of the last renewal at which a leader writes no more. The third that is left until
        another one may take the Lease is for what is on its way to the API server then."""
        return self.duration * 2 / 3

    @property
    def patience(self) -> float:
        """How long one request for the Lease may take: three fit in before the deadline."""
        return self.duration / 5


@dataclass(frozen=True, slots=True)
class Sight:
    """What a standby sees, and since when it has been so."""

    lease: Lease | None
    """None: there is no such object."""
    since: float
    first: bool
    """Whether nothing else was seen before."""


class Choice(enum.Enum):
    """What is to be done about the Lease now."""

    WAIT = "wait"
    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    LOST = "lost"


def look(before: Sight | None, lease: Lease | None, now: float) -> Sight:
    """What is seen now; ``since`` stays while nothing changes."""
    if before is not None and before.lease == lease:
        return before
    return Sight(lease, now, first=before is None)


def as_standby(sight: Sight, me: str, terms: Terms, now: float) -> Choice:
    """What one does who does not lead.

    A Lease that is free is taken at once, and so is one in our own name: a write of ours whose answer
    was lost. One that somebody deleted while its holder lived is missed for as long as that one may
    go on writing.
    """
    lease = sight.lease
    if lease is None:
        gone_for_good = sight.first or now - sight.since >= terms.duration
        return Choice.CREATE if gone_for_good else Choice.WAIT
    if not lease.holder or lease.holder == me:
        return Choice.TAKE
    asked = min(lease.duration, LONGEST)
    expired = now - sight.since >= max(terms.duration, asked)
    return Choice.TAKE if expired else Choice.WAIT


def as_leader(lease: Lease | None, me: str) -> Choice:
    """What the leader does that finds the Lease changed by another: go on, unless it is taken."""
    if lease is None:
        return Choice.CREATE
    return Choice.RENEW if lease.holder == me else Choice.LOST


def may_write(renewed: float | None, terms: Terms, now: float) -> bool:
    """Whether leadership is held for certain; ``renewed``: when the renewal that the server took last
    was sent, None where none was."""
    return renewed is not None and now - renewed < terms.deadline


def claim(before: Lease | None, me: str, terms: Terms, moment: str) -> dict[str, Any]:
    """The ``spec`` that takes or renews the Lease. ``moment`` is wall-clock time as a MicroTime, for
    people to read."""
    spec: dict[str, Any] = {
        "holderIdentity": me,
        "leaseDurationSeconds": round(terms.duration),
        "renewTime": moment,
    }
    if before is None or before.holder != me:
        spec["acquireTime"] = moment
        spec["leaseTransitions"] = _next(before)
    return spec


def _next(before: Lease | None) -> int:
    """One more than before, but for the first holder ever (client-go counts alike)."""
    if before is None or not (before.holder or before.renewed):
        return 0
    return min(before.transitions + 1, MOST_TRANSITIONS)


def release(moment: str) -> dict[str, Any]:
    """The ``spec`` that lets go of the Lease: nobody has to wait (client-go's ``release``)."""
    return {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": moment}


def written(body: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """The object to send: what stands there, with what we say of it."""
    there = body.get("spec")
    kept = there if isinstance(there, Mapping) else {}
    return {**body, "spec": {**kept, **spec}}
