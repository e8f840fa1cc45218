"""A relay as a process, with engines in front of it and gateways behind it, on loopback."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from core.relay.engines import Tree
from core.relay.output_reader import OutputReader
from testbed.engine.events_config import EventsConfig
from testbed.engine.launch import free_ports
from testbed.engine.layouts import Layout, layout_for
from testbed.engine.publisher import Publisher
from testbed.engine.versions import Version
from testbed.engine.wire import Event, encode_batch
from testbed.waiting import wait_for

KVSYNC = str(Path(sys.executable).parent / "kvsync")
OLD, NEW = layout_for(Version(0, 16)), layout_for(Version(0, 33))
DEADLINE = 60.0


class RelayProcess:
    """``kvsync relay`` on ports of its own; a context manager that ends it."""

    def __init__(self, *options: str, ranks: int = 1) -> None:
        self.ranks = ranks
        ports = free_ports(3 + 2 * ranks)
        self.listen, self.replay, self.pages = ports[:3]
        self.upstream, self.upstream_replay = ports[3], ports[3 + ranks]
        self._options = options
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self.start()

    def start(self) -> None:
        """Once more after :meth:`kill`."""
        words = {
            "--upstream": f"tcp://127.0.0.1:{self.upstream}",
            "--upstream-replay": f"tcp://127.0.0.1:{self.upstream_replay}",
            "--listen": f"tcp://127.0.0.1:{self.listen}",
            "--replay": f"tcp://127.0.0.1:{self.replay}",
            "--metrics-address": f"127.0.0.1:{self.pages}",
            "--ranks": str(self.ranks),
            "--topic": "out",
            "--grace": "1s",
        }
        self.process = subprocess.Popen(
            [KVSYNC, "relay", *(w for pair in words.items() for w in pair), *self._options],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        wait_for(lambda: self.page("/healthz") == "ok\n", DEADLINE, ignore=(OSError,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._log.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.pages}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def post(self, path: str, content: bytes) -> int:
        """The status of the answer to it."""
        url = f"http://127.0.0.1:{self.pages}{path}"
        try:
            with urllib.request.urlopen(url, data=content, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def metric(self, series: str) -> float:
        """A series as it stands in the exposition, ``name{labels}``."""
        for line in self.page("/metrics").splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        raise LookupError(series)

    def engine(self, rank: int = 0, layout: Layout = NEW, *, steps: int = 10_000) -> Engine:
        return Engine(self, rank, layout, steps)

    def gateway(self, *, slow: bool = False) -> Gateway:
        return Gateway(self, slow=slow)


class Page:
    """What an engine serves over HTTP: ``content``, whatever is asked for."""

    def __init__(self, port: int, content: bytes) -> None:
        self.content = content
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(page.content)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Engine:
    """One rank's publisher: the stand-in's, which connects as vLLM does."""

    def __init__(self, relay: RelayProcess, rank: int, layout: Layout, steps: int) -> None:
        config = EventsConfig(
            enable_kv_cache_events=True,
            endpoint=f"tcp://127.0.0.1:{relay.upstream}",
            replay_endpoint=f"tcp://127.0.0.1:{relay.upstream_replay}",
            buffer_steps=steps,
        )
        self._layout, self._rank = layout, rank
        self._publisher = Publisher(config, layout, rank)
        series = f'kvsync_relay_engine_connected{{rank="{rank}"}}'
        wait_for(lambda: relay.metric(series) == 1, DEADLINE)

    def publish(self, *events: Event) -> None:
        self._publisher.publish(encode_batch(self._layout, 1.5, list(events), self._rank))

    def end(self) -> None:
        self._publisher.close()


class Gateway:
    """A reader that subscribes as the gateway does."""

    def __init__(self, relay: RelayProcess, *, slow: bool = False) -> None:
        self.reader = OutputReader()
        self.lossy = False
        """Whether messages may be missing."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.SUB)
        if slow:
            self.socket.setsockopt(zmq.RCVHWM, 1)
            self.socket.setsockopt(zmq.RCVBUF, 4096)
        self.socket.connect(f"tcp://127.0.0.1:{relay.listen}")
        self.socket.setsockopt(zmq.SUBSCRIBE, b"")

    def look(self) -> OutputReader:
        """Read what is there."""
        while self.socket.poll(0):
            if self.lossy:
                self.reader.at = None
            self.reader.take([self.socket.recv_multipart()])
        return self.reader

    def matches(self, tree: Tree, *blocks: int) -> bool:
        """Whether exactly these are resident, with their prompts whole."""
        reader = self.look()
        there = {tree.hash(block) for block in blocks}
        return reader.whole() == there and all(reader.match(tree.prompt(b)) == 100 for b in blocks)

    def wait(self, tree: Tree, *blocks: int) -> None:
        wait_for(
            lambda: self.matches(tree, *blocks), DEADLINE, what=f"{blocks} to be all", pause=0.01
        )

    def close(self) -> None:
        self._context.destroy(linger=0)


def request(port: int, *frames: bytes, count: int = 1) -> list[list[bytes]]:
    """What a replay socket answers."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(f"tcp://127.0.0.1:{port}")
        dealer.send_multipart(frames)
        found: list[list[bytes]] = []
        while len(found) < count and dealer.poll(5000):
            found.append(dealer.recv_multipart())
        return found
