"""Argo CD's actions on a KVEventSync: which are offered when, what each changes; Argo's own tests."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.argo_vm import OURS, acted, actions, health
from gitops.pictures import PAUSED, PICTURES, PLAN_ONLY
from golden.files import check, load
from kvsync.model.observed import PAUSED_ANNOTATION, RETRY_ANNOTATION, KVEventSync

FOLDER = OURS / "actions"
DISCOVERY = (FOLDER / "discovery.lua").read_text()
HEALTH = (OURS / "health.lua").read_text()
NAMES = ("pause", "resume", "retry")
SCRIPTS = {name: (FOLDER / name / "action.lua").read_text() for name in NAMES}
TESTS = load(FOLDER / "action_test.yaml")
TRACKED = {"argocd.argoproj.io/tracking-id": "models:kvsync.aibrix.ai/KVEventSync:default/sync"}

Json = dict[str, Any]


def _with(picture: str, **annotations: str) -> Json:
    body = PICTURES[picture]()
    if annotations:
        body["metadata"]["annotations"] = annotations
    return body


OBJECTS: dict[str, Json] = {
    "going": _with("healthy"),
    "going-paused": _with("healthy", **PAUSED),
    "plan-only": _with("healthy", **PLAN_ONLY),
    "paused-in-git": _with("suspended-by-spec"),
    "crashed": _with("degraded-engine-crashed", **TRACKED),
    "crashed-paused": _with("degraded-engine-crashed", **TRACKED, **PAUSED),
    "crashed-retried": _with("degraded-engine-crashed", **TRACKED, **{RETRY_ANNOTATION: "1"}),
    "crashed-retried-again": _with("degraded-engine-crashed", **TRACKED, **{RETRY_ANNOTATION: "2"}),
    "leaving": _with("terminating"),
}


def test_the_folder_is_argos_own_layout() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        *NAMES,
        "action_test.yaml",
        "discovery.lua",
        "testdata",
    }
    assert {path.stem for path in (FOLDER / "testdata").iterdir()} == OBJECTS.keys()


@pytest.mark.parametrize("name", OBJECTS)
def test_the_objects_of_the_actions_are_real(name: str, request: pytest.FixtureRequest) -> None:
    rewrite = bool(request.config.getoption("--rewrite-golden"))
    check(FOLDER / "testdata" / f"{name}.yaml", OBJECTS[name], rewrite=rewrite)


@pytest.mark.parametrize("test", TESTS["discoveryTests"], ids=lambda test: test["inputPath"])
def test_what_is_offered(test: Json) -> None:
    offered = actions(load(FOLDER / test["inputPath"]), DISCOVERY)
    assert offered == sorted(test["result"], key=lambda each: str(each["name"]))
    assert [each["name"] for each in offered] == list(NAMES)


@pytest.mark.parametrize(
    "test", TESTS["actionTests"], ids=lambda test: f"{test['action']}-{test['inputPath']}"
)
def test_what_an_action_makes(test: Json) -> None:
    before = load(FOLDER / test["inputPath"])
    assert acted(before, SCRIPTS[test["action"]]) == load(FOLDER / test["expectedOutputPath"])


@given(picture=st.sampled_from(list(PICTURES)), tracked=st.booleans(), old=st.booleans())
def test_pause_and_resume_are_each_others_undo(picture: str, tracked: bool, old: bool) -> None:
    body = PICTURES[picture]()
    body["metadata"].pop("annotations", None)
    if tracked:
        body["metadata"]["annotations"] = dict(TRACKED)
    paused = acted(body, SCRIPTS["pause"])
    assert KVEventSync(paused).held_by == PAUSED_ANNOTATION
    if "deletionTimestamp" not in body["metadata"]:
        assert health(paused, HEALTH)[0] == "Suspended"
    assert acted(paused, SCRIPTS["resume"], old=old) == body


@given(picture=st.sampled_from(list(PICTURES)))
def test_an_action_changes_annotations_only(picture: str) -> None:
    """So there is no drift: Git names no annotation of ours."""
    body = PICTURES[picture]()
    for script in SCRIPTS.values():
        after = acted(body, script)
        for each in (left := copy.deepcopy(body), after):
            each["metadata"].pop("annotations", None)
        assert after == left


@given(before=st.none() | st.integers(-5, 10**30).map(str) | st.floats().map(str) | st.text())
def test_retry_always_gives_a_value_that_was_not_there(before: str | None) -> None:
    body = _with("degraded-engine-crashed")
    if before is not None:
        body["metadata"]["annotations"] = {RETRY_ANNOTATION: before}
    after = KVEventSync(acted(body, SCRIPTS["retry"])).retry
    assert after not in ("", before)


def test_retry_is_offered_where_a_person_must_act() -> None:
    for name, picture in PICTURES.items():
        offered = {each["name"] for each in actions(picture(), DISCOVERY) if not each["disabled"]}
        assert ("retry" in offered) == name.startswith("degraded"), name
