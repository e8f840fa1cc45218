"""The count of repairs survives as it was written, and anything else counts as none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.model.repairs import Repairs, dump_repairs, load_repairs, read_repairs

TIMES = st.lists(st.integers(0, 2**40 - 1), max_size=3).map(lambda times: tuple(sorted(times)))
REPAIRS = st.builds(Repairs, st.text(max_size=64), TIMES, st.text(max_size=400))


@given(REPAIRS)
def test_what_is_dumped_is_loaded(repairs: Repairs) -> None:
    assert load_repairs(dump_repairs(repairs)) == repairs
    assert read_repairs(repairs.entry()) == repairs


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "x", "[]", "7", "{}", "[" * 100_000),
        '{"terms":"t"}',
        '{"terms":7,"times":[]}',
        '{"terms":"t","times":["1"]}',
        '{"terms":"t","times":[true]}',
        '{"terms":"t","times":[-1]}',
        '{"terms":"t","times":[1e300]}',
        '{"terms":"t","times":[1],"by":7}',
        '{"terms":"' + "t" * 65 + '","times":[]}',
    ],
)
def test_what_nobody_of_us_wrote_counts_as_none(text: str | None) -> None:
    assert load_repairs(text) is None


def test_a_stranger_cannot_make_it_grow() -> None:
    found = read_repairs({"terms": "t", "times": list(range(10_000)), "by": "b" * 10_000})
    assert found == Repairs("t", (9_997, 9_998, 9_999), "b" * 400)
