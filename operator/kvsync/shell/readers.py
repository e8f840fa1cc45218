"""How the probe reads frames: the core's decoder, given to the adapter."""

from __future__ import annotations

from kvsync.adapters.probe.reading import Readers
from kvsync.core.following import ends_replay, sequence_of
from kvsync.core.gist import read_gist

READERS = Readers(read_gist, sequence_of, ends_replay)
