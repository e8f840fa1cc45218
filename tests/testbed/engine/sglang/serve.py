"""The engine process: load, open the publishers, warm up, serve, and end as SGLang ends."""

import os
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence

import zmq

from testbed.engine import log as uvicorn_log
from testbed.engine import tokenizer
from testbed.engine.arguments import UsageError
from testbed.engine.faults import Fault, fault_from
from testbed.engine.http_server import HttpServer
from testbed.engine.layouts import Layout
from testbed.engine.publisher import Publisher
from testbed.engine.serve import StartError, Stop, serve_until
from testbed.engine.settings import Settings
from testbed.engine.sglang import log
from testbed.engine.sglang.api import SglangApi
from testbed.engine.sglang.command_line import parse_launch_server, parse_serve
from testbed.engine.sglang.core import WARM_UP, SglangCore
from testbed.engine.sglang.releases import FIRST_SERVE, Release, release_from
from testbed.engine.sglang.settings import SglangSettings, settle, with_events

FAILED_STATUS = 0
"""What a container of SGLang ends with when its scheduler fails.

The main process then kills itself with SIGKILL and calls ``sys.exit(0)``
(``kill_process_tree`` in ``python/sglang/srt/utils``). A container's first process is immune to its
own SIGKILL, so the second one counts.
"""

_NOT_FOUND = 127
Parser = Callable[[Release, Sequence[str]], Namespace]


def run_launch_server(arguments: Sequence[str]) -> int:
    """``python3 -m sglang.launch_server ARGUMENTS``; the exit status."""
    return _run(parse_launch_server, arguments)


def run_sglang(arguments: Sequence[str]) -> int:
    """``sglang ARGUMENTS``, which exists since 0.5.5; the exit status."""
    if release_from(os.environ) < FIRST_SERVE:
        print("exec: sglang: not found", file=sys.stderr)
        return _NOT_FOUND
    if arguments[:1] != ["serve"]:
        print("sglang: error: the engine stand-in knows only `sglang serve`", file=sys.stderr)
        return 2
    return _run(parse_serve, arguments[1:])


def _run(parse: Parser, arguments: Sequence[str]) -> int:
    release = release_from(os.environ)
    try:
        settings = settle(release, parse(release, arguments))
    except UsageError as error:
        print(f"Traceback (most recent call last):\nException: {error}", file=sys.stderr)
        return 1
    stop = Stop()
    log.line(f"server_args=ServerArgs({_shown(settings.options)})")
    try:
        return _serve(settings, fault_from(os.environ), stop, os.environ)
    except StartError as error:
        log.line(f"Scheduler hit an exception: Traceback (most recent call last):\n{error}\n")
        log.line("Received sigquit from a child process. It usually means the child failed.")
        return FAILED_STATUS


def _shown(options: Namespace) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in vars(options).items())


def _serve(settings: SglangSettings, fault: Fault, stop: Stop, environ: Mapping[str, str]) -> int:
    stop.wait(float(environ.get("TESTBED_LOAD_SECONDS", "0")))
    if stop.asked:
        return 0
    settings = _read_events(settings)
    core = _start_core(settings, fault)
    try:
        server = HttpServer(settings.base.host, settings.base.port, SglangApi(core, settings))
    except OSError as error:
        core.close()
        uvicorn_log.uvicorn(f"ERROR:    [Errno {error.errno}] {error.strerror}")
        return 1
    _get_ready(core, settings)
    serve_until(stop, server, fault)
    server.close()
    core.close()
    return 0


def _read_events(settings: SglangSettings) -> SglangSettings:
    try:
        return with_events(settings)
    except ArgumentTypeError as error:
        raise StartError(f"pydantic_core._pydantic_core.ValidationError: {error}") from error
    except (TypeError, ValueError) as error:
        raise StartError(f"{type(error).__name__}: {error}") from error


def _start_core(settings: SglangSettings, fault: Fault) -> SglangCore:
    def open_publisher(base: Settings, layout: Layout, rank: int) -> Publisher | None:
        offsets = settings.parallel.offsets(settings.behaviour.publishing, rank)
        if base.events is None or not offsets:
            return None
        try:
            return _open(settings, layout, offsets, silent=fault.silent)
        except (zmq.ZMQError, ValueError) as error:
            raise StartError(f"zmq.error.ZMQError: {error}") from error

    return SglangCore(settings, open_publisher)


def _open(
    settings: SglangSettings, layout: Layout, offsets: list[int], *, silent: bool
) -> Publisher:
    """The publishers of all processes of one rank, of which the first sends; raises zmq.ZMQError.

    Two on one port cannot be had. Where they connect, all of them send the same to the same peer,
    and one is enough here.
    """
    events = settings.base.events
    assert events is not None
    bind = settings.should_bind(events.endpoint)
    opened: list[Publisher] = []
    try:
        for offset in offsets:
            opened.append(Publisher(events, layout, offset, silent=silent, bind=bind))
            log.line("Starting ZMQ publisher thread", _process(settings, offset))
    except (zmq.ZMQError, ValueError):
        for publisher in opened:
            publisher.close()
        raise
    for publisher in opened[1:]:
        publisher.close()
    return opened[0]


def _process(settings: SglangSettings, rank: int) -> str:
    words = [f"DP{rank}"] if settings.parallel.ranks > 1 else []
    return " ".join([*words, "TP0"] if settings.parallel.tp > 1 else words)


def _get_ready(core: SglangCore, settings: SglangSettings) -> None:
    uvicorn_log.uvicorn(f"Started server process [{os.getpid()}]")
    uvicorn_log.uvicorn("Application startup complete.")
    host, port = settings.base.host, settings.base.port
    uvicorn_log.uvicorn(f"Uvicorn running on http://{host}:{port} (Press CTRL+C to quit)")
    if not settings.options.skip_server_warmup:
        core.warm_up(tokenizer.encode(WARM_UP))
    log.line("The server is fired up and ready to roll!")
