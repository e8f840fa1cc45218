"""The corpus in mode Admission: pods come out as in mode Patch, and the Deployments stay as they are.

What mode Patch writes is held by its own expectations, so nothing has to be expected here once more.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from core.admission_rules import admitted, pod_of_template, proven
from core.objects import Json, planned, spec_of
from golden.files import load
from golden.test_golden_deployments import CASES, CORPUS
from kvsync.core.patch import apply
from kvsync.core.plan import plan_undo
from kvsync.core.planned import ModelPlan, Outcome
from kvsync.model.injection import INJECTED_LABEL, INJECTION_ANNOTATION
from kvsync.model.reasons import ModelReason
from kvsync.model.relay import RelayMeans, form_in
from kvsync.model.version import parse_version
from kvsync.model.workload import Deployment
from model.test_injection import SCHEMA

ADMISSION: dict[str, Any] = {"mode": "Admission"}
NOT_CONTROLLED = ModelReason.CONTROLLED_BY_ANOTHER


@dataclass
class Case:
    body: Json
    spec: Json
    more: dict[str, Any]

    def plan(self, body: Json | None = None, at: int = 1_000, **fields: Any) -> ModelPlan:
        spec = {key: value for key, value in {**self.spec, **fields}.items() if value is not None}
        return planned(body or self.body, spec_of(**spec), at=at, **self.more)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    folder = CORPUS / request.param
    sync = load(folder / "sync.yaml")
    relays = RelayMeans(
        "kvsync-operator:1.2.3", form_in(parse_version(str(sync.get("kubernetes", ""))))
    )
    more = {"running": sync.get("runningVersion"), "relays": relays}
    spec = {k: v for k, v in sync.get("spec", {}).items() if k != "deletionPolicy"}
    return Case(load(folder / "deployment.yaml"), spec, more)


def has_own_label(body: Json) -> bool:
    """Whether its owner switched one of our labels off: that is not overruled at admission."""
    return Deployment(body).template_labels.get("model.aibrix.ai/kv-events-enabled") == "false"


def pod_in_question(body: Json, patched: ModelPlan) -> tuple[Json, Json]:
    """The pod that mode Patch makes, and its labels."""
    pod = pod_of_template(apply(body, patched.patch))
    return pod["spec"], pod["metadata"]["labels"]


def test_golden_admission(case: Case) -> None:
    patched, made = case.plan(), case.plan(**ADMISSION)
    if patched.refusal is not None and patched.refusal.reason != NOT_CONTROLLED:
        assert made.refusal == patched.refusal
        return
    if made.refusal is not None:
        assert has_own_label(case.body)
        return
    if made.outcome is Outcome.UNCHANGED:
        assert patched.outcome is Outcome.UNCHANGED
        return
    after = apply(case.body, made.patch)
    only_the_annotation(case.body, after)
    assert made.injection is not None
    entry = made.injection.entry()
    SCHEMA.validate([entry])
    pod = admitted(pod_of_template(after), [entry])
    assert proven(pod)
    assert admitted(pod, [entry]) == pod
    assert admitted(pod_of_template(case.body), [entry]) == pod_of_template(case.body)
    if patched.refusal is None:
        spec, labels = pod_in_question(case.body, patched)
        assert pod["spec"] == spec
        assert {k: v for k, v in pod["metadata"]["labels"].items() if k != INJECTED_LABEL} == labels


def only_the_annotation(before: Json, after: Json) -> None:
    template = after["spec"]["template"]
    metadata = template["metadata"]
    annotations = {k: v for k, v in metadata["annotations"].items() if k != INJECTION_ANNOTATION}
    kept = {k: v for k, v in metadata.items() if k != "annotations"}
    was = before["spec"]["template"]
    assert annotations == ((was.get("metadata") or {}).get("annotations") or {})
    assert kept == {k: v for k, v in (was.get("metadata") or {}).items() if k != "annotations"}
    assert {**after["spec"], "template": {**template, "metadata": None}} == {
        **before["spec"],
        "template": {**was, "metadata": None},
    }


def test_a_second_plan_changes_nothing_and_every_way_back_is_exact(case: Case) -> None:
    made = case.plan(**ADMISSION)
    if made.outcome is not Outcome.CHANGE:
        return
    after = apply(case.body, made.patch)
    again = case.plan(after, at=2_000, **ADMISSION)
    assert again.outcome is Outcome.UNCHANGED
    assert again.injection == made.injection
    assert apply(after, made.undo) == case.body
    assert apply(after, plan_undo(Deployment(after))) == case.body


def test_the_mode_of_a_live_object_can_be_changed_both_ways(case: Case) -> None:
    patched, made = case.plan(), case.plan(**ADMISSION)
    if patched.outcome is not Outcome.CHANGE or made.outcome is not Outcome.CHANGE:
        return
    live, injected = apply(case.body, patched.patch), apply(case.body, made.patch)
    there = case.plan(live, **ADMISSION)
    assert there.outcome is Outcome.CHANGE
    assert apply(live, there.patch)["spec"] == injected["spec"]
    back = case.plan(injected)
    assert back.outcome is Outcome.CHANGE
    assert apply(injected, back.patch)["spec"] == live["spec"]
    assert back.fingerprint != made.fingerprint
