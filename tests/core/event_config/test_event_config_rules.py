"""A rule for each key: what is kept, what is ours, and what is a contradiction."""

import json

import pytest

from core.event_config.configs import CONFIG, RIGHT, Json, config, merged, refused


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


BEHIND = {"endpoint": "tcp://127.0.0.1:5657", "replay_endpoint": "tcp://127.0.0.1:5658"}
"""What is wanted behind a relay."""


@pytest.mark.parametrize(
    "endpoint", ["tcp://*:5557", "tcp://*:6000", "tcp://[::]:5557", "tcp://0.0.0.0:5557", None]
)
@pytest.mark.parametrize("replay", ["tcp://*:5558", "tcp://*:6001", "", None])
def test_behind_a_relay_the_endpoints_are_ours(endpoint: str | None, replay: str | None) -> None:
    own = {**RIGHT, "endpoint": endpoint, "replay_endpoint": replay, "buffer_steps": 7}
    given = {key: value for key, value in own.items() if value is not None}
    made = merged(config(given), wanted=BEHIND)
    assert {key: made.settings[key] for key in BEHIND} == BEHIND
    assert made.settings["buffer_steps"] == 7
    assert any("endpoint" in note and "5657" in note for note in made.notes)


def test_who_wrote_them_so_himself_is_left_as_he_is() -> None:
    assert merged(config({**RIGHT, **BEHIND}), wanted=BEHIND).words == ()


@pytest.mark.parametrize(
    "endpoint", ["tcp://collector:5557", "tcp://127.0.0.1:6000", "ipc:///tmp/kv"]
)
def test_an_engine_that_feeds_somebody_else_is_not_turned_to_the_relay(endpoint: str) -> None:
    refusal = refused(config({**RIGHT, "endpoint": endpoint}), wanted=BEHIND)
    assert refusal.reason == "EndpointConnects"
    assert "and not to its relay" in refusal.message
    assert 'spec.events.relay.mode to "Off"' in refusal.remedy
