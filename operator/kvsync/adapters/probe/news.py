"""Which changes of what is seen of a source are news, to be judged at once."""

from __future__ import annotations

from dataclasses import fields

from kvsync.model.source import Observation

LULL = 30.0
"""Seconds: a batch that comes sooner behind the one before changes no verdict."""

_COUNTED = frozenset(
    {
        *("messages", "octets", "events", "missing", "undecoded"),
        *("last_batch_at", "last_sequence", "rate", "lag"),
        *("replay_answered_at", "subscribed_at"),
    }
)
"""What grows with every sample of a healthy source; judged in the next round over all."""

_TELLING = tuple(f.name for f in fields(Observation) if f.name not in _COUNTED)


def is_news(before: Observation | None, after: Observation) -> bool:
    """Whether a verdict may change by it. What time alone changes is not meant."""
    if before is None:
        return True
    if any(getattr(before, name) != getattr(after, name) for name in _TELLING):
        return True
    if before.replay_answered_at is None or before.last_batch_at is None:
        return True
    return after.last_batch_at is not None and ends_lull(before, after.last_batch_at)


def ends_lull(before: Observation, batch_at: float) -> bool:
    """Whether a batch that came then is the first one, or the first for a while."""
    last = before.last_batch_at
    return last is None or batch_at - last > LULL
