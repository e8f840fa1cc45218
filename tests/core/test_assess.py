"""Where a model stands, on every way from untouched to verified, and when it is given up."""

from dataclasses import replace
from typing import Any

import pytest

from core.objects import TEMPLATES, Json, ask, container, deployment, spec_of
from core.scenes import (
    NOW,
    configured,
    crashing,
    failing,
    model,
    observe,
    pod_of,
    rolled_out,
    sync_of,
    verdict_on,
)
from kvsync.core.assess import ModelView, assess
from kvsync.core.manifest import render_manifest
from kvsync.core.revert import record_of
from kvsync.core.steady import steady
from kvsync.core.told import record_mark, was_verified
from kvsync.core.waiting import waiting_words
from kvsync.model.observed import EngineAnswers, ObservedModel
from kvsync.model.record import OWNER_ANNOTATION
from kvsync.model.source import LOSSY, SourceReason, Target
from kvsync.model.workload import Deployment, Pod

ON_TIME, LATE = NOW, NOW + 100_000


def assessed(one: ObservedModel, **picture: Any) -> ModelView:
    observed = observe(one, **picture)
    return assess(one, observed, ask(observed.spec, at=int(observed.now)))


def stands(view: ModelView) -> tuple[str, str]:
    return view.state.value, view.reason


def live(body: Json | None = None, *, available: int | None = None) -> Json:
    return rolled_out(configured(body), available=available)


def verified_before(body: Json) -> Any:
    """The object with a status that tells of this model's change as verified."""
    entry = {"name": "model", "verifiedRecord": record_mark(record_of(Deployment(body)))}
    return sync_of(status={"models": [entry]})


def test_a_missing_deployment_is_named() -> None:
    view = assessed(model(None, name="gone"))
    assert stands(view) == ("Refused", "NoSuchDeployment")
    assert "gone" in view.message


def test_an_object_of_another_kind_is_named_by_that_kind() -> None:
    view = assessed(replace(model(None, name="fleet"), other_kind="RayClusterFleet"))
    assert stands(view) == ("Refused", "Unsupported")
    assert view.message.startswith("RayClusterFleet fleet: objects of this kind are not changed.")


def test_a_refused_plan_says_why_with_a_remedy() -> None:
    view = assessed(model(rolled_out(deployment(container("web", "nginx:1")))))
    assert stands(view) == ("Refused", "NoEngineContainer")
    assert view.message


def test_an_untouched_model_waits_for_its_turn() -> None:
    assert stands(assessed(model(rolled_out(deployment())))) == ("Pending", "WaitingForTurn")


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        (crashing("out of memory", 137), "137"),
        (
            [{"name": "vllm", "state": {"waiting": {"reason": "ImagePullBackOff"}}}],
            "image cannot be pulled",
        ),
    ],
)
def test_a_model_in_trouble_before_us_is_not_touched(statuses: list[Json], words: str) -> None:
    body = rolled_out(deployment(), available=0)
    view = assessed(model(body, pod_of(body, containerStatuses=statuses)))
    assert stands(view) == ("Refused", "ModelUnhealthy")
    assert words in view.message


def test_trouble_of_a_pod_on_its_way_out_counts_for_nothing() -> None:
    body = rolled_out(deployment())
    pod = pod_of(body, containerStatuses=crashing())
    leaving = Pod({**pod.body, "metadata": {**pod.body["metadata"], "deletionTimestamp": "now"}})
    assert stands(assessed(model(body, leaving))) == ("Pending", "WaitingForTurn")


def test_a_rollout_in_progress_says_how_far_it_is_and_what_it_waits_for() -> None:
    body = live(available=0)
    unplaced = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes have a GPU"}
    pod = pod_of(body, phase="Pending", conditions=[unplaced])
    view = assessed(model(body, pod))
    assert stands(view) == ("RollingOut", "RollingOut")
    assert "0 of 1" in view.message
    assert "0/3 nodes have a GPU" in view.message
    assert waiting_words(Deployment(body), (), (), NOW) == ""


@pytest.mark.parametrize(
    ("available", "state", "reason"),
    [(0, "Failed", "ProgressDeadlineExceeded"), (1, "Failed", "SourcesFailing")],
)
@pytest.mark.parametrize("policy", ["Rollback", "Pause"])
def test_past_its_deadline_a_model_on_trial_fails(
    available: int, state: str, reason: str, policy: str
) -> None:
    body = live(available=available)
    pod = pod_of(body)
    spec = spec_of(rollout={"onFailure": policy})
    view = assessed(model(body, pod), verdicts=[failing(pod)], spec=spec, now=LATE)
    assert stands(view) == (state, reason)
    assert view.roll_back is (policy == "Rollback")


def test_within_its_deadline_a_failing_source_is_waited_for() -> None:
    body = live()
    pod = pod_of(body)
    view = assessed(model(body, pod), verdicts=[failing(pod)], now=ON_TIME)
    assert stands(view) == ("Verifying", "PortClosed")
    assert "seen do" in view.message
    assert not view.roll_back


@pytest.mark.parametrize("late", [ON_TIME, LATE])
def test_a_crash_fails_a_model_on_trial_at_once(late: float) -> None:
    body = live(available=0)
    pod = pod_of(body, containerStatuses=crashing("unrecognized arguments"))
    view = assessed(model(body, pod), now=late)
    assert stands(view) == ("Failed", "EngineCrashed")
    assert view.roll_back
    assert "unrecognized arguments" in view.message


def test_a_crash_of_a_pod_from_the_old_template_is_not_ours() -> None:
    body = live(available=0)
    old = pod_of(deployment(), containerStatuses=crashing())
    assert stands(assessed(model(body, old))) == ("RollingOut", "RollingOut")


@pytest.mark.parametrize("case", ["source", "crash", "stuck"])
def test_what_was_verified_is_never_rolled_back(case: str) -> None:
    body = live(available=0 if case == "stuck" else 1)
    statuses = crashing() if case == "crash" else []
    pod = pod_of(body, containerStatuses=statuses)
    view = assessed(model(body, pod), verdicts=[failing(pod)], sync=verified_before(body), now=LATE)
    expected = {
        "source": ("Degraded", "PortClosed"),
        "crash": ("Degraded", "EngineCrashed"),
        "stuck": ("RollingOut", "RollingOut"),
    }
    assert stands(view) == expected[case]
    assert not view.roll_back


def test_a_verified_model_is_trusted_until_something_speaks_against_it() -> None:
    body = live()
    view = assessed(model(body, pod_of(body)), sync=verified_before(body), now=LATE)
    assert stands(view) == ("Ready", "Verified")
    assert [verdict.settled for verdict in view.verdicts] == [False]


def test_a_failing_source_is_never_taken_on_trust() -> None:
    body = live()
    pod = pod_of(body)
    held = steady(
        failing(pod), verdict_on(pod, SourceReason.CONNECTING, verified=False, settled=False)
    )
    view = assessed(model(body, pod), verdicts=[held], sync=verified_before(body), now=LATE)
    assert stands(view) == ("Degraded", "PortClosed")


@pytest.mark.parametrize("verified", [True, False])
def test_an_end_of_the_operators_own_process_is_no_news(verified: bool) -> None:
    body = live()
    pod = pod_of(body)
    lost = verdict_on(pod, SourceReason.PROBE_RESTARTED, verified=verified, settled=False)
    view = assessed(model(body, pod), verdicts=[lost], sync=verified_before(body), now=LATE)
    assert stands(view) == ("Ready", "Verified")
    (kept,) = view.verdicts
    assert (kept.reason, kept.verified, kept.settled) == (SourceReason.PROBE_RESTARTED, True, False)


@pytest.mark.parametrize("now", [ON_TIME, LATE])
@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("reason", sorted(LOSSY))
def test_a_lossy_path_is_told_and_takes_nothing_back(
    now: float, proven: bool, reason: SourceReason
) -> None:
    body = live()
    pod = pod_of(body)
    sync = verified_before(body) if proven else sync_of()
    gap = verdict_on(pod, reason)
    view = assessed(model(body, pod), verdicts=[gap], sync=sync, now=now)
    assert stands(view) == ("Ready", reason.value)
    assert not view.roll_back
    assert view.message == "1 of 1 sources verified. model-0: seen do"


def test_a_fault_is_named_before_silence() -> None:
    body = configured()
    body["spec"]["replicas"] = 2
    body = rolled_out(body)
    one, two = pod_of(body, "one"), pod_of(body, "two")
    verdicts = [verdict_on(one, verified=False), failing(two)]
    assert stands(assessed(model(body, one, two), verdicts=verdicts)) == ("Verifying", "PortClosed")


def test_the_trust_ends_with_the_record_it_was_given_for() -> None:
    body = live()
    record = record_of(Deployment(body))
    other = sync_of(status={"models": [{"name": "model", "verifiedRecord": 1}]})
    assert was_verified("model", record, verified_before(body))
    assert not was_verified("model", record, other)
    assert not was_verified("other", record, verified_before(body))
    assert stands(assessed(model(body, pod_of(body)), sync=other)) == ("Verifying", "Verifying")


@pytest.mark.parametrize(
    ("reason", "verified", "settled", "expected"),
    [
        (SourceReason.IDLE, True, True, ("Ready", "Verified")),
        (SourceReason.PUBLISHING, True, True, ("Ready", "Verified")),
        (SourceReason.IDLE, False, True, ("Verifying", "WaitingForTraffic")),
        (SourceReason.CONNECTING, False, False, ("Verifying", "Verifying")),
        (SourceReason.REPLAY_MISSING, False, True, ("Verifying", "ReplayMissing")),
        (SourceReason.ENGINE_RESTARTED, True, True, ("Ready", "Verified")),
        (SourceReason.SILENT_DESPITE_TRAFFIC, False, True, ("Verifying", "SilentDespiteTraffic")),
        (SourceReason.PREFIX_CACHING_OFF, False, True, ("Verifying", "PrefixCachingOff")),
    ],
)
def test_sources_decide_once_the_rollout_is_over(
    reason: SourceReason, verified: bool, settled: bool, expected: tuple[str, str]
) -> None:
    body = live()
    pod = pod_of(body)
    seen = verdict_on(pod, reason, verified=verified, settled=settled)
    assert stands(assessed(model(body, pod), verdicts=[seen])) == expected


def test_silence_never_fails_a_model() -> None:
    body = live()
    pod = pod_of(body)
    view = assessed(model(body, pod), verdicts=[verdict_on(pod, verified=False)], now=LATE)
    assert stands(view) == ("Verifying", "WaitingForTraffic")


def test_every_rank_of_every_pod_is_expected() -> None:
    engine = container(command=["vllm", "serve", "tiny", "--data-parallel-size", "2"])
    spec = spec_of(events={"replayPort": 6000})
    body = configured(deployment(engine), spec=spec)
    body["spec"]["replicas"] = 2
    body = rolled_out(body)
    pods = [pod_of(body, "one"), pod_of(body, "two")]
    heard = [verdict_on(pod, rank=rank) for pod in pods for rank in (0, 1)]
    some = assessed(model(body, *pods), verdicts=heard[:3], spec=spec)
    assert (some.expected_sources, some.verified_sources) == (4, 3)
    assert stands(some) == ("Verifying", "Verifying")
    every = assessed(model(body, *pods), verdicts=heard, spec=spec)
    assert stands(every) == ("Ready", "Verified")


def test_a_verdict_does_not_outlive_its_pod() -> None:
    body = live()
    old, new = pod_of(body, "old"), pod_of(body, "new")
    view = assessed(model(body, new), verdicts=[verdict_on(old)])
    assert stands(view) == ("Verifying", "Verifying")


def test_scaled_to_zero_is_ready_without_sources() -> None:
    body = configured()
    body["spec"]["replicas"] = 0
    view = assessed(model(rolled_out(body)))
    assert stands(view) == ("Ready", "ScaledToZero")
    assert view.expected_sources == 0


def test_the_block_size_is_that_of_the_first_engine_that_told() -> None:
    body = live()
    one, two = pod_of(body, "one"), pod_of(body, "two")
    answers = {one.uid: EngineAnswers("0.16.0", None), two.uid: EngineAnswers("0.16.0", 16)}
    view = assessed(model(body, one, two, answers=answers))
    assert (view.asked, view.block_size) == (True, 16)
    assert not assessed(model(body, one)).asked


def test_a_model_of_another_object_is_refused() -> None:
    body = live()
    body["metadata"]["annotations"][OWNER_ANNOTATION] = "default/other/uid-of-other"
    assert stands(assessed(model(body))) == ("Refused", "OwnedByAnother")


def targets_of(args: list[str], **spec: Any) -> tuple[Target, ...]:
    body = configured(deployment(container(args=["--model", "m", *args])))
    pod = pod_of(rolled_out(body))
    return assessed(model(rolled_out(body), pod), spec=spec_of(**spec)).targets


def test_a_target_tells_where_its_engine_answers_and_what_a_block_is() -> None:
    sharing = ["-dcp", "4", "--prefill-context-parallel-size=2"]
    (target,) = targets_of(["--port=9000", "--served-model-name", "mine", *sharing])
    assert (target.http_port, target.served_model, target.block_factor) == (9000, "mine", 8)
    (plain,) = targets_of([])
    assert (plain.http_port, plain.served_model, plain.block_factor) == (8000, "", 1)


def test_a_canary_is_for_pods_with_one_source() -> None:
    asked: dict[str, Any] = {"probe": {"canary": True}}
    assert [target.canary for target in targets_of([])] == [False]
    assert [target.canary for target in targets_of([], **asked)] == [True]
    ranks = targets_of(["--data-parallel-size=2"], **asked)
    assert [target.canary for target in ranks] == [False, False]


@pytest.mark.parametrize("late", [ON_TIME, LATE])
def test_what_its_owner_rendered_for_git_is_left_as_it_is(late: float) -> None:
    """Its record has no time and no mark: it is never on trial, and a mark would be a difference."""
    rendered = render_manifest(deployment(), spec_of(), TEMPLATES)
    body = rolled_out(dict(rendered.body))
    pod = pod_of(body)
    working = assessed(model(body, pod), verdicts=[verdict_on(pod)], now=late)
    assert stands(working) == ("Ready", "Verified")
    broken = assessed(model(body, pod), verdicts=[failing(pod)], now=late)
    assert stands(broken) == ("Verifying", "PortClosed")
    assert not broken.roll_back
    assert working.plan is not None
    assert working.plan.patch == ()
