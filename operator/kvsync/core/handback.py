"""Giving fields back in ``managedFields``: the last step of an exact undo.

After a revert the values are the owner's again, but the API server still names us as the manager of
the fields that we wrote: the owner's next server-side apply that changes one of them would fail
with a conflict; so too where a model went from mode Patch to Admission. A second patch takes our entry
out. It restarts nothing, and inside of the revert itself it would have no effect, since that patch makes
the entry anew.

Source: Kubernetes, server-side apply, "Transferring ownership"; seen on a running API server.
"""

from __future__ import annotations

from kvsync.core.gateway import owners_of
from kvsync.core.patch import Operation, expect, pointer
from kvsync.core.revert import readable, record_of
from kvsync.model.record import (
    FIELD_MANAGER,
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    REJECTED_ANNOTATION,
)
from kvsync.model.workload import Deployment


def plan_handback(deployment: Deployment) -> tuple[Operation, ...]:
    """The patch that ends our part in managedFields; empty while we have something there."""
    index = _entry(deployment)
    if index is None or (_is_in_use(deployment) and not _is_left_over(deployment, index)):
        return ()
    at = pointer("metadata", "managedFields", index)
    return (
        expect("/metadata/uid", deployment.uid),
        expect(f"{at}/manager", FIELD_MANAGER),
        expect(f"{at}/operation", "Update"),
        {"op": "remove", "path": at},
    )


def _entry(deployment: Deployment) -> int | None:
    """The place of the entry by which we hold fields of the spec."""
    for index, entry in enumerate(deployment.body["metadata"].get("managedFields") or ()):
        ours = entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Update"
        if ours and "f:spec" in (entry.get("fieldsV1") or {}):
            return index
    return None


def _is_in_use(deployment: Deployment) -> bool:
    """Whether anything of ours is on it. Only the reason of a roll-back may stay behind."""
    marks = deployment.annotations
    configured = OWNER_ANNOTATION in marks and REJECTED_ANNOTATION not in marks
    recorded = any(key.startswith(RECORD_ANNOTATION) for key in marks)
    return configured or recorded or bool(owners_of(deployment))


def _is_left_over(deployment: Deployment, index: int) -> bool:
    """Whether we hold what mode Patch wrote although the pods get it at admission: then its owner could
    not change it. The one annotation of the template that is written there keeps well without an owner.
    """
    record = record_of(deployment) if readable(deployment) else None
    if record is None or record.injection is None:
        return False
    fields = deployment.body["metadata"]["managedFields"][index]["fieldsV1"]
    template = fields["f:spec"].get("f:template") or {}
    labels = (template.get("f:metadata") or {}).get("f:labels")
    return bool(template.get("f:spec") or labels)
