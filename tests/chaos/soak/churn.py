"""What goes on while an operator soaks: users, engines and publishers that never come to rest."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from chaos.history import annotated, scaled, with_variable
from chaos.oracle import Oracle
from e2e.manifests import Object, model, sync
from e2e.scene import Scene
from testbed.api import ApiError
from testbed.engine.container import environment

IMAGE = Path(__file__).parent / "image"
OPERATOR = Path(__file__).resolve().parents[3] / "operator"
MODELS = tuple(f"m{number}" for number in range(6))
SYNCS = {f"kv{number}": MODELS[2 * number : 2 * number + 2] for number in range(3)}
HOSTILE = (
    *("huge-frame", "endless-small-parts", "million-elements", "deep-nesting", "http-banner"),
    *("slow-handshake", "slow-frame", "half-message", "accept-and-close", "garbage"),
    *("never-reads", "endless-commands"),
)
HOSTILE_NAMESPACE = "soak-hostile"


def hostile_model(act: str) -> Object:
    """A Deployment that looks like a model, and whose pod means harm."""
    body = model(f"h-{act}", HOSTILE_NAMESPACE)
    container = body["spec"]["template"]["spec"]["containers"][0]
    container.pop("readinessProbe")
    image = environment()
    variables = {
        "PATH": os.pathsep.join((str(IMAGE), image["PATH"])),
        "PYTHONPATH": os.pathsep.join((str(OPERATOR), image["PYTHONPATH"])),
        "HOSTILE_ACT": act,
    }
    container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    return body


def hostile_sync() -> Object:
    """The object that has all of them watched for as long as it takes."""
    rollout = {"maxConcurrent": len(HOSTILE), "progressDeadline": "24h", "onFailure": "Pause"}
    names = [f"h-{act}" for act in HOSTILE]
    return sync(
        *("hostile", HOSTILE_NAMESPACE, *names),
        rollout=rollout,
        # None of them gets the gateway's label: it would wait for each of them as it starts.
        engine={"labels": "WhenVerified"},
        gateway={"manage": False},
    )


class Churn:
    """Does one thing after the other to a scene, by chance but always the same for one seed."""

    def __init__(self, scene: Scene, oracle: Oracle, seed: int) -> None:
        self._scene, self._oracle = scene, oracle
        self._chance = random.Random(seed)
        self._topics = 0
        self.done: dict[str, int] = {}

    def step(self) -> None:
        """One thing; what the API server refuses for now is not done."""
        acts: list[Callable[[], object]] = [
            self._delete_pod, self._delete_pod, self._restart_engine, self._restart_engine,
            self._scale, self._annotate, self._user_rollout, self._change_topic, self._toggle_object,
        ]  # fmt: skip
        act = self._chance.choice(acts)
        try:
            act()
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            return
        name = act.__name__.strip("_").replace("_", " ")
        self.done[name] = self.done.get(name, 0) + 1

    def create_all(self) -> None:
        """Bring back the objects that are away."""
        for name in SYNCS:
            if self._scene.sync(name) is None:
                self._create(name)

    def _model(self) -> tuple[str, str, str]:
        return ("deployments", self._chance.choice(MODELS), self._scene.namespace)

    def _delete_pod(self) -> None:
        pods = self._scene.api.list("pods", self._scene.namespace)
        if pods:
            name = self._chance.choice(sorted(pod["metadata"]["name"] for pod in pods))
            self._scene.api.delete("pods", name, self._scene.namespace)

    def _restart_engine(self) -> None:
        """kill -9, as the kernel does it: the kubelet starts the container anew in its pod."""
        _, name, _ = self._model()
        for pid in engines_of(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _scale(self) -> None:
        self._oracle.edit(*self._model(), scaled(self._chance.choice((1, 1, 2))))

    def _annotate(self) -> None:
        self._oracle.edit(*self._model(), annotated("team", str(self._chance.randrange(100))))

    def _user_rollout(self) -> None:
        value = str(self._chance.randrange(100))
        self._oracle.edit(*self._model(), with_variable("LEVEL", value))

    def _change_topic(self) -> None:
        self._topics += 1
        patch = {"spec": {"events": {"topic": f"t{self._topics}"}}}
        name = self._chance.choice([*SYNCS])
        self._scene.api.patch("kveventsyncs", name, patch, self._scene.namespace)

    def _toggle_object(self) -> None:
        name = self._chance.choice([*SYNCS])
        if self._scene.sync(name) is None:
            self._create(name)
        else:
            self._scene.api.delete("kveventsyncs", name, self._scene.namespace)

    def _create(self, name: str) -> None:
        self._scene.create(sync(name, self._scene.namespace, *SYNCS[name]))


def engines_of(model_name: str) -> list[int]:
    """The processes of a model's engines, all pods."""
    word = f"--served-model-name={model_name}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word in words and b"serve" in words:
            found.append(int(folder.name))
    return found
