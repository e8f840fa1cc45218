"""What all runs of one process share: an API server with its controllers, a node, and an oracle's eyes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bed.admission.stage import established
from chaos.history import Key
from chaos.kubelet import LocalKubelet
from chaos.recorder import Recorder
from e2e.manifests import Object
from testbed.api import Api, objects_of
from testbed.cluster import ControlPlane
from testbed.kubelet.client import Client
from testbed.programs import find_programs

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = ("kvsync-operator", "kvsync-system")
_FIRST_NET = 80


@dataclass(frozen=True, slots=True)
class Reach:
    """How a process reaches the control plane."""

    admin: Path
    operator: Path
    """The operator's ServiceAccount."""
    certificate: Path
    key: Path
    """Those of a kubelet."""


@contextmanager
def cluster() -> Iterator[Reach]:
    """A control plane, with the CRD and the operator's rights as they are installed."""
    with (
        TemporaryDirectory(prefix="kvsync-chaos-") as folder,
        ControlPlane(Path(folder) / "plane", find_programs()) as plane,
    ):
        plane.api.apply(ROOT / "crds" / "kveventsync.yaml")
        established(plane.api)
        _install(plane.api)
        certificate, key = plane.authority.serving("kubelet", ["127.0.0.1"])
        account = plane.kubeconfig_for_service_account(ACCOUNT[1], ACCOUNT[0])
        yield Reach(plane.kubeconfig, account, certificate, key)


def _install(api: Api) -> None:
    """The install manifest, its Roles in every namespace: each run has a gateway and a Lease of its own."""
    text = (ROOT / "docs" / "samples" / "install" / "operator.yaml").read_text()
    for body in objects_of(text):
        if body["kind"] in ("Role", "RoleBinding"):
            body["kind"] = f"Cluster{body['kind']}"
            body["metadata"].pop("namespace")
            if "roleRef" in body:
                body["roleRef"]["kind"] = "ClusterRole"
        if body["kind"] in _INSTALLED:
            api.create(body)


_INSTALLED = ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")


class OwnRecorder(Recorder):
    """Keeps the versions of the namespaces that begin with ``prefix``, and no others."""

    def __init__(self, api: Api, prefix: str) -> None:
        super().__init__(api)
        self._prefix = prefix
        self._last: dict[Key, Object] = {}

    def last(self, kind: str, namespace: str) -> list[Object]:
        """The objects of a kind, as they were last seen."""
        found = self._last.copy().items()
        return [body for key, body in found if key[:2] == (kind, namespace)]

    def _note(self, kind: str, key: Key, revision: int, body: Object | None) -> None:
        super()._note(kind, key, revision, body)
        if not key[1].startswith(self._prefix):
            self.forget(key[1])
        elif body is None:
            self._last.pop(key, None)
        else:
            self._last[key] = body


@dataclass(slots=True)
class Stage:
    """What the runs of one process have in common. ``name`` is that of the process among others."""

    name: str
    reach: Reach
    api: Api
    client: Client
    kubelet: LocalKubelet
    recorder: OwnRecorder
    folder: Path


@asynccontextmanager
async def stage(reach: Reach, number: int = 0) -> AsyncIterator[Stage]:
    """One process's part of it."""
    name = f"w{number}"
    client = Client(reach.admin)
    kubelet = LocalKubelet(client, name, _FIRST_NET + number, (reach.certificate, reach.key))
    api = Api(reach.admin)
    recorder = OwnRecorder(api, f"{name}-")
    with TemporaryDirectory(prefix="kvsync-chaos-") as folder:
        await asyncio.to_thread(recorder.start)
        await kubelet.start()
        try:
            yield Stage(name, reach, api, client, kubelet, recorder, Path(folder))
        finally:
            recorder.stop()
            await kubelet.close()
            with contextlib.suppress(Exception):
                await client.close()
