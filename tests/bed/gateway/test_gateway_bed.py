"""The gateway stand-in as a pod of the bed, beside engine stand-ins, on a real API server."""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from testbed.gateway.pods import KV_EVENTS_LABEL, MODEL_LABEL
from testbed.gateway.releases import NEW_NAMES
from testbed.hits import manifests
from testbed.waiting import wait_for

pytestmark = pytest.mark.bed

WITHIN = 40.0
SYNC_ON = {
    NEW_NAMES.sync: "true",
    NEW_NAMES.remote_tokenizer: "true",
    NEW_NAMES.tokenizer_type: "remote",
    NEW_NAMES.endpoint: "http://vllm:8000",
    "AIBRIX_PREFIX_CACHE_BLOCK_SIZE": "64",
}
EVENTS = json.dumps(
    {
        "enable_kv_cache_events": True,
        "publisher": "zmq",
        "endpoint": "tcp://*:5557",
        "replay_endpoint": "tcp://*:5558",
    }
)
ONE_BLOCK = "a b c d e f g h i j k l m n o p q r s t u v w x y z"


@dataclass(frozen=True)
class Place:
    """One test's own gateway and engine, in a namespace of that name."""

    api: Any
    name: str

    def pod(self, app: str) -> dict[str, Any]:
        """The one ready pod of an app."""

        def ready() -> Any:
            pods = self.api.list("pod", self.name, labels=f"app={app}")
            return pods[0] if len(pods) == 1 and _is_ready(pods[0]) else None

        found: dict[str, Any] = wait_for(ready, WITHIN, what=f"a ready pod of {app}")
        return found

    def state(self) -> dict[str, Any]:
        """The gateway's /debug/state."""
        url = f"http://{_ip(self.pod('gateway-plugins'))}:10080/debug/state"
        found: dict[str, Any] = json.loads(_get(url))
        return found

    def subscription(self) -> dict[str, Any] | None:
        """What the gateway has seen of this test's engine, None while not subscribed."""
        found: dict[str, Any] | None = self.state()["subscriptions"].get(self.engine_key())
        return found

    def engine_key(self) -> str:
        """`namespace/pod` of the engine, as in the gateway's log."""
        return f"{self.name}/{self.pod('engine')['metadata']['name']}"

    def log(self) -> str:
        """The gateway's log through the API server."""
        text: str = self.api.logs(self.pod("gateway-plugins")["metadata"]["name"], self.name)
        return text

    def prompt(self, text: str = ONE_BLOCK) -> None:
        """One completion straight from the engine."""
        _post(f"http://{_ip(self.pod('engine'))}:8000/v1/completions", self.name, text)

    def install_gateway(self, tag: str, env: dict[str, str]) -> None:
        """The install's manifests, moved into this namespace, with an environment."""
        for body in manifests.gateway(self.name, tag, env):
            self.api.create(body)

    def install_engine(self, tag: str, **labels: str) -> None:
        """A Deployment `engine` of one vLLM that publishes events and serves model NAME."""
        self.api.create(_engine(self.name, tag, labels))


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


def _ip(pod: dict[str, Any]) -> str:
    return str(pod["status"]["podIP"])


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def _post(url: str, model: str, prompt: str, **headers: str) -> dict[str, str]:
    body = json.dumps({"model": model, "prompt": prompt, "max_tokens": 1}).encode()
    sent = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, body, sent)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return {name.lower(): text for name, text in answer.headers.items()}


def _engine(name: str, tag: str, labels: dict[str, str]) -> dict[str, Any]:
    marks = {"app": "engine", MODEL_LABEL: name, **labels}
    container = {
        "name": "vllm",
        "image": f"vllm/vllm-openai:{tag}",
        "command": ["vllm", "serve", "m", "--served-model-name", name],
        "args": ["--block-size=16", f"--kv-events-config={EVENTS}"],
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "engine", "namespace": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "engine"}},
            "template": {"metadata": {"labels": marks}, "spec": {"containers": [container]}},
        },
    }


@pytest.fixture
def place(bed: Any, request: pytest.FixtureRequest) -> Iterator[Place]:
    name = "gw-" + request.node.name.replace("_", "-").removeprefix("test-")[:40].strip("-")
    bed.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield Place(bed.api, name)
    bed.api.delete("namespace", name)
    for kind, each in manifests.cluster_wide(name):
        bed.api.delete(kind, each)


def test_an_install_becomes_ready_and_consumes_nothing(place: Place) -> None:
    place.install_gateway("v0.7.0", {})
    state = place.state()
    assert (state["version"], state["serving"], state["verdict"]) == ("v0.7.0", True, "off")
    metrics = _get(f"http://{_ip(place.pod('gateway-plugins'))}:8080/metrics")
    assert 'indexer_status{indexer_type="sync",model="_init_"} 0.0' in metrics
    assert "KV event" not in place.log()


def test_array_events_are_consumed_and_a_label_taken_off_ends_it(place: Place) -> None:
    place.install_engine("v0.16.0", **{KV_EVENTS_LABEL: "true"})
    pod = place.pod("engine")["metadata"]["name"]
    place.install_gateway("v0.7.0", SYNC_ON)
    wait_for(place.subscription, WITHIN, what="a subscription")
    prompted = iter(range(1000))

    def decoded() -> int:
        # Another text each time: the first ones can be over before the subscription has arrived.
        place.prompt(f"{next(prompted)} {ONE_BLOCK}")
        return int((place.subscription() or {}).get("batches", 0))

    batches = wait_for(decoded, WITHIN, what="a decoded batch", pause=0.2)
    place.prompt()
    wait_for(lambda: (place.subscription() or {})["batches"] > batches, WITHIN, what="one more")
    answer = _post(
        f"http://{_ip(place.pod('gateway-plugins'))}:10080/v1/completions",
        place.name,
        ONE_BLOCK,
        **{"routing-strategy": "prefix-cache"},
    )
    assert answer["target-pod"] == pod
    assert int(answer["x-prefix-match-percent"]) > 0
    place.api.patch("pod", pod, {"metadata": {"labels": {KV_EVENTS_LABEL: None}}}, place.name)
    gone = f"Unsubscribed from KV events for pod {place.engine_key()}"
    wait_for(lambda: gone in place.log(), WITHIN, what=gone)
    assert f"Subscribed to KV events for pod {place.engine_key()}" in place.log()
    assert place.subscription() is None


def test_map_events_are_errors_that_repeat(place: Place) -> None:
    place.install_engine("v0.32.0", **{KV_EVENTS_LABEL: "true"})
    place.pod("engine")
    place.install_gateway("main", SYNC_ON)
    error = f"Event consumption error for {place.engine_key()}"
    prompted = iter(range(1000))

    def seen_twice() -> bool:
        place.prompt(f"{next(prompted)} {ONE_BLOCK}")
        return place.log().count(error) >= 2

    wait_for(seen_twice, WITHIN, what=f"twice {error}", pause=0.2)
    found = place.subscription()
    assert found is not None
    assert found["batches"] == 0
    assert f"Attempting to reconnect to {place.engine_key()} after 1s" in place.log()
