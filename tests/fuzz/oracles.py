"""What must hold of whatever bytes come: a value or the one typed error, soon, and readers agree.

The fuzz targets and the tests share it. A broken promise is an AssertionError, or whatever
exception came in place of the typed one.
"""

import dataclasses
import gc
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from kvsync.core.event_json import batch_json
from kvsync.core.gist import gist_of, read_gist
from kvsync.core.recording import LineError, decode_line_or_error, read_line, write_line
from kvsync.core.relay.relay import Relay, Terms
from kvsync.core.relay.residency import Bounds
from kvsync.core.wire import Keep, decode_batch, parse_replay
from kvsync.model.events import (
    Batch,
    BlockStored,
    KVEvent,
    WireError,
)
from testbed.gateway import array_decoder
from testbed.gateway.events import BlockRemoved as Gone
from testbed.gateway.events import BlockStored as Told

ALL = Keep(token_ids=True, extra_keys=True)
SOON = 0.3
"""Seconds of CPU that no input of some KiB may take, with room for a loaded machine and tracing."""

T = TypeVar("T")


def check_message(frames: Sequence[bytes]) -> None:
    """The decoder, with and without private fields, and the gist tell the same of one message."""
    batch = value_or_refusal(lambda: decode_batch(frames))
    kept = value_or_refusal(lambda: decode_batch(frames, keep=ALL))
    gist = value_or_refusal(lambda: read_gist(frames))
    if batch is not None:
        assert gist == gist_of(batch)
        check_rendered(batch)
    if kept is not None:
        assert batch == without_private_fields(kept)
        check_rendered(kept)


def check_gist(frames: Sequence[bytes]) -> None:
    """The gist alone is a value or a refusal."""
    gist = value_or_refusal(lambda: read_gist(frames))
    if gist is not None:
        counts = dataclasses.astuple(gist.events)
        assert min(counts) >= 0
        assert (gist.layout is None) == (sum(counts) == 0)


def check_replay(frames: Sequence[bytes]) -> None:
    """A message of the replay socket is a value or a refusal; what it carries is left alone."""
    reply = value_or_refusal(lambda: parse_replay(frames))
    if reply is not None:
        assert reply.end == (reply.sequence is None)
        assert reply.payload == (b"" if reply.end else frames[-1])
        assert reply.topic == (frames[1] if len(frames) == 4 else None)


def check_line(line: bytes) -> None:
    """A line of a recording becomes JSON, or an error in plain words; its frames survive a copy."""
    with in_time():
        shown, decoded = decode_line_or_error(line, ALL, 7)
    json.dumps(shown, allow_nan=False)
    assert decoded == ("error" not in shown)
    if not decoded:
        check_words(shown["error"])
    try:
        frames = read_line(line)
    except LineError as refusal:
        check_words(str(refusal))
    else:
        assert read_line(write_line(frames, 1.0)) == frames


def check_relay(data: bytes) -> None:
    """Whatever two ranks send, what the relay says is decoded by a gateway's strict rules.

    ``data`` is payloads with a length in two bytes before each; odd ones are of rank 1.
    """
    relay = Relay(Terms(ranks=2, replay=False, bounds=Bounds(blocks=64)), 0.0)
    told: dict[int, int | None] = {}
    at = number = 0
    with in_time():
        while at + 2 <= len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            relay.heard(
                number % 2, [b"", (number // 2).to_bytes(8, "big"), data[at + 2 : end]], 0.0
            )
            at, number = end, number + 1
            while (message := relay.next_message(1.0)) is not None:
                for event in array_decoder.decode(message[2]):
                    if isinstance(event, Told):
                        (key,), (_,) = event.hashes, event.blocks
                        assert event.parent is None or event.parent in told
                        told[key] = event.parent
                    elif isinstance(event, Gone):
                        for key in event.hashes:
                            told.pop(key, None)
            assert len(relay.residency) <= 64
            assert len(told) <= 64


def value_or_refusal(read: Callable[[], T]) -> T | None:
    """What ``read`` returns; None where it raises a WireError in plain words."""
    with in_time():
        try:
            return read()
        except WireError as error:
            refusal = error
    check_words(str(refusal))
    # A traceback would show the cause, and that quotes the stream.
    assert refusal.__cause__ is None
    assert refusal.__suppress_context__ or refusal.__context__ is None
    return None


@contextmanager
def in_time() -> Iterator[None]:
    """The block takes less CPU than ``SOON``."""
    # A collection goes through all that the tests before have left, and takes as long.
    gc.disable()
    try:
        began = time.thread_time()
        yield
        spent = time.thread_time() - began
    finally:
        gc.enable()
    assert spent < SOON


def check_rendered(batch: Batch) -> None:
    """Any batch has a form in plain JSON."""
    json.dumps(batch_json(batch), allow_nan=False)


def without_private_fields(batch: Batch) -> Batch:
    """The batch as it is read when nothing private is kept."""
    return dataclasses.replace(batch, events=tuple(map(_bare, batch.events)))


def _bare(event: KVEvent) -> KVEvent:
    if isinstance(event, BlockStored):
        return dataclasses.replace(
            event, token_ids=None, extra_keys=None, lookahead_token_ids=None, cache_salt=None
        )
    return event


_TEXTS = """
the message has frames; an engine sends; the replay message has frames; an engine sends or
the topic has bytes; at most are read; the sequence frame the payload of bytes ends inside
the replay's end marker carries bytes; bytes follow the batch; the batch has elements
the batch is a map without 'ts' or 'events'; does not have the layout of KV events
the batch's rank event claims elements goes beyond the values read of one batch
has a field twice; has a field name that is no text; has a type that is no name; is empty
is a map without 'type'; is nested too deeply; has no list where the token ids stand
has a block hash that is neither integer nor bytes; has a time that is no number
(BlockStored) (BlockRemoved) has no block_hashes block_size parent_block_hash token_ids
has NoneType bool int float str bytes tuple list dict ExtType Timestamp
in place of an integer, a text, a plain value, a block hash
line holds more than the values that are read; has neither 'frames_hex' nor 'payload_hex'
has a 'frames_hex' that is no list; has a 'frames_hex' 'payload_hex' 'seq_hex' that is no
hexadecimal text; has no 'topic' that is a text; has neither 'seq_hex' nor a 'seq' of bits
is not UTF-8; is no JSON that can be read; is no JSON object; is no JSON at character
Expecting value property name enclosed in double quotes delimiter Extra data
Unterminated string starting at Invalid control character at Invalid \\escape
Invalid \\uXXXX escape Illegal trailing comma before end of object array
Unexpected UTF-8 BOM (decode using utf-8-sig)
"""
_WORDS = frozenset(re.findall(r"[A-Za-z_]+", _TEXTS))


def check_words(text: str) -> None:
    """An error is short, and of our own words and numbers: nothing of the stream is in it."""
    assert len(text) < 160
    assert text.isascii()
    assert set(re.findall(r"[A-Za-z_]+", text)) <= _WORDS, text
