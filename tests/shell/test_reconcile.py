"""Passes side by side: what one has decided, the next one knows, before anything of it is written."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from core.objects import TEMPLATES, Json, deployment
from core.scenes import rolled_out
from kvsync.adapters.kube.resource import Resource
from kvsync.model.decision import Action, Announcement, Kind
from kvsync.model.errors import ApiError, Cause, Conflict, Forbidden, Invalid, NotFound
from kvsync.model.observed import FINALIZER, EngineAnswers, KVEventSync
from kvsync.model.source import SourceKey, Target, Verdict
from kvsync.shell.gateway_logs import GatewayLogs
from kvsync.shell.inquiries import Inquiries
from kvsync.shell.interviews import Interviews
from kvsync.shell.last_words import LastWordsDesk
from kvsync.shell.reconcile import Reconciler, is_race
from kvsync.shell.settings import Settings
from kvsync.shell.standings import Standings
from kvsync.shell.strangers import Strangers
from kvsync.shell.tokenizers import Tokenizers
from kvsync.shell.world import Key, World

KEYS = (("default", "first"), ("default", "second"))


class Nobody:
    """Engines, objects and logs that are never reached."""

    async def ask(self, host: str, port: int) -> EngineAnswers:
        return EngineAnswers()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        raise NotFound("no")

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, tail_lines: int, previous: bool
    ) -> str:
        raise NotFound("no")


class NoProbes:
    """Watches nothing."""

    def assign(self, key: Key, targets: Mapping[SourceKey, Target]) -> None:
        """Nothing is watched."""

    def verdicts(self, key: Key) -> Mapping[SourceKey, Verdict]:
        return {}


class SlowWriter:
    """Notes what is to be written, and does not come back before it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.begun: list[str] = []

    async def patch(self, action: Action) -> None:
        if action.kind is Kind.DEPLOYMENT:
            self.begun.append(action.name)
        await self.let_go.wait()

    async def write_status(self, sync: KVEventSync, status: Mapping[str, Any]) -> None:
        await self.let_go.wait()

    def announce(self, sync: KVEventSync, announcement: Announcement) -> None:
        """Nobody listens."""


def sync(name: str, model: str) -> Json:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "generation": 1}
    metadata["finalizers"] = [FINALIZER]
    gateway = {"manage": False}
    return {"metadata": metadata, "spec": {"models": {"names": [model]}, "gateway": gateway}}


def reconciler(writer: SlowWriter, told: list[Key], limit: int) -> Reconciler:
    models = {("default", name): rolled_out(deployment(name=name)) for name in "ab"}
    world = World(Settings(max_rolling=limit), models, {})
    for key, model in zip(KEYS, "ab", strict=True):
        world.note_object(key, sync(key[1], model))
    nobody = Nobody()
    inquiries = Inquiries(
        Interviews(nobody, told.append),
        Strangers(nobody, told.append, lambda: 0.0),
        LastWordsDesk(nobody, told.append),
        GatewayLogs(
            nobody,  # type: ignore[arg-type]
            world.pods,
            told.append,
            lambda: 0.0,
            lambda: 0.0,
            silence=60.0,
        ),
        Tokenizers(nobody, told.append, lambda: 0.0),  # type: ignore[arg-type]
    )
    standings = Standings(told.append, lambda: 0.0)
    return Reconciler(
        world,
        NoProbes(),  # type: ignore[arg-type]
        inquiries,
        standings,
        writer,
        TEMPLATES,
        lambda: 10_000.0,
    )


async def test_two_passes_at_the_same_moment_do_not_take_the_same_place() -> None:
    for limit, expected in ((1, ["a"]), (2, ["a", "b"])):
        writer, told = SlowWriter(), list[Key]()
        passes = reconciler(writer, told, limit)
        running = [asyncio.create_task(passes.reconcile(key)) for key in KEYS]
        for _ in range(20):
            await asyncio.sleep(0)
        assert writer.begun == expected
        writer.let_go.set()
        await asyncio.gather(*running)


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (NotFound("gone"), True),
        (Conflict("it exists already", status=409, reason="AlreadyExists"), True),
        (Invalid("no", status=422, causes=(Cause("FieldValueInvalid", "no", "spec"),)), False),
        (Forbidden("no", status=403, reason="Forbidden"), False),
    ],
)
def test_what_moved_meanwhile_is_no_refusal(error: ApiError, *, passing: bool) -> None:
    assert is_race(error) is passing


async def test_a_pass_tells_whether_models_wait_for_their_turn() -> None:
    writer, told = SlowWriter(), list[Key]()
    writer.let_go.set()
    passes = reconciler(writer, told, 1)
    first, second = [await passes.reconcile(key) for key in KEYS]
    assert (first.acted, second.acted, second.in_line) == (True, False, True)
