"""Gateways by what they read, and running models that one of them is put before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.objects import Json, ask, container, deployment
from core.scenes import configured, gateway_of, model, observe, pod_of, rolled_out
from kvsync.core.assess import assess
from kvsync.core.compatibility import Compatibility, compatibility, compatibility_by_model
from kvsync.core.gateway_fold import fold
from kvsync.core.gateway_wish import own_member
from kvsync.model.events import EventLayout
from kvsync.model.observed import EngineAnswers, ObservedModel
from kvsync.model.source import SourceKey, SourceReason, Verdict
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Pod

PREFIX = "AIBRIX_PREFIX_CACHE_"
TOLD = {
    f"{PREFIX}KV_EVENT_SYNC_ENABLED": "true",
    f"{PREFIX}USE_REMOTE_TOKENIZER": "true",
    f"{PREFIX}TOKENIZER_TYPE": "remote",
    f"{PREFIX}REMOTE_TOKENIZER_ENDPOINT": "http://model.default:8000",
    f"{PREFIX}BLOCK_SIZE": "64",
}
"""A gateway that somebody has told all that it must know of engines with blocks of 16 tokens."""

THEIRS = {"gateway": {"manage": False}}
"""The part of a spec that leaves the gateway to its owner."""


def variables(values: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in values.items()]


def told(image: str = "v0.7.0", *more: Json, **changed: str | None) -> Json:
    """A gateway with the variables of ``TOLD``, these changed (by what follows the prefix) or gone."""
    values: dict[str, str | None] = dict(TOLD)
    values |= {PREFIX + name: value for name, value in changed.items()}
    kept = {name: value for name, value in values.items() if value is not None}
    return gateway_of(env=[*variables(kept), *more], image=image)


def running(
    name: str = "model",
    pods: int = 1,
    *,
    image: str = "v0.16.0",
    spec: KVEventSyncSpec | None = None,
    size: int | None = 16,
    **fields: Any,
) -> ObservedModel:
    """A configured model of so many running pods, whose engines say their block size."""
    body = deployment(container(image=f"vllm/vllm-openai:{image}", **fields), name=name)
    body["spec"]["replicas"] = pods
    done = rolled_out(configured(body, spec=spec))
    made = [pod_of(done, f"{name}-{number}") for number in range(pods)]
    answers = {pod.uid: EngineAnswers(None, size) for pod in made}
    return model(done, *made, answers=answers)


def verdict(
    pod: Pod,
    layout: EventLayout | None = None,
    size: int | None = None,
    rank: int = 0,
    reason: SourceReason = SourceReason.PUBLISHING,
) -> Verdict:
    """What was seen of a source on the wire."""
    key = SourceKey(pod.namespace, pod.name, pod.uid, rank)
    return Verdict(
        key, reason, verified=True, settled=True, message="seen", layout=layout, block_size=size
    )


def labelled(one: ObservedModel, **labels: str | None) -> None:
    """Change the labels of all live pods of a model; None takes one off."""
    for pod in one.pods:
        found = {**pod.labels, **{KEYS[key]: value for key, value in labels.items()}}
        pod.body["metadata"]["labels"] = {k: v for k, v in found.items() if v is not None}


KEYS = {
    "events": "model.aibrix.ai/kv-events-enabled",
    "name": "model.aibrix.ai/name",
    "engine": "model.aibrix.ai/engine",
    "lora": "model.aibrix.ai/lora-id",
    "ray": "ray.io/node-type",
    "group": "stormservice.orchestration.aibrix.ai/pod-group-index",
}


def judged(
    *models: ObservedModel, verdicts: Sequence[Verdict] = (), **picture: Any
) -> Compatibility:
    """What is said of models before a gateway, as one pass sees them."""
    observed = observe(*models, verdicts=verdicts, **picture)
    views = [assess(one, observed, ask(observed.spec)) for one in observed.models]
    folded = fold(own_member(observed, views), observed.others)
    found = compatibility_by_model(observed, views, folded)
    assert compatibility(observed, views) == found.finding
    return found
