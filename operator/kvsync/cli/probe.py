"""``kvsync probe tcp://HOST:PORT``: one look at one publisher, without a cluster."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from kvsync.adapters.names import resolve
from kvsync.cli.look import KEY, Look
from kvsync.cli.options import Duration, SourceAddress, run_async
from kvsync.core.judge import Policy
from kvsync.core.tally import Tally
from kvsync.model.address import Address
from kvsync.model.events import EventLayout
from kvsync.model.source import HEALTHY, SourceReason, Target, Verdict

TICK = 0.05
"""Seconds between looks."""

LISTEN = 3.0
"""Seconds of traffic that are looked at: two samples, for a rate."""

_LAYOUTS = {
    EventLayout.ARRAY: "arrays (vLLM 0.9.0 to 0.23, SGLang before 0.5.20)",
    EventLayout.MAP: "maps (vLLM 0.24.0 and newer, SGLang 0.5.20 and newer)",
}


@click.command()
@click.argument("source", type=SourceAddress(), metavar="tcp://HOST:PORT")
@click.option("--replay-port", type=click.IntRange(1, 65535), help="Ask the replay socket too.")
@click.option(
    "--replay",
    type=SourceAddress(),
    metavar="tcp://HOST:PORT",
    help="The same as an address; it is of the same host.",
)
@click.option(
    "--relay-port",
    type=click.IntRange(1, 65535),
    help="A relay publishes there: ask it on this port for what the engine behind it does.",
)
@click.option("--topic", metavar="TOPIC", help="The topic that is expected. Default: any.")
@click.option(
    "--timeout", type=Duration(), default="10s", show_default=True, help="Time to find out."
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def probe(
    source: Address,
    replay_port: int | None,
    replay: Address | None,
    relay_port: int | None,
    topic: str | None,
    timeout: float,
    output: str,
) -> None:
    """Say what is true of the publisher of KV events at tcp://HOST:PORT, and what to do about it.

    Ends as soon as it is sure; a silent publisher is called Idle when the timeout is over. The
    replay socket is asked for nothing but its end marker, which costs an engine nothing.

    Exit code 0: Publishing, Idle or EngineRestarted. 1: anything else. 2: wrong usage.
    """
    if timeout <= 0:
        raise click.BadParameter("must be at least 1s", param_hint="--timeout")
    port = _replay_port(source, replay_port, replay)
    found = run_async(_probe(source, port, relay_port or 0, topic, timeout))
    if output == "json":
        click.echo(json.dumps(found.entry(), indent=2, allow_nan=False))
    else:
        found.print()
    sys.exit(0 if found.healthy else 1)


def _replay_port(source: Address, port: int | None, replay: Address | None) -> int:
    """The replay port that was given; 0 for none."""
    if replay is None:
        return port or 0
    if port is not None:
        raise click.UsageError("give --replay-port or --replay, not both")
    if replay.host != source.host:
        raise click.BadParameter(
            f"is of another host than {source}; one engine serves both", param_hint="--replay"
        )
    return replay.port


@dataclass(frozen=True, slots=True)
class Found:
    """What one look found."""

    source: Address
    verdict: Verdict
    tally: Tally
    replay_port: int
    replay_answers: bool
    restarts: int
    seconds: float

    @property
    def healthy(self) -> bool:
        """Whether all is as it should be."""
        return self.verdict.reason in HEALTHY

    @property
    def remedy(self) -> str:
        """What to do; empty where nothing is to be done."""
        if self.verdict.reason is SourceReason.CONNECTING:
            return "Too early to tell: look longer with --timeout."
        if self.verdict.reason is SourceReason.IDLE and not self.verdict.verified:
            return "Send a prompt longer than one block, or give --replay-port to have it proven."
        return self.verdict.remedy

    def entry(self) -> dict[str, Any]:
        """The stable JSON form (docs/streams.md)."""
        last = self.tally.last
        replay = {"port": self.replay_port, "answers": self.replay_answers}
        return {
            "source": str(self.source),
            "reason": self.verdict.reason.value,
            "healthy": self.healthy,
            "verified": self.verdict.verified,
            "message": self.verdict.message,
            "remedy": self.remedy,
            "topic": last.topic if last else None,
            "rank": last.rank if last else None,
            "layout": self.tally.layout,
            "first_sequence": self.tally.first_sequence,
            "sequence": last.sequence if last else None,
            "batches": self.tally.batches,
            "events": dict(self.tally.events),
            "rate": self.tally.rate,
            "lag": self.tally.lag,
            "restarts": self.restarts,
            "replay": replay if self.replay_port else None,
            "seconds": round(self.seconds, 3),
        }

    def print(self) -> None:
        """Print it for people."""
        title = f"{self.source}  {self.verdict.reason}"
        click.secho(title, fg="green" if self.healthy else "red")
        for name, text in self._rows():
            click.echo(f"  {name:9} {text}")

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("evidence", self.verdict.message), *self._traffic()]
        if self.replay_port and self.replay_answers:
            rows.append(("replay", f"port {self.replay_port} answers"))
        elif self.replay_port:
            rows.append(("replay", f"port {self.replay_port} did not answer"))
        return [*rows, ("remedy", self.remedy)] if self.remedy else rows

    def _traffic(self) -> list[tuple[str, str]]:
        tally, last = self.tally, self.tally.last
        if last is None or tally.lag is None:
            return []
        rate = "" if tally.rate is None else f", {tally.rate:.1f} batches/s"
        kinds = ", ".join(f"{kind} {count}" for kind, count in tally.events.most_common())
        layout = _LAYOUTS[tally.layout] if tally.layout else "no event came"
        return [
            ("topic", repr(last.topic)),
            ("layout", layout),
            ("sequence", f"{tally.first_sequence} to {last.sequence}{rate}"),
            ("events", f"{kinds or 'none'}, in the {tally.batches} batches looked at"),
            ("lag", f"{tally.lag:.3f} s from the engine's clock to ours"),
        ]


async def _probe(
    source: Address, replay_port: int, relay_port: int, topic: str | None, timeout: float
) -> Found:
    began = time.monotonic()
    target = Target(
        KEY,
        await resolve(source),
        source.port,
        replay_port,
        topic or "",
        active_check=replay_port > 0,
        relay_port=relay_port,
    )
    policy = Policy(grace=min(1.0, timeout / 2), patience=min(3.0, timeout / 2))
    async with Look(target, policy, lambda seen: topic in (None, seen)) as look:
        verdict = await _sure(look, began + timeout)
        seen = look.observation
        answers = seen is not None and seen.replay_answered_at is not None
        restarts = seen.restarts if seen else 0
        spent = time.monotonic() - began
        return Found(source, verdict, look.tally, replay_port, answers, restarts, spent)


async def _sure(look: Look, end: float) -> Verdict:
    """The verdict as soon as it will not change any more, or what it is at the end."""
    while True:
        await asyncio.sleep(TICK)
        verdict = look.verdict()
        if time.monotonic() >= end or (verdict.settled and _is_final(verdict, look.tally)):
            return verdict


def _is_final(verdict: Verdict, tally: Tally) -> bool:
    if verdict.reason in (SourceReason.PUBLISHING, SourceReason.ENGINE_RESTARTED):
        return tally.began_at is not None and time.time() - tally.began_at >= LISTEN
    return verdict.reason is not SourceReason.IDLE
