"""Which engines are looked at, how often and how many at once; what is forgotten with a pod."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace

from kvsync.model.source import Failure, Observation, SourceKey, Target
from kvsync.model.traffic import Completion, EngineCounters, EngineMetrics
from kvsync.shell.traffic import AT_ONCE, MOST_A_SECOND, Pace, TrafficWatch

PACE = Pace(window=10.0, publishing=60.0, settle=0.0, tick=0.0, jitter=0.0)
CONNECTED = Observation(since=0.0, handshake_at=0.0, subscribed_at=-5.0)


def target(pod: str, rank: int = 0, *, canary: bool = False) -> Target:
    key = SourceKey("ns", pod, f"uid-{pod}", rank)
    return Target(key, pod, 5557 + rank, 0, "", http_port=8000, canary=canary)


class Wire:
    """What is seen of each source."""

    def __init__(self) -> None:
        self.seen: dict[SourceKey, Observation] = {}
        self.targets: Mapping[SourceKey, Target] = {}

    def set_targets(self, targets: Mapping[SourceKey, Target]) -> None:
        self.targets = targets

    def observation(self, key: SourceKey) -> Observation | None:
        return self.seen.get(key, CONNECTED)


class Engines:
    """Counts who was asked, and holds answers back where told so."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.completed: list[tuple[str, str, str]] = []
        self.answer: EngineMetrics | None = EngineMetrics(block_size=16, prefix_caching=True)
        self.completion = Completion(24)
        self.open = asyncio.Event()
        self.open.set()
        self.running = self.most = 0

    async def metrics(self, host: str, _port: int) -> EngineMetrics | None:
        self.asked.append(host)
        self.running += 1
        self.most = max(self.most, self.running)
        await self.open.wait()
        self.running -= 1
        return self.answer

    async def complete(self, host: str, _port: int, model: str, prompt: str) -> Completion:
        self.completed.append((host, model, prompt))
        return self.completion


class Stage:
    """A watch with a clock to set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wire, self.engines = Wire(), Engines()
        self.news: list[SourceKey] = []
        self.watch = TrafficWatch(
            self.wire,
            self.engines,
            lambda: self.now,
            changed=self.news.append,
            pace=PACE,
            rng=random.Random(1),
        )

    def set(self, *targets: Target) -> None:
        self.watch.set_targets({target.key: target for target in targets})

    async def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1.0
            for _ in range(20):
                await asyncio.sleep(0)

    async def __aenter__(self) -> "Stage":
        self._task = asyncio.create_task(self.watch.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await self.watch.close()


def counted(prompts: int) -> EngineMetrics:
    return EngineMetrics(
        whole=EngineCounters(1000 * prompts, 0, None, prompts, prompts, 0),
        block_size=16,
        prefix_caching=True,
    )


async def test_silent_engines_are_looked_at_each_window_and_publishing_ones_seldom() -> None:
    async with Stage() as stage:
        silent, loud = target("silent"), target("loud")
        stage.set(silent, loud)
        for _ in range(121):
            stage.wire.seen[loud.key] = replace(CONNECTED, messages=1, last_batch_at=stage.now)
            await stage.pass_time(1)
        asked = stage.engines.asked
    assert 11 <= asked.count("silent") <= 13
    assert 2 <= asked.count("loud") <= 3


async def test_one_that_falls_silent_does_not_wait_for_the_long_pause() -> None:
    async with Stage() as stage:
        one = target("one")
        stage.wire.seen[one.key] = replace(CONNECTED, messages=1, last_batch_at=10.0)
        stage.set(one)
        await stage.pass_time(60)
        assert 3 <= stage.engines.asked.count("one") <= 5


async def test_engines_that_are_not_connected_are_left_alone() -> None:
    async with Stage() as stage:
        lost, never, portless = target("lost"), target("never"), target("portless")
        stage.wire.seen[lost.key] = replace(CONNECTED, failure=Failure.LOST)
        stage.wire.seen[never.key] = Observation(since=0.0)
        stage.set(lost, never, replace(portless, http_port=0))
        await stage.pass_time(60)
        assert stage.engines.asked == []
        assert stage.wire.targets.keys() == {lost.key, never.key, portless.key}


async def test_a_few_at_once_and_no_pile() -> None:
    async with Stage() as stage:
        stage.engines.open.clear()
        stage.set(*(target(f"pod-{number}") for number in range(40)))
        await stage.pass_time(60)
        assert (stage.engines.most, len(stage.engines.asked)) == (AT_ONCE, AT_ONCE)


async def test_looks_begin_one_after_the_other_however_many_are_due() -> None:
    assert int(MOST_A_SECOND * PACE.tick) < 1, "then one begins in each tick"
    async with Stage() as stage:
        stage.set(*(target(f"pod-{number}") for number in range(300)))
        stage.now = 60.0
        for _ in range(30):
            await asyncio.sleep(0)
        assert 20 <= len(stage.engines.asked) <= 30


async def test_what_speaks_for_or_against_a_source_is_told_once() -> None:
    async with Stage() as stage:
        one = target("pod")
        stage.set(one)
        stage.engines.answer = counted(1)
        await stage.pass_time(5)
        assert stage.news == [one.key], "its prefix cache is on"
        for prompts in range(2, 6):
            stage.engines.answer = counted(prompts)
            await stage.pass_time(10)
        assert stage.news == [one.key] * 2, "and now it is convicted"


async def test_suspects_go_first_where_more_are_due_than_can_be_looked_at() -> None:
    async with Stage() as stage:
        one = target("suspect")
        stage.set(one)
        for prompts in range(1, 4):
            stage.engines.answer = counted(prompts)
            await stage.pass_time(10)
        known = stage.watch.traffic(one.key)
        assert known is not None
        assert known.silent_windows > 0
        stage.set(one, *(target(f"pod-{number}") for number in range(300)))
        stage.now += 60.0
        stage.engines.asked.clear()
        for _ in range(20):
            await asyncio.sleep(0)
        assert stage.engines.asked[0] == "suspect"


async def test_the_ranks_of_a_pod_are_asked_once_and_weighed_apart() -> None:
    async with Stage() as stage:
        first, second = target("pod"), target("pod", 1)
        stage.set(first, second)
        for prompts in range(1, 6):
            busy, idle = EngineCounters(1000 * prompts, 0, None, prompts), EngineCounters(0, 0)
            stage.engines.answer = EngineMetrics({0: busy, 1: idle}, busy, 16, True)
            await stage.pass_time(10)
        # A suspect is looked at once more in between; two ranks apart would be ten.
        assert 4 <= len(stage.engines.asked) <= 7
        known = [stage.watch.traffic(one.key) for one in (first, second)]
        assert [one.silent_windows >= 2 for one in known if one] == [True, False]


async def test_an_engine_that_does_not_tell_ranks_apart_accuses_none_of_several() -> None:
    async with Stage() as stage:
        stage.set(target("pod"), target("pod", 1))
        for prompts in range(1, 6):
            stage.engines.answer = counted(prompts)
            await stage.pass_time(10)
        known = stage.watch.traffic(target("pod").key)
        assert known is not None
        assert (known.silent_windows, known.prefix_caching) == (0, True)


async def test_a_block_of_several_workers_is_as_large_as_all_of_theirs() -> None:
    async with Stage() as stage:
        one = replace(target("pod"), block_factor=64)
        stage.set(one)
        for prompts in range(1, 6):
            stage.engines.answer = counted(prompts)
            await stage.pass_time(10)
        known = stage.watch.traffic(one.key)
        assert known is not None
        assert known.silent_windows == 0, "1000 tokens need not fill a block of 1024"


async def test_what_is_known_goes_with_its_pod() -> None:
    async with Stage() as stage:
        one = target("one", canary=True)
        stage.set(one)
        await stage.pass_time(15)
        assert stage.watch.traffic(one.key) is not None
        stage.set()
        assert stage.watch.traffic(one.key) is None
        await stage.pass_time(30)
        assert len(stage.engines.asked) <= 2


async def test_a_look_in_vain_leaves_what_is_known() -> None:
    async with Stage() as stage:
        one = target("one")
        stage.set(one)
        await stage.pass_time(15)
        known = stage.watch.traffic(one.key)
        stage.engines.answer = None
        await stage.pass_time(30)
        assert stage.watch.traffic(one.key) == known
        assert known is not None


async def canaries_of(stage: Stage, one: Target, seconds: int = 100) -> list[tuple[str, str, str]]:
    idle = EngineCounters(0, 0, None, 0, 0, 0)
    if stage.engines.answer == EngineMetrics(block_size=16, prefix_caching=True):
        stage.engines.answer = EngineMetrics(whole=idle, block_size=16, prefix_caching=True)
    stage.set(one)
    await stage.pass_time(seconds)
    return stage.engines.completed


async def test_an_idle_engine_gets_one_canary_and_its_silence_convicts() -> None:
    async with Stage() as stage:
        one = replace(target("one", canary=True), served_model="mine")
        ((host, model, prompt),) = await canaries_of(stage, one)
        assert (host, model) == ("one", "mine")
        assert 16 < len(prompt.split()) <= 32
        known = stage.watch.traffic(one.key)
        assert known is not None
        assert (known.silent_windows, known.silent_tokens) == (2, 24)


async def test_a_canary_is_sent_only_where_it_is_wanted_and_nobody_works() -> None:
    busy = EngineMetrics(whole=EngineCounters(0, 0, None, 0, 0, 1), block_size=16)
    large = EngineMetrics(whole=EngineCounters(0, 0, None, 0, 0, 0), block_size=4096)
    for answer, canary in ((busy, True), (large, True), (None, False)):
        async with Stage() as stage:
            if answer is not None:
                stage.engines.answer = answer
            assert await canaries_of(stage, target("one", canary=canary)) == []


async def test_a_canary_that_is_not_completed_accuses_nobody_and_stays_the_only_one() -> None:
    for failed in (Completion(problem="HTTP status 401"), Completion()):
        async with Stage() as stage:
            stage.engines.completion = failed
            one = target("one", canary=True)
            assert len(await canaries_of(stage, one)) == 1
            known = stage.watch.traffic(one.key)
            assert known is not None
            assert known.silent_windows == 0


async def test_an_engine_that_restarted_gets_another_one() -> None:
    async with Stage() as stage:
        used = EngineCounters(500, 0, None, 5, 5, 0)
        stage.engines.answer = EngineMetrics(whole=used, block_size=16)
        one = replace(target("one", canary=True), served_model="$MODEL")
        await canaries_of(stage, one)
        stage.engines.answer = EngineMetrics(
            whole=EngineCounters(0, 0, None, 0, 0, 0), block_size=16
        )
        sent = await canaries_of(stage, one)
    assert len(sent) == 2
    assert [model for _, model, _ in sent] == ["", ""], "a name that a shell fills in is not known"
    assert len({prompt for _, _, prompt in sent}) == 2
