"""The command line is as strict as the release's: accepted settings, or how it dies."""

import json
from typing import Any

import pytest

from testbed.engine.arguments import UsageError, parse_api_server, parse_serve
from testbed.engine.events_config import EventsConfig
from testbed.engine.serve import run_entrypoint
from testbed.engine.settings import Settings, settle
from testbed.engine.versions import NEWEST, Build, Version, build_from

ON = '{"enable_kv_cache_events": true, "publisher": "zmq"}'
ENABLED = EventsConfig(enable_kv_cache_events=True, publisher="zmq")
OFF = EventsConfig()
FLAGS = ["--enable-kv-cache-events", "--kv-events-buffer-steps", "10000", "--kv-events-topic", "x"]


def build(version: str) -> Build:
    return build_from({"TESTBED_VLLM_VERSION": version})


def accept(version: str, *arguments: str, **environ: str) -> Settings:
    kind = build(version)
    return settle(kind, parse_serve(kind, ["serve", "m", *arguments]), environ)


@pytest.mark.parametrize(
    ("version", "arguments", "expected"),
    [
        ("0.32.0", [], None),
        ("0.32.0", ["--kv-events-config", ON], ENABLED),
        ("0.9.0", ["--kv-events-config", ON], ENABLED),
        ("0.32.0", [f"--kv-events-config={ON}"], ENABLED),
        ("0.32.0", ["--kv_events_config", ON], ENABLED),
        ("0.32.0", [f"--kv_events_config={ON}"], ENABLED),
        ("0.32.0", ["--kv-events", ON], ENABLED),
        ("0.32.0", ["--kv-events-config={}"], OFF),
        ("0.16.0", ["--kv-events-config={}"], OFF),
        ("0.32.0", ["--kv-events-config="], None),
        ("0.9.0", ["--kv-events-config="], None),
        ("0.32.0", ["--kv-events-config", ON, "--kv-events-config={}"], OFF),
        (
            "0.32.0",
            ["--kv-events-config", '{"topic": "a"}', f"--kv-events-config={ON}"],
            ENABLED,
        ),
        ("0.32.0", ["--kv-events-config.topic", "x"], EventsConfig(topic="x")),
        (
            "0.32.0",
            ["--kv-events-config.enable_kv_cache_events=true", "--kv_events_config.hwm", "5"],
            EventsConfig(enable_kv_cache_events=True, publisher="zmq", hwm=5),
        ),
        # JSON and dotted together: the JSON is dropped, and events are off.
        (
            "0.32.0",
            ["--kv-events-config", ON, "--kv-events-config.topic", "x"],
            EventsConfig(topic="x"),
        ),
        (
            "0.32.0",
            ["--kv-events-config", '{"enable_kv_cache_events": true}'],
            ENABLED,
        ),
        (
            "0.11.0",
            ["--kv-events-config", '{"enable_kv_cache_events": true}'],
            EventsConfig(enable_kv_cache_events=True, publisher="null"),
        ),
        (
            "0.32.0",
            ["--kv-events-config", '{"enable_kv_cache_events": "yes", "hwm": "7"}'],
            EventsConfig(enable_kv_cache_events=True, publisher="zmq", hwm=7),
        ),
    ],
)
def test_accepted(version: str, arguments: list[str], expected: EventsConfig | None) -> None:
    assert accept(version, *arguments).events == expected


@pytest.mark.parametrize(
    ("version", "arguments", "message"),
    [
        ("0.32.0", FLAGS, f"vllm: error: unrecognized arguments: {' '.join(FLAGS)}"),
        ("0.16.0", FLAGS, f"vllm: error: unrecognized arguments: {' '.join(FLAGS)}"),
        ("0.8.5", FLAGS, "vllm: error: unrecognized arguments: --enable-kv-cache-events"),
        ("0.8.5", ["--kv-events-config", ON], "unrecognized arguments: --kv-events-config {"),
        ("0.7.3", ["--kv-events-config", ON], "unrecognized arguments: --kv-events-config {"),
        ("0.11.0-kvflags", ["--kv-events-config", ON], "unrecognized arguments"),
        ("0.32.0", ["--no-such-flag"], "vllm: error: unrecognized arguments: --no-such-flag"),
        (
            "0.32.0",
            ["--kv-events-config", "{bad"],
            "vllm serve: error: argument --kv-events-config: 1 validation error for "
            "KVEventsConfig\n  Invalid JSON",
        ),
        ("0.32.0", ["--kv-events-config", '{"foo": 1}'], "foo\n  Unexpected keyword argument"),
        ("0.32.0", ["--kv-events-config.foo", "1"], "foo\n  Unexpected keyword argument"),
        ("0.32.0", ["--kv-events-config.enable-kv-cache-events", "1"], "Unexpected keyword"),
        ("0.11.1", ["--kv-events-config", '{"publisher": "x"}'], "Input should be 'null' or 'zmq'"),
        ("0.32.0", ["--kv-events-config", '{"publisher": null}'], "should be 'null' or 'zmq'"),
        ("0.32.0", ["--kv-events-config", "[]"], "Input should be an object"),
        ("0.32.0", ["--kv-events-config", '{"hwm": 1.5}'], "got a number with a fractional part"),
        ("0.32.0", ["--kv-events-config", '{"hwm": "a"}'], "unable to parse string as an integer"),
        ("0.32.0", ["--kv-events-config", '{"topic": 1}'], "Input should be a valid string"),
        (
            "0.32.0",
            ["--kv-events-config", '{"enable_kv_cache_events": "perhaps"}'],
            "Input should be a valid boolean",
        ),
        (
            "0.32.0",
            ["--kv-events-config", '{"foo": 1, "hwm": "a"}'],
            "2 validation errors for KVEventsConfig\nhwm",
        ),
        ("0.32.0", ["--kv-events-config"], "expected one argument"),
        ("0.32.0", ["--hf-overrides", "{bad"], "Value {bad cannot be converted to <function loads"),
        ("0.32.0", ["--port", "eight"], "Value eight cannot be converted to <class 'int'>"),
        ("0.32.0", ["--block-size", "7"], "invalid choice: 7"),
        ("0.32.0", ["--enable"], "ambiguous option: --enable could match"),
    ],
)
def test_refused_with_status_2(
    version: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        accept(version, *arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("usage: ")
    assert message in error


def test_the_module_form_names_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_api_server(build("0.32.0"), ["--model", "m", *FLAGS])
    assert ended.value.code == 2
    assert "api_server.py: error: unrecognized arguments: --enable-kv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("vllm/vllm-openai:v0.11.0", Build(Version(0, 11))),
        ("vllm/vllm-openai:v0.10.2-cu128", Build(Version(0, 10, 2))),
        ("vllm/vllm-openai:v0.8.5", Build(Version(0, 8, 5))),
        ("mirror.example:5000/vllm/vllm-openai:v0.7.3", Build(Version(0, 7, 3))),
        ("vllm/vllm-openai:latest", Build(NEWEST)),
        ("vllm/vllm-openai@sha256:" + "0" * 64, Build(NEWEST)),
        ("vllm/vllm-openai:v0.16.0@sha256:" + "0" * 64, Build(Version(0, 16))),
        ("example.org/team/vllm:0.7.3", Build(Version(0, 7, 3), takes_flags=True)),
        ("example.org/team/vllm-openai:v0.8.5-cu121", Build(Version(0, 8, 5), takes_flags=True)),
        ("example.org/team/vllm:0.6.6", Build(Version(0, 6, 6))),
        ("example.org/team/vllm:0.9.2", Build(Version(0, 9, 2))),
        ("example.org/team/vllm:0.11.0-kvflags", Build(Version(0, 11), takes_flags=True)),
        ("localhost:5000/vllm", Build(NEWEST)),
        ("", Build(NEWEST)),
    ],
)
def test_the_image_says_which_build_it_is(image: str, expected: Build) -> None:
    assert build_from({"TESTBED_IMAGE": image}) == expected


def test_a_named_version_wins_over_the_image() -> None:
    environ = {"TESTBED_IMAGE": "vllm/vllm-openai:v0.9.0", "TESTBED_VLLM_VERSION": "0.24.1"}
    assert build_from(environ) == Build(Version(0, 24, 1))


def test_a_build_for_the_flags_publishes_where_the_gateway_connects() -> None:
    settings = accept("0.8.5-kvflags", *FLAGS)
    assert settings.events == EventsConfig(
        enable_kv_cache_events=True,
        publisher="zmq",
        replay_endpoint="tcp://*:5558",
        topic="x",
    )
    assert settings.prefix_caching
    assert accept("0.8.5-kvflags").events is None


def test_common_flags_are_taken_in_every_spelling() -> None:
    settings = accept(
        "0.32.0",
        *["--served_model_name", "a", "b", "-tp", "2", "-dp=2", "--gpu-memory-util", "0.5"],
        *["--max-model-len", "2k", "--block-size", "32", "--no-enable-prefix-caching"],
        *["--hf-overrides.architectures+", "X,Y", "--kv-transfer-config", '{"kv_role": "x"}'],
        *["--api-key", "k", "--trust-remote-code", "--enforce-eager", "-O3", "--swap-space", "4"],
        *["--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--seed", "1"],
    )
    assert settings.names == ("a", "b")
    assert (settings.ranks, settings.max_model_len, settings.block_size) == (2, 2000, 32)
    assert settings.gpu_memory_utilization == 0.5
    assert not settings.prefix_caching
    assert settings.api_keys == {"k"}


def test_the_model_may_be_named_as_an_option() -> None:
    kind = build("0.32.0")
    for arguments in (["--port", "1", "--model", "m"], ["--model=m", "--port", "1"]):
        settings = settle(kind, parse_serve(kind, ["serve", *arguments]), {})
        assert (settings.model, settings.port) == ("m", 1)


def test_options_given_twice_are_noticed_and_the_last_wins() -> None:
    kind = build("0.32.0")
    line = parse_serve(kind, ["serve", "m", "--seed", "1", "--seed", "2"])
    assert line.duplicates == ("--seed",)
    assert line.options.seed == 2


def test_a_config_file_is_read_and_the_command_line_wins(tmp_path: Any) -> None:
    path = tmp_path / "engine.yaml"
    path.write_text(
        "port: 9000\nseed: 1\nenforce-eager: true\nserved-model-name: [a]\n"
        f"kv-events-config: {ON}\ntrust-remote-code: false\n"
    )
    settings = accept("0.32.0", "--config", str(path), "--port", "9001")
    assert (settings.port, settings.names) == (9001, ("a",))
    assert settings.events == ENABLED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config"], "No config file specified"),
        (["--config", "x.txt"], "must be of a yaml/yml type. txt supplied"),
        (["--config", "missing.yaml"], "Unable to read the config file"),
    ],
)
def test_a_config_file_that_cannot_be_read_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        accept("0.32.0", *arguments)


@pytest.mark.parametrize(
    ("version", "environ", "expected"),
    [
        ("0.9.2", {}, True),
        ("0.9.2", {"VLLM_USE_V1": "0"}, False),
        ("0.10.1", {"VLLM_USE_V1": "0"}, False),
        ("0.11.0", {"VLLM_USE_V1": "0"}, True),
    ],
)
def test_the_old_engine_knows_no_events(
    version: str, environ: dict[str, str], expected: bool
) -> None:
    settings = accept(version, "--kv-events-config", ON, **environ)
    assert (settings.events is not None, settings.prefix_caching) == (expected, expected)


@pytest.mark.parametrize(
    ("version", "config", "expected"),
    [
        ("0.11.0", {"enable_kv_cache_events": True, "publisher": "zmq"}, True),
        ("0.11.0", {"enable_kv_cache_events": True}, True),
        ("0.11.0", {}, True),
        ("0.11.1", {"enable_kv_cache_events": True, "publisher": "null"}, False),
        ("0.11.1", {"enable_kv_cache_events": True}, True),
        ("0.11.1", {}, False),
        ("0.11.1", {"publisher": "zmq"}, False),
    ],
)
def test_when_a_publisher_is_started(version: str, config: dict[str, Any], expected: bool) -> None:
    settings = accept(version, "--kv-events-config", json.dumps(config))
    assert settings.starts_publisher is expected


def test_the_images_entrypoint_takes_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, program in ((["m", "--what"], "vllm"), (["--what"], "api_server.py")):
        with pytest.raises(SystemExit):
            run_entrypoint(arguments)
        assert f"{program}: error: unrecognized arguments: --what" in capsys.readouterr().err
