"""`EventRecorder` in series, within budgets, and never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from adapters.kube.conftest import Clock, until
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.events import (
    BURST,
    PER_SECOND,
    REPEAT_EVERY,
    SERIES_WINDOW,
    EventRecorder,
    ObjectReference,
    clip,
    micro_time,
)
from kvsync.model.errors import Conflict, Forbidden, NotFound, ServerError

MODEL = ObjectReference("apps/v1", "Deployment", "ns", "my-model", "u1")
OTHER = ObjectReference("apps/v1", "Deployment", "ns", "other", "u2")


class Ear:
    """Stands where the API server is, hears what is written and answers what it is told to."""

    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []
        self.patched: list[dict[str, Any]] = []
        self.errors: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()

    async def create(self, _: object, namespace: str, body: dict[str, Any]) -> None:
        await self._answer()
        assert body["metadata"]["namespace"] == namespace
        self.created.append(body)

    async def merge_patch(self, _: object, namespace: str, name: str, body: dict[str, Any]) -> None:
        await self._answer()
        self.patched.append({"name": name, **body})

    async def _answer(self) -> None:
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def recorder(ear: Ear, clock: Clock) -> AsyncIterator[EventRecorder]:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    made = EventRecorder(cast("Kube", ear), "pod-1", timing=clock.timing, now=lambda: at)
    yield made
    ear.open.set()
    await made.close()


def tell(recorder: EventRecorder, note: str = "done", about: ObjectReference = MODEL) -> None:
    recorder.record(about, "Normal", "Enabled", "Patch", note)


async def test_an_event_as_the_api_wants_it(recorder: EventRecorder, ear: Ear) -> None:
    tell(recorder)
    await until(lambda: ear.created)
    body = ear.created[0]
    assert body["metadata"]["name"].startswith("my-model.")
    assert body["regarding"]["uid"] == "u1"
    assert body["reportingController"] == "kvsync.aibrix.ai/kvsync-operator"
    assert body["reportingInstance"] == "pod-1"
    assert body["eventTime"] == "2026-01-02T00:00:00.000000Z"
    assert (body["type"], body["reason"], body["action"]) == ("Normal", "Enabled", "Patch")
    assert "series" not in body


async def test_where_operators_share_the_objects_an_event_names_the_one(ear: Ear) -> None:
    made = EventRecorder(cast("Kube", ear), "pod-1", shard="ops/shard-a")
    tell(made)
    await until(lambda: ear.created)
    await made.close()
    assert ear.created[0]["metadata"]["annotations"] == {"kvsync.aibrix.ai/shard": "ops/shard-a"}


async def test_repetitions_are_one_series(recorder: EventRecorder, ear: Ear, clock: Clock) -> None:
    tell(recorder)
    await until(lambda: ear.created)
    for _ in range(40):
        tell(recorder)
    clock.now += REPEAT_EVERY
    tell(recorder)
    await until(lambda: ear.patched)
    assert [p["series"]["count"] for p in ear.patched] == [42]
    assert ear.patched[0]["name"] == ear.created[0]["metadata"]["name"]
    assert len(ear.created) == 1
    assert recorder.dropped == 0


async def test_what_was_not_repeated_for_long_is_told_anew(
    recorder: EventRecorder, ear: Ear, clock: Clock
) -> None:
    tell(recorder)
    await until(lambda: ear.created)
    clock.now += SERIES_WINDOW + 1
    tell(recorder)
    await until(lambda: len(ear.created) == 2)
    assert not ear.patched


async def test_a_series_whose_event_aged_out_is_told_anew(
    recorder: EventRecorder, ear: Ear, clock: Clock
) -> None:
    tell(recorder)
    await until(lambda: ear.created)
    ear.errors.append(NotFound("gone"))
    clock.now += REPEAT_EVERY
    tell(recorder)
    await until(lambda: len(ear.created) == 2)
    assert ear.created[1]["series"]["count"] == 2


async def test_the_count_is_told_at_the_end(recorder: EventRecorder, ear: Ear) -> None:
    tell(recorder)
    await until(lambda: ear.created)
    tell(recorder)
    tell(recorder)
    await recorder.close()
    assert [p["series"]["count"] for p in ear.patched] == [3]


async def test_one_object_has_a_budget_and_others_have_theirs(
    recorder: EventRecorder, ear: Ear, clock: Clock
) -> None:
    for number in range(BURST + 5):
        tell(recorder, f"note {number}")
    tell(recorder, about=OTHER)
    await until(lambda: len(ear.created) == BURST + 1)
    assert recorder.dropped == 5
    clock.now += 1 / PER_SECOND
    tell(recorder, "later")
    await until(lambda: ear.created[-1]["note"] == "later")


async def test_a_full_queue_drops_and_never_waits(recorder: EventRecorder, ear: Ear) -> None:
    ear.open.clear()
    for number in range(400):
        about = ObjectReference("v1", "Pod", "ns", f"p{number}", f"u{number}")
        tell(recorder, about=about)
    assert recorder.dropped == 400 - 256
    await recorder.close(within=0.01)
    assert recorder.dropped >= 400 - 1
    assert not ear.created


async def test_refusals_never_reach_the_caller(recorder: EventRecorder, ear: Ear) -> None:
    ear.errors.append(Forbidden("namespace is being terminated"))
    tell(recorder)
    tell(recorder, "second")
    await until(lambda: ear.created)
    assert [body["note"] for body in ear.created] == ["second"]
    await recorder.close()
    assert (recorder.dropped, recorder.written) == (1, 1)


async def test_an_unavailable_server_is_tried_again(
    recorder: EventRecorder, ear: Ear, clock: Clock
) -> None:
    ear.errors += [ServerError("down"), ServerError("down")]
    tell(recorder)
    await until(lambda: ear.created)
    assert clock.pauses == [0.5, 1.0]


async def test_a_lost_answer_does_not_double(recorder: EventRecorder, ear: Ear) -> None:
    ear.errors += [ServerError("lost"), Conflict("exists already")]
    tell(recorder)
    await recorder.close()
    assert (ear.created, recorder.dropped, recorder.written) == ([], 0, 0)


async def test_a_cancelled_sender_is_replaced(recorder: EventRecorder, ear: Ear) -> None:
    tell(recorder)
    await until(lambda: ear.created)
    for task in asyncio.all_tasks():
        if task.get_name() == "kvsync-events":
            task.cancel()
            await asyncio.wait([task])
    tell(recorder, "after")
    await until(lambda: len(ear.created) == 2)


async def test_after_the_end_nothing_is_told(recorder: EventRecorder, ear: Ear) -> None:
    await recorder.close()
    tell(recorder)
    assert recorder.dropped == 1
    assert not ear.created


async def test_a_note_is_one_printable_line(recorder: EventRecorder, ear: Ear) -> None:
    tell(recorder, "x\n2026 ERROR forged\r\x1b[2J\x00\u2028\u202e\u200by")
    await until(lambda: ear.created)
    note = ear.created[0]["note"]
    assert note == r"x\n2026 ERROR forged\r\x1b[2J\x00\u2028\u202e\u200by"


async def test_long_words_and_notes_are_cut(recorder: EventRecorder, ear: Ear) -> None:
    recorder.record(MODEL, "Warning", "R" * 200, "A" * 200, "é" * 600)
    await until(lambda: ear.created)
    body = ear.created[0]
    assert (len(body["reason"]), len(body["action"])) == (128, 128)
    assert len(body["note"].encode()) <= 1024
    assert body["note"].endswith("é…")


@pytest.mark.parametrize("text", ["", "x" * 10, "é" * 5])
def test_what_fits_is_kept(text: str) -> None:
    assert clip(text, 10) == text


def test_micro_time() -> None:
    assert micro_time(datetime(2026, 1, 2, 3, 4, 5, 6, UTC)) == "2026-01-02T03:04:05.000006Z"
