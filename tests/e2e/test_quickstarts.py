"""Both ways of the product text's quick start: a new deployment, and an existing one."""

import subprocess
from pathlib import Path

import pytest

from e2e.manifests import model
from e2e.scene import KVSYNC, OperatorProcess, Scene

pytestmark = pytest.mark.bed

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "docs" / "samples" / "quickstart" / "model-with-kv-events.yaml"


def kvsync(scene: Scene, *words: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KVSYNC, *words, "--kubeconfig", str(scene.bed.kubeconfig)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_new_deployment_by_kubectl_apply_of_the_sample(
    scene: Scene, operator: OperatorProcess
) -> None:
    manifest = SAMPLE.read_text().replace("namespace: default", f"namespace: {scene.namespace}")
    scene.api.kubectl("apply", "-f", "-", stdin=manifest)
    scene.wait_ready("my-model")
    body = scene.deployment("my-model")
    assert body["metadata"]["generation"] == 1, "right from the first start: not written to"
    scene.delete_sync("my-model")
    assert scene.deployment("my-model")["metadata"]["generation"] == 1


def test_existing_deployment_by_enable_and_disable(scene: Scene, operator: OperatorProcess) -> None:
    scene.create(model("my-model", scene.namespace))
    scene.wait_available("my-model")
    original = scene.template("my-model")

    plan = kvsync(scene, "enable", scene.namespace, "my-model", "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "--kv-events-config=" in plan.stdout
    assert scene.template("my-model") == original
    assert scene.sync("my-model") is None

    done = kvsync(scene, "enable", scene.namespace, "my-model", "--timeout", "1m")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Synchronized" in done.stdout.splitlines()[-1]
    assert scene.condition("my-model")["status"] == "True"

    again = kvsync(scene, "enable", scene.namespace, "my-model", "--dry-run")
    assert "is right already; nothing would be changed" in again.stdout, again.stderr

    undone = kvsync(scene, "disable", scene.namespace, "my-model", "--timeout", "1m")
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert scene.sync("my-model") is None
    assert scene.template("my-model") == original


def test_enable_exits_with_the_reason_when_a_person_must_act(
    scene: Scene, operator: OperatorProcess
) -> None:
    failed = kvsync(scene, "enable", scene.namespace, "nobody", "--timeout", "30s")
    assert failed.returncode == 1
    assert "no Deployment or StormService nobody" in failed.stderr


def test_disable_of_what_is_not_on_says_so(scene: Scene) -> None:
    failed = kvsync(scene, "disable", scene.namespace, "nobody")
    assert failed.returncode == 1
    assert "is not on for" in failed.stderr
