"""What the owner of one workload is to change, whatever his tool is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kvsync.core.manifest import DEPLOYMENT, STORM_SERVICE, read_workload
from kvsync.core.owner_patch import owner_patch
from kvsync.core.patch import Operation, apply
from kvsync.core.plan import plan
from kvsync.core.planned import Ask, Part
from kvsync.model.finding import Refusal
from kvsync.model.spec import Mode
from kvsync.model.storm import StormService
from kvsync.model.workload import JSON, Deployment


@dataclass(frozen=True, slots=True)
class OwnerChange:
    """The operations for a workload's manifest, none where it is right, and what its pods get by them."""

    body: JSON
    applied: JSON
    """Its ``spec.template`` after them."""
    operations: tuple[Operation, ...] = ()
    parts: tuple[Part, ...] = ()
    refusal: Refusal | None = None
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace; empty where the manifest leaves it to whoever applies it."""
        return str(self.body["metadata"].get("namespace") or "")

    @property
    def group_version(self) -> tuple[str, str]:
        """The group, empty for the core's, and version of its API."""
        group, _, version = str(self.body["apiVersion"]).rpartition("/")
        return group, version

    @property
    def labels(self) -> Mapping[str, Any]:
        """Its own labels."""
        labels: Mapping[str, Any] = self.body["metadata"].get("labels") or {}
        return labels


def owner_change(workload: Deployment, ask: Ask) -> OwnerChange:
    """What the owner of a workload is to change, whatever the mode of the object is.

    Raises:
        TemplateRenderError: a template is broken.
    """
    made = plan(workload, replace(ask, spec=replace(ask.spec, mode=Mode.RENDER)))
    api, kind = STORM_SERVICE if isinstance(workload, StormService) else DEPLOYMENT
    body = {"apiVersion": api, "kind": kind, **workload.body}  # items of a list do not say it
    after = apply(body, made.patch)
    return OwnerChange(
        body,
        {"spec": {"template": after["spec"]["template"]}},
        owner_patch(body, after),
        made.parts,
        made.refusal,
        tuple(map(str, made.notes)),
    )


def manifest_change(body: JSON, ask: Ask) -> OwnerChange:
    """The same for a manifest.

    Raises:
        ValueError: the manifest is no valid workload; the message names the field.
        TemplateRenderError: a template is broken.
    """
    return owner_change(read_workload(body), ask)
