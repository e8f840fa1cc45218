"""The block cache: what it stores, finds again and evicts."""

import pytest

from testbed.engine.cache import BlockCache, CacheFullError
from testbed.engine.wire import AllBlocksCleared, BlockRemoved, BlockStored, Event

SIZE = 4


def cache(blocks: int = 100, **options: bool) -> BlockCache:
    return BlockCache(blocks, SIZE, seed=bytes(32), **options)


def tokens(count: int, start: int = 0) -> list[int]:
    return list(range(start, start + count))


def run(place: BlockCache, prompt: list[int], output: int = 1) -> list[Event]:
    steps = place.run(prompt, tokens(output, 1000)).steps
    return [event for step in steps for event in step]


def stored(event: Event) -> BlockStored:
    assert isinstance(event, BlockStored)
    return event


def test_full_blocks_of_a_prompt_are_one_event_chained_from_nothing() -> None:
    (event,) = run(cache(), tokens(10))
    assert len(stored(event).block_hashes) == 2
    assert stored(event).parent_block_hash is None
    assert stored(event).token_ids == tokens(8)
    assert stored(event).extra_keys == [None, None]


def test_a_longer_prompt_stores_only_its_new_blocks_on_the_known_parent() -> None:
    place = cache()
    (first,) = run(place, tokens(10))
    (second,) = run(place, tokens(18))
    assert stored(second).parent_block_hash == stored(first).block_hashes[-1]
    assert stored(second).token_ids == tokens(16)[8:]


@pytest.mark.parametrize("length", [1, SIZE - 1])
def test_a_prompt_shorter_than_a_block_emits_nothing(length: int) -> None:
    assert run(cache(), tokens(length)) == []


def test_a_pure_hit_emits_nothing_and_counts_cached_tokens() -> None:
    place = cache()
    run(place, tokens(10))
    outcome = place.run(tokens(10), [1])
    assert outcome.cached_tokens == 8
    assert outcome.steps == [[]]


def test_the_last_block_of_an_exact_prompt_is_computed_and_announced_again() -> None:
    place = cache()
    (first,) = run(place, tokens(8))
    outcome = place.run(tokens(8), [1])
    assert outcome.cached_tokens == 4
    (again,) = outcome.steps[0]
    assert stored(again).block_hashes == stored(first).block_hashes[1:]


def test_decoding_stores_a_block_in_the_step_that_fills_it() -> None:
    steps = cache().run(tokens(6), tokens(4, 1000)).steps
    assert [len(step) for step in steps] == [1, 0, 1, 0]
    (event,) = steps[2]
    assert stored(event).token_ids == [4, 5, 1000, 1001]


def test_a_full_cache_evicts_the_least_recently_used_tail_first() -> None:
    place = cache(blocks=1 + 4)
    (old,) = run(place, tokens(9))  # two full blocks and a third in use
    events = run(place, tokens(9, 100))
    removed = [event for event in events if isinstance(event, BlockRemoved)]
    # Two blocks were never full; only the end of the old sequence had to go.
    assert [event.block_hashes for event in removed] == [stored(old).block_hashes[1:]]
    assert isinstance(events[-1], BlockStored)
    assert place.run(tokens(9), [1]).cached_tokens == 4


def test_clearing_forgets_all_blocks() -> None:
    place = cache()
    (before,) = run(place, tokens(9))
    assert place.clear() == [AllBlocksCleared()]
    (after,) = run(place, tokens(9))
    assert after == before


def test_without_reuse_nothing_is_found_or_told() -> None:
    place = cache(reuse=False)
    assert run(place, tokens(50)) == []
    assert place.run(tokens(50), [1]).cached_tokens == 0
    assert place.clear() == []


def test_hashes_are_64_bit_numbers_or_whole() -> None:
    (as_number,) = run(cache(), tokens(4))
    (whole,) = run(cache(int_hashes=False), tokens(4))
    (number,), (digest,) = stored(as_number).block_hashes, stored(whole).block_hashes
    assert isinstance(digest, bytes)
    assert len(digest) == 32
    assert number == int.from_bytes(digest[-8:], "big")


def test_a_salt_separates_equal_prompts_and_stands_in_the_first_block() -> None:
    place = cache()
    (plain,) = run(place, tokens(9))
    (salted,) = place.run(tokens(9), [1], salt="tenant").steps[0]
    assert stored(salted).extra_keys == [["tenant"], None]
    assert set(stored(salted).block_hashes).isdisjoint(stored(plain).block_hashes)


def test_a_sequence_that_cannot_fit_is_refused_and_harms_nothing() -> None:
    place = cache(blocks=1 + 3)
    with pytest.raises(CacheFullError, match="13 tokens, room for 12"):
        place.run(tokens(13), [1])
    assert len(run(place, tokens(9))) == 1
