"""What a person should know of a change that is made all the same: each rule looks at one thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kvsync.core.desired import EVENTS_LABEL, MODEL_LABEL, is_heard, model_name
from kvsync.core.guard import Case
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT, release_of
from kvsync.model.finding import Note
from kvsync.model.reasons import ModelReason


def scaled_to_zero(case: Case) -> Note | None:
    """No pod restarts, and none can be verified."""
    if case.base.replicas:
        return None
    message = f"{case.base.title} is scaled to zero: it is verified when it is scaled up."
    return Note(ModelReason.SCALED_TO_ZERO, message)


def recreate_strategy(case: Case) -> Note | None:
    """All pods end before the first new one starts, and an engine takes minutes to load."""
    strategy = case.base.body["spec"].get("strategy") or {}
    if strategy.get("type") != "Recreate" or not case.base.replicas:
        return None
    return Note(
        ModelReason.RECREATE_STRATEGY,
        f"{case.base.title} has the strategy Recreate: the model does not serve from the "
        "change until its new pods have loaded.",
    )


def pod_disruption(case: Case) -> Note | None:
    """A rolling update may take every pod away at once where its bounds say so."""
    strategy = case.base.body["spec"].get("strategy") or {}
    away, replicas = unavailable(strategy, case.base.replicas), case.base.replicas
    if strategy.get("type") == "Recreate" or not replicas or away < replicas:
        return None
    return Note(
        ModelReason.POD_DISRUPTION,
        f"{case.base.title} lets all {replicas} of its pods be away during an update "
        "(strategy.rollingUpdate.maxUnavailable): the model may not serve until a new pod has loaded.",
    )


def unavailable(strategy: Mapping[str, Any], replicas: int) -> int:
    """How many pods a rolling update may take away at once.

    Source: Kubernetes, ``pkg/controller/deployment/util`` (ResolveFenceposts): maxUnavailable is
    rounded down, maxSurge up; where both come to 0, one pod may be away.
    """
    bounds = strategy.get("rollingUpdate") or {}
    away = _share(bounds.get("maxUnavailable", "25%"), replicas, up=False)
    surge = _share(bounds.get("maxSurge", "25%"), replicas, up=True)
    return max(away, 0 if surge else 1)


def _share(bound: object, replicas: int, *, up: bool) -> int:
    text = str(bound)
    if not text.removesuffix("%").isdecimal():
        return 0
    number = int(text.removesuffix("%"))
    if not text.endswith("%"):
        return number
    return -(-replicas * number // 100) if up else replicas * number // 100


def hybrid_kv_manager(case: Case) -> Note | None:
    """Releases in which KV events switch the hybrid KV cache manager off."""
    release = release_of(case.engine)
    if release is None or not release.hybrid_off:
        return None
    return Note(
        ModelReason.HYBRID_KV_MANAGER_OFF,
        f"In vLLM {case.engine.version} KV events switch the hybrid KV cache manager off: a model with "
        "sliding-window or Mamba layers then holds fewer tokens in the same memory.",
    )


def replay_port_moved(case: Case) -> Note | None:
    """More than one rank, and ports too near to each other."""
    if case.relayed or case.events == case.wanted:
        return None
    return Note(
        ModelReason.DATA_PARALLEL_PORTS,
        f"{case.base.title} runs {case.pod.ranks} data-parallel ranks, whose publishers "
        f"take the ports from {case.events.port} on: replays are served from "
        f"{case.events.replay_port} on instead of {case.wanted.replay_port}.",
    )


def not_labelled(case: Case) -> Note | None:
    """A pod that the gateway would only wait for is not announced to it."""
    if is_heard(case.events):
        return None
    return Note(
        ModelReason.NOT_LABELLED,
        f"The gateway looks for events on {GATEWAY_PORT} and for replays on {GATEWAY_REPLAY_PORT} "
        f"only and waits 5 s for each pod that does not answer there, so the pods of "
        f"{case.base.title} do not get the label {EVENTS_LABEL}.",
    )


def nameless(case: Case) -> Note | None:
    """Nothing that can be a label's value tells the gateway which model the pods serve."""
    present = case.base.template_labels
    annotations = (case.base.template.get("metadata") or {}).get("annotations") or {}
    if MODEL_LABEL in present or MODEL_LABEL in annotations or model_name(case.base, case.engine):
        return None
    return Note(
        ModelReason.NOT_LABELLED,
        f"Neither the served name nor the name of {case.base.title} can be a label's value, so its "
        f"pods get no label {MODEL_LABEL}, and the gateway does not hear them. Set that label, or a "
        "shorter --served-model-name.",
    )


NOTES: tuple[Callable[[Case], Note | None], ...] = (
    scaled_to_zero,
    recreate_strategy,
    pod_disruption,
    hybrid_kv_manager,
    replay_port_moved,
    not_labelled,
    nameless,
)


def notes(case: Case) -> tuple[Note, ...]:
    """What a person should know of the change."""
    return tuple(note for rule in NOTES if (note := rule(case)) is not None)
