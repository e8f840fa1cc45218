"""The HTTP API of SGLang, as a gateway or an operator uses it."""

import re
from collections.abc import Iterator

import pytest

from testbed.engine.launch import free_ports
from testbed.engine.sglang.launch import SglangProcess, events_flag

PROMPT = "one two three four five six seven eight nine ten"
METRICS = "--enable-metrics"


@pytest.fixture(scope="module")
def engine() -> Iterator[SglangProcess]:
    flags = ["--served-model-name=tiny", "--page-size=4", "--context-length=64", METRICS]
    with SglangProcess(flags, version="0.5.5").wait_ready() as process:
        yield process


def test_the_version_stands_in_the_server_info_only(engine: SglangProcess) -> None:
    status, info = engine.request("GET", "/get_server_info")
    assert status == 200
    assert (info["version"], info["page_size"], info["dp_size"]) == ("0.5.5", 4, 1)
    assert info["served_model_name"] == "tiny"
    assert info["kv_events_config"] is None
    assert "kv_events" not in info
    assert engine.request("GET", "/version")[0] == 404
    assert engine.request("GET", "/server_info")[0] == 404
    assert engine.request("GET", "/get_model_info")[1]["model_path"] == "org/tiny"


def test_models_and_completions(engine: SglangProcess) -> None:
    _, answer = engine.request("GET", "/v1/models")
    (card,) = answer["data"]
    assert (card["id"], card["owned_by"], card["max_model_len"]) == ("tiny", "sglang", 64)
    status, done = engine.request("POST", "/v1/completions", {"model": "any", "prompt": PROMPT})
    assert status == 200
    assert done["usage"]["prompt_tokens_details"] is None
    chat = {"messages": [{"role": "user", "content": "hello"}]}
    _, said = engine.request("POST", "/v1/chat/completions", chat)
    assert said["choices"][0]["message"]["role"] == "assistant"


def test_refusals_have_sglangs_form(engine: SglangProcess) -> None:
    status, answer = engine.request("POST", "/v1/completions", {"prompt": [*range(100)]})
    assert status == 400
    assert (answer["object"], answer["code"]) == ("error", 400)


def test_tokenize_takes_texts_and_no_chat(engine: SglangProcess) -> None:
    _, one = engine.request("POST", "/tokenize", {"model": "tiny", "prompt": PROMPT})
    assert one["count"] == len(one["tokens"])
    _, two = engine.request("POST", "/v1/tokenize", {"prompt": [PROMPT, "short"]})
    assert two["tokens"][0] == one["tokens"]
    assert two["count"][0] == one["count"]
    assert engine.request("POST", "/tokenize", {"messages": []})[0] == 400


def test_tokenize_came_with_0_5_3_post1() -> None:
    with SglangProcess(version="0.5.3").wait_ready() as old:
        assert old.request("POST", "/tokenize", {"prompt": PROMPT})[0] == 404


def test_metrics_have_sglangs_names(engine: SglangProcess) -> None:
    status, text = engine.request("GET", "/metrics")
    assert status == 200
    labels = 'engine_type="unified",model_name="tiny",pp_rank="0",tp_rank="0"'
    assert f"sglang:num_running_reqs{{{labels}}} 0.0" in text
    assert re.search(
        r'^sglang:prompt_tokens_total\{model_name="tiny"\} \d+\.0$', text, re.MULTILINE
    )
    assert "vllm:" not in text


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("0.5.8", ""),
        ("0.5.9", 'sglang:cache_config_info{num_pages="4096",page_size="4"} 1.0'),
        ("0.5.11", 'pp_rank="0",tp_rank="0"} 4.0'),
    ],
)
def test_the_page_size_in_metrics(version: str, told: str) -> None:
    with SglangProcess([METRICS, "--page-size=4"], version=version).wait_ready() as process:
        _, text = process.request("GET", "/metrics")
    assert told in text
    assert ("page_size" in text) is bool(told)


def test_no_metrics_unless_asked_for() -> None:
    with SglangProcess().wait_ready() as process:
        assert process.request("GET", "/metrics")[0] == 404


def test_routers_are_told_of_the_publishers_since_0_5_13() -> None:
    publish, replay = free_ports(2)
    flags = [events_flag(publish, replay, topic="kv"), "--page-size=16"]
    with SglangProcess(flags, version="0.5.23").wait_ready() as process:
        _, info = process.request("GET", "/server_info")
    assert info["kv_events"] == {
        "publisher": "zmq",
        "endpoint_host": "*",
        "endpoint_port_base": publish,
        "topic": "kv",
        "block_size": 16,
        "dp_size": 1,
        "replay_endpoint_port_base": replay,
    }


def test_a_key_guards_all_but_health_and_metrics() -> None:
    with SglangProcess(["--api-key=k1", METRICS]).wait_ready() as process:
        assert process.request("GET", "/metrics")[0] == 200
        for path in ("/get_server_info", "/server_info", "/v1/models"):
            assert process.request("GET", path) == (401, {"error": "Unauthorized"})
            assert process.request("GET", path, headers={"authorization": "Bearer k1"})[0] == 200
