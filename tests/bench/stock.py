"""A cluster full of models, without a machine full of pods.

One Deployment is made the usual way: by the API server, with its ReplicaSet and pods by the real
controllers, and the pods' status as a kubelet writes it. Then the controllers are stopped, and all
others are copies of it under other names, written to the API server's database: 20,000 pods in
half a minute, of the size and with the managedFields of real ones.
"""

import base64
import http.client
import itertools
import json
import socket
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bed.admission.stage import established
from e2e.manifests import Object, model, sync
from testbed.api import Api
from testbed.cluster import ControlPlane
from testbed.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
PODS = 10
"""Of a model."""
EACH = 10
"""Models that an object selects; as many others stand beside them."""
FIRST, ORIGIN = "first-model", "first-namespace"
_STARTED = "2026-01-01T00:00:00Z"
_WRITES = 100  # etcd takes 128 in one transaction


@dataclass(frozen=True, slots=True)
class Stock:
    """What stands in the cluster. Models are ours where an object selects them."""

    namespaces: int
    each: int = EACH

    @property
    def ours(self) -> int:
        return self.namespaces * self.each

    @property
    def models(self) -> int:
        return 2 * self.ours

    @property
    def pods(self) -> int:
        return self.models * PODS


def fill(plane: ControlPlane, stock: Stock, **spec: Any) -> None:
    """Put it there, with an object of this spec in each namespace. The controllers are stopped."""
    plane.api.apply(ROOT / "crds" / "kveventsync.yaml")
    established(plane.api)
    bodies = _originals(plane)
    plane.stop_controllers()
    database = _Database(plane.directory / "etcd.sock")
    for number in range(stock.namespaces):
        namespace = f"team-{number}"
        plane.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        ours = [f"model-{number}-{n}" for n in range(stock.each)]
        others = [f"other-{number}-{n}" for n in range(stock.each)]
        for name in (*ours, *others):
            database.put(_copies(bodies, namespace, name))
        plane.api.create(sync("all", namespace, *ours, **spec))


def _originals(plane: ControlPlane) -> list[tuple[str, Object]]:
    """The first Deployment, its ReplicaSet and pods, once all are as in a quiet cluster."""
    api = plane.api
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ORIGIN}})
    plane.wait_for_namespace(ORIGIN)
    api.create(model(FIRST, ORIGIN, replicas=PODS))
    wait_for(lambda: len(api.list("pods", ORIGIN)) == PODS, 30.0, what="the pods of one model")
    for number, pod in enumerate(api.list("pods", ORIGIN)):
        name = pod["metadata"]["name"]
        api.patch("pods", name, _running(number), ORIGIN, subresource="status")
    wait_for(lambda: _available(api) == PODS, 30.0, what="the model to be available")
    return [
        # An item of a list does not say of what kind it is.
        (plural, api.get(plural, body["metadata"]["name"], ORIGIN))
        for plural in ("deployments", "replicasets", "pods")
        for body in api.list(plural, ORIGIN)
    ]


def _available(api: Api) -> int:
    status = api.get("deployments", FIRST, ORIGIN).get("status") or {}
    same = status.get("observedGeneration") == 1
    return int(status.get("availableReplicas", 0)) if same else 0


def _running(number: int) -> Object:
    """A pod's status as a kubelet writes it."""
    image = "vllm/vllm-openai:v0.16.0"
    container = {
        "name": "vllm",
        "image": image,
        "imageID": f"{image}@sha256:{'0' * 64}",
        "containerID": f"containerd://{'0' * 64}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": _STARTED}},
    }
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    address = f"198.51.100.{number + 1}"  # of no machine (RFC 5737)
    return {
        "status": {
            "phase": "Running",
            "hostIP": "198.51.100.254",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": _STARTED,
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": _STARTED} for kind in kinds
            ],
            "containerStatuses": [container],
        }
    }


def _copies(
    bodies: Iterable[tuple[str, Object]], namespace: str, name: str
) -> Iterator[tuple[str, str]]:
    """Keys and values of a model that is like the first one in all but names and uids."""
    uids = {body["metadata"]["uid"] for _, body in bodies}
    changed = {ORIGIN: namespace, FIRST: name, **{uid: str(uuid.uuid4()) for uid in uids}}
    for plural, body in bodies:
        kept = {k: v for k, v in body["metadata"].items() if k != "resourceVersion"}
        text = json.dumps({**body, "metadata": kept})
        for old, new in changed.items():
            text = text.replace(old, new)
        own = json.loads(text)["metadata"]["name"]
        yield f"/registry/{plural}/{namespace}/{own}", text


class _Database:
    """etcd, by its JSON over HTTP (etcd, dev-guide/api_grpc_gateway)."""

    def __init__(self, path: Path) -> None:
        self._connection = http.client.HTTPConnection("localhost", timeout=30)
        self._connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.sock.connect(str(path))

    def put(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Write these values. Raises RuntimeError where the database refuses."""
        for some in _groups(pairs):
            puts = [
                {"requestPut": {"key": _base64(key), "value": _base64(value)}}
                for key, value in some
            ]
            self._connection.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
            answer = self._connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"etcd refused: {answer.status} {said[:500]!r}")


def _groups(pairs: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    left = iter(pairs)
    while some := list(itertools.islice(left, _WRITES)):
        yield some


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
