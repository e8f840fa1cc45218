"""Whether an engine's own counters speak against the silence of its publisher.

An idle publisher is silent and so is a broken one. What tells them apart is a window, between two
looks at the engine, in which prompts *must* have filled whole new blocks while the sequence stood.

Why this never accuses a healthy engine (``vllm/v1/core/kv_cache_manager.py``, ``block_pool.py``):

- A request that computed more tokens than one block holds filled a new block, and each new block is
  published. What it computed is its prompt less what was cached. A request may fall short by its
  last, unfilled block; two blocks are allowed each, so short prompts and pure cache hits weigh nothing.
- A prompt is counted with its first output token, after its blocks were published. Its blocks may
  have gone out before the window began, and then the window before was no silent one, for no engine
  computes longer than a window without filling a block. So one silent window means nothing yet, and
  :data:`CONVINCING` of them do.
- The sequence is taken before the earlier counters and after the later ones, and counts as standing
  only while the subscription stood all the time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kvsync.model.source import Observation, Traffic
from kvsync.model.traffic import EngineCounters

CONVINCING = 2
"""Silent windows in a row that convict a source."""

_SPARE = 2
"""Blocks a request that may be computed without an event."""

_SETTLED = 1.0
"""Seconds in which a subscription reaches the publisher."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the engine of a source, at a time of the observations' clock."""

    at: float
    counters: EngineCounters
    before: Observation
    """What was seen of the source just before the counters were read."""
    after: Observation
    """The same a moment later, when what they count must have arrived."""
    block_size: int | None = None
    """Tokens a stored block."""
    prefix_caching: bool | None = None


@dataclass(frozen=True, slots=True)
class Canary:
    """A prompt of our own that the engine completed, and what was seen before it was sent."""

    sent_at: float
    answered_at: float
    tokens: int
    before: Observation


def weigh(known: Traffic | None, earlier: Look | None, look: Look) -> Traffic:
    """What is known of a source after one more look."""
    fresh = Traffic(look.at, look.prefix_caching)
    if known is None or earlier is None or look.prefix_caching is False:
        return fresh
    if restarted(earlier, look) or _moved(earlier.before, look.after):
        return fresh
    same = replace(known, looked_at=look.at, prefix_caching=look.prefix_caching)
    if not _listened(earlier.before, look.after, earlier.at):
        # Unheard events may explain the next silent window; a conviction stands until one is heard.
        return same if known.silent_windows >= CONVINCING else fresh
    tokens = telling_tokens(earlier.counters, look.counters, look.block_size)
    if tokens == 0:
        return same
    return replace(
        same,
        silent_windows=same.silent_windows + 1,
        silent_tokens=same.silent_tokens + tokens,
    )


def restarted(earlier: Look, look: Look) -> bool:
    """Whether the engine began anew between two looks: its counters or its sequence fell."""
    if look.after.restarts != earlier.before.restarts:
        return True
    pairs = (
        (earlier.counters.prompt_tokens, look.counters.prompt_tokens),
        (earlier.counters.computed_tokens, look.counters.computed_tokens),
        (earlier.counters.first_tokens, look.counters.first_tokens),
        (earlier.counters.finished, look.counters.finished),
    )
    return any(a is not None and b is not None and b < a for a, b in pairs)


def telling_tokens(before: EngineCounters, after: EngineCounters, block_size: int | None) -> int:
    """How many prompt tokens of a window must have filled blocks; 0 where that cannot be told."""
    computed = _grown(before.computed_tokens, after.computed_tokens)
    if computed is None:
        computed = _grown(_uncached(before), _uncached(after))
    requests = _requests(before, after)
    if computed is None or requests is None or not block_size:
        return 0
    return max(0, computed - _SPARE * block_size * requests)


def _uncached(counters: EngineCounters) -> int | None:
    if counters.prompt_tokens is None or counters.cached_tokens is None:
        return None
    return counters.prompt_tokens - counters.cached_tokens


def _requests(before: EngineCounters, after: EngineCounters) -> int | None:
    """At most how many requests the prompt tokens of a window belong to.

    Those with a first token in it; where these are not counted, all that ended in it or live on.
    """
    started = _grown(before.first_tokens, after.first_tokens)
    if started is not None:
        return started
    ended = _grown(before.finished, after.finished)
    return None if ended is None or after.unfinished is None else ended + after.unfinished


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _moved(before: Observation, after: Observation) -> bool:
    return (before.messages, before.last_sequence) != (after.messages, after.last_sequence)


def _listened(before: Observation, after: Observation, since: float) -> bool:
    """Whether one connection was subscribed from a time on until ``after``."""
    return (
        (before.since, before.handshake_at) == (after.since, after.handshake_at)
        and after.failure is None
        and after.interrupted_at is None
        and after.subscribed_at is not None
        and after.subscribed_at <= since - _SETTLED
    )


def wants_canary(earlier: Look, look: Look) -> bool:
    """Whether an engine may be sent a canary: nothing runs, and nobody else spoke.

    That is: since this connection no event came, and in the last window no request ended.
    """
    seen = look.after
    spoke = seen.last_batch_at is not None and seen.last_batch_at >= (seen.handshake_at or 0.0)
    return (
        not spoke
        and look.prefix_caching is not False
        and look.block_size is not None
        and look.counters.unfinished == 0
        # SGLang names no requests before the first one.
        and (earlier.counters.finished or 0) == (look.counters.finished or 0)
        and not restarted(earlier, look)
        and not _moved(earlier.before, look.after)
        and _listened(earlier.before, look.after, earlier.at)
    )


def weigh_canary(known: Traffic, canary: Canary, look: Look, window: float) -> Traffic:
    """What is known of a source whose engine completed a canary.

    Its prompt must have filled a block, and the event must have come within :data:`CONVINCING` times
    ``window`` seconds. What cannot be told (the connection broke meanwhile) speaks against nobody.
    """
    waited = look.at - canary.answered_at >= CONVINCING * window
    filled = look.block_size is not None and canary.tokens >= look.block_size
    silent = not _moved(canary.before, look.after)
    if not (waited and filled and silent and _listened(canary.before, look.after, canary.sent_at)):
        return known
    return replace(
        known,
        silent_windows=max(CONVINCING, known.silent_windows),
        silent_tokens=max(canary.tokens, known.silent_tokens),
    )
