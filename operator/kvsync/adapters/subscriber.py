"""The embedded subscriber: one connection a source, sampled, and bounded whatever it sends.

Facts on libzmq's monitor events: ``zmq_socket_monitor(3)``. It never reconnects after a protocol
error, so such sockets are made anew here, ever later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import zmq
from zmq.utils.monitor import parse_monitor_message

from kvsync.model.address import Address
from kvsync.model.events import HARMLESS_REPLAY_REQUEST, Batch, ReplayReply, WireError
from kvsync.model.source import Failure, Observation, SourceKey, Target

log = logging.getLogger(__name__)

SWEEP = 0.05
"""Seconds between looks at sources that are not verified yet."""
CALM_SWEEP = 0.5
"""Seconds between looks at the others."""
SAMPLE_MESSAGES = 8
SAMPLE_SECONDS = 1.0
FIRST_ANEW, LONGEST_ANEW = 1.0, 30.0
REFUSED_WITHIN = 1.0
"""A refusal comes at once, a packet that is dropped shows at the connect timeout of 2 s."""
MOST_SOCKETS = 65536
DESCRIPTORS_A_SOURCE = 6

OPTIONS = {
    zmq.LINGER: 0,
    zmq.MAXMSGSIZE: 4 << 20,
    zmq.RCVHWM: 8,
    zmq.HANDSHAKE_IVL: 2000,
    zmq.CONNECT_TIMEOUT: 2000,
    zmq.RECONNECT_IVL: 1000,
    # An engine loads for minutes; once it listens, it is to be seen at once.
    zmq.RECONNECT_IVL_MAX: 4000,
    zmq.HEARTBEAT_IVL: 5000,
    zmq.HEARTBEAT_TIMEOUT: 15000,
    zmq.IPV6: 1,
}

Decode = Callable[[Sequence[bytes]], Batch]
ReadReplay = Callable[[Sequence[bytes]], ReplayReply]


def sub_socket(
    context: zmq.Context[zmq.Socket[bytes]], options: Mapping[zmq.SocketOption, int] = OPTIONS
) -> zmq.Socket[bytes]:
    """A SUB socket with bounds on what a peer can do; it has neither peer nor subscription yet."""
    made = context.socket(zmq.SUB)
    for option, value in options.items():
        made.setsockopt(option, value)
    # With a domain set libzmq drops peers that greet with something else than ZMTP.
    made.setsockopt_string(zmq.ZAP_DOMAIN, "kvsync")
    return made


class Subscriber:
    """Watches sources from one event loop; :meth:`observation` tells what was seen so far."""

    def __init__(
        self,
        *,
        decode: Decode,
        read_replay: ReadReplay,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._decode = decode
        self._read_replay = read_replay
        self._interval = interval
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, MOST_SOCKETS)
        self._sources: dict[SourceKey, _Source] = {}
        self._task: asyncio.Task[None] | None = None
        self._warned = False

    def set_targets(self, targets: Mapping[SourceKey, Target]) -> None:
        """Watch exactly these: drops the others, starts new ones, begins anew where one changed."""
        for key in [k for k, s in self._sources.items() if targets.get(k) != s.target]:
            self._sources.pop(key).close()
        for key, target in targets.items():
            if key not in self._sources:
                self._sources[key] = self._start(target)
        self._check_descriptors()
        if self._sources and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._sweep())

    def observation(self, key: SourceKey) -> Observation | None:
        """What was seen of a source; None for one that is not watched."""
        source = self._sources.get(key)
        return source.seen if source is not None else None

    async def close(self) -> None:
        """Stop watching and close every socket."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for source in self._sources.values():
            source.close()
        self._sources.clear()
        self._context.destroy(linger=0)

    def _start(self, target: Target) -> _Source:
        jittered = self._interval * (0.8 + 0.4 * self._rng.random())
        return _Source(
            self._context, target, self._decode, self._read_replay, jittered, self._clock()
        )

    def _check_descriptors(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = len(self._sources) * DESCRIPTORS_A_SOURCE + 64
        if soft != resource.RLIM_INFINITY and needed > soft and not self._warned:
            self._warned = True
            log.warning(
                "%d sources need about %d open files and the limit is %d: raise it (ulimit -n)",
                len(self._sources),
                needed,
                soft,
            )

    async def _sweep(self) -> None:
        calm_at = 0.0
        while True:
            await asyncio.sleep(SWEEP)
            now = self._clock()
            calm = now >= calm_at
            if calm:
                calm_at = now + CALM_SWEEP
            for source in list(self._sources.values()):
                if calm or source.restless:
                    source.look(now)


class _Source:
    """The sockets of one source."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        target: Target,
        decode: Decode,
        read_replay: ReadReplay,
        interval: float,
        now: float,
    ) -> None:
        self.target = target
        self.seen = Observation(since=now)
        self._context = context
        self._decode = decode
        self._read_replay = read_replay
        self._interval = interval
        self._anew = FIRST_ANEW
        self._anew_at: float | None = None
        self._greeting: asyncio.Task[Failure] | None = None
        self._open(now)

    @property
    def restless(self) -> bool:
        """Whether it is looked at often: until it is proven, and while a sample is taken."""
        proven = self.seen.replay_answered_at is not None or not self.target.active_check
        return self.seen.failure is not None or not proven or self._sampling

    def _open(self, now: float) -> None:
        self._sub = sub_socket(self._context)
        self._monitor = self._sub.get_monitor_socket()
        self._dealer: zmq.Socket[bytes] | None = None
        self._attempt_at = now
        self._connected = False
        self._sampling = False
        self._sample_at = now
        self._sub.connect(str(Address(self.target.host, self.target.port)))

    def close(self) -> None:
        """Close its sockets."""
        if self._greeting is not None:
            self._greeting.cancel()
        self._sub.disable_monitor()
        self._monitor.close(0)
        self._sub.close(0)
        self._close_dealer()

    def _close_dealer(self) -> None:
        if self._dealer is not None:
            self._dealer.close(0)
            self._dealer = None

    def look(self, now: float) -> None:
        """Take in what happened since the last look."""
        if self._anew_at is not None:
            self._begin_anew(now)
            return
        self._hear_monitor(now)
        self._hear_greeting(now)
        if self._anew_at is None:
            self._hear_messages(now)
            self._hear_replay(now)
            self._plan_sample(now)
            self._ask_replay(now)

    def _begin_anew(self, now: float) -> None:
        if self._anew_at is not None and now >= self._anew_at:
            self._anew_at = None
            self.close()
            self._greeting = None
            self._open(now)

    def _hear_monitor(self, now: float) -> None:
        for _ in range(64):
            try:
                frames = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take_event(int(parse_monitor_message(frames)["event"]), now)

    def _take_event(self, event: int, now: float) -> None:
        if self._anew_at is not None:  # what follows a protocol error only repeats it
            return
        if event == zmq.EVENT_CONNECT_DELAYED:
            self._attempt_at = now
        elif event == zmq.EVENT_CONNECTED:
            self._connected = True
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._handshaken(now)
        elif event in (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_AUTH):
            self._fail(Failure.AUTH, now, anew=True)
        elif event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            self._greet()
        elif event == zmq.EVENT_CLOSED and not self._connected:
            quick = now - self._attempt_at < REFUSED_WITHIN
            self._fail(Failure.REFUSED if quick else Failure.TIMED_OUT, now)
        elif event == zmq.EVENT_DISCONNECTED:
            self._disconnected(now)

    def _handshaken(self, now: float) -> None:
        self._anew = FIRST_ANEW
        self.seen = replace(
            self.seen, handshake_at=now, failure=None, failed_at=None, replay_answered_at=None
        )
        self._close_dealer()
        self._begin_sample(now)
        self._ask_replay(now, at_once=True)

    def _disconnected(self, now: float) -> None:
        self._connected = False
        self._attempt_at = now
        if self.seen.handshake_at is not None and self.seen.failure is None:
            self._fail(Failure.LOST, now)
        else:
            self._greet()

    def _greet(self) -> None:
        """Dropped before the handshake: its greeting tells another protocol from another type."""
        if self._greeting is None and self.seen.failure is not Failure.AUTH:
            self._greeting = asyncio.get_running_loop().create_task(
                greeting(self.target.host, self.target.port)
            )

    def _hear_greeting(self, now: float) -> None:
        if self._greeting is not None and self._greeting.done():
            failure = self._greeting.result()
            self._greeting = None
            if self.seen.handshake_at is None or self.seen.failure is not None:
                self._fail(failure, now, anew=failure is not Failure.REFUSED)

    def _fail(self, failure: Failure, now: float, *, anew: bool = False) -> None:
        self.seen = replace(self.seen, failure=failure, failed_at=self.seen.failed_at or now)
        self._sampling = False
        if anew:
            self._anew_at = now + self._anew
            self._anew = min(LONGEST_ANEW, self._anew * 2)

    def _begin_sample(self, now: float) -> None:
        if not self._sampling:
            self._sub.setsockopt(zmq.SUBSCRIBE, b"")
        self._sampling = True
        self._sampled = 0
        self._sample_at = now

    def _end_sample(self, now: float) -> None:
        if self._sampling:
            self._sub.setsockopt(zmq.UNSUBSCRIBE, b"")
        self._sampling = False
        self._sample_at = now

    def _plan_sample(self, now: float) -> None:
        if self.seen.failure is not None or self.seen.handshake_at is None:
            return
        full = self._sampled >= SAMPLE_MESSAGES or (
            self._sampled > 0 and now - self._sample_at > SAMPLE_SECONDS
        )
        if self._sampling and full:
            self._end_sample(now)
        elif not self._sampling and now - self._sample_at >= self._interval:
            self._begin_sample(now)

    def _hear_messages(self, now: float) -> None:
        for _ in range(SAMPLE_MESSAGES * 2):
            try:
                frames = self._sub.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._sampled += 1
            self._take_message(frames, now)

    def _take_message(self, frames: list[bytes], now: float) -> None:
        try:
            batch = self._decode(frames)
        except WireError as error:
            self.seen = replace(self.seen, undecodable=str(error)[:200])
            return
        last = self.seen.last_sequence
        restarted = last is not None and batch.sequence < last
        self.seen = replace(
            self.seen,
            messages=self.seen.messages + 1,
            last_batch_at=now,
            last_sequence=batch.sequence,
            restarts=self.seen.restarts + restarted,
            wrong_topic=None if batch.topic == self.target.topic else batch.topic[:128],
            undecodable=None,
        )

    def _ask_replay(self, now: float, *, at_once: bool = False) -> None:
        wanted = self.target.active_check and self.target.replay_port and not self.seen.failure
        if not wanted or self.seen.handshake_at is None:
            return
        asked = self.seen.replay_asked_at
        if not at_once and asked is not None and now - asked < self._interval:
            return
        # A new socket each time: no question can pile up behind one that is not answered.
        self._close_dealer()
        self._dealer = self._context.socket(zmq.DEALER)
        for option, value in OPTIONS.items():
            self._dealer.setsockopt(option, value)
        self._dealer.connect(str(Address(self.target.host, self.target.replay_port)))
        self._dealer.send_multipart(list(HARMLESS_REPLAY_REQUEST), zmq.NOBLOCK)
        self.seen = replace(self.seen, replay_asked_at=now)

    def _hear_replay(self, now: float) -> None:
        if self._dealer is None:
            return
        with contextlib.suppress(zmq.Again):
            frames = self._dealer.recv_multipart(zmq.NOBLOCK)
            with contextlib.suppress(WireError):
                if self._read_replay(frames).end:
                    self.seen = replace(self.seen, replay_answered_at=now)
                    self._close_dealer()


_GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00"
"""The beginning of a client's greeting: signature and version 3.0 (ZMTP 3.0, RFC 23).

The peer answers with all of its own. With a mechanism in it, a peer that wants another one would
close at once, and the reset could overtake the answer.
"""

_MECHANISM = slice(12, 32)


async def greeting(host: str, port: int) -> Failure:
    """What answers on a port that never ends a handshake, by its own greeting (ZMTP, RFC 23)."""
    heard = b""
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(_GREETING)
                while len(heard) < _MECHANISM.stop and (more := await reader.read(64)):
                    heard += more
            finally:
                writer.close()
    except ConnectionRefusedError:
        return Failure.REFUSED
    except (OSError, TimeoutError):
        pass
    if not heard.startswith(b"\xff"):
        return Failure.NOT_ZMQ
    mechanism = heard[_MECHANISM].rstrip(b"\x00")
    return Failure.WRONG_TYPE if mechanism in (b"", b"NULL") else Failure.AUTH
