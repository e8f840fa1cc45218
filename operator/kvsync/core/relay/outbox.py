"""What is about to be said, in order."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from kvsync.core.relay.encoding import (
    CLEARED,
    MESSAGE_BYTES,
    MESSAGE_EVENTS,
    REMOVED_KEYS,
    TOKEN,
    Key,
    removed_event,
    stored_events,
    stored_octets,
)

REMEMBERED = 1 << 16
"""Removals at least that can be said again: of a reader that was away nobody knows what it missed."""


AGAIN = 1024
"""Of these so many at once: a millisecond, for to look each up is to wait for memory."""


class Piece(NamedTuple):
    """Some events, as they are written."""

    number: int
    events: bytes
    stored: Sequence[Key]
    """The blocks that they say are there."""


class _Stores:
    """Blocks that are to be told, of one size, as columns: they are written all together."""

    def __init__(self, octets: int) -> None:
        self.octets = octets
        self.keys: list[Key] = []
        self.parents: list[Key] = []
        self.first: list[int] = []
        self.tokens: list[bytes] = []
        self.named: set[Key] = set()
        """These blocks, and those that they hang on."""

    def add(self, keys: Sequence[Key], parent: Key | None, tokens: bytes) -> None:
        if parent is None:
            self.first.append(len(self.keys))
        self.parents.append(parent or 0)
        self.parents += keys[:-1]
        self.keys += keys
        self.tokens.append(tokens)
        self.named.update(keys)
        if parent is not None:
            self.named.add(parent)

    def pieces(self, veil: int) -> Iterator[Piece]:
        most = min(MESSAGE_EVENTS, max(1, MESSAGE_BYTES // stored_octets(self.octets // TOKEN)))
        tokens = b"".join(self.tokens)
        for start in range(0, len(self.keys), most):
            end = start + most
            keys = self.keys[start:end]
            first = [place - start for place in self.first if start <= place < end]
            some = tokens[start * self.octets : end * self.octets]
            events = stored_events(keys, self.parents[start:end], first, some, veil)
            yield Piece(len(keys), events, keys)


class Outbox:
    """Events that are to be published.

    Removals that follow each other become one event. They also go before stores that came earlier,
    unless these name the same block: so an engine that evicts a block for each that it stores is
    passed on in two steps, not in a hundred.

    ``veil`` makes the hashes this pod's own: an index that hears of several pods knows a block's place
    by its hash, so that with the engine's hashes one pod's removal has the others' next blocks hang
    nowhere (docs/decisions/0007-the-relay.md).
    """

    def __init__(self, veil: int = 0, remembered: int = REMEMBERED) -> None:
        self._veil = veil
        self._remembered = remembered
        self._pieces: deque[Piece] = deque()
        self._removed: list[Key] = []
        self._stores = _Stores(0)
        self._recent = array("Q")
        self._again = array("Q")
        """Removals that are still to be said once more, the last one first."""

    def stored(self, keys: Sequence[Key], parent: Key | None, tokens: bytes) -> None:
        """Say that blocks are there; each hangs on the one before, the first one on ``parent``."""
        octets = len(tokens) // len(keys)
        if octets != self._stores.octets:
            self._close()
            self._stores = _Stores(octets)
        self._stores.add(keys, parent, tokens)

    def removed(self, keys: Sequence[Key]) -> None:
        """Say that blocks are gone."""
        if not self._stores.named.isdisjoint(keys):
            self._close()
        self._removed += keys
        self.gone_before(keys)

    def gone_before(self, keys: Iterable[Key]) -> None:
        """These were said to be gone already, the last ones last."""
        self._recent.extend(array("Q", keys))
        if len(self._recent) > 2 * self._remembered:
            del self._recent[: -self._remembered]

    @property
    def recent(self) -> Sequence[Key]:
        """The last blocks that were said to be gone."""
        return self._recent[-self._remembered :]

    def begin_again(self) -> None:
        """All of the last removals are to be said once more (:meth:`removed_again`)."""
        self._again = array("Q", self.recent)

    @property
    def has_again(self) -> bool:
        """Whether there are removals to be said once more."""
        return bool(self._again)

    def removed_again(self, *resident: Container[Key]) -> None:
        """Say some of them, but for blocks that came back; all at once would hold up what is new."""
        gone = list(self._again[-AGAIN:])
        del self._again[-AGAIN:]
        for there in resident:
            gone = [key for key in gone if key not in there]
        if not self._stores.named.isdisjoint(gone):
            self._close()
        self._removed += gone

    def cleared(self) -> None:
        """Say that everything is gone; released gateways pass over it, newer ones obey."""
        self._close()
        self._pieces.append(Piece(1, CLEARED, ()))

    def take(self) -> Piece | None:
        """What the next message says; None for nothing."""
        self._close()
        if not self._pieces:
            return None
        some = [self._pieces.popleft()]
        count, size = some[0].number, len(some[0].events)
        while self._pieces:
            count += self._pieces[0].number
            size += len(self._pieces[0].events)
            if count > MESSAGE_EVENTS or size > MESSAGE_BYTES:
                break
            some.append(self._pieces.popleft())
        if len(some) == 1:
            return some[0]
        return Piece(
            sum(piece.number for piece in some),
            b"".join([piece.events for piece in some]),
            [key for piece in some for key in piece.stored],
        )

    def waiting(self) -> Iterator[Key]:
        """Blocks that are to be told and were not taken yet."""
        for piece in self._pieces:
            yield from piece.stored
        yield from self._stores.keys

    def _close(self) -> None:
        """What comes from now on is said after all that came before."""
        removed, self._removed = self._removed, []
        for start in range(0, len(removed), REMOVED_KEYS):
            event = removed_event(removed[start : start + REMOVED_KEYS], self._veil)
            self._pieces.append(Piece(1, event, ()))
        if self._stores.keys:
            self._pieces.extend(self._stores.pieces(self._veil))
            self._stores = _Stores(self._stores.octets)
