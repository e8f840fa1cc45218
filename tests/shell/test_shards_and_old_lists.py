"""A list that is older than our own word to the others: no place is taken on it, and nobody is gone by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from kvsync.adapters.kube.client import Listing
from kvsync.core.leadership import Terms
from kvsync.model.decision import Kind
from kvsync.model.errors import Unavailable
from kvsync.model.observed import KVEventSync
from kvsync.model.selector_text import parse_selector
from kvsync.model.shard import Shard
from kvsync.model.standing import Standing
from kvsync.shell.news import News
from kvsync.shell.settings import Settings
from kvsync.shell.shards import OtherLeases, Shards
from kvsync.shell.standings import Standings
from kvsync.shell.watches import Watches
from kvsync.shell.world import World

Json = dict[str, Any]
OURS, THEIRS = ("ns", "ours"), ("ns", "theirs")


def sync(key: tuple[str, str], label: str, version: int, **entry: Any) -> Json:
    """An object that the operator of its label serves."""
    namespace, name = key
    metadata = {
        "namespace": namespace,
        "name": name,
        "uid": name,
        "labels": {"shard": label},
        "resourceVersion": str(version),
    }
    spec = {"models": {"names": [name]}, "gateway": {"manage": False}}
    status = {"shard": {"name": f"ops/{label}", **entry}}
    return {"metadata": metadata, "spec": spec, "status": status}


class Operator:
    """That of shard a, of what it hears of a server that lists what a test says; and its own words."""

    def __init__(self, *lists: Listing) -> None:
        self.lists = list(lists)
        self.undone = 0
        """Looks for what is left of objects that are gone."""
        self.world = World(Settings(), {}, {})
        self.standings = Standings(lambda _: None, lambda: 0.0)
        self.news = News(
            self.world,
            cast("Any", None),
            self.standings,
            cast("Any", self),
            enqueue=lambda _: None,
            wake=lambda _: None,
        )
        self.watches = Watches(cast("Any", self), cast("Any", None), Settings())
        self.shards = Shards(
            Shard("ops/a", parse_selector("shard=a")),
            self.world,
            self.standings,
            self,
            self.watches.hear_objects,
            OtherLeases(cast("Any", None), Terms(), lambda: 0.0),
            lambda: 0.0,
        )

    def look(self) -> None:
        self.undone += 1

    async def listing(self, *_: object) -> Listing:
        return self.lists.pop(0)

    async def pages(self, *_: object, **__: object) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield {}

    async def write_status(
        self, sync: KVEventSync, status: Mapping[str, Any], *, unchanged: bool = False
    ) -> None:
        metadata = {**sync.body["metadata"], "resourceVersion": "10"}
        self.world.note_written(Kind.SYNC, {**sync.body, "metadata": metadata, "status": status})

    async def announce(self) -> bool:
        """It is about to take a place for a model."""
        own = self.world.sync(OURS)
        assert own is not None
        return await self.shards.announce(own, Standing("/".join(OURS), in_flight=("m",)))

    def others(self) -> list[tuple[str, ...]]:
        return [each.in_flight for each in self.standings.others(OURS)]


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    """It knows both objects, the other one without a model on its way."""
    made = Operator()
    tasks = made.watches.start(made.news)
    for key, label, version in ((OURS, "a", 4), (THEIRS, "b", 5)):
        made.news.object_changed(key, sync(key, label, version))
    yield made
    for task in tasks:
        task.cancel()


NOW = Listing([sync(OURS, "a", 10, inFlight=["m"]), sync(THEIRS, "b", 9, inFlight=["x"])], 11)


@pytest.mark.parametrize(
    "old",
    [
        Listing([sync(OURS, "a", 4), sync(THEIRS, "b", 5)], 8),
        Listing([sync(OURS, "a", 4)], 8),
        Listing([], 9),
    ],
    ids=["of before the other one spoke", "of before it was there", "empty"],
)
async def test_no_place_is_taken_on_a_list_that_is_older_than_our_own_word(
    operator: Operator, old: Listing
) -> None:
    operator.lists = [old, old, NOW]
    for _ in range(2):
        with pytest.raises(Unavailable, match="and an object was seen at 10"):
            await operator.announce()
    assert operator.world.known_objects() == {OURS, THEIRS}
    assert operator.undone == 0, "nobody is gone"
    assert await operator.announce(), "heard at last: the pass is to be made again"
    assert operator.others() == [("x",)]
    assert not await operator.announce()


async def test_what_the_other_one_said_since_is_not_unsaid_by_an_old_list(
    operator: Operator,
) -> None:
    told = sync(THEIRS, "b", 12, inFlight=["x"])
    operator.news.object_changed(THEIRS, told)
    await operator.shards.serve(KVEventSync(told))
    operator.lists = [Listing([sync(OURS, "a", 10), sync(THEIRS, "b", 5)], 11)]
    with pytest.raises(Unavailable, match="seen at 12"):
        await operator.announce()
    assert operator.others() == [("x",)]


async def test_an_object_of_another_shard_that_is_gone_counts_no_more(operator: Operator) -> None:
    operator.lists = [NOW, Listing([sync(OURS, "a", 10, inFlight=["m"])], 13)]
    assert await operator.announce()
    await operator.watches.hear_objects()
    assert operator.world.known_objects() == {OURS}
    assert operator.others() == []
    assert operator.undone == 1
