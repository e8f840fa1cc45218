"""The operator's metrics in Prometheus' text format. docs/metrics.md lists every one of them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
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

from kvsync.adapters.model_metrics import model_lines
from kvsync.adapters.object_metrics import object_lines
from kvsync.adapters.process_metrics import vital_lines, worker_lines
from kvsync.model.decision import Action, Deed
from kvsync.model.metering import Reading, Vitals, Worker

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

STATUS = "Status"
"""The reason of a patch that replaces the status of an object."""

_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ANSWERS = (0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0)
_LAGS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0)


class Result(StrEnum):
    """How a pass over one object ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    """Nothing but, where that is new, a status was written."""
    RACED = "raced"
    """Somebody wrote at the same time: it is repeated at once, and is no error."""
    FAILED = "failed"


class Metrics:
    """What the operator does itself is noted as it happens; everything else is handed to a scrape.

    ``shard`` names its part of the objects; empty where it serves all.
    """

    def __init__(self, shard: str = "") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._passes = Histogram(
            "kvsync_reconcile_duration_seconds",
            "Seconds that a pass over one object took; the count is the number of passes.",
            buckets=_DURATIONS,
            registry=registry,
        )
        self._results = Counter(
            "kvsync_reconciles",
            "Passes over one object by result: changed, unchanged, raced (another writer came first; "
            "repeated at once), failed (repeated later).",
            ("result",),
            registry=registry,
        )
        self._requests = Counter(
            "kvsync_api_requests",
            "Requests to the API server by verb and status code ('error': no answer came); the "
            "watch of KVEventSync objects is not among them.",
            ("verb", "code"),
            registry=registry,
        )
        self._answers = Histogram(
            "kvsync_api_request_duration_seconds",
            "Seconds until the API server's answer to a request began, by verb.",
            ("verb",),
            buckets=_ANSWERS,
            registry=registry,
        )
        self._patches = Counter(
            "kvsync_patches",
            "Patches that the API server took, and objects made or removed, by kind of object and what was "
            "done (docs/events.md; 'Status': an object's status was written).",
            ("kind", "reason"),
            registry=registry,
        )
        self._rollouts = Counter(
            "kvsync_rollouts",
            "Patches that made the pods of a model or gateway restart, by reason.",
            ("reason",),
            registry=registry,
        )
        self._rollbacks = Counter(
            "kvsync_rollbacks",
            "Models that were given their former settings back because they did not come up.",
            registry=registry,
        )
        self._repairs = Counter(
            "kvsync_repairs",
            "Times that what someone undid on a model or gateway was written again.",
            registry=registry,
        )
        self._lag = Histogram(
            "kvsync_event_loop_lag_seconds",
            "Seconds by which the event loop was late, looked at once a second.",
            buckets=_LAGS,
            registry=registry,
        )
        Gauge(
            "kvsync_build_info",
            "Always 1; the operator's version, and its shard where several share the objects.",
            ("version", "shard"),
            registry=registry,
        ).labels(_version(), shard).set(1)
        for result in Result:  # a first failure is an increase only where 0 was told before
            self._results.labels(result)

    def note_pass(self, seconds: float, result: Result) -> None:
        """One pass over an object ended."""
        self._passes.observe(seconds)
        self._results.labels(result).inc()

    def note_request(self, verb: str, status: int, seconds: float) -> None:
        """The API server answered a request with this HTTP status; 0: it did not answer."""
        self._requests.labels(verb, str(status) if status else "error").inc()
        self._answers.labels(verb).observe(seconds)

    def note_patch(self, action: Action) -> None:
        """The API server took the patch of an action."""
        self._patches.labels(action.kind, action.reason).inc()
        if action.restarts:
            self._rollouts.labels(action.reason).inc()
        if action.reason is Deed.ROLLED_BACK:
            self._rollbacks.inc()
        if action.counted and not action.evicts:
            self._repairs.inc()

    def note_status(self, kind: str) -> None:
        """The API server took the status of an object."""
        self._patches.labels(kind, STATUS).inc()

    def note_lag(self, seconds: float) -> None:
        """The event loop came back this much later than it was asked to."""
        self._lag.observe(seconds)

    def text(self, reading: Reading, workers: Iterable[Worker], vitals: Vitals) -> bytes:
        """The exposition. ``CONTENT_TYPE`` is its media type."""
        lines = (
            *model_lines(reading),
            *object_lines(reading),
            *vital_lines(vitals),
            *worker_lines(workers),
            "",
        )
        return "\n".join(lines).encode() + generate_latest(self._registry)


def _version() -> str:
    try:
        return version("kvsync-operator")
    except PackageNotFoundError:
        return "unknown"
