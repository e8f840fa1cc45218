"""A stage for each test."""

import itertools

import pytest

from bed.kubelet.stage import Stage
from testbed.bed import Bed

_numbers = itertools.count(1)


@pytest.fixture
def stage(bed: Bed) -> Stage:
    """An empty namespace of the test's own."""
    name = f"kubelet-{next(_numbers)}"
    bed.create_namespace(name)
    return Stage(bed, name)
