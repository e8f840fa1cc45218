"""Two operators that share the objects by their labels: one gateway, one limit, labels that change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2e.admitted import SERVER, Owner, marks
from e2e.manifests import Object, model, sync
from e2e.rolling import watched
from e2e.scene import OperatorProcess, Scene
from testbed.bed import Bed

pytestmark = [pytest.mark.bed, pytest.mark.timeout(300)]

Start = Callable[..., OperatorProcess]

HOME = "kvsync-system"
RIGHTS = "kvsync-operator-shards"
OWNERS = "kvsync.aibrix.ai/owners"
REVISION = "deployment.kubernetes.io/revision"


@pytest.fixture(autouse=True)
def shard_rights(installed: Bed) -> Iterator[None]:
    """What the install manifest gives for one Lease, and the chart for those of shards."""
    named = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": RIGHTS, "namespace": HOME},
    }
    rule = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "update"],
    }
    subject = {"kind": "ServiceAccount", "name": "kvsync-operator", "namespace": HOME}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": RIGHTS}
    installed.api.create({**named, "kind": "Role", "rules": [rule]}, HOME)
    installed.api.create(
        {**named, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]}, HOME
    )
    yield
    installed.api.delete("rolebindings", RIGHTS, HOME)
    installed.api.delete("roles", RIGHTS, HOME)


class Stage:
    """Operators of shards, and who wrote what."""

    def __init__(self, scene: Scene, start: Start) -> None:
        self.scene = scene
        self._start = start
        self.mark = scene.bed.audit.mark()
        for name in ("shard-a", "shard-b"):
            if scene.api.find("leases", name, HOME) is not None:
                scene.api.delete("leases", name, HOME)

    def operator(self, label: str, *options: str) -> OperatorProcess:
        """One more operator for the objects of a label."""
        return self._start(
            *("--object-selector", f"shard={label}", "--lease-name", f"shard-{label}"),
            *("--leader-elect", "--operator-namespace", HOME),
            *options,
        )

    def leader(self, label: str) -> str:
        """Who leads a shard; empty where nobody does."""
        lease = self.scene.api.find("leases", f"shard-{label}", HOME) or {}
        return str((lease.get("spec") or {}).get("holderIdentity") or "")

    def wait_leader(self, label: str, before: str = "") -> str:
        self.scene.wait(f"a leader of {label}", lambda: self.leader(label) not in ("", before))
        return self.leader(label)

    def create(self, label: str, name: str, *models: str, **spec: Any) -> None:
        body = sync(name, self.scene.namespace, *models, **spec)
        body["metadata"]["labels"] = {"shard": label}
        self.scene.create(body)

    def relabel(self, name: str, label: str) -> None:
        patch = {"metadata": {"labels": {"shard": label}}}
        self.scene.api.patch("kveventsyncs", name, patch, self.scene.namespace)

    def server(self, name: str) -> str:
        status = (self.scene.sync(name) or {}).get("status") or {}
        return str((status.get("shard") or {}).get("name") or "")

    def writers(self, resource: str, name: str) -> set[str]:
        """Those of the shards' leaders who wrote to an object of the scene."""
        return {
            request.user_agent.partition("(")[2].partition(")")[0]
            for request in self.scene.bed.audit.writes(
                user_agent_contains="kvsync-operator", since=self.mark
            )
            if (request.resource, request.namespace, request.name)
            == (resource, self.scene.namespace, name)
            and request.code < 300
        }

    def revision(self, name: str) -> int:
        return int(self.scene.deployment(name)["metadata"]["annotations"][REVISION])


@pytest.fixture
def stage(scene: Scene, start_operator: Start) -> Stage:
    return Stage(scene, start_operator)


def models(scene: Scene, names: str) -> dict[str, Object]:
    """Models that run, and their templates."""
    scene.create(*(model(name, scene.namespace) for name in names))
    for name in names:
        scene.wait_available(name)
    return {name: scene.template(name) for name in names}


def reason_of(scene: Scene, name: str, model_name: str) -> str:
    listed = ((scene.sync(name) or {}).get("status") or {}).get("models") or ()
    return next((m.get("reason", "") for m in listed if m["name"] == model_name), "")


def test_they_share_a_gateway_a_model_and_the_limit_of_restarts(stage: Stage) -> None:
    scene = stage.scene
    originals = models(scene, "abcd")
    gateway = scene.gateway()
    stage.operator("a", "--max-rolling", "1")
    stage.operator("b", "--max-rolling", "1")
    first, second = stage.wait_leader("a"), stage.wait_leader("b")

    with watched(scene) as witness:
        stage.create("a", "kv-a", "a", "b", rollout={"maxConcurrent": 2})
        stage.create("b", "kv-b", "c", "d", rollout={"maxConcurrent": 2})
        for name in ("kv-a", "kv-b"):
            scene.wait_ready(name, 150)
    assert len(witness.most) == 1, witness.most
    assert witness.ever == {*"abcd"}
    assert (stage.server("kv-a"), stage.server("kv-b")) == (f"{HOME}/shard-a", f"{HOME}/shard-b")
    assert stage.writers("deployments", "a") == stage.writers("kveventsyncs", "kv-a") == {first}
    assert stage.writers("deployments", "c") == stage.writers("kveventsyncs", "kv-b") == {second}

    # One rollout of the gateway for both.
    annotations = scene.gateway()["metadata"]["annotations"]
    assert annotations[OWNERS] == ",".join(f"{scene.namespace}/{name}" for name in ("kv-a", "kv-b"))
    revisions = [
        int(each["metadata"]["annotations"][REVISION]) for each in (gateway, scene.gateway())
    ]
    assert revisions[1] == revisions[0] + 1

    # A model that an object of the other shard selects too goes over to it without a restart.
    stage.create("b", "kv-c", "a")
    scene.wait("kv-c told", lambda: reason_of(scene, "kv-c", "a") == "OwnedByAnother")
    stage.mark = scene.bed.audit.mark()
    scene.delete_sync("kv-a")
    scene.wait_ready("kv-c")
    assert stage.revision("a") == 2
    assert scene.template("b") == originals["b"]

    for name in ("kv-b", "kv-c"):
        scene.delete_sync(name)
    for name in originals:
        scene.wait_available(name)
    assert {name: scene.template(name) for name in originals} == originals
    assert scene.gateway()["spec"]["template"] == gateway["spec"]["template"]

    # Deleted by force: both see the mark that is left, and it is taken off.
    stage.create("a", "kv-f", "a")
    scene.wait_ready("kv-f")
    patch = {"metadata": {"finalizers": None, "labels": {"shard": "none"}}}
    scene.api.patch("kveventsyncs", "kv-f", patch, scene.namespace)
    scene.wait("let go of", lambda: stage.server("kv-f") == "")
    scene.api.delete("kveventsyncs", "kv-f", scene.namespace)
    scene.wait(
        "the gateway restored",
        lambda: scene.gateway()["spec"]["template"] == gateway["spec"]["template"],
    )


def test_one_dies_in_the_middle_of_a_wave_and_its_object_goes_over_to_the_other(
    stage: Stage,
) -> None:
    scene = stage.scene
    originals = models(scene, "abcd")
    gateway = scene.gateway()["spec"]["template"]
    leader = stage.operator("a")
    first = stage.wait_leader("a")
    standby = stage.operator("a")
    stage.operator("b")
    other = stage.wait_leader("b")
    stage.create("a", "kv-a", "a", "b", "c", rollout={"maxConcurrent": 1})
    scene.wait("the wave begun", lambda: scene.template("a") != originals["a"])
    leader.kill()

    # The other shard goes on meanwhile, and the standby of the dead one takes over.
    stage.create("b", "kv-b", "d")
    scene.wait("d configured", lambda: scene.template("d") != originals["d"])
    second = stage.wait_leader("a", first)
    scene.wait("the wave goes on", lambda: scene.template("b") != originals["b"])

    # A new label in the middle of the wave: let go of by the one, gone on with by the other.
    stage.relabel("kv-a", "b")
    scene.wait("let go of and taken", lambda: stage.server("kv-a") == f"{HOME}/shard-b")
    taken = stage.mark = scene.bed.audit.mark()
    for name in ("kv-a", "kv-b"):
        scene.wait_ready(name, 120)
    assert {name: stage.revision(name) for name in "abcd"} == dict.fromkeys("abcd", 2)
    assert stage.writers("kveventsyncs", "kv-a") == {other}
    assert not scene.bed.audit.writes(user_agent_contains=first, since=taken)
    late = scene.bed.audit.writes(user_agent_contains=second, since=taken)
    # An Event of what it did before may be on its way.
    assert not [request for request in late if request.resource not in ("leases", "events")]

    # Both are gone, and with them who served it: whoever selects it now takes it over.
    standby.kill()
    stage.relabel("kv-b", "a")
    scene.wait("let go of", lambda: stage.server("kv-b") == "")
    third = stage.operator("a")
    scene.wait("taken", lambda: stage.server("kv-b") == f"{HOME}/shard-a")
    third.kill()
    stage.relabel("kv-b", "b")
    scene.wait("taken over", lambda: stage.server("kv-b") == f"{HOME}/shard-b")

    for name in ("kv-a", "kv-b"):
        scene.delete_sync(name)
    for name in originals:
        scene.wait_available(name)
    assert {name: scene.template(name) for name in originals} == originals
    assert scene.gateway()["spec"]["template"] == gateway


def test_in_mode_admission_each_gives_its_pods_their_settings_and_another_one_goes_on(
    stage: Stage,
) -> None:
    scene = stage.scene
    gateway = scene.gateway()["spec"]["template"]
    first, second = Owner(scene, "m-1"), Owner(scene, "m-2", SERVER)
    for each in (first, second):
        each.apply()
    for label in "ab":
        stage.operator(label, "--admission-policy", "--max-rolling", "1")
    leaders = stage.wait_leader("a"), stage.wait_leader("b")

    with watched(scene) as witness:
        stage.create("a", "kv-a", "m-1", mode="Admission")
        stage.create("b", "kv-b", "m-2", mode="Admission")
        for name in ("kv-a", "kv-b"):
            scene.wait_ready(name, 150)
    assert len(witness.most) == 1, witness.most
    assert witness.ever == {"m-1", "m-2"}
    for each, name, leader in zip((first, second), ("kv-a", "kv-b"), leaders, strict=True):
        assert each.token
        assert each.all_have(each.token, 1)
        assert each.finds_it_as_it_was()
        assert injected(scene, name) == {each.name: each.token}
        assert stage.writers("deployments", each.name) == {leader}
        assert stage.writers("kveventsyncs", name) == {leader}
    annotations = scene.gateway()["metadata"]["annotations"]
    assert annotations[OWNERS] == ",".join(f"{scene.namespace}/{name}" for name in ("kv-a", "kv-b"))

    # A label changes: what is published stands, also for a pod that is made just then.
    token, (pod,) = first.token, first.pods
    stage.mark = scene.bed.audit.mark()
    stage.relabel("kv-a", "b")
    scene.api.delete("pods", pod["metadata"]["name"], scene.namespace)
    scene.wait("let go of and taken", lambda: stage.server("kv-a") == f"{HOME}/shard-b")
    scene.wait("another pod with its settings", lambda: first.all_have(token, 1))
    scene.wait_ready("kv-a")
    assert injected(scene, "kv-a") == {"m-1": token}
    assert (first.token, stage.revision("m-1"), stage.revision("m-2")) == (token, 2, 2)
    assert stage.writers("deployments", "m-1") == set()

    for name in ("kv-a", "kv-b"):
        scene.delete_sync(name)
    scene.wait("pods as they were", lambda: all(o.all_have("", 1) for o in (first, second)))
    for each in (first, second):
        assert each.finds_it_as_it_was()
        assert marks(scene.deployment(each.name)) == []
    assert scene.gateway()["spec"]["template"] == gateway


def injected(scene: Scene, name: str) -> dict[str, str]:
    """The tokens that an object publishes, by workload."""
    status = (scene.sync(name) or {}).get("status") or {}
    return {each["workload"]: each["token"] for each in status.get("injections") or ()}
