"""The CRD as a document: everything described, everything bounded, columns that show something."""

import re
import runpy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kvsync.adapters.templates import read_templates
from kvsync.core.decide import decide
from kvsync.model.observed import FINALIZER, KVEventSync, Observed, ObservedGateway, ObservedModel
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment
from model.schema import (
    CRD,
    CRD_FILE,
    SCHEMA,
    SPEC,
    STATUS,
    VERSION,
    Node,
    closed,
    defaulted,
    rules,
    walk,
)
from model.specs import ACCEPTED, NAMED

NODES = [node for node in walk(SCHEMA, "") if node.path != ".metadata"]
BELOW_SPEC = list(walk(SPEC, "spec"))


def of_type(kind: str, nodes: list[Node] = NODES) -> list[Node]:
    return [node for node in nodes if node.schema["type"] == kind]


def test_names() -> None:
    names = CRD["spec"]["names"]
    assert CRD["metadata"]["name"] == f"{names['plural']}.{CRD['spec']['group']}"
    assert (CRD["spec"]["group"], VERSION["name"]) == ("kvsync.aibrix.ai", "v1alpha1")
    assert (names["kind"], names["plural"]) == ("KVEventSync", "kveventsyncs")
    assert (names["shortNames"], names["categories"]) == (["kves"], ["aibrix"])
    assert CRD["spec"]["scope"] == "Namespaced"
    assert VERSION["subresources"] == {"status": {}}


def test_everything_is_described() -> None:
    texts = {node.path: node.schema.get("description", "") for node in NODES}
    assert [path for path, text in texts.items() if len(text) < 9] == []
    assert [path for path, text in texts.items() if not text.rstrip().endswith(".")] == []


def test_everything_is_bounded() -> None:
    unbounded = [n.path for n in of_type("array") if "maxItems" not in n.schema]
    unbounded += [n.path for n in of_type("string") if not {"maxLength", "enum"} & set(n.schema)]
    unbounded += [n.path for n in of_type("integer") if "minimum" not in n.schema]
    unbounded += [n.path for n in of_type("integer", BELOW_SPEC) if "maximum" not in n.schema]
    unbounded += [
        node.path
        for node in of_type("object")
        if "properties" not in node.schema and "maxProperties" not in node.schema
    ]
    assert unbounded == []


def test_nothing_unknown_is_kept() -> None:
    keys = {key for node in NODES for key in node.schema}
    assert not keys & {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"}


def test_lists_say_how_they_merge() -> None:
    assert [n.path for n in of_type("array") if "x-kubernetes-list-type" not in n.schema] == []


def test_rules_say_in_plain_words_what_to_do() -> None:
    found = [rule for node in NODES for rule in rules(node.schema)]
    assert len(found) >= 15
    for rule in found:
        assert re.search(r"\b(must|set|choose|need)\b", rule["message"]), rule
        assert rule["reason"] in ("FieldValueInvalid", "FieldValueRequired")


def test_choices_are_camel_case_and_never_what_yaml_takes_for_something_else() -> None:
    choices = [value for node in NODES for value in node.schema.get("enum", [])]
    assert all(isinstance(value, str) for value in choices), "a bare Off is a boolean in YAML 1.1"
    assert [value for value in choices if not re.fullmatch(r"[A-Z][A-Za-z0-9_]*", value)] == []


def test_defaults_reach_down_to_every_field() -> None:
    full = defaulted(SPEC, NAMED)
    objects = [n for n in of_type("object", BELOW_SPEC) if not n.path.startswith("spec.models")]
    for node in objects[1:]:
        assert node.schema["default"] == {}, node.path
    assert full["gateway"]["remoteTokenizer"] == {"endpoint": "", "engine": "vllm"}
    empty = {"cpu": "", "memory": ""}
    resources = {"requests": empty, "limits": empty}
    off = {"mode": "Off", "image": "", "resources": resources, "reannounce": "5m"}
    assert full["events"]["relay"] == off


@pytest.mark.parametrize("spec", [*ACCEPTED, defaulted(SPEC, NAMED)], ids=str)
def test_the_schema_takes_good_specs(spec: dict[str, Any]) -> None:
    given = {key: value for key, value in spec.items() if value is not None}
    Draft202012Validator(closed(SPEC)).validate(given)


@pytest.mark.parametrize(
    "column", VERSION["additionalPrinterColumns"], ids=lambda column: column["name"]
)
def test_columns_show_fields_that_exist(column: dict[str, Any]) -> None:
    if column["jsonPath"].startswith(".metadata."):
        assert column["jsonPath"] == ".metadata.creationTimestamp"
        return
    schema = SCHEMA
    for part in re.findall(r"\.(\w+)(?:\[\?\(@\.type==\"\w+\"\)\])?", column["jsonPath"]):
        schema = schema.get("items", schema)["properties"][part]
    assert schema["type"] == column["type"]


def test_columns_are_those_that_people_look_for() -> None:
    columns = VERSION["additionalPrinterColumns"]
    shown = [column["name"] for column in columns if not column.get("priority")]
    assert shown == ["Ready", "Reason", "Models", "Sources", "Gateway", "Age"]


def observed(
    *models: ObservedModel, status: Any = None, mode: str = "Patch", **metadata: Any
) -> Observed:
    names = [model.name for model in models]
    body = {
        "metadata": {"namespace": "n", "name": "kv", "uid": "u", "generation": 3, **metadata},
        "spec": {"models": {"names": names}, "mode": mode},
        "status": status or {},
    }
    return Observed(
        sync=KVEventSync(body),
        spec=KVEventSyncSpec.from_manifest(body["spec"]),
        models=models,
        gateway=ObservedGateway(None, permitted=True),
        strays=(),
        verdicts={},
        now=1_800_000_000.0,
    )


def engine(name: str) -> ObservedModel:
    container = {"name": "vllm", "image": "vllm/vllm-openai:v0.16.0", "command": ["vllm", "serve"]}
    deployment = {
        "metadata": {"namespace": "n", "name": name, "uid": name, "generation": 1},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [container]}}},
        "status": {"observedGeneration": 1, "replicas": 2, "availableReplicas": 2},
    }
    return ObservedModel(name, selected=True, deployment=Deployment(deployment))


def missing(name: str) -> ObservedModel:
    return ObservedModel(name, selected=True, deployment=None)


@pytest.mark.parametrize(
    "picture",
    [
        observed(engine("a"), engine("b"), missing("c")),
        observed(engine("a"), status={"models": [{"name": "a", "verifiedRecord": 0}]}),
        observed(engine("a"), engine("b"), mode="Admission"),
        observed(engine("a"), mode="Render"),
        observed(*(missing("m" * 240 + str(number)) for number in range(100))),
        observed(engine("a"), deletionTimestamp="2027-01-15T08:00:00Z", finalizers=[FINALIZER]),
    ],
    ids=["some", "verified before", "at admission", "rendered", "many", "deleted"],
)
def test_the_schema_takes_what_the_operator_writes(picture: Observed) -> None:
    """What the schema does not know the API server prunes, and nobody is told."""
    status = decide(picture, read_templates()).status
    if not picture.sync.deleting:
        assert status is not None
    if status is not None:
        Draft202012Validator(closed(STATUS)).validate(status)


def test_the_reference_is_generated_from_this_crd() -> None:
    """`make generate` rewrites it."""
    docs = CRD_FILE.parent.parent / "docs"
    generator = runpy.run_path(str(docs / "generate_reference.py"))
    assert (docs / "reference.md").read_text(encoding="utf-8") == generator["reference"](CRD)
