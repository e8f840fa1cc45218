"""Between scrapes nothing that was counted is lost but what a source did after the last look."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from adapters.kube.conftest import running, until
from core.sightings import seen
from kvsync.model.metering import ModelName, Seen
from kvsync.model.observed import KVEventSync
from kvsync.shell import metering as meterings
from kvsync.shell.metering import Metering

M = ModelName("default", "m")


class Scene:
    """Sources and objects to set, and a clock."""

    def __init__(self) -> None:
        self.sources: Sequence[Seen] = ()
        self.looks = 0
        self.broken = False
        self.metering = Metering(self._look, lambda: (READY,), lambda: 100.0)

    def _look(self) -> Sequence[Seen]:
        self.looks += 1
        if self.broken:
            raise ValueError("a bug")
        return self.sources


READY = KVEventSync(
    {
        "metadata": {"namespace": "default", "name": "kv"},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Synchronized"}]},
    }
)


def test_a_reading_holds_counts_and_standing_of_each_model_and_the_objects() -> None:
    scene = Scene()
    scene.sources = [seen("a", messages=3, last_batch_at=90.0), seen("b", messages=2)]
    reading = scene.metering.reading()
    counts, standing = reading.models[M]
    assert counts.messages == 5
    assert (standing.sources, standing.youngest) == (2, 10.0)
    assert (reading.objects, reading.ready) == (1, 1)
    assert [each.type for each in reading.conditions] == ["Ready"]


def test_a_source_that_two_objects_ask_for_is_counted_once() -> None:
    scene = Scene()
    scene.sources = [seen(messages=3), seen(messages=3)]
    counts, standing = scene.metering.reading().models[M]
    assert (counts.messages, standing.sources) == (3, 1)


def test_a_model_whose_pods_are_all_gone_for_now_shows_zero_sources_and_its_counts() -> None:
    scene = Scene()
    scene.sources = [seen(messages=3)]
    scene.metering.reading()
    scene.sources = []
    counts, standing = scene.metering.reading().models[M]
    assert (counts.messages, standing.sources) == (3, 0)


async def test_what_a_source_counted_between_two_scrapes_stays_when_it_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meterings, "LOOK", 0.0)
    scene = Scene()
    scene.sources = [seen(messages=3)]
    async with running(scene.metering.run()):
        await until(lambda: scene.looks)
        scene.sources = []
    assert scene.metering.reading().models[M][0].messages == 3


async def test_a_look_that_fails_is_logged_and_followed_by_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(meterings, "LOOK", 0.0)
    scene = Scene()
    scene.broken = True
    async with running(scene.metering.run()):
        await until(lambda: scene.looks > 2)
    assert "a look at the sources failed" in caplog.text
