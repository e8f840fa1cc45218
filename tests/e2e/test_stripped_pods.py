"""A pod that somebody takes our label off is named within seconds, and good again once it is back."""

import pytest

from e2e.manifests import EVENTS_LABEL, Object, model, sync
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed


def label(scene: Scene, pod: str, value: str | None) -> None:
    patch = {"metadata": {"labels": {EVENTS_LABEL: value}}}
    scene.api.patch("pods", pod, patch, scene.namespace)


def entry(scene: Scene) -> Object:
    (found,) = (scene.sync("kv") or {})["status"]["models"]
    return dict(found)


def test_a_pod_whose_label_is_taken_off_is_named_until_it_is_back(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace, replicas=2))
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    pods = scene.api.list("pods", scene.namespace)
    pod = min(body["metadata"]["name"] for body in pods)
    env = scene.gateway_env()

    label(scene, pod, None)
    scene.wait("it is named", lambda: entry(scene)["reason"] == "NotInjected", 15)
    found = entry(scene)
    assert (found["state"], found["sources"]) == ("Degraded", {"total": 2, "verified": 1})
    assert pod in found["message"]
    assert EVENTS_LABEL in found["message"]
    assert scene.gateway_env() == env, "a working gateway is not switched off"

    label(scene, pod, "true")
    scene.wait_ready("kv")
    assert entry(scene)["sources"] == {"total": 2, "verified": 2}
