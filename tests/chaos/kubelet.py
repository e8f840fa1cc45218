"""A node whose pods run in this process: one write makes a pod Ready, and one ends it."""

import asyncio
import contextlib
import itertools
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from chaos.engines import Running, StartError, end, started
from testbed.kubelet.client import MERGE, Client, RefusedError
from testbed.kubelet.logs import LogServer
from testbed.kubelet.node import LEASE_SECONDS
from testbed.waiting import wait_in_loop

Object = dict[str, Any]
log = logging.getLogger(__name__)

_CONDITIONS = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
)
ENDED_WITHIN = 90.0
"""Seconds for the garbage collector to find the pods of Deployments that are gone."""
_GIVEN_UP = (RefusedError, aiohttp.ClientError, TimeoutError)


class LocalPod:
    """One pod, from its start to its end. Stands where the log server expects a runner's container."""

    written = 0

    def __init__(self, body: Object, address: str) -> None:
        self.namespace: str = body["metadata"]["namespace"]
        self.name: str = body["metadata"]["name"]
        self.address = address
        self.began = _now()
        self.problem = ""
        self._container: Object = body["spec"]["containers"][0]
        self._running: Running | None = None

    def start(self) -> None:
        """Start its container; ``problem`` says why that ended at once."""
        try:
            self._running = started(self._container, self.address)
        except StartError as error:
            self.problem = str(error)
            log.warning("pod %s/%s: %s", self.namespace, self.name, error)

    def end(self) -> None:
        """End its container."""
        if self._running is not None:
            end(self._running)

    def container(self, name: str) -> "LocalPod | None":
        """Itself, where it has a container of this name."""
        return self if name == self._container["name"] else None

    def logged(self, *, previous: bool) -> "LocalPod | None":
        """Itself: there is one run."""
        return None if previous else self

    @property
    def lines(self) -> list[tuple[datetime, str]]:
        """What its container wrote."""
        return self._running.lines() if self._running is not None else []

    def status(self) -> Object:
        """Its status, as a kubelet writes it."""
        up = "False" if self.problem else "True"
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": self.problem}}
        running = {"running": {"startedAt": self.began}}
        container = {
            "name": self._container["name"],
            "image": self._container["image"],
            "imageID": self._container["image"],
            "containerID": f"process://{self.name}",
            "ready": not self.problem,
            "started": not self.problem,
            "restartCount": 3 if self.problem else 0,
            "state": waiting if self.problem else running,
        }
        kinds = [
            (kind, up if "Ready" in kind and kind != _CONDITIONS[0] else "True")
            for kind in _CONDITIONS
        ]
        return {
            "phase": "Running",
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self.began,
            "conditions": [
                {"type": kind, "status": status, "lastTransitionTime": self.began}
                for kind, status in kinds
            ],
            "containerStatuses": [container],
        }


class LocalKubelet:
    """The node ``name``, whose pods have addresses in ``127.<net>.0.0/16``."""

    def __init__(self, client: Client, name: str, net: int, pki: tuple[Path, Path]) -> None:
        self.name = name
        self._client = client
        self._net = net
        self._numbers = itertools.count(10)
        self._pods: dict[str, LocalPod] = {}
        self._server = LogServer(self._find, *pki)  # type: ignore[arg-type]
        self._tasks: set[asyncio.Task[None]] = set()

    def new_address(self) -> str:
        """An address that nothing had before."""
        number = next(self._numbers)
        return f"127.{self._net}.{number // 250}.{number % 250 + 1}"

    async def start(self) -> None:
        """Make the node, and run what is bound to it until `close`."""
        port = await self._server.start("127.0.0.1")
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"}
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.name, "labels": labels},
        }
        await self._client.request("POST", "/api/v1/nodes", body)
        path = f"/api/v1/nodes/{self.name}"
        await self._client.request("PATCH", f"{path}/status", {"status": _status(port)}, MERGE)
        await self._client.request("PATCH", path, {"spec": {"taints": None}}, MERGE)
        self._do(self._renew())
        self._do(self._run())

    async def close(self) -> None:
        """End all pods, and tell nobody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pod in self._pods.values():
            pod.end()
        await self._server.close()

    async def until_empty(self) -> None:
        """Wait until no pod is left. Raises TimeoutError."""
        await wait_in_loop(lambda: not self._pods, ENDED_WITHIN, what="the last pods to end")

    def _find(self, namespace: str, name: str) -> LocalPod | None:
        of_name = (p for p in self._pods.values() if (p.namespace, p.name) == (namespace, name))
        return next(of_name, None)

    def _do(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        while True:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            spec = {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": now}
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
            with contextlib.suppress(*_GIVEN_UP):
                try:
                    await self._client.request(
                        "PATCH", f"{path}/{self.name}", {"spec": spec}, MERGE
                    )
                except RefusedError:
                    await self._client.request(
                        "POST", path, {**body, "metadata": {"name": self.name}}
                    )
            await asyncio.sleep(LEASE_SECONDS)

    async def _run(self) -> None:
        path = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}"
        async for kind, body in self._client.follow(path):
            for pod in body["items"] if kind == "SYNC" else [body]:
                self._take(kind, pod)

    def _take(self, kind: str, body: Object) -> None:
        uid = body["metadata"]["uid"]
        if kind == "DELETED" or body["metadata"].get("deletionTimestamp"):
            pod = self._pods.pop(uid, None)
            if pod is not None:
                self._do(self._end(pod, gone=kind == "DELETED"))
        elif uid not in self._pods:
            pod = self._pods[uid] = LocalPod(body, self.new_address())
            self._do(self._start(pod))

    async def _start(self, pod: LocalPod) -> None:
        pod.start()
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
        with contextlib.suppress(RefusedError):  # it is gone already
            await self._client.request("PATCH", path, {"status": pod.status()}, MERGE)

    async def _end(self, pod: LocalPod, *, gone: bool) -> None:
        await asyncio.to_thread(pod.end)
        if not gone:
            path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
            with contextlib.suppress(RefusedError):
                await self._client.request("DELETE", path, {"gracePeriodSeconds": 0})


def _status(port: int) -> Object:
    now = _now()
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it is"}
    capacity = {"cpu": "10k", "memory": "10Ti", "pods": "10k"}
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [{**ready, "lastHeartbeatTime": now, "lastTransitionTime": now}],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
