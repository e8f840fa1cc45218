"""Mode Admission, from turning it on to its end: owners find their Deployments as they wrote them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from e2e.admitted import SERVER, Owner, given, marks, nothing_injected, slip_through
from e2e.manifests import sync
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed

Start = Callable[..., OperatorProcess]


def entries(scene: Scene) -> dict[str, Any]:
    """What is published, by workload."""
    status = (scene.sync("kv") or {}).get("status") or {}
    return {each["workload"]: each for each in status.get("injections") or ()}


def said_of(scene: Scene, name: str) -> dict[str, Any]:
    """What the status says of a model."""
    status = (scene.sync("kv") or {}).get("status") or {}
    found = (dict(each) for each in status.get("models") or () if each["name"] == name)
    return next(found, {})


def settled(scene: Scene, *owners: Owner, pods: int, was: dict[str, str] | None = None) -> None:
    """Wait until all of their pods have what is published, and sources are verified."""
    before = was or {}

    def so() -> bool:
        tokens = {each.name: each.token for each in owners}
        renewed = all(tokens[name] not in ("", before.get(name)) for name in tokens)
        return renewed and all(each.all_have(tokens[each.name], pods) for each in owners)

    scene.wait("all pods with their settings", so)
    scene.wait(
        "all of them verified",
        lambda: all(said_of(scene, each.name).get("reason") == "Verified" for each in owners),
    )
    scene.wait_ready("kv")
    for each in owners:
        assert entries(scene)[each.name]["token"] == each.token
        assert each.finds_it_as_it_was()


def test_the_whole_story(scene: Scene, start_operator: Start) -> None:
    start_operator("--admission-policy")
    first, second = Owner(scene, "m-1"), Owner(scene, "m-2", SERVER)
    for each in (first, second):
        each.apply()
    gateway = scene.gateway()["spec"]["template"]

    # On, one model after the other. One that is scaled up before its turn has pods of one kind.
    wave = {"maxConcurrent": 1}
    scene.create(sync("kv", scene.namespace, "m-1", "m-2", mode="Admission", rollout=wave))
    scene.wait("the first one's turn", lambda: first.token)
    assert second.token == ""
    second.scale(2)
    scene.wait("one more pod", lambda: len(second.pods) == 2)
    assert second.token or second.kinds == {""}
    first.scale(2)
    settled(scene, first, second, pods=2)
    summary = (scene.sync("kv") or {})["status"]["summary"]
    assert summary == {"models": "2/2", "sources": "4/4", "taken": "4/4"}

    # A pod is deleted, and more are wanted.
    scene.api.delete("pods", first.pods[0]["metadata"]["name"], scene.namespace)
    first.scale(3)
    settled(scene, first, pods=3)

    # A node is drained.
    node = first.pods[0]["spec"]["nodeName"]
    drain = ("drain", node, "--pod-selector=model.aibrix.ai/name in (m-1,m-2)", "--force")
    scene.api.kubectl(*drain, "--delete-emptydir-data", "--timeout=45s")
    scene.api.kubectl("uncordon", node)
    scene.wait(
        "nothing left there",
        lambda: node not in {p["spec"].get("nodeName") for o in (first, second) for p in o.pods},
    )
    first.scale(2)
    settled(scene, first, second, pods=2)

    # Their owners bring another image.
    before = {each.name: {p["metadata"]["uid"] for p in each.pods} for each in (first, second)}
    for each in (first, second):
        container = each.manifest["spec"]["template"]["spec"]["containers"][0]
        container["image"] = "vllm/vllm-openai:v0.17.0"
        each.apply()
    settled(scene, first, second, pods=2)
    for each in (first, second):
        assert before[each.name].isdisjoint(p["metadata"]["uid"] for p in each.pods)

    # The object wants something else: other tokens, and one more wave.
    old = {each.name: each.token for each in (first, second)}
    changed = {"spec": {"events": {"bufferSteps": 20_000}}}
    scene.api.patch("kveventsyncs", "kv", changed, scene.namespace)
    settled(scene, first, second, pods=2, was=old)
    for pod in first.pods + second.pods:
        assert any('"buffer_steps":20000' in w for w in pod["spec"]["containers"][0]["args"])

    # A pod slips through, is seen and replaced.
    with nothing_injected(scene):
        slip_through(scene, first)
        scene.wait_reason("kv", "NotInjected")
    scene.wait("its replacement", lambda: first.all_have(first.token, 2))
    settled(scene, first, second, pods=2)
    assert len(said_of(scene, "m-1")["replaced"]["times"]) == 1

    # Off, in waves: nothing of ours is left.
    scene.delete_sync("kv")
    for each in (first, second):
        assert each.token == ""
        assert each.finds_it_as_it_was()
        assert marks(scene.deployment(each.name)) == []
    scene.wait("pods as they were", lambda: all(o.all_have("", 2) for o in (first, second)))
    assert scene.gateway()["spec"]["template"] == gateway


def test_a_relay_is_injected_too_and_the_deployment_knows_nothing_of_it(
    scene: Scene, start_operator: Start
) -> None:
    start_operator("--admission-policy", "--image", "kvsync-operator:0.1.0")
    owner = Owner(scene, "m", SERVER)
    owner.apply()
    events = {"relay": {"mode": "Always"}}
    scene.create(sync("kv", scene.namespace, "m", mode="Admission", events=events))
    settled(scene, owner, pods=1)
    (pod,) = owner.pods
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["kvsync-relay"]
    assert "kvsync-relay" in [each["name"] for each in pod["spec"]["volumes"]]
    spec = scene.template("m")["spec"]
    assert not spec.keys() & {"initContainers", "volumes"}
    off = {"spec": {"events": {"relay": {"mode": "Off"}}}}
    was = {"m": owner.token}
    scene.api.patch("kveventsyncs", "kv", off, scene.namespace)
    settled(scene, owner, pods=1, was=was)
    assert "initContainers" not in owner.pods[0]["spec"]
    scene.delete_sync("kv")
    scene.wait("a pod as it was", lambda: owner.all_have("", 1))
    assert owner.finds_it_as_it_was()


def test_without_the_policy_nothing_is_restarted_and_the_way_out_is_named(
    scene: Scene, start_operator: Start
) -> None:
    start_operator()
    owner = Owner(scene, "m", SERVER)
    owner.apply()
    scene.create(sync("kv", scene.namespace, "m", mode="Admission", gateway={"manage": False}))
    said = scene.wait_reason("kv", "AdmissionUnavailable")
    assert "the operator was not told that its admission policy is installed" in said["message"]
    assert "set spec.mode to Render" in said["message"]
    assert scene.deployment("m")["metadata"]["generation"] == 1
    assert given(owner.pods[0]) == ""
    scene.delete_sync("kv")
