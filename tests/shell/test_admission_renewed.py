"""What an API server says of the policy's kind, as it is upgraded or does not answer."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import Resource
from kvsync.model.admission import AdmissionMeans
from kvsync.model.errors import ConnectionLost
from kvsync.model.version import Version
from kvsync.shell.admission import renewed

BEFORE = AdmissionMeans(policy=True, left_out=frozenset({"ops"}))


class Server:
    """An API server of a release that serves the kind in these versions; or one that is not there."""

    def __init__(self, minor: str, *served: str, gone: bool = False) -> None:
        self._minor, self._served, self._gone = minor, served, gone

    async def serves(self, resource: Resource) -> bool:
        if self._gone:
            raise ConnectionLost("refused")
        return resource.version in self._served

    async def get_path(self, _path: str) -> dict[str, Any]:
        return {"major": "1", "minor": self._minor}


@pytest.mark.parametrize(
    ("server", "served", "release"),
    [
        (Server("33"), False, Version(1, 33)),
        (Server("34", "v1beta1"), True, Version(1, 34)),
        (Server("36+", "v1beta1", "v1"), True, Version(1, 36)),
        (Server("36"), False, Version(1, 36)),
    ],
)
async def test_it_is_known_by_what_is_served(
    server: Server, served: bool, release: Version
) -> None:
    means = await renewed(cast("Kube", server), BEFORE)
    assert means == AdmissionMeans(True, served, release, frozenset({"ops"}))


async def test_one_that_does_not_answer_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    known = AdmissionMeans(True, True, Version(1, 36))
    with caplog.at_level(logging.WARNING):
        assert await renewed(cast("Kube", Server("36", gone=True)), known) == known
    assert "taken as before" in caplog.text
