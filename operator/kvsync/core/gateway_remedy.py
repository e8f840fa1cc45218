"""What to do about a gateway that consumes no events, by the words of its log or by its silence."""

from __future__ import annotations

from kvsync.core.consumption.settings import (
    ENDPOINT,
    REMOTE_TOKENIZER,
    SYNC,
    TOKENIZER_TYPE,
    read_settings,
)
from kvsync.core.gateway import gateway_version
from kvsync.core.releases import GATEWAY_REPLAY_PORT, gateway_release
from kvsync.model.spec import GatewayEnvironment, GatewaySpec
from kvsync.model.workload import Deployment

_OLD_NAMES = {
    SYNC: "AIBRIX_KV_EVENT_SYNC_ENABLED",
    REMOTE_TOKENIZER: "AIBRIX_USE_REMOTE_TOKENIZER",
    ENDPOINT: "AIBRIX_REMOTE_TOKENIZER_ENDPOINT",
}
"""What AIBrix 0.4 calls them."""

_BY_WORDS = (
    ("TOKENIZER_TYPE", TOKENIZER_TYPE, "exactly remote"),
    ("TOKENIZER_ENDPOINT", ENDPOINT, "the URL of a Service that tokenizes"),
    ("remote tokenizer", REMOTE_TOKENIZER, "true"),
    ("is disabled", SYNC, "true"),
)
"""What a line holds, the variable that it is about, and what that must be. The first that fits."""


def remedy_for_words(spec: GatewaySpec, deployment: Deployment, pod: str, words: str) -> str:
    """What to do about a line that says why KV event sync was not initialised."""
    if "deadline exceeded" in words:
        return (
            f"Pods that do not answer on port {GATEWAY_REPLAY_PORT} hold its start up by 5 s each, "
            "and it waits 30 s in all. When every pod labelled for it answers, restart it: kubectl "
            f"-n {spec.namespace} rollout restart deployment {spec.deployment}."
        )
    for part, name, value in _BY_WORDS:
        if part in words:
            return f"Set {_name(spec, deployment, name)} to {value} {_where(spec)}"
    return (
        f"See what comes before it, kubectl -n {spec.namespace} logs {pod} -c {spec.container}, "
        "and restart the gateway when that is settled."
    )


def remedy_for_silence(spec: GatewaySpec, deployment: Deployment) -> str:
    """What to do about a gateway that says nothing: most often its flag is not on."""
    if spec.manage and spec.environment is not GatewayEnvironment.AUTO:
        return (
            f"spec.gateway.environment {spec.environment} has names written that this release does "
            "not read: set it to Auto."
        )
    container = deployment.container(spec.container)
    settings = read_settings(container) if container else None
    if settings and settings.unmet:
        old = container is not None and any(container.env(n) for n in _OLD_NAMES.values())
        note = " The names without PREFIX_CACHE are read by AIBrix 0.4 alone." if old else ""
        return f"There, {'; '.join(settings.unmet)}.{note} Set that {_where(spec)}"
    if settings and settings.hidden:
        return (
            f"It takes {', '.join(settings.hidden)} from a reference, which is not followed: see "
            f"what stands there, or set {SYNC} to true {_where(spec)}"
        )
    return (
        "Its variables are as they must be: see whether the image is AIBrix's gateway, and "
        f"kubectl -n {spec.namespace} logs deployment/{spec.deployment} -c {spec.container}."
    )


def _name(spec: GatewaySpec, deployment: Deployment, name: str) -> str:
    version = gateway_version(deployment, spec.container)
    if version is not None and not gateway_release(version).new_names:
        return _OLD_NAMES.get(name, name)
    return name


def _where(spec: GatewaySpec) -> str:
    where = f"in container {spec.container} of Deployment {spec.namespace}/{spec.deployment}"
    if spec.manage:
        return f"{where}; leave spec.gateway.environment at Auto."
    return f"{where}, or spec.gateway.manage to true."
