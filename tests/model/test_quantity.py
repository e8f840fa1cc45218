"""Quantities are compared as numbers, however they are written."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.model.quantity import parse_quantity


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("50m", Fraction(1, 20)),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("1.", Fraction(1)),
        (2, Fraction(2)),
        (0.5, Fraction(1, 2)),
        ("64Mi", Fraction(64 * 2**20)),
        ("1Gi", Fraction(2**30)),
        ("1G", Fraction(10**9)),
        ("1e3", Fraction(1000)),
        ("12E-1", Fraction(6, 5)),
        ("2E", Fraction(2 * 10**18)),
        ("-1Ki", Fraction(-1024)),
    ],
)
def test_quantities_are_read(value: object, number: Fraction) -> None:
    assert parse_quantity(value) == number


@pytest.mark.parametrize("value", ["", "m", "1 Gi", "1KI", "1e", "1e999", "9" * 31, None, True, {}])
def test_what_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(value)


@given(st.integers(1, 10**6))
def test_units_agree(number: int) -> None:
    assert parse_quantity(f"{number * 1000}m") == parse_quantity(number)
    assert parse_quantity(f"{number * 1024}Mi") == parse_quantity(f"{number}Gi")
