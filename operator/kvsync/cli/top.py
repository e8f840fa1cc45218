"""``kvsync top``: the sources of KVEventSyncs, live."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

from kvsync.cli.options import Duration, stop_signals
from kvsync.cli.output import NobodyReads
from kvsync.cli.screen import Output, Paper, Screen
from kvsync.cli.standing import FRAME, standing
from kvsync.cli.survey import Manner, Survey
from kvsync.cli.upshot import output_option, print_data
from kvsync.cli.wanted import Wanted, open_survey, run_looking, wanted_options
from kvsync.core.judge import Policy
from kvsync.core.verification_json import verification_json
from kvsync.model.errors import AccessError, ApiError
from kvsync.shell.traffic import Pace

READ_EVERY = 5.0
"""Seconds between two reads of the cluster, longer where one takes long."""

SAMPLE_EVERY = 3.0
"""Seconds between two samples of a source: each costs its engine a few messages."""

FIRST_BLOCK = 5.0
"""Seconds within which verdicts become clear, so that what is printed first says something."""

PAPER_ROWS = 40
TICK = 0.1


@click.command()
@wanted_options
@click.option("--pods", is_flag=True, help="A row a source instead of a row a model.")
@click.option("--once", is_flag=True, help="Print one table and end: --count 1.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N tables.")
@click.option(
    "--interval", type=Duration(), default="1s", show_default=True, help="Time between two tables."
)
@click.option(
    "--rows", type=click.IntRange(1), metavar="N", help="Rows at most. Default: what fits."
)
@output_option()
def top(
    pods: bool,
    once: bool,
    count: int | None,
    interval: float,
    rows: int | None,
    output: str,
    **wanted: Any,
) -> None:
    """Show what the sources of KVEventSync NAME in NAMESPACE do, seen from here, until Ctrl-C.

    Without NAME: of all objects of NAMESPACE (default: the current one); -A: of all namespaces.
    What fails stands first. On a terminal the table is drawn in place, elsewhere one follows the
    other. RATE is of all batches, also of those not looked at; LAST is the age of the last one seen.

    Exit code 0: ended by Ctrl-C, or after --count tables. 2: nothing to look at (wrong usage, no
    access, no such object).
    """
    if interval <= 0:
        raise click.BadParameter("must be at least 1s", param_hint="--interval")
    if output != "table":
        if not once and count != 1:
            raise click.UsageError(f"-o {output} goes with --once: it is one object.")
        print_data(run_looking(_once(Wanted(**wanted))), output)
        return
    with suppress(NobodyReads):
        run_looking(_top(Wanted(**wanted), _Form(pods, 1 if once else count, interval, rows)))


@dataclass(frozen=True, slots=True)
class _Form:
    """How it is shown."""

    pods: bool
    count: int | None
    interval: float
    most_rows: int | None

    @property
    def live(self) -> bool:
        """Whether it is drawn in place."""
        return self.count is None and sys.stdout.isatty()

    @property
    def rows(self) -> int:
        """Rows at most, as the terminal is now."""
        if not self.live:
            return self.most_rows or PAPER_ROWS
        room = max(1, shutil.get_terminal_size().lines - FRAME)
        return min(room, self.most_rows or room)


def _manner() -> Manner:
    return Manner(SAMPLE_EVERY, Policy(grace=1.0), Pace())


async def _once(wanted: Wanted) -> dict[str, Any]:
    """What verify writes, as soon as something can be said of every source."""
    async with open_survey(wanted, _manner()) as survey:
        with stop_signals() as stop:
            await _first_verdicts(survey, stop)
        return verification_json(survey.look(), time.monotonic())


async def _top(wanted: Wanted, form: _Form) -> None:
    async with open_survey(wanted, _manner()) as survey:
        reader = _Reader(survey)
        reading = asyncio.create_task(reader.run())
        try:
            with stop_signals() as stop:
                if form.live:
                    with Screen() as screen:
                        await _show(survey, reader, form, screen, stop)
                else:
                    await _first_verdicts(survey, stop)
                    await _show(survey, reader, form, Paper(), stop)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _first_verdicts(survey: Survey, stop: asyncio.Event) -> None:
    """Wait until something can be said of every source, for a while."""
    end = time.monotonic() + FIRST_BLOCK
    while time.monotonic() < end and not stop.is_set():
        if all(verdict.settled for verdict in survey.verdicts().values()):
            return
        await asyncio.sleep(TICK)


async def _show(
    survey: Survey, reader: _Reader, form: _Form, out: Output, stop: asyncio.Event
) -> None:
    shown = 0
    while not stop.is_set():
        began = time.monotonic()
        out.show(
            standing(
                survey.look(),
                began,
                pods=form.pods,
                rows=form.rows,
                place=survey.scope.place,
                trouble=reader.trouble,
            )
        )
        shown += 1
        if shown == form.count:
            return
        # Judging thousands takes its time, and they are watched by the same loop.
        pause = max(form.interval, 4 * (time.monotonic() - began))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)


class _Reader:
    """Reads the cluster again and again: pods come and go."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._read_at = time.monotonic()
        self._error = ""

    @property
    def trouble(self) -> str:
        """Why the picture is old; empty where it is not."""
        age = time.monotonic() - self._read_at
        return f"As of {age:.0f} s ago; {self._error}" if self._error else ""

    async def run(self) -> None:
        """Read until cancelled."""
        pause = READ_EVERY
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                await self._survey.refresh()
                self._read_at, self._error = time.monotonic(), ""
            except (AccessError, ApiError) as error:
                self._error = f"the cluster cannot be read: {error}"
            # A large cluster is not asked for all of its pods all the time.
            pause = max(READ_EVERY, 10 * (time.monotonic() - began))
