"""What a sample of a publisher says: gaps, restarts, rates and troubles, by sequence and time."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.probe.publishers import batch
from kvsync.adapters.probe.sample import CLOSE, Budget, Sample
from kvsync.model.source import EventCounts, Observation
from kvsync.shell.readers import READERS

PAYLOAD = batch()
READ_ALL = replace(CLOSE, messages=10_000)


def sample(
    sequences: list[int], *, at: float = 0.0, every: float = 0.1, budget: Budget = READ_ALL
) -> Sample:
    made = Sample(budget, "")
    for index, sequence in enumerate(sequences):
        frames = (b"", struct.pack(">Q", sequence), PAYLOAD)
        made.take(frames, 100, readers=READERS, now=at + index * every, wall=1e9)
    return made


def seen(*samples: Sample) -> Observation:
    """What is seen after these, one after the other."""
    observation, gaps = Observation(since=0.0), 0
    for each in samples:
        observation, gaps = each.onto(observation, gaps), each.gaps_after(gaps)
    return observation


def test_a_sample_without_a_message_changes_nothing() -> None:
    assert seen(Sample(READ_ALL, "")) == Observation(since=0.0)


def test_messages_are_counted_and_read() -> None:
    found = seen(sample([5, 6, 7]))
    assert (found.messages, found.octets, found.last_sequence) == (3, 300, 7)
    assert found.events == EventCounts(stored=3)
    assert found.block_size == 16
    assert found.last_batch_at == pytest.approx(0.2)
    assert (found.missing, found.restarts, found.undecodable) == (0, 0, None)


def test_beyond_the_budget_only_sequences_are_read() -> None:
    found = seen(sample(list(range(8)), budget=Budget(read=3)))
    assert found.events == EventCounts(stored=3)
    assert (found.messages, found.last_sequence) == (8, 7)


@pytest.mark.parametrize(
    ("sequences", "missing"),
    [([1, 2, 3], 0), ([1, 3], 1), ([1, 1, 2], 0), ([0, 2**64 - 1], 1 << 32)],
)
def test_gaps_count_inside_of_a_sample(sequences: list[int], missing: int) -> None:
    assert seen(sample(sequences)).missing == missing


def test_between_samples_nothing_is_missing() -> None:
    assert seen(sample([1, 2]), sample([90, 91], at=10)).missing == 0


def test_gaps_are_remembered_by_sample() -> None:
    lossy, whole, single = sample([1, 3]), sample([4, 5]), sample([9])
    assert seen(lossy, lossy).gap_streak == 2
    assert seen(lossy, whole).gap_streak == 0
    assert seen(lossy, whole).recent_gaps == 1
    assert seen(lossy, single, single).gap_streak == 1, "one message shows nothing"
    assert seen(lossy, *[whole] * 7).recent_gaps == 1
    assert seen(lossy, *[whole] * 8).recent_gaps == 0


@pytest.mark.parametrize(
    ("before", "after", "restarts"),
    [([7, 8], [9, 10], 0), ([7, 8], [8], 0), ([7, 8], [0, 1], 1), ([7, 8, 2], [3], 1)],
)
def test_a_sequence_that_falls_is_a_restart(
    before: list[int], after: list[int], restarts: int
) -> None:
    assert seen(sample(before), sample(after, at=10)).restarts == restarts


def test_the_rate_between_samples_is_exact_whatever_was_not_heard() -> None:
    first, second = sample([10, 11], every=0.0), sample([1010, 1011], at=10, every=0.0)
    assert seen(first, second).rate == pytest.approx(100.0)


def test_a_rate_within_one_sample_and_after_a_restart() -> None:
    assert seen(sample([0, 1, 2], every=0.5)).rate == pytest.approx(2.0)
    assert seen(sample([50, 51]), sample([0, 1, 2], at=10, every=0.5)).rate == pytest.approx(2.0)
    assert seen(sample([4])).rate is None


def test_what_cannot_be_read_is_trouble_by_sample() -> None:
    broken = Sample(READ_ALL, "")
    for _ in range(3):
        broken.take((b"", bytes(8), b"\xc1"), 9, readers=READERS, now=1.0, wall=1.0)
    found = seen(broken, broken)
    assert (found.undecoded, found.undecodable_streak) == (6, 2)
    assert found.undecodable
    healed = seen(broken, sample([1, 2]))
    assert (healed.undecodable, healed.undecodable_streak, healed.undecoded) == (None, 0, 3)


def test_a_payload_that_was_stepped_over_is_no_trouble() -> None:
    made = Sample(READ_ALL, "")
    made.take((b"", struct.pack(">Q", 4), None), 1 << 22, readers=READERS, now=1.0, wall=1.0)
    found = seen(made)
    assert (found.last_sequence, found.messages, found.undecodable) == (4, 1, None)


def test_another_topic_is_noted_until_the_right_one_comes() -> None:
    wrong = Sample(READ_ALL, "kv")
    wrong.take((b"other", bytes(8), PAYLOAD), 9, readers=READERS, now=1.0, wall=1.0)
    assert seen(wrong).wrong_topic == "other"
    assert seen(wrong, sample([1])).wrong_topic is None


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=6), max_size=12))
def test_counts_never_fall_and_bounds_hold(runs: list[list[int]]) -> None:
    observation, gaps = Observation(since=0.0), 0
    for number, sequences in enumerate(runs):
        each = sample(sequences, at=number * 10.0)
        after = each.onto(observation, gaps)
        assert after.messages == observation.messages + len(sequences)
        assert after.missing >= observation.missing
        assert after.restarts >= observation.restarts
        assert 0 <= after.recent_gaps <= 8
        assert after.rate is None or after.rate >= 0
        observation, gaps = after, each.gaps_after(gaps)
