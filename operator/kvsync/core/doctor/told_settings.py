"""What an installed operator was told, read from its Deployment: ``kvsync run``'s options and variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from kvsync.core.gateway_access import GatewayGrant, parse_grant
from kvsync.model.image import parse_image
from kvsync.model.workload import Container, Deployment

LABEL = "app.kubernetes.io/name=kvsync-operator"
"""What the chart and the install manifest put on the operator's Deployment."""

IMAGE = "kvsync-operator"
"""The last part of its image's repository."""


@dataclass(frozen=True, slots=True)
class ToldSettings:
    """As far as a check needs them; empty where it goes by its defaults."""

    namespaces: tuple[str, ...] = ()
    gateways: tuple[GatewayGrant, ...] = ()
    lease_name: str = ""
    account: str = "default"
    model_network_policy: bool = False
    admission_policy: bool = False


def told_settings(deployment: Deployment) -> ToldSettings:
    """What the operator's container is told. What cannot be read is left out."""
    container = _operator(deployment)
    account = str((deployment.template.get("spec") or {}).get("serviceAccountName") or "default")
    if container is None:
        return ToldSettings(account=account)
    names = next(iter(_told(container, "--lease-name", "KVSYNC_LEASE_NAME")), "")
    return ToldSettings(
        tuple(_told(container, "--namespace", "KVSYNC_NAMESPACES")),
        tuple(_grants(container)),
        names,
        account,
        _switched_on(container, "--model-network-policy", "KVSYNC_MODEL_NETWORK_POLICY"),
        _switched_on(container, "--admission-policy", "KVSYNC_ADMISSION_POLICY"),
    )


def runs_it(deployment: Deployment) -> bool:
    """Whether a Deployment runs the operator, by its container's image and words."""
    container = _operator(deployment)
    return container is not None and parse_image(container.image).basename == IMAGE


def _operator(deployment: Deployment) -> Container | None:
    return next((c for c in deployment.containers if "run" in c.words), None)


def _grants(container: Container) -> Iterator[GatewayGrant]:
    for text in _told(container, "--gateway", "KVSYNC_GATEWAYS"):
        try:
            yield parse_grant(text)
        except ValueError:
            continue  # the operator itself does not start by it, and says so


def _switched_on(container: Container, option: str, variable: str) -> bool:
    """Whether a switch is on; of several words the last counts."""
    off = option.replace("--", "--no-", 1)
    said = [word for word in container.words if word in (option, off)]
    if said:
        return said[-1] == option
    return (container.env(variable) or "").lower() in ("1", "true", "t", "yes", "y", "on")


def _told(container: Container, option: str, variable: str) -> list[str]:
    """The values of an option, in both of its forms; else those of its variable."""
    words = container.words
    values = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    values += [after for word, after in pairwise(words) if word == option]
    return values or (container.env(variable) or "").split()
