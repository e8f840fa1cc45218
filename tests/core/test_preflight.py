"""Only fields that are written are judged, before the first change, and their owner is named."""

import copy

import pytest

from core.objects import (
    OWNER,
    Json,
    container,
    deployment,
    main_container,
    planned,
    reason_of,
    spec_of,
)
from core.scenes import after_action, configured, decided, model, rolled_out
from kvsync.core.contest import contest
from kvsync.core.opponent import Habit, habit_of, name_of
from kvsync.core.ownership import Holder, holders, last_writer, written_fields
from kvsync.core.patch import apply
from kvsync.core.planned import Outcome
from kvsync.core.repairs import Count
from kvsync.core.revert import record_of
from kvsync.model.record import OWNER_ANNOTATION, REJECTED_ANNOTATION
from kvsync.model.repairs import Repairs
from kvsync.model.workload import Deployment

VLLM = 'k:{"name":"vllm"}'
ARGS: Json = {"f:args": {}}
COMMAND: Json = {"f:command": {}}
TRACKED = {"argocd.argoproj.io/tracking-id": "models:apps/Deployment:default/model"}


def entry(manager: str, operation: str, fields: Json, *, item: str = VLLM, time: str = "") -> Json:
    spec = {"f:containers": {item: fields}}
    return {
        "manager": manager,
        "operation": operation,
        "time": time or "2026-11-26T10:00:00Z",
        "fieldsV1": {"f:spec": {"f:template": {"f:spec": spec}}},
    }


def of_labels(manager: str, operation: str, *labels: str) -> Json:
    fields: Json = {f"f:{label}": {} for label in labels}
    template = {"f:metadata": {"f:labels": fields}}
    return {
        "manager": manager,
        "operation": operation,
        "fieldsV1": {"f:spec": {"f:template": template}},
    }


def managed(*entries: Json, body: Json | None = None) -> Json:
    with_args = deployment(container(command=["vllm", "serve", "tiny"], args=["--port=8000"]))
    changed = copy.deepcopy(body or with_args)
    changed["metadata"]["managedFields"] = list(entries)
    return changed


def risks(body: Json) -> list[str]:
    return [note.message for note in planned(body).notes if note.reason == "ArgsAtRisk"]


@pytest.mark.parametrize(
    ("manager", "operation", "reason"),
    [
        ("kubectl", "Apply", "ArgsOwned"),
        ("anything-at-all", "Apply", "ArgsOwned"),
        ("argocd-controller", "Update", "ArgsOwned"),
        ("argocd-application-controller", "Update", "ArgsOwned"),
        ("kustomize-controller", "Update", "ArgsOwned"),
        ("helm", "Update", ""),
        ("kvsync-operator", "Apply", ""),
        ("kvsync-operator", "Update", ""),
    ],
)
def test_who_would_take_it_back_is_refused(manager: str, operation: str, reason: str) -> None:
    assert reason_of(planned(managed(entry(manager, operation, ARGS)))) == reason


@pytest.mark.parametrize(
    ("manager", "at_risk"),
    [
        ("kubectl-client-side-apply", True),
        ("helm", True),
        ("helm-controller", True),
        ("Terraform", True),
        ("HashiCorp", True),
        ("pulumi-kubernetes", True),
        ("kubectl-edit", False),
        ("kubectl-create", False),
        ("OpenAPI-Generator", False),
        ("kvsync-operator", False),
        ("", False),
    ],
)
def test_who_only_might_is_warned_of(manager: str, at_risk: bool) -> None:
    body = managed(entry(manager, "Update", ARGS))
    assert planned(body).outcome is Outcome.CHANGE
    assert bool(risks(body)) is at_risk


def test_the_first_event_on_the_model_is_a_warning_then() -> None:
    body = rolled_out(managed(entry("helm", "Update", ARGS)))
    (action,) = decided(model(body)).actions
    assert (action.reason, action.warning) == ("Configured", True)
    assert "Helm (manager helm" in action.note
    free = rolled_out(managed())
    assert not decided(model(free)).actions[0].warning


def test_fields_that_are_not_written_are_nobodys_business() -> None:
    others = (
        entry("kubectl", "Apply", COMMAND),
        entry("kubectl", "Apply", {"f:image": {}, "f:env": {'k:{"name":"A"}': {}}}),
        entry("kubectl", "Apply", ARGS, item='k:{"name":"proxy"}'),
        of_labels("kubectl", "Apply", "app"),
    )
    assert planned(managed(*others)).outcome is Outcome.CHANGE


def test_arguments_that_nobody_has_are_free_under_whomever() -> None:
    body = managed(entry("argocd-controller", "Apply", COMMAND), body=deployment())
    body["metadata"]["annotations"] = dict(TRACKED)
    assert planned(body).outcome is Outcome.CHANGE
    assert risks(body) == []


def test_a_label_of_the_owners_is_judged_where_its_value_changes() -> None:
    label = "model.aibrix.ai/kv-events-enabled"
    body = managed(of_labels("kustomize-controller", "Apply", label), body=deployment())
    body["spec"]["template"]["metadata"]["labels"][label] = "false"
    refused = planned(body)
    assert reason_of(refused) == "ArgsOwned"
    assert f"pod label {label}" in str(refused.refusal)


def test_a_script_in_the_command_and_a_variable_are_judged_too() -> None:
    script = deployment(container(command=["sh", "-c", "vllm serve tiny"]))
    assert (
        reason_of(planned(managed(entry("kubectl", "Apply", COMMAND), body=script))) == "ArgsOwned"
    )
    item = {"name": "VLLM_ARGS", "value": "--seed=1"}
    words = ["sh", "-c", "exec vllm serve tiny $VLLM_ARGS"]
    slot = deployment(container(command=words, env=[item]))
    (place,) = {f.title for f in planned(slot).written if "pod label" not in f.title} - {
        "ports of container vllm"
    }
    fields = COMMAND if place.startswith("command") else {"f:env": {'k:{"name":"VLLM_ARGS"}': {}}}
    refused = planned(managed(entry("kubectl", "Apply", fields), body=slot))
    assert reason_of(refused) == "ArgsOwned"
    assert place in str(refused.refusal)


def test_with_argo_or_flux_about_whoever_wrote_it_first_does_not_matter() -> None:
    for marks in (
        {"annotations": dict(TRACKED)},
        {"labels": {"kustomize.toolkit.fluxcd.io/name": "m"}},
    ):
        body = managed(entry("kubectl-client-side-apply", "Update", ARGS))
        body["metadata"] |= marks
        assert reason_of(planned(body)) == "ArgsOwned"


def test_what_is_ours_is_not_judged_again() -> None:
    """Someone took it back meanwhile: that is a matter of repairs."""
    body = configured(managed())
    main_container(body)["args"] = ["--port=8000"]
    assert reason_of(planned(managed(entry("kubectl", "Apply", ARGS), body=body))) == ""
    wiped = managed(entry("kubectl", "Apply", ARGS))
    assert reason_of(planned(wiped, told_at=1_000)) == ""
    assert reason_of(planned(wiped)) == "ArgsOwned"


def test_what_was_rolled_back_is_judged_like_a_first_change() -> None:
    body = managed(entry("kubectl", "Apply", ARGS))
    body["metadata"]["annotations"] = {OWNER_ANNOTATION: str(OWNER), REJECTED_ANNOTATION: "{}"}
    assert reason_of(planned(body)) == "ArgsOwned"


def test_the_record_keeps_whose_it_was() -> None:
    body = managed(entry("helm", "Update", ARGS))
    done = apply(body, planned(body).patch)
    record = record_of(Deployment(done))
    assert record is not None
    (taken,) = record.taken_from
    assert (taken.manager, taken.operation) == ("helm", "Update")
    assert (taken.field, taken.time) == ("args of container vllm", "2026-11-26T10:00:00Z")
    # A later change of ours, when managedFields name only us, keeps it.
    mine = managed(entry("kvsync-operator", "Update", ARGS), body=done)
    other = planned(mine, at=2_000, retry="x")
    assert other.outcome is Outcome.UNCHANGED
    changed = planned(mine, spec_of(events={"topic": "t"}), at=2_000)
    again = record_of(Deployment(apply(mine, changed.patch)))
    assert again is not None
    assert again.taken_from == record.taken_from


def test_a_pass_says_who_and_which_way_works() -> None:
    body = rolled_out(managed(entry("helm", "Apply", ARGS)))
    body["metadata"]["annotations"] = {"meta.helm.sh/release-name": "mine"}
    decision = decided(model(body))
    assert decision.actions == ()
    assert decision.status is not None
    (found,) = decision.status["models"]
    assert (found["state"], found["reason"]) == ("Refused", "ArgsOwned")
    for word in ("Helm release mine", "2026-11-26T10:00:00Z", "command", "kvsync render"):
        assert word in found["message"]


def test_an_owner_beside_does_not_hold_the_others_up() -> None:
    refused = rolled_out(managed(entry("helm", "Apply", ARGS)))
    free = rolled_out(deployment(name="z"))
    decision = decided(model(refused), model(free))
    assert [action.name for action in decision.actions] == ["z"]
    after_action(decision, free)


LIVE = Deployment(managed())
TARGET = Deployment(configured(managed()))


def test_the_fields_that_a_change_writes() -> None:
    titles = [field.title for field in written_fields(LIVE, TARGET)]
    assert titles[0] == "args of container vllm"
    assert "ports of container vllm" in titles
    assert written_fields(LIVE, LIVE) == ()


def test_who_holds_a_field() -> None:
    body = managed(
        entry("kvsync-operator", "Update", ARGS),
        entry("a", "Update", ARGS, time="2026-11-26T11:00:00Z"),
        entry("b", "Apply", COMMAND),
        {"manager": "c", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "d", "operation": "Update"},
        {},
    )
    field = written_fields(LIVE, TARGET)[0]
    assert [h.manager for h in holders(Deployment(body), field)] == ["a"]
    last = last_writer(Deployment(body))
    assert last is not None
    assert last.manager == "a", "scaling is no change of the template"
    assert last_writer(Deployment(managed())) is None


@pytest.mark.parametrize(
    ("manager", "operation", "name"),
    [
        ("argocd-controller", "Apply", "Argo CD"),
        ("helm", "Update", "Helm"),
        ("helm-controller", "Apply", "Flux"),
        ("kubectl", "Apply", "kubectl apply --server-side"),
        ("kubectl", "Update", "kubectl rollout undo"),
        ("kubectl-client-side-apply", "Update", "kubectl apply"),
        ("kubectl-rollout", "Update", "kubectl rollout"),
        ("HashiCorp", "Update", "Terraform"),
        ("my-tool", "Update", "my-tool"),
        ("", "", "Someone"),
    ],
)
def test_plain_names(manager: str, operation: str, name: str) -> None:
    assert name_of(Holder(manager, operation), LIVE).partition(" (")[0] == name


def test_a_name_cannot_break_out_of_its_sentence() -> None:
    hostile = Holder("x\n\x1b[31mReady=True " + "y" * 500, "Update")
    body = managed()
    body["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "\n" * 10_000,
        "meta.helm.sh/release-name": "r" * 10_000,
    }
    text = name_of(hostile, Deployment(body))
    assert text.isprintable()
    assert len(text) < 400
    assert habit_of(hostile, LIVE) is Habit.UNKNOWN


def test_nobody_known_is_someone_with_the_marks_that_there_are() -> None:
    body = managed()
    body["metadata"]["ownerReferences"] = [{"kind": "Fleet", "name": "f", "controller": True}]
    unnamed = "no name left, as by kubectl rollout undo or replace"
    assert name_of(None, Deployment(body)) == f"Someone (controller Fleet f, {unnamed})"
    assert name_of(None, LIVE) == f"Someone ({unnamed})"


VARIABLE: Json = {
    "f:env": {'k:{"name":"KVSYNC_KV_EVENTS"}': {".": {}, "f:name": {}, "f:value": {}}}
}


def slotted() -> Json:
    """A model whose manifest has a slot, and everything else that it needs."""
    env = [{"name": "KVSYNC_KV_EVENTS", "value": "--kv-events-config={}"}]
    words = ["vllm", "serve", "tiny"]
    return deployment(container(command=words, args=["$(KVSYNC_KV_EVENTS)"], env=env))


@pytest.mark.parametrize(
    ("manager", "operation", "tracked", "reason"),
    [
        ("argocd-controller", "Update", False, ""),
        ("argocd-controller", "Apply", False, ""),
        ("kubectl-client-side-apply", "Update", True, ""),
        ("kubectl", "Apply", True, "ArgsOwned"),
        ("helm", "Apply", False, "ArgsOwned"),
        ("kustomize-controller", "Apply", False, "ArgsOwned"),
        ("kustomize-controller", "Update", True, "ArgsOwned"),
        ("kubectl-client-side-apply", "Update", False, ""),
    ],
)
def test_a_slot_is_written_where_its_owner_can_be_told_to_ignore_it(
    manager: str, operation: str, tracked: bool, reason: str
) -> None:
    body = managed(entry(manager, operation, {**ARGS, **VARIABLE}), body=slotted())
    if tracked:
        body["metadata"]["annotations"] = dict(TRACKED)
    assert reason_of(planned(body)) == reason


def test_who_ignores_the_slot_is_told_what_to_ignore_and_everybody_else_is_not() -> None:
    (told,) = risks(managed(entry("argocd-controller", "Update", VARIABLE), body=slotted()))
    assert "RespectIgnoreDifferences=true" in told
    assert '.spec.template.spec.containers[]?.env[]? | select(.name=="KVSYNC_KV_EVENTS")' in told
    (told,) = risks(managed(entry("helm", "Update", VARIABLE), body=slotted()))
    assert "ignoreDifferences" not in told


def test_another_field_of_argo_cds_is_no_slot() -> None:
    label = "model.aibrix.ai/kv-events-enabled"
    body = managed(
        entry("argocd-controller", "Update", VARIABLE),
        of_labels("argocd-controller", "Update", label),
        body=slotted(),
    )
    body["spec"]["template"]["metadata"]["labels"][label] = "false"
    refused = planned(body)
    assert reason_of(refused) == "ArgsOwned"
    assert label in str(refused.refusal)


def test_a_slot_that_argo_cd_puts_back_names_the_way_out() -> None:
    body = configured(managed(entry("argocd-controller", "Update", VARIABLE), body=slotted()))
    env = main_container(body)["env"]
    env[0]["value"] = "--kv-events-config={}"
    body["metadata"]["managedFields"] = [entry("argocd-controller", "Update", VARIABLE)]
    found = contest(Deployment(body), planned(body, at=2_000), Count(Repairs(""), 1, 0), {})
    assert "ignoreDifferences" in found.ways[0]
    assert found.field == "variable KVSYNC_KV_EVENTS of container vllm"


def test_argo_cd_is_told_to_ignore_nothing_but_the_slot() -> None:
    body = managed(entry("argocd-controller", "Update", ARGS))
    told = [n.message for n in planned(body, told_at=5).notes if n.reason == "ArgsAtRisk"]
    assert len(told) == 1
    assert "ignoreDifferences" not in told[0]
