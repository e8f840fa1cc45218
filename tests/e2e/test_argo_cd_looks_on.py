"""Argo CD beside a live object: the health that it shows, what its actions do, and nothing to be pruned."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from e2e.manifests import Object, model, sync
from e2e.scene import OperatorProcess, Scene
from gitops.argo_vm import OURS, acted, actions, health
from gitops.examples import FOLDER, WAYS, built
from kvsync.adapters.kube.events import CONTROLLER
from testbed.bed import Bed

pytestmark = pytest.mark.bed

HEALTH = (OURS / "health.lua").read_text()
DISCOVERY = (OURS / "actions" / "discovery.lua").read_text()
TRACKING, INSTANCE = "argocd.argoproj.io/tracking-id", "app.kubernetes.io/instance"


def tracked(body: Object) -> Object:
    """As an Application has it that tracks by annotation and by label: pods get the label too."""
    group = body["apiVersion"].rpartition("/")[0]
    name = body["metadata"]["name"]
    marks = {TRACKING: f"my-app:{group}/{body['kind']}:{body['metadata']['namespace']}/{name}"}
    body["metadata"]["annotations"] = marks
    for metadata in (body["metadata"], body["spec"].get("template", {}).get("metadata")):
        if metadata is not None:
            metadata["labels"] = {**metadata.get("labels", {}), INSTANCE: "my-app"}
    return body


def shown(scene: Scene) -> tuple[str, str]:
    """Health and message of the live object."""
    return health(scene.sync("kv") or {}, HEALTH)


def press(scene: Scene, action: str) -> None:
    """What Argo CD does for an action that is offered: a merge patch to what the script returns."""
    live: Any = scene.sync("kv")
    offered = {each["name"] for each in actions(live, DISCOVERY) if not each["disabled"]}
    assert action in offered
    after = acted(live, (OURS / "actions" / action / "action.lua").read_text())
    before = live["metadata"].get("annotations", {})
    then = after["metadata"].get("annotations", {})
    patch = {key: then.get(key) for key in before | then}
    scene.api.patch("kveventsyncs", "kv", {"metadata": {"annotations": patch}}, scene.namespace)


def events(scene: Scene) -> list[Object]:
    """The Events of the operator's own making."""
    found = scene.api.list("events.events.k8s.io", scene.namespace)
    return [each for each in found if each.get("reportingController") == CONTROLLER]


@pytest.mark.usefixtures("policy_rights")
def test_argo_cd_sees_how_it_stands_and_prunes_nothing_of_ours(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    name = f"{scene.namespace}-m"
    body = tracked(model(name, scene.namespace))
    argo = ("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-")
    scene.api.kubectl(*argo, stdin=json.dumps(body))
    scene.api.kubectl(*argo, stdin=json.dumps(tracked(sync("kv", scene.namespace, name))))
    assert shown(scene) == ("Progressing", "Waiting for kvsync-operator to look at this object")

    labels = "--operator-labels=app.kubernetes.io/name=kvsync-operator"
    namespace = "--operator-namespace=kvsync-system"
    start_operator("--model-network-policy", namespace, labels)
    ready = scene.wait_ready("kv")
    assert shown(scene) == ("Healthy", ready["message"])

    (policy,) = scene.api.list("networkpolicies", scene.namespace)
    written = scene.wait("Events", lambda: events(scene))
    for made in (policy, *written, scene.gateway()):
        assert not {TRACKING} & (made["metadata"].get("annotations") or {}).keys()
        assert not {INSTANCE} & (made["metadata"].get("labels") or {}).keys()
    ours = {
        key: value
        for key, value in scene.deployment(name)["metadata"]["annotations"].items()
        if key.startswith("kvsync.aibrix.ai/")
    }
    assert ours
    assert not any(mark in value for mark in (TRACKING, INSTANCE) for value in ours.values())

    press(scene, "pause")
    assert shown(scene)[0] == "Suspended"
    scene.wait("it says so", lambda: "plan" in ((scene.sync("kv") or {}).get("status") or {}))
    press(scene, "resume")
    scene.wait("it goes on", lambda: shown(scene)[0] == "Healthy")

    scene.api.patch(
        "kveventsyncs", "kv", {"spec": {"engine": {"version": "0.8.0"}}}, scene.namespace
    )
    scene.wait("a person must act", lambda: shown(scene)[0] == "Degraded")
    assert "0.8.0" in shown(scene)[1]
    press(scene, "retry")
    assert (scene.sync("kv") or {})["metadata"]["annotations"]["kvsync.aibrix.ai/retry"] == "1"


@pytest.mark.parametrize("way", WAYS)
def test_the_server_takes_the_examples(installed: Bed, way: str) -> None:
    for body in built(FOLDER / "models" / way):
        body["metadata"]["name"] = f"example-{way}"
        words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
        printed = installed.api.kubectl(*words, stdin=json.dumps(body))
        assert "serverside-applied (server dry run)" in printed.stdout
