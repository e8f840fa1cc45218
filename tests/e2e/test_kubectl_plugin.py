"""kvsync as a plugin of the real kubectl: found on PATH, completed, and led by kubectl's own options."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.manifests import model, sync
from e2e.onlookers import kvsync, reader_of
from e2e.scene import Scene
from testbed.api import find_kubectl

pytestmark = pytest.mark.bed

BIN = Path(sys.executable).parent


def kubectl(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **env}
    return subprocess.run(
        [find_kubectl(), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=surroundings,
    )


def two_files(scene: Scene, folder: Path) -> str:
    """The admin's kubeconfig in two files as KUBECONFIG names them, the context in the second."""
    whole: Any = yaml.safe_load(scene.bed.kubeconfig.read_text())
    cluster, user = whole["clusters"][0]["name"], whole["users"][0]["name"]
    context = {"cluster": cluster, "user": user, "namespace": scene.namespace}
    first = {"clusters": whole["clusters"], "users": whole["users"]}
    second = {"current-context": "here", "contexts": [{"name": "here", "context": context}]}
    paths = [folder / "first", folder / "second"]
    for path, body in zip(paths, (first, second), strict=True):
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **body}))
    return os.pathsep.join(map(str, paths))


def test_kubectl_runs_it_with_its_namespace_and_context(scene: Scene, tmp_path: Path) -> None:
    scene.create(model("m", scene.namespace))
    files = two_files(scene, tmp_path)

    made = kubectl(*("kvsync", "enable", "m", "--no-wait", "-o", "json"), KUBECONFIG=files)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) == {
        "namespace": scene.namespace,
        "name": "m",
        "done": True,
        "reason": "Written",
        "message": "Nobody waited for it to be Ready.",
    }
    assert f"KVEventSync {scene.namespace}/m created." in made.stderr
    assert scene.sync("m") is not None, "in the namespace of the context"

    looked = kubectl(
        *("kvsync", "verify", "m", "-n", scene.namespace, "-o", "yaml"), KUBECONFIG=files
    )
    assert looked.returncode == 1, "no operator runs"
    (found,) = yaml.safe_load(looked.stdout)["objects"]
    assert (found["namespace"], found["name"]) == (scene.namespace, "m")
    once = kubectl(*("kvsync", "top", "--once", "-o", "json"), KUBECONFIG=files)
    assert json.loads(once.stdout)["objects"][0]["name"] == "m"

    nowhere = kubectl(*("kvsync", "verify", "--context", "gone"), KUBECONFIG=files)
    assert nowhere.returncode == 2
    assert "gone" in nowhere.stderr

    gone = kubectl(*("kvsync", "disable", "m", "--no-wait"), KUBECONFIG=files)
    assert gone.returncode == 0, gone.stderr


def test_kubectl_knows_the_plugin_and_completes_its_words() -> None:
    assert f"{BIN}/kubectl-kvsync" in kubectl("plugin", "list").stdout
    assert kubectl("kvsync", "doctor", "-h").stdout.startswith("Usage: kubectl kvsync doctor")
    # What the shells' scripts of kubectl call.
    assert kubectl("__complete", "kvsync", "ver").stdout.splitlines()[0] == "verify"


def test_it_acts_as_another(scene: Scene) -> None:
    scene.create(model("m", scene.namespace), sync("kv", scene.namespace, "m"))
    reader_of(scene.bed, scene.namespace)
    words = ("verify", scene.namespace, "-o", "json")
    assert kvsync(scene.bed.kubeconfig, *words, "--as", "kvsync-reader").returncode == 1
    refused = kvsync(scene.bed.kubeconfig, *words, "--as", "nobody", "--as-group", "nobodies")
    assert refused.returncode == 2
    assert 'User "nobody" cannot list' in refused.stderr
