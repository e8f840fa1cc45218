"""Deployments under the policy, with the real controllers: their pods, of which none is lost."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bed.admission.stage import ANNOTATION, CONFIG, INJECTED, TOKEN, Stage, container, entry, labels
from testbed.api import Object
from testbed.waiting import wait_for

pytestmark = pytest.mark.bed

EVENTS = "model.aibrix.ai/kv-events-enabled"
OTHER = "fedcba9876543210"
WATCHED = 4.0
"""Seconds in which a fight between a selector and a policy makes over a hundred pods (measured)."""


def deployment(*, token: str = "", selected: dict[str, str] | None = None) -> Object:
    own = {"app": "m", **(selected or {})}
    metadata = {"labels": own, **({"annotations": {ANNOTATION: token}} if token else {})}
    engine = {"name": "vllm", "image": "vllm/vllm-openai:v0.16.0", "args": ["--port=8000"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "m"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": own},
            # There are no nodes: pods stay Pending, and must give way at once.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
            "template": {"metadata": metadata, "spec": {"containers": [engine]}},
        },
    }


def living(stage: Stage) -> list[Object]:
    found = stage.api.list("pods", stage.namespace)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def carry(stage: Stage, token: str, pods: int = 2) -> bool:
    """Whether there are so many pods, all with the settings of this token; empty: with none."""
    found = living(stage)
    return len(found) == pods and all(
        labels(pod).get(INJECTED, "") == token and (CONFIG in container(pod)["args"]) == bool(token)
        for pod in found
    )


def restart(stage: Stage, token: str | None) -> None:
    """What the operator writes: the one annotation of the pod template, or its end."""
    template = {"metadata": {"annotations": {ANNOTATION: token}}}
    stage.api.patch("deployments", "m", {"spec": {"template": template}}, stage.namespace)


def test_pods_follow_the_annotation_and_a_template_never_has_both_kinds(stage: Stage) -> None:
    stage.publish(entry(), entry(token=OTHER))
    stage.api.create(deployment(), stage.namespace)
    wait_for(lambda: carry(stage, ""), what="pods without")
    stage.api.patch("deployments", "m", {"spec": {"replicas": 3}}, stage.namespace)
    wait_for(lambda: carry(stage, "", 3), what="one more without, though it is published")
    restart(stage, TOKEN)
    wait_for(lambda: carry(stage, TOKEN, 3), what="all with it")
    stage.api.patch("deployments", "m", {"spec": {"replicas": 4}}, stage.namespace)
    wait_for(lambda: carry(stage, TOKEN, 4), what="one more with it")
    restart(stage, OTHER)
    wait_for(lambda: carry(stage, OTHER, 4), what="all with the other")
    restart(stage, None)
    wait_for(lambda: carry(stage, "", 4), what="all without")
    template = stage.api.get("deployments", "m", stage.namespace)["spec"]["template"]
    assert container(template)["args"] == ["--port=8000"]


def test_no_pod_is_lost_to_its_replica_set_by_a_label_that_it_selects_on(stage: Stage) -> None:
    # A policy that changes such a label orphans each pod, and its ReplicaSet makes the next one.
    stage.publish(entry())
    stage.api.create(deployment(token=TOKEN, selected={EVENTS: "false"}), stage.namespace)
    wait_for(lambda: carry(stage, TOKEN), what="pods with it")
    end = time.monotonic() + WATCHED
    names: set[str] = set()
    while time.monotonic() < end:
        names |= {pod["metadata"]["name"] for pod in living(stage)}
        time.sleep(0.2)
    assert len(names) == 2
    assert {labels(pod)[EVENTS] for pod in living(stage)} == {"false"}
    assert len(stage.api.list("replicasets", stage.namespace)) == 1


def test_what_was_changed_for_nobody_is_seen_by_nobody(stage: Stage) -> None:
    stage.publish(entry())
    body: Any = deployment(token=TOKEN)
    stage.api.create(body, stage.namespace)
    wait_for(lambda: carry(stage, TOKEN), what="pods with it")
    live = stage.api.get("deployments", "m", stage.namespace)
    assert live["metadata"]["generation"] == 1
    (made,) = stage.api.list("replicasets", stage.namespace)
    assert container(made["spec"]["template"])["args"] == ["--port=8000"]
    assert INJECTED not in labels(made["spec"]["template"])
