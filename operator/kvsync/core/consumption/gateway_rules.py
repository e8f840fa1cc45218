"""What keeps a gateway from using the events of any source, or keeps anyone from telling."""

from __future__ import annotations

from collections.abc import Iterator

from kvsync.core.consumption.gateway import Gateway
from kvsync.core.consumption.issue import Issue
from kvsync.core.releases import first_that_uses_events
from kvsync.model.reasons import ConditionReason


def issues_of_gateway(gateway: Gateway) -> Iterator[Issue]:
    """All that can be said of the gateway alone."""
    if gateway.hidden:
        yield _open(
            ConditionReason.GATEWAY_NOT_PERMITTED,
            "This object may not have the gateway changed, so it is not judged.",
            "Have its namespace let in to have it judged.",
        )
    elif not gateway.found:
        yield _open(ConditionReason.GATEWAY_NOT_FOUND, "The gateway was not found.")
    elif gateway.settings is None:
        yield _open(
            ConditionReason.GATEWAY_CONTAINER_NOT_FOUND,
            f"The gateway has no container {gateway.spec.container!r}.",
            "Correct spec.gateway.container.",
        )
    else:
        yield from _of_release(gateway)
        yield from _of_variables(gateway)


def _of_release(gateway: Gateway) -> Iterator[Issue]:
    release = gateway.release
    if release is None:
        yield _open(
            ConditionReason.GATEWAY_VERSION_UNKNOWN,
            "The gateway's image tag names no release, so what it decodes is unknown.",
            "Use a release's tag to have it judged.",
        )
    elif not release.uses_events:
        why = (
            "decodes events into an index that its router does not ask"
            if release.layouts
            else "decodes the events of no released engine"
        )
        yield Issue(
            ConditionReason.GATEWAY_TOO_OLD,
            f"{gateway.title} {why}: it routes as without them.",
            f"Use AIBrix {first_that_uses_events()} or newer.",
        )


def _of_variables(gateway: Gateway) -> Iterator[Issue]:
    """AIBrix ``pkg/kvevent/manager.go``: one variable less and it subscribes to nothing, yet is Ready."""
    settings = gateway.settings
    if settings is None:
        return
    if settings.unmet:
        yield Issue(
            ConditionReason.GATEWAY_NOT_CONSUMING,
            f"The gateway is not told to use events: {'; '.join(settings.unmet)}.",
            _how_to_tell(gateway),
        )
    if settings.hidden:
        yield _open(
            ConditionReason.GATEWAY_VARIABLE_REFERENCED,
            f"The gateway takes {', '.join(settings.hidden)} from a reference (valueFrom, envFrom "
            "or another variable), which is not followed.",
            "Make them plain values to have them judged.",
        )


def _how_to_tell(gateway: Gateway) -> str:
    spec = gateway.spec
    where = f"container {spec.container} of Deployment {spec.namespace}/{spec.deployment}"
    if not spec.manage:
        return f"Set that in {where}, or spec.gateway.manage to true."
    return (
        f"The operator does not write that into {where}: see the condition GatewayConfigured, and "
        "leave spec.gateway.environment at Auto."
    )


def _open(reason: ConditionReason, what: str, remedy: str = "") -> Issue:
    return Issue(reason, what, remedy, certain=False)
