"""A namespace with one StormService: prefill and decode engines and a router."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

from testbed.api import Api
from testbed.storm.install import is_rolled_out, pods_of
from testbed.storm.names import ROLE_SETS, STORM_SERVICES
from testbed.storm.objects import Object, is_ready
from testbed.waiting import wait_for

NAME = "tiny-pd"
DEADLINE = 40.0

ROUTER = {"name": "router", "image": "busybox:1.36", "args": ["-c", "sleep 3600"]}


def engine(role: str) -> Object:
    """A vLLM container as AIBrix's samples name it: after its role."""
    return {
        "name": role,
        "image": "vllm/vllm-openai:v0.16.0",
        "command": ["vllm", "serve", "tiny", "--served-model-name=tiny", "--port=8000"],
        "ports": [{"containerPort": 8000}],
        "env": [{"name": "PYTHONHASHSEED", "value": "1047"}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1},
    }


def role(name: str, replicas: int, container: Object, *, stateful: bool = False) -> Object:
    """One role with one container."""
    return {
        "name": name,
        "replicas": replicas,
        "stateful": stateful,
        "template": {
            "metadata": {"labels": {"model.aibrix.ai/name": "tiny"}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
        },
    }


def storm_service(strategy: str, roles: Sequence[Object] | None = None) -> Object:
    """Two prefill pods in slots, one decode pod, one router."""
    chosen = roles or [
        role("prefill", 2, engine("prefill"), stateful=True),
        role("decode", 1, engine("decode")),
        role("router", 1, ROUTER),
    ]
    labels = {"app": NAME}
    return {
        "apiVersion": "orchestration.aibrix.ai/v1alpha1",
        "kind": "StormService",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 1,
            "updateStrategy": {"type": strategy},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"roles": copy.deepcopy(list(chosen))},
            },
        },
    }


class Stage:
    """Looking at, and changing, the one StormService of a namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def create(self, body: Object) -> None:
        """Create it and wait until its pods are Ready."""
        self.api.create(body, self.namespace)
        self.wait_rolled_out()

    def service(self) -> Object:
        """It, as it is now."""
        return self.api.get(STORM_SERVICES, NAME, self.namespace)

    def status(self) -> Object:
        """Its status."""
        status: Object = self.service().get("status") or {}
        return status

    def conditions(self) -> dict[str, str]:
        """Its conditions, by type."""
        return {each["type"]: each["status"] for each in self.status().get("conditions") or ()}

    def pods(self, role: str = "") -> list[Object]:
        """Its active pods, or those of one role."""
        return pods_of(self.api, self.service(), role)

    def uids(self, role: str) -> set[str]:
        """Which pods a role has."""
        return {pod["metadata"]["uid"] for pod in self.pods(role)}

    def ready(self, role: str) -> int:
        """How many pods of a role are Ready."""
        return sum(map(is_ready, self.pods(role)))

    def role_sets(self) -> list[Object]:
        """All RoleSets of the namespace."""
        return self.api.list(ROLE_SETS, self.namespace)

    def patch(self, *operations: Object) -> None:
        """A JSON patch."""
        self.api.patch(STORM_SERVICES, NAME, list(operations), self.namespace)

    def container(self, role: int) -> Object:
        """The container of the role at that place."""
        spec = self.service()["spec"]["template"]["spec"]["roles"][role]["template"]["spec"]
        found: Object = spec["containers"][0]
        return found

    def add_argument(self, role: int, word: str) -> None:
        """A change of one role's template: one more word for its engine."""
        self.set_command(role, [*self.container(role)["command"], word])

    def set_command(self, role: int, words: list[str]) -> None:
        """A change of one role's template: another command line for its engine."""
        path = f"/spec/template/spec/roles/{role}/template/spec/containers/0/command"
        self.patch({"op": "replace", "path": path, "value": words})

    def wait(self, what: str, is_so: Callable[[], Any]) -> None:
        """Look until it is so; the failure tells what is there."""
        try:
            wait_for(is_so, DEADLINE, what=what)
        except TimeoutError as error:
            kinds = f"{STORM_SERVICES},{ROLE_SETS},pods"
            seen = self.api.kubectl("get", kinds, "-n", self.namespace, check=False)
            raise TimeoutError(f"{error}\n{seen.stdout}\n{self.status()}") from None

    def wait_rolled_out(self) -> None:
        """Until every pod is of the current template, and Ready."""
        self.wait("rolled out", lambda: is_rolled_out(self.api, NAME, self.namespace))
