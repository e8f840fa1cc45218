"""The whole picture of an installation, read within a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from kvsync.adapters.kube.access import in_a_pod
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import KVEVENTSYNCS
from kvsync.adapters.kube.server_version import server_version
from kvsync.cli.examination.access import rights_facts
from kvsync.cli.examination.admission import admission_facts, wanting
from kvsync.cli.examination.gateways import gateway_facts
from kvsync.cli.examination.models import objects_facts
from kvsync.cli.examination.operator import find_operator, watch_lease
from kvsync.cli.examination.reading_part import read_part
from kvsync.cli.examination.server import asker, crd_facts
from kvsync.cli.reading import Scope
from kvsync.core.doctor.facts import (
    AdmissionFacts,
    Facts,
    ObjectsFacts,
    OperatorFacts,
    RightsFacts,
    Stand,
    Unread,
)
from kvsync.core.doctor.told_settings import ToldSettings, told_settings
from kvsync.core.gateway_access import GatewayAccess, GatewayGrant
from kvsync.core.leadership import DEFAULT_LEASE
from kvsync.core.render import Templates
from kvsync.core.rights import MODEL_POLICY_RIGHTS, RIGHTS, SHARD_RIGHTS, Place, Spot
from kvsync.model.errors import ApiError, Forbidden, Unauthorized
from kvsync.model.observed import KVEventSync
from kvsync.model.version import Version, parse_version
from kvsync.shell.settings import DEFAULT_GATEWAYS

USUAL_NAMESPACE = "kvsync-system"
"""Where README and the install manifest put the operator."""

_ACCOUNT = "system:serviceaccount:"
_SHORT, _LOOK = 8.0, 15.0
_NOT_ASKED = Unread("Not asked: the API server cannot be asked.")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for; empty where it is to be found out. ``timeout``: seconds for all of it."""

    namespaces: tuple[str, ...] = ()
    name: str | None = None
    gateways: tuple[GatewayGrant, ...] = ()
    operator_namespace: str = ""
    lease_name: str = ""
    templates: Templates = field(default_factory=dict)
    timeout: float = 30.0


def stand(server: str, user: str = "") -> Stand:
    """Where this runs."""
    release = parse_version(version("kvsync-operator")) or Version(0, 0)
    return Stand(server, in_a_pod(), release, user)


def without_access(server: str, why: str) -> Facts:
    """What is known where the API server cannot be asked."""
    none, unread = _NOT_ASKED, Unread(why)
    return Facts(stand(server), unread, none, none, none, none, (), ())


async def gather(kube: Kube, asked: Asked) -> Facts:
    """Read all of it; never raises for what the cluster does."""
    end = time.monotonic() + asked.timeout
    try:
        async with asyncio.timeout(_SHORT):
            found = await server_version(kube)
    except Forbidden:
        found = None
    except (ApiError, TimeoutError) as error:
        return without_access(kube.host, str(error) or f"no answer within {_SHORT:.0f} s")
    try:
        user = await asker(kube)
    except Unauthorized as error:
        return without_access(kube.host, f"These credentials are not taken: {error.message}")
    except ApiError:
        user = ""
    return await _Gathering(kube, asked, end, user).facts(found)


class _Gathering:
    """One run: what is found first decides what is asked next."""

    def __init__(self, kube: Kube, asked: Asked, end: float, user: str) -> None:
        self._kube = kube
        self._asked = asked
        self._end = end
        self._user = user

    @property
    def _left(self) -> float:
        return max(1.0, self._end - time.monotonic())

    async def facts(self, server: Version | None) -> Facts:
        kube, asked = self._kube, self._asked
        home = kube.pod_namespace or USUAL_NAMESPACE
        crd, operator = await asyncio.gather(
            read_part(crd_facts(kube), "The CRD", _SHORT),
            read_part(find_operator(kube, asked.operator_namespace, home), "The operator", _SHORT),
        )
        told = ToldSettings()
        if not isinstance(operator, Unread):
            told = told_settings(operator.deployments[0])
            home = operator.deployments[0].namespace
        home = asked.operator_namespace or home
        lease = asked.lease_name or told.lease_name or DEFAULT_LEASE
        grants = asked.gateways or told.gateways or DEFAULT_GATEWAYS
        served = told.namespaces or (asked.namespaces if isinstance(operator, Unread) else ())
        served_crd = not (isinstance(crd, Unread) and crd.missing)
        scopes, syncs = await self._scopes(told) if served_crd else ((), ())
        spots = _spots(served, grants, home, lease)
        (rights, held, gateways), objects = await asyncio.gather(
            asyncio.gather(
                self._rights(operator, told, home, spots),
                read_part(watch_lease(kube, home, lease, self._left - 1), "The Lease", self._left),
                gateway_facts(kube, grants, syncs),
            ),
            asyncio.gather(*(self._objects(scope) for scope in scopes)),
        )
        return Facts(
            stand(kube.host, self._user),
            server,
            crd,
            rights,
            operator,
            held,
            gateways,
            tuple(objects),
            await self._admission(operator, told, wanting(syncs)),
            syncs,
        )

    async def _admission(
        self, operator: OperatorFacts | Unread, told: ToldSettings, wanted: Sequence[str]
    ) -> AdmissionFacts | Unread | None:
        known = None if isinstance(operator, Unread) else told.admission_policy
        if not wanted and not known:
            return None
        asking = admission_facts(self._kube, known, wanted)
        return await read_part(asking, "The admission policy", _SHORT)

    async def _scopes(
        self, told: ToldSettings
    ) -> tuple[tuple[Scope, ...], tuple[KVEventSync, ...]]:
        """What is looked at, and the objects there. All of the cluster where nothing was named, or what
        the operator serves, or the current namespace where all may not be listed."""
        asked, kube = self._asked, self._kube
        namespaces: Sequence[str | None] = asked.namespaces or (None,)
        if asked.name and not asked.namespaces:
            namespaces = (kube.namespace,)
        syncs: list[KVEventSync] = []
        scopes: list[Scope] = []
        for namespace in namespaces:
            found = await self._listed(namespace)
            if found is None and namespace is None:
                fallback = told.namespaces or (kube.namespace,)
                scopes += [Scope(each, asked.name) for each in fallback]
                syncs += [s for each in fallback for s in await self._listed(each) or ()]
            else:
                scopes.append(Scope(namespace, asked.name))
                syncs += found or ()
        return tuple(scopes), tuple(s for s in syncs if asked.name in (None, s.name))

    async def _listed(self, namespace: str | None) -> list[KVEventSync] | None:
        """The objects; None where they may not be listed, or are not told in time."""
        try:
            async with asyncio.timeout(_SHORT):
                return [KVEventSync(b) for b in await self._kube.list(KVEVENTSYNCS, namespace)]
        except (ApiError, TimeoutError):
            return None

    async def _rights(
        self,
        operator: OperatorFacts | Unread,
        told: ToldSettings,
        home: str,
        spots: Mapping[Place, Sequence[Spot]],
    ) -> RightsFacts | Unread:
        account = f"{home}/{told.account}"
        if isinstance(operator, Unread):
            if not self._user.startswith(f"{_ACCOUNT}{home}:"):
                return Unread("The operator's account is not known, for its Deployment is not.")
            account = f"{home}/{self._user.rpartition(':')[2]}"
        itself = self._user == _ACCOUNT + account.replace("/", ":")
        policies = MODEL_POLICY_RIGHTS if told.model_network_policy else ()
        rights = (*RIGHTS, *policies, *(SHARD_RIGHTS if told.object_selector else ()))
        asking = rights_facts(self._kube, account, rights, spots, itself=itself)
        return await read_part(asking, f"The rights of {account}", self._left)

    async def _objects(self, scope: Scope) -> ObjectsFacts | Unread:
        looking = objects_facts(
            self._kube, scope, self._asked.templates, min(_LOOK, max(2.0, self._left - 5))
        )
        found = await read_part(looking, f"What is in {scope.place}", self._left)
        if scope.name and not isinstance(found, Unread) and not found.objects:
            return Unread(f"There is no KVEventSync {scope.name} in {scope.place}.", missing=True)
        return found


def _spots(
    served: Sequence[str], grants: Sequence[GatewayGrant], home: str, lease: str
) -> Mapping[Place, Sequence[Spot]]:
    """What each place is. Namespaces are only watched where labels decide."""
    gateways = [
        Spot(grant.gateway_namespace, grant.gateway) for grant in grants if grant.named_in_full
    ]
    labels = GatewayAccess(tuple(grants)).needs_labels
    return {
        Place.SERVED: [Spot(namespace) for namespace in served] or [Spot("")],
        Place.GATEWAYS: gateways,
        Place.OWN: [Spot(home, lease)],
        Place.CLUSTER: [Spot("")] if labels else [],
    }
