"""Plain tables: aligned, and harmless whatever stands in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.cli.table import columns, counted, cut, printable, rate_text, seconds_text, table


def test_columns_are_aligned_and_lines_end_with_their_text() -> None:
    assert table(("A", "LONG", "C"), [("aaaa", "b", ""), ("a", "b", "ccc")]) == [
        "A     LONG  C",
        "aaaa  b",
        "a     b     ccc",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert table(("A", "B"), []) == ["A  B"]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_no_cell_can_break_a_line_or_send_a_command(rows: list[tuple[str, str]]) -> None:
    lines = table(("A", "B"), rows)
    assert len(lines) == len(rows) + 1
    assert all(line.isprintable() for line in lines)


def test_printable_keeps_what_can_be_read() -> None:
    assert printable("kv\x1b[2J ü") == "kv\N{REPLACEMENT CHARACTER}[2J ü"


def test_wide_signs_take_two_columns_and_combining_ones_none() -> None:
    assert columns("模型") == 4
    assert columns("e\u0301") == 1
    assert table(("A", "B"), [("模型", "x"), ("abc", "y")]) == ["A     B", "模型  x", "abc   y"]


@given(st.text(), st.integers(0, 20))
def test_what_is_cut_fits_and_is_cut_no_further_than_needed(text: str, width: int) -> None:
    kept = cut(text, width)
    assert text.startswith(kept)
    assert columns(kept) <= width
    assert kept == text or columns(text[: len(kept) + 1]) > width


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (0.0123, "12ms"),
        (-0.5, "-500ms"),
        (3.44, "3.4s"),
        (300, "5m"),
        (7200, "2h"),
        (86400 * 3, "3d"),
    ],
)
def test_spans_of_time(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(None, "-"), (float("inf"), "-"), (0.0, "0.0/s"), (12.34, "12.3/s"), (1e9, "1.0e+09/s")],
)
def test_rates(rate: float | None, text: str) -> None:
    assert rate_text(rate) == text


@given(st.floats())
def test_any_number_is_short(number: float) -> None:
    assert len(rate_text(number)) <= 12
    if abs(number) < 1e12:
        assert len(seconds_text(number)) <= 12


def test_counts() -> None:
    assert (counted(0, "pod"), counted(1, "pod"), counted(2, "pod")) == (
        "0 pods",
        "1 pod",
        "2 pods",
    )
