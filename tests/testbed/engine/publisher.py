"""The ZMQ publisher of one data-parallel rank: PUB for events, ROUTER for replay, one thread.

Follows ``ZmqEventPublisher`` in ``vllm/distributed/kv_events.py``.
"""

import os
import queue
import threading
from collections import deque
from itertools import count

import zmq

from testbed.engine.events_config import EventsConfig
from testbed.engine.layouts import Layout
from testbed.engine.wire import replay_answer, replay_end, sequence_frame

_SHUTDOWN_SECONDS = 1.0


class Publisher:
    """Publishes payloads in order; raises zmq.ZMQError when an endpoint cannot be had.

    ``bind`` is for an engine that decides in another way than vLLM whether to listen.
    """

    def __init__(
        self,
        config: EventsConfig,
        layout: Layout,
        rank: int = 0,
        *,
        silent: bool = False,
        bind: bool | None = None,
    ) -> None:
        self._layout = layout
        self._bind = bind
        self._silent = silent
        self._topic = config.topic.encode()
        self._sequences = count()
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=config.buffer_steps)
        self._waiting: queue.Queue[bytes | None] = queue.Queue(config.max_queue_size)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._open(config, rank)
        except zmq.ZMQError:
            self._context.destroy(linger=0)
            raise
        self._bell = os.eventfd(0, os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="zmq-publisher", daemon=True)
        self._thread.start()

    def publish(self, payload: bytes) -> None:
        """Queue one batch; blocks while the queue is full, as vLLM's scheduler does."""
        self._waiting.put(payload)
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Send what is queued, then close the sockets. The publisher is of no use afterwards."""
        self._silent = False
        self._waiting.put(None)
        os.eventfd_write(self._bell, 1)
        self._thread.join(_SHUTDOWN_SECONDS)
        self._context.destroy(linger=0)
        os.close(self._bell)

    def _open(self, config: EventsConfig, rank: int) -> None:
        self._pub = self._context.socket(zmq.PUB)
        self._pub.set_hwm(config.hwm)
        endpoint = offset_port(config.endpoint, rank)
        if binds(endpoint) if self._bind is None else self._bind:
            self._pub.bind(endpoint)
        else:
            self._pub.connect(endpoint)
        self.endpoint = self._pub.getsockopt_string(zmq.LAST_ENDPOINT)
        self.replay_endpoint: str | None = None
        self._router: zmq.Socket[bytes] | None = None
        if config.replay_endpoint:
            self._router = self._context.socket(zmq.ROUTER)
            self._router.bind(offset_port(config.replay_endpoint, rank))
            self.replay_endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._bell, zmq.POLLIN)
        if self._router is not None:
            poller.register(self._router, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._bell in ready:
                os.eventfd_read(self._bell)
            if self._silent:
                self._hang()
            if not self._send_waiting():
                return
            if self._router is not None and self._router in ready:
                self._answer(self._router)

    def _hang(self) -> None:
        """A stuck thread: connections stand, nothing is sent, until the engine closes."""
        while self._silent and self._waiting.get() is not None:
            pass
        self._waiting.put(None)

    def _send_waiting(self) -> bool:
        while True:
            try:
                payload = self._waiting.get_nowait()
            except queue.Empty:
                return True
            if payload is None:
                return False
            sequence = next(self._sequences)
            self._pub.send_multipart([self._topic, sequence_frame(sequence), payload])
            self._kept.append((sequence, payload))

    def _answer(self, router: "zmq.Socket[bytes]") -> None:
        """All kept batches from the sequence asked for, then the end marker.

        A request that is not [empty, sequence] gets no answer. The start is not checked further.
        """
        request = router.recv_multipart()
        if len(request) != 3:
            return
        peer, _, start = request
        first = int.from_bytes(start, "big")
        for sequence, payload in self._kept:
            if sequence >= first:
                answer = replay_answer(self._layout, self._topic, sequence, payload)
                router.send_multipart([peer, *answer])
        router.send_multipart([peer, *replay_end(self._layout)])


def binds(endpoint: str) -> bool:
    """Whether vLLM listens on this endpoint; on any other one it connects, also on 0.0.0.0."""
    return "*" in endpoint or "::" in endpoint or endpoint.startswith(("ipc://", "inproc://"))


def offset_port(endpoint: str, rank: int) -> str:
    """The endpoint of a data-parallel rank: the port plus the rank."""
    if not endpoint or rank == 0:
        return endpoint
    if "inproc" in endpoint:
        return f"{endpoint}_dp{rank}"
    if "tcp" not in endpoint:
        raise ValueError("Invalid endpoint: must contain 'inproc' or 'tcp'")
    address, _, port = endpoint.rpartition(":")
    return f"{address}:{int(port) + rank}"
