"""Others that change pods too: what they take off is put back, and nothing is put in twice."""

from __future__ import annotations

from typing import Any

import pytest

from bed.admission.stage import (
    CONFIG,
    INJECTED,
    TOKEN,
    Stage,
    checks,
    container,
    entry,
    labels,
    pod,
    ports,
    relay,
    written,
)
from testbed.api import ApiError

pytestmark = pytest.mark.bed

SEEN = (
    '!("seen" in object.metadata.labels) && "kvsync.aibrix.ai/injected" in object.metadata.labels'
)
"""Once, after us: whatever the order of the policies."""


def json_patch(expression: str) -> dict[str, Any]:
    """Fields of a policy that does this to pods, and knows no parameters."""
    return {
        "paramKind": None,
        "matchConditions": [],
        "variables": [],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }


def after_us(*operations: str) -> dict[str, Any]:
    """Operations that are done to a pod that has just become ours."""
    done = 'JSONPatch{op: "add", path: "/metadata/labels/seen", value: "yes"}'
    return json_patch(f"{SEEN} ? [{', '.join((*operations, done))}] : []")


def was_there(stage: Stage) -> bool:
    return "seen" in labels(stage.tried(pod()))


ARGS = "/spec/containers/0/args"


@pytest.mark.parametrize(
    "operation",
    [
        f'JSONPatch{{op: "remove", path: "{ARGS}"}}',
        f'JSONPatch{{op: "add", path: "{ARGS}", value: ["--theirs"]}}',
        'JSONPatch{op: "remove", path: "/spec/containers/0/ports"}',
        'JSONPatch{op: "remove", path: "/metadata/labels/model.aibrix.ai~1kv-events-enabled"}',
        'JSONPatch{op: "add", path: "/spec/containers/0", '
        'value: Object.spec.containers{name: "first", image: "sidecar:1"}}',
    ],
    ids=["args gone", "args replaced", "ports gone", "label gone", "a container before ours"],
)
def test_what_a_later_one_takes_off_is_put_back(stage: Stage, operation: str) -> None:
    stage.publish(entry())
    with stage.policy(f"{stage.namespace}-other", lambda: was_there(stage), **after_us(operation)):
        made = stage.tried(pod())
    assert labels(made)["seen"] == "yes"
    assert container(made)["args"][-1] == CONFIG
    assert container(made)["args"].count(CONFIG) == 1
    assert ports(made) == [("kv-events", 5557), ("kv-replay", 5558)]
    assert labels(made)["model.aibrix.ai/kv-events-enabled"] == "true"
    assert labels(made)[INJECTED] == TOKEN


def test_a_relay_that_a_later_one_takes_off_is_put_back_once(stage: Stage) -> None:
    stage.publish(entry(ports=None, relay=relay()))
    gone = 'JSONPatch{op: "remove", path: "/spec/initContainers"}'
    with stage.policy(f"{stage.namespace}-other", lambda: was_there(stage), **after_us(gone)):
        made = stage.tried(pod())
    assert [body["name"] for body in made["spec"]["initContainers"]] == ["kvsync-relay"]
    names = [volume["name"] for volume in made["spec"]["volumes"]]
    assert names.count("kvsync-relay") == 1


def test_a_word_behind_ours_is_no_reason_to_write_it_again(stage: Stage) -> None:
    lists = {"field": "args", "before": ["--a"], "after": ["--a", CONFIG]}
    stage.publish(entry(args=None, rewrite=lists))
    more = f'JSONPatch{{op: "add", path: "{ARGS}/-", value: "--theirs"}}'
    with stage.policy(f"{stage.namespace}-other", lambda: seen_with_args(stage), **after_us(more)):
        made = stage.tried(pod(args=["--a"]))
    assert container(made)["args"] == ["--a", CONFIG, "--theirs"]


def seen_with_args(stage: Stage) -> bool:
    return "seen" in labels(stage.tried(pod(args=["--a"])))


def test_a_pod_that_has_all_of_it_gets_nothing_more(stage: Stage) -> None:
    stage.publish(entry(ports=None, relay=relay()))
    once = stage.tried(pod())
    body = pod()
    body["metadata"]["labels"] = labels(once)
    body["spec"] = {
        k: v for k, v in once["spec"].items() if k in ("initContainers", "containers", "volumes")
    }
    assert written(stage.tried(body)) == written(once)


def test_a_field_that_is_not_there_is_seen_in_a_metric_alone_under_ignore(stage: Stage) -> None:
    name = f"{stage.namespace}-typo"
    wrong = json_patch("object.spec.container.map(c, JSONPatch{op: 'remove', path: '/spec'})")

    def noticed() -> dict[str, float]:
        stage.tried(pod())
        return checks(stage.api, name)

    with stage.policy(name, noticed, failurePolicy="Ignore", **wrong):
        outcomes = noticed()
    assert set(outcomes) == {"invalid_error"}
    with stage.policy(f"{name}-fail", lambda: refusal(stage), failurePolicy="Fail", **wrong):
        refused = refusal(stage)
    assert refused is not None
    assert refused.code == 403
    assert "no such key: container" in str(refused)


def test_a_field_that_is_not_known_has_pods_refused_under_ignore_too(stage: Stage) -> None:
    # So the schema of the entries knows every field, and the policy names those that it writes itself.
    port = "Object.spec.containers.ports{containerPorts: 1}"
    wrong = json_patch(
        f'[JSONPatch{{op: "add", path: "/spec/containers/0/ports", value: [{port}]}}]'
    )
    name = f"{stage.namespace}-typo"
    with stage.policy(name, lambda: refusal(stage), failurePolicy="Ignore", **wrong):
        refused = refusal(stage)
    assert refused is not None
    assert refused.code == 500
    assert 'unknown field "spec.containers[0].ports[0].containerPorts"' in str(refused)


def refusal(stage: Stage) -> ApiError | None:
    """Why a pod is refused; None where it is not."""
    try:
        stage.tried(pod())
    except ApiError as error:
        return error
    return None
