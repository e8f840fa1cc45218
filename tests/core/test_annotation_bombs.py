"""Annotations filled up to what the API server takes: a plain reason, and no write that it would refuse."""

import copy
from typing import Any

import pytest

from core.objects import Json, ask, container, deployment, spec_of
from core.scenes import (
    MARK,
    after_action,
    crashing,
    decided,
    flag_is_on,
    gateway_of,
    gateway_turned_on,
    model,
    pod_of,
    rolled_out,
    working,
)
from kvsync.core.annotations import LARGEST_ANNOTATIONS
from kvsync.core.gateway import OWNERS_ANNOTATION, owners_of
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.planned import ModelPlan, Outcome
from kvsync.model.decision import Decision
from kvsync.model.record import REJECTED_ANNOTATION
from kvsync.model.workload import Deployment

BOMB = "bomb.example/of-a-user"


def size(body: Json) -> int:
    """Bytes of its annotations, as the API server counts them."""
    annotations = body["metadata"].get("annotations") or {}
    return sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())


def filled(body: Json, free: int) -> Json:
    """The object with so many bytes left for further annotations."""
    bombed = copy.deepcopy(body)
    annotations = bombed["metadata"].setdefault("annotations", {})
    annotations[BOMB] = ""
    # Counted in bytes and not in characters.
    room = LARGEST_ANNOTATIONS - free - size(bombed)
    annotations[BOMB] = "é" * (room // 2) + "e" * (room % 2)
    assert size(bombed) == LARGEST_ANNOTATIONS - free
    return bombed


def reason_of(decision: Decision, kind: str = "Ready") -> str:
    found = (c for c in (decision.status or {})["conditions"] if c["type"] == kind)
    return str(next(found)["reason"])


@pytest.mark.parametrize("mode", ["Patch", "Admission"])
def test_a_model_is_configured_up_to_the_last_byte_and_not_beyond(mode: str) -> None:
    asked = ask(spec_of(mode=mode))
    body = filled(deployment(), LARGEST_ANNOTATIONS // 2)

    def planned(body: Json) -> ModelPlan:
        return plan(Deployment(body), asked)

    def after(body: Json) -> Json:
        return dict(apply(body, planned(body).patch))

    needed = size(after(body)) - size(body)
    assert size(after(filled(deployment(), needed))) == LARGEST_ANNOTATIONS
    refused = planned(filled(deployment(), needed - 1))
    assert (refused.outcome, refused.patch) == (Outcome.REFUSED, ())
    assert refused.refusal is not None
    assert refused.refusal.reason == "RecordTooLarge"
    assert f"{LARGEST_ANNOTATIONS + 1} bytes" in refused.refusal.message


def test_our_mark_on_what_is_configured_already_is_refused_in_the_same_words() -> None:
    one, _ = working()
    body = copy.deepcopy(dict(one.deployment.body)) if one.deployment else {}
    del body["metadata"]["annotations"]["kvsync.aibrix.ai/owner"]
    refused = decided(model(filled(body, 10)))
    assert refused.actions == ()
    assert reason_of(refused) == "RecordTooLarge"


def test_a_crashed_engine_is_rolled_back_however_little_room_there_is_for_the_reason() -> None:
    one, _ = working()
    body = filled(dict(one.deployment.body) if one.deployment else {}, 0)
    said = "x" * 400
    pod = pod_of(body, phase="Running", conditions=[], containerStatuses=crashing(said))
    decision = decided(model(rolled_out(body, available=0), pod))
    after = after_action(decision, body)
    assert size(after) <= LARGEST_ANNOTATIONS
    assert "EngineCrashed" in after["metadata"]["annotations"][REJECTED_ANNOTATION]
    assert after["metadata"]["annotations"][BOMB] == body["metadata"]["annotations"][BOMB]
    again = decided(model(rolled_out(after)))
    assert again.actions == (), "it is not tried again"


def test_of_a_gateway_and_what_is_configured_beside_it_nothing_is_written_where_one_is_full() -> (
    None
):
    one, verdict = working()
    beside = rolled_out(deployment(container("gateway-plugin", "x/watcher:1"), name="watcher"))
    beside["metadata"]["namespace"] = "aibrix-system"
    spec = spec_of(gateway={"alsoConfigure": ["watcher"]})
    picture: dict[str, Any] = {"spec": spec, "verdicts": [verdict]}
    done = decided(one, **picture, gateway=gateway_of(), also={"watcher": beside})
    assert [action.name for action in done.actions] == ["watcher", "aibrix-gateway-plugins"]
    for gateway, watcher in (
        (filled(gateway_of(), 100), beside),
        (gateway_of(), filled(beside, 100)),
    ):
        refused = decided(one, **picture, gateway=gateway, also={"watcher": watcher})
        assert refused.actions == ()
        assert reason_of(refused, "GatewayConfigured") == "RecordTooLarge"
        assert reason_of(refused, "Stalled") == "RecordTooLarge"


def test_a_gateway_that_was_filled_afterwards_stays_as_it_is_and_is_given_back() -> None:
    one, verdict = working()
    gateway = filled(rolled_out(gateway_turned_on()), 0)
    assert decided(one, verdicts=[verdict], gateway=gateway).actions == ()
    leaving = decided(
        one, verdicts=[verdict], gateway=gateway, spec=spec_of(gateway={"manage": False})
    )
    after = after_action(leaving, gateway)
    assert not flag_is_on(after)
    assert set(after["metadata"]["annotations"]) == {BOMB}


def test_as_many_marks_as_fit_share_a_gateway_and_one_more_is_refused() -> None:
    marks = [f"{'n' * 58}-{number:04}/{'s' * 59}{number:04}" for number in range(2_000)]
    gateway = rolled_out(gateway_turned_on())
    others = gateway["metadata"]["annotations"]
    one, verdict = working()
    room = LARGEST_ANNOTATIONS - size(gateway)
    few = marks[: room // (len(marks[0]) + 1)]
    others[OWNERS_ANNOTATION] = ",".join([MARK, *few])
    assert decided(one, verdicts=[verdict], gateway=gateway).actions == ()
    others[OWNERS_ANNOTATION] = ",".join(few)
    full = filled(gateway, len(MARK))
    refused = decided(one, verdicts=[verdict], gateway=full)
    assert refused.actions == ()
    assert reason_of(refused, "GatewayConfigured") == "RecordTooLarge"
    assert flag_is_on(full), "what is on stays on, for the others"


@pytest.mark.parametrize(
    "mark",
    ["no-slash", "a/b/c", "/b", "a/", "A/b", "a/b\n", "a/\x1b[31m", "é/b", "a" * 64 + "/b", " a/b"],
)
def test_what_is_no_objects_mark_holds_no_gateway(mark: str) -> None:
    gateway = gateway_turned_on()
    gateway["metadata"]["annotations"][OWNERS_ANNOTATION] = f"{mark},{MARK},{mark * 20_000}"
    assert owners_of(Deployment(gateway)) == (MARK,)
    one, verdict = working()
    leaving = decided(
        one, verdicts=[verdict], gateway=gateway, spec=spec_of(gateway={"manage": False})
    )
    assert not flag_is_on(after_action(leaving, gateway))
