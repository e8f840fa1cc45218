"""What the watches keep of an object is enough for what is decided by it, and no more."""

import json
from pathlib import Path

import pytest

from core.objects import deployment, planned
from core.scenes import configured, pod_of
from golden.owners import CORPUS, Json, owned
from kvsync.core.moment import timestamp
from kvsync.model.relay import RELAY_CONTAINER
from kvsync.model.workload import Pod
from kvsync.shell.projection import PROJECTED_PODS, project_pod, project_workload


def test_a_pods_age_and_template_are_kept() -> None:
    whole = pod_of(configured(deployment()))
    whole.body["metadata"]["creationTimestamp"] = timestamp(0)
    whole.body["metadata"]["labels"]["pod-template-hash"] = "7f8b"
    kept = Pod(project_pod(whole.body))
    assert (kept.created, kept.revision) == ("1970-01-01T00:00:00Z", "7f8b")
    assert (kept.running, kept.ready, kept.labels) == (True, True, whole.labels)


def test_what_a_gateway_and_the_policy_read_of_a_pod_is_kept_and_no_more_of_it() -> None:
    whole = pod_of(configured(deployment()))
    marks = {"model.aibrix.ai/name": "m" * 9_000, "model.aibrix.ai/engine": "vllm", "note": "x"}
    marks["kvsync.aibrix.ai/injection"] = "0123456789abcdef"
    whole.body["metadata"]["annotations"] = marks
    container = whole.body["spec"]["containers"][0]
    container["env"] = [{"name": "INFERENCE_ENGINE", "value": "vllm"}, {"name": "A", "value": "b"}]
    kept = Pod(project_pod(whole.body))
    assert kept.annotations == {
        "model.aibrix.ai/name": "m" * 2_048,
        "model.aibrix.ai/engine": "vllm",
        "kvsync.aibrix.ai/injection": "0123456789abcdef",
    }
    (found,) = kept.containers
    assert found.body["env"] == [{"name": "INFERENCE_ENGINE", "value": "vllm"}]
    assert found.ports == [{"containerPort": 5557}, {"containerPort": 5558}]


NAME, TIME = 'k:{"name":"vllm"}', "2026-11-26T10:00:00Z"


def entry(fields: Json, manager: str = "helm") -> Json:
    """As the API server writes it, with all that nobody looks at."""
    return {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": "apps/v1",
        "time": TIME,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def kept_of(fields: Json, manager: str = "helm") -> Json:
    body = {**deployment(), "metadata": {"managedFields": [entry(fields, manager)]}}
    (found,) = project_workload(body)["metadata"]["managedFields"]
    kept: Json = json.loads(json.dumps(found))
    return kept


def test_of_managers_what_they_hold_of_what_we_write_is_kept() -> None:
    container: Json = {
        ".": {},
        "f:args": {},
        "f:command": {},
        "f:env": {".": {}, 'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
        "f:image": {},
        "f:resources": {"f:limits": {"f:cpu": {}}},
    }
    template = {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:annotations": {"f:x": {}}},
        "f:spec": {
            "f:containers": {NAME: container},
            "f:volumes": {NAME: {"f:emptyDir": {}}},
            "f:dnsPolicy": {},
        },
    }
    fields = {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:template": template}}
    spec: Json = {"f:args": {}, "f:command": {}, "f:env": {'k:{"name":"A"}': {}}}
    assert kept_of(fields) == {
        "manager": "helm",
        "operation": "Apply",
        "time": TIME,
        "fieldsV1": {
            "f:spec": {
                "f:template": {
                    "f:metadata": {"f:labels": {"f:app": {}}},
                    "f:spec": {"f:containers": {NAME: spec}, "f:volumes": {NAME: {}}},
                }
            }
        },
    }


def test_what_holds_nothing_of_the_template_is_not_taken_for_all_of_it() -> None:
    kept = kept_of({"f:spec": {"f:template": {"f:spec": {"f:dnsPolicy": {}}}}})
    assert kept["fieldsV1"] == {"f:spec": {"f:template": {"f:spec": {".": {}}}}}
    only_others = kept_of({"f:spec": {"f:template": {"f:other": {}}}})
    assert only_others["fieldsV1"] == {"f:spec": {"f:template": {".": {}}}}
    assert "fieldsV1" not in kept_of({"f:status": {"f:replicas": {}}})


def test_a_list_that_is_held_as_one_stays_one() -> None:
    roles: Json = {"f:spec": {"f:template": {"f:spec": {"f:roles": {}}}}}
    assert kept_of(roles)["fieldsV1"] == roles


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda path: path.stem)
def test_keeping_less_changes_no_judgement(path: Path) -> None:
    body = owned(path.stem)
    assert project_workload(body) == body, "twice is once"
    if body["kind"] == "Deployment":
        assert planned(dict(project_workload(body))) == planned(body)


def test_a_thousand_variables_of_two_managers_share_their_keys() -> None:
    """Two thousand Deployments are watched: what recurs on each of them is kept once."""
    env: Json = {f'k:{{"name":"V{number}"}}': {"f:name": {}} for number in range(1_000)}
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": {NAME: {"f:env": env}}}}}}
    one, other = (
        project_workload({"metadata": {"managedFields": [json.loads(json.dumps(entry(fields)))]}})
        for _ in range(2)
    )
    keys = [_variables(each) for each in (one, other)]
    assert len(keys[0]) == 1_000
    assert all(a is b for a, b in zip(*keys, strict=True))


def _variables(body: object) -> list[str]:
    assert isinstance(body, dict)
    fields = body["metadata"]["managedFields"][0]["fieldsV1"]
    return list(fields["f:spec"]["f:template"]["f:spec"]["f:containers"][NAME]["f:env"])


def read(body: Json) -> Json:
    """A pod as a watch reads it."""
    page = PROJECTED_PODS.shape.page(json.dumps({"items": [body]}).encode(), "LIST")
    (found,) = page["items"]
    return dict(found)


def test_all_that_is_kept_of_a_pod_is_read_of_it() -> None:
    body: Json = {
        "metadata": {
            **{key: key for key in ("name", "namespace", "uid", "creationTimestamp")},
            "deletionTimestamp": "now",
            "resourceVersion": "7",
            "labels": {"a": "b"},
            "annotations": {"model.aibrix.ai/name": "m", "note": "x"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "r"}],
            "managedFields": [{}],
        },
        "spec": {
            "volumes": [{}],
            "containers": [
                {
                    "name": "vllm",
                    "image": "i",
                    "command": ["c"],
                    "args": ["a"],
                    "env": [{"name": "INFERENCE_ENGINE", "value": "vllm"}],
                    "ports": [{"containerPort": 8000, "protocol": "TCP"}],
                    "volumeMounts": [{}],
                }
            ],
            "initContainers": [{"name": RELAY_CONTAINER, "image": "r", "restartPolicy": "Always"}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "hostIP": "10.0.0.2",
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "r", "lastTransitionTime": "t"},
                {"type": "Initialized", "status": "True"},
            ],
            "containerStatuses": [{"name": "vllm", "restartCount": 1, "state": {}, "imageID": "x"}],
            "initContainerStatuses": [{"name": RELAY_CONTAINER, "lastState": {"a": "b"}}],
        },
    }
    assert project_pod(read(body)) == project_pod(body)
    assert "managedFields" not in read(body)["metadata"]
    assert read(body)["metadata"]["resourceVersion"] == "7", "the watch goes on from there"


def test_what_pods_of_one_template_have_in_common_is_kept_once() -> None:
    one, other = (project_pod(pod_of(configured(deployment())).body) for _ in range(2))
    assert one["spec"] is other["spec"]
    assert one["metadata"]["labels"] is other["metadata"]["labels"]
    changed = pod_of(configured(deployment()))
    changed.body["metadata"]["labels"]["mine"] = "yes"
    assert project_pod(changed.body)["metadata"]["labels"] == changed.labels
