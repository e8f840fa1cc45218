"""What a rollout waits for is told in the words of who holds it, and its controller's word ends waiting."""

from typing import Any

import pytest

from core.objects import Json, deployment
from core.scenes import NOW, pod_of, rolled_out
from kvsync.core.last_words import MAX_QUOTE
from kvsync.core.moment import timestamp
from kvsync.core.progress import is_halted, is_replacing
from kvsync.core.waiting import halted_words, waiting_words
from kvsync.model.workload import Deployment, Pod

PATIENCE = 600.0
QUOTA = (
    'pods "m-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, '
    "used: requests.nvidia.com/gpu=8, limited: requests.nvidia.com/gpu=8"
)


def told(body: Json | None = None, **conditions: Json) -> Deployment:
    """A Deployment that is not rolled out, with these conditions."""
    unfinished = rolled_out(body or deployment(), available=0)
    listed = [{"type": kind, **fields} for kind, fields in conditions.items()]
    return Deployment({**unfinished, "status": {**unfinished["status"], "conditions": listed}})


def pod(*, deleted: str = "", **status: Any) -> Pod:
    made = pod_of(deployment(), **status)
    metadata = {**made.body["metadata"], **({"deletionTimestamp": deleted} if deleted else {})}
    return Pod({**made.body, "metadata": metadata})


def unplaced(message: str) -> Pod:
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    return pod(phase="Pending", conditions=[condition])


def starting(reason: str, message: str = "") -> Pod:
    waiting = {"reason": reason, "message": message}
    return pod(containerStatuses=[{"name": "vllm", "state": {"waiting": waiting}}])


def test_the_schedulers_own_words() -> None:
    lacking = unplaced("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    words = waiting_words(told(), [lacking], [lacking, lacking], NOW)
    assert words == "pod model-0: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


def test_a_quota_is_told_by_the_condition_of_the_deployment() -> None:
    refused = told(ReplicaFailure={"status": "True", "reason": "FailedCreate", "message": QUOTA})
    assert waiting_words(refused, (), (), NOW) == QUOTA


def test_the_controllers_own_deadline_is_told() -> None:
    given_up = told(
        Progressing={
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "message": 'ReplicaSet "m-1" has timed out progressing.',
        }
    )
    assert halted_words(given_up) == 'ReplicaSet "m-1" has timed out progressing.'
    assert is_halted(given_up)


def test_a_pod_that_does_not_go_away_is_named() -> None:
    lingering, going = pod(deleted=timestamp(NOW - 90)), pod(deleted=timestamp(NOW + 20))
    assert waiting_words(told(), [going], (), NOW) == ""
    words = waiting_words(told(), [going, lingering], (), NOW)
    assert words == f"pod model-0 should have ended at {timestamp(NOW - 90)} and has not"
    assert waiting_words(told(), [going, lingering], (), NOW + 5) == words, "time alone is no news"


def test_what_the_kubelet_waits_for_is_told() -> None:
    missing = starting("CreateContainerConfigError", 'secret "hf" not found')
    words = waiting_words(told(), (), [starting("ContainerCreating"), missing], NOW)
    assert words == 'pod model-0: CreateContainerConfigError: secret "hf" not found'
    assert waiting_words(told(), (), [starting("ErrImagePull")], NOW) == "pod model-0: ErrImagePull"


def test_words_of_strangers_are_bounded_printable_and_few() -> None:
    body = told(
        ReplicaFailure={"status": "True", "message": "\x1b[2J" + "q" * 10_000},
        Progressing={"status": "False", "message": "p" * 10_000},
    )
    pods = [unplaced("s\n\x00" * 5_000), starting("X" * 5_000, "y" * 5_000)]
    words = waiting_words(body, [pod(deleted=timestamp(NOW - 1))], pods, NOW)
    assert words.isprintable()
    assert len(words) < 4 * MAX_QUOTE
    assert words.count("; ") == 2


@pytest.mark.parametrize(
    ("status", "reason", "age", "counts"),
    [
        ("True", "ReplicaSetUpdated", 5, True),
        ("True", "ReplicaSetUpdated", PATIENCE + 1, False),
        ("True", "FoundNewReplicaSet", 5, True),
        ("False", "ProgressDeadlineExceeded", 5, False),
        ("True", "NewReplicaSetAvailable", 5, False),
    ],
)
def test_a_rollout_is_waited_for_while_its_controller_tells_of_progress(
    status: str, reason: str, age: float, counts: bool
) -> None:
    progressing = {"status": status, "reason": reason, "lastUpdateTime": timestamp(NOW - age)}
    assert is_replacing(told(Progressing=progressing), NOW, PATIENCE) is counts


def test_old_pods_left_are_a_rollout_whatever_the_condition_says_yet() -> None:
    through = {"status": "True", "reason": "NewReplicaSetAvailable"}
    begun = told(Progressing=through)
    counts = {**begun.body["status"], "replicas": 1, "updatedReplicas": 0}
    assert is_replacing(Deployment({**begun.body, "status": counts}), NOW, PATIENCE)


def test_a_rollout_back_to_a_revision_that_is_there_is_told_of_late() -> None:
    # The controller keeps the old condition, with its old time, until the first pod of it is made.
    through = {"status": "True", "reason": "NewReplicaSetAvailable"}
    begun = told(Progressing={**through, "lastUpdateTime": timestamp(NOW - 9_000)})
    body = {**begun.body, "status": {**begun.body["status"], "updatedReplicas": 0}}
    assert is_replacing(Deployment(body), NOW, PATIENCE, since=NOW - 10)
    assert not is_replacing(Deployment(body), NOW, PATIENCE, since=NOW - PATIENCE - 1)


def test_a_change_that_was_not_looked_at_yet_is_a_rollout() -> None:
    done = rolled_out(deployment())
    changed = {**done, "metadata": {**done["metadata"], "generation": 2}}
    assert is_replacing(Deployment(changed), NOW, PATIENCE)
    assert not is_replacing(Deployment(done), NOW, PATIENCE)


def test_where_the_controller_tells_nothing_every_unfinished_rollout_counts() -> None:
    assert is_replacing(told(), NOW + 100_000, PATIENCE)
