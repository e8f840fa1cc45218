"""The objects that the stories are told with."""

from typing import Any

Object = dict[str, Any]

EVENTS_LABEL = "model.aibrix.ai/kv-events-enabled"
RECORD = "kvsync.aibrix.ai/record"


def model(
    name: str,
    namespace: str,
    *,
    image: str = "vllm/vllm-openai:v0.16.0",
    replicas: int = 1,
    args: list[str] | None = None,
    command: list[str] | None = None,
    env: list[Object] | None = None,
) -> Object:
    """A plain vLLM Deployment, as a user has it before any of this."""
    container: Object = {
        "name": "vllm",
        "image": image,
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1},
    }
    words = ["vllm", "serve", "tiny", f"--served-model-name={name}", "--port=8000"]
    container["command"] = command or words
    if args is not None:
        container["args"] = args
    if env is not None:
        container["env"] = env
    labels = {"model.aibrix.ai/name": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 2},
            },
        },
    }


def sync(name: str, namespace: str, *models: str, **spec: Any) -> Object:
    """A KVEventSync for these models."""
    return {
        "apiVersion": "kvsync.aibrix.ai/v1alpha1",
        "kind": "KVEventSync",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"models": {"names": list(models)}, **spec},
    }
