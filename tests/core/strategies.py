"""Random Deployments as people write them, and random edits that people make to them meanwhile."""

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from core.objects import Json, spec_of

Edit = Callable[[Json], None]

IMAGES = st.sampled_from(
    [
        "vllm/vllm-openai:v0.16.0",
        "mirror.example:5000/vllm/vllm-openai:v0.9.0.1",
        "vllm/vllm-openai:latest",
        "example.com/team/vllm-fork:0.8.5",
    ]
)
OPTIONS = st.sampled_from(
    [
        "--port=8001",
        "--max-model-len",
        "4096",
        "--tensor-parallel-size=2",
        "--trust-remote-code",
        '--override-generation-config={"a":1}',
        "--served-model-name=tiny",
        "",
        "--kv-transfer-config={}",
    ]
)
WORDS = st.lists(OPTIONS, max_size=4)
KEYS = st.sampled_from(
    ["team", "model.aibrix.ai/port", "model.aibrix.ai/name", "model.aibrix.ai/engine"]
)
LABELS = st.dictionaries(KEYS, st.sampled_from(["x", "vllm", "tiny-model"]), max_size=3)
ANNOTATIONS = st.dictionaries(
    st.sampled_from(["note", "argocd.argoproj.io/tracking-id", "a/b~c"]), st.just("v"), max_size=2
)
_PORTS: list[Json] = [
    {"name": "http", "containerPort": 8000, "protocol": "TCP"},
    {"containerPort": 8001},
    {"name": "kv-events", "containerPort": 9000},
    {"name": "kv-replay-2", "containerPort": 5557},
    {"containerPort": 5558, "protocol": "TCP"},
    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
]
PORTS = st.lists(
    st.sampled_from(_PORTS),
    max_size=3,
    unique_by=lambda port: port["containerPort"],
)
ENV = st.lists(
    st.sampled_from(
        [
            {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}},
            {"name": "VLLM_USE_V1", "value": "1"},
            {"name": "TWICE", "value": "a"},
            {"name": "TWICE", "value": "b"},
        ]
    ),
    max_size=3,
)
_SIDECARS: list[Json] = [
    {"name": "runtime", "image": "aibrix/runtime:v0.4.1", "command": ["aibrix_runtime"]},
    {"name": "proxy", "image": "envoyproxy/envoy:v1.30", "ports": [{"containerPort": 9901}]},
    {"name": "shell", "image": "busybox:1.36", "command": ["sh", "-c", "sleep 1"], "args": []},
]
SIDECARS = st.sampled_from(_SIDECARS)
_SPECS: list[Json] = [
    {},
    {"events": {"topic": "kv@10.0.0.1@tiny", "bufferSteps": 7}},
    {"events": {"hwm": 0, "maxQueueSize": 1}},
]
SPECS = st.sampled_from([spec_of(**fields) for fields in _SPECS])


def _optional(draw: st.DrawFn, body: Json, key: str, values: st.SearchStrategy[Any]) -> None:
    if draw(st.booleans()):
        body[key] = copy.deepcopy(draw(values))


@st.composite
def engines(draw: st.DrawFn) -> Json:
    """A container that runs vLLM, started in one of the ways that arguments can be added to."""
    body: Json = {"name": "vllm", "image": draw(IMAGES)}
    launch = draw(st.sampled_from(["command", "both", "module", "image", "wrapper"]))
    serve = ["vllm", "serve", "tiny"]
    if launch in ("command", "wrapper"):
        body["command"] = (["numactl", "-N", "0"] if launch == "wrapper" else []) + serve
        body["command"] += draw(WORDS)
    elif launch == "both":
        body["command"], body["args"] = ["vllm"], ["serve", "tiny", *draw(WORDS)]
    elif launch == "module":
        body["command"] = ["python3", "-m", "vllm.entrypoints.openai.api_server"]
        body["args"] = ["--model", "tiny", *draw(WORDS)]
    if "args" not in body:
        _optional(draw, body, "args", WORDS)
    _optional(draw, body, "ports", PORTS)
    _optional(draw, body, "env", ENV)
    return body


@st.composite
def deployments(draw: st.DrawFn) -> Json:
    """A Deployment that can be configured, with everything around the engine at random."""
    sidecars = draw(st.lists(SIDECARS, max_size=2, unique_by=lambda c: c["name"]))
    containers = [copy.deepcopy(c) for c in sidecars]
    containers.insert(draw(st.integers(0, len(containers))), draw(engines()))
    metadata: Json = {"name": "model", "namespace": "default", "uid": "uid-of-model"}
    _optional(draw, metadata, "annotations", ANNOTATIONS)
    _optional(draw, metadata, "labels", LABELS)
    template: Json = {"metadata": {"labels": {"app": "model", **draw(LABELS)}}}
    _optional(draw, template["metadata"], "annotations", ANNOTATIONS)
    if draw(st.booleans()):
        value = draw(st.sampled_from(["true", "false"]))
        template["metadata"]["labels"]["model.aibrix.ai/kv-events-enabled"] = value
    template["spec"] = {"containers": containers}
    if draw(st.booleans()):
        template["spec"]["initContainers"] = [{"name": "fetch", "image": "busybox:1.36"}]
    spec: Json = {"selector": {"matchLabels": {"app": "model"}}, "template": template}
    _optional(draw, spec, "replicas", st.integers(0, 3))
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def engine_of(body: Json) -> Json:
    """The engine's container, wherever it stands now."""
    containers = body["spec"]["template"]["spec"]["containers"]
    found: Json = next(c for c in containers if c["name"] == "vllm")
    return found


# Each edit touches what its owner may touch, never a piece of ours; so it must survive as it is.


def _scale(body: Json) -> None:
    body["spec"]["replicas"] = 5


def _set_image(body: Json) -> None:
    engine_of(body)["image"] = "vllm/vllm-openai:v0.20.0"


def _add_env(body: Json) -> None:
    engine_of(body).setdefault("env", []).append({"name": "NEW", "value": "1"})


def _label(body: Json) -> None:
    body["spec"]["template"]["metadata"]["labels"]["edited"] = "yes"


def _annotate(body: Json) -> None:
    body["metadata"].setdefault("annotations", {})["edited"] = "yes"


def _restart(body: Json) -> None:
    metadata = body["spec"]["template"]["metadata"]
    metadata.setdefault("annotations", {})["kubectl.kubernetes.io/restartedAt"] = "now"


def _add_sidecar_first(body: Json) -> None:
    sidecar = {"name": "new", "image": "busybox:1.36", "args": ["true"]}
    body["spec"]["template"]["spec"]["containers"].insert(0, sidecar)


def _reverse_containers(body: Json) -> None:
    body["spec"]["template"]["spec"]["containers"].reverse()


def _add_port(body: Json) -> None:
    engine_of(body).setdefault("ports", []).append({"name": "new", "containerPort": 7777})


def _argue_behind(body: Json) -> None:
    engine_of(body).setdefault("args", []).append("--seed=1")


def _argue_before(body: Json) -> None:
    args = engine_of(body).setdefault("args", [])
    args.insert(_first_option(args), "--seed=2")


def _drop_option(body: Json) -> None:
    engine = engine_of(body)
    if "args" in engine:
        engine["args"] = [word for word in engine["args"] if word != "--trust-remote-code"]


def _first_option(args: list[str]) -> int:
    return 2 if args[:1] == ["serve"] else 0


INDEPENDENT_EDITS: dict[str, Edit] = {
    edit.__name__: edit
    for edit in (
        _scale,
        _set_image,
        _add_env,
        _label,
        _annotate,
        _restart,
        _add_sidecar_first,
        _reverse_containers,
        _add_port,
        _argue_behind,
        _argue_before,
        _drop_option,
    )
}
EDITS = st.lists(st.sampled_from(sorted(INDEPENDENT_EDITS)), min_size=1, max_size=4, unique=True)
