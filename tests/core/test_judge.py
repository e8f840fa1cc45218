"""From what was seen of a source and the time to a verdict: never too early, never without a way out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.judge import Policy, judge
from kvsync.model.source import Failure, Observation, SourceKey, SourceReason, Target, Verdict

KEY = SourceKey("default", "pod", "uid")
TARGET = Target(KEY, "10.0.0.1", 5557, 5558, "kv")
PASSIVE = Target(KEY, "10.0.0.1", 5557, 5558, "kv", active_check=False)
NO_REPLAY = Target(KEY, "10.0.0.1", 5557, 0, "kv")
POLICY = Policy()
NOW = 1_000.0
HEALTHY = {SourceReason.IDLE, SourceReason.PUBLISHING}


def judged(seen: Observation | None, target: Target = TARGET, now: float = NOW) -> Verdict:
    return judge(target, seen, now, POLICY)


def connected(**seen: float | str | None) -> Observation:
    """A source whose handshake stands since long ago."""
    fields = {"since": 0.0, "handshake_at": 1.0, **seen}
    return Observation(**fields)  # type: ignore[arg-type]


def holds(verdict: Verdict) -> tuple[SourceReason, bool, bool]:
    return verdict.reason, verdict.verified, verdict.settled


CONNECTING = (SourceReason.CONNECTING, False, False)


@pytest.mark.parametrize("seen", [None, Observation(since=0.0)])
def test_before_anything_was_seen_it_is_too_early_to_tell(seen: Observation | None) -> None:
    assert holds(judged(seen)) == CONNECTING


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Failure.REFUSED, SourceReason.PORT_CLOSED),
        (Failure.TIMED_OUT, SourceReason.UNREACHABLE),
        (Failure.NOT_ZMQ, SourceReason.NOT_ZMQ),
        (Failure.WRONG_TYPE, SourceReason.WRONG_SOCKET_TYPE),
        (Failure.AUTH, SourceReason.AUTH_REQUIRED),
        (Failure.LOST, SourceReason.STALE),
    ],
)
def test_a_failure_counts_after_the_grace_and_has_a_remedy(
    failure: Failure, reason: SourceReason
) -> None:
    seen = Observation(since=NOW, failure=failure, failed_at=NOW)
    assert holds(judged(seen, now=NOW + POLICY.grace - 0.1)) == CONNECTING
    verdict = judged(seen, now=NOW + POLICY.grace)
    assert holds(verdict) == (reason, False, True)
    assert "10.0.0.1:5557" in verdict.message
    assert verdict.remedy


def test_a_lost_connection_has_its_grace_from_the_loss() -> None:
    seen = connected(failure=Failure.LOST, failed_at=NOW - 1)
    assert holds(judged(seen)) == CONNECTING
    assert judged(seen, now=NOW + POLICY.grace).reason is SourceReason.STALE


def test_a_refusal_after_a_connection_counts_from_the_beginning() -> None:
    # Only a loss is news; what refuses for long has had its grace.
    seen = connected(failure=Failure.REFUSED, failed_at=NOW - 1)
    assert judged(seen).reason is SourceReason.PORT_CLOSED


def test_an_answer_of_the_replay_socket_proves_an_idle_source() -> None:
    seen = connected(replay_asked_at=NOW - 2, replay_answered_at=NOW - 1)
    assert holds(judged(seen)) == (SourceReason.IDLE, True, True)


def test_the_proof_ages() -> None:
    seen = connected(replay_asked_at=NOW, replay_answered_at=NOW)
    assert judged(seen, now=NOW + POLICY.replay).verified
    assert not judged(seen, now=NOW + POLICY.replay + 0.1).verified


def test_batches_make_it_publishing_until_they_are_old() -> None:
    seen = connected(
        last_batch_at=NOW, last_sequence=7, replay_asked_at=NOW, replay_answered_at=NOW
    )
    assert holds(judged(seen)) == (SourceReason.PUBLISHING, True, True)
    assert "sequence 7" in judged(seen).message
    alone = connected(last_batch_at=NOW)
    at_last = NOW + POLICY.publishing
    assert judged(alone, PASSIVE, at_last).reason is SourceReason.PUBLISHING
    assert judged(alone, PASSIVE, at_last + 0.1).reason is SourceReason.IDLE


@pytest.mark.parametrize("target", [PASSIVE, NO_REPLAY])
def test_without_an_active_check_only_events_prove(target: Target) -> None:
    assert holds(judged(connected(), target)) == (SourceReason.IDLE, False, True)
    assert judged(connected(last_batch_at=NOW), target).verified


def test_events_without_replay_are_not_enough() -> None:
    # A gateway that starts beside such a pod waits for its replay.
    seen = connected(last_batch_at=NOW, handshake_at=NOW)
    assert holds(judged(seen, now=NOW + POLICY.patience)) == CONNECTING
    verdict = judged(seen, now=NOW + POLICY.patience + 0.1)
    assert holds(verdict) == (SourceReason.REPLAY_MISSING, False, True)
    assert "5558" in verdict.message


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (connected(undecodable="no array", wrong_topic="x"), SourceReason.UNDECODABLE),
        (connected(wrong_topic="x"), SourceReason.WRONG_TOPIC),
    ],
)
def test_wrong_content_outweighs_any_proof(seen: Observation, reason: SourceReason) -> None:
    verdict = judged(seen)
    assert holds(verdict) == (reason, False, True)
    assert verdict.remedy


TIMES = st.none() | st.floats(0, NOW)
OBSERVATIONS = st.builds(
    Observation,
    since=st.floats(0, NOW),
    handshake_at=TIMES,
    failure=st.none() | st.sampled_from(Failure),
    failed_at=TIMES,
    last_batch_at=TIMES,
    last_sequence=st.none() | st.integers(0, 9),
    wrong_topic=st.none() | st.just("x"),
    undecodable=st.none() | st.just("bad"),
    replay_answered_at=TIMES,
)


@given(seen=OBSERVATIONS, target=st.sampled_from([TARGET, PASSIVE, NO_REPLAY]))
def test_a_verdict_is_consistent_whatever_was_seen(seen: Observation, target: Target) -> None:
    verdict = judged(seen, target)
    assert verdict.key == KEY
    assert verdict.message
    assert verdict.settled is (verdict.reason is not SourceReason.CONNECTING)
    assert verdict.reason in HEALTHY or not verdict.verified
    # What is broken comes with a way out; what is healthy or too early to tell needs none.
    assert bool(verdict.remedy) is (verdict.settled and verdict.reason not in HEALTHY)
    assert not verdict.verified or (seen.handshake_at is not None and seen.failure is None)


@given(seen=OBSERVATIONS, later=st.floats(0, 10_000))
def test_time_alone_never_proves_a_source(seen: Observation, later: float) -> None:
    assert judged(seen).verified or not judged(seen, now=NOW + later).verified
