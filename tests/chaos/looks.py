"""What the objects look like, said once more without the operator's code."""

from __future__ import annotations

import re
from collections.abc import Mapping

from testbed.api import Object

# One argument of released engines, or the three flags of the AIBrix text (kv-event-sync.rst).
_CONFIGURATION = re.compile(r"--kv-events-config\b|--enable-kv-cache-events\b")
_FLAG = re.compile(r"^AIBRIX_(PREFIX_CACHE_)?KV_EVENT_SYNC_ENABLED$")


def configurations(container: Object) -> list[str]:
    """The event configurations of a container, wherever in its command line, scripts included."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return [found for word in words for found in _CONFIGURATION.findall(str(word))]


def is_configured(body: Object) -> bool:
    """Whether the pods of a Deployment's template publish events."""
    containers = body["spec"]["template"]["spec"]["containers"]
    return any(configurations(container) for container in containers)


def flag_is_on(body: Object) -> bool:
    """Whether a gateway's template says that events are to be consumed, under either name."""
    containers = body["spec"]["template"]["spec"]["containers"]
    env = [item for container in containers for item in container.get("env") or ()]
    return any(_FLAG.match(item["name"]) and item.get("value") == "true" for item in env)


def is_meant(sync: Object, deployment: Object) -> bool:
    """Whether a KVEventSync names a Deployment, or selects it by labels."""
    models = sync["spec"]["models"]
    metadata = deployment["metadata"]
    if metadata["namespace"] != sync["metadata"]["namespace"]:
        return False
    wanted: Mapping[str, str] = (models.get("selector") or {}).get("matchLabels") or {}
    labels = metadata.get("labels") or {}
    selected = bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())
    return selected or metadata["name"] in (models.get("names") or ())


def is_leaving(sync: Object) -> bool:
    """Whether a KVEventSync is being deleted."""
    return "deletionTimestamp" in sync["metadata"]


def is_marked_for(sync: Object, gateway: Object) -> bool:
    """Whether a gateway's annotations name a KVEventSync as one that it is configured for."""
    metadata = sync["metadata"]
    marks = (gateway["metadata"].get("annotations") or {}).get("kvsync.aibrix.ai/owners") or ""
    return f"{metadata['namespace']}/{metadata['name']}" in marks


def is_named_on(sync: Object, gateway: Object) -> bool:
    """The same; all count where it names none."""
    marks = (gateway["metadata"].get("annotations") or {}).get("kvsync.aibrix.ai/owners")
    return not marks or is_marked_for(sync, gateway)


def manages_gateway(sync: Object) -> bool:
    """Whether a KVEventSync has the gateway configured: the default of ``spec.gateway.manage``."""
    return bool((sync["spec"].get("gateway") or {}).get("manage", True))


def told_of(sync: Object, model: str) -> Object:
    """What a status says of one model; empty where it says nothing."""
    models = (sync.get("status") or {}).get("models") or ()
    return next((dict(entry) for entry in models if entry["name"] == model), {})


def is_told_verified(entry: Object) -> bool:
    """Whether an entry of a status says that every source of the model was heard."""
    sources = entry.get("sources") or {}
    return bool(sources.get("verified", 0) == sources.get("total", 0) > 0)


def condition(sync: Object, kind: str) -> Object:
    """One condition of a status; empty where there is none."""
    conditions = (sync.get("status") or {}).get("conditions") or ()
    return next((dict(each) for each in conditions if each["type"] == kind), {})
