"""Which Kubernetes an API server is."""

from __future__ import annotations

import re

from kvsync.adapters.kube.client import Kube
from kvsync.model.version import Version

_NUMBER = re.compile(r"[0-9]{1,4}")


async def server_version(kube: Kube) -> Version | None:
    """What ``GET /version`` says; None where that is no release.

    Raises:
        ApiError: it cannot be asked.
    """
    said = await kube.get_path("/version")
    # Some providers write "29+".
    found = [_NUMBER.match(str(said.get(key))) for key in ("major", "minor")]
    numbers = [int(each[0]) for each in found if each is not None]
    return Version(*numbers) if len(numbers) == 2 else None
