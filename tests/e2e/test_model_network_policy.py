"""--model-network-policy: a policy for each model, kept right, and gone with what it is for."""

from collections.abc import Callable

import pytest

from core.network_rules import Source, gets_through
from e2e.manifests import Object, model, sync
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed

LABELS = {"app.kubernetes.io/name": "kvsync-operator"}
OPERATOR = Source("kvsync-system", LABELS)


def policies(scene: Scene) -> list[Object]:
    return scene.api.list("networkpolicies", scene.namespace)


def reaches(scene: Scene, name: str, source: Source, port: int) -> bool:
    labels = scene.template(name)["metadata"]["labels"]
    return gets_through(policies(scene), scene.namespace, labels, source, port)


def notes_of(scene: Scene) -> list[str]:
    """What the status tells of the first model beside its state."""
    notes: list[str] = (scene.sync("kv") or {})["status"]["models"][0].get("notes") or []
    return notes


@pytest.mark.usefixtures("policy_rights")
def test_policies_stand_are_kept_and_go(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    labels = [f"--operator-labels={key}={value}" for key, value in LABELS.items()]
    start_operator("--model-network-policy", "--operator-namespace=kvsync-system", *labels)
    name = f"{scene.namespace}-m"
    scene.create(model(name, scene.namespace))
    scene.wait_available(name)
    mark = scene.bed.audit.mark()
    scene.create(sync("kv", scene.namespace, name))
    scene.wait_ready("kv")

    (policy,) = policies(scene)
    gateway_pod = scene.gateway()["spec"]["template"]["metadata"]["labels"]
    gateway = Source(scene.gateway()["metadata"]["namespace"], gateway_pod)
    stranger = Source(scene.namespace, {"app": "other"})
    for port in (5557, 5558):
        assert reaches(scene, name, gateway, port)
        assert reaches(scene, name, OPERATOR, port)
        assert not reaches(scene, name, stranger, port)
    assert reaches(scene, name, stranger, 8000)

    wrote = [
        (each.verb, each.resource)
        for each in scene.bed.audit.requests(since=mark)
        if each.resource in ("networkpolicies", "deployments") and each.namespace == scene.namespace
        if "kvsync-operator" in each.user and each.wrote
    ]
    assert wrote == [("create", "networkpolicies"), ("patch", "deployments")]

    version = policy["metadata"]["resourceVersion"]
    scene.settle()
    (same,) = policies(scene)
    assert same["metadata"]["resourceVersion"] == version, "the server keeps it as it was written"

    scene.api.patch(
        "networkpolicies", policy["metadata"]["name"], {"spec": {"ingress": []}}, scene.namespace
    )
    scene.wait("an edit is set right", lambda: policies(scene)[0]["spec"] == policy["spec"])

    deny: Object = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    scene.api.create(deny, scene.namespace)
    scene.wait("its owner closes the rest", lambda: not reaches(scene, name, stranger, 8000))
    assert reaches(scene, name, gateway, 5557)
    scene.wait("it is said", lambda: any("deny" in note for note in notes_of(scene)))
    scene.api.delete("networkpolicies", "deny", scene.namespace)
    scene.wait("and opens it", lambda: reaches(scene, name, stranger, 8000))

    scene.delete_sync("kv")
    scene.wait("it goes with its object", lambda: not policies(scene))
