"""A relay that crashes or has no image: a change on trial is taken back, later it is told; with a way out."""

from __future__ import annotations

import copy

import pytest

from core.objects import Json, deployment, planned, spec_of
from core.scenes import crashing, model, pod_of, rolled_out, verdict_on
from core.test_assess import assessed, stands, verified_before
from kvsync.core.patch import apply
from kvsync.model.source import SourceReason
from kvsync.model.workload import Pod

ALWAYS = spec_of(events={"relay": {"mode": "Always"}})
NO_IMAGE = [{"name": "kvsync-relay", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]


def relayed() -> Json:
    body: Json = rolled_out(copy.deepcopy(apply(deployment(), planned(deployment(), ALWAYS).patch)))
    return body


def of_relay(statuses: list[Json], *, oom: bool = False) -> list[Json]:
    """The same statuses of the relay's container."""
    found = copy.deepcopy(statuses)
    for each in found:
        each["name"] = "kvsync-relay"
        if oom:
            each["lastState"]["terminated"]["reason"] = "OOMKilled"
    return found


def pod_with(body: Json, statuses: list[Json]) -> Pod:
    pod = pod_of(body, initContainerStatuses=statuses)
    spec = body["spec"]["template"]["spec"]
    return Pod({**pod.body, "spec": {**pod.body["spec"], "initContainers": spec["initContainers"]}})


CASES = [
    (of_relay(crashing("boom", 137), oom=True), "RelayDown", "resources.limits.memory"),
    (of_relay(crashing("No such option: --x", 2)), "RelayDown", "kubectl logs -c kvsync-relay"),
    (NO_IMAGE, "ImagePullFailed", "spec.events.relay.image"),
]


@pytest.mark.parametrize(("statuses", "reason", "remedy"), CASES)
def test_on_trial_the_change_is_taken_back_and_the_way_out_is_told(
    statuses: list[Json], reason: str, remedy: str
) -> None:
    body = relayed()
    view = assessed(model(body, pod_with(body, statuses)), spec=ALWAYS)
    assert stands(view) == ("Failed", reason)
    assert view.roll_back
    assert "kvsync-relay" in view.message
    assert remedy in view.message


@pytest.mark.parametrize(("statuses", "reason", "remedy"), CASES)
def test_a_model_that_worked_is_degraded_and_keeps_what_it_has(
    statuses: list[Json], reason: str, remedy: str
) -> None:
    body = relayed()
    sync = verified_before(body)
    view = assessed(model(body, pod_with(body, statuses)), spec=ALWAYS, sync=sync)
    assert stands(view) == ("Degraded", reason)
    assert not view.roll_back
    assert remedy in view.message


def test_a_relay_that_ended_before_it_restarts_is_told_by_its_source() -> None:
    body = relayed()
    (status,) = of_relay(crashing("boom", 137), oom=True)
    running = {**status, "state": {"running": {}}, "restartCount": 1}
    pod = pod_with(body, [running])
    down = verdict_on(pod, SourceReason.RELAY_DOWN, verified=False)
    sync = verified_before(body)
    view = assessed(model(body, pod), spec=ALWAYS, sync=sync, verdicts=[down])
    assert stands(view) == ("Degraded", "RelayDown")
    assert "it ended with code 137 (OOMKilled)" in view.message
    assert "limits.memory" in view.message
