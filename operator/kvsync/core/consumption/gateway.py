"""The gateway in use, and what it reads or is about to be told."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kvsync.core.consumption.settings import (
    BLOCK_SIZE,
    ENDPOINT,
    REMOTE_TOKENIZER,
    SYNC,
    TOKEN_BYTES,
    TOKENIZER_TYPE,
    GatewaySettings,
    read_settings,
)
from kvsync.core.environment import is_referenced
from kvsync.core.gateway import gateway_version, owners_of
from kvsync.core.gateway_fold import Fold, GatewayValues, values_for
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


def gateway_in_use(observed: Observed, folded: Fold) -> Gateway:
    """The gateway that the object names, with the settings that it has, or is about to be given by all
    who share it."""
    spec, deployment = observed.spec.gateway, observed.gateway.deployment
    container = deployment.container(spec.container) if deployment else None
    if deployment is None or container is None:
        hidden = deployment is None and not observed.gateway.permitted
        return Gateway(spec, deployment is not None, None, None, None, hidden)
    version = gateway_version(deployment, spec.container)
    settings = read_settings(container)
    values = _to_be_written(observed, folded, deployment, container)
    if values is not None:
        settings = _written(settings, values)
    release = gateway_release(version) if version is not None else None
    return Gateway(spec, True, version, release, settings)


def _to_be_written(
    observed: Observed, folded: Fold, deployment: Deployment, container: Container
) -> GatewayValues | None:
    """What it is told, or will be; None where what stands there is all that counts.

    A contradiction, a reference, and what objects need that nothing is known of are not changed
    (``core.gateway``).
    """
    spec = observed.spec.gateway
    reached = spec.manage and observed.gateway.permitted and readable(deployment)
    if not reached or any(is_referenced(container, name) for name in _WRITTEN):
        return None
    owners = set(owners_of(deployment))
    if folded.conflict or owners - folded.marks - observed.gateway.gone:
        return None
    members = folded.in_force({*owners, folded.own.mark})
    values = values_for(members, deployment, spec.container)
    return values if GatewayEnvironment.V0_5.value in values.names else None


def _written(there: GatewaySettings, values: GatewayValues) -> GatewaySettings:
    size, port = values.block_size, values.http_port
    return replace(
        there,
        sync="true",
        remote_tokenizer="true",
        tokenizer_type="remote",
        endpoint=values.tokenizer_endpoint or "derived",
        block_size=str(TOKEN_BYTES * size) if size else there.block_size,
        # The default of the gateway is not written.
        tokenizer_template=f"http://%s:{port}" if port != 8000 else there.tokenizer_template,
    )
