"""The StormService stand-in does what AIBrix's controllers do, on a real control plane."""

import pytest

from bed.storm.stage import NAME, Stage, engine, role, storm_service
from testbed.api import ApiError, wait_for
from testbed.storm.install import is_rolled_out, status_settled
from testbed.storm.names import REVISIONS, STORM_SERVICES

pytestmark = pytest.mark.bed

DECODE = 1  # its place among the roles


def test_comes_up_with_the_owners_and_labels_of_the_real_one(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate"))
    (role_set,) = stage.role_sets()
    assert role_set["metadata"]["ownerReferences"][0]["kind"] == "StormService"
    assert {name: len(stage.pods(name)) for name in ("prefill", "decode", "router")} == {
        "prefill": 2,
        "decode": 1,
        "router": 1,
    }
    revision = stage.status()["updateRevision"]
    for pod in stage.pods():
        labels = pod["metadata"]["labels"]
        assert pod["status"]["phase"] == "Running"
        assert pod["metadata"]["ownerReferences"][0]["uid"] == role_set["metadata"]["uid"]
        assert labels["storm-service-name"] == NAME
        assert labels["roleset-name"] == role_set["metadata"]["name"]
        assert labels["model.aibrix.ai/name"] == "tiny"
        assert labels["stormservice.orchestration.aibrix.ai/role-revision-name"] == revision
        assert pod["spec"]["containers"][0]["env"][0]["name"] == "STORM_SERVICE_NAME"
    index = "stormservice.orchestration.aibrix.ai/role-replica-index"
    assert {pod["metadata"]["labels"][index] for pod in stage.pods("prefill")} == {"0", "1"}
    assert not any(index in pod["metadata"]["labels"] for pod in stage.pods("decode"))


def test_the_status_counts_role_sets_and_their_pods_by_role(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate"))
    stage.wait("Ready", lambda: stage.conditions() == {"Ready": "True"})
    status = stage.status()
    assert [status[key] for key in ("replicas", "updatedReplicas", "updatedReadyReplicas")] == [
        1
    ] * 3
    assert "notReadyReplicas" not in status
    assert status["scalingTargetSelector"] == f"storm-service-name={NAME}"
    assert status["roleStatuses"][1] == {
        "name": "prefill",
        "replicas": 2,
        "readyReplicas": 2,
        "updatedReplicas": 2,
        "updatedReadyReplicas": 2,
    }
    assert stage.api.get(REVISIONS, status["updateRevision"], stage.namespace)["revision"] == 1
    shown = stage.api.kubectl("get", STORM_SERVICES, "-n", stage.namespace).stdout
    assert shown.split()[:4] == ["NAME", "REPLICAS", "READY", "PAUSED"]


def test_in_place_a_change_rolls_the_pods_of_its_role_only(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate"))
    before = {name: stage.uids(name) for name in ("prefill", "decode", "router")}
    (role_set,) = stage.role_sets()
    stage.add_argument(DECODE, "--seed=1")
    stage.wait_rolled_out()
    assert stage.uids("decode").isdisjoint(before["decode"])
    assert stage.uids("prefill") == before["prefill"]
    assert stage.uids("router") == before["router"]
    assert stage.role_sets()[0]["metadata"]["uid"] == role_set["metadata"]["uid"]


def test_slots_are_replaced_one_at_a_time(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate"))
    before = stage.uids("prefill")
    least = 2
    stage.add_argument(0, "--seed=1")

    def are_replaced() -> bool:
        nonlocal least
        least = min(least, stage.ready("prefill"))
        return stage.ready("prefill") == 2 and stage.uids("prefill").isdisjoint(before)

    stage.wait("prefill replaced", are_replaced)
    assert least == 1


def test_the_status_says_done_too_early_and_then_the_truth(stage: Stage) -> None:
    """As in AIBrix: a relabelled RoleSet is judged by the status that it had before."""
    stage.create(storm_service("InPlaceUpdate"))
    old = stage.status()["updateRevision"]
    stage.add_argument(DECODE, "--seed=1")
    generation = stage.service()["metadata"]["generation"]

    def is_misled() -> bool:
        service = stage.service()
        return bool(
            status_settled(service)
            and service["status"]["observedGeneration"] == generation
            and service["status"]["updateRevision"] != old
            and not is_rolled_out(stage.api, NAME, stage.namespace)
        )

    wait_for(is_misled, 10.0, what="the early word", pause=0.02)
    stage.wait("Progressing", lambda: stage.conditions() == {"Progressing": "True"})
    assert "updatedReadyReplicas" not in stage.status()
    stage.wait_rolled_out()


def test_back_to_an_earlier_template_is_the_earlier_revision(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate"))
    first = stage.status()["updateRevision"]
    stage.add_argument(DECODE, "--seed=1")
    stage.wait_rolled_out()
    command = engine("decode")["command"]
    path = f"/spec/template/spec/roles/{DECODE}/template/spec/containers/0/command"
    stage.patch({"op": "replace", "path": path, "value": command})
    stage.wait_rolled_out()
    assert stage.status()["updateRevision"] == first
    assert stage.api.get(REVISIONS, first, stage.namespace)["revision"] == 3


def test_a_template_that_fails_is_replaced_by_its_undo(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate"))
    before = stage.uids("router")
    stage.add_argument(DECODE, "--no-such-flag")
    stage.wait("decode down", lambda: stage.ready("decode") == 0)
    path = f"/spec/template/spec/roles/{DECODE}/template/spec/containers/0/command"
    stage.patch({"op": "replace", "path": path, "value": engine("decode")["command"]})
    stage.wait_rolled_out()
    assert stage.uids("router") == before


def test_rolling_a_change_of_one_role_replaces_the_whole_role_set(stage: Stage) -> None:
    stage.create(storm_service("RollingUpdate"))
    before = {name: stage.uids(name) for name in ("prefill", "decode", "router")}
    (role_set,) = stage.role_sets()
    stage.add_argument(DECODE, "--seed=1")
    stage.wait_rolled_out()
    assert all(stage.uids(name).isdisjoint(uids) for name, uids in before.items())
    assert stage.role_sets()[0]["metadata"]["uid"] != role_set["metadata"]["uid"]


def test_paused_no_pod_hears_of_a_change(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate"))
    before = stage.uids("decode")
    stage.patch({"op": "add", "path": "/spec/paused", "value": True})
    stage.add_argument(DECODE, "--seed=1")
    generation = stage.service()["metadata"]["generation"]
    stage.wait("seen", lambda: stage.status()["observedGeneration"] == generation)
    status = stage.status()
    assert status["currentRevision"] != status["updateRevision"]
    assert stage.uids("decode") == before
    stage.patch({"op": "remove", "path": "/spec/paused"})
    stage.wait_rolled_out()
    assert stage.uids("decode").isdisjoint(before)


def test_scales_a_role_and_the_service(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate", [role("decode", 1, engine("decode"))]))
    first = stage.uids("decode")
    stage.patch({"op": "replace", "path": "/spec/template/spec/roles/0/replicas", "value": 2})
    stage.wait_rolled_out()
    assert first < stage.uids("decode")
    stage.patch({"op": "replace", "path": "/spec/template/spec/roles/0/replicas", "value": 1})
    stage.wait_rolled_out()
    stage.api.patch(
        STORM_SERVICES, NAME, {"spec": {"replicas": 2}}, stage.namespace, subresource="scale"
    )
    stage.wait_rolled_out()
    assert len(stage.role_sets()) == len(stage.pods("decode")) == 2


def test_deletion_leaves_nothing(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate"))
    stage.api.delete(STORM_SERVICES, NAME, stage.namespace)

    def what_is_left() -> list[str]:
        kinds = (STORM_SERVICES, "rolesets", "pods", REVISIONS, "services")
        return [kind for kind in kinds if stage.api.list(kind, stage.namespace)]

    stage.wait("nothing left", lambda: not what_is_left())


def test_a_selector_that_misses_the_template_is_a_failure(stage: Stage) -> None:
    body = storm_service("InPlaceUpdate")
    body["spec"]["selector"]["matchLabels"] = {"app": "another"}
    stage.api.create(body, stage.namespace)
    stage.wait("a failure", lambda: stage.conditions() == {"ReplicaFailure": "True"})
    assert stage.role_sets() == []


def test_the_crd_defaults_a_ports_protocol_and_refuses_what_is_there_twice(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate", [role("decode", 1, engine("decode"))]))
    spec = stage.service()["spec"]["template"]["spec"]["roles"][0]["template"]["spec"]
    assert spec["containers"][0]["ports"] == [{"containerPort": 8000, "protocol": "TCP"}]
    assert "restartPolicy" not in spec
    path = "/spec/template/spec/roles/0/template/spec/containers/0/ports/-"
    with pytest.raises(ApiError, match="Duplicate"):
        stage.patch({"op": "add", "path": path, "value": {"containerPort": 8000, "name": "http"}})
