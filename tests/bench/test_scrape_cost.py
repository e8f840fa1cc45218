"""What a scrape of 5,000 sources costs, when every one of them has counted since the last."""

from __future__ import annotations

import time

import pytest

from core.sightings import events, seen
from kvsync.adapters.metrics import Metrics
from kvsync.model.metering import Seen, Vitals
from kvsync.shell.metering import Metering

SOURCES = 5000
MOST_SECONDS = 0.2
TRIES = 5


def look(step: int, models: int) -> list[Seen]:
    return [
        seen(
            f"pod-{n}",
            f"model-{n % models}",
            messages=step * 8,
            octets=step * 40_000,
            events=events(stored=step * 64, removed=step * 60),
            last_batch_at=99.0,
            rate=12.5,
            lag=0.01,
        )
        for n in range(SOURCES)
    ]


@pytest.mark.parametrize("models", [50, 1000])
def test_a_scrape_costs_less_than_a_fifth_of_a_second(models: int) -> None:
    sources: list[Seen] = []
    metrics, metering = Metrics(), Metering(lambda: sources, tuple, lambda: 100.0)
    costs = []
    for step in range(1, TRIES + 1):
        sources = look(step, models)
        began = time.process_time()
        text = metrics.text(metering.reading(), (), Vitals())
        costs.append(time.process_time() - began)
    lines = text.count(b"\n")
    print(f"{SOURCES} sources, {models} models: {min(costs) * 1e3:.0f} ms CPU, {lines} lines")
    counted = SOURCES // models * TRIES * 8
    assert (
        f'kvsync_messages_total{{namespace="default",model="model-0"}} {counted}\n' in text.decode()
    )
    assert min(costs) < MOST_SECONDS
