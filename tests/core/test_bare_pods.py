"""Pods of a configured model that run without our words: named, and never while they are being replaced."""

import copy
from typing import Any

import pytest

from core.objects import EVENTS_LABEL, Json, ask, container, deployment, spec_of
from core.scenes import (
    NOW,
    configured,
    model,
    observe,
    pod_of,
    rolled_out,
    sync_of,
    verdict_on,
)
from kvsync.core.assess import ModelView, assess
from kvsync.core.bare_pods import SETTLING
from kvsync.core.moment import timestamp
from kvsync.core.revert import record_of
from kvsync.core.trial import record_mark
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment, Pod

AT = 9_000
OLD, NEW = "5d7c", "7f8b"


def live(replicas: int = 2, *, available: int | None = None) -> Json:
    """A model that was configured long ago and is rolled out, by its status."""
    body = configured(at=AT)
    body["spec"]["replicas"] = replicas
    return rolled_out(body, available=available)


def made(
    body: Json, name: str, *, revision: str = NEW, created: float = AT + 5, **more: Any
) -> Pod:
    """A pod of a template, of this revision and age."""
    pod = copy.deepcopy(dict(pod_of(body, name, **more).body))
    pod["metadata"]["creationTimestamp"] = timestamp(created) if created else ""
    if revision:
        pod["metadata"]["labels"]["pod-template-hash"] = revision
    return Pod(pod)


def older(name: str = "old", **more: Any) -> Pod:
    """A pod of before the change."""
    return made(deployment(), name, **{"revision": OLD, "created": AT - 500, **more})


def stripped(name: str = "stripped", **more: Any) -> Pod:
    """A pod of the configured template, of which a webhook took our arguments."""
    body = live()
    body["spec"]["template"]["spec"]["containers"] = [container()]
    return made(body, name, **more)


def leaving(pod: Pod) -> Pod:
    return Pod({**pod.body, "metadata": {**pod.body["metadata"], "deletionTimestamp": "now"}})


def seen(
    body: Json, *pods: Pod, now: float = NOW, spec: KVEventSyncSpec | None = None, **more: Any
) -> ModelView:
    """The model, with every pod that carries our words verified."""
    verdicts = [verdict_on(pod) for pod in pods]
    observed = observe(model(body, *pods), verdicts=verdicts, spec=spec, now=now, **more)
    return assess(observed.models[0], observed, ask(observed.spec, at=int(now)))


def bare(view: ModelView) -> list[tuple[str, str, bool]]:
    """Pod, reason and whether it is settled, of all that is not verified."""
    return [(v.key.pod, v.reason.value, v.settled) for v in view.verdicts if not v.verified]


def stands(view: ModelView) -> tuple[str, str]:
    return view.state.value, view.reason


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (older("x"), "NotRestarted"),
        (stripped("x"), "NotInjected"),
        # By its age, where no hash tells.
        (older("x", revision=""), "NotRestarted"),
        (stripped("x", revision=""), "NotInjected"),
        # The hash outweighs two clocks that differ.
        (older("x", created=AT + 50), "NotRestarted"),
        (stripped("x", created=AT - 50), "NotInjected"),
        # Nothing tells, and the status says that all are of the current template.
        (stripped("x", revision="", created=0), "NotInjected"),
    ],
)
def test_a_pod_without_our_words_is_named(pod: Pod, reason: str) -> None:
    body = live()
    view = seen(body, made(body, "good"), pod)
    assert bare(view) == [("x", reason, True)]
    assert stands(view) == ("Verifying", reason)
    assert (view.verified_sources, view.expected_sources) == (1, 2)
    (verdict,) = (v for v in view.verdicts if not v.verified)
    assert verdict.remedy
    assert view.message == f"x: {verdict.message} {verdict.remedy}"
    assert {target.key.pod for target in view.targets} == {"good"}


def test_alone_it_is_told_by_its_age() -> None:
    assert bare(seen(live(1), older())) == [("old", "NotRestarted", True)]
    assert bare(seen(live(1), stripped())) == [("stripped", "NotInjected", True)]


def test_what_a_pod_lacks_is_named() -> None:
    body = live(1)
    unlabelled = copy.deepcopy(dict(made(body, "x").body))
    del unlabelled["metadata"]["labels"][EVENTS_LABEL]
    other = copy.deepcopy(dict(made(body, "x").body))
    other["spec"]["containers"][0]["name"] = "renamed"
    for pod, words in (
        (stripped("x"), "the KV event arguments of container vllm"),
        (Pod(unlabelled), f"the label {EVENTS_LABEL}"),
        (Pod(other), "the container vllm"),
    ):
        assert words in seen(body, pod).message


@pytest.mark.parametrize("pod", [older("x"), stripped("x")])
@pytest.mark.parametrize("going_on", ["status", "leaving", "starting", "just changed"])
def test_while_a_rollout_goes_on_nothing_is_called_a_failure(pod: Pod, going_on: str) -> None:
    body = live(3, available=2 if going_on == "status" else None)
    pods = [made(body, "good"), pod]
    if going_on == "leaving":
        pods.append(leaving(older("other")))
    if going_on == "starting":
        pods.append(made(body, "new", phase="Pending", conditions=[]))
    now = AT + SETTLING - 1 if going_on == "just changed" else NOW
    view = seen(body, *pods, now=now)
    assert [settled for _, _, settled in bare(view)] == [False]
    assert stands(view) == (
        ("RollingOut", "RollingOut") if going_on == "status" else ("Verifying", "Verifying")
    )


def test_a_pod_beyond_those_that_are_wanted_is_about_to_go() -> None:
    # Two watches: the old pod's end is told after the Deployment's.
    body = live(2)
    view = seen(body, made(body, "one"), made(body, "two"), older())
    assert bare(view) == []
    assert stands(view) == ("Ready", "Verified")


@pytest.mark.parametrize(
    "pod", [older(phase="Pending"), older(phase="Failed"), leaving(older()), older(podIP="")]
)
def test_a_pod_that_does_not_run_is_no_source(pod: Pod) -> None:
    body = live(2)
    assert bare(seen(body, made(body, "good"), pod)) == []


def test_one_that_ended_for_good_does_not_keep_a_rollout_going() -> None:
    body = live(2)
    evicted = made(body, "evicted", phase="Failed", conditions=[])
    view = seen(body, made(body, "good"), evicted, older())
    assert ("old", "NotRestarted", True) in bare(view)


def test_every_rank_of_it_is_missing() -> None:
    engine = container(command=["vllm", "serve", "tiny", "--data-parallel-size", "2"])
    spec = spec_of(events={"replayPort": 6000})
    body = rolled_out(configured(deployment(engine), spec=spec, at=AT))
    old = made(deployment(engine), "old", revision=OLD, created=AT - 1)
    view = seen(body, old, spec=spec)
    assert [v.key.rank for v in view.verdicts] == [0, 1]
    assert (view.verified_sources, view.expected_sources) == (0, 2)


@pytest.mark.parametrize("settled", [True, False])
def test_a_verified_model_does_not_trust_it(settled: bool) -> None:
    body = live(2)
    entry = {"name": "model", "verifiedRecord": record_mark(record_of(Deployment(body)))}
    pods = [made(body, "good"), stripped("x")]
    if not settled:
        pods.append(leaving(made(body, "other")))
    view = seen(body, *pods, sync=sync_of(status={"models": [entry]}))
    assert bare(view) == [("x", "NotInjected", settled)]
    assert view.verified_sources == 1
    if settled:
        assert stands(view) == ("Degraded", "NotInjected")


def test_past_its_deadline_a_model_whose_pods_never_carried_it_is_given_up() -> None:
    view = seen(live(1), older(), now=NOW + 100_000)
    assert (*stands(view), view.roll_back) == ("Failed", "SourcesFailing", True)
