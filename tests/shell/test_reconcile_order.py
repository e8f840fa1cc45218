"""A repair is counted in the status before it is made, so that no crash makes it one too many."""

import copy
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.objects import OWNER, TEMPLATES, Json, container, deployment, main_container
from core.scenes import NOW, applied, configured, rolled_out, sync_of
from kvsync.model.decision import Action, Announcement, Kind
from kvsync.model.errors import Unavailable
from kvsync.model.observed import KVEventSync
from kvsync.shell.reconcile import Reconciler
from kvsync.shell.settings import Settings
from kvsync.shell.world import World

KEY = (OWNER.namespace, OWNER.name)
MODEL = (OWNER.namespace, "model")


class Cluster:
    """What the writer writes to; ``dies_after`` so many writes the API server answers no more."""

    def __init__(self, body: Json, dies_after: int = 99) -> None:
        self.bodies = {MODEL: body}
        self.world = World(Settings(), self.bodies, {})
        manifest = {"models": {"names": ["model"]}, "gateway": {"manage": False}}
        self.world.syncs[KEY] = {**sync_of().body, "spec": manifest}
        self.dies_after = dies_after
        self.written: list[str] = []
        self.told: list[str] = []

    def _note(self, what: str) -> None:
        if len(self.written) >= self.dies_after:
            raise Unavailable("the API server is gone")
        self.written.append(what)

    async def patch(self, action: Action) -> None:
        self._note(action.reason)
        assert action.kind is Kind.DEPLOYMENT
        self.bodies[MODEL] = rolled_out(applied(self.bodies[MODEL], action))

    async def write_status(self, sync: KVEventSync, status: Mapping[str, Any]) -> None:
        self._note("status")
        self.world.syncs[KEY] = {**self.world.syncs[KEY], "status": copy.deepcopy(dict(status))}

    def announce(self, sync: KVEventSync, announcement: Announcement) -> None:
        self.told.append(announcement.reason)

    @property
    def entry(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.world.syncs[KEY]["status"]["models"][0]
        return found


def reconciler(cluster: Cluster) -> Reconciler:
    nothing = lambda *_: None  # noqa: E731
    empty = SimpleNamespace(
        **dict.fromkeys(("assign", "ask", "note", "forget"), nothing),
        **{name: {} for name in ("answers", "kinds", "readings")},
        **dict.fromkeys(("others", "unheard"), lambda _: ()),
        verdicts=lambda _: {},
        tokenizers=SimpleNamespace(answers=dict),
    )
    for name in ("interviews", "strangers", "last_words", "gateway_logs"):
        setattr(empty, name, empty)
    one = cast(Any, empty)
    return Reconciler(cluster.world, one, one, one, cluster, TEMPLATES, clock=lambda: NOW)


def taken_back() -> Json:
    own = deployment(container(command=["vllm", "serve", "tiny"], args=["--port=8000"]))
    body = rolled_out(configured(own))
    main_container(body)["args"] = ["--port=8000"]
    return body


async def test_the_count_is_written_before_the_repair() -> None:
    cluster = Cluster(taken_back())
    outcome = await reconciler(cluster).reconcile(KEY)
    assert outcome.acted
    assert cluster.written == ["status", "Repaired"]
    assert cluster.entry["repairs"]["times"] == [int(NOW)]
    assert "Repaired" in cluster.told


async def test_dying_in_between_counts_a_repair_that_was_not_made() -> None:
    cluster = Cluster(taken_back(), dies_after=1)
    with pytest.raises(Unavailable):
        await reconciler(cluster).reconcile(KEY)
    cluster.dies_after = 99
    await reconciler(cluster).reconcile(KEY)
    assert cluster.written == ["status", "status"], "the next one waits, as after any other"
    assert cluster.entry["repairs"]["times"] == [int(NOW)]
    assert "repair 2 of 3 comes at" in cluster.entry["message"]


async def test_without_the_count_nothing_is_repaired() -> None:
    cluster = Cluster(taken_back(), dies_after=0)
    with pytest.raises(Unavailable):
        await reconciler(cluster).reconcile(KEY)
    assert cluster.written == []


async def test_a_write_that_fails_before_it_counts_nothing() -> None:
    cluster = Cluster(taken_back(), dies_after=0)
    without = sync_of(finalizers=()).body["metadata"]
    cluster.world.syncs[KEY] = {**cluster.world.syncs[KEY], "metadata": without}
    with pytest.raises(Unavailable):  # the finalizer comes first
        await reconciler(cluster).reconcile(KEY)
    assert not cluster.world.syncs[KEY].get("status")


async def test_any_other_change_is_reported_when_it_is_made() -> None:
    cluster = Cluster(rolled_out(deployment()))
    await reconciler(cluster).reconcile(KEY)
    assert cluster.written == ["Configured"]
