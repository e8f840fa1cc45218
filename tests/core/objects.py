"""Deployments, pods and questions that the tests of ``core`` are made of, and shorthands to read answers."""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kvsync.adapters.templates import read_templates
from kvsync.core.plan import plan
from kvsync.core.planned import Ask, ModelPlan
from kvsync.model.events import EventLayout
from kvsync.model.record import Owner
from kvsync.model.relay import RelayMeans
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment

Json = dict[str, Any]

TEMPLATES = read_templates()
OWNER = Owner("default", "sync", "uid-of-sync")
IMAGE = "vllm/vllm-openai:v0.16.0"
SERVE = ["vllm", "serve", "tiny"]
RELAYS = RelayMeans("kvsync-operator:1.2.3")
ARRAYS = frozenset({EventLayout.ARRAY})
"""What every gateway so far decodes."""
EVENTS_LABEL = "model.aibrix.ai/kv-events-enabled"
RECORD = "kvsync.aibrix.ai/record"
CONFIG = (
    '--kv-events-config={"enable_kv_cache_events":true,"publisher":"zmq",'
    '"endpoint":"tcp://*:5557","replay_endpoint":"tcp://*:5558","buffer_steps":10000,'
    '"hwm":100000,"max_queue_size":100000,"topic":""}'
)


def container(name: str = "vllm", image: str = IMAGE, **fields: Any) -> Json:
    """A container; fields as in the API. Runs ``vllm serve`` where neither command nor args is given."""
    body: Json = {"name": name, "image": image, **fields}
    if "vllm" in image and not fields.keys() & {"command", "args"}:
        body["command"] = list(SERVE)
    return body


def deployment(*containers: Json, name: str = "model", **spec: Any) -> Json:
    """A Deployment as the API server returns it; ``spec`` goes into the pod's spec."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": dict(labels)},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": {"containers": [copy.deepcopy(c) for c in containers or (container(),)]}
                | spec,
            },
        },
    }


def spec_of(**fields: Any) -> KVEventSyncSpec:
    """A typed spec that names one model, with these further fields of the manifest."""
    return KVEventSyncSpec.from_manifest({"models": {"names": ["model"]}, **fields})


def ask(
    spec: KVEventSyncSpec | None = None,
    *,
    owner: Owner = OWNER,
    running: str | None = None,
    retry: str = "",
    at: int = 1_000,
    living: frozenset[str] | None = None,
    proven_at: int = 0,
    told_at: int = 0,
    relays: RelayMeans = RELAYS,
    gateway_reads: frozenset[EventLayout] | None = ARRAYS,
    seen: Mapping[str, EventLayout] | None = None,
) -> Ask:
    """What a plan is asked with."""
    versions = {"": running} if running else {}
    return Ask(
        spec or spec_of(),
        owner,
        TEMPLATES,
        versions,
        retry,
        at,
        living,
        proven_at,
        told_at=told_at,
        relays=relays,
        gateway_reads=gateway_reads,
        seen_layouts=seen or {},
    )


def planned(body: Mapping[str, Any], spec: KVEventSyncSpec | None = None, **more: Any) -> ModelPlan:
    """The plan for a Deployment's body."""
    return plan(Deployment(body), ask(spec, **more))


def reason_of(plan: ModelPlan) -> str:
    """Why a plan refuses; empty if it does not."""
    return str(plan.refusal.reason) if plan.refusal else ""


def main_container(body: Mapping[str, Any], name: str = "vllm") -> Json:
    """The container of that name."""
    found: Json = next(
        c for c in body["spec"]["template"]["spec"]["containers"] if c["name"] == name
    )
    return found


def event_config(words: Sequence[str]) -> Json:
    """The JSON of the one ``--kv-events-config=`` among the words."""
    found = [word for word in words if word.startswith("--kv-events-config=")]
    assert len(found) == 1, words
    config: Json = json.loads(found[0].partition("=")[2])
    return config
