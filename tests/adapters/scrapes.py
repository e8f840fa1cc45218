"""A scrape in which every metric has a series, and reading one back."""

from __future__ import annotations

import os
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from kvsync.adapters.metrics import Metrics, Result
from kvsync.model.decision import Action, Deed, Kind
from kvsync.model.metering import (
    ConditionReading,
    Counts,
    ModelName,
    ModelsReading,
    Reading,
    Standing,
    Vitals,
    WatchReading,
    Worker,
)
from kvsync.model.source import SourceReason

MODEL = ModelName("default", "my-model")

FULL = Reading(
    models={
        MODEL: (
            Counts(1, 2, 3, 4, 5, 6, 7, 8, 9),
            Standing(
                sources=3,
                verified=2,
                relayed=1,
                reasons={SourceReason.IDLE: 2, SourceReason.PORT_CLOSED: 1},
                rate=1.5,
                youngest=10.0,
                oldest=20.0,
                lag=0.25,
                mean_lag=0.125,
            ),
        )
    },
    objects=2,
    ready=1,
    conditions=(ConditionReading("default", "kv", "Ready", "Synchronized", 1),),
    progress=(ModelsReading("default", "kv", {"Ready": 3, "Pending": 2}, 1, 2, 1),),
)

VITALS = Vitals(
    queue_length=4,
    queue_oldest=1.5,
    queue_adds=20,
    queue_retries=3,
    longest_pass=0.5,
    events=6,
    events_dropped=2,
    watches=(WatchReading("pods", healthy=True, silence=30.0, lists=1),),
)


def full_scrape() -> bytes:
    metrics = Metrics()
    metrics.note_pass(0.1, Result.CHANGED)
    metrics.note_request("PATCH", 200, 0.01)
    metrics.note_request("LIST", 0, 5.0)
    metrics.note_patch(repair())
    metrics.note_status(Kind.SYNC)
    metrics.note_lag(0.002)
    return metrics.text(FULL, [Worker("0", os.getpid(), 2)], VITALS)


def repair() -> Action:
    """Writes again what someone undid; pods restart by it."""
    operations = ({"op": "remove", "path": "/spec/paused"},)
    return Action(
        Kind.DEPLOYMENT,
        "default",
        "my-model",
        operations,
        Deed.REPAIRED,
        "",
        counted=True,
        restarts=True,
    )


def families(text: bytes) -> dict[str, Metric]:
    """By the name in HELP and TYPE."""
    found = list(text_string_to_metric_families(text.decode()))
    return {f"{each.name}_total" if each.type == "counter" else each.name: each for each in found}


def series(text: bytes) -> dict[tuple[str, ...], float]:
    """Values by name and labels' values, in the order of the labels' names."""
    return dict(_series(text))


def _series(text: bytes) -> Iterator[tuple[tuple[str, ...], float]]:
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            yield (
                (sample.name, *(sample.labels[key] for key in sorted(sample.labels))),
                sample.value,
            )
