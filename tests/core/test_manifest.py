"""A manifest rendered for Git: once, back exactly, and what a cluster knows is neither needed nor kept."""

import copy
import json

import pytest
from hypothesis import given

from core.objects import OWNER, RELAYS, TEMPLATES, Json, ask, container, deployment, spec_of
from core.strategies import EDITS, SPECS, deployments, edit
from kvsync.core.manifest import (
    Rendered,
    is_workload,
    render_manifest,
    restore_manifest,
    selects,
)
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.planned import Outcome
from kvsync.model.record import OWNER_ANNOTATION, RECORD_ANNOTATION
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment


def rendered(body: Json, spec: KVEventSyncSpec | None = None) -> Rendered:
    return render_manifest(body, spec or spec_of(), TEMPLATES, relays=RELAYS)


@given(body=deployments(), spec=SPECS)
def test_rendered_once_and_back(body: Json, spec: KVEventSyncSpec) -> None:
    kept = copy.deepcopy(body)
    made = rendered(body, spec)
    assert body == kept, "rendering changed what it was given"
    assert made.outcome is Outcome.CHANGE
    assert apply(body, made.patch) == made.body
    assert apply(made.body, made.undo) == body
    assert OWNER_ANNOTATION not in made.body["metadata"]["annotations"]
    again = rendered(dict(made.body), spec)
    assert (again.outcome, again.patch, again.undo) == (Outcome.UNCHANGED, (), ())
    assert restore_manifest(made.body).body == body


@given(body=deployments(), edits=EDITS)
def test_edits_in_git_survive_the_way_back(body: Json, edits: list[str]) -> None:
    after, wanted = copy.deepcopy(dict(rendered(body).body)), copy.deepcopy(body)
    edit(edits, after, wanted)
    assert restore_manifest(after).body == wanted


def test_what_git_holds_is_right_for_the_operator() -> None:
    after = apply(deployment(), rendered(deployment()).patch)
    planned = plan(Deployment(after), ask())
    changed = {operation["path"] for operation in planned.patch if operation["op"] != "test"}
    assert all(path.startswith("/metadata/annotations") for path in changed), "no pod restarts"


def test_an_object_read_from_the_cluster_is_right_already() -> None:
    live = apply(deployment(), plan(Deployment(deployment()), ask()).patch)
    mine = render_manifest(live, spec_of(), TEMPLATES, OWNER)
    assert mine.outcome is Outcome.UNCHANGED
    other = rendered(dict(live))
    assert (other.outcome, other.reason) == (Outcome.REFUSED, "OwnedByAnother")


def test_two_renderings_are_one_text() -> None:
    assert json.dumps(rendered(deployment()).entry()) == json.dumps(rendered(deployment()).entry())


def test_without_a_readable_record_only_what_is_recognisably_ours_is_taken_back() -> None:
    body = copy.deepcopy(dict(rendered(deployment()).body))
    body["metadata"]["annotations"][RECORD_ANNOTATION] = "{}"
    back = restore_manifest(body)
    assert back.outcome is Outcome.CHANGE
    assert "was edited or removed" in back.message
    template = back.body["spec"]["template"]
    assert template["spec"] == deployment()["spec"]["template"]["spec"]
    # Labels that an owner may have set himself stay.
    assert template["metadata"]["labels"].keys() == {
        "app",
        "model.aibrix.ai/name",
        "model.aibrix.ai/engine",
    }


def test_nothing_to_take_back() -> None:
    assert restore_manifest(deployment()).outcome is Outcome.UNCHANGED


@pytest.mark.parametrize(
    ("namespace", "own", "wanted"),
    [
        (None, None, True),
        ("team", None, True),
        (None, "team", True),
        ("team", "team", True),
        ("team", "other", False),
    ],
)
def test_a_side_without_a_namespace_fits_any(
    namespace: str | None, own: str | None, wanted: bool
) -> None:
    body = {"metadata": {"name": "model", **({"namespace": own} if own else {})}}
    assert selects(spec_of(), namespace, body) is wanted
    assert not selects(spec_of(), namespace, {"metadata": {**body["metadata"], "name": "x"}})


@pytest.mark.parametrize(
    "body",
    [
        None,
        "text",
        [],
        {},
        {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}},
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "x"}},
        {"apiVersion": "example.com/v1", "kind": "PodSet", "metadata": {"name": "x"}},
    ],
)
def test_other_documents_are_no_workloads(body: object) -> None:
    assert not is_workload(body)


def test_a_deployment_without_containers_is_an_error_that_names_the_field() -> None:
    body = deployment(container())
    body["spec"]["template"]["spec"]["containers"] = "vllm"
    with pytest.raises(ValueError, match=r"model: spec\.template\.spec\.containers"):
        rendered(body)
