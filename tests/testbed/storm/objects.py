"""Reading the API's objects, and the references between them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from testbed.storm.names import API_VERSION, SERVICE_REVISION, TEMPLATE_HASH

Object = dict[str, Any]

SAFE = "bcdfghjklmnpqrstvwxz2456789"  # k8s.io/apimachinery, util/rand: no vowels, no bad words


def name_of(body: Object) -> str:
    """An object's name."""
    return str(body["metadata"]["name"])


def namespace_of(body: Object) -> str:
    """An object's namespace."""
    return str(body["metadata"]["namespace"])


def labels_of(body: Object) -> Mapping[str, str]:
    """An object's labels."""
    return body["metadata"].get("labels") or {}


def annotations_of(body: Object) -> Mapping[str, str]:
    """An object's annotations."""
    return body["metadata"].get("annotations") or {}


def is_terminating(body: Object) -> bool:
    """Whether it was deleted and something still holds it."""
    return "deletionTimestamp" in body["metadata"]


def has_finalizer(body: Object, finalizer: str) -> bool:
    """Whether this finalizer holds it."""
    return finalizer in (body["metadata"].get("finalizers") or ())


def controlled_by(owner: Object, kind: str) -> Object:
    """The ownerReference of what a controller makes (metav1 ``NewControllerRef``)."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": name_of(owner),
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition_is_true(body: Object, kind: str) -> bool:
    """Whether the status has this condition with status True."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)


def is_ready(body: Object) -> bool:
    """Whether a pod, or a RoleSet, is Ready."""
    return condition_is_true(body, "Ready")


def is_active(pod: Object) -> bool:
    """Whether a pod counts (AIBrix: pkg/utils/pod.go, as in Kubernetes)."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not is_terminating(pod)


def has_hash(pod: Object, template_hash: str) -> bool:
    """Whether a pod was made from the template with this hash."""
    return labels_of(pod).get(TEMPLATE_HASH) == template_hash


def has_revision(role_set: Object, revision: str) -> bool:
    """Whether a RoleSet is of this revision of its StormService."""
    return labels_of(role_set).get(SERVICE_REVISION) == revision


def roles_of(spec: Object | None) -> list[Object]:
    """The roles of a RoleSet's spec, which is what a StormService's template holds as well."""
    return list((spec or {}).get("roles") or ())


def replicas_of(role: Object) -> int:
    """How many pods a role wants; absent is none (roleset/utils.go, ``getRoleReplicas``)."""
    return max(int(role.get("replicas") or 0), 0)


def wanted_role_sets(service: Object) -> int:
    """How many RoleSets a StormService wants."""
    wanted = service["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def short_hash(value: object) -> str:
    """Six characters that stand for a value.

    The real ones hash Go's own dump of the value (pkg/utils/hash/hash.go): nobody outside can
    compute them, so any other hash does as well.
    """
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
    return "".join(SAFE[byte % len(SAFE)] for byte in digest[:6])


def template_hash_of(role: Object) -> str:
    """What the label ``role-template-hash`` of a role's pods says."""
    return short_hash(role.get("template") or {})


def now() -> str:
    """The time as conditions hold it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def of_namespace(bodies: Iterable[Object], namespace: str) -> list[Object]:
    """Those of one namespace."""
    return [body for body in bodies if namespace_of(body) == namespace]
