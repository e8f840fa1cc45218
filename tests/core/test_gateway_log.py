"""What a gateway's log says: every line of AIBrix that tells, and none that only looks like one."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.gateway_log import (
    CALM,
    HEAD,
    MAX_PODS,
    MAX_WORDS,
    GatewayLog,
    read_log,
    reading_of,
    run_of,
)
from kvsync.model.gateway_log import GatewayReading, Start, Subscription
from kvsync.model.workload import Pod

BORN = 1_000.0
POD = "default/model-1"
NEWS = Subscription

BEGUN = "Initializing KV event synchronization"
DONE = "KV event synchronization initialized successfully"
CONNECTED = f"Successfully connected to vLLM pod {POD} at 10.0.0.7"
REPLAYED = f"Successfully requested replay from seq 0 for {POD} (response: 24 bytes)"
REPLAYED_ON_MAIN = f"Replayed 12 event batches from seq 0 for {POD}"
UNANSWERED = f"Failed to request initial replay for {POD}: failed to receive replay response: again"
STARTED = f"ZMQ client started for pod {POD}"
SUBSCRIBED = f"Subscribed to KV events for pod {POD} (model: m, IP: 10.0.0.7)"
UNUSABLE = f"Event consumption error for {POD}: failed to process message: failed to decode"
AGAIN = f"Attempting to reconnect to {POD} after 1s"
GONE = f"Unsubscribed from KV events for pod {POD}"
ROUTER = "KV event sync requires remote tokenizer. Remote tokenizer will be automatically enabled."
FAILED = "Failed to initialize KV event sync: "


def klog(text: str, severity: str = "I", where: str = "cache_init.go:500") -> str:
    return f"{severity}1126 10:00:00.000000       1 {where}] {text}"


def log_of(*texts: str, at: float = BORN, log: GatewayLog | None = None) -> GatewayLog:
    lines = [(at + number, klog(text)) for number, text in enumerate(texts)]
    return read_log(log or GatewayLog(BORN), lines, lost=False)


def said(*texts: str, now: float = BORN + 10, **more: Any) -> GatewayReading:
    asked = {"complete": True, "silence": 60.0, **more}
    return reading_of(log_of(*texts), 0, now, **asked)


@pytest.mark.parametrize(
    ("texts", "start"),
    [
        ([], Start.UNSAID),
        (["starting gateway server on port :50052"], Start.UNSAID),
        ([BEGUN], Start.BEGUN),
        ([BEGUN, DONE], Start.INITIALIZED),
        ([ROUTER], Start.FAILED),
        (["KV sync requires remote tokenizer, feature disabled"], Start.FAILED),
        ([BEGUN, "KV event sync is disabled"], Start.FAILED),
        ([BEGUN, f"{FAILED}failed to start: context deadline exceeded"], Start.FAILED),
        ([BEGUN, DONE, ROUTER], Start.INITIALIZED),
        ([BEGUN, DONE, f"{FAILED}late"], Start.FAILED),
        ([BEGUN, f"{FAILED}once", BEGUN, DONE], Start.INITIALIZED),
    ],
)
def test_the_last_word_about_the_start_counts(texts: list[str], start: Start) -> None:
    assert said(*texts).start is start


@pytest.mark.parametrize(
    ("texts", "last"),
    [
        ([CONNECTED], NEWS.CONNECTED),
        ([CONNECTED, STARTED, SUBSCRIBED], NEWS.CONNECTED),
        ([CONNECTED, REPLAYED, STARTED, SUBSCRIBED], NEWS.TAKEN),
        ([CONNECTED, REPLAYED_ON_MAIN, STARTED, SUBSCRIBED], NEWS.TAKEN),
        ([CONNECTED, UNANSWERED, STARTED, SUBSCRIBED], NEWS.UNANSWERED),
        ([CONNECTED, REPLAYED, UNUSABLE], NEWS.FAILING),
        ([CONNECTED, REPLAYED, UNUSABLE, AGAIN, CONNECTED], NEWS.FAILING),
        ([CONNECTED, REPLAYED, AGAIN], NEWS.FAILING),
        ([f"Failed to subscribe to pod {POD}: no address"], NEWS.FAILING),
        ([CONNECTED, REPLAYED, SUBSCRIBED, GONE], None),
        ([CONNECTED, REPLAYED, SUBSCRIBED, BEGUN], None),
    ],
)
def test_a_pod_is_taken_where_its_replay_was_answered_and_no_error_came_since(
    texts: list[str], last: Subscription | None
) -> None:
    assert said(BEGUN, DONE, *texts).pods.get(POD) is last


def test_a_pod_that_fails_and_is_answered_in_turn_counts_as_failing_until_it_is_calm() -> None:
    log = log_of(BEGUN, DONE, REPLAYED, UNUSABLE, AGAIN, CONNECTED, REPLAYED)
    failed_at = BORN + 4

    def by(now: float) -> Subscription:
        return reading_of(log, 0, now, complete=True, silence=60).pods[POD]

    assert by(failed_at + CALM - 1) is NEWS.FAILING
    assert by(failed_at + CALM) is NEWS.TAKEN


def test_why_it_failed_is_quoted_bounded_and_printable() -> None:
    words = said(f'{FAILED}KV event sync requires X=remote (got "\x1b[31mred\u202e")').words
    assert words == f'{FAILED}KV event sync requires X=remote (got "?[31mred?")'
    assert len(said(FAILED + "x" * 5_000).words) == MAX_WORDS
    assert said(FAILED + "x", BEGUN, DONE).words == ""


@pytest.mark.parametrize(
    "line",
    [
        DONE,
        f"prompt: {klog(DONE)}",
        klog(f"POST /v1/completions: {DONE}"),
        klog(f'"request" body="{DONE}"'),
        f"2026-11-26 INFO {DONE}",
        klog(DONE, severity="X"),
    ],
)
def test_a_line_that_only_holds_such_words_is_none(line: str) -> None:
    assert read_log(GatewayLog(BORN), [(BORN, line)], lost=False).start is Start.UNSAID


@pytest.mark.parametrize(
    ("now", "complete", "texts", "silent"),
    [
        (BORN + 60, True, ["serving"], True),
        (BORN + 59, True, ["serving"], False),
        (BORN + 60, False, ["serving"], False),
        (BORN + 60, True, [BEGUN], False),
        (BORN + 60, True, [DONE], False),
        (BORN + 60, True, [], False),
    ],
    ids=["silent", "early", "unread", "begun", "done", "empty"],
)
def test_a_gateway_that_is_ready_may_be_silent_only_so_long(
    now: float, complete: bool, texts: list[str], silent: bool
) -> None:
    assert said(*texts, now=now, complete=complete).silent is silent


def test_the_silence_of_a_log_in_another_form_says_nothing() -> None:
    log = read_log(GatewayLog(BORN), [(BORN, '{"level": "info", "msg": "serving"}')], lost=False)
    assert not reading_of(log, 0, BORN + 99, complete=True, silence=60).silent


def test_where_lines_are_missing_silence_says_nothing() -> None:
    late = log_of("serving", at=BORN + HEAD + 1)
    gap = read_log(log_of("serving"), [(BORN + 5, klog("serving"))], lost=True)
    for log in (late, gap):
        reading = reading_of(log, 0, BORN + 500, complete=True, silence=60)
        assert (reading.whole, reading.silent) == (False, False)


def test_a_subscription_proves_a_start_whose_lines_are_gone() -> None:
    log = log_of(CONNECTED, REPLAYED, SUBSCRIBED, at=BORN + 5_000)
    assert (log.start, log.whole) == (Start.INITIALIZED, False)
    assert log_of(BEGUN, SUBSCRIBED).start is Start.BEGUN
    assert log_of(f"{FAILED}late", at=BORN + 5_003, log=log).start is Start.FAILED


def test_pods_are_bounded() -> None:
    many = [SUBSCRIBED.replace(POD, f"ns/p{number}") for number in range(MAX_PODS + 1)]
    log = log_of(BEGUN, DONE, *many)
    assert len(log.pods) == MAX_PODS
    assert not log.whole
    assert len(log_of(GONE.replace(POD, "ns/p0"), SUBSCRIBED, log=log).pods) == MAX_PODS


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            (
                *(BEGUN, DONE, ROUTER, f"{FAILED}why", "serving"),
                *(CONNECTED, REPLAYED, UNANSWERED, SUBSCRIBED, UNUSABLE, AGAIN, GONE),
            )
        ).map(klog),
        st.text(max_size=80),
    ),
    max_size=30,
)


@given(LINES, st.lists(st.integers(0, 30), max_size=3))
def test_it_does_not_matter_in_which_pieces_a_log_is_read(
    lines: list[str], cuts: list[int]
) -> None:
    stamped = [(BORN + number, line) for number, line in enumerate(lines)]
    whole = read_log(GatewayLog(BORN), stamped, lost=False)
    edges = [0, *sorted(cuts), len(stamped)]
    log = GatewayLog(BORN)
    for start, end in pairwise(edges):
        log = read_log(log, stamped[start:end], lost=False)
    assert log == whole


@given(LINES)
def test_only_its_own_line_says_that_a_start_went_well(lines: list[str]) -> None:
    log = read_log(GatewayLog(BORN), [(BORN, line) for line in lines], lost=False)
    if log.start is Start.INITIALIZED:
        assert klog(DONE) in lines or klog(SUBSCRIBED) in lines


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"restartCount": 2, "state": {"running": {"startedAt": "1970-01-01T00:00:09Z"}}}, (2, 9)),
        ({"state": {"running": {"startedAt": "1970-01-01T00:00:09Z"}}}, (0, 9)),
        ({"restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}, None),
        ({"state": {"running": {}}}, None),
        ({}, None),
    ],
)
def test_which_start_a_container_runs_since(
    status: dict[str, Any], expected: tuple[int, int] | None
) -> None:
    pod = Pod({"metadata": {}, "status": {"containerStatuses": [{"name": "c", **status}]}})
    run = run_of(pod, "c")
    assert (run and (run.restarts, run.started_at)) == expected
    assert run_of(pod, "other") is None
