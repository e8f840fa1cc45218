"""Sources as a scrape finds them."""

from __future__ import annotations

from typing import Any

from kvsync.model.metering import Seen
from kvsync.model.source import (
    EventCounts,
    Observation,
    SourceKey,
    SourceReason,
    Target,
    Verdict,
)


def seen(
    pod: str = "p",
    model: str = "m",
    *,
    namespace: str = "default",
    reason: SourceReason = SourceReason.PUBLISHING,
    verified: bool = True,
    **observed: Any,
) -> Seen:
    """A source with this observation; ``since`` None: nothing was seen of it yet."""
    key = SourceKey(namespace, pod, f"uid-{pod}")
    target = Target(key, "10.0.0.1", 5557, 5657, "", model=model)
    verdict = Verdict(key, reason, verified=verified, settled=True, message="")
    observed = {"since": 1.0, **observed}
    observation = None if observed["since"] is None else Observation(**observed)
    return target, observation, verdict


def events(stored: int = 0, removed: int = 0, cleared: int = 0, unknown: int = 0) -> EventCounts:
    return EventCounts(stored, removed, cleared, unknown)
