"""What pods get, whatever their manifests look like: each trap of the policy, on a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from bed.admission.stage import (
    CONFIG,
    INJECTED,
    TOKEN,
    Stage,
    container,
    entry,
    labels,
    pod,
    ports,
    relay,
)
from testbed.api import Object

pytestmark = pytest.mark.bed

EVENTS = [("kv-events", 5557), ("kv-replay", 5558)]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (None, [CONFIG]),
        ([], [CONFIG]),
        (["--port=8000"], ["--port=8000", CONFIG]),
        ([CONFIG, "--port=8000"], [CONFIG, "--port=8000"]),
    ],
    ids=["none", "empty", "present", "there already"],
)
def test_a_word_is_appended_once(stage: Stage, args: list[str] | None, expected: list[str]) -> None:
    stage.publish(entry())
    made = stage.tried(pod(args=args))
    assert container(made)["args"] == expected
    assert container(made)["command"] == ["vllm"]
    assert labels(made)[INJECTED] == TOKEN
    assert labels(made)["model.aibrix.ai/kv-events-enabled"] == "true"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--a"], ["--a", "--kv-events-config", "{}"]),
        (["--kv-events-config", "{}", "--a"], ["--kv-events-config", "{}", "--a"]),
        (
            ["--kv-events-config", "{} ", "{}"],
            ["--kv-events-config", "{} ", "{}", "--kv-events-config", "{}"],
        ),
        (["x--kv-events-config", "{}"], ["x--kv-events-config", "{}", "--kv-events-config", "{}"]),
    ],
    ids=["absent", "there already", "apart from each other", "the end of another word"],
)
def test_words_count_as_there_only_as_they_follow_each_other(
    stage: Stage, args: list[str], expected: list[str]
) -> None:
    stage.publish(entry(args=["--kv-events-config", "{}"]))
    assert container(stage.tried(pod(args=args)))["args"] == expected


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (None, EVENTS),
        ([{"containerPort": 8000, "name": "http"}], [("http", 8000), *EVENTS]),
        ([{"containerPort": 5557, "name": "mine"}], [("mine", 5557), ("kv-replay", 5558)]),
        ([{"containerPort": 9, "name": "kv-events"}], [("kv-events", 9), ("kv-replay", 5558)]),
        ([{"containerPort": 5557}, {"containerPort": 5558}], [("", 5557), ("", 5558)]),
    ],
    ids=["none", "own", "clashing number", "clashing name", "both there"],
)
def test_ports_are_declared_where_neither_name_nor_number_is(
    stage: Stage, declared: list[Object] | None, expected: list[tuple[str, int]]
) -> None:
    stage.publish(entry())
    assert ports(stage.tried(pod(ports=declared))) == expected


def test_of_several_containers_the_named_one_is_meant(stage: Stage) -> None:
    stage.publish(entry())
    proxy = {"name": "proxy", "image": "proxy:1", "args": ["--serve"]}
    body = pod()
    image = container(body)["image"]
    body["spec"]["containers"].insert(0, proxy)
    body["spec"]["containers"].append({**proxy, "name": "last"})
    body["spec"]["initContainers"] = [
        {"name": "load", "image": image, "command": ["vllm"], "args": ["--download"]},
        {"name": "agent", "image": image, "restartPolicy": "Always"},
    ]
    made = stage.tried(body)
    assert container(made)["args"] == [CONFIG]
    for name in ("proxy", "last"):
        assert container(made, name)["args"] == ["--serve"]
        assert ports(made, name) == []
    assert container(made, "load", "initContainers")["args"] == ["--download"]
    assert "args" not in container(made, "agent", "initContainers")


def test_a_pod_without_the_container_is_left_alone_its_last_one_above_all(stage: Stage) -> None:
    # indexOf gives -1, which a JSON patch takes for the last element of the list.
    stage.publish(entry(container="other"))
    assert stage.untouched(pod())


def test_a_name_of_an_init_container_is_none(stage: Stage) -> None:
    stage.publish(entry(container="load"))
    assert stage.untouched(pod(spec={"initContainers": [{"name": "load", "image": "vllm"}]}))


def test_pods_on_their_nodes_network_are_valid(stage: Stage) -> None:
    stage.publish(entry())
    made = stage.tried(pod(spec={"hostNetwork": True}))
    assert ports(made) == EVENTS
    assert [port["hostPort"] for port in container(made)["ports"]] == [5557, 5558]


@pytest.mark.parametrize("place", ["containers", "initContainers"])
def test_a_port_that_another_container_has_on_the_node_is_not_declared_twice(
    stage: Stage, place: str
) -> None:
    stage.publish(entry())
    other: Object = {"name": "other", "image": "o", "ports": [{"containerPort": 5557}]}
    body = pod(spec={"hostNetwork": True})
    if place == "initContainers":
        other["restartPolicy"] = "Always"
    body["spec"][place] = [*body["spec"].get(place, ()), other]
    made = stage.tried(body)
    assert ports(made) == [("kv-replay", 5558)]
    assert container(made)["args"] == [CONFIG]


LISTS = {"field": "args", "before": ["--a", "--b"], "after": ["--a", CONFIG, "--b"]}


@pytest.mark.parametrize(
    ("args", "expected"),
    [(["--a", "--b"], LISTS["after"]), (LISTS["after"], LISTS["after"])],
    ids=["as it was", "there already"],
)
def test_a_list_is_replaced_where_it_is_what_it_was(
    stage: Stage, args: list[str], expected: list[str]
) -> None:
    stage.publish(entry(args=None, rewrite=LISTS))
    made = stage.tried(pod(args=args))
    assert container(made)["args"] == expected
    assert labels(made)[INJECTED] == TOKEN


@pytest.mark.parametrize("args", [None, ["--a"], ["--b", "--a"], ["--a", "--b", "--c"]])
def test_of_any_other_list_all_is_left_alone(stage: Stage, args: list[str] | None) -> None:
    stage.publish(entry(args=None, rewrite=LISTS))
    assert stage.untouched(pod(args=args))


def test_a_command_is_rewritten_too_and_no_empty_list_takes_an_absent_ones_place(
    stage: Stage,
) -> None:
    script = {"field": "command", "before": ["vllm"], "after": ["vllm", CONFIG]}
    stage.publish(entry(args=None, rewrite=script))
    made = stage.tried(pod())
    assert container(made)["command"] == ["vllm", CONFIG]
    assert "args" not in container(made)
    stage.publish(entry(args=None, rewrite={"field": "args", "before": [], "after": [CONFIG]}))
    assert container(stage.tried(pod()))["args"] == [CONFIG]


NEW = {"name": "EXTRA", "value": CONFIG}
CHANGED = {**NEW, "before": "--old"}
REFERENCE = {"name": "EXTRA", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}


@pytest.mark.parametrize(
    ("wanted", "env", "expected"),
    [
        (NEW, None, [NEW]),
        (NEW, [{"name": "A", "value": "1"}], [{"name": "A", "value": "1"}, NEW]),
        (NEW, [NEW], [NEW]),
        (CHANGED, [{"name": "EXTRA", "value": "--old"}], [NEW]),
        (CHANGED, [NEW], [NEW]),
        ({**NEW, "before": ""}, [{"name": "EXTRA"}], [NEW]),
        (
            CHANGED,
            [{"name": "EXTRA", "value": "--x"}, {"name": "EXTRA", "value": "--old"}],
            [{"name": "EXTRA", "value": "--x"}, NEW],
        ),
    ],
    ids=["no list", "a list", "there", "another value", "changed", "empty", "the last counts"],
)
def test_a_variable_is_set_where_it_is_what_it_was(
    stage: Stage, wanted: Object, env: list[Object] | None, expected: list[Object]
) -> None:
    stage.publish(entry(args=None, env=wanted))
    made = stage.tried(pod(env=env))
    assert container(made)["env"] == expected
    assert labels(made)[INJECTED] == TOKEN


@pytest.mark.parametrize(
    ("wanted", "env"),
    [
        (NEW, [{"name": "EXTRA", "value": "--theirs"}]),
        (NEW, [{"name": "EXTRA"}]),
        (NEW, [REFERENCE]),
        (CHANGED, None),
        (CHANGED, [{"name": "EXTRA", "value": "--theirs"}]),
        (CHANGED, [REFERENCE]),
        ({**NEW, "before": ""}, [REFERENCE]),
        (CHANGED, [{"name": "EXTRA", "value": "--old"}, {"name": "EXTRA", "value": "--x"}]),
    ],
)
def test_where_it_is_anything_else_all_is_left_alone(
    stage: Stage, wanted: Object, env: list[Object] | None
) -> None:
    stage.publish(entry(args=None, env=wanted))
    assert stage.untouched(pod(env=env))


LOADER = {"name": "load", "image": "loader:1"}


@pytest.mark.parametrize(
    ("field", "spec", "names"),
    [
        ("initContainers", {}, ["kvsync-relay", "vllm"]),
        ("initContainers", {"initContainers": [LOADER]}, ["kvsync-relay", "load", "vllm"]),
        ("containers", {"initContainers": [LOADER]}, ["load", "vllm", "kvsync-relay"]),
    ],
)
@pytest.mark.parametrize("token_mounted", [True, False])
def test_the_relay_is_beside_the_engine_in_both_forms(
    stage: Stage, field: str, spec: Object, names: list[str], token_mounted: bool
) -> None:
    wanted = relay(field)
    stage.publish(entry(ports=None, relay=wanted))
    made = stage.tried(pod(spec={**spec, "automountServiceAccountToken": token_mounted}))
    bodies = [*made["spec"].get("initContainers", ()), *made["spec"]["containers"]]
    assert [body["name"] for body in bodies] == names
    body = container(made, "kvsync-relay", field)
    assert body["volumeMounts"][0] == wanted["container"]["volumeMounts"][0]
    assert covers(body, {k: v for k, v in wanted["container"].items() if k != "volumeMounts"})
    assert [v for v in made["spec"]["volumes"] if v["name"] == "kvsync-relay"] == [wanted["volume"]]
    assert container(made)["args"] == [CONFIG]


def covers(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(key in found and covers(found[key], value) for key, value in wanted.items())
    return bool(found == wanted)


@pytest.mark.parametrize(
    "spec",
    [
        {"hostNetwork": True},
        {"resources": {"requests": {"cpu": "1", "memory": "64Mi"}}},
    ],
    ids=["two relays would meet", "more than the pod is given"],
)
def test_a_relay_that_would_have_the_pod_refused_is_not_put_in_nor_anything_else(
    stage: Stage, spec: Object
) -> None:
    stage.publish(entry(ports=None, relay=relay()))
    assert stage.untouched(pod(spec=spec))
    stage.publish(entry())
    assert labels(stage.tried(pod(spec=spec)))[INJECTED] == TOKEN


def test_labels_that_are_there_are_never_changed(stage: Stage) -> None:
    stage.publish(entry())
    body = pod()
    body["metadata"]["labels"]["model.aibrix.ai/kv-events-enabled"] = "false"
    made = stage.tried(body)
    assert labels(made)["model.aibrix.ai/kv-events-enabled"] == "false"
    assert labels(made)[INJECTED] == TOKEN
