"""Our part in managedFields ends with the undo, and not before."""

import copy
from typing import Any

import pytest

from core.objects import OWNER, Json, deployment, spec_of
from core.scenes import after_action, configured, decided, done_to, gateway_of, model, rolled_out
from kvsync.core.handback import plan_handback
from kvsync.core.patch import apply
from kvsync.model.workload import Deployment

OURS: Json = {
    "manager": "kvsync-operator",
    "operation": "Update",
    "fieldsV1": {"f:metadata": {}, "f:spec": {"f:template": {}}},
}
THEIRS: Json = {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}


def managed(body: Json, *entries: Json) -> Json:
    changed = copy.deepcopy(body)
    changed["metadata"]["managedFields"] = [copy.deepcopy(entry) for entry in entries]
    return changed


def test_the_entry_goes_once_nothing_of_ours_is_left() -> None:
    body = managed(deployment(), THEIRS, OURS)
    after = apply(body, plan_handback(Deployment(body)))
    assert after["metadata"]["managedFields"] == [THEIRS]
    assert plan_handback(Deployment(after)) == ()


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [THEIRS],
        [{**OURS, "operation": "Apply"}],
        [{**OURS, "fieldsV1": {"f:metadata": {}}}],
        [{"manager": "kvsync-operator", "operation": "Update"}],
    ],
    ids=["none", "another's", "applied", "annotations only", "no fields"],
)
def test_what_is_not_ours_or_holds_nothing_of_the_spec_stays(entries: list[Json]) -> None:
    assert plan_handback(Deployment(managed(deployment(), *entries))) == ()


def test_while_a_model_is_configured_the_entry_stays() -> None:
    assert plan_handback(Deployment(managed(configured(), OURS))) == ()


PATCHED: Json = {"f:spec": {"f:containers": {'k:{"name":"vllm"}': {"f:args": {}}}}}
LABELLED: Json = {"f:metadata": {"f:labels": {"f:model.aibrix.ai/kv-events-enabled": {}}}}
ANNOTATED: Json = {"f:metadata": {"f:annotations": {"f:kvsync.aibrix.ai/injection": {}}}}


@pytest.mark.parametrize(
    ("fields", "mode", "goes"),
    [
        (PATCHED, "Admission", True),
        (LABELLED, "Admission", True),
        (ANNOTATED, "Admission", False),
        (PATCHED, "Patch", False),
    ],
)
def test_what_mode_patch_wrote_is_left_to_its_owner_in_mode_admission(
    fields: Json, mode: str, goes: bool
) -> None:
    """Else the owner's next arguments would be a conflict, though none of ours is among them."""
    ours = {**OURS, "fieldsV1": {"f:spec": {"f:template": fields}}}
    body = managed(configured(spec=spec_of(mode=mode)), THEIRS, ours)
    after = apply(body, plan_handback(Deployment(body)))
    assert (after["metadata"]["managedFields"] == [THEIRS]) is goes


def test_the_patch_fits_no_other_entry_and_no_other_object() -> None:
    body = managed(deployment(), THEIRS, OURS)
    tests = {
        op["path"]: op["value"] for op in plan_handback(Deployment(body)) if op["op"] == "test"
    }
    assert tests == {
        "/metadata/uid": "uid-of-model",
        "/metadata/managedFields/1/manager": "kvsync-operator",
        "/metadata/managedFields/1/operation": "Update",
    }


def test_a_model_that_was_rolled_back_gives_its_fields_back() -> None:
    body = managed(deployment(), OURS)
    marks = {"kvsync.aibrix.ai/owner": str(OWNER), "kvsync.aibrix.ai/rejected": "{}"}
    body["metadata"]["annotations"] = marks
    assert plan_handback(Deployment(body))
    assert plan_handback(Deployment(managed(configured(body), OURS))) == ()


def test_a_pass_gives_back_what_a_crash_left_behind() -> None:
    left = rolled_out(managed(deployment(name="a"), OURS))
    decision = decided(model(left, selected=False))
    assert done_to(decision) == [("FieldsReleased", "a")]
    assert after_action(decision, left)["metadata"]["managedFields"] == []


def test_a_gateway_that_nobody_needs_any_more_gets_its_fields_back() -> None:
    gateway: Any = managed(gateway_of(), OURS)
    assert plan_handback(Deployment(gateway))
    gateway["metadata"]["annotations"] = {"kvsync.aibrix.ai/owners": "default/sync"}
    assert plan_handback(Deployment(gateway)) == ()
