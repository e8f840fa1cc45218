"""``kvsync verify``: one look, from here, at every source of the models of KVEventSyncs."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from kvsync.cli.options import Duration
from kvsync.cli.reading import Scope
from kvsync.cli.report import print_report
from kvsync.cli.survey import Manner, Survey
from kvsync.cli.table import counted
from kvsync.cli.upshot import output_option, print_data
from kvsync.cli.wanted import Wanted, open_survey, run_looking, wanted_options
from kvsync.core.judge import Policy
from kvsync.core.verification_json import verification_json
from kvsync.model.source import HEALTHY, Observation, SourceKey, SourceReason, Verdict
from kvsync.model.verification import Verification
from kvsync.shell.traffic import Pace

TICK = 0.05
"""Seconds between looks."""

INTERVAL = 1.5
"""Seconds between two samples of a source: a look is short."""

PACE = Pace(window=0.5)
"""Each silent engine is asked at once whether its prefix cache is on at all."""

LISTEN = 4.0
"""Seconds after which nothing more is waited for where every verdict is clear: two samples, for a rate."""

HEAR = 1.5
"""Seconds for which an idle publisher is heard: one that sends would have."""

ASK = 3.0
"""Seconds within which an engine says what it counts, or is not asked from here."""

QUIET = 2.0
"""Seconds after which a person is told that it goes on."""

SAY_EVERY = 5.0


@click.command()
@wanted_options
@click.option(
    "--timeout", type=Duration(), default="15s", show_default=True, help="Time to find out."
)
@output_option()
def verify(
    timeout: float,
    output: str,
    **wanted: Any,
) -> None:
    """Look once, from here, at every source of KVEventSync NAME in NAMESPACE, and say what is wrong.

    Without NAME: of all objects of NAMESPACE (default: the current one); -A: of all namespaces. Each
    pod's publisher is connected to from where this runs, judged as the operator judges it, and
    compared with what the operator says. Nothing is written; the rights of a reader are enough.

    Exit code 0: all is healthy. 1: something is not. 2: nothing could be verified (wrong usage, no
    access, no such object).
    """
    if timeout <= 0:
        raise click.BadParameter("must be at least 1s", param_hint="--timeout")
    found, scope = run_looking(_verify(Wanted(**wanted), timeout))
    if output == "table":
        print_report(found, scope)
    else:
        print_data(verification_json(found, time.monotonic()), output)
    sys.exit(0 if found.healthy else 1)


async def _verify(wanted: Wanted, timeout: float) -> tuple[Verification, Scope]:
    end = time.monotonic() + timeout
    async with open_survey(wanted, manner(timeout)) as survey:
        await look(survey, end)
        return survey.conclude(), survey.scope


def manner(timeout: float, most: int | None = None) -> Manner:
    """How sources are looked at once within ``timeout`` seconds, at most ``most`` of them."""
    policy = Policy(grace=min(1.0, timeout / 2), patience=min(3.0, timeout / 2))
    return Manner(INTERVAL, policy, PACE, most)


async def look(survey: Survey, end: float) -> None:
    """Look until every verdict is clear, or until ``end`` of the monotonic clock.

    Raises:
        AccessError, ApiError: the cluster cannot be read again.
    """
    await _settle(survey, end)
    if not survey.look().healthy:
        # What failed may be a pod that went meanwhile.
        await survey.refresh()
        await _settle(survey, end)


async def _settle(survey: Survey, end: float) -> None:
    """Wait until every verdict is clear, or until the end."""
    teller = _Teller()
    began = time.monotonic()
    while (now := time.monotonic()) < end:
        verdicts = survey.verdicts()
        if all(verdict.settled for verdict in verdicts.values()) and (
            now - began >= LISTEN or _are_final(survey, verdicts)
        ):
            return
        teller.tell(verdicts, end)
        # Judging thousands takes its time, and they are watched by the same loop.
        await asyncio.sleep(max(TICK, 4 * (time.monotonic() - now)))


def _are_final(survey: Survey, verdicts: Mapping[SourceKey, Verdict]) -> bool:
    """Whether looking on would tell nothing new."""
    now = time.monotonic()
    return all(
        _is_final(verdict, survey.observation(key), now, asked=survey.is_asked(key))
        and (survey.is_asked(key) or not survey.targets[key].relay_port)
        for key, verdict in verdicts.items()
    )


def _is_final(verdict: Verdict, seen: Observation | None, now: float, *, asked: bool) -> bool:
    if verdict.reason not in HEALTHY or seen is None:
        return True
    if verdict.reason is SourceReason.IDLE:
        # It may have been asked for its replay, and answered, before its first message came.
        heard = now - (seen.handshake_at or now)
        return verdict.verified and heard >= HEAR and (asked or heard >= ASK)
    return verdict.verified and seen.rate is not None


class _Teller:
    """Says on stderr that it goes on, once it has taken a while."""

    def __init__(self) -> None:
        self._due = time.monotonic() + QUIET

    def tell(self, verdicts: Mapping[SourceKey, Verdict], end: float) -> None:
        """Say how far it is, now and then."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + SAY_EVERY
        clear = sum(verdict.settled for verdict in verdicts.values())
        text = (
            f"{clear} of {counted(len(verdicts), 'source')} are clear; {end - now:.0f} s at most."
        )
        click.echo(f"Looking: {text}", err=True)
