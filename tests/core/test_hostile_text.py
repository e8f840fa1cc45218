"""Whatever texts a cluster holds: what is said of it stays on one line, is seen, and fits the status' schema.

Each text of a model, its pods, a gateway and the verdicts is exchanged in turn, but those that the API
server itself holds to a form: names of objects, containers and volumes.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from core.objects import Json, container, deployment, spec_of
from core.scenes import (
    crashing,
    decided,
    gateway_of,
    gateway_turned_on,
    model,
    rolled_out,
    working,
)
from kvsync.core.gateway import OWNERS_ANNOTATION
from kvsync.model.decision import Decision
from kvsync.model.source import SourceReason
from kvsync.model.workload import Pod
from model.schema import STATUS, closed

Path = tuple[str | int, ...]

LINE = "x\n2026-01-01 ERROR kvsync: forged\r\x1b[2J\x00\u2028\u202e\u200b\x85y"
"""Line breaks, a terminal's sequence, NUL, a text that runs backwards, what has no width."""
LONG = "x\x1b" + "z" * 20_000
VERBATIM = frozenset({"patch", "before", "after"})
"""What is to be written as it stands: for a manifest's owner, or into a pod's command line."""
FORMED = frozenset({"name", "namespace", "uid"})
SCHEMA = Draft202012Validator(closed(STATUS))
MODES = ("Patch", "Admission", "Render")


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The places of all texts below."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, Mapping | list):
        keys = value if isinstance(value, Mapping) else range(len(value))
        for key in keys:
            yield from leaves(value[key], (*path, key))


def exchanged(body: Any, path: Path, text: str) -> Any:
    """A copy with another text in this place."""
    changed = copy.deepcopy(body)
    *way, last = path
    place = changed
    for key in way:
        place = place[key]
    place[last] = text
    return changed


def each(body: Json) -> Iterator[tuple[Path, Json]]:
    """The body with each of its texts exchanged, by both texts."""
    for path in leaves(body):
        if path[-1] not in FORMED or "ownerReferences" in path or "env" in path:
            yield from ((path, exchanged(body, path, text)) for text in (LINE, LONG))


def check(where: object, decision: Decision) -> None:
    """What a decision says is printable and fits the schema."""
    status = json.loads(json.dumps(decision.status))
    told = {path: _at(status, path) for path in leaves(status) if path[-1] not in VERBATIM}
    told |= {("note", n): a.note for n, a in enumerate(decision.actions)}
    told |= {("event", n): a.note for n, a in enumerate(decision.announcements)}
    odd = {path: text[:200] for path, text in told.items() if not text.isprintable()}
    assert not odd, where
    wrong = [f"{list(error.path)}: {error.message[-80:]}" for error in SCHEMA.iter_errors(status)]
    assert not wrong, where


def _at(value: Any, path: Path) -> str:
    for key in path:
        value = value[key]
    return str(value)


def engine(**fields: Any) -> Json:
    """A model with something in each place that is read."""
    body = deployment(
        container(
            **{
                "command": ["vllm", "serve", "m"],
                "args": ["--served-model-name=tiny", "--port=8001"],
                "env": [{"name": "A", "value": "b"}],
                "ports": [{"name": "http", "containerPort": 8001, "protocol": "TCP"}],
                **fields,
            }
        ),
        container("side", "busybox:1"),
    )
    body["metadata"] |= {
        "annotations": {"note": "v", "argocd.argoproj.io/tracking-id": "app:apps/Deployment:n/m"},
        "labels": {"team": "v", "model.aibrix.ai/name": "q"},
        "managedFields": [_held("kubectl")],
    }
    return body


def _held(manager: str) -> Json:
    fields: Json = {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"vllm"}': {}}}}}
    }
    at = "2026-01-01T00:00:00Z"
    return {"manager": manager, "operation": "Update", "time": at, "fieldsV1": fields}


OWN = '--kv-events-config={"enable_kv_cache_events":true,"buffer_steps":5,"publisher":"zmq"}'
ENGINES = {
    "plain": engine(),
    "with its own settings": engine(args=[OWN]),
    "in a shell": engine(command=["sh", "-c"], args=["ulimit -n 9; vllm serve tiny"]),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ENGINES)
def test_a_model_that_is_not_configured_yet(kind: str, mode: str) -> None:
    for paused in (False, True):
        spec = spec_of(mode=mode, paused=paused)
        for path, body in each(ENGINES[kind]):
            check(path, decided(model(body, name="model"), spec=spec))


def test_what_makes_a_model() -> None:
    body = engine()
    owner = {"apiVersion": "v1", "kind": "Thing", "name": "n", "uid": "u", "controller": True}
    body["metadata"]["ownerReferences"] = [owner]
    for path, changed in each(body):
        check(path, decided(model(changed, name="model")))


@pytest.mark.parametrize("mode", MODES)
def test_a_model_that_is_configured(mode: str) -> None:
    one, verdict = working(_unmanaged())
    body = dict(one.deployment.body) if one.deployment else {}
    for path, changed in each(body):
        found = model(changed, *one.pods, name="model", answers=one.answers)
        check(path, decided(found, verdicts=[verdict], spec=spec_of(mode=mode)))


def _unmanaged() -> Json:
    body = engine()
    del body["metadata"]["managedFields"]
    return body


WAITING = {"reason": "ImagePullBackOff", "message": "cannot"}
PODS: dict[str, Json] = {
    "ready": {},
    "crashed": {"conditions": [], "containerStatuses": crashing("said")},
    "without an image": {
        "phase": "Pending",
        "conditions": [],
        "containerStatuses": [{"name": "vllm", "state": {"waiting": WAITING}}],
    },
    "without a place": {
        "phase": "Pending",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "no nodes",
            }
        ],
    },
    "evicted": {"phase": "Failed", "reason": "Evicted", "message": "full", "conditions": []},
}


@pytest.mark.parametrize("state", PODS)
def test_pods(state: str) -> None:
    one, _ = working(_unmanaged())
    body = dict(one.deployment.body) if one.deployment else {}
    pod = {**one.pods[0].body}
    pod["status"] = {**pod["status"], **PODS[state]}
    for path, changed in each(pod):
        found = model(rolled_out(body, available=0), Pod(changed), name="model")
        check(path, decided(found))


@pytest.mark.parametrize("reason", SourceReason)
def test_verdicts(reason: SourceReason) -> None:
    one, verdict = working()
    for text in (LINE, LONG):
        said = replace(
            verdict, reason=reason, message=text, remedy=text, verified=False, answers=False
        )
        check(reason, decided(one, verdicts=[said], gateway=gateway_of()))


@pytest.mark.parametrize("manage", [True, False])
def test_a_gateway(manage: bool) -> None:
    one, verdict = working()
    gateway = gateway_turned_on()
    gateway["metadata"]["annotations"] |= {OWNERS_ANNOTATION: "default/sync,other/one", "a": "b"}
    gateway["metadata"]["managedFields"] = [_held("helm")]
    spec = spec_of(gateway={"manage": manage})
    for path, changed in each(gateway):
        check(path, decided(one, verdicts=[verdict], gateway=changed, spec=spec))
