"""The CRD on a real API server: what it refuses and in which words, what it fills in and shows."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from model.schema import CRD_FILE, SPEC, STATUS, defaulted
from model.specs import ACCEPTED, NAMED, REFUSED, Refused
from testbed.api import Api, ApiError, Object, wait_for
from testbed.bed import Bed

pytestmark = pytest.mark.bed

API = "/apis/kvsync.aibrix.ai/v1alpha1/namespaces/default/kveventsyncs"
NAME = "crd-validation"


def manifest(spec: Any, name: str = NAME) -> Object:
    return {
        "apiVersion": "kvsync.aibrix.ai/v1alpha1",
        "kind": "KVEventSync",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


@pytest.fixture(scope="module")
def api(bed: Bed) -> Api:
    bed.api.apply(CRD_FILE)
    bed.api.kubectl("wait", "--for=condition=Established", "-f", str(CRD_FILE), "--timeout=20s")
    return bed.api


@pytest.fixture
def created(api: Api) -> Iterator[Object]:
    """A KVEventSync with nothing but a name of a model."""
    yield api.create(manifest(NAMED))
    api.delete("kveventsyncs", NAME, "default")


def try_to_create(api: Api, body: Object) -> Any:
    """Strictly, as kubectl does, and without leaving anything behind."""
    return api.request("POST", f"{API}?fieldValidation=Strict&dryRun=All", body)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.title)
def test_bad_specs_are_refused_by_field_and_with_the_way_out(api: Api, case: Refused) -> None:
    with pytest.raises(ApiError) as caught:
        try_to_create(api, manifest(case.spec))
    message = caught.value.status["message"]
    assert caught.value.code in (400, 422), message
    assert case.field in message
    assert (case.server or case.says) in message


@pytest.mark.parametrize("spec", ACCEPTED, ids=str)
def test_good_specs_are_taken(api: Api, spec: dict[str, Any]) -> None:
    assert try_to_create(api, manifest(spec))["spec"]["models"] == spec["models"]


def test_a_name_that_no_label_could_hold_is_refused(api: Api) -> None:
    assert try_to_create(api, manifest(NAMED, "n" * 63))
    with pytest.raises(ApiError, match=r"metadata\.name is too long: choose at most 63"):
        try_to_create(api, manifest(NAMED, "n" * 64))


def test_a_good_object_cannot_be_edited_into_a_bad_one(api: Api, created: Object) -> None:
    with pytest.raises(ApiError, match=r"spec\.events\.replayPort.*choose two different ports"):
        api.patch("kveventsyncs", NAME, {"spec": {"events": {"port": 5558}}}, "default")


def test_the_schema_is_structural(api: Api, created: Object) -> None:
    crd = api.get("customresourcedefinitions", "kveventsyncs.kvsync.aibrix.ai")
    conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


def test_defaults_are_filled_in(created: Object) -> None:
    assert created["spec"] == defaulted(SPEC, NAMED)
    assert created["spec"]["events"]["replayPort"] == 5558


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("{models: {names: [m]}, gatway: {}}", 'unknown field "spec.gatway"'),
        ("{models: {names: [m]}, events: {relay: {mode: Off}}}", 'supported values: "Off"'),
        ("{models: {selector: {}}}", "set matchLabels or matchExpressions"),
    ],
)
def test_kubectl_apply_says_what_is_wrong(api: Api, spec: str, words: str) -> None:
    text = yaml.safe_dump({key: value for key, value in manifest({}).items() if key != "spec"})
    done = api.kubectl("apply", "-f", "-", stdin=f"{text}spec: {spec}\n", check=False)
    assert done.returncode != 0
    assert words in done.stderr


def status_of(generation: int) -> Object:
    condition = {
        "type": "Ready",
        "status": "True",
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "reason": "Synchronized",
        "message": "Every source publishes.",
    }
    return {
        "observedGeneration": generation,
        "conditions": [condition],
        "summary": {"models": "1/1", "sources": "2/2"},
        "gateway": {"state": "Configured"},
    }


def test_columns_and_wait_show_the_status(api: Api, created: Object) -> None:
    status = status_of(created["metadata"]["generation"])
    written = api.replace({**created, "status": status}, subresource="status")
    assert written["status"] == status
    # The short name and the category find it.
    for kind in ("kves", "aibrix"):
        head, row = api.kubectl("get", kind, "-n", "default").stdout.splitlines()
        assert head.split() == ["NAME", "READY", "REASON", "MODELS", "SOURCES", "GATEWAY", "AGE"]
        assert row.split()[:6] == [NAME, "True", "Synchronized", "1/1", "2/2", "Configured"]
    assert "Every source publishes." in api.kubectl("get", "kves", "-o", "wide").stdout
    assert api.kubectl("wait", "--for=condition=Ready", f"kves/{NAME}", "--timeout=5s")


def test_the_status_is_out_of_reach_of_those_who_write_the_spec(api: Api, created: Object) -> None:
    api.replace({**created, "status": status_of(1)})
    assert "status" not in api.get("kveventsyncs", NAME, "default")


def test_a_status_that_breaks_its_own_schema_is_refused(api: Api, created: Object) -> None:
    too_many = [
        {"name": f"m{number}"} for number in range(STATUS["properties"]["models"]["maxItems"] + 1)
    ]
    with pytest.raises(ApiError, match=r"status\.models"):
        api.replace({**created, "status": {"models": too_many}}, subresource="status")


def test_kubectl_explains_every_field_in_words(api: Api, created: Object) -> None:
    """The API server publishes the descriptions a moment after the CRD."""

    def told() -> bool:
        field = "kveventsyncs.spec.gateway.remoteTokenizer.endpoint"
        answer = api.kubectl("explain", field, check=False).stdout
        return "URL of a Service that tokenizes" in answer

    assert wait_for(told, 20.0, what="kubectl explain to tell of the CRD")
