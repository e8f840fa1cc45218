"""Pods that get nothing: of another template, workload or kind, or where nothing is published."""

from __future__ import annotations

import copy

import pytest

from bed.admission.stage import (
    ANNOTATION,
    CONFIG,
    HASH,
    INJECTED,
    TOKEN,
    Stage,
    container,
    entry,
    labels,
    pod,
)
from testbed.api import Object
from testbed.waiting import wait_for

pytestmark = pytest.mark.bed


@pytest.fixture
def published(stage: Stage) -> Stage:
    """A namespace where the workload m has an entry."""
    stage.publish(entry())
    return stage


@pytest.mark.parametrize("token", [None, "", "fedcba9876543210", TOKEN.upper()])
def test_of_a_template_that_was_not_restarted_for_it(published: Stage, token: str | None) -> None:
    assert published.untouched(pod(token=token))


@pytest.mark.parametrize("workload", ["n", "m-x", "x-m", ""])
def test_of_another_workload(published: Stage, workload: str) -> None:
    assert published.untouched(pod(workload=workload or "mm"))


def owned(**fields: object) -> Object:
    body = pod()
    body["metadata"]["ownerReferences"][0] |= fields
    return body


def bare(*labels_left: str) -> Object:
    """A pod with our annotation that nobody made."""
    body = pod()
    metadata = body["metadata"]
    del metadata["ownerReferences"]
    metadata["labels"] = {k: v for k, v in metadata["labels"].items() if k in labels_left}
    return body


@pytest.mark.parametrize(
    "body",
    [
        owned(kind="Job", apiVersion="batch/v1", name="m"),
        owned(kind="StatefulSet", name="m"),
        owned(kind="StatefulSet"),
        owned(apiVersion="example.com/v1"),
        owned(name="m"),
        owned(name=f"m-{HASH}x"),
        bare(),
        bare("app", "pod-template-hash"),
    ],
    ids=[
        "a Job's",
        "a StatefulSet's",
        "a StatefulSet's of that name",
        "another API's",
        "a ReplicaSet by hand",
        "another ReplicaSet",
        "bare",
        "bare with a hash",
    ],
)
def test_that_no_replica_set_of_the_deployment_made(published: Stage, body: Object) -> None:
    assert body["metadata"]["annotations"] == {ANNOTATION: TOKEN}
    assert published.untouched(body)


def test_of_another_namespace(published: Stage) -> None:
    other = Stage(published.plane)
    assert other.untouched(pod())


@pytest.mark.parametrize("namespace", ["kube-system", "kvsync-system"])
def test_of_namespaces_that_the_policy_does_not_reach(published: Stage, namespace: str) -> None:
    there = Stage(published.plane, namespace)
    there.write(entry())
    # No entry can be waited for; one that is published later has long come into effect elsewhere.
    published.publish(entry())
    assert there.untouched(pod())


def test_where_there_is_no_object_at_all(stage: Stage) -> None:
    assert stage.untouched(pod())


def test_of_an_object_that_was_emptied(published: Stage) -> None:
    assert not published.untouched(pod())
    published.publish()
    assert published.untouched(pod())


def test_of_an_object_that_is_gone(published: Stage) -> None:
    published.api.delete("kveventsyncs", "kv", published.namespace)
    wait_for(lambda: published.untouched(pod()), 10, what="nothing injected")


def test_of_two_objects_each_pod_has_that_of_its_token(published: Stage) -> None:
    other = entry(token="fedcba9876543210", args=["--other"])
    published.publish(other, name="second")
    assert container(published.tried(pod()))["args"] == [CONFIG]
    made = published.tried(pod(token=other["token"]))
    assert container(made)["args"] == ["--other"]
    assert labels(made)[INJECTED] == other["token"]


def test_the_same_in_two_objects_is_put_in_once(published: Stage) -> None:
    published.publish(copy.deepcopy(entry()), name="second")
    made = published.tried(pod())
    assert container(made)["args"] == [CONFIG]
    assert len(container(made)["ports"]) == 2
