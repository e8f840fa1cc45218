"""The typed spec: the schema's fields, defaults and bounds, and refusals that help."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsync.model.duration import format_duration, parse_duration
from kvsync.model.spec import (
    DeletionPolicy,
    Dialect,
    GatewayEnvironment,
    KVEventSyncSpec,
    LabelSelector,
    OnFailure,
    Operator,
    RelayMode,
    Requirement,
    SpecError,
)
from model.schema import SPEC, Node, allows_text, defaulted, nest, patterns, scalars, walk
from model.specs import ACCEPTED, NAMED, REFUSED, Refused

SCALARS = {node.path: node for node in scalars()}
TEXTS = sorted(path for path, node in SCALARS.items() if node.schema["type"] == "string")
OBJECTS = [node for node in walk(SPEC, "spec") if "properties" in node.schema]
INTEGERS = sorted(path for path, node in SCALARS.items() if node.schema["type"] == "integer")


def accepts(spec: dict[str, Any]) -> bool:
    try:
        KVEventSyncSpec.from_manifest(spec)
    except SpecError:
        return False
    return True


def test_everything_is_read() -> None:
    spec = KVEventSyncSpec.from_manifest(
        {
            "models": {"names": ["a"], "selector": {"matchLabels": {"app": "x"}}},
            "engine": {"container": "c", "version": "v0.11.0", "dialect": "Flags"},
            "events": {
                "bufferSteps": 1,
                "topic": "t",
                "port": 2,
                "replayPort": 3,
                "relay": {
                    "mode": "Auto",
                    "image": "x:1",
                    "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}},
                    "reannounce": "1m",
                },
            },
            "gateway": {
                "environment": "V0_5",
                "remoteTokenizer": {"endpoint": "http://x"},
                "alsoConfigure": ["kvcache-watcher"],
            },
            "rollout": {"maxConcurrent": 4, "progressDeadline": "1h30m", "onFailure": "Pause"},
            "probe": {"interval": "1m", "activeCheck": False, "canary": True},
            "paused": True,
            "deletionPolicy": "Retain",
        }
    )
    assert spec.models.names == ("a",)
    assert (spec.engine.container, spec.engine.version) == ("c", "v0.11.0")
    assert spec.engine.dialect is Dialect.FLAGS
    assert (spec.events.buffer_steps, spec.events.topic) == (1, "t")
    assert (spec.events.port, spec.events.replay_port) == (2, 3)
    relay = spec.events.relay
    assert (relay.mode, relay.image, relay.reannounce) == (RelayMode.AUTO, "x:1", 60.0)
    assert (relay.resources.requests.cpu, relay.resources.limits.memory) == ("2", "1Gi")
    assert spec.gateway.environment is GatewayEnvironment.V0_5
    assert spec.gateway.tokenizer_endpoint == "http://x"
    assert spec.gateway.consumers == (
        ("aibrix-system", "kvcache-watcher"),
        ("aibrix-system", "aibrix-gateway-plugins"),
    )
    assert (spec.rollout.max_concurrent, spec.rollout.progress_deadline) == (4, 5400.0)
    assert spec.rollout.on_failure is OnFailure.PAUSE
    assert (spec.probe.interval, spec.probe.active_check) == (60.0, False)
    assert spec.probe.canary
    assert spec.paused
    assert spec.deletion_policy is DeletionPolicy.RETAIN


def test_a_relay_may_not_ask_for_more_than_it_may_use() -> None:
    resources = {"requests": {"cpu": "1.5"}, "limits": {"cpu": "1200m"}}
    spec = {**NAMED, "events": {"relay": {"resources": resources}}}
    with pytest.raises(SpecError, match=r"requests\.cpu: is 1\.5, more than the limit 1200m"):
        KVEventSyncSpec.from_manifest(spec)


def test_defaults_are_the_schemas() -> None:
    full = defaulted(SPEC, NAMED)
    assert set(full) == set(SPEC["properties"]), "every part has a default to be compared"
    assert KVEventSyncSpec.from_manifest(full) == KVEventSyncSpec.from_manifest(NAMED)


@pytest.mark.parametrize("path", sorted(SCALARS))
def test_each_field_has_a_default_and_makes_a_difference(path: str) -> None:
    schema = SCALARS[path].schema
    default = schema["default"]
    others: dict[type, Any] = {bool: not default, int: 77}
    samples = ["0.16.0", "some-name", "http://x:1", "1m", "64Mi"]
    choices = [v for v in schema.get("enum", samples) if v != default and allows_text(schema, v)]
    other = others.get(type(default), choices[0] if choices else None)
    if other is None:
        assert len(schema["enum"]) == 1
        return
    changed = KVEventSyncSpec.from_manifest(nest(path, other))
    assert changed != KVEventSyncSpec.from_manifest(NAMED)


@pytest.mark.parametrize("spec", ACCEPTED, ids=str)
def test_good_specs_are_taken(spec: dict[str, Any]) -> None:
    assert KVEventSyncSpec.from_manifest(spec).models


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.title)
def test_bad_specs_are_refused_by_field_and_with_the_way_out(case: Refused) -> None:
    with pytest.raises(SpecError) as caught:
        KVEventSyncSpec.from_manifest(case.spec)
    assert caught.value.field.startswith(case.field)
    assert case.says in caught.value.problem
    assert str(caught.value) == f"{caught.value.field}: {caught.value.problem}"


@pytest.mark.parametrize(
    "node", [n for n in walk(SPEC, "spec") if "properties" in n.schema], ids=lambda n: n.path
)
def test_unknown_fields_are_refused_in_every_object(node: Node) -> None:
    path = node.path.replace("[]", "")
    spec = nest(f"{path}.surprise", 1)
    if path.startswith("spec.models.selector"):
        inner = {"key": "a", "operator": "Exists", "surprise": 1}
        selector = {"matchExpressions": [inner]} if node.path.endswith("[]") else {"surprise": 1}
        spec = {"models": {"selector": selector}}
    with pytest.raises(SpecError, match="surprise: is not known"):
        KVEventSyncSpec.from_manifest(spec)


@pytest.mark.parametrize("part", ["models", "engine", "events", "gateway", "rollout", "probe"])
@pytest.mark.parametrize("value", ["text", 1, True, ["m"]], ids=str)
def test_what_is_no_object_is_refused(part: str, value: Any) -> None:
    with pytest.raises(SpecError, match=f"^spec.{part}: must be an object"):
        KVEventSyncSpec.from_manifest({**NAMED, part: value})


@pytest.mark.parametrize("path", INTEGERS)
def test_bounds_are_the_schemas(path: str) -> None:
    least, most = SCALARS[path].schema["minimum"], SCALARS[path].schema["maximum"]
    taken = {n: accepts(nest(path, n)) for n in (least - 1, least, most, most + 1)}
    assert taken == {least - 1: False, least: True, most: True, most + 1: False}
    assert not accepts(nest(path, True)), "true is no number"


@pytest.mark.parametrize("path", TEXTS)
@settings(max_examples=40)
@given(data=st.data())
def test_texts_are_taken_exactly_where_the_schema_takes_them(
    path: str, data: st.DataObject
) -> None:
    schema = SCALARS[path].schema
    texts = [st.text(max_size=20), st.sampled_from(schema.get("enum", ["", "a", "0s", "\n"]))]
    texts += [st.from_regex(pattern) for pattern in patterns(schema)]
    text = data.draw(st.one_of(texts))
    assert accepts(nest(path, text)) == allows_text(schema, text)


@given(name=st.one_of(st.text(max_size=70), st.from_regex(r"^[a-z0-9.-]{1,70}$")))
def test_names_are_taken_exactly_where_the_schema_takes_them(name: str) -> None:
    schema = SPEC["properties"]["models"]["properties"]["names"]["items"]
    assert accepts({"models": {"names": [name]}}) == allows_text(schema, name)


@given(text=st.one_of(st.text(max_size=70), st.from_regex(r"^[A-Za-z0-9./_-]{1,80}$")))
def test_labels_are_taken_exactly_where_the_schema_takes_them(text: str) -> None:
    selector = SPEC["properties"]["models"]["properties"]["selector"]["properties"]
    value = selector["matchLabels"]["additionalProperties"]
    key = selector["matchExpressions"]["items"]["properties"]["key"]
    assert patterns(key) == patterns(selector["matchLabels"]), "one rule for keys in both places"
    as_value = {"models": {"selector": {"matchLabels": {"app": text}}}}
    as_key = {"models": {"selector": {"matchLabels": {text: "x"}}}}
    assert accepts(as_value) == allows_text(value, text)
    assert accepts(as_key) == allows_text(key, text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("30m", 1800), ("1h30m", 5400), ("90s", 90), ("0s", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "10", "s", "1.5h", "-1s", "1m1h", "1 m", "10S", "1d", "10s\n", "٣s", "9" * 16 + "s"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@given(seconds=st.integers(min_value=0, max_value=999_999 * 3600 + 3599))
def test_durations_come_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def requirement(key: str, operator: Operator, *values: str) -> LabelSelector:
    return LabelSelector((), (Requirement(key, operator, values),))


@pytest.mark.parametrize(
    ("selector", "selected", "left"),
    [
        (requirement("a", Operator.IN, "1", "2"), [{"a": "2"}], [{"a": "3"}, {}, {"b": "1"}]),
        (requirement("a", Operator.NOT_IN, "1"), [{"a": "2"}, {}, {"b": "1"}], [{"a": "1"}]),
        (requirement("a", Operator.EXISTS), [{"a": ""}], [{}, {"b": "1"}]),
        (requirement("a", Operator.DOES_NOT_EXIST), [{}, {"b": "1"}], [{"a": ""}]),
        (LabelSelector((("a", "1"), ("b", ""))), [{"a": "1", "b": "", "c": "x"}], [{"a": "1"}, {}]),
        (LabelSelector(), [{}, {"a": "1"}], []),
    ],
)
def test_selectors_select_as_kubernetes_does(
    selector: LabelSelector, selected: list[dict[str, str]], left: list[dict[str, str]]
) -> None:
    assert [labels for labels in selected if not selector.matches(labels)] == []
    assert [labels for labels in left if selector.matches(labels)] == []


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2"]))
VALUES = st.lists(st.sampled_from(["", "1", "2"]), min_size=1, max_size=2)


@given(labels=LABELS, key=st.sampled_from("abc"), values=VALUES)
def test_opposite_operators_never_agree(
    labels: dict[str, str], key: str, values: list[str]
) -> None:
    inside = requirement(key, Operator.IN, *values).matches(labels)
    assert inside != requirement(key, Operator.NOT_IN, *values).matches(labels)
    assert inside <= requirement(key, Operator.EXISTS).matches(labels)


@given(labels=LABELS, wanted=LABELS)
def test_match_labels_mean_in_with_one_value(
    labels: dict[str, str], wanted: dict[str, str]
) -> None:
    assume(wanted)
    as_labels = {"models": {"selector": {"matchLabels": wanted}}}
    expressions = [{"key": k, "operator": "In", "values": [v]} for k, v in wanted.items()]
    as_expressions = {"models": {"selector": {"matchExpressions": expressions}}}
    first, second = (KVEventSyncSpec.from_manifest(s).models for s in (as_labels, as_expressions))
    assert (
        first.selects("m", labels)
        == second.selects("m", labels)
        == (wanted.items() <= labels.items())
    )


def test_models_are_named_or_selected() -> None:
    models = KVEventSyncSpec.from_manifest(
        {"models": {"names": ["a"], "selector": {"matchLabels": {"app": "x"}}}}
    ).models
    assert models.selects("a", {})
    assert models.selects("b", {"app": "x"})
    assert not models.selects("b", {"app": "y"})
