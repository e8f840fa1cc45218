"""The releases, each loaded once for all tests of a run; nothing here runs unless it is asked for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bed.conftest import bed  # noqa: F401 - the fixtures themselves, here and below
from conformance.release import Release
from conformance.sources import SOURCES, Source
from e2e.conftest import installed, operator, scene, start_operator  # noqa: F401

FOLDER = Path(__file__).resolve().parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make test` stays light: only who names this folder downloads releases."""
    words = (str(word).partition("::")[0] for word in config.invocation_params.args)
    named = any(Path(word).resolve().is_relative_to(FOLDER) for word in words if word)
    return None if named else True


@pytest.fixture(scope="session", params=SOURCES, ids=str)
def release(request: pytest.FixtureRequest) -> Iterator[Release]:
    """A release's own parser and publisher."""
    of: Source = request.param
    with Release(of) as loaded:
        yield loaded


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [
        "releases: the source archives of " + ", ".join(str(s) for s in SOURCES) + ", unchanged;",
        "  loaded as a whole by `vllm.entrypoints.cli.serve`, torch and the like being stand-ins"
        " (tests/conformance/isolated/stubs.py);",
        "  parsing and validation are the release's own, with real argparse, pydantic, regex, zmq",
    ]
