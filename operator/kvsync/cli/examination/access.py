"""Asking the API server for each right of the operator's account."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import Resource
from kvsync.core.doctor.facts import Answered, RightsFacts
from kvsync.core.rights import Grant, Right, Spots, grants
from kvsync.model.errors import ApiError, Forbidden

_SELF = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False)
_OTHERS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False)

AT_ONCE = 8
MOST = 600
"""Reviews that are asked for; the rest is said to be unknown."""


async def rights_facts(
    kube: Kube, account: str, rights: Sequence[Right], spots: Spots, *, itself: bool
) -> RightsFacts:
    """The answers about these rights for the account ``namespace/name``, which is this one where ``itself``.

    Raises:
        Forbidden: this account may not ask for another.
    """
    wanted = [(right, grant) for right in rights for grant in grants(right, spots)]
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(right: Right, grant: Grant) -> Answered:
        try:
            async with slots:
                allowed = await _allowed(kube, None if itself else account, grant)
        except Forbidden:
            raise
        except ApiError as error:
            return Answered(right, grant, None, str(error))
        return Answered(right, grant, allowed)

    first = [await ask(*wanted[0])] if wanted else []  # whether anything may be asked at all
    rest = await asyncio.gather(*(ask(*each) for each in wanted[1:MOST]))
    unasked = (Answered(*each, None, "there are too many") for each in wanted[MOST:])
    return RightsFacts(account, itself, (*first, *rest, *unasked))


async def _allowed(kube: Kube, account: str | None, grant: Grant) -> bool:
    resource, _, subresource = grant.resource.partition("/")
    attributes = {
        "group": grant.group,
        "resource": resource,
        "subresource": subresource,
        "verb": grant.verb,
        "namespace": grant.spot.namespace,
        "name": grant.spot.name,
    }
    review = _OTHERS if account else _SELF
    body: Mapping[str, object] = {
        "apiVersion": review.api_version,
        "kind": "SubjectAccessReview" if account else "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes, **(_subject(account) if account else {})},
    }
    said = await kube.create(review, None, body)
    return (said.get("status") or {}).get("allowed") is True


def _subject(account: str) -> dict[str, object]:
    """A ServiceAccount as the API server knows it (Kubernetes ``serviceaccount.UserInfo``)."""
    namespace, _, name = account.partition("/")
    return {
        "user": f"system:serviceaccount:{namespace}:{name}",
        "groups": [
            "system:serviceaccounts",
            f"system:serviceaccounts:{namespace}",
            "system:authenticated",
        ],
    }
