"""The main job: one KVEventSync, from a plain Deployment to Ready and exactly back."""

import json

import pytest

from e2e.manifests import EVENTS_LABEL, RECORD, model, sync
from e2e.scene import GATEWAY, OperatorProcess, Scene
from kvsync.adapters.kube.events import CONTROLLER

pytestmark = pytest.mark.bed

FLAGS_IMAGE = "registry.example.com/team/vllm:0.8.5-kvflags"


def annotations(scene: Scene, name: str) -> list[str]:
    found = scene.deployment(name)["metadata"].get("annotations", {})
    return [key for key in found if key.startswith("kvsync.aibrix.ai/")]


def test_config_json_from_plain_to_ready_and_exactly_back(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace, replicas=2))
    scene.wait_available("m")
    original, gateway = scene.template("m"), scene.gateway()["spec"]["template"]

    scene.create(sync("kv", scene.namespace, "m"))
    ready = scene.wait_ready("kv")

    assert ready["reason"] == "Synchronized"
    (word,) = [w for w in scene.container("m")["args"] if w.startswith("--kv-events-config=")]
    config = json.loads(word.partition("=")[2])
    assert config["endpoint"] == "tcp://*:5557"
    assert config["publisher"] == "zmq"
    assert {p["containerPort"] for p in scene.container("m")["ports"]} == {5557, 5558}
    assert scene.template("m")["metadata"]["labels"][EVENTS_LABEL] == "true"
    env = scene.gateway_env()
    assert env["AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED"] == "true"
    assert env["AIBRIX_KV_EVENT_SYNC_ENABLED"] == "true"
    assert env["AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE"] == "remote"
    assert env["AIBRIX_PREFIX_CACHE_BLOCK_SIZE"] == "64", "four times the engine's block size of 16"
    status = (scene.sync("kv") or {})["status"]
    assert status["summary"] == {"models": "1/1", "sources": "2/2", "taken": "2/2"}
    assert status["models"][0]["versionSource"] == "ImageTag"

    scene.delete_sync("kv")

    assert scene.template("m") == original
    assert scene.gateway()["spec"]["template"] == gateway
    assert annotations(scene, "m") == []


def test_flags_dialect_writes_the_product_texts_three_flags(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace, image=FLAGS_IMAGE))
    scene.wait_available("m")
    original = scene.template("m")
    scene.create(sync("kv", scene.namespace, "m", events={"topic": "kv", "bufferSteps": 500}))
    scene.wait_ready("kv")
    assert scene.container("m")["args"] == [
        "--enable-kv-cache-events",
        "--kv-events-buffer-steps=500",
        "--kv-events-topic=kv",
    ]
    scene.delete_sync("kv")
    assert scene.template("m") == original


def test_a_converged_cluster_is_not_written_to(scene: Scene, operator: OperatorProcess) -> None:
    scene.create(model("m", scene.namespace), sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    scene.settle()  # Events may still be on their way.
    mark = scene.bed.audit.mark()
    # A second reconcile by a change that means nothing, and a third by a new operator's start.
    scene.api.patch(
        "kveventsyncs", "kv", {"metadata": {"labels": {"touched": "true"}}}, scene.namespace
    )
    assert operator.stop() == 0
    again = OperatorProcess(
        scene.bed.kubeconfig_for_service_account("kvsync-system", "kvsync-operator"),
        scene.bed.directory / "second-operator.log",
    )
    try:
        scene.settle(6.0)
    finally:
        again.stop()
    writes = scene.bed.audit.writes(user_agent_contains="kvsync-operator", since=mark)
    assert writes == []


def test_events_tell_the_story_on_the_object_on_the_deployment_and_on_the_gateway(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace), sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")

    mark, places = f"KVEventSync {scene.namespace}/kv: ", (scene.namespace, GATEWAY[1])

    def told() -> set[tuple[str, str]]:
        events = [e for each in places for e in scene.api.list("events.events.k8s.io", each)]
        ours = [e for e in events if e.get("reportingController") == CONTROLLER]
        return {
            (e["regarding"]["name"], e["reason"])
            for e in ours
            if e["regarding"]["kind"] == "KVEventSync" or e["note"].startswith(mark)
        }

    scene.wait(
        "Events on all three",
        lambda: (
            {
                ("kv", "Configured"),
                ("m", "Configured"),
                ("kv", "GatewayConfigured"),
                (GATEWAY[0], "GatewayConfigured"),
                ("kv", "Synchronized"),
            }
            <= told()
        ),
    )
    scene.delete_sync("kv")
    scene.wait(
        "Events of the way back",
        lambda: {("m", "Reverted"), (GATEWAY[0], "GatewayRestored")} <= told(),
    )


def test_kubectl_get_shows_the_columns(scene: Scene, operator: OperatorProcess) -> None:
    scene.create(model("m", scene.namespace, replicas=2), sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    header, row = scene.api.kubectl("get", "kves", "-n", scene.namespace).stdout.splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "MODELS", "SOURCES", "GATEWAY", "AGE"]
    assert row.split()[:6] == ["kv", "True", "Synchronized", "1/1", "2/2", "Configured"]


def test_retain_leaves_everything_and_a_new_object_can_still_undo_it(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")
    original, gateway = scene.template("m"), scene.gateway()["spec"]["template"]
    scene.create(sync("kv", scene.namespace, "m", deletionPolicy="Retain"))
    scene.wait_ready("kv")
    configured = scene.template("m")
    scene.delete_sync("kv")
    assert scene.template("m") == configured
    assert annotations(scene, "m") == [RECORD]

    scene.create(sync("again", scene.namespace, "m"))
    scene.wait_ready("again")
    assert scene.template("m") == configured, "adopted without a restart"
    scene.delete_sync("again")
    assert scene.template("m") == original
    assert scene.gateway()["spec"]["template"] == gateway


def test_paused_writes_nothing_and_names_the_plan(scene: Scene, operator: OperatorProcess) -> None:
    scene.create(model("m", scene.namespace), sync("kv", scene.namespace, "m", paused=True))
    scene.wait_available("m")
    paused = scene.wait_reason("kv", "Paused")
    assert "m" in paused["message"]
    (entry,) = (scene.sync("kv") or {})["status"]["models"]
    assert entry["plan"]["restarts"] == 1
    plan = (scene.sync("kv") or {})["status"]["plan"]
    assert (plan["models"], plan["rollouts"], plan["pods"]) == (1, 1, 1)
    assert "The gateway restarts once every source is verified." in plan["message"]
    assert any("add to args: --kv-events-config=" in change for change in entry["plan"]["changes"])
    assert any("hybrid KV cache manager" in note for note in entry["notes"])
    assert "args" not in scene.container("m")
    assert (scene.sync("kv") or {})["metadata"].get("finalizers") is None
    scene.api.patch("kveventsyncs", "kv", {"spec": {"paused": False}}, scene.namespace)
    scene.wait_ready("kv")


def test_models_change_one_after_the_other_and_the_gateway_last(
    scene: Scene, operator: OperatorProcess
) -> None:
    names = ["a", "b", "c"]
    scene.create(*(model(name, scene.namespace) for name in names))
    for name in names:
        scene.wait_available(name)
    mark = scene.bed.audit.mark()
    scene.create(sync("kv", scene.namespace, *names))
    scene.wait_ready("kv", 90)
    patched = [
        w.name
        for w in scene.bed.audit.writes(user_agent_contains="kvsync-operator", since=mark)
        if w.resource == "deployments"
    ]
    assert patched == ["a", "b", "c", "aibrix-gateway-plugins"]
