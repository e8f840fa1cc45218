"""What a few messages tell: numbers that hold whatever the engine says, in bounded size."""

import math

from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.tally import Tally
from kvsync.model.events import (
    AllBlocksCleared,
    Batch,
    BlockRemoved,
    EventLayout,
    KVEvent,
    UnknownEvent,
)


def batch(sequence: int, time: float, *events: KVEvent) -> Batch:
    return Batch("t", sequence, time, events)


def told(*batches: Batch) -> Tally:
    tally = Tally()
    for number, each in enumerate(batches):
        tally.take(each, 100.0 + number)
    return tally


def test_the_rate_counts_batches_that_were_not_seen() -> None:
    tally = told(batch(10, 98.0), batch(50, 100.0))
    assert (tally.rate, tally.first_sequence, tally.batches) == (20.0, 10, 2)
    assert (tally.lag, tally.began_at) == (1.0, 100.0)


def test_the_layout_is_of_the_last_batch_that_had_an_event() -> None:
    first = Batch("t", 0, 1.0, (AllBlocksCleared(),), layout=EventLayout.MAP)
    assert told(first, batch(1, 2.0)).layout is EventLayout.MAP


def test_a_restarted_engine_is_counted_anew() -> None:
    tally = told(batch(50, 90.0), batch(0, 95.0), batch(3, 96.5))
    assert (tally.rate, tally.first_sequence) == (2.0, 0)


def test_one_batch_or_a_clock_that_stands_has_no_rate() -> None:
    assert told().rate is None
    assert told(batch(1, 1.0)).rate is None
    assert told(batch(1, 1.0), batch(2, 1.0)).rate is None
    assert told(batch(1, 2.0), batch(2, 1.0)).rate is None


def test_types_are_counted_and_unknown_ones_bounded() -> None:
    many = [UnknownEvent(f"Kind{number}") for number in range(1000)]
    tally = told(batch(0, 1.0, AllBlocksCleared(), BlockRemoved((1,)), *many))
    assert tally.events["AllBlocksCleared"] == tally.events["BlockRemoved"] == 1
    assert (len(tally.events), tally.events["(others)"]) == (19, 984)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)),
        max_size=4,
    )
)
def test_numbers_are_finite_or_none(sent: list[tuple[int, float]]) -> None:
    tally = told(*(batch(*each) for each in sent))
    for number in (tally.rate, tally.lag):
        assert number is None or math.isfinite(number)
    assert told(batch(0, 0.0), batch(2**64 - 1, 5e-324)).rate is None
