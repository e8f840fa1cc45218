"""What a held object would do: who restarts, how many GPUs stand still, for how long."""

from typing import Any

import pytest

from core.objects import Json, container, deployment, spec_of
from core.scenes import condition, configured, decided, model, pod_of, rolled_out, sync_of
from kvsync.core.accelerators import accelerators
from kvsync.core.forecast import start_minutes
from kvsync.model.observed import PAUSED_ANNOTATION, PLAN_ONLY_ANNOTATION, KVEventSync
from kvsync.model.workload import Deployment, Pod


def with_gpus(count: str, name: str = "nvidia.com/gpu", *, replicas: int = 1) -> Json:
    body = deployment(container(resources={"limits": {name: count, "memory": "80Gi"}}))
    body["spec"]["replicas"] = replicas
    return rolled_out(body)


def aged(body: Json, minutes: float, name: str = "") -> Pod:
    """A ready pod that took this long to become so."""
    pod = pod_of(body, name)
    whole = int(minutes * 60)
    pod.body["metadata"]["creationTimestamp"] = "2026-01-01T10:00:00Z"
    pod.body["status"]["conditions"] = [
        {
            "type": "Ready",
            "status": "True",
            "lastTransitionTime": f"2026-01-01T10:{whole // 60:02}:{whole % 60:02}Z",
        }
    ]
    return pod


def held(annotation: str, value: str = "true") -> KVEventSync:
    plain = sync_of()
    metadata = {**plain.body["metadata"], "annotations": {annotation: value}}
    return KVEventSync({**plain.body, "metadata": metadata})


def plan_of(*models: Any, **picture: Any) -> Json:
    status = decided(*models, spec=spec_of(paused=True), **picture).status
    assert status is not None
    plan: Json = status["plan"]
    return plan


@pytest.mark.parametrize(
    ("name", "amount", "counted"),
    [
        ("nvidia.com/gpu", "8", 8),
        ("nvidia.com/mig-1g.10gb", "2", 2),
        ("amd.com/gpu", 4, 4),
        ("google.com/tpu", "16", 16),
        ("huawei.com/Ascend910", "8", 8),
        ("memory", "80", 0),
        ("nvidia.com/gpu", "eight", 0),
        ("nvidia.com/gpu", "-1", 0),
        ("nvidia.com/gpu", "9" * 5000, 0),
        ("example.com/gpu-like", "3", 0),
    ],
)
def test_devices_are_counted_by_the_names_of_their_plugins(
    name: str, amount: object, counted: int
) -> None:
    body = deployment(container(resources={"limits": {name: amount}}))
    assert accelerators(Deployment(body)) == counted


def test_the_quickest_start_is_the_witness() -> None:
    body = with_gpus("1")
    pods = [aged(body, 9, "flapped"), aged(body, 3.5, "plain"), pod_of(body, "untold")]
    assert start_minutes(pods) == 3.5
    assert start_minutes([pod_of(body)]) is None


def test_gpus_times_minutes_of_all_that_restarts() -> None:
    body = with_gpus("4", replicas=2)
    one = model(body, aged(body, 3, "a"), aged(body, 5, "b"))
    plan = plan_of(one)
    assert (plan["models"], plan["rollouts"], plan["pods"]) == (1, 1, 2)
    assert (plan["gpus"], plan["gpuMinutes"]) == (8, 24)
    assert "2 pods restart, those of 1 model at a time" in plan["message"]
    assert "about 24 GPU-minutes" in plan["message"]


def test_what_is_not_known_is_not_guessed() -> None:
    plan = plan_of(model(with_gpus("4"), pod_of(with_gpus("4"))))
    assert "gpuMinutes" not in plan
    assert "not known" in plan["message"]


def test_a_model_without_gpus_costs_none() -> None:
    plan = plan_of(model(rolled_out(deployment())))
    assert (plan["pods"], plan["gpus"], plan["gpuMinutes"]) == (1, 0, 0)
    assert "GPU" not in plan["message"]


def test_what_would_be_taken_back_is_part_of_it() -> None:
    plan = plan_of(model(rolled_out(configured()), selected=False))
    assert (plan["models"], plan["rollouts"]) == (1, 1)
    assert "1 to be taken back" in plan["message"]


@pytest.mark.parametrize("annotation", [PAUSED_ANNOTATION, PLAN_ONLY_ANNOTATION])
def test_an_annotation_holds_everything(annotation: str) -> None:
    plain = rolled_out(deployment())
    decision = decided(model(plain), sync=held(annotation))
    assert decision.actions == ()
    assert decision.standing is not None
    assert decision.standing.in_flight == (), "nothing is on its way"
    assert condition(decision.status, "Ready") == ("False", "Paused")
    assert decision.status is not None
    ready = decision.status["conditions"][0]["message"]
    assert f"Remove the annotation {annotation}" in ready
    assert decision.status["plan"]["rollouts"] == 1
    (entry,) = decision.status["models"]
    assert entry["plan"]["restarts"] == 1


@pytest.mark.parametrize("value", ["false", "", "0"])
def test_any_other_value_holds_nothing(value: str) -> None:
    decision = decided(model(rolled_out(deployment())), sync=held(PAUSED_ANNOTATION, value))
    assert decision.actions
    assert decision.status is not None
    assert "plan" not in decision.status
