"""The operator's metrics in Prometheus' text format. docs/metrics.md lists every one of them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from kvsync.adapters.exposition import counter, gauge, labels
from kvsync.adapters.model_metrics import model_lines
from kvsync.adapters.processes import cost_of
from kvsync.model.metering import Reading, Worker

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_OBJECTS = gauge("kvsync_objects", "KVEventSync objects.")
_READY = gauge("kvsync_objects_ready", "KVEventSync objects whose condition Ready is True.")
_CONDITION = gauge(
    "kvsync_condition",
    "Conditions Ready, Stalled and GatewayCompatible of a KVEventSync object: 1 True, 0 False, "
    "-1 Unknown; of the first 1,000 objects by namespace and name.",
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


class Metrics:
    """What the operator does itself is noted as it happens; everything else is handed to a scrape."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._passes = Histogram(
            "kvsync_reconcile_duration_seconds",
            "Seconds that a pass over one object took; the count is the number of passes.",
            buckets=_DURATIONS,
            registry=registry,
        )
        self._errors = Counter(
            "kvsync_reconcile_errors",
            "Passes that ended in an error and are repeated, races with other writers included.",
            registry=registry,
        )
        self._queue = Gauge(
            "kvsync_queue_length", "Objects that wait for a pass.", registry=registry
        )
        self._requests = Counter(
            "kvsync_api_requests",
            "Requests to the API server by verb and status code ('error': no answer came); the "
            "watch of KVEventSync objects is not among them.",
            ("verb", "code"),
            registry=registry,
        )
        Gauge(
            "kvsync_build_info",
            "Always 1; the operator's version.",
            ("version",),
            registry=registry,
        ).labels(_version()).set(1)

    def note_pass(self, seconds: float) -> None:
        """One pass over an object ended, well or not."""
        self._passes.observe(seconds)

    def note_error(self) -> None:
        """One pass ended in an error."""
        self._errors.inc()

    def note_request(self, verb: str, status: int) -> None:
        """The API server answered a request with this HTTP status; 0: it did not answer."""
        self._requests.labels(verb, str(status) if status else "error").inc()

    def text(self, reading: Reading, workers: Iterable[Worker], queue_length: int) -> bytes:
        """The exposition. ``CONTENT_TYPE`` is its media type."""
        self._queue.set(queue_length)
        lines = (*model_lines(reading), *_object_lines(reading), *_worker_lines(workers), "")
        return "\n".join(lines).encode() + generate_latest(self._registry)


def _object_lines(reading: Reading) -> Iterable[str]:
    yield from _OBJECTS.lines([("", reading.objects)])
    yield from _READY.lines([("", reading.ready)])
    yield from _CONDITION.lines(
        (labels(namespace=c.namespace, kvsync=c.name, type=c.type, reason=c.reason), c.value)
        for c in reading.conditions
    )


def _worker_lines(workers: Iterable[Worker]) -> Iterable[str]:
    named = [
        (labels(worker=each.name), each, None if each.pid is None else cost_of(each.pid))
        for each in workers
    ]
    alive = [(name, cost) for name, _, cost in named if cost is not None]
    yield from _WORKER_RESTARTS.lines((name, worker.restarts) for name, worker, _ in named)
    yield from _WORKER_CPU.lines((name, cost.cpu_seconds) for name, cost in alive)
    yield from _WORKER_MEMORY.lines((name, cost.resident_bytes) for name, cost in alive)
    yield from _WORKER_FDS.lines((name, cost.open_fds) for name, cost in alive)


def _version() -> str:
    try:
        return version("kvsync-operator")
    except PackageNotFoundError:
        return "unknown"
