"""``/metrics`` with SGLang's names and labels, where ``--enable-metrics`` asks for it.

Source: ``python/sglang/srt/metrics/collector.py`` (later ``observability/metrics_collector.py``).
"""

from collections.abc import Iterator

from testbed.engine.core import EngineCore, Rank
from testbed.engine.sglang.releases import Release
from testbed.engine.sglang.settings import SglangSettings

_CACHE_INFO_SINCE, _PAGE_SIZE_SINCE = Release(0, 5, 9), Release(0, 5, 11)
_GAUGES = {
    "num_running_reqs": "The number of running requests.",
    "num_used_tokens": "The number of used tokens.",
    "token_usage": "The token usage.",
    "gen_throughput": "The generation throughput (token/s).",
    "num_queue_reqs": "The number of requests in the waiting queue.",
    "cache_hit_rate": "The prefix cache hit rate.",
}
_COUNTERS = {
    "prompt_tokens_total": ("Number of prefill tokens processed.", "prompt_tokens"),
    "generation_tokens_total": ("Number of generation tokens processed.", "generation_tokens"),
    "num_requests_total": ("Number of requests processed.", "requests"),
    "cached_tokens_total": ("Number of cached prompt tokens.", "cache_hits"),
}


def render(core: EngineCore, settings: SglangSettings) -> str:
    """All metrics as text."""
    lines = [*_gauges(core, settings), *_counters(core, settings), *_page_size(core, settings)]
    return "\n".join(lines) + "\n"


def _gauges(core: EngineCore, settings: SglangSettings) -> Iterator[str]:
    for name, text in _GAUGES.items():
        yield from _heading(name, text, "gauge")
        for place in core.ranks:
            # A request is done before the next one is read, so at any scrape none runs.
            value = _hit_rate(place) if name == "cache_hit_rate" else 0.0
            yield f"sglang:{name}{_labels(settings, place)} {value}"


def _counters(core: EngineCore, settings: SglangSettings) -> Iterator[str]:
    for name, (text, attribute) in _COUNTERS.items():
        yield from _heading(name, text, "counter")
        total = sum(int(getattr(place.counters, attribute)) for place in core.ranks)
        yield f'sglang:{name}{{model_name="{settings.served_name}"}} {float(total)}'


def _page_size(core: EngineCore, settings: SglangSettings) -> Iterator[str]:
    """The block size: untold at first, a label of an information in 0.5.9 and 0.5.10, then a gauge."""
    size, pages = settings.base.block_size, settings.base.blocks
    if settings.release >= _PAGE_SIZE_SINCE:
        yield from _heading("page_size", "KV cache page size in tokens.", "gauge")
        for place in core.ranks:
            yield f"sglang:page_size{_labels(settings, place)} {float(size)}"
    elif settings.release >= _CACHE_INFO_SINCE:
        yield from _heading("cache_config_info", "Cache configuration information.", "gauge")
        yield f'sglang:cache_config_info{{num_pages="{pages}",page_size="{size}"}} 1.0'


def _hit_rate(place: Rank) -> float:
    counters = place.counters
    return counters.cache_hits / counters.cache_queries if counters.cache_queries else 0.0


def _heading(name: str, text: str, kind: str) -> list[str]:
    return [f"# HELP sglang:{name} {text}", f"# TYPE sglang:{name} {kind}"]


def _labels(settings: SglangSettings, place: Rank) -> str:
    rank = f'dp_rank="{place.number}",' if settings.parallel.ranks > 1 else ""
    return (
        f'{{{rank}engine_type="unified",model_name="{settings.served_name}",'
        'pp_rank="0",tp_rank="0"}'
    )
