"""Whose turn it is: in the order of names, a few at a time, none after a failure, and why one waits."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.wave import Awaited, Budget, Claim, Move, Turn, Wave, listed, next_wave

ONE, TWO = Budget(at_once=1), Budget(at_once=2)
VERIFIED, ROLLED_OUT = Awaited.VERIFIED, Awaited.ROLLED_OUT


def pending(*names: str) -> list[Turn]:
    return [Turn(name, Move.CHANGE) for name in names]


def leaving(*names: str) -> list[Turn]:
    return [Turn(name, Move.TAKE_BACK) for name in names]


def test_the_first_names_come_first_whatever_the_order_of_observation() -> None:
    wave = next_wave(pending("c", "a", "b"), TWO)
    assert (wave.start, wave.waiting) == (("a", "b"), ("c",))
    assert wave.message == "Next: c, when a or b is verified."


def test_a_model_on_its_way_takes_a_place() -> None:
    wave = next_wave([*pending("a"), Turn("b", awaits=VERIFIED)], ONE)
    assert (wave.start, wave.current, wave.waiting) == ((), ("b",), ("a",))
    assert wave.message == "Next: a, when b is verified."


def test_a_model_that_its_owner_rolls_or_that_is_rolled_back_takes_one_too() -> None:
    wave = next_wave([*pending("a"), Turn("b", awaits=ROLLED_OUT), Turn("c", awaits=VERIFIED)], TWO)
    assert wave.start == ()
    assert wave.message == "Next: a, when c is verified or b is rolled out."


def test_what_rolls_anyway_is_changed_in_the_place_that_it_holds() -> None:
    rolling = [Turn(name, Move.CHANGE, awaits=ROLLED_OUT) for name in ("b", "d")]
    wave = next_wave([*pending("a", "c"), *rolling], ONE)
    assert (wave.start, wave.waiting) == (("b",), ("a", "c", "d"))
    assert wave.in_flight == ("b", "d")
    wave = next_wave([*rolling, Turn("z", awaits=VERIFIED)], ONE)
    assert (wave.start, wave.message) == ((), "Next: b, when z is verified.")


def test_what_rolls_anyway_is_taken_back_at_once() -> None:
    rolling = [Turn(name, Move.TAKE_BACK, awaits=ROLLED_OUT) for name in ("b", "d")]
    wave = next_wave([*leaving("a"), *rolling], ONE)
    assert (wave.take_back, wave.waiting) == (("b", "d"), ("a",))


def test_what_only_may_roll_waits_for_its_place() -> None:
    unseen = Turn("b", Move.TAKE_BACK, awaits=ROLLED_OUT, certain=False)
    assert next_wave([Turn("a", awaits=ROLLED_OUT), unseen], ONE).take_back == ()
    assert next_wave([unseen], ONE).take_back == ("b",)


def test_what_restarts_no_pod_needs_no_place() -> None:
    marked = Turn("z", Move.CHANGE, restarts=False)
    wave = next_wave([*pending("a", "b"), marked], ONE)
    assert (wave.start, wave.waiting) == (("a", "z"), ("b",))


def test_a_failure_stops_the_wave_and_is_named() -> None:
    views = [*pending("a"), Turn("b", awaits=VERIFIED), Turn("z", failed=True)]
    wave = next_wave(views, Budget(at_once=9))
    assert (wave.start, wave.current, wave.waiting) == ((), ("b",), ("a",))
    assert wave.message == "Stopped: z failed. Repair it to go on."


def test_taking_back_comes_first_and_is_not_stopped_by_a_failure() -> None:
    turns = [*pending("a"), *leaving("m", "n"), Turn("z", failed=True)]
    wave = next_wave(turns, ONE)
    assert (wave.take_back, wave.start, wave.waiting) == (("m",), (), ("n", "a"))
    assert wave.message == "Next: n (taken back), when m is rolled out."


def test_changes_and_taking_back_share_the_places() -> None:
    wave = next_wave([*pending("a", "b"), *leaving("m")], TWO)
    assert (wave.take_back, wave.start, wave.waiting) == (("m",), ("a",), ("b",))
    assert wave.message == "Next: b, when a is verified or m is rolled out."


def test_a_paused_object_starts_nothing() -> None:
    wave = next_wave([*pending("a"), *leaving("m")], Budget(at_once=5, paused=True))
    assert wave == Wave(waiting=("m", "a"), message="Paused: nothing is changed.")


def test_at_rest_it_says_nothing() -> None:
    assert next_wave([Turn("a"), Turn("b", failed=True)], ONE) == Wave()


# The places of all objects together.


def test_models_of_other_objects_take_common_places() -> None:
    budget = Budget(at_once=5, cap=3, elsewhere=("t/x", "t/y"))
    wave = next_wave(pending("a", "b"), budget)
    assert (wave.start, wave.waiting, wave.waits_for_others) == (("a",), ("b",), True)
    assert wave.message == (
        "b waits: the operator restarts at most 3 models at once, and on their way are t/x, t/y and a."
    )


def test_the_objects_own_limit_is_named_before_the_common_one() -> None:
    wave = next_wave(pending("a", "b"), Budget(at_once=1, cap=1))
    assert wave.message == "Next: b, when a is verified."
    assert not wave.waits_for_others


def test_who_holds_up_only_its_own_object_takes_no_common_place() -> None:
    idle = Turn("z", awaits=Awaited.TRAFFIC, common=False)
    wave = next_wave([idle, *pending("a", "b", "c")], Budget(at_once=3, cap=2))
    assert (wave.start, wave.waiting, wave.common) == (("a", "b"), ("c",), ("a", "b"))
    assert wave.message == "Next: c, when a or b is verified or z is verified by a first prompt."


def test_nothing_is_started_while_it_is_unknown_what_others_do() -> None:
    unheard = Budget(at_once=5, cap=3, unheard=("t/kv",))
    wave = next_wave([*pending("a"), Turn("b", Move.CHANGE, awaits=ROLLED_OUT)], unheard)
    assert (wave.start, wave.waiting, wave.waits_for_others) == ((), ("a", "b"), True)
    assert "looks at t/kv first" in wave.message
    assert next_wave(pending("a"), Budget(at_once=5, unheard=("t/kv",))).start == ("a",)


@pytest.mark.parametrize(
    ("other", "starts"),
    [
        (Claim(1, 0, "t/kv"), ("a",)),  # has more on their way
        (Claim(0, 5, "t/kv"), ()),  # had its turn longer ago
        (Claim(0, 10, "t/kv"), ("a",)),
        (Claim(0, 9, "t/kv"), ("a",)),  # of the same moment: by name
        (Claim(0, 9, "a/kv"), ()),
    ],
)
def test_a_common_place_goes_to_who_has_fewest_and_waited_longest(
    other: Claim, starts: tuple[str, ...]
) -> None:
    budget = Budget(at_once=2, cap=3, queue=(other,), sync="m/kv", last_change=9)
    wave = next_wave(pending("a"), budget)
    assert wave.start == starts
    assert starts or "it is the turn of" in wave.message


def test_the_last_common_place_is_kept_for_other_namespaces() -> None:
    budget = Budget(at_once=9, cap=4, elsewhere=("m/x",), neighbours=True, sync="m/kv")
    wave = next_wave(pending("a", "b", "c"), budget)
    assert (wave.start, wave.waiting, wave.waits_for_others) == (("a", "b"), ("c",), True)
    assert wave.message == (
        "c waits: the operator restarts at most 4 models at once, at most 3 of them of one namespace, "
        "and on their way are m/x, a and b."
    )
    alone = next_wave(pending("a", "b", "c"), replace(budget, neighbours=False))
    assert alone.start == ("a", "b", "c")
    lowest = Budget(at_once=9, cap=1, neighbours=True, sync="m/kv")
    assert next_wave(pending("a", "b"), lowest).start == ("a",)


@pytest.mark.parametrize(
    ("elsewhere", "other", "starts"),
    [
        (("m/x", "m/y"), Claim(1, 9, "t/kv"), ()),  # its namespace has more on their way
        (("m/x", "t/x"), Claim(0, 0, "t/kv"), ()),  # as many: by the object
        (("m/x", "t/x", "t/y"), Claim(0, 0, "t/kv"), ("a",)),
        (("m/x", "m/y"), Claim(1, 0, "m/other"), ("a",)),  # of one namespace: by the object
        (("m/x", "m/y"), Claim(0, 0, "m/other"), ()),
    ],
)
def test_objects_gain_no_place_by_their_number(
    elsewhere: tuple[str, ...], other: Claim, starts: tuple[str, ...]
) -> None:
    budget = Budget(
        at_once=9, cap=8, elsewhere=elsewhere, queue=(other,), sync="m/kv", last_change=1
    )
    assert next_wave(pending("a"), budget).start == starts


def test_a_list_of_names_is_short() -> None:
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(list("abcdefg"), "or") == "a, b, c, d, e or 2 more"


TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from("abcdefgh"),
        st.none() | st.sampled_from(Move),
        st.none() | st.sampled_from(Awaited),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    unique_by=lambda turn: turn.name,
)
BUDGETS = st.builds(
    Budget,
    at_once=st.integers(1, 4),
    cap=st.integers(0, 4),
    elsewhere=st.lists(st.sampled_from(["m/x", "m/y", "t/y", "t/z"]), unique=True).map(tuple),
    unheard=st.sampled_from([(), ("t/kv",)]),
    queue=st.lists(
        st.builds(Claim, st.integers(0, 2), st.integers(0, 2), st.sampled_from(["t/kv", "m/other"]))
    ).map(tuple),
    neighbours=st.booleans(),
    sync=st.just("m/kv"),
    last_change=st.integers(0, 2),
    paused=st.booleans(),
)


@given(turns=TURNS, budget=BUDGETS, seed=st.integers(0, 99))
def test_never_more_than_allowed_nobody_is_forgotten_and_the_order_of_observation_does_not_matter(
    turns: list[Turn], budget: Budget, seed: int
) -> None:
    wave = next_wave(turns, budget)
    by_name = {turn.name: turn for turn in turns}
    moves = {turn.name for turn in turns if turn.move}
    started = {*wave.start, *wave.take_back}
    assert started | {*wave.waiting} == moves
    assert len(wave.start) + len(wave.take_back) + len(wave.waiting) == len(moves)
    restarted = {name for name in started if by_name[name].restarts}
    healed = {name for name in wave.take_back if by_name[name].awaits}
    moved = restarted | {turn.name for turn in turns if turn.awaits and not turn.move}
    if restarted - healed:
        assert len(moved - healed) <= budget.at_once
        shared = {name for name in moved - healed if by_name[name].common}
        started_common = {name for name in restarted - healed if by_name[name].common}
        assert not budget.cap or len(shared) + len(budget.elsewhere) <= budget.cap + (
            not started_common
        ) * len(moved)
        assert not (budget.cap and budget.unheard)
        kin = [name for name in budget.elsewhere if name.startswith("m/")]
        if budget.neighbours and budget.cap > 1 and started_common:
            assert len(shared) + len(kin) < budget.cap
    assert not wave.start or not any(turn.failed for turn in turns)
    assert bool(wave.message) is bool(wave.waiting)
    shuffled = [*turns]
    random.Random(seed).shuffle(shuffled)
    assert next_wave(shuffled, budget) == wave
