"""The two statuses, as the real controllers compute them, with their gaps.

Source: AIBrix, ``pkg/controller/roleset/sync.go`` (``calculateStatus``) and
``pkg/controller/stormservice/sync.go`` (``updateStatus``). Go leaves zeros out (``omitempty``).
"""

from collections.abc import Sequence

from testbed.storm.names import ROLE_NAME, SERVICE_NAME
from testbed.storm.objects import (
    Object,
    has_hash,
    has_revision,
    is_active,
    is_ready,
    labels_of,
    name_of,
    now,
    replicas_of,
    roles_of,
    template_hash_of,
    wanted_role_sets,
)

COUNTS = ("readyReplicas", "notReadyReplicas", "updatedReplicas", "updatedReadyReplicas")
TIMES = ("lastTransitionTime", "lastUpdateTime")


def role_set_status(role_set: Object, pods: Sequence[Object], error: str = "") -> Object:
    """A RoleSet's status: per role, counts of active pods; "updated" goes by the template's hash."""
    roles = roles_of(role_set["spec"])
    statuses = [_role_status(role, pods) for role in roles]
    short = [
        role.get("name", "")
        for role, status in zip(roles, statuses, strict=True)
        if status.get("readyReplicas", 0) < replicas_of(role)
    ]
    if short:
        message = f"role {','.join(short)} is not ready"
        conditions = [condition("Ready", "False", "roleset is not ready", message)]
    else:
        conditions = [condition("Ready", "True", "roleset is ready")]
    if error:
        conditions.append(condition("ReplicaFailure", "True", "reconcile roleset error", error))
    return {"roles": statuses, "conditions": conditions}


def _role_status(role: Object, pods: Sequence[Object]) -> Object:
    name, current = role.get("name", ""), template_hash_of(role)
    active = [pod for pod in pods if labels_of(pod).get(ROLE_NAME) == name and is_active(pod)]
    updated = [pod for pod in active if has_hash(pod, current)]
    ready = sum(map(is_ready, active))
    counts = (ready, len(active) - ready, len(updated), sum(map(is_ready, updated)))
    return {"name": name, "replicas": len(active)} | _without_zeros(
        dict(zip(COUNTS, counts, strict=True))
    )


def service_status(
    service: Object, role_sets: Sequence[Object], current: str, update: str
) -> Object:
    """A StormService's status: counts of RoleSets, from *their* statuses, stale or not.

    A RoleSet that just got a new template still has the status of the old one, and a new RoleSet
    has none; both count as updated here, as in the real one.
    """
    matching = [each for each in role_sets if has_revision(each, update)]
    updated = [each for each in matching if _all_roles(each, "updatedReplicas")]
    done = [e for e in matching if is_ready(e) and _all_roles(e, "updatedReadyReplicas")]
    ready = sum(map(is_ready, role_sets))
    of_current = sum(has_revision(each, current) for each in role_sets)
    if of_current == 0:
        current, of_current = update, len(updated)
    counts = {
        "replicas": len(role_sets),
        "readyReplicas": ready,
        "notReadyReplicas": len(role_sets) - ready,
        "currentReplicas": of_current,
        "updatedReplicas": len(updated),
        "updatedReadyReplicas": len(done),
    }
    wanted = wanted_role_sets(service)
    settled = len(updated) == len(role_sets) == wanted and current == update
    finished = condition("Ready", "True", "Ready")
    underway = condition("Progressing", "True", "Processing")
    return {
        **_without_zeros(counts),
        **_identity(service, current, update),
        "conditions": [finished if ready >= wanted and settled else underway],
        "scalingTargetSelector": f"{SERVICE_NAME}={name_of(service)}",
        "roleStatuses": _role_statuses(role_sets, update),
    }


def failed_service_status(service: Object, error: str, current: str, update: str) -> Object:
    """After an error the counts stay what they were; the condition says the error."""
    return {
        **(service.get("status") or {}),
        **_identity(service, current, update),
        "conditions": [condition("ReplicaFailure", "True", "Failure", error)],
    }


def same(old: Object | None, new: Object) -> bool:
    """Whether two statuses say the same, the times of their conditions aside."""
    return _timeless(old or {}) == _timeless(new)


def condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    """A condition of now; the real ones stamp both times at each write."""
    found = {"type": kind, "status": status, "reason": reason}
    if message:
        found["message"] = message
    return found | dict.fromkeys(TIMES, now())


def _identity(service: Object, current: str, update: str) -> Object:
    return {
        "observedGeneration": service["metadata"]["generation"],
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": 0,
    }


def _all_roles(role_set: Object, count: str) -> bool:
    """Whether no role's status contradicts (``isAllRoleUpdated``): true without a status."""
    wanted = {role.get("name", ""): replicas_of(role) for role in roles_of(role_set["spec"])}
    statuses = (role_set.get("status") or {}).get("roles") or ()
    return all(
        each.get(count, 0) == wanted[each["name"]] for each in statuses if each["name"] in wanted
    )


def _role_statuses(role_sets: Sequence[Object], update: str) -> list[Object]:
    """Pods by role name; "updated" is all pods of a RoleSet of the new revision, old pods too."""
    sums: dict[str, dict[str, int]] = {}
    for role_set in role_sets:
        for status in (role_set.get("status") or {}).get("roles") or ():
            total = sums.setdefault(status["name"], dict.fromkeys(("replicas", *COUNTS), 0))
            for count in ("replicas", "readyReplicas", "notReadyReplicas"):
                total[count] += status.get(count, 0)
            if has_revision(role_set, update):
                total["updatedReplicas"] += status["replicas"]
                total["updatedReadyReplicas"] += status.get("readyReplicas", 0)
    return [
        {"name": name, "replicas": total.pop("replicas"), **_without_zeros(total)}
        for name, total in sorted(sums.items())
    ]


def _without_zeros(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _timeless(status: Object) -> Object:
    conditions = [
        {key: value for key, value in each.items() if key not in TIMES}
        for each in status.get("conditions") or ()
    ]
    return {**status, "conditions": conditions}
