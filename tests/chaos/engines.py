"""Engines and gateways in this process, each at a loopback address of its own, as pods have addresses.

An engine is the testbed's: its parser decides whether it starts, its publisher sends and answers,
its server tells what it counts. Only the process around it is missing.
"""

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Protocol

import zmq

from testbed.engine.api import Api
from testbed.engine.arguments import UsageError, parse_serve
from testbed.engine.core import EngineCore
from testbed.engine.http_server import HttpServer
from testbed.engine.layouts import Layout
from testbed.engine.publisher import Publisher
from testbed.engine.settings import Settings, settle
from testbed.engine.versions import build_from
from testbed.gateway.klog import Klog
from testbed.gateway.releases import release_of
from testbed.gateway.settings import Verdict, judge, read

Object = dict[str, Any]
PROMPT = [number * 7919 % 32_000 for number in range(48)]
"""Token ids that each engine publishes once: they must not be found in any log."""


class StartError(RuntimeError):
    """The container ends as soon as it starts; the text is its last line."""


class Running(Protocol):
    """What runs in a pod."""

    def lines(self) -> list[tuple[datetime, str]]:
        """Its log."""

    def close(self) -> None:
        """End it."""


class Engine:
    """A vLLM at an address. Raises StartError where the real one would not start."""

    def __init__(self, container: Object, address: str) -> None:
        words = [*container["command"], *container.get("args", [])]
        settings = _settings(container, words)
        self._address = address
        try:
            self._core = EngineCore(settings, self._open_publisher)
            self._server = HttpServer(address, settings.port, Api(self._core))
        except (OSError, ValueError, zmq.ZMQError) as error:
            raise StartError(str(error)) from error
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._server.wake_on(self._wake)
        self._ends = False
        self._thread = threading.Thread(target=self._serve, name=f"engine {address}", daemon=True)
        self._thread.start()
        self._core.complete(PROMPT, 4)

    def lines(self) -> list[tuple[datetime, str]]:
        return []

    def close(self) -> None:
        self._ends = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(5)
        self._server.close()
        self._core.close()
        os.close(self._wake)

    def _serve(self) -> None:
        while not self._ends:
            self._server.serve_once()

    def _open_publisher(self, settings: Settings, layout: Layout, rank: int) -> Publisher | None:
        if settings.events is None or not settings.starts_publisher:
            return None
        events = settings.events
        own = replace(
            events,
            endpoint=events.endpoint.replace("*", self._address),
            replay_endpoint=(events.replay_endpoint or "").replace("*", self._address) or None,
        )
        return Publisher(own, layout, rank, bind=True)


def _settings(container: Object, words: list[str]) -> Settings:
    environment = {item["name"]: item.get("value", "") for item in container.get("env") or ()}
    environment["TESTBED_IMAGE"] = container["image"]
    build = build_from(environment)
    try:
        line = parse_serve(build, words[1:])
    except (SystemExit, UsageError) as error:
        raise StartError(f"vllm refuses its arguments: {words} ({error})") from error
    if "--kv-events-config" in line.duplicates:
        raise StartError(f"two event configurations: {words}")
    return replace(settle(build, line, environment), access_log=False)


class Gateway:
    """A gateway's log: what it would say of its variables. It routes nothing."""

    def __init__(self, container: Object) -> None:
        self._text = StringIO()
        self._began = datetime.now(UTC)
        said = Klog(self._text)
        environment = _literal(container)
        verdict, words = judge(read(environment, release_of(container["image"])))
        if verdict is Verdict.START:
            said.info("cache_init.go:462", "Initializing KV event synchronization")
            said.info("cache_init.go:500", "KV event synchronization initialized successfully")
        elif words:
            said.error("cache_init.go:313", words)
        said.info("main.go:187", "starting gateway server on port :50052")

    def lines(self) -> list[tuple[datetime, str]]:
        return [(self._began, line) for line in self._text.getvalue().splitlines()]

    def close(self) -> None:
        """There is nothing to end."""


def _literal(container: Object) -> Mapping[str, str]:
    return {item["name"]: item["value"] for item in container["env"] if "value" in item}


def started(container: Object, address: str) -> Running:
    """Run a pod's container. Raises StartError."""
    if "gateway" in container["image"]:
        return Gateway(container)
    return Engine(container, address)


def end(running: Running) -> None:
    """End it, whatever state it is in."""
    with suppress(OSError, zmq.ZMQError):
        running.close()
