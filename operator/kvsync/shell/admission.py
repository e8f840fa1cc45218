"""What mode Admission stands on, asked of the API server: at the start and now and then."""

from __future__ import annotations

import logging
from dataclasses import replace

from kvsync.adapters.kube.admission import policy_version
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.server_version import server_version
from kvsync.model.admission import AdmissionMeans
from kvsync.model.errors import ApiError

log = logging.getLogger(__name__)


async def renewed(kube: Kube, before: AdmissionMeans) -> AdmissionMeans:
    """What is known by now; what was known before where the API server does not say."""
    try:
        served = bool(await policy_version(kube))
        found = await server_version(kube)
    except ApiError as error:
        log.warning("cannot ask what the API server serves: %s; taken as before", error)
        return before
    return replace(before, served=served, kubernetes=found)
