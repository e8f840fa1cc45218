"""The HTTP stand-in for Envoy and the gateway's router: chooses a pod and passes the request on.

After AIBrix `algorithms/prefix_cache.go`, without its look at load: ties and misses go round robin.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from testbed.gateway.metrics import GatewayMetrics
from testbed.gateway.pods import Pod
from testbed.gateway.prefix_index import NO_LORA, PrefixIndex

PREFIX_CACHE = "prefix-cache"
_HOP = frozenset({"host", "content-length", "connection", "transfer-encoding", "keep-alive"})


class Tokenizer(Protocol):
    """Turns a request body into bytes of tokens."""

    async def tokens(self, body: dict[str, Any], pods: Iterable[Pod]) -> bytes:
        """The tokens."""
        ...


@dataclass(frozen=True)
class Choice:
    """The pod that a request goes to, and how much of it the index believes to be there."""

    pod: Pod
    percent: int


class Router:
    """Chooses among the ready pods of a model."""

    def __init__(
        self,
        index: PrefixIndex,
        tokenizer: Tokenizer,
        metrics: GatewayMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.index = index
        self._tokenizer = tokenizer
        self._metrics = metrics
        self._clock = clock
        self._turn = 0

    async def choose(self, strategy: str, body: dict[str, Any], ready: list[Pod]) -> Choice:
        """The longest match for `prefix-cache`, else the next in turn.

        The router takes note of every prompt that it routes, whether or not events flow.
        """
        if strategy != PREFIX_CACHE:
            return Choice(self._next(ready), 0)
        model = str(body["model"])
        tokens = await self._tokenizer.tokens(body, ready)
        context = (model, NO_LORA)
        by_key = {pod.key: pod for pod in ready}
        percents, prefixes = self.index.match(context, tokens, by_key.keys(), self._clock())
        chosen, percent = self._best(by_key, percents)
        if prefixes:
            self.index.add(context, chosen.key, prefixes, self._clock())
        self._metrics.routed(model, percent)
        return Choice(chosen, percent)

    async def look_up(self, body: dict[str, Any], ready: list[Pod]) -> dict[str, Any]:
        """How many blocks a prompt has, and how many of them, from the start, each pod is known to hold."""
        tokens = await self._tokenizer.tokens(body, ready)
        context = (str(body["model"]), NO_LORA)
        held, prefixes = self.index.held(context, tokens, {pod.key for pod in ready})
        return {"blocks": len(prefixes), "pods": held}

    def _best(self, by_key: dict[str, Pod], percents: dict[str, int]) -> tuple[Pod, int]:
        top = max(percents.values(), default=0)
        best = sorted(key for key, percent in percents.items() if percent == top)
        if not top or not best:
            return self._next(list(by_key.values())), 0
        return by_key[best[0]], top

    def _next(self, pods: list[Pod]) -> Pod:
        self._turn += 1
        ordered = sorted(pods, key=lambda pod: pod.key)
        return ordered[self._turn % len(ordered)]


class _RefusedError(Exception):
    """A request that goes to no pod."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = _refusal(status, message)


class Front:
    """`POST /v1/completions` and `/v1/chat/completions`."""

    def __init__(
        self,
        router: Router,
        pods: Callable[[str], list[Pod]],
        session: aiohttp.ClientSession,
        default_strategy: str,
    ) -> None:
        self._router = router
        self._pods = pods
        self._session = session
        self._default_strategy = default_strategy

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Routes and forwards one request; answers 400, 502 or 503 with the reason itself."""
        raw = await request.read()
        try:
            body, ready = self._read(raw)
        except _RefusedError as refused:
            return refused.answer
        strategy = request.headers.get("routing-strategy", self._default_strategy)
        choice = await self._router.choose(strategy, body, ready)
        return await self._forward(request, raw, choice)

    async def look_up(self, request: web.Request) -> web.StreamResponse:
        """What the index knows of a prompt, which goes nowhere (see `Router.look_up`)."""
        try:
            body, ready = self._read(await request.read())
        except _RefusedError as refused:
            return refused.answer
        return web.json_response(await self._router.look_up(body, ready))

    def _read(self, raw: bytes) -> tuple[dict[str, Any], list[Pod]]:
        """A request's body, and the ready pods of its model."""
        try:
            body = json.loads(raw)
            model = body["model"]
        except (ValueError, KeyError, TypeError):
            raise _RefusedError(400, "no model in the request body") from None
        pods = self._pods(model)
        if not pods:
            raise _RefusedError(400, f"model {model} does not exist")
        ready = [pod for pod in pods if pod.ready]
        if not ready:
            raise _RefusedError(503, f"no ready pods available for model {model}")
        return body, ready

    async def _forward(
        self, request: web.Request, raw: bytes, choice: Choice
    ) -> web.StreamResponse:
        url = f"http://{choice.pod.ip}:{choice.pod.port}{request.path_qs}"
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _HOP}
        marks = {
            "target-pod": choice.pod.name,
            "x-prefix-match-percent": str(choice.percent),
        }
        try:
            async with self._session.post(url, data=raw, headers=headers) as upstream:
                answer = web.StreamResponse(status=upstream.status, headers=marks)
                answer.content_type = upstream.content_type
                await answer.prepare(request)
                async for chunk in upstream.content.iter_any():
                    await answer.write(chunk)
                await answer.write_eof()
                return answer
        except aiohttp.ClientConnectorError as problem:
            return _refusal(502, f"pod {choice.pod.key} does not answer: {problem}", marks)


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"error": {"message": message, "type": "api_error", "code": status}}
    return web.json_response(body, status=status, headers=headers)
