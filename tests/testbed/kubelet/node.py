"""The nodes that the process kubelet stands for, and the pods bound to them."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from testbed.kubelet.client import MERGE, Client, RefusedError
from testbed.kubelet.fields import Object
from testbed.kubelet.images import ImageTable
from testbed.kubelet.logs import LogServer
from testbed.kubelet.pod import PodRunner
from testbed.network import Network

LEASE_SECONDS = 10.0


class Kubelet:
    """All nodes of a bed in one process."""

    def __init__(
        self,
        client: Client,
        network: Network,
        images: ImageTable,
        state: Path,
        nodes: int,
        gpus: int,
    ) -> None:
        self._client = client
        self._network = network
        self._images = images
        self._state = state
        self._names = [f"node-{number}" for number in range(1, nodes + 1)]
        self._gpus = gpus
        self.pods: dict[str, PodRunner] = {}

    def find(self, namespace: str, name: str) -> PodRunner | None:
        """The runner of a pod by its name."""
        of_name = (p for p in self.pods.values() if (p.namespace, p.name) == (namespace, name))
        return next(of_name, None)

    async def register(self, server: LogServer) -> None:
        """Make the nodes, Ready and without taints."""
        port = await server.start(self._network.address)
        for name in self._names:
            labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
            body: Object = {"apiVersion": "v1", "kind": "Node"}
            body["metadata"] = {"name": name, "labels": labels}
            with suppress(RefusedError):
                await self._client.request("POST", "/api/v1/nodes", body)
            status = {"status": self._node_status(port)}
            await self._client.request("PATCH", f"/api/v1/nodes/{name}/status", status, MERGE)
            untainted = {"spec": {"taints": None}}
            await self._client.request("PATCH", f"/api/v1/nodes/{name}", untainted, MERGE)

    def _node_status(self, port: int) -> Object:
        capacity = {"cpu": "64", "memory": "256Gi", "pods": "250"}
        capacity["nvidia.com/gpu"] = str(self._gpus)
        now = _now()
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "the process kubelet is posting ready status",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        return {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": self._network.address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }

    async def renew_leases(self) -> None:
        """Keep the nodes Ready, for ever."""
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        while True:
            for name in self._names:
                spec = {
                    "holderIdentity": name,
                    "leaseDurationSeconds": 40,
                    "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                }
                body: Object = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
                body |= {"metadata": {"name": name}, "spec": spec}
                with suppress(RefusedError, OSError, TimeoutError):
                    try:
                        await self._client.request("PATCH", f"{path}/{name}", {"spec": spec}, MERGE)
                    except RefusedError:
                        await self._client.request("POST", path, body)
            await asyncio.sleep(LEASE_SECONDS)

    async def run_pods(self) -> None:
        """Run what is bound to the nodes, for ever."""
        async for kind, body in self._client.follow("/api/v1/pods"):
            if kind == "SYNC":
                present = {item["metadata"]["uid"] for item in body["items"]}
                for uid in self.pods.keys() - present:
                    self.pods[uid].vanish()
                for item in body["items"]:
                    self._take(item)
            elif kind == "DELETED":
                runner = self.pods.get(body["metadata"]["uid"])
                if runner is not None:
                    runner.vanish()
            else:
                self._take(body)

    def _take(self, pod: Object) -> None:
        if pod["spec"].get("nodeName") not in self._names:
            return
        uid = pod["metadata"]["uid"]
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if uid not in self.pods and not ended:
            self.pods[uid] = PodRunner(
                pod, self._client, self._network, self._images, self._state, self._gone
            )
        if uid in self.pods:
            self.pods[uid].update(pod)

    def _gone(self, uid: str) -> None:
        self.pods.pop(uid, None)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
