"""What is held of a source behind a real relay: engines that load, end or are mute, relays likewise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

from kvsync.adapters.engine_http.client import EngineHTTP
from kvsync.adapters.probe.subscriber import Subscriber
from kvsync.adapters.relay_http import RelayHTTP
from kvsync.core.evidence import Policy
from kvsync.core.judge import judge
from kvsync.core.steady import steady
from kvsync.model.source import SourceKey, SourceReason, Target, Verdict
from kvsync.shell.readers import READERS
from kvsync.shell.relays import RelayDesk
from kvsync.shell.traffic import Pace, TrafficWatch
from relay.relay_stage import RelayProcess
from testbed.engine.launch import EngineProcess, free_ports

R = SourceReason
KEY = SourceKey("ns", "pod", "uid")
PACE = Pace(window=0.5, first=0.1, suspect=0.3, settle=0.2, tick=0.05)
POLICY = Policy(grace=0.5, patience=3.0)
SHARE = 640.0
PROMPTS = count(1)


class Watched:
    """A source behind a relay that is watched as the operator does."""

    def __init__(self, relay: RelayProcess, http_port: int, relay_port: int) -> None:
        self.relay = relay
        self.target = Target(
            *(KEY, "127.0.0.1", relay.listen, relay.replay, "out"),
            interval=1.0,
            http_port=http_port,
            relay_port=relay_port or relay.pages,
        )
        self._engines, self._relays = EngineHTTP(), RelayHTTP()
        self._subscriber = Subscriber(READERS)
        desk = RelayDesk(
            self._relays, self._engines, time.monotonic, budget=SHARE, settle=PACE.settle
        )
        self._watch = TrafficWatch(
            self._subscriber, self._engines, time.monotonic, relays=desk, pace=PACE
        )
        self._standing: Verdict | None = None
        self._watch.set_targets({KEY: self.target})
        self._running = asyncio.create_task(self._watch.run())

    def know_engine(self, http_port: int) -> None:
        """Watch it as one whose engine answers there."""
        self.target = replace(self.target, http_port=http_port)
        self._standing = None
        self._watch.set_targets({KEY: self.target})

    def verdict(self) -> Verdict:
        """What is held true of it, by all that is seen and said."""
        seen, said = self._watch.observation(KEY), self._watch.traffic(KEY)
        found = judge(self.target, seen, time.monotonic(), POLICY, said)
        self._standing = steady(self._standing, found)
        return self._standing

    async def until(
        self,
        reason: SourceReason,
        words: str = "",
        *,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> Verdict:
        """The verdict once it has this reason and these words."""
        end = time.monotonic() + 40
        while True:
            verdict = self.verdict()
            if verdict.reason is reason and words in verdict.message:
                return verdict
            assert time.monotonic() < end, verdict
            if meanwhile is not None:
                await meanwhile()
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        self._running.cancel()
        await self._watch.close()
        await self._subscriber.close()
        await self._engines.close()
        await self._relays.close()


@asynccontextmanager
async def watching(
    *options: str, http_port: int = 0, relay_port: int = 0, ranks: int = 1
) -> AsyncIterator[Watched]:
    with RelayProcess(*options, ranks=ranks) as relay:
        watched = Watched(relay, http_port, relay_port)
        try:
            yield watched
        finally:
            await watched.close()


def engine_of(
    relay: RelayProcess, *more: str, env: Mapping[str, str] | None = None
) -> EngineProcess:
    config = (
        '{"enable_kv_cache_events":true,"publisher":"zmq",'
        f'"endpoint":"tcp://127.0.0.1:{relay.upstream}",'
        f'"replay_endpoint":"tcp://127.0.0.1:{relay.upstream_replay}"}}'
    )
    return EngineProcess((f"--kv-events-config={config}", *more), env=env)


def prompting(engine: EngineProcess) -> Callable[[], Awaitable[None]]:
    """Sends a prompt of ten blocks that no cache holds."""

    async def send() -> None:
        first = next(PROMPTS) * 1000
        await asyncio.to_thread(engine.complete, list(range(first, first + 160)))

    return send


async def test_an_engine_that_loads_serves_and_ends() -> None:
    async with watching() as watched:
        loading = await watched.until(
            R.CONNECTING, "rank 0 of the engine is not connected to it yet"
        )
        assert (loading.verified, loading.settled, loading.answers) == (False, False, True)
        with engine_of(watched.relay) as engine:
            idle = await watched.until(R.IDLE)
            assert (idle.verified, idle.settled) == (True, True)
            await prompting(engine)()
            assert (await watched.until(R.PUBLISHING)).verified
        gone = await watched.until(R.RELAY_UPSTREAM_SILENT, "rank 0 of the engine is not connected")
        assert (gone.verified, gone.answers) == (False, True)
        with engine_of(watched.relay):
            assert (await watched.until(R.PUBLISHING)).verified


async def test_an_engine_that_publishes_elsewhere_while_it_serves() -> None:
    with EngineProcess() as engine:
        engine.wait_ready()
        async with watching(http_port=engine.port) as watched:
            verdict = await watched.until(R.RELAY_UPSTREAM_SILENT, "although it serves")
    assert not verdict.verified
    assert "--upstream" in verdict.remedy


async def test_a_mute_engine_at_work_is_convicted_though_the_relay_speaks() -> None:
    async with watching() as watched:
        with engine_of(watched.relay, env={"TESTBED_FAULT": "silent"}) as engine:
            engine.wait_ready()
            watched.know_engine(engine.port)
            assert (await watched.until(R.IDLE)).verified
            verdict = await watched.until(
                R.RELAY_UPSTREAM_SILENT, "prompt tokens", meanwhile=prompting(engine)
            )
    assert not verdict.verified


async def test_a_rank_that_is_missing_is_named() -> None:
    async with watching(ranks=2) as watched:
        with engine_of(watched.relay) as engine:
            engine.wait_ready()
            watched.know_engine(engine.port)
            verdict = await watched.until(R.RELAY_UPSTREAM_SILENT, "rank 1 of the engine")
    assert not verdict.verified


async def test_a_relay_that_is_killed_and_comes_back() -> None:
    async with watching() as watched:
        with engine_of(watched.relay) as engine:
            await watched.until(R.IDLE)
            await prompting(engine)()
            await watched.until(R.PUBLISHING)
            watched.relay.kill()
            down = await watched.until(R.RELAY_DOWN)
            assert (down.verified, down.answers) == (False, False)
            await asyncio.to_thread(watched.relay.start)
            assert (await watched.until(R.PUBLISHING)).verified


async def test_metrics_that_cannot_be_reached_are_no_alarm_while_frames_flow() -> None:
    (nobody,) = free_ports(1)
    async with watching(relay_port=nobody) as watched:
        idle = await watched.until(R.IDLE, "is Unknown")
        assert (idle.verified, idle.settled) == (False, True)
        with engine_of(watched.relay) as engine:
            engine.wait_ready()
            verdict = await watched.until(R.PUBLISHING, "is Unknown", meanwhile=prompting(engine))
            assert (verdict.verified, verdict.settled) == (True, True)


async def test_a_full_table_is_told_and_takes_nothing_back() -> None:
    async with watching("--max-blocks", "20") as watched:
        with engine_of(watched.relay) as engine:
            engine.wait_ready()
            await watched.until(R.IDLE)
            verdict = await watched.until(
                R.RELAY_LAGGING, "its table is full", meanwhile=prompting(engine)
            )
            assert (verdict.verified, verdict.settled) == (True, True)
            assert "limits.memory" in verdict.remedy
            await watched.until(R.PUBLISHING)


async def test_a_relay_is_told_its_share() -> None:
    async with watching() as watched:
        end = time.monotonic() + 20
        while watched.relay.metric("kvsync_relay_budget") != SHARE:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
