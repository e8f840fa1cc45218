"""An operator written the plain way with kopf: `on.event` on pods, Deployments and KVEventSyncs.

It keeps what it is told as kopf hands it over, and writes into each object's status how many of
its models exist and how many of their pods are Ready; nothing else. ``python -m … KUBECONFIG``.
"""

import asyncio
import os
import sys
from collections import defaultdict
from typing import Any

import kopf
from kubernetes import client, config

PAUSE = 0.5
"""Seconds that changes of an object are gathered before its status is written."""
Bodies = dict[str, dict[str, Any]]

pods: dict[str, Bodies] = defaultdict(dict)
deployments: dict[str, Bodies] = defaultdict(dict)
syncs: dict[str, Bodies] = defaultdict(dict)
due: set[str] = set()
working: list[asyncio.Task[None]] = []


def keep(kept: dict[str, Bodies], event: Any) -> None:
    """Take over what an event says, and have the objects of that namespace written."""
    body = event["object"]
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    if event["type"] == "DELETED":
        kept[namespace].pop(name, None)
    else:
        kept[namespace][name] = body
    due.add(namespace)


@kopf.on.event("pods")
async def pod_event(event: Any, **_: Any) -> None:
    keep(pods, event)


@kopf.on.event("apps", "v1", "deployments")
async def deployment_event(event: Any, **_: Any) -> None:
    keep(deployments, event)


@kopf.on.event("kvsync.aibrix.ai", "v1alpha1", "kveventsyncs")
async def sync_event(event: Any, **_: Any) -> None:
    keep(syncs, event)


@kopf.on.startup()
async def begin(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = False
    working.append(asyncio.create_task(write_all()))


@kopf.on.login()
def login(**known: Any) -> Any:
    return kopf.login_with_kubeconfig(**known)


async def write_all() -> None:
    """Write what is due, again and again."""
    api = client.CustomObjectsApi()
    while True:
        await asyncio.sleep(PAUSE)
        namespaces = [*due]
        due.clear()
        for namespace in namespaces:
            for name, body in [*syncs[namespace].items()]:
                status = status_of(namespace, body)
                if status.items() <= (body.get("status") or {}).items():
                    continue
                await asyncio.to_thread(
                    api.patch_namespaced_custom_object_status,
                    "kvsync.aibrix.ai", "v1alpha1", namespace, "kveventsyncs", name, {"status": status},
                )  # fmt: skip


def status_of(namespace: str, body: Any) -> dict[str, Any]:
    """What it says of one object."""
    names = [n for n in body["spec"]["models"]["names"] if n in deployments[namespace]]
    count = ready = 0
    for name in names:
        wanted = deployments[namespace][name]["spec"]["selector"]["matchLabels"]
        for pod in pods[namespace].values():
            if wanted.items() <= (pod["metadata"].get("labels") or {}).items():
                count += 1
                conditions = (pod.get("status") or {}).get("conditions") or ()
                ready += any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return {
        "observedGeneration": body["metadata"]["generation"],
        "modelsTotal": len(names),
        "summary": {"sources": f"{ready}/{count}"},
    }


if __name__ == "__main__":
    os.environ["KUBECONFIG"] = sys.argv[1]
    config.load_kube_config(sys.argv[1])  # type: ignore[no-untyped-call]
    kopf.run(clusterwide=True, standalone=True)
