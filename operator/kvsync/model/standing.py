"""What one KVEventSync is to the others: what it wants of the gateway they share, what it restarts."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.spec import GatewaySpec


@dataclass(frozen=True, slots=True)
class GatewayWish:
    """What one object wants its gateway to read; sizes and ports as its engines are known to have.

    ``derived_endpoint`` stands in where ``spec`` names none. ``ready``: every source of it is
    verified, so that the gateway may be told to consume.
    """

    spec: GatewaySpec
    derived_endpoint: str = ""
    block_sizes: frozenset[int] = frozenset()
    """Tokens of a block, of each of its models that told."""
    http_ports: frozenset[int] = frozenset()
    ready: bool = False
    unanswering: tuple[str, ...] = ()
    """Pods, as ``namespace/name``, that the gateway subscribes to and that do not answer a replay
    request: each stalls a starting gateway for 5 s (AIBrix ``pkg/cache/kvcache``)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last pass over one object found, for the passes over the others.

    ``sync`` is its ``namespace/name``. Kept in memory alone: after a start every object is looked
    at once before anything that depends on the others is done.
    """

    sync: str
    wish: GatewayWish | None = None
    """None: it wants nothing of any gateway."""
    in_flight: tuple[str, ...] = ()
    """Its models that take places of all objects: their pods are being replaced, or are not verified
    yet since they were."""
    waiting: bool = False
    """Whether it has models to change that wait for those of others."""
    last_change: int = 0
    """When it last changed a model, in seconds since the epoch; 0 if it never did."""
