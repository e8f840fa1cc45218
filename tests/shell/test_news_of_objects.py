"""The list of all objects against what their watch told: what it missed is made
good, and an old list is not believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from kvsync.adapters.kube.client import Listing
from kvsync.model.decision import Kind
from kvsync.model.errors import Unavailable
from kvsync.model.observed import KVEventSync
from kvsync.model.standing import Standing
from kvsync.shell.news import News
from kvsync.shell.settings import Settings
from kvsync.shell.standings import Standings
from kvsync.shell.watches import Watches
from kvsync.shell.world import World

Json = dict[str, Any]


class Leftovers:
    looks = 0

    def look(self) -> None:
        self.looks += 1


class Stage:
    def __init__(self, deployments: dict[tuple[str, str], Json] | None = None) -> None:
        self.queued: list[tuple[str, str]] = []
        self.woken: list[tuple[str, str]] = []
        self.world = World(Settings(), deployments or {}, {})
        self.standings = Standings(self.queued.append, lambda: 0.0)
        self.leftovers = Leftovers()
        self.news = News(
            self.world,
            cast("Any", None),
            self.standings,
            cast("Any", self.leftovers),
            self.queued.append,
            self.wake,
        )

    def wake(self, key: tuple[str, str]) -> None:
        self.woken.append(key)
        self.queued.append(key)

    def told(self, *bodies: Json) -> None:
        """By the watch."""
        for body in bodies:
            self.news.object_changed(("ns", body["metadata"]["name"]), body)
        self.queued.clear()
        self.woken.clear()

    def listed(self, *bodies: Json) -> None:
        self.news.objects_listed(bodies, self.news.known_objects())


def sync(name: str, version: int = 1) -> Json:
    metadata = {"namespace": "ns", "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"models": {"names": [name]}}}


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_one_that_was_deleted_unheard_is_gone_and_the_others_are_looked_at(stage: Stage) -> None:
    stage.told(sync("a"), sync("b"))
    stage.standings.note(("ns", "b"), Standing("ns/b"))
    stage.listed(sync("a"))
    assert stage.world.known_objects() == {("ns", "a")}
    assert set(stage.queued) == {("ns", "a"), ("ns", "b")}
    assert stage.leftovers.looks == 1


def test_one_that_is_not_told_of_yet_is_known_and_looked_at(stage: Stage) -> None:
    stage.listed(sync("a"))
    assert stage.world.sync(("ns", "a")) is not None
    assert stage.queued[-1] == ("ns", "a")
    assert stage.standings.unheard(("ns", "other")) == ("ns/a",)


def test_what_the_watch_told_already_is_no_news(stage: Stage) -> None:
    stage.told(sync("a", 5))
    stage.listed(sync("a", 5))
    stage.listed(sync("a", 4))
    assert stage.queued == []
    stage.listed(sync("a", 6))
    assert stage.queued[-1] == ("ns", "a")


def test_one_that_went_while_the_list_was_on_its_way_does_not_come_back(stage: Stage) -> None:
    stage.told(sync("a"))
    known = stage.news.known_objects()
    stage.news.object_changed(("ns", "a"), None)
    stage.news.objects_listed([sync("a")], known)
    assert stage.world.known_objects() == frozenset()


def test_one_that_came_while_the_list_was_on_its_way_stays(stage: Stage) -> None:
    known = stage.news.known_objects()
    stage.told(sync("a"))
    stage.news.objects_listed([], known)
    assert stage.world.known_objects() == {("ns", "a")}


def test_a_workload_that_its_watch_is_behind_with_is_seen_as_it_was_listed() -> None:
    def deployment(version: int, image: str) -> Json:
        metadata = {"namespace": "ns", "name": "m", "uid": "u", "resourceVersion": str(version)}
        return {"metadata": metadata, "spec": {"image": image}}

    store: dict[tuple[str, str], Json] = {("ns", "m"): deployment(5, "old")}
    stage = Stage(store)
    stage.news.workload_listed(Kind.DEPLOYMENT, deployment(4, "older"))
    assert seen(stage) == "old"
    stage.news.workload_listed(Kind.DEPLOYMENT, deployment(7, "new"))
    assert seen(stage) == "new"
    store["ns", "m"] = deployment(8, "newest")
    assert seen(stage) == "newest"
    stage.news.workload_listed(Kind.DEPLOYMENT, {"metadata": {"namespace": "ns", "name": "other"}})
    assert stage.world.deployment("ns", "other") is None


def seen(stage: Stage) -> str:
    found = stage.world.deployment("ns", "m")
    assert found is not None
    return str(found.body["spec"]["image"])


def test_what_a_pass_only_said_is_no_news_and_whatever_else_came_with_it_is(stage: Stage) -> None:
    before = sync("a")
    stage.told(before)

    def written(version: int, **more: Any) -> Json:
        """As our own write of a status returned it."""
        metadata = {**before["metadata"], "resourceVersion": str(version), **more.pop("meta", {})}
        body = {**before, "metadata": metadata, **more}
        stage.world.note_written(Kind.SYNC, body)
        stage.world.note_said(KVEventSync(before))
        return body

    def news(body: Json) -> bool:
        stage.queued.clear()
        stage.news.object_changed(("ns", "a"), body)
        return ("ns", "a") in stage.queued

    assert not news(written(2, status={"conditions": [], "modelsTotal": 1}))
    assert not news(written(3, status={"models": [{"name": "a", "state": "Refused"}]}))
    assert news(written(4, status={"models": [{"name": "a", "record": 7}]})), "it is remembered"
    assert news(written(5, spec={"models": {"names": ["a", "b"]}})), "someone changed it meanwhile"
    assert news(written(6, meta={"labels": {"x": "y"}}))
    assert news({**before, "metadata": {**before["metadata"], "resourceVersion": "7"}}), "not ours"


def test_what_is_said_of_an_object_ends_its_rest_and_its_own_status_does_not(stage: Stage) -> None:
    before = sync("a")
    stage.told(before)

    def wakes(version: int, **more: Any) -> bool:
        metadata = {**before["metadata"], "resourceVersion": str(version), **more.pop("meta", {})}
        stage.news.object_changed(("ns", "a"), {**before, "metadata": metadata, **more})
        woken, stage.woken = stage.woken, []
        return woken == [("ns", "a")]

    assert not wakes(2, status={"models": [{"name": "a", "record": 7}]})
    assert wakes(3, meta={"annotations": {"retry": "again"}})
    assert not wakes(4, meta={"annotations": {"retry": "again"}})
    assert wakes(5, spec={"models": {"names": ["a", "b"]}})
    assert wakes(6, meta={"deletionTimestamp": "2026-01-01T00:00:00Z"})


class Server:
    """Lists what a test says it does; its watches never come to anything."""

    def __init__(self, *answers: Listing) -> None:
        self.answers = list(answers)

    async def listing(self, *_: object) -> Listing:
        return self.answers.pop(0)

    async def pages(self, *_: object, **__: object) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield {}


async def heard(stage: Stage, *answers: Listing) -> None:
    """Each of these lists is heard. Raises ApiError."""
    watches = Watches(cast("Any", Server(*answers)), cast("Any", None), Settings())
    tasks = watches.start(stage.news)
    try:
        for _ in answers:
            await watches.hear_objects()
    finally:
        for task in tasks:
            task.cancel()


async def test_who_is_missing_in_a_list_is_gone(stage: Stage) -> None:
    await heard(stage, Listing([dict(sync("a", 5))], 7), Listing([], 7))
    assert stage.world.known_objects() == frozenset()


@pytest.mark.parametrize("told", ["by its watch", "by our own write"])
async def test_an_old_list_makes_nobody_gone(stage: Stage, told: str) -> None:
    if told == "by its watch":
        stage.told(sync("a", 9))
    else:
        stage.told(sync("a", 5))
        stage.world.note_written(Kind.SYNC, sync("a", 9))
    with pytest.raises(Unavailable, match="of version 8, and an object was seen at 9"):
        await heard(stage, Listing([], 8))
    assert stage.world.known_objects() == {("ns", "a")}


async def test_a_list_without_a_number_is_believed(stage: Stage) -> None:
    stage.told(sync("a", 9))
    await heard(stage, Listing([], 0))
    assert stage.world.known_objects() == frozenset()


async def test_the_newest_version_outlives_its_object(stage: Stage) -> None:
    stage.told(sync("a", 9))
    stage.world.sync_gone(("ns", "a"))
    with pytest.raises(Unavailable, match="of version 8"):
        await heard(stage, Listing([dict(sync("a", 5))], 8))
    assert stage.world.known_objects() == frozenset()
