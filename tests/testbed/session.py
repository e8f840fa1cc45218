"""One bed for all tests of a pytest process, whichever folder they are in.

A fixture that two conftest files import is two fixtures to pytest, and would start two beds.
"""

import sys

import pytest

from testbed.bed import Bed
from testbed.enter import is_inside

HOW = (
    "tests marked `bed` need namespaces of their own: `make test-bed`, or"
    " PYTHONPATH=tests .venv/bin/python -m testbed.enter -- .venv/bin/pytest -m bed PATH"
)

_key = pytest.StashKey[Bed]()


def shared_bed(session: pytest.Session) -> Bed:
    """The bed of this process, started on first use and stopped when pytest ends.

    Its logs stay, and are named, when a test failed. Outside of ``testbed.enter`` the test fails.
    """
    if not is_inside():
        pytest.fail(HOW, pytrace=False)
    stash = session.config.stash
    if _key not in stash:
        bed = Bed(nodes=2, gpus=16)
        bed.start()
        stash[_key] = bed
        session.config.add_cleanup(lambda: _end(bed, failed=session.testsfailed > 0))
    return stash[_key]


def _end(bed: Bed, *, failed: bool) -> None:
    bed.stop(keep_logs=failed)
    if failed:
        sys.stderr.write(f"\nthe testbed's logs: {bed.directory / 'logs'}\n")
