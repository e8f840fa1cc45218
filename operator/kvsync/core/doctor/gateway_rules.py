"""The gateways: there, rolled out, told; and what they need beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvsync.core.consumption.settings import ENDPOINT, read_settings
from kvsync.core.doctor.facts import Facts, GatewayFacts, Unread
from kvsync.core.doctor.finding import Finding, good, left_open, wrong
from kvsync.core.gateway import gateway_version, owners_of
from kvsync.core.reached import note_on
from kvsync.core.releases import first_that_uses_events, gateway_release
from kvsync.model.workload import Container, Deployment

_SHOWN = 5


def gateways(facts: Facts) -> Iterator[Finding]:
    """Every gateway that an object names is there and rolled out, and at least one at all."""
    settings_only: list[GatewayFacts] = []
    for each in facts.gateways:
        if not isinstance(each.deployment, Unread):
            yield _rolled_out(each, each.deployment)
        elif each.deployment.missing and not each.named:
            settings_only.append(each)
        else:
            yield from _not_read(each, each.deployment)
    if settings_only and len(settings_only) == len(facts.gateways):
        yield wrong(
            "gateway",
            "None of the gateways that the operator's settings name is there: "
            f"{_some([each.title for each in settings_only])}.",
            "Install AIBrix, or name the gateway with --gateway (chart: gatewayAccess.gateways).",
        )


def _not_read(gateway: GatewayFacts, why: Unread) -> Iterator[Finding]:
    if not why.missing:
        yield left_open(
            "gateway", why.why, "Ask as somebody who may list Deployments there.", gateway.title
        )
    else:
        yield wrong(
            "gateway",
            f"There is no such Deployment, and {_some(gateway.named)} name it.",
            "Install AIBrix, or correct spec.gateway of these objects.",
            gateway.title,
        )


def _rolled_out(gateway: GatewayFacts, deployment: Deployment) -> Finding:
    version, rollout = gateway_version(deployment, gateway.container), deployment.rollout
    release = f"AIBrix {version}" if version else "its image tells no release"
    if deployment.replicas == 0:
        return wrong("gateway", "It is scaled to zero.", "Scale it up.", gateway.title)
    if not rollout.complete:
        return left_open(
            "gateway",
            f"{release}; {rollout}.",
            "Wait for its rollout; kubectl rollout status tells what holds it.",
            gateway.title,
        )
    if note := note_on(deployment, gateway.container):
        return good("gateway", f"{rollout}. {note}", gateway.title)
    if version is not None and not gateway_release(version).uses_events:
        return left_open(
            "gateway",
            f"{release}, {rollout}: this release does not route by events.",
            f"Upgrade AIBrix to {first_that_uses_events()} or newer.",
            gateway.title,
        )
    return good("gateway", f"{release}; {rollout}.", gateway.title)


def variables(facts: Facts) -> Iterator[Finding]:
    """What each gateway is told, and for whom."""
    for each in facts.gateways:
        if isinstance(each.deployment, Unread):
            continue
        container = each.deployment.container(each.container)
        if container is not None and not note_on(each.deployment, each.container):
            yield _variables(each, each.deployment, container)


def _variables(gateway: GatewayFacts, deployment: Deployment, container: Container) -> Finding:
    check, settings, owners = "gateway-variables", read_settings(container), owners_of(deployment)
    whose = f"configured for {_some(owners)}" if owners else "configured for no KVEventSync"
    if settings.unmet and not owners:
        return left_open(
            check,
            f"It is not told to consume events ({settings.unmet[0]}); {whose}.",
            "Nothing while no model is configured; else see the condition GatewayConfigured.",
            gateway.title,
        )
    if settings.unmet:
        return wrong(
            check,
            f"It is {whose}, and is not told to consume events: {'; '.join(settings.unmet)}.",
            "Somebody set it back: see GatewayConfigured of these objects, and who wrote last: kubectl -n "
            f"{deployment.namespace} get deploy {deployment.name} --show-managed-fields -o yaml.",
            gateway.title,
        )
    if settings.hidden:
        return left_open(
            check,
            f"{', '.join(settings.hidden)} come from another object and cannot be told; {whose}.",
            "Read what they refer to.",
            gateway.title,
        )
    return good(check, f"It is told to consume events; {whose}.", gateway.title)


def redis(facts: Facts) -> Iterator[Finding]:
    """The gateway's Redis answers, seen from here."""
    for each in facts.gateways:
        reach = each.redis
        if reach is None:
            continue
        if not reach.problem:
            yield good(
                "redis",
                f"{reach.address} accepts connections, asked {facts.stand.words}.",
                each.title,
            )
            continue
        seen = f"{reach.address} cannot be reached ({reach.problem}), asked {facts.stand.words}."
        if facts.stand.inside and not _is_up(each):
            yield wrong(
                "redis",
                f"{seen} The gateway is not up, and does not start without it.",
                "See the Redis that AIBrix installs: its Service, its pods, and NetworkPolicies.",
                each.title,
            )
        else:
            yield left_open(
                "redis",
                seen,
                "Nothing while the gateway is Ready, for it does not start without it; it may be that only "
                "the gateway may connect.",
                each.title,
            )


def _is_up(gateway: GatewayFacts) -> bool:
    deployment = gateway.deployment
    return not isinstance(deployment, Unread) and deployment.rollout.available > 0


def tokenizer(facts: Facts) -> Iterator[Finding]:
    """The tokenizer that a gateway is told of tokenizes, seen from here."""
    for each in facts.gateways:
        if each.tokenizer is None:
            continue
        url, answer = each.tokenizer
        if answer.works:
            yield good("tokenizer", f"{url} tokenizes, asked {facts.stand.words}.", each.title)
            continue
        problem = answer.problem or f"status {answer.status}"
        seen = f"{url} does not tokenize ({problem}), asked {facts.stand.words}."
        if answer.status:
            remedy = f"Correct {ENDPOINT}, or spec.gateway.remoteTokenizer.endpoint."
            yield wrong("tokenizer", seen, remedy, each.title)
        else:
            remedy = (
                "Ask from inside: kubectl exec into the operator's pod, which asks it too before the gateway "
                "is told."
            )
            yield left_open("tokenizer", seen, remedy, each.title)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
