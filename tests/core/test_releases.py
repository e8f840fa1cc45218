"""The table of releases against the frames that the releases' own publishers made."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from kvsync.core.releases import ENGINE_RELEASES, engine_release, first_with_events
from kvsync.model.events import EventLayout
from kvsync.model.spec import EngineType
from kvsync.model.version import Version, parse_version

DATA = Path(__file__).parents[1] / "testbed" / "data"
FILES = {
    EngineType.VLLM: DATA / "vllm_golden.jsonl",
    EngineType.SGLANG: DATA / "sglang_golden.jsonl",
}


def _golden() -> Iterator[Any]:
    for engine, file in FILES.items():
        for line in file.read_text().splitlines():
            row = json.loads(line)
            version = parse_version(row["version"])
            # 0.4.6.post5 is one that three numbers cannot tell from 0.4.6.
            if version is not None and version >= first_with_events(engine):
                yield pytest.param(engine, row, id=f"{engine}-{row['version']}")


@pytest.mark.parametrize(("engine", "row"), list(_golden()))
def test_a_release_sends_what_its_row_says(engine: EngineType, row: dict[str, Any]) -> None:
    version = parse_version(row["version"])
    assert version is not None
    release = engine_release(engine, version)
    batches = [msgpack.unpackb(bytes.fromhex(frames[2])) for frames in row["pub_frames_hex"]]
    layouts = {
        EventLayout.MAP if isinstance(e, dict) else EventLayout.ARRAY for b in batches for e in b[1]
    }
    assert layouts == {release.layout}
    assert all((len(batch) == 3) == release.batch_rank for batch in batches)
    # Without the empty frame in front: topic, sequence, payload, or the last two.
    assert {len(f) == 4 for f in row["replay_from_1_frames_hex"]} == {release.replay_topic}


@pytest.mark.parametrize("engine", EngineType)
def test_rows_are_in_order_and_each_changes_something(engine: EngineType) -> None:
    rows = ENGINE_RELEASES[engine]
    assert [row.since for row in rows] == sorted({row.since for row in rows})
    assert rows[0].since == Version(0, 0)
    plain = [{n: getattr(r, n) for n in r.__slots__ if n != "since"} for r in rows]
    assert all(a != b for a, b in itertools.pairwise(plain))


def test_a_row_holds_until_the_next() -> None:
    vllm = EngineType.VLLM
    assert engine_release(vllm, Version(0, 23, 9)).layout is EventLayout.ARRAY
    assert engine_release(vllm, Version(0, 24)).layout is EventLayout.MAP
    assert engine_release(vllm, Version(99, 0)).layout is EventLayout.MAP
    assert not engine_release(vllm, Version(0, 8, 5)).events
    assert first_with_events(vllm) == Version(0, 9)
    assert first_with_events(EngineType.SGLANG) == Version(0, 4, 7)
