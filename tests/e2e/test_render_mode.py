"""Mode Render on the bed: a repository, its tool, and an operator that writes to no model."""

import copy
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.manifests import EVENTS_LABEL, Object, model, sync
from e2e.scene import GATEWAY, KVSYNC, OperatorProcess, Scene

pytestmark = pytest.mark.bed

TOOL = ("apply", "--server-side", "--field-manager=flux")
ARGS = ["--max-model-len=512"]
MODELS = frozenset({"deployments", "pods", "replicasets"})


class Repository:
    """A kustomization of some models, and the tool that applies it."""

    def __init__(self, scene: Scene, folder: Path, *names: str) -> None:
        self.scene, self.folder, self.names = scene, folder, names
        self.bodies = [model(name, scene.namespace, args=ARGS) for name in names]
        (folder / "models.yaml").write_text(yaml.safe_dump_all(self.bodies))
        (folder / "kv").mkdir()
        self.take_out()

    def commit(self, component: str) -> None:
        """Commit what ``kvsync render -o kustomize`` printed, and have it applied."""
        (self.folder / "kv" / "kustomization.yaml").write_text(component)
        self._apply("components: [kv]\n")

    def take_out(self) -> None:
        """Commit the models without it, and have them applied."""
        self._apply("")

    def _apply(self, more: str) -> None:
        (self.folder / "kustomization.yaml").write_text(f"resources: [models.yaml]\n{more}")
        built = self.scene.api.kubectl("kustomize", str(self.folder)).stdout
        self.scene.api.kubectl(*TOOL, "-f", "-", stdin=built)
        for name in self.names:
            self.scene.wait_available(name)


@pytest.fixture
def repository(scene: Scene, tmp_path: Path) -> Repository:
    return Repository(scene, tmp_path, "m")


def rendered(scene: Scene, *words: str) -> str:
    done = run_render(scene, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_render(scene: Scene, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KVSYNC, "render", "--kubeconfig", str(scene.bed.kubeconfig), scene.namespace, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def entry(scene: Scene, name: str) -> Object:
    status = (scene.sync(name) or {})["status"]
    return dict(status["models"][0])


def managers(body: Object) -> set[str]:
    return {each["manager"] for each in body["metadata"]["managedFields"]}


def writes_on_models(scene: Scene, since: int) -> list[Any]:
    done = scene.bed.audit.writes(user_agent_contains="kvsync-operator", since=since)
    return [w for w in done if w.namespace == scene.namespace and w.resource in MODELS]


def test_an_owner_commits_what_the_operator_shows_and_it_writes_to_no_model(
    scene: Scene, operator: OperatorProcess, repository: Repository
) -> None:
    mark = scene.bed.audit.mark()
    gateway = scene.gateway()["spec"]["template"]
    scene.create(sync("kv", scene.namespace, "m", mode="Render"))
    stalled = scene.wait_reason("kv", "NotApplied", "Stalled")
    assert stalled["status"] == "True"
    assert "kvsync render" in stalled["message"]
    assert scene.gateway()["spec"]["template"] == gateway

    component = rendered(scene, "kv", "-o", "kustomize")
    (patch,) = yaml.safe_load(component)["patches"]
    assert yaml.safe_load(patch["patch"]) == json.loads(entry(scene, "kv")["patch"])
    assert json.loads(rendered(scene, "kv", "-o", "json"))[0]["outcome"] == "Change"
    assert "+" in rendered(scene, "kv")
    repository.commit(component)

    assert scene.wait_ready("kv")["reason"] == "Synchronized"
    assert "patch" not in entry(scene, "kv")
    assert scene.container("m")["args"][:1] == ARGS
    assert scene.gateway_env()["AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED"] == "true"
    assert rendered(scene, "kv", "-o", "kustomize") == ""
    assert yaml.safe_load(rendered(scene, "kv", "-o", "helm"))["gatewayPlugin"]["container"]["envs"]
    live = scene.deployment("m")
    assert "kvsync-operator" not in managers(live)
    assert not [k for k in live["metadata"]["annotations"] if k.startswith("kvsync.aibrix.ai/")]

    repository.take_out()
    scene.wait_reason("kv", "NotApplied")
    assert scene.condition("kv")["status"] == "False"
    repository.commit(component)
    scene.wait_ready("kv")
    applied = scene.template("m")

    scene.delete_sync("kv")
    gone = run_render(scene, "kv")
    assert (gone.returncode, gone.stdout) == (2, "")
    assert f"There is no KVEventSync kv in namespace {scene.namespace}" in gone.stderr
    assert scene.template("m") == applied
    assert scene.gateway()["spec"]["template"] == gateway
    assert writes_on_models(scene, mark) == []


def test_a_switch_from_patch_takes_back_in_waves_and_then_the_owners_turn_comes(
    scene: Scene, operator: OperatorProcess
) -> None:
    names = ["a", "b"]
    scene.create(*(model(name, scene.namespace) for name in names))
    for name in names:
        scene.wait_available(name)
    before = {name: scene.template(name) for name in names}
    scene.create(sync("kv", scene.namespace, *names))
    scene.wait_ready("kv", 90)
    # What the operator wrote stands in nobody's manifest: it is what the owner may commit.
    wanted = json.loads(rendered(scene, "kv", "-o", "json"))
    assert [(each["name"], each["outcome"]) for each in wanted] == [(n, "Change") for n in names]
    mark = scene.bed.audit.mark()
    scene.api.patch("kveventsyncs", "kv", {"spec": {"mode": "Render"}}, scene.namespace)
    scene.wait("both taken back", lambda: {n: scene.template(n) for n in names} == before)
    scene.wait_reason("kv", "NotApplied", "Stalled")
    assert json.loads(rendered(scene, "kv", "-o", "json")) == wanted
    reverted = [w.name for w in writes_on_models(scene, mark)]
    assert list(dict.fromkeys(reverted)) == names, "one after the other"
    marks = [k for n in names for k in scene.deployment(n)["metadata"].get("annotations", {})]
    assert not [key for key in marks if key.startswith("kvsync.aibrix.ai/")]
    apply_by_hand(scene, names)
    scene.wait_ready("kv", 90)


def apply_by_hand(scene: Scene, names: Sequence[str]) -> None:
    """The same pieces by a person: in another place and order, with labels of his own."""
    for name in names:
        body = copy.deepcopy(model(name, scene.namespace))
        container = body["spec"]["template"]["spec"]["containers"][0]
        config = {
            "topic": "",
            "replay_endpoint": "tcp://*:5558",
            "endpoint": "tcp://*:5557",
            "publisher": "zmq",
            "enable_kv_cache_events": True,
        }
        container["command"][3:3] = ["--kv-events-config", json.dumps(config)]
        labels = {"team": "x", EVENTS_LABEL: "true", "model.aibrix.ai/engine": "vllm"}
        template = body["spec"]["template"]
        template["metadata"]["labels"] = {**template["metadata"]["labels"], **labels}
        scene.api.kubectl(
            "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(body)
        )


def test_a_relay_that_its_owner_applied_is_verified(
    scene: Scene, operator: OperatorProcess, repository: Repository
) -> None:
    relay = {"relay": {"mode": "Always", "image": "kvsync-operator:test"}}
    mark = scene.bed.audit.mark()
    scene.create(sync("kv", scene.namespace, "m", mode="Render", events=relay))
    scene.wait_reason("kv", "NotApplied", "Stalled")
    repository.commit(rendered(scene, "kv", "-o", "kustomize"))
    assert scene.wait_ready("kv")["reason"] == "Synchronized"
    spec = scene.template("m")["spec"]
    assert [each["name"] for each in spec["initContainers"]] == ["kvsync-relay"]
    assert writes_on_models(scene, mark) == []
    assert GATEWAY[0] in {
        w.name for w in scene.bed.audit.writes(user_agent_contains="kvsync-operator", since=mark)
    }
