"""A gateway fed by hand on loopback: pods without an API server, engines of a few lines.

Each engine has a loopback address of its own, because the gateway's ZMQ ports are fixed.
"""

import asyncio
import contextlib
import io
import random
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp
import msgpack  # type: ignore[import-untyped, unused-ignore]
import zmq
import zmq.asyncio
from aiohttp import web

from testbed.gateway.gateway import Gateway
from testbed.gateway.klog import Klog
from testbed.gateway.pod_source import Kind, News
from testbed.gateway.pods import KV_EVENTS_LABEL, MODEL_LABEL, PORT_LABEL, Pod
from testbed.gateway.releases import NEW_NAMES, OLD_NAMES, release_of
from testbed.gateway.settings import read
from testbed.gateway.timings import PUBLISH_PORT, REPLAY_PORT, Ports, Timings

QUICK = Timings(replay=0.3, reconnect=0.05, initialise=5.0)
ALL_FOUR = {
    NEW_NAMES.sync: "true",
    NEW_NAMES.remote_tokenizer: "true",
    NEW_NAMES.tokenizer_type: "remote",
    NEW_NAMES.endpoint: "http://vllm:8000",
    OLD_NAMES.sync: "true",
    OLD_NAMES.remote_tokenizer: "true",
    OLD_NAMES.endpoint: "http://vllm:8000",
    "AIBRIX_PREFIX_CACHE_BLOCK_SIZE": "16",
}
ENABLED = {KV_EVENTS_LABEL: "true", MODEL_LABEL: "m"}
ENGINE_BLOCK = 4


def address() -> str:
    """A loopback address that nobody else uses."""
    return ".".join(["127", *(str(random.randint(2, 250)) for _ in range(3))])


def pod(name: str, ip: str, labels: Mapping[str, str] = ENABLED, port: int = 8000) -> Pod:
    """A ready pod of model `m` whose engine serves HTTP on `port`."""
    return Pod(
        namespace="default",
        name=name,
        uid=name,
        ip=ip,
        phase="Running",
        ready=True,
        model=labels.get(MODEL_LABEL, ""),
        labels={**labels, PORT_LABEL: str(port)},
        ports=(8000,),
        names_vllm=True,
    )


class Publisher:
    """The ZMQ half of an engine: PUB, and a ROUTER that answers or stays silent."""

    def __init__(self, ip: str, *, answers: bool = True) -> None:
        context = zmq.asyncio.Context.instance()
        # XPUB is PUB that also tells who subscribes, so that a test knows when to publish.
        self._pub = context.socket(zmq.XPUB)
        self._pub.bind(f"tcp://{ip}:{PUBLISH_PORT}")
        self._router = context.socket(zmq.ROUTER)
        self._router.bind(f"tcp://{ip}:{REPLAY_PORT}")
        self._answers = answers
        self.sequence = 0
        self.requests: list[list[bytes]] = []
        self._serving = asyncio.create_task(self._serve())

    async def joined(self) -> None:
        """Waits until a subscriber for all topics is there."""
        subscription = await asyncio.wait_for(self._pub.recv(), 5)
        assert subscription == b"\x01"

    async def publish(self, *events: Any) -> None:
        """One batch of the events given."""
        payload = msgpack.packb([1.5, list(events), 0])
        frames = [b"topic", self.sequence.to_bytes(8, "big"), payload]
        self.sequence += 1
        await self._pub.send_multipart(frames)

    async def close(self) -> None:
        """Stops answering and closes both sockets."""
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving
        self._pub.close(linger=0)
        self._router.close(linger=0)

    async def _serve(self) -> None:
        while True:
            frames = await self._router.recv_multipart()
            self.requests.append(frames[1:])
            if self._answers and len(frames) == 3:
                await self._router.send_multipart([frames[0], b"", b"\xff" * 8, b""])


def stored(engine_hash: int, tokens: range, parent: int | None = None) -> list[Any]:
    """A BlockStored array event of one engine block."""
    return ["BlockStored", [engine_hash], parent, list(tokens), len(tokens), None, "GPU"]


class Source:
    """A PodSource whose news come from the test."""

    def __init__(self, *pods: Pod) -> None:
        self._first = pods
        self._news: asyncio.Queue[News] = asyncio.Queue()

    def change(self, changed: Pod) -> None:
        """A new or changed pod."""
        self._news.put_nowait(News(Kind.CHANGED, changed))

    def delete(self, deleted: Pod) -> None:
        """A pod's end."""
        self._news.put_nowait(News(Kind.DELETED, deleted))

    async def follow(self) -> AsyncGenerator[News]:
        """The stream, as PodSource wants it."""
        for one in self._first:
            yield News(Kind.CHANGED, one)
        yield News(Kind.SYNCED)
        while True:
            yield await self._news.get()


class Running:
    """A gateway that runs in this loop, with its log and its HTTP ports."""

    def __init__(
        self, source: Source, tag: str, env: Mapping[str, str], timings: Timings = QUICK
    ) -> None:
        self._stream = io.StringIO()
        settings = read(env, release_of(f"aibrix/gateway-plugins:{tag}"))
        self.gateway = Gateway(
            settings, source, Klog(self._stream), Ports("127.0.0.1", 0, 0, 0), timings
        )
        self.task = asyncio.create_task(self.gateway.run())
        self.session = aiohttp.ClientSession()

    @property
    def log(self) -> str:
        """Everything logged so far."""
        return self._stream.getvalue()

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Waits for the condition; fails with the log when it does not come true."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not condition():
            if self.task.done():
                await self.task
            late = asyncio.get_running_loop().time() > deadline
            assert not late, f"not within {seconds} s; the log:\n{self.log}"
            await asyncio.sleep(0.01)

    async def until_logged(self, text: str, times: int = 1) -> None:
        """Waits until the log holds the text so many times."""
        await self.until(lambda: self.log.count(text) >= times)

    async def state(self) -> dict[str, Any]:
        """The answer of /debug/state."""
        url = f"http://127.0.0.1:{self.gateway.bound['metrics']}/debug/state"
        async with self.session.get(url) as response:
            found: dict[str, Any] = await response.json()
            return found

    async def until_state(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Waits until /debug/state fits."""
        deadline = asyncio.get_running_loop().time() + 5.0
        while True:
            state = await self.state()
            if condition(state):
                return state
            late = asyncio.get_running_loop().time() > deadline
            assert not late, f"state stays {state}; the log:\n{self.log}"
            await asyncio.sleep(0.01)

    async def metrics(self) -> str:
        """The answer of /metrics."""
        url = f"http://127.0.0.1:{self.gateway.bound['metrics']}/metrics"
        async with self.session.get(url) as response:
            return await response.text()

    async def publish_until_seen(
        self, engine: Publisher, event: Any, field: str = "batches"
    ) -> None:
        """Publishes the event again until a subscription's `field` counts it."""
        while not any(one[field] for one in (await self.state())["subscriptions"].values()):
            await engine.publish(event)
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Cancels the gateway, as SIGTERM does, and waits for its end."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.session.close()


@contextlib.asynccontextmanager
async def running(
    source: Source,
    tag: str = "main",
    env: Mapping[str, str] = ALL_FOUR,
    timings: Timings = QUICK,
) -> AsyncIterator[Running]:
    """A gateway that has started; `serving` may still be ahead."""
    one = Running(source, tag, env, timings)
    try:
        await one.until(lambda: "metrics" in one.gateway.bound)
        yield one
    finally:
        await one.stop()


class HttpEngine:
    """The HTTP half of an engine: `/tokenize` by characters, and completions that say who."""

    def __init__(self, name: str, ip: str) -> None:
        self.name, self.ip, self.port = name, ip, 0
        self.tokenized = 0
        app = web.Application()
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self, port: int = 0) -> None:
        """Listens on a free port of its own address."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self.ip, port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stops listening."""
        await self._runner.cleanup()

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.tokenized += 1
        text = body.get("prompt") or "".join(m["content"] for m in body["messages"])
        tokens = [ord(letter) for letter in text]
        return web.json_response({"tokens": tokens, "count": len(tokens), "max_model_len": 512})

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        return web.json_response({"served_by": self.name, "model": body["model"]})


def tokens_of(text: str) -> bytes:
    """What the gateway makes of the HTTP engine's tokens of a text."""
    return struct.pack(f">{len(text)}I", *map(ord, text))
