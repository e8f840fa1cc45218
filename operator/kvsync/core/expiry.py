"""Until when a verdict stands by itself: the times at which time alone may change it.

So a source of which nothing new is seen is judged when something ends, and not again and again. The
times are those that the rules of ``core.judge`` compare with now; a rule that compares another one has
it here too (``tests/core/test_expiry.py`` finds one that is missing).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from kvsync.core.evidence import Evidence, Policy
from kvsync.core.relay_rules import AGAIN_AND_AGAIN
from kvsync.model.source import Observation, Target, Traffic


def stands_until(
    target: Target,
    seen: Observation,
    now: float,
    policy: Policy,
    traffic: Traffic | None = None,
) -> float:
    """The first time from ``now`` on at which another verdict is possible although nothing new was seen;
    infinite where there is none. Times are of the observation's clock."""
    case = Evidence(target, seen, traffic, now, policy)
    return min((end for end in _ends(case) if end >= now), default=math.inf)


def _ends(case: Evidence) -> Iterator[float]:
    seen, policy = case.seen, case.policy
    if seen.last_batch_at is not None:
        yield seen.last_batch_at + policy.publishing
    if seen.restarted_at is not None:
        yield seen.restarted_at + policy.restarted
    if seen.failure is not None:
        yield from (at + policy.grace for at in (seen.since, seen.failed_at) if at is not None)
    if case.checked:
        yield _end_of_proof(case)
    if case.traffic is not None and case.traffic.silent_windows >= policy.silent_windows:
        yield case.traffic.looked_at + policy.traffic
    if case.relay is not None:
        yield from (at + AGAIN_AND_AGAIN for at in case.relay.restarts)
        if case.relay.answered_at is not None:
            yield case.relay.answered_at + policy.traffic


def _end_of_proof(case: Evidence) -> float:
    """Of the last answer of the replay socket; without one, of the patience for the next."""
    seen, policy = case.seen, case.policy
    if seen.replay_answered_at is not None and case.answered:
        return seen.replay_answered_at + policy.replay * case.target.interval
    began = max(seen.replay_answered_at or 0.0, seen.handshake_at or seen.since)
    return began + policy.patience
