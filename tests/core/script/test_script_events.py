"""What a script says of KV events, wherever it says it."""

import pytest

from kvsync.core.script.budget import MAX_LENGTH
from kvsync.core.script.read import read_script


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("vllm serve m --port 1", ()),
        ("vllm serve m --kv-events-config '{\"a\": 1}' --x", ("--kv-events-config", '{"a": 1}')),
        ("vllm serve m $CONFIG", ("--kv_events_config={}",)),
        ("./run --enable-kv-cache-events --x", ("--enable-kv-cache-events",)),
        ("if a; then vllm serve m --kv-events {}; fi", ("--kv-events", "{}")),
        ('eval "vllm serve m --kv-events-topic t"', ("--kv-events-topic", "t")),
        ("su app -c 'vllm serve m --kv-events {}'", ("--kv-events", "{}")),
        ("A='--kv-events-config {}'; vllm serve m $A", ("--kv-events-config", "{}")),
        ('A=(--kv-events-config "{ }"); vllm serve m "${A[@]}"', ("--kv-events-config", "{ }")),
        ("cat <<EOF\n--kv-events-config={}\nEOF", ("--kv-events-config={}",)),
        ("# --kv-events-config={}\nvllm serve m", ()),
        ("vllm serve m --kv-events-config={} )", ("--kv-events-config={}",)),
        ("--kv-events-config={} " + "x" * MAX_LENGTH, ("--kv-events-config={}",)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_words_that_configure_events(text: str, found: tuple[str, ...]) -> None:
    assert read_script(text, {"CONFIG": "--kv_events_config={}"}).event_words == found
