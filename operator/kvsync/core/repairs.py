"""How often something of ours is put back before we give way, and how long we wait in between.

It knows nothing of what was taken away: it serves models and gateways alike. A repair is counted
before it is made (``Action.counted``), so that neither a crash nor an opponent who wipes
annotations makes it one too many; one that was counted and then not made is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kvsync.model.repairs import MAX_TIMES, Repairs

LIMIT = MAX_TIMES
WINDOW = 1800
"""Seconds in which at most ``LIMIT`` repairs are made."""

PAUSES = (0, 15, 45)
"""Seconds from one repair to the next, by how many were made: the first one comes at once."""


@dataclass(frozen=True, slots=True)
class Count:
    """What is known of the repairs of one object at one moment.

    ``number``: which repair the next one is, counted from 1.
    """

    made: Repairs
    number: int
    next_at: int | None
    """The moment from which one more may be made, in seconds since the epoch; None: no more."""

    @property
    def ended(self) -> bool:
        """Whether what is undone is left as it is, until a person has decided."""
        return self.next_at is None

    def is_due(self, now: float) -> bool:
        """Whether one more is made now."""
        return self.next_at is not None and now >= self.next_at


def count(on_object: Repairs | None, in_status: Repairs | None, terms: str, now: float) -> Count:
    """The repairs by both copies of them.

    The status is believed at any age: time alone does not begin a war again, only what
    :func:`settled` forgets is gone. The object's own copy may be long out of date, for it is not
    cleaned by a write of its own, so that only what lies within the window counts of it.
    """
    told = in_status if in_status is not None and in_status.terms == terms else Repairs(terms)
    kept = on_object if on_object is not None and on_object.terms == terms else Repairs(terms)
    known = {*told.times, *(t for t in kept.times if now - t < WINDOW)}
    # A clock that was set back leaves times ahead of it; anything further off is nonsense.
    times = sorted(t for t in known if t <= now + WINDOW)[-LIMIT:]
    recent = [t for t in times if now - t < WINDOW]
    made = Repairs(terms, tuple(times), told.by or kept.by if times else "")
    return Count(made, len(recent) + 1, _next_at(times, recent, now))


def _next_at(times: list[int], recent: list[int], now: float) -> int | None:
    if len(recent) == LIMIT or (len(times) == LIMIT and times[-1] - times[0] < WINDOW):
        return None
    return recent[-1] + PAUSES[len(recent)] if recent else int(now)


def one_more(made: Repairs, now: float, by: str) -> Repairs:
    """The repairs with one that is made now."""
    # Two in one second are two: a time that is there already would count once.
    at = max(int(now), made.times[-1] + 1) if made.times else int(now)
    return replace(made, times=(*made.times, at)[-LIMIT:], by=by)


def settled(made: Repairs, now: float) -> Repairs | None:
    """What is left to remember of the repairs while all of ours stands: nothing after a quiet window."""
    quiet = not made.times or now - made.times[-1] >= WINDOW
    return None if quiet else made
