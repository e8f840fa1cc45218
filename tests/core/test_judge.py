"""From what was seen of a source and the time to a verdict: never too early, never without a way out."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.observations import OBSERVATIONS, TRAFFIC
from kvsync.core.figures import at_least
from kvsync.core.judge import Policy, judge
from kvsync.model.events import EventLayout
from kvsync.model.source import (
    ACTIVE,
    HEALTHY,
    Failure,
    Observation,
    SourceKey,
    SourceReason,
    Target,
    Traffic,
    Verdict,
)

KEY = SourceKey("default", "pod", "uid")
TARGET = Target(KEY, "10.0.0.1", 5557, 5558, "kv")
PASSIVE = Target(KEY, "10.0.0.1", 5557, 5558, "kv", active_check=False)
NO_REPLAY = Target(KEY, "10.0.0.1", 5557, 0, "kv")
POLICY = Policy()
NOW = 1_000.0
R = SourceReason


def judged(
    seen: Observation | None,
    target: Target = TARGET,
    now: float = NOW,
    traffic: Traffic | None = None,
) -> Verdict:
    return judge(target, seen, now, POLICY, traffic)


def connected(**seen: Any) -> Observation:
    """A source whose handshake stands since long ago."""
    return Observation(**{"since": 0.0, "handshake_at": 1.0, **seen})


def proven(**seen: Any) -> Observation:
    """The same, whose replay socket has just answered."""
    return connected(**{"replay_answered_at": NOW, **seen})


def busy(**seen: Any) -> Observation:
    """The same, with batches that come."""
    return proven(**{"messages": 9, "last_batch_at": NOW, "last_sequence": 7, **seen})


def holds(verdict: Verdict) -> tuple[SourceReason, bool, bool]:
    return verdict.reason, verdict.verified, verdict.settled


CONNECTING = (R.CONNECTING, False, False)
SILENT = Traffic(NOW, prefix_caching=True, silent_windows=2, silent_tokens=4_321)
CACHE_OFF = Traffic(NOW, prefix_caching=False)

TABLE: list[tuple[SourceReason, Observation | None, Traffic | None, str]] = [
    (R.CONNECTING, None, None, "connecting to 10.0.0.1:5557"),
    (R.PORT_CLOSED, Observation(0.0, failure=Failure.REFUSED), None, "refuses"),
    (R.UNREACHABLE, Observation(0.0, failure=Failure.TIMED_OUT), None, "does not answer"),
    (R.NOT_ZMQ, Observation(0.0, failure=Failure.NOT_ZMQ), None, "does not speak ZeroMQ"),
    (R.WRONG_SOCKET_TYPE, Observation(0.0, failure=Failure.WRONG_TYPE), None, "no publisher"),
    (R.AUTH_REQUIRED, Observation(0.0, failure=Failure.AUTH), None, "authentication"),
    (R.STALE, connected(failure=Failure.LOST, failed_at=1.0), None, "the connection is lost"),
    (R.STALE, connected(failure=Failure.FROZEN, failed_at=NOW), None, "no heartbeat"),
    (R.IDLE, proven(), None, "nothing to say"),
    (R.IDLE, proven(), Traffic(NOW, prefix_caching=True, silent_windows=1), "nothing to say"),
    (R.PUBLISHING, busy(rate=12.34), None, "sequence 7, 12.3 batches/s"),
    (R.PUBLISHING, busy(gap_streak=1, missing=5), None, "publishes"),
    (R.PUBLISHING, busy(undecodable="x", undecodable_streak=1), None, "publishes"),
    (R.PUBLISHING, busy(), CACHE_OFF, "publishes"),
    (R.PUBLISHING, busy(last_batch_at=NOW), replace(SILENT, looked_at=NOW - 1), "publishes"),
    (R.ENGINE_RESTARTED, busy(restarts=1, restarted_at=NOW - 60), None, "stale until events come"),
    (R.WRONG_TOPIC, busy(wrong_topic="x"), None, "topic 'x', not 'kv'"),
    (R.UNDECODABLE, proven(undecodable="no array", messages=1, undecoded=1), None, "no array"),
    (R.UNDECODABLE, busy(undecodable="no array", undecodable_streak=2), None, "no array"),
    (R.SEQUENCE_GAP, busy(gap_streak=2, missing=35), None, "at least 10 batches"),
    (R.SEQUENCE_GAP, busy(recent_gaps=2, missing=3), None, "some batches"),
    (R.REPLAY_MISSING, connected(last_batch_at=NOW, messages=1), None, "replay port 5558"),
    (R.REPLAY_MISSING, connected(last_batch_at=NOW, messages=1, gap_streak=2), None, "port 5558"),
    (R.SEQUENCE_GAP, busy(restarts=1, restarted_at=NOW, gap_streak=2), None, "some batches"),
    (R.SILENT_DESPITE_TRAFFIC, proven(), SILENT, "at least 1,000 prompt tokens"),
    (R.SILENT_DESPITE_TRAFFIC, busy(last_batch_at=NOW - 20), SILENT, "sends nothing"),
    (R.PREFIX_CACHING_OFF, proven(), CACHE_OFF, "its prefix cache is off"),
    (R.PROBE_RESTARTED, busy(interrupted_at=NOW), None, "the operator's own process"),
]


@pytest.mark.parametrize(("reason", "seen", "traffic", "words"), TABLE)
def test_each_reason_with_its_evidence_and_a_way_out(
    reason: SourceReason, seen: Observation | None, traffic: Traffic | None, words: str
) -> None:
    verdict = judged(seen, traffic=traffic)
    settled = reason not in (R.CONNECTING, R.PROBE_RESTARTED)
    assert holds(verdict) == (reason, reason in HEALTHY | ACTIVE, settled)
    assert words in verdict.message
    assert bool(verdict.remedy) is (settled and reason not in HEALTHY)


def test_the_table_has_every_reason_that_can_be_seen_of_a_connection() -> None:
    of_pods = {R.NOT_INJECTED, R.NOT_RESTARTED}
    of_relays = {R.RELAY_DOWN, R.RELAY_UPSTREAM_SILENT, R.RELAY_LAGGING}
    assert {reason for reason, *_ in TABLE} == set(SourceReason) - of_pods - of_relays


# Failures


@pytest.mark.parametrize(
    "failure",
    [Failure.REFUSED, Failure.TIMED_OUT, Failure.NOT_ZMQ, Failure.WRONG_TYPE, Failure.AUTH],
)
def test_a_first_failure_counts_after_the_grace(failure: Failure) -> None:
    seen = Observation(since=NOW, failure=failure, failed_at=NOW)
    assert holds(judged(seen, now=NOW + POLICY.grace - 0.1)) == CONNECTING
    assert judged(seen, now=NOW + POLICY.grace).settled


def test_a_lost_connection_has_its_grace_from_the_loss() -> None:
    seen = connected(failure=Failure.LOST, failed_at=NOW - 1)
    assert holds(judged(seen)) == CONNECTING
    assert judged(seen, now=NOW + POLICY.grace).reason is R.STALE


@pytest.mark.parametrize(
    ("failure", "reason"), [(Failure.REFUSED, R.PORT_CLOSED), (Failure.FROZEN, R.STALE)]
)
def test_what_has_its_second_proof_counts_at_once(failure: Failure, reason: SourceReason) -> None:
    # A killed engine: lost, and then refused. A frozen one had the time of a heartbeat.
    seen = Observation(since=NOW, handshake_at=NOW, failure=failure, failed_at=NOW)
    assert holds(judged(seen)) == (reason, False, True)


# Proofs


def test_an_answer_of_the_replay_socket_proves_an_idle_source_until_it_is_old() -> None:
    assert judged(proven(), now=NOW + 10 * POLICY.replay).verified
    assert judged(proven(), now=NOW + 10 * POLICY.replay + 0.1).reason is R.REPLAY_MISSING


def test_batches_make_it_publishing_until_they_are_old() -> None:
    at_last = NOW + POLICY.publishing
    alone = connected(last_batch_at=NOW, messages=1)
    assert judged(alone, PASSIVE, at_last).reason is R.PUBLISHING
    assert judged(alone, PASSIVE, at_last + 0.1).reason is R.IDLE


@pytest.mark.parametrize("target", [PASSIVE, NO_REPLAY])
def test_without_an_active_check_only_events_of_this_connection_prove(target: Target) -> None:
    assert holds(judged(connected(), target)) == (R.IDLE, False, True)
    heard = connected(last_batch_at=2.0, messages=1)
    assert holds(judged(heard, target)) == (R.IDLE, True, True)
    anew = replace(heard, handshake_at=3.0)
    assert holds(judged(anew, target)) == (R.IDLE, False, True)


def test_events_without_replay_are_not_enough() -> None:
    # A gateway that starts beside such a pod waits for its replay.
    seen = connected(last_batch_at=NOW, handshake_at=NOW, messages=1)
    assert holds(judged(seen, now=NOW + POLICY.patience)) == CONNECTING
    verdict = judged(seen, now=NOW + POLICY.patience + 0.1)
    assert holds(verdict) == (R.REPLAY_MISSING, False, True)


def test_a_restart_is_news_for_a_while_and_verified_like_any_other() -> None:
    seen = busy(restarts=1, restarted_at=NOW)
    later = NOW + POLICY.restarted + 0.1
    assert judged(seen, PASSIVE, later).reason is R.IDLE
    unanswered = replace(seen, replay_answered_at=None)
    assert judged(unanswered).reason is R.REPLAY_MISSING


def test_gaps_of_a_publisher_that_has_fallen_silent_are_no_news() -> None:
    assert judged(proven(gap_streak=9, last_batch_at=NOW - 61, messages=9)).reason is R.IDLE


# What the metrics say


def test_old_metrics_prove_neither_guilt_nor_innocence() -> None:
    seen = proven(last_batch_at=2.0, messages=1)
    assert judged(seen, traffic=SILENT).reason is R.SILENT_DESPITE_TRAFFIC
    old = replace(SILENT, looked_at=NOW - POLICY.traffic - 1)
    assert holds(judged(seen, traffic=old)) == CONNECTING


def test_a_batch_acquits() -> None:
    seen = busy(last_batch_at=NOW + 0.1)
    assert judged(seen, now=NOW + 0.1, traffic=SILENT).reason is R.PUBLISHING


def test_a_count_that_grows_does_not_change_the_message_with_each_look() -> None:
    assert [at_least(n) for n in (0, 9, 10, 99, 1_000, 54_321)] == [
        *("some", "some", "at least 10", "at least 10", "at least 1,000", "at least 10,000")
    ]


# Always


TARGETS = st.sampled_from([TARGET, PASSIVE, NO_REPLAY])


@given(seen=OBSERVATIONS, target=TARGETS, traffic=TRAFFIC)
def test_a_verdict_is_consistent_whatever_was_seen(
    seen: Observation, target: Target, traffic: Traffic | None
) -> None:
    verdict = judged(seen, target, traffic=traffic)
    assert verdict.key == KEY
    assert verdict.message
    assert (verdict.layout, verdict.block_size) == (seen.layout, seen.block_size)
    assert verdict.settled is (verdict.reason not in (R.CONNECTING, R.PROBE_RESTARTED))
    assert not verdict.verified or (verdict.settled and verdict.reason in HEALTHY | ACTIVE)
    # What is broken comes with a way out; what is healthy or too early to tell needs none.
    assert bool(verdict.remedy) is (verdict.settled and verdict.reason not in HEALTHY)
    assert not verdict.verified or (seen.handshake_at is not None and seen.failure is None)


@given(seen=OBSERVATIONS, later=st.floats(0, 10_000), target=TARGETS, traffic=TRAFFIC)
def test_time_alone_never_proves_a_source(
    seen: Observation, later: float, target: Target, traffic: Traffic | None
) -> None:
    before = judged(seen, target, traffic=traffic)
    assert before.verified or not judged(seen, target, NOW + later, traffic).verified


@given(seen=OBSERVATIONS, target=TARGETS, traffic=TRAFFIC)
def test_one_lost_sample_changes_no_verdict(
    seen: Observation, target: Target, traffic: Traffic | None
) -> None:
    good = replace(
        seen, undecodable=None, undecodable_streak=0, undecoded=0, messages=20, gap_streak=0
    )
    good = replace(good, recent_gaps=0)
    lossy = replace(good, gap_streak=1, recent_gaps=1, missing=seen.missing + 3)
    garbled = replace(good, undecodable="bad", undecodable_streak=1, undecoded=8, messages=28)
    expected = holds(judged(good, target, traffic=traffic))
    assert holds(judged(lossy, target, traffic=traffic)) == expected
    assert holds(judged(garbled, target, traffic=traffic)) == expected


def test_layout_and_block_size_are_those_off_the_wire() -> None:
    verdict = judged(busy(layout=EventLayout.MAP, block_size=32))
    assert (verdict.layout, verdict.block_size) == (EventLayout.MAP, 32)


@pytest.mark.parametrize(
    ("seen", "target", "answers"),
    [
        (proven(), TARGET, True),
        # What else is wrong with it does not make a gateway wait.
        (proven(wrong_topic="x"), TARGET, True),
        (proven(undecodable="x", undecoded=1, messages=1), TARGET, True),
        (connected(), TARGET, False),
        (busy(replay_answered_at=None), TARGET, False),
        (busy(replay_answered_at=None), PASSIVE, True),
        (connected(), PASSIVE, False),
        (proven(failure=Failure.LOST, failed_at=NOW), TARGET, False),
        (proven(interrupted_at=NOW), TARGET, False),
        (proven(handshake_at=None), TARGET, False),
        (None, TARGET, False),
    ],
)
def test_who_answers_is_who_a_starting_gateway_need_not_wait_for(
    seen: Observation | None, target: Target, answers: bool
) -> None:
    assert judged(seen, target).answers is answers


def test_a_silent_engine_that_answers_a_replay_stalls_nobody() -> None:
    traffic = Traffic(looked_at=NOW, silent_windows=2, silent_tokens=500)
    verdict = judged(proven(subscribed_at=1.0), traffic=traffic)
    assert (verdict.reason, verdict.verified, verdict.answers) == (
        R.SILENT_DESPITE_TRAFFIC,
        False,
        True,
    )
