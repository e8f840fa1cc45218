"""A slot: the change is one value, the way back is exact, and what an opponent does is answered as ever."""

import copy
from typing import Any

import pytest
from hypothesis import given

from core.objects import (
    CONFIG,
    RECORD,
    SERVE,
    Json,
    container,
    deployment,
    main_container,
    planned,
    reason_of,
    spec_of,
)
from core.scenes import configured
from core.slots import LABELS, slotted_deployments
from core.strategies import EDITS, edit, engine_of
from kvsync.core.launch import expand, literal_variables
from kvsync.core.patch import apply
from kvsync.core.plan import plan_undo
from kvsync.core.planned import ModelPlan, Outcome
from kvsync.core.releases import NEUTRAL_EVENTS
from kvsync.core.slot import NEUTRAL, SLOT_VARIABLE, SLOT_WORD, is_neutral
from kvsync.model.spec import EngineType, KVEventSyncSpec
from kvsync.model.workload import Container, Deployment

VLLM_OFF = NEUTRAL[EngineType.VLLM]
WHEN_VERIFIED = spec_of(engine={"labels": "WhenVerified"})


@given(body=slotted_deployments())
def test_the_patch_is_one_value_and_both_ways_back_are_exact(body: Json) -> None:
    made = planned(body, WHEN_VERIFIED)
    assert made.outcome is Outcome.CHANGE, made.refusal
    changes = [operation for operation in made.patch if operation["op"] != "test"]
    inside = [op for op in changes if not op["path"].startswith("/metadata/annotations")]
    (only,) = inside
    index = next(i for i, e in enumerate(engine_of(body)["env"]) if e["name"] == SLOT_VARIABLE)
    assert only["op"] == "replace"
    assert only["path"].endswith(f"/env/{index}/value")
    after = apply(body, made.patch)
    assert apply(after, made.undo) == body
    assert apply(after, plan_undo(Deployment(after))) == body
    assert planned(after, WHEN_VERIFIED, at=2_000).outcome is Outcome.UNCHANGED


@given(body=slotted_deployments(), names=EDITS)
def test_edits_beside_it_survive_the_way_back(body: Json, names: list[str]) -> None:
    edited, expected = configured(body, spec=WHEN_VERIFIED), copy.deepcopy(body)
    edit(names, edited, expected)
    found = apply(edited, plan_undo(Deployment(edited)))
    assert engine_of(found)["env"] == engine_of(expected)["env"]


@given(body=slotted_deployments())
def test_the_engine_gets_the_words_that_it_would_get_without_a_slot(body: Json) -> None:
    engine = Container(0, engine_of(configured(body, spec=WHEN_VERIFIED)))
    variables = literal_variables(engine)
    if engine.words[0] == "sh":
        assert variables[SLOT_VARIABLE].strip("'") == CONFIG
    else:
        assert [expand(word, variables) for word in engine.words].count(CONFIG) == 1


def slot(value: str = VLLM_OFF, **fields: Any) -> Json:
    env = [{"name": SLOT_VARIABLE, "value": value}]
    body = deployment(container(command=SERVE, args=["--seed=1", SLOT_WORD], env=env, **fields))
    body["spec"]["template"]["metadata"]["labels"] |= LABELS
    return body


def value_of(body: Json) -> str:
    return str(main_container(body)["env"][0]["value"])


@pytest.mark.parametrize("value", NEUTRAL_EVENTS[EngineType.VLLM])
def test_a_neutral_value_comes_back_as_it_was(value: str) -> None:
    after = configured(slot(value), spec=WHEN_VERIFIED)
    assert is_neutral(value)
    assert value_of(after) == CONFIG
    assert apply(after, plan_undo(Deployment(after))) == slot(value)


SGLANG = spec_of(engine={"labels": "WhenVerified", "type": "SGLang"})


@pytest.mark.parametrize(
    ("value", "image", "wanted"),
    [
        ("", "vllm/vllm-openai:v0.16.0", WHEN_VERIFIED),
        ("", "lmsysorg/sglang:v0.5.23", SGLANG),
        (VLLM_OFF, "lmsysorg/sglang:v0.5.23", SGLANG),
    ],
)
def test_a_value_that_the_engine_does_not_start_with_is_refused(
    value: str, image: str, wanted: KVEventSyncSpec
) -> None:
    """Undoing would put it back."""
    body = slot(value, image=image)
    if wanted is SGLANG:
        main_container(body)["command"] = ["python3", "-m", "sglang.launch_server"]
    refused = planned(body, wanted)
    assert reason_of(refused) == "SlotUnusable"
    assert f"Write {NEUTRAL[wanted.engine.type]} as" in str(refused.refusal)


def test_an_empty_value_is_no_word_where_a_shell_drops_it() -> None:
    env = [{"name": SLOT_VARIABLE, "value": ""}]
    words = ["sh", "-c", f"exec vllm serve m ${SLOT_VARIABLE}"]
    body = deployment(container(command=words, env=env))
    assert value_of(configured(body, spec=WHEN_VERIFIED)) == CONFIG


def test_an_owners_configuration_in_it_is_merged_and_comes_back() -> None:
    own = '--kv-events-config={"enable_kv_cache_events":true,"publisher":"zmq","topic":"t"}'
    after = configured(slot(own), spec=WHEN_VERIFIED)
    assert value_of(after) == CONFIG.replace('"topic":""', '"topic":"t"')
    assert apply(after, plan_undo(Deployment(after))) == slot(own)


def test_a_neutral_value_put_back_by_someone_is_undone_and_planned_again() -> None:
    after = configured(slot(), spec=WHEN_VERIFIED)
    main_container(after)["env"][0]["value"] = VLLM_OFF
    again = planned(after, WHEN_VERIFIED, at=2_000)
    assert again.outcome is Outcome.CHANGE
    assert value_of(apply(after, again.patch)) == CONFIG


def test_a_slot_taken_out_by_its_owner_is_a_new_base() -> None:
    after = configured(slot(), spec=WHEN_VERIFIED)
    main_container(after)["args"] = ["--seed=1"]
    del main_container(after)["env"]
    again = apply(after, planned(after, WHEN_VERIFIED, at=2_000).patch)
    assert main_container(again)["args"] == ["--seed=1", CONFIG]
    assert [p["containerPort"] for p in main_container(again)["ports"]] == [5557, 5558]


def test_without_the_record_the_place_is_kept_by_a_neutral_value() -> None:
    for engine, image in ((EngineType.VLLM, "vllm"), (EngineType.SGLANG, "sglang")):
        body = slot(NEUTRAL[engine])
        if engine is EngineType.SGLANG:
            main_container(body)["image"] = "lmsysorg/sglang:v0.5.23"
            main_container(body)["command"] = ["python3", "-m", "sglang.launch_server"]
            body["spec"]["template"]["metadata"]["labels"]["model.aibrix.ai/engine"] = image
        spec = spec_of(engine={"labels": "WhenVerified", "type": engine.value})
        after = configured(body, spec=spec)
        del after["metadata"]["annotations"][RECORD]
        found = apply(after, plan_undo(Deployment(after)))
        assert value_of(found) == NEUTRAL[engine]
        assert planned(after, spec, at=2_000).outcome is Outcome.CHANGE


@pytest.mark.parametrize("beside", [CONFIG, VLLM_OFF, "--kv-events-config="])
def test_a_neutral_slot_hides_no_other_configuration(beside: str) -> None:
    """The engine takes the last of two: what stands behind the slot would win."""
    for args in ([beside, SLOT_WORD], [SLOT_WORD, beside]):
        body = slot()
        main_container(body)["args"] = args
        assert reason_of(planned(body)) == "SlotUnusable"


def test_every_mode_changes_the_same_one_value() -> None:
    def written(mode: str) -> ModelPlan:
        return planned(slot(), spec_of(mode=mode, engine={"labels": "WhenVerified"}))

    patched = written("Patch")
    injection = written("Admission").injection
    assert injection is not None
    assert injection.env is not None
    assert (injection.env.before, injection.env.value) == (VLLM_OFF, CONFIG)
    assert (injection.args, injection.rewrite, injection.ports) == ((), None, ())
    inside = [o for o in patched.patch if o["path"].endswith("/env/0/value")]
    assert [o for o in written("Render").patch if o["path"].endswith("/env/0/value")] == inside


def scripted(text: str, *env: Json) -> Json:
    body = deployment(container(command=["sh", "-c", text], env=list(env)))
    body["spec"]["template"]["metadata"]["labels"] |= LABELS
    return body


def test_a_variable_without_a_value_is_bare_again() -> None:
    body = scripted(f"exec vllm serve m ${SLOT_VARIABLE}", {"name": SLOT_VARIABLE})
    after = configured(body, spec=WHEN_VERIFIED)
    assert value_of(after) == CONFIG
    assert apply(after, plan_undo(Deployment(after))) == body


def test_the_last_definition_counts_wherever_it_comes_from() -> None:
    literal = {"name": SLOT_VARIABLE, "value": VLLM_OFF}
    elsewhere = {"name": SLOT_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    body = slot()
    main_container(body)["env"] = [elsewhere, literal]
    assert main_container(configured(body, spec=WHEN_VERIFIED))["env"][1]["value"] == CONFIG
    main_container(body)["env"] = [literal, elsewhere]
    assert reason_of(planned(body)) == "SlotUnusable"


@pytest.mark.parametrize(
    "text",
    [
        f'vllm serve m {VLLM_OFF} "${SLOT_VARIABLE}"',
        f'./start.sh "${SLOT_VARIABLE}"',
    ],
    ids=["configured beside it", "no engine to be seen"],
)
def test_a_script_that_leaves_a_doubt_is_refused(text: str) -> None:
    literal = {"name": SLOT_VARIABLE, "value": VLLM_OFF}
    assert reason_of(planned(scripted(text, literal), WHEN_VERIFIED)) == "SlotUnusable"
