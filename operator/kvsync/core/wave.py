"""Whose pods restart next: a few models at a time, in one order, and why the next one waits.

Everything that restarts pods of models goes through here: changes, and taking back what is not
selected any more or whose object goes. A roll-back is never held back, it heals; but a model that
is rolled back takes a place like any other until its old pods run again.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_NAMED = 5
"""Names in a sentence; more are counted."""


class Move(enum.StrEnum):
    """What a model waits for."""

    CHANGE = "Change"
    TAKE_BACK = "TakeBack"


class Awaited(enum.StrEnum):
    """What frees the place of a model that is on its way, as a word of a sentence."""

    VERIFIED = "verified"
    TRAFFIC = "verified by a first prompt"
    ROLLED_OUT = "rolled out"


@dataclass(frozen=True, slots=True)
class Turn:
    """One model as the wave sees it: on its way (``awaits``), to be moved, or both, or neither."""

    name: str
    move: Move | None = None
    awaits: Awaited | None = None
    failed: bool = False
    restarts: bool = True
    """Whether the move restarts pods; one that does not needs no place."""
    common: bool = True
    """Whether it takes one of the places of all objects too, while it is on its way."""
    certain: bool = True
    """Whether it is known that its pods are being replaced, and not only possible."""


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """An object's place in the queue for the operator's common places: who has fewest models on
    their way goes first, then who changed one last the longest ago (seconds since the epoch).

    Before that counts what its whole namespace has on the way: an author may make as many objects as
    he likes, and gains no place by it.
    """

    in_flight: int
    last_change: int
    sync: str
    """As ``namespace/name``."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How many models may be on their way: of one object, and of all objects together."""

    at_once: int
    cap: int = 0
    """Of all objects; 0 for no limit."""
    elsewhere: tuple[str, ...] = ()
    """Models of other objects that are on their way, as ``namespace/name``."""
    unheard: tuple[str, ...] = ()
    """Objects that were not looked at since the operator started: what of theirs moves is unknown."""
    queue: tuple[Claim, ...] = ()
    """The other objects that wait for one of the common places."""
    neighbours: bool = False
    """Whether there are objects of other namespaces: the last of the common places is theirs."""
    sync: str = ""
    last_change: int = 0
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Wave:
    """Model names: changed now, taken back now, on their way, and waiting in the order of their turns."""

    start: tuple[str, ...] = ()
    take_back: tuple[str, ...] = ()
    current: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    message: str = ""
    common: tuple[str, ...] = ()
    """Those on their way, once the moves are made, that take places of all objects."""
    waits_for_others: bool = False
    """Whether it is other objects' models that the first one waits for."""

    @property
    def in_flight(self) -> tuple[str, ...]:
        """All models that are on their way once the moves are made; those taken back first."""
        return tuple(dict.fromkeys((*self.take_back, *self.current, *self.start)))


def next_wave(turns: Iterable[Turn], budget: Budget) -> Wave:
    """The models whose turn it is.

    The order is that of the names, those to be taken back first: stable and easy to foretell. A
    model whose pods are being replaced anyway holds its own place: it waits for those that were
    moved before it, not for others that only wait like itself.
    """
    ordered = sorted(turns, key=lambda turn: turn.name)
    waiting = sorted((t for t in ordered if t.move), key=lambda turn: turn.move is Move.CHANGE)
    moving = [turn for turn in ordered if turn.awaits]
    failed = [turn.name for turn in ordered if turn.failed]
    line = _Line.of(budget)
    started: list[Turn] = []
    held: dict[str, tuple[str, bool]] = {}
    for turn in waiting:
        why = _why_not(turn, _places(turn, moving, started), failed, line)
        if why is None:
            started.append(turn)
        else:
            held[turn.name] = why
    message, others = next(iter(held.values()), ("", False))
    return Wave(
        start=_names(t for t in started if t.move is Move.CHANGE),
        take_back=_names(t for t in started if t.move is Move.TAKE_BACK),
        current=_names(moving),
        waiting=tuple(held),
        message=message,
        common=tuple(dict.fromkeys(_names(_common([*moving, *started])))),
        waits_for_others=others,
    )


def _common(turns: Iterable[Turn]) -> list[Turn]:
    return [turn for turn in turns if turn.common and (turn.awaits or turn.restarts)]


def _names(turns: Iterable[Turn]) -> tuple[str, ...]:
    return tuple(turn.name for turn in turns)


def _places(turn: Turn, moving: Sequence[Turn], started: Sequence[Turn]) -> list[Turn]:
    """The models that hold a place when a model's turn is looked at."""
    restarted = [each for each in started if each.restarts and each not in moving]
    if not turn.awaits:
        return [*moving, *restarted]
    return [each for each in moving if not each.move or each in started] + restarted


@dataclass(frozen=True, slots=True)
class _Line:
    """Who stands where in the queue for the common places: found once, asked for each model."""

    budget: Budget
    kin: tuple[str, ...] = ()
    """Models on their way by other objects of the same namespace."""
    first_of_kin: Claim | None = None
    first_of_others: tuple[int, Claim] | None = None
    """Of other namespaces, behind how many models its namespace has on the way."""

    @classmethod
    def of(cls, budget: Budget) -> _Line:
        if not budget.cap:
            return cls(budget)
        here = _namespace(budget.sync)
        rolling = Counter(map(_namespace, budget.elsewhere))
        claims = [(_namespace(claim.sync), claim) for claim in budget.queue]
        return cls(
            budget,
            kin=tuple(name for name in budget.elsewhere if _namespace(name) == here),
            first_of_kin=min((c for space, c in claims if space == here), default=None),
            first_of_others=min(
                ((rolling[space], c) for space, c in claims if space != here), default=None
            ),
        )

    def first(self, own: int) -> Claim:
        """Whose turn it is while ``own`` models of the object itself are on their way."""
        mine = Claim(own, self.budget.last_change, self.budget.sync)
        near = len(self.kin) + own
        best = min(mine, self.first_of_kin or mine)
        return min((near, best), self.first_of_others or (near, best))[1]

    @property
    def share(self) -> int:
        """How many models of one namespace are restarted at once."""
        cap = self.budget.cap
        return max(1, cap - 1) if self.budget.neighbours else cap


def _why_not(
    turn: Turn, taken: Sequence[Turn], failed: Sequence[str], line: _Line
) -> tuple[str, bool] | None:
    """Why a model has to wait, and whether for models of others; None: it is its turn."""
    budget = line.budget
    if budget.paused:
        return "Paused: nothing is changed.", False
    if failed and turn.move is Move.CHANGE:
        return f"Stopped: {listed(failed)} failed. Repair it to go on.", False
    rolls = turn.awaits is not None and turn.certain
    if not turn.restarts or (rolls and turn.move is Move.TAKE_BACK):
        return None  # taking back what rolls already puts no further model out of service
    if len(taken) >= budget.at_once:
        return f"Next: {_told(turn)}, when {_awaited(taken)}.", False
    why = _why_others(_names(_common(taken)), line) if budget.cap else ""
    return (f"{_told(turn)} waits: {why}.", True) if why else None


def _why_others(own: Sequence[str], line: _Line) -> str:
    """What of the others keeps a model from a common place while ``own`` hold one; empty: nothing."""
    budget = line.budget
    if budget.unheard:
        return f"the operator started just now and looks at {listed(budget.unheard)} first"
    limit = f"the operator restarts at most {budget.cap} models at once"
    if len(own) + len(budget.elsewhere) >= budget.cap:
        return f"{limit}, and on their way are {listed([*budget.elsewhere, *own])}"
    if len(own) + len(line.kin) >= line.share:
        kept = f"{limit}, at most {line.share} of them of one namespace"
        return f"{kept}, and on their way are {listed([*line.kin, *own])}"
    first = line.first(len(own))
    return "" if first.sync == budget.sync else f"{limit}, and it is the turn of {first.sync}"


def _namespace(name: str) -> str:
    return name.partition("/")[0]


def _told(turn: Turn) -> str:
    return f"{turn.name} (taken back)" if turn.move is Move.TAKE_BACK else turn.name


def _awaited(taken: Sequence[Turn]) -> str:
    """What frees a place: any one of these."""
    ends = {turn.name: turn.awaits or _end_of(turn) for turn in taken}
    told = [
        f"{listed(names, 'or')} is {end.value}"
        for end in Awaited
        if (names := [name for name, awaited in ends.items() if awaited is end])
    ]
    return " or ".join(told)


def _end_of(turn: Turn) -> Awaited:
    return Awaited.VERIFIED if turn.move is Move.CHANGE else Awaited.ROLLED_OUT


def listed(names: Sequence[str], word: str = "and") -> str:
    """Names as in a sentence, a few of them."""
    shown, more = [*names[:_NAMED]], len(names) - _NAMED
    if more > 0:
        shown.append(f"{more} more")
    return f" {word} ".join(part for part in (", ".join(shown[:-1]), *shown[-1:]) if part)
