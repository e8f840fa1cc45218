"""The pods that a gateway subscribes to, and which of them it would wait for at its start.

A starting gateway asks every one of them for a replay, one after the other, and waits 5 s for each
that does not answer, under a limit of 30 s for all (AIBrix ``pkg/kvevent/manager.go``,
``pkg/cache/kvcache/zmq_client.go``). Labels are read on pods, whatever object they belong to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from kvsync.core.assess import ModelView
from kvsync.core.desired import EVENTS_LABEL, MODEL_LABEL
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT
from kvsync.model.observed import Observed
from kvsync.model.reasons import ModelReason
from kvsync.model.source import SourceKey, Target
from kvsync.model.workload import Pod

RAY_LABEL = "ray.io/node-type"
GROUP_LABEL = "stormservice.orchestration.aibrix.ai/pod-group-index"

MOST_NAMED = 50
"""Unanswering pods of one object that are named; more are as bad."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,63}")


def is_subscribed(pod: Pod) -> bool:
    """Whether a gateway subscribes to a pod; it need not be ready."""
    labels = pod.labels
    return (
        labels.get(EVENTS_LABEL) == "true"
        and pod.running
        and bool(labels.get(MODEL_LABEL) or pod.annotations.get(MODEL_LABEL))
        and labels.get(RAY_LABEL) != "worker"
        and not is_follower(labels)
    )


def is_follower(labels: Mapping[str, str]) -> bool:
    """Whether a pod is not the first one of its pod group."""
    index = labels.get(GROUP_LABEL, "")
    return is_number(index) and int(index) > 0


def is_number(text: str) -> bool:
    """Whether AIBrix reads a whole number in a label."""
    return _NUMBER.fullmatch(text) is not None


def bystanders(observed: Observed, views: Sequence[ModelView]) -> Iterator[Target]:
    """What is to be watched beside the sources: pods that a gateway subscribes to although the
    operator did not configure them (their owner labelled them), and which it would wait for."""
    known = {target.key.uid for view in views for target in view.targets}
    for model, pod in _subscribed(observed, views):
        if pod.uid not in known:
            yield Target(
                key=SourceKey(pod.namespace, pod.name, pod.uid),
                host=pod.ip,
                port=GATEWAY_PORT,
                replay_port=GATEWAY_REPLAY_PORT,
                topic="",
                active_check=observed.spec.probe.active_check,
                interval=observed.spec.probe.interval,
                model=model,
            )


def unanswering(observed: Observed, views: Sequence[ModelView]) -> tuple[str, ...]:
    """The pods, as ``namespace/name``, that a starting gateway would wait for; the first by name."""
    answering = {key.uid for key, v in observed.verdicts.items() if v.answers and key.rank == 0}
    elsewhere = {
        target.key.uid
        for view in views
        for target in view.targets
        if target.key.rank == 0 and target.replay_port != GATEWAY_REPLAY_PORT
    }
    silent = {
        f"{pod.namespace}/{pod.name}"
        for _, pod in _subscribed(observed, views)
        if pod.uid not in answering or pod.uid in elsewhere
    }
    return tuple(sorted(silent)[:MOST_NAMED])


def _subscribed(observed: Observed, views: Sequence[ModelView]) -> Iterator[tuple[str, Pod]]:
    # The object that configured a model tells of its pods.
    of_others = {view.name for view in views if view.reason == ModelReason.OWNED_BY_ANOTHER}
    for model in observed.models:
        if model.name not in of_others:
            yield from ((model.name, pod) for pod in model.pods if is_subscribed(pod))
