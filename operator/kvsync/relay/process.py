"""The process: one loop that reads the engine first, then speaks, and never waits for anybody."""

from __future__ import annotations

import gc
import logging
import os
import socket
import time
import zlib
from collections.abc import Callable, Mapping

import zmq

from kvsync.core.relay.announcer import Rhythm
from kvsync.core.relay.budget import Budget, read_budget
from kvsync.core.relay.relay import Relay, Terms
from kvsync.core.relay.residency import Bounds
from kvsync.core.relay.sizing import table_size
from kvsync.model.address import Address
from kvsync.model.relay_budget import LEAST, MOST, PATH
from kvsync.relay.downstream import SUBSCRIPTIONS, Audience, ReplayDoor
from kvsync.relay.engine_metrics import EngineMetrics
from kvsync.relay.exposition import metrics_text
from kvsync.relay.journal import Journal
from kvsync.relay.pages import PageServer
from kvsync.relay.settings import Settings
from kvsync.relay.sockets import Context
from kvsync.relay.upstream import Publisher, Question

log = logging.getLogger(__name__)

BUSY, CALM = 0.01, 0.1
"""Seconds from one look at what is due to the next, while something is told again and otherwise."""


class Process:
    """Everything that listens. Raises KvsyncError where something cannot."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._context: Context = zmq.Context()
        self._budget = Budget(settings.budget)
        where = settings.engine_metrics
        self._engine_metrics = EngineMetrics(where) if where is not None else None
        self._lag: float | None = None
        self._questions: dict[int, Question] = {}
        self._gone: dict[int, float] = {}
        """Ranks whose engine went, and when what they held is taken back."""
        self._publishers: list[Publisher] = []
        self._poller = zmq.Poller()
        self._polled: tuple[tuple[object, ...], ...] | None = None
        terms = _terms(settings)
        self._journal = None
        memory = None
        if settings.journal is not None:
            self._journal = Journal(settings.journal, settings.max_blocks)
            memory = self._journal.load(remembered=terms.remembered)
        self._relay = Relay(terms, time.monotonic(), memory)
        try:
            self._audience = Audience(self._context, settings.listen)
            self._door = ReplayDoor(self._context, settings.replay, self._relay.replays)
            for rank in range(settings.ranks):
                self._publishers.append(Publisher(self._context, _further(settings.upstream, rank)))
            pages = {"/metrics": self._metrics, "/healthz": lambda: b"ok\n"}
            address = settings.metrics_address
            inboxes = {PATH: self._take_budget}
            self._pages = PageServer(address, pages, inboxes) if address is not None else None
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def run(self, stopped: Callable[[], bool]) -> None:
        """Relay until ``stopped`` says so; it is asked ten times a second or more often."""
        # Nothing here makes cycles that live long, and to look through all blocks for them takes
        # longer than a message may.
        gc.set_threshold(1000, 10, 1 << 30)
        due = 0.0
        self._renew_poller()
        try:
            self._renew_journal()
            while not stopped():
                self._turn(max(0.0, due - time.monotonic()))
                now = time.monotonic()
                if now >= due:
                    self._take_back(now)
                    self._relay.announcer.limit_to(self._budget.at(now))
                    self._tell(now)
                    self._see_to({}, now)
                    self._renew_journal()
                    due = now + (BUSY if self._relay.announcer.is_busy else CALM)
        finally:
            self._close()

    def _turn(self, seconds: float) -> None:
        """Wait for something to happen, and take it."""
        waits = bool(self._relay.replays) and BUSY  # some answers could not be sent
        ready = dict(self._poller.poll(int(1000 * (min(waits, seconds) if waits else seconds)) + 1))
        for rank, publisher in enumerate(self._publishers):
            if ready.pop(publisher.socket, None):
                self._hear(rank, publisher)
        # Mostly that was all; what else there is to look at would take as long as the message did.
        if ready or waits or self._is_asking():
            self._see_to(ready, time.monotonic())

    def _is_asking(self) -> bool:
        return any(intake.question is not None for intake in self._relay.intakes)

    def _see_to(self, ready: Mapping[object, int], now: float) -> None:
        """Take everything but what the engine publishes."""
        for rank, publisher in enumerate(self._publishers):
            if publisher.monitor in ready:
                self._meet(rank, publisher, now)
        for rank, question in list(self._questions.items()):
            if question.socket in ready:
                self._take_answers(rank, question)
        if self._audience.socket in ready:
            self._greet(now)
        if self._door.socket in ready:
            self._door.hear()
        self._door.answer()
        if self._pages is not None:
            self._pages.turn(ready, now)
        if self._engine_metrics is not None:
            self._size_table(self._engine_metrics.turn(ready, now))
        self._ask()
        self._renew_poller()

    def _renew_poller(self) -> None:
        """What is waited for changes with the questions to the engine, and with requests for pages."""
        over_http = [one for one in (self._pages, self._engine_metrics) if one is not None]
        wanted = (
            tuple(question.socket for question in self._questions.values()),
            tuple(number for one in over_http for number in one.reading()),
            tuple(number for one in over_http for number in one.writing()),
        )
        if wanted == self._polled:
            return
        self._polled = wanted
        self._poller = zmq.Poller()
        for publisher in self._publishers:
            self._poller.register(publisher.socket, zmq.POLLIN)
            self._poller.register(publisher.monitor, zmq.POLLIN)
        for one in (self._audience.socket, self._door.socket, *wanted[0], *wanted[1]):
            self._poller.register(one, zmq.POLLIN)
        for one in wanted[2]:
            self._poller.register(one, zmq.POLLOUT)

    def _hear(self, rank: int, publisher: Publisher) -> None:
        for frames in publisher.messages():
            now = time.monotonic()
            if rank in self._gone:  # another engine, whose coming was not noticed yet
                self._forget(rank)
            self._relay.heard(rank, frames, now)
            self._tell_at_engine_time(now)

    def _tell_at_engine_time(self, now: float) -> None:
        sent_at = self._relay.engine_time
        if sent_at is None:
            return
        self._lag = time.time() - sent_at
        self._publish(sent_at, now)

    def _meet(self, rank: int, publisher: Publisher, now: float) -> None:
        """An engine came or went, or both."""
        was_there = publisher.is_there
        left = publisher.has_left()
        if left:
            self._lose(rank, publisher, now)
        if publisher.is_there and rank in self._gone:
            self._forget(rank)
        if publisher.is_there and (left or not was_there):
            self._relay.connected(rank, now)
            if self._engine_metrics is not None:
                self._engine_metrics.ask_again(now)

    def _size_table(self, cache: int | None) -> None:
        """The engine said how many blocks each rank has; None: it did not."""
        if cache is not None:
            size = table_size(cache, self._settings.ranks, self._settings.max_blocks)
            self._relay.residency.limit_to(size)
            log.info("the engine has %d blocks a rank; at most %d are remembered", cache, size)

    def _lose(self, rank: int, publisher: Publisher, now: float) -> None:
        for _ in range(16):  # what it said before it went
            self._hear(rank, publisher)
        self._gone[rank] = now + self._settings.grace

    def _take_back(self, now: float) -> None:
        """What engines held that went, and did not take their pod along.

        Where the pod ends, the relay is told to end meanwhile, and says nothing: a gateway forgets such
        a pod by itself, but what is taken back it forgets of all pods (AIBrix sync_hash.go).
        """
        for rank in [rank for rank, due in self._gone.items() if now >= due]:
            self._forget(rank)
            self._publish(time.time(), now)

    def _forget(self, rank: int) -> None:
        del self._gone[rank]
        self._relay.disconnected(rank)
        log.info("the engine of rank %d is gone; what it held is taken back", rank)

    def _take_answers(self, rank: int, question: Question) -> None:
        for frames in question.answers():
            now = time.monotonic()
            self._relay.replayed(rank, frames, now)
            self._tell_at_engine_time(now)
            if self._relay.intakes[rank].asked != question.number:
                return  # the rest answers what is not asked any more

    def _ask(self) -> None:
        """Hold the questions to the engine that the relay has, and no others."""
        for rank, intake in enumerate(self._relay.intakes):
            question = self._questions.get(rank)
            if question is not None and (
                intake.question is None or question.number != intake.asked
            ):
                question.close()
                del self._questions[rank]
                question = None
            address = self._settings.upstream_replay
            if intake.question is not None and question is None and address is not None:
                where = _further(address, rank)
                self._questions[rank] = Question(
                    self._context, where, intake.asked, intake.question
                )

    def _greet(self, now: float) -> None:
        for message in self._audience.subscriptions():
            self._relay.subscribed(message, now)
        self._tell(now)

    def _tell(self, now: float) -> None:
        """Tell what is due."""
        self._relay.tick(now)
        self._publish(time.time(), now)
        if self._relay.subscriptions.standing > SUBSCRIPTIONS:
            log.warning("more than %d subscriptions: all begin anew", SUBSCRIPTIONS)
            self._begin_anew()
        elif self._relay.announcer.wants_anew:
            log.warning("a subscriber was too slow: all begin anew, to be told everything")
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Have all connect again who listen."""
        self._audience.begin_anew()
        self._polled = None
        self._relay.subscriptions.standing = 0
        self._relay.announcer.wants_anew = False

    def _renew_journal(self) -> None:
        now = time.monotonic()
        if self._journal is not None and self._journal.is_due(now):
            self._journal.replace(self._relay.snapshot(), now)

    def _publish(self, at: float, now: float) -> None:
        if self._journal is not None:
            self._journal.append(self._relay.entries(now), now)
        while (frames := self._relay.next_message(at)) is not None:
            if not self._audience.send(frames):
                self._relay.lost(now)

    def _take_budget(self, content: bytes) -> str:
        value = read_budget(content)
        if value is None:
            return f"Send a number of events a second, from {LEAST:.0f} to {MOST:.0f}."
        self._budget.tell(value, time.monotonic())
        return ""

    def _metrics(self) -> bytes:
        if self._journal is not None:
            self._relay.counts.unwritten = self._journal.failures
        there = [publisher.is_there for publisher in self._publishers]
        return metrics_text(self._relay, there, self._lag)

    def _close(self) -> None:
        if self._pages is not None:
            self._pages.close()
        if self._engine_metrics is not None:
            self._engine_metrics.close()
        for question in self._questions.values():
            question.close()
        for publisher in self._publishers:
            publisher.close()
        self._audience.close()
        self._door.close()
        if self._journal is not None:
            self._journal.close()
        self._context.destroy(linger=0)


def _terms(settings: Settings) -> Terms:
    return Terms(
        settings.ranks,
        settings.topic.encode(),
        settings.upstream_replay is not None,
        Bounds(settings.max_blocks, settings.max_memory << 20),
        Rhythm(settings.reannounce, settings.budget),
        veil=_veil(_host()) if settings.own_hashes else 0,
        journal=settings.journal is not None,
    )


def _host() -> str:
    """The pod's name: container runtimes say it in a variable, too."""
    return os.environ.get("HOSTNAME") or socket.gethostname()


def _veil(host: str) -> int:
    """64 bits that differ from pod to pod, and stay while the pod does: its name is its host name."""
    name = host.encode()
    return zlib.crc32(name) << 32 | zlib.crc32(name[::-1], 1)


def _further(address: Address, rank: int) -> Address:
    return Address(address.host, address.port + rank)
