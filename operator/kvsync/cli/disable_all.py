"""``kvsync disable --all``: every KVEventSync deleted, and waiting until all they configured is undone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import click

from kvsync.adapters.kube.resource import KVEVENTSYNCS, Resource
from kvsync.cli.door import Door
from kvsync.cli.progress import Teller, last_said
from kvsync.cli.table import printable
from kvsync.cli.upshot import Upshot
from kvsync.model.errors import Conflict, NotFound, Unavailable
from kvsync.model.selector import LabelSelector

POLL = 1.0
"""Seconds between looks: each is one list."""

TOLD = 10
"""Objects that are named at the end; of the others only their number is told."""

Key = tuple[str, str]
Body = Mapping[str, Any]


class Objects(Protocol):
    """What lists and deletes objects (``adapters.kube``)."""

    async def list(self, resource: Resource, namespace: str | None = None) -> list[dict[str, Any]]:
        """All of a namespace, or of all. Raises ApiError."""

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
    ) -> dict[str, Any]:
        """Ask for the deletion of the object of this uid. Raises ApiError."""


async def disable_all(
    door: Door, namespaces: tuple[str, ...], timeout: float, selector: LabelSelector | None = None
) -> Upshot:
    """Undo every object of these namespaces, of all if there are none; done where nothing is left.

    With a selector those alone that it selects.

    It may be ended and begun again at any time.

    Raises:
        ApiError: KVEventSyncs cannot be listed or deleted.
    """
    async with await door.open() as kube:
        if await undo_all(kube, namespaces, timeout, selector=selector):
            return Upshot("", "", True, "Undone", "Nothing is left.")
        return Upshot("", "", False, "Undoing", "Not all is undone.")


async def undo_all(
    kube: Objects,
    namespaces: tuple[str, ...],
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    *,
    selector: LabelSelector | None = None,
) -> bool:
    """The same, by an API server that is known. Raises ApiError."""
    found = await _all(kube, namespaces, selector)
    if not found:
        click.echo("There is no KVEventSync: nothing to undo.")
        return True
    for key, body in found.items():
        await _delete(kube, key, body)
    teller = Teller(clock)
    uids = {body["metadata"]["uid"] for body in found.values()}
    left: Mapping[Key, Body] = found
    while True:
        try:
            now = await _all(kube, namespaces, selector)
        except Unavailable as error:
            teller.tell(f"cannot look, and goes on trying: {error}")
        else:
            left = {key: body for key, body in now.items() if body["metadata"]["uid"] in uids}
            if not left:
                return _say_end(now)
            done = f"{len(found) - len(left)} of {len(found)} undone"
            first = min(left)
            teller.tell(f"{done}; {_standing(first, left[first])}")
        if teller.elapsed >= timeout:
            _say_hanging(left, timeout)
            return False
        await pause(POLL)


async def _all(
    kube: Objects, namespaces: tuple[str, ...], selector: LabelSelector | None
) -> dict[Key, Body]:
    """Every object by its key; none where the kind is not served."""
    try:
        listed = [await kube.list(KVEVENTSYNCS, each) for each in namespaces or (None,)]
    except NotFound:
        return {}
    return {
        (body["metadata"]["namespace"], body["metadata"]["name"]): body
        for bodies in listed
        for body in bodies
        if selector is None or selector.matches(body["metadata"].get("labels") or {})
    }


async def _delete(kube: Objects, key: Key, body: Body) -> None:
    try:
        await kube.delete(KVEVENTSYNCS, *key, uid=str(body["metadata"]["uid"]))
    except (NotFound, Conflict):  # somebody was faster; what was made anew meanwhile is seen later
        return
    retained = (body.get("spec") or {}).get("deletionPolicy") == "Retain"
    click.echo(
        f"KVEventSync {'/'.join(key)} is being deleted"
        + ("; what it configured stays (deletionPolicy Retain)." if retained else ".")
    )


def _say_end(again: Mapping[Key, Body]) -> bool:
    """Say that nothing is left, or what was made again meanwhile; whether nothing is left."""
    if not again:
        click.echo("All is undone.")
        return True
    names = ["/".join(key) for key in sorted(again)]
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    click.secho(
        f"Made again while all was undone: {', '.join(names[:TOLD])}{more}. Take it out of what applies "
        "it (Git, a pipeline), and run this once more.",
        fg="red",
        err=True,
    )
    return False


def _standing(key: Key, body: Body) -> str:
    """Where an object stands, in the operator's words."""
    ready = last_said(body, "Ready")
    said = f"{ready.get('reason')}: {ready.get('message')}" if ready else "nothing"
    if ready.get("reason") != "Undoing":
        said = f"no operator has taken it up yet; said before: {said}"
    return f"{'/'.join(key)}: {said}"


def _say_hanging(left: Mapping[Key, Body], timeout: float) -> None:
    click.secho(f"{len(left)} not undone after {timeout:.0f} s:", fg="red", err=True)
    for key, body in sorted(left.items())[:TOLD]:
        click.secho(f"  {printable(_standing(key, body))}", fg="red", err=True)
    if len(left) > TOLD:
        click.secho(f"  and {len(left) - TOLD} more", fg="red", err=True)
    namespace, name = min(left)
    click.echo(
        "It goes on in the cluster as long as the operator runs: see that it does, and its log, then run "
        "this once more (helm uninstall again). To give an object up, and leave on its models what was "
        f"written: kubectl patch kves {name} -n {namespace} --type=merge "
        """-p '{"metadata":{"finalizers":null}}'.""",
        err=True,
    )
