"""Whose objects may change the gateway: no field of a tenant's object does what the label does not allow."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.manifests import Object, model, sync
from e2e.onlookers import kvsync
from e2e.releases import Release, release_in
from e2e.scene import GATEWAY, OperatorProcess, Scene
from e2e.tenants import LABEL, label, tenant_of
from testbed.api import Api, ApiError, rolled_out

pytestmark = pytest.mark.bed

DENIED = ("GatewayNotPermitted", f"lacks the label {LABEL}=true")
UNNAMED = ("GatewayNotPermitted", "do not name Deployment")
FORGED = {
    "kvsync.aibrix.ai/owner": "NAMESPACE/kv/forged",
    "kvsync.aibrix.ai/owners": "NAMESPACE/kv",
    "kvsync.aibrix.ai/record": "{}",
}


@pytest.fixture
def unlabelled(scene: Scene) -> Scene:
    """A scene whose namespace may not change the gateway."""
    label(scene, granted=False)
    return scene


@pytest.fixture
def tenant(unlabelled: Scene) -> Api:
    """Who works there."""
    return tenant_of(unlabelled.bed, unlabelled.namespace)


@pytest.fixture
def release(unlabelled: Scene, tmp_path: Path) -> Iterator[Release]:
    """The chart, not installed yet."""
    with release_in(unlabelled, tmp_path) as made:
        yield made


@pytest.fixture
def victim(unlabelled: Scene) -> Iterator[Callable[[], Object]]:
    """A model of another tenant, as it is now."""
    api, namespace = unlabelled.api, f"{unlabelled.namespace}-victim"
    unlabelled.bed.create_namespace(namespace, {LABEL: "true"})
    api.create(model("victim", namespace, replicas=0))
    yield lambda: settled(api.get("deployments", "victim", namespace))
    api.delete("namespace", namespace)


REVISION = "deployment.kubernetes.io/revision"


def settled(body: Object) -> Object:
    """An object without what its own controllers write."""
    metadata = {
        k: v for k, v in body["metadata"].items() if k not in ("resourceVersion", "managedFields")
    }
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k != REVISION}
    return {**body, "metadata": {**metadata, "annotations": annotations}, "status": None}


def attempts(namespace: str) -> list[tuple[Object, tuple[str, str]]]:
    """What a tenant writes into spec.gateway, and what is said of it."""
    return [
        ({"container": "gateway-plugin", "environment": "V0_4"}, DENIED),
        ({"remoteTokenizer": {"endpoint": "http://10.0.0.1:80", "engine": "sglang"}}, DENIED),
        (
            {"namespace": f"{namespace}-victim", "deployment": "victim", "container": "vllm"},
            UNNAMED,
        ),
        ({"namespace": namespace, "deployment": "m", "container": "vllm"}, UNNAMED),
        ({"namespace": namespace, "deployment": "decoy", "container": "vllm"}, UNNAMED),
        ({"namespace": "kvsync-system", "deployment": "kvsync-operator"}, UNNAMED),
        ({"manage": False}, ("NotManaged", "yours to set")),
        ({"manage": True}, DENIED),
    ]


def test_no_field_of_a_tenants_object_changes_the_gateway(
    unlabelled: Scene, tenant: Api, victim: Callable[[], Object], release: Release
) -> None:
    """With RBAC and the policy on: while it warns the operator refuses, then it refuses by itself."""
    scene, namespace = unlabelled, unlabelled.namespace
    release.install("Warn")
    scene.wait("the gateway available", lambda: rolled_out(scene.gateway()))
    gateway, other = scene.gateway(), victim()
    mark = scene.bed.audit.mark()
    forged = {key: value.replace("NAMESPACE", namespace) for key, value in FORGED.items()}
    decoy = model("decoy", namespace, replicas=0)
    decoy["metadata"]["annotations"] = forged
    tenant.create(decoy, namespace)
    tenant.create(model("m", namespace), namespace)
    untouched = settled(scene.deployment("decoy"))

    body = sync("kv", namespace, "m")
    body["metadata"]["annotations"] = forged
    tenant.create(body, namespace)
    scene.wait(
        "the model verified", lambda: scene.condition("kv", "EventsFlowing").get("status") == "True"
    )
    said(scene, DENIED)
    assert f"kubectl label namespace {namespace} {LABEL}=true" in condition(scene)["message"]
    assert scene.condition("kv", "Stalled")["status"] == "True"
    assert scene.condition("kv", "GatewayCompatible")["reason"] == "GatewayNotPermitted"
    told_beforehand(scene, tenant)
    for fields, expected in attempts(namespace):
        tenant.patch("kveventsyncs", "kv", only(fields), namespace)
        said(scene, expected)
    for spec in ({"deletionPolicy": "Retain"}, {"paused": True}, {"paused": False}):
        tenant.patch("kveventsyncs", "kv", {"spec": spec}, namespace)
        said(scene, DENIED)
    release.install("Deny")
    assert refused(tenant, namespace, only({"manage": False})["spec"]) == ""
    for fields, (reason, words) in attempts(namespace):
        if reason != "NotManaged":
            assert words in refused(tenant, namespace, only(fields)["spec"]), fields
    tenant.delete("kveventsyncs", "kv", namespace)
    scene.wait("the object gone", lambda: scene.sync("kv") is None)

    assert scene.gateway() == gateway, "not even its resourceVersion"
    assert victim() == other
    assert settled(scene.deployment("decoy")) == untouched
    written = scene.bed.audit.writes(user_agent_contains="kvsync-operator", since=mark)
    places = {(write.namespace, write.resource, write.name) for write in written}
    leases = {place for place in places if place[1] == "leases"}
    assert {place[0] for place in leases} == {release.namespace}, "its own, by which it leads"
    assert {place for place in places - leases if place[1] != "events"} == {
        (namespace, "kveventsyncs", "kv"),
        (namespace, "deployments", "m"),
    }


def only(fields: Object) -> Object:
    """The patch after which spec.gateway says this, and nothing else."""
    every = ("namespace", "deployment", "container", "environment", "remoteTokenizer", "manage")
    return {"spec": {"gateway": {**dict.fromkeys(every), **fields}}}


def refused(tenant: Api, namespace: str, spec: Object) -> str:
    """What the API server says against a change of the object; empty where it takes it."""
    try:
        tenant.patch("kveventsyncs", "kv", {"spec": spec}, namespace)
    except ApiError as error:
        if error.code == 403:
            return str(error)
        raise
    return ""


def told_beforehand(scene: Scene, tenant: Api) -> None:
    """`kvsync enable` says what is missing to whoever may know, and nothing to others."""
    words = ("enable", scene.namespace, "m", "--name", "kv", "--dry-run")
    remedy = f"kubectl label namespace {scene.namespace} {LABEL}=true"
    assert remedy in kvsync(scene.bed.kubeconfig, *words).stderr
    assert kvsync(scene.bed.kubeconfig, *words, "--no-gateway").stderr == ""
    silent = kvsync(tenant.kubeconfig, *words)
    assert (silent.returncode, silent.stderr) == (0, "")


def condition(scene: Scene) -> Any:
    return scene.condition("kv", "GatewayConfigured")


def said(scene: Scene, expected: tuple[str, str]) -> None:
    """Wait until the gateway's condition speaks of the spec as it is, and says this."""
    reason, words = expected

    def is_said() -> bool:
        body, found = scene.sync("kv") or {"metadata": {}}, condition(scene)
        seen = found.get("observedGeneration") == body["metadata"].get("generation")
        return seen and found["reason"] == reason and words in found["message"]

    scene.wait(f"GatewayConfigured {reason}: …{words}…", is_said)


def test_the_label_opens_the_gateway_and_takes_it_back(
    unlabelled: Scene, tenant: Api, start_operator: Callable[..., OperatorProcess]
) -> None:
    scene, namespace = unlabelled, unlabelled.namespace
    operator = start_operator()
    original = scene.gateway()
    tenant.create(model("m", namespace), namespace)
    tenant.create(sync("kv", namespace, "m"), namespace)
    said(scene, DENIED)
    label(scene, granted=True)
    scene.wait_ready("kv")
    configured = scene.template("m")

    label(scene, granted=False)
    said(scene, DENIED)
    scene.wait("the gateway as it was", lambda: is_restored(scene, original))
    assert scene.template("m") == configured, "the models stay"
    assert scene.condition("kv", "EventsFlowing")["status"] == "True"

    # Deleted by a tenant whose label went while nobody looked, and who would leave it all behind.
    tenant.patch("kveventsyncs", "kv", {"spec": {"deletionPolicy": "Retain"}}, namespace)
    label(scene, granted=True)
    scene.wait_ready("kv")
    operator.kill()
    label(scene, granted=False)
    tenant.delete("kveventsyncs", "kv", namespace)
    start_operator()
    scene.wait("the object gone", lambda: scene.sync("kv") is None)
    assert is_restored(scene, original)


def is_restored(scene: Scene, original: Object) -> bool:
    """Whether nothing of ours is on the gateway, in its fields and in who holds them."""
    live = scene.gateway()
    annotations = [live["metadata"]["annotations"], original["metadata"]["annotations"]]
    ours = [{k: v for k, v in each.items() if "kvsync" in k} for each in annotations]
    fields = [
        entry["fieldsV1"]
        for entry in live["metadata"]["managedFields"]
        if entry["manager"] == "kvsync-operator"
    ]
    held = any("f:spec" in each for each in fields)
    return (
        live["spec"]["template"] == original["spec"]["template"] and ours == [{}, {}] and not held
    )


def test_without_the_right_to_read_labels_nothing_is_guessed(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    """What a list in the settings lets in works all the same."""
    name = "kvsync-operator-namespaces"
    role = scene.api.get("clusterroles", name)
    scene.api.patch("clusterroles", name, {"rules": []})
    try:
        blind = start_operator()
        scene.create(model("m", scene.namespace), sync("kv", scene.namespace, "m"))
        words = '"list" and "watch" on namespaces'
        said(scene, ("GatewayNotPermitted", words))
        blind.kill()
        where = "/".join(reversed(GATEWAY))
        start_operator("--gateway", f"{where}=other,{scene.namespace[:-1]}*")
        scene.wait_ready("kv")
    finally:
        scene.api.patch("clusterroles", name, {"rules": role["rules"]})
