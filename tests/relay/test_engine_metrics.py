"""The engine is asked for its cache's size on a real socket, and never waited for."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from kvsync.model.address import HttpAddress
from kvsync.relay import engine_metrics
from kvsync.relay.engine_metrics import EngineMetrics
from testbed.engine.launch import free_ports

LINE = b'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="1024"} 1.0\n'
NOISE = b"".join(b'vllm:something_bucket{le="%d"} 1.0\n' % n for n in range(20_000))
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
ALL = NOISE + LINE + NOISE


@contextmanager
def engine(*answers: bytes, port: int = 0) -> Iterator[tuple[int, list[bytes]]]:
    """Answers requests one after the other, then none any more; where, and what was asked."""
    door = socket.create_server(("127.0.0.1", port))
    asked: list[bytes] = []

    def serve() -> None:
        for answer in answers:
            try:
                end, _ = door.accept()
            except OSError:
                return
            with end:
                asked.append(end.recv(4096))
                with suppress(OSError):
                    end.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield door.getsockname()[1], asked
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join()


class Stage:
    """The loop around it; the clock is its own."""

    def __init__(self, port: int) -> None:
        self.asks = EngineMetrics(HttpAddress("127.0.0.1", port, "/metrics"))
        self.longest = 0.0

    def until(self, done: Callable[[int | None], bool], now: float = 0.0) -> int | None:
        """Turn until ``done`` with what a turn told; not for ever."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            reading, writing = list(self.asks.reading()), list(self.asks.writing())
            read, write, bad = select.select(reading, writing, reading + writing, 0.02)
            began = time.thread_time()
            told = self.asks.turn({*read, *write, *bad}, now)
            self.longest = max(self.longest, time.thread_time() - began)
            if done(told):
                return told
        raise TimeoutError

    def told(self, now: float = 0.0) -> int | None:
        return self.until(lambda told: told is not None, now)

    def given_up(self, now: float = 0.0) -> None:
        """Until it asks no more for the moment."""
        self.until(lambda told: bool(self.asks.reading() or self.asks.writing()), now)
        self.until(lambda told: not (self.asks.reading() or self.asks.writing()), now)

    def is_asking(self, now: float) -> bool:
        self.asks.turn((), now)
        return bool(self.asks.reading() or self.asks.writing())


@pytest.fixture
def stages() -> Iterator[list[Stage]]:
    made: list[Stage] = []
    yield made
    for stage in made:
        stage.asks.close()


def chunked(content: bytes, size: int) -> bytes:
    parts = [content[n : n + size] for n in range(0, len(content), size)]
    lines = (b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(lines) + b"0\r\n\r\n"


@pytest.mark.parametrize("answer", [OK + b"\r\n" + ALL, chunked(ALL, 1000), chunked(ALL, 7)])
def test_it_is_told_and_then_asks_no_more(stages: list[Stage], answer: bytes) -> None:
    with engine(answer) as (port, asked):
        stages.append(stage := Stage(port))
        assert stage.told() == 1024
        assert asked[0].startswith(b"GET /metrics HTTP/1.1\r\n")
        assert not stage.is_asking(1e6)


def test_an_engine_that_came_anew_is_asked_again(stages: list[Stage]) -> None:
    with engine(OK + b"\r\n" + LINE, OK + b"\r\n" + LINE.replace(b"1024", b"2048")) as (port, _):
        stages.append(stage := Stage(port))
        assert stage.told() == 1024
        stage.asks.ask_again(5.0)
        assert stage.told(5.0) == 2048


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n" + LINE,
        b"SSH-2.0-OpenSSH\r\n\r\n" + LINE,
        OK + b"\r\n" + LINE.replace(b"1024", b"None"),
        OK + b"X: " + b"y" * 20_000,
        OK + b"Transfer-Encoding: chunked\r\n\r\nhello\r\n",
    ],
)
def test_what_does_not_say_it_is_asked_again_later(stages: list[Stage], answer: bytes) -> None:
    with engine(answer, OK + b"\r\n" + LINE) as (port, _):
        stages.append(stage := Stage(port))
        stage.given_up()
        assert not stage.is_asking(engine_metrics.AGAIN - 0.1)
        assert stage.told(engine_metrics.AGAIN) == 1024


def test_an_engine_that_loads_is_asked_until_it_is_there(stages: list[Stage]) -> None:
    (port,) = free_ports(1)
    stages.append(stage := Stage(port))
    stage.given_up()
    with engine(OK + b"\r\n" + LINE, port=port):
        assert stage.told(engine_metrics.AGAIN) == 1024


def test_an_endless_answer_is_given_up_and_holds_up_nothing(
    stages: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_metrics, "MOST", 1 << 20)
    with engine(OK + b"\r\n" + b"x" * (8 << 20)) as (port, _):
        stages.append(stage := Stage(port))
        stage.given_up()
        assert stage.longest < 0.05


def test_a_silent_engine_is_given_up(stages: list[Stage]) -> None:
    with engine() as (port, _):
        stages.append(stage := Stage(port))
        stage.until(lambda told: bool(stage.asks.reading()))
        assert stage.is_asking(engine_metrics.PATIENCE)
        assert not stage.is_asking(engine_metrics.PATIENCE + 0.1)
