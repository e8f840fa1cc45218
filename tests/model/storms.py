"""StormServices as the API server returns them, as AIBrix's own samples have them."""

import copy
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

IMAGE = "vllm/vllm-openai:v0.16.0"
SERVE = ["python3", "-m", "vllm.entrypoints.openai.api_server", "--port=8000"]
SCRIPT = (
    'python3 -m vllm.entrypoints.openai.api_server --host "0.0.0.0" --port "8000" '
    "--served-model-name qwen3-8B "
    '--kv-transfer-config \'{"kv_connector":"NixlConnector","kv_role":"kv_both"}\''
)
LABELS = {
    "model.aibrix.ai/name": "qwen3-8B",
    "model.aibrix.ai/port": "8000",
    "model.aibrix.ai/engine": "vllm",
}
SIDE_CHANNEL = {"name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": "5600"}


def role(name: str, container: Json | None = None, *, replicas: int = 1, **more: Any) -> Json:
    """A role with one container, named after the role; by default an engine started directly."""
    engine = {"image": IMAGE, "command": list(SERVE), "env": [dict(SIDE_CHANNEL)]}
    body = {"name": name, **(container or engine)}
    return {
        "name": name,
        "replicas": replicas,
        "stateful": True,
        "template": {
            "metadata": {"labels": dict(LABELS)},
            "spec": {"containers": [copy.deepcopy(body)]},
        },
        **more,
    }


def scripted(name: str, **more: Any) -> Json:
    """An engine's role as AIBrix's samples write it: one script for a shell."""
    engine = {"image": IMAGE, "command": ["sh", "-c"], "args": [SCRIPT]}
    return role(name, engine | {"env": [dict(SIDE_CHANNEL)]}, **more)


def router() -> Json:
    """A role that runs no engine."""
    return role("router", {"image": "aibrix/router:v1", "args": ["--port=9000"]})


def storm(
    *roles: Json,
    name: str = "pd",
    replicas: int = 1,
    strategy: str = "InPlaceUpdate",
    **metadata: Any,
) -> Json:
    """A StormService; by default a prefill and a decode engine and a router."""
    chosen: Sequence[Json] = roles or (role("prefill", replicas=2), role("decode"), router())
    labels = {"app": name}
    return {
        "apiVersion": "orchestration.aibrix.ai/v1alpha1",
        "kind": "StormService",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}", **metadata},
        "spec": {
            "replicas": replicas,
            "updateStrategy": {"type": strategy},
            "selector": {"matchLabels": dict(labels)},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": {"roles": copy.deepcopy(list(chosen))},
            },
        },
    }


def pod(name: str, service: str, role_name: str, **metadata: Any) -> Json:
    """A pod as a RoleSet makes it."""
    labels = {"storm-service-name": service, "role-name": role_name, **LABELS}
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "labels": labels,
            "ownerReferences": [{"kind": "RoleSet", "name": f"{service}-rs", "controller": True}],
            **metadata,
        },
        "spec": {"containers": [{"name": role_name, "image": IMAGE}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }
