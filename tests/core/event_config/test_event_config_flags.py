"""The product text's flags are merged by the same rules."""

from collections.abc import Sequence

import pytest

from core.event_config.configs import CONFIG, FLAGS, TEMPLATES, found_in, in_place
from kvsync.core.event_config.merge import merge_flags
from kvsync.core.event_config.model import Contradiction, Merged
from kvsync.core.render import TemplateRenderError, engine_arguments
from kvsync.model.spec import Dialect, EngineType, EventsSpec
from testbed.engine.arguments import parse_serve
from testbed.engine.versions import Build, Version


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
