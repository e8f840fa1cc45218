"""The metrics of the operator's own moment: its queue, its watches, its Events, its processes."""

from __future__ import annotations

from collections.abc import Iterable

from kvsync.adapters.exposition import counter, gauge, labels
from kvsync.adapters.processes import cost_of
from kvsync.model.metering import Vitals, Worker

_VITALS = {
    "queue_length": gauge("kvsync_queue_length", "Objects that wait for a pass."),
    "queue_oldest": gauge(
        "kvsync_queue_oldest_age_seconds",
        "Seconds that the object has waited for a pass that waits longest; 0 where none waits.",
    ),
    "queue_adds": counter("kvsync_queue_adds", "Times that an object was put into the queue."),
    "queue_retries": counter(
        "kvsync_queue_retries",
        "Times that an object was put off to be tried again, after an error or one change too many in a row.",
    ),
    "longest_pass": gauge(
        "kvsync_reconcile_longest_running_seconds",
        "Seconds that the longest of the passes under way has run; 0 where none is.",
    ),
    "events": counter(
        "kvsync_kubernetes_events",
        "Kubernetes Events that were written; repetitions of one are not counted.",
    ),
    "events_dropped": counter(
        "kvsync_kubernetes_events_dropped",
        "Kubernetes Events that were not written: over an object's budget, too many at once, or refused.",
    ),
    "leader": gauge(
        "kvsync_leader",
        "1 where this replica leads, or there is no leader election; 0 where it stands by.",
    ),
    "leader_transitions": counter(
        "kvsync_leader_transitions",
        "Times that leadership changed hands, as the Lease counts them: the same from every replica.",
    ),
}
"""By the name of their field."""

_WATCH_HEALTHY = gauge(
    "kvsync_watch_healthy", "1 where all that the watch is for is listed and followed, else 0."
)
_WATCH_SILENCE = gauge(
    "kvsync_watch_silence_seconds",
    "Seconds since the API server sent anything on the watch; a live one is opened again within 10 minutes.",
)
_WATCH_LISTS = counter(
    "kvsync_watch_lists",
    "Complete lists of a watch, one for each namespace that it follows; more mean that it lost its place.",
)

_WORKER_RESTARTS = counter(
    "kvsync_probe_worker_restarts",
    "Times that a process that watches sources ended and was made anew.",
)
_WORKER_CPU = counter(
    "kvsync_probe_worker_cpu_seconds",
    "CPU seconds of a process that watches sources, since its start.",
)
_WORKER_MEMORY = gauge(
    "kvsync_probe_worker_resident_memory_bytes",
    "Bytes of memory that a process that watches sources holds.",
)
_WORKER_FDS = gauge(
    "kvsync_probe_worker_open_fds", "Open file descriptors of a process that watches sources."
)


def vital_lines(vitals: Vitals) -> Iterable[str]:
    """The families of the operator's own moment, line by line."""
    for field, family in _VITALS.items():
        yield from family.lines([("", getattr(vitals, field))])
    named = [(labels(watch=each.name), each) for each in vitals.watches]
    yield from _WATCH_HEALTHY.lines((name, int(each.healthy)) for name, each in named)
    yield from _WATCH_SILENCE.lines((name, each.silence) for name, each in named)
    yield from _WATCH_LISTS.lines((name, each.lists) for name, each in named)


def worker_lines(workers: Iterable[Worker]) -> Iterable[str]:
    """The families of processes that watch sources, line by line."""
    named = [
        (labels(worker=each.name), each, None if each.pid is None else cost_of(each.pid))
        for each in workers
    ]
    alive = [(name, cost) for name, _, cost in named if cost is not None]
    yield from _WORKER_RESTARTS.lines((name, worker.restarts) for name, worker, _ in named)
    yield from _WORKER_CPU.lines((name, cost.cpu_seconds) for name, cost in alive)
    yield from _WORKER_MEMORY.lines((name, cost.resident_bytes) for name, cost in alive)
    yield from _WORKER_FDS.lines((name, cost.open_fds) for name, cost in alive)
