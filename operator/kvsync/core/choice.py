"""The mode for one workload, chosen by what owns it: for ``kvsync enable``, and whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kvsync.core.opponent import name_of
from kvsync.core.ownership import Claim, claims_on
from kvsync.core.plan import plan
from kvsync.core.planned import Ask
from kvsync.core.preflight import owned_words
from kvsync.core.ways import (
    Situation,
    Way,
    ignore_slot,
    in_words,
    is_left,
    situation_of,
    ways,
    worst_claim,
)
from kvsync.model.spec import Mode
from kvsync.model.workload import Deployment

_NOBODY = "nobody is known to write again what it changes"


@dataclass(frozen=True, slots=True)
class Choice:
    """A mode, why it is that, as a clause, and what to do or to know beside it, as sentences.

    ``modes``: those that work by themselves, the chosen one first. ``first``: what only the workload's
    owner can do, and without which the mode does not work. ``others``: the other ways, the best one first.
    """

    modes: tuple[Mode, ...]
    why: str
    first: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def mode(self) -> Mode:
        """The mode that fits."""
        return self.modes[0]


def choose(live: Deployment, ask: Ask) -> Choice:
    """The mode that fits a workload; Patch where that would be refused whoever owned it.

    Raises:
        TemplateRenderError: the dialect's template is broken.
    """
    spec = replace(ask.spec, mode=Mode.PATCH)
    # What would be written if nobody owned it: the plan for an owned one does not tell.
    free = plan(_unowned(live), replace(ask, spec=spec))
    claims = tuple(c for each in live.templates for c in claims_on(each, free.written))
    situation = situation_of(live, claims, ask.admission)
    found = ways(situation)
    claim = worst_claim(live, claims)
    best = next(way for way in found if way.is_open)
    first = tuple(_first(live, situation, best, claim))
    plain = best is Way.PATCH and claim is None
    others = () if plain else tuple(in_words(way, situation) for way in found if way is not best)
    modes = tuple(way.mode for way in found if way.is_open)
    return Choice(modes, _why(live, situation, claim), first, others)


def _first(live: Deployment, situation: Situation, way: Way, claim: Claim | None) -> Iterator[str]:
    if way is Way.RENDER:
        yield in_words(way, situation)
    if way is Way.ADMISSION and situation.admission is None:
        yield (
            "Whether the admission policy is installed could not be seen: where it is not, the operator "
            "says so (AdmissionUnavailable) and changes nothing."
        )
    if way is Way.PATCH and claim is not None and is_left(claim, live):
        yield ignore_slot(live)


def _unowned(live: Deployment) -> Deployment:
    """The workload as if nobody had made it."""
    owned = ("managedFields", "ownerReferences")
    metadata = {k: v for k, v in live.body["metadata"].items() if k not in owned}
    return replace(live, body={**live.body, "metadata": metadata})


def _why(live: Deployment, situation: Situation, claim: Claim | None) -> str:
    owner = live.controller
    if owner is not None:
        made_by = f"{owner.get('kind')} {owner.get('name')}"
        return f"{live.title} is made by {made_by}, which would write every change back"
    if claim is None:
        return _NOBODY
    if situation.takes_back:
        return owned_words(live, claim)
    if is_left(claim, live):
        return f"{live.title} has the slot, whose value its owner leaves to the operator"
    return (
        f"{name_of(claim.holder, live)} wrote the {claim.title} of {live.title}, and takes ours away "
        "whenever it writes them again: one more restart each time"
    )
