"""How a container starts its engine: what the manifest shows, and what it hides."""

from typing import Any

import pytest

from core.objects import container
from kvsync.core.engines import ENGINES
from kvsync.core.launch import Launch, Start, assumed_start, expand, literal_variables, start_of
from kvsync.model.record import Place
from kvsync.model.spec import EngineType
from kvsync.model.workload import Container

VLLM = ENGINES[EngineType.VLLM]


def started(image: str = "vllm/vllm-openai:v0.16.0", **fields: Any) -> Start:
    return start_of(Container(0, {"name": "c", "image": image, **fields}), VLLM)


def env(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest.mark.parametrize(
    ("fields", "launch"),
    [
        ({}, Launch.DIRECT),
        ({"args": ["--model", "m"]}, Launch.DIRECT),
        ({"command": ["vllm", "serve", "m"]}, Launch.DIRECT),
        ({"command": ["/opt/venv/bin/vllm", "serve"], "args": ["m"]}, Launch.DIRECT),
        ({"command": ["python", "-m", "vllm.entrypoints.openai.api_server"]}, Launch.DIRECT),
        ({"command": ["sh", "-c", "vllm serve m"]}, Launch.SCRIPT),
        ({"command": ["bash"], "args": ["-lc", "vllm serve m"]}, Launch.SCRIPT),
        ({"command": ["bash", "-o", "pipefail", "-c", "vllm serve m"]}, Launch.SCRIPT),
        (
            {"command": ["sh", "-c", "for i in 1; do vllm serve m $VLLM_ARGS; done"]},
            Launch.VARIABLE,
        ),
        ({"command": ["zsh", "-c", "for i in 1; do vllm serve m $VLLM_ARGS; done"]}, Launch.SHELL),
        ({"command": ["sh", "-c", "while true; do vllm serve m; done"]}, Launch.SHELL),
        ({"command": ["sh", "/start.sh"]}, Launch.SHELL),
        ({"command": ["sleep", "inf"]}, Launch.OTHER),
        (
            {"image": "busybox:1", "command": ["sh", "-c", "tail -f /var/log/vllm.log"]},
            Launch.OTHER,
        ),
        ({"image": "busybox:1", "command": ["sh", "-c", "pip install vllm"]}, Launch.OTHER),
        ({"image": "busybox:1", "command": ["sh", "/opt/vllm/start.sh"]}, Launch.SHELL),
        ({"image": "own/llm:1", "command": ["sh", "-c", "su a -c 'vllm serve m'"]}, Launch.SHELL),
        ({"image": "own/llm:1", "args": ["--model", "m"]}, Launch.OTHER),
        ({"image": "team/vllm:1", "env": env(VLLM_ARGS="--model m")}, Launch.VARIABLE),
        ({"image": "team/vllm:1", "env": env(VLLM_ARGS="x", EXTRA_ARGS="y")}, Launch.DIRECT),
        ({"env": env(VLLM_ARGS="--model m")}, Launch.DIRECT),
        ({"args": ["--model=m", "$(KVSYNC_KV_EVENTS)"]}, Launch.SLOT),
        ({"command": ["vllm", "serve", "$(KVSYNC_KV_EVENTS)"]}, Launch.SLOT),
        ({"command": ["sh", "-c", 'vllm serve m "$KVSYNC_KV_EVENTS"']}, Launch.SLOT),
        ({"args": ["--model=m", "x$(KVSYNC_KV_EVENTS)"]}, Launch.DIRECT),
        ({"args": ["--model=m", "$$(KVSYNC_KV_EVENTS)"]}, Launch.DIRECT),
        ({"image": "busybox:1", "args": ["$(KVSYNC_KV_EVENTS)"]}, Launch.OTHER),
    ],
)
def test_launch_forms(fields: dict[str, Any], launch: Launch) -> None:
    assert started(**fields).launch is launch


def test_a_script_is_found_in_its_list_with_its_shell() -> None:
    text = started(command=["tini", "--", "bash"], args=["-ec", "vllm serve m"]).text
    assert text is not None
    assert (text.place, text.index, text.text, text.shell) == (
        Place.ARGS,
        1,
        "vllm serve m",
        "bash",
    )


def test_a_container_that_is_named_runs_the_engine_whatever_it_looks_like() -> None:
    hidden = Container(0, container("c", "own/llm:1", command=["/entrypoint"]))
    assert start_of(hidden, VLLM).launch is Launch.OTHER
    assert assumed_start(hidden, VLLM).launch is Launch.DIRECT


def test_words_are_those_that_the_engine_gets() -> None:
    words = started(args=["--port=$(PORT)", "$$(PORT)", "$(NONE)"], env=env(PORT="9000")).words
    assert words == ("--port=9000", "$(PORT)", "$(NONE)")


def test_two_commands_that_configure_events_differently_tell_nothing() -> None:
    one, other = "vllm serve a --kv-events-config={}", "vllm serve b"
    assert started(command=["sh", "-c", f"if true; then {one}; else {other}; fi"]).words == ()
    both = f"if true; then {other}; else {other} --seed 1; fi"
    assert started(command=["sh", "-c", both]).words == ("vllm", "serve", "b")


def test_values_use_those_before_them_and_none_from_elsewhere() -> None:
    items = [
        {"name": "A", "value": "a"},
        {"name": "B", "value": "$(A)b$(C)"},
        {"name": "C", "value": "c"},
        {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    assert literal_variables(Container(0, {"env": items})) == {"B": "ab$(C)", "C": "c"}


def test_values_that_double_with_each_line_are_left_out() -> None:
    items = env(A0="x" * 100) + [
        {"name": f"A{n}", "value": f"$(A{n - 1})" * 2} for n in range(1, 60)
    ]
    known = literal_variables(Container(0, {"env": items}))
    assert max(map(len, known.values())) <= 128 * 1024


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "a"),
        ("$$(A)", "$(A)"),
        ("$(B)", "$(B)"),
        ("$A ${A}", "$A ${A}"),
        ("$(", "$("),
        ("$", "$"),
    ],
)
def test_expansion_is_that_of_the_kubelet(text: str, result: str) -> None:
    assert expand(text, {"A": "a"}) == result


def test_a_neutral_slot_is_no_word_of_the_engines_and_any_other_is() -> None:
    words = ["--port=9000", "$(KVSYNC_KV_EVENTS)", "--seed=1"]
    neutral = started(args=words, env=env(KVSYNC_KV_EVENTS="--kv-events-config={}"))
    assert neutral.words == ("--port=9000", "--seed=1")
    own = started(args=words, env=env(KVSYNC_KV_EVENTS="--kv-events-config=x"))
    assert own.words == ("--port=9000", "--kv-events-config=x", "--seed=1")
    script = ["sh", "-c", 'vllm serve m "$KVSYNC_KV_EVENTS" --seed 1']
    neutral = started(command=script, env=env(KVSYNC_KV_EVENTS="--kv-events-config={}"))
    assert neutral.words == ("vllm", "serve", "m", "--seed", "1")
