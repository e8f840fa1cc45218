"""The pods of a gateway, each with what its log says of its current start."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.core.gateway_log import run_of
from kvsync.model.gateway_log import GatewayReading, Start, Unread
from kvsync.model.observed import Observed
from kvsync.model.workload import Deployment, Pod


@dataclass(frozen=True, slots=True)
class Instance:
    """One pod of the gateway, and the log of its current start, as far as it was read."""

    pod: Pod
    reading: GatewayReading | None
    remembered: bool
    """Whether it was seen that this start went well: the line may be rotated away by now."""

    @property
    def initialized(self) -> bool:
        """Whether it said that it consumes events."""
        start = self.reading.start if self.reading else Start.UNSAID
        # What was seen before may not be read again yet, or not any more.
        open_ = start in (Start.UNSAID, Start.BEGUN)
        return start is Start.INITIALIZED or (open_ and self.remembered)

    @property
    def failed(self) -> bool:
        """Whether it said why it does not."""
        return self.reading is not None and self.reading.start is Start.FAILED

    @property
    def silent(self) -> bool:
        """Whether it said nothing where it should have."""
        return self.reading is not None and self.reading.silent and not self.remembered

    def is_unread(self, why: Unread) -> bool:
        """Whether its log could not be read for this reason."""
        return self.reading is not None and self.reading.unread is why


def instances_of(observed: Observed, deployment: Deployment) -> list[Instance]:
    """Those that are not on their way out."""
    told = observed.sync.status.get("gateway") or {}
    same = told.get("deployment") == f"{deployment.namespace}/{deployment.name}"
    well = set(told.get("initialized") or ()) if same else set()
    return [
        Instance(pod, _reading(pod, observed), mark_of_start(pod, observed) in well)
        for pod in observed.gateway.pods
        if not pod.deleting and not pod.ended
    ]


def _reading(pod: Pod, observed: Observed) -> GatewayReading | None:
    """What its log says of its current start; what an earlier one said is no news."""
    found, run = observed.gateway.readings.get(pod.uid), _run(pod, observed)
    return found if found and run is not None and found.restarts == run else None


def _run(pod: Pod, observed: Observed) -> int | None:
    run = run_of(pod, observed.spec.gateway.container)
    return run.restarts if run else None


def mark_of_start(pod: Pod, observed: Observed) -> str:
    """The start of a pod's container: its name is never given again."""
    return f"{pod.name}/{_run(pod, observed)}"
