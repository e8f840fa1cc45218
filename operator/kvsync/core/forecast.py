"""What a held object would do if it were let: how many pods restart, and what that costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from kvsync.core.accelerators import accelerators
from kvsync.core.actions import undo_action
from kvsync.core.assess import ModelState, ModelView
from kvsync.core.moment import seconds
from kvsync.core.plan import without_ours
from kvsync.model.observed import Observed, ObservedModel
from kvsync.model.storm import role_of
from kvsync.model.workload import JSON, Pod


@dataclass(frozen=True, slots=True)
class Cost:
    """What the restart of one model's pods takes. ``minutes``: how long one of them takes to become
    ready, as last seen; None where no pod tells."""

    pods: int = 0
    gpus: int = 0
    """All that these pods hold together."""
    minutes: float | None = None

    @property
    def gpu_minutes(self) -> int | None:
        """GPUs that stand still times minutes; None where it is not known how long a start takes."""
        if not self.gpus:
            return 0
        return None if self.minutes is None else ceil(self.gpus * self.minutes)

    def entry(self) -> JSON:
        """The status entry."""
        found = {"restarts": self.pods, "gpus": self.gpus, "gpuMinutes": self.gpu_minutes}
        return {key: value for key, value in found.items() if value is not None}


def cost_of_change(model: ObservedModel, view: ModelView) -> Cost:
    """What the planned change of a model costs."""
    planned, workload = view.plan, model.deployment
    if planned is None or workload is None or not planned.restarts:
        return Cost()
    devices = {role_of(each): accelerators(each) for each in workload.templates}
    gpus = sum(part.pods * devices.get(part.role, 0) for part in planned.parts)
    return Cost(planned.restarts, gpus, start_minutes(model.pods))


def _cost_of_undo(model: ObservedModel) -> Cost:
    """What it costs to take everything off a model that is not meant any more."""
    workload = model.deployment
    if workload is None or undo_action(workload) is None:
        return Cost()
    if without_ours(workload).body["spec"] == workload.body["spec"]:
        return Cost()
    gpus = max((accelerators(each) for each in workload.templates), default=0)
    return Cost(workload.replicas, gpus * workload.replicas, start_minutes(model.pods))


def start_minutes(pods: Iterable[Pod]) -> float | None:
    """How long the quickest of them took from its creation to ready, in minutes.

    A pod that was not ready for a while in between looks slower than it was; the quickest is the
    best witness.
    """
    times = []
    for pod in pods:
        born, since = seconds(pod.created), seconds(pod.ready_since)
        if pod.ready and born is not None and since is not None and since >= born:
            times.append((since - born) / 60)
    return min(times, default=None)


def forecast(observed: Observed, views: Sequence[ModelView], *, restarts_gateway: bool) -> JSON:
    """The whole plan of an object that is held, as its status tells it."""
    by_name = {model.name: model for model in observed.models}
    pending = [view for view in views if view.state is ModelState.PENDING]
    # Without a plan it waits to be taken back: its object writes nothing any more (mode Render).
    leaving = {view.name for view in pending if view.plan is None}
    changed = [
        cost_of_change(by_name[view.name], view) for view in pending if view.name not in leaving
    ]
    taken_back = [
        cost
        for model in observed.models
        if (not model.selected or model.name in leaving) and (cost := _cost_of_undo(model)).pods
    ]
    costs = [cost for cost in (*changed, *taken_back) if cost.pods]
    known = [cost.gpu_minutes for cost in costs]
    total = None if None in known else sum(each or 0 for each in known)
    entry: dict[str, object] = {
        "models": len(changed) + len(taken_back),
        "rollouts": len(costs),
        "pods": sum(cost.pods for cost in costs),
        "gpus": sum(cost.gpus for cost in costs),
        "message": _told(observed, len(changed), len(taken_back), costs, total, restarts_gateway),
    }
    return entry if total is None else {**entry, "gpuMinutes": total}


def _told(
    observed: Observed,
    changed: int,
    taken_back: int,
    costs: Sequence[Cost],
    gpu_minutes: int | None,
    restarts_gateway: bool,
) -> str:
    parts = [
        f"{count} to be {what}"
        for count, what in ((changed, "changed"), (taken_back, "taken back"))
        if count
    ]
    told = f"Models: {', '.join(parts)}." if parts else "No model is to be changed."
    if costs:
        at_once = observed.spec.rollout.max_concurrent
        told += f" {sum(cost.pods for cost in costs)} pods restart, those of {at_once} model"
        told += f"{'s' if at_once > 1 else ''} at a time{_price(costs, gpu_minutes)}."
    if restarts_gateway:
        told += " The gateway restarts once every source is verified."
    return told


def _price(costs: Sequence[Cost], gpu_minutes: int | None) -> str:
    gpus = sum(cost.gpus for cost in costs)
    if not gpus:
        return ""
    if gpu_minutes is None:
        return (
            f"; they hold {gpus} GPUs, for how long is not known: not every model has a ready pod"
        )
    return f"; they hold {gpus} GPUs, about {gpu_minutes} GPU-minutes by how long a start took"
