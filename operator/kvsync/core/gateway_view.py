"""The gateway, judged: whether it may be told to consume events now, and whether it has been."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsync.core.actions import mark_of, release_action
from kvsync.core.assess import ModelState, ModelView
from kvsync.core.desired import model_name
from kvsync.core.engines import ENGINES
from kvsync.core.gateway import (
    gateway_version,
    owners_of,
    plan_gateway,
    variable_names,
)
from kvsync.core.gateway_taken import gateway_taken
from kvsync.core.render import Templates, gateway_variables
from kvsync.model.decision import Action, Kind
from kvsync.model.observed import Observed
from kvsync.model.reasons import ConditionReason
from kvsync.model.workload import Deployment

_ENDPOINTS = (
    "AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT",
    "AIBRIX_REMOTE_TOKENIZER_ENDPOINT",
)
_BLOCK_SIZE = "AIBRIX_PREFIX_CACHE_BLOCK_SIZE"


@dataclass(frozen=True, slots=True)
class GatewayView:
    """The condition GatewayConfigured, and the patch to be made, if any. ``status`` as in metav1."""

    status: str
    reason: ConditionReason
    message: str
    action: Action | None = None


def view_gateway(
    observed: Observed, views: Sequence[ModelView], templates: Templates
) -> GatewayView:
    """What is true of the gateway, and the one patch that comes next.

    Raises:
        TemplateRenderError: the gateway's template is broken.
    """
    spec, deployment = observed.spec.gateway, observed.gateway.deployment
    if not spec.manage:
        return _not_managed(observed, views)
    where = f"{spec.namespace}/{spec.deployment}"
    if not observed.gateway.permitted:
        return GatewayView("False", ConditionReason.GATEWAY_NOT_PERMITTED, observed.gateway.denial)
    if deployment is None:
        return GatewayView(
            "False",
            ConditionReason.GATEWAY_NOT_FOUND,
            f"There is no Deployment {where}. Correct spec.gateway.namespace and "
            "spec.gateway.deployment, or set spec.gateway.manage to false.",
        )
    if mark_of(observed.sync) not in owners_of(deployment):
        waiting = _waiting_for(views)
        if waiting:
            return GatewayView("False", ConditionReason.WAITING_FOR_EVENTS, waiting)
    return _configure(observed, deployment, views, templates)


def _not_managed(observed: Observed, views: Sequence[ModelView]) -> GatewayView:
    message = "spec.gateway.manage is false: the gateway's variables are yours to set."
    deployment = observed.gateway.deployment
    if deployment is None or not observed.gateway.permitted:
        return GatewayView("True", ConditionReason.NOT_MANAGED, message)
    release = release_action(observed.sync, deployment)
    status, reason, said = gateway_taken(observed, deployment, views)
    if status == "True":
        return GatewayView(status, ConditionReason.NOT_MANAGED, f"{message} {said}", release)
    return GatewayView(status, reason, said, release)


def _waiting_for(views: Sequence[ModelView]) -> str:
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


def _configure(
    observed: Observed, deployment: Deployment, views: Sequence[ModelView], templates: Templates
) -> GatewayView:
    spec = observed.spec.gateway
    sizes = {view.name: view.block_size for view in views if view.block_size}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items()))
        return GatewayView(
            "False",
            ConditionReason.CONFLICT,
            f"The models' block sizes differ ({listed}) and the gateway knows only one. Give them "
            "one --block-size, or leave some to another gateway.",
        )
    wanted = gateway_variables(
        templates,
        names=variable_names(spec.environment, gateway_version(deployment, spec.container)),
        tokenizer_engine=spec.tokenizer_engine,
        tokenizer_endpoint=spec.tokenizer_endpoint
        or _endpoint_in_use(deployment, spec.container)
        or _endpoint(observed, views),
        block_size=block_size_to_write(deployment, spec.container, views),
        http_port=tokenizer_port_to_write(observed, views),
    )
    planned = plan_gateway(
        deployment, spec.container, wanted, mark_of(observed.sync), int(observed.now)
    )
    if planned.refusal is not None:
        reason, message = planned.refusal
        return GatewayView("False", reason, message)
    if planned.patch:
        return _patching(deployment, planned.patch)
    if not deployment.rollout.complete:
        message = f"The gateway restarts: {deployment.rollout}."
        return GatewayView("False", ConditionReason.GATEWAY_ROLLING_OUT, message)
    return GatewayView(*gateway_taken(observed, deployment, views))


def _patching(deployment: Deployment, operations: tuple[dict[str, object], ...]) -> GatewayView:
    where = f"{deployment.namespace}/{deployment.name}"
    restarts = any(
        str(operation["path"]).startswith("/spec/template") for operation in operations[2:]
    )
    action = Action(
        Kind.DEPLOYMENT,
        deployment.namespace,
        deployment.name,
        operations,
        "GatewayConfigured",
        f"Set the KV event variables of {where}." if restarts else f"Marked {where} as in use.",
    )
    message = f"The gateway {where} gets its environment and restarts."
    return GatewayView("False", ConditionReason.GATEWAY_ROLLING_OUT, message, action)


def block_size_to_write(
    deployment: Deployment, container: str, views: Sequence[ModelView]
) -> int | None:
    """The engines' block size that the gateway is told; None where none is written."""
    sizes = {view.block_size for view in views if view.block_size}
    if len(sizes) > 1:
        return None
    return next(iter(sizes), None) or _block_size_in_use(deployment, container)


def tokenizer_port_to_write(observed: Observed, views: Sequence[ModelView]) -> int:
    """Where the gateway finds a pod's tokenizer: the engines' port, the kind's where they differ."""
    engines = [view.plan.engine for view in views if view.plan and view.plan.engine]
    ports = {engine.http_port for engine in engines}
    return ports.pop() if len(ports) == 1 else ENGINES[observed.spec.engine.type].http_port


def _block_size_in_use(deployment: Deployment, container: str) -> int | None:
    """The engine's block size that the gateway is configured for, while no engine has told another.

    After a restart of the operator no engine has been asked yet; that is no reason to restart
    the gateway with one variable less.
    """
    if not owners_of(deployment):
        return None
    found = deployment.container(container)
    text = (found.env(_BLOCK_SIZE) if found else None) or ""
    return int(text) // 4 if text.isdigit() and int(text) >= 4 else None


def _endpoint_in_use(deployment: Deployment, container: str) -> str:
    """A derived endpoint stays: the gateway only checks that there is one, and a restart costs."""
    found = deployment.container(container) if owners_of(deployment) else None
    return next((value for name in _ENDPOINTS if found and (value := found.env(name))), "")


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
