"""The StormService stand-in does what AIBrix's controllers do, on a real control plane."""

import pytest

from bed.storm.stage import NAME, ROUTER, Stage, engine, role, storm_service
from testbed.api import ApiError, wait_for
from testbed.storm.install import is_rolled_out, status_settled
from testbed.storm.names import REVISIONS, STORM_SERVICES

pytestmark = pytest.mark.bed

PREFILL, DECODE = 0, 1  # their places among the roles


def test_pods_have_the_owners_and_labels_of_the_real_one(running: Stage) -> None:
    (role_set,) = running.role_sets()
    assert role_set["metadata"]["ownerReferences"][0]["kind"] == "StormService"
    assert {name: len(running.pods(name)) for name in ("prefill", "decode", "router")} == {
        "prefill": 2,
        "decode": 1,
        "router": 1,
    }
    revision = running.status()["updateRevision"]
    for pod in running.pods():
        labels = pod["metadata"]["labels"]
        assert pod["status"]["phase"] == "Running"
        assert pod["metadata"]["ownerReferences"][0]["uid"] == role_set["metadata"]["uid"]
        assert labels["storm-service-name"] == NAME
        assert labels["roleset-name"] == role_set["metadata"]["name"]
        assert labels["model.aibrix.ai/name"] == "tiny"
        assert labels["stormservice.orchestration.aibrix.ai/role-revision-name"] == revision
        assert pod["spec"]["containers"][0]["env"][0]["name"] == "STORM_SERVICE_NAME"
    index = "stormservice.orchestration.aibrix.ai/role-replica-index"
    assert {pod["metadata"]["labels"][index] for pod in running.pods("prefill")} == {"0", "1"}
    assert not any(index in pod["metadata"]["labels"] for pod in running.pods("decode"))


def test_the_status_counts_role_sets_and_their_pods_by_role(running: Stage) -> None:
    running.wait("Ready", lambda: running.conditions() == {"Ready": "True"})
    status = running.status()
    counts = ("replicas", "updatedReplicas", "updatedReadyReplicas")
    assert [status[key] for key in counts] == [1, 1, 1]
    assert "notReadyReplicas" not in status
    assert status["scalingTargetSelector"] == f"storm-service-name={NAME}"
    assert status["roleStatuses"][1] == {
        "name": "prefill",
        "replicas": 2,
        "readyReplicas": 2,
        "updatedReplicas": 2,
        "updatedReadyReplicas": 2,
    }
    shown = running.api.kubectl("get", STORM_SERVICES, "-n", running.namespace).stdout
    assert shown.split()[:4] == ["NAME", "REPLICAS", "READY", "PAUSED"]


def test_the_crd_defaults_a_ports_protocol_and_refuses_what_is_there_twice(running: Stage) -> None:
    spec = running.service()["spec"]["template"]["spec"]["roles"][DECODE]["template"]["spec"]
    assert spec["containers"][0]["ports"] == [{"containerPort": 8000, "protocol": "TCP"}]
    assert "restartPolicy" not in spec
    path = f"/spec/template/spec/roles/{DECODE}/template/spec/containers/0/ports/-"
    with pytest.raises(ApiError, match="Duplicate"):
        running.patch({"op": "add", "path": path, "value": {"containerPort": 8000, "name": "http"}})


def test_in_place_one_role_rolls_and_the_status_says_done_too_early(running: Stage) -> None:
    """As in AIBrix: a relabelled RoleSet is judged by the status that it had before."""
    before = {name: running.uids(name) for name in ("prefill", "decode", "router")}
    (role_set,), old = running.role_sets(), running.status()["updateRevision"]
    running.add_argument(DECODE, "--seed=1")
    generation = running.service()["metadata"]["generation"]

    def is_misled() -> bool:
        service = running.service()
        return bool(
            status_settled(service)
            and service["status"]["observedGeneration"] == generation
            and service["status"]["updateRevision"] != old
            and not is_rolled_out(running.api, NAME, running.namespace)
        )

    wait_for(is_misled, 10.0, what="the early word", pause=0.02)
    running.wait("Progressing", lambda: running.conditions() == {"Progressing": "True"})
    assert "updatedReadyReplicas" not in running.status()
    running.wait_rolled_out()
    assert running.uids("decode").isdisjoint(before["decode"])
    assert running.uids("prefill") == before["prefill"]
    assert running.uids("router") == before["router"]
    assert running.role_sets()[0]["metadata"]["uid"] == role_set["metadata"]["uid"]


def test_a_template_that_fails_is_replaced_by_its_undo_the_earlier_revision(running: Stage) -> None:
    routers, first = running.uids("router"), running.status()["updateRevision"]
    command = running.container(DECODE)["command"]
    running.add_argument(DECODE, "--no-such-flag")
    running.wait("decode down", lambda: running.ready("decode") == 0)
    running.set_command(DECODE, command)
    running.wait_rolled_out()
    assert running.uids("router") == routers
    assert running.status()["updateRevision"] == first
    assert running.api.get(REVISIONS, first, running.namespace)["revision"] > 1, "a new number"


def test_slots_are_replaced_one_at_a_time(running: Stage) -> None:
    before = running.uids("prefill")
    least = 2
    running.add_argument(PREFILL, "--seed=1")

    def are_replaced() -> bool:
        nonlocal least
        least = min(least, running.ready("prefill"))
        return running.ready("prefill") == 2 and running.uids("prefill").isdisjoint(before)

    running.wait("prefill replaced", are_replaced)
    assert least == 1


def test_rolling_a_change_of_one_role_replaces_the_whole_role_set(stage: Stage) -> None:
    roles = [role("router", 1, ROUTER), role("decode", 1, engine("decode"))]
    stage.create(storm_service("RollingUpdate", roles))
    before = {name: stage.uids(name) for name in ("decode", "router")}
    (role_set,) = stage.role_sets()
    stage.add_argument(1, "--seed=1")
    stage.wait_rolled_out()
    assert all(stage.uids(name).isdisjoint(uids) for name, uids in before.items())
    assert stage.role_sets()[0]["metadata"]["uid"] != role_set["metadata"]["uid"]


def test_deletion_leaves_nothing(stage: Stage) -> None:
    stage.create(storm_service("InPlaceUpdate", [role("router", 1, ROUTER)]))
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
