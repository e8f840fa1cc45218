"""The chart by both Helms: an upgrade restarts no model, and to uninstall leaves nothing of ours."""

from pathlib import Path

import pytest

from core.network_rules import Source, gets_through
from e2e.installs import PREVIOUS, Install, install_in, left_as_it_was, lives, state
from e2e.manifests import Object, model, sync
from e2e.scene import Scene

pytestmark = pytest.mark.bed

MAPS = "vllm/vllm-openai:v0.32.0"
RBAC = "rbac.authorization.k8s.io"


POLICIES = {"modelNetworkPolicy": {"enabled": True}}


def closed_to_all_but_gateway_and_release(scene: Scene, install: Install, *names: str) -> None:
    """The chart's own rights and labels are enough for the policies that it asks for."""
    policies = scene.api.list("networkpolicies", scene.namespace)
    pod, *_ = install.pods()
    operator = Source(install.namespace, pod["metadata"]["labels"])
    for name in names:
        labels = scene.template(name)["metadata"]["labels"]
        for source, reached in ((operator, True), (Source(install.namespace), False)):
            through = gets_through(policies, scene.namespace, labels, source, 5557)
            assert through is reached, (name, source)


def give_old_program_a_lease(scene: Scene, install: Install) -> None:
    """The chart of then is run by the program of today, which asks for a Lease."""
    named: Object = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "stand-in"}}
    rule = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["create", "get", "update"],
    }
    scene.api.create({**named, "kind": "Role", "rules": [rule]}, install.namespace)
    binding: Object = {
        **named,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "stand-in"},
        "subjects": [{"kind": "ServiceAccount", "name": install.name}],
    }
    scene.api.create(binding, install.namespace)


@pytest.mark.parametrize("major", [3, 4])
def test_an_upgrade_restarts_no_model_and_to_uninstall_undoes_all(
    scene: Scene, tmp_path: Path, major: int
) -> None:
    names = ("plain", "relayed")
    scene.create(model("plain", scene.namespace), model("relayed", scene.namespace, image=MAPS))
    for name in names:
        scene.wait_available(name)
    before = state(scene, *names)
    with install_in(scene, tmp_path, major) as install:
        give_old_program_a_lease(scene, install)
        install.upgrade({}, PREVIOUS)
        relay = {"relay": {"mode": "Auto"}}
        scene.create(sync("plain", scene.namespace, "plain"))
        scene.create(sync("relayed", scene.namespace, "relayed", events=relay))
        for name in names:
            scene.wait_ready(name)
        (sidecar,) = scene.template("relayed")["spec"]["initContainers"]
        assert sidecar["image"] == "kvsync-operator:0.1.0"

        living, mark = lives(scene), scene.bed.audit.mark()
        told = install.upgrade({"image": {"tag": "0.2.0"}, **POLICIES})
        assert f"kvsync-operator 0.1.0 runs in namespace {install.namespace}" in told
        images = {pod["spec"]["containers"][0]["image"] for pod in install.pods()}
        assert images == {"kvsync-operator:0.2.0"}
        scene.settle()
        for name in names:
            scene.wait_ready(name)
        assert lives(scene) == living
        written = [r for r in install.requests(mark) if r.wrote and r.group == "apps"]
        assert written == [], "nothing is written on any Deployment"
        closed_to_all_but_gateway_and_release(scene, install, *names)

        install.uninstall()
        left_as_it_was(scene, before)
        for kind in ("jobs", "roles", "serviceaccounts"):
            found = scene.api.list(kind, install.namespace)
            names_left = {body["metadata"]["name"] for body in found} - {"default", "stand-in"}
            assert names_left == set(), kind


def test_what_hangs_while_all_is_undone_is_named_and_the_next_attempt_goes_on(
    scene: Scene, tmp_path: Path
) -> None:
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")
    before = state(scene, "m")
    with install_in(scene, tmp_path, 4) as install:
        install.upgrade({"replicas": 1, "uninstall": {"undo": {"timeout": "3s"}}})
        scene.create(sync("kv", scene.namespace, "m"))
        scene.wait_ready("kv")
        scale(scene, install, 0)
        with pytest.raises(RuntimeError, match="undo not ready"):
            install.uninstall()
        job = f"job/{install.name}-undo"
        said = scene.api.kubectl("logs", job, "-n", install.namespace).stdout
        assert "1 not undone after 3 s:" in said
        assert f"{scene.namespace}/kv: no operator has taken it up yet" in said
        assert f"kubectl patch kves kv -n {scene.namespace} --type=merge" in said
        assert scene.api.get("deployments", install.name, install.namespace), "nothing is gone"

        scale(scene, install, 1)
        scene.wait("undone all the same", lambda: scene.sync("kv") is None)
        install.uninstall()
        left_as_it_was(scene, before)


def scale(scene: Scene, install: Install, replicas: int) -> None:
    """So many replicas, from outside of Helm."""
    patch = {"spec": {"replicas": replicas}}
    scene.api.patch("deployments", install.name, patch, install.namespace)
    scene.wait(f"{replicas} replicas", lambda: len(install.pods()) == replicas)
