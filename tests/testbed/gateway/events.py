"""The KV events as the gateway holds them after decoding."""

from __future__ import annotations

from dataclasses import dataclass


class DecodeError(ValueError):
    """A payload that this release cannot decode; the text is the gateway's own."""


@dataclass(frozen=True)
class BlockStored:
    """Blocks that an engine now holds; `blocks` are their tokens, 4 bytes each, big-endian."""

    hashes: tuple[int, ...]
    parent: int | None
    blocks: tuple[bytes, ...]


@dataclass(frozen=True)
class BlockRemoved:
    """Blocks that an engine has evicted."""

    hashes: tuple[int, ...]


@dataclass(frozen=True)
class AllBlocksCleared:
    """An engine has emptied its prefix cache."""


Event = BlockStored | BlockRemoved | AllBlocksCleared
