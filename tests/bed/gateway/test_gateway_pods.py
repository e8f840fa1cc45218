"""Which pods the gateway subscribes to, and where it reaches them."""

from collections.abc import Sequence
from typing import Any

import pytest

from testbed.gateway.pods import (
    ENGINE_LABEL,
    GROUP_INDEX_LABEL,
    KV_EVENTS_LABEL,
    LORA_LABEL,
    MODEL_LABEL,
    PORT_LABEL,
    RAY_TYPE_LABEL,
    pod_of,
    subscribable,
)

ENABLED = {KV_EVENTS_LABEL: "true", MODEL_LABEL: "m"}


def item(
    labels: dict[str, str],
    *,
    annotations: dict[str, str] | None = None,
    phase: str = "Running",
    ip: str = "10.0.0.1",
    containers: Sequence[dict[str, Any]] = (),
    ready: str = "True",
) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "default",
            "name": "p",
            "uid": "u",
            "labels": labels,
            "annotations": annotations or {},
        },
        "spec": {"containers": list(containers)},
        "status": {
            "phase": phase,
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (ENABLED, True),
        (ENABLED | {KV_EVENTS_LABEL: "True"}, False),
        (ENABLED | {KV_EVENTS_LABEL: "1"}, False),
        ({MODEL_LABEL: "m"}, False),
        ({KV_EVENTS_LABEL: "true"}, False),
        (ENABLED | {RAY_TYPE_LABEL: "worker"}, False),
        (ENABLED | {RAY_TYPE_LABEL: "head"}, True),
        (ENABLED | {GROUP_INDEX_LABEL: "0"}, True),
        (ENABLED | {GROUP_INDEX_LABEL: "1"}, False),
    ],
)
def test_labels_decide(labels: dict[str, str], expected: bool) -> None:
    assert subscribable(pod_of(item(labels))) is expected


def test_model_name_may_be_an_annotation() -> None:
    pod = pod_of(item({KV_EVENTS_LABEL: "true"}, annotations={MODEL_LABEL: "m"}))
    assert subscribable(pod)
    assert pod.model == "m"


def test_running_with_an_ip_is_enough() -> None:
    assert subscribable(pod_of(item(ENABLED, ready="False")))
    assert not subscribable(pod_of(item(ENABLED, phase="Pending")))
    assert not subscribable(pod_of(item(ENABLED, ip="")))


def test_terminating_pod_is_not_routed_to_but_stays_subscribed() -> None:
    ending = item(ENABLED)
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    pod = pod_of(ending)
    assert not pod.ready
    assert subscribable(pod)


def test_lora_id_makes_another_context() -> None:
    plain, adapted = pod_of(item(ENABLED)), pod_of(item(ENABLED | {LORA_LABEL: "3"}))
    assert plain.context == ("m", -1)
    assert adapted.context == ("m", 3)


@pytest.mark.parametrize(
    ("labels", "declared", "port"),
    [
        ({PORT_LABEL: "9000"}, [8000], 9000),
        ({}, [], 8000),
        ({}, [8080, 8000], 8000),
        ({}, [5557, 5558, 8080], 8080),
        ({}, [5557, 5558], 8000),
    ],
)
def test_serving_port(labels: dict[str, str], declared: list[int], port: int) -> None:
    container = {"name": "c", "ports": [{"containerPort": number} for number in declared]}
    assert pod_of(item(labels, containers=[container])).port == port


@pytest.mark.parametrize(
    ("labels", "container", "expected"),
    [
        ({ENGINE_LABEL: "vllm"}, {}, True),
        ({}, {"env": [{"name": "INFERENCE_ENGINE", "value": "vllm"}]}, True),
        ({}, {"ports": [{"containerPort": 8000}]}, True),
        ({}, {"ports": [{"containerPort": 8080}]}, False),
        ({ENGINE_LABEL: "sglang"}, {}, False),
    ],
)
def test_which_pods_tokenize(
    labels: dict[str, str], container: dict[str, Any], expected: bool
) -> None:
    assert pod_of(item(labels, containers=[container])).tokenizes is expected
    assert not pod_of(item(labels, containers=[container], ready="False")).tokenizes
