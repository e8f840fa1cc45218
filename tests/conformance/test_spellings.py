"""A configuration that is there already: what the release makes of it, and the operator's plan for it."""

import pytest

from conformance.changed import line_after
from conformance.release import Parsed, Release
from conformance.spellings import NONE, OFF, ON, REFUSED, SPELLINGS
from core.objects import container, deployment

pytestmark = pytest.mark.conformance


def became(parsed: Parsed) -> str:
    if parsed.exit:
        return REFUSED if parsed.exit == 2 else f"exit code {parsed.exit}: {parsed.error}"
    if parsed.config is None:
        return NONE
    return ON if parsed.publishes else OFF


@pytest.mark.parametrize("name", SPELLINGS)
def test_what_the_release_makes_of_it(release: Release, name: str) -> None:
    spelling = SPELLINGS[name]
    parsed = release.serve(*spelling.words)
    assert became(parsed) == spelling.expected(release.version), parsed
    if parsed.config is not None:
        assert parsed.config["topic"] == spelling.topic


@pytest.mark.parametrize("name", SPELLINGS)
def test_after_the_operators_change_the_release_publishes(release: Release, name: str) -> None:
    """A plan may refuse, it may find all right as it is; where it changes, the result must work."""
    engine = container(
        image=f"vllm/vllm-openai:v{release.version}",
        command=["vllm", "serve", "m", *SPELLINGS[name].words],
    )
    line = line_after(deployment(engine))
    if line is None:
        return
    parsed = release.parse(line.start.words, entry=line.start.entry)
    if parsed.exit and release.serve(*SPELLINGS[name].words).exit:
        return  # Not started before either, and not by what the operator wrote.
    assert became(parsed) == ON, (line, parsed)
    assert (parsed.config or {})["endpoint"] == "tcp://*:5557"
    assert (parsed.config or {})["replay_endpoint"] == "tcp://*:5558"
