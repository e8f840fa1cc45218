"""The plan for one workload, and the way back: a Deployment, or a StormService with its roles."""

from __future__ import annotations

from kvsync.core.admission import unavailable
from kvsync.core.delivery import unsupported
from kvsync.core.patch import Operation, difference, guarded
from kvsync.core.pieces import lost_record_notes, strip_template
from kvsync.core.planned import Ask, ModelPlan, Outcome
from kvsync.core.recognise import newest_record
from kvsync.core.storm import plan_storm, strip_storm
from kvsync.core.template_plan import plan_template
from kvsync.model.finding import Note, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.record import OWNER_ANNOTATION, Owner, parse_owner
from kvsync.model.spec import Mode
from kvsync.model.storm import StormService
from kvsync.model.workload import Deployment


def plan(workload: Deployment, ask: Ask) -> ModelPlan:
    """What to do with one workload.

    Raises:
        TemplateRenderError: the dialect's template is broken.
    """
    refusal = _foreign(workload, ask)
    if refusal is None and ask.spec.mode is Mode.ADMISSION:
        refusal = unavailable(workload, ask.admission)
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    if isinstance(workload, StormService):
        if ask.spec.mode is Mode.ADMISSION:
            return ModelPlan(Outcome.REFUSED, refusal=unsupported(workload))
        return plan_storm(workload, ask)
    return plan_template(workload, ask)


def _foreign(workload: Deployment, ask: Ask) -> Refusal | None:
    """The refusal of a workload that is another object's: by its mark, or where there is none by age."""
    mark = parse_owner(workload.annotations.get(OWNER_ANNOTATION, ""))
    # A mark of an object that is gone came back with an old revision.
    alive = mark is not None and (ask.living is None or mark.uid in ask.living)
    if mark is not None and alive:
        return None if mark.uid == ask.owner.uid else _owned_by(workload, mark, _HAD_IT_FIRST)
    return _owned_by(workload, ask.elder, _COMES_FIRST) if ask.elder else None


_HAD_IT_FIRST = "is configured by"
_COMES_FIRST = "has no owner yet, and of several objects the oldest that is not paused gets it:"


def _owned_by(workload: Deployment, other: Owner, why: str) -> Refusal:
    return Refusal(
        ModelReason.OWNED_BY_ANOTHER,
        f"{workload.title} {why} KVEventSync {other.namespace}/{other.name}.",
        "Take it out of spec.models of one of the two. When the other lets go of it, this one takes "
        "it over as it is.",
    )


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
