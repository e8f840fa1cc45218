"""SGLang's command line is as strict as the release's, and reads its events' text as it does."""

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from kvsync.adapters.templates import read_templates
from kvsync.core.render import render
from kvsync.model.spec import EventsSpec
from testbed.engine.arguments import UsageError
from testbed.engine.events_config import EventsConfig
from testbed.engine.sglang.command_line import parse_launch_server, parse_serve
from testbed.engine.sglang.releases import (
    NEWEST,
    Publishing,
    Release,
    parse_release,
    release_from,
)
from testbed.engine.sglang.settings import Parallel, SglangSettings, settle, with_events

EVERY = ("0.4.6.post5", "0.5.2", "0.5.5", "0.5.9", "0.5.23")
ON = '{"publisher": "zmq"}'
ENABLED = EventsConfig(enable_kv_cache_events=True, publisher="zmq")


def accept(version: str, *arguments: str) -> SglangSettings:
    release = parse_release(version)
    assert release is not None
    words = ["--model-path", "org/tiny", *arguments]
    return with_events(settle(release, parse_launch_server(release, words)))


def refuse(capsys: pytest.CaptureFixture[str], version: str, *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        accept(version, *arguments)
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v0.5.5-cu129", Release(0, 5, 5)),
        ("v0.5.5.post3-rocm700-mi30x", Release(0, 5, 5, 3)),
        ("0.4.6.post5", Release(0, 4, 6, 5)),
        ("v0.5.11-cu130-runtime", Release(0, 5, 11)),
        ("latest", None),
        ("dev-cu13", None),
    ],
)
def test_a_tag_names_a_release(text: str, expected: Release | None) -> None:
    assert parse_release(text) == expected
    image = f"registry.local:5000/lmsysorg/sglang:{text}"
    assert release_from({"TESTBED_IMAGE": image}) == (expected or NEWEST)


@pytest.mark.parametrize("version", EVERY)
def test_defaults_are_sglangs_own(version: str) -> None:
    settings = accept(version)
    assert (settings.base.host, settings.base.port) == ("127.0.0.1", 30000)
    assert settings.base.block_size == 1
    assert settings.base.names == ("org/tiny",)
    assert settings.base.prefix_caching
    assert settings.base.events is None


@pytest.mark.parametrize("version", EVERY)
def test_the_flag_enables_events_without_an_enabling_key(version: str) -> None:
    assert accept(version, "--kv-events-config", ON).base.events == ENABLED
    assert accept(version, f"--kv-events-config={ON}").base.events == ENABLED
    assert accept(version, "--kv-events", ON).base.events == ENABLED
    assert accept(version, "--kv-events-config={}", "--kv-events", ON).base.events == ENABLED
    assert accept(version, "--kv-events-config=").base.events is None


@pytest.mark.parametrize("version", EVERY)
def test_unknown_keys_pass_unseen(version: str) -> None:
    text = '{"publisher": "zmq", "enable_kv_cache_events": false, "nonsense": 1, "hwm": "7"}'
    events = accept(version, "--kv-events-config", text).base.events
    assert events == EventsConfig(enable_kv_cache_events=True, publisher="zmq", hwm=7)


@pytest.mark.parametrize(
    ("version", "text", "error"),
    [
        ("0.4.6.post5", "{}", "NullEventPublisher() takes no arguments"),
        ("0.5.12", "{}", "unexpected keyword argument 'endpoint'"),
        ("0.5.13", '{"publisher": "null"}', "NullEventPublisher() takes no arguments"),
        ("0.5.23", '{"publisher": "nats"}', "Unknown event publisher 'nats'"),
        ("0.5.23", "not json", "Invalid JSON"),
        ("0.5.23", "[]", "Input should be an object"),
        ("0.5.2", '{"publisher": "zmq", "hwm": "x"}', "Input should be a valid integer"),
        ("0.5.22", '{"publisher": "zmq", "bind": "maybe"}', "Input should be a valid boolean"),
    ],
)
def test_bad_event_settings_are_found_once_they_are_read(
    version: str, text: str, error: str
) -> None:
    release = parse_release(version)
    assert release is not None
    words = ["--model-path", "m", "--kv-events-config", text]
    settings = settle(release, parse_launch_server(release, words))  # argparse takes any text
    with pytest.raises((ArgumentTypeError, TypeError, ValueError)) as refused:
        with_events(settings)
    assert error in str(refused.value)


@pytest.mark.parametrize(
    ("version", "endpoint", "bind", "expected"),
    [
        ("0.5.12", "tcp://*:5557", None, True),
        ("0.5.12", "tcp://0.0.0.0:5557", None, False),
        ("0.5.13", "tcp://0.0.0.0:5557", None, True),
        ("0.5.23", "tcp://127.0.0.1:5557", None, False),
        ("0.5.23", "tcp://127.0.0.1:5557", "true", True),
        ("0.5.23", "tcp://*:5557", "false", False),
        ("0.5.21", "tcp://127.0.0.1:5557", "true", False),
    ],
)
def test_where_it_listens(version: str, endpoint: str, bind: str | None, expected: bool) -> None:
    key = f', "bind": {bind}' if bind else ""
    settings = accept(version, f'--kv-events-config={{"publisher": "zmq"{key}}}')
    assert settings.should_bind(endpoint) is expected


@pytest.mark.parametrize("version", EVERY)
@pytest.mark.parametrize("event_port", [5557, 6000])
def test_every_release_takes_what_the_template_writes(version: str, event_port: int) -> None:
    spec = EventsSpec(port=event_port, replay_port=event_port + 100, topic="kv@pod")
    text = render(read_templates(), "engines/sglang-config-json.yaml.j2", events=spec)
    (word,) = (line.removeprefix("- ") for line in text.strip().splitlines())
    flag = word.strip('"').replace('\\"', '"')
    assert accept(version, flag).base.events == EventsConfig(
        enable_kv_cache_events=True,
        publisher="zmq",
        endpoint=f"tcp://*:{event_port}",
        replay_endpoint=f"tcp://*:{event_port + 100}",
        topic="kv@pod",
    )


@pytest.mark.parametrize(
    ("version", "arguments", "program"),
    [
        ("0.5.5", ["--enable-kv-cache-events"], "launch_server.py"),
        ("0.5.10", ["--enable-kv-cache-events"], "sglang serve"),
        ("0.5.5", ["--kv_events_config", ON], "launch_server.py"),
        ("0.5.5", ["--tp_size", "2"], "launch_server.py"),
        ("0.4.6.post4", ["--kv-events-config", ON], "launch_server.py"),
        ("0.5.21", ["--attn-dp-size", "2"], "sglang serve"),
    ],
)
def test_unknown_arguments_end_it(
    capsys: pytest.CaptureFixture[str], version: str, arguments: list[str], program: str
) -> None:
    said = refuse(capsys, version, *arguments)
    assert f"{program}: error: unrecognized arguments: {arguments[0]}" in said


def test_a_missing_model_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_launch_server(Release(0, 5, 5), ["--port", "30000"])
    assert "the following arguments are required: --model-path/--model" in capsys.readouterr().err


def test_abbreviations_are_enough_where_they_are_unique(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = accept("0.5.5", "--tp", "4", "--dp", "2", "--enable-dp-a", "--served", "tiny")
    assert settings.parallel == Parallel(tp=4, pp=1, ranks=2, attention=2)
    assert settings.served_name == "tiny"
    assert "ambiguous option: --disable-radi" not in refuse(capsys, "0.5.5", "--disable-c")


@pytest.mark.parametrize(
    ("version", "arguments", "expected"),
    [
        ("0.5.5", ["--dp-size", "2"], Parallel(1, 1, 2, 1)),
        ("0.5.5", ["--data-parallel-size=2", "--tp", "2"], Parallel(2, 1, 2, 1)),
        ("0.5.5", ["--dp-size", "2", "--tp", "2", "--enable-dp-attention"], Parallel(2, 1, 2, 2)),
        ("0.5.23", ["--attn-dp-size", "2", "--tp", "4"], Parallel(4, 1, 2, 2)),
        ("0.5.23", ["--dp-size", "2", "--tp", "2", "--enable-dp-attention"], Parallel(2, 1, 2, 2)),
    ],
)
def test_how_it_is_spread(version: str, arguments: list[str], expected: Parallel) -> None:
    assert accept(version, *arguments).parallel == expected


def test_attention_ranks_must_divide_the_tensor_ranks() -> None:
    with pytest.raises(UsageError):
        accept("0.5.5", "--dp-size", "2", "--enable-dp-attention")


@pytest.mark.parametrize(
    ("publishing", "parallel", "expected"),
    [
        (Publishing.EVERY_PROCESS, Parallel(2, 1, 2, 2), [[0], [0]]),
        (Publishing.EVERY_PROCESS_BY_RANK, Parallel(1, 1, 1, 1), [[0]]),
        (Publishing.EVERY_PROCESS_BY_RANK, Parallel(2, 1, 1, 1), [[0, 0]]),
        (Publishing.EVERY_PROCESS_BY_RANK, Parallel(2, 1, 2, 2), [[0], [1]]),
        (Publishing.EVERY_PROCESS_BY_RANK, Parallel(4, 1, 2, 2), [[0, 0], [1, 1]]),
        (Publishing.FIRST_TP, Parallel(8, 1, 1, 1), [[0]]),
        (Publishing.FIRST_TP, Parallel(2, 1, 2, 2), [[0], []]),
        (Publishing.FIRST_TP, Parallel(1, 1, 2, 1), [[0], [0]]),
        (Publishing.FIRST_ATTENTION_TP, Parallel(4, 1, 2, 2), [[0], [1]]),
        (Publishing.FIRST_ATTENTION_TP, Parallel(1, 1, 2, 1), [[0], [0]]),
        (Publishing.FIRST_ATTENTION_TP, Parallel(1, 2, 1, 1), [[0, 0]]),
        (Publishing.EACH_RANK, Parallel(4, 2, 2, 1), [[0], [1]]),
    ],
)
def test_which_processes_publish_where(
    publishing: Publishing, parallel: Parallel, expected: list[list[int]]
) -> None:
    offsets = [parallel.offsets(publishing, rank) for rank in range(parallel.ranks)]
    assert offsets == expected


def test_options_of_a_file_come_before_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "engine.yaml"
    file.write_text("served-model-name: of-file\nport: 1234\nenable-metrics: true\n")
    settings = accept("0.5.5", "--config", str(file), "--port", "30001")
    assert (settings.served_name, settings.base.port) == ("of-file", 30001)
    assert settings.options.enable_metrics


def test_serve_wants_a_model_and_takes_it_first_since_0_5_16() -> None:
    with pytest.raises(UsageError, match="--model-path is required"):
        parse_serve(Release(0, 5, 15), ["org/tiny"])
    assert parse_serve(Release(0, 5, 16), ["org/tiny", "--tp", "2"]).model_path == "org/tiny"
    assert parse_serve(Release(0, 5, 5), ["--model-path=org/tiny"]).model_path == "org/tiny"
