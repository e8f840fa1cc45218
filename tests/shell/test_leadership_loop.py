"""Leadership in motion: standing by, leading, losing it, letting go; on a clock that the test moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from kvsync.adapters.kube.pace import Timing
from kvsync.core.leadership import Terms
from kvsync.model.errors import ApiError, Conflict, ConnectionLost, Forbidden
from kvsync.shell.leadership import Leadership

Json = dict[str, Any]
TERMS = Terms(10.0)


class Clock:
    """Time passes only while somebody sleeps; whoever sleeps shortest wakes first."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, self._count, future))
        await future

    def timing(self, ahead: float = 0.0) -> Timing:
        """Of a machine whose clock reads differently."""
        return Timing(clock=lambda: self.now + ahead, sleep=self.sleep, jitter=lambda: 0.5)

    async def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.now + seconds
        await settle()
        while True:
            self._sleepers = [each for each in self._sleepers if not each[2].done()]
            first = min(self._sleepers, key=lambda each: each[:2], default=None)
            if first is None or first[0] > end:
                break
            self.now = max(self.now, first[0])
            first[2].set_result(None)
            await settle()
        self.now = end

    def stop_for(self, seconds: float) -> None:
        """The process stood still: time has passed and nothing ran."""
        self.now += seconds


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


class Server:
    """A Lease as an API server keeps it."""

    def __init__(self) -> None:
        self.body: Json | None = None
        self.version = 0
        self.writes = 0
        self.error: ApiError | None = None
        self.lose_answers = 0

    def door(self) -> Door:
        return Door(self)

    def store(self, body: Mapping[str, Any]) -> Json:
        self.version += 1
        self.writes += 1
        metadata = {**body.get("metadata", {}), "resourceVersion": str(self.version)}
        self.body = {**body, "metadata": metadata}
        if self.lose_answers:
            self.lose_answers -= 1
            raise ConnectionLost("the answer was lost")
        return self.body

    @property
    def spec(self) -> Json:
        assert self.body is not None
        return dict(self.body["spec"])


class Door:
    def __init__(self, server: Server) -> None:
        self._server = server
        self.error: ApiError | None = None

    def __str__(self) -> str:
        return "leases here/l"

    def _refuse(self) -> None:
        if self.error or self._server.error:
            raise self.error or self._server.error or AssertionError

    async def read(self) -> Json | None:
        self._refuse()
        return self._server.body

    async def create(self, spec: Mapping[str, Any]) -> Json:
        self._refuse()
        if self._server.body is not None:
            raise Conflict("there already")
        return self._server.store({"spec": dict(spec)})

    async def replace(self, body: Mapping[str, Any]) -> Json:
        self._refuse()
        now = self._server.body
        if now is None or now["metadata"] != body["metadata"]:
            raise Conflict("changed meanwhile")
        return self._server.store(body)


class SlowDoor(Door):
    """Requests and answers take their time, and some answers are lost."""

    def __init__(self, server: Server, clock: Clock, chance: random.Random) -> None:
        super().__init__(server)
        self._clock, self._chance = clock, chance

    async def _travel(self) -> None:
        await self._clock.sleep(self._chance.choice((0.01, 0.2, self._chance.uniform(0, 8))))

    async def read(self) -> Json | None:
        await self._travel()
        found = await super().read()
        await self._travel()
        return found

    async def create(self, spec: Mapping[str, Any]) -> Json:
        return await self._write(partial(super().create, spec))

    async def replace(self, body: Mapping[str, Any]) -> Json:
        return await self._write(partial(super().replace, body))

    async def _write(self, work: Callable[[], Awaitable[Json]]) -> Json:
        await self._travel()
        made = await work()
        await self._travel()
        if self._chance.random() < 0.1:
            raise ConnectionLost("the answer was lost")
        return made


class Replica:
    """One process."""

    def __init__(
        self,
        name: str,
        server: Server,
        clock: Clock,
        ahead: float = 0.0,
        door: Door | None = None,
    ) -> None:
        self.lost: list[str] = []
        self.door = door or server.door()
        self.part = Leadership(
            self.door,
            name,
            TERMS,
            on_lost=self.lost.append,
            timing=clock.timing(ahead),
            wall=lambda: datetime(2026, 1, 1, tzinfo=UTC).fromtimestamp(clock.now, UTC),
        )
        self.task = self.part.start()

    def die(self) -> None:
        self.task.cancel()


class Stage:
    def __init__(self) -> None:
        self.clock, self.server = Clock(), Server()
        self.replicas: list[Replica] = []

    def replica(self, name: str, ahead: float = 0.0) -> Replica:
        self.replicas.append(Replica(name, self.server, self.clock, ahead))
        return self.replicas[-1]

    def leaders(self) -> list[Replica]:
        return [each for each in self.replicas if each.part.holds()]

    async def watched(self, seconds: float) -> None:
        """Let time pass and see that there is never more than one leader."""
        for _ in range(round(seconds * 10)):
            await self.clock.run(0.1)
            assert len(self.leaders()) <= 1


@pytest.fixture
async def stage() -> Any:
    made = Stage()
    yield made
    for each in made.replicas:
        each.die()


async def test_the_first_one_leads_and_goes_on(stage: Stage) -> None:
    first = stage.replica("a")
    await stage.watched(60)
    assert first.part.holds()
    assert first.part.acquired.is_set()
    assert first.part.leader == "a"
    assert stage.server.spec["leaseTransitions"] == 0
    assert stage.server.spec["leaseDurationSeconds"] == 10
    assert 25 <= stage.server.writes <= 32, "every two seconds"


async def test_a_standby_writes_nothing_and_says_who_leads(stage: Stage) -> None:
    stage.replica("a")
    await stage.clock.run(1)
    second = stage.replica("b", ahead=5e6)
    await stage.watched(60)
    assert not second.part.acquired.is_set()
    assert second.part.leader == "a"
    assert stage.server.spec["holderIdentity"] == "a"


async def test_after_kill_the_standby_leads_within_fifteen_seconds(stage: Stage) -> None:
    first = stage.replica("a")
    await stage.clock.run(3)
    second = stage.replica("b", ahead=-500.0)
    await stage.watched(5)
    first.die()
    await stage.watched(15)
    assert second.part.holds()
    assert not first.part.holds(), "it would write nothing, if it lived"
    assert stage.server.spec["leaseTransitions"] == 1
    assert first.lost == [], "it is dead"


async def test_released_it_is_taken_within_three_seconds(stage: Stage) -> None:
    first = stage.replica("a")
    second = stage.replica("b")
    await stage.clock.run(3)
    await first.part.release()
    assert stage.server.spec["holderIdentity"] == ""
    assert not first.part.holds()
    await stage.watched(2)
    assert second.part.holds()
    assert first.lost == []


async def test_one_that_only_stood_by_releases_nothing(stage: Stage) -> None:
    stage.replica("a")
    second = stage.replica("b")
    await stage.clock.run(3)
    await second.part.release()
    assert stage.server.spec["holderIdentity"] == "a"


async def test_one_that_stood_still_may_not_write_from_the_first_moment_on(stage: Stage) -> None:
    first = stage.replica("a")
    await stage.clock.run(3)
    stage.clock.stop_for(TERMS.deadline)
    assert not first.part.holds(), "before anything of it has run"
    await stage.clock.run(0)
    assert len(first.lost) == 1
    assert "was not renewed for" in first.lost[0]
    assert "stood still" in first.lost[0]


async def test_an_api_server_that_does_not_answer_ends_it_before_another_one_may_lead(
    stage: Stage,
) -> None:
    first = stage.replica("a")
    await stage.clock.run(3)
    stage.replica("b")
    await stage.clock.run(1)
    first.door.error = ConnectionLost("the connection failed")
    await stage.watched(30)
    assert [each.part.leader for each in stage.leaders()] == ["b"]
    assert "the connection failed" in first.lost[0]


async def test_a_short_outage_ends_nobody(stage: Stage) -> None:
    first = stage.replica("a")
    second = stage.replica("b")
    await stage.clock.run(3)
    for _ in range(3):
        stage.server.error = ConnectionLost("the connection failed")
        await stage.watched(4)
        stage.server.error = None
        await stage.watched(4)
    assert first.part.holds()
    assert (first.lost, second.part.leader) == ([], "a")


async def test_a_lost_answer_is_not_taken_for_another_leader(stage: Stage) -> None:
    stage.server.lose_answers = 2
    first = stage.replica("a")
    await stage.watched(5)
    assert first.part.holds()
    stage.server.lose_answers = 1
    await stage.watched(10)
    assert first.part.holds()
    assert first.lost == []
    assert stage.server.spec["leaseTransitions"] == 0


async def test_a_lease_in_another_name_ends_it_at_the_next_renewal(stage: Stage) -> None:
    first = stage.replica("a")
    await stage.clock.run(3)
    assert stage.server.body is not None
    stage.server.store({**stage.server.body, "spec": {"holderIdentity": "thief"}})
    await stage.clock.run(2.5)
    assert first.lost == ["thief holds the Lease now"]
    assert not first.part.holds()


async def test_a_lease_that_somebody_deletes_is_made_again_by_its_leader(stage: Stage) -> None:
    first = stage.replica("a")
    second = stage.replica("b")
    await stage.clock.run(3)
    stage.server.body = None
    await stage.watched(20)
    assert first.part.holds()
    assert second.part.leader == "a"


async def test_a_leader_dead_and_its_lease_deleted_the_standby_leads(stage: Stage) -> None:
    first = stage.replica("a")
    second = stage.replica("b")
    await stage.clock.run(3)
    first.die()
    stage.server.body = None
    await stage.watched(15)
    assert second.part.holds()


async def test_labels_that_somebody_puts_on_the_lease_stay_and_end_nobody(stage: Stage) -> None:
    first = stage.replica("a")
    await stage.clock.run(3)
    body = stage.server.body
    assert body is not None
    stage.server.store({**body, "metadata": {**body["metadata"], "labels": {"team": "x"}}})
    await stage.watched(20)
    assert first.part.holds()
    assert stage.server.body is not None
    assert stage.server.body["metadata"]["labels"] == {"team": "x"}


async def test_a_right_that_is_missing_is_said_once_with_the_remedy(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    first = stage.replica("a")
    first.door.error = Forbidden("leases is forbidden", status=403)
    await stage.watched(10)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 1
    assert '"get", "create" and "update" on leases' in warned[0]
    first.door.error = None
    await stage.watched(2)
    assert first.part.holds()


async def test_a_bug_ends_the_process_too(stage: Stage) -> None:
    first = stage.replica("a")
    await stage.clock.run(3)
    first.door.error = ValueError("boom")  # type: ignore[assignment]
    await stage.clock.run(3)
    assert len(first.lost) == 1
    assert not first.part.holds()


async def test_five_that_begin_at_once_and_die_one_after_the_other_never_lead_together(
    stage: Stage,
) -> None:
    for number in range(5):
        stage.replica(f"r{number}", ahead=1e6 * number)
    hands = -1
    while stage.replicas:
        await stage.watched(15)
        (leader,) = stage.leaders()
        assert stage.server.spec["leaseTransitions"] == hands + 1
        hands += 1
        leader.die()
        stage.clock.stop_for(0.0)
        await settle()
        stage.replicas.remove(leader)
    assert hands == 4


@pytest.mark.parametrize("seed", range(12))
async def test_however_long_requests_take_no_two_lead_and_somebody_does_in_the_end(
    stage: Stage, seed: int
) -> None:
    """Each life ends by chance or because the Lease was lost; a new one takes its place."""
    chance = random.Random(seed)
    led: set[str] = set()
    for step in range(2000):
        for each in [r for r in stage.replicas if r.lost or chance.random() < 0.004]:
            each.die()
            stage.replicas.remove(each)
        while len(stage.replicas) < 3:
            door = SlowDoor(stage.server, stage.clock, chance)
            ahead = chance.uniform(-1e6, 1e6)
            stage.replicas.append(
                Replica(f"{step}-{len(stage.replicas)}", stage.server, stage.clock, ahead, door)
            )
        await stage.clock.run(0.5)
        leaders = stage.leaders()
        assert len(leaders) <= 1
        led |= {each.part.leader for each in leaders}
    assert len(led) >= 2
