"""What an engine's message says, as far as the relay needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from kvsync.model.events import BlockHash


class Stored(NamedTuple):
    """Blocks that entered a cache."""

    hashes: Sequence[BlockHash]
    parent: BlockHash | None
    tokens: bytes | None
    """As ``encoding.packed_tokens`` gives them: None where one does not fit 32 bits."""
    size: int
    medium: str | None
    remote: bool
    group: int | None
    kind: str | None
    tied: bool
    """Whether all of them depend on more than tokens: a LoRA, a cache salt."""
    extra: Sequence[Any]
    """What else each one's hash depends on, in the order of the blocks; empty for nothing."""


class Removed(NamedTuple):
    """Blocks that left a cache."""

    hashes: list[BlockHash]
    medium: str | None
    remote: bool
    group: int | None


class Cleared(NamedTuple):
    """The cache was emptied."""


Event: TypeAlias = Stored | Removed | Cleared


class Reading(NamedTuple):
    """One message. Events that are alike and follow each other may be one here.

    ``sent`` counts the events as they were sent, ``unknown`` those of types that are not known.
    """

    sequence: int
    timestamp: float
    events: Sequence[Event]
    sent: int
    unknown: int
