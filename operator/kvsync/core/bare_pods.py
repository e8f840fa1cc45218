"""Pods of a configured engine that run without what its template says: which, and how that came.

A pod is from before the change, and its workload has not replaced it; or it was made of the
configured template and lacks our words all the same, because an admission webhook or another
controller took them off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvsync.core.moment import seconds
from kvsync.core.planned import Part
from kvsync.core.sidecar.pieces import is_fed_through
from kvsync.model.injection import INJECTED_LABEL, INJECTION_ANNOTATION
from kvsync.model.record import Record
from kvsync.model.relay import RELAY_CONTAINER
from kvsync.model.source import SourceKey, SourceReason, Verdict
from kvsync.model.workload import Deployment, Pod

SETTLING = 10.0
"""Seconds after a change in which a workload's status may still speak of the pods before it: that of a
StormService does for about one (AIBrix ``stormservice/sync.go``)."""

_POLICY_REMEDY = (
    "See that the policy and its binding are there (kvsync doctor tells) and that no webhook changes the "
    "engine's command line before it. For up to 30 s after its start an API server does not act on it."
)


def bare_verdicts(
    part: Part, pods: Sequence[Pod], workload: Deployment, record: Record | None, now: float
) -> Iterator[Verdict]:
    """The verdicts on the running pods of an engine that do not carry its pieces.

    There are no more of them than carriers are missing: a pod beyond that is about to go. None is
    settled while the rollout goes on.
    """
    own = [pod for pod in pods if part.covers(pod)]
    living = [pod for pod in own if not (pod.deleting or pod.ended)]
    carriers = [pod for pod in living if part.is_carried_by(pod)]
    bare = sorted(
        (pod for pod in living if pod.running and not part.is_carried_by(pod)),
        key=lambda pod: pod.name,
    )
    going_on = (
        not workload.rollout.complete
        or any(pod.deleting for pod in own)
        or not all(pod.ready for pod in carriers)
        or (record is not None and now < record.at + SETTLING)
    )
    missing = max(0, part.pods - sum(pod.running for pod in carriers))
    for pod in bare[:missing]:
        older = _is_older(part, pod, carriers, record, going_on=going_on)
        for rank in range(part.sources):
            key = SourceKey(pod.namespace, pod.name, pod.uid, rank)
            yield _verdict(key, part, pod, older=older, settled=not going_on)


def is_not_injected(part: Part, pod: Pod) -> bool:
    """Whether a pod that asks for its settings at admission (mode Admission) was created without them.

    Only the policy sets the label; where that stands and a piece is missing, somebody took it off.
    """
    asks = part.token and pod.annotations.get(INJECTION_ANNOTATION) == part.token
    return bool(asks) and INJECTED_LABEL not in pod.labels


def _is_older(
    part: Part, pod: Pod, carriers: Sequence[Pod], record: Record | None, *, going_on: bool
) -> bool:
    """Whether a pod is from before the change: by what it asks for, its template's hash, or its age."""
    if part.token:
        return pod.annotations.get(INJECTION_ANNOTATION) != part.token
    revisions = {carrier.revision for carrier in carriers} - {""}
    if pod.revision and revisions:
        return pod.revision not in revisions
    created = seconds(pod.created)
    if record is None or created is None:
        return going_on
    return created < record.at


def _verdict(key: SourceKey, part: Part, pod: Pod, *, older: bool, settled: bool) -> Verdict:
    if older:
        return Verdict(
            key,
            SourceReason.NOT_RESTARTED,
            verified=False,
            settled=settled,
            message="runs as it was made before the change, without KV events.",
            remedy="Delete the pod when it may restart: its workload does not replace it by itself.",
        )
    if is_not_injected(part, pod):
        return Verdict(
            key,
            SourceReason.NOT_INJECTED,
            verified=False,
            settled=settled,
            message="was created without its settings: the policy kvsync-operator-inject did not act.",
            remedy=_POLICY_REMEDY,
        )
    return Verdict(
        key,
        SourceReason.NOT_INJECTED,
        verified=False,
        settled=settled,
        message=f"was made of the configured template and lacks {_lacking(part, pod)}.",
        remedy="Find the admission webhook or controller that takes it off, and except the pod.",
    )


def _lacking(part: Part, pod: Pod) -> str:
    desired = part.desired
    container = pod.container(desired.container)
    if container is None:
        return f"the container {desired.container}"
    if not desired.is_carried_by(container):
        return f"the KV event arguments of container {desired.container}"
    if part.relay is not None and not is_fed_through(pod, part.relay):
        return f"the relay (container {RELAY_CONTAINER})"
    missing = sorted(k for k, v in desired.labels.items() if pod.labels.get(k) != v)
    return f"the label {', '.join(missing)}"
