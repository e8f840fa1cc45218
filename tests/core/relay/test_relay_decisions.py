"""What counts as resident, decision by decision (docs/decisions/0007-the-relay.md)."""

from typing import Any

import msgpack
import pytest

from core.golden_messages import CAPTURE, GOLDEN, Row, published
from core.relay.output_reader import OutputReader
from kvsync.core.relay.relay import Relay, Terms
from kvsync.core.relay.residency import Bounds
from kvsync.core.wire import Keep, decode_batch
from kvsync.model.events import AllBlocksCleared, BlockRemoved, BlockStored
from testbed.gateway import array_decoder
from testbed.gateway.events import BlockStored as Told

Event = dict[str, Any]


class Bench:
    """One relay, its engine's events as maps, and a reader."""

    def __init__(self, **terms: Any) -> None:
        self.relay = Relay(Terms(topic=b"out", **terms), 0.0)
        self.reader = OutputReader()
        self.sequences = [0, 0]

    def say(self, *events: Event, rank: int = 0) -> None:
        sequence = self.sequences[rank]
        self.sequences[rank] += 1
        self.hear(
            [b"", sequence.to_bytes(8, "big"), msgpack.packb([1.0, list(events), rank])], rank
        )

    def hear(self, frames: list[bytes], rank: int = 0) -> None:
        self.relay.heard(rank, frames, 0.0)
        self.listen()

    def listen(self) -> None:
        while (message := self.relay.next_message(1.0)) is not None:
            self.reader.take([message])

    @property
    def there(self) -> set[int]:
        return self.reader.whole()


def stored(*hashes: int | bytes, parent: int | bytes | None = None, **more: Any) -> Event:
    fields = {"type": "BlockStored", "block_hashes": list(hashes), "parent_block_hash": parent}
    size = more.get("block_size", 2)
    tokens = [n % 1000 for n in range(size * len(hashes))]
    return {**fields, "token_ids": tokens, "block_size": size, "medium": "GPU", **more}


def removed(*hashes: int | bytes, **more: Any) -> Event:
    return {"type": "BlockRemoved", "block_hashes": list(hashes), "medium": "GPU", **more}


CLEARED = {"type": "AllBlocksCleared"}


def test_several_blocks_of_one_event_become_a_chain() -> None:
    bench = Bench()
    bench.say(stored(1, 2, 3))
    assert bench.reader.parents == {1: None, 2: 1, 3: 2}


def test_hashes_are_unsigned_and_of_bytes_the_first_eight_count() -> None:
    bench = Bench()
    bench.say(stored(-1, parent=None), stored(b"\x01" * 32, parent=-1))
    assert bench.reader.parents == {2**64 - 1: None, 0x0101010101010101: 2**64 - 1}


def test_of_two_hashes_that_begin_alike_the_first_one_counts() -> None:
    bench = Bench()
    one, other = b"\x01" * 8 + b"a", b"\x01" * 8 + b"b"
    bench.say(stored(one), stored(other), stored(5, parent=other), stored(6, parent=one))
    assert bench.there == {0x0101010101010101, 6}
    assert bench.relay.counts.left_out.collision == 2
    bench.say(removed(other))
    assert bench.there == {0x0101010101010101, 6}
    bench.say(removed(one))
    assert bench.there == set()


def test_a_block_in_host_memory_stays_when_the_device_drops_it() -> None:
    bench = Bench()
    bench.say(stored(1), stored(1, medium="CPU", token_ids=[], block_size=0), removed(1))
    assert bench.there == {1}
    bench.say(removed(1, medium="CPU"))
    assert bench.there == set()


@pytest.mark.parametrize("medium", ["cpu", "CPU_PINNED", "CPU_TIER1"])
def test_names_of_host_memory(medium: str) -> None:
    bench = Bench()
    bench.say(stored(1), stored(1, medium=medium), removed(1))
    assert bench.there == {1}


def test_what_only_lower_tiers_or_others_hold_is_left_out() -> None:
    bench = Bench()
    bench.say(stored(1, medium="CPU"), stored(2, medium="STORAGE"), stored(3, locality="REMOTE"))
    bench.say(stored(4), removed(4, medium="EXTERNAL"), removed(4, locality="REMOTE"))
    assert bench.there == {4}
    assert bench.relay.counts.left_out.medium == 5


def test_what_is_more_than_its_tokens_is_left_out_and_what_hangs_on_it() -> None:
    bench = Bench()
    bench.say(stored(1, lora_name="ad"), stored(2, lora_id=3), stored(3, cache_salt="s"))
    bench.say(stored(4, 5, 6, extra_keys=[None, ["image"], None]), stored(7, parent=6))
    assert bench.there == {4}
    assert bench.relay.counts.left_out.special == 5
    bench.say(removed(1, 2, 3, 5, 6))
    assert bench.there == {4}


def test_of_a_hybrid_model_the_groups_that_hold_whole_prefixes_count() -> None:
    bench = Bench()
    bench.say(
        stored(1, 2, group_idx=0, kv_cache_spec_kind="full_attention"),
        stored(1, 2, group_idx=1, kv_cache_spec_kind="sliding_window"),
        removed(1, group_idx=1),
    )
    assert bench.there == {1, 2}
    bench.say(removed(2, group_idx=0))
    assert bench.there == {1}


def test_an_unknown_kind_of_group_counts() -> None:
    bench = Bench()
    bench.say(stored(1, group_idx=0, kv_cache_spec_kind="some_new_attention"))
    assert bench.there == {1}


@pytest.mark.parametrize(
    "event",
    [
        stored(1, token_ids=[1, 2, 3]),
        stored(1, block_size=0, token_ids=[]),
        stored(1, token_ids=[-1, 0]),
        stored(1, token_ids=[0, 2**32]),
        stored(1, 2, extra_keys=[None]),
        stored(token_ids=[1, 2]),
    ],
)
def test_a_malformed_block_is_left_out_and_the_batch_goes_on(event: Event) -> None:
    bench = Bench()
    bench.say(event, stored(9))
    assert bench.there == {9}
    assert bench.relay.counts.left_out.malformed > 0


def test_the_largest_token_id_is_passed_on() -> None:
    bench = Bench()
    bench.say(stored(1, token_ids=[2**32 - 1, 0]))
    assert bench.there == {1}


def test_an_unknown_event_is_counted_and_the_rest_of_its_batch_taken() -> None:
    bench = Bench()
    bench.say({"type": "BlockMoved", "from": 1}, stored(1))
    assert bench.there == {1}
    assert bench.relay.counts.left_out.unknown == 1


def test_a_block_goes_with_its_last_rank() -> None:
    bench = Bench(ranks=2)
    bench.say(stored(1, 2), rank=0)
    bench.say(stored(1), rank=1)
    bench.say(CLEARED, rank=0)
    assert bench.there == {1}
    bench.say(removed(1), rank=1)
    assert bench.there == set()


def test_a_message_that_cannot_be_read_makes_all_of_its_rank_doubtful() -> None:
    bench = Bench(ranks=2)
    bench.say(stored(1), rank=0)
    bench.say(stored(2), rank=1)
    bench.hear([b"", (1).to_bytes(8, "big"), b"\xc1"], 0)
    bench.sequences[0] = 2
    bench.say(stored(3), rank=0)
    assert bench.there == {2, 3}
    assert bench.relay.counts.ranks[0].unreadable == 1
    bench.hear([b"what"], 0)  # not even a sequence: whatever it was, no engine sent it
    assert bench.there == {2, 3}


def test_a_removal_of_what_is_not_known_is_passed_on_only_after_a_gap() -> None:
    bench = Bench(replay=False)
    bench.say(removed(7))
    assert bench.relay.residency.removed == bench.relay.log.next == 0
    bench.sequences[0] += 1
    bench.say(removed(7))
    assert bench.relay.log.next == 1


def test_a_child_that_comes_first_waits_for_its_parent() -> None:
    bench = Bench()
    bench.say(stored(3, parent=2), stored(2, parent=1))
    assert bench.there == set()
    assert bench.relay.residency.waiting == 2
    bench.say(stored(1))
    assert bench.there == {1, 2, 3}


def test_blocks_in_a_circle_are_never_told() -> None:
    bench = Bench()
    bench.say(stored(1, parent=1), stored(2, parent=3), stored(3, parent=2))
    assert bench.there == set()
    bench.say(stored(4), stored(5, parent=4), removed(4), stored(4, parent=5))
    bench.relay.subscribed(b"\x01", 0.0)
    bench.relay.tick(1.0)
    bench.listen()  # and nothing turns in it for ever
    bench.say(removed(1, 2, 3, 4, 5))
    assert len(bench.relay.residency) == 0


def test_at_the_bound_the_oldest_end_of_a_chain_goes() -> None:
    bench = Bench(bounds=Bounds(blocks=4))
    bench.say(stored(1, 2), stored(3))
    bench.say(stored(4, 5, parent=2))
    assert bench.there == {1, 2, 4, 5}
    assert bench.relay.residency.dropped == 1
    bench.say(stored(6))
    assert bench.there == {1, 2, 4, 6}
    bench.say(stored(7, parent=99))  # it waits: it is the first to go
    assert bench.there == {1, 2, 4, 6}
    assert len(bench.relay.residency) == 4


def test_memory_is_a_bound_too() -> None:
    bench = Bench(bounds=Bounds(octets=2000))
    for number in range(1, 100):
        bench.say(stored(number))
    assert 2 <= len(bench.there) < 8
    assert bench.relay.residency.octets <= 2000
    assert bench.relay.residency.dropped == 99 - len(bench.there)


def resident_of(rows: list[list[bytes]]) -> set[int]:
    """By the decoder of this package, without any of the relay's rules."""
    there: set[int] = set()
    for frames in rows:
        for event in decode_batch(frames, keep=Keep(token_ids=True)).events:
            if isinstance(event, BlockStored):
                there |= {h for h in event.block_hashes if isinstance(h, int)}
            elif isinstance(event, BlockRemoved):
                there -= set(event.block_hashes)
            elif isinstance(event, AllBlocksCleared):
                there.clear()
    return there


def test_a_real_stream_of_vllm() -> None:
    bench = Bench()
    for number, frames in enumerate(CAPTURE):
        bench.hear(frames)
        resident = resident_of(CAPTURE[: number + 1])
        assert set(bench.reader.parents) <= resident
        left = resident - set(bench.reader.parents)
        assert len(left) <= bench.relay.counts.left_out.special + bench.relay.residency.waiting
    assert bench.relay.counts.left_out.special > 0  # prompts with a salt
    assert bench.relay.counts.ranks[0].unreadable == bench.relay.counts.ranks[0].gaps == 0


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row["version"])
def test_the_frames_of_every_release(row: Row) -> None:
    bench = Bench()
    told: list[Told] = []
    messages: list[list[bytes]] = []
    for frames in published(row):
        bench.relay.heard(0, frames, 0.0)
        while (message := bench.relay.next_message(1.0)) is not None:
            messages.append(list(message))
            told += [e for e in array_decoder.decode(message[2]) if isinstance(e, Told)]
    assert told
    assert all(len(event.hashes) == len(event.blocks) == 1 for event in told)
    first = [event.hashes[0] % 2**64 for event in told]
    if row["version"].startswith("0.4") or "attn_dp_rank" in str(row["fields"]):
        assert first[0] == -7 % 2**64
        assert first[1] == 2**63 - 1
        assert told[1].parent == -7
    else:
        assert first[:2] == [111, 222]
        assert [event.parent for event in told[:2]] == [None, 111]
    assert [b for event in told[:1] for b in event.blocks] == [
        b"".join(n.to_bytes(4, "big") for n in (1, 2, 3, 4))
    ]
