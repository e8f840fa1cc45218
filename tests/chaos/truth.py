"""Whether a status is true of what the API server holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaos.history import DEPLOYMENTS, SYNCS, History, Key
from chaos.looks import (
    condition,
    flag_is_on,
    is_configured,
    is_leaving,
    is_meant,
    manages_gateway,
)
from testbed.api import Object, rolled_out


def untrue_statuses(history: History, gateway: Key | None, *, ready: bool = True) -> Iterator[str]:
    """What the statuses at the end say wrongly; ``ready``: whether each object is to be Ready.

    One source a pod: engines with data-parallel ranks have more.
    """
    state = history.end()
    for key, sync in sorted(state.items()):
        if key[0] == SYNCS:
            for fault in _faults(sync, state, gateway, ready=ready):
                yield f"status of {key[1]}/{key[2]}: {fault}"


def _faults(
    sync: Object, state: Mapping[Key, Object], gateway: Key | None, *, ready: bool
) -> Iterator[str]:
    if is_leaving(sync):
        yield "it is deleted, and not gone"
        return
    status = sync.get("status") or {}
    if status.get("observedGeneration") != sync["metadata"]["generation"]:
        seen = status.get("observedGeneration")
        yield f"speaks of generation {seen}, not of {sync['metadata']['generation']}"
    missing = [*_missing(sync, state, gateway)]
    said = condition(sync, "Ready")
    if said.get("status") == "True":
        yield from (f"is Ready, and {what}" for what in missing)
        yield from _wrong_counts(status, _models(sync, state, gateway))
    elif ready:
        yield f"is not Ready ({said.get('reason')}: {said.get('message')}); in truth: {missing or 'all is'}"
    if gateway and gateway in state and manages_gateway(sync):
        told = condition(sync, "GatewayConfigured").get("status") == "True"
        if told and not flag_is_on(state[gateway]):
            yield "says GatewayConfigured, and the flag is off"


def _models(sync: Object, state: Mapping[Key, Object], gateway: Key | None) -> list[Object]:
    found = [(k, b) for k, b in sorted(state.items()) if k[0] == DEPLOYMENTS and k != gateway]
    return [body for _, body in found if is_meant(sync, body)]


def _missing(sync: Object, state: Mapping[Key, Object], gateway: Key | None) -> Iterator[str]:
    for body in _models(sync, state, gateway):
        name = body["metadata"]["name"]
        if not is_configured(body):
            yield f"{name} is not configured"
        if not rolled_out(body):
            yield f"{name} is not rolled out"
    if gateway and gateway in state and manages_gateway(sync):
        if not flag_is_on(state[gateway]):
            yield "the gateway's flag is off"
        if not rolled_out(state[gateway]):
            yield "the gateway is not rolled out"


def _wrong_counts(status: Object, models: list[Object]) -> Iterator[str]:
    pods = sum(body["spec"].get("replicas", 1) for body in models)
    counted = status.get("sources") or {}
    for what, said, true in (
        ("models in all", status.get("modelsTotal"), len(models)),
        ("models ready", status.get("modelsReady"), len(models)),
        ("sources in all", counted.get("total"), pods),
    ):
        if said != true:
            yield f"counts {said} {what}, there are {true}"
