"""Whether the gateway in use would reach and decode what the engines publish."""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.assess import ModelView
from kvsync.core.gateway import gateway_version
from kvsync.core.releases import (
    GATEWAY_PORT,
    GATEWAY_REPLAY_PORT,
    engine_release,
    gateway_release,
)
from kvsync.model.observed import Observed
from kvsync.model.reasons import ConditionReason
from kvsync.model.version import Version

Finding = tuple[str, ConditionReason, str]
"""Status as in metav1, reason, message."""


def compatibility(observed: Observed, views: Sequence[ModelView]) -> Finding:
    """The condition GatewayCompatible: the first thing that keeps events from being used."""
    ports = _ports(observed) or _ranks(views)
    if ports is not None:
        return ports
    deployment = observed.gateway.deployment
    if deployment is None:
        return ("Unknown", ConditionReason.GATEWAY_NOT_FOUND, "The gateway was not found.")
    version = gateway_version(deployment, observed.spec.gateway.container)
    if version is None:
        return (
            "Unknown",
            ConditionReason.GATEWAY_VERSION_UNKNOWN,
            "The gateway's image tag names no release, so what it decodes is unknown.",
        )
    return _layouts(version, views)


def _ports(observed: Observed) -> Finding | None:
    events = observed.spec.events
    if (events.port, events.replay_port) == (GATEWAY_PORT, GATEWAY_REPLAY_PORT):
        return None
    # It waits 5 s for each pod that does not answer there, one after the other, and 30 s in all
    # when it starts (seen on running AIBrix gateways).
    stalls = events.replay_port != GATEWAY_REPLAY_PORT
    harm = " Each of their pods keeps the gateway waiting for 5 s." if stalls else ""
    return (
        "False",
        ConditionReason.GATEWAY_PORTS,
        f"The gateway looks for events on {GATEWAY_PORT} and for replays on {GATEWAY_REPLAY_PORT} "
        f"only; the models use {events.port} and {events.replay_port}.{harm}",
    )


def _ranks(views: Sequence[ModelView]) -> Finding | None:
    names = [view.name for view in views if any(target.key.rank for target in view.targets)]
    if not names:
        return None
    return (
        "False",
        ConditionReason.DATA_PARALLEL_RANKS,
        f"{', '.join(names)}: the gateway hears only data-parallel rank 0 of each pod.",
    )


def _layouts(gateway: Version, views: Sequence[ModelView]) -> Finding:
    engines = [
        (view.name, view.plan.engine.version) for view in views if view.plan and view.plan.engine
    ]
    release = gateway_release(gateway)
    deaf = [
        f"{name} (vLLM {version})"
        for name, version in engines
        if version is not None and engine_release(version).layout not in release.layouts
    ]
    if deaf:
        return (
            "False",
            ConditionReason.EVENT_LAYOUT,
            f"AIBrix {gateway} does not decode the events of {', '.join(deaf[:5])}: it routes as "
            "without them. Use an engine before 0.24 with a gateway from 0.6.0 on.",
        )
    unknown = [name for name, version in engines if version is None]
    if unknown:
        return (
            "Unknown",
            ConditionReason.ENGINE_VERSION_UNKNOWN,
            f"The engine's version is unknown: {', '.join(unknown[:5])}. Set spec.engine.version.",
        )
    return ("True", ConditionReason.COMPATIBLE, f"AIBrix {gateway} decodes the engines' events.")
