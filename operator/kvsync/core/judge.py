"""What is true of a source: from what was seen of it and the time, a verdict with a way out.

The rules stand in ``_RULES``, in their order; the first that applies decides. Messages of faults hold
no number that grows with each look: they reach the status, which is written when it changes.
"""

from __future__ import annotations

from collections.abc import Callable

from kvsync.core import relay_rules
from kvsync.core.evidence import Evidence, Policy
from kvsync.core.failures import FAILURES
from kvsync.core.figures import at_least
from kvsync.model.source import Failure, Observation, SourceReason, Target, Traffic, Verdict

__all__ = ["Policy", "judge"]


def judge(
    target: Target,
    seen: Observation | None,
    now: float,
    policy: Policy,
    traffic: Traffic | None = None,
) -> Verdict:
    """The verdict on one source, by itself; :func:`kvsync.core.steady.steady` knows the one before.

    ``now`` and the times of ``traffic`` are of the clock that the observation's times are of.
    """
    case = Evidence(target, seen or Observation(since=now), traffic, now, policy)
    found = (rule(case) for rule in _RULES)
    return next(verdict for verdict in found if verdict is not None)


def _interrupted(case: Evidence) -> Verdict | None:
    if case.seen.interrupted_at is None:
        return None
    return case.open(
        f"the operator's own process that watches {case.address} ended and comes back; "
        "nothing new is known of the source meanwhile",
        SourceReason.PROBE_RESTARTED,
    )


def _unreached(case: Evidence) -> Verdict | None:
    failure = case.seen.failure
    if failure is None:
        return None
    found = FAILURES[failure]
    if failure is Failure.OWN_LIMIT or case.is_early(failure):
        return case.open(f"{case.address} {found.what}; trying again")
    return case.fault(found.reason, f"{case.address} {found.what}.", found.remedy)


def _connecting(case: Evidence) -> Verdict | None:
    if case.seen.handshake_at is not None:
        return None
    return case.open(f"connecting to {case.address}")


def _undecodable(case: Evidence) -> Verdict | None:
    seen = case.seen
    never = seen.messages <= seen.undecoded
    if seen.undecodable is None or not (never or seen.undecodable_streak >= case.policy.samples):
        return None
    return case.fault(
        SourceReason.UNDECODABLE,
        f"{case.address} sends what is no KV event: {seen.undecodable}.",
        "See whether an engine publishes there; if so report its release and what it sends "
        "(kvsync record).",
    )


def _wrong_topic(case: Evidence) -> Verdict | None:
    if case.seen.wrong_topic is None:
        return None
    return case.fault(
        SourceReason.WRONG_TOPIC,
        f"{case.address} publishes under topic {case.seen.wrong_topic!r}, not "
        f"{case.target.topic!r}.",
        "The engine was started with another configuration; see its arguments.",
    )


def _prefix_caching_off(case: Evidence) -> Verdict | None:
    """An engine's arguments do not change while its pod lives; what it sent speaks against it."""
    off = case.traffic is not None and case.traffic.prefix_caching is False
    if not off or case.engine_heard:
        return None
    return case.fault(
        SourceReason.PREFIX_CACHING_OFF,
        f"{case.address} is up, but the engine's metrics say that its prefix cache is off: it "
        "never sends an event.",
        "Remove --no-enable-prefix-caching (SGLang: --disable-radix-cache), also from its "
        "configuration file.",
    )


def _silent(case: Evidence) -> Verdict | None:
    traffic, last = case.traffic, case.seen.last_batch_at
    if traffic is None or traffic.silent_windows < case.policy.silent_windows:
        return None
    if last is not None and last > traffic.looked_at:
        return None
    if case.now - traffic.looked_at > case.policy.traffic:
        # Old news proves nothing, neither guilt nor innocence: what was held before stands.
        return case.open(f"{case.address} was silent despite traffic, and its metrics are old")
    return case.fault(
        SourceReason.SILENT_DESPITE_TRAFFIC,
        f"{case.address} is up and sends nothing, while the engine's metrics tell of "
        f"{at_least(traffic.silent_tokens)} prompt tokens that must have filled blocks.",
        "Restart the pod; if it stays silent see the engine's log and its KV event arguments.",
    )


def _replay_missing(case: Evidence) -> Verdict | None:
    if not case.checked or case.answered:
        return None
    seen, port = case.seen, case.target.replay_port
    began = max(seen.replay_answered_at or 0.0, seen.handshake_at or seen.since)
    if case.now - began <= case.policy.patience:
        return case.open(f"waiting for an answer of port {port}")
    return case.fault(
        SourceReason.REPLAY_MISSING,
        f"{case.address} is up, but replay port {port} does not answer; a gateway would wait 5 s "
        "for this pod.",
        "See whether the port is reachable and replay_endpoint is in the engine's arguments.",
    )


def _gap(case: Evidence) -> Verdict | None:
    """Verified all the same: a publisher drops for each subscriber by itself, so that a gap is one of
    our path. It neither says that a gateway loses the same, nor takes back that events were seen."""
    lossy = max(case.seen.gap_streak, case.seen.recent_gaps) >= case.policy.samples
    if not lossy or not case.publishing:
        return None
    return case.good(
        SourceReason.SEQUENCE_GAP,
        f"{case.address} publishes and {at_least(case.seen.missing)} batches were lost on the way "
        "to the operator; a gateway that loses some routes by an old picture.",
        "See the load of the operator, the pod's node and the network between; where hwm is set "
        "low, raise spec.events.hwm.",
    )


def _restarted(case: Evidence) -> Verdict | None:
    at = case.seen.restarted_at
    if case.target.relay_port:
        return None  # the sequence is the relay's, which mends by itself what that means
    if at is None or case.now - at > case.policy.restarted:
        return None
    return case.good(
        SourceReason.ENGINE_RESTARTED,
        f"{case.address} began its sequence anew: the engine restarted with an empty cache, and "
        "the gateway's picture of this pod is stale until events come again.",
    )


def _publishing(case: Evidence) -> Verdict | None:
    if not case.publishing:
        return None
    rate = "" if case.seen.rate is None else f", {case.seen.rate:.1f} batches/s"
    return case.good(
        SourceReason.PUBLISHING,
        f"{case.address} publishes (sequence {case.seen.last_sequence}{rate}).",
    )


def _idle(case: Evidence) -> Verdict:
    return case.good(SourceReason.IDLE, f"{case.address} is up and has nothing to say.")


_RULES: tuple[Callable[[Evidence], Verdict | None], ...] = (
    _interrupted,
    relay_rules.down,
    _unreached,
    _connecting,
    _undecodable,
    _wrong_topic,
    _prefix_caching_off,
    _silent,
    relay_rules.upstream_silent,
    relay_rules.unproven,
    _replay_missing,
    relay_rules.lagging,
    _gap,
    _restarted,
    _publishing,
    _idle,
)
