"""What one KVEventSync is to the others: what it wants of the gateway they share, what it restarts."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.spec import GatewaySpec


@dataclass(frozen=True, slots=True)
class GatewayWish:
    """What one object wants its gateway to read; sizes and ports as its engines are known to have.

    ``derived_endpoint`` stands in where ``spec`` names none. ``ready``: every source of it is
    verified and nothing holds it (paused), so that the gateway may be told to consume. ``asks``: whether it
    may have the gateway changed, and does; what another one wants does not count, yet its pods do.
    """

    spec: GatewaySpec
    asks: bool = True
    derived_endpoint: str = ""
    block_sizes: frozenset[int] = frozenset()
    """Tokens of a block, of each of its models that told."""
    http_ports: frozenset[int] = frozenset()
    usual_port: int = 8000
    """Where engines of its kind serve HTTP by default."""
    ready: bool = False
    retry: str = ""
    """A new value asks to set again what someone set back."""
    unanswering: tuple[str, ...] = ()
    """Pods, as ``namespace/name``, that the gateway subscribes to and that do not answer a replay
    request: each stalls a starting gateway for 5 s (AIBrix ``pkg/cache/kvcache``). Of many, the first
    by name."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last pass over one object found, for the passes over the others.

    ``sync`` is its ``namespace/name``. Kept in memory, and told in the status where other operators serve
    other objects (``core.shards``): after a start every object is looked at once before anything that
    depends on the others is done.
    """

    sync: str
    wish: GatewayWish | None = None
    """None: nothing is known of what it wants, or it is about to go."""
    awaits_pods: bool = False
    """Whether a restart of its gateway waits for pods, of whatever object, that do not answer."""
    in_flight: tuple[str, ...] = ()
    """Its models that take places of all objects: their pods are being replaced, or are not verified
    yet since they were."""
    waiting: bool = False
    """Whether it has models to change that wait for those of others."""
    awaits_all: bool = False
    """Whether its last pass came before all objects had been looked at, and may come to more now that
    they were."""
    last_change: int = 0
    """When it last changed a model, in seconds since the epoch; 0 if it never did."""
