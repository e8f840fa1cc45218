"""Search through the states of a scenario, each visited once."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from explore.community import CRASH, DELETE, EDIT, WAIT, Community, Move, Scenario
from explore.promises import check_move, check_rest, check_state

BY_CHOICE = (CRASH, DELETE, EDIT)
"""Moves that need not happen: where only these are left all is at rest."""


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
    depth: int = 0
    """The most moves on the way by which a state was found."""
    complete: bool = False
    """Whether all states were visited, not only as many as were asked for."""
    onward: list[list[int]] = field(default_factory=list)
    """By state: where the moves that are not made by choice lead."""


class Search:
    """Visits the states of a scenario, the nearest first, so that a way to a broken promise is the shortest.

    ``deep``: every second time the one found last, in a shuffled order of moves (the same at each run): of
    a scenario with more states than are visited the ends are seen too, not only the beginning.
    """

    def __init__(self, scenario: Scenario, *, deep: bool = False) -> None:
        self._deep = deep
        self.found = Found()
        self._number: dict[bytes, int] = {}
        self._from: list[tuple[int, Move]] = []
        self._depth: list[int] = []
        self._queue: deque[tuple[int, Community]] = deque()
        self._ahead: list[tuple[int, Community]] = []
        """Found by going ahead, the last one on top."""
        self._goes_ahead = False
        first = Community(scenario)
        check_state(first)
        self._visit(first, -1, ("begin", ""))

    def run(self, most: int) -> Found:
        """Visit up to that many states.

        Raises:
            BrokenPromiseError: a promise does not hold in one of them, or some are never left.
        """
        found = self.found
        while (self._queue or self._ahead) and found.states < most:
            number, state = self._next()
            found.left += 1
            self._leave(number, state)
        found.complete = not self._queue and not self._ahead
        if found.complete:
            self._check_it_ends()
        return found

    def _next(self) -> tuple[int, Community]:
        self._goes_ahead = self._deep and self.found.left % 2 == 1
        if self._ahead and (self._goes_ahead or not self._queue):
            return self._ahead.pop()
        return self._queue.popleft()

    def _visit(self, state: Community, origin: int, move: Move) -> int:
        digest = state.digest
        known = self._number.get(digest)
        if known is not None:
            return known
        number = self._number[digest] = len(self._number)
        self._from.append((origin, move))
        self._depth.append(self._depth[origin] + 1 if origin >= 0 else 0)
        self.found.states = number + 1
        self.found.depth = max(self.found.depth, self._depth[number])
        self.found.onward.append([])
        (self._ahead if self._goes_ahead else self._queue).append((number, state))
        return number

    def _leave(self, number: int, state: Community) -> None:
        moves = [*state.moves()]
        if self._deep:
            random.Random(number).shuffle(moves)
        for move in moves:
            self._take(number, state, move)
        if self.found.onward[number]:
            return
        if state.next_look is not None:
            self._take(number, state, (WAIT, ""))
            return
        self.found.rests += 1
        self._asserted(check_rest, number, state)

    def _take(self, number: int, state: Community, move: Move) -> None:
        try:
            after = state.after(move)
            check_move(state, move, after)
        except AssertionError as broken:
            raise BrokenPromiseError(self._story(broken, number, move)) from broken
        then = self._visit(after, number, move)
        if then == number:
            return
        self.found.moves += 1
        self.found.crashes += move[0] == CRASH
        if move[0] not in BY_CHOICE:
            self.found.onward[number].append(then)

    def _asserted(self, check: Callable[[Community], None], number: int, state: Community) -> None:
        try:
            check(state)
        except AssertionError as broken:
            raise BrokenPromiseError(self._story(broken, number)) from broken

    def _story(self, broken: object, number: int, *more: Move) -> str:
        moves = [*reversed([*self._back(number)]), *more]
        return f"{broken}\nafter: " + ", ".join(" ".join(move).strip() for move in moves)

    def _back(self, number: int) -> Iterator[Move]:
        while number > 0:
            number, move = self._from[number]
            yield move

    def _check_it_ends(self) -> None:
        """Left alone it comes to rest from everywhere, in whatever order: no way leads in a circle."""
        onward = self.found.onward
        entries = [0] * len(onward)
        for targets in onward:
            for target in targets:
                entries[target] += 1
        free = [number for number, count in enumerate(entries) if not count]
        for number in free:
            for target in onward[number]:
                entries[target] -= 1
                if not entries[target]:
                    free.append(target)
        if len(free) < len(onward):
            circle = next(number for number, count in enumerate(entries) if count)
            raise BrokenPromiseError(self._story("it goes round in circles", circle))
