"""What the kubelet's tests share: a namespace, pods in it, and looking until something is so."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.api import ApiError, Object, find_kubectl, rolled_out
from testbed.bed import Bed
from testbed.waiting import wait_for

DEADLINE = 30.0


def shell(name: str, script: str, **fields: Any) -> Object:
    """A container that runs a shell script."""
    return {"name": name, "image": "busybox:1.37", "command": ["sh", "-c", script], **fields}


def pod(name: str, *containers: Object, **spec: Any) -> Object:
    """A pod that ends within a second of its deletion."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": list(containers), "terminationGracePeriodSeconds": 1, **spec},
    }


def exec_probe(script: str, **fields: Any) -> Object:
    """A probe that runs a shell script, every second and decided by one answer."""
    command = {"exec": {"command": ["sh", "-c", script]}}
    return {**command, "periodSeconds": 1, "failureThreshold": 1, **fields}


@dataclass(frozen=True)
class Stage:
    """One test's namespace on the bed."""

    bed: Bed
    namespace: str

    def run(self, body: Object) -> str:
        """Create a pod; its name."""
        name: str = self.bed.api.create(body, self.namespace)["metadata"]["name"]
        return name

    def status(self, name: str) -> Any:
        """A pod's status."""
        return self.bed.api.get("pods", name, self.namespace).get("status", {})

    def containers(self, name: str) -> Mapping[str, Any]:
        """The statuses of all containers of a pod, by name."""
        status = self.status(name)
        listed: Sequence[Any] = [
            *status.get("initContainerStatuses", ()),
            *status.get("containerStatuses", ()),
        ]
        return {each["name"]: each for each in listed}

    def condition(self, name: str, kind: str) -> Mapping[str, Any]:
        """One condition of a pod; empty while there is none."""
        found = (c for c in self.status(name).get("conditions", ()) if c["type"] == kind)
        return next(found, {})

    def wait(self, what: str, is_so: Callable[[], Any]) -> Any:
        """Look until something is so; what the API server refuses meanwhile is not so yet."""
        return wait_for(is_so, DEADLINE, what=what, ignore=(ApiError,))

    def wait_phase(self, name: str, *phases: str) -> None:
        """Wait until a pod is in one of these phases."""
        self.wait(f"{name} {phases}", lambda: self.status(name).get("phase") in phases)

    def wait_ready(self, name: str) -> None:
        """Wait until a pod is Ready."""
        self.wait(f"{name} Ready", lambda: self.condition(name, "Ready").get("status") == "True")

    def wait_rolled_out(self, name: str) -> None:
        """Wait until a Deployment is rolled out and available."""
        self.wait(
            f"{name} rolled out",
            lambda: rolled_out(self.bed.api.get("deployments", name, self.namespace)),
        )

    def wait_container(self, name: str, container: str, is_so: Callable[[Any], Any]) -> Any:
        """Wait until the status of a container is so; that status."""

        def look() -> Any:
            found = self.containers(name).get(container)
            return found if found and is_so(found) else None

        return self.wait(f"container {container} of {name}", look)

    def log(self, name: str, container: str = "", *, previous: bool = False) -> str:
        """What a container wrote, through the API server."""
        return self.bed.api.logs(name, self.namespace, container=container, previous=previous)

    def log_until(self, name: str, end: str, container: str = "") -> str:
        """What a container wrote, once it ends with ``end``."""

        def ended() -> str:
            said = self.log(name, container)
            return said if said.endswith(end) else ""

        return str(self.wait(f"{end!r} from {name}", ended))

    def follow(self, name: str, container: str = "") -> subprocess.Popen[str]:
        """`kubectl logs -f`, running."""
        chosen = ["-c", container] if container else []
        return subprocess.Popen(
            [find_kubectl(), "logs", "-f", name, "-n", self.namespace, *chosen],
            env={**os.environ, "KUBECONFIG": str(self.bed.kubeconfig)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
