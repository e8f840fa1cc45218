"""The JSON form of a look: its fields are a stable interface (docs/verify.md)."""

import json
import math
import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.looks import (
    NOW,
    all_of,
    found,
    judged,
    key_of,
    sight,
    silence,
    told_ready,
    two_pods,
)
from core.scenes import model
from kvsync.core.verification_json import verification_json
from kvsync.model.source import SourceReason

DOCS = Path(__file__).resolve().parents[2] / "docs" / "verify.md"


def whole() -> dict[str, Any]:
    one, a, b = two_pods()
    look = found(
        one,
        verdicts=(judged(a), judged(b, SourceReason.PORT_CLOSED)),
        seen={key_of(a): sight(), key_of(b): silence()},
        status=told_ready(),
    )
    return verification_json(all_of(look, notes=("a note",)), NOW)


def fields(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for each in value.values() for name in fields(each)}
    if isinstance(value, list):
        return {name for each in value for name in fields(each)}
    return set()


def test_it_says_everything_of_a_source() -> None:
    entry = whole()
    assert (entry["healthy"], entry["reachable"], entry["notes"]) == (False, True, ["a note"])
    assert entry["sources"] == {"total": 2, "healthy": 1, "verified": 1}
    (each,) = entry["objects"]
    assert (each["namespace"], each["name"], each["reason"]) == ("default", "sync", "")
    assert each["operator"]["ready"]["reason"] == "Synchronized"
    (one,) = each["models"]
    assert (one["reason"], one["expected"], one["verified"]) == ("PortClosed", 2, 1)
    assert one["difference"].startswith("the operator says Verified")
    good, bad = one["sources"]
    assert good == {
        "pod": "model-0",
        "uid": "uid-of-model-0",
        "rank": 0,
        "host": "10.0.0.1",
        "port": 5557,
        "relay_port": None,
        "reason": "Publishing",
        "healthy": True,
        "verified": True,
        "settled": True,
        "message": "Publishing seen",
        "remedy": "",
        "rate": 3.25,
        "lag": 0.012,
        "last_event_age": 2.0,
        "sequence": 41,
        "layout": None,
        "block_size": None,
    }
    assert (bad["reason"], bad["remedy"], bad["rate"]) == ("PortClosed", "see its log", None)


def test_every_field_is_documented_and_no_other() -> None:
    documented = set(re.findall(r"^\| `([a-z_`, ]+)` \|", DOCS.read_text(), flags=re.MULTILINE))
    names = {name for cell in documented for name in re.findall(r"[a-z_]+", cell)}
    assert names == fields(whole())


def test_without_any_word_of_operator_or_engine_the_form_is_the_same() -> None:
    entry = verification_json(all_of(found(model(None))), NOW)
    (each,) = entry["objects"]
    assert each["operator"] == {"ready": None, "gateway_compatible": None}
    assert each["models"][0]["reason"] == "NoSuchDeployment"
    assert json.loads(json.dumps(entry)) == entry


@given(st.floats(), st.floats(), st.floats())
def test_what_a_clock_of_a_stranger_says_stays_json(rate: float, lag: float, now: float) -> None:
    one, a, b = two_pods()
    seen = {key_of(a): sight(rate=rate, lag=lag)}
    look = found(one, verdicts=(judged(a), judged(b)), seen=seen)
    entry = verification_json(all_of(look), now)
    json.dumps(entry, allow_nan=False)
    told = entry["objects"][0]["models"][0]["sources"][0]["rate"]
    assert told is None or math.isclose(told, rate, abs_tol=0.001)
