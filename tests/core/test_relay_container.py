"""What the kubelet says of a relay's container stands in the verdict that it is down."""

from __future__ import annotations

from typing import Any

import pytest

from core.objects import deployment
from core.scenes import pod_of, verdict_on
from kvsync.core.relay_container import with_last_words
from kvsync.model.source import SourceReason
from kvsync.model.workload import Pod

DOWN = SourceReason.RELAY_DOWN


def pod(state: Any = None, last: Any = None, name: str = "kvsync-relay") -> Pod:
    status = {"name": name, "restartCount": 4, "state": state or {}, "lastState": last or {}}
    return pod_of(deployment(), initContainerStatuses=[status])


WAITS = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
FAILED = {"terminated": {"exitCode": 1, "reason": "Error"}}


@pytest.mark.parametrize(
    ("state", "last", "words", "remedy"),
    [
        (WAITS, KILLED, "CrashLoopBackOff, it ended with code 137 (OOMKilled).", "limits.memory"),
        (WAITS, FAILED, "CrashLoopBackOff, it ended with code 1 (Error).", "--previous"),
        (KILLED, None, "kvsync-relay: it ended with code 137 (OOMKilled).", "limits.memory"),
        (
            {"waiting": {"reason": "ImagePullBackOff"}},
            None,
            "kvsync-relay: ImagePullBackOff.",
            "spec.events.relay.image",
        ),
    ],
)
def test_the_kubelets_word_and_its_remedy(state: Any, last: Any, words: str, remedy: str) -> None:
    one = pod(state, last)
    said = with_last_words(verdict_on(one, DOWN), [pod_of(deployment(), "other"), one])
    assert words in said.message
    assert remedy in said.remedy
    assert "4" not in said.message


@pytest.mark.parametrize(
    "one", [pod({"running": {}}), pod(WAITS, KILLED, name="vllm"), pod_of(deployment())]
)
def test_where_it_says_nothing_of_the_relay_the_verdict_stands(one: Pod) -> None:
    verdict = verdict_on(one, DOWN)
    assert with_last_words(verdict, [one]) == verdict
    assert with_last_words(verdict, []) == verdict


def test_other_verdicts_are_not_touched() -> None:
    one = pod(WAITS, KILLED)
    verdict = verdict_on(one, SourceReason.RELAY_UPSTREAM_SILENT)
    assert with_last_words(verdict, [one]) == verdict
