"""The bed: network, control plane, nodes and image table; the one thing tests and the demo use.

``python -m testbed.bed``, inside ``testbed.enter``, starts one and waits until interrupted; with
``--stay`` inside ``testbed.enter --keep`` it leaves it up.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from testbed.api import Api
from testbed.audit import Audit
from testbed.cluster import ControlPlane
from testbed.engine import container as engine
from testbed.engine.sglang import container as sglang
from testbed.enter import KEEP_VARIABLE, LISTENER_VARIABLE, is_inside, keep
from testbed.network import Network
from testbed.process import Process
from testbed.programs import find_programs
from testbed.waiting import wait_for

TESTS = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NODES_WITHIN = 30.0  # seconds


class BedError(RuntimeError):
    """A bed cannot be started here; the message says how."""


def images() -> list[dict[str, object]]:
    """The stand-ins by the images they stand for."""
    python = {"PATH": f"{BIN}:{SYSTEM_PATH}", "PYTHONPATH": str(TESTS), "PYTHONUNBUFFERED": "1"}
    return [
        engine.image_entry(),
        sglang.image_entry(),
        {
            "match": "(.*/)?gateway-plugins",
            "entrypoint": [sys.executable, "-m", "testbed.gateway"],
            "env": python,
        },
        {
            # AIBrix's own, as far as KV events go: it reads nothing of them.
            "match": "(.*/)?kvcache-watcher",
            "entrypoint": ["sleep", "infinity"],
            "env": {"PATH": SYSTEM_PATH},
        },
        {"match": "(.*/)?kvsync-operator", "entrypoint": [str(BIN / "kvsync")], "env": python},
        {"match": "(.*/)?busybox", "entrypoint": ["sh"], "env": {"PATH": SYSTEM_PATH}},
    ]


class Bed:
    """A cluster of ``nodes`` nodes with ``gpus`` GPUs each, in the namespaces of ``testbed.enter``.

    As a context manager it stops everything at the end and removes its folder; when an error ends
    it, the folder with the logs stays and the error names it. A bed that may stay (``enter
    --keep``) outlives the process that started it, any other dies with it.
    """

    def __init__(self, *, nodes: int = 1, gpus: int = 8, programs: Path | None = None) -> None:
        self._nodes, self._gpus, self._programs = nodes, gpus, programs
        self._outlive = KEEP_VARIABLE in os.environ
        self._stays = False
        self._helpers: list[Process] = []
        self.host_kubeconfig: Path | None = None

    def __enter__(self) -> "Bed":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(f"the testbed's logs: {self.directory / 'logs'}")
        self.stop(keep_logs=error is not None)

    def start(self) -> None:
        """Start all of it; pods can be created when it returns.

        Raises BedError outside of ``testbed.enter``, ProgramsError, NetworkError, or
        ProgramFailedError with the last lines of the culprit's log.
        """
        if not is_inside():
            raise BedError("a bed needs namespaces of its own: python -m testbed.enter -- COMMAND")
        programs = self._programs or find_programs()
        self.directory = _new_directory()
        self._network = Network.create()
        address = self._network.address
        self._plane = ControlPlane(self.directory, programs, address=address, outlive=self._outlive)
        try:
            self._plane.start()
            self._start_kubelet()
            self._open_to_host()
        except BaseException as error:
            error.add_note(f"the testbed's logs: {self.directory / 'logs'}")
            self.stop(keep_logs=True)
            raise

    def stop(self, *, keep_logs: bool = False) -> None:
        """Stop all of it, unless it was told to stay; its folder goes too, unless ``keep_logs``."""
        if self._stays:
            return
        for helper in reversed(self._helpers):
            helper.stop()
        self._helpers.clear()
        self._plane.stop()
        self._network.close()
        if not keep_logs:
            shutil.rmtree(self.directory, ignore_errors=True)

    def stay(self) -> None:
        """Do not stop at the end, and say how to use it from the host (see ``enter.keep``)."""
        self._stays = True
        print(f"\nThe testbed stays up; its folder is {self.directory}")
        print(f"  export KUBECONFIG={self.host_kubeconfig or self.kubeconfig}")
        print("end it with `make demo-stop` (python -m testbed.enter --stop)", flush=True)

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Make a namespace in which pods can be created."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self._plane.wait_for_namespace(name)

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig of a user known by certificate."""
        return self._plane.kubeconfig_for(user, groups)

    def kubeconfig_for_service_account(self, namespace: str, name: str) -> Path:
        """A kubeconfig of a ServiceAccount."""
        return self._plane.kubeconfig_for_service_account(namespace, name)

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
        """The admin's kubeconfig, for use inside."""
        return self._plane.kubeconfig

    @property
    def plane(self) -> ControlPlane:
        """The control plane itself."""
        return self._plane

    @property
    def network(self) -> Network:
        """The bridge that pods are on."""
        return self._network

    def _start_kubelet(self) -> None:
        authority = self._plane.authority
        certificate, key = authority.serving("kubelet", [self._network.address])
        self._network.apiserver_port = self._plane.port
        self._network.ca_file = str(authority.certificate_file)
        facts, table = self.directory / "network.json", self.directory / "images.json"
        self._network.to_file(facts)
        table.write_text(json.dumps(images()))
        config = self._plane.kubeconfig_for("testbed-kubelet", ["system:masters"])
        words: list[str | Path] = ["--kubeconfig", config, "--network", facts, "--images", table]
        # Below /run: each container has a /tmp of its own and would not see volumes there.
        words += ["--state", Path("/run/testbed") / self._network.bridge]
        words += ["--certificate", certificate, "--key", key]
        words += ["--nodes", str(self._nodes), "--gpus", str(self._gpus)]
        kubelet = self._start_module("kubelet", words)
        wait_for(lambda: _is_ready(kubelet), NODES_WITHIN, what=f"Ready nodes; see {kubelet.log}")

    def _open_to_host(self) -> None:
        """Where ``enter`` left a door, the first bed takes it: one port, one API server."""
        listener = os.environ.pop(LISTENER_VARIABLE, "")
        if not listener:
            return
        words = ["--listener", listener, "--to", f"127.0.0.1:{self._plane.port}"]
        self._start_module("forward", words, pass_fds=[int(listener)])
        # The descriptor's own name still says which port of the host it is.
        host = f"https://127.0.0.1:{_port_of(int(listener))}"
        self.host_kubeconfig = self._plane.kubeconfig_at(host, "from-the-host")

    def _start_module(
        self, name: str, words: Sequence[str | Path], pass_fds: Sequence[int] = ()
    ) -> Process:
        helper = Process(
            [sys.executable, "-m", f"testbed.{name}", *words],
            self.directory / "logs" / f"{name}.log",
            env={"PYTHONPATH": str(TESTS)},
            outlive=self._outlive,
            pass_fds=pass_fds,
        )
        self._helpers.append(helper)
        return helper


def _new_directory() -> Path:
    """Where it can be kept: in the folder that ``enter --stop`` removes; else in the temp folder."""
    request = os.environ.get(KEEP_VARIABLE)
    parent = Path(request).parent if request else None
    return Path(tempfile.mkdtemp(prefix="kvsync-bed-", dir=parent))


def _is_ready(kubelet: Process) -> bool:
    kubelet.require_alive()
    return "ready" in kubelet.log.read_text(errors="replace").splitlines()


def _port_of(descriptor: int) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        port: int = listener.getsockname()[1]
        return port


def main() -> int:
    """Start a bed, say where it is, and wait for SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m testbed.bed", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=8, help="GPUs of each node")
    parser.add_argument("--stay", action="store_true", help="leave it up, under enter --keep")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Bed(nodes=options.nodes, gpus=options.gpus) as bed:
        if options.stay:
            keep(bed)
            return 0
        print(f"KUBECONFIG={bed.kubeconfig}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
