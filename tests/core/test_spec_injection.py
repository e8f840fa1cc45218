"""Texts of a KVEventSync's author: none of them becomes more than a value, in whatever it is put into.

The fields are those of the CRD's schema, so that a new one is tried too, or has the test say where it goes.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.objects import TEMPLATES, Json, ask, container, deployment, spec_of
from core.scenes import after_action, decided, gateway_of, working
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.render import engine_arguments, gateway_variables
from kvsync.model.relay import RelayMeans
from kvsync.model.spec import (
    ENDPOINT,
    IMAGE,
    TOKENIZER_ENGINE,
    TOPIC,
    Dialect,
    EngineType,
    EventsSpec,
    KVEventSyncSpec,
    SpecError,
)
from kvsync.model.workload import Deployment
from model.schema import SPEC, allows_text, walk

TEXTS = [node for node in walk(SPEC, "spec") if node.schema["type"] == "string"]

PAYLOADS = (
    "{{7*7}}",
    "{{ events.__class__.__mro__ }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{x}}{% endfor %}",
    "{# comment",
    "%}",
    '"',
    "'",
    '","publisher":"null","x":"',
    "'\n- --trust-remote-code\n- '",
    "x\n- --api-key=stolen",
    "x: y",
    "!!python/object/apply:os.system [id]",
    "&a [*a]",
    "# nothing",
    "$(HOME)",
    "${HOME}",
    "$$(HOME)",
    "\\u0024(HOME)",
    "`id`",
    "; id",
    "| id",
    "--port=1",
    "x --port=1",
    "../../etc/passwd",
    "%s%n",
    "\x00",
    "\x1b[2J",
    "\u202egnihton",
    "\u200b",
    "x\n",
    "x\u2028",
    "é",
    "x" * 10_000,
)


def with_text(path: str, text: str) -> Json:
    """A manifest's spec with this text in this field."""
    spec: Json = {"models": {"names": ["model"]}}
    place: Any = spec
    *way, last = path.removeprefix("spec.").split(".")
    for key in way:
        if key.endswith("[]"):
            item: Json = {"key": "a", "operator": "Exists"}
            place[key[:-2]] = [item]
            place = item
        else:
            place = place.setdefault(key, {})
    if last.endswith("[]"):
        place[last[:-2]] = [text]
        if last == "values[]":
            place["operator"] = "In"
    elif last.endswith("{}"):
        place[last[:-2]] = {"a": text}
    else:
        place[last] = text
    return spec


REACHING = {
    "spec.events.topic": (TOPIC, "benign"),
    "spec.events.relay.image": (IMAGE, "registry.example/benign:1"),
    "spec.gateway.remoteTokenizer.endpoint": (ENDPOINT, "http://benign"),
    "spec.gateway.remoteTokenizer.engine": (TOKENIZER_ENGINE, "benign"),
}
"""The texts that are put into pods, with their form and an example."""

AMOUNTS = {
    f"spec.events.relay.resources.{kind}.{what}": text
    for kind in ("requests", "limits")
    for what, text in (("cpu", "77m"), ("memory", "77Mi"))
}
"""Texts that are read as a number and a unit, and are put into pods as these."""

NAMES = {
    "spec.models.names[]",
    "spec.models.selector.matchLabels{}",
    "spec.models.selector.matchExpressions[].key",
    "spec.models.selector.matchExpressions[].values[]",
    "spec.engine.container",
    "spec.engine.version",
    "spec.gateway.namespace",
    "spec.gateway.deployment",
    "spec.gateway.container",
    "spec.gateway.alsoConfigure[]",
}
"""Texts that something is found by; they are not put anywhere."""

DURATIONS = {
    "spec.events.relay.reannounce",
    "spec.rollout.progressDeadline",
    "spec.probe.interval",
}


def test_of_each_text_of_the_schema_it_is_known_where_it_goes() -> None:
    choices = {node.path for node in TEXTS if "enum" in node.schema}
    known = [*REACHING, *AMOUNTS, *NAMES, *DURATIONS, *choices]
    assert sorted(known) == sorted(node.path for node in TEXTS)


def written(path: str, text: str, engine: EngineType, dialect: Dialect) -> Json:
    """The pod templates of a model and of the gateway that a spec with this text comes to."""
    manifest = with_text(path, text)
    manifest["engine"] = {"type": str(engine), "dialect": str(dialect)}
    relay = manifest.setdefault("events", {}).setdefault("relay", {})
    relay |= {"mode": "Always"} if dialect is Dialect.CONFIG_JSON else {}
    spec = KVEventSyncSpec.from_manifest(manifest)
    serve = ["vllm", "serve", "m"] if engine is EngineType.VLLM else SGLANG
    body = deployment(container("vllm", IMAGES[engine, dialect], command=serve))
    asked = ask(spec, relays=RelayMeans("kvsync-operator:1"))
    change = plan(Deployment(body), asked)
    assert change.patch, change.refusal
    one, verdict = working()
    gateway, shared = gateway_of(), spec_of(gateway=manifest.get("gateway", {}))
    told = decided(one, verdicts=[verdict], gateway=gateway, spec=shared)
    changed, turned_on = apply(body, change.patch), after_action(told, gateway)
    return {"model": changed["spec"]["template"], "gateway": turned_on["spec"]["template"]}


SGLANG = ["python3", "-m", "sglang.launch_server", "--model-path=m"]
IMAGES = {
    (EngineType.VLLM, Dialect.CONFIG_JSON): "vllm/vllm-openai:v0.16.0",
    (EngineType.VLLM, Dialect.FLAGS): "example.com/fork:0.8.5",
    (EngineType.SGLANG, Dialect.CONFIG_JSON): "lmsysorg/sglang:v0.5.3",
}


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    """The values below, by place; the engine's settings are read, as the engine does it."""
    if isinstance(value, str) and value.startswith("--kv-events-config="):
        return leaves(json.loads(value.partition("=")[2]), (*path, "=json"))
    if isinstance(value, Mapping):
        items = [*value.items()]
    elif isinstance(value, list):
        items = [*enumerate(value)]
    else:
        return {path: value}
    return {at: leaf for key, each in items for at, leaf in leaves(each, (*path, key)).items()}


def check(path: str, text: str, engine: EngineType, dialect: Dialect) -> None:
    """What differs from what a harmless text comes to is this text, in its place, as it was written."""
    _, benign = REACHING[path]
    usual = leaves(written(path, benign, engine, dialect))
    found = leaves(written(path, text, engine, dialect))
    assert found.keys() == usual.keys()
    places = [at for at, leaf in usual.items() if isinstance(leaf, str) and benign in leaf]
    assert places, f"{path} reaches nothing: a name"
    for at, leaf in usual.items():
        assert found[at] == (leaf.replace(benign, text) if at in places else leaf), at


def reaches(path: str, engine: EngineType, dialect: Dialect) -> bool:
    """Whether this engine is given it: flags know of no relay."""
    return dialect is Dialect.CONFIG_JSON or path != "spec.events.relay.image"


@pytest.mark.parametrize("node", TEXTS, ids=lambda node: node.path)
def test_a_payload_is_refused_in_plain_words_or_stays_the_value_that_it_is(node: Any) -> None:
    for text in PAYLOADS:
        try:
            KVEventSyncSpec.from_manifest(with_text(node.path, text))
        except SpecError as refused:
            told = str(refused)
            assert told.isprintable(), text
            assert len(told) < 500, text
            # A duration's rule is the API server's own parser, a label's stands at its map.
            elsewhere = node.path in DURATIONS or node.path.endswith("{}")
            assert elsewhere or not allows_text(node.schema, text), text
            continue
        assert node.path in REACHING or node.path in NAMES, text
        for engine, dialect in IMAGES:
            if node.path in REACHING and text and reaches(node.path, engine, dialect):
                check(node.path, text, engine, dialect)


@pytest.mark.parametrize("path", REACHING)
@given(data=st.data())
def test_any_text_that_a_field_takes_stays_the_value_that_it_is(
    path: str, data: st.DataObject
) -> None:
    form, _ = REACHING[path]
    text = data.draw(st.from_regex(form, fullmatch=True).filter(bool))
    engine, dialect = data.draw(st.sampled_from([*IMAGES]))
    if form.fullmatch(text) and reaches(path, engine, dialect):
        check(path, text, engine, dialect)


@given(
    st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF), max_size=40)
    | st.sampled_from(PAYLOADS)
)
def test_the_templates_take_any_text_for_a_value_even_one_that_no_field_takes(text: str) -> None:
    """The second wall: the reader's forms are not what the templates stand on."""
    events = EventsSpec(topic=text)
    for engine, dialect in IMAGES:
        words = engine_arguments(TEMPLATES, engine, dialect, events)
        usual = engine_arguments(TEMPLATES, engine, dialect, EventsSpec(topic="t"))
        assert len(words) == len(usual)
        if dialect is Dialect.CONFIG_JSON:
            assert json.loads(words[0].partition("=")[2])["topic"] == text
        else:
            assert words[-1] == f"--kv-events-topic={text}"
    told = gateway_variables(TEMPLATES, **_values(text))
    harmless = gateway_variables(TEMPLATES, **_values("t"))
    assert told == {key: text if value == "t" else value for key, value in harmless.items()}


def _values(text: str) -> Mapping[str, Any]:
    return {
        "names": ("V0_4", "V0_5"),
        "tokenizer_engine": text,
        "tokenizer_endpoint": text,
        "block_size": 16,
        "http_port": 8001,
    }
