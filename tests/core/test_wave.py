"""Whose turn it is: in the order of names, a few at a time, none after a failure."""

from hypothesis import given
from hypothesis import strategies as st

from core.objects import Json
from kvsync.core.assess import ModelState, ModelView
from kvsync.core.wave import Wave, next_wave

IN_FLIGHT = {ModelState.ROLLING_OUT, ModelState.VERIFYING}


def views(**states: ModelState) -> list[ModelView]:
    return [ModelView(name, state, "", "") for name, state in states.items()]


def test_the_first_names_come_first_whatever_the_order_of_observation() -> None:
    wave = next_wave(
        views(c=ModelState.PENDING, a=ModelState.PENDING, b=ModelState.PENDING), max_concurrent=2
    )
    assert wave == Wave(("a", "b"), (), ("c",), "Next: c, when a, b is verified.")


def test_a_model_on_its_way_takes_a_place() -> None:
    for state in IN_FLIGHT:
        wave = next_wave(views(a=ModelState.PENDING, b=state), max_concurrent=1)
        assert wave == Wave((), ("b",), ("a",), "Next: a, when b is verified.")


def test_a_failure_stops_the_wave_and_is_named() -> None:
    wave = next_wave(
        views(a=ModelState.PENDING, b=ModelState.VERIFYING, z=ModelState.FAILED), max_concurrent=9
    )
    assert wave == Wave((), ("b",), ("a",), "Stopped: z failed. Repair it to go on.")


def test_refused_and_degraded_models_hold_nobody_up() -> None:
    wave = next_wave(
        views(a=ModelState.REFUSED, b=ModelState.DEGRADED, c=ModelState.PENDING), max_concurrent=1
    )
    assert wave == Wave(("c",), (), (), "")


def test_at_rest_it_says_nothing() -> None:
    assert next_wave(views(a=ModelState.READY, b=ModelState.FAILED), 1) == Wave((), (), (), "")


STATES: st.SearchStrategy[Json] = st.dictionaries(
    st.sampled_from("abcdefgh"), st.sampled_from(ModelState), max_size=8
)


@given(states=STATES, max_concurrent=st.integers(1, 4))
def test_never_more_than_allowed_and_nobody_is_forgotten(states: Json, max_concurrent: int) -> None:
    wave = next_wave(views(**states), max_concurrent)
    pending = {name for name, state in states.items() if state is ModelState.PENDING}
    assert {*wave.start, *wave.waiting} == pending
    assert len(wave.start) + len(wave.waiting) == len(pending)
    assert not wave.start or len(wave.start) + len(wave.current) <= max_concurrent
    assert not wave.start or ModelState.FAILED not in states.values()
    assert bool(wave.message) is bool(wave.waiting)
