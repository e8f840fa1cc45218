"""What looks at a relay's own metrics tell: whether its engine reaches it, and whether its work is whole.

Behind a relay the wire says nothing of the engine: the relay answers for it, and tells everything
again. What the engine's ranks do is seen by the relay's counters alone. A rank that is connected is
proven, for only a publisher's greeting is taken. One that is connected and sends nothing is judged as
a publisher is on the wire (``core.traffic``): the relay's count of its messages stands for the
sequence, and counts as standing only where the rank was connected in all four readings of a window
and nothing was forgotten between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from kvsync.core.traffic import telling_tokens
from kvsync.model.relaying import RelayFlaw, Relaying, RelayMetrics, RelayRank
from kvsync.model.traffic import EngineCounters, EngineMetrics

LATE = 2
"""Seconds from the engine to the relay that are too many: both are in one pod, and so is the clock."""

SURE = 2
"""Looks that show something before it is held true, and as many that do not before it is not."""

_MOST = 3
_NOBODY = RelayRank()


@dataclass(frozen=True, slots=True)
class RelayLook:
    """One look at a relay and, where it was asked, at its engine, at a time of the observations' clock."""

    at: float
    before: RelayMetrics
    """What the relay said just before the engine's counters were read."""
    after: RelayMetrics
    """The same a moment later, when what they count must have arrived."""
    engine: EngineMetrics | None = None
    """What the engine counted; None where it was not asked or did not answer."""
    block_size: int | None = None
    """Tokens a stored block."""


def wants_engine(earlier: RelayLook | None, now: RelayMetrics) -> bool:
    """Whether the engine has something to say: a rank is not there, or sent nothing since the last look."""
    if earlier is None:
        return True
    return any(
        not rank.connected or rank.batches == earlier.before.ranks.get(number, _NOBODY).batches
        for number, rank in now.ranks.items()
    )


def unanswered(known: Relaying | None, at: float) -> Relaying:
    """What is known of a relay that was asked and did not answer."""
    return replace(known, looked_at=at) if known is not None else Relaying(at)


def weigh_relay(known: Relaying | None, earlier: RelayLook | None, look: RelayLook) -> Relaying:
    """What is known of a relay after one more look."""
    known = known or Relaying(look.at)
    missing = tuple(n for n, rank in sorted(look.after.ranks.items()) if not rank.connected)
    fresh = replace(
        known,
        looked_at=look.at,
        answered_at=look.at,
        missing=missing,
        missing_looks=known.missing_looks + 1 if missing else 0,
        serving=look.engine is not None,
        connected_once=known.connected_once or not missing,
        heard=any(rank.batches for rank in look.after.ranks.values()),
    )
    if earlier is None:
        return fresh
    if _is_another(earlier.after, look.before) or _is_another(look.before, look.after):
        return replace(
            fresh,
            silent={},
            silent_tokens=0,
            restarts=(*known.restarts, look.at)[-2:],
            missing_looks=min(fresh.missing_looks, 1),
        )
    return _with_flaws(_with_silence(fresh, earlier, look), earlier.after, look.after)


def _is_another(before: RelayMetrics, after: RelayMetrics) -> bool:
    """Whether the relay's process began anew."""
    return before.started != after.started


def _with_silence(known: Relaying, earlier: RelayLook, look: RelayLook) -> Relaying:
    silent, tokens = dict[int, int](), 0
    for number in look.after.ranks:
        before = known.silent.get(number, 0)
        if not _stood(number, earlier, look):
            continue
        told = _silent_tokens(number, earlier, look)
        tokens += told
        if before or told:
            silent[number] = before + (told > 0)
    total = known.silent_tokens + tokens if silent else 0
    return replace(known, silent=silent, silent_tokens=total)


def _stood(number: int, earlier: RelayLook, look: RelayLook) -> bool:
    """Whether a rank was there all the time, and sent nothing."""
    readings = (earlier.before, earlier.after, look.before, look.after)
    ranks = [reading.ranks.get(number, _NOBODY) for reading in readings]
    one = {(rank.connected, rank.batches, rank.forgotten) for rank in ranks}
    return len(one) == 1 and ranks[0].connected


def _silent_tokens(number: int, earlier: RelayLook, look: RelayLook) -> int:
    """Prompt tokens of a rank that must have filled blocks between two looks."""
    if earlier.engine is None or look.engine is None:
        return 0
    alone = len(look.after.ranks) == 1
    before, after = (
        each.whole if alone else each.ranks.get(number, EngineCounters())
        for each in (earlier.engine, look.engine)
    )
    return telling_tokens(before, after, look.block_size)


def _with_flaws(known: Relaying, before: RelayMetrics, after: RelayMetrics) -> Relaying:
    seen = frozenset(_seen(before, after))
    tendencies, flaws = dict[RelayFlaw, int](), set[RelayFlaw]()
    for flaw in RelayFlaw:
        so_far = known.tendencies.get(flaw, 0)
        tendency = min(so_far + 1, _MOST) if flaw in seen else max(so_far - 1, 0)
        if tendency:
            tendencies[flaw] = tendency
        if tendency >= SURE or (tendency and flaw in known.flaws):
            flaws.add(flaw)
    return replace(known, tendencies=tendencies, flaws=frozenset(flaws))


def _seen(before: RelayMetrics, after: RelayMetrics) -> Iterator[RelayFlaw]:
    """What one window shows."""
    was, now = _sums(before.ranks), _sums(after.ranks)
    if after.dropped > before.dropped:
        yield RelayFlaw.FULL
    if now.missed > was.missed:
        yield RelayFlaw.MISSED
    if now.unreadable > was.unreadable:
        yield RelayFlaw.UNREADABLE
    if after.lost > before.lost:
        yield RelayFlaw.SLOW_READER
    if now.held or (after.lag >= LATE and now.batches > was.batches):
        yield RelayFlaw.LATE


def _sums(ranks: Mapping[int, RelayRank]) -> RelayRank:
    """Of all ranks together."""
    return RelayRank(
        batches=sum(rank.batches for rank in ranks.values()),
        missed=sum(rank.missed for rank in ranks.values()),
        unreadable=sum(rank.unreadable for rank in ranks.values()),
        held=sum(rank.held for rank in ranks.values()),
    )
