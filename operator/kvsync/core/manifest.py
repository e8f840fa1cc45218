"""One manifest without a cluster: what a KVEventSync changes on it, and the way back.

The result goes into Git, so it depends on nothing but the manifest and the settings: the record
carries no time, and no mark of an object that a cluster would have to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kvsync.core.manifest_policy import Network, policies_beside
from kvsync.core.patch import Operation, apply, difference
from kvsync.core.plan import lost_records, plan, plan_undo, unsupported_kind
from kvsync.core.planned import Ask, Outcome
from kvsync.core.releases import GATEWAY_RELEASES
from kvsync.core.render import Templates
from kvsync.core.revert import without_mark
from kvsync.model import storm
from kvsync.model.finding import Note, Refusal
from kvsync.model.record import OWNER_ANNOTATION, Owner, parse_owner
from kvsync.model.relay import NO_IMAGE, RelayMeans
from kvsync.model.spec import KVEventSyncSpec, Mode
from kvsync.model.workload import JSON, Deployment

DEPLOYMENT = ("apps/v1", "Deployment")
STORM_SERVICE = (storm.API_VERSION, storm.KIND)
UNSUPPORTED = frozenset({"RayClusterFleet", "PodSet", "RoleSet", "ModelClaim"})
"""Kinds of AIBrix that run engines and are not changed (``*.aibrix.ai``)."""

_ROLES = ("spec", "template", "spec", "roles")
_CONTAINERS = ("template", "spec", "containers")
_BESIDE = ("initContainers", "volumes")
_NOBODY = Owner("-", "render", "-")


@dataclass(frozen=True, slots=True)
class Rendered:
    """One workload. ``patch`` turns the object as read into ``body``, ``undo`` turns it back."""

    body: JSON
    outcome: Outcome
    reason: str = ""
    message: str = ""
    patch: tuple[Operation, ...] = ()
    undo: tuple[Operation, ...] = ()
    policies: tuple[JSON, ...] = ()
    """NetworkPolicies for its pods, where they were asked for."""

    def entry(self) -> dict[str, Any]:
        """The stable form that ``kvsync render -o json`` prints."""
        metadata = self.body["metadata"]
        return {
            "apiVersion": self.body["apiVersion"],
            "kind": self.body["kind"],
            "namespace": str(metadata.get("namespace") or "default"),
            "name": str(metadata["name"]),
            "outcome": self.outcome.value,
            "reason": self.reason,
            "message": self.message,
            "patch": list(self.patch),
            "undo": list(self.undo),
            **({"networkPolicies": list(self.policies)} if self.policies else {}),
        }


def is_workload(body: object) -> bool:
    """Whether a document is a workload that is changed, or refused by the name of its kind."""
    if not isinstance(body, Mapping) or not isinstance(body.get("metadata"), Mapping):
        return False
    if not body["metadata"].get("name"):
        return False
    if (body.get("apiVersion"), body.get("kind")) in (DEPLOYMENT, STORM_SERVICE):
        return True
    group = str(body.get("apiVersion", "")).partition("/")[0]
    return group.endswith(".aibrix.ai") and body.get("kind") in UNSUPPORTED


def selects(spec: KVEventSyncSpec, namespace: str | None, body: JSON) -> bool:
    """Whether an object means this workload; a side that names no namespace fits any."""
    metadata = body["metadata"]
    own = metadata.get("namespace")
    if own and namespace and own != namespace:
        return False
    return spec.models.selects(str(metadata["name"]), metadata.get("labels") or {})


def render_manifest(
    body: JSON,
    spec: KVEventSyncSpec,
    templates: Templates,
    owner: Owner | None = None,
    relays: RelayMeans = NO_IMAGE,
    network: Network | None = None,
) -> Rendered:
    """The workload as the spec wants it; ``owner`` is the object whose spec it is, if any.

    With ``network`` its NetworkPolicies too.

    No gateway is known: a relay that is wanted where it is needed is needed for the newest release.

    Raises:
        ValueError: the manifest is no valid workload; the message names the field.
        TemplateRenderError: a template is broken.
    """
    if body["kind"] in UNSUPPORTED:
        return unsupported(body)
    deployment = read_workload(body)
    mark = parse_owner(deployment.annotations.get(OWNER_ANNOTATION, ""))
    owner = owner or _NOBODY
    if mark is not None and (mark.namespace, mark.name) == (owner.namespace, owner.name):
        owner = mark
    asked = ask_for_git(replace(spec, mode=Mode.PATCH), templates, owner, relays)
    planned = plan(deployment, asked)
    if planned.refusal is not None:
        return refused(body, planned.refusal)
    after = apply(body, planned.patch)
    if mark is None:
        after = without_mark(replace(deployment, body=after)).body
    policies = tuple(policies_beside(deployment, planned.parts, network)) if network else ()
    if after == body:
        found = Rendered(body, Outcome.UNCHANGED, message="It is right already.")
    else:
        found = changed(body, after, planned.notes)
    return replace(found, policies=policies)


def ask_for_git(
    spec: KVEventSyncSpec, templates: Templates, owner: Owner | None, relays: RelayMeans
) -> Ask:
    """What a plan for manifests is asked with: without a time, so that two renderings are one text, and
    without a cluster, so that no engine can be asked and the gateway is taken for the newest."""
    reads = GATEWAY_RELEASES[-1].layouts
    return Ask(spec, owner or _NOBODY, templates, {}, "", 0, relays=relays, gateway_reads=reads)


def restore_manifest(body: JSON) -> Rendered:
    """The workload without anything of ours, by its record.

    Raises:
        ValueError: the manifest is no valid workload; the message names the field.
    """
    if body["kind"] in UNSUPPORTED:
        return unsupported(body)
    deployment = read_workload(body)
    operations = plan_undo(deployment)
    if not operations:
        return Rendered(body, Outcome.UNCHANGED, message="It carries no KV event configuration.")
    return changed(body, apply(body, operations), lost_records(deployment))


def refused(body: JSON, refusal: Refusal) -> Rendered:
    """A workload that is left as it is, and why."""
    return Rendered(body, Outcome.REFUSED, str(refusal.reason), str(refusal))


def changed(body: JSON, after: JSON, notes: tuple[Note, ...]) -> Rendered:
    """A workload that becomes another, with what to know of it."""
    return Rendered(
        after,
        Outcome.CHANGE,
        message=" ".join(map(str, notes)),
        patch=tuple(difference(body, after)),
        undo=tuple(difference(after, body)),
    )


def unsupported(body: JSON) -> Rendered:
    """A workload of a kind that is not changed."""
    return refused(body, unsupported_kind(body["kind"], body["metadata"]["name"]))


def read_workload(body: JSON) -> Deployment:
    """The workload in a manifest, once its shape was checked.

    Raises:
        ValueError: it is no valid workload; the message names the field.
    """
    if body["kind"] == storm.KIND:
        for index, role in enumerate(_list(body, *_ROLES)):
            _check_containers(body, *_ROLES, index, *_CONTAINERS)
            if not isinstance(role.get("replicas") or 0, int):
                raise _shape_error(body, (*_ROLES, index, "replicas"), "a number")
        return storm.StormService(body)
    _check_containers(body, "spec", *_CONTAINERS)
    return Deployment(body)


def _check_containers(body: JSON, *path: str | int) -> None:
    """Check the containers at a path, and that their words are texts: YAML reads 8000 as a number.

    Raises:
        ValueError: something is not as it must be.
    """
    for beside in _BESIDE:
        place = (*path[:-1], beside)
        if _at(body, *place) is not None:
            _list(body, *place)
    for index, container in enumerate(_list(body, *path)):
        for field in ("command", "args"):
            words = container.get(field) or []
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise _shape_error(body, (*path, index, field), "a list of texts in quotes")


def _list(body: JSON, *path: str | int) -> Sequence[Any]:
    """The list of objects at a path.

    Raises:
        ValueError: there is none.
    """
    found = _at(body, *path)
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise _shape_error(body, path, "a list of objects")
    return found


def _at(body: JSON, *path: str | int) -> Any:
    """What stands at a path; None where nothing does."""
    found: Any = body
    for step in path:
        if isinstance(step, int):
            found = found[step]
        else:
            found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _shape_error(body: JSON, path: Sequence[str | int], wanted: str) -> ValueError:
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return ValueError(f"{body['kind']} {body['metadata']['name']}: {where[1:]} is not {wanted}")
