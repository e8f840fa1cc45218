"""kvsync doctor on a real control plane: a healthy installation, then real faults, each with a way out."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.manifests import EVENTS_LABEL, Object, model, sync
from e2e.onlookers import kvsync, no_road_to, pods_of
from e2e.scene import GATEWAY, Scene
from testbed.api import objects_of, rolled_out

pytestmark = pytest.mark.bed

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / "docs" / "samples" / "install" / "operator.yaml"
HOME, NAME = "kvsync-system", "kvsync-operator"
CRD = "kveventsyncs.kvsync.aibrix.ai"


def operators_deployment() -> Object:
    return next(b for b in yaml.safe_load_all(INSTALL.read_text()) if b["kind"] == "Deployment")


@pytest.fixture
def installed_operator(scene: Scene) -> Iterator[None]:
    """The install manifest's Deployment, with its pod running; gone at the end."""
    scene.api.create(operators_deployment())
    scene.wait("the operator", lambda: rolled_out(scene.api.get("deployments", NAME, HOME)))
    yield
    scene.api.delete("deployments", NAME, HOME)
    scene.wait("no operator", lambda: not operators_pods(scene))


def operators_pods(scene: Scene) -> list[Object]:
    listed = scene.api.list("pods", HOME)
    return [p for p in listed if p["metadata"]["labels"].get("app.kubernetes.io/name") == NAME]


def doctor(scene: Scene, *words: str, kubeconfig: Path | None = None) -> tuple[int, Any]:
    """The exit code, and its JSON."""
    done = kvsync(kubeconfig or scene.bed.kubeconfig, "doctor", *words, "-o", "json")
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def told(report: Any, mark: str) -> dict[str, str]:
    """What each check saw that has this mark."""
    return {f["check"]: f["seen"] for f in report["findings"] if f["mark"] == mark}


def wrong(scene: Scene, *words: str) -> dict[str, str]:
    """What is wrong, with a remedy each."""
    code, report = doctor(scene, "-n", scene.namespace, *words)
    assert (code, report["exit_code"]) == (1, 1), report
    assert all(f["remedy"] for f in report["findings"] if f["mark"] != "good")
    return told(report, "wrong")


def in_a_pod(scene: Scene, *args: str) -> tuple[int, Any]:
    """The same from a pod under the operator's ServiceAccount, as `helm test` runs it."""
    spec = deepcopy(operators_deployment()["spec"]["template"]["spec"])
    (container,) = spec["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe", "ports"):
        container.pop(probe, None)
    container["args"] = ["doctor", *args, "-o", "json"]
    spec["restartPolicy"] = "Never"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "doctor"}, "spec": spec}
    scene.api.create(pod, HOME)
    try:
        phase = scene.wait(
            "its end",
            lambda: (
                (p := scene.api.get("pods", "doctor", HOME)["status"]["phase"])
                in ("Succeeded", "Failed")
                and p
            ),
        )
        logs = scene.api.logs("doctor", HOME)
        return int(phase == "Failed"), json.loads(logs[logs.index("{") :])
    finally:
        scene.api.delete("pods", "doctor", HOME)


def test_a_healthy_installation_and_faults_one_after_the_other(
    scene: Scene, installed_operator: None
) -> None:
    namespace = scene.namespace
    scene.create(model("m", namespace, replicas=2), sync("kv", namespace, "m"))
    scene.wait_ready("kv")

    code, report = doctor(scene)
    assert (code, told(report, "wrong")) == (0, {}), report
    good = told(report, "good")
    assert "Kubernetes 1." in good["api-server"]
    assert "by SubjectAccessReview" in good["permissions"]
    assert good["operator"] == "2 of 2 pods are ready."
    assert good["leader"].endswith("its Lease was renewed while it was watched. 1 standby.")
    assert good["engines"] == "VLLM 0.16.0 (by its image tag), dialect ConfigJSON."
    assert good["publishing"].startswith("2 sources are healthy")
    assert good["labels"] == "2 pods carry the gateway's label."

    code, report = in_a_pod(scene, f"--operator-namespace={HOME}", f"--lease-name={NAME}")
    assert (code, told(report, "wrong")) == (0, {}), report
    assert "by SelfSubjectAccessReview" in told(report, "good")["permissions"]
    assert f"inside the cluster as system:serviceaccount:{HOME}:{NAME}" in report["seen_from"]

    with no_road_to(pods_of(scene)[:1]):
        assert "1 of 2 event ports cannot be reached" in wrong(scene)["network"]
    with no_road_to(pods_of(scene)):
        _, report = doctor(scene, "kv", "-n", namespace)
    assert "None of 2 event ports" in told(report, "open")["network"], "as from a laptop"
    assert not told(report, "wrong").keys() & {"network", "event-ports", "publishing"}, report
    a_right_is_taken_away(scene)
    a_label_is_taken_off(scene)
    the_operator_is_of_another_release_and_down(scene)
    no_gateway(scene)


def a_right_is_taken_away(scene: Scene) -> None:
    role = scene.api.get("clusterroles", NAME)
    rules = [rule for rule in role["rules"] if "pods" not in rule["resources"]]
    scene.api.patch("clusterroles", NAME, {"rules": rules})
    try:
        # RBAC is read from a cache of the API server.
        seen = scene.wait("it noticed", lambda: wrong(scene).get("permissions"))
    finally:
        scene.api.patch("clusterroles", NAME, {"rules": role["rules"]})
    assert f"{HOME}/{NAME} may not" in seen
    assert "pods" in seen
    assert "Without it: " in seen


def a_label_is_taken_off(scene: Scene) -> None:
    pod = pods_of(scene)[0]["metadata"]["name"]
    scene.api.patch("pods", pod, {"metadata": {"labels": {EVENTS_LABEL: None}}}, scene.namespace)
    assert pod in wrong(scene)["labels"]
    scene.api.patch("pods", pod, {"metadata": {"labels": {EVENTS_LABEL: "true"}}}, scene.namespace)


def the_operator_is_of_another_release_and_down(scene: Scene) -> None:
    container = {"name": "operator", "image": "kvsync-operator:0.9.0"}
    spec = {"replicas": 0, "template": {"spec": {"containers": [container]}}}
    scene.api.kubectl(
        *("patch", "deployment", NAME, "-n", HOME, "--patch", json.dumps({"spec": spec}))
    )
    scene.wait("no pod of it", lambda: not operators_pods(scene))
    found = wrong(scene)
    assert found["operator"] == "It is scaled to zero."
    assert found["leader"].startswith("Nobody holds Lease")
    assert found["operator-release"].startswith("It is 0.9.0, and this program is 0.1.0")


def no_gateway(scene: Scene) -> None:
    manifest = objects_of(ROOT / "tests" / "testbed" / "manifests" / "gateway.yaml")
    scene.api.delete("deployments", *GATEWAY)
    scene.wait("gateway gone", lambda: scene.api.find("deployments", *GATEWAY) is None)
    try:
        assert f"{scene.namespace}/kv name it" in wrong(scene)["gateway"]
    finally:
        scene.api.create(next(body for body in manifest if body["kind"] == "Deployment"))


def test_what_is_half_there_is_told_and_ends_nothing(scene: Scene) -> None:
    namespace = scene.namespace
    scene.create(model("old", namespace, image="vllm/vllm-openai:v0.8.0"))
    scene.create(sync("kv", namespace, "old"))
    found = wrong(scene)
    assert "no Deployment with the label" in found["operator"]
    assert found["objects"] == "The operator says nothing of it."
    assert "EngineTooOld" in found["engines"]

    assert wrong(scene, "nowhere")["objects"].startswith("There is no KVEventSync nowhere")

    code, report = doctor(scene, kubeconfig=scene.bed.kubeconfig_for("nobody"))
    assert (code, report["exit_code"]) == (2, 2)
    assert set(told(report, "good")) == {"api-server", "crd"}

    schema = scene.api.get("crd", CRD)
    older = deepcopy(schema)
    spec = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["rollout"]
    scene.api.patch("crd", CRD, {"spec": older["spec"]})
    try:
        seen = scene.wait("the older CRD", lambda: wrong(scene).get("crd"))
        assert "lacks spec.rollout" in seen
    finally:
        scene.api.patch("crd", CRD, {"spec": schema["spec"]})
        # The API server opens the storage anew, and refuses (429) meanwhile.
        scene.wait("the newer CRD", lambda: "crd" not in wrong(scene))
        scene.wait("its objects", lambda: scene.api.list("kveventsyncs", namespace))


def test_without_an_api_server_or_a_kubeconfig_it_ends_with_2(tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(
        yaml.safe_dump(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "x", "user": {}}],
            }
        )
    )
    for file in (nowhere, tmp_path / "missing"):
        done = kvsync(file, "doctor")
        assert done.returncode == 2, done
        assert "api-server" in done.stdout
        assert done.stderr == ""
