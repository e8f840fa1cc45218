"""The NetworkPolicies of the served namespaces, as last watched or written by us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvsync.adapters.kube.answer import version_of
from kvsync.model.network import NetworkPolicy, ObservedNetwork, Peer
from kvsync.shell.settings import Settings

Key = tuple[str, str]
Json = Mapping[str, Any]

_KEPT = ("name", "namespace", "uid", "labels", "ownerReferences", "resourceVersion")


def project_policy(body: Json) -> Json:
    """What is looked at of a policy."""
    metadata = {name: body["metadata"][name] for name in _KEPT if name in body["metadata"]}
    return {"metadata": metadata, "spec": body.get("spec") or {}}


class Policies:
    """``watched`` is what the watch holds. Our own writes count at once, before it tells of them."""

    def __init__(self, settings: Settings, watched: Mapping[Key, Json]) -> None:
        self._operator = operator_peer(settings)
        self._watched = watched
        self._written: dict[Key, Json] = {}
        self._removed: dict[Key, str] = {}

    def note_written(self, body: Json) -> None:
        """Remember a policy as the API server returned it from our own write."""
        metadata = body["metadata"]
        self._written[metadata["namespace"], metadata["name"]] = project_policy(body)

    def note_removed(self, key: Key, uid: str) -> None:
        """Remember that we deleted the policy of that name and uid."""
        self._written.pop(key, None)
        self._removed[key] = uid

    def heard(self, key: Key) -> None:
        """The watch has told of that policy: what it says is the newest, unless it is of before our write."""
        told, written = self._watched.get(key), self._written.get(key)
        if told is None or (written is not None and version_of(written) <= version_of(told)):
            self._written.pop(key, None)
        if told is None or told["metadata"].get("uid") != self._removed.get(key):
            self._removed.pop(key, None)

    def of(self, namespace: str) -> ObservedNetwork:
        """What a pass over an object of that namespace sees."""
        bodies = {key[1]: body for key, body in self._watched.items() if key[0] == namespace}
        bodies |= {key[1]: body for key, body in self._written.items() if key[0] == namespace}
        standing = (
            body
            for name, body in sorted(bodies.items())
            if self._removed.get((namespace, name)) != body["metadata"].get("uid")
        )
        return ObservedNetwork(self._operator, tuple(map(NetworkPolicy, standing)))


def operator_peer(settings: Settings) -> Peer | None:
    """The operator's own pods; None where the settings do not say by what they are known."""
    if not (settings.operator_namespace and settings.operator_labels):
        return None
    return Peer(settings.operator_namespace, {"matchLabels": dict(settings.operator_labels)})
