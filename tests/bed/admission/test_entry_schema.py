"""An entry that the schema takes never makes a pod that is refused, not even under failurePolicy Ignore."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bed.admission.stage import TOKEN, Stage, entry, labels, pod, relay
from testbed.api import ApiError, Object

pytestmark = pytest.mark.bed

LONG = "x" * 70_000


def changed(path: str, value: Any, base: Object | None = None) -> Object:
    """An entry with a relay, but for one field; None takes it out."""
    whole: Any = copy.deepcopy(base or entry(relay=relay(), env={"name": "A", "value": "b"}))
    *parents, last = path.split("/")
    place = whole
    for each in parents:
        place = place[int(each) if isinstance(place, list) else each]
    if value is None:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return dict(whole)


RELAY = "relay/container"
WRONG: list[tuple[str, Any]] = [
    ("workload", "M"),
    ("workload", "m/x"),
    ("workload", ""),
    ("workload", None),
    ("container", "Vllm"),
    ("container", "a.b"),
    ("container", "x" * 64),
    ("token", TOKEN[1:]),
    ("token", TOKEN.upper()),
    ("token", None),
    ("since", -1),
    ("since", "now"),
    ("since", None),
    ("args", "--a"),
    ("args", [1]),
    ("args", ["x"] * 17),
    ("args", [LONG]),
    ("rewrite", {"field": "env", "before": [], "after": []}),
    ("rewrite", {"field": "args", "before": []}),
    ("rewrite", {"field": "args", "before": [], "after": [LONG]}),
    ("env/name", "A=B"),
    ("env/name", ""),
    ("env/name", "1A"),
    ("env/value", LONG),
    ("env/value", 1),
    ("env/value", None),
    ("ports", [{"name": f"kv-events-{n}", "containerPort": n} for n in range(1, 6)]),
    ("ports/0/name", "http"),
    ("ports/0/name", "kv-events-"),
    ("ports/0/name", "kv-events-very-long"),
    ("ports/0/containerPort", 0),
    ("ports/0/containerPort", 65_536),
    ("ports/0/containerPort", "5557"),
    ("ports/1/name", "kv-events"),
    ("labels", {"app": "m"}),
    ("labels", {"pod-template-hash": "x"}),
    ("labels", {"model.aibrix.ai/name": "a b"}),
    ("labels", {"model.aibrix.ai/name": "-a"}),
    ("labels", {"model.aibrix.ai/name": "x" * 64}),
    ("labels", {"model.aibrix.ai/name": 1}),
    ("relay/field", "ephemeralContainers"),
    ("relay/field", "containers"),
    ("relay/volume", None),
    ("relay/volume/name", "data"),
    ("relay/volume/emptyDir", None),
    ("relay/volume/emptyDir/medium", "HugePages"),
    ("relay/volume/emptyDir/sizeLimit", "-1Mi"),
    ("relay/volume/emptyDir/sizeLimit", "much"),
    (f"{RELAY}/name", "vllm"),
    (f"{RELAY}/image", ""),
    (f"{RELAY}/image", " kvsync"),
    (f"{RELAY}/image", "kvsync operator"),
    (f"{RELAY}/image", None),
    (f"{RELAY}/args", [""] * 40),
    (f"{RELAY}/ports/0/name", "KV"),
    (f"{RELAY}/ports/0/protocol", "QUIC"),
    (f"{RELAY}/ports/0/containerPort", 0),
    (f"{RELAY}/ports/1/name", "kv-events"),
    (f"{RELAY}/resources/requests/cpu", "-1"),
    (f"{RELAY}/resources/requests/cpu", "0.5m"),
    (f"{RELAY}/resources/requests/memory", "1Mb"),
    (f"{RELAY}/resources/requests/memory", "1Ti"),
    (f"{RELAY}/resources/limits/memory", "1Mi"),
    (f"{RELAY}/volumeMounts/0/name", "data"),
    (f"{RELAY}/volumeMounts/0/mountPath", "/etc"),
    (f"{RELAY}/livenessProbe/httpGet", None),
    (f"{RELAY}/livenessProbe/httpGet/port", 0),
    (f"{RELAY}/livenessProbe/httpGet/path", "healthz"),
    (f"{RELAY}/livenessProbe/periodSeconds", -1),
    (f"{RELAY}/livenessProbe/failureThreshold", 0),
    (f"{RELAY}/securityContext/runAsUser", 2**31),
    (f"{RELAY}/securityContext/runAsUser", 0),
    (f"{RELAY}/securityContext/runAsGroup", 2**31),
    (f"{RELAY}/securityContext/allowPrivilegeEscalation", True),
    (f"{RELAY}/securityContext/capabilities/drop", ["SYS_ADMIN", "ALL"]),
    (f"{RELAY}/securityContext/seccompProfile/type", "Localhost"),
    (f"{RELAY}/securityContext/seccompProfile/type", None),
    (f"{RELAY}/restartPolicy", "Never"),
    (f"{RELAY}/restartPolicy", None),
]
"""Values of which some would have the pod refused, and the rest would do more than is agreed."""


@pytest.mark.parametrize(("path", "value"), WRONG, ids=lambda v: str(v)[:40])
def test_what_would_make_an_invalid_pod_is_refused_as_it_is_published(
    stage: Stage, path: str, value: Any
) -> None:
    stage.write(entry(relay=relay(), env={"name": "A", "value": "b"}))
    with pytest.raises(ApiError) as refused:
        stage.write(changed(path, value))
    assert refused.value.code == 422, str(refused.value)
    assert "status.injections[0]" in str(refused.value)


def test_what_is_not_known_is_not_kept(stage: Stage) -> None:
    for path in ("privileged", f"{RELAY}/securityContext/privileged", f"{RELAY}/lifecycle"):
        kept = stage.write(changed(path, True))["status"]["injections"][0]
        assert kept == changed("since", kept["since"])


def test_there_are_only_so_many(stage: Stage) -> None:
    with pytest.raises(ApiError, match=r"must have at most 500 items"):
        stage.write(*[entry(workload=f"m-{n}") for n in range(501)])


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
lists = st.lists(words, max_size=4)
numbers = st.integers(1, 65_535)
ports = st.lists(
    st.tuples(st.from_regex(r"\Akv-(events|replay)(-[0-9]{1,2})?\Z"), numbers),
    max_size=4,
    unique_by=lambda port: port[0],
).map(lambda found: [{"name": name, "containerPort": number} for name, number in found])
values = st.from_regex(r"\A([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")
keys = st.sampled_from(
    [f"model.aibrix.ai/{name}" for name in ("kv-events-enabled", "name", "engine")]
)
cpus = st.from_regex(r"\A[0-9]{1,4}(\.[0-9]{1,3})?\Z") | st.from_regex(r"\A[0-9]{1,6}m\Z")
sizes = st.from_regex(r"\A[0-9]{1,6}(Mi|Gi|M|G)\Z")


@st.composite
def entries(draw: st.DrawFn) -> Object:
    """What the schema takes, or may take: at its edges, and far from what the operator writes."""
    word = draw(words)
    kind = draw(st.sampled_from(["args", "rewrite", "env", "none"]))
    parts: Object = {"args": None}
    if kind == "args":
        parts["args"] = draw(st.lists(words, min_size=1, max_size=4))
    elif kind == "rewrite":
        field = draw(st.sampled_from(["args", "command"]))
        before = draw(st.sampled_from([[], ["vllm"], ["--a"]]))
        parts["rewrite"] = {"field": field, "before": before, "after": draw(lists)}
    elif kind == "env":
        name = draw(st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,20}\Z"))
        parts["env"] = {"name": name, "value": word}
    labels = draw(st.dictionaries(keys, values, max_size=3))
    token = f"{draw(st.integers(0, 2**64 - 1)):016x}"
    parts |= {"ports": draw(ports), "labels": {**labels, "kvsync.aibrix.ai/injected": token}}
    if draw(st.booleans()):
        parts["relay"] = draw(relays())
    return entry(token=token, **parts)


@st.composite
def relays(draw: st.DrawFn) -> Object:
    """A relay with other numbers than its own."""
    found = relay(draw(st.sampled_from(["initContainers", "containers"])))
    body = found["container"]
    body["args"] = draw(st.lists(words, max_size=3))
    for port in body["ports"]:
        port["containerPort"] = draw(numbers)
    for side in ("requests", "limits"):
        body["resources"][side] = draw(
            st.fixed_dictionaries({}, optional={"cpu": cpus, "memory": sizes})
        )
    body["securityContext"]["runAsUser"] = draw(st.integers(1, 2**31 - 1))
    body["livenessProbe"]["periodSeconds"] = draw(st.integers(1, 3600))
    for field in ("resources", "livenessProbe", "securityContext", "ports", "volumeMounts"):
        if draw(st.integers(0, 5)) == 0:
            del body[field]
    return found


PODS = [
    pod(),
    pod(args=["--a"], ports=[{"containerPort": 5557, "name": "kv-replay"}]),
    pod(spec={"hostNetwork": True}, env=[{"name": "A", "value": "1"}]),
    pod(spec={"initContainers": [{"name": "load", "image": "loader:1"}]}),
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whole=entries())
def test_what_the_schema_takes_makes_valid_pods(stage: Stage, whole: Object) -> None:
    if not is_taken(stage, whole):
        return
    for each in PODS:
        body = copy.deepcopy(each)
        body["metadata"]["annotations"] = {"kvsync.aibrix.ai/injection": whole["token"]}
        made = stage.tried(body)  # raises where it is refused
        assert labels(made).get("kvsync.aibrix.ai/injected") in (None, whole["token"])


def is_taken(stage: Stage, whole: Object) -> bool:
    """Publish it; False where the schema refuses it, at once, so that the operator sees it."""
    try:
        stage.publish(whole)
    except ApiError as error:
        if error.code == 422:
            return False
        raise
    return True
