"""Which changes are judged at once: all that a verdict depends on, but not what every sample counts."""

from dataclasses import replace
from typing import Any

import pytest

from kvsync.adapters.probe.news import ANSWERED, LULL, is_news
from kvsync.core.judge import Policy, judge
from kvsync.model.events import EventLayout
from kvsync.model.source import Failure, Observation, SourceKey, Target

BUSY = Observation(
    since=0.0,
    handshake_at=1.0,
    messages=9,
    last_batch_at=100.0,
    last_sequence=9,
    replay_answered_at=90.0,
)
IDLE = replace(BUSY, messages=0, last_batch_at=None, last_sequence=None)
TARGET = Target(SourceKey("ns", "pod", "uid"), "10.0.0.1", 5557, 5558, "")
INTERVAL = TARGET.interval


def test_the_first_of_a_source_is_news() -> None:
    assert is_news(None, Observation(since=0.0), INTERVAL)


@pytest.mark.parametrize(
    "change",
    [
        {"failure": Failure.LOST, "failed_at": 101.0},
        {"handshake_at": 101.0},
        {"interrupted_at": 101.0},
        {"undecodable": "x"},
        {"undecodable_streak": 2},
        {"wrong_topic": "x"},
        {"gap_streak": 1},
        {"recent_gaps": 2},
        {"restarts": 1},
        {"layout": EventLayout.MAP},
        {"block_size": 16},
        {"last_batch_at": 100.0 + LULL + 1},
    ],
)
def test_what_a_verdict_depends_on_is_news(change: dict[str, Any]) -> None:
    assert is_news(BUSY, replace(BUSY, **change), INTERVAL)


def test_a_sample_of_a_healthy_source_is_none_and_changes_no_verdict() -> None:
    after = replace(BUSY, messages=17, last_batch_at=110.0, last_sequence=99, rate=9.0, lag=0.1)
    assert not is_news(BUSY, after, INTERVAL)
    before, now = (judge(TARGET, seen, 110.0, Policy()) for seen in (BUSY, after))
    assert (before.reason, before.verified) == (now.reason, now.verified)


@pytest.mark.parametrize("first", ["last_batch_at", "replay_answered_at"])
def test_the_first_batch_and_the_first_answer_are_news(first: str) -> None:
    missing: dict[str, Any] = {first: None}
    assert is_news(replace(BUSY, **missing), BUSY, INTERVAL)


def test_an_idle_source_that_answers_as_ever_is_no_news() -> None:
    answered = replace(IDLE, replay_answered_at=90.0 + 3.5 * INTERVAL)
    assert not is_news(IDLE, answered, INTERVAL)


def test_an_answer_behind_a_pause_is_news_before_the_proof_is_over() -> None:
    assert Policy().replay > ANSWERED
    late = replace(IDLE, replay_answered_at=90.0 + ANSWERED * INTERVAL + 0.1)
    assert is_news(IDLE, late, INTERVAL)
