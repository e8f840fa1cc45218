"""Several pods before one gateway, whose index lets one pod's removal take a prefix from all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.relay.engines import LAYOUTS, SIZE, Rank, Tree
from core.relay.output_reader import CONTEXT
from kvsync.core.relay.announcer import Rhythm
from kvsync.core.relay.relay import Relay, Terms
from testbed.engine.wire import Event
from testbed.gateway import array_decoder
from testbed.gateway.events import BlockRemoved, BlockStored
from testbed.gateway.prefix_index import PrefixIndex

NAMES = ("a", "b", "c")
VEILS = (0x1D872B41C0FFEE01, 0x9E3779B97F4A7C15, 0xFFFFFFFFFFFFFFFF)
TREE = Tree((None, 0, 1, 2, 3, 1, 5, None, 7, 8))
ALL = range(len(TREE.parents))
EVERY = 60.0


class Pods:
    """Engines that make the same hashes, each behind a relay, and the index that hears of all."""

    def __init__(self, veils: Sequence[int] = VEILS) -> None:
        self.index = PrefixIndex(4 * SIZE)
        self.now = 0.0
        self._ranks = [Rank(0, LAYOUTS[-1]) for _ in NAMES]
        rhythm = Rhythm(every=EVERY)
        self._relays = [Relay(Terms(rhythm=rhythm, veil=veil), 0.0) for veil in veils]

    def publish(self, pod: int, *events: Event) -> None:
        self._relays[pod].heard(0, self._ranks[pod].message([*events]), self.now)
        self._hear(pod)

    def gone(self, pod: int) -> None:
        """An engine's process ends."""
        self._relays[pod].disconnected(0)
        self._hear(pod)

    def wait(self, seconds: float) -> None:
        """Time passes for all."""
        for _ in range(int(seconds)):
            self.now += 1.0
            for pod, relay in enumerate(self._relays):
                relay.tick(self.now)
                self._hear(pod)

    def _hear(self, pod: int) -> None:
        while (frames := self._relays[pod].next_message(1.0)) is not None:
            for event in array_decoder.decode(frames[2]):
                if isinstance(event, BlockStored):
                    hashes, parent, blocks = event.hashes, event.parent, event.blocks
                    self.index.store(CONTEXT, NAMES[pod], hashes, parent, blocks, 0.0)
                elif isinstance(event, BlockRemoved):
                    self.index.remove(CONTEXT, event.hashes)

    def known(self, block: int) -> dict[str, int]:
        """How many blocks of the prompt that ends with this one each pod is known to hold."""
        tokens = b"".join(token.to_bytes(4, "big") for token in TREE.prompt(block))
        return self.index.held(CONTEXT, tokens, set(NAMES))[0]


@pytest.mark.parametrize(("veils", "found"), [(VEILS, 5), ((0, 0, 0), 2)])
def test_blocks_that_come_after_anothers_removal_hang_right_with_hashes_of_ones_own(
    veils: Sequence[int], found: int
) -> None:
    pods = Pods(veils)
    for pod in (0, 1):
        pods.publish(pod, TREE.stored([0, 1]))
    pods.publish(0, TREE.removed([1, 0]))
    assert pods.known(1) == {}
    pods.publish(1, TREE.stored([2, 3, 4]))
    pods.wait(3 * EVERY)
    assert pods.known(4) == {"b": found}, "with the engine's hashes they stay where they were hung"


def test_an_engine_that_went_takes_what_others_hold_for_one_pass_only() -> None:
    pods = Pods()
    for pod in (0, 1):
        pods.publish(pod, TREE.stored([0, 1, 2]))
    pods.gone(0)
    assert pods.known(2) == {}
    pods.wait(2 * EVERY)
    assert pods.known(2) == {"b": 3}


@given(data=st.data())
def test_what_all_hold_is_known_after_each_told_it_again(data: st.DataObject) -> None:
    pods = Pods()
    held: list[set[int]] = [set() for _ in NAMES]
    for _ in range(data.draw(st.integers(1, 25))):
        pod = data.draw(st.integers(0, len(NAMES) - 1))
        happens = data.draw(st.sampled_from(("store", "remove", "wait")))
        if happens == "store":
            path = TREE.path(data.draw(st.sampled_from(ALL)))
            new = [block for block in path if block not in held[pod]]
            if new:
                pods.publish(pod, TREE.stored(new))
                held[pod].update(new)
        elif happens == "remove" and held[pod]:
            ends = [b for b in held[pod] if not any(TREE.parents[c] == b for c in held[pod])]
            block = data.draw(st.sampled_from(sorted(ends)))
            pods.publish(pod, TREE.removed([block]))
            held[pod].discard(block)
        else:
            pods.wait(data.draw(st.sampled_from((1.0, EVERY / 2, EVERY))))
    pods.wait(3 * EVERY)
    for block in ALL:
        depth = len(TREE.path(block))
        holders = {name for name, blocks in zip(NAMES, held, strict=True) if block in blocks}
        assert {name for name, count in pods.known(block).items() if count == depth} == holders
