"""Whose pods restart next: a few models at a time, in one order, and why the next one waits.

Everything that restarts pods of models goes through here: changes, and taking back what is not
selected any more or whose object goes. A roll-back is never held back, it heals; but a model that
is rolled back takes a place like any other until its old pods run again.
"""

from __future__ import annotations

import enum
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
    their way goes first, then who changed one last the longest ago (seconds since the epoch)."""

    in_flight: int
    last_change: int
    sync: str


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
    started: list[Turn] = []
    held: dict[str, tuple[str, bool]] = {}
    for turn in waiting:
        why = _why_not(turn, _places(turn, moving, started), failed, budget)
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


def _why_not(
    turn: Turn, taken: Sequence[Turn], failed: Sequence[str], budget: Budget
) -> tuple[str, bool] | None:
    """Why a model has to wait, and whether for models of others; None: it is its turn."""
    if budget.paused:
        return "Paused: nothing is changed.", False
    if failed and turn.move is Move.CHANGE:
        return f"Stopped: {listed(failed)} failed. Repair it to go on.", False
    rolls = turn.awaits is not None and turn.certain
    if not turn.restarts or (rolls and turn.move is Move.TAKE_BACK):
        return None  # taking back what rolls already puts no further model out of service
    if len(taken) >= budget.at_once:
        return f"Next: {_told(turn)}, when {_awaited(taken)}.", False
    return _why_others(turn, taken, budget) if budget.cap else None


def _why_others(turn: Turn, taken: Sequence[Turn], budget: Budget) -> tuple[str, bool] | None:
    if budget.unheard:
        first = listed(budget.unheard)
        return (
            f"{_told(turn)} waits: the operator started just now and looks at {first} first.",
            True,
        )
    limit = f"the operator restarts at most {budget.cap} models at once"
    common = _common(taken)
    if len(common) + len(budget.elsewhere) >= budget.cap:
        busy = listed([*budget.elsewhere, *_names(common)])
        return f"{_told(turn)} waits: {limit}, and on their way are {busy}.", True
    mine = Claim(len(common), budget.last_change, budget.sync)
    first_claim = min(budget.queue, default=mine)
    if first_claim < mine:
        return f"{_told(turn)} waits: {limit}, and it is the turn of {first_claim.sync}.", True
    return None


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
