"""What the operator renders is what each release reads: nothing dropped, nothing refused."""

from typing import Any

import pytest

from conformance.changed import Line, line_after
from conformance.release import UNRECOGNIZED, Release
from core.objects import container, deployment, spec_of
from kvsync.model.spec import Dialect

pytestmark = pytest.mark.conformance

EVENTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "topic": {"topic": "kv@my-model"},
    "topic-with-signs": {"topic": "kv@10.0.0.1:8000@Qwen/Qwen2.5-1.5B"},
    "ports": {"port": 6557, "replayPort": 6657},
    "buffers": {"bufferSteps": 1, "hwm": 0, "maxQueueSize": 1},
    "large-buffers": {"bufferSteps": 1_000_000, "hwm": 10_000_000, "maxQueueSize": 10_000_000},
}
ENTRIES = {
    "vllm": ["vllm", "serve", "m"],
    "module": ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "m"],
}


def line_of(release: Release, entry: str, dialect: Dialect, **events: Any) -> Line:
    """The line of a plain engine after the change, with these event settings."""
    engine = container(image=f"vllm/vllm-openai:v{release.version}", command=ENTRIES[entry])
    spec = spec_of(events=events, engine={"dialect": dialect.value})
    line = line_after(deployment(engine), spec)
    assert line is not None
    assert line.start.entry == entry
    return line


def test_what_answers_is_the_releases_own_source(release: Release) -> None:
    assert f"/vllm-source-{release.version}-" in release.loaded_from


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_config_json_is_read_as_it_was_written(release: Release, name: str, entry: str) -> None:
    line = line_of(release, entry, Dialect.CONFIG_JSON, **EVENTS[name])
    parsed = release.parse(line.start.words, entry=entry)
    assert parsed.exit == 0, parsed.error
    assert parsed.config == {
        "enable_kv_cache_events": True,
        "publisher": "zmq",
        "endpoint": f"tcp://*:{line.events.port}",
        "replay_endpoint": f"tcp://*:{line.events.replay_port}",
        "buffer_steps": line.events.buffer_steps,
        "hwm": line.events.hwm,
        "max_queue_size": line.events.max_queue_size,
        "topic": line.events.topic,
    }


@pytest.mark.parametrize("name", ["defaults", "topic"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_the_product_texts_flags_are_refused(release: Release, name: str, entry: str) -> None:
    line = line_of(release, entry, Dialect.FLAGS, **EVENTS[name])
    parsed = release.parse(line.start.words, entry=entry)
    assert parsed.exit == 2
    assert f"{UNRECOGNIZED}--enable-kv-cache-events" in parsed.error


@pytest.mark.parametrize("word", ["--kv-events-buffer-steps=1", "--kv-events-topic=x"])
def test_no_release_takes_one_of_those_flags_alone(release: Release, word: str) -> None:
    parsed = release.serve(word)
    assert parsed.exit == 2
    assert UNRECOGNIZED + word in parsed.error
