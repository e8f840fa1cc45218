"""Which changes of what is seen of a source are news, to be judged at once."""

from __future__ import annotations

from dataclasses import fields

from kvsync.model.source import Observation

LULL = 30.0
"""Seconds: a batch that comes sooner behind the one before changes no verdict."""

ANSWERED = 4
"""Windows: an answer of the replay socket that comes sooner behind the one before changes no verdict. It
is asked each third window, and is proof for five (``core.evidence.Policy.replay``)."""

_COUNTED = frozenset(
    {
        *("messages", "octets", "events", "missing", "undecoded"),
        *("last_batch_at", "last_sequence", "rate", "lag"),
        *("replay_answered_at", "subscribed_at"),
    }
)
"""What changes with every sample and answer of a healthy source, and no verdict on it."""

_TELLING = tuple(f.name for f in fields(Observation) if f.name not in _COUNTED)


def is_news(before: Observation | None, after: Observation, interval: float) -> bool:
    """Whether a verdict may change by it. What time alone changes is not meant.

    ``interval``: seconds of a window.
    """
    if before is None:
        return True
    if any(getattr(before, name) != getattr(after, name) for name in _TELLING):
        return True
    if after.last_batch_at is not None and ends_lull(before, after.last_batch_at):
        return True
    return _proves_again(before.replay_answered_at, after.replay_answered_at, interval)


def _proves_again(before: float | None, after: float | None, interval: float) -> bool:
    """Whether an answer of the replay socket is the first one, or the first for a while."""
    if before is None or after is None:
        return before is not after
    return after - before > ANSWERED * interval


def ends_lull(before: Observation, batch_at: float) -> bool:
    """Whether a batch that came then is the first one, or the first for a while."""
    last = before.last_batch_at
    return last is None or batch_at - last > LULL
