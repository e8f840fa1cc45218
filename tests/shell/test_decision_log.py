"""The log of decisions: one line for each, with the object it is about, and none where nothing changed."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from core.scenes import sync_of
from kvsync.adapters.log_lines import JsonLines, TextLines
from kvsync.model.decision import Action, Deed, Kind
from kvsync.model.observed import KVEventSync
from kvsync.shell.decision_log import log_action, log_status

HOSTILE = "said: \n2026 ERROR kvsync: all keys lost\r\x1b[31m \u2028token"


class Log:
    def __init__(self, formatter: logging.Formatter) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(formatter)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().split("\n")[:-1]

    @property
    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    yield from logged(JsonLines() if request.param == "json" else TextLines())


@pytest.fixture
def as_json() -> Iterator[Log]:
    yield from logged(JsonLines())


def logged(formatter: logging.Formatter) -> Iterator[Log]:
    made = Log(formatter)
    logger = logging.getLogger("kvsync.shell.decision_log")
    logger.addHandler(made.handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield made
    logger.removeHandler(made.handler)
    logger.setLevel(level)


def condition(kind: str, status: str, reason: str, message: str = "So.") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def sync(*conditions: dict[str, str]) -> KVEventSync:
    return KVEventSync({**sync_of().body, "status": {"conditions": list(conditions)}})


def test_an_action_is_one_line_of_what_on_what_and_why(as_json: Log) -> None:
    one = sync()
    log_action(one, Action(Kind.DEPLOYMENT, "ns", "m", (), Deed.CONFIGURED, "It publishes now."))
    log_action(one, Action(Kind.SYNC, "ns", "kv", (), Deed.FINALIZER, ""))
    log_action(one, Action(Kind.POD, "ns", "p", (), Deed.POD_UNLABELLED, "Look.", warning=True))
    key = f"{one.namespace}/{one.name}"
    assert [(each["level"], each["kvsync"], each["message"]) for each in as_json.said] == [
        ("info", key, "Deployment ns/m: Configured: It publishes now."),
        ("info", key, "KVEventSync ns/kv: Finalizer"),
        ("warning", key, "Pod ns/p: PodUnlabelled: Look."),
    ]


def test_a_condition_that_became_another_is_a_line_and_what_stayed_is_none(as_json: Log) -> None:
    before = sync(
        condition("Ready", "False", "RollingOut", "0 of 2."),
        condition("EventsFlowing", "False", "Verifying", "0 of 2."),
        condition("Stalled", "False", "Working"),
    )
    after = [
        condition("Ready", "False", "RollingOut", "1 of 2."),
        condition("EventsFlowing", "False", "Verifying", "1 of 2."),
        condition("Stalled", "True", "Contended"),
    ]
    log_status(before, {"conditions": after})
    assert [(each["level"], each["message"]) for each in as_json.said] == [
        ("info", "Ready is False (RollingOut): 1 of 2."),
        ("warning", "Stalled is True (Contended): So."),
    ]
    log_status(before, {"conditions": before.status["conditions"] if before.status else []})
    assert len(as_json.said) == 2


@pytest.mark.parametrize("before", [None, {}, {"conditions": "none"}, {"conditions": [1, None]}])
def test_whatever_stood_in_the_status_a_first_condition_is_told(as_json: Log, before: Any) -> None:
    odd = KVEventSync({**sync_of().body, "status": before})
    log_status(odd, {"conditions": [condition("Ready", "True", "Synchronized")]})
    assert len(as_json.said) == 1


def test_what_engines_and_objects_say_cannot_make_a_line_of_its_own(log: Log) -> None:
    log_action(sync(), Action(Kind.DEPLOYMENT, "ns", "m", (), Deed.ROLLED_BACK, HOSTILE))
    log_status(sync(), {"conditions": [condition("Ready", "False", "EngineCrashed", HOSTILE)]})
    assert len(log.lines) == 2
    assert all(line.isprintable() for line in log.lines)
