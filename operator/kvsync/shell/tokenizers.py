"""Asking tokenizers that gateways are to be told of: not often, not many at once, never waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kvsync.model.tokenizer import TokenizerAnswer, TokenizerQuestion

Key = tuple[str, str]

AT_ONCE = 4
PERIOD = 30.0
"""Seconds from one answer of a tokenizer to the next question."""
VALID = 90.0
"""Seconds for which an answer counts that is being asked for anew."""


class Tokenizer(Protocol):
    """What asks one tokenizer (``adapters.engine_http``); never raises."""

    async def tokenize(self, question: TokenizerQuestion) -> TokenizerAnswer:
        """What it answers."""


@dataclass(frozen=True, slots=True)
class _Known:
    answer: TokenizerAnswer
    at: float


class Tokenizers:
    """Answers by URL, kept while some object wants to know. ``on_answer`` is called with the keys of
    those that do; ``clock`` is monotonic, in seconds."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        on_answer: Callable[[Key], None],
        clock: Callable[[], float],
    ) -> None:
        self._tokenizer = tokenizer
        self._on_answer = on_answer
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._wanted: dict[Key, TokenizerQuestion] = {}
        self._known: dict[str, _Known] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def ask(self, key: Key, question: TokenizerQuestion | None) -> None:
        """Have an object's tokenizer asked, if it was not of late; None: it wants to know nothing."""
        before = self._wanted.pop(key, None)
        if question is not None:
            self._wanted[key] = question
            self._see_to(question)
        if before is not None and not self._wants(before.url):
            self._forget(before.url)

    def answers(self) -> Mapping[str, TokenizerAnswer]:
        """What is known of late."""
        now = self._clock()
        return {url: k.answer for url, k in self._known.items() if now - k.at <= VALID}

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _see_to(self, question: TokenizerQuestion) -> None:
        known = self._known.get(question.url)
        fresh = known is not None and self._clock() - known.at < PERIOD
        if not fresh and question.url not in self._tasks:
            self._tasks[question.url] = asyncio.create_task(self._ask(question))

    async def _ask(self, question: TokenizerQuestion) -> None:
        try:
            async with self._slots:
                answer = await self._tokenizer.tokenize(question)
        finally:
            # One that was cancelled may have a successor by now.
            if self._tasks.get(question.url) is asyncio.current_task():
                del self._tasks[question.url]
        self._known[question.url] = _Known(answer, self._clock())
        for key in [k for k, wanted in self._wanted.items() if wanted.url == question.url]:
            self._on_answer(key)

    def _wants(self, url: str) -> bool:
        return any(question.url == url for question in self._wanted.values())

    def _forget(self, url: str) -> None:
        self._known.pop(url, None)
        task = self._tasks.pop(url, None)
        if task is not None:
            task.cancel()
