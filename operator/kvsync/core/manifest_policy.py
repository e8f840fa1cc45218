"""The NetworkPolicies beside a manifest, for Git: what the operator would keep, from manifests alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kvsync.core.network_policy import (
    API_VERSION,
    KIND,
    Footing,
    footing,
    guarded_in,
    on_the_node,
    pod_labels,
    policy_name,
    policy_spec,
    restrictions,
)
from kvsync.core.planned import Part
from kvsync.model.network import NetworkPolicy, Peer
from kvsync.model.storm import role_of
from kvsync.model.workload import JSON, Deployment


@dataclass(frozen=True, slots=True)
class Network:
    """Who shall reach the events, and the other policies that are known: those among the manifests."""

    readers: tuple[Peer, ...]
    policies: tuple[NetworkPolicy, ...] = ()


def is_policy(body: Any) -> bool:
    """Whether a document is a NetworkPolicy that can be read."""
    return (
        isinstance(body, dict)
        and (body.get("apiVersion"), body.get("kind")) == (API_VERSION, KIND)
        and isinstance(body.get("metadata"), dict)
        and isinstance(body.get("spec"), dict)
    )


def policies_beside(
    workload: Deployment, parts: Iterable[Part], network: Network
) -> Iterator[JSON]:
    """One for each of its pod templates that runs an engine.

    Raises:
        ValueError: a policy cannot tell its pods from others, or would not suit them.
    """
    for part in parts:
        template = next(each for each in workload.templates if role_of(each) == part.role)
        name = policy_name(template)
        near = [each for each in network.policies if _is_near(each, template) and each.name != name]
        where = footing([pod_labels(template)], restrictions(near))
        problem = _problem(template, where)
        if problem:
            raise ValueError(f"no NetworkPolicy can be written for {template.title}: {problem}")
        guarded = guarded_in(template, part)
        metadata = {"name": name}
        if "namespace" in workload.body["metadata"]:
            metadata["namespace"] = workload.namespace
        spec = policy_spec(guarded, network.readers, network.readers, where)
        yield {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def _is_near(policy: NetworkPolicy, template: Deployment) -> bool:
    """Whether both are of one namespace; a manifest that names none may be of any."""
    own = template.body["metadata"].get("namespace")
    other = policy.body["metadata"].get("namespace")
    return own == other or not own or not other


def _problem(template: Deployment, where: Footing) -> str:
    if on_the_node(template):
        return "its pods run on their node's network (hostNetwork)."
    if not role_of(template) and not template.body["spec"].get("selector"):
        return "it has no spec.selector."
    if where is Footing.MIXED:
        return "the podSelector of another policy cannot be read."
    return ""
