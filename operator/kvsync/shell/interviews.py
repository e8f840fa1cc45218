"""Asking running engines for their version and block size, a few at a time, until they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from kvsync.model.decision import Question
from kvsync.model.observed import EngineAnswers

Key = tuple[str, str]

AT_ONCE = 8
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
QUICK_TRIES = 3
"""Failed tries after which it counts as asked, so that nothing waits for an engine for ever."""


class Interviewer(Protocol):
    """What asks one engine (``adapters.engine_http``); never raises."""

    async def ask(self, host: str, port: int) -> EngineAnswers:
        """Its answers, None where it gave none."""


class Interviews:
    """Answers by pod uid. ``on_answer`` is called with the key of the object that asked."""

    def __init__(self, interviewer: Interviewer, on_answer: Callable[[Key], None]) -> None:
        self._interviewer = interviewer
        self._on_answer = on_answer
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.answers: dict[str, EngineAnswers] = {}

    def ask(self, key: Key, questions: Iterable[Question]) -> None:
        """Ask engines that are not being asked yet."""
        for question in questions:
            if question.uid not in self._tasks:
                self._tasks[question.uid] = asyncio.create_task(self._interview(key, question))

    def forget(self, uid: str) -> None:
        """Drop what is known of a pod that is gone."""
        self.answers.pop(uid, None)
        task = self._tasks.pop(uid, None)
        if task is not None:
            task.cancel()

    async def _interview(self, key: Key, question: Question) -> None:
        pause, tries = FIRST_PAUSE, 0
        while True:
            async with self._slots:
                answers = await self._interviewer.ask(question.host, question.port)
            tries += 1
            answered = answers.version is not None and answers.block_size is not None
            if answered or tries == QUICK_TRIES:
                self.answers[question.uid] = answers
                self._on_answer(key)
            if answered:
                return
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2) if tries >= QUICK_TRIES else pause

    async def close(self) -> None:
        """Stop asking."""
        for uid in list(self._tasks):
            self.forget(uid)
        await asyncio.sleep(0)
