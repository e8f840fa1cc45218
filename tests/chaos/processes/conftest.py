"""A bed of their own for the faults of processes: its API server and its etcd are killed."""

from collections.abc import Iterator

import pytest

from chaos.processes.play import Play, Start
from chaos.recorder import Recorder
from e2e.conftest import installed, scene, start_operator  # noqa: F401 - the fixtures themselves
from e2e.scene import Scene
from testbed.bed import Bed
from testbed.enter import is_inside
from testbed.session import HOW


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """A bed that may be broken."""
    if not is_inside():
        pytest.fail(HOW, pytrace=False)
    with Bed() as started:
        yield started


@pytest.fixture(scope="session")
def recorder(installed: Bed) -> Iterator[Recorder]:  # noqa: F811 - pytest's way
    """Sees every version of every object of the bed."""
    with Recorder(installed.api) as recorder:
        yield recorder


@pytest.fixture
def play(scene: Scene, recorder: Recorder, start_operator: Start) -> Iterator[Play]:  # noqa: F811
    """Two models, their gateway, and the oracle that looks on."""
    play = Play(scene, recorder, start_operator)
    yield play
    play.oracle.close()
