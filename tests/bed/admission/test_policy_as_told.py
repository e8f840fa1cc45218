"""The policy does what is told of it in Python, by which all else of mode Admission is tested."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bed.admission.stage import ANNOTATION, Stage, pod
from bed.admission.test_entry_schema import entries, is_taken
from core.admission_rules import admitted, pod_of_template
from golden.test_golden_admission import ADMISSION, Case
from kvsync.core.patch import apply
from testbed.api import ApiError, Object

pytestmark = pytest.mark.bed


def same(stage: Stage, body: Object, entry: Object) -> None:
    """Hold the real policy's pod against the one that is told of, both with the defaults of the API."""
    told = copy.deepcopy(admitted(body, [entry]))
    # Without its token the policy leaves it alone.
    del told["metadata"]["annotations"][ANNOTATION]
    made, expected = stage.tried(body), stage.tried(told)
    assert whole(made) == whole(expected)


def whole(made: Object) -> Any:
    """All that may differ: the pod but for what the API server makes up."""
    bodies = [*made["spec"].get("initContainers", ()), *made["spec"]["containers"]]
    for body in bodies:
        mounts = body.get("volumeMounts", ())
        body["volumeMounts"] = [m for m in mounts if not m["name"].startswith("kube-api-access")]
    volumes = made["spec"].get("volumes", ())
    made["spec"]["volumes"] = [v for v in volumes if not v["name"].startswith("kube-api-access")]
    return [made["spec"], made["metadata"]["labels"]]


def test_a_pod_of_the_corpus_comes_out_as_it_is_told(stage: Stage, case: Case) -> None:
    made = case.plan(**ADMISSION)
    if made.injection is None:
        pytest.skip("nothing is injected")
    body = pod_of_template(apply(case.body, made.patch) if made.patch else case.body)
    del body["metadata"]["namespace"]
    # Whose account, class and secrets these were is not at hand here.
    for field in ("serviceAccountName", "priorityClassName", "runtimeClassName"):
        body["spec"].pop(field, None)
    for owner in body["metadata"]["ownerReferences"]:
        owner["uid"] = "4b8d6c1e-0000-4000-8000-000000000001"
    body |= {"apiVersion": "v1", "kind": "Pod"}
    try:
        stage.tried(body)
    except ApiError as error:
        pytest.skip(f"no pod of the API: {error}")
    entry = made.injection.entry()
    stage.publish(entry)
    assert made.injection.token in stage.tried(body)["metadata"]["labels"].values()
    same(stage, body, entry)


words = st.sampled_from(["--a", "--b", "", "x y", "vllm"])
names = st.sampled_from(["kv-events", "kv-replay", "http", "kv-events-2"])


@st.composite
def declared(draw: st.DrawFn) -> list[Object]:
    """Ports of one container."""
    port = st.tuples(names, st.sampled_from([5557, 5558, 1, 2]))
    found = draw(st.lists(port, max_size=3, unique_by=lambda each: each[0]))
    return [{"name": name, "containerPort": number} for name, number in found]


@st.composite
def pods(draw: st.DrawFn, entry: Object) -> Object:
    """A pod of an entry's workload that has some of it already, or something in its way."""
    args = draw(st.none() | st.lists(words, max_size=3))
    fields: Object = {"args": args, "ports": draw(declared())}
    if "args" in entry and draw(st.booleans()):
        fields["args"] = [*(args or ()), *entry["args"]]
    if "env" in entry:
        value = draw(st.sampled_from([entry["env"]["value"], "other"]))
        own = [{"name": entry["env"]["name"], "value": value}]
        fields["env"] = draw(st.sampled_from([None, own, [{"name": "Z"}]]))
    spec: Object = {}
    if draw(st.booleans()):
        spec["initContainers"] = [{"name": "load", "image": "loader:1", "ports": draw(declared())}]
    spec["hostNetwork"] = draw(st.booleans())
    body = pod(token=entry["token"], spec=spec, **fields)
    if draw(st.booleans()):
        body["spec"]["containers"].append(
            {"name": "other", "image": "o", "ports": draw(declared())}
        )
    for key in draw(st.sets(st.sampled_from(["model.aibrix.ai/name", "model.aibrix.ai/engine"]))):
        body["metadata"]["labels"][key] = "theirs"
    return body


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_pod_comes_out_as_it_is_told(stage: Stage, data: st.DataObject) -> None:
    entry = data.draw(entries())
    assume(is_taken(stage, entry))
    for _ in range(3):
        body = data.draw(pods(entry))
        try:
            stage.tried(pod_without(body))
        except ApiError:
            continue  # It would be refused whatever we did.
        same(stage, body, entry)


def pod_without(body: Object) -> Object:
    plain = copy.deepcopy(body)
    del plain["metadata"]["annotations"]
    return plain
