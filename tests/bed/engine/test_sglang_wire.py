"""SGLang's frames and events against those that its releases produced, and what the operator reads."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bed.engine.golden_frames import in_hex, published_and_replayed
from kvsync.core.wire import Keep, decode_batch, parse_replay
from kvsync.model.events import AllBlocksCleared as ReadCleared
from kvsync.model.events import BlockRemoved as ReadRemoved
from kvsync.model.events import BlockStored as ReadStored
from testbed import engine
from testbed.engine.cache import CacheFullError
from testbed.engine.sglang.cache import RadixCache
from testbed.engine.sglang.releases import BEHAVIOURS, Behaviour, behaviour_of, parse_release
from testbed.engine.wire import AllBlocksCleared, BlockRemoved, BlockStored, Event, encode_batch

DATA = Path(engine.__file__).parents[1] / "data"
GOLDEN = [json.loads(line) for line in (DATA / "sglang_golden.jsonl").read_text().splitlines()]
BY_VERSION = pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["version"])

# The values that the recorded releases were given: the ends of a signed 64-bit hash among them.
BATCHES: list[tuple[float, list[Event]]] = [
    (1.5, [AllBlocksCleared(), BlockStored([-7], None, [1, 2, 3, 4], 4)]),
    (2.5, [BlockStored([2**63 - 1], -7, [5, 6, 7, 8], 4), BlockRemoved([-(2**63)])]),
    (3.5, [AllBlocksCleared()]),
]


def behaviour(version: str) -> Behaviour:
    release = parse_release(version)
    assert release is not None
    return behaviour_of(release)


def out_of_hex(messages: list[list[str]]) -> list[list[bytes]]:
    return [[bytes.fromhex(frame) for frame in message] for message in messages]


@BY_VERSION
def test_published_and_replayed_frames_are_the_releases_own(golden: dict[str, Any]) -> None:
    published, replayed = published_and_replayed(behaviour(golden["version"]).layout, BATCHES)
    assert in_hex(published) == golden["pub_frames_hex"]
    assert in_hex(replayed) == golden["replay_from_1_frames_hex"]


@BY_VERSION
def test_layout_has_the_releases_fields(golden: dict[str, Any]) -> None:
    layout, fields = behaviour(golden["version"]).layout, golden["fields"]
    renamed = [name.replace("data_parallel_rank", "attn_dp_rank") for name in layout.batch]
    assert renamed == fields["KVEventBatch"]
    assert list(layout.stored) == fields["BlockStored"]
    assert list(layout.removed) == fields["BlockRemoved"]
    assert layout.events_are_maps is not golden["array_like"]["BlockStored"]
    assert behaviour(golden["version"]).bind_key is ("bind" in golden["config"])


def test_behaviours_are_in_order_of_releases() -> None:
    releases = [row.since for row in BEHAVIOURS]
    assert releases == sorted(set(releases))


def events_of_tree(tree: dict[str, Any], kind: Behaviour) -> Iterator[list[Event]]:
    cache = RadixCache(tree["pages"], tree["page_size"], kind)
    yield cache.clear()
    for prompt in tree["prompts"]:
        yield cache.run(prompt, [0]).steps[-1]


@BY_VERSION
def test_the_tree_tells_what_the_releases_own_tells(golden: dict[str, Any]) -> None:
    kind, tree = behaviour(golden["version"]), golden["tree"]
    told = [
        decode_batch([b"", bytes(8), encode_batch(kind.layout, 1.0, events, 0)], keep=Keep(True))
        for events in events_of_tree(tree, kind)
    ]
    assert [plain(batch.events, golden) for batch in told] == tree["events"]


def plain(events: tuple[Any, ...], golden: dict[str, Any]) -> list[Any]:
    """What the operator decoded, in the form that the release's own events were written down in."""
    as_array = golden["array_like"]["BlockStored"]
    values: list[Any] = []
    for event in events:
        tag = type(event).__name__
        names = golden["fields"][tag]
        fields = {name: value_of(event, name) for name in names}
        if as_array:
            values.append([tag, *fields.values()])
        else:
            required = ("parent_block_hash", "lora_id")
            kept = {k: v for k, v in fields.items() if v is not None or k in required}
            values.append({"type": tag, **kept})
    return values


def value_of(event: Any, name: str) -> Any:
    value = getattr(event, name, None)
    return list(value) if isinstance(value, tuple) else value


@BY_VERSION
def test_the_operator_reads_the_releases_frames(golden: dict[str, Any]) -> None:
    first, second, third = (
        decode_batch(frames, keep=Keep(token_ids=True))
        for frames in out_of_hex(golden["pub_frames_hex"])
    )
    assert (first.topic, first.sequence, first.timestamp) == ("t", 0, 1.5)
    assert first.rank == (0 if len(golden["fields"]["KVEventBatch"]) > 2 else None)
    medium = "GPU" if "medium" in golden["fields"]["BlockStored"] else None
    assert first.events[0] == ReadCleared()
    stored = second.events[0]
    assert isinstance(stored, ReadStored)
    assert (stored.block_hashes, stored.parent_block_hash) == ((2**63 - 1,), -7)
    assert (stored.token_ids, stored.block_size, stored.medium) == ((5, 6, 7, 8), 4, medium)
    assert second.events[1] == ReadRemoved((-(2**63),), medium)
    assert third.events == (ReadCleared(),)


@BY_VERSION
def test_the_operator_reads_the_releases_replays(golden: dict[str, Any]) -> None:
    *batches, end = [parse_replay(f) for f in out_of_hex(golden["replay_from_1_frames_hex"])]
    assert [batch.sequence for batch in batches] == [1, 2]
    assert end.end
    assert [decode_batch([b"t", bytes(8), b.payload]).timestamp for b in batches] == [2.5, 3.5]


@pytest.mark.parametrize("version", ["0.4.8", "0.5.5", "0.5.9", "0.5.23"])
def test_the_tree_keeps_within_its_room_and_never_removes_what_it_did_not_store(
    version: str,
) -> None:
    cache = RadixCache(8, 2, behaviour(version))
    known: set[Any] = set()
    for start in (*range(0, 60, 3), 0, 3):
        outcome = cache.run([1, 1, *range(start, start + 9)], [0, 0, 0])
        for event in outcome.steps[-1]:
            if isinstance(event, BlockStored):
                known |= set(event.block_hashes)
            elif isinstance(event, BlockRemoved):
                assert known.issuperset(event.block_hashes)
    with pytest.raises(CacheFullError):
        cache.run([*range(20)], [0])


def test_since_0_5_6_each_page_names_the_one_before_it() -> None:
    cache = RadixCache(100, 2, behaviour("0.5.17"))
    events = cache.run([*range(10)], [0]).steps[-1]
    stored = [event for event in events if isinstance(event, BlockStored)]
    assert stored[0].parent_block_hash is None
    assert all(b.parent_block_hash == a.block_hashes[0] for a, b in pairwise(stored))


def test_until_0_5_5_equal_pages_have_equal_hashes_wherever_they_stand() -> None:
    stored = RadixCache(100, 2, behaviour("0.5.5")).run([5, 6, 5, 6], [0]).steps[-1]
    assert all(isinstance(event, BlockStored) for event in stored)
    assert len({event.block_hashes[0] for event in stored if isinstance(event, BlockStored)}) == 1


def test_without_reuse_nothing_is_told() -> None:
    cache = RadixCache(100, 2, behaviour("0.5.23"), reuse=False)
    assert cache.clear() == []
    assert cache.run([*range(10)], [0]).steps == [[], []]


def test_salted_requests_share_nothing() -> None:
    cache = RadixCache(100, 2, behaviour("0.5.23"))
    prompt = [*range(10)]
    assert cache.run(prompt, [0], "a").cached_tokens == 0
    assert cache.run(prompt, [0], "b").cached_tokens == 0
    assert cache.run(prompt, [0], "a").cached_tokens == 8
