"""How the operator itself does, gathered where it happens for a scrape to tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvsync.adapters.kube.events import EventRecorder
from kvsync.adapters.kube.watch import Watch
from kvsync.model.metering import Vitals, WatchReading
from kvsync.shell.leadership import Leadership
from kvsync.shell.queue import WorkQueue


def vitals_of(
    queue: WorkQueue[Any],
    recorder: EventRecorder,
    watches: Mapping[str, Watch[Any]],
    leadership: Leadership | None = None,
) -> Vitals:
    """The moment's reading of all but the passes. ``watches`` are those that run, by what they follow;
    ``leadership`` is None where there is no election."""
    return Vitals(
        queue_length=len(queue),
        queue_oldest=queue.oldest(),
        queue_adds=queue.adds,
        queue_retries=queue.retries,
        events=recorder.written,
        events_dropped=recorder.dropped,
        leader=1 if leadership is None else int(leadership.holds()),
        leader_transitions=0 if leadership is None else leadership.transitions,
        watches=tuple(_reading(name, watch) for name, watch in watches.items()),
    )


def _reading(name: str, watch: Watch[Any]) -> WatchReading:
    healthy = watch.healthy_since is not None
    return WatchReading(name, healthy, watch.silence(), watch.lists, watch.idle())
