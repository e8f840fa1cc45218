"""Quantities as Kubernetes writes them: ``50m`` of a CPU, ``256Mi`` of memory.

Source: Kubernetes ``apimachinery/pkg/api/resource`` (Quantity).
"""

from __future__ import annotations

import re
from fractions import Fraction

_QUANTITY = re.compile(
    r"(?P<number>[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30}))"
    r"(?P<unit>[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def parse_quantity(value: object) -> Fraction:
    """The exact number of a quantity, which a manifest may also give as a bare number.

    Raises:
        ValueError: it is none.
    """
    match = _QUANTITY.fullmatch(str(value))
    if match is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a quantity: write a number such as 50m, 1.5 or 256Mi")
    number, unit = Fraction(match["number"]), match["unit"] or ""
    binary = unit in _BINARY
    power = _BINARY.index(unit) + 1 if binary else _DECIMAL.get(unit) or int(unit[1:] or 0)
    scale: int = (1024 if binary else 10) ** abs(power)
    return number * scale if power >= 0 else number / scale
