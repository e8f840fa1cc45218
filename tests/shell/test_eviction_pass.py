"""A pod that was created without its settings is counted, evicted, and left where a budget forbids that."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from core.admission_rules import pod_of_template
from core.objects import Json, ask, deployment, spec_of
from core.scenes import NOW, rolled_out
from kvsync.core.moment import timestamp
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.model.admission import AdmissionMeans
from kvsync.model.decision import Action
from kvsync.model.errors import ApiError, Conflict, Forbidden, NotFound, TooManyRequests
from kvsync.model.workload import Deployment
from shell.test_reconcile_order import KEY, Cluster, reconciler

POD = ("default", "model-0")


class Admitting(Cluster):
    """A cluster whose policy did not act on the one pod; ``says`` is what it answers to an eviction."""

    def __init__(self, says: ApiError | None = None) -> None:
        made = plan(Deployment(deployment()), ask(spec_of(mode="Admission"), at=9_900))
        assert made.injection is not None
        body = rolled_out(apply(deployment(), made.patch))
        super().__init__(body)
        self.world.admission = AdmissionMeans(policy=True)
        self.says = says
        self.evicted: list[Action] = []
        sync = self.world.syncs[KEY]
        entry = replace(made.injection, since=9_890).entry()
        self.world.syncs[KEY] = {
            **sync,
            "spec": {**sync["spec"], "mode": "Admission"},
            "status": {"injections": [entry]},
        }
        self.pods: dict[tuple[str, str], Json] = {POD: bare(body)}
        self.world._pods = (self.pods, {})
        self.world.pod_changed(POD, self.pods[POD])

    async def patch(self, action: Action) -> None:
        if not action.evicts:
            await super().patch(action)
            return
        self._note(action.reason)
        self.evicted.append(action)
        if self.says is not None:
            raise self.says


def bare(body: Json) -> Json:
    pod = pod_of_template(body)
    pod["metadata"] |= {
        "name": POD[1],
        "uid": "uid-of-pod",
        "creationTimestamp": timestamp(NOW - 60),
    }
    ready = {"type": "Ready", "status": "True"}
    return {**pod, "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [ready]}}


async def test_it_is_counted_before_it_is_evicted() -> None:
    cluster = Admitting()
    outcome = await reconciler(cluster).reconcile(KEY)
    assert outcome.acted
    assert cluster.written == ["status", "PodReplaced"]
    assert [action.evicts for action in cluster.evicted] == ["uid-of-pod"]
    assert cluster.entry["replaced"]["times"] == [int(NOW)]
    assert cluster.told[-1] == "PodReplaced"
    again = await reconciler(cluster).reconcile(KEY)
    assert not again.acted, "the watch may tell later that the pod goes"
    assert len(cluster.evicted) == 1


@pytest.mark.parametrize(
    "says",
    [
        TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget."),
        NotFound("it is gone"),
        Conflict("it is another one by now"),
    ],
)
async def test_a_refusal_for_now_is_no_failure(says: ApiError) -> None:
    cluster = Admitting(says)
    await reconciler(cluster).reconcile(KEY)
    cluster.world.syncs[KEY] = copy.deepcopy(dict(cluster.world.syncs[KEY]))
    outcome = await reconciler(cluster).reconcile(KEY)
    assert not outcome.acted
    assert outcome.look_again is not None
    assert reason(cluster) == "NotInjected"
    assert "PodReplaced" not in cluster.told


async def test_a_right_that_is_missing_is_said() -> None:
    cluster = Admitting(Forbidden("no", status=403, reason="Forbidden"))
    with pytest.raises(Forbidden):
        await reconciler(cluster).reconcile(KEY)
    assert reason(cluster) == "WriteRefused"


def reason(cluster: Cluster) -> Any:
    status = cluster.world.syncs[KEY]["status"]
    return next(c["reason"] for c in status["conditions"] if c["type"] == "Ready")
