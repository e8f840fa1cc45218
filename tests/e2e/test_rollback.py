"""An engine that does not come up with its new arguments gets its old ones back."""

import pytest

from e2e.manifests import model, sync
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed


def rejecting(scene: Scene) -> None:
    """A build called 0.16.0 that does not take the flags dialect, which the object insists on."""
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")


def test_rejected_arguments_are_restored_and_the_engine_quoted(
    scene: Scene, operator: OperatorProcess
) -> None:
    rejecting(scene)
    original, gateway = scene.template("m"), scene.gateway()["spec"]["template"]
    scene.create(sync("kv", scene.namespace, "m", engine={"dialect": "Flags"}))
    crashed = scene.wait_reason("kv", "EngineCrashed")
    assert "unrecognized arguments" in crashed["message"]
    assert "code 2" in crashed["message"]
    scene.wait("the template restored", lambda: scene.template("m") == original)
    assert scene.condition("kv", "Stalled")["status"] == "True"
    scene.wait_available("m")

    generation = scene.deployment("m")["metadata"]["generation"]
    scene.settle()
    assert scene.deployment("m")["metadata"]["generation"] == generation, "not tried again"
    assert scene.gateway()["spec"]["template"] == gateway, "the gateway was never told"

    scene.api.patch(
        "kveventsyncs", "kv", {"spec": {"engine": {"dialect": "Auto"}}}, scene.namespace
    )
    scene.wait_ready("kv")
    scene.delete_sync("kv")
    assert scene.template("m") == original


def test_on_failure_pause_leaves_it_for_a_person(scene: Scene, operator: OperatorProcess) -> None:
    rejecting(scene)
    original = scene.template("m")
    rollout = {"onFailure": "Pause"}
    scene.create(sync("kv", scene.namespace, "m", engine={"dialect": "Flags"}, rollout=rollout))
    scene.wait_reason("kv", "EngineCrashed")
    scene.settle()
    assert "--enable-kv-cache-events" in scene.container("m")["args"]
    scene.delete_sync("kv")
    assert scene.template("m") == original


def test_the_next_models_are_not_touched_after_a_failure(
    scene: Scene, operator: OperatorProcess
) -> None:
    names = ["a", "b"]
    scene.create(*(model(name, scene.namespace) for name in names))
    for name in names:
        scene.wait_available(name)
    scene.create(sync("kv", scene.namespace, *names, engine={"dialect": "Flags"}))
    scene.wait_reason("kv", "EngineCrashed")
    scene.settle()
    assert scene.deployment("b")["metadata"]["generation"] == 1
    status = (scene.sync("kv") or {})["status"]
    assert "Stopped: a failed" in status["wave"]["message"]
