"""What a gateway can use is told from the wire, where an image's tag says something else."""

import json
import urllib.request

import pytest

from e2e.manifests import EVENTS_LABEL, Object, model, sync
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed

MAPS = [{"name": "TESTBED_VLLM_VERSION", "value": "0.24.0"}]


def test_maps_on_the_wire_are_believed_against_a_tag_of_a_release_that_sends_arrays(
    scene: Scene, operator: OperatorProcess
) -> None:
    liar = model("liar", scene.namespace, image="vllm/vllm-openai:v0.16.0", env=MAPS)
    scene.create(liar, model("honest", scene.namespace))
    rollout, probe = {"maxConcurrent": 2}, {"interval": "1s"}
    scene.create(sync("kv", scene.namespace, "liar", "honest", rollout=rollout, probe=probe))
    scene.wait_ready("kv")
    assert scene.condition("kv", "GatewayCompatible")["reason"] == "Compatible", "by the tags alone"

    for pod in living(scene):
        prompt(pod)
    found = scene.wait_reason("kv", "EventLayout", "GatewayCompatible")

    assert found["status"] == "False"
    assert found["message"].startswith("liar-")
    assert "maps, as seen on the wire against the image's tag, vLLM 0.16.0" in found["message"]
    ready = scene.condition("kv")
    assert (ready["status"], ready["reason"]) == ("True", "GatewayIncompatible")
    assert gateway_words(scene) == {"liar": "EventLayout", "honest": "Compatible"}
    scene.wait(
        "the gateway's log tells that it can use one of the two",
        lambda: (scene.sync("kv") or {})["status"]["summary"].get("taken") == "1/2",
    )
    taken = scene.condition("kv", "GatewayConfigured")
    assert taken["status"] == "True"
    assert f"Not taken: {scene.namespace}/liar-" in taken["message"]


def test_a_label_that_is_taken_off_a_live_pod_is_missed_and_found_again(
    scene: Scene, operator: OperatorProcess
) -> None:
    body = model("m", scene.namespace)
    metadata = body["spec"]["template"]["metadata"]
    metadata["labels"] = {**metadata["labels"], EVENTS_LABEL: "true"}
    scene.create(body, sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    assert scene.condition("kv", "GatewayCompatible")["reason"] == "Compatible"
    (pod,) = living(scene)
    label = ("label", "pod", pod["metadata"]["name"], "-n", scene.namespace, "--overwrite")

    scene.api.kubectl(*label, f"{EVENTS_LABEL}-")
    found = scene.wait_reason("kv", "EventsLabelMissing", "GatewayCompatible")
    assert found["message"].startswith(f"{pod['metadata']['name']}: label {EVENTS_LABEL} is absent")
    scene.api.kubectl(*label, f"{EVENTS_LABEL}=true")
    scene.wait_reason("kv", "Compatible", "GatewayCompatible")


def living(scene: Scene) -> list[Object]:
    """The pods that are not on their way out."""
    pods = scene.api.list("pods", scene.namespace)
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def prompt(pod: Object) -> None:
    """Have an engine compute several blocks, so that it publishes."""
    words = " ".join(f"word{number}" for number in range(100))
    url = f"http://{pod['status']['podIP']}:8000/v1/completions"
    body = {"model": pod["metadata"]["labels"]["model.aibrix.ai/name"], "prompt": words}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def gateway_words(scene: Scene) -> dict[str, str]:
    """What the status says of each model before the gateway."""
    status = (scene.sync("kv") or {})["status"]
    return {entry["name"]: entry["gateway"] for entry in status["models"]}
