"""The operator as a process of its own beside a cluster, and what it and its children use."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.cluster import ControlPlane
from testbed.partner import TESTS
from testbed.process import Process
from testbed.waiting import wait_for
from testbed.watching import cpu_seconds, resident

KVSYNC = str(Path(sys.executable).parent / "kvsync")
ACCOUNT = "contestant"
USER = f"system:serviceaccount:default:{ACCOUNT}"
"""By whom the audit log knows a contestant."""


def prepare(plane: ControlPlane) -> None:
    """Let any ServiceAccount of this namespace do all: rights are not what is measured."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "default"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
    plane.api.create(account, "default")
    plane.api.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": role,
            "subjects": [subject],
        }
    )


def family(pid: int) -> list[int]:
    """A process and those that it started (Linux, proc(5))."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in below for each in family(int(child)))]


def peak(pid: int) -> int:
    """The most memory that a process had, in bytes (Linux, proc(5): VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has ended; its log says why")


class Operator:
    """`kvsync run` with these options; a context manager that ends it. Its log is among the cluster's."""

    def __init__(self, plane: ControlPlane, server: str, options: Sequence[str] = ()) -> None:
        config = plane.kubeconfig_for_service_account("default", ACCOUNT, server=server)
        log = plane.directory / "logs" / "kvsync.log"
        self._earlier = len(log.read_text()) if log.exists() else 0
        self._process = Process(
            [KVSYNC, "run", "--kubeconfig", str(config), *options],
            log,
            cwd=TESTS,
            env={"KVSYNC_METRICS_ADDRESS": "127.0.0.1:0"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.stop(20)

    def wait_until_watching(self, deadline: float = 60.0) -> None:
        """Wait until everything was listed."""
        wait_for(lambda: "watching all namespaces" in self.log(), deadline, what="the operator")

    def log(self) -> str:
        """What it wrote. Raises ProgramFailedError where it has ended."""
        self._process.require_alive()
        return self._process.log.read_text()[self._earlier :]

    def cpu(self) -> tuple[float, ...]:
        """Seconds of each of its processes so far, the operator's own first."""
        return tuple(map(cpu_seconds, family(self._process.pid)))

    def resident(self) -> int:
        """Bytes of all of them."""
        return sum(map(resident, family(self._process.pid)))

    def peak(self) -> int:
        """Bytes that each of them had at most, together."""
        return sum(map(peak, family(self._process.pid)))
