"""The HTTP API of one engine, as a gateway or an operator uses it."""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.engine.launch import EngineProcess

PROMPT = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    arguments = ["org/tiny", "--served-model-name", "tiny", "alias", "--block-size=8"]
    with EngineProcess([*arguments, "--max-model-len=64"], version="0.30.1") as process:
        yield process.wait_ready()


@pytest.fixture(scope="module")
def guarded() -> Iterator[EngineProcess]:
    with EngineProcess(["tiny", "--api-key", "k1", "k2"], version="0.33.0") as process:
        yield process.wait_ready()


def metric(engine: EngineProcess, name: str) -> float:
    status, text = engine.request("GET", "/metrics")
    assert status == 200
    found = re.search(rf'^vllm:{name}{{engine="0",model_name="tiny"}} (\S+)$', text, re.MULTILINE)
    assert found, f"{name} is not in:\n{text}"
    return float(found[1])


def test_health_and_version(engine: EngineProcess) -> None:
    assert engine.request("GET", "/health") == (200, "")
    assert engine.request("GET", "/version") == (200, {"version": "0.30.1"})


def test_models_are_named_as_served(engine: EngineProcess) -> None:
    _, answer = engine.request("GET", "/v1/models")
    assert [card["id"] for card in answer["data"]] == ["tiny", "alias"]
    assert answer["data"][0]["root"] == "org/tiny"
    assert answer["data"][0]["max_model_len"] == 64


def test_tokenize_agrees_with_what_completions_count(engine: EngineProcess) -> None:
    _, tokens = engine.request("POST", "/tokenize", {"model": "tiny", "prompt": PROMPT})
    usage = engine.complete(PROMPT)["usage"]
    assert tokens["count"] == len(tokens["tokens"]) == usage["prompt_tokens"]
    assert tokens["max_model_len"] == 64
    _, again = engine.request("POST", "/tokenize", {"prompt": PROMPT + " more"})
    assert again["tokens"][: tokens["count"]] == tokens["tokens"]


def test_a_repeated_prompt_is_counted_as_cached(engine: EngineProcess) -> None:
    engine.request("POST", "/reset_prefix_cache")
    before = {
        name: metric(engine, f"{name}_total")
        for name in ("prompt_tokens", "prefix_cache_queries", "prefix_cache_hits")
    }
    first, second = engine.complete(PROMPT)["usage"], engine.complete(PROMPT)["usage"]
    count = first["prompt_tokens"]
    cached = (count - 1) // 8 * 8
    assert cached > 0
    assert first["prompt_tokens_details"] == {"cached_tokens": 0}
    assert second["prompt_tokens_details"] == {"cached_tokens": cached}
    assert metric(engine, "prompt_tokens_total") - before["prompt_tokens"] == 2 * count
    assert metric(engine, "prefix_cache_queries_total") - before["prefix_cache_queries"] == (
        2 * count
    )
    assert metric(engine, "prefix_cache_hits_total") - before["prefix_cache_hits"] == cached
    assert metric(engine, "num_requests_running") == 0


def test_metrics_tell_the_cache_configuration(engine: EngineProcess) -> None:
    _, text = engine.request("GET", "/metrics")
    (line,) = [row for row in text.splitlines() if row.startswith("vllm:cache_config_info{")]
    labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
    assert labels["block_size"] == "8"
    assert labels["enable_prefix_caching"] == "True"
    assert labels["num_gpu_blocks"] == "1024"


def test_chat_uses_the_same_tokens_as_tokenize(engine: EngineProcess) -> None:
    messages = [{"role": "user", "content": "hello there"}]
    status, answer = engine.request(
        "POST", "/v1/chat/completions", {"model": "alias", "messages": messages, "max_tokens": 3}
    )
    assert status == 200
    _, tokens = engine.request("POST", "/tokenize", {"messages": messages})
    assert answer["usage"]["prompt_tokens"] == tokens["count"]
    assert answer["usage"]["completion_tokens"] == 3
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert len(answer["choices"][0]["message"]["content"].split()) == 3


def test_a_stream_ends_with_done(engine: EngineProcess) -> None:
    body = {"model": "tiny", "prompt": PROMPT, "stream": True}
    status, text = engine.request("POST", "/v1/completions", body)
    assert status == 200
    first, *_, last = text.strip().split("\n\n")
    assert json.loads(first.removeprefix("data: "))["choices"][0]["text"]
    assert last == "data: [DONE]"


def test_several_prompts_get_several_choices(engine: EngineProcess) -> None:
    _, answer = engine.request("POST", "/v1/completions", {"prompt": ["a b", [1, 2, 3]]})
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["usage"]["prompt_tokens"] == 2 + 3


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"model": "other", "prompt": "x"}, 404, "The model `other` does not exist."),
        ({"model": "tiny"}, 400, "prompt: Field required"),
        ({"prompt": ""}, 400, "prompt: Field required"),
        ({"prompt": [1] * 64}, 400, "maximum context length is 64 tokens"),
        ({"prompt": "x", "max_tokens": 64}, 400, "maximum context length is 64 tokens"),
        (["x"], 400, "Input should be an object"),
    ],
)
def test_bad_completions_are_refused(
    engine: EngineProcess, body: Any, status: int, message: str
) -> None:
    got, answer = engine.request("POST", "/v1/completions", body)
    assert got == status
    assert message in answer["error"]["message"]
    assert answer["error"]["code"] == status


def test_unknown_paths_and_methods(engine: EngineProcess) -> None:
    assert engine.request("GET", "/nothing") == (404, {"detail": "Not Found"})
    assert engine.request("GET", "/v1/completions") == (405, {"detail": "Method Not Allowed"})
    # Known from 0.31 on.
    assert engine.request("GET", "/kv_event_sources")[0] == 404


def test_sources_are_empty_while_events_are_off(guarded: EngineProcess) -> None:
    assert guarded.request("GET", "/kv_event_sources") == (200, [])


def test_an_api_key_guards_v1_alone(guarded: EngineProcess) -> None:
    assert guarded.request("GET", "/v1/models") == (401, {"error": "Unauthorized"})
    wrong = {"Authorization": "Bearer k3"}
    assert guarded.request("GET", "/v1/models", headers=wrong)[0] == 401
    assert guarded.request("GET", "/v1/models", headers={"Authorization": "Bearer k2"})[0] == 200
    assert guarded.request("GET", "/metrics")[0] == 200
    assert guarded.request("POST", "/tokenize", {"prompt": "x"})[0] == 200


def test_one_connection_serves_many_requests(engine: EngineProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=5)
    sockets = set()
    for _ in range(3):
        connection.request("GET", "/version")
        sockets.add(connection.sock)
        assert connection.getresponse().read() == b'{"version":"0.30.1"}'
    connection.close()
    assert len(sockets) == 1


def test_bodies_in_chunks_and_in_pieces_are_read_whole(engine: EngineProcess) -> None:
    head = b"POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    chunks = b'6\r\n{"prom\r\n9\r\npt":"a b"\r\n1\r\n}\r\n0\r\n\r\n'
    with socket.create_connection(("127.0.0.1", engine.port), 5) as client:
        for piece in (head[:20], head[20:] + b"Connection: close\r\n\r\n", chunks[:9], chunks[9:]):
            client.sendall(piece)
        answer = client.makefile("rb").read()
    assert b'"count":2' in answer


def test_nonsense_is_hung_up_on_and_others_are_served(engine: EngineProcess) -> None:
    with socket.create_connection(("127.0.0.1", engine.port), 5) as client:
        client.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert client.recv(100) == b""
    assert engine.is_healthy()
