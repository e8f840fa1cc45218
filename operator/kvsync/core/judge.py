"""What is true of a source: from what was seen of it and the time, a verdict with a way out."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.source import Failure, Observation, SourceKey, SourceReason, Target, Verdict


@dataclass(frozen=True, slots=True)
class Policy:
    """How long, in seconds, things may take before they mean something."""

    grace: float = 5.0
    """Before a connection that fails is called a failure: engines and addresses come up slowly."""
    publishing: float = 60.0
    """After the last batch before a publisher counts as idle."""
    replay: float = 35.0
    """An answer of the replay socket proves an idle publisher for this long (three questions)."""
    patience: float = 6.0
    """For an answer of the replay socket before it counts as missing."""


_FAILURES: dict[Failure, tuple[SourceReason, str, str]] = {
    Failure.REFUSED: (
        SourceReason.PORT_CLOSED,
        "refuses connections",
        "See the engine's log: it does not publish yet, or on another port.",
    ),
    Failure.TIMED_OUT: (
        SourceReason.UNREACHABLE,
        "does not answer",
        "Allow the operator and the gateway to reach the pod (NetworkPolicy), or see its node.",
    ),
    Failure.NOT_ZMQ: (
        SourceReason.NOT_ZMQ,
        "is served by something that does not speak ZeroMQ",
        "Move that program, or choose other ports in spec.events.",
    ),
    Failure.WRONG_TYPE: (
        SourceReason.WRONG_SOCKET_TYPE,
        "is a ZeroMQ socket, but no publisher",
        "Most often event port and replay port are swapped.",
    ),
    Failure.AUTH: (
        SourceReason.AUTH_REQUIRED,
        "asks for authentication, which no vLLM does",
        "Find out what listens there.",
    ),
    Failure.LOST: (
        SourceReason.STALE,
        "fell silent: the connection is lost",
        "See the pod and its node.",
    ),
    Failure.FROZEN: (
        SourceReason.STALE,
        "is connected and answers no heartbeat: its process is frozen or its node is gone",
        "See the pod and its node.",
    ),
}


def judge(target: Target, seen: Observation | None, now: float, policy: Policy) -> Verdict:
    """The verdict on one source. ``now`` is of the clock that the observation's times are of."""
    if seen is None:
        return _unsettled(target.key, "not connected yet")
    if seen.failure is not None:
        return _failed(target, seen, seen.failure, now, policy)
    if seen.handshake_at is None:
        return _unsettled(target.key, f"connecting to {_address(target)}")
    return _wrong_content(target, seen) or _by_replay(target, seen, now, policy)


def _address(target: Target) -> str:
    return f"{target.host}:{target.port}"


def _unsettled(key: SourceKey, message: str) -> Verdict:
    return Verdict(key, SourceReason.CONNECTING, verified=False, settled=False, message=message)


def _failed(
    target: Target, seen: Observation, failure: Failure, now: float, policy: Policy
) -> Verdict:
    reason, what, remedy = _FAILURES[failure]
    began = seen.handshake_at if failure is Failure.LOST else None
    since = seen.failed_at if began is not None and seen.failed_at is not None else seen.since
    if now - since < policy.grace:
        return _unsettled(target.key, f"{_address(target)} {what}; trying again")
    message = f"{_address(target)} {what}."
    return Verdict(target.key, reason, verified=False, settled=True, message=message, remedy=remedy)


def _wrong_content(target: Target, seen: Observation) -> Verdict | None:
    if seen.undecodable is not None:
        return Verdict(
            target.key,
            SourceReason.UNDECODABLE,
            verified=False,
            settled=True,
            message=f"{_address(target)} sends what is no KV event: {seen.undecodable}.",
            remedy="Set spec.engine.version if the release is known, and report it.",
        )
    if seen.wrong_topic is not None:
        return Verdict(
            target.key,
            SourceReason.WRONG_TOPIC,
            verified=False,
            settled=True,
            message=f"{_address(target)} publishes under topic {seen.wrong_topic!r}, not "
            f"{target.topic!r}.",
            remedy="The engine was started with another configuration; see its arguments.",
        )
    return None


def _by_replay(target: Target, seen: Observation, now: float, policy: Policy) -> Verdict:
    publishing = seen.last_batch_at is not None and now - seen.last_batch_at <= policy.publishing
    checked = target.active_check and target.replay_port > 0
    answered = (
        seen.replay_answered_at is not None and now - seen.replay_answered_at <= policy.replay
    )
    if checked and not answered:
        return _replay_open(target, seen, now, policy)
    if publishing:
        message = f"{_address(target)} publishes (sequence {seen.last_sequence})."
        return Verdict(
            target.key, SourceReason.PUBLISHING, verified=True, settled=True, message=message
        )
    message = f"{_address(target)} is up and has nothing to say."
    return Verdict(
        target.key, SourceReason.IDLE, verified=checked and answered, settled=True, message=message
    )


def _replay_open(target: Target, seen: Observation, now: float, policy: Policy) -> Verdict:
    began = max(seen.replay_answered_at or 0.0, seen.handshake_at or seen.since)
    if now - began <= policy.patience:
        return _unsettled(target.key, f"waiting for an answer of port {target.replay_port}")
    return Verdict(
        target.key,
        SourceReason.REPLAY_MISSING,
        verified=False,
        settled=True,
        message=f"{_address(target)} publishes, but replay port {target.replay_port} does not "
        "answer; a gateway would wait 5 s for this pod.",
        remedy="See whether the port is reachable and replay_endpoint is in the engine's arguments.",
    )
