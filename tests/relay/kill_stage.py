"""A relay and an engine that are killed and come again, under load, and a gateway that stays.

What the gateway believes is compared with what the engine itself says that it holds.
"""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import zmq

from core.relay.engines import whole
from core.relay.output_reader import CONTEXT, POD, unsigned
from relay.relay_stage import KVSYNC
from testbed.engine.cache import BlockCache
from testbed.engine.launch import EngineProcess, free_ports
from testbed.engine.wire import BlockStored as Stored
from testbed.gateway import array_decoder
from testbed.gateway.events import BlockStored
from testbed.gateway.prefix_index import PrefixIndex

SIZE = 16
"""Tokens in a block."""
BLOCKS = 160
"""Blocks that the engine has: what the prompts need is five times as many."""
PAUSE = 0.004
"""Seconds between two prompts: within a second or two without a relay an engine must not say more than
the 1,000 messages that one asks for."""


class Prompts:
    """A few long beginnings that many prompts share; a prompt ends one token into a block, so that no
    block is computed twice."""

    def __init__(self, dice: random.Random) -> None:
        beginnings = [_tokens(dice, dice.randint(1, 4)) for _ in range(4)]
        self._all = [
            dice.choice(beginnings) + _tokens(dice, dice.randint(1, 12)) + [7] for _ in range(120)
        ]
        self._dice = dice
        self._hashes: dict[tuple[int, ...], list[int]] = {}

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._all)

    def hashes(self, prompt: list[int]) -> list[int]:
        """Of its blocks, as an engine since 0.29 computes them."""
        known = self._hashes.get(tuple(prompt))
        if known is not None:
            return known
        (stored,) = BlockCache(BLOCKS, SIZE, seed=bytes(32)).run(prompt, [1]).steps[0]
        assert isinstance(stored, Stored)
        hashes = [each for each in stored.block_hashes if isinstance(each, int)]
        self._hashes[tuple(prompt)] = hashes
        return hashes

    def next(self) -> list[int]:
        return self._dice.choice(self._all)


def _tokens(dice: random.Random, blocks: int) -> list[int]:
    return [dice.randint(10, 30_000) for _ in range(SIZE * blocks)]


class Machine:
    """The pod: one relay and one engine, each a process that may be killed at any moment."""

    def __init__(self, journal: Path, *options: str, version: str = "0.33.0") -> None:
        self.listen, replay, upstream, upstream_replay, self.pages = free_ports(5)
        self._version = version
        words = {
            "--upstream": f"tcp://127.0.0.1:{upstream}",
            "--upstream-replay": f"tcp://127.0.0.1:{upstream_replay}",
            "--listen": f"tcp://127.0.0.1:{self.listen}",
            "--replay": f"tcp://127.0.0.1:{replay}",
            "--metrics-address": f"127.0.0.1:{self.pages}",
            "--journal": str(journal),
            "--grace": "1s",
        }
        self._relay_command = [KVSYNC, "relay", *(w for pair in words.items() for w in pair)]
        self._relay_command += options
        config = {
            "enable_kv_cache_events": True,
            "publisher": "zmq",
            "endpoint": f"tcp://127.0.0.1:{upstream}",
            "replay_endpoint": f"tcp://127.0.0.1:{upstream_replay}",
        }
        self._engine_arguments = [
            "model",
            f"--kv-events-config={json.dumps(config)}",
            f"--num-gpu-blocks-override={BLOCKS}",
            f"--block-size={SIZE}",
            "--disable-uvicorn-access-log",
        ]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        self.start_relay()
        self.start_engine()

    def start_relay(self) -> None:
        self.relay = subprocess.Popen(
            self._relay_command, stdout=self._log, stderr=subprocess.STDOUT
        )

    def start_engine(self) -> None:
        self.engine = EngineProcess(self._engine_arguments, version=self._version)

    def kill_relay(self) -> None:
        self.relay.kill()
        self.relay.wait()

    def kill_engine(self) -> None:
        self.engine.__exit__(None, None, None)

    def metrics(self) -> dict[str, float]:
        """The relay's series that are not 0."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.pages}/metrics", timeout=5) as page:
            lines = page.read().decode().splitlines()
        series = (line.rpartition(" ") for line in lines if line[0] != "#")
        return {name: float(value) for name, _, value in series if value != "0"}

    def said(self) -> str:
        """What the relays wrote, and what the last one counts."""
        self._log.seek(0)
        return f"{self._log.read().decode()[-3000:]}\n{self.metrics()}"

    def end(self) -> None:
        self.kill_relay()
        self.kill_engine()
        self._log.close()


class Load:
    """One client, again and again; a dead engine is tried again."""

    def __init__(self, machine: Machine, prompts: Prompts) -> None:
        self._machine = machine
        self._prompts = prompts
        self.answered = 0

    @contextmanager
    def on(self) -> Iterator[None]:
        stopping = threading.Event()
        thread = threading.Thread(target=self._run, args=(stopping,))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            connection = http.client.HTTPConnection(
                "127.0.0.1", self._machine.engine.port, timeout=2
            )
            try:
                while not stopping.is_set():
                    body = json.dumps({"prompt": self._prompts.next(), "max_tokens": 1})
                    connection.request("POST", "/v1/completions", body)
                    connection.getresponse().read()
                    self.answered += 1
                    stopping.wait(PAUSE)
            except (OSError, http.client.HTTPException):
                stopping.wait(0.02)
            finally:
                connection.close()


class OldGateway:
    """Stays subscribed, decodes arrays and keeps its index as released gateways do."""

    def __init__(self, port: int) -> None:
        self.parents: dict[int, int | None] = {}
        self.index = PrefixIndex(4 * SIZE)
        self.messages = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.connect(f"tcp://127.0.0.1:{port}")
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")

    def look(self) -> dict[int, int | None]:
        """Read what is there; the blocks that it believes in, with their parents."""
        while self._socket.poll(0):
            self._take(self._socket.recv_multipart()[2])
            self.messages += 1
        return self.parents

    def _take(self, payload: bytes) -> None:
        for event in array_decoder.decode(payload):
            if isinstance(event, BlockStored):
                (key,) = event.hashes
                parent = event.parent
                self.parents[unsigned(key)] = None if parent is None else unsigned(parent)
                self.index.store(CONTEXT, POD, event.hashes, parent, event.blocks, 0.0)
            else:
                hashes = getattr(
                    event, "hashes", ()
                )  # AllBlocksCleared has none, and is passed over
                for key in hashes:
                    self.parents.pop(unsigned(key), None)
                self.index.remove(CONTEXT, hashes)

    def matched(self, prompt: Sequence[int]) -> int:
        """Blocks of a prompt that its index finds at the pod."""
        tokens = b"".join(token.to_bytes(4, "big") for token in prompt)
        percent = self.index.match(CONTEXT, tokens, {POD}, 0.0)[0].get(POD, 0)
        return -(-percent * (len(prompt) // SIZE) // 100)  # it rounds down

    def close(self) -> None:
        self._context.destroy(linger=0)


class Watch:
    """Compares the two now and then, and keeps how long anything was believed that is not there."""

    def __init__(self, machine: Machine, gateway: OldGateway) -> None:
        self._machine = machine
        self._gateway = gateway
        self._stale_since: dict[int, float] = {}
        self._killed_at = 0.0
        self.longest = self.longest_let_alone = 0.0
        """Seconds; and from the last kill on, for a dead relay takes nothing back."""

    def note_kill(self) -> None:
        """Something was killed just now."""
        self._killed_at = time.monotonic()

    def held(self) -> dict[int, int | None]:
        """What the engine says that it holds; nothing when it is dead or loads."""
        try:
            status, answer = self._machine.engine.request("GET", "/testbed/blocks")
        except (OSError, http.client.HTTPException):
            return {}
        assert status == 200
        return {key: parent for pairs in answer for key, parent in pairs}

    def look(self) -> tuple[set[int], set[int]]:
        """What the gateway believes and what is there; of both the blocks whose chain is whole."""
        held = self.held()
        believed = self._gateway.look()
        now = time.monotonic()
        stale = believed.keys() - held.keys()
        self._stale_since = {key: self._stale_since.get(key, now) for key in stale}
        oldest = min(self._stale_since.values(), default=now)
        self.longest = max(self.longest, now - oldest)
        let_alone = now - max(oldest, self._killed_at)
        self.longest_let_alone = max(self.longest_let_alone, let_alone)
        return whole(believed), whole(held)

    def wait(self, seconds: float) -> None:
        """Go on looking."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(0.1, left))
            self.look()

    def check_newcomer(self, prompts: Prompts, seconds: float) -> bool:
        """Whether a gateway that comes now is told all, too.

        Not asked, and False, where the relay knows blocks by their hash only: nobody can tell it those.
        """
        if "kvsync_relay_inherited" in self._machine.metrics():
            return False
        newcomer = OldGateway(self._machine.listen)
        Watch(self._machine, newcomer).settle(prompts, seconds)
        newcomer.close()
        return True

    def settle(self, prompts: Prompts, seconds: float) -> float:
        """Look until both are the same, and the index finds of each prompt what is there.

        Returns how long that took. Raises AssertionError after so many seconds.
        """
        began = time.monotonic()
        while True:
            believed, held = self.look()
            wrong = [p for p in prompts if self._gateway.matched(p) != _leading(prompts, p, held)]
            took = time.monotonic() - began
            if believed == held and held and not wrong:
                return took
            assert took < seconds, (
                f"after {took:.1f} s {len(believed - held)} blocks are believed that are not there, "
                f"{len(held - believed)} of {len(held)} are not known, and {len(wrong)} prompts are found "
                f"wrongly\n{self._machine.said()}"
            )
            time.sleep(0.05)


def _leading(prompts: Prompts, prompt: list[int], held: set[int]) -> int:
    """Blocks of a prompt that are there, from its beginning."""
    there = [key in held for key in prompts.hashes(prompt)]
    return (*there, False).index(False)
