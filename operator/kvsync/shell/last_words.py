"""Reading why engines crashed: the end of a container's log, once for each pod, while it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from kvsync.core.last_words import quoted, telling_line
from kvsync.model.decision import CrashedContainer
from kvsync.model.errors import ApiError, Forbidden
from kvsync.model.observed import LastWords

Key = tuple[str, str]

AT_ONCE = 2
PATIENCE = 5.0
"""Seconds for one log: a roll-back waits for it, and that heals."""

LINES = 100
"""From the end of the log: what an engine prints after its cause, tracebacks of other processes, is
a few dozen lines."""


class LogReader(Protocol):
    """What reads a container's log (``adapters.kube``)."""

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, tail_lines: int, previous: bool
    ) -> str:
        """The end of the log of the run before this one. Raises ApiError."""


class LastWordsDesk:
    """Answers by pod uid. ``on_answer`` is called with the key of the object that asked.

    Whatever comes of it, there is an answer: one that could not be read is empty.
    """

    def __init__(self, reader: LogReader, on_answer: Callable[[Key], None]) -> None:
        self._reader = reader
        self._on_answer = on_answer
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.answers: dict[str, LastWords] = {}

    def ask(self, key: Key, crashed: Iterable[CrashedContainer]) -> None:
        """Read the logs that were not read yet."""
        for each in crashed:
            if each.uid not in self._tasks:
                self._tasks[each.uid] = asyncio.create_task(self._read(key, each))

    def forget(self, uid: str) -> None:
        """Drop what is known of a pod that is gone."""
        self.answers.pop(uid, None)
        task = self._tasks.pop(uid, None)
        if task is not None:
            task.cancel()

    async def _read(self, key: Key, crashed: CrashedContainer) -> None:
        async with self._slots:
            self.answers[crashed.uid] = await self._said(crashed)
        self._on_answer(key)

    async def _said(self, crashed: CrashedContainer) -> LastWords:
        try:
            async with asyncio.timeout(PATIENCE):
                text = await self._reader.pod_log(
                    crashed.namespace,
                    crashed.pod,
                    crashed.container,
                    tail_lines=LINES,
                    previous=True,
                )
        except Forbidden as error:
            return LastWords(refused=quoted(error.message))
        except (ApiError, TimeoutError):  # no log any more, no kubelet: then nothing can be quoted
            return LastWords()
        return LastWords(telling_line(text))

    async def close(self) -> None:
        """Stop reading."""
        tasks = list(self._tasks.values())
        for uid in list(self._tasks):
            self.forget(uid)
        await asyncio.gather(*tasks, return_exceptions=True)
