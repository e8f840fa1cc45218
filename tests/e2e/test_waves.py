"""Waves: a few models at a time, stopped by a failure that tells of itself, and who owns a model."""

from collections.abc import Callable
from typing import Any

import pytest

from e2e.manifests import Object, model, sync
from e2e.rolling import watched
from e2e.scene import OperatorProcess, Scene

pytestmark = [pytest.mark.bed, pytest.mark.timeout(180)]

MODELS = [f"m{number:02}" for number in range(1, 13)]
BAD, BEFORE, BEHIND = "m07", MODELS[:6], MODELS[7:]
GOOD_IMAGE = "registry.example.com/team/vllm:0.16.0"
REJECTING_IMAGE = "registry.example.com/team/vllm:0.8.5"


def twelve(scene: Scene) -> None:
    """Twelve models; the seventh is of a build that takes none of our arguments, and the sixth takes
    its time to load, so that it is on its way yet when the seventh fails."""
    for name in MODELS:
        env = [{"name": "TESTBED_LOAD_SECONDS", "value": "8" if name == "m06" else "0"}]
        image = REJECTING_IMAGE if name == BAD else GOOD_IMAGE
        body = model(name, scene.namespace, image=image, env=env)
        body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
        scene.create(body)
    for name in MODELS:
        scene.wait_available(name)


def status_of(scene: Scene, name: str = "kv") -> Any:
    return (scene.sync(name) or {}).get("status") or {}


def entries(scene: Scene) -> dict[str, Object]:
    return {entry["name"]: entry for entry in status_of(scene).get("models") or ()}


def generation(scene: Scene, name: str) -> int:
    return int(scene.deployment(name)["metadata"]["generation"])


def used_of(scene: Scene, quota: str) -> Any:
    found = scene.api.get("resourcequotas", quota, scene.namespace)
    return (found.get("status") or {}).get("used")


def fix_image(scene: Scene, name: str) -> None:
    path = "/spec/template/spec/containers/0/image"
    operations = [{"op": "replace", "path": path, "value": GOOD_IMAGE}]
    scene.api.patch("deployments", name, operations, scene.namespace)


def test_a_wave_over_twelve_models_stops_at_the_seventh_and_completes_when_its_image_is_right(
    scene: Scene, operator: OperatorProcess
) -> None:
    twelve(scene)
    originals = {name: scene.template(name) for name in MODELS}
    gateway = scene.gateway()["spec"]["template"]
    with watched(scene) as witness:
        scene.create(
            sync(
                "kv",
                scene.namespace,
                *MODELS,
                engine={"version": "0.16.0"},
                rollout={"maxConcurrent": 2},
            )
        )
        failed = scene.wait_reason("kv", "EngineCrashed", "Stalled")
        scene.wait("the seventh restored", lambda: scene.template(BAD) == originals[BAD])
        scene.wait_available(BAD)
        verified = lambda name: entries(scene)[name]["reason"] == "Verified"  # noqa: E731
        scene.wait("the first six verified", lambda: all(map(verified, BEFORE)))

        assert BAD in failed["message"]
        assert "exited with code 2 and said: " in failed["message"]
        assert "error: unrecognized arguments: --kv-events-config=" in failed["message"]
        assert "spec.engine.version" in failed["message"], "the remedy"
        found = entries(scene)
        assert found[BAD]["state"] == "Failed"
        assert {found[name]["state"] for name in BEHIND} == {"Pending"}
        assert {generation(scene, name) for name in BEHIND} == {1}, "never touched"
        assert {scene.template(name)["spec"]["containers"][0]["image"] for name in BEHIND} == {
            GOOD_IMAGE
        }
        wave = status_of(scene)["wave"]
        assert wave == {
            "current": [],
            "next": BEHIND,
            "message": "Stopped: m07 failed. Repair it to go on.",
        }
        assert scene.gateway()["spec"]["template"] == gateway, "never told"

        fix_image(scene, BAD)
        scene.wait_ready("kv", 90)
    assert len(witness.most) <= 2, witness.most
    assert witness.ever == {*MODELS}
    # Once each; the seventh there, back, the new image, and there again.
    counted = {name: generation(scene, name) for name in MODELS}
    assert {counted[name] for name in MODELS if name != BAD} == {2}
    assert status_of(scene)["summary"]["models"] == "12/12"


def test_of_two_objects_the_older_keeps_a_model_and_the_other_takes_it_over_without_a_restart(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace), sync("first", scene.namespace, "m"))
    scene.wait_ready("first")
    pods = {pod["metadata"]["uid"] for pod in scene.api.list("pods", scene.namespace)}
    gateway = scene.gateway()["spec"]["template"]
    scene.create(sync("second", scene.namespace, "m"))
    refused = scene.wait_reason("second", "OwnedByAnother")
    assert f"is configured by KVEventSync {scene.namespace}/first" in refused["message"]
    assert "spec.models" in refused["message"]

    scene.delete_sync("first")
    scene.wait_ready("second")
    assert {p["metadata"]["uid"] for p in scene.api.list("pods", scene.namespace)} == pods
    assert scene.gateway()["spec"]["template"] == gateway, "not told anew either"

    scene.delete_sync("second")
    assert "args" not in scene.container("m"), "the first one's record was kept"


def test_models_that_are_selected_no_more_are_taken_back_one_after_the_other(
    scene: Scene, operator: OperatorProcess
) -> None:
    names = ["a", "b", "c", "d"]
    scene.create(*(model(name, scene.namespace) for name in names))
    for name in names:
        scene.wait_available(name)
    originals = {name: scene.template(name) for name in names}
    scene.create(sync("kv", scene.namespace, *names, rollout={"maxConcurrent": 4}))
    scene.wait_ready("kv")
    with watched(scene) as witness:
        spec = {"models": {"names": ["d"]}, "rollout": {"maxConcurrent": 1}}
        scene.api.patch("kveventsyncs", "kv", {"spec": spec}, scene.namespace)
        scene.wait("taken back", lambda: all(scene.template(n) == originals[n] for n in names[:3]))
        for name in names:
            scene.wait_available(name)
    assert len(witness.most) == 1, witness.most
    assert witness.ever == {"a", "b", "c"}


def test_the_operators_limit_holds_for_all_objects_together(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    objects = {"first": ["a", "b"], "second": ["c", "d"]}
    names = [name for its in objects.values() for name in its]
    scene.create(*(model(name, scene.namespace) for name in names))
    for name in names:
        scene.wait_available(name)
    for name, its in objects.items():
        scene.create(sync(name, scene.namespace, *its, rollout={"maxConcurrent": 2}))
    with watched(scene) as witness:
        start_operator("--max-rolling", "1")
        for name in objects:
            scene.wait_ready(name, 60)
    assert len(witness.most) == 1, witness.most
    assert witness.ever == {*names}


def test_another_topic_rolls_all_models_again_in_a_wave_and_another_probe_none(
    scene: Scene, operator: OperatorProcess
) -> None:
    names = ["a", "b", "c"]
    scene.create(*(model(name, scene.namespace) for name in names))
    for name in names:
        scene.wait_available(name)
    scene.create(sync("kv", scene.namespace, *names, rollout={"maxConcurrent": 3}))
    scene.wait_ready("kv")
    before = {name: scene.template(name) for name in names}
    gateway = {"remoteTokenizer": {"engine": "vllm"}}
    spec: Object = {"probe": {"interval": "3s"}, "gateway": gateway}
    scene.api.patch("kveventsyncs", "kv", {"spec": spec}, scene.namespace)
    scene.wait(
        "the change looked at",
        lambda: status_of(scene)["observedGeneration"] == 2,
    )
    scene.settle(1.0)
    assert {name: scene.template(name) for name in names} == before, "no restart"

    with watched(scene) as witness:
        spec = {"events": {"topic": "other"}, "rollout": {"maxConcurrent": 2}}
        scene.api.patch("kveventsyncs", "kv", {"spec": spec}, scene.namespace)
        scene.wait(
            "all on the new topic",
            lambda: all("other" in str(scene.container(name)["args"]) for name in names),
        )
        scene.wait_ready("kv")
    assert len(witness.most) == 2, witness.most


def test_a_quota_is_quoted_while_it_holds_a_rollout_up_and_when_that_is_given_up(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")
    original = scene.template("m")
    quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}}
    scene.create({**quota, "spec": {"hard": {"pods": "1"}}})
    scene.wait("the quota counted", lambda: used_of(scene, "full") == {"pods": "1"})
    scene.create(sync("kv", scene.namespace, "m", rollout={"progressDeadline": "10s"}))
    scene.wait("quoted", lambda: "exceeded quota: full" in scene.condition("kv").get("message", ""))
    assert entries(scene)["m"]["state"] == "RollingOut"
    failed = scene.wait_reason("kv", "ProgressDeadlineExceeded", "Stalled")
    assert "exceeded quota: full" in failed["message"]
    scene.wait("restored", lambda: scene.template("m") == original)
