"""`make bench-relay`: what the relay adds, beside a bare forwarder (zmq_proxy) in the same run.

An engine publishes batches of 64 new blocks; once 100,000 are resident it takes 64 old ones back in
each. At the end somebody new subscribes, and is told all that is resident while the engine goes on.
The batch's own time stands in what both pass on: latency is from there to the reader.
"""

import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq

from bench.relay_page import Measured, page
from bench.report import write
from kvsync.core.relay.relay import Relay, Terms
from testbed.engine.launch import free_ports
from testbed.engine.layouts import Layout, layout_for
from testbed.engine.versions import Version
from testbed.engine.wire import BlockRemoved, BlockStored, Event, encode_batch, sequence_frame
from testbed.partner import Partner
from testbed.watching import cpu_seconds, resident

RATES, SHORT_RATES = (50, 200, 1000), (200,)
"""Batches a second."""
SECONDS, SHORT_SECONDS = 10.0, 6.0
FAST = 400
"""Batches a second with which a cache is filled that was not after these seconds."""
BLOCKS, SIZE, VOCABULARY = 64, 16, 128_000
RESIDENT = 100_000
FILLED = RESIDENT // BLOCKS
BATCHES = 2 * FILLED
"""That are published over and over; a half of them is resident at any time."""
LAYOUTS = {"array events (0.16)": Version(0, 16), "map events (0.33)": Version(0, 33)}
_TIME = struct.Struct(">d")
TICK = 2.0**-14
"""The engine's clock goes in such steps, and so its batches are told from what the relay says again."""


def hashes(number: int) -> list[int | bytes]:
    first = number % BATCHES * BLOCKS + 1
    return [n * 0x9E3779B97F4A7C15 % 2**64 for n in range(first, first + BLOCKS)]


def payload(layout: Layout, number: int, *, full: bool, single: bool = False) -> bytes:
    tokens = [(number * 131 + n * 7919) % VOCABULARY for n in range(BLOCKS * SIZE)]
    new = hashes(number)
    events: list[Event] = [BlockStored(new, None, tokens, SIZE)]
    if single:
        events = [
            BlockStored([h], new[n - 1] if n else None, tokens[n * SIZE : (n + 1) * SIZE], SIZE)
            for n, h in enumerate(new)
        ]
    if full:  # an engine makes room first
        events = [*(BlockRemoved([h]) for h in hashes(number + FILLED)), *events]
    return encode_batch(layout, 0.0, events, 0)


def publish(upstream: int, version: str) -> None:
    """Be the engine: a line on stdin is a rate and a count; the cache is filled, then turned over."""
    layout = layout_for(Version(*map(int, version.split("."))))
    with zmq.Context() as context, context.socket(zmq.PUB) as pub:
        pub.set_hwm(100_000)
        pub.setsockopt(zmq.LINGER, 0)
        pub.connect(f"tcp://127.0.0.1:{upstream}")
        filling = [payload(layout, n, full=False) for n in range(FILLED)]
        steady = [payload(layout, n + FILLED, full=True) for n in range(BATCHES)]
        print("up", flush=True)
        sequence = 0
        for line in sys.stdin:
            rate, count = map(int, line.split())
            due = time.monotonic()
            for _ in range(count):
                is_full = sequence >= FILLED
                each = steady[(sequence - FILLED) % BATCHES] if is_full else filling[sequence]
                now = _TIME.pack(time.time() // TICK * TICK)
                pub.send_multipart(
                    [b"", sequence_frame(sequence), b"%b%b%b" % (each[:2], now, each[10:])]
                )
                sequence += 1
                due += 1 / rate
                time.sleep(max(0.0, due - time.monotonic()))
            print("sent", flush=True)


def forward(upstream: int, listen: int) -> None:
    """Be the bare forwarder."""
    with zmq.Context() as context:
        sub, pub = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
        sub.bind(f"tcp://127.0.0.1:{upstream}")
        pub.bind(f"tcp://127.0.0.1:{listen}")
        print("up", flush=True)
        zmq.proxy(sub, pub)


@dataclass
class Between:
    """What stands between the engine and the reader."""

    name: str
    pid: int
    upstream: int
    listen: int


@contextmanager
def forwarder() -> Iterator[Between]:
    upstream, listen = free_ports(2)
    partner = Partner("bench.relay", "forward", upstream, listen)
    partner.hear()
    try:
        yield Between("forwarder", partner.pid, upstream, listen)
    finally:
        partner.end()


@contextmanager
def relay() -> Iterator[Between]:
    upstream, asked, listen, replay, pages = free_ports(5)
    words = {
        "--upstream": upstream,
        "--upstream-replay": asked,
        "--listen": listen,
        "--replay": replay,
    }
    options = [w for option, port in words.items() for w in (option, f"tcp://127.0.0.1:{port}")]
    code = "from kvsync.cli.main import main; main()"
    command = [sys.executable, "-c", code, "relay", *options]
    command += ["--metrics-address", f"127.0.0.1:{pages}"]
    with tempfile.TemporaryDirectory() as folder:
        journal = str(Path(folder) / "journal")
        with subprocess.Popen([*command, "--journal", journal]) as process:
            try:
                yield Between("relay", process.pid, upstream, listen)
            finally:
                process.kill()


class Reader:
    """Takes what stands between to task."""

    def __init__(
        self, between: Between, layout: str, context: "zmq.Context[zmq.Socket[bytes]]"
    ) -> None:
        self.layout = layout
        self._between = between
        self._context = context
        self.socket = self.subscribe()

    def subscribe(self) -> "zmq.Socket[bytes]":
        """One more subscription."""
        sub = self._context.socket(zmq.SUB)
        sub.set_hwm(0)
        sub.setsockopt(zmq.LINGER, 0)
        sub.connect(f"tcp://127.0.0.1:{self._between.listen}")
        sub.setsockopt(zmq.SUBSCRIBE, b"")
        return sub

    def measure(self, engine: Partner, name: str, rate: int, count: int) -> Measured:
        """Have so many batches published; what came of it."""
        pid = self._between.pid
        ours = (pid, engine.pid, os.getpid())
        began, all_before = time.monotonic(), cpu_seconds_of_all()
        before = [cpu_seconds(each) for each in ours]
        engine.say(f"{rate} {count}")
        found: list[float] = []
        while len(found) < count and self.socket.poll(2000):
            sent_at = _TIME.unpack_from(self.socket.recv_multipart()[2], 2)[0]
            if sent_at % TICK == 0.0:
                found.append(1000 * (time.time() - sent_at))
        took = time.monotonic() - began
        used = [cpu_seconds(each) - then for each, then in zip(ours, before, strict=True)]
        others = cpu_seconds_of_all() - all_before - sum(used)
        engine.hear()
        cuts = statistics.quantiles(found, n=100)
        made = Measured(
            layout=self.layout,
            who=self._between.name,
            rate=rate,
            load=name,
            p50=cuts[49],
            p99=cuts[98],
            cpu=used[0] / took,
            resident=resident(pid),
            heard=len(found),
            sent=count,
            others=max(0.0, others / took),
        )
        print(
            f"{made.who:10} {rate:5}/s {name:14} p99 {made.p99:5.2f} ms  CPU {made.cpu:6.1%}",
            flush=True,
        )
        return made


def cpu_seconds_of_all() -> float:
    """Seconds that all processors were at work since the start (Linux, proc(5))."""
    words = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(words) - words[3] - words[4]) / os.sysconf("SC_CLK_TCK")


def measure(between: Between, layout: str, rate: int, seconds: float) -> list[Measured]:
    engine = Partner("bench.relay", "publish", between.upstream, LAYOUTS[layout])
    found: list[Measured] = []
    with zmq.Context() as context:
        reader = Reader(between, layout, context)
        engine.hear()
        time.sleep(1.0)  # connections stand
        some = int(rate * seconds)
        found.append(reader.measure(engine, "64 in", rate, min(FILLED, some)))
        if some < FILLED:
            reader.measure(engine, "(filling)", FAST, FILLED - some)
        found.append(reader.measure(engine, "64 in, 64 out", rate, some))
        if between.name == "relay":
            with reader.subscribe():
                found.append(reader.measure(engine, "telling all", rate, some))
        reader.socket.close()
    engine.end()
    return found


def cost_of_a_batch() -> list[str]:
    """Sentences: microseconds of CPU for one batch inside the relay, by the form of its events."""
    said = []
    for name, version in LAYOUTS.items():
        for single in (False, True):
            layout, made = layout_for(version), Relay(Terms(), 0.0)
            some = [payload(layout, n, full=False, single=single) for n in range(500)]
            began = time.thread_time()
            for n, each in enumerate(some):
                made.heard(0, [b"", sequence_frame(n), each], 0.0)
                while made.next_message(0.0):
                    pass
            took = (time.thread_time() - began) / len(some) * 1e6
            form = "64 events of one block" if single else "one event of 64 blocks"
            said.append(
                f"Inside the relay, in a tight loop, a batch of {name}, {form}: {took:.0f} µs of CPU."
            )
    return said


def main(rates: Sequence[int], seconds: float) -> None:
    before, said = os.getloadavg()[0], cost_of_a_batch()
    found: list[Measured] = []
    for name in LAYOUTS:
        for rate in rates:
            for made in (forwarder, relay):
                with made() as between:
                    found += measure(between, name, rate, seconds)
    print(write(page(found, said, (before, os.getloadavg()[0]))))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["publish", port, version]:
            publish(int(port), version)
        case ["forward", upstream_port, listen_port]:
            forward(int(upstream_port), int(listen_port))
        case ["--short"]:
            main(SHORT_RATES, SHORT_SECONDS)
        case _:
            main(RATES, SECONDS)
