"""What is wrong with the operator itself, so wrong that only a new process helps.

An API server that is down is none of it: a new process would find it down too, and have lost what this
one knows. So what counts is whether something is still tried, not whether it succeeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

STUCK = 300.0
"""Seconds that a pass may take; it ends at the first request without an answer, within 2 minutes."""

DEAF = 420.0
"""Seconds in which a watch hears or tries something: it is opened again after 150 without a word, and the
longest that one try takes is four requests of 30 with the pauses that a busy server asks for."""

LATE = 15.0
"""Seconds by which the event loop may be late. The kubelet's probe gives up before that; whoever asks in
the moment after is told why."""


@dataclass(frozen=True, slots=True)
class Signs:
    """Of one moment; all but counts are seconds."""

    ended: tuple[str, ...] = ()
    """Tasks that ended and were to run as long as the operator does."""
    lag: float = 0.0
    """How late the event loop's beat is."""
    longest_pass: float = 0.0
    """How long the oldest of the passes under way has run."""
    waiting: int = 0
    """Objects that wait for a pass."""
    oldest: float = 0.0
    """How long the one that waits longest has waited."""
    last_pass: float = 0.0
    """How long ago a pass ended, well or not."""
    idle: Mapping[str, float] = field(default_factory=dict)
    """For each watch, how long ago it heard something or tried to."""


def trouble(signs: Signs) -> str:
    """What does not go on, in sentences; empty when all is well."""
    return " ".join(_sentences(signs))


def _sentences(signs: Signs) -> Iterator[str]:
    if signs.ended:
        yield f"Ended, and should run as long as the operator does: {', '.join(signs.ended)}."
    if signs.lag > LATE:
        yield f"The event loop stood still for {signs.lag:.0f} s."
    if signs.longest_pass > STUCK:
        yield f"A pass has run for {signs.longest_pass:.0f} s; {signs.waiting} objects wait."
    # Where the API server is down objects wait long too, but passes end, one after the other.
    elif min(signs.oldest, signs.last_pass) > STUCK:
        yield f"An object has waited for {signs.oldest:.0f} s, and no pass ended meanwhile."
    for name, seconds in sorted(signs.idle.items()):
        if seconds > DEAF:
            yield f"The watch of {name} has heard and tried nothing for {seconds:.0f} s."
