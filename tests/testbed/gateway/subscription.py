"""One pod's ZMQ client: connect, ask for replay, consume, reconnect after every error.

After AIBrix `pkg/cache/kvcache/zmq_client.go`, with its log lines. ZMQ connects lazily, so all
lines but the replay's appear even when nothing listens.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import zmq
import zmq.asyncio

from testbed.gateway import array_decoder, map_decoder
from testbed.gateway.events import DecodeError, Event
from testbed.gateway.klog import Klog
from testbed.gateway.metrics import ZmqMetrics
from testbed.gateway.releases import Release
from testbed.gateway.timings import PUBLISH_PORT, REPLAY_PORT, Timings


class ConsumeError(Exception):
    """A message that could not be processed: the client drops its connection."""


@dataclass
class Counts:
    """What one subscription has seen since it started."""

    batches: int = 0
    events: int = 0
    errors: int = 0
    handler_errors: int = 0
    replays_answered: int = 0
    last_sequence: int = -1


class Subscription:
    """Consumes one pod's events and hands them to `take`, which may raise ValueError per event."""

    def __init__(
        self,
        pod: str,
        ip: str,
        release: Release,
        take: Callable[[Event], None],
        log: Klog,
        timings: Timings,
        metrics: ZmqMetrics | None = None,
    ) -> None:
        self.pod = pod
        self.ip = ip
        self.counts = Counts()
        self._release = release
        self._decode = array_decoder.decode if release.decodes_arrays else map_decoder.decode
        self._take = take
        self._log = log
        self._timings = timings
        self._metrics = metrics
        self._sub: zmq.asyncio.Socket | None = None
        self._dealer: zmq.asyncio.Socket | None = None
        self._consumer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connects and waits for the replay's first answer, up to 5 s: that is the stall."""
        self._connect()
        await self._replay(0, "initial replay for")
        self._consumer = asyncio.create_task(self._consume())
        self._log.info("zmq_client.go:152", f"ZMQ client started for pod {self.pod}")

    async def stop(self) -> None:
        """Ends the consumer and closes the sockets."""
        self._log.info("zmq_client.go:158", f"Stopping ZMQ client for pod {self.pod}")
        if self._consumer is not None:
            self._consumer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._consumer
        self.close()
        if self._metrics is not None:
            self._metrics.forget(self.pod)
        self._log.info("zmq_client.go:174", f"ZMQ client stopped for pod {self.pod}")

    def close(self) -> None:
        """Closes the sockets at once; safe to call twice."""
        for socket in (self._sub, self._dealer):
            if socket is not None:
                socket.close(linger=0)
        self._sub = self._dealer = None

    def _connect(self) -> None:
        self.close()
        self._sub = self._open(zmq.SUB, PUBLISH_PORT)
        self._sub.setsockopt(zmq.SUBSCRIBE, b"")
        self._dealer = self._open(zmq.DEALER, REPLAY_PORT)
        self._log.info(
            "zmq_client.go:136", f"Successfully connected to vLLM pod {self.pod} at {self.ip}"
        )
        if self._metrics is not None:
            self._metrics.connections.labels(self.pod).inc()
            self._metrics.status.labels(self.pod).set(1)

    def _open(self, kind: int, port: int) -> zmq.asyncio.Socket:
        socket = zmq.asyncio.Context.instance().socket(kind)
        socket.setsockopt(zmq.IPV6, 1)
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        socket.connect(f"tcp://{host}:{port}")
        return socket

    async def _replay(self, start: int, purpose: str) -> None:
        assert self._dealer is not None
        request = [start.to_bytes(8, "big")]
        if self._release.replay_delimiter:
            request.insert(0, b"")
        await self._dealer.send_multipart(request)
        try:
            answer = await asyncio.wait_for(self._dealer.recv_multipart(), self._timings.replay)
        except TimeoutError:
            self._log.warning(
                "zmq_client.go:147",
                f"Failed to request {purpose} {self.pod}: failed to receive replay response: "
                "resource temporarily unavailable",
            )
            return
        # One frame is read and thrown away; the batches that follow it are never looked at.
        self.counts.replays_answered += 1
        self._log.info(
            "zmq_client.go:366",
            f"Successfully requested replay from seq {start} for {self.pod} "
            f"(response: {len(answer[0])} bytes)",
        )
        if self._metrics is not None:
            self._metrics.replays.labels(self.pod).inc()

    async def _consume(self) -> None:
        while True:
            try:
                while True:
                    await self._message()
            except ConsumeError as problem:
                self._failed(str(problem))
            await self._reconnect()

    async def _reconnect(self) -> None:
        self._log.info(
            "zmq_client.go:224",
            f"Attempting to reconnect to {self.pod} after {self._timings.reconnect:g}s",
        )
        await asyncio.sleep(self._timings.reconnect)
        self._connect()
        if self.counts.last_sequence >= 0:
            await self._replay(self.counts.last_sequence + 1, "replay after reconnect for")

    def _failed(self, problem: str) -> None:
        self.counts.errors += 1
        self._log.error(
            "zmq_client.go:214",
            f"Event consumption error for {self.pod}: failed to process message: {problem}",
        )
        if self._metrics is not None:
            self._metrics.errors.labels(self.pod, "consume_events").inc()
            self._metrics.disconnections.labels(self.pod).inc()
            self._metrics.status.labels(self.pod).set(0)

    async def _message(self) -> None:
        assert self._sub is not None
        frames = await self._sub.recv_multipart()
        if len(frames) != 3:
            raise ConsumeError(f"expected 3 frames, got {len(frames)}")
        _topic, sequence, payload = frames
        if len(sequence) != 8:
            raise ConsumeError(f"invalid sequence bytes length: {len(sequence)}")
        number = int.from_bytes(sequence, "big")
        self._note_gap(number)
        try:
            events = self._decode(payload)
        except DecodeError as problem:
            raise ConsumeError(f"failed to decode event batch: {problem}") from None
        for event in events:
            self._handle(event)
        self._processed(number)

    def _note_gap(self, number: int) -> None:
        last = self.counts.last_sequence
        if last < 0 or number <= last + 1:
            return
        missed = number - last - 1
        self._log.warning(
            "zmq_client.go:296",
            f"Missed {missed} events for {self.pod} (last={last}, current={number})",
        )
        if self._metrics is not None:
            self._metrics.missed.labels(self.pod).inc(missed)

    def _handle(self, event: Event) -> None:
        try:
            self._take(event)
        except ValueError as problem:
            self.counts.handler_errors += 1
            self._log.error(
                "zmq_client.go:312", f"Failed to handle event from {self.pod}: {problem}"
            )
            return
        self.counts.events += 1
        if self._metrics is not None:
            self._metrics.processed.labels(self.pod, type(event).__name__).inc()

    def _processed(self, number: int) -> None:
        self.counts.batches += 1
        self.counts.last_sequence = number
        if self._metrics is not None:
            self._metrics.last_sequence.labels(self.pod).set(number)
