"""StormServices are followed when they are served, and nothing waits for what cannot be read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from adapters.kube.conftest import Clock, running, until
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import PODS, STORMSERVICES, Resource
from kvsync.model.errors import ApiError, Forbidden, NotFound, ServerError
from kvsync.shell.storms import ASK_AGAIN, LOOK_AGAIN, StormWatch
from model.storms import pod, storm

Place = tuple[Resource, str | None]


class Server:
    """Answers discovery, in order, and one list of each kind; a refusal stands until it is lifted."""

    def __init__(self, *discovery: bool | ApiError) -> None:
        self.discovery = [*discovery]
        self.refusals: dict[Place, ApiError] = {}
        self.listed: list[Place] = []

    async def serves(self, _: Resource) -> bool:
        answer = self.discovery.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def pages(
        self, resource: Resource, namespace: str | None, _: Any, __: int = 0
    ) -> AsyncIterator[Any]:
        refusal = self.refusals.get((resource, namespace))
        if refusal:
            raise refusal
        self.listed.append((resource, namespace))
        items = [pod("a", "pd", "decode")] if resource == PODS else [storm()]
        yield {"metadata": {"resourceVersion": "1"}, "items": items}

    @asynccontextmanager
    async def stream(self, *_: Any) -> AsyncIterator[aiohttp.StreamReader]:
        await asyncio.Event().wait()
        yield cast("aiohttp.StreamReader", None)


class Followed:
    """A running watch and what it told."""

    def __init__(self, server: Server, clock: Clock, *namespaces: str) -> None:
        self.told: list[str] = []
        self.watch = StormWatch(
            cast("Kube", server),
            namespaces,
            on_storm=lambda key, *_: self.told.append(f"storm {key[1]}"),
            on_pod=lambda key, *_: self.told.append(f"pod {key[1]}"),
            on_listed=lambda: self.told.append("listed"),
            timing=clock.timing,
        )

    @property
    def settled(self) -> bool:
        return self.watch.settled.is_set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def following(server: Server, clock: Clock, *namespaces: str) -> AsyncIterator[Followed]:
    followed = Followed(server, clock, *namespaces)
    async with running(followed.watch.run()):
        yield followed


async def test_what_is_served_is_listed_before_the_picture_is_whole(clock: Clock) -> None:
    async with following(Server(True), clock) as followed:
        await until(lambda: followed.settled)
        assert sorted(followed.told) == ["listed", "listed", "pod a", "storm pd"]
        assert list(followed.watch.storms.store) == [("default", "pd")]
    assert clock.pauses == []


async def test_without_the_kind_nothing_waits_and_it_is_looked_for_again(clock: Clock) -> None:
    server = Server(False, False, True)
    async with following(server, clock) as followed:
        await until(lambda: followed.settled)
        await until(lambda: followed.told.count("listed") == 2)
    assert clock.pauses == [LOOK_AGAIN, LOOK_AGAIN]


async def test_while_the_server_does_not_say_nothing_is_whole(clock: Clock) -> None:
    down = ServerError("down", status=503)
    server = Server(down, down, True)
    server.refusals[STORMSERVICES, None] = down
    async with following(server, clock) as followed:
        await until(lambda: (PODS, None) in server.listed and len(clock.pauses) > 4)
        assert clock.pauses[:2] == [ASK_AGAIN, ASK_AGAIN]
        assert not followed.settled
        server.refusals.clear()
        await until(lambda: followed.settled)


async def test_a_missing_right_is_said_once_and_its_coming_noticed(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(True)
    server.refusals[STORMSERVICES, None] = Forbidden("stormservices is forbidden", status=403)
    with caplog.at_level(logging.WARNING):
        async with following(server, clock) as followed:
            await until(lambda: len(clock.pauses) > 5)
            assert followed.settled
            assert followed.watch.storms.store == {}
            (record,) = caplog.records
            assert '"list" and "watch" on stormservices of API group' in record.getMessage()
            server.refusals.clear()
            await until(lambda: "storm pd" in followed.told)


async def test_only_what_is_refused_is_gone_without(clock: Clock) -> None:
    server = Server(True)
    server.refusals[STORMSERVICES, "a"] = Forbidden("no", status=403)
    server.refusals[STORMSERVICES, "b"] = ServerError("down", status=503)
    async with following(server, clock, "a", "b") as followed:
        await until(lambda: len(clock.pauses) > 6)
        assert not followed.settled, "b may come any moment"
        del server.refusals[STORMSERVICES, "b"]
        await until(lambda: followed.settled)


async def test_a_kind_that_went_again_holds_nobody_up(clock: Clock) -> None:
    server = Server(True)
    server.refusals[STORMSERVICES, None] = NotFound("gone", status=404)
    async with following(server, clock) as followed:
        await until(lambda: followed.settled)


async def test_discovery_that_is_not_permitted_is_said_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    no = Forbidden("no", status=403)
    with caplog.at_level(logging.WARNING):
        async with following(Server(no, no, True), clock) as followed:
            await until(lambda: "storm pd" in followed.told)
    (record,) = caplog.records
    assert "system:discovery" in record.getMessage()
    assert clock.pauses == [LOOK_AGAIN, LOOK_AGAIN]
