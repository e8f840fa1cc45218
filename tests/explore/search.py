"""Search through the states of a scenario, each visited once."""

from __future__ import annotations

import random
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from explore.community import CRASH, EDIT, WAIT, Community, Move, Scenario
from explore.promises import check_rest, check_state
from explore.rows import BrokenMoveError, Row, Rows, Turn

AUDIT = 20_000
"""Of so many states one has all its moves made again, in full."""


PROGRESS_EVERY = 50_000


class BrokenPromiseError(AssertionError):
    """A promise does not hold; the message says after which moves."""


@dataclass
class Found:
    """What a search came to."""

    states: int = 0
    left: int = 0
    """Those of them whose moves were all made."""
    moves: int = 0
    """Those that lead to another state."""
    rests: int = 0
    """States in which nothing happens any more."""
    crashes: int = 0
    """Moves by which the operator dies with something in its hands."""
    amid: int = 0
    """Those of them by which it dies with writes that a pass had decided and not made."""
    depth: int = 0
    """The most moves on the way by which a state was found."""
    decided: int = 0
    """Moves that were made in full; of the others it was known where they lead."""
    audited: int = 0
    """Moves of which that was known and that were made in full all the same."""
    complete: bool = False
    """Whether all states were visited, not only as many as were asked for."""


class Search:
    """Visits the states of a scenario, the nearest first, so that a way to a broken promise is the shortest.

    ``deep``: every second time the one found last, in a shuffled order of moves (the same at each run): of
    a scenario with more states than are visited the ends are seen too, not only the beginning. ``audit``: of
    how many states one has all its moves made in full, whatever is known of them.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        deep: bool = False,
        audit: int = AUDIT,
        progress: Callable[[Found], None] = lambda found: None,
    ) -> None:
        self._deep, self._audit, self._progress = deep, audit, progress
        self.found = Found()
        self._number: dict[int, int] = {}
        # Millions of each: as numbers side by side they take a tenth of what lists of objects do.
        self._origin, self._by, self._depth = array("i"), array("H"), array("H")
        self._onward, self._onward_from = array("I"), array("q")
        self._moves: dict[Move, int] = {}
        self._queue: deque[tuple[int, int]] = deque()
        self._ahead: list[tuple[int, int]] = []
        """Found by going ahead, the last one on top."""
        self._goes_ahead = False
        first = Community(scenario)
        check_state(first)
        self._rows = Rows(first)
        self._are_edited = bool(scenario.edited)
        self._visit(self._rows.packed(self._rows.row(first)), -1, ("begin", ""))

    def run(self, most: int | None) -> Found:
        """Visit up to that many states; None: all.

        Raises:
            BrokenPromiseError: a promise does not hold in one of them, or some are never left.
        """
        found = self.found
        while (self._queue or self._ahead) and (most is None or found.states < most):
            number, packed = self._next()
            found.left += 1
            self._leave(number, packed)
            if found.left % PROGRESS_EVERY == 0:
                found.decided = self._rows.made
                self._progress(found)
        found.decided = self._rows.made
        found.complete = not self._queue and not self._ahead
        if found.complete:
            self._check_it_ends()
        return found

    def states(self) -> Iterator[Community]:
        """All that were visited, the first one first."""
        return (self._rows.state(self._rows.unpacked(packed)) for packed in self._number)

    def _next(self) -> tuple[int, int]:
        self._goes_ahead = self._deep and self.found.left % 2 == 1
        if self._ahead and (self._goes_ahead or not self._queue):
            return self._ahead.pop()
        return self._queue.popleft()

    def _visit(self, packed: int, origin: int, move: Move) -> int:
        """Number a state, and look at it; it waits to be left."""
        self._look_at(packed, move)
        number = self._number[packed] = len(self._number)
        depth = self._depth[origin] + 1 if origin >= 0 else 0
        self._origin.append(origin)
        self._by.append(self._moves.setdefault(move, len(self._moves)))
        self._depth.append(depth)
        self._onward_from.append(-1)
        self.found.states = number + 1
        self.found.depth = max(self.found.depth, depth)
        (self._ahead if self._goes_ahead else self._queue).append((number, packed))
        return number

    def _look_at(self, packed: int, move: Move) -> None:
        if move[0] != EDIT:  # what a user does alone is no fault of the operator
            self._rows.check_state(self._rows.unpacked(packed))

    def _leave(self, number: int, packed: int) -> None:
        begin = self._onward_from[number] = len(self._onward)
        row = self._rows.unpacked(packed)
        turns = self._turns(number, row)
        for move, more, by_choice, turns_on in turns:
            if not more:
                continue
            try:
                if turns_on and self._rows.is_any_silent(row):
                    self._rows.audit(row, move)
                target = self._go(packed + more, number, move)
            except AssertionError as broken:
                raise BrokenPromiseError(self._story(broken, number, move)) from broken
            if not by_choice:
                self._onward.append(target)
        if len(self._onward) == begin:
            self._wait(number, row)
        self._onward.append(number)  # the end of its list: no move leads from a state to itself
        self._count(row, turns)

    def _go(self, packed: int, number: int, move: Move) -> int:
        """Where a move leads."""
        target = self._number.get(packed)
        if target is None:
            return self._visit(packed, number, move)
        if self._are_edited:
            self._look_at(packed, move)
        return target

    def _count(self, row: Row, turns: Sequence[Turn]) -> None:
        found = self.found
        found.moves += sum([more != 0 for _, more, _, _ in turns])
        if (CRASH, "") in [move for move, more, _, _ in turns if more]:
            found.crashes += 1
            found.amid += self._rows.is_amid_writes(row)

    def _turns(self, number: int, row: Row) -> list[Turn]:
        try:
            turns = self._rows.turns(row)
            if number % self._audit == 0:
                self._make_in_full(row, turns)
        except BrokenMoveError as broken:
            raise BrokenPromiseError(self._story(broken, number, broken.move)) from broken
        if self._deep:
            turns = random.Random(number).sample(turns, len(turns))
        return turns

    def _make_in_full(self, row: Row, turns: Sequence[Turn]) -> None:
        packed = self._rows.packed(row)
        for move, more, _, _ in turns:
            try:
                then = self._rows.packed(self._rows.audit(row, move))
                assert then == packed + more, "it depends on more than is said"
            except AssertionError as broken:
                raise BrokenMoveError(move, broken) from broken
            self.found.audited += 1

    def _wait(self, number: int, row: Row) -> None:
        """Where nothing happens by itself time passes, or all is at rest."""
        state = self._rows.state(row)
        try:
            if state.next_look is not None:
                then = self._rows.packed(self._rows.row(state.after((WAIT, ""))))
                self._onward.append(self._go(then, number, (WAIT, "")))
                self.found.moves += 1
                return
            self.found.rests += 1
            check_rest(state)
        except AssertionError as broken:
            raise BrokenPromiseError(self._story(broken, number)) from broken

    def _story(self, broken: object, number: int, *more: Move) -> str:
        moves = [*reversed([*self._back(number)]), *more]
        return f"{broken}\nafter: " + ", ".join(" ".join(move).strip() for move in moves)

    def _back(self, number: int) -> Iterator[Move]:
        moves = [*self._moves]
        while number > 0:
            yield moves[self._by[number]]
            number = self._origin[number]

    def _targets(self, number: int) -> Iterator[int]:
        """Where the moves that are not made by choice lead."""
        place = self._onward_from[number]
        while (target := self._onward[place]) != number:
            yield target
            place += 1

    def _check_it_ends(self) -> None:
        """Left alone it comes to rest from everywhere, in whatever order: no way leads in a circle."""
        states = self.found.states
        entries = array("I", bytes(4 * states))
        for number in range(states):
            for target in self._targets(number):
                entries[target] += 1
        free = array("I", (number for number, count in enumerate(entries) if not count))
        place = 0
        while place < len(free):
            for target in self._targets(free[place]):
                entries[target] -= 1
                if not entries[target]:
                    free.append(target)
            place += 1
        if len(free) < states:
            circle = next(number for number, count in enumerate(entries) if count)
            raise BrokenPromiseError(self._story("it goes round in circles", circle))
