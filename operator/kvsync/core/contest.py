"""A model whose changes someone undid: what is missing, who did it, and what comes next.

A repair puts back what stood on a workload by our own word, its record's or the status's, under the
same terms. So a change of our own settings is none, nor the first change, nor one that follows an
owner's edit beside ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from kvsync.core.delivery import stands
from kvsync.core.digest import digest
from kvsync.core.moment import seconds, timestamp
from kvsync.core.opponent import name_of
from kvsync.core.ownership import Claim, Field, Holder, last_writer
from kvsync.core.patch import apply, difference, guarded
from kvsync.core.plan import without_ours
from kvsync.core.planned import Ask, ModelPlan
from kvsync.core.recognise import newest_record
from kvsync.core.repairs import LIMIT, Count, count, one_more
from kvsync.core.revert import carries_text, contains_run, is_marked_by, readable, record_of
from kvsync.core.sidecar.pieces import has_relay
from kvsync.core.ways import told
from kvsync.model.admission import NOT_KNOWN, AdmissionMeans
from kvsync.model.reasons import ModelReason
from kvsync.model.record import (
    REJECTED_ANNOTATION,
    REPAIRS_ANNOTATION,
    Record,
)
from kvsync.model.repairs import Repairs, dump_repairs, load_repairs, read_repairs
from kvsync.model.spec import EngineSpec, EventsSpec, Mode
from kvsync.model.workload import Container, Deployment

Entry = Mapping[str, Any]

LEAVE = "Take the model out of spec.models, or delete this KVEventSync."
WAY_ON = (
    "To have it tried again, set the annotation kvsync.aibrix.ai/retry of the KVEventSync to a new "
    "value."
)


@dataclass(frozen=True, slots=True)
class Contest:
    """What someone undid, and whose turn it is.

    ``by`` names the opponent, ``field`` what it took; ``ways``: how that ends, as sentences.
    """

    counted: Count
    by: str
    field: str
    ways: tuple[str, ...]


def terms_of(ask: Ask) -> str:
    """A digest of what we want of a model. What its owner writes is no part of it."""
    spec = ask.spec
    return _terms(ask.owner.uid, ask.retry, spec.engine, spec.events, spec.mode)


@lru_cache(maxsize=1024)
def _terms(uid: str, retry: str, engine: EngineSpec, events: EventsSpec, mode: Mode) -> str:
    # One pass asks for each model of an object, and they are the same; so are those of the next pass.
    named = [] if mode is Mode.PATCH else [mode.value]
    return digest([uid, retry, asdict(engine), asdict(events), *named])


def repairs_so_far(workload: Deployment | None, entry: Entry, ask: Ask, now: float) -> Count:
    """How often a model was repaired, by its annotation and by its entry in the status."""
    text = workload.annotations.get(REPAIRS_ANNOTATION) if workload is not None else None
    return count(load_repairs(text), read_repairs(entry.get("repairs")), terms_of(ask), now)


def is_undone(workload: Deployment, ask: Ask) -> bool:
    """Whether something of ours is missing that stood on a workload by our own word.

    That word is our mark with its record on it, or the status where those were wiped.
    """
    templates = workload.templates
    if any(REJECTED_ANNOTATION in each.annotations for each in templates):
        return False  # rolled back by ourselves
    if not any(is_marked_by(each, ask.owner) for each in templates):
        return ask.told_at > 0
    if not all(map(readable, templates)):
        return True
    records = [(each, record) for each in templates if (record := record_of(each)) is not None]
    newest_at = max((record.at for _, record in records), default=-1)
    return newest_at < ask.told_at or not records or not all(_stands(*each) for each in records)


def _stands(workload: Deployment, record: Record) -> bool:
    """Whether every piece that a record tells of is on its workload, wherever its owner put it."""
    if record.injection is not None:
        return stands(workload, record)
    labels = {key: change.after for key, change in record.labels.items()}
    declared = {port.get("containerPort") for c in workload.containers for port in c.ports}
    relay = record.relay
    return (
        (relay is None or has_relay(workload.template, relay))
        and any(_has_words(container, record) for container in workload.containers)
        and all(port.get("containerPort") in declared for port in record.ports)
        and labels.items() <= workload.template_labels.items()
    )


def _has_words(container: Container, record: Record) -> bool:
    if record.words is not None:
        return any(
            contains_run(words, record.words.added) for words in (container.args, container.command)
        )
    return record.text is None or carries_text(container.body, record.text)


def taker(
    workload: Deployment, missing: Sequence[Field], claims: Sequence[Claim], since: int = 0
) -> tuple[Field, str, Holder | None]:
    """Which of the missing fields someone has now, what that is called, and who: the newest owner.

    ``claims`` are those of others on the missing fields (``ownership.claims_on``). Where there is
    none, it is whoever changed the template after ``since``, the time of our change: who only takes
    away owns nothing by it.
    """
    latest = max(claims, key=lambda claim: claim.holder.time, default=None)
    if latest is not None:
        return latest.field, latest.title, latest.holder
    field = next(iter(missing), Field("record"))
    last = last_writer(workload)
    later = last is not None and (seconds(last.time) or since + 1) > since
    return field, field.title, last if later else None


def contest(
    workload: Deployment,
    planned: ModelPlan,
    counted: Count,
    entry: Entry,
    means: AdmissionMeans = NOT_KNOWN,
) -> Contest:
    """Who undid what, for a workload that is undone and a plan that would put it back."""
    record = newest_record(workload)
    since = max(record.at if record else 0, int(entry.get("record") or 0))
    field, title, holder = taker(workload, planned.written, planned.claims, since)
    # The name carries a time. While one repair is awaited it stays as first told, lest an opponent
    # who writes every second makes us write every second too.
    same = (
        entry.get("reason") == ModelReason.CONTENDED
        and read_repairs(entry.get("repairs")) == counted.made
    )
    by = (str(entry.get("opponent") or "") if same else "") or name_of(holder, workload)
    return Contest(counted, by, title, told(workload, field, holder, means))


def without_risks(planned: ModelPlan) -> ModelPlan:
    """The plan without the warnings that what was undone may be undone."""
    notes = tuple(note for note in planned.notes if note.reason != ModelReason.ARGS_AT_RISK)
    return replace(planned, notes=notes)


def repaired(workload: Deployment, planned: ModelPlan, made: Repairs) -> ModelPlan:
    """The plan with a note of the repair on the workload, in the same one patch."""
    after = replace(workload, body=apply(workload.body, planned.patch))
    noted = after.with_annotations({**after.annotations, REPAIRS_ANNOTATION: dump_repairs(made)})
    container = planned.parts[0].desired.container if planned.parts else ""
    return replace(
        planned,
        patch=guarded(workload, difference(workload.body, noted.body), container),
        undo=tuple(difference(noted.body, without_ours(noted).body)),
    )


def next_repairs(found: Contest, now: float) -> Repairs:
    """The count with the repair that is made now."""
    return one_more(found.counted.made, now, found.by)


def in_words(workload: Deployment, found: Contest, now: float) -> str:
    """The state of the contest in sentences; they do not change while nothing happens."""
    took = f"{found.by} took the {found.field} of {workload.title} back"
    at, number = found.counted.next_at, found.counted.number
    if at is None:
        ways = enumerate((*found.ways, LEAVE), 1)
        listed = " ".join(f"{number}. {way}" for number, way in ways)
        return f"{took} after {LIMIT} repairs within 30 minutes: it is left so. {listed} {WAY_ON}"
    if now < at:
        return f"{took}; repair {number} of {LIMIT} comes at {timestamp(at)}."
    return f"{took}; repair {number} of {LIMIT} is due."
