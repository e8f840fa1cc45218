"""Many healthy publishers at once, each at a loopback address of its own, as pods have addresses.

Each is a real libzmq PUB. A process holds a few hundred; its one real ROUTER listens for replay
requests at the addresses of all of them.
"""

import os
import sys
import time
from types import TracebackType
from typing import Self

import zmq

from kvsync.model.source import SourceKey, Target
from testbed.engine.launch import free_ports
from testbed.engine.layouts import layout_for
from testbed.engine.versions import Version
from testbed.engine.wire import BlockHash, BlockStored, encode_batch, replay_end, sequence_frame
from testbed.partner import Partner

EACH_PROCESS = 500
TICK = 0.01
"""Seconds between looks at what is due."""
_LAYOUT = layout_for(Version(0, 16))


def batch(blocks: int = 64, block_size: int = 16) -> bytes:
    """A realistic payload: one event of so many blocks, about 4.7 KB for 64 (vLLM 0.16)."""
    hashes: list[BlockHash] = [number * 0x9E3779B97F4A7C15 % 2**64 for number in range(blocks)]
    tokens = [number * 7919 % 32_000 for number in range(blocks * block_size)]
    return encode_batch(_LAYOUT, time.time(), [BlockStored(hashes, None, tokens, block_size)], 0)


class Fleet:
    """Publishers, silent until :meth:`publish`; a context manager that ends them."""

    def __init__(self, count: int, *, each_process: int = EACH_PROCESS) -> None:
        self.count = count
        self._net = 64 + os.getpid() % 128
        self._port, self._replay_port = free_ports(2)
        self._sizes = [min(each_process, count - first) for first in range(0, count, each_process)]
        self._partners: list[Partner] = []

    def __enter__(self) -> Self:
        first = 0
        for size in self._sizes:
            words = (self._net, first, size, self._port, self._replay_port)
            self._partners.append(Partner("testbed.fleet", *words))
            first += size
        for partner in self._partners:
            if partner.hear() != "up":
                raise RuntimeError("a process of publishers did not come up; see its error above")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for partner in self._partners:
            partner.end()

    def publish(self, rate: float, publishers: int | None = None) -> None:
        """Have so many of them (all, if None) publish so many batches a second each, from now on."""
        left = self.count if publishers is None else publishers
        for number, (partner, size) in enumerate(zip(self._partners, self._sizes, strict=True)):
            share = min(size, -(-left // (len(self._sizes) - number)))
            left -= share
            partner.say(f"{share} {rate}")

    def targets(self, interval: float = 10.0, *, replay: bool = True) -> dict[SourceKey, Target]:
        """What a probe is told of them."""
        return {
            key: Target(
                key, address(self._net, n), self._port, self._replay_port if replay else 0, "",
                active_check=replay, interval=interval,
            )
            for n in range(self.count)
            for key in (SourceKey("fleet", f"pod-{n}", f"fleet-{n}"),)
        }  # fmt: skip


def address(net: int, number: int) -> str:
    """The loopback address of a publisher."""
    return f"127.{net}.{number // 250}.{number % 250 + 1}"


class _Publishers:
    """The publishers of one process."""

    def __init__(self, addresses: list[str], port: int, replay_port: int) -> None:
        self._orders = open(0, "rb", buffering=0)  # noqa: SIM115 - for the process; nothing read ahead
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, len(addresses) + 16)
        self._payload = batch()
        self._next = [0] * len(addresses)
        self._active, self._rate = 0, 0.0
        self._turn, self._due = 0, 0.0
        self._pubs = [self._publisher(f"tcp://{host}:{port}") for host in addresses]
        self._router = self._context.socket(zmq.ROUTER)
        for host in addresses:
            self._router.bind(f"tcp://{host}:{replay_port}")

    def run(self) -> None:
        """Publish and answer until stdin ends."""
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._orders, zmq.POLLIN)
        last = time.monotonic()
        while True:
            busy = self._active and self._rate
            ready = dict(poller.poll(int(TICK * 1000) if busy else None))
            if self._orders.fileno() in ready and not self._take_order():
                return
            if self._router in ready:
                self._answer()
            now = time.monotonic()
            self._publish(min(now - last, 1.0))
            last = now

    def _publisher(self, endpoint: str) -> "zmq.Socket[bytes]":
        made = self._context.socket(zmq.PUB)
        made.set_hwm(100_000)
        made.bind(endpoint)
        return made

    def _take_order(self) -> bool:
        line = self._orders.readline()
        if line:
            share, rate = line.split()
            self._active, self._rate, self._due = int(share), float(rate), 0.0
        return bool(line)

    def _publish(self, passed: float) -> None:
        self._due += self._active * self._rate * passed
        while self._due >= 1 and self._active:
            self._due -= 1
            self._turn = (self._turn + 1) % self._active
            sequence = self._next[self._turn]
            self._next[self._turn] += 1
            frames = [b"", sequence_frame(sequence), self._payload]
            self._pubs[self._turn].send_multipart(frames)

    def _answer(self) -> None:
        """The end marker: all that is asked for here."""
        while self._router.poll(0):
            peer, *_ = self._router.recv_multipart()
            self._router.send_multipart([peer, *replay_end(_LAYOUT)])


def main() -> None:
    """One process: network, number of the first, how many, both ports."""
    net, first, count, port, replay_port = map(int, sys.argv[1:])
    addresses = [address(net, number) for number in range(first, first + count)]
    publishers = _Publishers(addresses, port, replay_port)
    print("up", flush=True)
    publishers.run()


if __name__ == "__main__":
    main()
