"""A configuration that is there already is merged once, and to what the gateway needs."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.event_config.command_lines import ANY_FORM, SETTINGS
from core.event_config.configs import (
    CONFIG,
    FLAGS,
    MARK,
    RIGHT,
    WANTED,
    Json,
    config,
    found_in,
    heard,
    in_place,
    merged,
    refused,
)
from kvsync.core.event_config.merge import merge, merge_flags
from kvsync.core.event_config.model import Contradiction, Found, Merged
from kvsync.core.event_config.read import find_event_config
from testbed.engine.events_config import EventsConfig

WANTS = st.sampled_from(
    [
        WANTED,
        {**WANTED, "topic": "kv"},
        {**WANTED, "buffer_steps": 5, "hwm": 6, "max_queue_size": 7},
        {**WANTED, "endpoint": "tcp://*:6000", "replay_endpoint": "tcp://*:6001"},
    ]
)


@given(words=ANY_FORM, wanted=WANTS, required=st.booleans())
def test_merged_once_and_to_what_the_gateway_needs(
    words: list[str], wanted: Json, required: bool
) -> None:
    found = find_event_config(words)
    if found is None:
        return
    made = merge(found, wanted, publisher_required=required)
    if isinstance(made, Contradiction):
        assert made.message.endswith(".") or found.text in made.message
        return
    after = in_place(words, found, made.words)
    result = heard(after)
    assert_reaches(result, wanted)
    if made.words or required:
        assert asdict(result) == {**made.settings}
    assert list(made.settings) == list(wanted)
    for key in made.kept:
        assert getattr(result, key) == found.settings[key] != wanted[key]
    for key in ("buffer_steps", "hwm", "max_queue_size"):
        assert getattr(result, key) == found.settings.get(key, wanted[key])
    again = found_in(*after)
    assert merge(again, wanted, publisher_required=required) == Merged(
        made.settings, (), (), made.kept
    )
    assert [w for w in after if w not in made.words] == outside(words, found, made)


def assert_reaches(config: EventsConfig, wanted: Json) -> None:
    assert (config.enable_kv_cache_events, config.publisher) == (True, "zmq")
    assert config.endpoint.rpartition(":")[2] == wanted["endpoint"].rpartition(":")[2]
    assert "*" in config.endpoint or "::" in config.endpoint
    assert (
        str(config.replay_endpoint).rpartition(":")[2]
        == (wanted["replay_endpoint"].rpartition(":")[2])
    )
    assert config.topic.startswith(wanted["topic"])


def outside(words: list[str], found: Found, made: Merged) -> list[str]:
    """The words that are none of the configuration's, which nothing may touch."""
    taken = {place for start, end in found.spans for place in range(start, end)}
    return [word for place, word in enumerate(words) if place not in taken or not made.words]


@given(settings=SETTINGS)
def test_the_json_that_the_parser_drops_beside_dotted_counts(settings: Json) -> None:
    json_word = config({k: v for k, v in settings.items() if k not in ("topic", "hwm")})
    words = ["serve", json_word, "--kv-events-config.topic=kv", "--kv-events-config.hwm=7"]
    assert heard(words) == EventsConfig(topic="kv", hwm=7)
    found = found_in(*words)
    assert (found.problem, found.count, found.partly_read) == ("", 1, True)
    assert found.settings == {**found_in(json_word).settings, "topic": "kv", "hwm": 7}
    made = merge(found, WANTED, publisher_required=False)
    if isinstance(made, Merged):
        after = heard(in_place(words, found, made.words))
        assert (after.topic, after.hwm) == ("kv", 7)
        assert after.buffer_steps == found.settings.get("buffer_steps", 10000)
        assert any("one JSON now" in note for note in made.notes)


def test_keys_that_a_replaced_template_adds_are_known() -> None:
    word = config({"upload": "x"})
    assert found_in(word).problem
    found = find_event_config([word], known=["upload"])
    assert found is not None
    assert found.settings == {"upload": "x"}
    made = merge(found, {**WANTED, "upload": "y", "more": 1}, publisher_required=False)
    assert isinstance(made, Merged)
    assert (made.settings["upload"], made.settings["more"], made.kept) == ("x", 1, ("upload",))
    assert "more was not given and is 1 now." in made.notes
    alone = merge(found, WANTED, publisher_required=False)
    assert isinstance(alone, Merged)
    assert list(alone.settings.items())[-1] == ("upload", "x")


def test_what_is_right_stays_as_it_is() -> None:
    full = {**RIGHT, "endpoint": "tcp://*:5557", "topic": "", "hwm": 100000}
    right = [
        [CONFIG],
        [config(RIGHT)],
        [config({**full, "enable_kv_cache_events": "yes"})],
        [MARK, json.dumps(full)],
        [config({}), config(RIGHT)],
        [f"--kv-events-config.{key}={json.dumps(value)}" for key, value in RIGHT.items()],
    ]
    for words in right:
        made = merged(*words, required=True)
        assert (made.words, made.notes, made.kept) == ((), (), ()), words
        assert made.settings == WANTED
        assert list(made.settings) == list(WANTED)


def test_what_is_written_is_the_templates_own_form() -> None:
    for words in (
        [f"{MARK}="],
        [config({})],
        ["--kv-events.publisher=zmq"],
        [f"{MARK}.hwm=100000"],
    ):
        assert merged(*words).words == (CONFIG,)


def test_notes_name_key_old_and_new() -> None:
    made = merged(config({"publisher": "null", "enable_kv_cache_events": False}))
    assert made.notes == (
        "enable_kv_cache_events was false and is true now.",
        'publisher was "null" and is "zmq" now.',
        'replay_endpoint was not given and is "tcp://*:5558" now.',
    )


def test_json_beside_dotted_becomes_one_json_even_where_nothing_is_missing() -> None:
    made = merged(config(RIGHT), "--kv-events-config.hwm=5")
    assert made.words == (CONFIG.replace('"hwm":100000', '"hwm":5'),)
    assert made.kept == ("hwm",)
    assert made.notes == (
        "The engine drops JSON that stands beside dotted arguments; it is one JSON now.",
    )
    twice = [f"--kv-events.{key}={json.dumps(value)}" for key, value in RIGHT.items()]
    made = merged(*twice, "--kv-events-config.hwm=5")
    assert made.words == (CONFIG.replace('"hwm":100000', '"hwm":5'),)
    assert made.notes == (
        "The engine drops dotted arguments of a second spelling; it is one JSON now.",
    )


def test_the_publisher_is_added_where_it_must_be_given_or_something_is_written() -> None:
    without = config({key: value for key, value in RIGHT.items() if key != "publisher"})
    assert merged(without).words == ()
    made = merged(without, required=True)
    assert made.words == (CONFIG,)
    assert made.notes == ('publisher was not given and is "zmq" now.',)
    assert '"publisher":"zmq"' in merged(without, wanted={"hwm": 5}).words[0]


def test_a_dollar_is_written_as_the_kubelet_takes_it() -> None:
    made = merged(config({"topic": "$$(A)$é"}))
    assert found_in(*made.words).settings["topic"] == "$$(A)$é"
    assert "$$(A)$" in made.words[0]


@pytest.mark.parametrize("words", [FLAGS, ["--kv-events-topic=x"]])
def test_the_flags_are_no_form_for_an_engine_that_takes_json(words: Sequence[str]) -> None:
    refusal = refused(*words)
    assert refusal.reason == "EventsAlreadyConfigured"
    assert refusal.remedy == (
        "Remove it, or set spec.engine.dialect to Flags if this build takes it."
    )


FLAG_PIECES = st.sampled_from(
    [MARK, "--kv_e", "--kv", "--enable-kv-cache-events", "--kv-events-topic"]
)

NAME_PIECES = st.sampled_from(["topic", "hwm", "null", "k", "9" * 50, "\ud800", "[" * 2_000])

PIECES = (
    FLAG_PIECES | NAME_PIECES | st.sampled_from('.={}":+-\\') | st.sampled_from(["$$", "$(", "\\u"])
)

WORD = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=10)


@given(words=st.lists(WORD, max_size=6), wanted=WANTS)
def test_no_command_line_is_an_exception(words: list[str], wanted: Json) -> None:
    found = find_event_config(words)
    if found is None:
        return
    places = [place for span in found.spans for place in span]
    assert places == sorted(set(places))
    assert places[-1] <= len(words)
    found.text.encode()
    made: list[Any] = [merge(found, wanted, publisher_required=True), merge_flags(found, FLAGS)]
    for outcome in made:
        for text in outcome.words if isinstance(outcome, Merged) else (outcome.message,):
            text.encode()
