"""``kvsync record tcp://HOST:PORT``: what a publisher sends, byte for byte, as JSON Lines."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass

import click

from kvsync.adapters.memory import MemoryGuard
from kvsync.adapters.names import resolve
from kvsync.adapters.outlet import Outlet
from kvsync.adapters.recorder import Recorder
from kvsync.cli.look import KEY, Look
from kvsync.cli.options import Duration, SourceAddress, run_async, stop_signals
from kvsync.cli.output import NobodyReads, cannot_write
from kvsync.core.judge import Policy
from kvsync.core.recording import FRAMES_LIMIT, MESSAGE_LIMIT, write_line
from kvsync.model.address import Address
from kvsync.model.source import HEALTHY, Target, Verdict

TICK = 0.01
"""Seconds between looks while nothing comes."""

AT_ONCE = 256
"""Messages between two looks at everything else."""

BACKLOG = 16 << 20
"""Bytes that wait for the reader of stdout before the engine is asked for no more."""


@click.command()
@click.argument("source", type=SourceAddress(), metavar="tcp://HOST:PORT")
@click.option("--for", "duration", type=Duration(), metavar="30s", help="Stop after this time.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Stop after N messages.")
@click.option("--topic", default="", metavar="PREFIX", help="Only topics that begin like this.")
def record(source: Address, duration: float | None, count: int | None, topic: str) -> None:
    """Write what the publisher at tcp://HOST:PORT sends from now on, for kvsync decode.

    A line is {"frames_hex": [topic, sequence, payload], "received_at": seconds since the epoch}; it
    holds the prompts' token ids. Stops at Ctrl-C too. Where stdout is read too slowly, the engine
    is asked for no more until it was read. Nothing is asked of an engine's history.

    Exit code 0: something was recorded, or the publisher is idle. 1: not, and stderr says why.
    """
    if duration is not None and duration <= 0:
        raise click.BadParameter("must be at least 1s", param_hint="--for")
    if not run_async(_record(source, _Until(duration, count), topic)):
        sys.exit(1)


@dataclass(frozen=True, slots=True)
class _Until:
    """When to stop, besides Ctrl-C."""

    duration: float | None
    count: int | None

    def __str__(self) -> str:
        ends = ["Ctrl-C"]
        if self.count is not None:
            ends.insert(0, f"{self.count} messages")
        if self.duration is not None:
            ends.insert(0, f"{self.duration:.0f} s")
        return " or ".join(ends)


async def _record(source: Address, until: _Until, topic: str) -> bool:
    host = await resolve(source)
    prefix = f", topics beginning with {topic!r}" if topic else ""
    _say(f"Recording {source}{prefix}, until {until}.")
    recorder = Recorder(host, source.port, topic.encode())
    recording = _Recording(recorder, until)
    try:
        with stop_signals() as stop:
            target = Target(KEY, host, source.port, 0, topic, active_check=False)
            verdict = await recording.wait_for_first(target, stop)
            if verdict is None:
                await recording.go_on(stop)
        recorder.pause()
        await recording.write_rest()
    except NobodyReads:
        verdict = None
    finally:
        recorder.close()
        _say(recording.summary())
    return verdict is None or _explain(verdict)


def _explain(verdict: Verdict) -> bool:
    _say(f"{verdict.reason}: {verdict.message} {verdict.remedy}".rstrip())
    return verdict.reason in HEALTHY


def _say(text: str) -> None:
    click.echo(text, err=True)


class _Recording:
    """Takes messages from the recorder to stdout, and counts them."""

    def __init__(self, recorder: Recorder, until: _Until) -> None:
        self._recorder = recorder
        self._outlet = Outlet(sys.stdout.fileno())
        self._guard = MemoryGuard()
        self._count = until.count
        self._end = None if until.duration is None else time.monotonic() + until.duration
        self._messages = 0
        self._bytes = 0
        self._left_out = 0
        self._pauses = 0

    async def wait_for_first(self, target: Target, stop: asyncio.Event) -> Verdict | None:
        """Until the first message (None), or until it is time to stop (why none came).

        Meanwhile a second connection tells what is wrong; it ends with the first message.
        """
        told: tuple[object, ...] = ()
        async with Look(target, Policy(grace=1.0), lambda t: t.startswith(target.topic)) as look:
            while not self._messages:
                verdict = look.verdict()
                gist = (verdict.reason, verdict.settled)
                if verdict.settled and gist != told:
                    told = gist
                    _say(f"{verdict.reason}: {verdict.message}")
                if self._is_over(stop):
                    return verdict
                await self._step()
        return None

    async def go_on(self, stop: asyncio.Event) -> None:
        """Until it is time to stop."""
        while not self._is_over(stop):
            await self._step()

    async def write_rest(self) -> None:
        """Wait for the reader of stdout to take what is left."""
        while self._outlet.backlog:
            self._pump()
            await asyncio.sleep(TICK)

    def summary(self) -> str:
        """How much was recorded, and what is missing."""
        parts = [f"{self._messages} messages, {self._bytes} bytes"]
        if self._left_out:
            parts.append(f"{self._left_out} left out (longer than {MESSAGE_LIMIT} bytes)")
        if self._pauses:
            parts.append(f"paused {self._pauses} times (stdout was read too slowly)")
        if self._recorder.losses:
            parts.append(f"the connection was lost {self._recorder.losses} times")
        return "; ".join(parts) + "."

    def _is_over(self, stop: asyncio.Event) -> bool:
        late = self._end is not None and time.monotonic() >= self._end
        return stop.is_set() or late or self._messages == self._count

    async def _step(self) -> None:
        self._guard.check()
        taken = self._take()
        if not taken:
            self._recorder.tend()
        self._pump()
        self._hold_or_resume()
        await asyncio.sleep(0 if taken else TICK)

    def _take(self) -> bool:
        for _ in range(AT_ONCE):
            if self._messages == self._count or self._outlet.backlog > BACKLOG:
                return True
            frames = self._recorder.take()
            if frames is None:
                return False
            self._keep(frames)
        return True

    def _keep(self, frames: list[bytes]) -> None:
        size = sum(map(len, frames))
        if size > MESSAGE_LIMIT or len(frames) > FRAMES_LIMIT:
            self._left_out += 1
            return
        self._messages += 1
        self._bytes += size
        self._outlet.put(write_line(frames, time.time()))

    def _pump(self) -> None:
        try:
            self._outlet.pump()
        except OSError as error:
            raise cannot_write(error) from error

    def _hold_or_resume(self) -> None:
        # An engine keeps for us what we do not read: rather miss messages than fill its memory.
        if self._outlet.backlog > BACKLOG and self._recorder.subscribed:
            self._recorder.pause()
            self._pauses += 1
        elif not self._outlet.backlog:
            self._recorder.resume()
