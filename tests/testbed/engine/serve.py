"""The engine process: load, open the publishers, serve, and end as vLLM ends."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import zmq

from testbed.engine import log
from testbed.engine.api import Api
from testbed.engine.arguments import CommandLine, UsageError, parse_api_server, parse_serve
from testbed.engine.core import EngineCore
from testbed.engine.faults import Fault, fault_from
from testbed.engine.http_server import HttpServer
from testbed.engine.layouts import Layout
from testbed.engine.publisher import Publisher
from testbed.engine.settings import Settings, settle
from testbed.engine.versions import Build, Version, build_from

_CACHING_OFF = (
    "KV cache events are on, but prefix caching is not enabled. "
    "Use --enable-prefix-caching to enable."
)
_EVENTS_OFF = (
    "KV cache events are disabled, but the scheduler is configured to publish them. "
    "Modify KVEventsConfig.enable_kv_cache_events to True to enable."
)


class StartError(Exception):
    """The engine core cannot start; the text is what vLLM's traceback ends with."""


class Stop:
    """SIGTERM and SIGINT as a descriptor that becomes readable once."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK)
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def wait(self, seconds: float) -> None:
        """Wait that long, or until asked to stop."""
        deadline = time.monotonic() + seconds
        while not self.asked and (left := deadline - time.monotonic()) > 0:
            select.select([self.descriptor], [], [], left)

    def _ask(self, _number: int, _frame: object) -> None:
        self.asked = True
        os.eventfd_write(self.descriptor, 1)


def run_vllm(arguments: Sequence[str]) -> int:
    """``vllm ARGUMENTS``; the exit status."""
    return _run(parse_serve, arguments)


def run_api_server(arguments: Sequence[str]) -> int:
    """``python3 -m vllm.entrypoints.openai.api_server ARGUMENTS``; the exit status."""
    return _run(parse_api_server, arguments)


def run_entrypoint(arguments: Sequence[str]) -> int:
    """An image started without a command: either form, told apart by what comes first.

    Upstream's entrypoint was the API server module and is ``vllm serve`` in later images.
    """
    if arguments and not arguments[0].startswith("-"):
        return run_vllm(["serve", *arguments])
    return run_api_server(arguments)


def _run(parse: Callable[[Build, Sequence[str]], CommandLine], arguments: Sequence[str]) -> int:
    build = build_from(os.environ)
    try:
        line = parse(build, arguments)
    except UsageError as error:
        print(f"ValueError: {error}", file=sys.stderr)
        return 1
    if line.options.subparser != "serve":
        print("error: the engine stand-in knows only `vllm serve`", file=sys.stderr)
        return 2
    stop = Stop()
    settings = settle(build, line, os.environ)
    _announce(settings, line)
    try:
        return _serve(settings, fault_from(os.environ), stop, os.environ)
    except StartError as error:
        _report_failure(str(error))
        return 1


def _serve(settings: Settings, fault: Fault, stop: Stop, environ: Mapping[str, str]) -> int:
    stop.wait(float(environ.get("TESTBED_LOAD_SECONDS", "0")))
    if stop.asked:
        return 0

    def open_publisher(settings: Settings, layout: Layout, rank: int) -> Publisher | None:
        return _open_publisher(settings, layout, rank, silent=fault.silent)

    core = EngineCore(settings, open_publisher)
    try:
        server = HttpServer(settings.host, settings.port, Api(core))
    except OSError as error:
        core.close()
        log.line(log.API_SERVER, "ERROR", "api_server.py:1902", f"OSError: {error}")
        return 1
    _announce_ready(settings)
    serve_until(stop, server, fault)
    server.close()
    core.close()
    return 0


def serve_until(stop: Stop, server: HttpServer, fault: Fault) -> None:
    """Answer requests until asked to stop, or until the fault strikes."""
    server.wake_on(stop.descriptor)
    strike_at = time.monotonic() + fault.after if fault.timed else None
    while not stop.asked:
        if strike_at is not None and time.monotonic() >= strike_at:
            strike_at = None
            fault.strike()
        server.serve_once(None if strike_at is None else max(0.0, strike_at - time.monotonic()))


def _open_publisher(
    settings: Settings, layout: Layout, rank: int, *, silent: bool
) -> Publisher | None:
    """A rank's publisher, or None where the release makes none; raises StartError."""
    if settings.events is None or not settings.starts_publisher:
        return None
    _check_publisher(settings)
    try:
        publisher = Publisher(settings.events, layout, rank, silent=silent)
    except (zmq.ZMQError, ValueError) as error:
        raise StartError(_trace(rank, f"zmq.error.ZMQError: {error}")) from error
    log.line(log.core_of(rank), "INFO", "kv_events.py:308", "Starting ZMQ publisher thread")
    return publisher


def _check_publisher(settings: Settings) -> None:
    """What ``EventPublisherFactory.create`` raised until 0.11.0: "null" takes no settings."""
    assert settings.events is not None
    match settings.events.publisher:
        case "zmq":
            return
        case "null" if settings.build.version < Version(0, 9, 1):
            raise StartError("TypeError: NullEventPublisher() takes no arguments")
        case "null":
            what = "EventPublisher.__init__() got an unexpected keyword argument 'endpoint'"
            raise StartError(f"TypeError: {what}")
        case other:
            raise StartError(f"ValueError: Unknown event publisher '{other}'")


def _trace(rank: int, error: str) -> str:
    return f"{error}\n(data-parallel rank {rank})" if rank else error


def _announce(settings: Settings, line: CommandLine) -> None:
    log.line(
        log.API_SERVER,
        "INFO",
        "api_server.py:1839",
        f"vLLM API server version {settings.build.version}",
    )
    if line.duplicates:
        text = f"Found duplicate keys {', '.join(line.duplicates)}"
        log.line(log.API_SERVER, "WARNING", "argparse_utils.py:82", text)
    for text in _warnings(settings):
        # Both processes build the configuration, and both warn.
        for process in (log.API_SERVER, log.core_of(0)):
            log.line(process, "WARNING", "vllm.py:612", text)


def _warnings(settings: Settings) -> list[str]:
    events = settings.events
    if events is None:
        return []
    if events.enable_kv_cache_events:
        return [] if settings.prefix_caching else [_CACHING_OFF]
    return [_EVENTS_OFF] if events.publisher != "null" else []


def _announce_ready(settings: Settings) -> None:
    base = f"http://{settings.host}:{settings.port}"
    text = f"Starting vLLM API server 0 on {base}"
    log.line(log.API_SERVER, "INFO", "api_server.py:1912", text)
    log.uvicorn(f"Started server process [{os.getpid()}]")
    log.uvicorn("Application startup complete.")


def _report_failure(text: str) -> None:
    log.line(log.core_of(0), "ERROR", "core.py:708", "EngineCore failed to start.")
    log.line(log.core_of(0), "ERROR", "core.py:708", text)
    root = "RuntimeError: Engine core initialization failed. See root cause above."
    log.line(log.API_SERVER, "ERROR", "api_server.py:1902", f"{root} Failed core proc(s): {{}}")
