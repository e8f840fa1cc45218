"""The engine core: requests become block cache work, and each step's events one batch."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from testbed.engine import tokenizer
from testbed.engine.cache import BlockCache, Outcome
from testbed.engine.layouts import Layout, layout_for
from testbed.engine.publisher import Publisher
from testbed.engine.settings import Settings
from testbed.engine.wire import Event, encode_batch


@dataclass(slots=True)
class Counters:
    """What ``/metrics`` counts for one rank since it started; tokens, but for ``requests``."""

    requests: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    cache_queries: int = 0
    cache_hits: int = 0


class Cache(Protocol):
    """What a rank keeps its blocks in."""

    def run(self, prompt: list[int], output: list[int], salt: str = "") -> Outcome:
        """Prefill, then decode one sequence; raises CacheFullError if it cannot fit."""

    def clear(self) -> list[Event]:
        """Forget every block."""


@dataclass(slots=True)
class Rank:
    """One data-parallel rank: its cache, its publisher if it has one, what waits to be sent."""

    number: int
    cache: Cache
    publisher: Publisher | None
    counters: Counters = field(default_factory=Counters)
    pending: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Completion:
    """What a request got."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


MakePublisher = Callable[[Settings, Layout, int], Publisher | None]
MakeCache = Callable[[Settings], Cache]


class EngineCore:
    """All ranks of one engine. ``open_publisher`` makes each rank's publisher, or none.

    ``layout`` and ``make_cache`` are for an engine that is not vLLM.
    """

    def __init__(
        self,
        settings: Settings,
        open_publisher: MakePublisher,
        *,
        layout: Layout | None = None,
        make_cache: MakeCache | None = None,
    ) -> None:
        self.settings = settings
        self._layout = layout or layout_for(settings.build.version)
        new_cache = make_cache or _block_cache
        self._next = 0
        self.ranks: list[Rank] = []
        try:
            for number in range(settings.ranks):
                publisher = open_publisher(settings, self._layout, number)
                self.ranks.append(Rank(number, new_cache(settings), publisher))
        except Exception:
            self.close()
            raise

    def complete(
        self, prompt: list[int], max_tokens: int, *, salt: str = "", rank: int | None = None
    ) -> Completion:
        """Run one request; raises CacheFullError when it cannot fit.

        Without ``rank`` requests go round the ranks in turn.
        """
        place = self._place(rank)
        text = tokenizer.continuation(prompt, max_tokens)
        output = tokenizer.encode(text)
        outcome = place.cache.run(prompt, output, salt)
        for events in outcome.steps:
            self._step(place, events)
        self._count(place.counters, len(prompt), len(output), outcome.cached_tokens)
        return Completion(text, len(prompt), len(output), outcome.cached_tokens)

    def reset_prefix_cache(self) -> None:
        """Clear every rank's cache; subscribers hear of it with the next step."""
        for place in self.ranks:
            place.pending += place.cache.clear()

    def close(self) -> None:
        """Close all publishers."""
        for place in self.ranks:
            if place.publisher is not None:
                place.publisher.close()

    def _place(self, rank: int | None) -> Rank:
        if rank is None:
            rank, self._next = self._next, (self._next + 1) % len(self.ranks)
        return self.ranks[rank % len(self.ranks)]

    def _step(self, place: Rank, events: list[Event]) -> None:
        batch = place.pending + events
        place.pending = []
        if batch and place.publisher is not None and self._publishes():
            place.publisher.publish(encode_batch(self._layout, time.time(), batch, place.number))

    def _publishes(self) -> bool:
        # Until 0.11.0 a publisher also runs while events are off; it then has nothing to send.
        events = self.settings.events
        return events is not None and events.enable_kv_cache_events

    def _count(self, counters: Counters, prompt: int, output: int, cached: int) -> None:
        counters.requests += 1
        counters.prompt_tokens += prompt
        counters.generation_tokens += output
        if self.settings.prefix_caching:
            counters.cache_queries += prompt
            counters.cache_hits += cached


def _block_cache(settings: Settings) -> BlockCache:
    return BlockCache(
        settings.blocks,
        settings.block_size,
        seed=settings.hash_seed,
        reuse=settings.prefix_caching,
        int_hashes=settings.int_hashes,
    )
