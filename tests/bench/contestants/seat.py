"""What a contestant reads and says."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgpack


@dataclass(frozen=True, slots=True)
class Address:
    """Where one publisher listens."""

    host: str
    port: int
    replay_port: int

    @property
    def endpoint(self) -> str:
        """Of its PUB."""
        return f"tcp://{self.host}:{self.port}"


@dataclass(slots=True)
class Heard:
    """What came: publishers that were heard at all, and messages."""

    sources: set[int] = field(default_factory=set)
    messages: int = 0

    def take(self, source: int, frames: Sequence[bytes]) -> None:
        """Decode a message as a consumer of all of them does."""
        msgpack.unpackb(frames[-1], strict_map_key=False)
        self.sources.add(source)
        self.messages += 1

    def say(self) -> None:
        """Answer."""
        say(sources=len(self.sources), messages=self.messages)


ORDERS = open(0, "rb", buffering=0)  # noqa: SIM115 - nothing may be read ahead of what is polled
"""Stdin, a line at a time."""


def say(**what: object) -> None:
    """Answer a line."""
    print(json.dumps(what), flush=True)


def read_addresses() -> list[Address]:
    """The first line."""
    return [Address(*each) for each in json.loads(ORDERS.readline())]
