"""Deployments and pods, read from the API's own JSON."""

from typing import Any

import pytest

from core.objects import container, deployment
from kvsync.model.workload import Container, Deployment, Pod


def test_a_manifest_needs_no_more_than_it_must_have() -> None:
    found = Deployment(
        {"metadata": {"name": "m"}, "spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}
    )
    assert (found.namespace, found.name, found.uid) == ("default", "m", "")
    assert (found.annotations, found.template_labels, found.selector) == ({}, {}, None)
    assert found.replicas == 1
    only = found.containers[0]
    assert (only.name, only.image, only.words, list(only.ports)) == ("c", "", (), [])


def test_nulls_count_as_absent() -> None:
    body = deployment(container(args=None, ports=None, env=None))
    body["metadata"]["annotations"] = None
    body["spec"]["template"]["metadata"] = None
    found = Deployment(body)
    assert found.annotations == found.template_labels == {}
    assert found.containers[0].args == ()
    assert found.containers[0].env("X") is None


def test_zero_replicas_are_zero() -> None:
    body = deployment()
    body["spec"]["replicas"] = 0
    assert Deployment(body).replicas == 0


def test_a_container_is_found_by_name_in_its_place() -> None:
    found = Deployment(deployment(container("proxy", "envoy:v1"), container("vllm")))
    engine = found.container("vllm")
    assert engine is not None
    assert (engine.index, engine.name) == (1, "vllm")
    assert found.container("none") is None


@pytest.mark.parametrize(
    ("env", "value"),
    [
        ([], None),
        ([{"name": "X", "value": "1"}], "1"),
        ([{"name": "X"}], ""),
        ([{"name": "X", "value": "1"}, {"name": "X", "value": "2"}], "2"),
        ([{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}], None),
        ([{"name": "X", "value": "1"}, {"name": "X", "valueFrom": {}}], None),
    ],
)
def test_the_last_definition_of_a_variable_counts(env: list[Any], value: str | None) -> None:
    assert Container(0, {"env": env}).env("X") == value


STATUS = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        (STATUS, True),
        ({**STATUS, "observedGeneration": 1}, False),
        ({**STATUS, "updatedReplicas": 2}, False),
        ({**STATUS, "availableReplicas": 2}, False),
        ({**STATUS, "replicas": 4}, False),
        ({}, False),
    ],
)
def test_when_a_rollout_is_over(status: dict[str, int], complete: bool) -> None:
    body = deployment()
    body["metadata"]["generation"] = 2
    body["spec"]["replicas"] = 3
    assert Deployment({**body, "status": status}).rollout.complete is complete


def test_counts_of_a_template_before_this_one_are_no_progress() -> None:
    body = deployment()
    body["metadata"]["generation"] = 2
    stale = Deployment({**body, "status": {**STATUS, "observedGeneration": 1}})
    assert str(stale.rollout) == "0 of 1 pods rolled out"


def pod(**fields: Any) -> Pod:
    metadata = {
        "name": "m-5d4f-x",
        "namespace": "default",
        "uid": "u",
        "labels": {"pod-template-hash": "5d4f"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "m-5d4f"}],
    }
    return Pod(
        {
            "metadata": {**metadata, **fields.pop("metadata", {})},
            "spec": {"containers": [{"name": "vllm"}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", **fields},
        }
    )


def test_a_pod_knows_its_deployment_by_its_replicaset() -> None:
    assert pod().deployment == "m"
    assert pod(metadata={"labels": {}}).deployment == ""
    assert pod(metadata={"labels": {"pod-template-hash": "other"}}).deployment == ""
    assert pod(metadata={"ownerReferences": [{"kind": "Job", "name": "m-5d4f"}]}).deployment == ""
    assert pod(metadata={"ownerReferences": None}).deployment == ""


def test_when_a_pod_can_be_connected_to() -> None:
    assert pod().running
    assert not pod(phase="Pending").running
    assert not pod(podIP="").running
    assert not pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}).running


def test_when_a_pod_is_ready() -> None:
    ready = {"type": "Ready", "status": "True"}
    assert pod(conditions=[ready]).ready
    assert not pod(conditions=[{**ready, "status": "False"}]).ready
    assert not pod(conditions=[ready], phase="Failed").ready
    assert not pod().ready


def test_statuses_of_all_its_containers() -> None:
    statuses = pod(
        initContainerStatuses=[{"name": "a"}], containerStatuses=[{"name": "b"}]
    ).container_statuses
    assert [status["name"] for status in statuses] == ["a", "b"]
