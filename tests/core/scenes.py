"""Whole pictures for one pass: the custom resource, rolled-out Deployments, their pods, the gateway."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.objects import (
    EVENTS_LABEL,
    OWNER,
    RELAYS,
    TEMPLATES,
    Json,
    ask,
    container,
    deployment,
    spec_of,
)
from kvsync.core.decide import decide
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.planned import Outcome
from kvsync.model.decision import Action, Decision
from kvsync.model.gateway_log import GatewayReading, Start
from kvsync.model.observed import (
    FINALIZER,
    RETRY_ANNOTATION,
    EngineAnswers,
    KVEventSync,
    Observed,
    ObservedConsumer,
    ObservedGateway,
    ObservedModel,
)
from kvsync.model.record import INJECTION_ANNOTATION
from kvsync.model.relay import RelayMeans
from kvsync.model.source import SourceKey, SourceReason, Verdict
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.standing import Standing
from kvsync.model.tokenizer import TokenizerAnswer
from kvsync.model.workload import Deployment, Pod

NOW = 10_000.0
MARK = "default/sync"


class _Every(dict[str, TokenizerAnswer]):
    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, TokenizerAnswer(200))


EVERY_TOKENIZER = _Every()
"""Tokenizers that all work, wherever they are asked for."""
FLAGS = ("AIBRIX_KV_EVENT_SYNC_ENABLED", "AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED")


def sync_of(
    *,
    finalizers: Sequence[str] = (FINALIZER,),
    status: Mapping[str, Any] | None = None,
    deleted: str = "",
    retry: str = "",
) -> KVEventSync:
    """The custom resource; held by the operator's finalizer unless told otherwise."""
    metadata: Json = {
        "namespace": OWNER.namespace,
        "name": OWNER.name,
        "uid": OWNER.uid,
        "generation": 3,
        "finalizers": list(finalizers),
    }
    if deleted:
        metadata["deletionTimestamp"] = deleted
    if retry:
        metadata["annotations"] = {RETRY_ANNOTATION: retry}
    return KVEventSync({"metadata": metadata, "status": dict(status or {})})


def rolled_out(body: Json, *, available: int | None = None) -> Json:
    """The Deployment with a status of this many pods of the current template; by default all."""
    wanted = Deployment(body).replicas
    ready = wanted if available is None else available
    counts = {"replicas": wanted, "updatedReplicas": wanted, "availableReplicas": ready}
    return {**body, "status": counts}


def configured(
    body: Json | None = None, *, spec: KVEventSyncSpec | None = None, at: int = 9_990
) -> Json:
    """The Deployment as a change of ours leaves it, not rolled out yet."""
    body = body or deployment()
    made = plan(Deployment(body), ask(spec, at=at))
    assert made.outcome is Outcome.CHANGE, made.refusal
    after: Json = copy.deepcopy(apply(body, made.patch))
    return after


def pod_of(body: Json, name: str = "", *, phase: str = "Running", **status: Any) -> Pod:
    """A ready pod made from a Deployment's template; ``status`` replaces fields of its status."""
    template = body["spec"]["template"]
    name = name or f"{body['metadata']['name']}-0"
    ready = {"type": "Ready", "status": "True"}
    return Pod(
        {
            "metadata": {
                "namespace": body["metadata"]["namespace"],
                "name": name,
                "uid": f"uid-of-{name}",
                "labels": dict(template["metadata"]["labels"]),
            },
            "spec": {
                key: copy.deepcopy(template["spec"][key])
                for key in ("containers", "initContainers")
                if key in template["spec"]
            },
            "status": {"phase": phase, "podIP": "10.0.0.1", "conditions": [ready], **status},
        }
    )


def crashing(said: str = "boom", code: int = 1) -> list[Json]:
    """Container statuses of an engine that the kubelet waits to start again."""
    return [
        {
            "name": "vllm",
            "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": code, "message": said}},
        }
    ]


def gateway_of(*, env: Sequence[Json] | None = None, image: str = "v0.7.0") -> Json:
    """A gateway, rolled out."""
    fields = {} if env is None else {"env": list(env)}
    plugin = container("gateway-plugin", f"aibrix/gateway-plugins:{image}", **fields)
    body = deployment(plugin, name="aibrix-gateway-plugins")
    body["metadata"]["namespace"] = "aibrix-system"
    return rolled_out(body)


def gateway_pod(number: int = 0, restarts: int = 0, container: str = "gateway-plugin") -> Pod:
    """A ready pod of the gateway, whose container runs since one second after the epoch."""
    body = gateway_of()
    running = {"name": container, "restartCount": restarts}
    running["state"] = {"running": {"startedAt": "1970-01-01T00:00:01Z"}}
    return pod_of(body, f"{body['metadata']['name']}-{number}", containerStatuses=[running])


def seen_gateway(
    gateway: Json | None, logs: Sequence[GatewayReading] | None = None
) -> ObservedGateway:
    """A gateway as observed, with the pods that it shall have and what their logs say."""
    if gateway is None:
        return ObservedGateway(None, permitted=True)
    found = Deployment(gateway)
    if logs is None:
        logs = [GatewayReading(start=Start.INITIALIZED)] * found.replicas
    name = found.containers[0].name
    pods = tuple(gateway_pod(n, log.restarts, name) for n, log in enumerate(logs))
    readings = {pod.uid: log for pod, log in zip(pods, logs, strict=True)}
    return ObservedGateway(found, permitted=True, pods=pods, readings=readings)


def gateway_turned_on(before: Json | None = None) -> Json:
    """A gateway as one working model's first pass leaves it, not rolled out yet."""
    one, verdict = working()
    gateway = before or gateway_of()
    return after_action(decided(one, verdicts=[verdict], gateway=gateway), gateway)


def model(
    body: Json | None,
    *pods: Pod,
    name: str = "",
    selected: bool = True,
    answers: Mapping[str, EngineAnswers] | None = None,
) -> ObservedModel:
    """One model as observed."""
    found = Deployment(body) if body is not None else None
    return ObservedModel(
        name or (found.name if found else "model"), selected, found, pods, answers or {}
    )


def working(body: Json | None = None, *, block_size: int = 16) -> tuple[ObservedModel, Verdict]:
    """A configured model whose one pod runs, was asked and is verified."""
    done = rolled_out(configured(body))
    pod = pod_of(done)
    answers = {pod.uid: EngineAnswers("0.16.0", block_size)}
    return model(done, pod, answers=answers), verdict_on(pod)


def verdict_on(
    pod: Pod,
    reason: SourceReason = SourceReason.IDLE,
    *,
    verified: bool = True,
    settled: bool = True,
    rank: int = 0,
) -> Verdict:
    """A verdict on one source; idle and proven unless told otherwise."""
    key = SourceKey(pod.namespace, pod.name, pod.uid, rank)
    return Verdict(
        key,
        reason,
        verified=verified,
        settled=settled,
        message="seen",
        remedy="do",
        answers=verified and settled,
    )


def failing(pod: Pod) -> Verdict:
    """A verdict that its port is closed."""
    return verdict_on(pod, SourceReason.PORT_CLOSED, verified=False)


DENIAL = "the label is missing: have it set"


def observe(
    *models: ObservedModel,
    verdicts: Sequence[Verdict] = (),
    spec: KVEventSyncSpec | None = None,
    sync: KVEventSync | None = None,
    gateway: Json | None = None,
    permitted: bool = True,
    strays: Sequence[Json] = (),
    revoked: Sequence[Json] = (),
    also: Mapping[str, Json | None] | None = None,
    forbidden: Sequence[str] = (),
    gone: Sequence[str] = (),
    tokenizers: Mapping[str, TokenizerAnswer] | None = None,
    others: Sequence[Standing] = (),
    unheard: Sequence[str] = (),
    now: float = NOW,
    logs: Sequence[GatewayReading] | None = None,
    relays: RelayMeans = RELAYS,
) -> Observed:
    """The whole picture; without a gateway unless one is given, all of whose pods initialised unless
    ``logs`` say something else, one a pod. Every
    tokenizer works unless told."""
    return Observed(
        sync=sync or sync_of(),
        spec=spec or spec_of(),
        models=models,
        gateway=replace(
            seen_gateway(gateway, logs),
            permitted=permitted,
            denial="" if permitted else DENIAL,
            also=tuple(
                consumer_of(name, body, permitted=name not in forbidden)
                for name, body in (also or {}).items()
            ),
            gone=frozenset(gone),
            tokenizers=EVERY_TOKENIZER if tokenizers is None else tokenizers,
        ),
        others=tuple(others),
        unheard=tuple(unheard),
        strays=tuple(map(Deployment, strays)),
        revoked=tuple(map(Deployment, revoked)),
        verdicts={verdict.key: verdict for verdict in verdicts},
        now=now,
        relays=relays,
    )


def consumer_of(name: str, body: Json | None, *, permitted: bool = True) -> ObservedConsumer:
    """A Deployment of ``alsoConfigure``."""
    denial = "" if permitted else f"{name}: {DENIAL}"
    return ObservedConsumer(name, Deployment(body) if body else None, permitted, denial)


def decided(*models: ObservedModel, **picture: Any) -> Decision:
    """What is decided on a picture."""
    return decide(observe(*models, **picture), TEMPLATES)


def done_to(decision: Decision) -> list[tuple[str, str]]:
    """What is written, in order: reason and object."""
    return [(action.reason, action.name) for action in decision.actions]


def after_action(decision: Decision, body: Json, place: int = 0) -> Json:
    """The object once the action at that place of the decision is applied to it."""
    action = decision.actions[place]
    assert action.name == body["metadata"]["name"]
    return applied(body, action)


def applied(body: Mapping[str, Any], action: Action) -> Json:
    """The object after an action, sharing nothing with the one before.

    Raises:
        PatchConflictError: the action does not fit.
    """
    after: Json = copy.deepcopy(apply(body, [dict(operation) for operation in action.operations]))
    return after


def condition(status: Mapping[str, Any] | None, kind: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    assert status is not None
    found = next(c for c in status["conditions"] if c["type"] == kind)
    return found["status"], found["reason"]


def flag_is_on(body: Json) -> bool:
    """Whether a gateway is told to consume events, under any of the flag's names."""
    plugin = Deployment(body).containers[0]
    return any(plugin.env(name) == "true" for name in FLAGS)


def is_configured(body: Json) -> bool:
    """Whether the pods that a Deployment makes are announced to the gateway, or are to be at admission."""
    annotations = body["spec"]["template"].get("metadata", {}).get("annotations") or {}
    labelled = Deployment(body).template_labels.get(EVENTS_LABEL) == "true"
    return labelled or INJECTION_ANNOTATION in annotations
