"""Pods by the thousand, in two processes: who answers for their engines, and who writes their status.

Nothing runs in them: every address of the loopback network is answered by the same sockets. So what is
measured beside them is the control plane and the operator, not four hundred Pythons.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.api import Object
from testbed.engine.launch import free_ports
from testbed.partner import Partner

__all__ = ["Crowd", "Ports", "address", "attended", "running"]

STARTED = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where every engine listens, at each of its addresses."""

    http: int
    events: int
    replay: int

    @property
    def command(self) -> list[str]:
        """A model's command line."""
        return ["vllm", "serve", "tiny", "--served-model-name=tiny", f"--port={self.http}"]

    @property
    def spec(self) -> Object:
        """``spec.events`` of who watches them."""
        return {"port": self.events, "replayPort": self.replay}


class Crowd:
    """The engines of all pods, silent and healthy; a context manager that ends them."""

    def __init__(self) -> None:
        self.ports = Ports(*free_ports(3))

    def __enter__(self) -> Self:
        ports = self.ports
        self._engines = _partner("testbed.crowd.engines", ports.http, ports.events, ports.replay)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engines.end()


@contextmanager
def attended(kubeconfig: Path, *, loading: float = 0.0) -> Iterator[None]:
    """Each new pod of this cluster is running, and Ready ``loading`` seconds later."""
    kubelet = _partner("testbed.crowd.kubelet", kubeconfig, loading)
    try:
        yield
    finally:
        kubelet.end()


def _partner(module: str, *words: object) -> Partner:
    partner = Partner(module, *words)
    if partner.hear() != "up":
        raise RuntimeError(f"{module} did not come up; see its error above")
    return partner


def address(number: int) -> str:
    """The loopback address of a pod; there are sixty thousand."""
    return f"127.{80 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"


def running(pod_address: str, image: str, *, container: str = "vllm", ready: bool = True) -> Object:
    """A pod's status as a kubelet writes it."""
    said = {
        "name": container,
        "image": image,
        "imageID": f"{image}@sha256:{'0' * 64}",
        "containerID": f"containerd://{'0' * 64}",
        "ready": ready,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": STARTED}},
    }
    early = ("PodReadyToStartContainers", "Initialized", "PodScheduled")
    conditions = [*((kind, True) for kind in early), ("Ready", ready), ("ContainersReady", ready)]
    return {
        "status": {
            "phase": "Running",
            "hostIP": "198.51.100.254",  # of no machine (RFC 5737)
            "podIP": pod_address,
            "podIPs": [{"ip": pod_address}],
            "startTime": STARTED,
            "conditions": [
                {"type": kind, "status": str(held), "lastTransitionTime": STARTED}
                for kind, held in conditions
            ],
            "containerStatuses": [said],
        }
    }
