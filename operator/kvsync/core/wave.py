"""Which models are changed next: a few at a time, none after a failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsync.core.assess import ModelState, ModelView

_IN_FLIGHT = frozenset({ModelState.ROLLING_OUT, ModelState.VERIFYING})


@dataclass(frozen=True, slots=True)
class Wave:
    """Model names: changed now, on their way, and waiting, in the order of their turns."""

    start: tuple[str, ...]
    current: tuple[str, ...]
    waiting: tuple[str, ...]
    message: str


def next_wave(views: Sequence[ModelView], max_concurrent: int) -> Wave:
    """The models whose turn it is. The order is that of the names: stable and easy to foretell."""
    ordered = sorted(views, key=lambda view: view.name)
    current = tuple(view.name for view in ordered if view.state in _IN_FLIGHT)
    # One that waits for its next repair holds no turn: the others go before it.
    pending = tuple(
        view.name
        for view in ordered
        if view.state is ModelState.PENDING and view.held_until is None
    )
    failed = [view.name for view in ordered if view.state is ModelState.FAILED]
    if failed and pending:
        names = ", ".join(failed)
        return Wave((), current, pending, f"Stopped: {names} failed. Repair it to go on.")
    free = max(0, max_concurrent - len(current))
    start, waiting = pending[:free], pending[free:]
    message = (
        f"Next: {waiting[0]}, when {', '.join(current + start)} is verified." if waiting else ""
    )
    return Wave(start, current, waiting, message)
