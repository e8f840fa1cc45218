"""What the admission policy does to a pod as it is created, told once more in Python.

The real policy is held against this by the tests of the chart; everything else in mode Admission is
tested with it.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from kvsync.model.injection import INJECTED_LABEL, INJECTION_ANNOTATION

Json = dict[str, Any]


def pod_of_template(workload: Mapping[str, Any], revision: str = "5d8f9c7b6") -> Json:
    """A pod as the ReplicaSet of a Deployment asks for it: template annotations come with it."""
    template = workload["spec"]["template"]
    name = workload["metadata"]["name"]
    metadata = template.get("metadata") or {}
    return {
        "metadata": {
            "generateName": f"{name}-{revision}-",
            "namespace": workload["metadata"].get("namespace", "default"),
            "labels": {**(metadata.get("labels") or {}), "pod-template-hash": revision},
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": f"{name}-{revision}",
                    "controller": True,
                }
            ],
        },
        "spec": copy.deepcopy(template["spec"]),
    }


def admitted(pod: Json, entries: Iterable[Json]) -> Json:
    """The pod with the entry that is meant for it, all of it or nothing; the given one is left alone."""
    entry = next((each for each in entries if _is_meant(pod, each)), None)
    if entry is None:
        return pod
    if not _may_have_relay(pod["spec"], entry):
        return pod
    made = copy.deepcopy(pod)
    container = next(c for c in made["spec"]["containers"] if c["name"] == entry["container"])
    if not (_rewrite(container, entry) and _set_variable(container, entry)):
        return pod
    _append(container, entry)
    _declare(made, container, entry)
    _add_relay(made["spec"], entry)
    labels = made["metadata"].setdefault("labels", {})
    for key, value in entry.get("labels", {}).items():
        labels.setdefault(key, value)
    return made


def _is_meant(pod: Json, entry: Json) -> bool:
    metadata = pod["metadata"]
    revision = (metadata.get("labels") or {}).get("pod-template-hash")
    made_by = f"{entry['workload']}-{revision}"
    owned = any(
        each["kind"] == "ReplicaSet" and each["name"] == made_by
        for each in metadata.get("ownerReferences") or ()
    )
    token = (metadata.get("annotations") or {}).get(INJECTION_ANNOTATION)
    named = any(c["name"] == entry["container"] for c in pod["spec"]["containers"])
    return bool(revision) and owned and token == entry["token"] and named


def _may_have_relay(spec: Json, entry: Json) -> bool:
    """Whether one more container is no reason to refuse the pod."""
    relay = entry.get("relay")
    bodies = [body for place in ("initContainers", "containers") for body in spec.get(place) or ()]
    if relay is None or any(body["name"] == relay["container"]["name"] for body in bodies):
        return True
    return not spec.get("hostNetwork") and "resources" not in spec


def _rewrite(container: Json, entry: Json) -> bool:
    """Whether the list was, or is by now, what it shall be."""
    wanted = entry.get("rewrite")
    if wanted is None:
        return True
    found = container.get(wanted["field"]) or []
    if found not in (wanted["before"], wanted["after"]):
        return False
    container[wanted["field"]] = list(wanted["after"])
    return True


def _set_variable(container: Json, entry: Json) -> bool:
    """The same of the one variable; of several of its name the last one counts."""
    wanted = entry.get("env")
    if wanted is None:
        return True
    items = container.get("env") or []
    places = [index for index, item in enumerate(items) if item["name"] == wanted["name"]]
    if not places:
        if "before" in wanted:
            return False
        container["env"] = [*items, {"name": wanted["name"], "value": wanted["value"]}]
        return True
    last = items[places[-1]]
    value = last.get("value", "")
    if "valueFrom" in last or value not in (wanted["value"], wanted.get("before")):
        return False
    container["env"] = [*items]
    container["env"][places[-1]] = {**last, "value": wanted["value"]}
    return True


def _append(container: Json, entry: Json) -> None:
    words = entry.get("args") or []
    found = container.get("args") or []
    runs = (found[at : at + len(words)] for at in range(len(found)))
    if words and words not in runs:
        container["args"] = [*found, *words]


def _declare(pod: Json, container: Json, entry: Json) -> None:
    names = {port.get("name") for c in pod["spec"]["containers"] for port in c.get("ports") or ()}
    spec, numbers = pod["spec"], {port["containerPort"] for port in container.get("ports") or ()}
    if spec.get("hostNetwork"):
        bodies = [*spec["containers"], *(spec.get("initContainers") or ())]
        numbers |= {port["containerPort"] for body in bodies for port in body.get("ports") or ()}
    for port in entry.get("ports", ()):
        if port["name"] not in names and port["containerPort"] not in numbers:
            container["ports"] = [*(container.get("ports") or ()), {**port, "protocol": "TCP"}]


def _add_relay(spec: Json, entry: Json) -> None:
    relay = entry.get("relay")
    if relay is None:
        return
    bodies = [body for place in ("initContainers", "containers") for body in spec.get(place) or ()]
    if not any(body["name"] == relay["container"]["name"] for body in bodies):
        present, first = spec.get(relay["field"]) or [], relay["field"] == "initContainers"
        spec[relay["field"]] = (
            [relay["container"], *present] if first else [*present, relay["container"]]
        )
    volumes = spec.get("volumes") or []
    if not any(each["name"] == relay["volume"]["name"] for each in volumes):
        spec["volumes"] = [*volumes, relay["volume"]]


def proven(pod: Mapping[str, Any]) -> bool:
    """Whether the policy acted on a pod."""
    metadata = pod["metadata"]
    token = (metadata.get("annotations") or {}).get(INJECTION_ANNOTATION)
    return token is not None and (metadata.get("labels") or {}).get(INJECTED_LABEL) == token
