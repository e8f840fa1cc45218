"""Mode Render: right is what the pods get, whoever wrote it and wherever; and what is missing is exact."""

import copy
import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.objects import (
    CONFIG,
    EVENTS_LABEL,
    Json,
    container,
    deployment,
    main_container,
    planned,
    reason_of,
    spec_of,
)
from core.scenes import configured
from core.strategies import (
    EDITS,
    SCRIPT_EDITS,
    deployments,
    edit,
    engines,
    scripted_engines,
)
from kvsync.core.owner_patch import owner_patch
from kvsync.core.patch import apply
from kvsync.core.planned import ModelPlan, Outcome
from kvsync.model.record import OUR_ANNOTATIONS
from kvsync.model.relay import RelayMeans
from kvsync.model.spec import KVEventSyncSpec

FIELDS: list[Json] = [
    {},
    {"events": {"topic": "kv@10.0.0.1@tiny", "bufferSteps": 7}},
    {"events": {"hwm": 0, "maxQueueSize": 1}},
    {"events": {"relay": {"mode": "Auto"}}},
    {"events": {"topic": "t", "relay": {"mode": "Always", "reannounce": "1h"}}},
    {"engine": {"labels": "WhenVerified"}},
]
SHAPES = deployments() | deployments(scripted_engines()) | deployments(engines(own_config=True))


def render(**fields: Any) -> KVEventSyncSpec:
    return spec_of(mode="Render", **fields)


def committed(body: Json, made: ModelPlan) -> Json:
    """The manifest after its owner's tool, which is not ours, applied the patch."""
    operations = owner_patch(body, apply(body, made.patch))
    after: Json = jsonpatch.apply_patch(body, list(operations))
    return after


@given(body=SHAPES, fields=st.sampled_from(FIELDS))
def test_what_an_owner_applies_is_what_patch_mode_writes_and_is_right_then(
    body: Json, fields: Json
) -> None:
    kept = copy.deepcopy(body)
    made, by_us = planned(body, render(**fields)), planned(body, spec_of(**fields))
    assert reason_of(made) == reason_of(by_us)
    if made.refusal is not None:
        return
    after = committed(body, made)
    assert body == kept
    assert after["metadata"] == body["metadata"], "an owner's manifest gets no record"
    assert after["spec"]["template"] == apply(body, by_us.patch)["spec"]["template"]
    assert planned(after, render(**fields)).outcome is Outcome.UNCHANGED
    assert apply(after, made.undo) == body


@given(body=deployments(), fields=st.sampled_from(FIELDS), names=EDITS)
def test_it_stays_right_whatever_else_the_owner_edits(
    body: Json, fields: Json, names: list[str]
) -> None:
    made = planned(body, render(**fields))
    assume(made.refusal is None)
    after = committed(body, made)
    edit(names, after)
    again = planned(after, render(**fields))
    if "_set_image" in names and again.outcome is Outcome.CHANGE:  # another release, other words
        again = planned(committed(after, again), render(**fields))
    assert again.outcome is Outcome.UNCHANGED


@given(body=deployments(scripted_engines()), names=st.lists(st.sampled_from(sorted(SCRIPT_EDITS))))
def test_a_script_stays_right_too(body: Json, names: list[str]) -> None:
    after = committed(body, planned(body, render()))
    edit(names, after, kinds=SCRIPT_EDITS)
    assert planned(after, render()).outcome is Outcome.UNCHANGED


def applied_by_hand(**fields: Any) -> Json:
    body = deployment(container(**fields))
    labels = body["spec"]["template"]["metadata"]["labels"]
    labels |= {
        EVENTS_LABEL: "true",
        "model.aibrix.ai/name": "model",
        "model.aibrix.ai/engine": "vllm",
    }
    return body


_CONFIG = CONFIG.partition("=")[2]
_OTHER_ORDER = json.dumps(dict(reversed(json.loads(_CONFIG).items())))


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ["vllm", "serve", "tiny"], "args": [CONFIG]},
        {"command": ["vllm", "serve", "tiny"], "args": [CONFIG, "--seed=1"]},
        {"command": ["vllm", "serve", CONFIG, "tiny"]},
        {"args": ["--model=tiny", "--kv-events-config", _CONFIG]},
        {"args": ["--kv_events_config", _OTHER_ORDER, "--model=tiny"]},
        {"command": ["sh", "-c", f"exec vllm serve tiny '{CONFIG}'"]},
    ],
    ids=["as printed", "in front", "in command", "two words", "keys in another order", "script"],
)
def test_by_hand_in_another_place_or_form_is_right(fields: Json) -> None:
    made = planned(applied_by_hand(**fields), render())
    assert made.outcome is Outcome.UNCHANGED, made.refusal or made.changes
    assert made.patch == ()


def test_only_what_is_missing_is_asked_for() -> None:
    body = applied_by_hand(args=["--model=tiny", CONFIG])
    del body["spec"]["template"]["metadata"]["labels"][EVENTS_LABEL]
    made = planned(body, render())
    operations = owner_patch(body, apply(body, made.patch))
    at = "/spec/template/metadata/labels/model.aibrix.ai~1kv-events-enabled"
    assert operations == ({"op": "add", "path": at, "value": "true"},)
    assert [change.what for change in made.changes] == [f"pod label {EVENTS_LABEL}=true"]


def test_a_changed_wish_is_asked_for_again() -> None:
    body = applied_by_hand(args=["--model=tiny", CONFIG])
    made = planned(body, render(events={"bufferSteps": 7}))
    assert made.outcome is Outcome.UNCHANGED, "an owner's own configuration that works is kept"
    made = planned(body, render(events={"topic": "kv"}))
    assert made.outcome is not Outcome.UNCHANGED


@pytest.mark.parametrize("mode", ["Always", "Auto"])
def test_a_relay_by_hand_is_right_whatever_its_image(mode: str) -> None:
    wish = render(events={"relay": {"mode": mode}})
    body = deployment(container(args=["--model=tiny", "--data-parallel-size=2"]))
    made = planned(body, wish)
    after = committed(body, made)
    relay = after["spec"]["template"]["spec"]["initContainers"][0]
    assert relay["name"] == "kvsync-relay"
    relay["image"] = "mirror.example/kvsync-operator:9"
    assert planned(after, wish).outcome is Outcome.UNCHANGED
    relay["args"].remove("--own-hashes")
    assert planned(after, wish).outcome is Outcome.CHANGE


def test_a_relay_that_is_not_wanted_any_more_is_to_go() -> None:
    body = deployment(container(args=["--model=tiny"]))
    after = committed(body, planned(body, render(events={"relay": {"mode": "Always"}})))
    without = committed(after, planned(after, render()))
    assert "initContainers" not in without["spec"]["template"]["spec"]
    assert without["spec"]["template"] == configured(body)["spec"]["template"]


def test_a_relay_needs_an_image_to_be_printed_and_nobodys_permission() -> None:
    always = {"relay": {"mode": "Always", "image": ""}}
    refused = planned(deployment(), render(events=always), relays=RelayMeans())
    assert reason_of(refused) == "RelayImageUnknown"
    foreign = {"relay": {"mode": "Always", "image": "elsewhere.example/relay:1"}}
    nobody = RelayMeans("kvsync-operator:1.2.3", others=())
    assert planned(deployment(), render(events=foreign), relays=nobody).outcome is Outcome.CHANGE
    assert reason_of(planned(deployment(), spec_of(events=foreign), relays=nobody))


def test_what_speaks_against_a_write_speaks_against_no_patch_for_the_owner() -> None:
    body = deployment(container(args=["--model=tiny"]))
    body["spec"]["paused"] = True
    body["metadata"]["ownerReferences"] = [
        {"kind": "InferenceService", "name": "isvc", "uid": "u", "controller": True}
    ]
    fields: Json = {"f:args": {}}
    for step in ('k:{"name":"vllm"}', "f:containers", "f:spec", "f:template", "f:spec"):
        fields = {step: fields}
    body["metadata"]["managedFields"] = [
        {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": fields}
    ]
    assert planned(body, spec_of()).outcome is Outcome.REFUSED
    assert planned(body, render()).outcome is Outcome.CHANGE


def test_what_was_rendered_with_its_record_is_right() -> None:
    body = configured(at=0)
    for key in OUR_ANNOTATIONS:
        if key.endswith("/owner"):
            del body["metadata"]["annotations"][key]
    made = planned(body, render())
    assert (made.outcome, made.patch) == (Outcome.UNCHANGED, ())
    main_container(body)["args"].remove(CONFIG)
    assert planned(body, render()).outcome is Outcome.CHANGE


def test_pods_of_before_lack_what_is_applied() -> None:
    made = planned(applied_by_hand(command=["vllm", "serve", CONFIG, "tiny"]), render())
    (part,) = made.parts
    assert part.desired.container == "vllm"
    assert part.desired.arguments == (), "an owner's own words"
    assert made.restarts == 0


def test_labels_when_verified_are_nobodys_work() -> None:
    made = planned(deployment(), render(engine={"labels": "WhenVerified"}))
    assert any(note.reason == "NotLabelled" and "Render" in note.message for note in made.notes)
    assert EVENTS_LABEL not in json.dumps(made.patch)
    body = applied_by_hand(args=["--model=tiny", CONFIG])
    made = planned(body, render(engine={"labels": "WhenVerified"}))
    assert made.outcome is Outcome.UNCHANGED
    assert not [note for note in made.notes if note.reason == "NotLabelled"]
