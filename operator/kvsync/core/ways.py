"""The ways to have a model publish that its owner does not undo, and which of them fit.

What counts is not which tool owns a workload, but whether a manifest of it names what mode Patch would
write: most often ``args``, which Kubernetes takes for one field. What each owner does to it was tried
with the real programs (``tests/e2e/test_long_tail.py``).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kvsync.core.ignore_differences import RESPECT, slot_path
from kvsync.core.opponent import Habit, habit_of, is_argo
from kvsync.core.ownership import Claim, Field, Holder
from kvsync.model.admission import NOT_KNOWN, AdmissionMeans
from kvsync.model.record import Place
from kvsync.model.spec import Mode
from kvsync.model.storm import KIND as STORM_SERVICE
from kvsync.model.storm import Role, StormService
from kvsync.model.workload import Deployment

_NOBODY = Holder("", "")


class Way(enum.Enum):
    """A way to have a model publish."""

    PATCH = enum.auto()
    """The operator changes the workload."""
    ADMISSION = enum.auto()
    """Its pods get it as they are created; of the workload one annotation is changed."""
    SLOT = enum.auto()
    """Its owner leaves one value to us, and has Argo CD ignore it."""
    MANIFEST = enum.auto()
    """Its owner leaves the field out, and the operator changes the workload."""
    RENDER = enum.auto()
    """Its owner writes it, and the operator nothing."""

    @property
    def mode(self) -> Mode:
        """What ``spec.mode`` is on this way."""
        return {Way.ADMISSION: Mode.ADMISSION, Way.RENDER: Mode.RENDER}.get(self, Mode.PATCH)

    @property
    def is_open(self) -> bool:
        """Whether its mode is right before anybody changes a manifest."""
        return self not in (Way.SLOT, Way.MANIFEST)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the choice depends on.

    ``takes_back``: somebody takes back what mode Patch writes; ``may``: somebody may, at his next write;
    ``argo``: it is Argo CD; ``place``: what kind of field it is in; ``slot``: it is the slot;
    ``made``: a controller makes the workload; ``storm``: it is a StormService, of whose pods the
    admission policy knows nothing; ``admission``: whether the cluster has that policy, None where
    that is not known.
    """

    takes_back: bool = False
    may: bool = False
    argo: bool = False
    place: Place | None = None
    slot: bool = False
    made: bool = False
    storm: bool = False
    admission: bool | None = None


def ways(of: Situation) -> tuple[Way, ...]:
    """The ways that work, the best one first; never none, for its owner can always write it himself."""
    found: list[Way] = []
    if not (of.made or of.takes_back):
        found.append(Way.PATCH)
    if of.admission is not False and not of.storm:
        found.append(Way.ADMISSION)
    if (of.takes_back or of.may) and not (of.made or of.storm or of.slot):
        slot = of.argo and of.place is Place.ARGS
        found += [Way.SLOT, Way.MANIFEST] if slot else [Way.MANIFEST]
    return (*found, Way.RENDER)


def situation_of(workload: Deployment, claims: Sequence[Claim], means: AdmissionMeans) -> Situation:
    """The situation of a workload on whose fields others have these claims."""
    base = Situation(
        made=workload.controller is not None,
        storm=isinstance(workload, Role | StormService),
        admission=means.reaches(workload.namespace),
    )
    worst = worst_claim(workload, claims)
    return base if worst is None else _claimed(base, workload, worst)


def _claimed(base: Situation, workload: Deployment, claim: Claim) -> Situation:
    sure = takes_back(claim, workload)
    return replace(
        base,
        takes_back=sure,
        may=not sure,
        argo=is_argo(claim.holder, workload),
        place=claim.field.place,
        slot=claim.field.is_slot,
    )


def takes_back(claim: Claim, workload: Deployment) -> bool:
    """Whether the owner of a field writes it again. The slot is left to us by whom can ignore it."""
    return habit_of(claim.holder, workload) is Habit.TAKES_BACK and not is_left(claim, workload)


def is_left(claim: Claim, workload: Deployment) -> bool:
    """Whether a field is the slot, and its owner can be told to ignore it: whether he was, nobody sees."""
    return claim.field.is_slot and is_argo(claim.holder, workload) and not claim.holder.whole


def worst_claim(workload: Deployment, claims: Sequence[Claim]) -> Claim | None:
    """The claim that decides: of those who write a field again, else of those who may, the first field's
    newest one."""
    sure = [claim for claim in claims if takes_back(claim, workload)]
    may = [c for c in claims if habit_of(c.holder, workload) is not Habit.UNKNOWN]
    found = sure or may
    if not found:
        return None
    return max(
        (claim for claim in found if claim.field == found[0].field), key=lambda c: c.holder.time
    )


def told(
    workload: Deployment,
    field: Field,
    holder: Holder | None,
    means: AdmissionMeans = NOT_KNOWN,
) -> tuple[str, ...]:
    """What can be done where a field is taken back, as sentences, the best one first."""
    claim = Claim(field, holder or _NOBODY)
    base = situation_of(workload, (), means)
    fought = replace(_claimed(base, workload, claim), takes_back=True, may=False)
    ignored = (ignore_slot(workload),) if is_left(claim, workload) else ()
    return (*ignored, *(in_words(way, fought) for way in ways(fought)))


def in_words(way: Way, of: Situation) -> str:
    """What a person does to take a way, as a sentence."""
    match way:
        case Way.PATCH:
            return "Leave spec.mode at Patch."
        case Way.ADMISSION:
            where = ", where the cluster has its policy" if of.admission is None else ""
            return f"Set spec.mode to Admission{where}: its pods get it as they are created."
        case Way.SLOT:
            return (
                "Put a slot into its manifest, whose value Argo CD ignores (kvsync render --slot)."
            )
        case Way.MANIFEST:
            return _in_the_manifest(of.place)
        case Way.RENDER:
            return "Commit what kvsync render prints for its manifest (spec.mode Render only waits for that)."


def _in_the_manifest(place: Place | None) -> str:
    match place:
        case Place.ARGS:
            return "Write the engine's flags into command and leave args out of its manifest."
        case Place.ENV:
            return "Leave the variable out of its manifest."
        case Place.COMMAND:
            return "Let the command hand a variable or args on to the engine."
        case _:
            return "Leave the field out of its manifest."


def ignore_slot(workload: Deployment) -> str:
    """How Argo CD comes to leave the slot's value to us, as a sentence."""
    kind = STORM_SERVICE if isinstance(workload, Role | StormService) else "Deployment"
    return (
        f"Give its Application the sync option {RESPECT} and under ignoreDifferences the "
        f"jqPathExpression {slot_path(kind)} (kvsync render --slot prints both)."
    )
