"""Whether an API server knows policies that write into objects as they are created."""

from __future__ import annotations

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import Resource
from kvsync.model.admission import POLICY_GROUP, POLICY_VERSIONS

POLICIES = "mutatingadmissionpolicies"
BINDINGS = "mutatingadmissionpolicybindings"


async def policy_version(kube: Kube) -> str:
    """The version of the API in which the API server serves the kind; empty where it does not.

    Everybody who is known to an API server may ask (ClusterRole ``system:discovery``).

    Raises:
        ApiError: it cannot be asked.
    """
    for version in POLICY_VERSIONS:
        if await kube.serves(Resource(POLICY_GROUP, version, POLICIES, namespaced=False)):
            return version
    return ""
