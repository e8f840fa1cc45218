"""What `Watch` makes of faults: nothing that is gone stays, nothing that is there goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from adapters.kube.conftest import Clock, Connect, running, until
from adapters.kube.fault_server import (
    FaultServer,
    bookmark,
    cut,
    event,
    failure,
    page,
    refuse,
    say_text,
    watch,
)
from kvsync.adapters.kube.follow import LIST_AGAIN, SHORTEST_WATCH
from kvsync.adapters.kube.resource import CONFIGMAPS
from kvsync.adapters.kube.watch import Trouble, Watch
from kvsync.model.errors import Forbidden

Change = tuple[str, Any, Any]


class Followed:
    """A running watch of ConfigMaps' data, and what it told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.troubles: list[Trouble] = []
        self.watch: Watch[dict[str, str]]

    def take(self, key: tuple[str, str], old: Any, new: Any) -> None:
        self.changes.append((key[1], old, new))

    @property
    def names(self) -> list[str]:
        return sorted(name for _, name in self.watch.store)


Follow = Callable[..., Any]


@pytest.fixture
def follow(connect: Connect, clock: Clock) -> Follow:
    @asynccontextmanager
    async def to(server: FaultServer, **options: Any) -> AsyncIterator[Followed]:
        followed = Followed()
        options = {"project": lambda item: item["data"], "on_change": followed.take, **options}
        followed.watch = Watch(
            await connect(server.url),
            CONFIGMAPS,
            on_trouble=followed.troubles.append,
            timing=clock.timing,
            **options,
        )
        async with running(followed.watch.run()):
            yield followed

    return to


async def test_lists_then_follows(follow: Follow) -> None:
    async with FaultServer(page(10, "a", token="t"), page(10, "b")) as server:
        server.answers.append(
            server.hold(
                event("MODIFIED", "a", 11, x="1"),
                event("ADDED", "c", 12),
                event("DELETED", "b", 13),
            )
        )
        async with follow(server, label_selector="app=x") as followed:
            await until(lambda: len(followed.changes) == 5)
            assert followed.watch.synced.is_set()
            assert followed.watch.healthy_since is not None
            assert followed.names == ["a", "c"]
        assert followed.changes[2:] == [("a", {}, {"x": "1"}), ("c", None, {}), ("b", {}, None)]
        watched = server.seen[2].query
        assert watched["resourceVersion"] == "10"
        assert watched["allowWatchBookmarks"] == "true"
        assert SHORTEST_WATCH <= int(watched["timeoutSeconds"]) <= 2 * SHORTEST_WATCH
        assert {seen.query["labelSelector"] for seen in server.seen} == {"app=x"}


async def test_what_was_deleted_behind_a_410_is_gone(follow: Follow) -> None:
    answers = (page(10, "a", "b"), watch(failure(410, "Expired")), page(20, "b", "c"))
    async with FaultServer(*answers) as server, follow(server) as followed:
        await until(lambda: followed.names == ["b", "c"])
        assert ("a", {}, None) in followed.changes
        assert [name for name, _, _ in followed.changes].count("b") == 1
        assert not followed.troubles


async def test_a_410_of_the_request_itself_lists_again(follow: Follow) -> None:
    answers = (page(10, "a"), refuse(410, "Expired"), page(20, "b"))
    async with FaultServer(*answers) as server, follow(server) as followed:
        await until(lambda: followed.names == ["b"])


async def test_goes_on_where_a_broken_connection_stopped(follow: Follow) -> None:
    broken = cut(event("ADDED", "a", 11), bookmark(15), rest=b'{"type":"ADDED","obj')
    async with FaultServer(page(10), broken) as server:
        server.answers.append(server.hold(event("ADDED", "b", 16)))
        async with follow(server) as followed:
            await until(lambda: followed.names == ["a", "b"])
            assert server.seen[2].query["resourceVersion"] == "15"
            assert not followed.troubles
            assert followed.watch.healthy_since is not None


async def test_an_ended_watch_is_opened_again_without_a_list(follow: Follow) -> None:
    async with FaultServer(page(10, "a"), watch(event("ADDED", "b", 11)), watch()) as server:
        async with follow(server):
            await until(lambda: len(server.seen) == 4)
        assert [seen.query.get("resourceVersion") for seen in server.seen] == [
            None,
            "10",
            "11",
            "11",
        ]


async def test_what_a_watch_never_told_is_found_by_a_list_once_that_one_is_old(
    follow: Follow, clock: Clock
) -> None:
    def pass_the_time(key: tuple[str, str], _old: Any, _new: Any) -> None:
        clock.now += LIST_AGAIN if key[1] == "c" else 0

    answers = (page(10, "a"), watch(bookmark(15)), watch(event("ADDED", "c", 16)), page(20, "b"))
    async with (
        FaultServer(*answers) as server,
        follow(server, on_change=pass_the_time) as followed,
    ):
        await until(lambda: followed.names == ["b"])
        asked = [seen.query.get("resourceVersion") for seen in server.seen[:4]]
        assert asked == [None, "10", "15", None]


async def test_watches_that_end_at_once_are_spaced(follow: Follow, clock: Clock) -> None:
    async with FaultServer(page(10), *[watch()] * 4) as server, follow(server):
        await until(lambda: len(server.seen) == 6)
    assert clock.pauses == [0.5, 1.0, 2.0, 4.0]


async def test_a_missing_permission_is_named_and_its_return_noticed(follow: Follow) -> None:
    no = refuse(403, "Forbidden", 'configmaps is forbidden: User "x" cannot list resource')
    async with FaultServer(no, no, page(10, "a")) as server:
        server.answers.append(server.hold())
        async with follow(server, namespaces={"ns"}) as followed:
            await until(lambda: followed.troubles)
            trouble = followed.troubles[0]
            assert isinstance(trouble.error, Forbidden)
            assert 'User "x"' in trouble.message
            assert '"list" and "watch" on configmaps of the core API group' in trouble.message
            assert "Role in namespace ns" in trouble.message
            await until(lambda: followed.watch.healthy_since is not None)
            assert followed.names == ["a"]
            assert not followed.watch.troubles


async def test_a_lasting_outage_keeps_what_is_known_and_does_not_list(follow: Follow) -> None:
    down = refuse(503, "ServiceUnavailable", "down")
    over = asyncio.Event()
    async with FaultServer(page(10, "a"), watch(), *[down] * 5) as server:

        async def up_again(request: web.Request) -> web.StreamResponse:
            await over.wait()
            return await server.hold(event("ADDED", "b", 11))(request)

        server.answers.append(up_again)
        async with follow(server) as followed:
            await until(lambda: followed.watch.troubles)
            assert followed.watch.healthy_since is None
            assert followed.names == ["a"]
            over.set()
            await until(lambda: followed.names == ["a", "b"])
            assert followed.watch.troubles == []
        assert sum("watch" not in seen.query for seen in server.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        watch(failure(504, "Timeout")),
        watch({"type": "ADDED", "object": []}),
        watch({"type": "DELETED", "object": {"metadata": {}}}),
        say_text("<html>sign in</html>\n"),
        refuse(400, "BadRequest"),
    ],
)
async def test_a_place_that_is_refused_three_times_is_given_up(follow: Follow, answer: Any) -> None:
    answers = (page(10, "a"), *[answer] * 3, page(20, "b"))
    async with FaultServer(*answers) as server, follow(server) as followed:
        await until(lambda: followed.names == ["b"])
        assert len(followed.troubles) == 3


async def test_events_of_a_later_api_are_passed_over(follow: Follow) -> None:
    async with FaultServer(page(10, "a"), watch({"type": "NEW"}, {"kind": "x"})) as server:
        server.answers.append(server.hold(event("ADDED", "b", 11)))
        async with follow(server) as followed:
            await until(lambda: followed.names == ["a", "b"])
            assert not followed.troubles


async def test_a_page_token_that_aged_out(follow: Follow) -> None:
    answers = (page(10, "a", "old", token="t"), refuse(410, "Expired"), page(20, "a", "b"))
    async with FaultServer(*answers) as server, follow(server) as followed:
        await followed.watch.synced.wait()
        assert followed.names == ["a", "b"]
        assert "limit" not in server.seen[2].query


async def test_namespaces_are_followed_apart(follow: Follow) -> None:
    async with FaultServer() as server:

        async def answer(request: Any) -> Any:
            namespace = request.path.split("/")[4]
            if "watch" in request.query:
                return await server.hold()(request)
            return await page(10, f"{namespace}/x")(request)

        server.answers.extend([answer] * 4)
        async with follow(server, namespaces=["one", "two"]) as followed:
            await followed.watch.synced.wait()
            assert set(followed.watch.store) == {("one", "x"), ("two", "x")}


async def test_what_stayed_equal_is_not_told(follow: Follow) -> None:
    async with FaultServer(page(10, "a")) as server:
        server.answers.append(
            server.hold(event("MODIFIED", "a", 11), event("MODIFIED", "a", 12, x="1"))
        )
        async with follow(server) as followed:
            await until(lambda: len(followed.changes) == 2)
            assert followed.changes == [("a", None, {}), ("a", {}, {"x": "1"})]


async def test_a_raising_callback_costs_one_object_its_update(
    follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "kvsync")

    def project(item: dict[str, Any]) -> dict[str, str]:
        if item["metadata"]["name"] == "bad":
            raise ValueError
        return dict(item["data"])

    def raising(*_: object) -> None:
        raise RuntimeError

    async with FaultServer(page(10, "a", "bad", "b")) as server:
        server.answers.append(server.hold(event("ADDED", "c", 11)))
        async with follow(server, project=project, on_change=raising) as followed:
            await until(lambda: followed.names == ["a", "b", "c"])


async def test_silence_grows_until_the_server_speaks(follow: Follow, clock: Clock) -> None:
    async with FaultServer(page(10)) as server:
        server.answers.append(server.hold(bookmark(11)))
        async with follow(server) as followed:
            await until(lambda: followed.watch.healthy_since is not None and len(server.seen) == 2)
            clock.now += 700
            assert followed.watch.silence() >= 700


async def test_a_watch_that_is_refused_is_silent_and_not_idle_for_it_goes_on_trying(
    follow: Follow, clock: Clock
) -> None:
    down = [refuse(503, "ServiceUnavailable", "down")] * 40
    async with FaultServer(*down) as server, follow(server) as followed:
        await until(lambda: len(server.seen) > 40)
        assert followed.watch.silence() > 90
        assert followed.watch.idle() < 30
        clock.now += 700
        assert followed.watch.idle() >= 700


async def test_the_store_cannot_be_written(follow: Follow) -> None:
    async with FaultServer(page(10, "a")) as server, follow(server) as followed:
        await followed.watch.synced.wait()
        with pytest.raises(TypeError):
            followed.watch.store["ns", "b"] = {}
