"""The gateway's metrics that have to do with KV events, with their traps.

The indexer status and `using_kv_sync` follow the environment alone: they say "sync" also when
initialisation failed and nothing is consumed (AIBrix `algorithms/prefix_cache.go`). Per-pod ZMQ
metrics exist in v0.4.x only.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from testbed.gateway.settings import Settings

_POD = ["pod_key"]


class ZmqMetrics:
    """`aibrix_kvcache_zmq_*`, per pod; deleted with the subscription."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, labels: list[str]) -> Counter:
            return Counter(f"aibrix_kvcache_zmq_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"aibrix_kvcache_zmq_{name}", text, _POD, registry=registry)

        self.connections = counter("connections", "Connections established", _POD)
        self.disconnections = counter("disconnections", "Disconnections", _POD)
        self.replays = counter("replay_requests", "Replay requests answered", _POD)
        self.missed = counter("missed_events", "Events missed", _POD)
        self.processed = counter("events_processed", "Events processed", [*_POD, "event_type"])
        self.errors = counter("errors", "Errors", [*_POD, "error_type"])
        self.status = gauge("connection_status", "1=connected, 0=disconnected")
        self.last_sequence = gauge("last_sequence_id", "Last processed sequence")

    def forget(self, pod: str) -> None:
        """Removes every series of one pod."""
        for metric in (self.connections, self.disconnections, self.replays, self.missed):
            metric.remove_by_labels({"pod_key": pod})
        for vector in (self.processed, self.errors, self.status, self.last_sequence):
            vector.remove_by_labels({"pod_key": pod})


class GatewayMetrics:
    """All series of one gateway process."""

    def __init__(self, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        self._sync = str(settings.sync).lower()
        status = Gauge(
            "aibrix_prefix_cache_indexer_status",
            "Status of prefix cache indexer (1=available, 0=unavailable)",
            ["model", "indexer_type"],
            registry=self.registry,
        )
        status.labels("_init_", "sync").set(int(settings.sync))
        status.labels("_init_", "local").set(int(not settings.sync))
        self._decisions = Counter(
            "aibrix_prefix_cache_routing_decisions",
            "Total number of routing decisions by match percentage",
            ["model", "match_percent_bucket", "using_kv_sync"],
            registry=self.registry,
        )
        self._selections = Counter(
            "aibrix_prefix_cache_routing_selection",
            "Total number of prefix cache routing pod selections by method",
            ["model", "selection", "using_kv_sync"],
            registry=self.registry,
        )
        self.tokenizer_failures = Counter(
            "aibrix_tokenizer_pool_creation_failures",
            "Total number of failed tokenizer creations",
            registry=self.registry,
        )
        self.zmq: ZmqMetrics | None = None

    def open_zmq(self) -> None:
        """Registers the per-pod ZMQ metrics; the gateway does so when it starts to consume."""
        self.zmq = ZmqMetrics(self.registry)

    def routed(self, model: str, percent: int) -> None:
        """Counts one routing decision of the prefix-cache router."""
        selection = "prefix_match" if percent else "least_request_fallback"
        self._decisions.labels(model, _bucket(percent), self._sync).inc()
        self._selections.labels(model, selection, self._sync).inc()

    def text(self) -> bytes:
        """The exposition that `/metrics` answers with."""
        return generate_latest(self.registry)


def _bucket(percent: int) -> str:
    for upper, name in ((0, "0"), (25, "1-25"), (50, "26-50"), (75, "51-75"), (99, "76-99")):
        if percent <= upper:
            return name
    return "100"
