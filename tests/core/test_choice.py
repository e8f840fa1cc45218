"""The mode for models as the real programs bring them into a cluster (tests/golden/managed_fields)."""

from dataclasses import replace

import pytest

from core.objects import Json, ask, container, deployment, spec_of
from core.test_preflight import ARGS, TRACKED, entry, managed, slotted
from golden.owners import CORPUS, owned
from kvsync.core.choice import Choice, choose
from kvsync.model.admission import NOT_KNOWN, AdmissionMeans
from kvsync.model.spec import Mode
from kvsync.model.storm import StormService
from kvsync.model.workload import Deployment
from model.storms import storm

THERE = AdmissionMeans(policy=True, served=True)
NOT_THERE = AdmissionMeans(policy=False, served=True)
OWNED = {
    "argocd-client-side",
    "argocd-server-side",
    "flux",
    "helm-4",
    "kubectl-apply-server-side",
}
"""Those whose owner takes back what mode Patch writes."""
AT_RISK = {"helm-3", "helm-4-client-side", "kubectl-apply"}
DEPLOYMENTS = sorted(p.stem for p in CORPUS.glob("*.yaml") if not p.stem.startswith("storm"))


def chosen(body: Json, means: AdmissionMeans = THERE, **spec: Json) -> Choice:
    kind = StormService if body["kind"] == "StormService" else Deployment
    return choose(kind(body), replace(ask(spec_of(**spec)), admission=means))


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_by_what_owns_it(name: str) -> None:
    body = owned(name)
    with_policy, without = chosen(body), chosen(body, NOT_THERE)
    if name in OWNED:
        assert (with_policy.mode, without.mode) == (Mode.ADMISSION, Mode.RENDER)
        assert "owns the args of container vllm" in with_policy.why
        assert "Commit" in without.first[0]
    else:
        assert (with_policy.mode, without.mode) == (Mode.PATCH, Mode.PATCH)
        assert bool(with_policy.others) is (name in AT_RISK)
        assert ("restart each time" in with_policy.why) is (name in AT_RISK)


@pytest.mark.parametrize("name", sorted(OWNED))
def test_the_slot_is_named_where_its_owner_can_ignore_it(name: str) -> None:
    offered = any("--slot" in way for way in chosen(owned(name)).others)
    assert offered is name.startswith("argocd")


def test_what_may_be_there_is_not_chosen_silently() -> None:
    found = chosen(owned("flux"), NOT_KNOWN)
    assert found.mode is Mode.ADMISSION
    assert "AdmissionUnavailable" in found.first[0]
    assert chosen(owned("flux")).first == ()


def test_a_slot_stays_with_mode_patch_and_says_what_argo_cd_must_ignore() -> None:
    variable: Json = {"f:env": {'k:{"name":"KVSYNC_KV_EVENTS"}': {"f:value": {}}}}
    body = managed(entry("argocd-controller", "Update", {**ARGS, **variable}), body=slotted())
    found = chosen(body)
    assert found.mode is Mode.PATCH
    assert "ignoreDifferences" in found.first[0]
    body = managed(entry("helm", "Apply", {**ARGS, **variable}), body=slotted())
    assert chosen(body).mode is Mode.ADMISSION


def test_what_a_controller_makes_is_left_to_admission_or_to_its_own_object() -> None:
    body = deployment()
    fleet = {"kind": "Fleet", "name": "f", "controller": True}
    body["metadata"]["ownerReferences"] = [fleet]
    found = chosen(body)
    assert found.modes == (Mode.ADMISSION, Mode.RENDER)
    assert "Fleet f" in found.why
    assert chosen(body, NOT_THERE).mode is Mode.RENDER


def test_of_a_storm_services_pods_the_policy_knows_nothing() -> None:
    body = storm()
    assert chosen(body).mode is Mode.PATCH
    roles: Json = {"f:spec": {"f:template": {"f:spec": {"f:roles": {}}}}}
    holder = {"manager": "kubectl", "operation": "Apply", "fieldsV1": roles}
    body["metadata"]["managedFields"] = [holder]
    assert chosen(body).modes == (Mode.RENDER,)


def test_what_is_refused_whoever_owns_it_stays_with_mode_patch() -> None:
    words = ["vllm", "serve", "tiny", "--no-enable-prefix-caching"]
    body = managed(entry("helm", "Apply", ARGS), body=deployment(container(command=words)))
    assert chosen(body).mode is Mode.PATCH


def test_the_mode_that_was_asked_for_does_not_matter() -> None:
    body = managed(entry("kubectl-client-side-apply", "Update", ARGS))
    body["metadata"]["annotations"] = dict(TRACKED)
    for mode in Mode:
        assert chosen(body, mode=mode.value).mode is Mode.ADMISSION  # type: ignore[arg-type]
