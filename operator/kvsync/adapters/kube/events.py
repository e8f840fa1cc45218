"""`EventRecorder`: Kubernetes Events (events.k8s.io/v1) on the objects they are about.

Best effort by nature: recording never waits, never fails, and is bounded in number and memory.
Repetitions become one series, as client-go's recorder makes them (tools/events/event_broadcaster.go).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Generic, Self, TypeVar

from kvsync.adapters.kube.answer import Json
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.pace import Backoff, Timing, TokenBucket
from kvsync.adapters.kube.resource import EVENTS
from kvsync.model.errors import Conflict, NotFound, Unavailable
from kvsync.model.printable import one_line

log = logging.getLogger(__name__)

CONTROLLER = "kvsync.aibrix.ai/kvsync-operator"

SHARD_ANNOTATION = "kvsync.aibrix.ai/shard"

SERIES_WINDOW = 600.0
"""Seconds without a repetition after which the same thing is told anew."""
REPEAT_EVERY = 30.0
"""Seconds between two updates of one series at least; the count goes on meanwhile."""
BURST = 10
PER_SECOND = 1 / 60
"""Each object's budget of new Events: this many at once, this many a second in the long run."""

_NOTE_BYTES = 1024  # limit of the API (validateV1Event in apis/core/validation/events.go)
_WORD_CHARS = 128  # likewise, for reason, action and reportingInstance
_QUEUE = 256
_REMEMBERED = 1024
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    def as_json(self) -> Json:
        """As a core/v1 ObjectReference."""
        said = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }
        return {key: value for key, value in said.items() if value}

    @property
    def events_namespace(self) -> str:
        """Where its Events live: with it, or in ``default`` for a cluster-scoped object."""
        return self.namespace or "default"


@dataclass(frozen=True, slots=True)
class Happening:
    """What an Event says; equal ones within `SERIES_WINDOW` are one series."""

    regarding: ObjectReference
    type: str
    reason: str
    action: str
    note: str


@dataclass(slots=True)
class _Series:
    """How often something happened, and what of that the API server knows."""

    happening: Happening
    name: str
    first: datetime
    last: datetime
    seen_at: float
    tell_at: float
    count: int = 1
    told: int = 0
    queued: bool = False


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _Recent(OrderedDict[_Key, _Value], Generic[_Key, _Value]):
    """Remembers the entries used last, so that hostile variety costs bounded memory."""

    def remember(self, key: _Key, value: _Value) -> _Value:
        self[key] = value
        self.move_to_end(key)
        while len(self) > _REMEMBERED:
            self.popitem(last=False)
        return value


class EventRecorder:
    """Records Events from one event loop; a background task sends them.

    ``instance`` names this process; by default its host's name, which is a pod's own name. ``shard``
    stands in an annotation of each Event, where several operators share the objects.
    ``dropped`` counts what was not told: over an object's budget, a full queue, a server that
    refused. ``written`` counts what was told, repetitions of one as part of it.
    """

    def __init__(
        self,
        kube: Kube,
        instance: str = "",
        *,
        shard: str = "",
        timing: Timing | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.dropped = 0
        self.written = 0
        self._kube = kube
        self._shard = shard
        self._instance = (instance or socket.gethostname())[:_WORD_CHARS]
        self._timing = timing or Timing()
        self._now = now
        self._series: _Recent[Happening, _Series] = _Recent()
        self._budgets: _Recent[str, TokenBucket] = _Recent()
        self._queue: asyncio.Queue[_Series] = asyncio.Queue(_QUEUE)
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def close(self, within: float = 2.0) -> None:
        """Send what waits, for at most ``within`` seconds, and stop; later records are dropped."""
        self._closed = True
        if self._task is None:
            return
        self._wake_sender()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._queue.join()
                for series in self._series.values():
                    if 0 < series.told < series.count:
                        self._enqueue(series)
                await self._queue.join()
        self.dropped += self._queue.qsize()
        self._task.cancel()
        await asyncio.wait([self._task])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def record(
        self, regarding: ObjectReference, type_: str, reason: str, action: str, note: str
    ) -> None:
        """Tell that something happened.

        ``type_`` is ``Normal`` or ``Warning``, ``reason`` and ``action`` are CamelCase words; what
        is too long for the API is cut, and what is not printable in ``note`` is escaped.
        """
        happening = Happening(
            regarding,
            type_,
            reason[:_WORD_CHARS],
            action[:_WORD_CHARS],
            clip(one_line(note), _NOTE_BYTES),
        )
        series = self._seen(happening)
        if series.queued or series.seen_at < series.tell_at:  # told later, with its count then
            return
        if self._closed or (not series.told and not self._budget(regarding).take()):
            self.dropped += 1
            return
        series.tell_at = series.seen_at + REPEAT_EVERY
        self._enqueue(series)
        self._wake_sender()

    def _seen(self, happening: Happening) -> _Series:
        at, now = self._timing.clock(), self._now()
        known = self._series.get(happening)
        if known is None or at - known.seen_at > SERIES_WINDOW:
            series = _Series(happening, _new_name(happening.regarding), now, now, at, at)
            return self._series.remember(happening, series)
        known.count += 1
        known.last, known.seen_at = now, at
        return self._series.remember(happening, known)

    def _budget(self, regarding: ObjectReference) -> TokenBucket:
        key = regarding.uid or f"{regarding.kind}/{regarding.namespace}/{regarding.name}"
        known = self._budgets.get(key) or TokenBucket(PER_SECOND, BURST, self._timing.clock)
        return self._budgets.remember(key, known)

    def _enqueue(self, series: _Series) -> None:
        if series.queued:
            return
        try:
            self._queue.put_nowait(series)
        except asyncio.QueueFull:
            self.dropped += 1
        else:
            series.queued = True

    def _wake_sender(self) -> None:
        # Frameworks cancel tasks that are not theirs when they end; what waits is still to be told.
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send_all(), name="kvsync-events")

    async def _send_all(self) -> None:
        while True:
            series = await self._queue.get()
            series.queued = False
            try:
                await self._send(series)
            except Exception as error:  # an Event is never worth more than a line in the log
                self.dropped += 1
                log.info("Event %s was not written: %s", series.happening.reason, error)
            finally:
                self._queue.task_done()

    async def _send(self, series: _Series) -> None:
        backoff = Backoff(0.5, 5.0, self._timing.jitter)
        for left in range(_ATTEMPTS - 1, -1, -1):
            try:
                await self._write(series)
            except Unavailable:
                if not left:
                    raise
                await self._timing.sleep(backoff.pause())
            else:
                return

    async def _write(self, series: _Series) -> None:
        count, namespace = series.count, series.happening.regarding.events_namespace
        if series.told:
            body = {"series": _repetition(series, count)}
            with contextlib.suppress(NotFound):  # Events live an hour: tell it anew
                await self._kube.merge_patch(EVENTS, namespace, series.name, body)
                series.told = count
                return
        with contextlib.suppress(Conflict):  # an attempt whose answer was lost has created it
            await self._kube.create(EVENTS, namespace, self._body(series, count))
            self.written += 1
        series.told = count

    def _body(self, series: _Series, count: int) -> Json:
        said = series.happening
        body: Json = {
            "apiVersion": EVENTS.api_version,
            "kind": "Event",
            "metadata": {
                "name": series.name,
                "namespace": said.regarding.events_namespace,
            },
            "eventTime": micro_time(series.first),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": said.action,
            "reason": said.reason,
            "regarding": said.regarding.as_json(),
            "note": said.note,
            "type": said.type,
        }
        if self._shard:
            body["metadata"] |= {"annotations": {SHARD_ANNOTATION: self._shard}}
        if count > 1:
            body["series"] = _repetition(series, count)
        return body


def _new_name(regarding: ObjectReference) -> str:
    return f"{regarding.name[:220].rstrip('.-')}.{uuid.uuid4().hex[:16]}"


def _repetition(series: _Series, count: int) -> Json:
    return {"count": max(2, count), "lastObservedTime": micro_time(series.last)}


def clip(text: str, limit: int) -> str:
    """The text in at most ``limit`` bytes of UTF-8, with an ellipsis where something is missing."""
    said = text.encode()
    if len(said) <= limit:
        return text
    return said[: limit - 3].decode(errors="ignore") + "…"


def micro_time(at: datetime) -> str:
    """As metav1.MicroTime: RFC 3339 with six digits."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
