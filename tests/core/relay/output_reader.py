"""A reader of the relay: decodes as a gateway does, and keeps its index beside a plain set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.relay.engines import SIZE, whole
from testbed.gateway import array_decoder
from testbed.gateway.events import BlockRemoved, BlockStored
from testbed.gateway.prefix_index import NO_LORA, PrefixIndex

POD, CONTEXT = "ns/pod", ("m", NO_LORA)


class OutputReader:
    """Listens from some moment on; ``at`` is the sequence that comes next, None before the first.

    As released gateways it passes over AllBlocksCleared.
    """

    def __init__(self) -> None:
        self.parents: dict[int, int | None] = {}
        self.index = PrefixIndex(4 * SIZE)
        self.at: int | None = None
        self.sure = True
        """Whether nothing was lost on it."""

    def take(self, messages: Iterable[Sequence[bytes]]) -> None:
        for topic, sequence, payload in messages:
            number = int.from_bytes(sequence, "big")
            assert topic == b"out"
            assert self.at in (None, number), "its own sequence has no gap"
            self.at = number + 1
            self.read(payload)

    def read(self, payload: bytes) -> None:
        """Raises DecodeError as a gateway does; what it would chain wrongly is an AssertionError."""
        events = array_decoder.decode(payload)
        assert events
        for event in events:
            if isinstance(event, BlockStored):
                (key,) = event.hashes
                parent = event.parent
                assert len(event.blocks) == 1
                known = parent is None or unsigned(parent) in self.parents
                assert known or not self.sure, "hangs on a block never heard of"
                self.parents[unsigned(key)] = None if parent is None else unsigned(parent)
                self.index.store(CONTEXT, POD, event.hashes, parent, event.blocks, 0.0)
            elif isinstance(event, BlockRemoved):
                for key in event.hashes:
                    self.parents.pop(unsigned(key), None)
                self.index.remove(CONTEXT, event.hashes)

    def whole(self) -> set[int]:
        return whole(self.parents)

    def match(self, prompt: Sequence[int]) -> int:
        """How much of a prompt its index finds at the pod, in percent."""
        tokens = b"".join(token.to_bytes(4, "big") for token in prompt)
        return self.index.match(CONTEXT, tokens, {POD}, 0.0)[0].get(POD, 0)


def unsigned(key: int) -> int:
    return key % 2**64
