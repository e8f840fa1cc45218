"""What the relay counts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RankCounts:
    """Of one data-parallel rank of the engine."""

    batches: int = 0
    events: int = 0
    gaps: int = 0
    """Batches that were missed."""
    replayed: int = 0
    """Batches that the engine's replay socket gave."""
    restarts: int = 0
    forgotten: int = 0
    """Times that all was forgotten which this rank held, for whatever reason."""
    unreadable: int = 0
    """Messages that no engine sends."""


@dataclass(slots=True)
class LeftOut:
    """Blocks and events of the engine that are not passed on, by the reason."""

    special: int = 0
    """Blocks that are more than their tokens: LoRA, a cache salt, an image."""
    attention: int = 0
    """Events of a cache group that a prefix does not need as a whole."""
    medium: int = 0
    """Events of a medium that says nothing of this pod, or of a block known only there."""
    collision: int = 0
    """Blocks whose hash of bytes begins like another one's."""
    malformed: int = 0
    """Blocks whose tokens are not what their event says."""
    unknown: int = 0
    """Events of a type that is not known."""


@dataclass(slots=True)
class Counts:
    """Of the whole relay, since its start."""

    ranks: list[RankCounts]
    left_out: LeftOut = field(default_factory=LeftOut)
    messages: int = 0
    """Messages published."""
    subscribers: int = 0
    """Subscriptions that asked for all that is resident."""
    lost: int = 0
    """Messages that at least one subscriber was too slow for."""
    unwritten: int = 0
    """Times that the journal could not be written."""
