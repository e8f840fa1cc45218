"""A pod as the gateway sees it, and which pods it subscribes to.

After AIBrix `pkg/kvevent/manager.go` and `pkg/constants`. Pure: from API JSON to data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.gateway.prefix_index import NO_LORA, Context

KV_EVENTS_LABEL = "model.aibrix.ai/kv-events-enabled"
MODEL_LABEL = "model.aibrix.ai/name"
ENGINE_LABEL = "model.aibrix.ai/engine"
LORA_LABEL = "model.aibrix.ai/lora-id"
PORT_LABEL = "model.aibrix.ai/port"
GROUP_INDEX_LABEL = "stormservice.orchestration.aibrix.ai/pod-group-index"
RAY_TYPE_LABEL = "ray.io/node-type"

DEFAULT_PORT = 8000
_EVENT_PORTS = frozenset({5557, 5558})


@dataclass(frozen=True)
class Pod:
    """The few fields of a pod that the gateway looks at."""

    namespace: str
    name: str
    uid: str
    ip: str
    phase: str
    ready: bool
    model: str
    labels: Mapping[str, str]
    ports: tuple[int, ...]
    names_vllm: bool
    """An annotation or an environment variable of a container says that the engine is vLLM."""

    @property
    def key(self) -> str:
        """`namespace/name`, as in the gateway's log."""
        return f"{self.namespace}/{self.name}"

    @property
    def context(self) -> Context:
        """Where this pod's events go in the index; a LoRA id makes them unmatchable."""
        text = self.labels.get(LORA_LABEL, "")
        return self.model, int(text) if text.lstrip("-").isdigit() else NO_LORA

    @property
    def port(self) -> int:
        """Where the engine serves HTTP: the port label, else 8000, else what is declared."""
        text = self.labels.get(PORT_LABEL, "")
        if text.isdigit():
            return int(text)
        declared = [port for port in self.ports if port not in _EVENT_PORTS]
        return DEFAULT_PORT if not declared or DEFAULT_PORT in declared else declared[0]

    @property
    def tokenizes(self) -> bool:
        """Whether the gateway asks this pod's engine to tokenize."""
        is_vllm = self.labels.get(ENGINE_LABEL) == "vllm" or self.names_vllm
        return self.ready and (is_vllm or DEFAULT_PORT in self.ports)


def subscribable(pod: Pod) -> bool:
    """Whether the gateway subscribes to this pod's KV events; readiness is not asked for."""
    return (
        pod.labels.get(KV_EVENTS_LABEL) == "true"
        and pod.phase == "Running"
        and bool(pod.ip)
        and bool(pod.model)
        and pod.labels.get(RAY_TYPE_LABEL) != "worker"
        and not _above_zero(pod.labels.get(GROUP_INDEX_LABEL, ""))
    )


def pod_of(item: Mapping[str, Any]) -> Pod:
    """A pod from its JSON in the Kubernetes API."""
    metadata, status = item["metadata"], item.get("status") or {}
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    containers = (item.get("spec") or {}).get("containers") or []
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        ip=status.get("podIP") or "",
        phase=status.get("phase") or "",
        ready=_ready(status) and "deletionTimestamp" not in metadata,
        model=labels.get(MODEL_LABEL) or annotations.get(MODEL_LABEL) or "",
        labels={name: value for name, value in labels.items() if "/" in name},
        ports=tuple(port["containerPort"] for c in containers for port in c.get("ports") or []),
        names_vllm=annotations.get(ENGINE_LABEL) == "vllm" or _env_names_vllm(containers),
    )


def _ready(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions") or []
    return status.get("phase") == "Running" and any(
        one.get("type") == "Ready" and one.get("status") == "True" for one in conditions
    )


def _env_names_vllm(containers: list[Mapping[str, Any]]) -> bool:
    return any(
        variable.get("name") == "INFERENCE_ENGINE" and variable.get("value") == "vllm"
        for container in containers
        for variable in container.get("env") or []
    )


def _above_zero(index: str) -> bool:
    return index.isdigit() and int(index) > 0
