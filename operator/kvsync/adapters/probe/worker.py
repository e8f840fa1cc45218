"""A process that watches sources for the operator: told on stdin, telling on stdout."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import mmap
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

from kvsync.adapters.probe import confine, protocol
from kvsync.adapters.probe.protocol import key_of
from kvsync.adapters.probe.reading import Readers
from kvsync.adapters.probe.subscriber import STARTS_A_SECOND, Subscriber
from kvsync.model.source import Observation, SourceKey, Target

log = logging.getLogger(__name__)

ALIVE = 1.0
"""Seconds between signs of life."""
PIPE_SIZE = 1 << 20
"""Bytes that the pipe itself holds: a turn of the loop fills it once."""
PIPE_OCTETS = 4 << 20
"""Bytes of news that may wait for the operator."""
GATHER = 0.02
"""Seconds for which news are gathered."""


def run_worker(readers: Readers, memory: int, mark: int | None) -> None:
    """Watch until stdin ends.

    ``memory`` is in bytes. ``mark`` is a descriptor of shared memory in which stands, at any time,
    the number of the source that is being read.
    """
    confine.die_with_parent()
    confine.raise_open_files()
    confine.limit_memory(memory)
    pipe = os.dup(1)
    with suppress(OSError):  # a process may not have more than so many large ones
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    os.dup2(2, 1)  # a stray print must not look like news
    asyncio.run(_work(readers, pipe, _marker(mark)))


def _marker(mark: int | None) -> Callable[[int], None]:
    if mark is None:
        return lambda number: None
    shared = mmap.mmap(mark, protocol.MARK_OCTETS)
    write = protocol.MARK.pack_into
    return lambda number: write(shared, 0, number)


async def _work(readers: Readers, pipe: int, mark: Callable[[int], None]) -> None:
    asyncio.get_running_loop().set_exception_handler(_end_when_out_of_memory)
    told, tell = await _pipes(pipe)
    version = confine.shut_in()
    log.info("watching apart, %s", f"shut in (Landlock {version})" if version else "not shut in")
    worker = _Worker(readers, tell, mark)
    tasks = [
        asyncio.create_task(each) for each in (worker.listen(told), worker.tell(), _live(tell))
    ]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await worker.close()
    for task in done:
        task.result()


async def _pipes(pipe: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    told = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    transport, flow = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(pipe, "wb", buffering=0)
    )
    transport.set_write_buffer_limits(high=PIPE_OCTETS)
    return told, asyncio.StreamWriter(transport, flow, None, loop)


async def _live(tell: asyncio.StreamWriter) -> None:
    while True:
        tell.write(protocol.alive())
        await tell.drain()
        await asyncio.sleep(ALIVE)


def _end_when_out_of_memory(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if isinstance(context.get("exception"), MemoryError):
        os._exit(protocol.OUT_OF_MEMORY)
    loop.default_exception_handler(context)


class _Worker:
    """The sources by number, and the news of them that are not told yet."""

    def __init__(
        self, readers: Readers, tell: asyncio.StreamWriter, mark: Callable[[int], None]
    ) -> None:
        self._tell = tell
        self._news: dict[SourceKey, None] = {}
        self._stirred = asyncio.Event()
        self._subscriber = Subscriber(readers, self._changed, mark)

    def _changed(self, key: SourceKey) -> None:
        self._news[key] = None
        self._stirred.set()

    async def listen(self, told: asyncio.StreamReader) -> None:
        """Do what is asked, until the operator ends."""
        while True:
            try:
                head = await told.readexactly(protocol.WIDTH)
                body = await told.readexactly(protocol.length_of(head))
            except asyncio.IncompleteReadError:
                return
            kind, content = protocol.unpack(body)
            if kind == "watch":
                self._watch(protocol.read_watch(content))
            else:
                self._drop(content)

    def _watch(self, targets: dict[int, Target]) -> None:
        for number, target in targets.items():
            self._subscriber.add(key_of(number), target, within=len(targets) / STARTS_A_SECOND)

    def _drop(self, numbers: tuple[int, ...]) -> None:
        for number in numbers:
            self._subscriber.drop(key_of(number))
            self._news.pop(key_of(number), None)

    async def tell(self) -> None:
        """Tell the news, as fast as the operator takes them."""
        while True:
            await self._stirred.wait()
            await asyncio.sleep(GATHER)
            self._stirred.clear()
            # All at once: with thousands of busy sources, one turn of the loop takes its time.
            while self._news:
                self._tell.write(protocol.seen(self._take_news()))
                await self._tell.drain()

    def _take_news(self) -> dict[int, Observation]:
        keys = list(islice(self._news, protocol.AT_ONCE))
        for key in keys:
            del self._news[key]
        found = {key.rank: self._subscriber.observation(key) for key in keys}
        return {number: seen for number, seen in found.items() if seen is not None}

    async def close(self) -> None:
        """End all connections."""
        await self._subscriber.close()
