"""The NetworkPolicy of a model's pods: only gateway and operator reach the event ports, nothing else changes.

A policy is a list of what is allowed, and whoever is selected by any of them has all the rest denied
(Kubernetes, "Network Policies"). So ours allows every port but the event ports from everywhere, as long as no
other policy restricts the pods; where one does, ours adds the event ports for gateway and operator alone.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsync.core.digest import digest
from kvsync.core.planned import Part
from kvsync.model.network import MANAGED_BY, MANAGER, NetworkPolicy, Peer
from kvsync.model.record import Owner
from kvsync.model.selector import LabelSelector
from kvsync.model.storm import role_of
from kvsync.model.workload import JSON, Deployment

API_VERSION = "networking.k8s.io/v1"
KIND = "NetworkPolicy"
HIGHEST_PORT = 65535
MAX_NAME = 253


class Footing(enum.Enum):
    """What other policies do to the pods of a model."""

    OPEN = enum.auto()
    """None restricts any of them."""
    RESTRICTED = enum.auto()
    """Each of them is restricted by some."""
    MIXED = enum.auto()
    """Some are and some are not, or a policy cannot be read: nothing that we wrote would suit all."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a policy is for. ``events`` are for every reader, ``control`` for the operator alone."""

    pods: JSON
    """The selector of the model's pods."""
    events: frozenset[int]
    control: frozenset[int]
    declared: frozenset[int]
    """TCP ports that the containers declare."""


Restrictions = Sequence[LabelSelector | None]
"""The pods that other policies restrict, by policy; None for one that cannot be read."""


def restrictions(policies: Iterable[NetworkPolicy]) -> Restrictions:
    """What of these restricts anything; to be read once for many pods."""
    return [policy.selector for policy in policies if policy.restricts]


def footing(labels: Iterable[Mapping[str, str]], others: Restrictions) -> Footing:
    """What other policies do to pods with these sets of labels."""
    distinct = {tuple(sorted(each.items())): each for each in labels}
    found = {_restricted(each, others) for each in distinct.values()}
    if found == {True}:
        return Footing.RESTRICTED
    return Footing.OPEN if found <= {False} else Footing.MIXED


def _restricted(labels: Mapping[str, str], others: Restrictions) -> bool | None:
    answers = {None if each is None else each.matches(labels) for each in others}
    return None if None in answers else True in answers


def policy_name(template: Deployment) -> str:
    """The name of the policy for a Deployment, or for a role of a StormService."""
    role = role_of(template)
    workload = f"{template.name}/{role}" if role else template.name
    name = f"kvsync-{workload.replace('/', '-').lower()}"
    # Two names that are cut, or written alike, must not meet.
    plain = name == f"kvsync-{workload}" and len(name) <= MAX_NAME
    return name if plain else f"{name[:200]}-{digest(workload)}"


def guarded_in(template: Deployment, part: Part) -> Guarded:
    """What is to be guarded of the pods that a template makes, where ``part`` is the engine in it."""
    ranks = range(part.sources)
    first = (part.events.port, part.events.replay_port)
    declared = {
        int(port["containerPort"])
        for container in template.containers
        for port in container.ports
        if port.get("protocol", "TCP") == "TCP" and port.get("containerPort")
    }
    given = given_labels(template)
    return Guarded(
        {"matchLabels": given} if given else template.body["spec"]["selector"],
        frozenset(port + rank for port in first for rank in ranks if port + rank <= HIGHEST_PORT),
        frozenset({part.relay_ports.http} if part.relay_ports is not None else ()),
        frozenset({*declared, part.engine.http_port}),
    )


def given_labels(template: Deployment) -> dict[str, str]:
    """What a role's pods get by their StormService (AIBrix ``pkg/constants``); nothing of a Deployment's."""
    role = role_of(template)
    return {"storm-service-name": template.name, "role-name": role} if role else {}


def pod_labels(template: Deployment) -> dict[str, str]:
    """The labels that its pods have at least."""
    return {**template.template_labels, **given_labels(template)}


def on_the_node(template: Deployment) -> bool:
    """Whether its pods share their node's network, where no policy can tell them from others."""
    return bool((template.template.get("spec") or {}).get("hostNetwork"))


def policy_for(
    name: str,
    owner: Owner,
    guarded: Guarded,
    readers: Iterable[Peer],
    operator: Peer,
    where: Footing,
) -> dict[str, Any]:
    """The policy as it shall stand, with every default written out so that it can be compared."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": {MANAGED_BY: MANAGER},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": policy_spec(guarded, [*readers, operator], [operator], where),
    }


def policy_spec(
    guarded: Guarded, readers: Iterable[Peer], controllers: Iterable[Peer], where: Footing
) -> dict[str, Any]:
    """Its spec. ``controllers`` are who may talk to a relay."""
    rules = [_rule(readers, guarded.events)]
    rules += [_rule(controllers, guarded.control)] if guarded.control else []
    rules += [_rest(guarded)] if where is Footing.OPEN else []
    return {"podSelector": guarded.pods, "ingress": rules, "policyTypes": ["Ingress"]}


def owner_reference(owner: Owner) -> dict[str, Any]:
    """By what the garbage collector takes a policy away with its object."""
    return {
        "apiVersion": "kvsync.aibrix.ai/v1alpha1",
        "kind": "KVEventSync",
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }


def _rule(peers: Iterable[Peer], ports: Iterable[int]) -> dict[str, Any]:
    unique = {str(peer.body): peer.body for peer in peers}
    return {
        "ports": [{"protocol": "TCP", "port": port} for port in sorted(ports)],
        "from": [unique[key] for key in sorted(unique)],
    }


def _rest(guarded: Guarded) -> dict[str, Any]:
    """Everything but the guarded ports, from everywhere.

    What the containers declare stands beside the ranges: a network plugin that knows no ``endPort``
    takes of a range its first port alone, and the models are to be reached all the same.
    """
    closed = guarded.events | guarded.control
    singles = sorted(guarded.declared - closed)
    return {
        "ports": [
            {"protocol": "UDP"},
            {"protocol": "SCTP"},
            *({"protocol": "TCP", "port": port} for port in singles),
            *_ranges(closed),
        ]
    }


def _ranges(closed: Iterable[int]) -> Iterator[dict[str, Any]]:
    """The TCP ports that are not closed, as ranges."""
    first = 1
    for port in (*sorted(closed), HIGHEST_PORT + 1):
        if first < port:
            yield {"protocol": "TCP", "port": first, "endPort": port - 1}
        first = port + 1


def guarded_ports(policy: NetworkPolicy) -> frozenset[int]:
    """The ports that a policy of ours keeps for some; those of anything else are not looked at."""
    rules = (rule for rule in policy.body["spec"].get("ingress") or () if rule.get("from"))
    ports = (each.get("port") for rule in rules for each in rule.get("ports") or ())
    return frozenset(port for port in ports if isinstance(port, int))
