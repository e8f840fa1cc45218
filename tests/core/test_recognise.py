"""Without a record only what nobody but us writes in that form is taken out, and all of that."""

import copy

import pytest
from hypothesis import given

from core.objects import CONFIG, EVENTS_LABEL, RECORD, Json, container, deployment, main_container
from core.scenes import configured
from core.strategies import SPECS, deployments, engine_of, engines, scripted_engines
from kvsync.core.patch import apply
from kvsync.core.plan import plan_undo
from kvsync.core.recognise import is_record_lost, strip_recognised
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment


def lost(body: Json) -> Json:
    """The Deployment after somebody emptied its record."""
    changed = copy.deepcopy(body)
    changed["metadata"]["annotations"][RECORD] = "{}"
    return changed


def left(body: Json) -> Json:
    return dict(strip_recognised(Deployment(body)).body)


def assert_engine_is_back(body: Json, spec: KVEventSyncSpec) -> None:
    edited = lost(configured(body, spec=spec))
    after: Json = apply(edited, plan_undo(Deployment(edited)))
    assert readable(engine_of(after)) == readable(engine_of(body))
    assert EVENTS_LABEL not in after["spec"]["template"]["metadata"]["labels"]


def readable(engine: Json) -> Json:
    """The engine without empty fields, and without an empty variable that may have been there before."""
    kept = {key: value for key, value in engine.items() if value}
    env = [
        e for e in kept.pop("env", []) if e["name"] != "VLLM_ARGS" and "ADDITIONAL" not in e["name"]
    ]
    values = [e["value"].strip() for e in engine.get("env") or [] if e not in env]
    return {**kept, "env": env, "arguments": [value for value in values if value]}


@given(body=deployments(), spec=SPECS)
def test_an_engine_of_words_gets_its_own_back(body: Json, spec: KVEventSyncSpec) -> None:
    assert_engine_is_back(body, spec)


@given(body=deployments(scripted_engines()), spec=SPECS)
def test_an_engine_in_a_script_gets_its_own_back(body: Json, spec: KVEventSyncSpec) -> None:
    assert_engine_is_back(body, spec)


@given(body=deployments(engines()))
def test_what_we_never_touched_stays_as_it_is(body: Json) -> None:
    assert left(body)["spec"] == body["spec"]


@pytest.mark.parametrize(
    "word",
    [
        CONFIG.replace(":", ": ", 1),
        CONFIG.replace('"topic":""', '"topic":"","more":1'),
        '--kv-events-config={"enable_kv_cache_events":true}',
        CONFIG + "x",
        CONFIG.replace("--kv-events-config", "--kv_events_config"),
        "--kv-events-config={broken}",
        "--enable-kv-cache-events",
    ],
)
def test_a_configuration_in_another_form_is_its_owners(word: str) -> None:
    ports = [{"name": "kv-events", "containerPort": 5557}]
    body = deployment(container(args=["--seed=1", word], ports=ports))
    body["spec"]["template"]["metadata"]["labels"][EVENTS_LABEL] = "true"
    assert left(body)["spec"] == body["spec"]


def test_a_port_of_our_name_but_another_number_is_its_owners() -> None:
    own = {"name": "kv-events", "containerPort": 9000}
    body = deployment(container(ports=[own]))
    assert main_container(left(lost(configured(body))))["ports"] == [own]


def test_when_a_record_counts_as_lost() -> None:
    body = configured(deployment())
    assert not is_record_lost(Deployment(body))
    assert is_record_lost(Deployment(lost(body)))
    marks = body["metadata"]["annotations"]
    del marks[RECORD]
    assert is_record_lost(Deployment(body))
    marks["kvsync.aibrix.ai/rejected"] = "{}"
    assert not is_record_lost(Deployment(body)), "rolled back: nothing of ours is on it"
    assert not is_record_lost(Deployment(deployment()))
