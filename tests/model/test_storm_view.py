"""StormServices as views: what a role is as a Deployment, and putting roles back together."""

import copy
from typing import Any

import pytest

from kvsync.model.decision import Action, Deed, Kind, kind_of
from kvsync.model.record import OWNER_ANNOTATION, RECORD_ANNOTATION, REJECTED_ANNOTATION
from kvsync.model.storm import StormService, model_of, record_key, storm_model, storm_of
from kvsync.model.workload import Deployment, Pod
from model.storms import Json, pod, role, storm

MARKS = {
    "team": "search",
    OWNER_ANNOTATION: "default/sync/uid",
    record_key("prefill"): "of prefill",
    record_key("decode"): "of decode",
}


def marked(**annotations: str) -> StormService:
    return StormService(storm(annotations={**MARKS, **annotations}))


def test_a_role_is_a_deployment_of_its_own() -> None:
    service = StormService(storm(role("prefill", replicas=2), replicas=3))
    (prefill,) = service.roles
    assert (prefill.name, prefill.namespace, prefill.uid) == ("pd", "default", "uid-of-pd")
    assert (prefill.role, prefill.index) == ("prefill", 0)
    assert prefill.title == "role prefill of StormService pd"
    assert prefill.replicas == 6, "each RoleSet has its own"
    assert [c.name for c in prefill.containers] == ["prefill"]
    assert prefill.template_labels["model.aibrix.ai/name"] == "qwen3-8B"
    assert service.templates == service.roles


def test_a_group_of_pods_is_one_replica() -> None:
    (grouped,) = StormService(storm(role("decode", replicas=2, podGroupSize=4))).roles
    assert (grouped.replicas, grouped.group_size) == (8, 4)


@pytest.mark.parametrize("replicas", [None, 0])
def test_a_role_without_replicas_has_no_pods(replicas: Any) -> None:
    body = role("decode")
    body["replicas"] = replicas
    assert StormService(storm(body)).roles[0].replicas == 0


@pytest.mark.parametrize(
    "template", [None, {}, {"spec": None}, {"spec": {}}, {"spec": {"roles": None}}]
)
def test_a_service_without_roles_has_none(template: Any) -> None:
    body = storm()
    body["spec"]["template"] = template
    service = StormService(body)
    assert service.roles == ()
    assert service.with_roles({}).body == body


@pytest.mark.parametrize(
    ("strategy", "all_roles"),
    [
        ({"type": "InPlaceUpdate"}, False),
        ({"type": "RollingUpdate"}, True),
        ({}, True),
        (None, True),
    ],
)
def test_only_updates_in_place_change_role_by_role(strategy: Any, all_roles: bool) -> None:
    body = storm()
    body["spec"]["updateStrategy"] = strategy
    assert StormService(body).replaces_all_roles is all_roles


@pytest.mark.parametrize("annotations", [None, {}, {"team": "search"}, MARKS])
def test_untouched_roles_put_back_change_nothing(annotations: Any) -> None:
    body = storm() if annotations is None else storm(annotations=annotations)
    before = copy.deepcopy(body)
    service = StormService(body)
    assert service.with_roles({each.index: each for each in service.roles}).body == before
    assert body == before


def test_a_changed_role_changes_its_own_template_and_record_only() -> None:
    service = marked()
    decode = service.roles[1]
    template: Json = copy.deepcopy(dict(decode.template))
    template["spec"]["containers"][0]["args"] = ["--new"]
    annotations = {**decode.annotations, RECORD_ANNOTATION: "newer"}
    changed = decode.with_template(template).with_annotations(annotations)
    roles = {each.index: each for each in service.roles} | {1: changed}
    after = service.with_roles(roles)
    assert after.annotations == {**MARKS, record_key("decode"): "newer"}
    assert after.roles[1].template == template
    assert after.roles[0].body == service.roles[0].body
    assert after.body["spec"]["template"]["spec"]["roles"][1]["replicas"] == 1


def test_each_role_sees_the_owner_and_its_own_record() -> None:
    prefill, decode, router = marked().roles
    assert prefill.annotations == {
        "team": "search",
        OWNER_ANNOTATION: MARKS[OWNER_ANNOTATION],
        RECORD_ANNOTATION: "of prefill",
    }
    assert decode.annotations[RECORD_ANNOTATION] == "of decode"
    assert router.annotations == {"team": "search"}, "nothing of ours is on it"


def test_without_any_record_all_roles_may_be_changed() -> None:
    body = storm(annotations={OWNER_ANNOTATION: "default/sync/uid", REJECTED_ANNOTATION: "why"})
    service = StormService(body)
    assert not service.is_recorded
    assert service.foreign_annotations == {}
    for each in service.roles:
        assert set(each.annotations) == {OWNER_ANNOTATION, REJECTED_ANNOTATION}


STATUS = {
    "observedGeneration": 2,
    "replicas": 1,
    "readyReplicas": 1,
    "updatedReadyReplicas": 1,
    "currentRevision": "pd-1",
    "updateRevision": "pd-1",
}


@pytest.mark.parametrize(
    ("change", "complete", "words"),
    [
        ({}, True, "1 of 1 RoleSets rolled out"),
        ({"observedGeneration": 1}, False, "0 of 1 RoleSets rolled out"),
        ({"updateRevision": "pd-2"}, False, "0 of 1 RoleSets rolled out"),
        ({"updatedReadyReplicas": None}, False, "0 of 1 RoleSets rolled out"),
        ({"readyReplicas": None}, False, "0 of 1 RoleSets rolled out"),
        ({"replicas": 2}, False, "1 of 1 RoleSets rolled out"),
    ],
)
def test_when_the_status_calls_a_rollout_over(change: Json, complete: bool, words: str) -> None:
    body = storm(generation=2) | {"status": {**STATUS, **change}}
    rollout = StormService(body).rollout
    assert (rollout.complete, str(rollout)) == (complete, words)


def test_its_name_among_the_models_is_no_deployments() -> None:
    service = StormService(storm())
    assert service.model == storm_model("pd") == "stormservice/pd"
    assert (storm_of(service.model), storm_of("pd")) == ("pd", "")
    assert kind_of(service) is Kind.STORM_SERVICE
    assert kind_of(Deployment(storm())) is Kind.DEPLOYMENT
    action = Action(Kind.STORM_SERVICE, "default", "pd", (), Deed.CONFIGURED, "")
    assert action.model == service.model


def test_a_pod_is_its_storm_services_when_a_role_set_made_it() -> None:
    assert model_of(Pod(pod("a", "pd", "decode"))) == "stormservice/pd"
    stranger = pod("a", "pd", "decode", ownerReferences=[{"kind": "Job", "controller": True}])
    assert model_of(Pod(stranger)) == ""
    owned = pod("a", "pd", "decode", ownerReferences=[{"kind": "RoleSet", "name": "x"}])
    assert model_of(Pod(owned)) == "", "an owner that did not make it"
