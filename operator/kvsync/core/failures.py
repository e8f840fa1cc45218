"""The ways in which a publisher is not reached, each with its reason, in words and with a way out."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.source import Failure, SourceReason


@dataclass(frozen=True, slots=True)
class Unreached:
    """What a failure means. ``what`` follows the publisher's address in a sentence."""

    reason: SourceReason
    what: str
    remedy: str


FAILURES: dict[Failure, Unreached] = {
    Failure.REFUSED: Unreached(
        SourceReason.PORT_CLOSED,
        "refuses connections",
        "See the engine's log: it does not publish yet, or on another port.",
    ),
    Failure.TIMED_OUT: Unreached(
        SourceReason.UNREACHABLE,
        "does not answer",
        "Allow the operator and the gateway to reach the pod (NetworkPolicy), or see its node.",
    ),
    Failure.NOT_ZMQ: Unreached(
        SourceReason.NOT_ZMQ,
        "is served by something that does not speak ZeroMQ",
        "Move that program, or choose other ports in spec.events.",
    ),
    Failure.WRONG_TYPE: Unreached(
        SourceReason.WRONG_SOCKET_TYPE,
        "is a ZeroMQ socket, but no publisher",
        "Most often event port and replay port are swapped.",
    ),
    Failure.AUTH: Unreached(
        SourceReason.AUTH_REQUIRED,
        "asks for authentication, which no vLLM does",
        "Find out what listens there.",
    ),
    Failure.LOST: Unreached(
        SourceReason.STALE,
        "fell silent: the connection is lost",
        "See the pod and its node.",
    ),
    Failure.FROZEN: Unreached(
        SourceReason.STALE,
        "is connected and answers no heartbeat: its process is frozen or its node is gone",
        "See the pod and its node.",
    ),
    Failure.SILENT: Unreached(
        SourceReason.NOT_ZMQ,
        "accepts connections and says nothing: another program, a proxy without an engine behind it, or "
        "a process that is frozen",
        "See what listens there, and whether the engine's process still runs.",
    ),
    Failure.OWN_LIMIT: Unreached(
        SourceReason.CONNECTING,
        "is not tried: the operator itself has no open files left, or no ports (its log says which)",
        "Raise the operator's limit of open files.",
    ),
}
