"""The manifests that ``kvsync render`` reads, the object that asks, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from kvsync.adapters.manifests import Document, ManifestError, read_manifests
from kvsync.core.manifest import (
    UNSUPPORTED,
    Rendered,
    ask_for_git,
    is_workload,
    refused,
    render_manifest,
    restore_manifest,
    selects,
)
from kvsync.core.manifest_policy import Network
from kvsync.core.owner_change import OwnerChange, manifest_change
from kvsync.core.planned import Outcome
from kvsync.core.render import Templates
from kvsync.core.slot_manifest import with_slot, without_slot
from kvsync.model.fields import SpecError
from kvsync.model.record import Owner
from kvsync.model.relay import RelayMeans
from kvsync.model.spec import KVEventSyncSpec

_EVERY = {"models": {"names": ["every"]}}

FIELDS = {
    "engine_type": ("engine", "type"),
    "container": ("engine", "container"),
    "dialect": ("engine", "dialect"),
    "engine_version": ("engine", "version"),
    "port": ("events", "port"),
    "replay_port": ("events", "replayPort"),
    "topic": ("events", "topic"),
    "buffer_steps": ("events", "bufferSteps"),
    "hwm": ("events", "hwm"),
    "max_queue_size": ("events", "maxQueueSize"),
    "relay": ("events", "relay", "mode"),
}
"""Options that stand for fields of the object's spec."""


@dataclass(frozen=True, slots=True)
class Order:
    """The object that asks for it; ``owner`` None: options, for every workload."""

    spec: KVEventSyncSpec
    owner: Owner | None
    namespace: str | None

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Order:
        """What options stand for. Raises click.UsageError."""
        spec: dict[str, Any] = {**_EVERY, "engine": {}, "events": {}}
        for name, value in given.items():
            *sections, field = FIELDS[name]
            target = spec
            for section in sections:
                target = target.setdefault(section, {})
            target[field] = value
        try:
            return cls(KVEventSyncSpec.from_manifest(spec), None, None)
        except SpecError as error:
            raise click.UsageError(str(error)) from error

    @classmethod
    def read(cls, path: str) -> Order:
        """The KVEventSync in a file. Raises ManifestError."""
        found = [
            document
            for document in read_manifests([path])
            if isinstance(document.body, Mapping) and document.body.get("kind") == "KVEventSync"
        ]
        if len(found) != 1:
            raise ManifestError(f"{path}: holds {len(found)} KVEventSyncs; give one")
        body, where = found[0].body, found[0].where
        metadata = body.get("metadata") or {}
        try:
            spec = KVEventSyncSpec.from_manifest(body.get("spec") or {})
        except SpecError as error:
            raise ManifestError(f"{where}: {error}") from error
        namespace, name = metadata.get("namespace"), str(metadata.get("name") or "-")
        return cls(spec, Owner(str(namespace or "default"), name, "-"), namespace)

    def means(self, body: Mapping[str, Any]) -> bool:
        """Whether a workload is selected."""
        return self.owner is None or selects(self.spec, self.namespace, body)


@dataclass(frozen=True, slots=True)
class One:
    """A workload as read, what became of it, and where it stands; for its owner's tool, what he changes."""

    before: Mapping[str, Any]
    rendered: Rendered
    where: str
    change: OwnerChange | None = None


class Work:
    """Renders documents, and the items of lists in them."""

    def __init__(
        self,
        order: Order,
        templates: Templates,
        relays: RelayMeans,
        network: Network | None,
        *,
        undo: bool,
        slot: bool,
        for_its_owner: bool,
    ) -> None:
        self._order = order
        self._network = network
        self._relays = relays
        self._templates = templates
        self._slot = slot
        self._undo = undo
        self._for_its_owner = for_its_owner

    def render(self, document: Document) -> tuple[Any, list[One]]:
        """The document's body as it shall be, and the workloads found in it."""
        found: list[One] = []
        return self._body(document.body, document.where, found), found

    def _body(self, body: Any, where: str, found: list[One]) -> Any:
        if _is_list(body):
            return {**body, "items": [self._body(item, where, found) for item in body["items"]]}
        if not is_workload(body) or not self._order.means(body):
            return body
        try:
            one = self._owners(body, where) if self._for_its_owner else None
            one = one or One(body, self._rendered(body), where)
        except ValueError as error:
            raise ManifestError(f"{where}: {error}") from error
        found.append(one)
        return one.rendered.body

    def _owners(self, body: Mapping[str, Any], where: str) -> One | None:
        if body["kind"] in UNSUPPORTED:
            return None
        order = self._order
        ask = ask_for_git(order.spec, self._templates, order.owner, self._relays)
        change = manifest_change(body, ask)
        if change.refusal is not None:
            return One(body, refused(body, change.refusal), where, change)
        outcome = Outcome.CHANGE if change.operations else Outcome.UNCHANGED
        return One(body, Rendered(body, outcome, patch=change.operations), where, change)

    def _rendered(self, body: Mapping[str, Any]) -> Rendered:
        if self._slot:
            return without_slot(body) if self._undo else with_slot(body, self._order.spec.engine)
        if self._undo:
            return restore_manifest(body)
        order = self._order
        return render_manifest(
            body, order.spec, self._templates, order.owner, self._relays, self._network
        )


def _is_list(body: Any) -> bool:
    return (
        isinstance(body, Mapping)
        and str(body.get("kind", "")).endswith("List")
        and isinstance(body.get("items"), list)
    )
