"""The door between one operator and the API server at which the faults of a case happen."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from chaos.call_names import CallNames, Request, name_of, verb_of
from chaos.faults import ANSWERED, RETRY_AFTER, Call, Fault, Injection
from testbed.api_proxy import ApiProxy, response_to

PAGE = "2"
"""Objects a page, whatever was asked for: a small scene has continue tokens too."""

_WORDS = {
    Fault.CONFLICT: "Conflict",
    Fault.INVALID: "Invalid",
    Fault.TOO_MANY: "TooManyRequests",
    Fault.INTERNAL: "InternalError",
    Fault.UNAVAILABLE: "ServiceUnavailable",
    Fault.GONE: "Expired",
}


class FaultyProxy(ApiProxy):
    """``calls`` are those that came; ``met`` the injections that happened. ``names.phase`` is to be set."""

    def plan(self, injections: Sequence[Injection]) -> None:
        """Have these happen."""
        self.names = CallNames()
        self.calls: list[Call] = []
        self.met: list[Injection] = []
        self._due = {each.call: each for each in injections}
        self._earlier: dict[tuple[str, str], list[bytes]] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass it on, unless it is to fail."""
        seen = Request(request.method, request.path, dict(request.query))
        fault = self._arrives(self.names.request(seen))
        if fault in ANSWERED:
            assert fault is not None
            return refusal(fault)
        if fault is Fault.RESET:
            return reset(request)
        body = await request.read()
        async with self.asked(request, body, _paged(request)) as answer:
            if verb_of(seen) == "WATCH" and answer.status == 200:
                return await self._watched(request, answer, name_of(seen), fault)
            whole = await answer.read()
            return await self._answered(request, answer, whole, fault)

    def _arrives(self, call: Call) -> Fault | None:
        self.calls.append(call)
        injection = self._due.pop(call, None)
        if injection is None:
            return None
        self.met.append(injection)
        return injection.fault

    async def _answered(
        self,
        request: web.Request,
        answer: aiohttp.ClientResponse,
        whole: bytes,
        fault: Fault | None,
    ) -> web.StreamResponse:
        question = (request.path, request.query.get("continue", ""))
        earlier = self._earlier.setdefault(question, [])
        if fault is Fault.STALE and earlier:
            whole = earlier[0]
        if request.method == "GET" and answer.status == 200:
            earlier.append(whole)
            del earlier[:-2]
        if fault is Fault.LOST:
            return reset(request)
        if fault is Fault.STALL:
            await asyncio.Event().wait()  # until the one who asks goes away
        if fault is Fault.TRUNCATED:
            whole = whole[: len(whole) // 2]
        response = response_to(answer)
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            await response.write(whole)
            await response.write_eof()
        return response

    async def _watched(
        self, request: web.Request, answer: aiohttp.ClientResponse, path: str, fault: Fault | None
    ) -> web.StreamResponse:
        response = response_to(answer)
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await response.prepare(request)
            if fault is not None:
                return await _broken(request, response, b"", fault)
            async for line in _lines(answer.content):
                happens = None if _is_bookmark(line) else self._arrives(self.names.event(path))
                if happens in (Fault.GONE, Fault.TRUNCATED, Fault.RESET, Fault.STALL):
                    return await _broken(request, response, line, happens)
                if happens is not Fault.DROPPED:
                    await response.write(line)
                if happens is Fault.TWICE:
                    await response.write(line)
            await response.write_eof()
        return response


async def _broken(
    request: web.Request, response: web.StreamResponse, line: bytes, fault: Fault
) -> web.StreamResponse:
    """The end of a watch before this line, in one of the ways there are."""
    if fault is Fault.STALL:
        await asyncio.Event().wait()
    if fault is Fault.RESET:
        return reset(request)
    if fault is Fault.TRUNCATED:
        await response.write(line[: len(line) // 2] or b'{"type":"MOD')
    else:
        event = {"type": "ERROR", "object": _status(fault)}
        await response.write(json.dumps(event).encode() + b"\n")
    await response.write_eof()
    return response


def refusal(fault: Fault) -> web.Response:
    """The answer of an API server that refuses."""
    headers = {"Retry-After": str(RETRY_AFTER)} if fault is Fault.TOO_MANY else None
    return web.json_response(_status(fault), status=int(fault.value), headers=headers)


def reset(request: web.Request) -> web.Response:
    """End the connection without a word (TCP RST where something was not read)."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _status(fault: Fault) -> dict[str, object]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": f"injected: {_WORDS[fault]}",
        "reason": _WORDS[fault],
        "code": int(fault.value),
    }


def _paged(request: web.Request) -> str:
    """The request's target with small pages; empty where it asks for none."""
    if "limit" not in request.query:
        return ""
    return f"{request.path}?{urlencode({**request.query, 'limit': PAGE})}"


def _is_bookmark(line: bytes) -> bool:
    return line.startswith(b'{"type":"BOOKMARK"')


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
