"""Which relays are asked, what is known of them, and the budget that each is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from core.relay_looks import engine, rank, relay
from kvsync.model.relay_budget import KEPT
from kvsync.model.relaying import RelayMetrics
from kvsync.model.source import Observation, SourceKey, Target
from kvsync.model.traffic import EngineMetrics
from kvsync.shell.relays import AT_ONCE, SHARE_AGAIN, TELL_AGAIN, RelayDesk
from kvsync.shell.traffic import TrafficWatch
from shell.test_traffic_watch import PACE, Engines, Wire


def target(pod: str, gateway: str = "ns/gateway") -> Target:
    key = SourceKey("ns", pod, f"uid-{pod}")
    return Target(
        key, pod, 5557, 5558, "", http_port=8000, relay_port=5656, gateway=gateway, canary=True
    )


class Relays:
    """Relays by host: what each says, and what it was told."""

    def __init__(self) -> None:
        self.says: dict[str, RelayMetrics | None] = {}
        self.asked: list[str] = []
        self.told: list[tuple[str, float]] = []
        self.takes = True
        self.open = asyncio.Event()
        self.open.set()
        self.running = self.most = 0

    async def metrics(self, host: str, _port: int) -> RelayMetrics | None:
        self.asked.append(host)
        self.running += 1
        self.most = max(self.most, self.running)
        await self.open.wait()
        self.running -= 1
        return self.says.get(host)

    async def tell_budget(self, host: str, _port: int, budget: float) -> bool:
        self.told.append((host, budget))
        if self.takes and (known := self.says.get(host)) is not None:
            self.says[host] = replace(known, budget=budget)
        return self.takes


class Stage:
    """A desk with a clock to set."""

    def __init__(self, budget: float = 0.0) -> None:
        self.now = 0.0
        self.relays, self.engines = Relays(), Engines()
        self.desk = RelayDesk(
            self.relays, self.engines, lambda: self.now, budget=budget, settle=0.0
        )

    async def look(self, *targets: Target, seconds: float = 10.0) -> None:
        self.now += seconds
        for each in targets:
            await self.desk.look(each, 16)


def quiet(limit: int = 100_000, budget: float = 10_000.0) -> RelayMetrics:
    return relay(rank(5), limit=limit, budget=budget)


async def test_a_look_tells_of_the_relay_and_of_the_engine_behind_it() -> None:
    stage, one = Stage(), target("one")
    stage.desk.set_targets([one])
    for n in range(3):
        stage.relays.says["one"] = quiet()
        stage.engines.answer = engine(n)
        known = await stage.desk.look(one, 16)
        stage.now += 10.0
    assert known is not None
    assert known.relay is not None
    assert (known.relay.silent, known.prefix_caching) == ({0: 2}, True)
    assert known.silent_windows == 0, "the wire is the relay's word"


async def test_an_engine_is_not_asked_while_all_its_ranks_send() -> None:
    stage, one = Stage(), target("one")
    stage.desk.set_targets([one])
    for n in range(5):
        stage.relays.says["one"] = relay(rank(n))
        await stage.look(one)
    assert stage.engines.asked == ["one"]
    assert stage.relays.asked == ["one"] * 6


async def test_a_relay_that_does_not_answer_is_known_not_to() -> None:
    stage, one = Stage(), target("one")
    stage.desk.set_targets([one])
    known = await stage.desk.look(one, None)
    assert known is not None
    assert known.relay is not None
    assert known.relay.answered_at is None
    assert stage.engines.asked == []


async def test_what_is_known_goes_with_its_pod_and_with_nothing_less() -> None:
    stage, one = Stage(budget=1000.0), target("one")
    stage.desk.set_targets([one])
    stage.relays.says["one"] = quiet()
    await stage.look(one)
    moved = replace(one, gateway="ns/other")
    stage.desk.set_targets([moved, target("two")])
    stage.relays.says["one"] = None
    known = await stage.desk.look(moved, None)
    assert known is not None
    assert known.relay is not None
    assert known.relay.answered_at == 10.0
    stage.desk.set_targets([])
    assert await stage.desk.look(moved, None) is None


async def test_a_few_are_asked_at_once() -> None:
    stage = Stage()
    targets = [target(f"pod-{n}") for n in range(30)]
    stage.desk.set_targets(targets)
    stage.relays.open.clear()
    looks = [asyncio.create_task(stage.desk.look(each, None)) for each in targets]
    for _ in range(50):
        await asyncio.sleep(0)
    assert stage.relays.most == AT_ONCE
    stage.relays.open.set()
    await asyncio.gather(*looks)
    assert stage.relays.most == AT_ONCE


# The budget


async def test_each_gateways_budget_is_shared_out_and_told_once() -> None:
    stage = Stage(budget=2000.0)
    ours, theirs = [target("a"), target("b")], target("c", "ns/other")
    stage.desk.set_targets([*ours, theirs])
    for each in "abc":
        stage.relays.says[each] = quiet()
    for _ in range(5):
        await stage.look(*ours, theirs)
    assert stage.relays.told == [("a", 896.0), ("b", 896.0), ("c", 1792.0)]


async def test_shares_follow_the_tables_and_the_pods() -> None:
    stage, one, two = Stage(budget=2000.0), target("a"), target("b")
    stage.desk.set_targets([one, two])
    stage.relays.says |= {"a": quiet(), "b": quiet(limit=300_000)}
    await stage.look(one, two)
    assert stage.relays.told == [("a", 896.0), ("b", 896.0)]
    stage.relays.told.clear()
    await stage.look(one, two)
    assert stage.relays.told == [("a", 448.0), ("b", 1280.0)]
    stage.desk.set_targets([one])
    await stage.look(one)
    assert stage.relays.told[-1] == ("a", 1792.0)


async def test_shares_are_calculated_now_and_then_however_many_relays_come() -> None:
    stage, one, two = Stage(budget=2000.0), target("a"), target("b")
    stage.desk.set_targets([one])
    stage.relays.says |= {"a": quiet(), "b": quiet()}
    await stage.look(one)
    stage.desk.set_targets([one, two])
    await stage.look(one, two, seconds=1.0)
    assert stage.relays.told == [("a", 1792.0)]
    await stage.look(one, two, seconds=SHARE_AGAIN)
    assert stage.relays.told[1:] == [("a", 896.0), ("b", 896.0)]


async def test_it_is_told_again_before_the_relay_forgets_and_when_it_restarted() -> None:
    stage, one = Stage(budget=2000.0), target("a")
    stage.desk.set_targets([one])
    stage.relays.says["a"] = quiet()
    while stage.now < KEPT:
        await stage.look(one)
    assert 3 <= len(stage.relays.told) <= KEPT / TELL_AGAIN + 1
    before = len(stage.relays.told)
    stage.relays.says["a"] = quiet(budget=10_000.0)
    await stage.look(one)
    assert len(stage.relays.told) == before + 1


async def test_a_relay_that_takes_none_or_knows_none_is_left_in_peace() -> None:
    stage, one, old = Stage(budget=2000.0), target("a"), target("old")
    stage.desk.set_targets([one, old])
    stage.relays.says |= {"a": quiet(), "old": replace(quiet(), budget=None)}
    stage.relays.takes = False
    for _ in range(3):
        await stage.look(one, old)
    assert stage.relays.told == [("a", 896.0)] * 3, "once a look, no more"


async def test_without_a_budget_nothing_is_told() -> None:
    stage, one = Stage(), target("a")
    stage.desk.set_targets([one])
    stage.relays.says["a"] = quiet()
    await stage.look(one)
    assert stage.relays.told == []


# Beside the watch of engines


class Watch:
    """The watch with relays beside it, and a clock to set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wire, self.relays, self.engines = Wire(), Relays(), Engines()
        self.news: list[SourceKey] = []
        desk = RelayDesk(self.relays, self.engines, lambda: self.now, settle=0.0)
        self.watch = TrafficWatch(
            self.wire,
            self.engines,
            lambda: self.now,
            relays=desk,
            changed=self.news.append,
            pace=PACE,
        )

    async def pass_time(self, *targets: Target, seconds: int) -> None:
        self.watch.set_targets({each.key: each for each in targets})
        running = asyncio.create_task(self.watch.run())
        for _ in range(seconds):
            self.now += 1.0
            for _ in range(30):
                await asyncio.sleep(0)
        running.cancel()


async def test_relays_are_looked_at_each_window_whatever_the_wire_says() -> None:
    stage = Watch()
    loud, lost, noweb = target("loud"), target("lost"), replace(target("noweb"), http_port=0)
    stage.wire.seen[loud.key] = Observation(0.0, 0.0, messages=1, last_batch_at=1e9)
    stage.wire.seen[lost.key] = Observation(0.0)
    stage.relays.says = {each: relay(rank(1), rank(2)) for each in ("loud", "lost", "noweb")}
    await stage.pass_time(loud, lost, noweb, seconds=61)
    for each in ("loud", "lost", "noweb"):
        assert stage.relays.asked.count(each) >= 6
    assert "noweb" not in stage.engines.asked
    assert stage.engines.completed == [], "a canary proves nothing behind a relay"
    known = stage.watch.traffic(loud.key)
    assert known is not None
    assert known.relay is not None
    assert known.relay.connected_once
    assert loud.key in stage.news
    await stage.watch.close()


async def test_a_suspect_is_looked_at_sooner() -> None:
    stage, one = Watch(), target("one")
    stage.relays.says["one"] = relay(rank(connected=False))
    stage.engines.answer = EngineMetrics()
    await stage.pass_time(one, seconds=9)
    known = stage.watch.traffic(one.key)
    assert known is not None
    assert known.relay is not None
    assert known.relay.missing_looks == 2
    await stage.watch.close()
