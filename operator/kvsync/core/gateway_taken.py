"""Whether the gateway took what it was told: judged by the logs of its pods, of all of them.

A pod that says that it initialised consumes until it ends; one that says why not, or nothing at all, is
Ready and consumes nothing until its next start. What cannot be read is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsync.core.actions import mark_of
from kvsync.core.assess import ModelView
from kvsync.core.gateway import gateway_version, owners_of
from kvsync.core.gateway_log import run_of
from kvsync.core.gateway_remedy import remedy_for_silence, remedy_for_words
from kvsync.core.releases import log_is_known
from kvsync.model.gateway_log import GatewayReading, GatewayWatch, Start, Subscription, Unread
from kvsync.model.observed import Observed
from kvsync.model.reasons import ConditionReason
from kvsync.model.workload import Deployment, Pod

Finding = tuple[str, ConditionReason, str]

MAX_REMEMBERED = 32
"""Starts of the gateway's pods that the status remembers."""

_SHOWN = 3
_SAYS = {
    None: "the gateway does not subscribe to it",
    Subscription.CONNECTED: "no answer to a request for a replay is told of yet",
    Subscription.UNANSWERED: "it did not answer the gateway's request for a replay",
    Subscription.FAILING: "the gateway cannot use what it sends, or lost its connection",
}


@dataclass(frozen=True, slots=True)
class _Instance:
    """One pod of the gateway, and the log of its current start, as far as it was read."""

    pod: Pod
    reading: GatewayReading | None
    remembered: bool
    """Whether it was seen that this start went well: the line may be rotated away by now."""

    @property
    def initialized(self) -> bool:
        start = self.reading.start if self.reading else Start.UNSAID
        return start is Start.INITIALIZED or (start is Start.UNSAID and self.remembered)

    @property
    def failed(self) -> bool:
        return self.reading is not None and self.reading.start is Start.FAILED

    @property
    def silent(self) -> bool:
        return self.reading is not None and self.reading.silent and not self.remembered

    def is_unread(self, why: Unread) -> bool:
        return self.reading is not None and self.reading.unread is why


def gateway_watch(observed: Observed, views: Sequence[ModelView]) -> GatewayWatch | None:
    """Whose logs shall be read for an object; None before it has told a gateway anything."""
    spec, deployment = observed.spec.gateway, observed.gateway.deployment
    if deployment is None or not observed.gateway.permitted:
        return None
    if spec.manage and mark_of(observed.sync) not in owners_of(deployment):
        return None
    return GatewayWatch(spec.namespace, spec.deployment, spec.container, _pods_of(views))


def gateway_taken(
    observed: Observed, deployment: Deployment, views: Sequence[ModelView]
) -> Finding:
    """Whether every pod of a gateway initialised KV event sync: status, reason, message."""
    instances = _instances(observed, deployment)
    nothing = _nothing_to_read(observed.spec.gateway.container, deployment, len(instances))
    if nothing:
        return _open(nothing)
    failed = [one for one in instances if one.failed]
    if failed:
        return _not_initialized(observed, deployment, failed[0])
    silent = [one for one in instances if one.silent]
    if silent:
        return _said_nothing(observed, deployment, silent[0].pod)
    unsure = [one for one in instances if not one.initialized]
    if unsure:
        return _unsure(observed, unsure)
    return ("True", ConditionReason.CONFIGURED, _praise(observed, deployment, views))


def _nothing_to_read(container: str, deployment: Deployment, pods: int) -> str:
    """Why no log can tell; empty where one can."""
    if deployment.container(container) is None:
        names = ", ".join(each.name for each in deployment.containers)
        return (
            f"The gateway has no container {container!r}, whose log would tell whether it consumes "
            f"events. Set spec.gateway.container to one of: {names}."
        )
    if not deployment.rollout.complete:
        return f"The gateway restarts: {deployment.rollout}."
    wanted = deployment.rollout.wanted
    if not wanted:
        return "The gateway is scaled to no pod: nothing consumes events."
    return "" if pods >= wanted else f"Of the gateway's {wanted} pods {pods} are seen so far."


def taken_entry(observed: Observed, views: Sequence[ModelView]) -> dict[str, Any]:
    """The part of ``status.gateway`` that logs tell: the sources taken, and the starts that went well."""
    deployment = observed.gateway.deployment
    if deployment is None:
        return {}
    instances = _instances(observed, deployment)
    entry: dict[str, Any] = {}
    well = sorted(_mark(one.pod, observed) for one in instances if one.initialized)
    if well:
        entry["initialized"] = well[:MAX_REMEMBERED]
    counts = _counts(observed, instances, _pods_of(views))
    if counts is not None:
        entry["sources"] = counts
    return entry


def _instances(observed: Observed, deployment: Deployment) -> list[_Instance]:
    told = observed.sync.status.get("gateway") or {}
    same = told.get("deployment") == f"{deployment.namespace}/{deployment.name}"
    well = set(told.get("initialized") or ()) if same else set()
    return [
        _Instance(pod, _reading(pod, observed), _mark(pod, observed) in well)
        for pod in observed.gateway.pods
        if not pod.deleting and not pod.ended
    ]


def _reading(pod: Pod, observed: Observed) -> GatewayReading | None:
    """What its log says of its current start; what an earlier one said is no news."""
    found, run = observed.gateway.readings.get(pod.uid), _run(pod, observed)
    return found if found and run is not None and found.restarts == run else None


def _run(pod: Pod, observed: Observed) -> int | None:
    run = run_of(pod, observed.spec.gateway.container)
    return run.restarts if run else None


def _mark(pod: Pod, observed: Observed) -> str:
    """The start of a pod's container: its name is never given again."""
    return f"{pod.name}/{_run(pod, observed)}"


def _pods_of(views: Sequence[ModelView]) -> frozenset[str]:
    """The pods whose events the gateway shall take; it subscribes once to each."""
    return frozenset(
        f"{target.key.namespace}/{target.key.pod}" for view in views for target in view.targets
    )


def _open(message: str) -> Finding:
    return ("Unknown", ConditionReason.GATEWAY_UNCONFIRMED, message)


def _not_initialized(observed: Observed, deployment: Deployment, one: _Instance) -> Finding:
    words = one.reading.words if one.reading else ""
    remedy = remedy_for_words(observed.spec.gateway, deployment, one.pod.name, words)
    message = f'The gateway consumes no events. Its pod {one.pod.name} says "{words}". {remedy}'
    return ("False", ConditionReason.GATEWAY_NOT_INITIALIZED, message)


def _said_nothing(observed: Observed, deployment: Deployment, pod: Pod) -> Finding:
    """Silence speaks where it is known what else would be said."""
    version = gateway_version(deployment, observed.spec.gateway.container)
    if version is None or not log_is_known(version):
        release = f"AIBrix {version}" if version else "a release that its image's tag does not name"
        return _open(
            f"Pod {pod.name} of the gateway says nothing of KV event sync, and what {release} would "
            "say is not known. See for yourself whether prompts reach the pod that has their prefix, "
            "or use a release that the operator knows."
        )
    return (
        "False",
        ConditionReason.GATEWAY_NOT_INITIALIZED,
        f"The gateway consumes no events: its pod {pod.name} is Ready and says nothing of KV event "
        f"sync, so it is not told to. {remedy_for_silence(observed.spec.gateway, deployment)}",
    )


def _unsure(observed: Observed, unsure: Sequence[_Instance]) -> Finding:
    spec, name = observed.spec.gateway, unsure[0].pod.name
    if any(one.is_unread(Unread.FORBIDDEN) for one in unsure):
        return _open(
            "Whether the gateway consumes events is told by its log alone, which the operator may "
            f"not read: grant its ServiceAccount get on pods/log in namespace {spec.namespace}, as "
            "Role and RoleBinding kvsync-operator-gateway-log of the install manifest do."
        )
    if any(one.is_unread(Unread.UNREADABLE) for one in unsure):
        return _open(
            f"The log of pod {name}, which tells whether the gateway consumes events, cannot be "
            f"read. Try kubectl -n {spec.namespace} logs {name} -c {spec.container}: the operator "
            "reads it again all the time."
        )
    if any(one.reading is not None and not one.reading.whole for one in unsure):
        return _open(
            f"The log of pod {name} begins after its start, which alone tells whether the gateway "
            "consumes events: it was rotated. Its next start will tell."
        )
    return _open(f"Pod {name} of the gateway has not said yet that it consumes events.")


def _praise(observed: Observed, deployment: Deployment, views: Sequence[ModelView]) -> str:
    where = f"Deployment {deployment.namespace}/{deployment.name} reads KV events"
    instances, pods = _instances(observed, deployment), _pods_of(views)
    counts = _counts(observed, instances, pods)
    if counts is None:
        return f"{where}."
    said = f"{where}; it took {counts['taken']} of {counts['total']} sources."
    missing = list(_missing(instances, pods)) if counts["taken"] < counts["total"] else []
    if not missing:
        return said
    more = f" (and {len(missing) - _SHOWN} more)" if len(missing) > _SHOWN else ""
    return f"{said} Not taken: {'; '.join(missing[:_SHOWN])}{more}."


def _counts(
    observed: Observed, instances: Sequence[_Instance], pods: frozenset[str]
) -> Mapping[str, int] | None:
    """How many pods every pod of the gateway took, of how many; None where that is not known.

    Until the logs are read again after a start of the operator, what the status says stands.
    """
    if not pods or not instances:
        return None
    readings = [one.reading for one in instances if one.reading is not None]
    if len(readings) < len(instances):
        before = (observed.sync.status.get("gateway") or {}).get("sources")
        return dict(before) if before and before.get("total") == len(pods) else None
    unknown = any(not _is_known(reading, pods) for reading in readings)
    if unknown:
        return None
    taken = [name for name in pods if all(_is_taken(r, name) for r in readings)]
    return {"total": len(pods), "taken": len(taken)}


def _is_known(reading: GatewayReading, pods: Iterable[str]) -> bool:
    """Whether silence of a pod speaks: not where lines are lost."""
    return reading.unread is None and (reading.whole or all(name in reading.pods for name in pods))


def _is_taken(reading: GatewayReading, name: str) -> bool:
    running = reading.start in (Start.INITIALIZED, Start.BEGUN, Start.UNSAID)
    return running and reading.pods.get(name) is Subscription.TAKEN


def _missing(instances: Sequence[_Instance], pods: Iterable[str]) -> Iterable[str]:
    for name in sorted(pods):
        says = [one.reading.pods.get(name) for one in instances if one.reading is not None]
        last = next((each for each in says if each is not Subscription.TAKEN), Subscription.TAKEN)
        if last is not Subscription.TAKEN:
            yield f"{name}: {_SAYS[last]}"
