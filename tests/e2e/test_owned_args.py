"""Whose the arguments are decides before anything is written; the ways out that are named do work."""

import copy
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from e2e.manifests import Object, model, sync
from e2e.scene import KVSYNC, OperatorProcess, Scene

pytestmark = pytest.mark.bed

FLAGS = ["--port=8000", "--max-model-len=512"]
SERVE = ["vllm", "serve", "tiny"]
TRACKING = "argocd.argoproj.io/tracking-id"


class Owner:
    """A program that applies a model's manifest."""

    def __init__(self, scene: Scene, name: str, *words: str) -> None:
        self.scene = scene
        self.name = name
        self.words = words

    def manifest(self, *, args: bool = True) -> Object:
        words, flags = (SERVE, FLAGS) if args else (SERVE + FLAGS, None)
        body = model(self.name, self.scene.namespace, command=words, args=flags)
        body["metadata"]["annotations"] = {TRACKING: f"models:apps/Deployment:x/{self.name}"}
        return body

    def apply(self, body: Object) -> None:
        self.scene.api.kubectl(*self.words, "-f", "-", stdin=json.dumps(body))
        self.scene.wait_available(self.name)

    def entry(self) -> Mapping[str, Any]:
        body = self.scene.sync("kv") or {}
        models = (body.get("status") or {}).get("models") or ()
        return next((dict(found) for found in models if found["name"] == self.name), {})

    def wait_for(self, reason: str) -> Mapping[str, Any]:
        self.scene.wait(f"{self.name} {reason}", lambda: self.entry().get("reason") == reason)
        return self.entry()

    def untouched(self) -> bool:
        metadata = self.scene.deployment(self.name)["metadata"]
        ours = [key for key in metadata["annotations"] if key.startswith("kvsync.")]
        return metadata["generation"] == 1 and not ours


def test_owned_arguments_are_refused_and_both_ways_out_work(
    scene: Scene, operator: OperatorProcess, tmp_path: Path
) -> None:
    argo = Owner(scene, "argo", "apply", "--server-side", "--field-manager=argocd-controller")
    flux = Owner(scene, "flux", "apply", "--server-side", "--field-manager=kustomize-controller")
    free = Owner(scene, "free", "apply", "--server-side", "--field-manager=argocd-controller")
    argo.apply(argo.manifest())
    flux.apply(flux.manifest())
    free.apply(free.manifest(args=False))
    scene.create(sync("kv", scene.namespace, "argo", "flux", "free", rollout={"maxConcurrent": 3}))
    assert "Argo CD (manager argocd-controller" in argo.wait_for("ArgsOwned")["message"]
    assert "Flux (manager kustomize-controller" in flux.wait_for("ArgsOwned")["message"]
    assert scene.condition("kv", "Stalled")["reason"] == "ArgsOwned"
    free.wait_for("Verified")
    assert argo.untouched()
    assert flux.untouched()

    # The first way: all flags in command. The second: what kvsync render prints, in their repository.
    argo.apply(argo.manifest(args=False))
    path = tmp_path / "model.json"
    path.write_text(json.dumps(flux.manifest()))
    printed = subprocess.run(
        [KVSYNC, "render", "-f", str(path), "-o", "yaml"],
        capture_output=True,
        text=True,
        check=True,
    )
    scene.api.kubectl(*flux.words, "-f", "-", stdin=printed.stdout)
    scene.wait_ready("kv")
    assert scene.deployment("flux")["metadata"]["generation"] == 2, "nobody but its owner wrote it"
    # Their next sync takes nothing away.
    before = scene.template("argo")
    argo.apply(argo.manifest(args=False))
    assert scene.template("argo") == before


def test_who_only_may_take_them_back_is_warned_of_and_repaired_once(
    scene: Scene, operator: OperatorProcess
) -> None:
    owner = Owner(scene, "m", "apply")
    body = owner.manifest()
    del body["metadata"]["annotations"]
    owner.apply(body)
    scene.create(sync("kv", scene.namespace, "m", gateway={"manage": False}))
    owner.wait_for("Verified")
    (risk,) = [note for note in owner.entry()["notes"] if "takes ours away" in note]
    assert risk.startswith("kubectl apply (manager kubectl-client-side-apply")

    scene.api.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    scene.wait("repaired", lambda: "repairs" in owner.entry())
    owner.wait_for("Verified")
    assert len(owner.entry()["repairs"]["times"]) == 1
    events = scene.api.list("events", scene.namespace)
    told = {event["reason"]: event for event in events if event["type"] == "Warning"}
    assert {"Configured", "Repaired"} <= told.keys()
    scene.delete_sync("kv")
    assert scene.container("m")["args"] == FLAGS


def held_by_us(body: Object) -> bool:
    """Whether the operator is a manager of the arguments."""
    entries = body["metadata"]["managedFields"]
    ours = [entry["fieldsV1"] for entry in entries if entry["manager"] == "kvsync-operator"]
    return any('"f:args"' in json.dumps(fields) for fields in ours)


def test_from_patch_to_admission_ends_the_conflict(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    """The third way, for a model whose owner began to apply server-side after it was configured."""
    owner = Owner(scene, "m", "apply", "--server-side")
    first = owner.manifest()
    del first["metadata"]["annotations"]
    scene.api.kubectl("apply", "-f", "-", stdin=json.dumps(first))
    start_operator("--admission-policy")
    scene.create(sync("kv", scene.namespace, "m", gateway={"manage": False}))
    owner.wait_for("Verified")
    longer = copy.deepcopy(first)
    longer["spec"]["template"]["spec"]["containers"][0]["args"].append("--block-size=32")
    refused = scene.api.kubectl(*owner.words, "-f", "-", stdin=json.dumps(longer), check=False)
    assert 'conflict with "kvsync-operator"' in refused.stderr

    scene.api.patch("kveventsyncs", "kv", {"spec": {"mode": "Admission"}}, scene.namespace)
    scene.wait("injections", lambda: (scene.sync("kv") or {})["status"].get("injections"))
    scene.wait("the arguments are its owner's", lambda: scene.container("m")["args"] == FLAGS)
    scene.wait("and nobody else's", lambda: not held_by_us(scene.deployment("m")))
    owner.wait_for("Verified")
    owner.apply(longer)
    owner.wait_for("Verified")
    assert scene.container("m")["args"] == [*FLAGS, "--block-size=32"]
    scene.delete_sync("kv")
