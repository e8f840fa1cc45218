"""A slot put into a manifest and taken out: idempotent, fillable at once, refused where it would do harm."""

import copy
from typing import Any

import pytest
from hypothesis import assume, given

from core.objects import (
    SERVE,
    TEMPLATES,
    Json,
    container,
    deployment,
    main_container,
    planned,
    spec_of,
)
from core.slots import role, storm
from core.strategies import deployments, engine_of, scripted_engines
from kvsync.core.engines import ENGINES
from kvsync.core.launch import Launch, start_of
from kvsync.core.manifest import Rendered, render_manifest, restore_manifest
from kvsync.core.patch import apply
from kvsync.core.planned import Outcome
from kvsync.core.slot import NEUTRAL, SLOT_VARIABLE, SLOT_WORD
from kvsync.core.slot_manifest import with_slot, without_slot
from kvsync.model.spec import EngineSpec, EngineType
from kvsync.model.workload import Container

VLLM = NEUTRAL[EngineType.VLLM]
WHEN_VERIFIED = spec_of(engine={"labels": "WhenVerified"})


def slotted(body: Json, **engine: Any) -> Rendered:
    return with_slot(body, spec_of(engine=engine).engine)


def body_of(made: Rendered) -> Json:
    body: Json = copy.deepcopy(dict(made.body))
    return body


def compared(body: Json) -> Json:
    """Without the labels that stay, and without lists that their owner left empty."""
    result = copy.deepcopy(body)
    del result["spec"]["template"]["metadata"]["labels"]
    for key in ("args", "env"):
        if not engine_of(result).get(key):
            engine_of(result).pop(key, None)
    return result


@given(body=deployments())
def test_put_in_once_filled_by_one_value_and_taken_out(body: Json) -> None:
    kept = copy.deepcopy(body)
    made = slotted(body)
    assert body == kept, "rendering changed what it was given"
    assume(made.reason != "SlotUnusable")  # a fork that takes the flags
    assert made.outcome is Outcome.CHANGE, made.message
    assert apply(body, made.patch) == made.body
    assert apply(made.body, made.undo) == body
    assert slotted(body_of(made)).outcome is Outcome.UNCHANGED
    filled = planned(made.body, WHEN_VERIFIED)
    written = [o["path"] for o in filled.patch if o["op"] == "replace"]
    assert [path.rpartition("/")[2] for path in written if "/env/" in path] == ["value"]
    assert not [path for path in written if "/args" in path or "/command" in path]
    assert compared(body_of(without_slot(made.body))) == compared(body)


@given(body=deployments(scripted_engines()))
def test_a_script_gets_it_in_quotes_or_is_refused(body: Json) -> None:
    made = slotted(body)
    if made.outcome is Outcome.REFUSED:
        assert made.reason == "ShellWrapped"
        return
    engine = Container(0, engine_of(dict(made.body)))
    assert start_of(engine, ENGINES[EngineType.VLLM]).launch is Launch.SLOT
    assert engine.env(SLOT_VARIABLE) == VLLM
    assert planned(made.body, WHEN_VERIFIED).outcome is Outcome.CHANGE
    assert compared(body_of(without_slot(made.body))) == compared(body)


@given(body=deployments())
def test_what_is_rendered_into_a_slot_is_restored_to_it(body: Json) -> None:
    made = slotted(body)
    assume(made.outcome is Outcome.CHANGE)
    rendered = render_manifest(made.body, WHEN_VERIFIED, TEMPLATES)
    assert rendered.outcome is Outcome.CHANGE
    assert restore_manifest(rendered.body).body == made.body


def test_the_labels_are_those_that_harm_nobody() -> None:
    made = slotted(deployment())
    labels = made.body["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "app": "model",
        "model.aibrix.ai/name": "model",
        "model.aibrix.ai/engine": "vllm",
    }
    assert "annotations" not in made.body["metadata"]


def test_before_a_double_dash_and_with_sglangs_own_neutral_value() -> None:
    made = slotted(deployment(container(command=[*SERVE, "--", "x"])))
    assert main_container(made.body)["command"] == [*SERVE, SLOT_WORD, "--", "x"]
    engine = container("sglang", "lmsysorg/sglang:v0.5.23", command=["sglang", "serve"])
    made = slotted(deployment(engine), type="SGLang")
    assert main_container(made.body, "sglang")["env"] == [
        {"name": SLOT_VARIABLE, "value": NEUTRAL[EngineType.SGLANG]}
    ]


def test_a_variable_that_is_there_already_is_used() -> None:
    env = [{"name": SLOT_VARIABLE, "value": "--kv-events-config="}]
    made = slotted(deployment(container(command=SERVE, env=env)))
    assert main_container(made.body)["env"] == env


OWN = '--kv-events-config={"enable_kv_cache_events":true}'


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"image": "vllm/vllm-openai:v0.8.5"}, "EngineTooOld"),
        ({"image": "example.com/team/vllm-fork:0.8.5"}, "SlotUnusable"),
        ({"image": "example.com/team/vllm:v7"}, "DialectUnknown"),
        ({"args": [OWN]}, "EventsAlreadyConfigured"),
        ({"command": ["sh", "-c", "while :; do vllm serve m; done"]}, "ShellWrapped"),
        ({"command": ["sh", "-c", "if :; then vllm serve m $VLLM_ARGS; fi"]}, "ShellWrapped"),
        ({"command": [*SERVE, SLOT_WORD, SLOT_WORD]}, "SlotUnusable"),
        (
            {"env": [{"name": SLOT_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
            "SlotUnusable",
        ),
        ({"env": [{"name": SLOT_VARIABLE, "value": "--seed=1"}]}, "SlotUnusable"),
        ({"image": "busybox:1", "command": ["sleep", "1"]}, "NoEngineContainer"),
    ],
)
def test_where_it_would_do_harm_it_is_refused(fields: Json, reason: str) -> None:
    body = deployment({**container(), **fields})
    made = slotted(body)
    assert (made.outcome, made.reason) == (Outcome.REFUSED, reason)
    assert made.body == body


def test_the_way_back_never_takes_a_configuration() -> None:
    made = body_of(slotted(deployment()))
    main_container(made)["env"][0]["value"] = OWN
    assert without_slot(made).reason == "SlotUnusable"
    live = apply(slotted(deployment()).body, planned(slotted(deployment()).body).patch)
    for refused in (without_slot(live), slotted(live)):
        assert refused.reason == "SlotUnusable"
        assert "kvsync render --undo" in refused.message


def test_a_script_that_names_it_in_another_way_is_its_owners() -> None:
    words = ["sh", "-c", "exec vllm serve m $KVSYNC_KV_EVENTS"]
    env = [{"name": SLOT_VARIABLE, "value": VLLM}]
    body = deployment(container(command=words, env=env))
    assert without_slot(body).reason == "SlotUnusable"
    assert without_slot(deployment()).outcome is Outcome.UNCHANGED


def test_each_role_with_an_engine_gets_one_and_a_router_none() -> None:
    router = role("router", container("router", "busybox:1", command=["sleep"]))
    body = storm(role("prefill", container()), router, role("decode", container("engine")))
    made = slotted(body, container="engine")
    after = [
        r["template"]["spec"]["containers"][0]
        for r in made.body["spec"]["template"]["spec"]["roles"]
    ]
    assert [c.get("args") for c in after] == [[SLOT_WORD], None, [SLOT_WORD]]
    assert body_of(without_slot(made.body))["spec"]["template"]["spec"]["roles"][1] == router
    assert slotted(storm(router)).reason == "NoEngineContainer"


def test_a_named_container_must_be_there() -> None:
    assert slotted(deployment(), container="nowhere").reason == "NoEngineContainer"
    assert with_slot({**deployment(), "kind": "PodSet"}, EngineSpec()).reason == "Unsupported"
