"""The prefix index with the limits that the gateway really has."""

import struct
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from testbed.gateway.prefix_index import (
    FORGET_AFTER,
    MAX_PREFIXES,
    Context,
    MismatchError,
    PrefixIndex,
)

MODEL = ("m", -1)
ENGINE_BLOCK = 16
READY = {"a", "b"}


def packed(start: int, count: int) -> bytes:
    return struct.pack(f">{count}I", *range(start, start + count))


BLOCKS = [packed(ENGINE_BLOCK * number, ENGINE_BLOCK) for number in range(3)]
PROMPT = b"".join(BLOCKS)


def chained(index: PrefixIndex, pod: str = "a", hashes: tuple[Any, ...] = (1, 2, 3)) -> None:
    parent = None
    for engine_hash, block in zip(hashes, BLOCKS, strict=True):
        index.store(MODEL, pod, [engine_hash], parent, [block], 0.0)
        parent = engine_hash


def percent(
    index: PrefixIndex,
    context: Context = MODEL,
    tokens: bytes = PROMPT,
    ready: AbstractSet[str] = frozenset(READY),
) -> Any:
    return index.match(context, tokens, ready, 0.0)[0]


def test_one_block_per_event_matches_wholly() -> None:
    index = PrefixIndex(4 * ENGINE_BLOCK)
    chained(index)
    assert percent(index) == {"a": 100}


def test_of_a_three_block_event_only_the_first_chains() -> None:
    index = PrefixIndex(4 * ENGINE_BLOCK)
    index.store(MODEL, "a", [1, 2, 3], None, BLOCKS, 0.0)
    assert percent(index) == {"a": 33}


@pytest.mark.parametrize(("block_size", "expected"), [(64, {"a": 100}), (128, {}), (16, {})])
def test_block_size_must_be_four_times_the_engines(block_size: Any, expected: Any) -> None:
    index = PrefixIndex(block_size)
    chained(index)
    assert percent(index) == expected


def test_a_trailing_partial_block_does_not_count() -> None:
    index = PrefixIndex(64)
    chained(index)
    assert percent(index, tokens=PROMPT + packed(900, 5)) == {"a": 100}
    assert percent(index, tokens=PROMPT[:63]) == {}


def test_the_longest_match_is_per_pod() -> None:
    index = PrefixIndex(64)
    chained(index, "a")
    index.store(MODEL, "b", [1], None, BLOCKS[:1], 0.0)
    assert percent(index) == {"a": 100, "b": 33}
    assert percent(index, ready={"b"}) == {"b": 33}
    assert percent(index, ready=set()) == {}


def test_one_pods_removal_drops_the_prefix_for_all() -> None:
    index = PrefixIndex(64)
    chained(index, "a")
    chained(index, "b")
    index.remove(MODEL, [1])
    assert percent(index) == {}


def test_removing_the_unknown_changes_nothing() -> None:
    index = PrefixIndex(64)
    index.remove(MODEL, [1])
    index.remove_pod(MODEL, "a")
    chained(index)
    index.remove(MODEL, [99])
    assert percent(index) == {"a": 100}


def test_a_pods_end_leaves_the_others() -> None:
    index = PrefixIndex(64)
    chained(index, "a")
    chained(index, "b")
    index.remove_pod(MODEL, "a")
    assert percent(index) == {"b": 100}
    assert len(index) == 3
    index.remove_pod(MODEL, "b")
    assert len(index) == 0


def test_another_model_or_lora_does_not_match() -> None:
    index = PrefixIndex(64)
    chained(index)
    assert percent(index, context=("other", -1)) == {}
    assert percent(index, context=("m", 3)) == {}


def test_hashes_and_blocks_must_be_as_many() -> None:
    index = PrefixIndex(64)
    with pytest.raises(MismatchError, match="length mismatch: 2 vs 1"):
        index.store(MODEL, "a", [1, 2], None, BLOCKS[:1], 0.0)
    index.store(MODEL, "a", [], None, [], 0.0)
    assert len(index) == 0


def test_what_the_router_sent_matches_the_next_time() -> None:
    index = PrefixIndex(64)
    assert percent(index) == {}
    index.add(MODEL, "b", index.prefixes(PROMPT), 0.0)
    assert percent(index) == {"b": 100}


def test_unasked_for_twenty_minutes_is_forgotten_even_while_events_flow() -> None:
    index = PrefixIndex(64)
    chained(index)
    index.evict(FORGET_AFTER)
    assert len(index) == 3
    index.store(MODEL, "a", [4], 3, [packed(99, 16)], FORGET_AFTER)
    index.evict(FORGET_AFTER + 1)
    assert len(index) == 0


def test_to_look_what_is_held_keeps_nothing_in_mind() -> None:
    index = PrefixIndex(64)
    chained(index)
    index.store(MODEL, "b", [1], None, BLOCKS[:1], 0.0)
    held, prefixes = index.held(MODEL, PROMPT, READY)
    assert (held, len(prefixes)) == ({"a": 3, "b": 1}, 3)
    assert index.held(("other", -1), PROMPT, READY)[0] == {}
    index.evict(FORGET_AFTER + 1)
    assert index.held(MODEL, PROMPT, READY)[0] == {}


def test_a_known_hash_keeps_its_place_when_it_is_told_again_under_its_parent() -> None:
    index = PrefixIndex(64)
    index.store(MODEL, "a", [2], 1, BLOCKS[1:2], 0.0)
    chained(index)
    assert percent(index) == {"a": 33}
    index.remove(MODEL, [2, 3])
    chained(index)
    assert percent(index) == {"a": 100}


def test_a_request_keeps_the_model_in_mind() -> None:
    index = PrefixIndex(64)
    chained(index)
    index.match(MODEL, PROMPT, READY, FORGET_AFTER)
    index.evict(FORGET_AFTER + 1)
    assert percent(index) == {"a": 100}


def test_the_routers_own_notes_are_bounded() -> None:
    index = PrefixIndex(4)
    index.add(MODEL, "a", index.prefixes(packed(0, MAX_PREFIXES + 10)), 0.0)
    assert len(index) == MAX_PREFIXES
