"""Every way to start an engine, under one selector; engines that change their dialect; fields given back."""

import copy
import json
from typing import Any

import pytest

from e2e.manifests import EVENTS_LABEL, RECORD, Object, model, sync
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed

FLAGS_IMAGE = "registry.example.com/team/vllm:0.8.5-kvflags"
UPSTREAM = "vllm/vllm-openai:v0.32.0"
LABELS = {"kv": "wanted"}

RIGHT = (
    '{"enable_kv_cache_events":true,"publisher":"zmq","endpoint":"tcp://*:5557",'
    '"replay_endpoint":"tcp://*:5558"}'
)
TOPICAL = f'{RIGHT[:-1]},"topic":"kv@mine"}}'
PARTLY = '{"enable_kv_cache_events": true, "buffer_steps": 500}'
SERVE = ["vllm", "serve", "tiny", "--port=8000"]
MODULE = "vllm.entrypoints.openai.api_server"
READY, REFUSED = "Ready", "Refused"

# Name: how it is started, and where it must stand in the end.
SHAPES: dict[str, tuple[dict[str, Any], str, str]] = {
    "all-in-command": ({}, READY, "Verified"),
    "args-only": ({"command": [], "args": ["--model", "tiny"]}, READY, "Verified"),
    "both": ({"command": ["vllm"], "args": ["serve", "tiny"]}, READY, "Verified"),
    "module": ({"command": ["python3", "-m", MODULE], "args": ["--model=t"]}, READY, "Verified"),
    "wrapper": ({"command": ["env", "A=b", *SERVE]}, READY, "Verified"),
    "sh-c": ({"command": ["sh", "-c"], "args": ["exec vllm serve tiny"]}, READY, "Verified"),
    "bash-lines": (
        {
            "command": ["bash", "-c"],
            "args": [
                "set -e\nulimit -n 4096\nexec \\\n  vllm serve tiny \\\n  --port 8000 # served\n"
            ],
        },
        READY,
        "Verified",
    ),
    "tee": ({"command": ["sh", "-c", "vllm serve tiny 2>&1 | tee /tmp/log"]}, READY, "Verified"),
    "eval": (
        {
            "command": ["bash", "-c", 'eval "exec vllm serve tiny ${VLLM_ADDITIONAL_ARGS}"'],
            "env": [{"name": "VLLM_ADDITIONAL_ARGS", "value": "--max-model-len 4096"}],
        },
        READY,
        "Verified",
    ),
    "either": (
        {
            "command": [
                "sh",
                "-c",
                "if true; then exec vllm serve a $VLLM_ARGS; else exec vllm serve b $VLLM_ARGS; fi",
            ],
            "env": [{"name": "VLLM_ARGS", "value": "--max-model-len 4096"}],
        },
        READY,
        "Verified",
    ),
    "right-already": ({"args": ["--kv-events-config", RIGHT]}, READY, "Verified"),
    "own-topic": ({"args": [f"--kv-events-config={TOPICAL}"]}, READY, "Verified"),
    "half-right": ({"args": [f"--kv-events-config={PARTLY}"]}, READY, "Verified"),
    "dotted": ({"args": ["--kv-events-config.enable_kv_cache_events=true"]}, READY, "Verified"),
    "two-ranks": ({"args": ["--data-parallel-size=2"]}, READY, "Verified"),
    "flags": ({"image": FLAGS_IMAGE}, READY, "Verified"),
    "no-tag": ({"image": "registry.example.com/team/vllm@sha256:" + "0" * 64}, READY, "Verified"),
    "too-old": ({"image": "vllm/vllm-openai:v0.8.5"}, REFUSED, "EngineTooOld"),
    "no-cache": ({"args": ["--no-enable-prefix-caching"]}, REFUSED, "PrefixCachingDisabled"),
    "loop": (
        {"command": ["sh", "-c", "while true; do vllm serve tiny; sleep 1; done"]},
        REFUSED,
        "ShellWrapped",
    ),
    "nixl": (
        {"env": [{"name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": "5558"}]},
        REFUSED,
        "PortInUse",
    ),
}


def shaped(name: str, namespace: str) -> Object:
    """A Deployment of one shape, selected by its own label."""
    fields = copy.deepcopy(SHAPES[name][0])
    body = model(name, namespace, **fields)
    container = body["spec"]["template"]["spec"]["containers"][0]
    if fields.get("command") == []:
        del container["command"]
    body["metadata"]["labels"] |= LABELS
    return body


def test_twenty_shapes_under_one_selector_reach_their_right_state_and_come_back(
    scene: Scene, operator: OperatorProcess
) -> None:
    assert len(SHAPES) >= 20
    scene.create(*(shaped(name, scene.namespace) for name in SHAPES))
    for name in SHAPES:
        scene.wait_available(name)
    before = {name: scene.template(name) for name in SHAPES}
    spec = {"models": {"selector": {"matchLabels": LABELS}}, "rollout": {"maxConcurrent": 6}}
    scene.create({**sync("kv", scene.namespace), "spec": spec})
    wanted = {name: (state, reason) for name, (_, state, reason) in SHAPES.items()}

    def states() -> dict[str, tuple[str, str]]:
        models = ((scene.sync("kv") or {}).get("status") or {}).get("models") or ()
        return {m["name"]: (m["state"], m["reason"]) for m in models}

    try:
        scene.wait("all shapes where they belong", lambda: states() == wanted, 100)
    except TimeoutError:
        assert states() == wanted
    assert scene.template("right-already") == {
        **before["right-already"],
        "metadata": scene.template("right-already")["metadata"],
    }, "an engine that was right has nothing but its labels changed"
    assert EVENTS_LABEL not in scene.template("two-ranks")["metadata"]["labels"]
    untouched = [name for name, (_, state, _) in SHAPES.items() if state == REFUSED]
    assert {name: scene.template(name) for name in untouched} == {n: before[n] for n in untouched}

    scene.delete_sync("kv", 100)
    assert {name: scene.template(name) for name in SHAPES} == before


def set_image(scene: Scene, name: str, image: str) -> None:
    """What `kubectl set image` does."""
    path = "/spec/template/spec/containers/0/image"
    scene.api.kubectl(
        *("patch", "deployment", name, "-n", scene.namespace, "--type=json"),
        f'-p=[{{"op":"replace","path":"{path}","value":"{image}"}}]',
    )


@pytest.mark.parametrize(
    ("old", "new", "dialect"),
    [(FLAGS_IMAGE, UPSTREAM, "ConfigJSON"), (UPSTREAM, FLAGS_IMAGE, "Flags")],
    ids=["upgrade", "downgrade"],
)
def test_an_image_of_the_other_dialect_is_followed_in_one_rollout(
    scene: Scene, operator: OperatorProcess, old: str, new: str, dialect: str
) -> None:
    scene.create(model("m", scene.namespace, image=old))
    scene.wait_available("m")
    original = scene.template("m")
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    mark = scene.bed.audit.mark()

    set_image(scene, "m", new)
    scene.wait(
        "the other dialect",
        lambda: scene.sync("kv")["status"]["models"][0]["dialect"] == dialect,  # type: ignore[index]
    )
    scene.wait("Ready again", lambda: converged(scene))

    words = scene.container("m")["args"]
    assert any(w.startswith("--kv-events-config=") for w in words) is (dialect == "ConfigJSON")
    assert ("--enable-kv-cache-events" in words) is (dialect == "Flags")
    writes = scene.bed.audit.writes(user_agent_contains="kvsync-operator", since=mark)
    assert [w.name for w in writes if w.resource == "deployments"] == ["m"], (
        "one patch, one rollout"
    )
    scene.delete_sync("kv")
    original["spec"]["containers"][0]["image"] = new
    assert scene.template("m") == original


def converged(scene: Scene) -> bool:
    """Ready for the Deployment as it is now."""
    status = (scene.sync("kv") or {}).get("status") or {}
    ready = scene.condition("kv").get("status") == "True"
    body = scene.deployment("m")
    seen = body["status"].get("observedGeneration") == body["metadata"]["generation"]
    return ready and seen and body["status"].get("updatedReplicas") == 1 and bool(status)


def test_upstreams_own_build_without_events_is_refused_and_not_written_to(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace, image="mirror.example:5000/vllm/vllm-openai:v0.8.5"))
    scene.wait_available("m")
    mark = scene.bed.audit.mark()
    scene.create(sync("kv", scene.namespace, "m"))
    refused = scene.wait_reason("kv", "EngineTooOld")
    assert "0.9.0 or newer" in refused["message"]
    scene.settle()
    writes = scene.bed.audit.writes(user_agent_contains="kvsync-operator", since=mark)
    assert [w.name for w in writes if w.resource == "deployments"] == []


def test_sglang_is_configured_in_its_own_dialect_and_verified(
    scene: Scene, operator: OperatorProcess
) -> None:
    words = ["python3", "-m", "sglang.launch_server", "--model-path=tiny", "--host=0.0.0.0"]
    body = model("m", scene.namespace, image="lmsysorg/sglang:v0.5.16-cu129", command=words)
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["readinessProbe"]["httpGet"]["port"] = 30000
    scene.create(body)
    scene.wait_available("m")
    original = scene.template("m")
    scene.create(sync("kv", scene.namespace, "m", engine={"type": "SGLang"}))
    ready = scene.wait_ready("kv")
    assert ready["reason"] == "GatewayIncompatible"
    assert scene.condition("kv", "GatewayCompatible")["reason"] == "EngineNotTokenized"
    (word,) = scene.container("m")["args"]
    assert "enable_kv_cache_events" not in word
    assert scene.template("m")["metadata"]["labels"]["model.aibrix.ai/engine"] == "sglang"
    env = scene.gateway_env()
    assert env["AIBRIX_PREFIX_CACHE_BLOCK_SIZE"] == "4", "four times SGLang's page of one token"
    scene.delete_sync("kv")
    assert scene.template("m") == original


def ours(scene: Scene, name: str) -> list[Object]:
    """The entries of ours in managedFields that hold fields of the spec."""
    entries = scene.deployment(name)["metadata"].get("managedFields") or ()
    return [e for e in entries if e["manager"] == "kvsync-operator" and "f:spec" in e["fieldsV1"]]


def apply(scene: Scene, body: Object, *options: str) -> None:
    """`kubectl apply --server-side` as a platform team's pipeline runs it. Fails on a conflict."""
    scene.api.kubectl("apply", "--server-side", "-f", "-", *options, stdin=json.dumps(body))


def test_after_the_undo_the_owners_next_apply_of_arguments_does_not_conflict(
    scene: Scene, operator: OperatorProcess
) -> None:
    # Its flags stand in command: args that an owner applies himself are refused (ArgsOwned).
    body = model("m", scene.namespace)
    apply(scene, body)
    scene.wait_available("m")
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    assert ours(scene, "m")
    scene.delete_sync("kv")
    assert ours(scene, "m") == []
    body["spec"]["template"]["spec"]["containers"][0]["args"] = ["--seed=2"]
    apply(scene, body)
    assert scene.container("m")["args"] == ["--seed=2"]


@pytest.mark.parametrize("spoil", ["edited", "removed"])
def test_a_lost_record_is_written_again_and_the_undo_takes_what_is_ours(
    scene: Scene, operator: OperatorProcess, spoil: str
) -> None:
    scene.create(model("m", scene.namespace, args=["--seed=1"]), sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    configured = scene.template("m")

    def value() -> str | None:
        annotations: dict[str, str] = scene.deployment("m")["metadata"]["annotations"]
        return annotations.get(RECORD)

    change = f"{RECORD}={{}}" if spoil == "edited" else f"{RECORD}-"
    scene.api.kubectl("annotate", "deployment", "m", "-n", scene.namespace, "--overwrite", change)
    scene.wait("the record written again", lambda: (value() or "{}") != "{}")
    assert scene.template("m") == configured, "without a restart"
    scene.delete_sync("kv")
    assert scene.container("m")["args"] == ["--seed=1"]
    assert "ports" not in scene.container("m")
    assert EVENTS_LABEL not in scene.template("m")["metadata"]["labels"]


def test_rollout_undo_to_a_revision_of_a_gone_object_is_taken_over_and_undone(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")
    original = scene.template("m")
    scene.create(sync("old", scene.namespace, "m"))
    scene.wait_ready("old")
    scene.delete_sync("old")
    scene.wait_available("m")
    scene.api.kubectl("rollout", "undo", "deployment/m", "-n", scene.namespace)
    scene.wait("our revision back", lambda: "args" in scene.container("m"))
    annotations = scene.deployment("m")["metadata"]["annotations"]
    assert RECORD in annotations, "kubectl brings the record of that revision back"

    scene.create(sync("new", scene.namespace, "m"))
    scene.wait_ready("new")
    scene.delete_sync("new")
    assert scene.template("m") == original
