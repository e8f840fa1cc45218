"""Which NetworkPolicies an object's models shall have, and what is to be done for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kvsync.core.actions import owned_by
from kvsync.core.assess import ModelView
from kvsync.core.network_policy import (
    Footing,
    Guarded,
    Restrictions,
    footing,
    guarded_in,
    guarded_ports,
    on_the_node,
    pod_labels,
    policy_for,
    policy_name,
    restrictions,
)
from kvsync.core.patch import difference, expect
from kvsync.core.planned import Outcome, Part
from kvsync.model.decision import Action, Deed, Kind
from kvsync.model.finding import Note
from kvsync.model.network import NetworkPolicy, ObservedNetwork, Peer
from kvsync.model.observed import Observed
from kvsync.model.reasons import ModelReason
from kvsync.model.storm import role_of
from kvsync.model.workload import JSON, Deployment


@dataclass(frozen=True, slots=True)
class Isolation:
    """What to write, and what a person should know, by model."""

    actions: tuple[Action, ...] = ()
    notes: Mapping[str, tuple[Note, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one pod template comes to: the policy that shall stand, None for none; and what to know."""

    name: str
    wanted: JSON | None = None
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class _Readers:
    """Who reads the events. ``problem``: why that cannot be told or written down; ``passing``: what stands
    may stay meanwhile."""

    peers: tuple[Peer, ...] = ()
    problem: str = ""
    passing: bool = False


def isolate(observed: Observed, views: Sequence[ModelView], starting: Collection[str]) -> Isolation:
    """The policies of the models that are configured or about to be, among them ``starting``.

    Empty where the operator keeps none. Nothing here restarts a pod.
    """
    network = observed.network
    if network is None:
        return Isolation()
    readers, others = _readers(observed, network), restrictions(network.policies)
    found: dict[str, list[_Found]] = {}
    kept = set(_being_undone(observed))
    for view in views:
        begun = owned_by(view.deployment, observed.sync) or view.name in starting
        if view.deployment is None or not begun:
            continue
        if readers.passing or view.plan is None or not view.plan.parts:
            kept |= {policy_name(template) for template in view.deployment.templates}
        if view.plan is not None:
            each = [_found(part, view, observed, readers, others) for part in view.plan.parts]
            found[view.name] = each
    wanted = [each.wanted for parts in found.values() for each in parts if each.wanted is not None]
    notes = {
        model: tuple({e.note.message: e.note for e in parts if e.note is not None}.values())
        for model, parts in found.items()
    }
    return Isolation(
        (*_writes(network, wanted), *_removals(observed, network, wanted, kept)), notes
    )


def _readers(observed: Observed, network: ObservedNetwork) -> _Readers:
    gateway = observed.gateway
    if network.operator is None:
        return _Readers(
            problem="the operator was not told by which labels its own pods are known, and would shut "
            "itself out. Run it in a pod, with --operator-namespace and --operator-labels."
        )
    if not observed.spec.gateway.manage:
        return _Readers(
            problem="spec.gateway.manage is false, so that it is not known who reads the events. Write "
            "one of your own (docs/network-policy.md)."
        )
    seen = gateway.within_reach
    if len(seen) < 1 + len(gateway.also):
        return _Readers(
            problem="the gateway, or a Deployment of alsoConfigure, is not seen; the condition "
            "GatewayConfigured says why.",
            passing=True,
        )
    nodes = [each.name for each in seen if on_the_node(each)]
    if nodes:
        return _Readers(
            problem=f"{', '.join(nodes)} runs on its node's network (hostNetwork), where no policy can "
            "tell it from others."
        )
    return _Readers(tuple(Peer(each.namespace, each.body["spec"]["selector"]) for each in seen))


def _found(
    part: Part, view: ModelView, observed: Observed, readers: _Readers, others: Restrictions
) -> _Found:
    assert view.deployment is not None  # only such are looked at
    assert observed.network is not None
    template = next(each for each in view.deployment.templates if role_of(each) == part.role)
    name = policy_name(template)
    where = footing(_labels(part, template, view, observed), others)
    problem = readers.problem or _problem(template, observed.network.named(name), where)
    if problem:
        message = f"No NetworkPolicy closes the event ports of {template.title}: {problem}"
        return _Found(name, note=Note(ModelReason.NETWORK_POLICY_LEFT_OUT, message))
    assert observed.network.operator is not None  # else there is a problem
    guarded = _guarded(part, template, view, observed.network.named(name))
    owner, operator = observed.sync.owner, observed.network.operator
    wanted = policy_for(name, owner, guarded, readers.peers, operator, where)
    if where is Footing.OPEN:
        return _Found(name, wanted)
    named = ", ".join(p.name for p in observed.network.policies if p.restricts)
    message = (
        f"Other NetworkPolicies restrict the pods of {template.title} (of this namespace: {named[:300]}): "
        "ours only lets gateway and operator reach the event ports, and whoever those let in still does."
    )
    return _Found(name, wanted, Note(ModelReason.NETWORK_POLICY_ADDS, message))


def _labels(
    part: Part, template: Deployment, view: ModelView, observed: Observed
) -> Iterator[Mapping[str, str]]:
    """The labels that pods will get, and those of all that are there."""
    pods = next(model.pods for model in observed.models if model.name == view.name)
    yield pod_labels(template)
    yield from (pod.labels for pod in pods if part.covers(pod) and not pod.deleting)


def _problem(template: Deployment, live: NetworkPolicy | None, where: Footing) -> str:
    if on_the_node(template):
        return "its pods run on their node's network (hostNetwork), which policies do not reach."
    if live is not None and not live.ours:
        return (
            f"one that the operator did not write is called {live.name}. Rename that one, unless it is "
            "what kvsync render wrote: then it serves as well."
        )
    if where is Footing.MIXED:
        return (
            "another policy restricts some of its pods and not all, or has a selector that cannot be "
            "read. Let it select all of them or none."
        )
    return ""


def _guarded(
    part: Part, template: Deployment, view: ModelView, live: NetworkPolicy | None
) -> Guarded:
    """While pods are replaced those of before have other ports: they stay open to the readers."""
    assert view.plan is not None  # whose part it is
    assert view.deployment is not None
    guarded = guarded_in(template, part)
    settled = view.plan.outcome is Outcome.UNCHANGED and view.deployment.rollout.complete
    if live is None or settled:
        return guarded
    return replace(guarded, events=guarded.events | (guarded_ports(live) - guarded.control))


def _being_undone(observed: Observed) -> Iterator[str]:
    """The policies of models that are let go and still publish."""
    for model in observed.models:
        if not model.selected and owned_by(model.deployment, observed.sync):
            assert model.deployment is not None  # it carries our mark
            yield from (policy_name(template) for template in model.deployment.templates)


def _writes(network: ObservedNetwork, wanted: Sequence[JSON]) -> Iterator[Action]:
    for body in wanted:
        metadata = body["metadata"]
        live = network.named(metadata["name"])
        ports = ", ".join(str(each["port"]) for each in body["spec"]["ingress"][0]["ports"])
        if live is None:
            note = (
                f"Made NetworkPolicy {metadata['name']}: gateway and operator get to TCP {ports}."
            )
            yield _action(body, Deed.ISOLATED, note, body=body)
            continue
        operations = _change(live, body)
        if operations:
            note = f"Set NetworkPolicy {metadata['name']} right; gateway and operator get to TCP {ports}."
            yield _action(body, Deed.ISOLATION_CHANGED, note, operations=operations)


def _change(live: NetworkPolicy, wanted: JSON) -> tuple[JSON, ...]:
    """The patch that gives a policy of ours its spec and its owner; labels of others are left."""
    old = _compared(live.body)
    operations = difference(old, _compared(wanted))
    return (expect("/metadata/uid", live.uid), *operations) if operations else ()


def _compared(body: JSON) -> JSON:
    references = body["metadata"].get("ownerReferences") or []
    return {"metadata": {"ownerReferences": references}, "spec": body["spec"]}


def _removals(
    observed: Observed, network: ObservedNetwork, wanted: Sequence[JSON], kept: Collection[str]
) -> Iterator[Action]:
    names = {body["metadata"]["name"] for body in wanted}
    for policy in network.policies:
        mine = policy.ours and policy.owner_uid == observed.sync.owner.uid
        if mine and policy.name not in names and policy.name not in kept:
            note = f"Removed NetworkPolicy {policy.name}: it does not fit any more, or its model is let go."
            yield _action(policy.body, Deed.ISOLATION_REMOVED, note, removes=policy.uid)


def _action(
    policy: JSON,
    deed: Deed,
    note: str,
    *,
    operations: tuple[JSON, ...] = (),
    body: JSON | None = None,
    removes: str = "",
) -> Action:
    metadata = policy["metadata"]
    return Action(
        Kind.NETWORK_POLICY,
        metadata["namespace"],
        metadata["name"],
        operations,
        deed,
        note,
        body=body,
        removes=removes,
    )
