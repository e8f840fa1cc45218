"""What the controllers create: RoleSets of a StormService, pods of a RoleSet's roles."""

import copy

from testbed.storm.names import (
    API_VERSION,
    REPLICA_INDEX,
    ROLE_NAME,
    ROLE_REVISION,
    ROLE_REVISION_NAME,
    ROLE_SET_INDEX,
    ROLE_SET_NAME,
    ROLE_SET_REVISION,
    SERVICE_NAME,
    SERVICE_REVISION,
    TEMPLATE_HASH,
)
from testbed.storm.objects import (
    Object,
    annotations_of,
    controlled_by,
    labels_of,
    name_of,
    namespace_of,
    template_hash_of,
)

INHERITED = ("name", "previous-owner")  # the only labels of a RoleSet that reach its pods


class SelectorError(Exception):
    """The template's labels are not what the selector asks for."""


def role_set_of(service: Object, revision: str, role_revisions: dict[str, Object]) -> Object:
    """A RoleSet from the template (stormservice/rolesetoperations.go, ``renderRoleSet``).

    Raises SelectorError: the StormService would not find it again.
    """
    template = copy.deepcopy(service["spec"]["template"])
    metadata = template.get("metadata") or {}
    labels = metadata.get("labels") or {}
    selector = service["spec"]["selector"].get("matchLabels") or {}
    if not selector.items() <= labels.items():
        raise SelectorError(
            f"roleSet labels {labels} does not match stormService selector {selector}"
        )
    return {
        "apiVersion": API_VERSION,
        "kind": "RoleSet",
        "metadata": {
            "generateName": f"{name_of(service)}-roleset-",
            "namespace": namespace_of(service),
            "ownerReferences": [controlled_by(service, "StormService")],
            "labels": {**labels, SERVICE_NAME: name_of(service), SERVICE_REVISION: revision},
            "annotations": {
                **(metadata.get("annotations") or {}),
                ROLE_SET_REVISION: revision,
                **_revision_annotations(role_revisions),
            },
        },
        "spec": template.get("spec") or {},
    }


def _revision_annotations(role_revisions: dict[str, Object]) -> dict[str, str]:
    found = {}
    for role, revision in role_revisions.items():
        found[f"{ROLE_REVISION}.{role}"] = str(revision["revision"])
        found[f"{ROLE_REVISION_NAME}.{role}"] = name_of(revision)
    return found


def pod_of(role_set: Object, role: Object, index: int | None) -> Object:
    """A pod of a role; ``index`` when the role is stateful.

    Source: util/controller_utils.go, ``GetPodFromTemplate``; roleset/utils.go,
    ``renderStormServicePod``.
    """
    template = copy.deepcopy(role.get("template") or {})
    metadata = template.get("metadata") or {}
    body: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace_of(role_set),
            "ownerReferences": [controlled_by(role_set, "RoleSet")],
            "labels": {**(metadata.get("labels") or {}), **_labels(role_set, role)},
            "annotations": {
                **(metadata.get("annotations") or {}),
                ROLE_SET_INDEX: annotations_of(role_set).get(ROLE_SET_INDEX, ""),
            },
        },
        "spec": template.get("spec") or {},
    }
    _name(body, role_set, role, index)
    body["spec"]["subdomain"] = labels_of(role_set).get(SERVICE_NAME, "")
    for container in body["spec"].get("containers") or ():
        container["env"] = _environment(container.get("env") or [], role_set, role, index)
    return body


def _labels(role_set: Object, role: Object) -> dict[str, str]:
    owner, marks = labels_of(role_set), annotations_of(role_set)
    found = {
        ROLE_SET_NAME: name_of(role_set),
        ROLE_NAME: str(role.get("name", "")),
        TEMPLATE_HASH: template_hash_of(role),
        SERVICE_NAME: owner.get(SERVICE_NAME, ""),
    }
    found |= {key: owner[key] for key in INHERITED if key in owner}
    for key in (ROLE_REVISION, ROLE_REVISION_NAME):
        mark = marks.get(f"{key}.{role.get('name', '')}")
        if mark is not None:
            found[key] = mark
    return found


def _name(body: Object, role_set: Object, role: Object, index: int | None) -> None:
    prefix = f"{name_of(role_set)}-{role.get('name', '')}"
    metadata = body["metadata"]
    if index is None:
        metadata["generateName"] = f"{prefix}-"
        return
    metadata["name"] = f"{prefix}-{template_hash_of(role)}-{index}"
    metadata["annotations"][REPLICA_INDEX] = str(index)
    metadata["labels"][REPLICA_INDEX] = str(index)
    body["spec"]["hostname"] = metadata["name"]


def _environment(
    own: list[Object], role_set: Object, role: Object, index: int | None
) -> list[Object]:
    """The controller's variables first, then the container's own without those names."""
    added = {
        "STORM_SERVICE_NAME": labels_of(role_set).get(SERVICE_NAME, ""),
        "ROLESET_NAME": name_of(role_set),
        "ROLESET_INDEX": annotations_of(role_set).get(ROLE_SET_INDEX, ""),
        "ROLE_NAME": str(role.get("name", "")),
        "ROLE_TEMPLATE_HASH": template_hash_of(role),
    }
    reserved = {*added, "ROLE_REPLICA_INDEX"}
    if index is not None:
        added["ROLE_REPLICA_INDEX"] = str(index)
    first = [{"name": name, "value": value} for name, value in added.items()]
    return first + [item for item in own if item["name"] not in reserved]
