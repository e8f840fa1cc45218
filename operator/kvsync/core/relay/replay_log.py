"""What the relay said last, under its own sequence, and who asked for it.

A request is ``[empty, sequence]`` and is answered as vLLM up to 0.25 does, without the topic: those
who read arrays know that form, and newer readers look from the end (vllm/distributed/kv_events.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kvsync.model.events import END_OF_REPLAY

Frames: TypeAlias = tuple[bytes, ...]

ASKERS = 16
"""Requests that are answered at the same time; one more and the oldest is given up."""


@dataclass(frozen=True, slots=True)
class LogBounds:
    """What is kept at most. Messages; bytes. Little: no gateway looks at what it asks for."""

    messages: int = 1000
    octets: int = 1 << 20


class ReplayLog:
    """Numbers what is published and keeps the last of it."""

    def __init__(self, bounds: LogBounds) -> None:
        self._bounds = bounds
        self._kept: deque[bytes] = deque()
        self._octets = 0
        self._next = 0

    @property
    def next(self) -> int:
        """The sequence of the next message."""
        return self._next

    @property
    def first(self) -> int:
        """The sequence of the oldest message that is kept."""
        return self._next - len(self._kept)

    def add(self, payload: bytes) -> int:
        """Keep a message that is published now; returns its sequence."""
        self._kept.append(payload)
        self._octets += len(payload)
        while len(self._kept) > self._bounds.messages or self._octets > self._bounds.octets:
            self._octets -= len(self._kept.popleft())
        self._next += 1
        return self._next - 1

    def payload(self, sequence: int) -> bytes:
        """A message that is kept."""
        return self._kept[sequence - self.first]


@dataclass(slots=True)
class _Asker:
    at: int
    end: int
    """What is published later comes over the other socket."""


class Replays:
    """Answers requests a few messages at a time, so that none holds up what is new."""

    def __init__(self, log: ReplayLog) -> None:
        self._log = log
        self._askers: dict[bytes, _Asker] = {}
        self.answered = self.refused = 0

    def __bool__(self) -> bool:
        return bool(self._askers)

    def ask(self, request: Sequence[bytes]) -> None:
        """Take a request with its sender in front, as a ROUTER socket gives it.

        As with an engine, one that is none is not answered.
        """
        if len(request) != 3 or request[1] or len(request[2]) != 8:
            self.refused += 1
            return
        peer = request[0]
        self._askers.pop(peer, None)
        while len(self._askers) >= ASKERS:
            del self._askers[next(iter(self._askers))]
        self._askers[peer] = _Asker(int.from_bytes(request[2], "big"), self._log.next)

    @property
    def askers(self) -> tuple[bytes, ...]:
        """Those who wait for an answer."""
        return tuple(self._askers)

    def answer(self, peer: bytes) -> Frames:
        """What that one is sent next; the same until :meth:`sent`."""
        asker = self._askers[peer]
        asker.at = max(asker.at, self._log.first)
        if asker.at >= asker.end:
            return (b"", END_OF_REPLAY, b"")
        return (b"", asker.at.to_bytes(8, "big"), self._log.payload(asker.at))

    def sent(self, peer: bytes) -> None:
        """It was sent. The answer after the last one is none: the asker has all."""
        asker = self._askers[peer]
        if asker.at >= asker.end:
            self.answered += 1
            del self._askers[peer]
        asker.at += 1

    def give_up(self, peer: bytes) -> None:
        """That one is gone."""
        self._askers.pop(peer, None)
