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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bed.admission.stage import established
from e2e.manifests import Object, model, sync
from testbed.api import Api
from testbed.cluster import ControlPlane
from testbed.crowd import address, running
from testbed.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
PODS = 10
"""Of a model."""
EACH = 10
"""Models that an object selects; as many others stand beside them."""
FIRST, ORIGIN = "first-model", "first-namespace"
_WRITES = 100  # etcd takes 128 in one transaction


def first_model(pods: int = PODS) -> Object:
    """The Deployment that all others are copies of."""
    return model(FIRST, ORIGIN, replicas=pods)


@dataclass(frozen=True, slots=True)
class Stock:
    """What stands in the cluster. Models are ours where an object selects them."""

    namespaces: int
    each: int = EACH
    others: int = EACH
    """As many models stand beside ours in each namespace, and are selected by none."""
    first: Object = field(default_factory=first_model)

    @property
    def ours(self) -> int:
        return self.namespaces * self.each

    @property
    def models(self) -> int:
        return self.namespaces * (self.each + self.others)

    @property
    def pods(self) -> int:
        return self.models * self.replicas

    @property
    def replicas(self) -> int:
        """Pods of each model."""
        return int(self.first["spec"]["replicas"])


def fill(plane: ControlPlane, stock: Stock) -> None:
    """Put it there. The controllers are stopped: what is written stays so."""
    plane.api.apply(ROOT / "crds" / "kveventsync.yaml")
    established(plane.api)
    bodies = _originals(plane, stock)
    plane.stop_controllers()
    database, addresses = _Database(plane.directory / "etcd.sock"), map(address, itertools.count())
    for number in range(stock.namespaces):
        namespace = namespace_of(number)
        plane.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for name in (
            *ours_in(stock, number),
            *(f"other-{number}-{n}" for n in range(stock.others)),
        ):
            database.put(_copies(bodies, namespace, name, addresses))


def select(plane: ControlPlane, stock: Stock, **spec: Any) -> None:
    """Create an object of this spec in each namespace, which selects our models there."""
    for number in range(stock.namespaces):
        plane.api.create(sync("all", namespace_of(number), *ours_in(stock, number), **spec))


def namespace_of(number: int) -> str:
    """The name of a namespace."""
    return f"team-{number}"


def ours_in(stock: Stock, number: int) -> list[str]:
    """The names of our models in a namespace."""
    return [f"model-{number}-{n}" for n in range(stock.each)]


def _originals(plane: ControlPlane, stock: Stock) -> list[tuple[str, Object]]:
    """The first Deployment, its ReplicaSet and pods, once all are as in a quiet cluster."""
    api, pods = plane.api, stock.replicas
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ORIGIN}})
    plane.wait_for_namespace(ORIGIN)
    (container,) = api.create(stock.first)["spec"]["template"]["spec"]["containers"]
    wait_for(lambda: len(api.list("pods", ORIGIN)) == pods, 30.0, what="the pods of one model")
    for number, pod in enumerate(api.list("pods", ORIGIN)):
        name, status = (
            pod["metadata"]["name"],
            running(f"198.51.100.{number + 1}", container["image"]),
        )
        api.patch("pods", name, status, ORIGIN, subresource="status")
    wait_for(lambda: _available(api) == pods, 30.0, what="the model to be available")
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


def _copies(
    bodies: Iterable[tuple[str, Object]], namespace: str, name: str, addresses: Iterator[str]
) -> Iterator[tuple[str, str]]:
    """Keys and values of a model that is like the first one in all but names, uids and addresses."""
    uids = {body["metadata"]["uid"] for _, body in bodies}
    changed = {ORIGIN: namespace, FIRST: name, **{uid: str(uuid.uuid4()) for uid in uids}}
    for plural, body in bodies:
        kept = {k: v for k, v in body["metadata"].items() if k != "resourceVersion"}
        text = json.dumps({**body, "metadata": kept})
        if plural == "pods":
            text = text.replace(body["status"]["podIP"] + '"', next(addresses) + '"')
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
