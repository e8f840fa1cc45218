"""What an installed operator was told, read from its Deployment: ``kvsync run``'s options and variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from kvsync.core.gateway_access import GatewayGrant, parse_grant
from kvsync.core.leadership import lease_of
from kvsync.model.image import parse_image
from kvsync.model.selector import LabelSelector
from kvsync.model.selector_text import parse_selector
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
    """With ``object_selector`` the one that follows from it, where none is told."""
    account: str = "default"
    model_network_policy: bool = False
    admission_policy: bool = False
    object_selector: LabelSelector | None = None


def told_settings(deployment: Deployment) -> ToldSettings:
    """What the operator's container is told. What cannot be read is left out."""
    container = _operator(deployment)
    account = str((deployment.template.get("spec") or {}).get("serviceAccountName") or "default")
    if container is None:
        return ToldSettings(account=account)
    selector = _selector(container)
    names = next(iter(_told(container, "--lease-name", "KVSYNC_LEASE_NAME")), "")
    return ToldSettings(
        tuple(_told(container, "--namespace", "KVSYNC_NAMESPACES")),
        tuple(_grants(container)),
        names or (lease_of(selector) if selector else ""),
        account,
        _switched_on(container, "--model-network-policy", "KVSYNC_MODEL_NETWORK_POLICY"),
        _switched_on(container, "--admission-policy", "KVSYNC_ADMISSION_POLICY"),
        selector,
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


def _selector(container: Container) -> LabelSelector | None:
    words = _given(container, "--object-selector")
    text = next(iter(words), container.env("KVSYNC_OBJECT_SELECTOR") or "")
    try:
        return parse_selector(text) if text else None
    except ValueError:
        return None  # the operator itself does not start by it, and says so


def _switched_on(container: Container, option: str, variable: str) -> bool:
    """Whether a switch is on; of several words the last counts."""
    off = option.replace("--", "--no-", 1)
    said = [word for word in container.words if word in (option, off)]
    if said:
        return said[-1] == option
    return (container.env(variable) or "").lower() in ("1", "true", "t", "yes", "y", "on")


def _told(container: Container, option: str, variable: str) -> list[str]:
    """The values of an option, in both of its forms; else those of its variable."""
    return _given(container, option) or (container.env(variable) or "").split()


def _given(container: Container, option: str) -> list[str]:
    words = container.words
    values = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return values + [after for word, after in pairwise(words) if word == option]
