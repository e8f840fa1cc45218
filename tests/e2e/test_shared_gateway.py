"""One gateway, many objects: enabled together, contradicted, freed again; restarted at the right moment."""

import re
from datetime import UTC, datetime

import pytest

from core.objects import CONFIG
from e2e.manifests import EVENTS_LABEL, Object, model, sync
from e2e.scene import DEADLINE, GATEWAY, WATCHER, OperatorProcess, Scene

pytestmark = pytest.mark.bed

REVISION = "deployment.kubernetes.io/revision"
OWNERS = "kvsync.aibrix.ai/owners"
ENDPOINT = "AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT"
FLAG = "AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED"
LOADING = 8
LOAD_SECONDS = 12
STALL = 5.0
"""Seconds that a gateway waits for one pod that does not answer."""


def tokenizer_of(scene: Scene, name: str) -> str:
    """The address of a model's pod: this bed has no DNS."""
    pods = scene.api.list("pods", scene.namespace, labels=f"model.aibrix.ai/name={name}")
    return f"http://{pods[0]['status']['podIP']}:8000"


def nobody(scene: Scene) -> str:
    """Where a machine is up and nobody listens."""
    pods = scene.api.list("pods", WATCHER[1], labels=f"model.aibrix.ai/name={WATCHER[0]}")
    return f"http://{pods[0]['status']['podIP']}:9"


def revision(scene: Scene) -> int:
    """How often the gateway was rolled out, as the Deployment controller counts."""
    return int(scene.gateway()["metadata"]["annotations"][REVISION])


def name_endpoint(scene: Scene, name: str, url: str) -> None:
    patch = {"spec": {"gateway": {"remoteTokenizer": {"endpoint": url}}}}
    scene.api.patch("kveventsyncs", name, patch, scene.namespace)


def start_of(log: str) -> float:
    """Seconds that the gateway took to initialise KV event sync."""
    begun = at(log, "Initializing KV event synchronization")
    return (at(log, "KV event synchronization initialized successfully") - begun).total_seconds()


def owners(scene: Scene) -> list[str]:
    text = scene.gateway()["metadata"]["annotations"].get(OWNERS, "")
    return [mark.partition("/")[2] for mark in text.split(",") if mark]


def gateway_log(scene: Scene) -> str:
    """What the gateway's newest pod wrote."""
    pods = scene.api.list("pods", GATEWAY[1], labels="app=gateway-plugins")
    living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    newest = max(living, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    done = scene.api.kubectl("logs", newest["metadata"]["name"], "-n", GATEWAY[1])
    return done.stdout


def at(log: str, words: str) -> datetime:
    """When the gateway wrote this line."""
    found = re.search(rf"^[IWE]\d{{4}} (\S+) .*{words}", log, re.MULTILINE)
    assert found, log
    return datetime.strptime(found[1], "%H:%M:%S.%f").replace(tzinfo=UTC)


def test_two_objects_share_a_gateway_from_the_first_to_the_last(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(*(model(name, scene.namespace) for name in ("a", "b", "tokens")))
    for name in ("a", "b", "tokens"):
        scene.wait_available(name)
    original, before = scene.gateway()["spec"]["template"], revision(scene)

    # Together: one rollout, however they come.
    scene.create(sync("kv-a", scene.namespace, "a"), sync("kv-b", scene.namespace, "b"))
    for name in ("kv-a", "kv-b"):
        scene.wait_ready(name)
    assert owners(scene) == ["kv-a", "kv-b"]
    assert revision(scene) == before + 1

    # One names an endpoint: it wins over the derived one of the other.
    good = tokenizer_of(scene, "tokens")
    name_endpoint(scene, "kv-a", good)
    scene.wait("the endpoint", lambda: scene.gateway_env()[ENDPOINT] == good)
    for name in ("kv-a", "kv-b"):
        scene.wait_ready(name)
    assert revision(scene) == before + 2

    # The other names another one: both are told, nothing is changed or taken back.
    name_endpoint(scene, "kv-b", "http://192.0.2.1:8000")
    told = [scene.wait_reason(name, "Conflict", "GatewayConfigured") for name in ("kv-a", "kv-b")]
    for condition in told:
        assert condition["status"] == "False"
        assert f"{good} ({scene.namespace}/kv-a)" in condition["message"]
        assert f"http://192.0.2.1:8000 ({scene.namespace}/kv-b)" in condition["message"]
    assert (scene.gateway_env()[ENDPOINT], scene.gateway_env()[FLAG]) == (good, "true")

    name_endpoint(scene, "kv-b", good)
    for name in ("kv-a", "kv-b"):
        scene.wait_ready(name)
    assert revision(scene) == before + 2

    scene.delete_sync("kv-a")
    assert owners(scene) == ["kv-b"]
    scene.wait_ready("kv-b")
    assert scene.gateway_env()[FLAG] == "true"
    assert revision(scene) == before + 2

    scene.delete_sync("kv-b")
    assert scene.gateway()["spec"]["template"] == original
    assert revision(scene) == before + 3, "enabled, endpoint, restored"


def loading(scene: Scene, seconds: int = LOAD_SECONDS, *, labelled: bool = True) -> Object:
    """A model that its owner configured, and labelled, whose engines all load for long."""
    load = [{"name": "TESTBED_LOAD_SECONDS", "value": str(seconds)}]
    body = model("slow", scene.namespace, replicas=LOADING, args=[CONFIG], env=load)
    template = body["spec"]["template"]
    # With these it is right as it is: the operator rolls nothing out.
    labels = {"model.aibrix.ai/engine": "vllm", **({EVENTS_LABEL: "true"} if labelled else {})}
    template["metadata"]["labels"] = {**template["metadata"]["labels"], **labels}
    return body


def test_the_gateway_restarts_when_engines_and_tokenizer_are_there(
    scene: Scene, operator: OperatorProcess, watcher: Object
) -> None:
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")
    gateway, before = scene.gateway()["spec"]["template"], revision(scene)
    spec = {
        "gateway": {
            "alsoConfigure": [WATCHER[0]],
            "remoteTokenizer": {"endpoint": nobody(scene)},
        }
    }
    scene.create(
        loading(scene),
        # Nothing of it is changed; it is only known of.
        sync("kv-slow", scene.namespace, "slow", paused=True),
        sync("kv", scene.namespace, "m", **spec),
    )

    waiting = scene.wait_reason("kv", "GatewayWouldStall", "GatewayConfigured")
    assert f"{scene.namespace}/slow-" in waiting["message"]
    assert f"and {LOADING - 5} more" in waiting["message"]
    assert (scene.sync("kv") or {})["status"]["gateway"]["waitingSince"]

    failing = scene.wait_reason("kv", "TokenizerFailing", "GatewayConfigured")
    assert "the connection is refused" in failing["message"]
    assert revision(scene) == before, "neither beside loading engines nor without a tokenizer"

    name_endpoint(scene, "kv", tokenizer_of(scene, "slow"))
    scene.wait_ready("kv")
    assert revision(scene) == before + 1
    log = gateway_log(scene)
    assert "Failed to" not in log
    assert log.count("Successfully requested replay") >= LOADING + 1
    assert start_of(log) < STALL, "not one pod was waited for in vain"

    beside = scene.api.get("deployments", *WATCHER)
    env = beside["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": FLAG, "value": "true"} in env
    (entry,) = (scene.sync("kv") or {})["status"]["gateway"]["alsoConfigured"]
    assert (entry["name"], entry["state"]) == (WATCHER[0], "Configured")
    assert "read none" in entry["message"]

    scene.delete_sync("kv")
    assert scene.gateway()["spec"]["template"] == gateway
    after = scene.api.get("deployments", *WATCHER)
    assert after["spec"]["template"] == watcher["spec"]["template"]
    assert OWNERS not in after["metadata"].get("annotations", {})


def test_labelled_late_loading_engines_neither_stall_the_gateway_nor_hold_it_back(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")
    before = revision(scene)
    late = {"labels": "WhenVerified"}
    scene.create(
        loading(scene, 2 * LOAD_SECONDS, labelled=False),
        sync("kv-slow", scene.namespace, "slow", engine=late),
        sync("kv", scene.namespace, "m"),
    )

    scene.wait("the gateway is told", lambda: revision(scene) == before + 1)
    slow = scene.deployment("slow").get("status") or {}
    assert not slow.get("availableReplicas"), "while all of them still load"
    for name in ("kv", "kv-slow"):
        scene.wait_ready(name, 2 * DEADLINE)
    assert start_of(gateway_log(scene)) < STALL, "not one pod was waited for in vain"
    subscribed = f"Subscribed to KV events for pod {scene.namespace}/slow-"
    scene.wait("all are heard", lambda: gateway_log(scene).count(subscribed) == LOADING)
    assert "Failed to" not in gateway_log(scene)


def test_a_gateway_is_given_back_though_its_only_object_went_by_force(
    scene: Scene, operator: OperatorProcess
) -> None:
    original = scene.gateway()["spec"]["template"]
    scene.create(model("m", scene.namespace), sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    operator.kill()
    body = {"metadata": {"finalizers": None}}
    scene.api.patch("kveventsyncs", "kv", body, scene.namespace)
    scene.delete_sync("kv")
    again = OperatorProcess(
        scene.bed.kubeconfig_for_service_account("kvsync-system", "kvsync-operator"),
        scene.bed.directory / "leftovers-operator.log",
    )
    try:
        scene.wait(
            "the gateway given back", lambda: scene.gateway()["spec"]["template"] == original
        )
    finally:
        again.stop()
