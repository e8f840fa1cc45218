"""What a relay's own metrics say, and what is known of one after several looks at them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RelayRank:
    """One data-parallel rank of the engine, as its relay sees it. Counts are since the relay's start."""

    connected: bool = False
    """Whether the engine's publisher is connected to it."""
    batches: int = 0
    """Messages that the rank published."""
    missed: int = 0
    """Messages that did not come when it was their turn, replayed later or not."""
    unreadable: int = 0
    """Messages that are not what an engine sends."""
    forgotten: int = 0
    """Times that all was forgotten which the rank holds."""
    held: int = 0
    """Messages that wait for a replay, at this moment."""


@dataclass(frozen=True, slots=True)
class RelayMetrics:
    """One reading of a relay's metrics."""

    ranks: Mapping[int, RelayRank] = field(default_factory=dict)
    started: int = 0
    """When the relay's process started, in seconds since the epoch."""
    lag: int = 0
    """Whole seconds from the engine's own time of its last message to when it was taken."""
    dropped: int = 0
    """Blocks that were dropped because the table was full."""
    lost: int = 0
    """Messages that some subscriber was too slow for."""
    limit: int = 0
    """Blocks that the table holds at most; 0 where it does not say."""
    budget: float | None = None
    """Events a second of all that is told again; None where it does not say."""


class RelayFlaw(enum.StrEnum):
    """In what a relay's work is not whole, or late."""

    FULL = "full"
    """Its table is full: blocks were dropped that the engine still has."""
    MISSED = "missed"
    """Messages of the engine did not arrive."""
    UNREADABLE = "unreadable"
    """Messages of the engine could not be read."""
    SLOW_READER = "slow reader"
    """A subscriber was too slow for messages."""
    LATE = "late"
    """Messages come to it late, or wait in it for a replay."""


@dataclass(frozen=True, slots=True)
class Relaying:
    """What is known of the relay of a source. Times are of the clock of the observations, in seconds."""

    looked_at: float
    """When it was asked last, answered or not."""
    answered_at: float | None = None
    """When it answered last; None while it never did. All below is of that moment."""
    missing: tuple[int, ...] = ()
    """Ranks of the engine that were not connected."""
    missing_looks: int = 0
    """Looks in a row with a rank that was not connected."""
    serving: bool = False
    """Whether the engine answered over HTTP meanwhile."""
    connected_once: bool = False
    """Whether all ranks were connected at some look."""
    heard: bool = False
    """Whether any message of the engine came since the relay started."""
    silent: Mapping[int, int] = field(default_factory=dict)
    """By rank, looks in a row in which its prompts filled whole new blocks while it sent nothing."""
    silent_tokens: int = 0
    """Prompt tokens that were computed in these looks and must have filled blocks."""
    flaws: frozenset[RelayFlaw] = frozenset()
    """What was seen in two looks of late, and not missing for as long since."""
    tendencies: Mapping[RelayFlaw, int] = field(default_factory=dict)
    """How many looks more showed each of them than did not, three at most."""
    restarts: tuple[float, ...] = ()
    """When its process was seen to have started anew, the last two times."""
