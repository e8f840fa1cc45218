"""The relay's settings: one frozen object, from the command line (``kvsync relay --help``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kvsync.model.address import Address, HttpAddress


@dataclass(frozen=True, slots=True)
class Settings:
    """Where one relay stands and what it may use."""

    upstream: Address
    """Listened on for the engine of rank 0; rank r is one port further each."""
    upstream_replay: Address | None
    """Where the engine of rank 0 replays; None where it does not."""
    listen: Address
    replay: Address
    ranks: int = 1
    topic: str = ""
    max_blocks: int = 100_000
    engine_metrics: HttpAddress | None = None
    """Where the engine tells how many blocks its cache has; None: ``max_blocks`` are remembered."""
    max_memory: int = 64
    """MiB for the table of blocks."""
    reannounce: float = 300.0
    """Seconds from one slow pass to the next; 0 for none."""
    budget: float = 10_000.0
    """Events a second of everything that is told again."""
    grace: float = 5.0
    """Seconds from an engine's end to taking back what it held."""
    own_hashes: bool = False
    """Whether hashes are made this pod's own, by its host name."""
    metrics_address: Address | None = None
    """Where metrics and health are served over HTTP; None for nowhere."""
    journal: Path | None = None
    """The file for the relay after this one; None for none."""
