"""Whether what a plan writes may stay: judged by who owns the fields, before anything is written.

Only fields that the plan changes are looked at, and only of a workload that we have not configured:
from then on we own them, so the record keeps whose they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kvsync.core.ignore_differences import RESPECT, slot_path
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
from kvsync.core.revert import readable, record_of
from kvsync.core.slot import SLOT_VARIABLE
from kvsync.model.finding import Note, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.record import (
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    REJECTED_ANNOTATION,
    Place,
    Record,
    Taken,
    dump_record,
    parse_owner,
)
from kvsync.model.storm import KIND as STORM_SERVICE
from kvsync.model.storm import Role, StormService
from kvsync.model.workload import Deployment

RENDER = "Commit what kvsync render prints for its manifest, so that both write the same."

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
    refusal = None if _was_ours(live, ask) else args_owned(live, claims)
    return refusal or Judged(_with_taken(live, target, claims), written, claims)


def _was_ours(workload: Deployment, ask: Ask) -> bool:
    """Whether we have configured it: what someone took back since then is a matter of repairs."""
    mark = parse_owner(workload.annotations.get(OWNER_ANNOTATION, ""))
    configured = mark is not None and mark.uid == ask.owner.uid
    rolled_back = REJECTED_ANNOTATION in workload.annotations
    return (configured and not rolled_back) or bool(ask.told_at)


def _with_taken(live: Deployment, target: Deployment, claims: Sequence[Claim]) -> Deployment:
    record = record_of(target)
    taken = taken_from(claims, record_of(live) if readable(live) else None)
    if record is None or not taken:
        return target
    told = dump_record(replace(record, taken_from=taken))
    return target.with_annotations({**target.annotations, RECORD_ANNOTATION: told})


def args_owned(workload: Deployment, claims: Sequence[Claim]) -> Refusal | None:
    """The refusal of a change that its field's owner would take back; None where nobody would."""
    sure = [
        claim
        for claim in claims
        if habit_of(claim.holder, workload) is Habit.TAKES_BACK and not _is_left(claim, workload)
    ]
    if not sure:
        return None
    first = max(
        (claim for claim in sure if claim.field == sure[0].field), key=lambda c: c.holder.time
    )
    does = "would take our change back"
    if first.holder.applies:
        does += ", or fail with a conflict"
    ways = (way_out(first.field, first.holder, workload), RENDER)
    return Refusal(
        ModelReason.ARGS_OWNED,
        f"{name_of(first.holder, workload)} owns the {first.title} of {workload.title} and {does}.",
        " Or: ".join(way for way in ways if way),
    )


def _is_left(claim: Claim, workload: Deployment) -> bool:
    """Whether a field is the slot, and its owner can be told to ignore it: whether he was, nobody sees."""
    return claim.field.is_slot and is_argo(claim.holder, workload) and not claim.holder.whole


def _ignore_slot(workload: Deployment) -> str:
    kind = STORM_SERVICE if isinstance(workload, Role | StormService) else "Deployment"
    return (
        f"Give its Application the sync option {RESPECT} and under ignoreDifferences the "
        f"jqPathExpression {slot_path(kind)} (kvsync render --slot prints both)."
    )


def way_out(field: Field, holder: Holder | None, workload: Deployment) -> str:
    """How the owner of a field leaves it to us; empty where it cannot, for it owns all around it."""
    if holder is not None and holder.whole:
        return ""
    if field.is_slot:
        argo = holder is not None and is_argo(holder, workload)
        return _ignore_slot(workload) if argo else ""
    match field.place:
        case Place.ARGS:
            return (
                "Write the engine's flags into command and leave args out of its manifest: then "
                "nobody takes ours away."
            )
        case Place.ENV:
            return "Leave the variable out of its manifest."
        case Place.COMMAND:
            return "Let the command hand a variable or args on to the engine."
        case _:
            return "Leave the field out of its manifest."


def taken_from(claims: Sequence[Claim], before: Record | None) -> tuple[Taken, ...]:
    """Whose the fields are that we are about to write; of those that are ours already, whose they were."""
    now = list(dict.fromkeys(Taken(c.title, *_facts(c.holder)) for c in claims))
    fields = {taken.field for taken in now}
    kept = [t for t in before.taken_from if t.field not in fields] if before is not None else []
    return tuple([*now, *kept][:_MAX_TAKEN])


def _facts(holder: Holder) -> tuple[str, str, str]:
    return holder.manager, holder.operation, holder.time


def args_at_risk(workload: Deployment) -> tuple[Note, ...]:
    """What to know of a configured workload whose fields were someone's who may write them again."""
    record = record_of(workload) if readable(workload) else None
    return () if record is None else tuple(_at_risk(workload, record))


def _at_risk(workload: Deployment, record: Record) -> Iterator[Note]:
    slot = variable_field(record.container, SLOT_VARIABLE).title
    for each in record.taken_from:
        holder = Holder(each.manager, each.operation)
        wrote = f"{name_of(holder, workload)} wrote the {each.field} of {workload.title} before us"
        if each.field == slot and is_argo(holder, workload):
            yield Note(
                ModelReason.ARGS_AT_RISK,
                f"{wrote}, and takes ours away unless it ignores that value. "
                f"{_ignore_slot(workload)}",
            )
        elif habit_of(holder, workload) is not Habit.UNKNOWN:
            yield Note(
                ModelReason.ARGS_AT_RISK,
                f"{wrote}, and takes ours away when it next writes them: one more restart each time. "
                f"{RENDER}",
            )
