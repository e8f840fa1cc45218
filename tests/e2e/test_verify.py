"""kvsync verify on a real control plane: health, each kind of failure with a way out, and no access."""

import os
import re
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from e2e.manifests import model, sync
from e2e.onlookers import (
    engines,
    frozen,
    kvsync,
    no_road_to,
    pods_of,
    prompt,
    reader_of,
    verified,
)
from e2e.scene import OperatorProcess, Scene
from testbed.bed import Bed
from testbed.waiting import wait_for

pytestmark = pytest.mark.bed


@pytest.fixture
def operator_access(installed: Bed) -> Path:
    """The operator's own rights: what `kubectl exec` into its pod has."""
    return installed.kubeconfig_for_service_account("kvsync-system", "kvsync-operator")


def ready(scene: Scene, *, replicas: int = 2, name: str = "m", **more: Any) -> None:
    scene.create(model(name, scene.namespace, replicas=replicas, **more))
    scene.create(sync("kv", scene.namespace, name))
    scene.wait_ready("kv")


def sources(found: Any) -> list[Any]:
    (each,) = found["objects"]
    return [source for one in each["models"] for source in one["sources"]]


def test_what_is_healthy_ends_with_0(
    scene: Scene, operator: OperatorProcess, operator_access: Path
) -> None:
    ready(scene)
    done = kvsync(operator_access, "verify", scene.namespace, "kv")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"KVEventSync {scene.namespace}/kv"
    assert "GatewayCompatible: True (Compatible)" in done.stdout
    assert "The operator: Ready True (Synchronized)" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 of 2 sources healthy."

    code, found = verified(operator_access, "-A")
    assert (code, found["healthy"], found["reachable"], found["notes"]) == (0, True, True, [])
    assert {(s["reason"], s["verified"]) for s in sources(found)} == {("Idle", True)}
    assert found["objects"][0]["models"][0]["difference"] == ""


def test_traffic_is_seen_from_here(
    scene: Scene, operator: OperatorProcess, operator_access: Path
) -> None:
    ready(scene, replicas=1)
    (pod,) = pods_of(scene)
    stop = threading.Event()

    def send() -> None:
        number = 0
        while not stop.wait(0.02):
            number += 1
            prompt(pod, f"{number} " * 64)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        code, found = verified(operator_access, scene.namespace)
    finally:
        stop.set()
        sender.join()
    (source,) = sources(found)
    assert (code, source["reason"]) == (0, "Publishing")
    assert source["sequence"] >= 0
    assert source["last_event_age"] < 15


def test_a_reader_of_one_namespace_can_verify_it(scene: Scene, operator: OperatorProcess) -> None:
    ready(scene, replicas=1)
    reader = reader_of(scene.bed, scene.namespace)
    code, found = verified(reader, scene.namespace, "kv")
    assert (code, found["healthy"]) == (0, True)
    (each,) = found["objects"]
    assert each["gateway_compatible"]["reason"] == "GatewayNotReadable"
    assert "aibrix-system" in each["gateway_compatible"]["message"]
    assert each["operator"]["gateway_compatible"]["status"] == "True"


def test_without_access_it_ends_with_2_and_says_what_is_missing(scene: Scene) -> None:
    nobody = scene.bed.kubeconfig_for("nobody")
    for command in ("verify", "top"):
        done = kvsync(nobody, command, scene.namespace)
        assert (done.returncode, done.stdout) == (2, "")
        for kind in ("kveventsyncs", "deployments", "pods"):
            assert f'cannot list resource "{kind}"' in done.stderr
        assert "needs the verb list" in done.stderr


def test_what_does_not_exist_ends_with_2(scene: Scene, operator_access: Path) -> None:
    done = kvsync(operator_access, "verify", scene.namespace, "kv")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"There is no KVEventSync kv in namespace {scene.namespace}" in done.stderr
    done = kvsync(operator_access, "verify", scene.namespace)
    assert done.returncode == 2
    assert f"There is no KVEventSync in namespace {scene.namespace}" in done.stderr


def test_an_object_that_is_being_deleted_says_so(scene: Scene, operator_access: Path) -> None:
    body = sync("kv", scene.namespace, "m")
    body["metadata"]["finalizers"] = ["example.com/held"]
    scene.create(body)
    scene.api.delete("kveventsyncs", "kv", scene.namespace)
    code, found = verified(operator_access, scene.namespace, "kv")
    assert (code, found["objects"][0]["reason"]) == (1, "Undoing")


def test_without_an_operator_the_models_plan_is_told(scene: Scene, operator_access: Path) -> None:
    odd = model("odd", scene.namespace, command=["sleep", "1000"], image="busybox:1")
    scene.create(odd, model("m", scene.namespace))
    scene.create(sync("kv", scene.namespace, "m", "odd", "nowhere"))
    scene.wait_available("m")
    done = kvsync(operator_access, "verify", scene.namespace)
    assert done.returncode == 1
    for reason in ("NoSuchDeployment", "NoEngineContainer", "WaitingForTurn"):
        assert reason in done.stdout
    assert "is kvsync-operator installed and running?" in done.stdout


def test_a_version_that_no_manifest_tells_is_asked_for_or_taken_from_the_operator(
    scene: Scene, operator: OperatorProcess, operator_access: Path
) -> None:
    env = [{"name": "TESTBED_VLLM_VERSION", "value": "0.16.0"}]
    ready(scene, replicas=1, image="registry.example.com/vllm:ours", env=env)
    code, found = verified(operator_access, scene.namespace, "kv")
    assert (code, [s["reason"] for s in sources(found)]) == (0, ["Idle"])
    with no_road_to(pods_of(scene)):
        code, found = verified(operator_access, scene.namespace, "kv")
    assert (code, [s["reason"] for s in sources(found)]) == (1, ["Unreachable"])


def test_a_silent_engine_is_told_with_a_way_out(
    scene: Scene, operator: OperatorProcess, operator_access: Path
) -> None:
    silent = [{"name": "TESTBED_FAULT", "value": "silent"}]
    scene.create(model("m", scene.namespace, env=silent), sync("kv", scene.namespace, "m"))
    scene.wait_reason("kv", "ReplayMissing")
    code, found = verified(operator_access, scene.namespace, "kv")
    (source,) = sources(found)
    assert (code, source["reason"], source["verified"]) == (1, "ReplayMissing", False)
    assert "replay_endpoint" in source["remedy"]
    done = kvsync(operator_access, "verify", scene.namespace, "kv")
    assert "  remedy    See whether the port is reachable" in done.stdout
    assert "Looking: " in done.stderr, "it took longer than two seconds"


def test_a_frozen_engine_is_told_before_the_operator_knows(
    scene: Scene, operator: OperatorProcess, operator_access: Path
) -> None:
    name = f"m-{scene.namespace}"
    ready(scene, replicas=1, name=name)
    with frozen(name):
        code, found = verified(operator_access, scene.namespace, "kv")
    (source,) = sources(found)
    assert (code, source["healthy"]) == (1, False)
    assert source["reason"] in ("Stale", "NotZMQ")
    assert source["remedy"]
    assert found["reachable"], "its kernel answers: this is no matter of the network"


def test_a_killed_engine_is_told_with_its_last_words(
    scene: Scene, operator: OperatorProcess, operator_access: Path
) -> None:
    name = f"m-{scene.namespace}"
    ready(scene, replicas=1, name=name)
    end = threading.Event()

    def kill() -> None:
        while not end.wait(0.1):
            for process in engines(name):
                with suppress(ProcessLookupError):  # it may have ended since it was listed
                    os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        wait_for(lambda: _waits_to_start(scene), 30, what="a back-off")
        code, found = verified(operator_access, scene.namespace, "kv")
    finally:
        end.set()
        killer.join()
    (each,) = found["objects"]
    assert (code, each["models"][0]["reason"]) == (1, "EngineCrashed")
    assert "137" in each["models"][0]["message"]
    assert {(s["reason"], bool(s["remedy"])) for s in sources(found)} == {("PortClosed", True)}


def _waits_to_start(scene: Scene) -> bool:
    statuses = [s for pod in pods_of(scene) for s in pod["status"].get("containerStatuses", ())]
    return any(
        s["restartCount"] > 0 and s["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        for s in statuses
    )


def test_from_where_no_pod_is_reached_it_is_said_once(
    scene: Scene, operator: OperatorProcess, operator_access: Path
) -> None:
    ready(scene)
    operator.stop()
    with no_road_to(pods_of(scene)):
        done = kvsync(operator_access, "verify", scene.namespace, "kv")
        code, found = verified(operator_access, scene.namespace, "kv")
    assert done.returncode == code == 1
    assert done.stdout.splitlines()[-1] == (
        "None of the 2 pods can be reached from here; run it inside the cluster: kubectl -n "
        f"kvsync-system exec deploy/kvsync-operator -- kvsync verify {scene.namespace} kv"
    )
    assert "Unreachable" not in done.stdout
    assert not found["reachable"]
    assert {s["reason"] for s in sources(found)} == {"Unreachable"}
    assert "the operator says Verified, 2 of 2" in found["objects"][0]["models"][0]["difference"]


def test_one_pod_that_only_the_operator_reaches_is_a_difference(
    scene: Scene, operator: OperatorProcess, operator_access: Path
) -> None:
    ready(scene)
    operator.stop()
    with no_road_to(pods_of(scene)[:1]):
        done = kvsync(operator_access, "verify", scene.namespace, "kv")
    assert done.returncode == 1
    assert "rank 0: Unreachable" in done.stdout
    assert "NetworkPolicy" in done.stdout
    assert "the operator says Verified, 2 of 2 sources verified; from here it is" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 of 2 sources healthy."


def test_no_api_server_ends_with_2(tmp_path: Path, operator_access: Path) -> None:
    moved = re.sub(r"https://\S+", "https://127.0.0.1:1", operator_access.read_text())
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(moved)
    done = kvsync(elsewhere, "verify", "default")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
