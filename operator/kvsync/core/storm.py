"""The plan for a StormService: that of each of its roles, in one patch.

A role that runs no engine, such as a router, is left alone; a role that is refused refuses the
whole, since its pods serve requests together.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from kvsync.core.patch import apply, difference, guarded
from kvsync.core.pieces import strip_template
from kvsync.core.planned import Ask, ModelPlan, Outcome
from kvsync.core.recognise import newest_record
from kvsync.core.template_plan import plan_template, rollout_paused
from kvsync.model.finding import Note, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.spec import Mode
from kvsync.model.storm import Role, StormService

# What follows the slash of an annotation's name has at most 63 characters, "record." among them.
_ROLE = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,54}[A-Za-z0-9])?$")

Planned = tuple[Role, ModelPlan]


def plan_storm(storm: StormService, ask: Ask) -> ModelPlan:
    """What to do with a StormService.

    Raises:
        TemplateRenderError: the dialect's template is broken.
    """
    refusal = _unsupported(storm)
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    record = newest_record(storm)
    if record is not None and record.at >= ask.proven_at:
        ask = replace(
            ask, proven_at=0
        )  # a role that was changed before the last one is no less proven
    planned = [(role, plan_template(role, _ask_for(role, ask))) for role in storm.roles]
    engines = [(role, made) for role, made in planned if not _is_without_engine(made)]
    refused = next((_named(role, made.refusal) for role, made in engines if made.refusal), None)
    if refused is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refused)
    if not engines:
        return ModelPlan(Outcome.REFUSED, refusal=_no_engine(storm, planned))
    return _combined(storm, engines, ask.spec.mode)


def _ask_for(role: Role, ask: Ask) -> Ask:
    """The named container is that of the roles that have it; in others the engine is looked for."""
    if role.container(ask.spec.engine.container) is not None:
        return ask
    engine = replace(ask.spec.engine, container="")
    return replace(ask, spec=replace(ask.spec, engine=engine))


def strip_storm(storm: StormService) -> StormService:
    """The StormService without anything of ours."""
    return storm.with_roles({role.index: strip_template(role) for role in storm.roles})


def _unsupported(storm: StormService) -> Refusal | None:
    names = [role.role for role in storm.roles]
    twice = [name for name, count in Counter(names).items() if count > 1]
    odd = [name for name in names if not _ROLE.match(name)]
    grouped = [role.role for role in storm.roles if role.group_size > 1]
    if twice or odd:
        return Refusal(
            ModelReason.UNSUPPORTED,
            f"{storm.title} has roles that cannot be told apart: {(twice or odd)[0]!r}.",
            "Give each role a name of its own, of at most 56 letters, digits and '-'.",
        )
    if grouped:
        return Refusal(
            ModelReason.UNSUPPORTED,
            f"{storm.title} runs one engine in several pods (podGroupSize of role {grouped[0]}).",
            "Use one pod for each engine, or configure these pods by hand.",
        )
    return None


def _is_without_engine(made: ModelPlan) -> bool:
    return made.refusal is not None and made.refusal.reason == ModelReason.NO_ENGINE_CONTAINER


def _named(role: Role, refusal: Refusal) -> Refusal:
    """The refusal of a role, such that it says which one."""
    if f"role {role.role}" in refusal.message:
        return refusal
    return replace(refusal, message=f"Of role {role.role}: {refusal.message}")


def _no_engine(storm: StormService, planned: Sequence[Planned]) -> Refusal:
    remedies = [made.refusal.remedy for _, made in planned if made.refusal is not None]
    return Refusal(
        ModelReason.NO_ENGINE_CONTAINER,
        f"No role of {storm.title} is known to run the engine.",
        next(iter(remedies), "Give it a role that does."),
    )


def _combined(storm: StormService, engines: Sequence[Planned], mode: Mode) -> ModelPlan:
    changing = [(role, made) for role, made in engines if made.outcome is Outcome.CHANGE]
    together = ModelPlan(
        Outcome.UNCHANGED,
        parts=tuple(part for _, made in engines for part in made.parts),
        notes=(*_notes(storm), *(note for _, made in engines for note in made.notes)),
        fingerprint=_fingerprint(engines),
    )
    if not changing:
        return together
    if storm.body["spec"].get("paused") and mode is not Mode.RENDER:
        return ModelPlan(Outcome.REFUSED, refusal=rollout_paused(storm))
    # The other roles too: one that ran an engine before keeps its record until the undo.
    roles = {role.index: role for role in storm.roles}
    target = storm.with_roles(roles | {role.index: _target(role, made) for role, made in engines})
    return replace(
        together,
        outcome=Outcome.CHANGE,
        patch=guarded(storm, difference(storm.body, target.body)),
        undo=tuple(difference(target.body, _before(storm, mode).body)),
        changes=tuple(
            replace(change, what=f"role {role.role}: {change.what}")
            for role, made in changing
            for change in made.changes
        ),
        restarts=_restarts(storm, changing),
        written=tuple(field for _, made in changing for field in made.written),
        claims=tuple(claim for _, made in changing for claim in made.claims),
    )


def _before(storm: StormService, mode: Mode) -> StormService:
    return storm if mode is Mode.RENDER else strip_storm(storm)


def _target(role: Role, made: ModelPlan) -> Role:
    return replace(role, body=apply(role.body, made.patch))


def _restarts(storm: StormService, changing: Sequence[Planned]) -> int:
    if not any(made.restarts for _, made in changing):
        return 0
    if storm.replaces_all_roles:
        return sum(role.replicas for role in storm.roles)
    return sum(made.restarts for _, made in changing)


def _notes(storm: StormService) -> list[Note]:
    if not storm.replaces_all_roles:
        return []
    message = (
        f"{storm.title} has the update strategy RollingUpdate: all roles restart together, and with "
        "one replica none serves until the new ones have loaded. InPlaceUpdate changes role by role."
    )
    return [Note(ModelReason.POD_DISRUPTION, message)]


def _fingerprint(engines: Sequence[Planned]) -> str:
    joined = " ".join(made.fingerprint for _, made in engines)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]
