"""What the log of a gateway's pod says of KV events, and whose logs are read.

The log alone tells: no metric of a gateway differs between consuming and not consuming (AIBrix v0.6.0
to main).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Start(enum.StrEnum):
    """How far the gateway's process came with KV event sync."""

    UNSAID = "Unsaid"
    """Nothing was said of it yet."""
    BEGUN = "Begun"
    INITIALIZED = "Initialized"
    FAILED = "Failed"
    """It subscribes to no pod until it starts anew; it is Ready all the same."""


class Subscription(enum.StrEnum):
    """What a gateway says last of a pod that it subscribed to."""

    CONNECTED = "Connected"
    """That it means to: ZMQ connects lazily, so this is said too where nothing listens."""
    TAKEN = "Taken"
    """That its request for a replay was answered, and of no error since."""
    UNANSWERED = "Unanswered"
    """That its request for a replay was not answered."""
    FAILING = "Failing"
    """That what it received could not be used; it drops the connection and tries again."""


class Unread(enum.StrEnum):
    """Why a log could not be read."""

    FORBIDDEN = "Forbidden"
    UNREADABLE = "Unreadable"


@dataclass(frozen=True, slots=True)
class GatewayReading:
    """What the log of one start of a gateway's container says, as far as it was read."""

    restarts: int = 0
    """Which start: how often the container was started before."""
    start: Start = Start.UNSAID
    words: str = ""
    """The line that says why it failed, bounded and printable."""
    silent: bool = False
    """Whether its time to say something is over: it is Ready, all of its log was read, and it holds
    nothing of KV event sync."""
    whole: bool = True
    """Whether every line since the start was seen."""
    caught_up: bool = True
    """Whether it was read up to its end once."""
    pods: Mapping[str, Subscription] = field(default_factory=dict)
    """By ``namespace/name``."""
    unread: Unread | None = None


@dataclass(frozen=True, slots=True)
class GatewayWatch:
    """The gateway whose logs an object wants read, and the pods that shall be taken."""

    namespace: str
    deployment: str
    container: str
    pods: frozenset[str] = frozenset()
    """As ``namespace/name``."""
