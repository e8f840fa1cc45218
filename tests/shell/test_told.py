"""Kubernetes Events stand on the object and on the workload that something was done to."""

from __future__ import annotations

from typing import Any, cast

import pytest

from core.objects import Json, deployment
from core.scenes import gateway_of, sync_of
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.events import EventRecorder, ObjectReference
from kvsync.adapters.metrics import Metrics
from kvsync.model.decision import Action, Announcement, Deed, Kind
from kvsync.model.storm import storm_model
from kvsync.shell.reconcile import announcement_of
from kvsync.shell.settings import Settings
from kvsync.shell.world import World
from kvsync.shell.writer import ClusterWriter
from model.storms import storm

GATEWAY = ("aibrix-system", "aibrix-gateway-plugins")
SYNC = sync_of()
MARK = f"{SYNC.namespace}/{SYNC.name}"


class Ear:
    """Hears what is recorded."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str, str]] = []

    def record(
        self, regarding: ObjectReference, type_: str, reason: str, action: str, note: str
    ) -> None:
        assert action == "Reconcile"
        assert regarding.uid
        where = f"{regarding.kind} {regarding.namespace}/{regarding.name}"
        self.heard.append((where, type_, reason, note))


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def writer(ear: Ear) -> ClusterWriter:
    model, service = deployment(name="m"), storm()
    deployments: dict[tuple[str, str], Json] = {("default", "m"): model, GATEWAY: gateway_of()}
    for body in (*deployments.values(), service):
        body["metadata"].setdefault("uid", "uid")
    storms: Any = {("default", "pd"): service}
    world = World(Settings(), deployments, {}, storms)
    return ClusterWriter(cast("Kube", None), cast("EventRecorder", ear), world, Metrics())


def done(kind: Kind, namespace: str, name: str, deed: Deed, *, warning: bool = False) -> Action:
    return Action(kind, namespace, name, (), deed, "It was done.", warning)


@pytest.mark.parametrize(
    ("action", "workload"),
    [
        (done(Kind.DEPLOYMENT, "default", "m", Deed.CONFIGURED), "Deployment default/m"),
        (done(Kind.STORM_SERVICE, "default", "pd", Deed.REVERTED), "StormService default/pd"),
        (
            done(Kind.DEPLOYMENT, *GATEWAY, Deed.GATEWAY_CONFIGURED),
            "Deployment aibrix-system/aibrix-gateway-plugins",
        ),
    ],
)
def test_what_was_done_is_told_on_both_and_the_workload_hears_for_whom(
    writer: ClusterWriter, ear: Ear, action: Action, workload: str
) -> None:
    writer.announce(SYNC, announcement_of(action))
    assert ear.heard == [
        (f"KVEventSync {MARK}", "Normal", action.reason, "It was done."),
        (workload, "Normal", action.reason, f"KVEventSync {MARK}: It was done."),
    ]


def test_a_warning_is_one_on_both(writer: ClusterWriter, ear: Ear) -> None:
    rolled_back = done(Kind.DEPLOYMENT, "default", "m", Deed.ROLLED_BACK, warning=True)
    writer.announce(SYNC, announcement_of(rolled_back))
    assert [kind for _, kind, _, _ in ear.heard] == ["Warning", "Warning"]


@pytest.mark.parametrize("name", ["m", "p"])
def test_what_was_done_to_a_pod_is_told_on_the_object_alone(
    writer: ClusterWriter, ear: Ear, name: str
) -> None:
    writer.announce(SYNC, announcement_of(done(Kind.POD, "default", name, Deed.POD_LABELLED)))
    assert [where for where, *_ in ear.heard] == [f"KVEventSync {MARK}"]


def test_how_a_model_stands_is_told_on_it(writer: ClusterWriter, ear: Ear) -> None:
    writer.announce(SYNC, Announcement(True, "SourcesFailing", "m: a word", "m"))
    storm_word = Announcement(False, "Verified", "a word", storm_model("pd"))
    writer.announce(SYNC, storm_word)
    assert [where for where, *_ in ear.heard[1::2]] == [
        "Deployment default/m",
        "StormService default/pd",
    ]


def test_a_workload_that_is_gone_is_told_nothing(writer: ClusterWriter, ear: Ear) -> None:
    gone = done(Kind.DEPLOYMENT, "default", "gone", Deed.REVERTED)
    writer.announce(SYNC, announcement_of(gone))
    writer.announce_alone(gone)
    assert len(ear.heard) == 1


def test_a_gateway_is_told_also_when_its_object_is_gone(writer: ClusterWriter, ear: Ear) -> None:
    writer.announce_alone(done(Kind.DEPLOYMENT, *GATEWAY, Deed.GATEWAY_RESTORED))
    assert ear.heard == [
        (
            "Deployment aibrix-system/aibrix-gateway-plugins",
            "Normal",
            "GatewayRestored",
            "The kvsync operator: It was done.",
        )
    ]
