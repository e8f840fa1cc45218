"""The operator's settings: one frozen object, from flags and their environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from kvsync.core.gateway_access import GatewayAccess, GatewayGrant
from kvsync.core.leadership import LONGEST, SHORTEST, USUAL, lease_of
from kvsync.model.address import Address
from kvsync.model.admission import AdmissionMeans
from kvsync.model.errors import KvsyncError
from kvsync.model.selector import LabelSelector
from kvsync.model.selector_text import selector_text
from kvsync.model.shard import Shard

DEFAULT_GATEWAYS = (
    GatewayGrant("aibrix-system", "aibrix-gateway-plugins"),
    GatewayGrant("aibrix-system", "kvcache-watcher"),
)
"""What AIBrix's own manifests install, and what is named as the second reader of its variables: for the
namespaces that carry the label."""

BOUNDS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "workers": (1, 64),
        "max_rolling": (0, 1000),
        "probe_workers": (1, 16),
        "probe_memory": (64, 65536),
        "gateway_silence": (1, 3600),
        "relay_budget": (0, 10_000_000),
        "lease_duration": (SHORTEST, LONGEST),
    }
)
"""The least and the most of each setting that is a number."""


class SettingsError(KvsyncError):
    """Settings that contradict each other; the message names them and the way out."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one operator process runs. The command line documents each of them (``kvsync run --help``)."""

    kubeconfig: str | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    """Namespaces whose objects are served; empty for all."""
    object_selector: LabelSelector | None = None
    """The objects of them that are served, by their labels; None for all."""
    gateways: tuple[GatewayGrant, ...] = DEFAULT_GATEWAYS
    """Gateways that may be changed, and for objects of which namespaces."""
    operator_namespace: str = ""
    """The operator's own namespace; empty: that of its pod, if it runs in one."""
    operator_labels: tuple[tuple[str, str], ...] = ()
    """Labels by which the operator's own pods are known, sorted; empty: not told."""
    model_network_policy: bool = False
    """Whether a NetworkPolicy is kept for the pods of each model."""
    admission_policy: bool = False
    """Whether the policy is installed by which pods get their settings in mode Admission."""
    image: str = ""
    """The operator's own image, of which relays are made; empty: not known."""
    relay_images: tuple[str, ...] = ()
    """Repositories whose images an object may name for its relays, beside that of ``image``."""
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
    relay_budget: float = 50_000.0
    """Events a second that all relays of one gateway together may tell it again; 0: each its own."""
    metrics_address: Address | None = None
    """Where metrics and health are served over HTTP; None for nowhere."""
    leader_elect: bool | None = None
    """Whether one of several replicas leads; None: where the operator runs in a pod."""
    lease_name: str | None = None
    """The Lease of the operator's own namespace by which the leader is found; None: see ``lease``."""
    lease_duration: float = USUAL
    """Seconds without a renewal after which another one leads."""
    log_format: str = "text"
    log_level: str = "info"

    def __post_init__(self) -> None:
        """Raises SettingsError where a number is out of bounds."""
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                flag = f"--{name.replace('_', '-')} (env KVSYNC_{name.upper()})"
                raise SettingsError(f"{flag} is {value}: give a number from {least} to {most}")

    def at(self, pod_namespace: str) -> Settings:
        """What follows from where the operator runs; ``pod_namespace`` is empty outside of a pod.

        Raises:
            SettingsError: they contradict what is found there.
        """
        own = self.operator_namespace or pod_namespace
        elect = bool(pod_namespace) if self.leader_elect is None else self.leader_elect
        if elect and not own:
            raise SettingsError(
                "--leader-elect (env KVSYNC_LEADER_ELECT) needs a namespace for its Lease: give "
                "--operator-namespace NAME (env KVSYNC_OPERATOR_NAMESPACE), or --no-leader-elect "
                "where no other operator runs"
            )
        if self.object_selector is not None and not elect:
            raise SettingsError(
                "--object-selector (env KVSYNC_OBJECT_SELECTOR) needs a Lease, by which the operators of "
                "other objects know this one: give --leader-elect and --operator-namespace NAME"
            )
        return replace(self, operator_namespace=own, leader_elect=elect)

    @property
    def lease(self) -> str:
        """The name of its Lease."""
        return self.lease_name or lease_of(self.object_selector)

    @property
    def shard(self) -> Shard:
        """The part of all objects that is served, which may be all of them. As of ``at``."""
        name = f"{self.operator_namespace}/{self.lease}" if self.leader_elect else ""
        return Shard(name, self.object_selector)

    @property
    def shard_name(self) -> str:
        """The shard's name, for whoever is told of it; empty where all objects are served."""
        return self.shard.name if self.shard.is_part else ""

    @property
    def scope(self) -> str:
        """What is served, in words."""
        where = ", ".join(self.namespaces) or "all namespaces"
        if self.object_selector is None:
            return where
        return f"{where}, objects with {selector_text(self.object_selector)}"

    @property
    def access(self) -> GatewayAccess:
        """Who may have which gateway changed."""
        return GatewayAccess(self.gateways, self.operator_namespace)

    @property
    def admission(self) -> AdmissionMeans:
        """What mode Admission stands on, before the API server is asked what it serves.

        The chart has the policy leave out the operator's own namespace, unless it is told to serve it.
        """
        out = () if self.namespaces else ("kube-system", self.operator_namespace)
        return AdmissionMeans(self.admission_policy, left_out=frozenset(out) - {""})

    @property
    def watched(self) -> tuple[str, ...] | None:
        """The namespaces to watch Deployments and pods in; None for all.

        A gateway outside of the served namespaces is watched too.
        """
        if not self.namespaces:
            return None
        gateways = {grant.gateway_namespace for grant in self.gateways}
        return tuple(sorted({*self.namespaces, *(g for g in gateways if "*" not in g)}))
