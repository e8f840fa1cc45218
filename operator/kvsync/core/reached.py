"""The Deployments that get a gateway's variables: the gateway and those configured beside it."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.image import parse_image
from kvsync.model.observed import Observed, ObservedConsumer
from kvsync.model.reasons import ConditionReason
from kvsync.model.spec import is_control_plane
from kvsync.model.workload import Deployment

Problem = tuple[ConditionReason, str]

_NO_READERS = frozenset({"kvcache-watcher"})
"""Images of AIBrix that read none of the variables (``cmd/kvcache-watcher`` of 0.4.0 to 0.7.0)."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A Deployment that gets the variables, and the container of it that reads them."""

    deployment: Deployment
    container: str

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return f"{self.deployment.namespace}/{self.deployment.name}"

    @property
    def note(self) -> str:
        """What to know of it; empty for most."""
        return note_on(self.deployment, self.container)


def note_on(deployment: Deployment, container: str) -> str:
    """What to know of a Deployment that gets the variables; empty for most."""
    name = _reader(deployment, container)
    found = deployment.container(name) if name else None
    image = parse_image(found.image).basename if found else ""
    if image not in _NO_READERS:
        return ""
    return f"{image} is known to read none of these variables (AIBrix up to 0.7.0)."


def _reader(deployment: Deployment, container: str) -> str:
    """The container that reads the variables: the one of that name, or the only one; else empty."""
    names = [each.name for each in deployment.containers]
    if container in names:
        return container
    return names[0] if len(names) == 1 else ""


def out_of_reach(observed: Observed) -> Problem | None:
    """Why one of the Deployments cannot be configured at all, the gateway first."""
    gateway = observed.gateway
    own = ObservedConsumer(
        observed.spec.gateway.deployment, gateway.deployment, gateway.permitted, gateway.denial
    )
    problems = (_problem(observed, each) for each in (own, *gateway.also))
    return next((problem for problem in problems if problem is not None), None)


def _problem(observed: Observed, consumer: ObservedConsumer) -> Problem | None:
    spec = observed.spec.gateway
    where = f"{spec.namespace}/{consumer.name}"
    field = "deployment" if consumer.name == spec.deployment else "alsoConfigure"
    if is_control_plane(consumer.name):
        return (
            ConditionReason.GATEWAY_NOT_PERMITTED,
            f"Deployment {where} is never configured: it belongs to AIBrix's control plane and reads "
            f"none of the variables. Correct spec.gateway.{field}.",
        )
    if not consumer.permitted:
        return (ConditionReason.GATEWAY_NOT_PERMITTED, consumer.denial)
    if consumer.deployment is None:
        return (ConditionReason.GATEWAY_NOT_FOUND, _not_found(where, field))
    return None


def _not_found(where: str, field: str) -> str:
    if field == "alsoConfigure":
        return f"There is no Deployment {where}. Correct spec.gateway.alsoConfigure."
    return (
        f"There is no Deployment {where}. Correct spec.gateway.namespace and "
        "spec.gateway.deployment, or set spec.gateway.manage to false."
    )


def consumers(observed: Observed) -> tuple[tuple[Consumer, ...], Problem | None]:
    """All of them, the gateway last, and what is wrong where a container cannot be told.

    The gateway's own container is looked for when its patch is planned.
    """
    name = observed.spec.gateway.container
    found: list[Consumer] = []
    for each in observed.gateway.also:
        assert each.deployment is not None  # else it is out of reach
        reader = _reader(each.deployment, name)
        if not reader:
            return (), _several(each.deployment)
        found.append(Consumer(each.deployment, reader))
    assert observed.gateway.deployment is not None  # else it is out of reach
    return (*found, Consumer(observed.gateway.deployment, name)), None


def _several(deployment: Deployment) -> Problem:
    names = (container.name for container in deployment.containers)
    return (
        ConditionReason.GATEWAY_CONTAINER_NOT_FOUND,
        f"Deployment {deployment.namespace}/{deployment.name} of spec.gateway.alsoConfigure has "
        f"several containers, none of them named like the gateway's: {', '.join(names)}. Name that "
        "one like spec.gateway.container, or take the Deployment out.",
    )
