"""A slot on the bed: kubelet and engine take it, and one value configures the model and is given back."""

import contextlib
import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import jq
import pytest
import yaml

from e2e.manifests import Object, model, sync
from e2e.onlookers import engines
from e2e.scene import KVSYNC, OperatorProcess, Scene
from kvsync.core.ignore_differences import slot_path

pytestmark = pytest.mark.bed

ARGO = ("apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller")
HELM = ("apply", "--server-side", "--field-manager=helm")
SLOT, OFF = "KVSYNC_KV_EVENTS", "--kv-events-config={}"
LATE = {"labels": "WhenVerified"}


class Git:
    """A repository with the manifest of one model, and who applies it."""

    def __init__(self, scene: Scene, name: str, *apply: str, script: bool = False) -> None:
        self.scene, self.name, self._apply = scene, name, apply
        words = ["vllm", "serve", "tiny", f"--served-model-name={name}", "--port=8000"]
        command = ["sh", "-c", "exec " + " ".join(words)] if script else words
        args = None if script else ["--max-model-len=512"]
        plain = model(name, scene.namespace, command=command, args=args)
        done = subprocess.run(
            [KVSYNC, "render", "--slot", "-f", "-", "-o", "yaml"],
            input=json.dumps(plain),
            capture_output=True,
            text=True,
            check=True,
        )
        self.manifest: Object = yaml.safe_load(done.stdout)
        self.container = self.manifest["spec"]["template"]["spec"]["containers"][0]

    def sync(self, *, ignoring: bool = False) -> None:
        """Apply; ``ignoring`` as Argo CD with RespectIgnoreDifferences: what is ignored as it lives."""
        body = copy.deepcopy(self.manifest)
        if ignoring:
            (item,) = body["spec"]["template"]["spec"]["containers"][0]["env"]
            item["value"] = value_of(self.scene, self.name)
        self.scene.api.kubectl(*self._apply, "-f", "-", stdin=json.dumps(body))
        self.scene.wait_available(self.name)

    def add(self, word: str) -> None:
        """One more argument, as a commit would add it."""
        if "args" in self.container:
            self.container["args"].append(word)
        else:
            self.container["command"][-1] += f" {word}"


def value_of(scene: Scene, name: str) -> str:
    (item,) = (e for e in scene.container(name)["env"] if e["name"] == SLOT)
    return str(item["value"])


def argv(scene: Scene, name: str) -> list[str]:
    """The words that the one engine of a model really runs with, once the one before it is gone."""
    scene.wait("one engine", lambda: len(lines_of(name)) == 1)
    (line,) = lines_of(name)
    return line.split("\0")


def lines_of(name: str) -> list[str]:
    lines = []
    for each in engines(name):
        with contextlib.suppress(OSError):
            lines.append(Path(f"/proc/{each}/cmdline").read_bytes().decode().rstrip("\0"))
    # What puts a container into its namespaces has the container's words behind its own.
    return [line for line in lines if not line.startswith(("setpriv\0", "unshare\0"))]


def ignoring(body: Object) -> Any:
    return jq.compile(f"del({slot_path('Deployment')})").input_value(body).first()


def entry(scene: Scene) -> Object:
    models = ((scene.sync("kv") or {}).get("status") or {}).get("models")
    return dict(models[0]) if models else {}


@pytest.mark.parametrize("script", [False, True], ids=["by-its-words", "by-a-script"])
def test_one_value_configures_it_and_is_given_back(
    scene: Scene, operator: OperatorProcess, script: bool
) -> None:
    name = f"{scene.namespace}-m"
    git = Git(scene, name, *ARGO, script=script)
    git.sync()
    before = scene.deployment(name)
    assert OFF in argv(scene, name), "the kubelet expands it, and the engine starts with it"

    scene.create(sync("kv", scene.namespace, name, engine=LATE))
    scene.wait_ready("kv")
    after = scene.deployment(name)
    config = value_of(scene, name)
    assert config.startswith('--kv-events-config={"enable_kv_cache_events":true')
    assert config in argv(scene, name)
    assert OFF not in argv(scene, name)
    wanted = copy.deepcopy(before["spec"])
    wanted["template"]["spec"]["containers"][0]["env"] = [{"name": SLOT, "value": config}]
    assert after["spec"] == wanted, "nothing but the value"
    assert ignoring(after)["spec"] == ignoring(before)["spec"]
    (told,) = [note for note in entry(scene)["notes"] if "RespectIgnoreDifferences" in note]
    assert told.startswith("Argo CD (manager argocd-controller")

    # Git changes another argument: it gets through, and the value stays.
    git.add("--seed=7")
    git.sync(ignoring=True)
    scene.wait_ready("kv")
    assert {"--seed=7", config} <= set(argv(scene, name))
    assert "repairs" not in entry(scene)

    scene.delete_sync("kv")
    scene.wait_available(name)
    assert value_of(scene, name) == OFF
    assert OFF in argv(scene, name)


def test_an_application_that_does_not_ignore_it_is_named(
    scene: Scene, operator: OperatorProcess
) -> None:
    name = f"{scene.namespace}-m"
    git = Git(scene, name, *ARGO)
    git.sync()
    scene.create(sync("kv", scene.namespace, name, engine=LATE, gateway={"manage": False}))
    scene.wait("verified", lambda: entry(scene).get("reason") == "Verified")
    git.sync()
    scene.wait("it is put back", lambda: value_of(scene, name) != OFF)
    scene.wait("and counted", lambda: entry(scene).get("repairs"))
    assert entry(scene)["repairs"]["by"].startswith("Argo CD (manager argocd-controller")


def test_who_applies_server_side_without_ignoring_is_refused(
    scene: Scene, operator: OperatorProcess
) -> None:
    name = f"{scene.namespace}-m"
    git = Git(scene, name, *HELM)
    git.sync()
    scene.create(sync("kv", scene.namespace, name, engine=LATE, gateway={"manage": False}))
    scene.wait_reason("kv", "ArgsOwned", "Stalled")
    assert scene.deployment(name)["metadata"]["generation"] == 1
    assert value_of(scene, name) == OFF
