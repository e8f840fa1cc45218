"""The gateway's variables for whoever keeps its manifest: those that the operator sets, or would set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvsync.core.desired import model_name
from kvsync.core.engines import ENGINES
from kvsync.core.gateway import configured_variables, gateway_version, variable_names
from kvsync.core.owner_change import OwnerChange
from kvsync.core.render import Templates, gateway_variables
from kvsync.core.revert import readable
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment

_BLOCK_SIZE = "AIBRIX_PREFIX_CACHE_BLOCK_SIZE"
NO_BLOCK_SIZE = (
    f"{_BLOCK_SIZE} is left out: four times the engines' block size, which only a running engine",
    "tells (vLLM's default of 16 tokens: 64).",
)


@dataclass(frozen=True, slots=True)
class OwnersVariables:
    """The variables, and what to know of them."""

    values: Mapping[str, str]
    words: tuple[str, ...] = ()


def owners_variables(
    spec: KVEventSyncSpec,
    changes: Sequence[OwnerChange],
    templates: Templates,
    namespace: str,
    gateway: Deployment | None = None,
) -> OwnersVariables:
    """What a gateway gets for an object of this ``namespace``; what it has got already, where the operator
    has set it.

    Raises:
        TemplateRenderError: the gateway's template is broken.
    """
    if gateway is not None and readable(gateway) and configured_variables(gateway):
        return OwnersVariables(configured_variables(gateway))
    version = gateway_version(gateway, spec.gateway.container) if gateway is not None else None
    ports = {part.engine.http_port for change in changes for part in change.parts}
    values = gateway_variables(
        templates,
        names=variable_names(spec.gateway.environment, version),
        tokenizer_engine=spec.gateway.tokenizer_engine,
        tokenizer_endpoint=spec.gateway.tokenizer_endpoint or _endpoint(changes, namespace),
        block_size=None,
        http_port=ports.pop() if len(ports) == 1 else ENGINES[spec.engine.type].http_port,
    )
    return OwnersVariables(values, NO_BLOCK_SIZE)


def _endpoint(changes: Sequence[OwnerChange], namespace: str) -> str:
    """The Service of the first model, by the rule that it is named like the model."""
    for change in sorted(changes, key=lambda each: each.name):
        for part in change.parts[:1]:
            name = model_name(Deployment(change.body), part.engine) or change.name
            return f"http://{name}.{namespace}:{part.engine.http_port}"
    return ""
