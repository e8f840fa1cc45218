"""What each release knows, as data: adding a release that changes something is adding a row.

Sources: vLLM ``vllm/config/kv_events.py`` (earlier ``vllm/config.py``) and
``vllm/distributed/kv_events.py`` of the releases named; SGLang
``sglang/srt/disaggregation/kv_events.py``, ``sglang/srt/managers/scheduler.py``; AIBrix
``pkg/cache/kvcache`` and ``pkg/kvevent`` of the releases named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from kvsync.model.events import EventLayout
from kvsync.model.finding import EngineFinding
from kvsync.model.spec import EngineType
from kvsync.model.version import Version


@dataclass(frozen=True, slots=True)
class EngineRelease:
    """What a release of an engine takes and sends."""

    since: Version
    events: bool = False
    """Whether upstream's own build knows ``--kv-events-config``."""
    publisher_required: bool = True
    """Whether the configuration must name its publisher: without one the engine stops."""
    tensor_parallel: bool = True
    """Whether it starts with events and several tensor-parallel workers."""
    pipeline_parallel: bool = True
    data_parallel: bool = True
    """Whether each data-parallel rank has ports of its own; otherwise the second one finds them
    taken and the engine does not start."""
    attention_ranks: bool = True
    """The same of ranks that share the weights (SGLang's ``--enable-dp-attention``)."""
    first_rank_only: bool = False
    """Whether of several ranks only the first one publishes."""
    v0_fallback: bool = False
    """Whether ``VLLM_USE_V1=0`` still selects the old engine, which sends no events."""
    hybrid_off: bool = False
    """Whether KV events switch the hybrid KV cache manager off."""
    nixl_default: int | None = None
    """Where its NIXL side channel listens unless told otherwise; None: where the newest does."""
    batch_rank: bool = False
    """Whether a batch ends with the data-parallel rank."""
    layout: EventLayout = EventLayout.ARRAY
    replay_topic: bool = False
    """Whether a replayed batch comes with its topic, in four frames instead of three."""
    event_sources: bool = False
    """Whether ``GET /kv_event_sources`` tells the configuration of each rank."""


def _since(before: EngineRelease, number: tuple[int, int, int], **changes: Any) -> EngineRelease:
    return replace(before, since=Version(*number), **changes)


_NONE = EngineRelease(Version(0, 0), data_parallel=False, attention_ranks=False)

_V0_9_0 = _since(_NONE, (0, 9, 0), events=True, v0_fallback=True, nixl_default=5557)
_V0_9_1 = _since(*(_V0_9_0, (0, 9, 1)), data_parallel=True, attention_ranks=True, batch_rank=True)
_V0_9_2 = _since(_V0_9_1, (0, 9, 2), hybrid_off=True)
_V0_11_0 = _since(_V0_9_2, (0, 11, 0), v0_fallback=False)
_V0_11_1 = _since(_V0_11_0, (0, 11, 1), publisher_required=False, nixl_default=None)
_V0_20_0 = _since(_V0_11_1, (0, 20, 0), hybrid_off=False)
_V0_24_0 = _since(_V0_20_0, (0, 24, 0), layout=EventLayout.MAP)
_V0_26_0 = _since(_V0_24_0, (0, 26, 0), replay_topic=True)
_V0_31_0 = _since(_V0_26_0, (0, 31, 0), event_sources=True)

# 0.4.6.post5 has events too; with three numbers it cannot be told from 0.4.6, which has none.
_S0_4_7 = _since(
    *(_NONE, (0, 4, 7)),
    events=True,
    tensor_parallel=False,
    pipeline_parallel=False,
    batch_rank=True,
)
_S0_5_3 = _since(
    *(_S0_4_7, (0, 5, 3)), tensor_parallel=True, attention_ranks=True, first_rank_only=True
)
_S0_5_8 = _since(_S0_5_3, (0, 5, 8), first_rank_only=False)
_S0_5_15 = _since(_S0_5_8, (0, 5, 15), pipeline_parallel=True, data_parallel=True)
_S0_5_20 = _since(_S0_5_15, (0, 5, 20), layout=EventLayout.MAP)
_S0_5_22 = _since(_S0_5_20, (0, 5, 22), replay_topic=True)

ENGINE_RELEASES: Mapping[EngineType, tuple[EngineRelease, ...]] = {
    EngineType.VLLM: (
        *(_NONE, _V0_9_0, _V0_9_1, _V0_9_2, _V0_11_0, _V0_11_1),
        *(_V0_20_0, _V0_24_0, _V0_26_0, _V0_31_0),
    ),
    EngineType.SGLANG: (_NONE, _S0_4_7, _S0_5_3, _S0_5_8, _S0_5_15, _S0_5_20, _S0_5_22),
}
"""Oldest first; each row says only what changed. A row holds until the next one."""

NEUTRAL_EVENTS: Mapping[EngineType, tuple[str, ...]] = {
    EngineType.VLLM: ("--kv-events-config={}", "--kv-events-config="),
    EngineType.SGLANG: ("--kv-events-config=",),
}
"""What every release with events takes and that turns none on; the first is what we write.

vLLM: the parsers of 0.9.0 to 0.33.0, run. SGLang: the publishers of 0.4.7 to 0.5.23, run; an empty
object ends them with a TypeError after the model is loaded. An empty word is one too many for both.
"""

FIRST_FLAGS = Version(0, 7)
"""The first vLLM release that the product text's flags are documented for."""


def first_with_events(engine: EngineType) -> Version:
    """The first release of an engine whose own builds take ``--kv-events-config``."""
    return next(row.since for row in ENGINE_RELEASES[engine] if row.events)


@dataclass(frozen=True, slots=True)
class GatewayRelease:
    """What an AIBrix gateway release reads and decodes."""

    since: Version
    new_names: bool
    """Whether it reads ``AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED`` (else the names of 0.4)."""
    layouts: frozenset[EventLayout]
    """The event layouts that it decodes from a released vLLM."""
    shared_index: bool = False
    """Whether its router asks the index that events fill."""

    @property
    def uses_events(self) -> bool:
        """Whether it routes by any engine's events at all."""
        return self.shared_index and bool(self.layouts)


_ARRAYS = frozenset({EventLayout.ARRAY})

GATEWAY_RELEASES = (
    GatewayRelease(Version(0, 0), new_names=False, layouts=frozenset()),
    GatewayRelease(Version(0, 5), new_names=True, layouts=frozenset()),
    GatewayRelease(Version(0, 6), new_names=True, layouts=_ARRAYS),
    GatewayRelease(Version(0, 7), new_names=True, layouts=_ARRAYS, shared_index=True),
)

_LOG_KNOWN = (Version(0, 6), Version(0, 8))
"""From which release on, and before which, it is known what a gateway's log says of KV events."""

GATEWAY_PORT = 5557
"""Where the gateway subscribes on every pod; not configurable (AIBrix ``zmq_client.go``)."""

GATEWAY_REPLAY_PORT = 5558
"""Where the gateway asks every pod for a replay; not configurable."""


@lru_cache(maxsize=64)
def engine_release(engine: EngineType, version: Version) -> EngineRelease:
    """The row that holds for a version of an engine."""
    rows = ENGINE_RELEASES[engine]
    return max((row for row in rows if row.since <= version), key=lambda row: row.since)


def release_of(finding: EngineFinding) -> EngineRelease | None:
    """The row that holds for an engine that was found; None where its version is not known."""
    return engine_release(finding.type, finding.version) if finding.version else None


def first_that_uses_events() -> Version:
    """The first gateway release that routes by events."""
    return next(row.since for row in GATEWAY_RELEASES if row.uses_events)


def log_is_known(version: Version) -> bool:
    """Whether it is known of a gateway's release what its log would say, so that silence says something."""
    since, before = _LOG_KNOWN
    return since <= version < before


def gateway_release(version: Version) -> GatewayRelease:
    """The row that holds for a gateway version."""
    return max((r for r in GATEWAY_RELEASES if r.since <= version), key=lambda r: r.since)
