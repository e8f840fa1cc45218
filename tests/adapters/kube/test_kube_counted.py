"""Every request that is sent is told with its verb and status, repeats and silences included."""

from __future__ import annotations

import pytest
from kubernetes.aio.client import Configuration

from adapters.kube.conftest import Clock
from adapters.kube.fault_server import FaultServer, cut, item, page, refuse, say
from kvsync.adapters.kube.access import Access, Loaded
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import CONFIGMAPS
from kvsync.model.errors import ApiError, ConnectionLost, NotFound


class Counted:
    """A client of a server, and what was told of its requests."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.told: list[tuple[str, int]] = []
        loaded = Loaded(Configuration(host=url), "default")

        async def again() -> Loaded:
            return loaded

        access = Access(loaded, again)
        self.kube = Kube(
            access, clock.timing, lambda verb, status, _: self.told.append((verb, status))
        )


async def test_each_request_is_told_once(clock: Clock) -> None:
    answers = (
        refuse(503, "ServiceUnavailable"),
        say(item("a")),
        page(1, "a"),
        refuse(404, "NotFound"),
    )
    async with FaultServer(*answers) as server:
        counted = Counted(server.url, clock)
        async with counted.kube as kube:
            await kube.get(CONFIGMAPS, "ns", "a")
            await kube.list(CONFIGMAPS, "ns")
            with pytest.raises(NotFound):
                await kube.json_patch(CONFIGMAPS, "ns", "a", [])
    assert counted.told == [("GET", 503), ("GET", 200), ("LIST", 200), ("PATCH", 404)]


async def test_one_without_an_answer_is_told_as_such(clock: Clock) -> None:
    async with FaultServer() as server:
        counted = Counted(server.url, clock)
    async with counted.kube as kube:
        with pytest.raises(ConnectionLost):
            await kube.merge_patch(CONFIGMAPS, "ns", "a", {})
    assert counted.told == [("PATCH", 0)]


async def test_an_answer_that_breaks_off_is_told_by_its_status_once(clock: Clock) -> None:
    async with FaultServer(cut()) as server:
        counted = Counted(server.url, clock)
        async with counted.kube as kube:
            with pytest.raises(ApiError):
                await kube.merge_patch(CONFIGMAPS, "ns", "a", {})
    assert counted.told == [("PATCH", 200)]
