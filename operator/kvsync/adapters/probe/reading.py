"""What the probe needs of a message: given to it, for adapters do not know the core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kvsync.model.events import EventLayout
from kvsync.model.source import EventCounts


class Gist(Protocol):
    """What is noted of one message (``core.gist``)."""

    @property
    def topic(self) -> str:
        """As in ``model.events.Batch``."""

    @property
    def sequence(self) -> int:
        """As in ``model.events.Batch``."""

    @property
    def timestamp(self) -> float:
        """As in ``model.events.Batch``."""

    @property
    def rank(self) -> int | None:
        """As in ``model.events.Batch``."""

    @property
    def events(self) -> EventCounts:
        """How many of each type."""

    @property
    def layout(self) -> EventLayout | None:
        """Of its first event; None without one."""

    @property
    def block_size(self) -> int | None:
        """Of its last stored block; None without one."""


@dataclass(frozen=True, slots=True)
class Readers:
    """How frames are read. ``whole`` and ``gist`` raise WireError, the others nothing."""

    whole: Callable[[Sequence[bytes]], Gist]
    """Reads all of a message, to know that it can be."""
    gist: Callable[[Sequence[bytes]], Gist]
    """Reads only what is noted of it, which costs a fraction."""
    sequence: Callable[[Sequence[bytes | None]], int | None]
    """The sequence of a message that is not read further; None for what is no message."""
    ends_replay: Callable[[Sequence[bytes | None]], bool]
    """Whether it is the end marker of a replay."""
