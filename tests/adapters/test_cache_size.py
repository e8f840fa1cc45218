"""How many blocks an engine's cache has, out of what it or a stranger writes."""

import pytest

from kvsync.adapters.engine_http.cache_size import NAMES, blocks_of
from kvsync.adapters.engine_http.exposition import Sieve


def told(text: str) -> int | None:
    sieve = Sieve(NAMES)
    sieve.feed(text.encode())
    sieve.finish()
    return blocks_of(sieve.lines)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ('vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="1024"} 1.0\n', 1024),
        (
            'vllm:cache_config_info{engine="0",num_gpu_blocks="1000"} 1.0\n'
            'vllm:cache_config_info{engine="1",num_gpu_blocks="1024"} 1.0\n',
            1024,
        ),
        ('sglang:cache_config_info{num_pages="4096",page_size="4"} 1.0\n', 4096),
        ('sglang:num_pages{engine_type="unified"} 4096.0', 4096),
        ("", None),
        ('vllm:cache_config_info{block_size="16",num_gpu_blocks="None"} 1.0\n', None),
        ('vllm:cache_config_info{num_gpu_blocks="0"} 1.0\n', None),
        ('vllm:cache_config_info{num_gpu_blocks="9999999999"} 1.0\n', None),
        ('vllm:cache_config_info{num_gpu_blocks="-5"} 1.0\n', None),
        ('vllm:cache_config_info{num_gpu_blocks="²"} 1.0\n', None),
        ("sglang:num_pages NaN\n", None),
        ("vllm:num_requests_running 7\n", None),
    ],
)
def test_the_blocks_of_a_cache(text: str, blocks: int | None) -> None:
    assert told(text) == blocks
