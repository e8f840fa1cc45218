"""Waiting for a KVEventSync while telling what happens, one line for each change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import KVEVENTSYNCS
from kvsync.cli.table import printable
from kvsync.cli.upshot import Upshot
from kvsync.model.errors import NotFound

POLL = 0.5
"""Seconds between looks."""

SILENCE = 15.0
"""Seconds after which an object that nobody took notice of means that no operator runs."""


def condition(sync: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition that speaks of the current spec; empty while there is none."""
    generation = sync["metadata"].get("generation")
    for found in (sync.get("status") or {}).get("conditions") or ():
        if found.get("type") == kind and found.get("observedGeneration") == generation:
            return dict(found)
    return {}


def last_said(sync: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition as it was last written, also of an older spec; empty while there is none."""
    found = (sync.get("status") or {}).get("conditions") or ()
    return next((each for each in found if each.get("type") == kind), {})


class Teller:
    """Prints a line with the time since the start whenever what it is told differs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._last = ""

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def tell(self, text: str) -> None:
        """Print it, unless it is what was printed last."""
        if text and text != self._last:
            click.echo(f"{self.elapsed:6.1f}s  {printable(text)}")
            self._last = text


async def wait_ready(kube: Kube, namespace: str, name: str, timeout: float) -> Upshot:
    """Wait until the object is Ready, or until a person must act or time is up (not done)."""
    teller, last = Teller(), Upshot(namespace, name, False)
    while teller.elapsed < timeout:
        sync = await kube.get(KVEVENTSYNCS, namespace, name)
        ready, stalled = condition(sync, "Ready"), condition(sync, "Stalled")
        if ready:
            summary = (sync.get("status") or {}).get("summary") or {}
            counts = f"models {summary.get('models', '?')}, sources {summary.get('sources', '?')}"
            teller.tell(f"{counts}  {ready['reason']}: {ready['message']}")
            done = ready.get("status") == "True"
            last = Upshot(namespace, name, done, ready["reason"], ready["message"])
        if last.done:
            return last
        if stalled.get("status") == "True":
            click.secho(f"Stalled: {printable(stalled['message'])}", fg="red", err=True)
            return Upshot(namespace, name, False, stalled["reason"], stalled["message"])
        if not ready and teller.elapsed > SILENCE:
            teller.tell(
                "no operator has taken notice yet: is kvsync-operator installed and running?"
            )
        await asyncio.sleep(POLL)
    click.secho(f"Not Ready after {timeout:.0f} s; it goes on in the cluster.", fg="red", err=True)
    return last


async def wait_gone(kube: Kube, namespace: str, name: str, uid: str, timeout: float) -> bool:
    """Wait until the object is gone: whatever was configured for it is then undone."""
    teller = Teller()
    while teller.elapsed < timeout:
        try:
            sync = await kube.get(KVEVENTSYNCS, namespace, name)
        except NotFound:
            return True
        if sync["metadata"]["uid"] != uid:
            return True
        ready = last_said(sync, "Ready")
        if ready.get("reason") == "Undoing":
            teller.tell(f"Undoing: {ready['message']}")
        elif teller.elapsed > SILENCE:
            teller.tell("waiting for the operator: is kvsync-operator installed and running?")
        await asyncio.sleep(POLL)
    click.secho(f"Not undone after {timeout:.0f} s; it goes on in the cluster.", fg="red", err=True)
    return False
