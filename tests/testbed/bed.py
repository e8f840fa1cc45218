"""The bed: network, control plane, nodes and image table; the one thing tests and the demo use."""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from testbed.api import Api
from testbed.audit import Audit
from testbed.cluster import ControlPlane
from testbed.engine import container as engine
from testbed.network import Network
from testbed.process import Process
from testbed.programs import find_programs
from testbed.waiting import wait_for

TESTS = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def images() -> list[dict[str, object]]:
    """The stand-ins by the images they stand for."""
    python = {"PATH": f"{BIN}:{SYSTEM_PATH}", "PYTHONPATH": str(TESTS), "PYTHONUNBUFFERED": "1"}
    return [
        engine.image_entry(),
        {
            "match": "(.*/)?gateway-plugins",
            "entrypoint": [sys.executable, "-m", "testbed.gateway"],
            "env": python,
        },
        {"match": "(.*/)?kvsync-operator", "entrypoint": [str(BIN / "kvsync")], "env": python},
        {"match": "(.*/)?busybox", "entrypoint": ["sh"], "env": {"PATH": SYSTEM_PATH}},
    ]


class Bed:
    """A cluster in namespaces of its own (see ``testbed.enter``).

    ``nodes`` with ``gpus`` GPUs each. Everything is stopped at the end, unless it was told to stay.
    """

    def __init__(self, *, nodes: int = 1, gpus: int = 8) -> None:
        self._nodes, self._gpus = nodes, gpus
        self._stays = False
        self._kubelet: Process | None = None

    def __enter__(self) -> "Bed":
        self.directory = Path(tempfile.mkdtemp(prefix="kvsync-bed-"))
        self._network = Network.create()
        self._plane = ControlPlane(
            self.directory, find_programs(), address=self._network.address, outlive=True
        )
        try:
            self._plane.start()
            self._start_kubelet()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._stays:
            self.stop()

    def _start_kubelet(self) -> None:
        authority = self._plane.authority
        certificate, key = authority.serving("kubelet", [self._network.address])
        self._network.apiserver_port = self._plane.port
        self._network.ca_file = str(authority.certificate_file)
        facts, table = self.directory / "network.json", self.directory / "images.json"
        self._network.to_file(facts)
        table.write_text(json.dumps(images()))
        words: list[str | Path] = [sys.executable, "-m", "testbed.kubelet"]
        words += ["--kubeconfig", self._plane.kubeconfig, "--network", facts, "--images", table]
        # Below /run: each container has a /tmp of its own and would not see volumes there.
        state = Path("/run/testbed") / self._network.bridge
        words += ["--state", state, "--certificate", certificate, "--key", key]
        words += ["--nodes", str(self._nodes), "--gpus", str(self._gpus)]
        log = self.directory / "logs" / "kubelet.log"
        self._kubelet = Process(words, log, env={"PYTHONPATH": str(TESTS)}, outlive=True)
        wait_for(self._nodes_ready, 20, what=f"Ready nodes; see {log}")

    def _nodes_ready(self) -> bool:
        assert self._kubelet is not None
        self._kubelet.require_alive()
        return "ready" in self._kubelet.tail()

    def stay(self) -> None:
        """Do not stop at the end."""
        self._stays = True

    def stop(self) -> None:
        """Stop all of it; the folder with the logs goes too."""
        if self._kubelet is not None:
            self._kubelet.stop()
        self._plane.stop()
        self._network.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def api(self) -> Api:
        """The API server as an admin."""
        return self._plane.api

    @property
    def audit(self) -> Audit:
        """The API server's audit log."""
        return self._plane.audit

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self._plane.kubeconfig

    @property
    def plane(self) -> ControlPlane:
        """The control plane itself."""
        return self._plane

    def kubeconfig_for_service_account(self, namespace: str, name: str) -> Path:
        """A kubeconfig of a ServiceAccount."""
        return self._plane.kubeconfig_for_service_account(namespace, name)

    def create_namespace(self, name: str) -> None:
        """Make a namespace in which pods can be created."""
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self._plane.wait_for_namespace(name)
