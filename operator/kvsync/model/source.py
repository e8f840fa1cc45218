"""A source: one publisher of KV events, what was asked of it, seen of it and is held true of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from kvsync.model.events import EventLayout
from kvsync.model.relaying import Relaying


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
    interval: float = 10.0
    """Seconds between samples, and between replay requests."""
    model: str = ""
    """The model that it serves, as the status names it."""
    http_port: int = 0
    """Where its engine answers HTTP; 0 where that is not known."""
    served_model: str = ""
    """The model's name in requests; empty where the command line does not tell it."""
    block_factor: int = 1
    """How many times its metrics' block size a block that it stores has (context parallelism)."""
    canary: bool = False
    """Whether it may be sent one short completion to prove it."""
    relay_port: int = 0
    """Where the relay in its pod answers HTTP; 0 where there is none. Behind a relay a pod is one source,
    however many ranks its engine has."""
    gateway: str = ""
    """The gateway that it is meant for, as ``namespace/name``; relays of one share a budget."""


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
    ENGINE_RESTARTED = "EngineRestarted"
    WRONG_TOPIC = "WrongTopic"
    UNDECODABLE = "Undecodable"
    SEQUENCE_GAP = "SequenceGap"
    REPLAY_MISSING = "ReplayMissing"
    SILENT_DESPITE_TRAFFIC = "SilentDespiteTraffic"
    PREFIX_CACHING_OFF = "PrefixCachingOff"
    RELAY_DOWN = "RelayDown"
    RELAY_UPSTREAM_SILENT = "RelayUpstreamSilent"
    RELAY_LAGGING = "RelayLagging"
    STALE = "Stale"
    # Of pods that cannot be probed, or not now.
    NOT_INJECTED = "NotInjected"
    NOT_RESTARTED = "NotRestarted"
    PROBE_RESTARTED = "ProbeRestarted"


HEALTHY = frozenset({SourceReason.IDLE, SourceReason.PUBLISHING, SourceReason.ENGINE_RESTARTED})
"""All is as it should be: nothing is to be done."""

LOSSY = frozenset({SourceReason.SEQUENCE_GAP, SourceReason.RELAY_LAGGING})
"""Events come, and some are lost or late: that is told, and no more."""

ACTIVE = frozenset({SourceReason.PUBLISHING, SourceReason.ENGINE_RESTARTED}) | LOSSY
"""Events come."""


class Failure(enum.StrEnum):
    """How the last attempt to reach a publisher ended."""

    REFUSED = "refused"
    TIMED_OUT = "timed out"
    NOT_ZMQ = "not ZeroMQ"
    WRONG_TYPE = "no publisher"
    AUTH = "authentication required"
    LOST = "connection lost"
    FROZEN = "no answer to a heartbeat"
    SILENT = "accepts connections and says nothing"
    OWN_LIMIT = "not tried, for want of something on the operator's own machine"


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Events in the messages that were looked at, by type."""

    stored: int = 0
    removed: int = 0
    cleared: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Gist:
    """What one message says of its publisher. See ``Batch`` for the fields they share.

    ``block_size`` is in tokens, of the last stored block; None without one.
    """

    topic: str
    sequence: int
    timestamp: float
    rank: int | None
    events: EventCounts
    layout: EventLayout | None
    block_size: int | None


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of one source so far.

    Times are of one monotonic clock that all processes of a machine share, in seconds. Counts begin
    with ``since`` and cover what was looked at: a busy publisher is sampled.
    """

    since: float
    handshake_at: float | None = None
    failure: Failure | None = None
    """How the last attempt ended; None while a handshake stands or none was tried yet."""
    failed_at: float | None = None
    """When the first of the failures began that lasts."""
    messages: int = 0
    """Messages that came, whether or not they could be decoded."""
    octets: int = 0
    """Bytes of these messages' frames."""
    events: EventCounts = EventCounts()
    last_batch_at: float | None = None
    """When the last message with a readable sequence came."""
    last_sequence: int | None = None
    rate: float | None = None
    """Batches a second between the last two samples, exact: by sequence, so also of unseen ones."""
    lag: float | None = None
    """Seconds from the last decoded batch's own time to its receipt, by two machines' clocks."""
    layout: EventLayout | None = None
    """How events are written, of the last batch that had one."""
    block_size: int | None = None
    """Tokens a block, as the last stored block said."""
    restarts: int = 0
    """How often the sequence began anew."""
    restarted_at: float | None = None
    missing: int = 0
    """Batches that are missing inside of samples."""
    gap_streak: int = 0
    """Samples in a row, up to the last one, that had a gap."""
    recent_gaps: int = 0
    """Samples that had a gap among the last eight: a path that loses some seldom loses of each."""
    undecodable: str | None = None
    """Why the last message could not be decoded; None after one that could."""
    undecoded: int = 0
    """Messages that could not be decoded."""
    undecodable_streak: int = 0
    """Samples in a row, up to the last one, with nothing but messages that could not be decoded."""
    wrong_topic: str | None = None
    """The topic of the last batch, where it is not the expected one."""
    subscribed_at: float | None = None
    """Since when the subscription stands without a break; None while there is none (a busy source
    between two samples). Silence counts only while it stands."""
    replay_answered_at: float | None = None
    interrupted_at: float | None = None
    """When the process that watches this source ended; None while it runs."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is known of one source beside the wire: what its engine's own metrics say, and its relay's."""

    looked_at: float
    """When the engine's were read last, by the clock of the observations."""
    prefix_caching: bool | None = None
    """Whether its prefix cache is on; None where it does not say."""
    silent_windows: int = 0
    """Looks in a row in which prompts filled whole new blocks while the sequence stood still; looks
    without such prompts lie between them and count neither way."""
    silent_tokens: int = 0
    """Prompt tokens that were computed in these looks and must have filled blocks."""
    relay: Relaying | None = None
    """What its relay's metrics say; None without one. Then silence is judged by them alone."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of one source at one moment.

    ``verified``: events were seen, or the active check proved the publisher. Idle is healthy.
    ``settled``: False while it is too early to tell (a connection is being tried). Verified and not
    settled is the last known: it was proven before, and no news came since (``core.steady``).
    """

    key: SourceKey
    reason: SourceReason
    verified: bool
    settled: bool
    message: str
    remedy: str = ""
    answers: bool = False
    """Whether it answered a replay request of late, which is what a starting gateway waits for; where
    none is sent, whether it was heard of late. Unlike ``verified`` this is never taken on trust."""
    layout: EventLayout | None = None
    """How it writes events, as seen on the wire."""
    block_size: int | None = None
    """Tokens a block, as seen on the wire."""
    unknown: bool = False
    """Whether it is not verified for one reason only: what would tell cannot be asked, as the metrics of a
    relay that nothing came through. Nothing speaks against it."""
