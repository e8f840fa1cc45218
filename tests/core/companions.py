"""Other objects that share a gateway, as their last pass left them."""

from __future__ import annotations

from typing import Any

from core.objects import spec_of
from kvsync.model.standing import GatewayWish, Standing


def companion(
    mark: str = "team/other",
    *,
    ready: bool = True,
    asks: bool = True,
    sizes: tuple[int, ...] = (16,),
    ports: tuple[int, ...] = (8000,),
    silent: tuple[str, ...] = (),
    derived: str = "http://other.team:8000",
    **gateway: Any,
) -> Standing:
    """Another object's standing; further fields are those of its spec.gateway."""
    return Standing(
        mark,
        GatewayWish(
            spec=spec_of(gateway=gateway).gateway,
            asks=asks,
            derived_endpoint=derived,
            block_sizes=frozenset(sizes),
            http_ports=frozenset(ports),
            ready=ready,
            unanswering=silent,
        ),
    )


def endpoint(url: str) -> dict[str, Any]:
    """The part of a spec.gateway that names a tokenizer."""
    return {"remoteTokenizer": {"endpoint": url}}
