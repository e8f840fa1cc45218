"""What is due when, and that nothing is kept of what is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from kvsync.shell.timetable import Timetable

KEYS = st.integers(0, 4)
TIMES = st.integers(0, 20)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, TIMES),
        st.tuples(st.just("forget"), KEYS, st.just(0)),
        st.tuples(st.just("take"), st.just(0), TIMES),
    ),
    max_size=60,
)


@given(STEPS)
def test_it_is_a_dict_of_times_of_which_the_earliest_is_taken(
    steps: list[tuple[str, int, int]],
) -> None:
    table, plain = Timetable[int](), dict[int, float]()
    for step, key, when in steps:
        if step == "set":
            table.set(key, when)
            plain[key] = when
        elif step == "forget":
            table.forget(key)
            plain.pop(key, None)
        else:
            taken = table.take(when)
            due = [one for one, time in plain.items() if time <= when]
            assert (taken is None) == (not due)
            if taken is not None:
                earliest = min(plain[one] for one in due)
                assert plain.pop(taken) == earliest
        assert len(table) == len(plain)


def test_all_that_are_due_are_taken_in_their_order() -> None:
    table = Timetable[str]()
    for key, when in (("late", 3.0), ("first", 1.0), ("second", 2.0)):
        table.set(key, when)
    assert table.take_all(2.0) == ["first", "second"]
    assert table.take_all(2.0) == []
    assert table.take_all(3.0) == ["late"]


def test_one_that_is_put_off_again_and_again_takes_one_place() -> None:
    table = Timetable[str]()
    for when in range(1000):
        table.set("one", float(when))
    assert len(table._heap) == 1


def test_nothing_is_left_of_what_was_forgotten_once_its_time_is_over() -> None:
    table = Timetable[str]()
    table.set("gone", 1.0)
    table.forget("gone")
    assert table.take(1.0) is None
    assert (table._heap, table._entries, table._times) == ([], {}, {})
