"""A pod's status, computed from what is known of its containers. Pure: ``now`` is an argument.

Sources: Kubernetes pkg/kubelet/kubelet_pods.go (getPhase) and pkg/kubelet/status/generate.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from testbed.kubelet.fields import Object
from testbed.kubelet.records import (
    ContainerRecord,
    Role,
    Running,
    State,
    Terminated,
    Waiting,
)

TERMINAL = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class PodFacts:
    """What a status is made of beside the containers' records."""

    pod: Object
    host_address: str
    address: str
    start_time: datetime
    stopped: bool  # nothing of it runs and nothing will
    failure: tuple[str, str] | None = None  # reason and message of a pod failed as a whole


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 with seconds, as metav1.Time is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_status(facts: PodFacts, records: Sequence[ContainerRecord], now: datetime) -> Object:
    """Return the status to write, with only the conditions that a kubelet owns.

    Lists of conditions and addresses are meant for a strategic merge patch.
    """
    phase = pod_phase(facts, records)
    status: Object = {
        "phase": phase,
        "observedGeneration": facts.pod["metadata"].get("generation", 0),
        "startTime": timestamp(facts.start_time),
        "hostIP": facts.host_address,
        "hostIPs": [{"ip": facts.host_address}],
        "containerStatuses": _statuses(records, (Role.MAIN,)),
        "conditions": _conditions(facts, records, phase, now),
    }
    if any(record.role is not Role.MAIN for record in records):
        status["initContainerStatuses"] = _statuses(records, (Role.INIT, Role.SIDECAR))
    if facts.address:
        status |= {"podIP": facts.address, "podIPs": [{"ip": facts.address}]}
    if facts.failure:
        status["reason"], status["message"] = facts.failure
    return status


def pod_phase(facts: PodFacts, records: Sequence[ContainerRecord]) -> str:
    """Return Pending, Running, Succeeded or Failed."""
    policy = facts.pod["spec"].get("restartPolicy", "Always")
    if facts.failure or (policy == "Never" and any(map(_init_failed, records))):
        return "Failed"
    mains = [record for record in records if record.role is Role.MAIN]
    begun = any(record.running or record.outcome for record in mains)
    if not facts.stopped and not begun and not is_initialized(records):
        return "Pending"
    if any(not record.running and record.outcome is None for record in mains):
        return "Failed" if facts.stopped and begun else "Pending"
    if any(record.running for record in records if record.role is not Role.INIT):
        return "Running"
    return _ended_phase(policy, mains, stopped=facts.stopped)


def _ended_phase(policy: str, mains: Sequence[ContainerRecord], *, stopped: bool) -> str:
    succeeded = all(record.outcome and record.outcome.code == 0 for record in mains)
    if not stopped and (policy == "Always" or (policy == "OnFailure" and not succeeded)):
        return "Running"
    return "Succeeded" if succeeded else "Failed"


def _init_failed(record: ContainerRecord) -> bool:
    outcome = record.outcome
    return record.role is Role.INIT and outcome is not None and outcome.code != 0


def is_initialized(records: Iterable[ContainerRecord]) -> bool:
    """Whether every init container has succeeded and every sidecar has started."""
    return not _incomplete(records)


def _incomplete(records: Iterable[ContainerRecord]) -> list[str]:
    return [
        record.name
        for record in records
        if (record.role is Role.INIT and not record.ready)
        or (record.role is Role.SIDECAR and not record.started)
    ]


# --- conditions ---------------------------------------------------------------------------------

Verdict = tuple[bool, str, str]  # status, reason, message
TRUE: Verdict = (True, "", "")


def _conditions(
    facts: PodFacts, records: Sequence[ContainerRecord], phase: str, now: datetime
) -> list[Object]:
    containers = _containers_ready(records, phase)
    existing = {c["type"]: c for c in facts.pod.get("status", {}).get("conditions", ())}
    verdicts: dict[str, Verdict] = {
        "PodReadyToStartContainers": _network_ready(facts),
        "Initialized": _initialized(records, phase),
        "ContainersReady": containers,
        "Ready": _ready(facts.pod, containers, existing),
    }
    if "PodScheduled" not in existing:  # nobody scheduled it: its author named the node
        verdicts["PodScheduled"] = TRUE
    generation = facts.pod["metadata"].get("generation", 0)
    return [_condition(kind, verdict, generation, now) for kind, verdict in verdicts.items()]


def _condition(kind: str, verdict: Verdict, generation: int, now: datetime) -> Object:
    true, reason, message = verdict
    return {
        "type": kind,
        "status": "True" if true else "False",
        # null takes away what a former verdict left: the list is merged by type
        "reason": reason or None,
        "message": message or None,
        "observedGeneration": generation,
        "lastTransitionTime": timestamp(now),
    }


def _network_ready(facts: PodFacts) -> Verdict:
    ready = bool(facts.address) and not facts.stopped
    return TRUE if ready else (False, "", "")


def _initialized(records: Sequence[ContainerRecord], phase: str) -> Verdict:
    if phase == "Succeeded":
        return (True, "PodCompleted", "")
    mains = (record for record in records if record.role is Role.MAIN)
    incomplete = _incomplete(records)
    if not incomplete or any(record.running or record.outcome for record in mains):
        return TRUE
    names = " ".join(incomplete)
    return (False, "ContainersNotInitialized", f"containers with incomplete status: [{names}]")


def _containers_ready(records: Sequence[ContainerRecord], phase: str) -> Verdict:
    if phase in TERMINAL:
        return (False, "PodCompleted" if phase == "Succeeded" else "PodFailed", "")
    unready = [r.name for r in records if r.role is not Role.INIT and not r.ready]
    if not unready:
        return TRUE
    message = f"containers with unready status: [{' '.join(unready)}]"
    return (False, "ContainersNotReady", message)


def _ready(pod: Object, containers: Verdict, existing: Mapping[str, Object]) -> Verdict:
    if not containers[0]:
        return containers
    missing = [
        problem
        for gate in pod["spec"].get("readinessGates", ())
        if (problem := _gate_problem(gate["conditionType"], existing))
    ]
    return (False, "ReadinessGatesNotReady", ", ".join(missing)) if missing else TRUE


def _gate_problem(kind: str, existing: Mapping[str, Object]) -> str:
    if kind not in existing:
        return f'corresponding condition of pod readiness gate "{kind}" does not exist.'
    status = existing[kind]["status"]
    if status == "True":
        return ""
    return f'the status of pod readiness gate "{kind}" is not "True", but {status}'


def keep_transitions(status: Object, former: Object | None) -> Object:
    """Return ``status`` with the transition times of conditions that did not change."""
    before = {c["type"]: c for c in (former or {}).get("conditions", ())}
    for condition in status["conditions"]:
        old = before.get(condition["type"])
        if old and old["status"] == condition["status"]:
            condition["lastTransitionTime"] = old["lastTransitionTime"]
    return status


# --- containers ---------------------------------------------------------------------------------


def _statuses(records: Iterable[ContainerRecord], roles: tuple[Role, ...]) -> list[Object]:
    return [container_status(record) for record in records if record.role in roles]


def container_status(record: ContainerRecord) -> Object:
    """Return the containerStatus of a record."""
    status: Object = {
        "name": record.name,
        "image": record.image,
        "imageID": record.image_id,
        "ready": record.ready,
        "started": record.started,
        "restartCount": record.restarts,
        "state": _state(record.state),
        "lastState": _state(record.last) if record.last else {},
    }
    if record.container_id:
        status["containerID"] = record.container_id
    return status


def _state(state: State) -> Object:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        case Running(since):
            return {"running": {"startedAt": timestamp(since)}}
        case Terminated():
            return {"terminated": _terminated(state)}


def _terminated(state: Terminated) -> Object:
    body: Object = {
        "exitCode": state.code,
        "reason": state.reason,
        "startedAt": timestamp(state.since),
        "finishedAt": timestamp(state.until),
        "containerID": state.container_id,
    }
    return body | ({"message": state.message} if state.message else {})
