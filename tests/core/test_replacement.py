"""Replacements of pods that were created without their settings: when, how many, and in which words."""

from dataclasses import replace

import pytest

from core.admission_rules import admitted, pod_of_template
from core.objects import Json, ask, deployment, spec_of
from core.scenes import verdict_on
from kvsync.core.bare_pods import bare_verdicts, is_not_injected
from kvsync.core.moment import timestamp
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.planned import Part
from kvsync.core.replacement import (
    AGAIN,
    Replacement,
    remembered,
    replaced_so_far,
    replacement_of,
)
from kvsync.model.source import SourceReason, Verdict
from kvsync.model.workload import Deployment, Pod

MADE = plan(Deployment(deployment()), ask(spec_of(mode="Admission"), at=1_000))
BODY: Json = apply(deployment(), MADE.patch)
(PART,) = MADE.parts
CREATED = 5_000.0


def pod(name: str = "model-0", body: Json = BODY, *, blind: bool = True) -> Pod:
    assert MADE.injection is not None
    made = pod_of_template(body)
    made = made if blind else admitted(made, [MADE.injection.entry()])
    made["metadata"] |= {
        "name": name,
        "uid": f"uid-of-{name}",
        "creationTimestamp": timestamp(CREATED),
    }
    ready = {"type": "Ready", "status": "True"}
    return Pod({**made, "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [ready]}})


def verdicts(*pods: Pod, settled: bool = True) -> list[Verdict]:
    return [
        verdict_on(each, SourceReason.NOT_INJECTED, verified=False, settled=settled)
        for each in pods
    ]


def next_one(
    *times: int,
    now: float = CREATED,
    by: str = "another",
    pods: tuple[Pod, ...] = (),
    part: Part = PART,
) -> Replacement | None:
    told = {"terms": PART.token, "times": list(times), "by": by}
    found = pods or (pod(),)
    counted = replaced_so_far(told, part.token, now)
    return replacement_of(part, found, verdicts(*found), counted, now)


@pytest.mark.parametrize(
    ("times", "at"),
    [
        ((), CREATED + 10),
        ((5_020,), 5_020 + 30),
        ((5_020, 5_050), 5_050 + 120),
        ((5_020, 5_050, 5_170), None),
        ((3_000, 3_050, 5_020), 5_020 + 30),
    ],
)
def test_each_one_waits_longer_and_there_are_three(
    times: tuple[int, ...], at: float | None
) -> None:
    found = next_one(*times, now=5_200.0)
    assert found is not None
    assert found.at == at
    assert found.is_due(5_200.0) is (at is not None)
    assert not found.is_due((at or 9_999.0) - 1) or at is None


def test_the_count_begins_anew_with_other_settings_and_ends_after_a_quiet_while() -> None:
    told = {"terms": "of before", "times": [5_020, 5_050, 5_170], "by": "x"}
    assert replaced_so_far(told, PART.token, 5_200.0).number == 1
    counted = replaced_so_far({**told, "terms": PART.token}, PART.token, 5_200.0)
    assert remembered(counted, 5_200.0) == counted.made
    assert remembered(counted, 5_170.0 + 1_800) is None


def test_it_says_when_or_that_it_is_left_so() -> None:
    assert (
        str(next_one()) == f"It is evicted at {timestamp(CREATED + 10)} at the earliest (1 of 3)."
    )
    assert "left so after 3 replacements" in str(next_one(5_020, 5_050, 5_170, now=5_200.0))


def test_the_words_do_not_change_while_nothing_happens() -> None:
    assert str(next_one(5_020, now=5_021.0)) == str(next_one(5_020, now=5_049.0))


def test_a_pod_whose_eviction_was_refused_counts_once() -> None:
    found = next_one(5_020, by="model-0", now=5_060.0)
    assert found is not None
    assert (found.at, found.number) == (5_020 + AGAIN, 1)
    assert found.counted.times == (5_060,)
    last = next_one(5_020, 5_050, 5_170, by="model-0", now=5_300.0)
    assert last is not None
    assert last.is_due(5_300.0)
    assert last.counted.times == (5_020, 5_050, 5_300)


def test_one_pod_at_a_time_in_the_order_of_their_names() -> None:
    found = next_one(pods=(pod("model-b"), pod("model-a")))
    assert found is not None
    assert found.pod.name == "model-a"
    assert found.counted.by == "model-a"


def test_nothing_while_it_is_not_settled() -> None:
    counted = replaced_so_far(None, PART.token, CREATED)
    found = replacement_of(PART, (pod(),), verdicts(pod(), settled=False), counted, CREATED)
    assert found is None


def test_only_a_pod_that_asks_and_has_no_label_was_not_injected() -> None:
    assert is_not_injected(PART, pod())
    assert not is_not_injected(PART, pod(blind=False))
    assert not is_not_injected(PART, pod(body=deployment()))
    patched = plan(Deployment(deployment()), ask()).parts[0]
    assert not is_not_injected(patched, pod())


def test_a_pod_that_lost_a_piece_later_is_named_and_left() -> None:
    stripped = pod(blind=False)
    stripped.body["spec"]["containers"][0].pop("args")
    live = Deployment(
        {**BODY, "status": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}}
    )
    (found,) = bare_verdicts(PART, [stripped], live, None, 9_000.0)
    assert found.reason is SourceReason.NOT_INJECTED
    assert "arguments of container vllm" in found.message
    counted = replaced_so_far(None, PART.token, CREATED)
    assert replacement_of(PART, (stripped,), [found], counted, 9_000.0) is None


def test_a_pod_of_before_the_change_is_no_pod_that_was_missed() -> None:
    live = Deployment(
        {**BODY, "status": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}}
    )
    (found,) = bare_verdicts(PART, [pod(body=deployment())], live, None, 9_000.0)
    assert found.reason is SourceReason.NOT_RESTARTED
    (missed,) = bare_verdicts(PART, [pod()], live, None, 9_000.0)
    assert "policy" in missed.message
    assert replace(missed, message="").remedy
