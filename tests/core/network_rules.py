"""What NetworkPolicies let through, by the words of their API: a second reading without the operator's code.

Source: Kubernetes ``networking/v1`` types: a pod that any policy selects for Ingress gets what a rule of
one of these allows, and nothing else; a rule without ``from`` is for everybody, one without ``ports`` for
every port.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """A pod that connects."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)


def gets_through(
    policies: Iterable[Json],
    namespace: str,
    pod: Mapping[str, str],
    source: Source,
    port: int,
    protocol: str = "TCP",
) -> bool:
    """Whether a connection to a port of a pod with these labels is let through."""
    about = [
        p for p in policies if selects(p["spec"].get("podSelector") or {}, pod) and isolates(p)
    ]
    if not about:
        return True
    rules = (rule for policy in about for rule in policy["spec"].get("ingress") or ())
    return any(_from(rule, namespace, source) and _to(rule, port, protocol) for rule in rules)


def isolates(policy: Json) -> bool:
    return "Ingress" in (policy["spec"].get("policyTypes") or ["Ingress"])


def _from(rule: Json, namespace: str, source: Source) -> bool:
    peers = rule.get("from")
    return not peers or any(_is(peer, namespace, source) for peer in peers)


def _is(peer: Json, namespace: str, source: Source) -> bool:
    if "namespaceSelector" in peer:
        place = selects(
            peer["namespaceSelector"], {"kubernetes.io/metadata.name": source.namespace}
        )
    else:
        place = source.namespace == namespace
    return place and selects(peer.get("podSelector") or {}, source.labels)


def _to(rule: Json, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(_covers(each, port, protocol) for each in ports)


def _covers(each: Json, port: int, protocol: str) -> bool:
    if each.get("protocol", "TCP") != protocol:
        return False
    first = each.get("port")
    return first is None or first <= port <= each.get("endPort", first)


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(each, labels) for each in selector.get("matchExpressions") or ()
    )


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
