"""An engine's message as the relay needs it.

``core/wire`` reads value by value and stays bounded whatever comes; an event of one block costs it
some 30 µs, and a busy engine sends thousands of those a second. A message of usual size and form is
read at once instead (``at_once``), several times cheaper, and says the same. Any other goes to
``core/wire``, which also says what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvsync.core.relay.at_once import REMOTE, read_at_once
from kvsync.core.relay.encoding import packed_tokens
from kvsync.core.relay.happenings import Cleared, Event, Reading, Removed, Stored
from kvsync.core.wire import Keep, decode_batch
from kvsync.model.events import AllBlocksCleared, BlockRemoved, BlockStored, KVEvent

_PRIVATE = Keep(token_ids=True, extra_keys=True)


def read_message(frames: Sequence[bytes]) -> Reading:
    """Read the frames ``[topic, sequence, payload]`` of one published message.

    Raises WireError, and nothing else, when they are not what an engine publishes.
    """
    found = read_at_once(frames)
    return read_whole(frames) if found is None else found


def read_whole(frames: Sequence[bytes]) -> Reading:
    """Read a message of any form, value by value. Raises WireError."""
    batch = decode_batch(frames, keep=_PRIVATE)
    sent = len(batch.events)
    events = [event for event in map(_of_wire, batch.events) if event is not None]
    return Reading(batch.sequence, batch.timestamp, events, sent, sent - len(events))


def _of_wire(event: KVEvent) -> Event | None:
    if isinstance(event, BlockStored):
        tied = event.lora_id is not None or event.lora_name is not None
        keys: Any = event.extra_keys
        extra = keys if isinstance(keys, tuple) else ()
        if extra.count(None) == len(extra) == len(event.block_hashes):
            extra = ()
        return Stored(
            event.block_hashes,
            event.parent_block_hash,
            packed_tokens(event.token_ids or ()),
            event.block_size,
            event.medium,
            event.locality == REMOTE,
            event.group_idx,
            event.kv_cache_spec_kind,
            tied or event.cache_salt is not None or not isinstance(keys, tuple | None),
            extra,
        )
    if isinstance(event, BlockRemoved):
        remote = event.locality == REMOTE
        return Removed(list(event.block_hashes), event.medium, remote, event.group_idx)
    return Cleared() if isinstance(event, AllBlocksCleared) else None
