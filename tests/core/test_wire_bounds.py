"""The dearest messages there are, each as long as is read: their time and memory stay bounded.

Cost grows with the limits, so most is tried with an eighth of them, against an eighth of the bounds.
"""

import time
import tracemalloc
from collections.abc import Callable

import msgpack
import pytest

from fuzz.oracles import ALL
from kvsync.core.gist import read_gist
from kvsync.core.wire import WireLimits, decode_batch
from kvsync.model.events import BlockStored, WireError

WHOLE = WireLimits()
EIGHTH = WireLimits(
    payload=WHOLE.payload // 8,
    events=WHOLE.events // 8,
    blocks=WHOLE.blocks // 8,
    tokens=WHOLE.tokens // 8,
    values=WHOLE.values // 8,
)
SOON = 1.0
"""Seconds of CPU for one message: five times what it takes, for the machine has other work."""

MEMORY = 32 << 20
"""Bytes that reading one message may take, the copy that msgpack makes of it among them."""

Reader = Callable[[list[bytes], WireLimits], object]

READERS: dict[str, Reader] = {
    "gist": lambda frames, limits: read_gist(frames, limits=limits),
    "batch": lambda frames, limits: decode_batch(frames, limits=limits),
    "kept": lambda frames, limits: decode_batch(frames, limits=limits, keep=ALL),
}


def array(count: int) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big")


def batch(limits: WireLimits, event: bytes) -> bytes:
    """As many copies of an event as are read."""
    count = min(limits.events, (limits.payload - 16) // len(event))
    return b"\x92\x01" + array(count) + event * count


def stored(hashes: bytes = b"\x90", tokens: bytes = b"\x90", **more: bytes) -> bytes:
    fields = {"block_hashes": hashes, "parent_block_hash": b"\xc0", "token_ids": tokens}
    fields |= {"block_size": b"\x10", **more}
    pairs: bytes = b"".join(msgpack.packb(name) + value for name, value in fields.items())
    return bytes([0x81 + len(fields)]) + b"\xa4type\xabBlockStored" + pairs


def hashes(limits: WireLimits, each: bytes) -> bytes:
    return batch(limits, stored(array(limits.blocks) + each * limits.blocks))


def tokens(limits: WireLimits, each: bytes) -> bytes:
    count = (limits.payload - 128) // len(each)
    return batch(limits, stored(tokens=array(count) + each * count))


def kept_tokens(limits: WireLimits, each: bytes) -> bytes:
    return batch(limits, stored(tokens=array(limits.values - 9) + each * (limits.values - 9)))


def extra(limits: WireLimits, each: bytes) -> bytes:
    count = limits.blocks // 2
    return batch(limits, stored(extra_keys=array(count) + each * count))


def later(limits: WireLimits, each: bytes) -> bytes:
    """An element of the batch that a later release appends."""
    count = (limits.payload - 128) // len(each)
    return b"\x94\x01\x90\xc0" + array(count) + each * count


def fields(limits: WireLimits, each: bytes) -> bytes:
    count = limits.fields - 1
    return batch(limits, b"\xde\x00" + bytes([count + 1]) + b"\xa4type\xa5Moved" + each * count)


TEXT = msgpack.packb("k" * 4000 + "\U0001f600")  # takes four times its bytes in Python
FULL = {"type": "BlockStored", "block_hashes": [2**63], "parent_block_hash": 2**63}
FULL |= {"token_ids": [70_000] * 8, "block_size": 16, "lora_id": 3, "medium": "GPU"}
FULL |= {"lora_name": "ad", "extra_keys": [["a"]], "group_idx": 0, "kv_cache_spec_kind": "full"}
FULL |= {"kv_cache_spec_sliding_window": 5, "locality": "l", "ownership": "o"}
FULL |= {"session_id": "s", "lookahead_token_ids": [1]}

SHAPES: dict[str, Callable[[WireLimits], bytes]] = {
    "hashes of one byte": lambda limits: hashes(limits, b"\x01"),
    "hashes of one byte, negative": lambda limits: hashes(limits, b"\xe1"),
    "hashes of two bytes": lambda limits: hashes(limits, b"\xc4\x02ab"),
    "hashes of 64 bits": lambda limits: hashes(limits, b"\xcf" + b"\xf0" * 8),
    "tokens of one byte": lambda limits: tokens(limits, b"\xe1"),
    "tokens that are lists": lambda limits: tokens(limits, b"\x90"),
    "tokens in deep lists": lambda limits: tokens(limits, b"\x91" * 500 + b"\x90"),
    "tokens, as many as are kept": lambda limits: kept_tokens(limits, b"\xe1"),
    "nil in the extra keys": lambda limits: extra(limits, b"\xc0"),
    "lists in the extra keys": lambda limits: extra(limits, b"\x90"),
    "lists in lists in the extra keys": lambda limits: extra(limits, b"\x91\x91\xc0"),
    "texts in the extra keys": lambda limits: extra(limits, b"\xa2ab"),
    "events of an unknown type": lambda limits: batch(limits, b"\x91\xa1A"),
    "events without a field": lambda limits: batch(limits, msgpack.packb(["AllBlocksCleared"])),
    "removals": lambda limits: batch(
        limits, msgpack.packb({"type": "BlockRemoved", "block_hashes": [2**63]})
    ),
    "small stores": lambda limits: batch(limits, stored()),
    "full stores": lambda limits: batch(limits, msgpack.packb(FULL)),
    "full stores as arrays": lambda limits: batch(limits, msgpack.packb(list(FULL.values()))),
    "empty names": lambda limits: fields(limits, b"\xa0\xc0"),
    "lists under empty names": lambda limits: fields(limits, b"\xa0\x90"),
    "long names": lambda limits: fields(limits, TEXT + b"\xc0"),
    "long texts": lambda limits: batch(
        limits, stored(medium=TEXT, lora_name=TEXT, session_id=TEXT)
    ),
    "elements of arrays": lambda limits: batch(limits, b"\xdc\x00\x40\xa1A" + b"\x90" * 63),
    "empty lists to step over": lambda limits: later(limits, b"\x90"),
    "empty maps to step over": lambda limits: later(limits, b"\x80"),
    "ext to step over": lambda limits: later(limits, b"\xc7\x00\x05"),
    "deep lists to step over": lambda limits: later(limits, b"\x91" * 1000 + b"\x90"),
    "a long text to step over": lambda limits: (
        b"\x94\x01\x90\xc0\xdb"
        + (limits.payload - 99).to_bytes(4, "big")
        + b"a" * (limits.payload - 99)
    ),
    "nested without end": lambda limits: b"\x91" * limits.payload,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_the_dearest_messages_are_cheap_enough(
    shape: Callable[[WireLimits], bytes], read: Reader
) -> None:
    payload = shape(EIGHTH)
    assert len(payload) <= EIGHTH.payload
    assert time_of(read, payload, EIGHTH) < SOON / 4
    tracemalloc.start()
    try:
        outcome = outcome_of(read, payload, EIGHTH)
        assert tracemalloc.get_traced_memory()[1] < MEMORY / 8
    finally:
        tracemalloc.stop()
    del outcome


@pytest.mark.parametrize("read", [READERS["gist"], READERS["batch"]], ids=["gist", "batch"])
@pytest.mark.parametrize("name", ["hashes of 64 bits", "small stores", "full stores", "removals"])
def test_the_dearest_of_them_in_full_size(name: str, read: Reader) -> None:
    assert time_of(read, SHAPES[name](WHOLE), WHOLE) < SOON


def time_of(read: Reader, payload: bytes, limits: WireLimits) -> float:
    """Seconds of CPU, the best of three."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        outcome_of(read, payload, limits)
        times.append(time.thread_time() - began)
    return min(times)


def outcome_of(read: Reader, payload: bytes, limits: WireLimits) -> object:
    try:
        return read([b"t", bytes(8), payload], limits)
    except WireError as refusal:
        return refusal


def test_a_step_far_above_what_an_engine_does_is_read() -> None:
    """65,536 new blocks of 16 tokens in one event."""
    hashes = list(range(2**63, 2**63 + WHOLE.blocks))
    tokens = [11, 264, 1, 7] * (4 * WHOLE.blocks)
    event = ["BlockStored", hashes, None, tokens, 16, None, "GPU"]
    (read,) = decode_batch([b"t", bytes(8), msgpack.packb([1.0, [event], 0])]).events
    assert isinstance(read, BlockStored)
    assert (read.block_hashes, read.token_count) == (tuple(hashes), 16 * WHOLE.blocks)


@pytest.mark.parametrize(
    "name", ["hashes of one byte", "empty names", "elements of arrays", "full stores"]
)
def test_too_many_values_are_refused_wherever_they_stand(name: str) -> None:
    with pytest.raises(WireError, match="goes beyond the 65536 values read of one batch"):
        decode_batch([b"t", bytes(8), SHAPES[name](EIGHTH)], limits=EIGHTH)
