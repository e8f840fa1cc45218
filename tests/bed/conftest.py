"""The bed of a test run: one for each process of it."""

from collections.abc import Iterator

import pytest

from testbed.bed import Bed
from testbed.enter import is_inside


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """A running bed."""
    if not is_inside():
        pytest.fail("needs namespaces of its own: run `make test-bed`", pytrace=False)
    with Bed(nodes=2, gpus=16) as up:
        yield up
