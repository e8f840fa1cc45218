"""What is said of engines that run: mute, healthy, without a cache, and of those that get a canary."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count

import pytest

from kvsync.adapters.engine_http.client import EngineHTTP
from kvsync.adapters.probe.subscriber import Subscriber
from kvsync.core.evidence import Policy
from kvsync.core.judge import judge
from kvsync.model.source import SourceKey, SourceReason, Target, Traffic, Verdict
from kvsync.shell.readers import READERS
from kvsync.shell.traffic import Pace, TrafficWatch
from testbed.engine.launch import EngineProcess, free_ports
from testbed.engine.sglang.launch import QUIET, SglangProcess, events_flag

KEY = SourceKey("ns", "pod", "uid")
PACE = Pace(window=0.5, publishing=3.0, settle=0.2, tick=0.05)
SILENT = {"TESTBED_FAULT": "silent"}
NUMBERS = count(1)


class Watched:
    """An engine that is watched."""

    def __init__(self, process: EngineProcess, watch: TrafficWatch, target: Target) -> None:
        self.process, self.watch, self._target = process, watch, target

    def verdict(self) -> Verdict:
        """What is held true of it, by all that is seen and said."""
        seen, said = self.watch.observation(KEY), self.watch.traffic(KEY)
        return judge(self._target, seen, time.monotonic(), Policy(), traffic=said)

    async def complete(self, prompt: list[int]) -> None:
        await asyncio.to_thread(self.process.complete, prompt)

    async def looks(self, number: int, meanwhile: Callable[[], list[int] | None]) -> list[Traffic]:
        """What was known after each of the next looks, prompts being sent all the time."""
        found: list[Traffic] = []
        end = time.monotonic() + 40
        while len(found) < number:
            assert time.monotonic() < end, found
            prompt = meanwhile()
            if prompt is not None:
                await self.complete(prompt)
            await asyncio.sleep(0.05)
            known = self.watch.traffic(KEY)
            if known is not None and (not found or known.looked_at > found[-1].looked_at):
                found.append(known)
        return found


@asynccontextmanager
async def watching(
    process: EngineProcess, port: int, *, canary: bool = False
) -> AsyncIterator[Watched]:
    engines = EngineHTTP()
    subscriber = Subscriber(READERS)
    with process:
        process.wait_ready()
        watch = TrafficWatch(subscriber, engines, time.monotonic, pace=PACE)
        target = Target(
            *(KEY, "127.0.0.1", port, 0, ""),
            active_check=False,
            interval=1.0,
            http_port=process.port,
            canary=canary,
        )
        watch.set_targets({KEY: target})
        running = asyncio.create_task(watch.run())
        try:
            yield Watched(process, watch, target)
        finally:
            running.cancel()
            await watch.close()
            await subscriber.close()
            await engines.close()


def vllm(port: int, *more: str, env: Mapping[str, str] | None = None) -> EngineProcess:
    return EngineProcess((events_flag(port, enable_kv_cache_events=True), *more), env=env)


def fresh() -> list[int]:
    """A prompt of ten blocks that no cache holds."""
    first = next(NUMBERS) * 1000
    return list(range(first, first + 160))


def nothing() -> None:
    return None


async def test_a_mute_engine_at_work_is_convicted_in_two_windows() -> None:
    port = free_ports(1)[0]
    async with watching(vllm(port, env=SILENT), port) as watched:
        # A subscription counts as standing a second after it was made.
        looks = await watched.looks(6, fresh)
        verdict = watched.verdict()
    assert (verdict.reason, verdict.settled) == (SourceReason.SILENT_DESPITE_TRAFFIC, True)
    windows = [look.silent_windows for look in looks]
    first = windows.index(1)
    assert windows[first + 1] == 2
    assert looks[-1].silent_tokens >= 160 - 32
    assert looks[-1].prefix_caching


async def test_a_healthy_engine_at_work_is_not_accused() -> None:
    port = free_ports(1)[0]
    async with watching(vllm(port), port) as watched:
        looks = await watched.looks(3, fresh)
        assert watched.verdict().reason is SourceReason.PUBLISHING
    assert {look.silent_windows for look in looks} == {0}


async def test_a_healthy_engine_with_short_and_cached_prompts_is_not_accused() -> None:
    port = free_ports(1)[0]
    cached = list(range(100, 250))  # nine blocks and six tokens: the rest fills none
    async with watching(vllm(port), port) as watched:
        await watched.complete(cached)
        turns = count()
        looks = await watched.looks(7, lambda: cached if next(turns) % 2 else [1, 2, 3])
        answer = await asyncio.to_thread(watched.process.request, "GET", "/metrics")
    assert {look.silent_windows for look in looks} == {0}
    assert 'hits_total{engine="0",model_name="Qwen/Qwen3-0.6B"} 0.0' not in answer[1]


async def test_a_prefix_cache_that_is_off_is_seen() -> None:
    port = free_ports(1)[0]
    async with watching(vllm(port, "--no-enable-prefix-caching"), port) as watched:
        looks = await watched.looks(5, fresh)
        assert watched.verdict().reason is SourceReason.PREFIX_CACHING_OFF
    assert {(look.prefix_caching, look.silent_windows) for look in looks} == {(False, 0)}


async def silence_after_canary(process: EngineProcess, port: int) -> tuple[int, str]:
    """The silent windows at the end, and the engine's requests by its own counter."""
    async with watching(process, port, canary=True) as watched:
        looks = await watched.looks(10, nothing)
        _, text = await asyncio.to_thread(process.request, "GET", "/metrics")
    return looks[-1].silent_windows, text


REQUESTS = 'vllm:time_to_first_token_seconds_count{engine="0",model_name="Qwen/Qwen3-0.6B"}'


async def test_a_canary_raises_the_sequence_of_a_healthy_engine() -> None:
    port = free_ports(1)[0]
    silent, text = await silence_after_canary(vllm(port), port)
    assert silent == 0
    assert f"{REQUESTS} 1.0" in text, "one canary and no more"


async def test_a_canary_convicts_a_mute_engine() -> None:
    port = free_ports(1)[0]
    silent, text = await silence_after_canary(vllm(port, env=SILENT), port)
    assert silent == 2
    assert f"{REQUESTS} 1.0" in text


async def test_a_canary_that_needs_an_api_key_convicts_nobody() -> None:
    port = free_ports(1)[0]
    silent, text = await silence_after_canary(vllm(port, "--api-key=x", env=SILENT), port)
    assert silent == 0
    assert f"{REQUESTS} 0.0" in text


@pytest.mark.parametrize(("env", "silent"), [({}, 0), (SILENT, 2)])
async def test_a_canary_tells_a_mute_sglang_from_a_healthy_one(
    env: Mapping[str, str], silent: int
) -> None:
    port = free_ports(1)[0]
    process = SglangProcess((events_flag(port), "--enable-metrics", *QUIET), env=env)
    found, text = await silence_after_canary(process, port)
    assert found == silent
    assert 'sglang:num_requests_total{model_name="org/tiny"} 2.0' in text, "the warm-up and ours"
