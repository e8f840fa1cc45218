"""What Argo CD ignores of a slot: its value, and nothing else; tried with jq as Argo CD uses it."""

import copy
from functools import cache
from typing import Any

import jq
from hypothesis import given

from core.objects import TEMPLATES, Json, container, planned, spec_of
from core.slots import role, slotted_deployments, storm
from core.strategies import EDITS, deployments, edit
from kvsync.core.ignore_differences import RESPECT, ignored_slot, slot_path
from kvsync.core.manifest import render_manifest
from kvsync.core.patch import apply
from kvsync.core.slot_manifest import with_slot
from kvsync.model.spec import EngineSpec

WHEN_VERIFIED = spec_of(engine={"labels": "WhenVerified"})


def ignoring(body: Any) -> Any:
    """As Argo CD normalizes (``util/argo/normalizers``): ``del(PATH)`` before it compares."""
    return _deleting(slot_path(body["kind"])).input_value(body).first()


@cache
def _deleting(path: str) -> Any:
    return jq.compile(f"del({path})")


@given(body=slotted_deployments())
def test_what_we_write_is_no_difference(body: Json) -> None:
    after = apply(body, planned(body, WHEN_VERIFIED).patch)
    assert after["spec"] != body["spec"]
    assert ignoring(after)["spec"] == ignoring(body)["spec"]


@given(body=slotted_deployments(), names=EDITS)
def test_every_other_difference_is_seen(body: Json, names: list[str]) -> None:
    edited = copy.deepcopy(body)
    edit(names, edited)
    assert (ignoring(edited) != ignoring(body)) == (edited != body)


@given(body=deployments())
def test_a_model_without_a_slot_is_compared_whole(body: Json) -> None:
    assert ignoring(body) == body


def test_of_a_stormservice_each_role_is_looked_at() -> None:
    body = with_slot(storm(role("p", container()), role("d", container())), EngineSpec()).body
    made = render_manifest(body, spec_of(models={"names": ["s"]}), TEMPLATES)
    ours = made.body["spec"]["template"]["spec"]["roles"]
    for each in ours:  # labels that Git does not name are no difference
        each["template"]["metadata"]["labels"].pop("model.aibrix.ai/kv-events-enabled")
    assert made.body["spec"] != body["spec"]
    assert ignoring(made.body)["spec"] == ignoring(body)["spec"]


def test_the_applications_part_keeps_it_in_syncs_too() -> None:
    part = ignored_slot(["StormService", "Deployment", "Deployment"])
    assert part["syncPolicy"] == {"syncOptions": [RESPECT]}
    assert [(r["group"], r["kind"]) for r in part["ignoreDifferences"]] == [
        ("apps", "Deployment"),
        ("orchestration.aibrix.ai", "StormService"),
    ]
