"""The place where a module's scripts run for real."""

import pytest

from core.script.stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    made = Stage(tmp_path_factory.mktemp("stage"))
    made.build()
    return made
