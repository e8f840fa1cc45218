"""The gateway, judged: whether it may be told to consume events now, and whether it has been."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from kvsync.core.actions import release_action
from kvsync.core.assess import ModelView
from kvsync.core.gateway import GatewayPlan, owners_of, plan_gateway
from kvsync.core.gateway_contest import GatewayContest, gateway_contest
from kvsync.core.gateway_fold import Fold, Member, values_for
from kvsync.core.gateway_restart import Hold, advice, hold
from kvsync.core.gateway_taken import gateway_taken
from kvsync.core.gateway_wish import waiting_for
from kvsync.core.reached import Consumer, consumers, out_of_reach
from kvsync.core.render import Templates, gateway_variables
from kvsync.model.decision import Action, Deed, Kind
from kvsync.model.observed import Observed
from kvsync.model.reasons import ConditionReason
from kvsync.model.repairs import Repairs
from kvsync.model.tokenizer import TokenizerQuestion


@dataclass(frozen=True, slots=True)
class GatewayView:
    """The condition GatewayConfigured, and the patches to be made, if any. ``status`` as in metav1.

    ``stalled``: it waits longer than it should. ``waiting_since``: since when its restart waits for
    silent pods, in seconds since the epoch. ``question``: the tokenizer to be asked first.
    ``look_again`` as in Decision.
    """

    status: str
    reason: ConditionReason
    message: str
    actions: tuple[Action, ...] = ()
    stalled: bool = False
    waiting_since: float | None = None
    question: TokenizerQuestion | None = None
    look_again: float | None = None
    terms: str = ""
    """A digest of what the gateway was last seen to have; empty where that was not looked at."""
    repairs: Repairs | None = None
    """How often it was set again after someone set it back, while that is to be remembered."""


def view_gateway(
    observed: Observed, views: Sequence[ModelView], templates: Templates, folded: Fold
) -> GatewayView:
    """What is true of the gateway, and the patches that come next; ``folded``: who shares it.

    Raises:
        TemplateRenderError: the gateway's template is broken.
    """
    if not observed.spec.gateway.manage:
        return _not_managed(observed, views)
    refusal = out_of_reach(observed)
    if refusal is not None:
        return _refused(*refusal)
    own = folded.own
    contradiction = _among_models(views) or _among_objects(folded)
    if contradiction:
        return _refused(ConditionReason.CONFLICT, contradiction)
    found, refusal = consumers(observed)
    if refusal is not None:
        return _refused(*refusal)
    waiting = waiting_for(views)
    if waiting and own.mark not in owners_of(found[-1].deployment):
        message = waiting + advice(observed, own.wish)
        return GatewayView("False", ConditionReason.WAITING_FOR_EVENTS, message)
    return _configure(observed, views, templates, own, folded, found)


def _not_managed(observed: Observed, views: Sequence[ModelView]) -> GatewayView:
    message = "spec.gateway.manage is false: the gateway's variables are yours to set."
    deployment = observed.gateway.deployment
    releases = tuple(
        action
        for each in observed.gateway.within_reach
        if (action := release_action(observed.sync, each, observed.gateway.gone)) is not None
    )
    if deployment is None or not observed.gateway.permitted:
        return GatewayView("True", ConditionReason.NOT_MANAGED, message, releases)
    status, reason, said = gateway_taken(observed, deployment, views)
    if status == "True":
        return GatewayView(status, ConditionReason.NOT_MANAGED, f"{message} {said}", releases)
    return GatewayView(status, reason, said, releases)


def _refused(reason: ConditionReason, message: str) -> GatewayView:
    return GatewayView("False", reason, message)


def _among_models(views: Sequence[ModelView]) -> str:
    sizes = {view.name: view.block_size for view in views if view.block_size}
    if len(set(sizes.values())) < 2:
        return ""
    listed = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items()))
    return (
        f"The models' block sizes differ ({listed}) and the gateway knows only one. Give them "
        "one --block-size, or leave some to another gateway."
    )


def _among_objects(folded: Fold) -> str:
    if not folded.conflict:
        return ""
    return (
        # The remedy first: a list of many may be cut.
        "KVEventSyncs that share the gateway contradict each other, and nothing is changed until all of "
        f"them want the same or some use another gateway. {folded.conflict}"
    )


def _configure(
    observed: Observed,
    views: Sequence[ModelView],
    templates: Templates,
    own: Member,
    folded: Fold,
    found: Sequence[Consumer],
) -> GatewayView:
    marked = {mark for consumer in found for mark in owners_of(consumer.deployment)}
    members = folded.in_force({*marked, own.mark})
    values = [values_for(members, each.deployment, each.container) for each in found]
    wanted = [gateway_variables(templates, **asdict(each)) for each in values]

    planned = [
        _plan(observed, each, variables, own, folded)
        for each, variables in zip(found, wanted, strict=True)
    ]
    refusal = next((each.refusal for each in planned if each.refusal is not None), None)
    if refusal is not None:
        return _refused(*refusal)
    lacking = [
        (each, variables)
        for each, variables, plan in zip(found, wanted, planned, strict=True)
        if plan.restarts
    ]
    contest = gateway_contest(observed, members, lacking, wanted)
    if contest.held:
        return _contended(observed, contest)
    held = hold(observed, views, own.wish, folded, values[-1]) if lacking else None
    if held is not None:
        return replace(_held(held), terms=contest.terms, repairs=contest.made)
    if contest.repair is not None:
        planned = [
            _plan(observed, each, variables, own, folded, contest.repair)
            for each, variables in zip(found, wanted, strict=True)
        ]
    repairing = contest.repair is not None and not observed.held_by
    carried_out = _carried_out(found, planned, counted=repairing)
    view = carried_out or _taken(observed, views, own, found)
    made = contest.repair if repairing else contest.made
    return replace(view, terms=contest.terms, repairs=made)


def _plan(
    observed: Observed,
    consumer: Consumer,
    wanted: Mapping[str, str],
    own: Member,
    folded: Fold,
    repairs: Repairs | None = None,
) -> GatewayPlan:
    return plan_gateway(
        consumer.deployment,
        consumer.container,
        wanted,
        own.mark,
        int(observed.now),
        heard=folded.marks,
        gone=observed.gateway.gone,
        repairs=repairs,
    )


def _contended(observed: Observed, contest: GatewayContest) -> GatewayView:
    wait = None if contest.next_at is None else max(0.0, contest.next_at - observed.now)
    return GatewayView(
        "False",
        ConditionReason.CONTENDED,
        contest.held,
        stalled=contest.ended,
        look_again=wait,
        terms=contest.terms,
        repairs=contest.made,
    )


def _held(held: Hold) -> GatewayView:
    return GatewayView(
        "False",
        held.reason,
        held.message,
        stalled=held.stalled,
        waiting_since=held.since,
        question=held.question,
        look_again=held.look_again,
    )


def _carried_out(
    found: Sequence[Consumer], plans: Sequence[GatewayPlan], *, counted: bool
) -> GatewayView | None:
    """What is written, or rolls out; None where all is as it shall be."""
    actions = tuple(_actions(found, plans, counted=counted))
    if actions:
        where = ", ".join(consumer.title for consumer in found)
        message = f"The gateway {where} gets its environment and restarts."
        return GatewayView("False", ConditionReason.GATEWAY_ROLLING_OUT, message, actions)
    moving = next((each for each in found[::-1] if not each.deployment.rollout.complete), None)
    if moving is not None:
        what = "The gateway" if moving is found[-1] else f"Deployment {moving.title}"
        message = f"{what} restarts: {moving.deployment.rollout}."
        return GatewayView("False", ConditionReason.GATEWAY_ROLLING_OUT, message)
    return None


def _taken(
    observed: Observed, views: Sequence[ModelView], own: Member, found: Sequence[Consumer]
) -> GatewayView:
    """Whether the gateway took it. Of what is configured beside it nothing tells."""
    *also, gateway = found
    status, reason, message = gateway_taken(observed, gateway.deployment, views)
    if also and status == "True":
        message += f" The same variables are set on {', '.join(each.title for each in also)}."
        message = " ".join((message, *(each.note for each in also if each.note)))
    return GatewayView(status, reason, message + advice(observed, own.wish))


def _actions(
    found: Sequence[Consumer], plans: Sequence[GatewayPlan], *, counted: bool
) -> Iterator[Action]:
    for consumer, planned in zip(found, plans, strict=True):
        if planned.patch:
            note = "Set the KV event variables of" if planned.restarts else "Marked as in use:"
            yield Action(
                Kind.DEPLOYMENT,
                consumer.deployment.namespace,
                consumer.deployment.name,
                planned.patch,
                Deed.GATEWAY_CONFIGURED,
                f"{note} {consumer.title}.",
                counted=counted,
                restarts=planned.restarts,
            )
