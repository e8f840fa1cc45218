"""In which version of the API the kind of our policy is served, if at all."""

import asyncio
from typing import cast

import pytest

from kvsync.adapters.kube.admission import policy_version
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import Resource


class Serving:
    """An API server that serves the kind in these versions."""

    def __init__(self, *versions: str) -> None:
        self._versions = versions

    async def serves(self, resource: Resource) -> bool:
        assert (resource.group, resource.plural) == (
            "admissionregistration.k8s.io",
            "mutatingadmissionpolicies",
        )
        return resource.version in self._versions


@pytest.mark.parametrize(
    ("served", "found"),
    [(("v1", "v1beta1"), "v1"), (("v1beta1",), "v1beta1"), (("v1alpha1",), ""), ((), "")],
)
def test_the_newest_one_that_can_be_used_is_told(served: tuple[str, ...], found: str) -> None:
    assert asyncio.run(policy_version(cast("Kube", Serving(*served)))) == found
