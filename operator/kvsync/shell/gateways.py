"""The gateways that an object names and holds, by what it may: one place asks, for all that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kvsync.core.actions import mark_of
from kvsync.core.gateway import owners_of
from kvsync.core.gateway_access import GatewayAccess, Labelled, Permission
from kvsync.core.handback import plan_handback
from kvsync.model.observed import KVEventSync, ObservedConsumer, ObservedGateway
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment

Key = tuple[str, str]
LabelOf = Callable[[str], Labelled]
"""Whether the namespace of that name carries the label that opens gateways."""


def no_labels(namespace: str) -> Labelled:
    """Stands in where no settings ask for labels."""
    return Labelled(None, f"nobody looks at the labels of namespace {namespace}")


@dataclass(frozen=True, slots=True)
class Held:
    """Gateways that carry an object's mark: those that it does not name any more, and those that it
    may not have changed (``Observed.strays``, ``Observed.revoked``)."""

    strays: tuple[Deployment, ...]
    revoked: tuple[Deployment, ...]


class Gateways:
    """``deployments`` is what is watched; ``find`` gives one of them as last watched or written."""

    def __init__(
        self,
        access: GatewayAccess,
        label_of: LabelOf,
        deployments: Mapping[Key, Mapping[str, Any]],
        find: Callable[[str, str], Deployment | None],
    ) -> None:
        self._access = access
        self._label_of = label_of
        self._deployments = deployments
        self._find = find

    def may_manage(self, namespace: str, gateway_namespace: str, gateway: str) -> Permission:
        """Whether the objects of a namespace may have that Deployment changed as their gateway.

        All that changes a gateway asks here; giving one back needs no permission.
        """
        labelled = self._label_of(namespace)
        return self._access.may_manage(namespace, gateway_namespace, gateway, labelled)

    def named(self, sync: KVEventSync, spec: KVEventSyncSpec) -> ObservedGateway:
        """The gateway that an object names, and what it has configured beside it; what it may not have
        changed is not even shown."""
        gateway = spec.gateway
        own = self._consumer(sync, gateway.namespace, gateway.deployment)
        also = (self._consumer(sync, gateway.namespace, name) for name in gateway.also_configure)
        return ObservedGateway(own.deployment, own.permitted, own.denial, also=tuple(also))

    def _consumer(self, sync: KVEventSync, namespace: str, name: str) -> ObservedConsumer:
        permission = self.may_manage(sync.namespace, namespace, name)
        shown = self._find(namespace, name) if permission.granted else None
        return ObservedConsumer(name, shown, permission.granted, permission.denial)

    def marked(self) -> Iterator[Deployment]:
        """The Deployments that are configured as gateways, by whomever."""
        yield from (gateway for _, gateway in self._all() if owners_of(gateway))

    def held(self, sync: KVEventSync, spec: KVEventSyncSpec) -> Held:
        """What an object holds and shall give back."""
        named = spec.gateway.consumers
        marked, owed = self._marked(sync), self._all_owed()
        taken = {key for key in {*marked, *named} if self._is_taken(sync, key)}
        revoked = [marked.get(key) or owed.get(key) for key in sorted(taken)]
        kept = {*taken, *(key for key in named if not self._is_given_up(sync, spec, key))}
        held = {**owed, **marked}
        strays = tuple(gateway for key, gateway in held.items() if key not in kept)
        return Held(strays, tuple(gateway for gateway in revoked if gateway is not None))

    def _is_taken(self, sync: KVEventSync, key: Key) -> bool:
        """Whether it may not; what is not known takes nothing away, and on the way out all goes."""
        permission = self.may_manage(sync.namespace, *key)
        return not permission.granted and (permission.known or sync.deleting)

    def _is_given_up(self, sync: KVEventSync, spec: KVEventSyncSpec, key: Key) -> bool:
        """Whether a named gateway is not managed, and not shown so that the decision sees to it."""
        shown = self.may_manage(sync.namespace, *key)
        return not spec.gateway.manage and not shown.granted

    def _all(self) -> Iterator[tuple[Key, Deployment]]:
        """The Deployments that the settings name as gateways.

        Asked for in each pass, so that all Deployments of a cluster are gone through only where the
        settings have patterns.
        """
        named = self._access.all_named
        for key in self._deployments if named is None else named:
            gateway = self._find(*key) if self._access.is_gateway(*key) else None
            if gateway is not None:
                yield key, gateway

    def _all_owed(self) -> dict[Key, Deployment]:
        """The gateways that carry no mark any more and are still to be given their fields back, by
        whomever they were left: whoever looks gives them back."""
        return {key: gateway for key, gateway in self._all() if plan_handback(gateway)}

    def _marked(self, sync: KVEventSync) -> dict[Key, Deployment]:
        """The gateways that carry an object's mark.

        On a Deployment that the settings do not name as a gateway its own editors can forge the mark,
        and would keep the object busy with taking it off.
        """
        mark = mark_of(sync)
        return {key: gateway for key, gateway in self._all() if mark in owners_of(gateway)}
