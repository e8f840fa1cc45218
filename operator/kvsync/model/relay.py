"""The relay in an engine's pod: what its pieces are called, and the ports between the two."""

from __future__ import annotations

from dataclasses import dataclass

RELAY_CONTAINER = "kvsync-relay"
"""The sidecar's name in every pod. People and tools see it: it is an API."""

RELAY_VOLUME = "kvsync-relay"
"""The volume that outlives the container, not the pod."""

RELAY_DIRECTORY = "/var/run/kvsync-relay"
"""Where that volume is mounted."""

MAX_RANKS = 64
"""Data-parallel ranks that one relay takes (``kvsync relay --ranks``)."""

_FIRST = 5656
_FAR = 101


@dataclass(frozen=True, slots=True)
class RelayPorts:
    """The relay's ports that are of no concern outside of the pod, but for ``http``.

    The engine's rank r connects to ``upstream`` + r, where the relay listens, and listens itself for
    replay requests on ``upstream_replay`` + r, both on the pod's loopback.
    """

    http: int = _FIRST
    upstream: int = _FIRST + 1
    upstream_replay: int = _FIRST + 2

    @classmethod
    def of(cls, ranks: int, first: int = _FIRST) -> RelayPorts:
        """The ports from ``first`` on; those of several ranks lie apart, so that none meets another."""
        return cls(first, first + 1, first + (2 if ranks == 1 else _FAR))

    def all_of(self, ranks: int) -> frozenset[int]:
        """Every port that is taken for so many ranks."""
        firsts = (self.upstream, self.upstream_replay)
        return frozenset({self.http, *(port + rank for port in firsts for rank in range(ranks))})
