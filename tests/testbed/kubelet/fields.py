"""The downward API: what a pod may learn of itself (fieldRef).

Source: Kubernetes pkg/kubelet/kubelet_pods.go (podFieldSelectorRuntimeValue) and
pkg/fieldpath/fieldpath.go.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Object = dict[str, Any]

SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(Exception):
    """A container cannot be configured as its pod asks; reason CreateContainerConfigError."""


_PLAIN: Mapping[str, Callable[[Object], str]] = {
    "metadata.name": lambda pod: str(pod["metadata"]["name"]),
    "metadata.namespace": lambda pod: str(pod["metadata"]["namespace"]),
    "metadata.uid": lambda pod: str(pod["metadata"]["uid"]),
    "metadata.labels": lambda pod: _lines(pod["metadata"].get("labels")),
    "metadata.annotations": lambda pod: _lines(pod["metadata"].get("annotations")),
    "spec.nodeName": lambda pod: str(pod["spec"].get("nodeName", "")),
    "spec.serviceAccountName": lambda pod: str(pod["spec"].get("serviceAccountName", "")),
    "status.podIP": lambda pod: str(pod["status"].get("podIP", "")),
    "status.podIPs": lambda pod: ",".join(ip["ip"] for ip in pod["status"].get("podIPs", ())),
    "status.hostIP": lambda pod: str(pod["status"].get("hostIP", "")),
    "status.hostIPs": lambda pod: ",".join(ip["ip"] for ip in pod["status"].get("hostIPs", ())),
}


def field_value(path: str, pod: Object) -> str:
    """Return the value of a fieldRef's ``fieldPath``; ``pod`` carries its addresses in status.

    Raises ConfigError for a path that this kubelet does not know.
    """
    if path in _PLAIN:
        return _PLAIN[path](pod)
    if found := SUBSCRIPT.fullmatch(path):
        return str((pod["metadata"].get(found[1]) or {}).get(found[2], ""))
    raise ConfigError(f"unsupported fieldPath {path!r}: known are {', '.join(sorted(_PLAIN))}")


def _lines(values: Mapping[str, str] | None) -> str:
    return "\n".join(f'{key}="{value}"' for key, value in sorted((values or {}).items()))
