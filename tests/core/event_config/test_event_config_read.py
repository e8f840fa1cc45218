"""A configuration that is there already: every spelling is read as vLLM reads it."""

from collections.abc import Sequence

import pytest
from hypothesis import given

from core.event_config.command_lines import ONE_FORM
from core.event_config.configs import FLAGS, MARK, Json, config, found_in, heard, resolved
from kvsync.core.event_config.model import Spelling
from kvsync.core.event_config.read import find_event_config, settings_of
from kvsync.core.render import TemplateRenderError
from testbed.engine.events_config import EventsConfig


@pytest.mark.parametrize(
    ("words", "settings", "spans"),
    [
        (["--kv-events-config", '{"topic":"x"}'], {"topic": "x"}, [(0, 2)]),
        (['--kv-events-config={"topic":"x"}'], {"topic": "x"}, [(0, 1)]),
        (["a", "--kv_events_config", '{"topic":"x"}', "b"], {"topic": "x"}, [(1, 3)]),
        (['--kv-events_config={"topic":"a_b"}'], {"topic": "a_b"}, [(0, 1)]),
        (["--kv-events", '{"topic":"x"}'], {"topic": "x"}, [(0, 2)]),
        (['--kv_e={"topic":"x=y.z"}'], {"topic": "x=y.z"}, [(0, 1)]),
        (['--kv-events-={"topic":"x"}'], {"topic": "x"}, [(0, 1)]),
        (["--kv-events-config={}"], {}, [(0, 1)]),
        (["--kv-events-config="], {}, [(0, 1)]),
        (["--kv-events-config", "None"], {}, [(0, 2)]),
        ([config({"topic": "a"}), config({"topic": "b"})], {"topic": "b"}, [(0, 2)]),
        ([config({"topic": "a"}), "x", config({"hwm": 1})], {"hwm": 1}, [(0, 1), (2, 3)]),
        (
            [config({"buffer_steps": "1_000", "hwm": 5.0})],
            {"buffer_steps": 1000, "hwm": 5},
            [(0, 1)],
        ),
        ([config({"enable_kv_cache_events": "YES"})], {"enable_kv_cache_events": True}, [(0, 1)]),
        ([config({"replay_endpoint": None})], {"replay_endpoint": None}, [(0, 1)]),
        ([config({"max_queue_size": -1})], {"max_queue_size": -1}, [(0, 1)]),
        (
            ['--kv-events-config={"topic":"10k","hwm":10k}'],
            {"topic": "10k", "hwm": 10000},
            [(0, 1)],
        ),
        (['--kv-events-config={"hwm":2K,"hwm":1.5k}'], {"hwm": 1500}, [(0, 1)]),
        ([r'--kv-events-config={"topic":"\"1k\\"}'], {"topic": '"1k\\'}, [(0, 1)]),
        (['--kv-events-config={"topic":"$$(A)$"}'], {"topic": "$$(A)$"}, [(0, 1)]),
        # Dotted: sub-keys keep their underscores, values are JSON, numbers with units, or text.
        (["--kv-events-config.topic", "x"], {"topic": "x"}, [(0, 2)]),
        (["--kv-events-config.topic=x=y"], {"topic": "x=y"}, [(0, 1)]),
        (["--kv_events_config.buffer_steps=5"], {"buffer_steps": 5}, [(0, 1)]),
        (["--kv-events.hwm", "2K"], {"hwm": 2048}, [(0, 2)]),
        (["--kv-events-config.topic", '"5"'], {"topic": "5"}, [(0, 2)]),
        (["--kv-events-config.topic", "1.5K"], {"topic": "1.5K"}, [(0, 2)]),
        (["--kv-events-config.topic", "--port"], {"topic": "--port"}, [(0, 2)]),
        (["--kv-events-config.topic="], {"topic": ""}, [(0, 1)]),
        (["--kv-events-config.topic=a", "--kv-events-config.topic=b"], {"topic": "b"}, [(0, 2)]),
        (["--kv-events-config.replay_endpoint", "null"], {"replay_endpoint": None}, [(0, 2)]),
        (
            ["--kv-events-config.enable_kv_cache_events=true", "x", "--kv-events.hwm=1"],
            {"enable_kv_cache_events": True, "hwm": 1},
            [(0, 1), (2, 3)],
        ),
        # A dotted argument between flag and value is taken out first; its value is never a flag.
        ([MARK, "--a.b", MARK, '{"hwm":1}'], {"hwm": 1}, [(0, 1), (3, 4)]),
        ([config({"hwm": 1}), "--kv-events-config.topic", "x"], {"hwm": 1, "topic": "x"}, [(0, 3)]),
        # The product text's flags.
        (["--enable-kv-cache-events"], {"enable_kv_cache_events": True}, [(0, 1)]),
        (["--enable_kv_cache_events", "False", "x"], {"enable_kv_cache_events": False}, [(0, 2)]),
        (["--enable-kv-cache-events=true"], {"enable_kv_cache_events": True}, [(0, 1)]),
        (["--no-enable-kv-cache-events"], {"enable_kv_cache_events": False}, [(0, 1)]),
        (["--kv-events-buffer-steps", "7"], {"buffer_steps": 7}, [(0, 2)]),
        (
            ["--kv_events_topic=", "--kv_events_buffer=7"],
            {"topic": "", "buffer_steps": 7},
            [(0, 2)],
        ),
        (["--kv-events-topic=5"], {"topic": "5"}, [(0, 1)]),
    ],
)
def test_every_spelling(words: list[str], settings: Json, spans: list[tuple[int, int]]) -> None:
    found = found_in(*words)
    assert (found.problem, dict(found.settings), list(found.spans)) == ("", settings, spans)
    assert found.text == " ".join(w for start, end in spans for w in words[start:end])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["vllm", "serve", "kv-events-config", "-kv-events-config={}"],
        ["--kv-transfer-config={}", "--kv-cache-dtype", "auto", "--enable-prefix-caching"],
        ["--kv", '{"kv_role":"both"}', "--KV-EVENTS-CONFIG={}", "--kv-exotic=1", "--enable-k"],
        ["--hf-overrides.kv-events-config", "--kv-events-config={}"],
    ],
)
def test_nothing_there(words: list[str]) -> None:
    assert find_event_config(words) is None


@pytest.mark.parametrize(
    ("words", "spellings", "count", "partly"),
    [
        ([config({})], {Spelling.JSON}, 1, False),
        ([config({}), config({})], {Spelling.JSON}, 2, False),
        (["--kv-events.hwm=1"], {Spelling.DOTTED}, 0, False),
        (["--kv-events.hwm=1", "--kv_events.hwm=2"], {Spelling.DOTTED}, 0, False),
        (["--kv-events.hwm=1", "--kv-events-config.topic=x"], {Spelling.DOTTED}, 0, True),
        (["--kv-events.hwm=1", config({})], {Spelling.DOTTED, Spelling.JSON}, 1, True),
        (["--kv-events-topic=x"], {Spelling.FLAGS}, 0, False),
    ],
)
def test_how_it_is_given(
    words: list[str], spellings: set[Spelling], count: int, partly: bool
) -> None:
    found = found_in(*words)
    assert (found.problem, set(found.spellings), found.count) == ("", spellings, count)
    assert found.partly_read is partly


def test_the_last_of_two_equal_json_keys_counts() -> None:
    text = MARK + '={"topic":"a","enable_kv_cache_events":true,"topic":"b"}'
    assert found_in(text).settings == {"topic": "b", "enable_kv_cache_events": True}
    assert heard(["serve", text]).topic == "b"


@given(words=ONE_FORM)
def test_what_is_read_is_what_the_parser_yields(words: list[str]) -> None:
    found = find_event_config(words)
    if found is None:
        assert heard(words) == EventsConfig()
        return
    assert (found.problem, found.partly_read) == ("", False)
    assert resolved(found.settings) == heard(words)


@pytest.mark.parametrize("words", [[], ["--a"], FLAGS, [f"{MARK}={{"], [f"{MARK}=[]"], [MARK]])
def test_the_templates_own_words_must_be_one_json(words: Sequence[str]) -> None:
    with pytest.raises(TemplateRenderError):
        settings_of(words)


def test_the_templates_own_words_may_be_two() -> None:
    assert settings_of([MARK, '{"new":1}']) == {"new": 1}
