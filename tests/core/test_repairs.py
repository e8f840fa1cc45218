"""Repairs are counted by two copies that an opponent may wipe, and never are too many."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.repairs import LIMIT, PAUSES, WINDOW, count, one_more, settled
from kvsync.model.repairs import Repairs

TERMS = "terms"


def made(*times: int, by: str = "someone", terms: str = TERMS) -> Repairs:
    return Repairs(terms, times, by)


def next_at(*times: int, now: float, on_object: bool = False) -> int | None:
    copy = made(*times)
    on, told = (copy, None) if on_object else (None, copy)
    return count(on, told, TERMS, now).next_at


def test_the_first_one_comes_at_once() -> None:
    assert count(None, None, TERMS, 5_000.7).next_at == 5_000
    assert count(None, None, TERMS, 5_000.7).number == 1


def test_the_next_ones_wait_longer_each_time() -> None:
    assert next_at(5_000, now=5_001) == 5_000 + PAUSES[1]
    assert next_at(5_000, 5_015, now=5_016) == 5_015 + PAUSES[2]


def test_after_the_last_one_time_alone_changes_nothing() -> None:
    for now in (5_061, 5_000 + WINDOW, 5_000 + 100 * WINDOW):
        assert next_at(5_000, 5_015, 5_060, now=now) is None


def test_three_that_are_far_apart_are_no_war() -> None:
    times = (5_000, 5_000 + WINDOW // 2, 5_000 + WINDOW)
    assert next_at(*times, now=times[-1] + 900) is not None


def test_what_is_settled_for_the_window_is_forgotten() -> None:
    assert settled(made(5_000), 5_000 + WINDOW - 1) == made(5_000)
    assert settled(made(5_000), 5_000 + WINDOW) is None
    assert settled(made(), 5_000) is None


def test_old_times_on_the_object_are_left_over() -> None:
    times = (5_000, 5_015, 5_060)
    assert next_at(*times, now=5_100, on_object=True) is None
    assert next_at(*times, now=5_060 + WINDOW, on_object=True) == 5_060 + WINDOW


def test_other_terms_begin_anew() -> None:
    old = made(5_000, 5_015, 5_060, terms="before")
    counted = count(old, old, TERMS, 5_061)
    assert (counted.next_at, counted.made) == (5_061, Repairs(TERMS))


def test_both_copies_count_and_the_same_repair_once() -> None:
    # kubectl rollout undo brought an old annotation back; a crash lost the last status.
    assert count(made(5_000), made(5_000, 5_015), TERMS, 5_016).made.times == (5_000, 5_015)
    assert count(made(5_000, 5_015), made(5_000), TERMS, 5_016).made.times == (5_000, 5_015)


def test_nonsense_from_the_future_does_not_count() -> None:
    assert count(made(2**39), None, TERMS, 5_000).next_at == 5_000
    assert count(made(5_900, 5_901, 5_902), None, TERMS, 5_000).next_at is None, "a clock set back"


def test_two_in_one_second_are_two() -> None:
    assert one_more(made(5_000), 5_000.5, "x").times == (5_000, 5_001)
    assert one_more(made(5_000), 5_000.5, "x").by == "x"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_number_of_the_next_one(number: int) -> None:
    times = tuple(5_000 + 100 * n for n in range(number - 1))
    assert count(None, made(*times), TERMS, 5_400).number == number


STEPS = st.lists(
    st.tuples(st.integers(0, 2_400), st.sampled_from(["keeps", "wipes", "brings back"])),
    max_size=60,
)


@given(STEPS, st.booleans())
def test_never_more_than_three_within_the_window(steps: list[tuple[int, str]], slow: bool) -> None:
    """Whoever undoes ours, whenever, and whatever becomes of the object's copy."""
    now, times = 100_000.0, []
    on_object: Repairs | None = None
    in_status: Repairs | None = None
    older: list[Repairs | None] = [None]
    for wait, opponent in steps:
        now += wait if slow else wait / 60
        counted = count(on_object, in_status, TERMS, now)
        if counted.next_at is not None and now >= counted.next_at:
            # The status is written first; the object's copy with the repair.
            in_status = on_object = one_more(counted.made, now, "x")
            times.append(now)
            older.append(on_object)
        if opponent != "keeps":
            on_object = older[0] if opponent == "wipes" else older[len(older) // 2]
    for first in times:
        assert len([t for t in times if first <= t < first + WINDOW]) <= LIMIT


@given(STEPS)
def test_a_copy_alone_holds_the_bound_too(steps: list[tuple[int, str]]) -> None:
    """The status may be lost as a whole, as when its object is made anew with the same uid."""
    now, times = 100_000.0, []
    on_object: Repairs | None = None
    for wait, _ in steps:
        now += wait
        counted = count(on_object, None, TERMS, now)
        if counted.next_at is not None and now >= counted.next_at:
            on_object = one_more(counted.made, now, "x")
            times.append(now)
    for first in times:
        assert len([t for t in times if first <= t < first + WINDOW]) <= LIMIT


def test_who_it_was_is_kept_with_the_newest_count() -> None:
    told, kept = made(5_000, by="Argo CD"), made(5_000, by="")
    assert count(kept, told, TERMS, 5_001).made.by == "Argo CD"
    assert count(told, None, TERMS, 5_001).made.by == "Argo CD"
    assert count(replace(told, terms="old"), None, TERMS, 5_001).made.by == ""
