"""Whether the gateway took what it was told: judged by the logs of its pods, of all of them.

A pod that says that it initialised consumes until it ends; one that says why not, or nothing at all, is
Ready and consumes nothing until its next start. What cannot be read is not known.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.actions import mark_of
from kvsync.core.assess import ModelView
from kvsync.core.gateway import gateway_version, owners_of
from kvsync.core.gateway_instances import Instance, instances_of
from kvsync.core.gateway_remedy import remedy_for_silence, remedy_for_words
from kvsync.core.gateway_sources import gateway_sources, taken_in_words
from kvsync.core.releases import log_is_known
from kvsync.model.gateway_log import GatewayWatch, Unread
from kvsync.model.observed import Observed
from kvsync.model.reasons import ConditionReason
from kvsync.model.workload import Deployment, Pod

Finding = tuple[str, ConditionReason, str]


def gateway_watch(observed: Observed, views: Sequence[ModelView]) -> GatewayWatch | None:
    """Whose logs shall be read for an object; None before it has told a gateway anything."""
    spec, deployment = observed.spec.gateway, observed.gateway.deployment
    if deployment is None or not observed.gateway.permitted:
        return None
    if spec.manage and mark_of(observed.sync) not in owners_of(deployment):
        return None
    return GatewayWatch(spec.namespace, spec.deployment, spec.container, gateway_sources(views))


def gateway_taken(
    observed: Observed, deployment: Deployment, views: Sequence[ModelView]
) -> Finding:
    """Whether every pod of a gateway initialised KV event sync: status, reason, message."""
    instances = instances_of(observed, deployment)
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
    said = f"Deployment {deployment.namespace}/{deployment.name} reads KV events"
    taken = taken_in_words(observed, instances, views)
    said = f"{said}; {taken}" if taken else f"{said}."
    return ("True", ConditionReason.CONFIGURED, said)


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


def _open(message: str) -> Finding:
    return ("Unknown", ConditionReason.GATEWAY_UNCONFIRMED, message)


def _not_initialized(observed: Observed, deployment: Deployment, one: Instance) -> Finding:
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


def _unsure(observed: Observed, unsure: Sequence[Instance]) -> Finding:
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
