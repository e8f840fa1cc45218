"""Mode Admission for every Deployment that can be configured: one annotation, exact ways back, edits kept."""

import copy

from hypothesis import assume, given
from hypothesis import strategies as st

from core.admission_rules import admitted, pod_of_template, proven
from core.objects import EVENTS_LABEL, Json, ask
from core.strategies import EDITS, SPECS, deployments, edit, scripted_engines
from kvsync.core.delivery import injection_of
from kvsync.core.patch import apply
from kvsync.core.plan import plan, plan_undo
from kvsync.core.planned import ModelPlan, Outcome
from kvsync.core.revert import record_of
from kvsync.model.injection import INJECTED_LABEL, INJECTION_ANNOTATION, read_injections
from kvsync.model.record import dump_record, load_record
from kvsync.model.spec import KVEventSyncSpec, Mode
from kvsync.model.workload import Deployment
from model.test_injection import SCHEMA

BODIES = st.one_of(deployments(), deployments(scripted_engines()))


def as_admission(spec: KVEventSyncSpec) -> KVEventSyncSpec:
    fields = {name: getattr(spec, name) for name in ("models", "engine", "events", "gateway")}
    return KVEventSyncSpec(**fields, mode=Mode.ADMISSION)


SPECS_OF_ADMISSION = SPECS.map(as_admission)


def as_patch(spec: KVEventSyncSpec) -> KVEventSyncSpec:
    fields = {name: getattr(spec, name) for name in ("models", "engine", "events", "gateway")}
    return KVEventSyncSpec(**fields)


def planned(body: Json, spec: KVEventSyncSpec, at: int = 1_000) -> ModelPlan:
    return plan(Deployment(body), ask(spec, at=at))


def without_token(body: Json) -> Json:
    """The pod template without our annotation, and the rest of the spec."""
    spec: Json = copy.deepcopy(body["spec"])
    metadata = spec["template"]["metadata"]
    (metadata.get("annotations") or {}).pop(INJECTION_ANNOTATION, None)
    if not metadata.get("annotations"):
        metadata.pop("annotations", None)
    return spec


def configurable(body: Json, spec: KVEventSyncSpec) -> ModelPlan:
    assume(Deployment(body).template_labels.get(EVENTS_LABEL) != "false")
    made = planned(body, spec)
    assume(made.outcome is Outcome.CHANGE)
    return made


@given(body=BODIES, spec=SPECS_OF_ADMISSION)
def test_nothing_of_the_template_is_touched_but_the_annotation(
    body: Json, spec: KVEventSyncSpec
) -> None:
    kept = copy.deepcopy(body)
    after = apply(body, configurable(body, spec).patch)
    assert body == kept
    assert without_token(after) == without_token(body)


@given(body=BODIES, spec=SPECS_OF_ADMISSION)
def test_planned_once_and_both_ways_back_are_exact(body: Json, spec: KVEventSyncSpec) -> None:
    made = configurable(body, spec)
    after = apply(body, made.patch)
    again = planned(after, spec, at=2_000)
    assert (again.outcome, again.patch) == (Outcome.UNCHANGED, ())
    assert again.injection == made.injection
    assert apply(after, made.undo) == body
    assert apply(after, plan_undo(Deployment(after))) == body


@given(body=BODIES, spec=SPECS_OF_ADMISSION)
def test_pods_come_out_as_in_mode_patch(body: Json, spec: KVEventSyncSpec) -> None:
    made, patched = configurable(body, spec), planned(body, as_patch(spec))
    entry = entry_of(made)
    pod = admitted(pod_of_template(apply(body, made.patch)), [entry])
    wanted = pod_of_template(apply(body, patched.patch))
    assert proven(pod)
    assert pod["spec"] == wanted["spec"]
    labels = {k: v for k, v in pod["metadata"]["labels"].items() if k != INJECTED_LABEL}
    assert labels == wanted["metadata"]["labels"]
    assert admitted(pod, [entry]) == pod, "a second call of the policy doubles nothing"


def entry_of(made: ModelPlan) -> Json:
    assert made.injection is not None
    entry = made.injection.entry()
    SCHEMA.validate([entry])
    assert read_injections([entry]) == (made.injection,)
    return entry


@given(body=BODIES, spec=SPECS_OF_ADMISSION)
def test_the_record_alone_gives_the_entry_again(body: Json, spec: KVEventSyncSpec) -> None:
    made = configurable(body, spec)
    after = Deployment(apply(body, made.patch))
    record = record_of(after)
    assert record is not None
    assert load_record(dump_record(record)) == record
    assert injection_of(after.name, record) == made.injection


@given(body=BODIES, spec=SPECS_OF_ADMISSION, names=EDITS)
def test_edits_survive_the_way_back(body: Json, spec: KVEventSyncSpec, names: list[str]) -> None:
    assume(any(c["name"] == "vllm" for c in body["spec"]["template"]["spec"]["containers"]))
    edited, expected = apply(body, configurable(body, spec).patch), copy.deepcopy(body)
    edited = copy.deepcopy(edited)
    edit(names, edited, expected)
    found = apply(edited, plan_undo(Deployment(edited)))
    assert without_token(found) == without_token(expected)


@given(body=deployments(), spec=SPECS_OF_ADMISSION, names=EDITS)
def test_after_edits_pods_come_out_as_in_mode_patch_again(
    body: Json, spec: KVEventSyncSpec, names: list[str]
) -> None:
    edited = copy.deepcopy(apply(body, configurable(body, spec).patch))
    edit(names, edited, body)
    made, patched = planned(edited, spec, at=2_000), planned(body, as_patch(spec))
    assume(patched.refusal is None)
    entry = entry_of(made)
    pod = admitted(pod_of_template(apply(edited, made.patch)), [entry])
    assert proven(pod)
    wanted = pod_of_template(apply(body, patched.patch))
    assert pod["spec"]["containers"] == wanted["spec"]["containers"]
