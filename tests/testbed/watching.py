"""The operator's side of the probe without a cluster: what it is made of, and what it tells."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from kvsync.adapters.engine_http.client import EngineHTTP
from kvsync.adapters.probe.pool import Pool
from kvsync.model.source import SourceKey, Target, Verdict
from kvsync.shell.probe_worker import command
from kvsync.shell.probes import Key, Probes
from kvsync.shell.traffic import TrafficWatch

MEMORY = 256 << 20
"""As the operator's own setting has it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A verdict that the operator was told of, and when (monotonic seconds)."""

    at: float
    source: SourceKey
    verdict: Verdict


class Watching:
    """Watches sources as the operator does and notes each change of a verdict.

    A context manager. Each source is an object of its own, so that a change tells whose it is.
    """

    def __init__(self) -> None:
        self.pool = Pool(command(MEMORY), 1, self._heard)
        self._engines = EngineHTTP()
        self._traffic = TrafficWatch(self.pool, self._engines, time.monotonic, changed=self._heard)
        self.probes = Probes(
            self._traffic, self._changed, time.monotonic, traffic=self._traffic.traffic
        )
        self.changes: list[Change] = []
        self._sources: dict[Key, SourceKey] = {}
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._running = [asyncio.create_task(e.run()) for e in (self.probes, self._traffic)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._traffic.close()
        await self._engines.close()
        await self.pool.close()

    def watch(self, targets: Mapping[SourceKey, Target]) -> None:
        """Watch these too."""
        for source, target in targets.items():
            key = (source.namespace, source.uid)
            self._sources[key] = source
            self.probes.assign(key, {source: target})

    def verdict(self, source: SourceKey) -> Verdict:
        """What is true of one now."""
        return self.probes.verdicts((source.namespace, source.uid))[source]

    def all_are(self, sources: Mapping[SourceKey, Target], wanted: frozenset[str]) -> bool:
        """Whether each of them is settled at one of these reasons, and verified."""
        verdicts = map(self.verdict, sources)
        return all(v.settled and v.verified and v.reason in wanted for v in verdicts)

    def is_asked(self, source: SourceKey) -> bool:
        """Whether its engine has told what it counts."""
        return self._traffic.traffic(source) is not None

    def is_calm(self, seconds: float = 2.0) -> bool:
        """Whether no verdict has changed for so long: what was true was told, too."""
        return not self.changes or time.monotonic() - self.changes[-1].at >= seconds

    @property
    def worker(self) -> int:
        """The pid of the process that watches."""
        pid = self.pool.workers()[0].pid
        if pid is None:
            raise RuntimeError("no process watches now")
        return pid

    @property
    def restarts(self) -> int:
        """How often it was started anew."""
        return self.pool.workers()[0].restarts

    def resident(self) -> int:
        """Bytes in memory of the operator's side: this process and the one that watches."""
        return resident(os.getpid()) + resident(self.worker)

    def _heard(self, source: SourceKey) -> None:
        self.probes.heard(source)

    def _changed(self, key: Key) -> None:
        source = self._sources[key]
        self.changes.append(Change(time.monotonic(), source, self.verdict(source)))


def resident(pid: int) -> int:
    """Bytes of a process in memory (Linux, proc(5))."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has used, all threads (Linux, proc(5))."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
