"""What cannot be understood is named, and never an exception."""

import pytest

from core.event_config.configs import MARK, WANTED, config, found_in, refused
from kvsync.core.event_config.merge import merge
from kvsync.core.event_config.model import Contradiction


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--kv-events-config={"], "its JSON is broken"),
        (["--kv-events-config", "'{}'"], "its JSON is broken"),
        (["--kv-events-config={'topic':1}"], "its JSON is broken"),
        (["--kv-events-config=[]"], "its JSON is no object but a list"),
        (["--kv-events-config=null"], "its JSON is no object but null"),
        ([MARK], "--kv-events-config has no value"),
        ([MARK, "--port=1"], "--kv-events-config has no value"),
        (["--kv-events-config.topic"], "--kv-events-config has no value"),
        ([config({"tpoic": 1})], '"tpoic" is no key of it'),
        ([config({"tpoic": 1}), config({})], '"tpoic" is no key of it'),
        (["--kv-events.buffer-steps=1"], "(it is written buffer_steps)"),
        (["--kv-events-config.=1"], '"" is no key of it'),
        ([config({"topic": 5})], "topic must be text in quotes, not 5"),
        (["--kv-events-config.topic=5"], "topic must be text in quotes, not 5"),
        ([config({"publisher": None})], "publisher must be text in quotes, not null"),
        (["--kv-events-config.publisher=null"], "publisher must be text in quotes, not null"),
        ([config({"endpoint": ["a"]})], "endpoint must be text in quotes, not a list"),
        ([config({"enable_kv_cache_events": 2})], "must be true or false, not 2"),
        ([config({"enable_kv_cache_events": None})], "must be true or false, not null"),
        ([config({"hwm": 1.5})], "hwm must be a whole number from 0 to 2147483647, not 1.5"),
        ([config({"hwm": "1e3"})], 'not "1e3"'),
        ([config({"buffer_steps": -1})], "not -1"),
        (["--kv-events-config.topic+=a,b"], "topic is given as a list or an object"),
        (["--kv-events-config.topic.x", "a"], "topic is given as a list or an object"),
        (
            [config({"topic": "a"}), "--kv-events-config.topic=b"],
            'it gives topic two values: "a" and "b"',
        ),
        (["--kv-events.hwm=1", "--kv-events-config.hwm=2"], "it gives hwm two values: 1 and 2"),
        (["--kv-event-config={}"], '"--kv-event-config" names no flag of the engine'),
        (["--kv-events-config {}"], '"--kv-events-config {}" names no flag of the engine'),
        (["--kv", '{"topic":"x"}'], '"--kv" names no flag of the engine, or several'),
        (["--kv-.topic=x"], '"--kv-" names no flag of the engine, or several'),
        (["--kv-events-topic.x=1"], "--kv-events-topic takes no keys behind a dot"),
        (["--enable-kv-cache-events=maybe"], "must be true or false"),
        (["--kv-events-buffer-steps=x"], "buffer_steps must be a whole number"),
        (["--kv-events-topic=a", config({})], "it mixes --kv-events-config with --kv-events-topic"),
        ([config({"topic": "kv@$(POD_IP)"})], "it depends on a variable"),
        (["--kv-events-topic=${TOPIC}"], "it depends on a variable"),
        ([config({"topic": "$$$(X)"})], "it depends on a variable"),
        ([r'--kv-events-config={"topic":"\u0024(X)"}'], "it depends on a variable"),
        ([r'--kv-events-config={"topic":"$\u007BX}"}'], "it depends on a variable"),
    ],
)
def test_what_cannot_be_understood_is_named(words: list[str], problem: str) -> None:
    found = found_in(*words)
    assert problem in found.problem
    assert found.settings == {}
    refusal = refused(*words)
    assert refusal.reason == "EventsConfigInvalid"
    assert found.problem in refusal.message
    assert words[0] in refusal.message


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5_000,
        '{"topic":' * 1_500 + "1" + "}" * 1_500,
        '{"hwm":' + "[" * 300 + "]" * 300 + "}",
        '{"hwm":' + "9" * 5_000 + "}",
        '{"hwm":' + "9" * 4_000 + "}",
        '{"hwm":' + "9" * 400 + ".0k}",
        '{"hwm":"' + "9" * 5_000 + '"}',
        '{"hwm":NaN}',
        '{"hwm":-Infinity}',
        '{"hwm":1e999}',
        '{"hwm":1.5K}',
        '{"enable_kv_cache_events":NaN}',
        '{"topic":"\ud800"}',
        r'{"topic":"\ud800"}',
        r'{"\udfff":1}',
        '{"topic":"' + "x" * 20_000 + '"}',
        '"' * 9_999,
        '{"topic":"\x00"}',
        "\ufeff{}",
    ],
    ids=range(19),
)
@pytest.mark.parametrize("dotted", [False, True])
def test_hostile_values_are_problems(text: str, dotted: bool) -> None:
    found = found_in(f"{MARK}.hwm={text}" if dotted else f"{MARK}={text}")
    assert found.problem
    refusal = merge(found, WANTED, publisher_required=True)
    assert isinstance(refusal, Contradiction)
    assert len(refusal.message.encode()) < 1_500
