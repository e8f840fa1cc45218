"""Random Deployments as people write them, and random edits that people make to them meanwhile."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from core.objects import Json, spec_of

Edit = Callable[[Json], None]

IMAGES = st.sampled_from(
    [
        "vllm/vllm-openai:v0.16.0",
        "vllm/vllm-openai:v0.32.0",
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
    {"events": {"relay": {"mode": "Auto"}}},
    {"events": {"topic": "t", "relay": {"mode": "Auto", "reannounce": "1h"}}},
]
SPECS = st.sampled_from([spec_of(**fields) for fields in _SPECS])


def _optional(draw: st.DrawFn, body: Json, key: str, values: st.SearchStrategy[Any]) -> None:
    if draw(st.booleans()):
        body[key] = copy.deepcopy(draw(values))


RIGHT = (
    '{"enable_kv_cache_events":true,"publisher":"zmq","endpoint":"tcp://*:5557",'
    '"replay_endpoint":"tcp://*:5558","topic":""}'
)
PARTLY = '{"enable_kv_cache_events": true, "buffer_steps": 5}'
OWN_CONFIGS = st.sampled_from(
    [
        [f"--kv-events-config={RIGHT}"],
        ["--kv-events-config", RIGHT],
        ["--kv_events_config", PARTLY],
        ["--kv-events", PARTLY],
        ["--kv-events-config="],
        ["--kv-events-config={}"],
        [f"--kv-events-config={PARTLY}", f"--kv-events-config={RIGHT}"],
        ["--kv-events-config", RIGHT, "--seed=3", "--kv-events-config", PARTLY],
        ["--kv-events-config.enable_kv_cache_events", "true", "--kv-events-config.topic=mine"],
        [f"--kv-events-config={PARTLY}", "--kv-events-config.topic", "mine"],
        ["--kv-events-config={broken"],
        ['--kv-events-config={"enable_kv_cache_events":true,"endpoint":"tcp://0.0.0.0:5557"}'],
        ["--enable-kv-cache-events", "--kv-events-buffer-steps", "5"],
        ["--kv-events-buffer-steps=5"],
    ]
)
"""What owners have written themselves, right, half right and wrong."""


@st.composite
def engines(draw: st.DrawFn, *, own_config: bool = False) -> Json:
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
    if own_config:
        place = draw(
            st.sampled_from([key for key in ("command", "args") if key in body] or ["args"])
        )
        body[place] = [*body.get(place, []), *draw(OWN_CONFIGS), *draw(WORDS)]
    return _surrounded(draw, body)


def _surrounded(draw: st.DrawFn, body: Json) -> Json:
    _optional(draw, body, "ports", PORTS)
    if "env" not in body:
        _optional(draw, body, "env", ENV)
    return body


_PLAIN_SCRIPTS = (
    "vllm serve tiny {}",
    "ulimit -n 65536; exec vllm serve tiny {}",
    "set -e\npip install x && \\\n  python3 -m vllm.entrypoints.openai.api_server \\\n"
    "  --model tiny {} 2>&1 | tee /log # kept\n",
    "A=b numactl -N 0 vllm serve tiny {} &\nwait\n",
    "echo größer; vllm serve tiny {} > /log",
)
_SLOTTED_SCRIPTS = (
    "if true; then vllm serve a {} $VLLM_ARGS; else vllm serve b {} ${{VLLM_ARGS}}; fi",
    'eval "vllm serve m {} ${{VLLM_ARGS}} --trust-remote-code"',
    "for i in 1; do vllm serve m {} $(VLLM_ARGS); done",
)


@st.composite
def scripted_engines(draw: st.DrawFn) -> Json:
    """A container whose shell starts vLLM: by one plain command, or with a variable's arguments."""
    image = draw(IMAGES.filter(lambda image: "fork" not in image))
    body: Json = {"name": "vllm", "image": image}
    options = " ".join(draw(st.lists(st.sampled_from(["--seed=7", "--port 8001"]), max_size=2)))
    if draw(st.booleans()):
        text = draw(st.sampled_from(_PLAIN_SCRIPTS)).format(options)
    else:
        text = draw(st.sampled_from(_SLOTTED_SCRIPTS)).format(options, options)
        pasted = "$(" in text  # which Kubernetes does only for a variable that it knows
        if pasted or draw(st.booleans()):
            value = draw(st.sampled_from(["", "--max-model-len 4096", "--a 1 ", " --b"]))
            body["env"] = [*draw(ENV), {"name": "VLLM_ARGS", "value": value}]
    shell = draw(st.sampled_from([["sh", "-c"], ["/bin/bash", "-lc"], ["tini", "--", "sh", "-ec"]]))
    if draw(st.booleans()):
        body["command"] = [*shell, text]
    else:
        body["command"], body["args"] = shell, [text]
    return _surrounded(draw, body)


@st.composite
def deployments(draw: st.DrawFn, engine: st.SearchStrategy[Json] | None = None) -> Json:
    """A Deployment, with everything around the engine at random; one that can be configured by default."""
    sidecars = draw(st.lists(SIDECARS, max_size=2, unique_by=lambda c: c["name"]))
    containers = [copy.deepcopy(c) for c in sidecars]
    containers.insert(
        draw(st.integers(0, len(containers))), draw(engines() if engine is None else engine)
    )
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
    if draw(st.booleans()):
        template["spec"]["volumes"] = [{"name": "models", "emptyDir": {}}]
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


def _add_init_first(body: Json) -> None:
    spec = body["spec"]["template"]["spec"]
    spec["initContainers"] = [
        {"name": "early", "image": "busybox:1.36"},
        *spec.get("initContainers", []),
    ]


def _add_volume(body: Json) -> None:
    spec = body["spec"]["template"]["spec"]
    spec["volumes"] = [*spec.get("volumes", []), {"name": "more", "emptyDir": {}}]


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
        _add_init_first,
        _add_volume,
        _reverse_containers,
        _add_port,
        _argue_behind,
        _argue_before,
        _drop_option,
    )
}
EDITS = st.lists(st.sampled_from(sorted(INDEPENDENT_EDITS)), min_size=1, max_size=4, unique=True)


def _argue_in_the_script(body: Json) -> None:
    """The script's own text: a further option right behind the model's name."""
    engine = engine_of(body)
    for key in ("command", "args"):
        if key in engine:
            engine[key] = [
                word.replace(" serve tiny", " serve tiny --seed=9").replace(
                    "serve m", "serve m --x"
                )
                for word in engine[key]
            ]


SCRIPT_EDITS: dict[str, Edit] = {
    name: INDEPENDENT_EDITS[name]
    for name in ("_scale", "_set_image", "_label", "_annotate", "_restart", "_add_port")
} | {"script": _argue_in_the_script}


def edit(
    names: Iterable[str], *bodies: Json, kinds: Mapping[str, Edit] = INDEPENDENT_EDITS
) -> None:
    """Make the edits of those names, in order, in each of the bodies."""
    for name in names:
        for body in bodies:
            kinds[name](body)
