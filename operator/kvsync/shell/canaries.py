"""Canaries: one short unique completion for each start of an engine that nothing else proves."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Protocol

from kvsync.core.traffic import Canary, Look, restarted, wants_canary
from kvsync.model.source import Observation, Target
from kvsync.model.traffic import Completion

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Completions that run at one moment, over all engines."""

MORE_WORDS = 8
"""Words beyond a block's tokens: no tokenizer makes less than a token of a word."""

LARGEST_BLOCK = 1024
"""Tokens; an engine with larger blocks is spared a prompt of that length."""


class Completer(Protocol):
    """What asks for a completion (``adapters.engine_http``); never raises."""

    async def complete(self, host: str, port: int, model: str, prompt: str) -> Completion:
        """Have an engine complete a prompt by one token."""


class Canaries:
    """Which pods were sent one, by uid, and what came of it."""

    def __init__(
        self, engines: Completer, clock: Callable[[], float], rng: random.Random | None = None
    ) -> None:
        self._engines = engines
        self._clock = clock
        self._rng = rng or random.SystemRandom()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tried: dict[str, Canary | None] = {}

    def of(self, uid: str, earlier: Look | None, look: Look) -> Canary | None:
        """The canary that an engine completed since it started."""
        if earlier is not None and restarted(earlier, look):
            self.forget(uid)
        return self._tried.get(uid)

    def forget(self, uid: str) -> None:
        """Its engine is gone, or another one."""
        self._tried.pop(uid, None)

    async def send(self, target: Target, earlier: Look, look: Look, seen: Observation) -> None:
        """Send one, unless this engine had its own or is at work.

        One that is not completed (an API key, another model name, no room) says nothing of the
        source: it is noted in the log and not tried again.
        """
        uid, size = target.key.uid, look.block_size or 0
        if uid in self._tried or size > LARGEST_BLOCK or not wants_canary(earlier, look):
            return
        self._tried[uid] = None
        # A name that a shell fills in is not known here, and none means the one that is served.
        model = "" if "$" in target.served_model else target.served_model
        async with self._slots:
            sent_at = self._clock()
            prompt = self._prompt(size + MORE_WORDS)
            done = await self._engines.complete(target.host, target.http_port, model, prompt)
        name = f"{target.key.namespace}/{target.key.pod}"
        if done.prompt_tokens is None:
            problem = done.problem or "it does not say how many tokens the prompt had"
            log.info("%s: no proof by a canary: %s", name, problem)
            return
        log.info("%s: a canary of %d tokens was completed", name, done.prompt_tokens)
        self._tried[uid] = Canary(sent_at, self._clock(), done.prompt_tokens, seen)

    def _prompt(self, words: int) -> str:
        return " ".join(f"{self._rng.getrandbits(12):03x}" for _ in range(words))
