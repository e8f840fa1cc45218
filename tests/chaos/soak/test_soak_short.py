"""The soak in its short form: what grows quickly is found by it, what grows slowly by ``make soak``."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.soak.flatness import growths
from chaos.soak.run import ALLOWED, soak

SECONDS = 75.0

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


def test_an_operator_under_churn_keeps_its_promises_and_does_not_grow(tmp_path: Path) -> None:
    result, broken = soak(SECONDS, 11, tmp_path, print)
    assert broken == []
    found = growths(result.series, ALLOWED)
    assert [str(each) for each in found if not each.flat] == []
    assert {each.name.split()[0] for each in found} == {"operator", "worker"}
