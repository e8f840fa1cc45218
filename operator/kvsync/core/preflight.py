"""Whether what a plan writes may stay: judged by who owns the fields, before anything is written.

Only fields that the plan changes are looked at, and only of a workload that we have not configured:
from then on we own them, so the record keeps whose they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kvsync.core.opponent import Habit, habit_of, is_argo, name_of
from kvsync.core.ownership import (
    Claim,
    Field,
    Holder,
    claims_on,
    variable_field,
    written_fields,
)
from kvsync.core.planned import Ask
from kvsync.core.revert import is_marked_by, readable, record_of
from kvsync.core.slot import SLOT_VARIABLE
from kvsync.core.ways import ignore_slot, takes_back, told, worst_claim
from kvsync.model.admission import NOT_KNOWN, AdmissionMeans
from kvsync.model.finding import Note, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.record import (
    RECORD_ANNOTATION,
    REJECTED_ANNOTATION,
    Place,
    Record,
    Taken,
    dump_record,
)
from kvsync.model.workload import Deployment

_MAX_TAKEN = 8
"""Managers that a record tells of: it must stay small, and the first ones say it all."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A change that may be made: its target, whose record tells whose the fields were."""

    target: Deployment
    written: tuple[Field, ...]
    claims: tuple[Claim, ...]


def judge(live: Deployment, target: Deployment, ask: Ask) -> Judged | Refusal:
    """Whether a change from the live workload to the target may stay."""
    written = written_fields(live, target)
    claims = claims_on(live, written)
    refusal = None if _was_ours(live, ask) else args_owned(live, claims, ask.admission)
    return refusal or Judged(_with_taken(live, target, claims), written, claims)


def _was_ours(workload: Deployment, ask: Ask) -> bool:
    """Whether we have configured it: what someone took back since then is a matter of repairs."""
    configured = is_marked_by(workload, ask.owner)
    rolled_back = REJECTED_ANNOTATION in workload.annotations
    return (configured and not rolled_back) or bool(ask.told_at)


def _with_taken(live: Deployment, target: Deployment, claims: Sequence[Claim]) -> Deployment:
    record = record_of(target)
    taken = taken_from(claims, record_of(live) if readable(live) else None)
    if record is None or not taken:
        return target
    told = dump_record(replace(record, taken_from=taken))
    return target.with_annotations({**target.annotations, RECORD_ANNOTATION: told})


def args_owned(
    workload: Deployment, claims: Sequence[Claim], means: AdmissionMeans = NOT_KNOWN
) -> Refusal | None:
    """The refusal of a change that its field's owner would take back; None where nobody would."""
    first = worst_claim(workload, claims)
    if first is None or not takes_back(first, workload):
        return None
    return Refusal(
        ModelReason.ARGS_OWNED,
        f"{owned_words(workload, first)}.",
        " Or: ".join(told(workload, first.field, first.holder, means)),
    )


def owned_words(workload: Deployment, claim: Claim) -> str:
    """Who owns a field, and what becomes of a change of it, as a clause."""
    does = "would take our change back"
    if claim.holder.applies:
        does += ", or fail with a conflict"
    return (
        f"{name_of(claim.holder, workload)} owns the {claim.title} of {workload.title} and {does}"
    )


def taken_from(claims: Sequence[Claim], before: Record | None) -> tuple[Taken, ...]:
    """Whose the fields are that we are about to write; of those that are ours already, whose they were."""
    now = list(dict.fromkeys(Taken(c.title, *_facts(c.holder)) for c in claims))
    fields = {taken.field for taken in now}
    kept = [t for t in before.taken_from if t.field not in fields] if before is not None else []
    return tuple([*now, *kept][:_MAX_TAKEN])


def _facts(holder: Holder) -> tuple[str, str, str]:
    return holder.manager, holder.operation, holder.time


def args_at_risk(workload: Deployment, means: AdmissionMeans) -> tuple[Note, ...]:
    """What to know of a configured workload whose fields were someone's who may write them again."""
    record = record_of(workload) if readable(workload) else None
    return () if record is None else tuple(_at_risk(workload, record, means))


def _at_risk(workload: Deployment, record: Record, means: AdmissionMeans) -> Iterator[Note]:
    slot = variable_field(record.container, SLOT_VARIABLE).title
    for each in record.taken_from:
        holder = Holder(each.manager, each.operation)
        wrote = f"{name_of(holder, workload)} wrote the {each.field} of {workload.title} before us"
        if each.field == slot and is_argo(holder, workload):
            yield Note(
                ModelReason.ARGS_AT_RISK,
                f"{wrote}, and takes ours away unless it ignores that value. "
                f"{ignore_slot(workload)}",
            )
        elif habit_of(holder, workload) is not Habit.UNKNOWN:
            yield Note(
                ModelReason.ARGS_AT_RISK,
                f"{wrote}, and takes ours away when it next writes them: one more restart each time. "
                f"{' Or: '.join(told(workload, _field(each.field), holder, means))}",
            )


def _field(title: str) -> Field:
    """A field that a record tells of, as far as its title tells what it is."""
    return Field(title, place=next((p for p in Place if title.startswith(f"{p.value} of ")), None))
