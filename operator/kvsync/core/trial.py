"""A change on trial: since when, until when, and what is said when it is given up."""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.moment import seconds
from kvsync.core.trouble import REFUSED_ARGUMENTS
from kvsync.model.observed import RETRY_ANNOTATION, Observed
from kvsync.model.reasons import ModelReason
from kvsync.model.record import Record
from kvsync.model.spec import OnFailure
from kvsync.model.workload import Pod

_TRIED_AGAIN = (
    "The model gets back what it had; it is tried again when spec, image or template changes, or the "
    f"annotation {RETRY_ANNOTATION} of the KVEventSync gets a new value."
)
_LEFT = (
    "It is left as it is (spec.rollout.onFailure: Pause): repair it, or take it out of spec.models."
)
_FATES = {
    OnFailure.ROLLBACK: _TRIED_AGAIN,
    OnFailure.PAUSE: _LEFT,
    None: "It is as its owner wrote it: repair it.",
}
_REMEDIES = {
    ModelReason.ENGINE_CRASHED: "Correct what it complains of.",
    ModelReason.IMAGE_PULL_FAILED: "Make the image available to the node.",
    ModelReason.PROGRESS_DEADLINE_EXCEEDED: "Make room for it, or set spec.rollout.progressDeadline "
    "to more than it takes to load.",
}
_REFUSED_ARGUMENTS = (
    "The image takes other arguments than were written: correct the image, or set "
    "spec.engine.version or spec.engine.dialect."
)


def trial_end(record: Record | None, pods: Sequence[Pod], observed: Observed) -> float | None:
    """When the time of a change is over, in seconds since the epoch; None without a change of ours.

    It runs from the change, or from the first of its pods where that came later: a model that was
    scaled to zero is tried when it is scaled up.
    """
    if record is None:
        return None
    made = [at for pod in pods if (at := seconds(pod.created)) is not None]
    return max(float(record.at), min(made, default=0.0)) + observed.spec.rollout.progress_deadline


def given_up(
    reason: ModelReason,
    evidence: str,
    policy: OnFailure | None,
    exit_code: int | None = None,
    remedy: str = "",
) -> str:
    """What is said of a model that failed: the evidence, what to do, and what becomes of it.

    ``policy`` None: nothing of ours is on it that could be taken back. ``remedy``: what to do, where
    it is known better than by reason and exit code.
    """
    refused = exit_code == REFUSED_ARGUMENTS and policy is not None
    remedy = remedy or (_REFUSED_ARGUMENTS if refused else _REMEDIES.get(reason, ""))
    end = "" if evidence.endswith((".", "!", "?")) else "."
    return " ".join(part for part in (f"{evidence}{end}", remedy, _FATES[policy]) if part)
