"""What is read of one message at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one message may hold at most; far above what an engine's step produces. Bytes, counts.

    ``values`` bounds the time and the memory of a whole batch, whatever its shape: about 0.2 s and
    25 MB where all of it is used (tests/core/test_wire_bounds.py).
    """

    topic: int = 1024
    payload: int = 4 << 20
    events: int = 1 << 16
    blocks: int = 1 << 16
    tokens: int = 1 << 22
    text: int = 4096
    fields: int = 64
    depth: int = 4
    values: int = 1 << 19
