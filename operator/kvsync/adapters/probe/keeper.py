"""One process that watches sources: started, told, heard, and started anew when it ends."""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Protocol

from kvsync.adapters.probe import protocol
from kvsync.adapters.probe.protocol import ProtocolError
from kvsync.model.source import Observation, Target

log = logging.getLogger(__name__)

SILENCE = 30.0
"""Seconds without a sign of life after which a process counts as hung; on a node without CPU to spare one
that connects to thousands is quiet for 10."""
START = 60.0
"""The same before its first sign: a program takes its time to start there."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
LASTING = 60.0
"""Seconds for which a process must have run for the next pause to be short again."""
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")
"""What a process inherits of our environment: nothing that leads to a cluster."""

RETURNED = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Bytes (mallopt(3)): what one large message took is given back, not kept for the next one."""


class Owner(Protocol):
    """Who is told what a process tells."""

    def told(self, observations: Mapping[int, Observation]) -> None:
        """News of sources."""

    def ended(self, numbers: Sequence[int], suspect: int) -> dict[int, float]:
        """It ended while it read ``suspect``. Returns which to hold back, for how many seconds."""


@dataclass(frozen=True, slots=True)
class _End:
    """Why a process ended. ``accuses``: whether the source that it read then may have done it."""

    why: str
    accuses: bool


class Keeper:
    """Keeps one process running, and its sources watched."""

    def __init__(
        self, command: Sequence[str], index: int, owner: Owner, rng: random.Random
    ) -> None:
        self.index = index
        self.pid: int | None = None
        self.restarts = 0
        self._command = command
        self._owner = owner
        self._rng = rng
        self._targets: dict[int, Target] = {}
        self._orders: asyncio.Queue[bytes] | None = None
        """Messages for the process that runs; None while none does."""
        self._held_back: dict[int, asyncio.TimerHandle] = {}

    def watch(self, targets: Mapping[int, Target]) -> None:
        """Watch these too."""
        self._targets.update(targets)
        self._order_watch(targets)

    def drop(self, number: int) -> None:
        """Watch this one no more."""
        self._targets.pop(number, None)
        handle = self._held_back.pop(number, None)
        if handle is not None:
            handle.cancel()
        elif self._orders is not None:
            self._orders.put_nowait(protocol.drop([number]))

    async def run(self) -> None:
        """Keep it running until cancelled."""
        pause, loop = FIRST_PAUSE, asyncio.get_running_loop()
        while True:
            began = loop.time()
            why, suspect = await self._run_once()
            pause = FIRST_PAUSE if loop.time() - began > LASTING else pause
            self.restarts += 1
            log.warning(
                "the process that watches %d sources ended (%s); again in %.1f s",
                *(len(self._targets), why, pause),
            )
            waits = self._owner.ended(list(self._targets), suspect)
            for number, seconds in waits.items():
                self._hold_back(number, seconds)
            await asyncio.sleep(pause * (0.8 + 0.4 * self._rng.random()))
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _run_once(self) -> tuple[str, int]:
        """Why it ended, and the source that it read then."""
        try:
            mark = os.memfd_create("kvsync-mark")
        except OSError as error:  # such as no descriptor left: for a while, and not for ever
            return f"it could not be started: {error}", 0
        try:
            os.ftruncate(mark, protocol.MARK_OCTETS)
            with mmap.mmap(mark, protocol.MARK_OCTETS, prot=mmap.PROT_READ) as shared:
                end = await self._attend(mark)
                return end.why, end.accuses and int(protocol.MARK.unpack_from(shared)[0])
        finally:
            os.close(mark)

    async def _attend(self, mark: int) -> _End:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(mark),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=(mark,),
                env=RETURNED | {n: os.environ[n] for n in ENVIRONMENT if n in os.environ},
            )
        except OSError as error:
            return _End(f"it could not be started: {error}", accuses=False)
        self.pid = process.pid
        try:
            end = await self._talk(process)
        finally:
            self.pid = self._orders = None
            with suppress(ProcessLookupError):
                process.kill()
            code = await process.wait()
        return end or _End(_words_for(code), accuses=True)

    async def _talk(self, process: asyncio.subprocess.Process) -> _End | None:
        """Orders in, news out, until one of both ends. None: its exit code says why."""
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        self._orders = asyncio.Queue()
        self._order_watch(self._targets)
        sending = asyncio.create_task(_send(self._orders, process.stdin))
        try:
            await self._hear(process.stdout)
        except ProtocolError as error:
            return _End(f"it said what it never says: {error}", accuses=False)
        except TimeoutError:
            return _End("it gave no sign of life", accuses=True)
        except asyncio.IncompleteReadError:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 1.0)
            return None
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _hear(self, news: asyncio.StreamReader) -> NoReturn:
        patience = START
        while True:
            async with asyncio.timeout(patience):
                head = await news.readexactly(protocol.WIDTH)
                body = await news.readexactly(protocol.length_of(head))
            patience = SILENCE
            kind, content = protocol.unpack(body)
            if kind == "seen":
                self._owner.told(protocol.read_seen(content))

    def _order_watch(self, targets: Mapping[int, Target]) -> None:
        if self._orders is not None:
            free = {n: t for n, t in targets.items() if n not in self._held_back}
            for message in protocol.watch(free):
                self._orders.put_nowait(message)

    def _hold_back(self, number: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._held_back[number] = loop.call_later(seconds, self._release, number)

    def _release(self, number: int) -> None:
        self._held_back.pop(number, None)
        if number in self._targets:
            self._order_watch({number: self._targets[number]})


async def _send(orders: asyncio.Queue[bytes], pipe: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):  # it ended: that is heard elsewhere
        while True:
            pipe.write(await orders.get())
            await pipe.drain()


def _words_for(code: int) -> str:
    if code == protocol.OUT_OF_MEMORY:
        return "it reached its memory limit"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
