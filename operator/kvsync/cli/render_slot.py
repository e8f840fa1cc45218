"""What ``kvsync render --slot`` tells of the owner's tools, beside the manifests."""

from __future__ import annotations

from collections.abc import Iterable

from kvsync.adapters.manifests import dump_manifest
from kvsync.core.ignore_differences import ignored_slot
from kvsync.core.manifest import Rendered
from kvsync.core.planned import Outcome

ADVICE = """\
Set spec.engine.labels: WhenVerified in the KVEventSync: the value of the slot is then all that it changes.
Where Argo CD applies these manifests, add this to its Application:
"""


def slot_kinds(rendered: Iterable[Rendered]) -> list[str]:
    """The kinds of the workloads that have a slot."""
    slotted = (each for each in rendered if each.outcome is not Outcome.REFUSED)
    return sorted({str(each.body["kind"]) for each in slotted})


def argocd_for_slot(rendered: Iterable[Rendered]) -> str:
    """The part of an Argo CD Application that leaves the slots' values alone, as YAML."""
    kinds = slot_kinds(rendered)
    return dump_manifest({"spec": ignored_slot(kinds)}) if kinds else ""
