"""The API server, who asks it, and the CRD that it serves."""

from __future__ import annotations

from typing import Any

import yaml

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import KVEVENTSYNCS, Resource
from kvsync.adapters.templates import data_folder
from kvsync.core.doctor.crd_fields import fields_of, missing_fields, schema_of, served_schema
from kvsync.core.doctor.facts import CrdFacts
from kvsync.model.errors import NotFound

_SELF_REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", namespaced=False)
_KIND = "KVEventSync"


async def asker(kube: Kube) -> str:
    """The user that the API server takes this for. Raises ApiError (before Kubernetes 1.28: NotFound)."""
    body = {"apiVersion": _SELF_REVIEWS.api_version, "kind": "SelfSubjectReview"}
    said = await kube.create(_SELF_REVIEWS, None, body)
    info = (said.get("status") or {}).get("userInfo") or {}
    return str(info.get("username") or "")


async def crd_facts(kube: Kube) -> CrdFacts:
    """What the API server knows of the kind. Raises ApiError; NotFound where it is not served."""
    if not await kube.serves(KVEVENTSYNCS):
        raise NotFound("the API server does not serve KVEventSync.")
    wanted = schema_of(own_crd(), KVEVENTSYNCS.version)
    openapi = await kube.get_path(f"/openapi/v3{KVEVENTSYNCS.root}")
    served = served_schema(openapi, KVEVENTSYNCS.group, _KIND)
    if served is None:
        raise NotFound("the API server does not publish the schema of KVEventSync.")
    return CrdFacts(sum(1 for _ in fields_of(wanted)), missing_fields(wanted, served))


def own_crd() -> Any:
    """The CRD of this release."""
    return yaml.safe_load((data_folder("crds") / "kveventsync.yaml").read_text(encoding="utf-8"))
