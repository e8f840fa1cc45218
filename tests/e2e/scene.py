"""One test's stage: a namespace of the bed, an operator, and looking until something is so."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from e2e.manifests import Object
from testbed.api import ApiError, rolled_out
from testbed.bed import Bed
from testbed.waiting import wait_for

KVSYNC = str(Path(sys.executable).parent / "kvsync")
GATEWAY = ("aibrix-gateway-plugins", "aibrix-system")
WATCHER = ("kvcache-watcher", "aibrix-system")
GATEWAY_ACCESS = {"kvsync.aibrix.ai/gateway-access": "true"}
DEADLINE = 75.0
OPERATOR_ENVIRONMENT = {
    # Operators of several tests run at once: each takes a free port.
    "KVSYNC_METRICS_ADDRESS": "127.0.0.1:0",
    # Whatever it could say is looked through for token ids.
    "KVSYNC_LOG_LEVEL": "debug",
}


class OperatorProcess:
    """`kvsync run` as a process of its own, under the ServiceAccount of the install manifest."""

    def __init__(
        self, kubeconfig: Path, log: Path, *options: str, env: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [KVSYNC, "run", "--kubeconfig", str(kubeconfig), *options],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**OPERATOR_ENVIRONMENT, **os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        )

    def kill(self) -> None:
        """kill -9, as the kernel does it when memory runs out."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(20)
        self._log.close()
        return code


class Scene:
    """What a story needs at hand."""

    def __init__(self, bed: Bed, namespace: str) -> None:
        self.bed = bed
        self.api = bed.api
        self.namespace = namespace

    def create(self, *bodies: Object) -> None:
        """Create objects."""
        for body in bodies:
            self.api.create(body, self.namespace)

    def deployment(self, name: str) -> Object:
        """The live Deployment."""
        return self.api.get("deployments", name, self.namespace)

    def template(self, name: str) -> Any:
        """Its pod template."""
        return self.deployment(name)["spec"]["template"]

    def container(self, name: str) -> Any:
        """Its first container."""
        return self.template(name)["spec"]["containers"][0]

    def gateway(self) -> Object:
        """The live gateway."""
        return self.api.get("deployments", *GATEWAY)

    def gateway_env(self) -> dict[str, str]:
        """The gateway's literal variables."""
        env = self.gateway()["spec"]["template"]["spec"]["containers"][0]["env"]
        return {item["name"]: item["value"] for item in env if "value" in item}

    def sync(self, name: str) -> Object | None:
        """The live KVEventSync, or None."""
        return self.api.find("kveventsyncs", name, self.namespace)

    def condition(self, name: str, kind: str = "Ready") -> Mapping[str, Any]:
        """One condition of a KVEventSync; empty while there is none."""
        body = self.sync(name) or {}
        for found in (body.get("status") or {}).get("conditions") or ():
            if found["type"] == kind:
                return dict(found)
        return {}

    def wait(self, what: str, is_so: Callable[[], Any], deadline: float = DEADLINE) -> Any:
        """Look until something is so; the failure tells the state of the objects."""
        try:
            return wait_for(is_so, deadline, what=what, ignore=(ApiError,))
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.describe()}") from None

    def wait_ready(self, name: str, deadline: float = DEADLINE) -> Mapping[str, Any]:
        """Wait for Ready=True."""
        self.wait(f"{name} Ready", lambda: self.condition(name).get("status") == "True", deadline)
        return self.condition(name)

    def wait_reason(self, name: str, reason: str, kind: str = "Ready") -> Mapping[str, Any]:
        """Wait until a condition has this reason."""
        self.wait(
            f"{name} {kind} {reason}", lambda: self.condition(name, kind).get("reason") == reason
        )
        return self.condition(name, kind)

    def wait_available(self, name: str) -> None:
        """Wait until a Deployment is rolled out and available."""
        self.wait(f"Deployment {name} available", lambda: rolled_out(self.deployment(name)))

    def delete_sync(self, name: str, deadline: float = DEADLINE) -> None:
        """Delete a KVEventSync and wait until it is gone."""
        self.api.delete("kveventsyncs", name, self.namespace)
        self.wait(f"{name} gone", lambda: self.sync(name) is None, deadline)

    def describe(self) -> str:
        """What a person would look at first."""
        listed = self.api.kubectl(
            "get", "kves,deployments,pods", "-n", self.namespace, "-o", "wide", check=False
        )
        status = [
            f"{body['metadata']['name']}: {c['type']}={c['status']} {c['reason']}: {c['message']}"
            for body in self.api.list("kveventsyncs", self.namespace)
            for c in (body.get("status") or {}).get("conditions", ())
        ]
        return "\n".join([listed.stdout, *status])

    def settle(self, seconds: float = 3.0) -> None:
        """Let the operator look at a converged cluster for a while: the time is what is tested."""
        time.sleep(seconds)
