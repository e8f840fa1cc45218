"""NetworkPolicies as the operator reads them, and who is let in by those that it writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kvsync.model.fields import Fields, SpecError
from kvsync.model.selector import LabelSelector
from kvsync.model.workload import JSON

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "kvsync-operator"
"""The label and its value on every policy that the operator writes."""

ADDS_LABEL = "kvsync.aibrix.ai/network-policy"
ADDS = "adds"
"""A policy of someone else's that carries this label is meant beside ours, not in place of it: it lets
more in, and is not taken for a restriction of all the rest."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Pods that may connect: those of one namespace that a label selector, as in the API, selects."""

    namespace: str
    pods: JSON

    @property
    def body(self) -> JSON:
        """The peer as a rule of a policy names it. Every namespace carries its name as a label
        (Kubernetes 1.22 and newer)."""
        place = {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}
        return {"namespaceSelector": place, "podSelector": self.pods}


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A ``networking.k8s.io/v1`` NetworkPolicy as read."""

    body: JSON

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Its uid."""
        return str(self.body["metadata"].get("uid", ""))

    @property
    def labels(self) -> Mapping[str, str]:
        """Its own labels."""
        return self.body["metadata"].get("labels") or {}

    @property
    def ours(self) -> bool:
        """Whether the operator wrote it, for whichever object."""
        return self.labels.get(MANAGED_BY) == MANAGER and bool(self.owner_uid)

    @property
    def owner_uid(self) -> str:
        """The uid of the KVEventSync that it goes with; empty where there is none."""
        references = self.body["metadata"].get("ownerReferences") or ()
        return next((str(r.get("uid")) for r in references if r.get("kind") == "KVEventSync"), "")

    @property
    def restricts(self) -> bool:
        """Whether what it does not allow is denied, as far as it is not ours."""
        # The API server writes the default out: Ingress always, where the field is absent.
        ingress = "Ingress" in (self.body["spec"].get("policyTypes") or ("Ingress",))
        return ingress and not self.ours and self.labels.get(ADDS_LABEL) != ADDS

    @property
    def selector(self) -> LabelSelector | None:
        """Which pods it is about; None where that cannot be read."""
        selector = self.body["spec"].get("podSelector") or {}
        if not (selector.get("matchLabels") or selector.get("matchExpressions")):
            return LabelSelector()
        try:
            return LabelSelector.from_fields(Fields(selector, "podSelector"))
        except SpecError:
            return None


@dataclass(frozen=True, slots=True)
class ObservedNetwork:
    """What is known of the network where the operator keeps policies for models."""

    operator: Peer | None
    """The operator's own pods; None where it was not told by what they are known."""
    policies: tuple[NetworkPolicy, ...] = ()
    """All of the object's namespace."""

    def named(self, name: str) -> NetworkPolicy | None:
        """The policy of that name."""
        return next((policy for policy in self.policies if policy.name == name), None)
