"""PromQL expressions as Prometheus' own parser reads them, and what operator and relay tell of theirs."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from adapters.scrapes import full_scrape
from kvsync.adapters.metrics import Result
from kvsync.core.assess import ModelState
from kvsync.core.census import SHOWN, UNLISTED
from kvsync.core.relay.relay import Relay, Terms
from kvsync.model.reasons import ConditionReason, ModelReason
from kvsync.model.source import SourceReason
from kvsync.relay.exposition import metrics_text
from testbed.promtool.install import find_parser

CHART = Path(__file__).resolve().parents[2] / "charts" / "kvsync-operator"
RULES = CHART / "files" / "alerts.yaml"

OF_TARGETS = frozenset({"namespace", "job", "instance", "pod", "container", "service"})
"""Labels that a ServiceMonitor or PodMonitor gives every series that has none of that name."""

WORDS = {
    "result": frozenset(Result),
    "state": {*ModelState, UNLISTED},
    "type": {*SHOWN, "BlockStored", "BlockRemoved", "AllBlocksCleared", "Unknown"},
    "turn": {"now", "next"},
    "verb": {"GET", "LIST", "WATCH", "CREATE", "UPDATE", "PATCH", "DELETE", "LOG"},
}
"""Values of labels that have few."""

_REASONS = {
    "kvsync_source_verdicts": frozenset(SourceReason),
    "kvsync_condition": {*ConditionReason, *ModelReason, *SourceReason},
}
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric that is asked for, with the conditions on its labels (label, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """What an expression asks for. ``namings``: the labels that an operator of it names, each time
    with the metrics below it. ``kept``: the labels of its result, where an aggregation names them."""

    text: str
    selectors: tuple[Selector, ...]
    namings: tuple[tuple[frozenset[str], frozenset[str]], ...]
    kept: tuple[str, ...] | None

    @property
    def metrics(self) -> frozenset[str]:
        """The names of all metrics."""
        return frozenset(each.metric for each in self.selectors)

    @staticmethod
    def read(texts: Sequence[str]) -> list[Expression]:
        """Read expressions. Raises AssertionError where one is none."""
        done = subprocess.run(
            [str(find_parser())],
            input=json.dumps(list(texts)),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        answers = json.loads(done.stdout)
        return [_read(text, answer) for text, answer in zip(texts, answers, strict=True)]


def _read(text: str, answer: Any) -> Expression:
    assert not answer.get("error"), f"{text}: {answer['error']}"
    return Expression(
        text,
        tuple(
            Selector(
                each["metric"], tuple((m["label"], m["op"], m["value"]) for m in each["matchers"])
            )
            for each in answer["selectors"]
        ),
        tuple((frozenset(n["labels"]), frozenset(n["metrics"])) for n in answer["namings"]),
        None if answer["kept"] is None else tuple(answer["kept"]),
    )


@functools.cache
def served() -> dict[str, frozenset[str]]:
    """The labels of every series that operator and relay tell, by its name."""
    found: dict[str, set[str]] = {}
    for text in (full_scrape(), metrics_text(Relay(Terms(ranks=2), 0.0), [True, False], 0.1)):
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return {name: frozenset(labels) for name, labels in found.items()}


def unknown_metrics(expression: Expression) -> set[str]:
    """The metrics that nobody tells. ``up`` is Prometheus' own."""
    return set(expression.metrics) - served().keys() - {"up"}


def foreign_labels(expression: Expression) -> set[str]:
    """Labels that are asked of metrics which do not have them, as ``metric.label``."""
    asked = {(each.metric, m[0]) for each in expression.selectors for m in each.matchers}
    odd = {f"{metric}.{label}" for metric, label in asked if label not in _labels(metric)}
    for labels, metrics in expression.namings:
        there = frozenset().union(*(_labels(each) for each in metrics))
        odd |= {f"{'|'.join(sorted(metrics))}.{label}" for label in labels - there}
    return odd


def _labels(metric: str) -> frozenset[str]:
    return served().get(metric, frozenset()) | OF_TARGETS


def unknown_words(expression: Expression) -> set[str]:
    """Values of labels with few values that are none of them."""
    return {
        word
        for each in expression.selectors
        for label, op, value in each.matchers
        for word in _words(op, value)
        if word not in _allowed(each.metric, label, word)
    }


def _words(op: str, value: str) -> Iterator[str]:
    """The words that a matcher names; patterns such as ``Relay.*`` and variables are none."""
    parts = value.split("|") if op in ("=~", "!~") else [value]
    return (part for part in parts if _WORD.fullmatch(part))


def _allowed(metric: str, label: str, word: str) -> Any:
    if label == "reason":
        return _REASONS.get(metric, {word})
    return WORDS.get(label, {word})
