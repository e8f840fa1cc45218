"""The StormService stand-in beside the bed, and namespaces with StormServices."""

import contextlib
import itertools
from collections.abc import Iterator

import pytest

from bed.storm.stage import NAME, Stage, storm_service
from testbed.bed import Bed
from testbed.process import Process
from testbed.storm.install import running_beside
from testbed.storm.names import STORM_SERVICES

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def storm(bed: Bed) -> Iterator[Process]:
    """Both CRDs served and both controllers running."""
    with running_beside(bed) as controller:
        yield controller


@pytest.fixture
def stage(bed: Bed, storm: Process) -> Iterator[Stage]:
    """An empty namespace."""
    with _namespace(bed, storm) as stage:
        yield stage


@pytest.fixture(scope="module")
def running(bed: Bed, storm: Process) -> Iterator[Stage]:
    """A StormService that is updated in place; whoever changes it leaves it rolled out."""
    with _namespace(bed, storm) as stage:
        stage.create(storm_service("InPlaceUpdate"))
        yield stage


@contextlib.contextmanager
def _namespace(bed: Bed, storm: Process) -> Iterator[Stage]:
    """What is left in it is deleted while the controllers still run."""
    namespace = f"storm-{next(_numbers)}"
    bed.create_namespace(namespace)
    stage = Stage(bed.api, namespace)
    yield stage
    storm.require_alive()
    bed.api.delete(STORM_SERVICES, NAME, namespace)
    stage.wait("gone", lambda: not bed.api.list(STORM_SERVICES, namespace))
    bed.api.delete("namespace", namespace)
