"""What is resident in the engine, and what readers were told of it.

A block hangs on the block before it. A reader that hears of a block whose parent it does not know
takes it for the first one of a prompt, and keeps that: so a block is told only when all blocks
before it are resident and were told in the same pass. A pass tells everything once, and begins anew
with each new reader; a block that cannot be told waits for its parent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from kvsync.core.relay.encoding import Key
from kvsync.core.relay.outbox import Outbox

BLOCK_COST = 340
"""Bytes that a block takes beside its event, measured (docs/benchmarks.md)."""

DOUBTFUL = 1 << 16
"""Blocks that are remembered as told while a reader missed something."""

_NEW, _WAITS, _WAITS_KNOWN = 0, -1, -2
"""In place of a pass: not told yet; waits for its parent and no reader knows it, or some may."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the table holds at most. Blocks; bytes of memory."""

    blocks: int = 100_000
    octets: int = 64 << 20


class Block:
    """One resident block. ``full`` is its hash where that is bytes, ``holders`` a set of bits."""

    __slots__ = ("children", "event", "full", "holders", "key", "parent", "told")

    def __init__(
        self, key: Key, full: bytes | None, parent: Key | None, event: bytes, holders: int
    ) -> None:
        self.key = key
        self.full = full
        self.parent = parent
        self.event = event
        self.holders = holders
        self.children = 0
        """Resident blocks that hang on it."""
        self.told = _NEW
        """The last pass in which it was told."""


class Residency:
    """The table of resident blocks. What changes is said to ``out``."""

    def __init__(self, bounds: Bounds, out: Outbox) -> None:
        self._bounds = bounds
        self._out = out
        self.blocks: dict[Key, Block] = {}
        """To be read only."""
        self._octets = 0
        self._pass = 1
        self._orphans: dict[Key, int] = {}
        """Resident blocks by a parent that is not, counted."""
        self._waiting: dict[Key, set[Key]] = {}
        """Blocks that wait until their parent was told, by that parent."""
        self._leaves: deque[Key] = deque()
        """Blocks in the order in which they became leaves; those that are none any more stay in it."""
        self._lossy = False
        self._doubtful: set[Key] = set()
        self._to_repair: set[Key] = set()
        self.stored = self.removed = self.dropped = 0
        """Blocks told as they came; removals said; blocks dropped because the table was full."""

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def limit(self) -> int:
        """Blocks that it holds at most."""
        return self._bounds.blocks

    def limit_to(self, blocks: int) -> None:
        """Hold at most so many; what is beyond goes when the next block comes."""
        self._bounds = replace(self._bounds, blocks=blocks)

    @property
    def octets(self) -> int:
        """Bytes that it takes, about."""
        return self._octets

    @property
    def waiting(self) -> int:
        """Blocks that wait for one before them."""
        return sum(map(len, self._waiting.values()))

    def add(self, block: Block, parent: Block | None) -> None:
        """A block became resident that was not: it is told, with what waited for it, or waits.

        ``parent`` is the block that it hangs on, None where that is not resident or there is none.
        """
        key = block.key
        if self._orphans:
            block.children = self._orphans.pop(key, 0)
        if parent is not None:
            parent.children += 1
        elif block.parent is not None:
            self._orphans[block.parent] = self._orphans.get(block.parent, 0) + 1
        self.blocks[key] = block
        self._octets += len(block.event) + BLOCK_COST
        self._leaves.append(key)
        hangs = block.parent is None if parent is None else parent.told == self._pass
        if hangs and not (self._waiting or self._lossy or self._to_repair):
            block.told = self._pass
            self._out.stored(block.event)
            self.stored += 1
        else:
            self.stored += self._tell(block)
        if len(self.blocks) > self._bounds.blocks or self._octets > self._bounds.octets:
            self._make_room(block)

    def release(self, block: Block, holders: int) -> None:
        """These holders dropped a block; it is gone with the last one."""
        block.holders &= ~holders
        if not block.holders:
            self._remove(block)

    def release_all(self, holders: int) -> None:
        """These holders dropped all that they had."""
        for block in [block for block in self.blocks.values() if block.holders & holders]:
            self.release(block, holders)

    def tidy(self) -> None:
        """Forget of leaves what was said of them before; to be called now and then."""
        if len(self._leaves) > 2 * len(self.blocks) + 1024:
            self._leaves = deque(k for k, b in self.blocks.items() if not b.children)

    def begin_pass(self) -> None:
        """From now on nothing counts as told."""
        self._pass += 1

    def begin_repair(self) -> None:
        """A pass for readers that missed something begins: say again what is gone, and take back what
        they may have hung on the wrong place before it is told again.
        """
        self._out.removed_again(self.blocks)
        self._to_repair |= self._doubtful
        self._doubtful = set()
        self._lossy = False

    def note_loss(self, queued: Iterable[Key]) -> None:
        """A reader missed something: what is told from here on, it may hang on the wrong place.

        ``queued`` was told already and is not sent yet.
        """
        self._lossy = True
        for key in queued:
            self._doubt(key)

    def _doubt(self, key: Key) -> None:
        if len(self._doubtful) < DOUBTFUL:
            self._doubtful.add(key)

    def tell_again(self, key: Key) -> int:
        """Tell a block, if it was not in this pass and can be; returns how many were told for it."""
        block = self.blocks.get(key)
        return 0 if block is None or block.told == self._pass else self._tell(block)

    def _tell(self, block: Block) -> int:
        """Tell a block after those before it, and what waited for any of them."""
        if block.parent is None:
            return self._say([block])
        parent = self.blocks.get(block.parent)
        if parent is not None and parent.told == self._pass:
            return self._say([block])
        path = {block.key: block}
        while parent is not None and parent.told != self._pass:
            if parent.told in (_WAITS, _WAITS_KNOWN) or parent.key in path:
                parent = None
                break
            path[parent.key] = parent
            if parent.parent is None:
                return self._say(reversed(path.values()))
            parent = self.blocks.get(parent.parent)
        if parent is None:
            self._wait(path.values())
            return 0
        return self._say(reversed(path.values()))

    def _say(self, blocks: Iterable[Block]) -> int:
        told = 0
        todo = list(blocks)[::-1]
        while todo:
            block = todo.pop()
            if block.told == self._pass:
                continue
            if block.told in (_WAITS, _WAITS_KNOWN):
                self._wait_no_more(block)
            block.told = self._pass
            if block.key in self._to_repair:
                self._to_repair.discard(block.key)
                self._out.removed(block.key)
            if self._lossy:
                self._doubt(block.key)
            self._out.stored(block.event)
            told += 1
            for key in self._waiting.pop(block.key, ()):
                todo.append(self.blocks[key])
        return told

    def _wait(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            assert block.parent is not None  # a first block waits for nothing
            if block.told not in (_WAITS, _WAITS_KNOWN):
                block.told = _WAITS if block.told == _NEW else _WAITS_KNOWN
                self._waiting.setdefault(block.parent, set()).add(block.key)

    def _wait_no_more(self, block: Block) -> None:
        assert block.parent is not None
        others = self._waiting.get(block.parent)
        if others is not None:
            others.discard(block.key)
            if not others:
                del self._waiting[block.parent]

    def _remove(self, block: Block) -> None:
        key, above = block.key, block.parent
        del self.blocks[key]
        self._octets -= len(block.event) + BLOCK_COST
        if block.told in (_WAITS, _WAITS_KNOWN):
            self._wait_no_more(block)
        if block.told not in (_NEW, _WAITS):
            self._out.removed(key)
            self.removed += 1
        if block.children:
            self._orphans[key] = block.children
        if above is not None:
            self._lose_child(above)

    def _lose_child(self, key: Key) -> None:
        parent = self.blocks.get(key)
        if parent is not None:
            parent.children -= 1
            if not parent.children:
                self._leaves.append(key)
            return
        left = self._orphans[key] - 1
        if left:
            self._orphans[key] = left
        else:
            del self._orphans[key]

    def _make_room(self, newest: Block) -> None:
        """Drop what waits, then the oldest leaves: the chains that are told stay whole."""
        while len(self.blocks) > self._bounds.blocks or self._octets > self._bounds.octets:
            self.dropped += 1
            self._remove(self._one_that_waits() or self._oldest_leaf() or newest)

    def _one_that_waits(self) -> Block | None:
        for keys in reversed(self._waiting.values()):
            return self.blocks[next(iter(keys))]
        return None

    def _oldest_leaf(self) -> Block | None:
        while self._leaves:
            block = self.blocks.get(self._leaves.popleft())
            if block is not None and not block.children:
                return block
        return None
