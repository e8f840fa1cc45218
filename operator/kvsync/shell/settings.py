"""The operator's settings: one frozen object, from flags and their environment variables."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from kvsync.model.address import Address

DEFAULT_GATEWAYS = ("aibrix-system/aibrix-gateway-plugins",)
"""What AIBrix's own manifests install."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one operator process runs. The command line documents each of them (``kvsync run --help``)."""

    kubeconfig: str | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    """Namespaces whose objects are served; empty for all."""
    gateways: tuple[str, ...] = DEFAULT_GATEWAYS
    """Gateways that objects may have changed, as ``namespace/name``; ``*`` matches any part."""
    templates: str | None = None
    """A folder of templates to use in place of the built-in ones."""
    workers: int = 4
    max_rolling: int = 10
    """Models of all objects together that may be on their way at once; 0 for no limit."""
    probe_workers: int = 1
    """Processes that watch the engines."""
    probe_memory: int = 256
    """MiB of memory that each of them may use."""
    gateway_silence: float = 60.0
    """Seconds after its start in which a Ready gateway may say nothing of KV event sync."""
    metrics_address: Address | None = None
    """Where metrics and health are served over HTTP; None for nowhere."""

    def permits_gateway(self, namespace: str, name: str) -> bool:
        """Whether an object may have this Deployment changed as its gateway."""
        return any(fnmatchcase(f"{namespace}/{name}", pattern) for pattern in self.gateways)

    @property
    def watched(self) -> tuple[str, ...] | None:
        """The namespaces to watch Deployments and pods in; None for all.

        A gateway outside of the served namespaces is watched too.
        """
        if not self.namespaces:
            return None
        gateways = {pattern.partition("/")[0] for pattern in self.gateways}
        return tuple(sorted({*self.namespaces, *(g for g in gateways if g and "*" not in g)}))
