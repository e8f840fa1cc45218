"""A real control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler.

Plain processes of one machine, for tests: nothing is fsynced, nothing survives ``stop``. The API
server has the only port; etcd listens on a socket in the folder, the other two on nothing.
"""

import shutil
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import urllib3

from testbed.api import Api, ApiError, Object
from testbed.audit import Audit
from testbed.certificates import Authority, Credential, write_kubeconfig
from testbed.process import GRACE, Process
from testbed.waiting import wait_for

AUDIT_POLICY = Path(__file__).parent / "controlplane" / "audit-policy.yaml"
ISSUER = "https://kubernetes.default.svc"
SERVICE_RANGE = "10.96.0.0/16"
READY_WITHIN = 60.0  # seconds; alone on two cores it takes a tenth of that

# An admin must be able to grant everything and the API server to ask kubelets for logs.
MASTERS = ("system:masters",)

CONTROLLERS = ("kube-controller-manager", "kube-scheduler")

# The defaults (20, 30) turn a rollout of 100 pods from 2 s into 13 s.
CLIENT_RATE = ("--kube-api-qps=500", "--kube-api-burst=1000")


class ControlPlane:
    """One control plane in ``directory``, which it creates.

    ``address`` is where others than this machine's loopback reach it, e.g. a bridge; it goes into
    the certificate. ``outlive`` leaves it running when the process that started it ends.
    ``apiserver_flags`` are given to kube-apiserver beside its own.
    """

    def __init__(
        self,
        directory: Path,
        programs: Path,
        *,
        address: str = "127.0.0.1",
        outlive: bool = False,
        apiserver_flags: Sequence[str] = (),
    ) -> None:
        self.directory = directory.absolute()
        self.address = address
        self.audit_log = self.directory / "logs" / "audit.log"
        self.start_seconds = 0.0
        self._programs = programs.absolute()
        self._outlive = outlive
        self._apiserver_flags = tuple(apiserver_flags)
        self._processes: list[Process] = []
        self._reserved: socket.socket | None = None

    def __enter__(self) -> "ControlPlane":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the four programs and return when pods can be created in ``default``.

        Raises ProgramFailedError with the last lines of the log of the program that failed.
        """
        begun = time.monotonic()
        for part in ("pki", "logs", "kubeconfigs"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        self.authority = Authority(self.directory / "pki")
        self.port = self._reserve_port()
        self.server = f"https://127.0.0.1:{self.port}"
        try:
            self._start_programs()
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - begun

    def stop(self) -> None:
        """Stop everything, the API server before etcd, and delete the database; logs stay."""
        for process in reversed(self._processes):
            process.stop()
        self._processes.clear()
        if self._reserved:
            self._reserved.close()
        shutil.rmtree(self.directory / "etcd", ignore_errors=True)

    def stop_controllers(self) -> None:
        """Stop kube-controller-manager and kube-scheduler: from now on objects stay as they are written."""
        for process in [p for p in self._processes if p.name in CONTROLLERS]:
            process.stop()
            self._processes.remove(process)

    def start_controller_manager(self) -> None:
        """Start kube-controller-manager again, alone: pods are put on no node, and rollouts go on."""
        self._start_client("kube-controller-manager", self._controller_manager_flags())

    def restart_apiserver(self, down: float = 0.0, *, kill: bool = False) -> None:
        """Stop or kill the API server and start it again, ``down`` seconds later, with the same database."""
        self._restart("kube-apiserver", self._start_apiserver, down, kill=kill)

    def restart_etcd(self, down: float = 0.0, *, kill: bool = False) -> None:
        """The same with etcd, beside an API server that runs on. What was written stays with the kernel."""
        self._restart("etcd", self._start_etcd, down, kill=kill)

    def _restart(self, name: str, start: Callable[[], None], down: float, *, kill: bool) -> None:
        place = next(n for n, each in enumerate(self._processes) if each.name == name)
        self._processes[place].stop(0.0 if kill else GRACE)
        time.sleep(down)
        start()
        # Its place says when it is stopped: the API server before etcd.
        self._processes[place] = self._processes.pop()
        self._await_ready()

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self.directory / "kubeconfigs" / "admin.yaml"

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each running program."""
        return {process.name: process.pid for process in self._processes}

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig of a user known by certificate; may do what RBAC grants, no more."""
        return self._write_kubeconfig(user, self.authority.client(user, groups))

    def kubeconfig_for_service_account(
        self, namespace: str, name: str, *, server: str = "", seconds: int = 86400
    ) -> Path:
        """A kubeconfig of a ServiceAccount, with a token asked for as a kubelet does (TokenRequest).

        ``server``: another URL of this API server, e.g. the one pods use.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body = {"spec": {"expirationSeconds": seconds}}
        answer: Object = self.api.request("POST", path, body)
        credential = Credential(token=answer["status"]["token"])
        return self._write_kubeconfig(f"{namespace}.{name}", credential, server=server)

    def kubeconfig_at(self, server: str, name: str) -> Path:
        """The admin's kubeconfig for another URL of this API server."""
        return self._write_kubeconfig(name, self.authority.client("admin", MASTERS), server=server)

    def wait_for_namespace(self, name: str, deadline: float = 15.0) -> None:
        """Wait until pods can be created there: until it has its ServiceAccount ``default``."""
        wait_for(
            lambda: self.api.find("serviceaccount", "default", name),
            deadline,
            what=f"serviceaccount/default in namespace {name}",
            pause=0.02,
        )

    def _start_programs(self) -> None:
        self._start_etcd()
        self._start_apiserver()
        self.kubeconfig_for("admin", MASTERS).replace(self.kubeconfig)
        self._await_ready()
        self.api = Api(self.kubeconfig)
        self.audit = Audit(self.audit_log, self.api)
        self._start_client("kube-controller-manager", self._controller_manager_flags())
        self._start_client("kube-scheduler", ())
        self._await_default_account()

    def _start_etcd(self) -> None:
        # Each socket's name is relative to the folder: a socket's path is 107 bytes at most.
        client, peer = "unix://etcd.sock", "unix://etcd-peer.sock"
        self._start(
            "etcd",
            "--name=testbed",
            "--data-dir=etcd",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=testbed={peer}",
            "--log-level=warn",
        )

    def _start_apiserver(self) -> None:
        identities = ["localhost", "127.0.0.1", "kubernetes", "kubernetes.default.svc"]
        identities += [] if self.address in identities else [self.address]
        certificate, key = self.authority.serving("kube-apiserver", identities)
        account_key = self.authority.service_account_key_file
        self._start(
            "kube-apiserver",
            "--etcd-servers=unix://etcd.sock",
            "--bind-address=0.0.0.0",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            "--permit-port-sharing",
            "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={account_key}",
            f"--service-account-signing-key-file={account_key}",
            f"--client-ca-file={self.authority.certificate_file}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--allow-privileged",
            "--profiling=false",
            "--shutdown-delay-duration=0s",
            f"--audit-policy-file={AUDIT_POLICY}",
            f"--audit-log-path={self.audit_log}",
            *self._apiserver_flags,
        )

    def _controller_manager_flags(self) -> tuple[str, ...]:
        return (
            # Without it every controller acts as the manager itself, whom RBAC grants little.
            "--use-service-account-credentials=true",
            f"--root-ca-file={self.authority.certificate_file}",
            f"--service-account-private-key-file={self.authority.service_account_key_file}",
            f"--cluster-signing-cert-file={self.authority.certificate_file}",
            f"--cluster-signing-key-file={self.authority.key_file}",
        )

    def _start_client(self, program: str, flags: Sequence[str]) -> None:
        config = self.kubeconfig_for(f"system:{program}")
        self._start(
            program,
            f"--kubeconfig={config}",
            "--leader-elect=false",
            "--secure-port=0",
            *CLIENT_RATE,
            *flags,
        )

    def _start(self, program: str, *flags: str) -> None:
        log = self.directory / "logs" / f"{program}.log"
        command: list[str | Path] = [self._programs / program, *flags]
        self._processes.append(Process(command, log, cwd=self.directory, outlive=self._outlive))

    def _reserve_port(self) -> int:
        """Hold a free port that the API server can still bind: both ask to share it.

        The kernel hands no shared port to whoever asks for any (SO_REUSEPORT, socket(7)), so two
        control planes never race for one.
        """
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind(("0.0.0.0", 0))
        port: int = self._reserved.getsockname()[1]
        return port

    def _await_ready(self) -> None:
        api = Api(self.kubeconfig)
        refused = (ApiError, urllib3.exceptions.HTTPError)
        self._await(lambda: api.request("GET", "/readyz", timeout=2.0) == "ok", "ready", refused)

    def _await_default_account(self) -> None:
        def exists() -> bool:
            return self.api.find("serviceaccount", "default", "default") is not None

        self._await(exists, "serviceaccount/default", (ApiError,))

    def _await(
        self, happened: Callable[[], bool], what: str, refused: tuple[type[Exception], ...]
    ) -> None:
        """Wait while all programs live; else raise with the last words of the one at fault."""

        def alive_and_happened() -> bool:
            for process in self._processes:
                process.require_alive()
            return happened()

        try:
            wait_for(alive_and_happened, READY_WITHIN, what=what, ignore=refused)
        except TimeoutError as error:
            raise self._processes[-1].failure(str(error)) from error

    def _write_kubeconfig(self, name: str, credential: Credential, *, server: str = "") -> Path:
        path = self.directory / "kubeconfigs" / f"{name.replace(':', '.').replace('/', '.')}.yaml"
        certificate = self.authority.certificate
        return write_kubeconfig(path, server or self.server, certificate, credential)
