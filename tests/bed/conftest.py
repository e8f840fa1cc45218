"""The bed of a test run: one for each process of it."""

import pytest

from testbed.bed import Bed
from testbed.session import shared_bed


@pytest.fixture(scope="session")
def bed(request: pytest.FixtureRequest) -> Bed:
    """A running bed, shared by all tests of this process: work in namespaces of your own."""
    return shared_bed(request.session)
