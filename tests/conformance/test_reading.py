"""The operator reads a configuration as the release does, or says that it does not understand it."""

import pytest

from conformance.release import Release
from conformance.spellings import SPELLINGS
from kvsync.core.event_config.read import find_event_config

pytestmark = pytest.mark.conformance


@pytest.mark.parametrize("name", SPELLINGS)
def test_it_sees_what_the_release_sees(release: Release, name: str) -> None:
    words = SPELLINGS[name].words
    parsed = release.serve(*words)
    if parsed.exit or parsed.config is None:
        return  # The engine does not start, or is as without: nothing can be overlooked.
    found = find_event_config(words)
    assert found is not None, "the release takes it and the operator is blind to it"
    if found.problem or found.partly_read or release.version == "0.9.0":
        return  # 0.9.0 checks no types: it takes the text "5" for a number of steps.
    assert {key: parsed.config[key] for key in found.settings} == dict(found.settings)
