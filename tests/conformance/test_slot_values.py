"""A slot's value, neutral and filled, as each release itself reads it."""

import pytest

from conformance.changed import line_after
from conformance.release import Release
from core.objects import SERVE, container, deployment
from kvsync.core.slot import NEUTRAL, SLOT_VARIABLE, SLOT_WORD
from kvsync.model.spec import EngineType

pytestmark = pytest.mark.conformance

ENTRIES = {
    "vllm": SERVE,
    "module": ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "m"],
}


@pytest.mark.parametrize("value", sorted(NEUTRAL.values()))
def test_every_release_takes_a_neutral_value_and_has_no_events(
    release: Release, value: str
) -> None:
    for words in (["serve", "m", value, "--seed=1"], ["serve", "m", "--seed=1", value]):
        parsed = release.parse(words, entry="vllm")
        assert parsed.exit == 0, parsed.error
        assert not parsed.publishes


@pytest.mark.parametrize("value", sorted(NEUTRAL.values()))
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_release_publishes_once_it_is_filled(
    release: Release, entry: str, value: str
) -> None:
    env = [{"name": SLOT_VARIABLE, "value": value}]
    words = [SLOT_WORD, "--seed=1"]
    image = f"vllm/vllm-openai:v{release.version}"
    line = line_after(
        deployment(container(image=image, command=ENTRIES[entry], args=words, env=env))
    )
    assert line is not None
    parsed = release.parse(line.start.words, entry=line.start.entry)
    assert parsed.publishes, parsed
    assert NEUTRAL[EngineType.VLLM] not in line.start.words


def test_an_empty_word_is_one_too_many(release: Release) -> None:
    """Why ``render --slot`` never writes an empty value."""
    assert release.serve("").exit == 2
