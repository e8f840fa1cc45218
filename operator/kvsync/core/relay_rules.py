"""The rules of a source behind a relay: whether it runs, whether the engine reaches it, whether it keeps up.

``core.judge`` has them in its order. What a relay's metrics said counts for a minute; then, and where
they cannot be reached, frames alone are judged, and that nothing is known of the engine's side is said.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.evidence import Evidence
from kvsync.core.figures import at_least
from kvsync.model.relaying import RelayFlaw, Relaying
from kvsync.model.source import Failure, SourceReason, Verdict

AGAIN_AND_AGAIN = 300.0
"""Seconds within which a second restart is no accident."""

_DOWN = frozenset({Failure.REFUSED, Failure.FROZEN})
"""What is the process's own doing; anything else may be the network's."""

_FLAWS: dict[RelayFlaw, tuple[str, str]] = {
    RelayFlaw.MISSED: (
        "messages of the engine do not reach it",
        "Raise spec.events.relay.resources.limits.cpu, or see the load of the pod's node.",
    ),
    RelayFlaw.LATE: (
        "it is more than 2 s behind the engine, or waits for what it missed",
        "Raise spec.events.relay.resources.limits.cpu, or see the load of the pod's node.",
    ),
    RelayFlaw.UNREADABLE: (
        "it cannot read messages of the engine",
        "Report the engine's release and what it sends (kvsync record).",
    ),
    RelayFlaw.FULL: (
        "its table is full, so that blocks are taken back which the engine still has",
        "Raise spec.events.relay.resources.limits.memory (the relay's --max-blocks and --max-memory).",
    ),
    RelayFlaw.SLOW_READER: (
        "a subscriber is too slow for its messages",
        "See the gateway's load, and the network to it.",
    ),
}
"""What a flaw is, and what to do; the first that is there is told first."""


def down(case: Evidence) -> Verdict | None:
    """A refusal or a frozen process, and no word of its metrics since; or one restart after another."""
    relay = case.relay
    if not case.target.relay_port:
        return None
    failure = case.seen.failure
    if failure in _DOWN and not case.is_early(failure) and not _answered_since_failure(case, relay):
        state = "is frozen" if failure is Failure.FROZEN else "does not run"
        return case.fault(
            SourceReason.RELAY_DOWN,
            f"the relay at {case.address} {state}: nothing answers there, nor on its metrics' port "
            f"{case.target.relay_port}.",
            "See container kvsync-relay of the pod (kubectl describe pod, kubectl logs -c kvsync-relay "
            "--previous).",
        )
    restarts = relay.restarts if relay is not None else ()
    if len(restarts) < 2 or case.now - restarts[0] > AGAIN_AND_AGAIN:
        return None
    return case.fault(
        SourceReason.RELAY_DOWN,
        f"the relay at {case.address} ends again and again: it restarted twice within 5 minutes.",
        "See why container kvsync-relay of the pod ends (kubectl describe pod, kubectl logs -c "
        "kvsync-relay --previous).",
    )


def _answered_since_failure(case: Evidence, relay: Relaying | None) -> bool:
    if relay is None or relay.answered_at is None:
        return False
    return relay.answered_at >= (case.seen.failed_at or case.seen.since)


def upstream_silent(case: Evidence) -> Verdict | None:
    """A rank that is not there although the engine is, or that computes and says nothing."""
    relay = case.relay if case.relay_is_known else None
    if relay is None:
        return None
    mute = [r for r, looks in relay.silent.items() if looks >= case.policy.silent_windows]
    gone = relay.missing_looks >= case.policy.silent_windows
    if gone and (relay.serving or relay.connected_once):
        return case.fault(
            SourceReason.RELAY_UPSTREAM_SILENT,
            f"the relay at {case.address} runs, and {_ranks(relay.missing)} of the engine "
            f"{_is(relay.missing)} not connected to it{_although(relay)}.",
            "See the engine's log, and whether the endpoint in its --kv-events-config is the relay's "
            "--upstream.",
        )
    if not mute:
        return None
    return case.fault(
        SourceReason.RELAY_UPSTREAM_SILENT,
        f"{_ranks(mute)} of the engine {_is(mute)} connected to the relay at {case.address} and "
        f"{_send(mute)} nothing, while the engine's metrics tell of {at_least(relay.silent_tokens)} "
        "prompt tokens that must have filled blocks.",
        "Restart the pod; if it stays silent see the engine's log and its KV event arguments.",
    )


def unproven(case: Evidence) -> Verdict | None:
    """The relay answers for an engine of which nothing was seen yet."""
    relay = case.relay
    if not case.target.relay_port or case.upstream_seen:
        return None
    if relay is None:
        return case.open(f"asking the relay at {case.address} for its engine")
    if not case.relay_is_known:
        return None
    return case.open(
        f"the relay at {case.address} runs; {_ranks(relay.missing)} of the engine {_is(relay.missing)} "
        "not connected to it yet"
    )


def lagging(case: Evidence) -> Verdict | None:
    """Verified all the same: events flow, and what is missing costs a match, no wrong answer."""
    relay = case.relay if case.relay_is_known else None
    if relay is None or not relay.flaws:
        return None
    told = [_FLAWS[flaw] for flaw in _FLAWS if flaw in relay.flaws]
    return case.good(
        SourceReason.RELAY_LAGGING,
        f"the relay at {case.address} does not keep up: {'; '.join(what for what, _ in told)}.",
        " ".join(dict.fromkeys(remedy for _, remedy in told)),
    )


def _ranks(numbers: Sequence[int]) -> str:
    """A few ranks by number; a status has no room for sixty-four."""
    named = ", ".join(map(str, sorted(numbers)[:8])) + (", …" if len(numbers) > 8 else "")
    return f"rank {named}" if len(numbers) == 1 else f"ranks {named}"


def _is(numbers: Sequence[int]) -> str:
    return "is" if len(numbers) == 1 else "are"


def _send(numbers: Sequence[int]) -> str:
    return "sends" if len(numbers) == 1 else "send"


def _although(relay: Relaying) -> str:
    return ", although it serves" if relay.serving else ""
