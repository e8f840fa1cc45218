"""What is resident in the engine, and what readers were told of it.

A block hangs on the block before it. A reader that hears of a block whose parent it does not know
takes it for the first one of a prompt, and keeps that: so a block is told only when all blocks
before it are resident and were told in the same pass. A pass tells everything once, and begins anew
with each new reader; a block that cannot be told waits for its parent.

Blocks are kept in runs (``run``): a chain is parted where another one branches off, where the
holders differ and where a block in its middle goes.

What the relay before this one told is known by its hash only (``inherited``): it cannot be told again,
but it can be taken back, and what hangs on it can be told. Whoever comes new hangs that on the wrong
place, so it is taken back before it is told again on a chain that is known whole (``_loose``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kvsync.core.relay.changes import Changes
from kvsync.core.relay.encoding import Key
from kvsync.core.relay.outbox import Outbox
from kvsync.core.relay.run import LONGEST, RUN_COST, Run

DOUBTFUL = 1 << 16
"""Blocks that are remembered as told while a reader missed something."""

_NEW, _BEFORE, _WAITS, _WAITS_KNOWN = 0, 1, -1, -2
"""In place of a pass: not told yet; told by the relay before this one; waits for its parent and no
reader knows it, or some may."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the table holds at most. Blocks; bytes of memory."""

    blocks: int = 100_000
    octets: int = 64 << 20


class Residency:
    """The table of resident blocks. What changes is said to ``out``."""

    def __init__(self, bounds: Bounds, out: Outbox, changes: Changes | None = None) -> None:
        self._bounds = bounds
        self._out = out
        self._changes = changes
        self.inherited: set[Key] = set()
        """Told by the relay before this one, resident as far as is known, and not in the table."""
        self.recalling = False
        """Whether what comes was known to the relay before: it only says more of what is inherited."""
        self._loose: set[Key] = set()
        """Blocks that were told on one that is inherited, and those on them."""
        self.runs: dict[Key, Run] = {}
        """For each resident block the run that it is in. To be read only."""
        self._octets = 0
        self._pass = _BEFORE + 1
        self._orphans: dict[Key, int] = {}
        """Resident runs by a parent that is not, counted."""
        self._waiting: dict[Key, set[Run]] = {}
        """Runs that wait until their parent was told, by that parent."""
        self._leaves: deque[Run] = deque()
        """Runs in the order in which they became leaves, or longer; of one that stands there more
        than once the last place counts. Those that are no leaves any more stay in it."""
        self._lossy = False
        self._doubtful: set[Key] = set()
        self._to_repair: set[Key] = set()
        self.stored = self.removed = self.dropped = 0
        """Blocks told as they came; removals said; blocks dropped because the table was full."""

    def __len__(self) -> int:
        return len(self.runs)

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
        return sum(len(run) for runs in self._waiting.values() for run in runs)

    def awaits(self, key: Key) -> bool:
        """Whether a block that is not in the table is to come into it."""
        return not self.recalling or key in self.inherited

    def add(self, run: Run) -> None:
        """Blocks became resident that were not: they are told, with what waited for them, or wait.

        No key of the run may be resident, or stand twice in it.
        """
        if self._changes is not None:
            self._changes.told.extend(run.keys)
        if self.inherited and not self.inherited.isdisjoint(run.keys):
            self.inherited.difference_update(run.keys)
            run.told = _BEFORE
        for piece in self._pieces(run):
            self._add(piece)
        if self._is_over():
            self._make_room()

    def hold(self, run: Run, start: int, end: int, holders: int) -> None:
        """These holders have some blocks of a run, too."""
        if run.holders | holders != run.holders:
            self._alone(run, start, end).holders |= holders

    def release(self, run: Run, start: int, end: int, holders: int) -> None:
        """These holders dropped some blocks of a run; they are gone with the last one."""
        left = run.holders & ~holders
        if not left and self.recalling:  # somebody else held it, or it was stored again
            gone = run.keys[start:end]
            self._remove(run, start, end, said=False)
            self.inherited.update(gone)
            if self._changes is not None:
                self._changes.told.extend(gone)
        elif not left:
            self._remove(run, start, end)
        elif left != run.holders:
            self._alone(run, start, end).holders = left

    def release_unknown(self, key: Key, *, doubtful: bool) -> None:
        """Somebody dropped a block that is not in the table. ``doubtful``: it may have been told."""
        if self.recalling:
            return
        if key in self.inherited:
            self.inherited.remove(key)
        elif not doubtful:
            return
        self._take_back([key])

    def release_inherited(self) -> None:
        """Nothing that the relay before this one told is certain any more."""
        inherited, self.inherited = self.inherited, set()
        self._take_back([*inherited])

    def release_all(self, holders: int) -> None:
        """These holders dropped all that they had."""
        for run in dict.fromkeys(self.runs.values()):
            self.release(run, 0, len(run), holders)

    def tidy(self) -> None:
        """Forget of leaves what was said of them before; to be called now and then."""
        if len(self._leaves) > 2 * len(self.runs) + 1024:
            last = [run for run in dict.fromkeys(reversed(self._leaves)) if _is_leaf(run)]
            for run in last:
                run.queued = 1
            self._leaves = deque(reversed(last))

    def begin_pass(self) -> None:
        """From now on nothing counts as told."""
        self._pass += 1

    def begin_repair(self) -> None:
        """A pass for readers that missed something begins: what is gone is to be said again, and what
        they may have hung on the wrong place is taken back before it is told again.
        """
        self._out.begin_again()
        self._to_repair |= self._doubtful
        self._doubtful = set()
        self._lossy = False

    @property
    def has_gone(self) -> bool:
        """Whether there is something to be said again that is gone."""
        return self._out.has_again

    def say_gone(self) -> None:
        """Say some of that."""
        self._out.removed_again(self.runs, self.inherited)

    def note_loss(self, queued: Iterable[Key]) -> None:
        """A reader missed something: what is told from here on, it may hang on the wrong place.

        ``queued`` was told already and is not sent yet.
        """
        self._lossy = True
        self._doubt(queued)

    def _doubt(self, keys: Iterable[Key]) -> None:
        for key in keys:
            if len(self._doubtful) < DOUBTFUL:
                self._doubtful.add(key)

    def tell_again(self, key: Key) -> int:
        """Tell a block with its run, if it was not in this pass and can be; returns how many were
        told for it."""
        run = self.runs.get(key)
        return 0 if run is None or run.told == self._pass else self._tell(run)

    def _pieces(self, run: Run) -> Iterator[Run]:
        """In parts that are not too long, and where none hangs on a block before the last one."""
        cuts: set[Key] = set()
        if self._orphans or run.parent in run.keys:  # else blocks in a circle
            cuts = {key for key in run.keys if key in self._orphans or key == run.parent}
        while len(run) > LONGEST or cuts:
            end = 1 + next(
                (n for n, key in enumerate(run.keys[:LONGEST]) if key in cuts), LONGEST - 1
            )
            if end >= len(run):
                break
            cuts.discard(run.keys[end - 1])
            rest = run.part(end)
            run.children = 0  # it is counted when it comes
            yield run
            run = rest
        yield run

    def _add(self, run: Run) -> None:
        above = self._end_at(run.parent)
        is_calm = not (self._waiting or self._lossy or self._to_repair)
        if is_calm and (run.parent is None if above is None else above.told == self._pass):
            run.told = self._pass
            self._out.stored(run.keys, run.parent, run.tokens)
            self.stored += len(run)
            if self._loose and above is not None and above.keys[-1] in self._loose:
                self._loose.update(run.keys)
            if above is not None and not self._is_awaited(run) and above.takes(run):
                self._append(above, run)
                return
            self._enter(run, above)
        else:
            self._enter(run, above)
            self.stored += self._tell(run)

    def _is_awaited(self, run: Run) -> bool:
        return bool(self._orphans) and run.keys[-1] in self._orphans

    def _append(self, above: Run, run: Run) -> None:
        self._octets += run.cost - RUN_COST
        above.take(run)
        self.runs.update(dict.fromkeys(run.keys, above))
        self._queue_leaf(above)

    def _enter(self, run: Run, above: Run | None) -> None:
        """Into the table, with who hangs on whom."""
        if above is not None:
            above.children += 1
        elif run.parent is not None:
            self._orphans[run.parent] = self._orphans.get(run.parent, 0) + 1
        if self._orphans:
            run.children = self._orphans.pop(run.keys[-1], 0)
        self.runs.update(dict.fromkeys(run.keys, run))
        self._octets += run.cost
        if not run.children:
            self._queue_leaf(run)

    def _end_at(self, key: Key | None) -> Run | None:
        """The run that a block is in, parted after it if need be; None where it is not resident."""
        run = None if key is None else self.runs.get(key)
        if key is None or run is None:
            return None
        end = run.place_of(key) + 1
        if end < len(run):
            self._part(run, end)
        return run

    def _alone(self, run: Run, start: int, end: int) -> Run:
        """A run of just some blocks of one."""
        if end < len(run):
            self._part(run, end)
        return self._part(run, start) if start else run

    def _part(self, run: Run, place: int) -> Run:
        """Part a run before a place; returns the second part."""
        rest = run.part(place)
        self.runs.update(dict.fromkeys(rest.keys, rest))
        self._octets += RUN_COST
        if rest.told in (_WAITS, _WAITS_KNOWN):
            self._await_parent(rest)
        if not rest.children:
            self._queue_leaf(rest)
        return rest

    def _tell(self, run: Run) -> int:
        """Tell a run after those before it, and what waited for any of them."""
        path = {run: None}
        while run.parent is not None:
            parent = self.runs.get(run.parent)
            if parent is not None and parent.told == self._pass:
                break
            if parent is None and run.parent in self.inherited:
                break
            if parent is None or parent.told in (_WAITS, _WAITS_KNOWN) or parent in path:
                self._wait(path)
                return 0
            path[parent] = None
            run = parent
        return self._say(path)

    def _say(self, runs: Iterable[Run]) -> int:
        """Tell runs, the last one first, and what waited for them."""
        told = 0
        todo = list(runs)
        while todo:
            run = todo.pop()
            if run.told == self._pass:
                continue
            if run.told in (_WAITS, _WAITS_KNOWN):
                self._wait_no_more(run)
            run.told = self._pass
            if self._to_repair:
                wrong = [key for key in run.keys if key in self._to_repair]
                self._to_repair.difference_update(wrong)
                self._out.removed(wrong)
            if self.inherited or self._loose:
                self._hang(run)
            if self._lossy:
                self._doubt(run.keys)
            self._out.stored(run.keys, run.parent, run.tokens)
            told += len(run)
            todo += self._waiting.pop(run.keys[-1], ())
        return told

    def _hang(self, run: Run) -> None:
        """Note what a run that is told hangs on, and take it back where it hung on another place."""
        if run.parent in self.inherited or run.parent in self._loose:
            self._loose.update(run.keys)
            return
        wrong = [key for key in run.keys if key in self._loose]
        self._loose.difference_update(wrong)
        self._out.removed(wrong)

    def _take_back(self, keys: Sequence[Key]) -> None:
        if self._changes is not None:
            self._changes.gone.extend(keys)
        self._out.removed(keys)
        self.removed += len(keys)

    def _wait(self, runs: Iterable[Run]) -> None:
        for run in runs:
            if run.told not in (_WAITS, _WAITS_KNOWN):
                run.told = _WAITS if run.told == _NEW else _WAITS_KNOWN
                self._await_parent(run)

    def _await_parent(self, run: Run) -> None:
        assert run.parent is not None  # a first block waits for nothing
        self._waiting.setdefault(run.parent, set()).add(run)

    def _wait_no_more(self, run: Run) -> None:
        assert run.parent is not None
        others = self._waiting.get(run.parent)
        if others is not None:
            others.discard(run)
            if not others:
                del self._waiting[run.parent]

    def _remove(self, run: Run, start: int, end: int, *, said: bool = True) -> None:
        """Some blocks of a run are gone."""
        if start and end < len(run):
            self._part(run, end)
        gone = run.keys[start:end]
        if self._changes is not None:
            self._changes.gone.extend(gone)
        if self._loose:
            self._loose.difference_update(gone)
        waited = run.told in (_WAITS, _WAITS_KNOWN)
        if said and run.told not in (_NEW, _WAITS):
            self._out.removed(gone)
            self.removed += len(gone)
        for key in gone:
            del self.runs[key]
        before = run.cost
        if start:
            self._lose_end(run, start)
            self._octets -= before - run.cost
        else:
            if waited:
                self._wait_no_more(run)
            self._lose_start(run, end)
            self._octets -= before - (run.cost if run.keys else 0)
            if waited and run.keys:
                self._await_parent(run)

    def _lose_end(self, run: Run, start: int) -> None:
        if run.children:
            self._orphans[run.keys[-1]] = run.children
            run.children = 0
        run.cut_end(start)
        self._queue_leaf(run)

    def _lose_start(self, run: Run, end: int) -> None:
        parent, last = run.parent, run.keys[end - 1]
        if end < len(run):
            hang = 1
            run.cut_start(end)
        else:
            hang, run.children = run.children, 0
            run.keys, run.hashes, run.tokens = [], None, b""
        if hang:
            self._orphans[last] = hang
        if parent is not None:
            self._lose_child(parent)

    def _lose_child(self, key: Key) -> None:
        parent = self.runs.get(key)
        if parent is not None:
            parent.children -= 1
            if not parent.children:
                self._queue_leaf(parent)
            return
        left = self._orphans[key] - 1
        if left:
            self._orphans[key] = left
        else:
            del self._orphans[key]

    def _queue_leaf(self, run: Run) -> None:
        run.queued += 1
        self._leaves.append(run)

    def _is_over(self) -> bool:
        return len(self.runs) > self._bounds.blocks or self._octets > self._bounds.octets

    def _make_room(self) -> None:
        """Drop what waits, then the oldest leaves: the chains that are told stay whole."""
        while self._is_over():
            run = self._one_that_waits() or self._oldest_leaf() or self._newest()
            over = len(self.runs) - self._bounds.blocks
            drop = min(len(run), over) if over > 0 else 1
            self.dropped += drop
            self._remove(run, len(run) - drop, len(run))

    def _one_that_waits(self) -> Run | None:
        for runs in reversed(self._waiting.values()):
            return next(iter(runs))
        return None

    def _newest(self) -> Run:
        return next(reversed(self.runs.values()))

    def _oldest_leaf(self) -> Run | None:
        while self._leaves:
            run = self._leaves[0]
            if run.queued == 1 and _is_leaf(run):
                return run
            run.queued -= 1
            self._leaves.popleft()
        return None


def _is_leaf(run: Run) -> bool:
    return bool(run.keys) and not run.children
