"""A real vLLM as a pod: one KVEventSync turns its events on, they are seen, and all is undone."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import zmq

from e2e.manifests import EVENTS_LABEL, Object, model, sync
from e2e.scene import OperatorProcess, Scene
from kvsync.core.planned import Outcome
from kvsync.core.slot import SLOT_VARIABLE
from kvsync.core.slot_manifest import with_slot
from kvsync.model.spec import EngineSpec
from testbed.api import rolled_out
from testbed.real_engine.image import HEALTHY_WITHIN, IMAGE, bring, serve_command
from testbed.real_engine.install import VERSION, Engine, find_engine

# A rollout starts a second engine beside the first, and undoing starts a third.
pytestmark = [pytest.mark.conformance, pytest.mark.timeout(900)]

NAME = "real"
ROLLED_OUT_WITHIN = 2 * HEALTHY_WITHIN
PROMPTS = 8
WORDS = 60

Tell = Callable[[str], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Prints a line with the time since the test began, also where output is captured."""
    begun = time.monotonic()

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"{time.monotonic() - begun:6.1f}s  {text}", flush=True)

    return say


@pytest.fixture
def engine(scene: Scene) -> Engine:
    """The installed engine, which pods of the official image run from now on."""
    found = find_engine()
    bring(scene.bed, found)
    return found


@pytest.fixture
def subscribed() -> Iterator[Callable[[str], "zmq.Socket[bytes]"]]:
    """Subscribers as a gateway has them: to everything at a pod's address."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def subscribe(address: str) -> "zmq.Socket[bytes]":
        socket = context.socket(zmq.SUB)
        socket.connect(f"tcp://{address}:5557")
        socket.subscribe(b"")
        return socket

    yield subscribe
    context.destroy(linger=0)


def real_model(scene: Scene, engine: Engine) -> Object:
    """A plain Deployment of the official image, as its owner has it."""
    command = serve_command(engine, NAME)
    return model(NAME, scene.namespace, image=IMAGE, command=command)


def address(scene: Scene) -> str:
    """The IP of the one pod that stays."""
    pods = scene.api.list("pods", scene.namespace, labels=f"model.aibrix.ai/name={NAME}")
    (ip,) = (p["status"]["podIP"] for p in pods if "deletionTimestamp" not in p["metadata"])
    return str(ip)


def ask(host: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """One request to an engine, as JSON."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(
        f"http://{host}:8000{path}", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def complete(host: str, start: str) -> None:
    """A completion of a prompt that no other begins like: it fills blocks of its own."""
    prompt = start + " ".join(f"word{number}" for number in range(WORDS))
    ask(host, "/v1/completions", {"model": NAME, "prompt": prompt, "max_tokens": 1})


def received(socket: "zmq.Socket[bytes]", patience: int = 3000) -> list[int]:
    """The sequence numbers of what has come, until nothing more comes for a while (ms)."""
    numbers = []
    while socket.poll(patience):
        _, sequence, _ = socket.recv_multipart()
        numbers.append(int.from_bytes(sequence, "big"))
        patience = 500
    return numbers


def test_events_of_a_real_engine_from_plain_to_publishing_and_exactly_back(
    scene: Scene,
    operator: OperatorProcess,
    engine: Engine,
    subscribed: Callable[[str], "zmq.Socket[bytes]"],
    tell: Tell,
) -> None:
    tell(f"engine: a real vLLM {VERSION} from {engine.programs}")
    scene.create(real_model(scene, engine))
    wait_available(scene)
    original, gateway = scene.template(NAME), scene.gateway()["spec"]["template"]
    version = ask(address(scene), "/version")["version"]
    tell(f"the plain engine is healthy and says version {version}")
    assert version.startswith(VERSION)

    scene.create(sync("kv", scene.namespace, NAME))
    ready = scene.wait_ready("kv", ROLLED_OUT_WITHIN)
    tell(f"Ready=True: {ready['message']}")
    status = (scene.sync("kv") or {})["status"]
    assert status["summary"] == {"models": "1/1", "sources": "1/1"}
    assert scene.template(NAME)["metadata"]["labels"][EVENTS_LABEL] == "true"
    (word,) = scene.container(NAME)["args"]
    assert word.startswith("--kv-events-config=")
    host = address(scene)
    socket = subscribed(host)
    time.sleep(1)  # A subscription takes effect with no answer.
    for number in range(PROMPTS):
        complete(host, f"{number} ")
    sequence = received(socket)
    tell(f"{PROMPTS} completions moved the sequence: {sequence}")
    assert len(sequence) >= PROMPTS
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))
    scene.wait("the source is Publishing", lambda: publishing(scene) == 1)
    tell("the status says: 1 source Publishing")

    scene.delete_sync("kv", ROLLED_OUT_WITHIN)
    assert scene.template(NAME) == original
    assert scene.gateway()["spec"]["template"] == gateway
    tell("the KVEventSync is gone, the pod template and the gateway's are as they were")
    wait_available(scene)
    tell("the plain engine is healthy again")


def test_a_slot_of_a_real_engine_neutral_filled_and_neutral_again(
    scene: Scene,
    operator: OperatorProcess,
    engine: Engine,
    subscribed: Callable[[str], "zmq.Socket[bytes]"],
    tell: Tell,
) -> None:
    made = with_slot(real_model(scene, engine), EngineSpec(version=VERSION))
    assert made.outcome is Outcome.CHANGE, made.message
    scene.create(dict(made.body))
    wait_available(scene)
    tell(f"vLLM {VERSION} is healthy with {value_of_slot(scene)}")
    socket = subscribed(address(scene))
    time.sleep(1)  # A subscription takes effect with no answer.
    complete(address(scene), "neutral ")
    assert received(socket) == [], "off"
    original = scene.template(NAME)

    labels = {"labels": "WhenVerified"}
    scene.create(sync("kv", scene.namespace, NAME, engine=labels, probe={"canary": True}))
    ready = scene.wait_ready("kv", ROLLED_OUT_WITHIN)
    tell(f"Ready=True: {ready['message']}")
    filled = scene.template(NAME)
    assert value_of_slot(scene).startswith('--kv-events-config={"enable_kv_cache_events":true')
    filled["spec"]["containers"][0]["env"] = original["spec"]["containers"][0]["env"]
    assert filled == original, "one value"
    socket = subscribed(address(scene))
    time.sleep(1)
    for number in range(PROMPTS):
        complete(address(scene), f"{number} ")
    sequence = received(socket)
    tell(f"{PROMPTS} completions moved the sequence: {sequence}")
    assert len(sequence) >= PROMPTS

    scene.delete_sync("kv", ROLLED_OUT_WITHIN)
    assert scene.template(NAME) == original
    wait_available(scene)
    tell(f"healthy again with {value_of_slot(scene)}")


def value_of_slot(scene: Scene) -> str:
    (item,) = (e for e in scene.container(NAME)["env"] if e["name"] == SLOT_VARIABLE)
    return str(item["value"])


def wait_available(scene: Scene) -> None:
    """Wait until the Deployment is rolled out and its engine healthy."""
    scene.wait(
        "the engine available", lambda: rolled_out(scene.deployment(NAME)), ROLLED_OUT_WITHIN
    )


def publishing(scene: Scene) -> int:
    """How many sources publish, by the status."""
    return int((scene.sync("kv") or {})["status"]["sources"]["publishing"])
