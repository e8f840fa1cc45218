"""Which ports of a pod are taken, and which ones an engine's publishers use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kvsync.core.arguments import int_of
from kvsync.core.engines import ENGINES, Engine
from kvsync.core.event_config.read import find_event_config
from kvsync.core.launch import literal_variables
from kvsync.core.releases import release_of
from kvsync.model.finding import EngineFinding
from kvsync.model.spec import EventsSpec
from kvsync.model.workload import JSON, Container, Deployment

_SIDE_CHANNEL = "VLLM_NIXL_SIDE_CHANNEL_PORT"
_SET_IN_TEXT = re.compile(rf"{_SIDE_CHANNEL}=[\"']?(\d{{1,5}})\b")
_NIXL = "NixlConnector"
_NIXL_DEFAULT = 5600
_TENSOR = ("tensor-parallel-size", "tp")
_STRIDE = 100
_EVENT_DEFAULTS = {"endpoint": "tcp://*:5557", "replay_endpoint": ""}


@dataclass(frozen=True, slots=True)
class EnginePod:
    """A workload without our changes, and the container and engine in question."""

    base: Deployment
    container: Container
    engine: EngineFinding

    @property
    def ranks(self) -> int:
        """How many data-parallel ranks of the engine publish, each on ports of its own."""
        return publishing_ranks(self.engine)

    @property
    def on_the_node(self) -> bool:
        """Whether its ports are the node's (hostNetwork)."""
        return bool((self.base.template.get("spec") or {}).get("hostNetwork"))


def publishing_ranks(engine: EngineFinding) -> int:
    """How many data-parallel ranks of an engine publish, each on ports of its own."""
    ranks = ENGINES[engine.type].ranks(engine.words)
    release = release_of(engine)
    return 1 if release is not None and release.first_rank_only else ranks


def ports_in_use(pod: EnginePod) -> dict[int, str]:
    """The TCP ports that something else in the pod listens on, and what that is."""
    return dict(_ports_in_use(pod))


def first_taken(pod: EnginePod, first: int) -> int:
    """The lowest taken port among those that the ranks use from ``first`` on; 0 where all are free."""
    users = ports_in_use(pod)
    return min((port for port in users if first <= port < first + pod.ranks), default=0)


def settle_ports(pod: EnginePod, events: EventsSpec) -> EventsSpec:
    """The settings with a replay port that no rank's publisher takes.

    Rank r publishes on port + r and replays on replay port + r (vLLM ``offset_endpoint_port``), so
    the two must lie at least as far apart as there are ranks. Unchanged where they do, and where no
    free place is found.
    """
    if pod.ranks < 2 or abs(events.replay_port - events.port) >= pod.ranks:
        return events
    stride = _STRIDE * -(-pod.ranks // _STRIDE)
    candidates = range(events.port + stride, 65536 - pod.ranks, stride)
    free = (port for port in candidates if not first_taken(pod, port))
    return replace(events, replay_port=next(free, events.replay_port))


def _ports_in_use(pod: EnginePod) -> Iterator[tuple[int, str]]:
    for body in _neighbours(pod):
        name = f"container {body.get('name')}"
        for declared in body.get("ports") or ():
            if declared.get("protocol", "TCP") == "TCP":
                yield int(declared.get("containerPort") or 0), name
        for port in _published_by(Container(0, body), ENGINES[pod.engine.type]):
            yield port, f"the KV events of {name}"
    for first in _side_channels(pod):
        for number in range(pod.ranks * (int_of(pod.engine.words, *_TENSOR) or 1)):
            yield first + number, f"the engine's NIXL side channel ({_SIDE_CHANNEL})"
    yield pod.engine.http_port, "the engine's own HTTP server (--port)"


def _side_channels(pod: EnginePod) -> Iterator[int]:
    """The first port of the engine's NIXL side channel, from where it is set, else its default.

    Each data-parallel rank and tensor-parallel worker takes one further (vLLM ``nixl_connector.py``).
    """
    given = literal_variables(pod.container).get(_SIDE_CHANNEL, "")
    found = [given] if given.isdecimal() else []
    found += [number for word in pod.container.words for number in _SET_IN_TEXT.findall(word)]
    yield from map(int, found)
    if found or not any(_NIXL in word for word in pod.engine.words):
        return
    release = release_of(pod.engine)
    yield _NIXL_DEFAULT if release is None or release.nixl_default is None else release.nixl_default


def _neighbours(pod: EnginePod) -> Iterator[JSON]:
    """What runs beside the engine: the other containers, and init containers that never end."""
    for container in pod.base.containers:
        if container.index != pod.container.index:
            yield container.body
    for body in (pod.base.template.get("spec") or {}).get("initContainers") or ():
        if body.get("restartPolicy") == "Always":
            yield body


def _published_by(container: Container, engine: Engine) -> Iterator[int]:
    """The ports of a second engine's own KV events."""
    found = find_event_config(container.words, engine.more_event_keys)
    if found is None or found.settings.get("enable_kv_cache_events") is False:
        return
    for key, default in _EVENT_DEFAULTS.items():
        number = str(found.settings.get(key) or default).rpartition(":")[2]
        if number.isdecimal():
            for rank in range(engine.ranks(container.words)):
                yield int(number) + rank
