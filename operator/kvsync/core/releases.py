"""What each release knows, as data: adding a release that changes something is adding a row.

Sources: vLLM ``vllm/config/kv_events.py`` (earlier ``vllm/config.py``) and
``vllm/distributed/kv_events.py`` of the releases named; AIBrix ``pkg/cache/kvcache`` and
``pkg/kvevent`` of the releases named. A row holds from its release until the next row.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from kvsync.model.version import Version


class EventLayout(enum.StrEnum):
    """How one event stands inside a batch on the wire."""

    ARRAY = "array"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class EngineRelease:
    """What a vLLM release takes and sends."""

    since: Version
    events: bool
    """Whether upstream's own build knows ``--kv-events-config``."""
    layout: EventLayout
    v0_fallback: bool = False
    """Whether ``VLLM_USE_V1=0`` still selects the old engine, which sends no events."""


ENGINE_RELEASES = (
    EngineRelease(Version(0, 0), events=False, layout=EventLayout.ARRAY),
    EngineRelease(Version(0, 9), events=True, layout=EventLayout.ARRAY, v0_fallback=True),
    EngineRelease(Version(0, 11), events=True, layout=EventLayout.ARRAY),
    EngineRelease(Version(0, 24), events=True, layout=EventLayout.MAP),
)

FIRST_CONFIG_JSON = Version(0, 9)
"""The first release with ``--kv-events-config``."""

FIRST_FLAGS = Version(0, 7)
"""The first release that the product text's flags are documented for."""


@dataclass(frozen=True, slots=True)
class GatewayRelease:
    """What an AIBrix gateway release reads and decodes."""

    since: Version
    new_names: bool
    """Whether it reads ``AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED`` (else the names of 0.4)."""
    layouts: frozenset[EventLayout]
    """The event layouts that it decodes from a released vLLM."""


GATEWAY_RELEASES = (
    GatewayRelease(Version(0, 0), new_names=False, layouts=frozenset()),
    GatewayRelease(Version(0, 5), new_names=True, layouts=frozenset()),
    GatewayRelease(Version(0, 6), new_names=True, layouts=frozenset({EventLayout.ARRAY})),
)

GATEWAY_PORT = 5557
"""Where the gateway subscribes on every pod; not configurable (AIBrix ``zmq_client.go``)."""

GATEWAY_REPLAY_PORT = 5558
"""Where the gateway asks every pod for a replay; not configurable."""


def engine_release(version: Version) -> EngineRelease:
    """The row that holds for a vLLM version."""
    return max((r for r in ENGINE_RELEASES if r.since <= version), key=lambda r: r.since)


def gateway_release(version: Version) -> GatewayRelease:
    """The row that holds for a gateway version."""
    return max((r for r in GATEWAY_RELEASES if r.since <= version), key=lambda r: r.since)
