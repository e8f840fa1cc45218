"""Settings for all tests: how many examples hypothesis tries, and the switch that rewrites golden files."""

import os

import pytest
from hypothesis import HealthCheck, settings

# A loaded machine of two cores decides nothing by time: tests have deadlines of their own.
_SLOW = [HealthCheck.too_slow]
settings.register_profile("dev", max_examples=100, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("ci", max_examples=2_000, deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden",
        action="store_true",
        help="write what the code does now into tests/golden; review the difference by eye",
    )
