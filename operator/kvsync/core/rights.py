"""What the operator may do in the API, right by right: why it needs each, and what is lost without it.

The one table of it. The rules of docs/samples/install/operator.yaml and of the chart are held against it
by tests, and ``kvsync doctor`` asks for each of its rights.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

LIST_WATCH = ("list", "watch")


class Place(enum.StrEnum):
    """Where a right is needed."""

    SERVED = "served"
    """The namespaces whose objects are served: the whole cluster where all are."""
    GATEWAYS = "gateways"
    """The namespaces of the gateways that the settings name."""
    OWN = "own"
    """The operator's own namespace."""
    CLUSTER = "cluster"
    """The cluster itself: a kind that has no namespace."""


@dataclass(frozen=True, slots=True)
class Right:
    """Some verbs on one resource. ``group`` is empty for the core API."""

    group: str
    resource: str
    """The plural, with its subresource behind a slash as RBAC writes it (``pods/log``)."""
    verbs: tuple[str, ...]
    places: tuple[Place, ...]
    why: str
    """What it is needed for, as a clause behind "to"."""
    lost: str
    """What does not work without it, as a sentence."""
    optional: bool = False
    """Whether the operator does its main job without it."""
    by_name: bool = False
    """Whether it is needed on single objects that are known by name, and on no others."""

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


_SERVED = (Place.SERVED,)
_BOTH = (Place.SERVED, Place.GATEWAYS)
_NAMED = "A name in spec.models that is no Deployment is only said to be missing, not what it is."

RIGHTS = (
    Right(
        *("kvsync.aibrix.ai", "kveventsyncs", LIST_WATCH, _SERVED),
        why="know the objects that it serves",
        lost="The operator does not start to work.",
    ),
    Right(
        *("kvsync.aibrix.ai", "kveventsyncs", ("patch",), _SERVED),
        why="hold an object by its finalizer until all is undone",
        lost="Nothing is configured: an object without a finalizer could go before its undo.",
    ),
    Right(
        *("kvsync.aibrix.ai", "kveventsyncs/status", ("patch",), _SERVED),
        why="say what is true of an object",
        lost="No status is written, and repairs stop, for they are counted there.",
    ),
    Right(
        *("apps", "deployments", LIST_WATCH, _BOTH),
        why="see models and gateways",
        lost="No model and no gateway is found.",
    ),
    Right(
        *("apps", "deployments", ("patch",), _SERVED),
        why="configure models, and undo it",
        lost="No model is configured, and none is undone.",
    ),
    Right(
        *("apps", "deployments", ("patch",), (Place.GATEWAYS,)),
        why="configure gateways, and undo it",
        lost="No gateway is told to consume events, and none is restored.",
        by_name=True,
    ),
    Right(
        *("", "pods", LIST_WATCH, _BOTH),
        why="find the engines to probe, and see rollouts",
        lost="No source is found, so that no model is ever verified.",
    ),
    Right(
        *("", "pods", ("patch",), _SERVED),
        why="put the gateway's label on verified pods (spec.engine.labels: WhenVerified)",
        lost="Pods of objects with spec.engine.labels: WhenVerified never get the gateway's label.",
    ),
    Right(
        *("", "pods/eviction", ("create",), _SERVED),
        why="replace pods that were created without their settings (spec.mode: Admission)",
        lost="Pods that were created without their settings stay as they are until somebody deletes them.",
        optional=True,
    ),
    Right(
        *("events.k8s.io", "events", ("create", "patch"), _BOTH),
        why="record Events on objects, models and gateways",
        lost="kubectl describe shows no Events of the operator.",
        optional=True,
    ),
    Right(
        *("orchestration.aibrix.ai", "stormservices", (*LIST_WATCH, "patch"), _SERVED),
        why="serve models that are StormServices",
        lost="StormServices are not served.",
        optional=True,
    ),
    Right(
        *("orchestration.aibrix.ai", "rayclusterfleets", ("get",), _SERVED),
        why="say what a name stands for that is no Deployment",
        lost=_NAMED,
        optional=True,
    ),
    Right(
        *("orchestration.aibrix.ai", "podsets", ("get",), _SERVED),
        why="say what a name stands for that is no Deployment",
        lost=_NAMED,
        optional=True,
    ),
    Right(
        *("orchestration.aibrix.ai", "rolesets", ("get",), _SERVED),
        why="say what a name stands for that is no Deployment",
        lost=_NAMED,
        optional=True,
    ),
    Right(
        *("model.aibrix.ai", "modelclaims", ("get",), _SERVED),
        why="say what a name stands for that is no Deployment",
        lost=_NAMED,
        optional=True,
    ),
    Right(
        *("apps", "statefulsets", ("get",), _SERVED),
        why="say what a name stands for that is no Deployment",
        lost=_NAMED,
        optional=True,
    ),
    Right(
        *("", "namespaces", LIST_WATCH, (Place.CLUSTER,)),
        why="see which namespaces carry the label kvsync.aibrix.ai/gateway-access",
        lost="Objects change a gateway only where --gateway lists their namespaces, or from the "
        "operator's own.",
        optional=True,
    ),
    Right(
        *("coordination.k8s.io", "leases", ("create",), (Place.OWN,)),
        why="make the Lease by which the leader is found",
        lost="No replica ever leads, so that nothing is done, unless the Lease is there already or "
        "--no-leader-elect is given.",
    ),
    Right(
        *("coordination.k8s.io", "leases", ("get", "update"), (Place.OWN,)),
        why="lead, and see who leads",
        lost="No replica ever leads, so that nothing is done, unless --no-leader-elect is given.",
        by_name=True,
    ),
    Right(
        *("", "pods/log", ("get",), (Place.GATEWAYS,)),
        why="see in a gateway's log whether it consumes events",
        lost="GatewayConfigured, and with it Ready, stays Unknown.",
        optional=True,
    ),
    Right(
        *("", "pods/log", ("get",), _SERVED),
        why="quote the line of an engine's log that says why it crashed",
        lost="A crash is told by its exit code alone.",
        optional=True,
    ),
)

MODEL_POLICY_RIGHTS = (
    Right(
        *(
            "networking.k8s.io",
            "networkpolicies",
            (*LIST_WATCH, "create", "patch", "delete"),
            _SERVED,
        ),
        why="keep a NetworkPolicy for each model (--model-network-policy)",
        lost="The operator does not start to work with --model-network-policy.",
    ),
)
"""Needed beside the others only with ``kvsync run --model-network-policy``."""

SHARD_RIGHTS = (
    Right(
        *("coordination.k8s.io", "leases", ("get",), (Place.OWN,)),
        why="see whether anybody leads by the Lease of another shard (--object-selector)",
        lost="Objects of a shard that is gone are not taken over by the one that selects them.",
        optional=True,
    ),
)
"""Needed beside the others only with ``kvsync run --object-selector``."""


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """Where something may be done: a namespace, or the whole cluster where it is empty; ``name`` is of the
    one object, empty for all there."""

    namespace: str
    name: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One verb on one resource at one spot, as an access review asks for it."""

    group: str
    resource: str
    verb: str
    spot: Spot

    def covers(self, other: Grant) -> bool:
        """Whether whoever has this has that one too."""
        same = (self.group, self.resource, self.verb) == (other.group, other.resource, other.verb)
        mine, theirs = self.spot, other.spot
        return same and mine.namespace in ("", theirs.namespace) and mine.name in ("", theirs.name)


Spots = Mapping[Place, Iterable[Spot]]
"""What each place is, by the operator's settings."""


def grants(right: Right, spots: Spots) -> Iterator[Grant]:
    """What a right comes to, each once. What is asked for the whole cluster is not asked again for one of
    its namespaces."""
    wanted = {spot for place in right.places for spot in spots.get(place, ())}
    if not right.by_name:
        wanted = {Spot(spot.namespace) for spot in wanted}
    everywhere = Spot("") in wanted
    for spot in [Spot("")] if everywhere else sorted(wanted):
        for verb in right.verbs:
            yield Grant(right.group, right.resource, verb, spot)
