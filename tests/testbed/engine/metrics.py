"""``/metrics`` in the Prometheus text format, with vLLM's names and labels (``vllm/v1/metrics``)."""

from collections.abc import Iterator

from testbed.engine.core import Counters, EngineCore
from testbed.engine.settings import Settings

_COUNTERS = {
    "prompt_tokens": ("Number of prefill tokens processed.", "prompt_tokens"),
    "generation_tokens": ("Number of generation tokens processed.", "generation_tokens"),
    "prefix_cache_queries": ("Prefix cache queries, in tokens.", "cache_queries"),
    "prefix_cache_hits": ("Prefix cache hits, in tokens.", "cache_hits"),
    "request_success": ("Count of successfully processed requests.", "requests"),
}
_GAUGES = {
    "num_requests_running": "Number of requests in model execution batches.",
    "num_requests_waiting": "Number of requests waiting to be processed.",
    "kv_cache_usage_perc": "KV-cache usage. 1 means 100 percent usage.",
}


def render(core: EngineCore) -> str:
    """All metrics as text."""
    lines = [*_gauges(core), *_counters(core), *_first_tokens(core), *_cache_info(core.settings)]
    return "\n".join(lines) + "\n"


def _gauges(core: EngineCore) -> Iterator[str]:
    # A request is done before the next one is read, so at any scrape none runs.
    for name, description in _GAUGES.items():
        yield from _heading(name, description, "gauge")
        for rank in core.ranks:
            yield f"vllm:{name}{_labels(core.settings, rank.number)} 0.0"


def _counters(core: EngineCore) -> Iterator[str]:
    for name, (description, attribute) in _COUNTERS.items():
        yield from _heading(name, description, "counter")
        for rank in core.ranks:
            value = float(_value(rank.counters, attribute))
            yield f"vllm:{name}_total{_labels(core.settings, rank.number)} {value}"


def _first_tokens(core: EngineCore) -> Iterator[str]:
    """The histogram whose count is that of ``prompt_tokens``; its seconds are made up."""
    name = "time_to_first_token_seconds"
    yield from _heading(name, "Histogram of time to first token in seconds.", "histogram")
    for rank in core.ranks:
        labels, count = _labels(core.settings, rank.number), float(rank.counters.requests)
        yield f'vllm:{name}_bucket{labels[:-1]},le="+Inf"}} {count}'
        yield f"vllm:{name}_count{labels} {count}"
        yield f"vllm:{name}_sum{labels} {count / 100}"


def _cache_info(settings: Settings) -> Iterator[str]:
    labels = {
        "block_size": settings.block_size,
        "cache_dtype": "auto",
        "enable_prefix_caching": settings.prefix_caching,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "num_cpu_blocks": None,
        "num_gpu_blocks": settings.blocks,
        "prefix_caching_hash_algo": "sha256",
        "sliding_window": None,
        "swap_space": 4,
    }
    yield from _heading("cache_config_info", "Information of the LLMEngine CacheConfig", "gauge")
    for rank in range(settings.ranks):
        text = ",".join(f'{key}="{value}"' for key, value in ({**labels, "engine": rank}).items())
        yield f"vllm:cache_config_info{{{text}}} 1.0"


def _heading(name: str, description: str, kind: str) -> list[str]:
    return [f"# HELP vllm:{name} {description}", f"# TYPE vllm:{name} {kind}"]


def _labels(settings: Settings, rank: int) -> str:
    return f'{{engine="{rank}",model_name="{settings.names[0]}"}}'


def _value(counters: Counters, attribute: str) -> int:
    return int(getattr(counters, attribute))
