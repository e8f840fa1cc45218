"""Models that publish, as they are written by hand with and without a relay, and their gateway."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from testbed.api import Object
from testbed.gateway.pods import ENGINE_LABEL, KV_EVENTS_LABEL, MODEL_LABEL
from testbed.gateway.releases import NEW_NAMES

BLOCK_SIZE = 16
RELAY = "kvsync-relay"
_IMAGE = "kvsync-operator:0.1.0"
_KVSYNC = str(Path(sys.executable).parent / "kvsync")
_PAGE = Path(__file__).parents[3] / "docs" / "relay.md"
_SIDECAR = re.compile(r"^```yaml\n(initContainers:\n.*?)^```$", re.DOTALL | re.MULTILINE)
_GATEWAY = Path(__file__).parents[1] / "manifests" / "gateway.yaml"
_SYNC_ON = {
    NEW_NAMES.sync: "true",
    NEW_NAMES.remote_tokenizer: "true",
    NEW_NAMES.tokenizer_type: "remote",
    NEW_NAMES.endpoint: "http://vllm:8000",
    "AIBRIX_PREFIX_CACHE_BLOCK_SIZE": str(4 * BLOCK_SIZE),
}


@dataclass(frozen=True)
class Kind:
    """An engine that differs from the others in what it publishes."""

    says: str
    tag: str
    ranks: int = 1

    @property
    def name(self) -> str:
        """Short, as part of the names of objects."""
        release = self.tag.removeprefix("v").rpartition(".")[0].replace(".", "")
        return f"vllm{release}" + (f"-dp{self.ranks}" if self.ranks > 1 else "")


KINDS = (
    Kind("vLLM 0.16, events as arrays", "v0.16.0"),
    Kind("vLLM 0.32, events as maps", "v0.32.0"),
    Kind("vLLM 0.32, two data-parallel ranks", "v0.32.0", 2),
)


class Relay(Enum):
    """Who writes the relay into a model's pods."""

    NONE = "plain"
    BY_HAND = "by hand"
    """As docs/relay.md shows."""
    RENDERED = "relay"
    """`kvsync render`, which writes what the operator writes."""


@dataclass(frozen=True)
class Wish:
    """What a model is put up with. ``reannounce`` and ``load`` in seconds, ``blocks`` in each rank.

    A rendered relay tells all again each five minutes, whatever is wished.
    """

    relay: Relay
    replicas: int = 1
    load: float = 0.0
    reannounce: float = 300.0
    blocks: int = 4096


def model(kind: Kind, name: str, wish: Wish) -> Object:
    """A Deployment whose pods publish, and are labelled for the gateway from their beginning."""
    if wish.relay is Relay.RENDERED:
        return _rendered(_deployment(kind, name, wish))
    body = _deployment(kind, name, wish)
    template = body["spec"]["template"]
    template["metadata"]["labels"] |= {ENGINE_LABEL: "vllm", KV_EVENTS_LABEL: "true"}
    by_hand = wish.relay is Relay.BY_HAND
    config = json.dumps(_events(kind, relayed=by_hand))
    template["spec"]["containers"][0]["args"].append(f"--kv-events-config={config}")
    if by_hand:
        template["spec"] |= _relay(kind, wish)
    return body


def _rendered(body: Object) -> Object:
    """The same with events and a relay; RuntimeError where that is refused."""
    options = ("--strict", "--relay=Always", f"--relay-image={_IMAGE}", "--output=yaml")
    done = subprocess.run(
        [_KVSYNC, "render", "--filename=-", *options],
        input=yaml.safe_dump(body),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"kvsync render: {done.stderr}")
    found: Object = yaml.safe_load(done.stdout)
    return found


def _deployment(kind: Kind, name: str, wish: Wish) -> Object:
    """A plain one, as a user has it before any of this."""
    labels = {MODEL_LABEL: name}
    spec: Object = {"containers": [_engine(kind, name, wish)], "terminationGracePeriodSeconds": 2}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": wish.replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": {**labels}}, "spec": spec},
        },
    }


def _engine(kind: Kind, name: str, wish: Wish) -> Object:
    parallel = [f"--data-parallel-size={kind.ranks}"] if kind.ranks > 1 else []
    return {
        "name": "vllm",
        "image": f"vllm/vllm-openai:{kind.tag}",
        "command": ["vllm", "serve", "m", f"--served-model-name={name}", "--port=8000"],
        "args": [
            f"--block-size={BLOCK_SIZE}",
            f"--num-gpu-blocks-override={wish.blocks}",
            *parallel,
        ],
        "env": [{"name": "TESTBED_LOAD_SECONDS", "value": str(wish.load)}],
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1},
    }


def _events(kind: Kind, *, relayed: bool) -> Object:
    """Rank r publishes and replays on the port + r, so a replay port beside the other is no use."""
    host = "127.0.0.1" if relayed else "*"
    publish = 5657 if relayed else 5557
    replay = 5757 if kind.ranks > 1 else publish + 1
    return {
        "enable_kv_cache_events": True,
        "publisher": "zmq",
        "endpoint": f"tcp://{host}:{publish}",
        "replay_endpoint": f"tcp://{host}:{replay}",
    }


def _relay(kind: Kind, wish: Wish) -> Object:
    """The sidecar that docs/relay.md shows, and its volume: fields of a pod's spec."""
    found = _SIDECAR.search(_PAGE.read_text())
    assert found, f"{_PAGE} shows no sidecar"
    shown = yaml.safe_load(found[1])
    (body,) = shown["initContainers"]
    ranks = [f"--ranks={kind.ranks}", "--upstream-replay=tcp://127.0.0.1:5757"]
    more = [f"--reannounce={wish.reannounce:g}s", *(ranks if kind.ranks > 1 else ())]
    return {**shown, "initContainers": [{**body, "args": [*body["args"], *more]}]}


def gateway(namespace: str, tag: str, env: Mapping[str, str] | None = None) -> Iterator[Object]:
    """The install's objects in a namespace that exists, with these variables; by default it consumes."""
    text = _GATEWAY.read_text().replace("aibrix-system", namespace)
    text = text.replace("aibrix-gateway-plugins-role", f"{namespace}-role")
    for item in yaml.safe_load_all(text):
        if item["kind"] == "Deployment":
            _configure(item, f"aibrix/gateway-plugins:{tag}", _SYNC_ON if env is None else env)
        if item["kind"] != "Namespace":
            yield item


def cluster_wide(namespace: str) -> list[tuple[str, str]]:
    """What of a gateway's objects does not go with its namespace, as kind and name."""
    return [
        ("clusterrolebinding", f"{namespace}-rolebinding"),
        ("clusterrole", f"{namespace}-role"),
    ]


def _configure(deployment: Any, image: str, env: Mapping[str, str]) -> None:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["image"] = image
    kept = [variable for variable in container["env"] if variable["name"] not in env]
    container["env"] = kept + [{"name": name, "value": text} for name, text in env.items()]
