"""A control plane of its own with the policy: other tests must not see it, nor their pods be counted."""

from collections.abc import Iterator

import pytest

from bed.admission.stage import Stage, checks, install
from golden.test_golden_admission import case  # noqa: F401 - the fixture itself
from testbed.cluster import ControlPlane
from testbed.enter import is_inside
from testbed.programs import find_programs
from testbed.session import HOW


@pytest.fixture(scope="package")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """No nodes: pods that are really made stay Pending. At the end: not one evaluation failed."""
    if not is_inside():
        pytest.fail(HOW, pytrace=False)
    with ControlPlane(tmp_path_factory.mktemp("plane"), find_programs()) as started:
        install(started)
        yield started
        outcomes = checks(started.api)
        assert outcomes.pop("no_error") > 0
        assert not outcomes, "under failurePolicy Ignore nothing else would tell of these"


@pytest.fixture
def stage(plane: ControlPlane) -> Stage:
    """A namespace of the test's own."""
    return Stage(plane)
