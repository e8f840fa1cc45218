"""A cluster of models that are not configured, whose controllers do roll them out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.operating import prepare
from bench.stock import EACH, FIRST, ORIGIN, Stock, fill, namespace_of, ours_in
from core.objects import TEMPLATES
from e2e.manifests import model, sync
from kvsync.core.plan import plan
from kvsync.core.planned import Ask
from kvsync.model.record import Owner
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment
from testbed.api import Object, rolled_out
from testbed.cluster import ControlPlane
from testbed.crowd import Crowd, Ports, attended
from testbed.programs import find_programs
from testbed.waiting import wait_for
from testbed.watching import cpu_seconds

PODS = 2
"""Of each model."""
WITHIN = 600.0
"""Seconds for anything: nothing fails by time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one contestant took. ``rolled_out``: seconds until all pods were replaced; ``plane``: CPU
    seconds of the API server, etcd and the controllers until then."""

    seconds: float
    cpu: float
    rolled_out: float
    plane: float

    def times(self, factor: float) -> "Cost":
        """So many times as much."""
        return Cost(
            *(factor * each for each in (self.seconds, self.cpu, self.rolled_out, self.plane))
        )


class Scene:
    """Such a cluster, while it stands."""

    def __init__(self, plane: ControlPlane, stock: Stock, ports: Ports) -> None:
        self.plane = plane
        self.stock = stock
        self.ports = ports
        self.spec: Object = {
            "events": ports.spec,
            "gateway": {"manage": False},
            "rollout": {"maxConcurrent": EACH},
        }
        """Of an object that selects models."""

    @property
    def places(self) -> list[tuple[str, str]]:
        """Namespace and name of each model."""
        numbers = range(self.stock.namespaces)
        return [(namespace_of(n), name) for n in numbers for name in ours_in(self.stock, n)]

    def measure(self, models: int, work: Callable[[], None], cpu: Callable[[], float]) -> Cost:
        """Have ``work`` done to the first so many; ``cpu`` tells the seconds of who does it."""
        began, used, plane = time.monotonic(), cpu(), self._plane_cpu()
        work()
        done, used = time.monotonic() - began, cpu() - used
        self._await_rollouts(self.places[:models])
        return Cost(done, used, time.monotonic() - began, self._plane_cpu() - plane)

    def patches(self) -> list[tuple[str, Any]]:
        """The path of each model, and the patch that the operator writes there."""
        return [
            self._patch(body) for place, body in self._deployments().items() if place[0] != ORIGIN
        ]

    def _patch(self, body: Object) -> tuple[str, Any]:
        namespace, name = _place(body)
        spec = KVEventSyncSpec.from_manifest(sync("all", namespace, name, **self.spec)["spec"])
        owner = Owner(namespace, "all", body["metadata"]["uid"])
        change = plan(Deployment(body), Ask(spec, owner, TEMPLATES, {}, "", at=int(time.time())))
        return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}", change.patch

    def _await_rollouts(self, places: list[tuple[str, str]]) -> None:
        def are_over() -> bool:
            found = self._deployments()
            return all(rolled_out(found[place]) for place in places)

        wait_for(are_over, WITHIN, what="all rollouts to end", pause=0.5)

    def _deployments(self) -> dict[tuple[str, str], Object]:
        return {_place(body): body for body in self.plane.api.list("deployments")}

    def _plane_cpu(self) -> float:
        return sum(map(cpu_seconds, self.plane.pids.values()))


def _place(body: Object) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]


@contextmanager
def unconfigured(models: int, loading: float = 0.0) -> Iterator[Scene]:
    """A cluster of its own with so many, a multiple of ten; new pods are Ready after ``loading`` seconds."""
    with (
        TemporaryDirectory() as folder,
        Crowd() as crowd,
        ControlPlane(Path(folder) / "plane", find_programs()) as plane,
    ):
        prepare(plane)
        first = model(FIRST, ORIGIN, replicas=PODS, command=crowd.ports.command)
        stock = Stock(models // EACH, others=0, first=first)
        fill(plane, stock)
        plane.start_controller_manager()
        for number in range(stock.namespaces):
            plane.wait_for_namespace(namespace_of(number), WITHIN)
        with attended(plane.kubeconfig, loading=loading):
            yield Scene(plane, stock, crowd.ports)
