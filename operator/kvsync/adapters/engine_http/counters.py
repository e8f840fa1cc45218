"""What vLLM and SGLang call their counters.

vLLM: ``vllm/v1/metrics/loggers.py`` and ``stats.py``. ``prompt_tokens``, ``prompt_tokens_by_source``
and ``time_to_first_token_seconds`` count a request when its first token is out;
``prefix_cache_hits`` when its prompt is looked up, which is before, and again at each step that it
has to wait (so it may be too high, never too low).

SGLang: ``python/sglang/srt/observability/metrics_collector.py``. ``realtime_tokens`` counts what was
computed when it is (``mode="prefill_compute"``). ``prompt_tokens`` and ``cached_tokens`` count only
when a request is done, however long ago its prompt was stored, so they prove nothing of a window and
are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType

from kvsync.adapters.engine_http.answers import LARGEST_BLOCK
from kvsync.adapters.engine_http.exposition import Sample
from kvsync.model.traffic import EngineCounters, EngineMetrics

_FIELDS: Mapping[str, str] = {
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:prefix_cache_hits_total": "cached_tokens",
    "vllm:gpu_prefix_cache_hits_total": "cached_tokens",
    "vllm:external_prefix_cache_hits_total": "cached_tokens",
    "vllm:time_to_first_token_seconds_count": "first_tokens",
    "vllm:request_success_total": "finished",
    "vllm:num_requests_running": "unfinished",
    "vllm:num_requests_waiting": "unfinished",
    "sglang:num_requests_total": "finished",
    "sglang:num_running_reqs": "unfinished",
    "sglang:num_queue_reqs": "unfinished",
}
_COMPUTED: Mapping[str, tuple[str, str]] = {
    "vllm:prompt_tokens_by_source_total": ("source", "local_compute"),
    "sglang:realtime_tokens_total": ("mode", "prefill_compute"),
}
_HITS, _OLD_HITS = "vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"
"""Renamed in 0.9.2; for a while both were there."""

_CACHE = frozenset({"vllm:cache_config_info", "sglang:cache_config_info"})
_PAGE_SIZE = "sglang:page_size"
NAMES = (*_FIELDS, *_COMPUTED, *sorted(_CACHE), _PAGE_SIZE)

_RANK = ("engine", "dp_rank")
_WORKERS = frozenset({"tp_rank", "pp_rank", "moe_ep_rank"})
"""Workers of one rank, each of which may tell the same."""

_MOST_RANKS = 1024

Series = tuple[str, int | None, frozenset[tuple[str, str]]]


def metrics_of(samples: Iterable[Sample]) -> EngineMetrics:
    """What samples come to. Series of one rank are added up, its workers' and repeated ones not."""
    largest: dict[Series, int] = {}
    sizes, caching = set[int](), set[bool]()
    for sample in samples:
        if sample.name in _CACHE or sample.name == _PAGE_SIZE:
            sizes |= _sizes(sample)
            caching |= _caching(sample)
        elif _counts(sample):
            series = _series(sample)
            largest[series] = max(largest.get(series, 0), sample.value)
    ranks = {rank for _, rank, _ in largest if rank is not None}
    return EngineMetrics(
        ranks=MappingProxyType({rank: _counters(largest, {rank}) for rank in sorted(ranks)}),
        whole=_counters(largest, {*ranks, None}),
        block_size=sizes.pop() if len(sizes) == 1 else None,
        prefix_caching=caching.pop() if len(caching) == 1 else None,
    )


def _sizes(sample: Sample) -> set[int]:
    told = sample.labels.get("block_size") or sample.labels.get("page_size") or ""
    size = sample.value if sample.name == _PAGE_SIZE else _number(told)
    return {size} if size is not None and 0 < size <= LARGEST_BLOCK else set()


def _caching(sample: Sample) -> set[bool]:
    told = sample.labels.get("enable_prefix_caching")
    return {told == "True"} if told in ("True", "False") else set()


def _counts(sample: Sample) -> bool:
    if sample.name in _COMPUTED:
        label, value = _COMPUTED[sample.name]
        return sample.labels.get(label) == value
    return sample.name in _FIELDS


def _series(sample: Sample) -> Series:
    told = next((sample.labels[name] for name in _RANK if name in sample.labels), "")
    rank = _number(told)
    rest = {item for item in sample.labels.items() if item[0] not in (*_WORKERS, *_RANK)}
    return sample.name, rank if rank is not None and rank < _MOST_RANKS else None, frozenset(rest)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _counters(largest: Mapping[Series, int], ranks: set[int | None]) -> EngineCounters:
    sums: dict[str, int] = {}
    for (name, rank, _), value in largest.items():
        if rank in ranks:
            sums[name] = sums.get(name, 0) + value
    if _HITS in sums:
        sums.pop(_OLD_HITS, None)
    told: dict[str, int] = {}
    for name, value in sums.items():
        field = "computed_tokens" if name in _COMPUTED else _FIELDS[name]
        told[field] = told.get(field, 0) + value
    if not sums.keys() & {_HITS, _OLD_HITS}:
        told.pop("cached_tokens", None)
    return EngineCounters(**{f.name: told.get(f.name) for f in fields(EngineCounters)})
