"""The logs of gateways' pods: read a piece at a time, soon after a start and then ever more seldom."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from kvsync.adapters.kube.pod_log import PodLogs, read_piece
from kvsync.core.gateway_log import GatewayLog, Run, read_log, reading_of, run_of
from kvsync.model.errors import ApiError, Forbidden
from kvsync.model.gateway_log import GatewayReading, GatewayWatch, Start, Subscription, Unread
from kvsync.model.workload import Pod

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name of an object."""

Place = tuple[str, str]
"""A pod's uid, and a container of it."""

Gateway = tuple[str, str, str]
"""Namespace and name of a Deployment, and a container of its pods."""

AT_ONCE = 2
"""Logs that are read at one moment."""

PIECES = 4
"""Pieces of a log that are read in one look; the next look, a second later, goes on."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Pauses between two looks at a log, in seconds."""

    soon: float = 1.0
    """While its container has just started, and where there is more to read."""
    looks: int = 15
    """How many looks that holds for."""
    open: float = 10.0
    """Until it says all that is waited for."""
    settled: float = 60.0
    tick: float = 0.25
    """Between two searches for logs whose turn it is."""


@dataclass(frozen=True, slots=True)
class _Group:
    """The objects that want the same logs read, and the pods that they wait for."""

    keys: frozenset[Key]
    pods: frozenset[str]


@dataclass(slots=True)
class _Reader:
    """One start of a container, whose log is read."""

    pod: Pod
    container: str
    run: Run
    log: GatewayLog
    group: _Group
    last: int = 0
    more: bool = False
    caught_up: bool = False
    looks: int = 0
    looked_at: float = 0.0
    task: asyncio.Task[None] | None = None

    @property
    def place(self) -> Place:
        return (self.pod.uid, self.container)


class GatewayLogs:
    """What the logs say, by pod and container.

    ``pods`` gives the pods of a Deployment, ``on_news`` is called with the key of an object whose
    gateway's log says something else than before. ``clock`` is monotonic, ``wall`` in seconds since
    the epoch. A Ready gateway may say nothing for ``silence`` seconds after its start.
    """

    def __init__(
        self,
        logs: PodLogs,
        pods: Callable[[str, str], tuple[Pod, ...]],
        on_news: Callable[[Key], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        *,
        silence: float,
        pace: Pace | None = None,
    ) -> None:
        self._logs = logs
        self._pods = pods
        self._on_news = on_news
        self._clock = clock
        self._wall = wall
        self._silence = silence
        self._pace = pace or Pace()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._watches: dict[Key, GatewayWatch] = {}
        self._groups: dict[Gateway, _Group] | None = None
        self._readers: dict[Place, _Reader] = {}
        self._refused: set[Place] = set()
        self._readings: dict[Place, GatewayReading] = {}

    @property
    def readings(self) -> Mapping[Place, GatewayReading]:
        """What each log says, as far as it was read."""
        return self._readings

    def want(self, key: Key, watch: GatewayWatch | None) -> None:
        """Read the logs of an object's gateway from now on; None: not any more."""
        if self._watches.get(key) == watch:
            return
        self._groups = None
        if watch is None:
            del self._watches[key]
        else:
            self._watches[key] = watch

    async def run(self) -> None:
        """Read the logs whose turn it is, until cancelled."""
        while True:
            self.tick()
            await asyncio.sleep(self._pace.tick)

    def tick(self) -> None:
        """Begin to read the logs whose turn it is, and forget those of pods that are gone."""
        wanted = {reader.place: reader for reader in self._wanted()}
        for place in self._readers.keys() - wanted.keys():
            self._forget(place)
        self._readers = wanted
        now = self._clock()
        for reader in wanted.values():
            if (reader.task is None or reader.task.done()) and now >= self._due(reader):
                reader.looked_at = now
                reader.looks += 1
                reader.task = asyncio.create_task(self._look(reader))

    async def close(self) -> None:
        """Stop reading."""
        tasks = [reader.task for reader in self._readers.values() if reader.task is not None]
        for place in list(self._readers):
            self._forget(place)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wanted(self) -> Iterator[_Reader]:
        """A reader for each running container that is to be read."""
        if self._groups is None:
            self._groups = _grouped(self._watches)
        for (namespace, deployment, container), group in self._groups.items():
            for pod in self._pods(namespace, deployment):
                run = None if pod.deleting else run_of(pod, container)
                if run is not None:
                    yield self._reader(pod, container, run, group)

    def _reader(self, pod: Pod, container: str, run: Run, group: _Group) -> _Reader:
        """The known one where it is of the same start."""
        known = self._readers.get((pod.uid, container))
        if known is not None and known.run != run:
            self._forget(known.place)
            known = None
        reader = known or _Reader(pod, container, run, GatewayLog(run.started_at), group)
        reader.pod, reader.group = pod, group
        return reader

    def _forget(self, place: Place) -> None:
        reader = self._readers.pop(place)
        if reader.task is not None:
            reader.task.cancel()
        self._readings.pop(place, None)
        self._refused.discard(place)

    def _due(self, reader: _Reader) -> float:
        if reader.looks == 0:
            return 0.0
        pause = self._pace.settled if self._is_settled(reader) else self._pace.open
        if reader.more or reader.looks < self._pace.looks:
            pause = self._pace.soon
        return reader.looked_at + pause

    def _is_settled(self, reader: _Reader) -> bool:
        found = self._readings.get(reader.place)
        if found is None or found.unread is not None or found.start is not Start.INITIALIZED:
            return False
        return all(found.pods.get(name) is Subscription.TAKEN for name in reader.group.pods)

    async def _look(self, reader: _Reader) -> None:
        async with self._slots:
            unread = await self._read(reader)
        before = self._readings.get(reader.place)
        known = reader.log.start in (Start.INITIALIZED, Start.FAILED)
        if unread is Unread.UNREADABLE and known and before is not None:
            return  # How a start went does not change: one lost look is no news.
        found = reading_of(
            reader.log,
            reader.run.restarts,
            self._wall(),
            complete=reader.pod.ready and not reader.more and unread is None,
            silence=self._silence,
        )
        found = replace(found, unread=unread, caught_up=reader.caught_up or unread is not None)
        if found != before:
            self._readings[reader.place] = found
            for key in reader.group.keys:
                self._on_news(key)

    async def _read(self, reader: _Reader) -> Unread | None:
        """Read on, up to the end or the most that one look reads. Why it could not be read, if so."""
        pod = reader.pod
        try:
            for _ in range(PIECES):
                piece = await read_piece(
                    self._logs, pod.namespace, pod.name, reader.container, last=reader.last
                )
                reader.log = read_log(reader.log, piece.lines, lost=piece.lost)
                reader.last, reader.more = piece.last, piece.more
                if not piece.more:
                    reader.caught_up = True
                    break
        except ApiError as error:
            self._note_refused(reader.place, error)
            return Unread.FORBIDDEN if isinstance(error, Forbidden) else Unread.UNREADABLE
        self._refused.discard(reader.place)
        return None

    def _note_refused(self, place: Place, error: ApiError) -> None:
        """Said once, not at every look."""
        level = logging.DEBUG if place in self._refused else logging.WARNING
        self._refused.add(place)
        log.log(level, "cannot read the log of a gateway: %s", error)


def _grouped(watches: Mapping[Key, GatewayWatch]) -> dict[Gateway, _Group]:
    members: dict[Gateway, dict[Key, GatewayWatch]] = {}
    for key, watch in watches.items():
        members.setdefault((watch.namespace, watch.deployment, watch.container), {})[key] = watch
    return {
        gateway: _Group(
            frozenset(found), frozenset().union(*(watch.pods for watch in found.values()))
        )
        for gateway, found in members.items()
    }
