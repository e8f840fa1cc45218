"""spec.engine.labels WhenVerified: a pod is labelled once its events were seen, and while they are."""

import pytest

from e2e.manifests import EVENTS_LABEL, Object, model, sync
from e2e.onlookers import engines, frozen, pods_of
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed

MARK = "kvsync.aibrix.ai/labelled-by"
CONFIG = '{"enable_kv_cache_events":true,"publisher":"zmq","replay_endpoint":"tcp://*:5558"}'


def labels(scene: Scene, name: str) -> list[Object]:
    return [
        pod["metadata"]["labels"]
        for pod in pods_of(scene)
        if pod["metadata"]["labels"]["model.aibrix.ai/name"] == name
    ]


def heard(scene: Scene, name: str) -> list[bool]:
    return [found.get(EVENTS_LABEL) == "true" for found in labels(scene, name)]


def test_labels_follow_the_verdict_and_are_undone(scene: Scene, operator: OperatorProcess) -> None:
    name, own = f"{scene.namespace}-m", f"{scene.namespace}-own"
    configured = model(own, scene.namespace, args=[f"--kv-events-config={CONFIG}"])
    configured["spec"]["template"]["metadata"]["labels"] |= {"model.aibrix.ai/engine": "vllm"}
    scene.create(model(name, scene.namespace), configured)
    for each in (name, own):
        scene.wait_available(each)
    originals = {each: scene.template(each) for each in (name, own)}
    late = {"labels": "WhenVerified"}
    scene.create(sync("kv", scene.namespace, name, own, engine=late, rollout={"maxConcurrent": 2}))
    scene.wait_ready("kv")
    assert heard(scene, name) == heard(scene, own) == [True]
    assert EVENTS_LABEL not in scene.template(name)["metadata"]["labels"]
    assert scene.template(own) == originals[own], (
        "it publishes by itself; its pod was labelled alone"
    )

    with frozen(name):
        scene.wait("a frozen engine loses the label", lambda: heard(scene, name) == [False])
        assert heard(scene, own) == [True]
    scene.wait("it has it again", lambda: heard(scene, name) == [True])

    scene.api.patch("deployments", name, {"spec": {"replicas": 2}}, scene.namespace)
    scene.wait("the new pod has it too", lambda: heard(scene, name) == [True, True])
    generations = [scene.deployment(each)["metadata"]["generation"] for each in (name, own)]
    scene.settle()
    now = [scene.deployment(each)["metadata"]["generation"] for each in (name, own)]
    assert now == generations, "labels on pods restart nobody"

    serving = set(engines(own))
    scene.delete_sync("kv")
    assert {each: scene.template(each) for each in (name, own)} == originals
    assert set(engines(own)) == serving, "the engine that was right by itself never restarted"
    left = [set(found) & {MARK, EVENTS_LABEL} for found in labels(scene, own)]
    assert left == [set()]
