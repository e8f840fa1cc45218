"""How sources stand, model by model, whatever publishers say of themselves."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sightings import seen
from kvsync.core.assess import ModelState
from kvsync.core.census import (
    MOST_OBJECTS,
    RECENT,
    UNLISTED,
    census,
    conditions_of,
    progress_of,
    ready_of,
)
from kvsync.model.metering import ConditionReading, ModelName, ModelsReading, Seen, Standing
from kvsync.model.observed import KVEventSync
from kvsync.model.source import Failure, SourceReason, Target

NOW = 1000.0
M = ModelName("default", "m")


def by_name(target: Target) -> ModelName:
    return ModelName(target.key.namespace, target.model)


def standing(*look: Seen) -> Standing:
    return census(look, by_name, NOW)[M]


def test_sources_are_counted_by_verdict() -> None:
    found = standing(
        seen("a"),
        seen("b"),
        seen("c", reason=SourceReason.PORT_CLOSED, verified=False, since=None),
    )
    assert (found.sources, found.verified) == (3, 2)
    assert found.reasons == {SourceReason.PUBLISHING: 2, SourceReason.PORT_CLOSED: 1}


def test_sources_behind_a_relay_are_counted() -> None:
    (target, seen_of_it, verdict), other = seen("a"), seen("b")
    found = standing((replace(target, relay_port=5656), seen_of_it, verdict), other)
    assert (found.sources, found.relayed) == (2, 1)


def test_rates_add_up_and_lags_are_told_by_the_worst_and_the_mean() -> None:
    found = standing(
        seen("a", last_batch_at=NOW - 1, rate=2.0, lag=0.5),
        seen("b", last_batch_at=NOW - 5, rate=0.5, lag=-0.1),
    )
    assert found.rate == 2.5
    assert found.lag == 0.5
    assert found.mean_lag == pytest.approx(0.2)
    assert (found.youngest, found.oldest) == (1.0, 5.0)


def test_of_one_that_fell_silent_or_failed_neither_rate_nor_lag_is_true_any_more() -> None:
    found = standing(
        seen("a", last_batch_at=NOW - RECENT - 1, rate=2.0, lag=0.5),
        seen("b", last_batch_at=NOW - 1, rate=2.0, lag=0.5, failure=Failure.LOST),
    )
    assert (found.rate, found.lag, found.mean_lag) == (0.0, None, None)
    assert (found.youngest, found.oldest) == (1.0, RECENT + 1)


def test_one_that_never_published_has_no_age() -> None:
    assert (standing(seen()).youngest, standing(seen()).oldest) == (None, None)


@given(
    st.lists(
        st.tuples(st.floats() | st.none(), st.floats() | st.none(), st.floats(0, NOW + 10)),
        min_size=1,
    )
)
def test_what_publishers_claim_never_makes_a_figure_that_is_no_number(
    claims: list[tuple[float | None, float | None, float]],
) -> None:
    found = standing(
        *(
            seen(f"p{n}", rate=rate, lag=lag, last_batch_at=at)
            for n, (rate, lag, at) in enumerate(claims)
        )
    )
    shown = (found.rate, found.lag, found.mean_lag, found.youngest, found.oldest)
    assert all(value is None or math.isfinite(value) for value in shown)
    assert found.rate >= 0
    assert found.youngest is None or found.youngest >= 0


def sync(name: str, **status: str) -> KVEventSync:
    conditions: list[dict[str, Any]] = [
        {"type": kind, "status": value, "reason": "Because"} for kind, value in status.items()
    ]
    metadata = {"namespace": "default", "name": name}
    return KVEventSync({"metadata": metadata, "status": {"conditions": conditions}})


def test_four_conditions_of_an_object_are_shown_as_numbers() -> None:
    shown = conditions_of(
        [
            sync(
                "a",
                Ready="False",
                GatewayCompatible="Unknown",
                GatewayConfigured="True",
                Stalled="True",
                EventsFlowing="True",
            )
        ]
    )
    assert shown == (
        ConditionReading("default", "a", "Ready", "Because", 0),
        ConditionReading("default", "a", "Stalled", "Because", 1),
        ConditionReading("default", "a", "GatewayConfigured", "Because", 1),
        ConditionReading("default", "a", "GatewayCompatible", "Because", -1),
    )


def test_an_object_without_a_status_is_counted_and_shows_nothing() -> None:
    bare = KVEventSync({"metadata": {"namespace": "default", "name": "a"}})
    assert conditions_of([bare]) == ()
    assert ready_of([bare, sync("b", Ready="True"), sync("c", Ready="False")]) == 1


def test_a_reason_that_is_no_reason_is_not_shown() -> None:
    odd = sync("a", Ready="True")
    odd.status["conditions"][0]["reason"] = "x" * 1000
    assert [reading.reason for reading in conditions_of([odd])] == [""]


def test_conditions_of_the_first_objects_by_name_are_shown() -> None:
    many = [sync(f"o{n:05}", Ready="True") for n in reversed(range(MOST_OBJECTS + 3))]
    shown = conditions_of(many)
    assert len(shown) == MOST_OBJECTS
    assert shown[-1].name == f"o{MOST_OBJECTS - 1:05}"


def progress(**status: Any) -> ModelsReading:
    body = {"metadata": {"namespace": "default", "name": "a"}, "status": status}
    (found,) = progress_of([KVEventSync(body)])
    return found


def test_models_are_counted_by_state() -> None:
    models = [{"name": f"m{n}", "state": s} for n, s in enumerate(["Ready", "Ready", "Pending"])]
    wave = {"current": ["m2"], "next": ["m3", "m4"]}
    found = progress(models=models, modelsTotal=3, modelsReady=2, wave=wave)
    assert found == ModelsReading("default", "a", {"Ready": 2, "Pending": 1}, moving=1, waiting=2)


def test_an_object_without_a_status_has_no_models() -> None:
    assert progress() == ModelsReading("default", "a", {})


def test_models_that_the_status_only_counts_are_counted() -> None:
    models = [{"name": f"m{n}", "state": "Pending"} for n in range(50)]
    found = progress(models=models, modelsTotal=70, modelsReady=15)
    assert found.states == {"Pending": 50, "Ready": 15, UNLISTED: 5}


def test_a_contended_gateway_counts_like_a_contended_model() -> None:
    models = [{"name": "m", "state": "Refused", "reason": "Contended"}]
    taken = [{"type": "GatewayConfigured", "status": "False", "reason": "Contended"}]
    stalled = [{"type": "Stalled", "status": "True", "reason": "Contended"}]
    assert progress(models=models).contended == 1
    assert progress(models=models, conditions=taken + stalled).contended == 2


@given(
    states=st.lists(st.sampled_from([*ModelState, "Odd", None]), max_size=60),
    total=st.integers(0, 100),
    ready=st.integers(0, 100),
)
def test_states_are_known_ones_and_never_more_than_there_are_models(
    states: list[str | None], total: int, ready: int
) -> None:
    models = [{"name": str(n), "state": state} for n, state in enumerate(states)]
    found = progress(models=models, modelsTotal=total, modelsReady=ready).states
    assert found.keys() <= {*ModelState, UNLISTED}
    assert all(number > 0 for number in found.values())
    assert sum(found.values()) <= max(total, len(models))


def test_progress_of_the_first_objects_by_name_is_shown() -> None:
    many = [sync(f"o{n:05}") for n in reversed(range(MOST_OBJECTS + 3))]
    shown = progress_of(many)
    assert (len(shown), shown[-1].name) == (MOST_OBJECTS, f"o{MOST_OBJECTS - 1:05}")
