"""A configuration that is there already: every spelling is read as vLLM reads it, and merged once.

The reading is held against the testbed's parser, which was held against vLLM's own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.templates import read_templates
from kvsync.core.event_config import (
    Contradiction,
    Found,
    Merged,
    Spelling,
    find_event_config,
    merge,
    merge_flags,
    settings_of,
)
from kvsync.core.render import TemplateRenderError, engine_arguments
from kvsync.model.spec import Dialect, EngineType, EventsSpec
from testbed.engine.arguments import parse_serve
from testbed.engine.events_config import EventsConfig
from testbed.engine.versions import Build, Version

Json = dict[str, Any]
Chunks = list[list[str]]

TEMPLATES = read_templates()
(CONFIG,) = engine_arguments(TEMPLATES, EngineType.VLLM, Dialect.CONFIG_JSON, EventsSpec())
FLAGS = engine_arguments(TEMPLATES, EngineType.VLLM, Dialect.FLAGS, EventsSpec())
WANTED = settings_of([CONFIG])
RIGHT: Json = {
    "enable_kv_cache_events": True,
    "publisher": "zmq",
    "replay_endpoint": "tcp://*:5558",
}
MARK = "--kv-events-config"


def found_in(*words: str) -> Found:
    found = find_event_config(words)
    assert found is not None
    return found


def config(settings: Json) -> str:
    return f"{MARK}={json.dumps(settings)}"


def merged(*words: str, wanted: Json | None = None, required: bool = False) -> Merged:
    made = merge(found_in(*words), {**WANTED, **(wanted or {})}, publisher_required=required)
    assert isinstance(made, Merged), made
    return made


def refused(*words: str, wanted: Json | None = None) -> Contradiction:
    made = merge(found_in(*words), {**WANTED, **(wanted or {})}, publisher_required=False)
    assert isinstance(made, Contradiction), made
    return made


def in_place(words: Sequence[str], found: Found, new: Sequence[str]) -> list[str]:
    """The command line with the new words where the first of the found ones stands."""
    if not new:
        return list(words)
    taken = {place for start, end in found.spans for place in range(start, end)}
    first = found.spans[0][0]
    kept = [word for place, word in enumerate(words) if place not in taken and place > first]
    return [*words[:first], *new, *kept]


def heard(words: Sequence[str]) -> EventsConfig:
    """What the testbed's parser makes of a command line: vLLM's 0.32."""
    parsed = parse_serve(Build(Version(0, 32)), words).options.kv_events_config
    return parsed if parsed is not None else EventsConfig()


def resolved(settings: Mapping[str, Any]) -> EventsConfig:
    """What the engine makes of the keys it was given."""
    default: Json = {"publisher": "zmq" if settings.get("enable_kv_cache_events") else "null"}
    return EventsConfig(**(default | dict(settings)))


# Reading


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


def test_the_last_of_two_equal_json_keys_counts() -> None:
    text = MARK + '={"topic":"a","enable_kv_cache_events":true,"topic":"b"}'
    assert found_in(text).settings == {"topic": "b", "enable_kv_cache_events": True}
    assert heard(["serve", text]).topic == "b"


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


@pytest.mark.parametrize("words", [[], ["--a"], FLAGS, [f"{MARK}={{"], [f"{MARK}=[]"], [MARK]])
def test_the_templates_own_words_must_be_one_json(words: Sequence[str]) -> None:
    with pytest.raises(TemplateRenderError):
        settings_of(words)


def test_the_templates_own_words_may_be_two() -> None:
    assert settings_of([MARK, '{"new":1}']) == {"new": 1}


# Reading, against the parser

ENDPOINTS = ["tcp://*:5557", "tcp://[::]:5557", "tcp://*:6000", "tcp://0.0.0.0:5557", "ipc:///x"]
REPLAYS = [None, "", "tcp://*:5558", "tcp://0.0.0.0:5558", "tcp://*:6001", "tcp://127.0.0.1:5558"]
SIZES = st.sampled_from([0, 1, 10000, 100000, 2**31 - 1]).flatmap(
    lambda n: st.sampled_from([n, float(n), str(n)])
)
TOPICS = st.sampled_from(["", "kv", "kv@10.0.0.1@m", "k"]) | st.text('a1.=+-_ "\\{}é', max_size=6)
ANY_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "enable_kv_cache_events": st.sampled_from([True, False, "true", "Off", 1, 0]),
        "publisher": st.sampled_from(["zmq", "zmq", "null"]),
        "endpoint": st.sampled_from(ENDPOINTS),
        "replay_endpoint": st.sampled_from(REPLAYS),
        "buffer_steps": SIZES,
        "hwm": SIZES,
        "max_queue_size": SIZES,
        "topic": TOPICS,
    },
)
# Half of them lack nothing, so that what is right is met too.
SETTINGS = ANY_SETTINGS | ANY_SETTINGS.map(lambda settings: {**settings, **RIGHT})
NAMES = st.sampled_from(
    ["--kv-events-config", "--kv_events_config", "--kv-events", "--kv_events-c", "--kv-e"]
)
OTHERS = st.lists(
    st.sampled_from(
        [
            ["--port=8001"],
            ["--max-model-len", "4096"],
            ["--served-model-name=a.b"],
            ["--override-generation-config", '{"kv_events":1.5}'],
            ["--hf-overrides.a.b_c", "--kv-events-config"],
            ["--kv-transfer-config={}"],
            ["--kv-cache-dtype", "auto"],
            ["--no-enable-prefix-caching"],
        ]
    ),
    max_size=3,
)


@st.composite
def whole(draw: st.DrawFn) -> list[str]:
    """One JSON value, in one or two words."""
    texts = st.sampled_from(["", "None"]) | SETTINGS.map(json.dumps)
    name, text = draw(NAMES), draw(texts)
    return [f"{name}={text}"] if draw(st.booleans()) else [name, text]


@st.composite
def dotted(draw: st.DrawFn, settings: st.SearchStrategy[Json] = SETTINGS) -> Chunks:
    """A configuration in dotted arguments of one spelling."""
    name, chunks = draw(NAMES), []
    for key, value in draw(settings).items():
        text = value if str(value).startswith(("kv", "tcp")) else json.dumps(value)
        flag = f"{name}.{key}"
        chunks.append([f"{flag}={text}"] if draw(st.booleans()) else [flag, text])
    return chunks


@st.composite
def command_lines(draw: st.DrawFn, chunks: st.SearchStrategy[Chunks]) -> list[str]:
    """A whole command line with these pieces somewhere among others."""
    mixed = draw(st.permutations([*draw(chunks), *draw(OTHERS)]))
    return ["serve", "tiny", *(word for chunk in mixed for word in chunk)]


ONE_FORM = command_lines(st.lists(whole(), min_size=1, max_size=3) | dotted())
ANY_FORM = ONE_FORM | command_lines(
    st.tuples(st.lists(whole(), max_size=2), dotted(), dotted()).map(
        lambda t: [*t[0], *t[1], *t[2]]
    )
)


@given(words=ONE_FORM)
def test_what_is_read_is_what_the_parser_yields(words: list[str]) -> None:
    found = find_event_config(words)
    if found is None:
        assert heard(words) == EventsConfig()
        return
    assert (found.problem, found.partly_read) == ("", False)
    assert resolved(found.settings) == heard(words)


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


# Merging

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


def test_another_publisher_is_a_contradiction() -> None:
    refusal = refused(config({**RIGHT, "publisher": "kafka"}))
    assert refusal.reason == "EventsAlreadyConfigured"
    assert refusal.message == (
        'The KV event configuration has publisher "kafka", but the gateway hears "zmq" only.'
    )
    assert refusal.remedy == (
        'Write "publisher": "zmq", or remove publisher from it and let the operator set it.'
    )


@pytest.mark.parametrize("endpoint", ["tcp://[::]:5557", "tcp://:::5557", "tcp://*:05557"])
def test_an_endpoint_that_binds_the_wanted_port_is_kept(endpoint: str) -> None:
    made = merged(config({**RIGHT, "endpoint": endpoint}))
    assert (made.words, made.kept, made.settings["endpoint"]) == ((), ("endpoint",), endpoint)


def test_an_endpoint_that_is_not_given_is_the_engines_default() -> None:
    made = merged(config(RIGHT), wanted={"endpoint": "tcp://*:6000"})
    assert '"endpoint":"tcp://*:6000"' in made.words[0]
    assert made.notes == ('endpoint was not given and is "tcp://*:6000" now.',)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "relay.default", "10.0.0.1", ""])
def test_an_endpoint_that_connects_is_a_contradiction(host: str) -> None:
    refusal = refused(config({**RIGHT, "endpoint": f"tcp://{host}:5557"}))
    assert refusal.reason == "EndpointConnects"
    assert f'"tcp://{host}:5557"' in refusal.message
    assert '"endpoint": "tcp://*:5557"' in refusal.remedy


@pytest.mark.parametrize(
    ("settings", "message", "remedy"),
    [
        ({"endpoint": "tcp://*:6000"}, '"tcp://*:5557" is wanted', "Set spec.events.port to 6000"),
        ({"endpoint": "ipc:///tmp/kv"}, "a tcp port only", 'Write "endpoint": "tcp://*:5557"'),
        ({"endpoint": "inproc://kv"}, "a tcp port only", 'Write "endpoint": "tcp://*:5557"'),
        ({"endpoint": ""}, "a tcp port only", 'Write "endpoint": "tcp://*:5557"'),
        ({"endpoint": "tcp://*:*"}, "a tcp port only", 'Write "endpoint": "tcp://*:5557"'),
        ({"endpoint": "tcp://*:0"}, "a tcp port only", 'Write "endpoint": "tcp://*:5557"'),
        ({"endpoint": "tcp://*:65536"}, "a tcp port only", 'Write "endpoint": "tcp://*:5557"'),
        (
            {"endpoint": "tcp://[::1]:5557"},
            "inside the pod only",
            'Write "endpoint": "tcp://*:5557"',
        ),
        (
            {"replay_endpoint": "tcp://*:6001"},
            '"tcp://*:5558" is wanted',
            "Set spec.events.replayPort to 6001",
        ),
        (
            {"replay_endpoint": "tcp://127.0.0.1:5558"},
            "inside the pod only",
            'Write "replay_endpoint": "tcp://*:5558"',
        ),
        (
            {"replay_endpoint": "ipc://x"},
            "a tcp port only",
            'Write "replay_endpoint": "tcp://*:5558"',
        ),
    ],
)
def test_another_place_is_a_contradiction(settings: Json, message: str, remedy: str) -> None:
    refusal = refused(config({**RIGHT, **settings}))
    (key,) = settings
    assert refusal.reason == "EventsAlreadyConfigured"
    assert message in refusal.message
    assert refusal.remedy == f"{remedy}, or remove {key} from it and let the operator set it."


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "eth0", "*"])
def test_a_replay_endpoint_always_binds(host: str) -> None:
    assert merged(config({**RIGHT, "replay_endpoint": f"tcp://{host}:5558"})).words == ()


@pytest.mark.parametrize("empty", [None, ""])
def test_a_missing_replay_endpoint_is_added(empty: str | None) -> None:
    made = merged(config({**RIGHT, "replay_endpoint": empty}))
    assert made.words == (CONFIG,)
    assert made.notes == (f'replay_endpoint was {json.dumps(empty)} and is "tcp://*:5558" now.',)


@pytest.mark.parametrize(
    ("own", "wanted", "result"),
    [
        ("kv@a@b", "", "kv@a@b"),
        ("kv@a@b", "kv", "kv@a@b"),
        ("kv", "kv", "kv"),
        (None, "kv", "kv"),
        ("", "kv", "kv"),
        ("k", "kv", None),
        ("other", "kv", None),
    ],
)
def test_the_wanted_topic_is_a_beginning(own: str | None, wanted: str, result: str | None) -> None:
    word = config(RIGHT if own is None else {**RIGHT, "topic": own})
    if result is None:
        refusal = refused(word, wanted={"topic": wanted})
        assert refusal.reason == "EventsAlreadyConfigured"
        assert json.dumps(own) in refusal.remedy
        return
    made = merged(word, wanted={"topic": wanted})
    assert made.settings["topic"] == result
    assert bool(made.words) is (not own)
    assert made.kept == (("topic",) if own and own != wanted else ())


def test_sizes_are_the_owners() -> None:
    sizes = {"buffer_steps": 1, "hwm": 2, "max_queue_size": 3}
    made = merged(config({**RIGHT, **sizes}))
    assert (made.words, made.kept) == ((), tuple(sizes))
    assert {key: made.settings[key] for key in sizes} == sizes
    made = merged(config(RIGHT), wanted=sizes)
    assert made.notes == tuple(f"{k} was not given and is {v} now." for k, v in sizes.items())


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


# The flags


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (FLAGS, []),
        (["--enable-kv-cache-events"], []),
        (["--enable-kv-cache-events=true", "--kv-events-buffer-steps", "7"], []),
        (["--enable-kv-cache-events", "--kv-events-topic=x"], []),
        (["--enable-kv-cache-events=false"], list(FLAGS)),
        (
            ["--kv_events_buffer_steps", "7"],
            ["--enable-kv-cache-events", "--kv-events-buffer-steps=7", "--kv-events-topic="],
        ),
        (
            ["--no-enable-kv-cache-events", "--kv-events-topic", "a b"],
            ["--enable-kv-cache-events", "--kv-events-buffer-steps=10000", "--kv-events-topic=a b"],
        ),
    ],
)
def test_flags_are_merged(words: Sequence[str], result: list[str]) -> None:
    made = merge_flags(found_in(*words), FLAGS)
    assert isinstance(made, Merged)
    assert list(made.words) == result
    after = in_place(["serve", *words], found_in("serve", *words), made.words)
    again = merge_flags(found_in(*after), FLAGS)
    assert again == Merged(made.settings, (), (), made.kept)


def test_flags_that_were_written_are_what_a_build_made_for_them_takes() -> None:
    made = merge_flags(found_in("--kv-events-buffer-steps", "7"), FLAGS)
    assert isinstance(made, Merged)
    options = parse_serve(Build(Version(0, 8), takes_flags=True), ["serve", *made.words]).options
    assert (options.enable_kv_cache_events, options.kv_events_buffer_steps) == (True, 7)
    assert made.notes == ("enable_kv_cache_events was not given and is true now.",)


def test_flags_and_the_wanted_topic() -> None:
    wanted = engine_arguments(TEMPLATES, EngineType.VLLM, Dialect.FLAGS, EventsSpec(topic="kv"))
    made = merge_flags(found_in("--enable-kv-cache-events"), wanted)
    assert isinstance(made, Merged)
    assert made.words == wanted
    refusal = merge_flags(found_in("--enable-kv-cache-events", "--kv-events-topic=x"), wanted)
    assert isinstance(refusal, Contradiction)
    assert refusal.reason == "EventsAlreadyConfigured"


def test_flags_that_cannot_be_understood_or_are_json() -> None:
    broken = merge_flags(found_in("--kv-events-buffer-steps=x"), FLAGS)
    assert isinstance(broken, Contradiction)
    assert broken.reason == "EventsConfigInvalid"
    other = merge_flags(found_in(CONFIG), FLAGS)
    assert isinstance(other, Contradiction)
    assert "ConfigJSON" in other.remedy
    with pytest.raises(TemplateRenderError):
        merge_flags(found_in(*FLAGS), [CONFIG])


# Anything at all

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
