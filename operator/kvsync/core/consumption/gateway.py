"""The gateway in use, and what it reads or is about to be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kvsync.core.actions import mark_of
from kvsync.core.assess import ModelView
from kvsync.core.consumption.settings import (
    BLOCK_SIZE,
    ENDPOINT,
    REMOTE_TOKENIZER,
    SYNC,
    TOKEN_BYTES,
    TOKENIZER_TYPE,
    GatewaySettings,
    is_referenced,
    read_settings,
)
from kvsync.core.gateway import gateway_version, owners_of, variable_names
from kvsync.core.gateway_view import block_size_to_write, tokenizer_port_to_write
from kvsync.core.releases import GatewayRelease, gateway_release
from kvsync.core.revert import readable
from kvsync.model.observed import Observed
from kvsync.model.spec import GatewayEnvironment, GatewaySpec
from kvsync.model.version import Version
from kvsync.model.workload import Container, Deployment

_WRITTEN = (SYNC, REMOTE_TOKENIZER, TOKENIZER_TYPE, ENDPOINT, BLOCK_SIZE)


@dataclass(frozen=True, slots=True)
class Gateway:
    """What is known of it. ``settings`` None: it, or its container, was not found; ``release`` None: its
    image names none; ``hidden``: the object may not have it changed, so nothing is said of it."""

    spec: GatewaySpec
    found: bool
    version: Version | None
    release: GatewayRelease | None
    settings: GatewaySettings | None
    hidden: bool = False

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return f"AIBrix {self.version}" if self.version is not None else "the gateway"


def gateway_in_use(observed: Observed, views: Sequence[ModelView]) -> Gateway:
    """The gateway that the object names, with the settings that it has, or is about to be given."""
    spec, deployment = observed.spec.gateway, observed.gateway.deployment
    container = deployment.container(spec.container) if deployment else None
    if deployment is None or container is None:
        hidden = deployment is None and not observed.gateway.permitted
        return Gateway(spec, deployment is not None, None, None, None, hidden)
    version = gateway_version(deployment, spec.container)
    settings = read_settings(container)
    if _is_written(observed, deployment, container, version):
        settings = _written(settings, observed, deployment, views)
    release = gateway_release(version) if version is not None else None
    return Gateway(spec, True, version, release, settings)


def _is_written(
    observed: Observed, deployment: Deployment, container: Container, version: Version | None
) -> bool:
    """Whether what we want is what it will read: else what stands there is all that counts.

    What others need is never changed, and neither is a reference (``core.gateway``).
    """
    spec = observed.spec.gateway
    others = set(owners_of(deployment)) - {mark_of(observed.sync)}
    names = variable_names(spec.environment, version)
    return (
        spec.manage
        and observed.gateway.permitted
        and GatewayEnvironment.V0_5.value in names
        and not others
        and readable(deployment)
        and not any(is_referenced(container, name) for name in _WRITTEN)
    )


def _written(
    there: GatewaySettings, observed: Observed, deployment: Deployment, views: Sequence[ModelView]
) -> GatewaySettings:
    size = block_size_to_write(deployment, observed.spec.gateway.container, views)
    port = tokenizer_port_to_write(observed, views)
    return replace(
        there,
        sync="true",
        remote_tokenizer="true",
        tokenizer_type="remote",
        endpoint=observed.spec.gateway.tokenizer_endpoint or "derived",
        block_size=str(TOKEN_BYTES * size) if size else there.block_size,
        # The default of the gateway is not written.
        tokenizer_template=f"http://%s:{port}" if port != 8000 else there.tokenizer_template,
    )
