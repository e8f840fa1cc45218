"""Verdicts on a source behind a relay: both sides are judged, and nothing is verified unseen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.observations import OBSERVATIONS
from core.relay_looks import engine, healthy, later, look, rank, relay, weighed
from core.test_judge import NOW, POLICY, TARGET, busy, connected, proven
from kvsync.core.judge import judge
from kvsync.core.relaying import unanswered
from kvsync.core.steady import steady
from kvsync.core.targets import trusted
from kvsync.model.relaying import RelayFlaw, Relaying
from kvsync.model.source import (
    ACTIVE,
    HEALTHY,
    EventCounts,
    Failure,
    Observation,
    SourceReason,
    Traffic,
    Verdict,
)

R = SourceReason
BEHIND = replace(TARGET, relay_port=5656, http_port=8000)
AWAY = rank(connected=False)
STORED = EventCounts(stored=3)


def judged(seen: Observation | None, known: Relaying | None, **traffic: Any) -> Verdict:
    said = None if known is None else Traffic(NOW, **traffic, relay=known)
    return judge(BEHIND, seen, NOW, POLICY, said)


def holds(verdict: Verdict) -> tuple[SourceReason, bool, bool]:
    return verdict.reason, verdict.verified, verdict.settled


def refused(**seen: Any) -> Observation:
    return Observation(**{"since": 0.0, "failure": Failure.REFUSED, "failed_at": 1.0, **seen})


WELL = healthy(NOW)
ENGINE_AWAY = [look(NOW - 10.0 * n, relay(rank(3), AWAY), None, engine(1, 1)) for n in (1, 0)]
GONE = weighed(*ENGINE_AWAY)
LOADING = weighed(*(replace(each, engine=None) for each in ENGINE_AWAY))
LOST = weighed(look(NOW - 30, relay(rank(3))), *(look(NOW - n, relay(AWAY)) for n in (10, 0)))
MUTE = weighed(*(look(NOW - 20 + 10 * n, relay(rank(5)), None, engine(n)) for n in range(3)))
NEVER = unanswered(None, NOW)
NOT_NOW = unanswered(healthy(NOW - 61), NOW)
RESTARTS = weighed(*(look(NOW - 200 + n, relay(rank(), started=n)) for n in (1, 50, 200)))

TABLE: list[tuple[SourceReason, Observation, Relaying | None, bool, str]] = [
    (R.IDLE, proven(), WELL, True, "nothing to say"),
    (R.PUBLISHING, busy(), WELL, True, "publishes"),
    (R.RELAY_DOWN, refused(), NEVER, False, "does not run"),
    (R.RELAY_DOWN, refused(), None, False, "does not run"),
    (R.RELAY_DOWN, connected(failure=Failure.FROZEN, failed_at=NOW), NOT_NOW, False, "is frozen"),
    (R.RELAY_DOWN, busy(), RESTARTS, False, "restarted twice"),
    (R.PORT_CLOSED, refused(), WELL, False, "refuses"),
    (R.UNREACHABLE, refused(failure=Failure.TIMED_OUT), NEVER, False, "does not answer"),
    (
        R.RELAY_UPSTREAM_SILENT,
        busy(),
        GONE,
        False,
        "rank 1 of the engine is not connected to it, al",
    ),
    (
        R.RELAY_UPSTREAM_SILENT,
        proven(),
        LOST,
        False,
        "rank 0 of the engine is not connected to it.",
    ),
    (
        R.RELAY_UPSTREAM_SILENT,
        busy(),
        MUTE,
        False,
        "rank 0 of the engine is connected to the relay",
    ),
    (R.CONNECTING, proven(), LOADING, False, "rank 1 of the engine is not connected to it yet"),
    (R.CONNECTING, busy(), None, False, "asking the relay"),
    (R.PUBLISHING, busy(events=STORED), None, True, "publishes"),
    (R.IDLE, proven(), NEVER, False, "is Unknown: the metrics of its relay on port 5656"),
    (R.IDLE, proven(), NOT_NOW, True, "is Unknown"),
    (R.PUBLISHING, busy(events=STORED), NEVER, True, "is Unknown"),
    (R.PUBLISHING, busy(), NEVER, False, "is Unknown"),
    (R.PUBLISHING, busy(events=STORED), NOT_NOW, True, "is Unknown"),
    (R.IDLE, proven(), later(LOST, answered_at=NOW - 61), False, "is Unknown"),
    (R.REPLAY_MISSING, connected(last_batch_at=NOW, messages=1), WELL, False, "replay port"),
    (R.PUBLISHING, busy(restarts=1, restarted_at=NOW), WELL, True, "publishes"),
    (R.RELAY_LAGGING, busy(), later(WELL, flaws={RelayFlaw.FULL}), True, "its table is full"),
    (R.RELAY_LAGGING, busy(gap_streak=2), later(WELL, flaws={RelayFlaw.LATE}), True, "2 s behind"),
    (R.SEQUENCE_GAP, busy(gap_streak=2), WELL, True, "lost on the way"),
]


@pytest.mark.parametrize(("reason", "seen", "known", "verified", "words"), TABLE)
def test_both_sides_are_judged(
    reason: SourceReason, seen: Observation, known: Relaying | None, verified: bool, words: str
) -> None:
    verdict = judged(seen, known)
    assert holds(verdict) == (reason, verified, reason is not R.CONNECTING)
    assert words in verdict.message
    assert bool(verdict.remedy) is (verdict.settled and reason not in HEALTHY)


def test_what_cannot_be_asked_is_unknown_and_takes_nothing_from_a_model_that_was_verified() -> None:
    verdict = judged(proven(), NEVER)
    assert (verdict.verified, verdict.settled, verdict.unknown) == (False, True, True)
    assert holds(trusted(verdict)) == (R.IDLE, True, True)
    for known in (WELL, GONE, LOADING):
        assert not judged(proven(), known).unknown
    gone = judged(proven(), GONE)
    assert trusted(gone) == gone


def test_removals_prove_no_engine() -> None:
    # A relay says those of the relay before it, whoever is behind it.
    removals = busy(events=EventCounts(removed=3))
    assert not judged(removals, NEVER).verified


def test_a_first_refusal_has_its_grace_as_without_a_relay() -> None:
    assert judged(refused(since=NOW - 1, failed_at=NOW - 1), NEVER).reason is R.CONNECTING


def test_all_flaws_are_told_with_each_remedy_once() -> None:
    verdict = judged(busy(), later(WELL, flaws=frozenset(RelayFlaw)))
    assert all(
        w in verdict.message for w in ("do not reach", "2 s behind", "cannot read", "too slow")
    )
    assert verdict.remedy.count("limits.cpu") == 1


def test_a_prefix_cache_that_is_off_is_told_where_the_relay_never_heard_a_message() -> None:
    greeted = busy(
        last_batch_at=NOW - 30
    )  # what the relay says to a new reader is not the engine's
    silent = later(WELL, heard=False)
    assert judged(greeted, silent, prefix_caching=False).reason is R.PREFIX_CACHING_OFF
    assert judged(greeted, WELL, prefix_caching=False).reason is R.PUBLISHING
    assert judged(greeted, NEVER, prefix_caching=None).reason is R.PUBLISHING


def test_many_ranks_are_not_all_named() -> None:
    looks = [look(NOW - n, relay(*[AWAY] * 64), None, engine(*[1] * 64)) for n in (1, 0)]
    verdict = judged(proven(), weighed(*looks))
    assert "ranks 0, 1, 2, 3, 4, 5, 6, 7, … of the engine are not connected" in verdict.message


def test_a_lookless_moment_changes_nothing_of_what_was_held() -> None:
    good = judged(busy(), WELL)
    assert steady(good, judged(busy(), LOADING)).verified
    bad = judged(busy(), GONE)
    assert steady(bad, judged(busy(), None)).reason is R.RELAY_UPSTREAM_SILENT


RELAYINGS = st.builds(
    Relaying,
    looked_at=st.floats(0, NOW),
    answered_at=st.none() | st.floats(0, NOW),
    missing=st.lists(st.integers(0, 63), max_size=3, unique=True).map(tuple),
    missing_looks=st.integers(0, 3),
    serving=st.booleans(),
    connected_once=st.booleans(),
    heard=st.booleans(),
    silent=st.dictionaries(st.integers(0, 63), st.integers(1, 3), max_size=3),
    silent_tokens=st.integers(0, 1 << 53),
    flaws=st.frozensets(st.sampled_from(list(RelayFlaw))),
    restarts=st.lists(st.floats(0, NOW), max_size=2).map(sorted).map(tuple),
)


@given(OBSERVATIONS, st.none() | RELAYINGS)
def test_never_verified_unseen_and_never_a_fault_without_a_way_out(
    seen: Observation, known: Relaying | None
) -> None:
    verdict = judged(seen, known)
    if verdict.verified:
        assert verdict.reason in HEALTHY | ACTIVE
        came = seen.events.stored > 0
        assert came or (known is not None and known.connected_once)
    if verdict.settled and verdict.reason not in HEALTHY:
        assert verdict.remedy


@given(OBSERVATIONS, RELAYINGS)
def test_metrics_that_cannot_be_reached_raise_no_alarm(seen: Observation, known: Relaying) -> None:
    unknown = later(known, answered_at=None, restarts=())
    of_relays = {R.RELAY_UPSTREAM_SILENT, R.RELAY_LAGGING}
    assert judged(seen, unknown).reason not in of_relays
