"""Deployments and pods as the operator reads them: thin views over the API's own JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from kvsync.model.fields import Fields, SpecError
from kvsync.model.selector import LabelSelector

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod template, with its place in the list."""

    index: int
    body: JSON

    @property
    def name(self) -> str:
        """The container's name, unique in its pod."""
        return str(self.body.get("name", ""))

    @property
    def image(self) -> str:
        """The image reference as written."""
        return str(self.body.get("image", ""))

    @property
    def command(self) -> tuple[str, ...]:
        """What replaces the image's entrypoint; empty when the image decides."""
        return tuple(self.body.get("command") or ())

    @property
    def args(self) -> tuple[str, ...]:
        """What replaces the image's default arguments."""
        return tuple(self.body.get("args") or ())

    @property
    def words(self) -> tuple[str, ...]:
        """Command and arguments as one command line."""
        return self.command + self.args

    @property
    def ports(self) -> Sequence[JSON]:
        """The declared container ports."""
        return self.body.get("ports") or ()

    def env(self, name: str) -> str | None:
        """The literal value of an environment variable; the last definition counts, as in the kubelet."""
        values = [item for item in self.body.get("env") or () if item.get("name") == name]
        return (
            str(values[-1].get("value", "")) if values and "valueFrom" not in values[-1] else None
        )


@dataclass(frozen=True, slots=True)
class Deployment:
    """An ``apps/v1`` Deployment. ``body`` is the object as read and is never changed in place."""

    body: JSON

    @property
    def namespace(self) -> str:
        """The namespace; ``default`` in a manifest that names none."""
        return str(self.body["metadata"].get("namespace", "default"))

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return f"Deployment {self.name}"

    @property
    def model(self) -> str:
        """Its name among the models."""
        return self.name

    @property
    def uid(self) -> str:
        """The object's uid; empty in a manifest that was never applied."""
        return str(self.body["metadata"].get("uid", ""))

    @property
    def annotations(self) -> Mapping[str, str]:
        """The annotations of the object itself, not of its pods."""
        return self.body["metadata"].get("annotations") or {}

    @property
    def templates(self) -> tuple[Deployment, ...]:
        """The same once for each pod template that it has."""
        return (self,)

    @property
    def controller(self) -> JSON | None:
        """The ownerReference of the object that makes this one, if any (metav1 ``controller``)."""
        references = self.body["metadata"].get("ownerReferences") or ()
        return next((each for each in references if each.get("controller")), None)

    @property
    def template(self) -> JSON:
        """The pod template; a change to it is a rollout."""
        template: JSON = self.body["spec"]["template"]
        return template

    @property
    def template_labels(self) -> Mapping[str, str]:
        """The labels its pods get."""
        return (self.template.get("metadata") or {}).get("labels") or {}

    @property
    def selector(self) -> LabelSelector | None:
        """How it finds its pods; None where it says nothing that can be read."""
        try:
            return LabelSelector.from_fields(Fields(self.body["spec"].get("selector"), "selector"))
        except SpecError:
            return None

    @property
    def containers(self) -> tuple[Container, ...]:
        """The main containers, in order; init containers are not among them."""
        bodies = (self.template.get("spec") or {}).get("containers") or ()
        return tuple(Container(index, body) for index, body in enumerate(bodies))

    def container(self, name: str) -> Container | None:
        """The container of that name, looked up each time: never assume a place."""
        return next((c for c in self.containers if c.name == name), None)

    @property
    def replicas(self) -> int:
        """How many pods are wanted; Kubernetes defaults an absent value to 1."""
        wanted = self.body["spec"].get("replicas")
        return 1 if wanted is None else int(wanted)

    def with_annotations(self, annotations: Mapping[str, str] | None) -> Self:
        """The same object with these annotations of its own; None leaves the field out."""
        metadata = {k: v for k, v in self.body["metadata"].items() if k != "annotations"}
        if annotations is not None:
            metadata["annotations"] = dict(annotations)
        return replace(self, body={**self.body, "metadata": metadata})

    def with_template(self, template: JSON) -> Self:
        """The same object with another pod template."""
        return replace(
            self, body={**self.body, "spec": {**self.body["spec"], "template": template}}
        )

    def with_container(self, index: int, body: JSON) -> Self:
        """The same object with another container in that place."""
        spec = self.template["spec"]
        containers = [*spec["containers"]]
        containers[index] = body
        return self.with_template({**self.template, "spec": {**spec, "containers": containers}})

    @property
    def rollout(self) -> Rollout:
        """How far the current template has reached the pods."""
        status = self.body.get("status") or {}
        seen = int(status.get("observedGeneration") or 0) >= int(
            self.body["metadata"].get("generation") or 0
        )
        updated = int(status.get("updatedReplicas") or 0) if seen else 0
        return Rollout(
            wanted=self.replicas,
            updated=updated,
            available=int(status.get("availableReplicas") or 0) if seen else 0,
            total=int(status.get("replicas") or 0),
            observed=seen,
        )


@dataclass(frozen=True, slots=True)
class Rollout:
    """The counts of a Deployment's status that tell whether a rollout is over.

    Source: Kubernetes, ``pkg/controller/deployment/util`` (DeploymentComplete).
    """

    wanted: int
    updated: int
    available: int
    total: int
    observed: bool
    unit: str = "pods"
    """What is counted."""

    @property
    def complete(self) -> bool:
        """Every wanted pod is of the current template and available, and no other pod is left."""
        return self.observed and self.updated == self.available == self.total == self.wanted

    def __str__(self) -> str:
        return f"{min(self.updated, self.available)} of {self.wanted} {self.unit} rolled out"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a Deployment, as the watch stores it (see ``adapters.kube``)."""

    body: JSON

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return str(self.body["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.body["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The pod's uid: a pod of the same name is another pod."""
        return str(self.body["metadata"]["uid"])

    @property
    def labels(self) -> Mapping[str, str]:
        """The pod's labels."""
        return self.body["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """The pod's annotations, as far as they are kept: those that the gateway reads, and ours."""
        return self.body["metadata"].get("annotations") or {}

    @property
    def created(self) -> str:
        """When it was made, RFC 3339; empty where it does not say."""
        return str(self.body["metadata"].get("creationTimestamp") or "")

    @property
    def ready_since(self) -> str:
        """When its condition Ready changed last, RFC 3339; empty where that is not known."""
        return str(self._ready.get("lastTransitionTime") or "")

    @property
    def revision(self) -> str:
        """The hash of the template that it was made of; empty where it carries none.

        Of a Deployment's pods (Kubernetes ``DefaultDeploymentUniqueLabelKey``) and of a
        StormService's (AIBrix ``pkg/constants``).
        """
        return self.labels.get("pod-template-hash") or self.labels.get("role-template-hash", "")

    @property
    def ip(self) -> str:
        """The pod's address, or empty."""
        return str((self.body.get("status") or {}).get("podIP") or "")

    @property
    def phase(self) -> str:
        """Pending, Running, Succeeded, Failed or Unknown."""
        return str((self.body.get("status") or {}).get("phase") or "")

    @property
    def deleting(self) -> bool:
        """Whether it is on its way out."""
        return bool(self.body["metadata"].get("deletionTimestamp"))

    @property
    def ended(self) -> bool:
        """Whether its containers are over for good, as of a pod that was evicted."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def running(self) -> bool:
        """Running with an address and not on its way out: what a probe can connect to."""
        return self.phase == "Running" and bool(self.ip) and not self.deleting

    @property
    def ready(self) -> bool:
        """Whether the kubelet finds it ready to serve."""
        return self.running and self._ready.get("status") == "True"

    @property
    def _ready(self) -> JSON:
        conditions = (self.body.get("status") or {}).get("conditions") or ()
        return next((c for c in conditions if c.get("type") == "Ready"), {})

    @property
    def deployment(self) -> str:
        """The Deployment whose ReplicaSet made it; empty for any other pod.

        A ReplicaSet is named after its Deployment and the template's hash, which its pods carry
        as a label (Kubernetes, ``pkg/controller/deployment/sync.go``).
        """
        suffix = "-" + self.labels.get("pod-template-hash", "")
        for reference in self.body["metadata"].get("ownerReferences") or ():
            name = str(reference.get("name", ""))
            if reference.get("kind") == "ReplicaSet" and len(suffix) > 1 and name.endswith(suffix):
                return name.removesuffix(suffix)
        return ""

    @property
    def containers(self) -> tuple[Container, ...]:
        """Its main containers, as the pod was created with them."""
        bodies = (self.body.get("spec") or {}).get("containers") or ()
        return tuple(Container(index, body) for index, body in enumerate(bodies))

    @property
    def role(self) -> str:
        """Its role in a StormService; empty for any other pod."""
        return self.labels.get("role-name", "")

    @property
    def storm_service(self) -> str:
        """The StormService whose RoleSet made it; empty for any other pod (AIBrix ``pkg/constants``)."""
        references = self.body["metadata"].get("ownerReferences") or ()
        made = any(each.get("kind") == "RoleSet" and each.get("controller") for each in references)
        return self.labels.get("storm-service-name", "") if made else ""

    def container(self, name: str) -> Container | None:
        """The container of that name."""
        return next((c for c in self.containers if c.name == name), None)

    @property
    def container_statuses(self) -> Iterator[JSON]:
        """The statuses of its main and init containers."""
        status = self.body.get("status") or {}
        yield from status.get("initContainerStatuses") or ()
        yield from status.get("containerStatuses") or ()
