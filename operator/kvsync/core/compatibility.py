"""Whether the gateway in use would reach and decode what the engines publish."""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.assess import ModelView
from kvsync.core.desired import is_heard
from kvsync.core.engines import ENGINES
from kvsync.core.gateway import gateway_version
from kvsync.core.releases import (
    GATEWAY_PORT,
    GATEWAY_REPLAY_PORT,
    gateway_release,
    release_of,
)
from kvsync.model.observed import Observed
from kvsync.model.reasons import ConditionReason
from kvsync.model.spec import EngineType
from kvsync.model.version import Version

Finding = tuple[str, ConditionReason, str]
"""Status as in metav1, reason, message."""


def compatibility(observed: Observed, views: Sequence[ModelView]) -> Finding:
    """The condition GatewayCompatible: the first thing that keeps events from being used."""
    unheard = _ranks(views) or _ports(observed, views) or _tokenizer(views)
    if unheard is not None:
        return unheard
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


def _ranks(views: Sequence[ModelView]) -> Finding | None:
    names = [view.name for view in views if any(target.key.rank for target in view.targets)]
    if not names:
        return None
    return (
        "False",
        ConditionReason.DATA_PARALLEL_RANKS,
        f"{_listed(names)}: the gateway hears only data-parallel rank 0 of each pod, and asks for "
        f"replays on {GATEWAY_REPLAY_PORT}, where rank 1 publishes. So that it does not wait for "
        "them, these pods are not labelled for it.",
    )


def _ports(observed: Observed, views: Sequence[ModelView]) -> Finding | None:
    settings = [part.events for view in views if view.plan for part in view.plan.parts]
    unheard = next((each for each in (*settings, observed.spec.events) if not is_heard(each)), None)
    if unheard is None:
        return None
    return (
        "False",
        ConditionReason.GATEWAY_PORTS,
        f"The gateway looks for events on {GATEWAY_PORT} and for replays on {GATEWAY_REPLAY_PORT} "
        f"only; the models use {unheard.port} and {unheard.replay_port}. So that it does not wait "
        "for them, their pods are not labelled for it.",
    )


def _tokenizer(views: Sequence[ModelView]) -> Finding | None:
    """The gateway tokenizes by pods labelled vllm, or with a container port 8000 (``tokenizer_pool.go``)."""
    names = [view.name for view in views if _is_not_tokenized(view)]
    if not names:
        return None
    return (
        "False",
        ConditionReason.ENGINE_NOT_TOKENIZED,
        f"{_listed(names)}: for SGLang the gateway asks no tokenizer unless the pod declares port "
        "8000, and compares characters instead. Serve on --port 8000 and declare that port.",
    )


def _is_not_tokenized(view: ModelView) -> bool:
    engine = view.plan.engine if view.plan else None
    if view.deployment is None or engine is None or engine.type is not EngineType.SGLANG:
        return False
    containers = (each.container(engine.container) for each in view.deployment.templates)
    ports = [port.get("containerPort") for c in containers if c for port in c.ports]
    return 8000 not in ports


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5])


def _layouts(gateway: Version, views: Sequence[ModelView]) -> Finding:
    engines = [(view.name, view.plan.engine) for view in views if view.plan and view.plan.engine]
    release = gateway_release(gateway)
    deaf = [
        f"{name} ({ENGINES[engine.type].name} {engine.version})"
        for name, engine in engines
        if (found := release_of(engine)) is not None and found.layout not in release.layouts
    ]
    if deaf:
        return (
            "False",
            ConditionReason.EVENT_LAYOUT,
            f"AIBrix {gateway} does not decode the events of {_listed(deaf)}: it routes as "
            "without them. Use vLLM before 0.24 (SGLang before 0.5.20) with a gateway from 0.6.0 on.",
        )
    unknown = [name for name, engine in engines if engine.version is None]
    if unknown:
        return (
            "Unknown",
            ConditionReason.ENGINE_VERSION_UNKNOWN,
            f"The engine's version is unknown: {_listed(unknown)}. Set spec.engine.version.",
        )
    return ("True", ConditionReason.COMPATIBLE, f"AIBrix {gateway} decodes the engines' events.")
