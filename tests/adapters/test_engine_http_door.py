"""Asking engines over HTTP: stand-ins of vLLM and SGLang, and servers that lie, stall and flood."""

import asyncio
import gzip
import itertools
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.engine_http.answers import prompt_tokens_of
from kvsync.adapters.engine_http.client import MOST_METRICS_BYTES, EngineHTTP
from kvsync.adapters.engine_http.counters import NAMES, metrics_of
from kvsync.adapters.engine_http.exposition import LONGEST_LINE, MOST_LINES, Sieve, samples_of
from kvsync.model.traffic import Completion, EngineCounters, EngineMetrics
from testbed.engine.launch import EngineProcess
from testbed.engine.sglang.launch import QUIET, SglangProcess

HOST = "127.0.0.1"


def read(text: str) -> EngineMetrics:
    sieve = Sieve(NAMES)
    sieve.feed(text.encode())
    sieve.finish()
    return metrics_of(samples_of(sieve.lines))


@pytest.fixture
async def http() -> AsyncIterator[EngineHTTP]:
    door = EngineHTTP(patience=1.0)
    yield door
    await door.close()


async def test_a_vllm_tells_what_it_counted_by_rank(http: EngineHTTP) -> None:
    with EngineProcess(("--data-parallel-size=2", "--block-size=32")) as process:
        process.wait_ready()
        for _ in range(2):
            await asyncio.to_thread(process.complete, list(range(100)))
        await asyncio.to_thread(process.complete, list(range(100)))
        found = await http.metrics(HOST, process.port)
    assert found is not None
    assert found.ranks == {
        0: EngineCounters(200, 96, None, 2, 2, 0),
        1: EngineCounters(100, 0, None, 1, 1, 0),
    }
    assert found.whole == EngineCounters(300, 96, None, 3, 3, 0)
    assert (found.block_size, found.prefix_caching) == (32, True)


async def test_a_vllm_tells_that_its_prefix_cache_is_off(http: EngineHTTP) -> None:
    with EngineProcess(("--no-enable-prefix-caching",)) as process:
        process.wait_ready()
        found = await http.metrics(HOST, process.port)
    assert found is not None
    assert found.prefix_caching is False


async def test_an_sglang_tells_its_page_size_and_requests(http: EngineHTTP) -> None:
    with SglangProcess(("--enable-metrics", *QUIET), version="0.5.23") as process:
        process.wait_ready()
        await asyncio.to_thread(process.complete, list(range(40)))
        found = await http.metrics(HOST, process.port)
        answers = await http.ask(HOST, process.port)
    assert found is not None
    assert (found.whole.finished, found.whole.unfinished, found.block_size) == (2, 0, 16), (
        "its own too"
    )
    assert found.whole.prompt_tokens is None, "counted at the end of an answer: no proof"
    assert (answers.version, answers.block_size) == ("0.5.23", 16)


SGLANG = """
sglang:realtime_tokens_total{mode="prefill_compute",model_name="m",tp_rank="0",pp_rank="0"} 120.0
sglang:realtime_tokens_total{mode="prefill_compute",model_name="m",tp_rank="1",pp_rank="0"} 120.0
sglang:realtime_tokens_total{mode="prefill_cache",model_name="m",tp_rank="0",pp_rank="0"} 900.0
sglang:num_requests_total{model_name="m"} 3.0
sglang:num_running_reqs{model_name="m",tp_rank="0"} 1.0
sglang:num_queue_reqs{model_name="m",tp_rank="0"} 2.0
sglang:page_size{model_name="m"} 1.0
"""


def test_workers_of_one_rank_are_not_added_up() -> None:
    found = read(SGLANG)
    assert found.whole == EngineCounters(None, None, 120, None, 3, 3)
    assert (found.ranks, found.block_size, found.prefix_caching) == ({}, 1, None)


def test_newer_vllm_counts_what_was_computed() -> None:
    found = read(
        'vllm:prompt_tokens_total{engine="0"} 50\n'
        'vllm:prompt_tokens_by_source_total{engine="0",source="local_compute"} 30\n'
        'vllm:prompt_tokens_by_source_total{engine="0",source="local_cache_hit"} 20\n'
    )
    assert found.ranks[0] == EngineCounters(50, None, 30)


def test_hits_of_caches_elsewhere_alone_are_no_hits() -> None:
    text = 'vllm:external_prefix_cache_hits_total{engine="0"} 7\n'
    both = text + 'vllm:gpu_prefix_cache_hits_total{engine="0"} 2\n'
    assert read(text).whole.cached_tokens is None
    assert read(both).whole.cached_tokens == 9
    renamed = both + 'vllm:prefix_cache_hits_total{engine="0"} 2\n'
    assert read(renamed).whole.cached_tokens == 9, "one counter under two names"


def test_series_that_differ_in_labels_are_added_and_repeated_ones_not() -> None:
    found = read(
        'vllm:request_success_total{engine="0",finished_reason="stop"} 3.0\n'
        'vllm:request_success_total{engine="0",finished_reason="length"} 1e1 1700000000000\n'
        'vllm:request_success_total{engine="0",finished_reason="stop"} 3.0\n'
    )
    assert found.whole.finished == 13


@pytest.mark.parametrize("value", ["NaN", "-1", "+Inf", "1e300", "", "0x10", "1 2 3", "--1", "1e"])
def test_what_is_no_count_is_not_read(value: str) -> None:
    assert read(f'vllm:prompt_tokens_total{{engine="0"}} {value}\n') == EngineMetrics()


@pytest.mark.parametrize(
    "line",
    [
        'vllm:prompt_tokens_total{engine="0" 1',
        "vllm:prompt_tokens_total{engine=0} 1",
        'vllm:prompt_tokens_totals{engine="0"} 1',
        'vllm:cache_config_info{block_size="0",enable_prefix_caching="None"} 1',
        'vllm:cache_config_info{block_size="1' + "0" * 30 + '"} 1',
        'vllm:cache_config_info{block_size="²"} 1',
        "sglang:page_size 1000000",
        'vllm:prompt_tokens_total{x="' + "x" * LONGEST_LINE + '"} 1',
    ],
)
def test_garbage_is_nothing(line: str) -> None:
    assert read(line) == EngineMetrics()


def test_contradictions_are_nothing() -> None:
    found = read(
        'vllm:cache_config_info{engine="0",block_size="16",enable_prefix_caching="True"} 1\n'
        'vllm:cache_config_info{engine="1",block_size="32",enable_prefix_caching="False"} 1\n'
    )
    assert (found.block_size, found.prefix_caching) == (None, None)


def test_a_flood_of_series_is_cut_off() -> None:
    sieve = Sieve(NAMES)
    for number in range(MOST_LINES * 4):
        sieve.feed(f'vllm:prompt_tokens_total{{engine="{number}"}} 1\n'.encode())
    assert len(sieve.lines) == MOST_LINES
    assert len(metrics_of(samples_of(sieve.lines)).ranks) <= 1024


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=5))
def test_any_bytes_in_any_pieces_are_read_alike(noise: bytes, cuts: list[int]) -> None:
    line = b'\nvllm:prompt_tokens_total{engine="3"} 5.0\n'
    data = noise + line + noise
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    sieve, whole = Sieve(NAMES), Sieve(NAMES)
    whole.feed(data)
    whole.finish()
    for start, end in itertools.pairwise(edges):
        sieve.feed(data[start:end])
    sieve.finish()
    assert sieve.lines == whole.lines
    assert metrics_of(samples_of(sieve.lines)).whole.prompt_tokens == 5


def test_hostile_lines_take_no_time() -> None:
    opened = b"vllm:prompt_tokens_total{" + b'a="\\",' * (LONGEST_LINE // 6 - 10)
    begin = time.perf_counter()
    assert list(samples_of([opened] * MOST_LINES)) == []
    assert time.perf_counter() - begin < 5


class Server:
    """Answers every request with some bytes, again and again where told so."""

    def __init__(self, answer: bytes, *, endless: bytes = b"", status: str = "200 OK") -> None:
        self.answer, self.endless, self.status = answer, endless, status
        self.requests: list[bytes] = []

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.read(1 << 16))
            writer.write(f"HTTP/1.1 {self.status}\r\nConnection: close\r\n".encode())
            writer.write(b"" if b"\r\n\r\n" in self.answer else b"\r\n")
            writer.write(self.answer)
            while self.endless:
                writer.write(self.endless)
                await writer.drain()
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("piece", [b"x" * 65536, b"vllm:prompt_tokens_total 1\n" * 2000])
async def test_an_endless_answer_is_left(http: EngineHTTP, piece: bytes) -> None:
    async with Server(b"", endless=piece) as port:
        begin = time.monotonic()
        assert await http.metrics(HOST, port) is None
    assert time.monotonic() - begin < 5, "it has a second, or so many bytes"


async def test_an_answer_that_drips_is_left(http: EngineHTTP) -> None:
    async with Server(b"Content-Length: 999\r\n\r\nvllm:") as port:
        assert await http.metrics(HOST, port) is None


async def test_nothing_is_unpacked(http: EngineHTTP) -> None:
    bomb = gzip.compress(b"vllm:prompt_tokens_total 1\n" * (MOST_METRICS_BYTES // 27))
    async with Server(b"Content-Encoding: gzip\r\n\r\n" + bomb) as port:
        assert await http.metrics(HOST, port) == EngineMetrics()


@pytest.mark.parametrize("status", ["404 Not Found", "302 Found", "500 Oops"])
async def test_other_answers_are_none(http: EngineHTTP, status: str) -> None:
    async with Server(b"vllm:prompt_tokens_total 1\n", status=status) as port:
        assert await http.metrics(HOST, port) is None


async def test_a_closed_port_is_no_answer(http: EngineHTTP) -> None:
    assert await http.metrics(HOST, 1) is None
    assert await http.complete(HOST, 1, "m", "a prompt") == Completion(problem="no answer")


async def test_a_completion_tells_the_tokens_of_its_prompt(http: EngineHTTP) -> None:
    with EngineProcess(("--served-model-name=mine",)) as process:
        process.wait_ready()
        done = await http.complete(HOST, process.port, "mine", "abc def ghi")
        unnamed = await http.complete(HOST, process.port, "", "abc def ghi")
        other = await http.complete(HOST, process.port, "theirs", "abc def ghi")
    assert (done, unnamed) == (Completion(3), Completion(3))
    assert other == Completion(problem="HTTP status 404")


async def test_an_api_key_is_asked_for(http: EngineHTTP) -> None:
    with EngineProcess(("--api-key=secret",)) as process:
        process.wait_ready()
        done = await http.complete(HOST, process.port, "", "abc def ghi")
    assert done == Completion(problem="HTTP status 401")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"usage": 1}', '{"usage": {"prompt_tokens": -1}}', "[" * 100_000]
)
def test_a_completion_without_a_count_has_none(text: str) -> None:
    assert prompt_tokens_of(text) is None
