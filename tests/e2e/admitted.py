"""What the stories of mode Admission look at: Deployments that stay their owners', and pods that do not."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.blinded import Blinding
from e2e.manifests import Object, model
from e2e.scene import Scene
from kvsync.model.injection import INJECTED_LABEL, INJECTION_ANNOTATION

EVENTS_WORD = "--kv-events-config="
OURS = "kvsync.aibrix.ai/"
SERVE = ["vllm", "serve"]
CLIENT = ("apply",)
SERVER = ("apply", "--server-side", "--field-manager=argocd-controller")


class Owner:
    """Somebody who applies the manifest of one model, and wants to find it again as it was applied."""

    def __init__(self, scene: Scene, name: str, words: tuple[str, ...] = CLIENT) -> None:
        self.name = name
        self._scene = scene
        self._words = words
        flags = ["tiny", f"--served-model-name={name}", "--port=8000"]
        self.manifest = model(name, scene.namespace, command=SERVE, args=flags)

    def apply(self) -> None:
        """Apply the manifest, as it is by now."""
        self._scene.api.kubectl(*self._words, "-f", "-", stdin=self._text())
        self._scene.wait_available(self.name)
        self._wanted = _spec(self._scene.deployment(self.name))

    def finds_it_as_it_was(self) -> bool:
        """Whether its spec is the owner's but for the one annotation; whatever is asked tells the same."""
        live = self._scene.deployment(self.name)
        assert _spec(live) == self._wanted
        foreign = ("--server-side", "--field-manager=foreign")
        for words in (("diff",), ("diff", *foreign), ("diff", *self._words[1:])):
            said = self._scene.api.kubectl(*words, "-f", "-", stdin=self._text(), check=False)
            assert (said.returncode, said.stdout) == (0, ""), (words, said.stdout, said.stderr)
        # Nobody else owns its arguments: a manager that applies them meets no conflict.
        words = ("apply", *foreign, "--dry-run=server", "-o", "json")
        applied = self._scene.api.kubectl(*words, "-f", "-", stdin=self._text())
        assert _spec(json.loads(applied.stdout)) == self._wanted
        return True

    def scale(self, replicas: int) -> None:
        """Have so many pods."""
        self.manifest["spec"]["replicas"] = replicas
        self._scene.api.kubectl(*self._words, "-f", "-", stdin=self._text())
        self._wanted["replicas"] = replicas

    @property
    def token(self) -> str:
        """The token in its pod template; empty where there is none."""
        metadata = self._scene.template(self.name)["metadata"]
        return str((metadata.get("annotations") or {}).get(INJECTION_ANNOTATION, ""))

    @property
    def pods(self) -> list[Object]:
        """Its living pods."""
        labels = f"model.aibrix.ai/name={self.name}"
        found = self._scene.api.list("pods", self._scene.namespace, labels=labels)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    @property
    def kinds(self) -> set[str]:
        """The tokens that its pods were given; an empty one for a pod that was given none."""
        return {given(pod) for pod in self.pods}

    def all_have(self, token: str, pods: int) -> bool:
        """Whether so many pods are there, each with the settings of this token."""
        found = self.pods
        return len(found) == pods and self.kinds == {token} and all(map(_is_ready, found))

    def _text(self) -> str:
        return json.dumps(self.manifest)


@contextmanager
def nothing_injected(scene: Scene) -> Iterator[None]:
    """The policy bound to nothing for a while."""
    blinding = Blinding(scene)
    blinding.begin()
    try:
        yield
    finally:
        blinding.end()


def slip_through(scene: Scene, owner: Owner) -> None:
    """Delete pods until the one that comes in place of one has no settings."""

    def slipped() -> bool:
        pods = owner.pods
        if any(given(pod) == "" for pod in pods):
            return True
        names = {pod["metadata"]["name"] for pod in pods}
        scene.api.delete("pods", min(names), scene.namespace)
        scene.wait("another one", lambda: {p["metadata"]["name"] for p in owner.pods} - names)
        return False

    scene.wait("a pod that slips through", slipped)


def given(pod: Object) -> str:
    """The token of what a pod was given, as its label and its arguments tell alike."""
    label = str(pod["metadata"]["labels"].get(INJECTED_LABEL, ""))
    engine = next(c for c in pod["spec"]["containers"] if c["name"] == "vllm")
    ours = [word for word in engine["args"] if word.startswith(EVENTS_WORD)]
    assert len(ours) == bool(label), "all or nothing, and once"
    return label


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _spec(deployment: Object) -> Any:
    """Its spec without the one annotation."""
    spec = copy.deepcopy(deployment["spec"])
    metadata = spec["template"]["metadata"]
    annotations = metadata.get("annotations") or {}
    annotations.pop(INJECTION_ANNOTATION, None)
    if not annotations:
        metadata.pop("annotations", None)
    return spec


def marks(deployment: Object) -> list[str]:
    """What of ours stands on it."""
    annotations = deployment["metadata"].get("annotations") or {}
    return [key for key in annotations if key.startswith(OURS)]
