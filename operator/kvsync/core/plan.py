"""The plan for one workload, and the way back: a Deployment, or a StormService with its roles."""

from __future__ import annotations

from kvsync.core.patch import Operation, difference, guarded
from kvsync.core.planned import Ask, ModelPlan
from kvsync.core.recognise import newest_record
from kvsync.core.storm import plan_storm, strip_storm
from kvsync.core.template_plan import lost_record_notes, plan_template, strip_template
from kvsync.model.finding import Note, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.storm import StormService
from kvsync.model.workload import Deployment


def plan(workload: Deployment, ask: Ask) -> ModelPlan:
    """What to do with one workload.

    Raises:
        TemplateRenderError: the dialect's template is broken.
    """
    if isinstance(workload, StormService):
        return plan_storm(workload, ask)
    return plan_template(workload, ask)


def unsupported_kind(kind: str, name: str) -> Refusal:
    """The refusal of an object of a kind that is not changed."""
    return Refusal(
        ModelReason.UNSUPPORTED,
        f"{kind} {name}: objects of this kind are not changed.",
        "Run the model as a Deployment or a StormService, or write the KV event arguments, ports and "
        "labels into its template by hand.",
    )


def without_ours(workload: Deployment) -> Deployment:
    """The workload without anything of ours: by its record, or by form where that is lost."""
    return strip_storm(workload) if isinstance(workload, StormService) else strip_template(workload)


def plan_undo(workload: Deployment) -> tuple[Operation, ...]:
    """The one patch that takes everything of ours off a workload; empty when nothing is on it."""
    operations = difference(workload.body, without_ours(workload).body)
    record = newest_record(workload)
    return guarded(workload, operations, record.container if record else "") if operations else ()


def lost_records(workload: Deployment) -> tuple[Note, ...]:
    """What to say of a workload whose record cannot be read; nothing of any other."""
    return tuple(note for each in workload.templates for note in lost_record_notes(each))
