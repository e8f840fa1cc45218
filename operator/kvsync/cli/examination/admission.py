"""The policy of mode Admission, as far as whoever asks may see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvsync.adapters.kube.admission import BINDINGS, POLICIES, policy_version
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import KVEVENTSYNCS, Resource
from kvsync.core.doctor.facts import AdmissionFacts, Unread
from kvsync.model.admission import POLICY_GROUP
from kvsync.model.errors import ApiError
from kvsync.model.observed import KVEventSync

_KIND = "KVEventSync"


def wanting(syncs: Sequence[KVEventSync]) -> tuple[str, ...]:
    """The objects in mode Admission, as namespace/name."""
    found = (s for s in syncs if (s.body.get("spec") or {}).get("mode") == "Admission")
    return tuple(sorted(f"{each.namespace}/{each.name}" for each in found))


async def admission_facts(kube: Kube, told: bool | None, wanted: Sequence[str]) -> AdmissionFacts:
    """What the API server serves, and which policies have our objects as parameters.

    Raises:
        ApiError: what it serves cannot be asked.
    """
    version = await policy_version(kube)
    if not version:
        return AdmissionFacts("", told=told, wanted=tuple(wanted))
    try:
        policies = await _listed(kube, version, POLICIES)
        bindings = await _listed(kube, version, BINDINGS)
    except ApiError as error:
        return AdmissionFacts(version, Unread(str(error), forbidden=True), (), told, tuple(wanted))
    ours = sorted(_name(each) for each in policies if _is_ours(each))
    used = {str((each.get("spec") or {}).get("policyName")) for each in bindings}
    bound = tuple(name for name in ours if name in used)
    return AdmissionFacts(version, tuple(ours), bound, told, tuple(wanted))


async def _listed(kube: Kube, version: str, plural: str) -> Sequence[Any]:
    return await kube.list(Resource(POLICY_GROUP, version, plural, namespaced=False))


def _name(body: Any) -> str:
    return str(body["metadata"]["name"])


def _is_ours(body: Any) -> bool:
    kind = (body.get("spec") or {}).get("paramKind") or {}
    group = str(kind.get("apiVersion", "")).partition("/")[0]
    return (group, kind.get("kind")) == (KVEVENTSYNCS.group, _KIND)
