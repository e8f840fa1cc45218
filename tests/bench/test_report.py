"""A bench's page: its table, its plot, and the power of size that a cost grows with."""

from pathlib import Path

import pytest

from bench.report import Page, Plot, exponent, machine, summary, table, write

POINTS = [(10.0, 1.0), (100.0, 10.0), (1000.0, 100.0)]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 1.1, 2.0])
def test_exponent_is_that_of_a_power(power: float) -> None:
    points = [(size, 3.0 * size**power) for size in (10, 100, 1000)]
    assert exponent(points) == pytest.approx(power)


def test_a_table_holds_its_rows_and_no_cell_ends_another() -> None:
    assert table(["a", "b"], [[1, "x|y"]]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        table(["a", "b"], [[1]])


def test_a_page_is_written_with_its_picture(tmp_path: Path) -> None:
    plot = Plot("models", "CPU, s", {"ours": POINTS})
    page = Page("some", "Some cost", "How.", ["models"], [[10]], [plot, plot], ["So."], (0.25, 1.0))
    text = write(page, tmp_path).read_text()
    assert text.startswith("# Some cost\n\nWritten by `make bench-some` (")
    assert f"({machine((0.25, 1.0))})" in text
    assert "load 0.2 → 1.0" in text
    assert "| models |\n| --- |\n| 10 |\n\n- So.\n\n![Some cost](some.png)\n" in text
    assert (tmp_path / "some.png").read_bytes().startswith(PNG)


def test_a_page_without_a_plot_has_no_picture(tmp_path: Path) -> None:
    write(Page("some", "Some cost", "How.", ["models"], [[10]]), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"some.md", "README.md"}


def test_the_summary_tells_the_goals_of_every_page(tmp_path: Path) -> None:
    for name, remark in (("b", "Goal 5: reached."), ("a", "Nothing to reach.")):
        write(Page(name, f"Title {name}", "How.", ["x"], [[1]], remarks=[remark]), tmp_path)
    first, second = summary(tmp_path).split("\n## ")[1:]
    assert first.startswith("[Title a](a.md)\n\nWritten by `make bench-a` (")
    assert first.rstrip().endswith("No goal was set.")
    assert second.rstrip().endswith("- Goal 5: reached.")
    assert (tmp_path / "README.md").read_text() == summary(tmp_path)
