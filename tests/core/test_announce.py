"""Events tell of transitions: what came true, what broke, what changed of a model; never a state twice."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.objects import Json, deployment
from core.scenes import decided, gateway_of, model, rolled_out, working
from kvsync.core.announce import announce
from kvsync.core.assess import ModelState
from kvsync.model.source import LOSSY


def status(*, models: Json | None = None, **conditions: str) -> Json:
    """A status with these conditions and, by name, these models' (state, reason)."""
    return {
        "conditions": [
            {"type": kind, "status": value, "reason": f"{kind}{value}", "message": "why"}
            for kind, value in conditions.items()
        ],
        "models": [
            {"name": name, "state": state, "reason": reason, "message": "because"}
            for name, (state, reason) in (models or {}).items()
        ],
    }


def told(before: Json, after: Json) -> list[tuple[bool, str]]:
    return [(event.warning, event.reason) for event in announce(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, "True", [(False, "ReadyTrue")]),
        ({}, "False", []),
        ({}, "Unknown", []),
        (status(Ready="False"), "True", [(False, "ReadyTrue")]),
        (status(Ready="True"), "False", [(True, "ReadyFalse")]),
        (status(Ready="True"), "Unknown", []),
        (status(Ready="True"), "True", []),
        (status(Ready="Unknown"), "False", []),
    ],
)
def test_a_condition_is_told_when_it_comes_true_or_breaks(
    before: Json, after: str, expected: list[tuple[bool, str]]
) -> None:
    assert told(before, status(Ready=after)) == expected


def test_conditions_of_progress_are_not_told() -> None:
    assert announce({}, status(Reconciling="True", Stalled="True", ModelsConfigured="True")) == ()


@pytest.mark.parametrize("state", list(ModelState))
def test_a_model_is_told_where_it_arrives_not_on_its_way(state: ModelState) -> None:
    after = status(models={"a": (state.value, "Why")})
    found = announce({}, after)
    if state in (ModelState.PENDING, ModelState.ROLLING_OUT, ModelState.VERIFYING):
        assert found == ()
        return
    (event,) = found
    assert event.warning is (state is not ModelState.READY)
    assert (event.reason, event.note, event.model) == ("Why", "a: because", "a")


def test_another_reason_in_the_same_state_is_news() -> None:
    before = status(models={"a": ("Degraded", "PortClosed"), "b": ("Ready", "Verified")})
    after = status(models={"a": ("Degraded", "Stale"), "b": ("Ready", "Verified")})
    assert told(before, after) == [(True, "Stale")]


@pytest.mark.parametrize("reason", sorted(LOSSY))
def test_a_lossy_path_is_a_warning_and_its_end_is_none(reason: str) -> None:
    good, lossy = (status(models={"a": ("Ready", why)}) for why in ("Verified", reason))
    assert told(good, lossy) == [(True, reason)]
    assert told(lossy, good) == [(False, "Verified")]


def test_the_same_status_is_told_once() -> None:
    one, verdict = working()
    broken = model(rolled_out(deployment({"name": "web", "image": "nginx:1"}, name="web")))
    found: Any = decided(one, broken, verdicts=[verdict], gateway=gateway_of())
    assert {event.model for event in found.announcements} >= {"model", "web"}
    assert announce(found.status, found.status) == ()


CONDITIONS = st.dictionaries(
    st.sampled_from(["Ready", "EventsFlowing", "Stalled"]),
    st.sampled_from(["True", "False", "Unknown"]),
)


@given(before=CONDITIONS, after=CONDITIONS)
def test_only_a_break_of_what_was_true_is_a_warning(before: Json, after: Json) -> None:
    old, new = status(**before), status(**after)
    assert announce(new, new) == ()
    for event in announce(old, new):
        kind = event.note.partition("=")[0]
        assert event.warning is (before.get(kind) == "True" and after[kind] == "False")
