"""StormServices as the operator reads them: roles with a pod template each, seen as Deployments.

Source: AIBrix ``api/orchestration/v1alpha1/stormservice_types.go``, ``roleset_types.go``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsync.model.record import (
    OUR_ANNOTATIONS,
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    REPAIRS_ANNOTATION,
)
from kvsync.model.workload import JSON, Deployment, Pod, Rollout

API_VERSION = "orchestration.aibrix.ai/v1alpha1"
KIND = "StormService"

_MODEL = "stormservice/"


@dataclass(frozen=True, slots=True)
class Role(Deployment):
    """One role of a StormService as a Deployment of its own; ``replicas`` counts its pods in all."""

    role: str = ""
    index: int = 0
    group_size: int = 1
    """How many pods together are one replica."""

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return f"role {self.role} of StormService {self.name}"


@dataclass(frozen=True, slots=True)
class StormService(Deployment):
    """A StormService: not one pod template but one a role, and one record a role."""

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return f"StormService {self.name}"

    @property
    def model(self) -> str:
        """Its name among the models: apart from a Deployment of the same name."""
        return storm_model(self.name)

    @property
    def replaces_all_roles(self) -> bool:
        """Whether any change of a role restarts the pods of all of them.

        ``RollingUpdate``, the default, makes new RoleSets; ``InPlaceUpdate`` changes one role.
        """
        strategy = self.body["spec"].get("updateStrategy") or {}
        return bool(strategy.get("type") != "InPlaceUpdate")

    @property
    def roles(self) -> tuple[Role, ...]:
        """Its roles, in order."""
        return tuple(self._role(index, body) for index, body in enumerate(self._bodies))

    @property
    def templates(self) -> tuple[Deployment, ...]:
        """Its roles."""
        return self.roles

    @property
    def _bodies(self) -> tuple[JSON, ...]:
        sets = self.body["spec"].get("template") or {}
        return tuple((sets.get("spec") or {}).get("roles") or ())

    def _role(self, index: int, body: JSON) -> Role:
        name, size = str(body.get("name") or ""), int(body.get("podGroupSize") or 1)
        metadata = {k: v for k, v in self.body["metadata"].items() if k != "managedFields"}
        if metadata.get("annotations") is not None:
            metadata["annotations"] = self._annotations_of(name)
        managers = [
            _of_role(entry, name) for entry in self.body["metadata"].get("managedFields") or ()
        ]
        if managers:
            metadata["managedFields"] = managers
        return Role(
            {
                "kind": KIND,
                "metadata": metadata,
                "spec": {
                    # An absent number of a role's replicas means none (roleset/utils.go).
                    "replicas": self.replicas * int(body.get("replicas") or 0) * size,
                    "template": body.get("template") or {},
                },
            },
            role=name,
            index=index,
            group_size=size,
        )

    def _annotations_of(self, role: str) -> dict[str, str]:
        """The annotations as a Deployment of this role alone would have them."""
        own = self.foreign_annotations
        record = self.annotations.get(record_key(role))
        # Of a StormService without any record nobody knows which roles were changed: all may be.
        if record is not None or not self.is_recorded:
            ours = (k for k in OUR_ANNOTATIONS if k != RECORD_ANNOTATION and k in self.annotations)
            own |= {key: self.annotations[key] for key in ours}
        return own if record is None else {**own, RECORD_ANNOTATION: record}

    @property
    def foreign_annotations(self) -> dict[str, str]:
        """The annotations that are not ours."""
        return {k: v for k, v in self.annotations.items() if not is_ours(k)}

    @property
    def is_recorded(self) -> bool:
        """Whether any role has a record."""
        return any(key.startswith(RECORD_ANNOTATION + ".") for key in self.annotations)

    def with_roles(self, roles: Mapping[int, Deployment]) -> StormService:
        """The same object with these roles' templates, marks and records in place of its own."""
        bodies: list[JSON] = list(self._bodies)
        annotations = self.foreign_annotations
        absent = self.body["metadata"].get("annotations") is None
        for index, role in roles.items():
            bodies[index] = {**bodies[index], "template": role.template}
            # Only a role that was changed knows whether there were any before.
            absent = absent or role.body["metadata"].get("annotations") is None
            if OWNER_ANNOTATION in role.annotations:
                annotations[OWNER_ANNOTATION] = role.annotations[OWNER_ANNOTATION]
            if REPAIRS_ANNOTATION in role.annotations:
                annotations[REPAIRS_ANNOTATION] = role.annotations[REPAIRS_ANNOTATION]
            if RECORD_ANNOTATION in role.annotations:
                key = record_key(str(bodies[index].get("name") or ""))
                annotations[key] = role.annotations[RECORD_ANNOTATION]
        changed = self._with_bodies(bodies)
        return changed.with_annotations(None if absent and not annotations else annotations)

    def with_templates(self, templates: Sequence[JSON]) -> StormService:
        """The same object with these pod templates, one a role in order, and nothing else of it changed."""
        pairs = zip(self._bodies, templates, strict=True)
        # A role without a template has none to be given back.
        bodies: list[JSON] = [{**b, "template": t} if t else b for b, t in pairs]
        return self._with_bodies(bodies)

    def _with_bodies(self, bodies: list[JSON]) -> StormService:
        spec = self.body["spec"]
        if not bodies:
            return self
        sets: dict[str, Any] = {**spec["template"]}
        sets["spec"] = {**sets["spec"], "roles": bodies}
        return StormService({**self.body, "spec": {**spec, "template": sets}})

    @property
    def rollout(self) -> Rollout:
        """How far the current template has come, by the status: it counts RoleSets, not pods.

        For about a second after a change the status may speak of the pods before it
        (stormservice/sync.go); who counts sources counts the pods themselves.
        """
        status, generation = self.body.get("status") or {}, self.body["metadata"].get("generation")
        seen = int(status.get("observedGeneration") or 0) >= int(generation or 0)
        current = status.get("currentRevision") == status.get("updateRevision")
        return Rollout(
            wanted=self.replicas,
            updated=int(status.get("updatedReadyReplicas") or 0) if seen and current else 0,
            available=int(status.get("readyReplicas") or 0) if seen else 0,
            total=int(status.get("replicas") or 0),
            observed=seen,
            unit="RoleSets",
        )


def _of_role(entry: JSON, role: str) -> JSON:
    """An entry of managedFields as a Deployment of this role alone would have it.

    The list of roles is merged by name where the kind says so, and else owned as a whole.
    """
    fields: Any = entry.get("fieldsV1") or {}
    for step in ("f:spec", "f:template", "f:spec", "f:roles"):
        if step not in fields:
            return {**entry, "fieldsV1": {}}
        fields = fields[step]
    own = (fields.get(f'k:{{"name":{json.dumps(role)}}}') or {}).get("f:template")
    template = fields and own
    return {**entry, "fieldsV1": {} if template is None else {"f:spec": {"f:template": template}}}


def storm_model(name: str) -> str:
    """The name among the models of a StormService of this name."""
    return _MODEL + name


def storm_of(model: str) -> str:
    """The StormService that a model's name names; empty where it names a Deployment."""
    return model.removeprefix(_MODEL) if model.startswith(_MODEL) else ""


def model_of(pod: Pod) -> str:
    """The name of the model that a pod is one of; empty for any other pod."""
    storm = pod.storm_service
    return storm_model(storm) if storm else pod.deployment


def role_of(workload: Deployment) -> str:
    """The role that a workload is; empty for a Deployment."""
    return workload.role if isinstance(workload, Role) else ""


def record_key(role: str) -> str:
    """The annotation that holds the record of one role."""
    return f"{RECORD_ANNOTATION}.{role}"


def is_ours(key: str) -> bool:
    """Whether an annotation of a StormService is one of ours."""
    return key in OUR_ANNOTATIONS or key.startswith(RECORD_ANNOTATION + ".")
