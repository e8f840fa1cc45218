"""What the probe needs of a message: given to it, for adapters do not know the core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvsync.model.source import Gist


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
