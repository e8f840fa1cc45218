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
