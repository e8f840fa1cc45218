"""Mode Admission: a pod that was created without the settings is replaced, a few times and no more.

No policy acts while it is missing or disabled, nor for up to 30 s after an API server started (it does
not know the kind of the policy's parameters before). A pod that names its entry and lacks the label by
which the policy proves itself is evicted, so that its ReplicaSet makes another one. The eviction API keeps
PodDisruptionBudgets. Each one is counted in the status before it is made, by the rules of repairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kvsync.core.bare_pods import is_not_injected
from kvsync.core.moment import seconds, timestamp
from kvsync.core.planned import Part
from kvsync.core.repairs import LIMIT, Count, count, one_more, settled
from kvsync.model.repairs import Repairs, read_repairs
from kvsync.model.source import SourceReason, Verdict
from kvsync.model.workload import Pod

PAUSES = (10, 30, 120)
"""Seconds before each replacement: from the pod's creation, then from the replacement before."""

AGAIN = 60
"""Seconds after which an eviction that was refused is tried again."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """What becomes of the first pod that was created without the settings.

    ``at``: from when it is evicted, in seconds since the epoch; None: not at all. ``counted`` is the
    count with it.
    """

    pod: Pod
    number: int
    at: float | None
    counted: Repairs

    def is_due(self, now: float) -> bool:
        """Whether it is evicted now."""
        return self.at is not None and now >= self.at

    def __str__(self) -> str:
        if self.at is None:
            return (
                f"It is left so after {LIMIT} replacements within 30 minutes; delete the pod when the "
                "policy acts again."
            )
        return f"It is evicted at {timestamp(self.at)} at the earliest ({self.number} of {LIMIT})."


def replaced_so_far(entry: object, token: str, now: float) -> Count:
    """How often pods of a model were replaced that were to carry this token, by the status."""
    return count(None, read_repairs(entry), token, now)


def remembered(counted: Count, now: float) -> Repairs | None:
    """What is left to remember of it while every pod has its settings."""
    return settled(counted.made, now)


def replacement_of(
    part: Part, pods: Sequence[Pod], verdicts: Sequence[Verdict], counted: Count, now: float
) -> Replacement | None:
    """What becomes of the first pod of an engine that was created without the settings.

    None while something of the model still moves: then no verdict is settled.
    """
    settled_on = {
        v.key.uid for v in verdicts if v.settled and v.reason is SourceReason.NOT_INJECTED
    }
    bare = sorted(
        (pod for pod in pods if pod.uid in settled_on and is_not_injected(part, pod)),
        key=lambda pod: pod.name,
    )
    if not bare:
        return None
    made = counted.made
    tried = next((pod for pod in bare if made.times and pod.name == made.by), None)
    if tried is not None:
        # Its eviction was refused, as by a PodDisruptionBudget: that was none.
        again = replace(made, times=(*made.times[:-1], int(now)))
        return Replacement(tried, len(made.times), made.times[-1] + AGAIN, again)
    pod, next_one = bare[0], one_more(made, now, bare[0].name)
    if counted.ended:
        return Replacement(pod, LIMIT, None, next_one)
    since = made.times[-1] if counted.number > 1 else seconds(pod.created) or now
    return Replacement(pod, counted.number, since + PAUSES[counted.number - 1], next_one)
