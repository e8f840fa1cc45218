"""A source: one publisher of KV events, what was asked of it, seen of it and is held true of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class SourceKey:
    """One publisher: a pod (by uid, so that a verdict never outlives its pod) and a data-parallel rank."""

    namespace: str
    pod: str
    uid: str
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a source is expected to publish, and what is expected there.

    ``host`` is the pod's IP; ``replay_port`` of 0 means no replay socket is expected.
    ``active_check``: prove an idle publisher by the replay request that asks for nothing.
    """

    key: SourceKey
    host: str
    port: int
    replay_port: int
    topic: str
    active_check: bool = True


class SourceReason(enum.StrEnum):
    """What the probe holds true of a source. Each has an entry in docs/runbook.md."""

    CONNECTING = "Connecting"
    PORT_CLOSED = "PortClosed"
    UNREACHABLE = "Unreachable"
    NOT_ZMQ = "NotZMQ"
    WRONG_SOCKET_TYPE = "WrongSocketType"
    AUTH_REQUIRED = "AuthRequired"
    IDLE = "Idle"
    PUBLISHING = "Publishing"
    WRONG_TOPIC = "WrongTopic"
    UNDECODABLE = "Undecodable"
    REPLAY_MISSING = "ReplayMissing"
    STALE = "Stale"


class Failure(enum.StrEnum):
    """How the last attempt to reach a publisher ended."""

    REFUSED = "refused"
    TIMED_OUT = "timed out"
    NOT_ZMQ = "not ZeroMQ"
    WRONG_TYPE = "no publisher"
    AUTH = "authentication required"
    LOST = "connection lost"


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of one source so far. Times are of one monotonic clock, in seconds.

    ``failure`` is None while a handshake stands or none was tried yet.
    """

    since: float
    handshake_at: float | None = None
    failure: Failure | None = None
    failed_at: float | None = None
    batches: int = 0
    last_batch_at: float | None = None
    last_sequence: int | None = None
    restarts: int = 0
    wrong_topic: str | None = None
    """The topic of the last batch, where it is not the expected one."""
    undecodable: str | None = None
    """Why the last message could not be decoded; None after one that could."""
    replay_asked_at: float | None = None
    replay_answered_at: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of one source at one moment.

    ``verified``: events were seen, or the active check proved the publisher. Idle is healthy.
    ``settled``: False while it is too early to tell (a connection is being tried).
    """

    key: SourceKey
    reason: SourceReason
    verified: bool
    settled: bool
    message: str
    remedy: str = ""
