"""Which Kubernetes it is, as providers write it, and what relays look like there."""

import asyncio
from typing import Any, cast

import pytest

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.server_version import server_version
from kvsync.model.relay import RelayForm, form_in
from kvsync.model.version import Version


class Answering:
    """An API server that answers GET /version."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    async def get_path(self, path: str) -> dict[str, Any]:
        assert path == "/version"
        return self._answer


@pytest.mark.parametrize(
    ("answer", "expected", "form"),
    [
        ({"major": "1", "minor": "37"}, Version(1, 37), RelayForm.NATIVE),
        ({"major": "1", "minor": "29"}, Version(1, 29), RelayForm.NATIVE),
        ({"major": "1", "minor": "28+"}, Version(1, 28), RelayForm.PLAIN),
        ({"major": "1", "minor": ""}, None, RelayForm.NATIVE),
        ({"gitVersion": "v1.30.0"}, None, RelayForm.NATIVE),
        ({"major": None, "minor": []}, None, RelayForm.NATIVE),
    ],
)
def test_what_an_api_server_is(
    answer: dict[str, Any], expected: Version | None, form: RelayForm
) -> None:
    found = asyncio.run(server_version(cast("Kube", Answering(answer))))
    assert found == expected
    assert form_in(found) is form
