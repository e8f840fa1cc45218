"""The operator's Deployment and pods, and its Lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import DEPLOYMENTS, LEASES, PODS
from kvsync.core.doctor.facts import LeaseFacts, OperatorFacts
from kvsync.core.doctor.told_settings import LABEL, runs_it
from kvsync.core.leadership import Terms
from kvsync.model.errors import Forbidden, NotFound
from kvsync.model.workload import Deployment, Pod

LOOK_EVERY = 0.5
"""Seconds between two looks at the Lease."""

USUAL_DURATION = Terms().duration
"""Seconds that a Lease lasts which does not say it."""

_MARGIN = 2.0
_MOST = 8


async def find_operator(kube: Kube, namespace: str, fallback: str) -> OperatorFacts:
    """The operators of a namespace; of the cluster where it is empty, or of ``fallback`` where that may not
    be listed.

    Raises:
        NotFound: there is none.
        ApiError: it cannot be listed.
    """
    where = f"namespace {namespace}" if namespace else "the cluster"
    try:
        found = await kube.list(DEPLOYMENTS, namespace or None, label_selector=LABEL)
    except Forbidden:
        if namespace:
            raise
        where = f"namespace {fallback}"
        found = await kube.list(DEPLOYMENTS, fallback, label_selector=LABEL)
    if not found and namespace:  # a chart's nameOverride is in the label too
        found = [b for b in await kube.list(DEPLOYMENTS, namespace) if runs_it(Deployment(b))]
    if not found:
        raise NotFound(f"there is no Deployment with the label {LABEL} in {where}.")
    deployments = tuple(Deployment(body) for body in found[:_MOST])
    pods = [pod for each in deployments for pod in await _pods(kube, each)]
    return OperatorFacts(deployments, tuple(pods))


async def _pods(kube: Kube, deployment: Deployment) -> list[Pod]:
    labels = (deployment.body["spec"].get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    listed = await kube.list(PODS, deployment.namespace, label_selector=selector)
    # Others may carry these labels too, such as the pod of `helm test` that this may be.
    return [pod for pod in map(Pod, listed) if pod.deployment == deployment.name]


async def watch_lease(
    kube: Kube,
    namespace: str,
    name: str,
    patience: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> LeaseFacts:
    """Look at the Lease until it is renewed, or until it would have ended, or for ``patience`` seconds.

    By one clock of our own: times that are written in it are of another machine's.

    Raises:
        ApiError: it cannot be read; NotFound where there is none.
    """
    began = clock()
    first = await _spec(kube, namespace, name)
    while True:
        await sleep(LOOK_EVERY)
        now = clock() - began
        spec = await _spec(kube, namespace, name)
        duration = _seconds(spec.get("leaseDurationSeconds"))
        holder = str(spec.get("holderIdentity") or "")
        facts = LeaseFacts(f"{namespace}/{name}", holder, duration, now, None)
        if holder and spec.get("renewTime") != first.get("renewTime"):
            return LeaseFacts(facts.name, holder, duration, now, 0.0)
        if now >= min(duration + _MARGIN, patience):
            return facts


async def _spec(kube: Kube, namespace: str, name: str) -> dict[str, object]:
    found = (await kube.get(LEASES, namespace, name)).get("spec")
    return found if isinstance(found, dict) else {}


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int) and 0 < value <= 3600 else USUAL_DURATION
