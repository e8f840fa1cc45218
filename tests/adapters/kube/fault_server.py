"""Plays an API server on loopback for faults that a real one does not commit on demand."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class FaultServer:
    """Gives its ``answers`` in order, whatever is asked; after the last one, requests hang."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = deque(answers)
        self.seen: list[Seen] = []
        self._over = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        await self._server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(
            Seen(request.method, request.raw_path, dict(request.query), request.headers, body)
        )
        if self.answers:
            return await self.answers.popleft()(request)
        await self._over.wait()
        return web.Response(status=500)

    def hold(self, *events: Mapping[str, Any]) -> Answer:
        """A watch that sends events and stays open."""
        return _stream(encode(*events), self._over.wait)


def say(body: object, status: int = 200, **headers: str) -> Answer:
    """A JSON answer."""

    async def answer(_: web.Request) -> web.StreamResponse:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return answer


def say_text(text: str, status: int = 200, **headers: str) -> Answer:
    """An answer that is no JSON."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, headers=headers)

    return answer


def refuse(code: int, reason: str, message: str = "no", **headers: str) -> Answer:
    """A Status answer."""
    return say(status(code, reason, message), code, **headers)


def page(version: int, *names: str, token: str = "") -> Answer:
    """A page of a list of ConfigMaps."""
    metadata = {"resourceVersion": str(version), "continue": token}
    return say({"kind": "ConfigMapList", "metadata": metadata, "items": [item(n) for n in names]})


def watch(*events: Mapping[str, Any]) -> Answer:
    """A watch that sends events and ends as the server's time limit ends it."""

    async def nothing() -> None:
        return None

    return _stream(encode(*events), nothing)


def cut(*events: Mapping[str, Any], rest: bytes = b"") -> Answer:
    """A watch whose connection breaks after the events and ``rest``."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await _open(request, encode(*events) + rest)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def _stream(data: bytes, until: Callable[[], Awaitable[object]]) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await _open(request, data)
        await until()
        return response

    return answer


async def _open(request: web.Request, data: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(data)
    return response


def encode(*events: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def event(kind: str, name: str, version: int, **data: str) -> dict[str, Any]:
    return {"type": kind, "object": item(name, version, **data)}


def bookmark(version: int) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


def failure(code: int, reason: str) -> dict[str, Any]:
    return {"type": "ERROR", "object": status(code, reason, "inside the watch")}


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "reason": reason, "message": message}


def item(name: str, version: int = 1, **data: str) -> dict[str, Any]:
    namespace, _, short = name.rpartition("/")
    metadata = {"namespace": namespace or "ns", "name": short, "resourceVersion": str(version)}
    return {"metadata": metadata, "data": data}
