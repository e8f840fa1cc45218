"""Reading once what an operator would watch, by lists only: the rights of its own role, or of a reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsync.adapters.kube.client import PAGE, Kube, items
from kvsync.adapters.kube.mirror import key_of
from kvsync.adapters.kube.resource import (
    DEPLOYMENTS,
    KVEVENTSYNCS,
    STORMSERVICES,
    Resource,
)
from kvsync.core.gateway_access import GatewayGrant
from kvsync.model.errors import AccessError, ApiError, Forbidden, Gone, NotFound
from kvsync.model.observed import KVEventSync
from kvsync.shell.projection import PROJECTED_PODS, project_pod, project_workload
from kvsync.shell.settings import Settings
from kvsync.shell.world import World

Key = tuple[str, str]
Json = Mapping[str, Any]
Objects = dict[Key, Json]
Projection = Callable[[Json], Json]

AT_ONCE = 4
"""Lists of gateways that are read at once."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at: ``namespace`` None means all of them, ``name`` None all objects."""

    namespace: str | None
    name: str | None = None

    @property
    def place(self) -> str:
        """For sentences."""
        return f"namespace {self.namespace}" if self.namespace else "the cluster"

    @property
    def words(self) -> str:
        """As the arguments of a command."""
        if self.namespace is None:
            return "-A"
        return f"{self.namespace} {self.name}" if self.name else self.namespace


@dataclass(frozen=True, slots=True)
class Reading:
    """The cluster at one moment."""

    world: World
    syncs: tuple[KVEventSync, ...]
    """The objects in question, by namespace and name."""
    unread_gateways: Mapping[Key, str]
    """Why a gateway could not be read."""
    notes: tuple[str, ...] = ()


async def read(kube: Kube, scope: Scope) -> Reading:
    """List the objects, and all that decides what is true of them.

    Raises:
        AccessError: a list that cannot be done without is forbidden; the message names all such.
        ApiError: the API server does not answer, or does not know the kind.
    """
    syncs, deployments, pods, (storms, storm_pods, notes) = await _required(kube, scope)
    wanted = _wanted(syncs, scope)
    gateways, unread = await _gateways(kube, wanted, scope)
    world = World(_ANY_GATEWAY, {**deployments, **gateways}, pods, storms, storm_pods)
    for key, pod in (*pods.items(), *storm_pods.items()):
        world.pod_changed(key, pod)
    world.syncs.update(syncs)
    return Reading(world, wanted, unread, notes)


_ANY_GATEWAY = Settings(gateways=(GatewayGrant("*", "*", ("*",)),))
"""Which gateways the operator may change is its own affair; here one is only looked at."""

Storms = tuple[Objects, Objects, tuple[str, ...]]


async def _required(kube: Kube, scope: Scope) -> tuple[Objects, Objects, Objects, Storms]:
    where = scope.namespace
    results = await asyncio.gather(
        _listed(kube, KVEVENTSYNCS, where, dict),
        _listed(kube, DEPLOYMENTS, where, project_workload),
        _listed(kube, PROJECTED_PODS, where, project_pod, "pod-template-hash"),
        _storms(kube, where),
        return_exceptions=True,
    )
    errors = [each for each in results if isinstance(each, BaseException)]
    _raise_forbidden(errors, scope)
    if errors:
        raise errors[0]
    syncs, deployments, pods, storms = results
    return syncs, deployments, pods, storms  # type: ignore[return-value] # none is an error


def _raise_forbidden(errors: Iterable[BaseException], scope: Scope) -> None:
    refusals = [error for error in errors if isinstance(error, Forbidden)]
    if not refusals:
        return
    said = " ".join(f"{refusal.message.rstrip('.')}." for refusal in refusals)
    raise AccessError(
        f"{said} This command reads only, and needs the verb list on "
        f"{KVEVENTSYNCS}, {DEPLOYMENTS} and {PROJECTED_PODS} in {scope.place}."
    )


async def _storms(kube: Kube, namespace: str | None) -> Storms:
    """StormServices and their pods; without them where the kind is not served."""
    try:
        storms = await _listed(kube, STORMSERVICES, namespace, project_workload)
    except NotFound:
        return {}, {}, ()
    except Forbidden as error:
        # RBAC refuses before anybody looks whether the kind exists.
        served = await _serves(kube)
        note = f"StormServices are left out: {error.message}."
        return {}, {}, (note,) if served else ()
    if not storms:
        return {}, {}, ()
    pods = await _listed(kube, PROJECTED_PODS, namespace, project_pod, "storm-service-name")
    return storms, pods, ()


async def _serves(kube: Kube) -> bool:
    try:
        return await kube.serves(STORMSERVICES)
    except ApiError:
        return True


def _wanted(syncs: Objects, scope: Scope) -> tuple[KVEventSync, ...]:
    wanted = (KVEventSync(body) for key, body in sorted(syncs.items()))
    return tuple(each for each in wanted if scope.name in (None, each.name))


async def _gateways(
    kube: Kube, syncs: Sequence[KVEventSync], scope: Scope
) -> tuple[Objects, dict[Key, str]]:
    """The gateways that lie outside of what was listed, and why some of them could not be read."""
    named = {key for sync in syncs if (key := _gateway_of(sync))}
    outside = sorted(key for key in named if scope.namespace not in (None, key[0]))
    found: Objects = {}
    unread: dict[Key, str] = {}
    slots = asyncio.Semaphore(AT_ONCE)

    async def look(key: Key) -> None:
        try:
            async with slots:
                bodies = await kube.list(
                    DEPLOYMENTS, key[0], field_selector=f"metadata.name={key[1]}"
                )
            found.update({key_of(body): project_workload(body) for body in bodies})
        except ApiError as error:
            unread[key] = f"Deployment {'/'.join(key)} cannot be read from here: {error.message}."

    await asyncio.gather(*map(look, outside))
    return found, unread


def _gateway_of(sync: KVEventSync) -> Key | None:
    # The schema fills in the defaults; a spec that cannot be read is told of later.
    spec = sync.body.get("spec")
    gateway = spec.get("gateway") if isinstance(spec, Mapping) else None
    if not isinstance(gateway, Mapping):
        return None
    namespace, name = gateway.get("namespace"), gateway.get("deployment")
    return (str(namespace), str(name)) if namespace and name else None


async def _listed(
    kube: Kube,
    resource: Resource,
    namespace: str | None,
    project: Projection,
    label_selector: str = "",
) -> Objects:
    """All objects by key, each page reduced as it comes: thousands of whole pods are a lot."""
    query = {"labelSelector": label_selector}
    try:
        return await _paged(kube, resource, namespace, project, query, PAGE)
    except Gone:  # a page token aged out; one page cannot
        return await _paged(kube, resource, namespace, project, query, 0)


async def _paged(
    kube: Kube,
    resource: Resource,
    namespace: str | None,
    project: Projection,
    query: Mapping[str, str],
    limit: int,
) -> Objects:
    pages = kube.pages(resource, namespace, query, limit)
    return {key_of(body): project(body) async for page in pages for body in items(page)}
