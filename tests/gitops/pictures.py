"""Objects with the statuses that the operator writes, one for each thing that Argo CD has to tell apart."""

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from core.objects import TEMPLATES, Json, container, deployment, spec_of
from core.scenes import (
    NOW,
    after_action,
    configured,
    crashing,
    decided,
    gateway_of,
    gateway_turned_on,
    model,
    observe,
    pod_of,
    rolled_out,
    sync_of,
    verdict_on,
    working,
)
from core.test_contest import War
from core.test_preflight import ARGS, entry, managed
from kvsync.core.decide import decide
from kvsync.core.failures import FAILURES
from kvsync.core.gateway_access import GatewayAccess, Labelled, parse_grant
from kvsync.core.moment import timestamp
from kvsync.core.summary import invalid, refused
from kvsync.model.admission import AdmissionMeans
from kvsync.model.decision import Decision
from kvsync.model.gateway_log import GatewayReading, Start, Subscription
from kvsync.model.observed import KVEventSync
from kvsync.model.source import Failure, SourceReason
from kvsync.model.version import Version

PAUSED = {"kvsync.aibrix.ai/paused": "true"}
PLAN_ONLY = {"kvsync.aibrix.ai/plan-only": "true"}
_BEGAN = datetime(2026, 11, 26, 10, tzinfo=UTC)
_TIME = re.compile(r'"1970-01-\d\dT\d\d:\d\d:\d\dZ"')


def _sync(**metadata: Any) -> KVEventSync:
    body = copy.deepcopy(dict(sync_of().body))
    body["metadata"] |= metadata
    return KVEventSync(body)


def _object(status: Mapping[str, Any] | None, *, spec: Json | None = None, **metadata: Any) -> Json:
    """The object as the API server has it; its moments are of a day that people know."""
    body: Json = {
        "apiVersion": "kvsync.aibrix.ai/v1alpha1",
        "kind": "KVEventSync",
        "metadata": {"name": "sync", "namespace": "default", "generation": 3, **metadata},
        "spec": {"models": {"names": ["model"]}, **(spec or {})},
    }
    if status is not None:
        body["status"] = status
    text = _TIME.sub(lambda found: _later(found[0]), json.dumps(body))
    dated: Json = json.loads(text)
    return dated


def _later(moment: str) -> str:
    passed = datetime.strptime(moment, '"%Y-%m-%dT%H:%M:%SZ"').replace(tzinfo=UTC)
    found = _BEGAN + (passed - datetime.fromtimestamp(NOW, UTC))
    return json.dumps(found.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _told(decision: Decision) -> Json:
    assert decision.status is not None
    return dict(decision.status)


def _synchronized(**picture: Any) -> Json:
    one, verdict = working()
    taken = {"default/model-0": Subscription.TAKEN}
    logs = [GatewayReading(start=Start.INITIALIZED, pods=taken)]
    return _told(
        decided(one, verdicts=[verdict], gateway=gateway_turned_on(), logs=logs, **picture)
    )


def _untouched(**picture: Any) -> Json:
    return _told(decided(model(rolled_out(deployment())), gateway=gateway_of(), **picture))


def _changed() -> Json:
    """The restart is under way."""
    live = rolled_out(configured(), available=0)
    pending = pod_of(live, conditions=[], phase="Pending")
    before = {"wave": {"current": ["model"]}}
    return _told(decided(model(live, pending), gateway=gateway_of(), sync=sync_of(status=before)))


def _heard(reason: SourceReason, message: str = "", remedy: str = "") -> Json:
    body = rolled_out(configured())
    pod = pod_of(body)
    seen = replace(verdict_on(pod, reason, verified=False), message=message, remedy=remedy)
    return _told(decided(model(body, pod), verdicts=[seen], gateway=gateway_of()))


def _incompatible() -> Json:
    one, verdict = working(deployment(container(image="vllm/vllm-openai:v0.24.0")))
    return _told(decided(one, verdicts=[verdict], gateway=gateway_turned_on()))


def _unconfirmed() -> Json:
    one, verdict = working()
    logs = [GatewayReading()]
    return _told(decided(one, verdicts=[verdict], gateway=gateway_turned_on(), logs=logs))


def _crashed() -> Json:
    """Rolled back."""
    live = rolled_out(configured(), available=0)
    said = crashing("vllm serve: error: unrecognized arguments: --kv-events-config", 2)
    back = after_action(decided(model(live, pod_of(live, containerStatuses=said))), live)
    return _told(decided(model(rolled_out(back)), gateway=gateway_of()))


def _owned() -> Json:
    body = rolled_out(managed(entry("argocd-controller", "Apply", ARGS)))
    return _told(decided(model(body), gateway=gateway_of()))


def _not_applied() -> Json:
    body = rolled_out(deployment(container(args=["--model=tiny"])))
    return _told(
        decided(model(body, pod_of(body)), spec=spec_of(mode="Render"), gateway=gateway_of())
    )


def _unavailable() -> Json:
    picture = observe(model(rolled_out(deployment())), spec=spec_of(mode="Admission"))
    means = AdmissionMeans(policy=False, served=True, kubernetes=Version(1, 36))
    return _told(decide(replace(picture, admission=means), TEMPLATES))


def _contended() -> Json:
    war = War()
    war.lose()
    war.look()
    assert war.status is not None
    return dict(war.status)


def _not_permitted() -> Json:
    one, verdict = working()
    picture = observe(one, verdicts=[verdict], gateway=gateway_of(), permitted=False)
    access = GatewayAccess((parse_grant("aibrix-system/aibrix-gateway-plugins"),))
    answer = access.may_manage(
        "default", "aibrix-system", "aibrix-gateway-plugins", Labelled(value=False)
    )
    gateway = replace(picture.gateway, denial=answer.denial)
    return _told(decide(replace(picture, gateway=gateway), TEMPLATES))


def _failing() -> Json:
    cause = FAILURES[Failure.REFUSED]
    return _heard(cause.reason, f"10.0.0.1:5557 {cause.what}.", cause.remedy)


def _leaving(**picture: Any) -> Json:
    live = rolled_out(configured())
    leaving = sync_of(deleted=timestamp(NOW), status=_synchronized())
    return _told(decided(model(live, pod_of(live)), sync=leaving, gateway=gateway_of(), **picture))


def _plan_only(status: Callable[..., Json]) -> Json:
    return status(sync=_sync(annotations=PLAN_ONLY))


DELETED = "2026-11-26T10:00:00Z"

PICTURES: dict[str, Callable[[], Json]] = {
    "healthy": lambda: _object(_synchronized()),
    "healthy-gateway-incompatible": lambda: _object(_incompatible()),
    "progressing-not-seen-yet": lambda: _object(None, generation=1),
    "progressing-changed-since": lambda: _object(_synchronized(), generation=4),
    "progressing-waiting-for-turn": lambda: _object(_untouched()),
    "progressing-rolling-out": lambda: _object(_changed()),
    "progressing-idle": lambda: _object(_heard(SourceReason.IDLE)),
    "progressing-source-failing": lambda: _object(_failing()),
    "progressing-gateway-unconfirmed": lambda: _object(_unconfirmed()),
    "degraded-args-owned": lambda: _object(_owned()),
    "degraded-contended": lambda: _object(_contended()),
    "degraded-engine-crashed": lambda: _object(_crashed()),
    "degraded-gateway-not-permitted": lambda: _object(_not_permitted()),
    "degraded-not-applied": lambda: _object(_not_applied(), spec={"mode": "Render"}),
    "degraded-admission-unavailable": lambda: _object(_unavailable(), spec={"mode": "Admission"}),
    "degraded-no-models": lambda: _object(_told(decided(gateway=gateway_of()))),
    "degraded-invalid-spec": lambda: _object(
        invalid(sync_of(), "spec.events.topic: must not be longer than 128 characters.", NOW)
    ),
    "degraded-write-refused": lambda: _object(
        refused(sync_of(), _untouched(), "deployments.apps is forbidden", NOW)
    ),
    "suspended-by-spec": lambda: _object(
        _untouched(spec=spec_of(paused=True)), spec={"paused": True}
    ),
    "suspended-by-annotation": lambda: _object(
        _untouched(sync=_sync(annotations=PAUSED)), annotations=PAUSED
    ),
    "suspended-plan-only": lambda: _object(_plan_only(_untouched), annotations=PLAN_ONLY),
    "suspended-and-synchronized": lambda: _object(
        _synchronized(sync=_sync(annotations=PAUSED)), annotations=PAUSED
    ),
    "suspended-just-now": lambda: _object(_synchronized(), annotations=PAUSED),
    "terminating": lambda: _object(
        _leaving(), deletionTimestamp=DELETED, finalizers=["kvsync.aibrix.ai/undo"]
    ),
    "terminating-paused": lambda: _object(
        _leaving(spec=spec_of(paused=True)),
        spec={"paused": True},
        deletionTimestamp=DELETED,
        finalizers=["kvsync.aibrix.ai/undo"],
    ),
    "terminating-not-seen-yet": lambda: _object(
        _synchronized(),
        generation=4,
        deletionTimestamp=DELETED,
        finalizers=["kvsync.aibrix.ai/undo"],
    ),
}
"""Each by the name of its file."""


def expected(body: Json) -> tuple[str, str]:
    """The health that an object has, by the same order, written apart from the script."""
    metadata, status = body["metadata"], body.get("status") or {}
    found = {c["type"]: c for c in status.get("conditions") or ()}
    ready, stalled = found.get("Ready", {}), found.get("Stalled", {})
    current = status.get("observedGeneration") == metadata.get("generation")
    annotations = metadata.get("annotations") or {}
    held = [key for key in (*PAUSED, *PLAN_ONLY) if annotations.get(key) == "true"]
    holders = ["spec.paused"] if body["spec"].get("paused") else []
    holders += [f"the annotation {key}" for key in held]
    if "deletionTimestamp" in metadata:
        undoing = ready.get("reason") == "Undoing"
        return "Progressing", ready["message"] if undoing else "Being deleted"
    if holders:
        said = f"Held by {holders[0]}: nothing is changed"
        tells = current and ready.get("reason") == "Paused"
        return "Suspended", ready["message"] if tells else said
    if not current:
        return "Progressing", "Waiting for kvsync-operator to look at this object"
    if stalled["status"] == "True":
        return "Degraded", stalled["message"]
    return "Healthy" if ready["status"] == "True" else "Progressing", ready["message"]
