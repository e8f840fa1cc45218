"""The gateway's fixed times and ports: constants there, arguments here so that tests are fast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timings:
    """Seconds; the defaults are AIBrix's (`kvcache/types.go`, `kvevent/manager.go`)."""

    replay: float = 5.0
    reconnect: float = 1.0
    initialise: float = 30.0
    evict: float = 60.0


@dataclass(frozen=True)
class Ports:
    """Where the gateway listens; 0 picks a free port, no host means all addresses."""

    host: str | None = None
    metrics: int = 8080
    grpc: int = 50052
    http: int = 10080


PUBLISH_PORT = 5557
REPLAY_PORT = 5558
"""Hard-coded in the gateway: an engine on other ports publishes to nobody."""
