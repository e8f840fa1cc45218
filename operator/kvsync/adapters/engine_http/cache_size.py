"""How many blocks an engine's cache has, as its ``/metrics`` say.

vLLM: label ``num_gpu_blocks`` of ``vllm:cache_config_info``, once for each data-parallel rank; "None"
while it is not known. SGLang: label ``num_pages`` of ``sglang:cache_config_info`` up to 0.5.9, later
``sglang:num_pages`` (``observability/metrics_collector.py``).
"""

from __future__ import annotations

from collections.abc import Iterable

from kvsync.adapters.engine_http.exposition import Sample, samples_of

_LABELS = {"vllm:cache_config_info": "num_gpu_blocks", "sglang:cache_config_info": "num_pages"}
_PAGES = "sglang:num_pages"
NAMES = (*_LABELS, _PAGES)
"""Of the lines that tell."""

_MOST = 1 << 32


def blocks_of(lines: Iterable[bytes]) -> int | None:
    """Blocks of one rank's cache, of the largest where they differ; None where it does not say."""
    return max((n for n in map(_blocks, samples_of(lines)) if 0 < n <= _MOST), default=None)


def _blocks(sample: Sample) -> int:
    if sample.name == _PAGES:
        return sample.value
    told = sample.labels.get(_LABELS.get(sample.name, ""), "")
    return int(told) if told.isascii() and told.isdigit() and len(told) <= 10 else 0
