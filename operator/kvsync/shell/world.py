"""The last known state of everything watched, and what one object's pass sees of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kvsync.core.actions import mark_of, owned_by
from kvsync.core.gateway import owners_of
from kvsync.model.observed import (
    EngineAnswers,
    KVEventSync,
    Observed,
    ObservedGateway,
    ObservedModel,
)
from kvsync.model.source import SourceKey, Verdict
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment, Pod
from kvsync.shell.settings import Settings

Key = tuple[str, str]
Json = Mapping[str, Any]


class World:
    """Objects by (namespace, name). What we wrote ourselves is seen at once, before its watch tells."""

    def __init__(
        self,
        settings: Settings,
        deployments: Mapping[Key, Json],
        pods: Mapping[Key, Json],
    ) -> None:
        self._settings = settings
        self._deployments = deployments
        self._pods = pods
        self._written: dict[tuple[str, Key], Json] = {}
        self._pods_of: dict[Key, set[Key]] = {}
        self._maker_of: dict[Key, str] = {}
        self.syncs: dict[Key, Json] = {}

    def note_written(self, kind: str, body: Json) -> None:
        """Remember an object as the API server returned it from our own write."""
        metadata = body["metadata"]
        self._written[kind, (metadata["namespace"], metadata["name"])] = body

    def pod_changed(self, key: Key, pod: Json | None) -> str:
        """Keep the index of pods by Deployment. Returns the Deployment's name, or an empty string."""
        if pod is None:
            name = self._maker_of.pop(key, "")
            self._pods_of.get((key[0], name), set()).discard(key)
            return name
        name = Pod(pod).deployment
        if name:
            self._maker_of[key] = name
            self._pods_of.setdefault((key[0], name), set()).add(key)
        return name

    def deployment_gone(self, key: Key) -> None:
        """Forget what belongs to a deleted Deployment."""
        self._written.pop(("Deployment", key), None)
        self._pods_of.pop(key, None)

    def sync(self, key: Key) -> KVEventSync | None:
        """The object of that key, or None when it is gone."""
        body = self._freshest("KVEventSync", key, self.syncs.get(key))
        return KVEventSync(body) if body is not None else None

    def sync_gone(self, key: Key) -> None:
        """Forget an object that is gone."""
        self.syncs.pop(key, None)
        self._written.pop(("KVEventSync", key), None)

    def deployment(self, namespace: str, name: str) -> Deployment | None:
        """The Deployment of that name, or None."""
        key = (namespace, name)
        body = self._freshest("Deployment", key, self._deployments.get(key))
        return Deployment(body) if body is not None else None

    def _freshest(self, kind: str, key: Key, watched: Json | None) -> Json | None:
        """What the watch says, unless our own last write is newer.

        Resource versions of one kind are ordered numbers (Kubernetes 1.35, KEP-5504).
        """
        written = self._written.get((kind, key))
        if written is None or watched is None:
            return watched
        same = written["metadata"]["uid"] == watched["metadata"]["uid"]
        if same and _version(written) > _version(watched):
            return written
        del self._written[kind, key]
        return watched

    def pods(self, namespace: str, deployment: str) -> tuple[Pod, ...]:
        """The pods of a Deployment, by name."""
        keys = sorted(self._pods_of.get((namespace, deployment), ()))
        return tuple(Pod(self._pods[key]) for key in keys if key in self._pods)

    def concerned(self, namespace: str, deployment: str) -> Iterator[Key]:
        """The objects that a change of a Deployment or its pods concerns: as a model or as a gateway."""
        for key, body in self.syncs.items():
            gateway = (body.get("spec") or {}).get("gateway") or {}
            named = (gateway.get("namespace"), gateway.get("deployment"))
            if key[0] == namespace or named == (namespace, deployment):
                yield key

    def observe(
        self,
        sync: KVEventSync,
        spec: KVEventSyncSpec,
        answers: Mapping[str, EngineAnswers],
        verdicts: Mapping[SourceKey, Verdict],
        now: float,
    ) -> Observed:
        """Everything that one pass looks at."""
        gateway, permitted = spec.gateway, self._permits(spec)
        return Observed(
            sync=sync,
            spec=spec,
            models=tuple(self._models(sync, spec, answers)),
            gateway=ObservedGateway(
                self.deployment(gateway.namespace, gateway.deployment) if permitted else None,
                permitted,
            ),
            strays=tuple(self._strays(sync, spec)),
            verdicts=verdicts,
            now=now,
        )

    def _permits(self, spec: KVEventSyncSpec) -> bool:
        return self._settings.permits_gateway(spec.gateway.namespace, spec.gateway.deployment)

    def _models(
        self, sync: KVEventSync, spec: KVEventSyncSpec, answers: Mapping[str, EngineAnswers]
    ) -> Iterator[ObservedModel]:
        for name in self._model_names(sync, spec):
            deployment = self.deployment(sync.namespace, name)
            labels = deployment.body["metadata"].get("labels") or {} if deployment else {}
            pods = self.pods(sync.namespace, name)
            yield ObservedModel(
                name=name,
                selected=spec.models.selects(name, labels),
                deployment=deployment,
                pods=pods,
                answers={pod.uid: answers[pod.uid] for pod in pods if pod.uid in answers},
            )

    def _model_names(self, sync: KVEventSync, spec: KVEventSyncSpec) -> list[str]:
        names = set(spec.models.names)
        for (namespace, name), body in self._deployments.items():
            if namespace != sync.namespace:
                continue
            labels = body["metadata"].get("labels") or {}
            if spec.models.selects(name, labels) or owned_by(
                self.deployment(namespace, name), sync
            ):
                names.add(name)
        return sorted(names)

    def _strays(self, sync: KVEventSync, spec: KVEventSyncSpec) -> Iterator[Deployment]:
        current = (spec.gateway.namespace, spec.gateway.deployment)
        for key in self._deployments:
            if key == current or not self._settings.permits_gateway(*key):
                continue
            deployment = self.deployment(*key)
            if deployment is not None and mark_of(sync) in owners_of(deployment):
                yield deployment


def _version(body: Json) -> int:
    text = str(body["metadata"].get("resourceVersion", "0"))
    return int(text) if text.isdigit() else 0
