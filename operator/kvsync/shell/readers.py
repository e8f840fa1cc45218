"""How the probe reads frames: the core's decoder, given to the adapter."""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.adapters.probe.reading import Readers
from kvsync.core.following import ends_replay, sequence_of
from kvsync.core.gist import gist_of, read_gist
from kvsync.core.wire import decode_batch
from kvsync.model.source import Gist


def read_whole(frames: Sequence[bytes]) -> Gist:
    """The gist of a message that was decoded as a whole. Raises WireError."""
    return gist_of(decode_batch(frames))


READERS = Readers(read_whole, read_gist, sequence_of, ends_replay)
