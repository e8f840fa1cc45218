"""A namespace with a gateway and models, prompts sent straight to engines, and what came of them."""

import http.client
import json
import random
import re
import time
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from testbed.api import Api, Object
from testbed.gateway.pods import MODEL_LABEL
from testbed.hits import manifests
from testbed.hits.manifests import BLOCK_SIZE, Kind, Wish
from testbed.waiting import wait_for

WITHIN = 60.0
INITIALISED = "KV event synchronization initialized successfully"
_STAMP = re.compile(r"^[IWE](\d{4} \d\d:\d\d:\d\d\.\d+) ")


@dataclass(frozen=True)
class Engine:
    """One pod of a model."""

    model: str
    key: str
    address: str

    def is_in(self, pod: Object) -> bool:
        """Whether it is this pod's."""
        return self.key == f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"

    def ask(self, prompt: str, rank: int | None = None) -> int:
        """Have it complete a prompt by one token; how many of its blocks it held already."""
        body = {"model": self.model, "prompt": prompt, "max_tokens": 1}
        headers = {} if rank is None else {"X-data-parallel-rank": str(rank)}
        answer = _post(f"http://{self.address}:8000/v1/completions", body, headers)
        return int(answer["usage"]["prompt_tokens_details"]["cached_tokens"]) // BLOCK_SIZE


@dataclass(frozen=True)
class Sent:
    """A prompt that a rank of an engine has computed."""

    engine: Engine
    prompt: str
    rank: int | None = None

    def held(self) -> int:
        """How many of its blocks the engine holds, by its own word."""
        return self.engine.ask(self.prompt, self.rank)


@dataclass(frozen=True)
class Hits:
    """Blocks that engines hold, and how many of them the gateway matches."""

    matched: int
    held: int

    @property
    def whole(self) -> bool:
        """Whether all of it is known."""
        return self.matched == self.held > 0

    def __str__(self) -> str:
        return f"{100 * self.matched / self.held:.0f} %" if self.held else "-"


def prompts(count: int, blocks: int, seed: int) -> list[str]:
    """Different prompts that fill so many blocks each, and a part of one more.

    The last token of a prompt is always computed, so that a full last block is never found again.
    """
    numbers = random.Random(seed)
    words = blocks * BLOCK_SIZE + 3
    # A word of four characters is one token of the stand-in.
    return [
        " ".join(f"{numbers.randrange(10_000):04d}" for _ in range(words)) for _ in range(count)
    ]


class Gateway:
    """The one gateway of a namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def restart(self) -> None:
        """Have its pod replaced, as when it crashed: what it knew is gone. Waits for the new one to run."""
        old = {pod["metadata"]["name"] for pod in self._living()}
        for name in old:
            self._api.delete("pods", name, self._namespace)

        def replaced() -> bool:
            living = self._living()
            return bool(living) and not old & {pod["metadata"]["name"] for pod in living}

        wait_for(replaced, WITHIN, what="another gateway pod")
        wait_for(lambda: self._first_line() is not None, WITHIN, what="the gateway's first line")

    def log(self) -> str:
        """What its newest pod wrote; nothing before it runs."""
        names = [pod["metadata"]["name"] for pod in self._living()]
        return self._api.logs(names[0], self._namespace) if names else ""

    def seconds_to(self, words: str) -> float | None:
        """From its first line to the first one with these words, by its own clock; None: not said."""
        first = self._first_line()
        found = next((line for line in self.log().splitlines() if words in line), "")
        return (_time(found) - first).total_seconds() if first and found else None

    def age(self) -> float:
        """Seconds since its first line."""
        first = self._first_line()
        assert first is not None, "it runs"
        return (datetime.now(UTC) - first).total_seconds()

    def killed_after(self) -> float | None:
        """How many whole seconds its container ran before it was started again; None: it was not."""
        for pod in self._living():
            for status in pod["status"].get("containerStatuses", ()):
                ended = (status.get("lastState") or {}).get("terminated")
                if ended:
                    since, until = map(_moment, (ended["startedAt"], ended["finishedAt"]))
                    return (until - since).total_seconds()
        return None

    def subscription(self, engine: Engine) -> Object | None:
        """What it has seen of a pod; None while it does not listen to it."""
        with urllib.request.urlopen(f"{self._url()}/debug/state", timeout=5) as answer:
            found: Object | None = json.load(answer)["subscriptions"].get(engine.key)
        return found

    def match(self, model: str, prompt: str) -> dict[str, int]:
        """How many blocks of a prompt, from its start, each pod is known to hold; nothing is routed."""
        answer = _post(f"{self._url()}/debug/match", {"model": model, "prompt": prompt})
        found: dict[str, int] = answer["pods"]
        return found

    def route(self, model: str, prompt: str) -> tuple[str, int]:
        """Send a prompt through it: the pod that it goes to, and the percentage that is matched."""
        body = {"model": model, "prompt": prompt, "max_tokens": 1}
        headers = {"routing-strategy": "prefix-cache"}
        with _open(f"{self._url()}/v1/completions", body, headers) as answer:
            answer.read()
            return answer.headers["target-pod"], int(answer.headers["x-prefix-match-percent"])

    def hits(self, sent: Iterable[Sent], held: int) -> Hits:
        """How much it knows of prompts of which engines hold so many blocks."""
        known = [self.match(one.engine.model, one.prompt).get(one.engine.key, 0) for one in sent]
        return Hits(sum(known), held)

    def until_whole(self, sent: Sequence[Sent], held: int, within: float = WITHIN) -> float:
        """Wait until it knows all of that; its age then."""
        wait_for(
            lambda: self.hits(sent, held).whole, within, what="a whole index", ignore=(OSError,)
        )
        return self.age()

    def wait_ready(self) -> None:
        """Wait until its pod is Ready."""
        wait_for(lambda: any(map(_is_ready, self._living())), WITHIN, what="a Ready gateway")

    def _url(self) -> str:
        """Where it serves, as soon as it does."""
        addresses = [pod["status"].get("podIP", "") for pod in self._living()]
        if not any(addresses):
            raise ConnectionError("the gateway has no address yet")
        return f"http://{addresses[0]}:10080"

    def _first_line(self) -> datetime | None:
        lines = self.log().splitlines()
        return _time(lines[0]) if lines else None

    def _living(self) -> list[Object]:
        pods = self._api.list("pods", self._namespace, labels="app=gateway-plugins")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


class Place:
    """One namespace, and what stands in it."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self.namespace = namespace
        self.gateway = Gateway(api, namespace)

    def install_gateway(self, tag: str) -> None:
        """A gateway of a release that consumes; it is Ready then."""
        for body in manifests.gateway(self.namespace, tag):
            self._api.create(body)
        self.gateway.wait_ready()

    def put_up(self, kind: Kind, name: str, wish: Wish) -> None:
        """Create a model."""
        self._api.create(manifests.model(kind, name, wish), self.namespace)

    def engines(self, name: str, count: int = 1) -> list[Engine]:
        """The pods of a model, once so many are Ready."""

        def ready() -> list[Object]:
            pods = [pod for pod in self._pods(name) if _is_ready(pod)]
            return pods if len(pods) == count else []

        pods = wait_for(ready, WITHIN, what=f"{count} Ready pods of {name}")
        return [
            Engine(name, f"{self.namespace}/{pod['metadata']['name']}", pod["status"]["podIP"])
            for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
        ]

    def loading(self, name: str) -> list[Object]:
        """The pods of a model that run and are not Ready."""
        return [
            pod
            for pod in self._pods(name)
            if pod["status"].get("phase") == "Running" and not _is_ready(pod)
        ]

    def restarts_of(self, engine: Engine, container: str) -> int:
        """How often a container of a pod was started again, and runs."""
        (status,) = (pod["status"] for pod in self._pods(engine.model) if engine.is_in(pod))
        found = (*status.get("initContainerStatuses", ()), *status["containerStatuses"])
        (one,) = (each for each in found if each["name"] == container)
        return int(one["restartCount"]) if "running" in one["state"] else -1

    def relays_answer(self, name: str) -> bool:
        """Whether the relay of each pod of a model says that it is well."""
        addresses = [pod["status"]["podIP"] for pod in self._pods(name)]
        return all(_answers(f"http://{address}:5656/healthz") for address in addresses)

    def heard(self, engine: Engine, ranks: int = 1) -> None:
        """Prompt a pod's ranks until the gateway has got a message of it, readable or not.

        A subscription arrives some time after the gateway speaks of it.
        """
        words = iter(prompts(1000, 1, seed=hash(engine.key)))

        def got() -> bool:
            for rank in range(ranks):
                engine.ask(next(words), rank)
            seen = self.gateway.subscription(engine)
            return seen is not None and bool(seen["batches"] or seen["errors"])

        wait_for(got, WITHIN, what=f"a message of {engine.key}", pause=0.2)

    def end(self, engine: Engine) -> None:
        """Delete a pod; its Deployment makes another one."""
        self._api.delete("pods", engine.key.rpartition("/")[2], self.namespace)

    def take_down(self, *names: str) -> None:
        """Delete models, and wait until nothing of them is left."""
        for name in names:
            self._api.delete("deployments", name, self.namespace)
        wait_for(
            lambda: not any(self._pods(name) for name in names), WITHIN, what="the models' end"
        )

    def close(self) -> None:
        """Delete all of it, and wait for the end of its pods: other gateways would ask them."""
        self._api.delete("namespace", self.namespace)
        wait_for(lambda: not self._api.list("pods", self.namespace), WITHIN, what="the pods' end")
        for kind, name in manifests.cluster_wide(self.namespace):
            self._api.delete(kind, name)

    def _pods(self, name: str) -> list[Object]:
        return self._api.list("pods", self.namespace, labels=f"{MODEL_LABEL}={name}")


def fill(engines: Iterable[Engine], texts: Sequence[str], ranks: int = 1) -> list[Sent]:
    """Send all prompts to each engine, to its ranks in turn."""
    sent = [
        Sent(engine, text, number % ranks)
        for engine in engines
        for number, text in enumerate(texts)
    ]
    for one in sent:
        one.held()
    return sent


def held_by(sent: Iterable[Sent]) -> int:
    """How many blocks of prompts their engines hold, by their own word."""
    return sum(one.held() for one in sent)


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", ())
    return "deletionTimestamp" not in pod["metadata"] and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


def _time(line: str) -> datetime:
    """When a line of klog was written; klog leaves out the year, and its days are of this one."""
    found = _STAMP.match(line)
    assert found, f"no line of klog: {line!r}"
    stamp = f"{time.gmtime().tm_year} {found[1]}"
    return datetime.strptime(stamp, "%Y %m%d %H:%M:%S.%f").replace(tzinfo=UTC)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _post(url: str, body: Object, headers: dict[str, str] | None = None) -> Object:
    with _open(url, body, headers or {}) as answer:
        found: Object = json.load(answer)
        return found


def _open(url: str, body: Object, headers: dict[str, str]) -> http.client.HTTPResponse:
    sent = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), sent)
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=10)
    return answer
