"""What one object wants of its gateway, as its models are now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kvsync.core.actions import mark_of
from kvsync.core.assess import ModelState, ModelView
from kvsync.core.desired import model_name
from kvsync.core.engines import ENGINES
from kvsync.core.gateway_fold import Member
from kvsync.core.subscribed import unanswering
from kvsync.model.observed import Observed
from kvsync.model.standing import GatewayWish

MOST_NUMBERS = 16
"""Block sizes and ports of one object that others are told of, the least first: two that differ are a
contradiction already."""


def own_member(observed: Observed, views: Sequence[ModelView]) -> Member:
    """The object among those that share its gateway."""
    return Member(mark_of(observed.sync), wish_of(observed, views))


def wish_of(observed: Observed, views: Sequence[ModelView]) -> GatewayWish:
    """What an object wants, as all others are to know it."""
    spec, gateway = observed.spec, observed.gateway
    return GatewayWish(
        spec=spec.gateway,
        asks=spec.gateway.manage
        and gateway.permitted
        and all(each.permitted for each in gateway.also),
        derived_endpoint=_endpoint(observed, views),
        block_sizes=_few(view.block_size for view in views if view.block_size),
        http_ports=_few(
            view.plan.engine.http_port for view in views if view.plan and view.plan.engine
        ),
        usual_port=ENGINES[spec.engine.type].http_port,
        ready=not observed.held_by and not waiting_for(views),
        retry=observed.sync.retry,
        unanswering=unanswering(observed, views),
    )


def _few(numbers: Iterable[int]) -> frozenset[int]:
    return frozenset(sorted({*numbers})[:MOST_NUMBERS])


def waiting_for(views: Sequence[ModelView]) -> str:
    """What is missing before the gateway may be told; empty when nothing is."""
    unready = [view.name for view in views if view.state is not ModelState.READY]
    if unready:
        return f"Waiting until events of every model are verified: {', '.join(unready[:5])}."
    # A source taken on trust is no proof: a gateway that starts beside a silent pod stalls.
    trusted = [v.name for v in views if any(not verdict.settled for verdict in v.verdicts)]
    if trusted:
        return f"Waiting until every source has been heard: {', '.join(trusted[:5])}."
    unasked = [view.name for view in views if view.verified_sources and not view.asked]
    if unasked:
        return f"Asking the engines for their block size: {', '.join(unasked[:5])}."
    if not any(view.verified_sources for view in views):
        return "Waiting for a first source: no pod of any model publishes yet."
    return ""


def _endpoint(observed: Observed, views: Sequence[ModelView]) -> str:
    """The Service of the first model, by the rule that it is named like the model."""
    named = [
        (template, part.engine)
        for view in sorted(views, key=lambda view: view.name)
        if view.deployment and view.plan
        for part in view.plan.parts
        for template in view.deployment.templates
        if template.container(part.engine.container)
    ]
    if not named:
        return ""
    deployment, engine = named[0]
    name = model_name(deployment, engine) or deployment.name
    return f"http://{name}.{observed.sync.namespace}:{engine.http_port}"
