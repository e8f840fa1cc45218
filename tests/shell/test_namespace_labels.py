"""The label that opens gateways: followed as it comes and goes, and nothing waits for what cannot be read."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from adapters.kube.conftest import Clock, running, until
from kvsync.adapters.kube.client import Kube
from kvsync.core.gateway_access import ACCESS_LABEL, Labelled
from kvsync.model.errors import ApiError, Forbidden, ServerError
from kvsync.shell.namespaces import NamespaceLabels


def namespace(name: str, *, version: int = 1, **labels: str) -> Any:
    known = {key.replace("_", "-"): value for key, value in labels.items()}
    metadata = {"name": name, "resourceVersion": str(version), "labels": known}
    return {"metadata": metadata, "status": {"phase": "Active"}}


def labelled(name: str, value: str = "true", version: int = 1) -> Any:
    body = namespace(name, version=version)
    body["metadata"]["labels"][ACCESS_LABEL] = value
    return body


class Server:
    """Lists namespaces, unless it refuses, and sends the changes that a test tells it."""

    def __init__(self, *items: Any, refusal: ApiError | None = None) -> None:
        self.items = items
        self.refusal = refusal
        self.changes: asyncio.Queue[bytes] = asyncio.Queue()

    def tell(self, kind: str, body: Any) -> None:
        self.changes.put_nowait(json.dumps({"type": kind, "object": body}).encode() + b"\n")

    async def pages(self, *_: Any) -> AsyncIterator[Any]:
        if self.refusal:
            raise self.refusal
        yield {"metadata": {"resourceVersion": "1"}, "items": list(self.items)}

    @asynccontextmanager
    async def stream(self, *_: Any) -> AsyncIterator[aiohttp.StreamReader]:
        server = self

        class Content:
            async def iter_any(self) -> AsyncIterator[bytes]:
                while True:
                    yield await server.changes.get()

        yield cast("aiohttp.StreamReader", Content())


class Followed:
    def __init__(self, server: Server, clock: Clock) -> None:
        self.told: list[str] = []
        self.labels = NamespaceLabels(
            cast("Kube", server),
            on_change=self.told.append,
            on_listed=lambda: self.told.append("(listed)"),
            timing=clock.timing,
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def following(server: Server, clock: Clock) -> AsyncIterator[Followed]:
    followed = Followed(server, clock)
    async with running(followed.labels.run()):
        yield followed


async def test_the_label_is_known_once_all_are_listed(clock: Clock) -> None:
    server = Server(labelled("a"), namespace("b"), labelled("c", "yes"))
    async with following(server, clock) as followed:
        await until(followed.labels.settled.is_set)
        known = {name: followed.labels.of(name).value for name in ("a", "b", "c", "d")}
    assert known == {"a": True, "b": False, "c": False, "d": None}
    assert followed.told[-1] == "(listed)"


async def test_a_label_that_comes_or_goes_is_told_and_other_changes_are_not(clock: Clock) -> None:
    server = Server(namespace("a"), labelled("b"))
    async with following(server, clock) as followed:
        await until(followed.labels.settled.is_set)
        followed.told.clear()
        server.tell("MODIFIED", namespace("a", version=2, team="x"))
        server.tell("MODIFIED", labelled("a", version=3))
        server.tell("MODIFIED", namespace("b", version=4))
        await until(lambda: len(followed.told) == 2)
        assert followed.told == ["a", "b"]
        assert followed.labels.of("a") == Labelled(True)
        assert followed.labels.of("b") == Labelled(False)


async def test_a_missing_right_holds_nobody_up_is_said_once_and_its_coming_noticed(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(labelled("a"), refusal=Forbidden("namespaces is forbidden", status=403))
    with caplog.at_level(logging.WARNING):
        async with following(server, clock) as followed:
            await until(lambda: len(clock.pauses) > 3)
            assert followed.labels.settled.is_set()
            unknown = followed.labels.of("a")
            assert unknown.value is None
            assert '"list" and "watch" on namespaces' in unknown.why
            assert "ClusterRole" in unknown.why
            (record,) = caplog.records
            assert unknown.why in record.getMessage()
            server.refusal = None
            await until(lambda: followed.told == ["a", "(listed)"])
            assert followed.labels.of("a") == Labelled(True)


async def test_a_right_that_goes_leaves_the_last_known_state(clock: Clock) -> None:
    server = Server(labelled("a"))
    async with following(server, clock) as followed:
        await until(followed.labels.settled.is_set)
        server.refusal = Forbidden("no", status=403)
        gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
        server.tell("ERROR", gone)
        await until(lambda: len(clock.pauses) > 2)
        assert followed.labels.of("a") == Labelled(True)
        assert followed.labels.of("b").value is None


async def test_while_the_server_does_not_say_nothing_is_settled(clock: Clock) -> None:
    server = Server(labelled("a"), refusal=ServerError("down", status=503))
    async with following(server, clock) as followed:
        await until(lambda: len(clock.pauses) > 3)
        assert not followed.labels.settled.is_set()
        server.refusal = None
        await until(followed.labels.settled.is_set)
