"""Asking running engines for their version and block size, a few at a time, until they answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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


@dataclass(slots=True)
class _Interview:
    """One engine that shall answer; ``again`` is set while it rests between two tries."""

    key: Key
    question: Question
    pause: float
    tries: int = 0
    again: asyncio.TimerHandle | None = None


class Interviews:
    """Answers by pod uid. ``on_answer`` is called with the key of the object that asked.

    At a start all engines of a cluster are to be asked: those that wait for it are a row, not a task each.
    """

    def __init__(self, interviewer: Interviewer, on_answer: Callable[[Key], None]) -> None:
        self._interviewer = interviewer
        self._on_answer = on_answer
        self._open: dict[str, _Interview] = {}
        self._row: deque[_Interview] = deque()
        self._askers: set[asyncio.Task[None]] = set()
        self.answers: dict[str, EngineAnswers] = {}

    def ask(self, key: Key, questions: Iterable[Question]) -> None:
        """Ask engines that are not being asked yet, nor have answered."""
        for question in questions:
            if question.uid not in self._open:
                self._open[question.uid] = _Interview(key, question, FIRST_PAUSE)
                self._wait(self._open[question.uid])

    def forget(self, uid: str) -> None:
        """Drop what is known of a pod that is gone; what it still answers is not heard."""
        self.answers.pop(uid, None)
        interview = self._open.pop(uid, None)
        if interview is not None and interview.again is not None:
            interview.again.cancel()

    def _wait(self, interview: _Interview) -> None:
        interview.again = None
        self._row.append(interview)
        if len(self._askers) < AT_ONCE:
            asker = asyncio.create_task(self._ask_those_who_wait())
            self._askers.add(asker)
            asker.add_done_callback(self._askers.discard)

    async def _ask_those_who_wait(self) -> None:
        while self._row:
            interview = self._row.popleft()
            question = interview.question
            if not self._is_open(interview):
                continue
            answers = await self._interviewer.ask(question.host, question.port)
            if self._is_open(interview):
                self._take(interview, answers)

    def _is_open(self, interview: _Interview) -> bool:
        """Whether its pod was not forgotten meanwhile."""
        return self._open.get(interview.question.uid) is interview

    def _take(self, interview: _Interview, answers: EngineAnswers) -> None:
        interview.tries += 1
        answered = answers.version is not None and answers.block_size is not None
        if answered or interview.tries == QUICK_TRIES:
            self.answers[interview.question.uid] = answers
            self._on_answer(interview.key)
        if answered:
            return
        loop = asyncio.get_running_loop()
        interview.again = loop.call_later(interview.pause, self._wait, interview)
        if interview.tries >= QUICK_TRIES:
            interview.pause = min(LONGEST_PAUSE, interview.pause * 2)

    async def close(self) -> None:
        """Stop asking."""
        for uid in list(self._open):
            self.forget(uid)
        self._row.clear()
        askers = list(self._askers)
        for asker in askers:
            asker.cancel()
        await asyncio.gather(*askers, return_exceptions=True)
