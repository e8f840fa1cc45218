"""Two operators, each with its own objects, on one API server: what they do at the same moment.

Real passes, whose writes and lists are interleaved in any order; watches may be late.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cluster import HEALTHY, Cluster
from core.objects import OWNER, Json, spec_of
from kvsync.core.actions import mark_of
from kvsync.core.leadership import Terms
from kvsync.core.shards import server_of
from kvsync.model.decision import Kind
from kvsync.model.errors import Forbidden, Invalid
from kvsync.model.lease import Lease
from kvsync.model.observed import KVEventSync
from kvsync.model.selector_text import parse_selector
from kvsync.model.shard import Shard
from kvsync.model.standing import Standing
from kvsync.shell.settings import Settings
from kvsync.shell.shards import OtherLeases, Shards
from kvsync.shell.standings import Key, Standings
from kvsync.shell.world import World


class Moment:
    """A request under way: another operator may go on first."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Server:
    """The objects as the API server has them: one cluster of two models for each."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.clusters: dict[Key, Cluster] = {}
        for name, label in labels.items():
            rollout = {"maxConcurrent": 2, "progressDeadline": "24h"}
            cluster = Cluster(
                spec_of(rollout=rollout, gateway={"manage": False}), (HEALTHY, HEALTHY)
            )
            assert cluster.sync is not None
            cluster.sync["metadata"] |= {
                "namespace": name,
                "uid": f"uid-{name}",
                "labels": {"shard": label},
                "resourceVersion": "1",
            }
            self.clusters[name, OWNER.name] = cluster
        self._last = {key: cluster.sync for key, cluster in self.clusters.items()}
        self._version = 1

    def body(self, key: Key) -> Json:
        """An object as it stands now, of a new version where it changed."""
        cluster = self.clusters[key]
        assert cluster.sync is not None
        if cluster.sync is not self._last[key]:
            self._version += 1
            metadata = {**cluster.sync["metadata"], "resourceVersion": str(self._version)}
            self._last[key] = cluster.sync = {**cluster.sync, "metadata": metadata}
        return cluster.sync

    def relabel(self, key: Key, label: str) -> None:
        body = self.body(key)
        metadata = {**body["metadata"], "labels": {"shard": label}}
        self.clusters[key].sync = {**body, "metadata": metadata}

    def rolling(self) -> int:
        return sum(len(cluster.changing) for cluster in self.clusters.values())


class Operator:
    """One of the operators: what it knows, and the pass that it is in."""

    def __init__(self, server: Server, label: str, cap: int) -> None:
        self.server = server
        self.label = label
        self.cap = cap
        self.running: Coroutine[Any, Any, None] | None = None
        self.start()

    def start(self) -> None:
        """A new process, which has listed all objects."""
        if self.running is not None:
            self.running.close()
        self.running = None
        self.world = World(Settings(max_rolling=self.cap), {}, {})
        self.queue: list[Key] = []
        self.standings = Standings(self.enqueue, lambda: 0.0)
        self.shards = Shards(
            Shard(f"ops/{self.label}", parse_selector(f"shard={self.label}")),
            self.world,
            self.standings,
            self,
            self.hear,
            OtherLeases(self.lease, Terms(10.0), lambda: 0.0),
            lambda: 0.0,
        )
        for key, cluster in self.server.clusters.items():
            self.world.note_object(key, self.server.body(key))
            self.standings.expect(key)
            self.enqueue(key)
            if self.shards.is_ours(KVEventSync(self.server.body(key))):
                cluster.forget()

    def enqueue(self, key: Key) -> None:
        if key not in self.queue:
            self.queue.append(key)

    async def lease(self, namespace: str, name: str) -> Lease | None:
        """The other one's, which lives."""
        return Lease("somebody", "now", duration=10.0)

    async def hear(self) -> None:
        await Moment()
        for key in self.server.clusters:
            if self.world.note_object(key, self.server.body(key)):
                self.enqueue(key)

    async def write_status(
        self, sync: KVEventSync, status: Mapping[str, Any], *, unchanged: bool = False
    ) -> None:
        await Moment()
        key = (sync.namespace, sync.name)
        body = self.server.body(key)
        same = body["metadata"]["resourceVersion"] == sync.body["metadata"]["resourceVersion"]
        if server_of(KVEventSync(body)) != server_of(sync) or (unchanged and not same):
            raise Invalid("test failed", status=422)
        self.server.clusters[key].sync = {**body, "status": dict(status)}
        self.world.note_written(Kind.SYNC, self.server.body(key))

    def hears(self, key: Key) -> None:
        """Its watch tells of an object."""
        self.world.note_object(key, self.server.body(key))
        self.enqueue(key)

    def go_on(self) -> bool:
        """One request further in the pass that it is in, or in the next one."""
        if self.running is None:
            if not self.queue:
                return False
            self.running = self.one_pass(self.queue.pop(0))
        try:
            self.running.send(None)
        except StopIteration:
            self.running = None
        return True

    async def one_pass(self, key: Key) -> None:
        """A pass as ``shell.reconcile`` makes it."""
        try:
            await self._pass(key)
        except Invalid:
            self.hears(key)

    async def _pass(self, key: Key) -> None:
        cluster, sync = self.server.clusters[key], self.world.sync(key)
        assert sync is not None
        served = await self.shards.serve(sync)
        if not served.ours:
            if served.acted:
                cluster.forget()
                self.enqueue(key)
            return
        decision = cluster.decide(
            others=self.standings.others(key),
            unheard=self.standings.unheard(key),
            max_rolling=self.cap,
        )
        standing = decision.standing or Standing(mark_of(sync))
        self.standings.note(key, standing)
        if decision.actions:
            if not await self.shards.announce(sync, standing):
                for action in decision.actions:
                    await Moment()
                    cluster.apply(action)
                    assert self.server.rolling() <= self.cap
                self.hears(key)
            self.enqueue(key)
        elif decision.status is not None:
            status = self.shards.with_entry(sync, decision.status, standing)
            if status != sync.status:
                await self.write_status(sync, status)
                self.enqueue(key)


class Stage:
    """Both operators, and what happens to them."""

    def __init__(self, cap: int, labels: Mapping[str, str]) -> None:
        self.server = Server(labels)
        self.operators = [Operator(self.server, label, cap) for label in "ab"]

    def step(self, key: Key) -> bool:
        """The cluster of one object goes on by itself; whoever serves it sees that at once."""
        cluster = self.server.clusters[key]
        acted = cluster.probe()
        for name in cluster.fates:
            acted |= cluster.progress(name)
        if acted:
            for operator in self.operators:
                operator.enqueue(key)
        return acted

    def settle(self) -> None:
        """All is heard, and everybody goes on."""
        for _ in range(2000):
            for operator in self.operators:
                for key in self.server.clusters:
                    told = operator.world.syncs[key]["metadata"]["resourceVersion"]
                    if told != self.server.body(key)["metadata"]["resourceVersion"]:
                        operator.hears(key)
            busy = [operator.go_on() for operator in self.operators]
            if any(busy):
                continue
            moved = [self.step(key) for key in self.server.clusters]
            if not any(moved):
                return
        raise AssertionError("they never come to rest")

    def check_end(self) -> None:
        """Every model is proven, restarted once, by whoever is the server of its object."""
        for cluster in self.server.clusters.values():
            assert all(map(cluster.is_proven, cluster.fates))
            assert all(cluster.restarts[name] == 1 for name in cluster.fates), cluster.restarts
            assert cluster.sync is not None
            entry = cluster.sync["status"]["shard"]
            assert entry["name"] == f"ops/{cluster.sync['metadata']['labels']['shard']}"
            assert not entry.get("inFlight")
            assert not entry.get("waiting")


LABELS = {"n0": "a", "n1": "b", "n2": "a", "n3": "b"}
KEYS = [(name, OWNER.name) for name in LABELS]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("go", "go", "go", "go", "hear", "step", "step", "kill", "relabel")),
        st.integers(0, 1),
        st.integers(0, 3),
    ),
    max_size=80,
)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(cap=st.integers(1, 3), events=EVENTS)
def test_whatever_they_do_at_once_the_limit_of_all_holds_and_everyone_gets_there(
    cap: int, events: list[tuple[str, int, int]]
) -> None:
    stage = Stage(cap, LABELS)
    for event, which, number in events:
        operator, key = stage.operators[which], KEYS[number]
        match event:
            case "go":
                operator.go_on()
            case "hear":
                operator.hears(key)
            case "step":
                stage.step(key)
            case "kill":
                operator.start()
            case "relabel":
                stage.server.relabel(key, "ab"[which])
    stage.settle()
    stage.check_end()


def test_two_that_begin_at_the_same_moment_do_not_both_take_the_last_place() -> None:
    stage = Stage(1, {"n0": "a", "n1": "b"})
    for _ in range(200):
        for operator in stage.operators:
            operator.go_on()
    assert stage.server.rolling() <= 1, "where both step back, their watches tell them of it"
    for operator in stage.operators:
        for key in stage.server.clusters:
            operator.hears(key)
    for _ in range(200):
        for operator in stage.operators:
            operator.go_on()
    assert stage.server.rolling() == 1
    stage.settle()
    stage.check_end()


def test_an_object_whose_label_changes_goes_over_in_the_middle_of_its_wave() -> None:
    stage = Stage(1, {"n0": "a"})
    key = ("n0", OWNER.name)
    first, second = stage.operators
    while not stage.server.rolling():
        first.go_on()
    stage.server.relabel(key, "b")
    second.hears(key)
    for _ in range(50):
        second.go_on()
        second.hears(key)
    assert server_of(KVEventSync(stage.server.body(key))) == "ops/a", "it was not let go"
    stage.settle()
    stage.check_end()
    assert not first.shards.is_ours(KVEventSync(stage.server.body(key)))


class Taker:
    """Takes what it is to take, and remembers the statuses that it wrote."""

    def __init__(self, lease: Lease | Exception | None) -> None:
        self.lease = lease
        self.now = 0.0
        self.asked = 0
        self.written: list[Mapping[str, Any]] = []
        self.world = world = World(Settings(), {}, {})
        metadata = {"name": "kv", "namespace": "n", "uid": "u", "labels": {"shard": "a"}}
        self.sync = KVEventSync(
            {"metadata": metadata, "spec": {}, "status": {"shard": {"name": "ops/dead"}}}
        )
        world.note_object(("n", "kv"), self.sync.body)
        self.standings = Standings(lambda _: None, lambda: self.now)
        self.shards = Shards(
            Shard("ops/a", parse_selector("shard=a")),
            world,
            self.standings,
            self,
            self.hear,
            OtherLeases(self.read, Terms(10.0), lambda: self.now),
            lambda: self.now,
        )

    async def hear(self) -> None:
        """Nobody else is there."""

    async def read(self, namespace: str, name: str) -> Lease | None:
        assert (namespace, name) == ("ops", "dead")
        self.asked += 1
        if isinstance(self.lease, Exception):
            raise self.lease
        return self.lease

    async def write_status(
        self, sync: KVEventSync, status: Mapping[str, Any], *, unchanged: bool = False
    ) -> None:
        assert unchanged, "another one may be as fast"
        self.written.append(status)


@pytest.mark.parametrize("lease", [None, Lease("somebody", "now", duration=15.0)])
async def test_an_object_of_a_shard_that_nobody_leads_any_more_is_taken_over(
    lease: Lease | None,
) -> None:
    taker = Taker(lease)
    served = await taker.shards.serve(taker.sync)
    assert (served.ours, served.acted, served.look_again) == (False, False, 2.0)
    taker.now = 20.0
    served = await taker.shards.serve(taker.sync)
    assert served.acted
    assert taker.written == [{"shard": {"name": "ops/a"}}]


async def test_what_another_one_said_ages_by_our_own_clock_until_it_says_something_else() -> None:
    taker = Taker(None)
    key = ("n", "kv")

    async def seen(at: float, **entry: Any) -> Standing:
        taker.now = at
        status = {"shard": {"name": "ops/b", **entry}}
        metadata = {**taker.sync.body["metadata"], "labels": {"shard": "b"}}
        taker.world.syncs[key] = {**taker.sync.body, "metadata": metadata, "status": status}
        await taker.shards.serve(KVEventSync(taker.world.syncs[key]))
        (standing,) = taker.standings.others(("n", "ours"))
        return standing

    assert (await seen(1e6, inFlight=["m"], waiting=True)).in_flight == ("m",)
    old = await seen(1e6 + 400, inFlight=["m"], waiting=True)
    assert (old.in_flight, old.waiting) == (("m",), False)
    assert (await seen(1e6 + 1801, inFlight=["m"], waiting=True)).in_flight == ()
    anew = await seen(1e6 + 1802, inFlight=["m", "o"], waiting=True)
    assert (anew.in_flight, anew.waiting) == (("m", "o"), True)
    taker.shards.forget(key)
    assert (await seen(1e6 + 9999, inFlight=["m", "o"])).in_flight == ("m", "o")


async def test_where_its_lease_may_not_be_read_it_is_waited_for_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    taker = Taker(Forbidden("leases is forbidden", status=403, reason="Forbidden"))
    for taker.now in (10.0, 100.0, 1000.0):
        served = await taker.shards.serve(taker.sync)
        assert (served.acted, served.look_again) == (False, 60.0)
        assert await taker.shards.serve(taker.sync) == served
    assert taker.written == []
    assert taker.asked == 3, "not for each of its objects"
    assert caplog.text.count("waits until shard ops/dead lets go of it") == 1
