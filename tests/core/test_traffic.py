"""What an engine's counters prove of a silent publisher, and that they never accuse a healthy one."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from kvsync.core.traffic import (
    CONVINCING,
    Canary,
    Look,
    restarted,
    telling_tokens,
    wants_canary,
    weigh,
    weigh_canary,
)
from kvsync.model.source import Failure, Observation, Traffic
from kvsync.model.traffic import EngineCounters
from testbed.engine.cache import BlockCache
from testbed.engine.core import Cache
from testbed.engine.sglang.cache import RadixCache
from testbed.engine.sglang.releases import Release, behaviour_of

WINDOW = 10.0
QUIET = Observation(since=0.0, handshake_at=1.0, subscribed_at=1.0)


def counters(
    prompts: int = 0, cached: int = 0, first: int = 0, finished: int = 0, unfinished: int = 0
) -> EngineCounters:
    return EngineCounters(prompts, cached, None, first, finished, unfinished)


def look(at: float, counted: EngineCounters, seen: Observation = QUIET, size: int = 16) -> Look:
    return Look(at, counted, seen, seen, size, prefix_caching=True)


def weighed(*looks: Look) -> Traffic:
    """What is known after looks one after the other."""
    known, earlier = None, None
    for one in looks:
        known, earlier = weigh(known, earlier, one), one
    assert known is not None
    return known


def busy(at: float, seen: Observation = QUIET, step: int = 1) -> Look:
    """A look at an engine that computes one prompt of 1000 tokens a step."""
    return look(at, counters(1000 * step, 0, step, step), seen)


def test_two_windows_of_computed_prompts_without_an_event_convict() -> None:
    one = weighed(busy(10), busy(20, step=2))
    two = weighed(busy(10), busy(20, step=2), busy(30, step=3))
    assert (one.silent_windows, one.silent_tokens) == (1, 1000 - 32)
    assert (two.silent_windows, two.silent_tokens) == (2, 2 * (1000 - 32))
    assert two.looked_at == 30


def test_a_quiet_window_between_counts_neither_way() -> None:
    found = weighed(busy(10), busy(20, step=2), busy(30, step=2), busy(40, step=3))
    assert found.silent_windows == 2


def test_an_event_acquits() -> None:
    heard = replace(QUIET, messages=1, last_sequence=0)
    found = weighed(busy(10), busy(20, step=2), busy(30, step=3), busy(40, heard, step=4))
    assert (found.silent_windows, found.silent_tokens) == (0, 0)


def test_an_event_that_arrives_while_the_counters_are_read_acquits() -> None:
    heard = replace(QUIET, messages=1, last_sequence=0)
    late = replace(busy(20, step=2), after=heard)
    assert weighed(busy(10), late).silent_windows == 0


@pytest.mark.parametrize(
    "after",
    [
        replace(QUIET, subscribed_at=None),
        replace(QUIET, subscribed_at=15.0),
        replace(QUIET, subscribed_at=9.5),
        replace(QUIET, handshake_at=15.0),
        replace(QUIET, since=15.0),
        replace(QUIET, failure=Failure.LOST),
        replace(QUIET, interrupted_at=15.0),
    ],
)
def test_only_a_window_that_was_heard_all_through_counts(after: Observation) -> None:
    assert weighed(busy(10), busy(20, after, step=2)).silent_windows == 0


def test_an_unheard_window_breaks_the_row_but_no_conviction() -> None:
    deaf = replace(QUIET, subscribed_at=None)
    one = weighed(busy(10), busy(20, step=2), busy(30, deaf, step=3))
    two = weighed(busy(10), busy(20, step=2), busy(30, step=3), busy(40, deaf, step=4))
    assert one.silent_windows == 0
    assert two.silent_windows == CONVINCING


@pytest.mark.parametrize(
    "fallen",
    [counters(500, 0, 3, 3), counters(3000, 0, 1, 3), counters(3000, 0, 3, 1)],
)
def test_counters_that_fall_begin_anew(fallen: EngineCounters) -> None:
    assert weighed(busy(10), busy(20, step=2), look(30, fallen)).silent_windows == 0
    assert restarted(busy(20, step=2), look(30, fallen))


def test_a_sequence_that_began_anew_begins_anew() -> None:
    again = replace(QUIET, restarts=1)
    assert weighed(busy(10), busy(20, step=2), busy(30, again, step=3)).silent_windows == 0


def test_a_cache_that_is_off_is_told_and_nothing_else() -> None:
    off = [replace(busy(10.0 * n, step=n), prefix_caching=False) for n in (1, 2, 3, 4)]
    assert weighed(*off) == Traffic(40.0, prefix_caching=False)


@pytest.mark.parametrize(
    ("before", "after", "size", "tokens"),
    [
        (counters(), counters(1000, 0, 1, 1), 16, 1000 - 32),
        (counters(), counters(1000, 990, 1, 1), 16, 0),
        (counters(), counters(1000, 0, 1, 1), None, 0),
        (counters(), counters(1000, 0, 1, 1), 512, 0),
        # Without hits nobody knows what was computed, without requests not how much may be spared.
        (EngineCounters(0, None, None, 0), EngineCounters(1000, None, None, 1), 16, 0),
        (EngineCounters(0, 0), EngineCounters(1000, 0), 16, 0),
        # What is counted as computed goes before what is worked out.
        (EngineCounters(0, 0, 0, 0), EngineCounters(1000, 0, 100, 1), 16, 100 - 32),
        # Requests by those that ended and those that live on.
        (
            EngineCounters(0, 0, finished=0, unfinished=9),
            EngineCounters(1000, 0, finished=2, unfinished=3),
            16,
            1000 - 5 * 32,
        ),
    ],
)
def test_what_must_have_filled_blocks(
    before: EngineCounters, after: EngineCounters, size: int | None, tokens: int
) -> None:
    assert telling_tokens(before, after, size) == tokens


TREE = behaviour_of(Release(0, 5, 23))


@dataclass
class Engine:
    """A cache, the counters of its engine, and the batches that it publishes."""

    cache: Cache
    counts: str = "first tokens"
    """How it counts: "first tokens" and "ended" are vLLM's, "computed" is SGLang's."""
    computed: int = 0
    prompts: int = 0
    cached: int = 0
    requests: int = 0
    batches: int = 0
    running: int = 0

    def start(self, prompt: list[int], output: list[int]) -> int:
        """Compute one request: its events are out, its prompt is not counted yet. What it computed."""
        outcome = self.cache.run(prompt, output)
        self.batches += sum(1 for events in outcome.steps if events)
        self.cached += outcome.cached_tokens
        self.running += 1
        self.computed += len(prompt) - outcome.cached_tokens
        return len(prompt) - outcome.cached_tokens

    def count(self, prompt: list[int]) -> None:
        """Its first token is out, and it is done."""
        self.prompts += len(prompt)
        self.requests += 1
        self.running -= 1

    @property
    def counters(self) -> EngineCounters:
        done, running = self.requests, self.running
        if self.counts == "computed":
            return EngineCounters(None, None, self.computed, None, done, running)
        first = done if self.counts == "first tokens" else None
        return EngineCounters(self.prompts, self.cached, None, first, done, running)

    @property
    def seen(self) -> Observation:
        return replace(QUIET, messages=self.batches, last_sequence=self.batches)


@dataclass(frozen=True)
class Request:
    """A prompt (its beginning decides what is cached), its answer's length, and when it is counted."""

    length: int
    kind: int
    output: int
    counted_later: bool = False

    @property
    def prompt(self) -> list[int]:
        return [self.kind * 1000 + n for n in range(self.length)]


def requests(longest: int, output: int) -> st.SearchStrategy[list[Request]]:
    made = st.builds(
        Request, st.integers(1, longest), st.integers(0, 2), st.integers(1, output), st.booleans()
    )
    return st.lists(made, max_size=4)


REQUESTS = st.one_of(requests(15, 1), requests(40, 1), requests(90, 40))
"""Shorter than a block, near to one, anything: each kind by itself, so that windows stay silent."""


@given(
    windows=st.lists(st.tuples(REQUESTS, REQUESTS), min_size=3, max_size=8),
    size=st.sampled_from([1, 4, 16, 16]),
    blocks=st.integers(15, 60),
    counts=st.sampled_from(["first tokens", "ended", "computed"]),
)
def test_a_healthy_engine_is_never_accused(
    windows: list[tuple[list[Request], list[Request]]], size: int, blocks: int, counts: str
) -> None:
    """Any prompts, before and while it is looked at, in a cache that evicts; some are counted only
    in the window after that of their events."""
    room = blocks * 16 // size
    tree = counts == "computed"
    cache = RadixCache(room, size, TREE) if tree else BlockCache(room, size, seed=b"")
    engine = Engine(cache, counts)
    known, earlier, open_ = None, None, list[Request]()

    def compute(requests: list[Request]) -> list[Request]:
        for request in requests:
            engine.start(request.prompt, list(range(request.output)))
            if not request.counted_later:
                engine.count(request.prompt)
        return [request for request in requests if request.counted_later]

    for number, (first, then) in enumerate(windows):
        started = compute(first)
        for request in open_:
            engine.count(request.prompt)
        before, counted = engine.seen, engine.counters
        open_ = started + compute(then)
        now = Look(WINDOW * (number + 1), counted, before, engine.seen, size)
        known, earlier = weigh(known, earlier, now), now
        event(f"{counts}: {known.silent_windows} silent windows")
        assert known.silent_windows < CONVINCING


@given(REQUESTS, st.sampled_from([1, 4, 16]))
def test_a_mute_engine_is_accused_of_what_stands_out_of_two_blocks_a_request(
    requests: list[Request], size: int
) -> None:
    engine = Engine(BlockCache(4096, size, seed=b""))
    start, computed = look(10, engine.counters, size=size), 0
    for number, request in enumerate(requests):
        prompt = replace(request, kind=number).prompt
        computed += engine.start(prompt, [1])
        engine.count(prompt)
    found = weighed(start, look(20, engine.counters, size=size))
    assert found.silent_tokens == max(0, computed - 2 * size * len(requests))


IDLE = counters(first=3, finished=3)


def test_an_engine_that_nobody_uses_may_be_sent_a_canary() -> None:
    assert wants_canary(look(10, IDLE), look(20, IDLE))


def test_an_engine_that_names_no_requests_before_the_first_one_may_too() -> None:
    untouched = EngineCounters(unfinished=0)
    assert wants_canary(look(10, untouched), look(20, untouched))


SPOKE = replace(QUIET, last_batch_at=5.0)


@pytest.mark.parametrize(
    "now",
    [
        look(20, counters(first=3, finished=3, unfinished=1)),
        look(20, EngineCounters(first_tokens=3, finished=3)),
        look(20, counters(first=4, finished=4)),
        look(20, counters(first=2, finished=2)),
        look(20, IDLE, SPOKE),
        look(20, IDLE, replace(QUIET, messages=1)),
        look(20, IDLE, replace(QUIET, subscribed_at=None)),
        replace(look(20, IDLE), block_size=None),
        replace(look(20, IDLE), prefix_caching=False),
    ],
)
def test_an_engine_that_is_used_heard_or_unknown_is_spared(now: Look) -> None:
    assert not wants_canary(look(10, IDLE), now)


def test_what_was_heard_before_this_connection_proves_nothing_of_it() -> None:
    seen = replace(QUIET, last_batch_at=5.0, handshake_at=6.0)
    assert wants_canary(look(10, IDLE, seen), look(20, IDLE, seen))


CANARY = Canary(sent_at=21.0, answered_at=22.0, tokens=24, before=QUIET)
KNOWN = Traffic(20.0, prefix_caching=True)


def test_a_canary_without_an_event_convicts_after_two_windows() -> None:
    early, late = look(41.9, IDLE), look(42.0, IDLE)
    assert weigh_canary(KNOWN, CANARY, early, WINDOW) == KNOWN
    found = weigh_canary(KNOWN, CANARY, late, WINDOW)
    assert (found.silent_windows, found.silent_tokens) == (CONVINCING, 24)


@pytest.mark.parametrize(
    ("canary", "now"),
    [
        (CANARY, look(60, IDLE, replace(QUIET, messages=1, last_sequence=0))),
        (CANARY, look(60, IDLE, replace(QUIET, handshake_at=30.0))),
        (CANARY, look(60, IDLE, replace(QUIET, subscribed_at=30.0))),
        (CANARY, look(60, IDLE, size=32)),
        (CANARY, replace(look(60, IDLE), block_size=None)),
    ],
)
def test_a_canary_that_was_heard_or_proves_nothing(canary: Canary, now: Look) -> None:
    assert weigh_canary(KNOWN, canary, now, WINDOW) == KNOWN
