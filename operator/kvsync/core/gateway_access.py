"""Who may have a gateway changed: what the operator's settings say, and the one judgement by them.

Whoever may create a KVEventSync is a tenant, and the gateway is everybody's. So the settings name the
gateways, and for each of them the namespaces whose objects may have it changed: those that carry a
label, which only a cluster's admin can give, or those that the settings list. The chart's admission
policy says the same when an object is applied; what counts is this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

ACCESS_LABEL = "kvsync.aibrix.ai/gateway-access"
"""The label of a namespace whose objects may have a gateway changed; its value is ``true``."""

FORM = "NAMESPACE/NAME, or NAMESPACE/NAME=NAMESPACE,… (* matches any part of a name)"

# Nothing but '*' has a meaning of its own, so that the policy can say the same in its language.
_NAMESPACE = re.compile(r"[a-z0-9*]([a-z0-9*-]{0,61}[a-z0-9*])?")
_NAME = re.compile(r"[a-z0-9*]([a-z0-9.*-]{0,251}[a-z0-9*])?")


@dataclass(frozen=True, slots=True)
class GatewayGrant:
    """Gateways, and the namespaces whose objects may have them changed, all of them as patterns.

    Without ``namespaces``: those that carry :data:`ACCESS_LABEL`, and the operator's own.
    """

    gateway_namespace: str
    gateway: str
    namespaces: tuple[str, ...] = ()

    @property
    def named_in_full(self) -> bool:
        """Whether it names one Deployment, and not a pattern of several."""
        return "*" not in self.gateway_namespace + self.gateway

    def covers(self, gateway_namespace: str, gateway: str) -> bool:
        """Whether it speaks of this Deployment."""
        named = fnmatchcase(gateway, self.gateway)
        return named and fnmatchcase(gateway_namespace, self.gateway_namespace)

    def lists(self, namespace: str) -> bool:
        """Whether it lets in the objects of a namespace by its name."""
        return any(fnmatchcase(namespace, pattern) for pattern in self.namespaces)


def parse_grant(text: str) -> GatewayGrant:
    """A grant as the operator's settings write it; :data:`FORM` says how.

    Raises ValueError with what is wrong and how to write it.
    """
    gateway, equals, listed = text.partition("=")
    namespace, _, name = gateway.partition("/")
    namespaces = tuple(listed.split(",")) if equals else ()
    wrong = [part for part in (namespace, *namespaces) if not _NAMESPACE.fullmatch(part)]
    if wrong or not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not of the form {FORM}")
    return GatewayGrant(namespace, name, namespaces)


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether an object may have a gateway changed. ``denial``: why not, and the way out.

    ``known`` is False while that cannot be told: nothing is changed then, and nothing given back.
    """

    denial: str = ""
    known: bool = True

    @property
    def granted(self) -> bool:
        """Whether it may."""
        return not self.denial


@dataclass(frozen=True, slots=True)
class Labelled:
    """Whether a namespace carries the label; ``value`` None and ``why`` where that is not known."""

    value: bool | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class GatewayAccess:
    """The settings as a whole. Grants add up: one that lets an object in is enough.

    ``own_namespace``: that of the operator's pod; empty where it is not known to be in one.
    """

    grants: tuple[GatewayGrant, ...]
    own_namespace: str = ""

    @property
    def needs_labels(self) -> bool:
        """Whether labels of namespaces decide anything."""
        return any(not grant.namespaces for grant in self.grants)

    @property
    def all_named(self) -> tuple[tuple[str, str], ...] | None:
        """The only Deployments that the operator may touch as gateways, as namespace and name; None
        where a pattern of the settings leaves that open."""
        if not all(grant.named_in_full for grant in self.grants):
            return None
        named = ((grant.gateway_namespace, grant.gateway) for grant in self.grants)
        return tuple(dict.fromkeys(named))

    def is_gateway(self, gateway_namespace: str, gateway: str) -> bool:
        """Whether the operator may touch this Deployment as a gateway at all, if only to restore it."""
        return any(grant.covers(gateway_namespace, gateway) for grant in self.grants)

    def may_manage(
        self, namespace: str, gateway_namespace: str, gateway: str, labelled: Labelled
    ) -> Permission:
        """Whether the objects of ``namespace``, so labelled, may have this Deployment changed."""
        where = f"{gateway_namespace}/{gateway}"
        grants = [grant for grant in self.grants if grant.covers(gateway_namespace, gateway)]
        if not grants:
            return Permission(
                f"The operator's settings do not name Deployment {where} as a gateway. Correct "
                f"spec.gateway, or have the operator's admin add --gateway {where}."
            )
        by_label = any(not grant.namespaces for grant in grants)
        listed = any(grant.lists(namespace) for grant in grants)
        if listed or (by_label and (namespace == self.own_namespace or labelled.value)):
            return Permission()
        if not by_label:
            return Permission(_unlisted(namespace, where))
        if labelled.value is None:
            return Permission(_unknown(namespace, where, labelled.why), known=False)
        return Permission(_unlabelled(namespace, where))


def is_labelled(namespace: Mapping[str, Any]) -> bool:
    """Whether a namespace, as the API server sends it, carries the label."""
    return (namespace["metadata"].get("labels") or {}).get(ACCESS_LABEL) == "true"


def label_command(namespace: str) -> str:
    """The command that lets the objects of a namespace in."""
    return f"kubectl label namespace {namespace} {ACCESS_LABEL}=true"


def _unlabelled(namespace: str, where: str) -> str:
    return (
        f"Objects of namespace {namespace} may not change gateway {where}: the namespace lacks the "
        f"label {ACCESS_LABEL}=true. Have a cluster admin run: {label_command(namespace)}. Or set "
        "spec.gateway.manage to false."
    )


def _unlisted(namespace: str, where: str) -> str:
    return (
        f"Objects of namespace {namespace} may not change gateway {where}: the operator's settings "
        f"list other namespaces for it. Have the operator's admin add --gateway {where}={namespace}, "
        "or set spec.gateway.manage to false."
    )


def _unknown(namespace: str, where: str, why: str) -> str:
    return (
        f"Whether objects of namespace {namespace} may change gateway {where} is not known, so it is "
        f"left as it is: {why}. Or have the operator's admin add --gateway {where}={namespace}, which "
        "needs no label."
    )
