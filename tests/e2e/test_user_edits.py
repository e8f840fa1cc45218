"""What a user edits while events are on stays after they are off."""

import pytest

from e2e.manifests import model, sync
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed


def test_edits_between_enable_and_undo_are_kept(scene: Scene, operator: OperatorProcess) -> None:
    base = ["serve", "tiny", "--served-model-name=m"]
    scene.create(model("m", scene.namespace, command=["vllm"], args=base))
    scene.wait_available("m")
    original = scene.template("m")
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    configured = scene.deployment("m")["metadata"]["generation"]

    args = [*scene.container("m")["args"], "--max-model-len=512"]
    at = "/spec/template/spec/containers/0"
    patch = [
        {"op": "replace", "path": f"{at}/args", "value": args},
        {"op": "add", "path": f"{at}/env", "value": [{"name": "MINE", "value": "1"}]},
        {"op": "add", "path": "/spec/template/metadata/annotations", "value": {"mine": "1"}},
    ]
    scene.api.patch("deployments", "m", patch, scene.namespace)
    scene.wait_available("m")
    scene.wait_ready("kv")
    generation = scene.deployment("m")["metadata"]["generation"]
    assert generation == configured + 1, "the user's own restart is the only one"

    scene.delete_sync("kv")
    after = scene.template("m")
    assert after["spec"]["containers"][0]["args"] == [*base, "--max-model-len=512"]
    assert after["spec"]["containers"][0]["env"] == [{"name": "MINE", "value": "1"}]
    assert after["metadata"]["annotations"] == {"mine": "1"}
    assert after["metadata"]["labels"] == original["metadata"]["labels"]
    assert "ports" not in after["spec"]["containers"][0]


def test_arguments_that_the_user_takes_out_come_back(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")
    original = scene.template("m")
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    remove = [{"op": "remove", "path": "/spec/template/spec/containers/0/args"}]
    scene.api.patch("deployments", "m", remove, scene.namespace)
    scene.wait("our argument is back", lambda: "args" in scene.container("m"))
    scene.wait_ready("kv")
    scene.delete_sync("kv")
    assert scene.template("m") == original


def test_a_model_taken_out_of_the_object_is_given_back(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("a", scene.namespace), model("b", scene.namespace))
    scene.wait_available("a")
    scene.wait_available("b")
    original = scene.template("a")
    scene.create(sync("kv", scene.namespace, "a", "b"))
    scene.wait_ready("kv", 60)
    scene.api.patch("kveventsyncs", "kv", {"spec": {"models": {"names": ["b"]}}}, scene.namespace)
    scene.wait("a is as it was", lambda: scene.template("a") == original)
    scene.wait_ready("kv")
