"""The admission policy on an API server of its own: entries written by hand, pods that are only tried."""

from __future__ import annotations

import contextlib
import copy
import itertools
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from testbed.api import Api, ApiError, Object
from testbed.cluster import ControlPlane
from testbed.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
CRD = ROOT / "crds" / "kveventsync.yaml"
POLICY = ROOT / "docs" / "samples" / "install" / "admission.yaml"
NAME = "kvsync-operator-inject"

ANNOTATION = "kvsync.aibrix.ai/injection"
INJECTED = "kvsync.aibrix.ai/injected"
TOKEN = "0123456789abcdef"
HASH = "5d8f9c7b64"
CONFIG = '--kv-events-config={"enable_kv_cache_events":true}'
EFFECTIVE = 45.0
"""Seconds within which a policy, or a CRD after it, must have come into effect."""

_numbers = itertools.count(1)
_CHECKS = re.compile(
    r"^apiserver_mutating_admission_policy_check_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$"
)


class Stage:
    """A namespace with one KVEventSync whose status a test writes."""

    def __init__(self, plane: ControlPlane, namespace: str = "") -> None:
        self.plane = plane
        self.api: Api = plane.api
        self.namespace = namespace or f"inject-{next(_numbers)}"
        if self.api.find("namespace", self.namespace) is None:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
            self.api.create(body)
        plane.wait_for_namespace(self.namespace)

    def publish(self, *entries: Object, name: str = "kv") -> None:
        """Write the entries, and wait until they are what pods get: one more, of nobody, tells."""
        token = f"{next(_numbers):016x}"
        mark = entry(workload="nobody", token=token)
        self.write(*entries, mark, name=name)
        probe = pod(workload="nobody", token=token)
        wait_for(lambda: INJECTED in labels(self.tried(probe)), 10, what="the entries in effect")

    def write(self, *entries: Object, name: str = "kv") -> Object:
        """Write the entries. Raises ApiError where the schema refuses one."""
        if self.api.find("kveventsyncs", name, self.namespace) is None:
            self.api.create(sync(name, self.namespace))
        status = {"status": {"injections": list(entries)}}
        return self.api.patch("kveventsyncs", name, status, self.namespace, subresource="status")

    def tried(self, body: Object, namespace: str = "") -> Object:
        """The pod as it would be created: admission, defaults and validation, and nothing stays.

        Raises ApiError where it would be refused.
        """
        where = namespace or self.namespace
        made: Object = self.api.request("POST", f"/api/v1/namespaces/{where}/pods?dryRun=All", body)
        return made

    def untouched(self, body: Object) -> bool:
        """Whether a pod would be created without anything of ours."""
        return bool(written(self.tried(body)) == written(self.tried(stripped(body))))

    @contextlib.contextmanager
    def policy(
        self, name: str, is_in_effect: Callable[[], object], **changes: Any
    ) -> Iterator[None]:
        """One more policy, for this namespace alone, which is ours but for these fields of its spec."""
        policy, binding = yaml.safe_load_all(POLICY.read_text())
        policy["metadata"]["name"] = binding["metadata"]["name"] = name
        binding["spec"]["policyName"] = name
        policy["spec"] |= changes
        here = {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}
        policy["spec"]["matchConstraints"]["namespaceSelector"] = here
        if "paramKind" in changes:
            del policy["spec"]["paramKind"], binding["spec"]["paramRef"]
        self.api.create_all([policy, binding])
        try:
            wait_for(is_in_effect, EFFECTIVE, what=f"policy {name}")
            yield
        finally:
            for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
                self.api.delete(kind, name)


def sync(name: str, namespace: str) -> Object:
    return {
        "apiVersion": "kvsync.aibrix.ai/v1alpha1",
        "kind": "KVEventSync",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"models": {"names": ["m"]}, "mode": "Admission"},
    }


def entry(**fields: Any) -> Object:
    """One entry: an argument, a port and labels, but for what is given; None leaves a field out."""
    whole: Object = {
        "workload": "m",
        "container": "vllm",
        "token": TOKEN,
        "since": 1_732_650_000,
        "args": [CONFIG],
        "ports": [
            {"name": "kv-events", "containerPort": 5557},
            {"name": "kv-replay", "containerPort": 5558},
        ],
    }
    whole |= fields
    proof = {"model.aibrix.ai/kv-events-enabled": "true", INJECTED: whole["token"]}
    whole.setdefault("labels", proof)
    return {key: value for key, value in whole.items() if value is not None}


def relay(field: str = "initContainers") -> Object:
    """The relay as the operator writes it (core/sidecar/form.py)."""
    container: Object = {
        "name": "kvsync-relay",
        "image": "kvsync-operator:0.2.0",
        "args": ["relay", "--upstream=tcp://127.0.0.1:5657"],
        "ports": [
            {"name": "kv-events", "containerPort": 5557, "protocol": "TCP"},
            {"name": "kv-replay", "containerPort": 5558, "protocol": "TCP"},
            {"name": "kv-relay", "containerPort": 5656, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        },
        "volumeMounts": [{"name": "kvsync-relay", "mountPath": "/var/run/kvsync-relay"}],
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": 5656},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsGroup": 65532,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if field == "initContainers":
        container["restartPolicy"] = "Always"
    volume = {"name": "kvsync-relay", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}
    return {"field": field, "container": container, "volume": volume}


def pod(
    *,
    workload: str = "m",
    token: str | None = TOKEN,
    container: str = "vllm",
    spec: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Object:
    """A pod as the ReplicaSet of a Deployment creates it; ``fields`` are its engine container's, as far
    as they are not None."""
    engine = {"name": container, "image": "vllm/vllm-openai:v0.16.0", "command": ["vllm"]}
    engine |= {key: value for key, value in fields.items() if value is not None}
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{workload}-{HASH}",
        "uid": "4b8d6c1e-0000-4000-8000-000000000001",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{workload}-{HASH}-",
            "labels": {"app": workload, "pod-template-hash": HASH},
            "annotations": {} if token is None else {ANNOTATION: token},
            "ownerReferences": [owner],
        },
        "spec": {"containers": [engine], **(spec or {})},
    }


def stripped(body: Object) -> Object:
    """The same pod as one that nobody restarted for anything."""
    plain = copy.deepcopy(body)
    plain["metadata"].pop("annotations", None)
    return plain


def container(made: Object, name: str = "vllm", kind: str = "containers") -> Any:
    """One of its containers."""
    return next(each for each in made["spec"][kind] if each["name"] == name)


def labels(made: Object) -> Any:
    """Its labels."""
    return made["metadata"].get("labels") or {}


def ports(made: Object, name: str = "vllm") -> list[tuple[str, int]]:
    """What a container declares."""
    declared = container(made, name).get("ports") or ()
    return [(each.get("name", ""), each["containerPort"]) for each in declared]


_OURS = ("name", "command", "args", "env", "ports")


def written(made: Object) -> Any:
    """All of a pod that the policy may write."""
    spec = made["spec"]
    bodies = [*spec.get("initContainers", ()), *spec["containers"]]
    volumes = [each["name"] for each in spec.get("volumes", ())]
    # The service account's own has a name of chance.
    volumes = [name for name in volumes if not name.startswith("kube-api-access")]
    return [[{key: body.get(key) for key in _OURS} for body in bodies], volumes, labels(made)]


def checks(api: Api, policy: str = NAME) -> dict[str, float]:
    """How often the policy was evaluated, by what came of it (``no_error``, ``invalid_error``, …)."""
    found: dict[str, float] = {}
    for line in api.raw("GET", "/metrics").decode().splitlines():
        match = _CHECKS.match(line)
        if match and f'policy="{policy}"' in match["labels"]:
            outcome = re.search('error_type="([^"]*)"', match["labels"])
            assert outcome is not None
            found[outcome[1]] = found.get(outcome[1], 0.0) + float(match["value"])
    return found


def install(plane: ControlPlane) -> None:
    """CRD and policy, and wait until pods get what is published."""
    plane.api.apply(CRD)
    established(plane.api)
    plane.api.create_all(POLICY)
    stage = Stage(plane)
    stage.write(entry())
    in_effect(stage)


def established(api: Api) -> None:
    """Wait until the API server serves the kind."""

    def served() -> bool:
        api.request("GET", "/apis/kvsync.aibrix.ai/v1alpha1/kveventsyncs")
        return True

    wait_for(served, 15, what="the CRD", ignore=(ApiError,))


def in_effect(stage: Stage, within: float = EFFECTIVE) -> float:
    """Wait until a pod would get an entry that stands there already; returns the seconds it took."""
    begun = time.monotonic()
    wait_for(lambda: INJECTED in labels(stage.tried(pod())), within, what="the policy in effect")
    return time.monotonic() - begun
