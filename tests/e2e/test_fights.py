"""Three owners who take their arguments back every second, and a model beside them that nobody touches."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from e2e.manifests import EVENTS_LABEL, Object, model, sync
from e2e.scene import OperatorProcess, Scene
from testbed.api import find_kubectl
from testbed.helm.program import Helm, write_chart
from testbed.process import Process

pytestmark = [pytest.mark.bed, pytest.mark.timeout(240)]

OPERATOR = "system:serviceaccount:kvsync-system:kvsync-operator"
SERVE = ["vllm", "serve", "tiny", "--port=8000"]
ARGS = ["--max-model-len=512"]
CLIENT_SIDE, SERVER_SIDE, HELM, QUIET, FROM_THE_START = "apply", "ssa", "helm", "quiet", "release"
NAMES = {
    CLIENT_SIDE: "kubectl apply (manager kubectl-client-side-apply, operation Update, at ",
    SERVER_SIDE: "kubectl apply --server-side (manager kubectl, operation Apply, at ",
    HELM: "Helm (manager helm, operation Apply, at ",
}
AT_MOST = 4
"""Changes of a model that is fought over: the first one, and three repairs."""


def body_of(name: str, scene: Scene, *, args: bool) -> Object:
    return model(name, scene.namespace, command=SERVE, args=ARGS if args else None)


class Opponent:
    """A program that writes its owner's manifest once a second."""

    def __init__(self, command: Sequence[str | Path], env: Mapping[str, str], log: Path) -> None:
        once = shlex.join(map(str, command))
        self.process = Process(
            ["sh", "-c", f"while :; do {once}; sleep 1; done"], log, env=dict(env)
        )


class Front:
    """The opponents of one scene."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene = scene
        self.folder = folder
        self.helm = Helm(scene.api, folder / "helm-home")
        self.running: list[Process] = []

    def begin(self) -> None:
        """All three at once."""
        kubeconfig = {"KUBECONFIG": str(self.scene.api.kubeconfig)}
        apply, forced = [find_kubectl(), "apply"], ["--server-side", "--force-conflicts"]
        self._start([*apply, "-f", self._manifest(CLIENT_SIDE)], kubeconfig)
        self._start([*apply, *forced, "-f", self._manifest(SERVER_SIDE)], kubeconfig)
        chart = self.chart(HELM, args=True)
        options = ["-n", self.scene.namespace, "--force-conflicts", "--history-max=2"]
        upgrade: list[str | Path] = [self.helm.program, "upgrade", HELM, chart, *options]
        self._start(upgrade, self.helm.environment)

    def _start(self, command: Sequence[str | Path], env: Mapping[str, str]) -> None:
        log = self.folder / f"opponent-{len(self.running)}.log"
        self.running.append(Opponent(command, env, log).process)

    def _manifest(self, name: str) -> Path:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(body_of(name, self.scene, args=True)))
        return path

    def chart(self, name: str, *, args: bool) -> Path:
        return write_chart(self.folder / name, json.dumps(body_of(name, self.scene, args=args)))

    def end(self) -> None:
        for process in self.running:
            process.stop()
        self.running.clear()


@pytest.fixture
def front(scene: Scene, tmp_path: Path) -> Iterator[Front]:
    opponents = Front(scene, tmp_path)
    yield opponents
    logs = [process.tail() for process in opponents.running]
    opponents.end()
    print("\n".join(logs))


def entry(scene: Scene, name: str) -> Mapping[str, Any]:
    body = scene.sync("kv") or {}
    models = (body.get("status") or {}).get("models") or ()
    return next((dict(found) for found in models if found["name"] == name), {})


def stands(scene: Scene, name: str) -> tuple[Any, Any]:
    found = entry(scene, name)
    return found.get("state"), found.get("reason")


def wait_until_it(scene: Scene, name: str, state: str, reason: str, deadline: float) -> None:
    wanted = (state, reason)
    scene.wait(f"{name} {reason}", lambda: stands(scene, name) == wanted, deadline)


def changes(scene: Scene, name: str, since: int) -> int:
    """How often the operator changed a Deployment, by the API server's own book."""
    written = scene.bed.audit.writes(user=OPERATOR, since=since)
    return len(
        [w for w in written if (w.resource, w.name) == ("deployments", name) and w.code < 300]
    )


def test_an_owner_who_takes_his_arguments_back_wins_after_three_repairs(
    scene: Scene, operator: OperatorProcess, front: Front
) -> None:
    since = scene.bed.audit.mark()
    manifest = json.dumps(body_of(CLIENT_SIDE, scene, args=True))
    scene.api.kubectl("apply", "-f", "-", stdin=manifest)
    scene.create(body_of(SERVER_SIDE, scene, args=True), body_of(QUIET, scene, args=True))
    for name, args in ((HELM, False), (FROM_THE_START, True)):
        front.helm.run("install", name, front.chart(name, args=args), "-n", scene.namespace)
    everyone = (*NAMES, QUIET, FROM_THE_START)
    for name in everyone:
        scene.wait_available(name)
    rollout = {"maxConcurrent": 5}
    scene.create(sync("kv", scene.namespace, *everyone, rollout=rollout, gateway={"manage": False}))
    for name in (*NAMES, QUIET):
        wait_until_it(scene, name, "Ready", "Verified", 60)
    quiet = scene.deployment(QUIET)["metadata"]["generation"]

    front.begin()
    for name in NAMES:
        wait_until_it(scene, name, "Refused", "Contended", 110)
    scene.settle(4)
    for name, opponent in NAMES.items():
        message = entry(scene, name)["message"]
        assert opponent in message
        assert "took the args of container vllm" in message
        assert "kvsync render" in message
        assert changes(scene, name, since) == AT_MOST
        assert scene.container(name)["args"] == ARGS, "the last word is its owner's"
    assert f"Helm release {HELM}" in entry(scene, HELM)["message"]
    assert scene.condition("kv", "Stalled")["status"] == "True"

    # Who owned the arguments from the start was never touched, and who has no opponent is as it was.
    assert stands(scene, FROM_THE_START) == ("Refused", "ArgsOwned")
    assert changes(scene, FROM_THE_START, since) == 0
    assert scene.deployment(FROM_THE_START)["metadata"]["generation"] == 1
    assert stands(scene, QUIET) == ("Ready", "Verified")
    assert changes(scene, QUIET, since) == 1
    assert scene.deployment(QUIET)["metadata"]["generation"] == quiet

    front.end()
    scene.delete_sync("kv", 60)
    for name in NAMES:
        assert scene.container(name)["args"] == ARGS
        assert "ports" not in scene.container(name)
        assert EVENTS_LABEL not in scene.template(name)["metadata"]["labels"]
        metadata = scene.deployment(name)["metadata"]
        assert not [key for key in metadata.get("annotations", {}) if key.startswith("kvsync.")]
