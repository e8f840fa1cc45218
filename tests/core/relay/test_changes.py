"""What is to be written to the journal."""

from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.relay.changes import Changes

keys = st.integers(0, 9)


@given(st.lists(st.tuples(st.booleans(), keys)), st.sets(keys))
def test_what_came_and_went_is_what_is_true_in_the_end(
    happened: list[tuple[bool, int]], inherited: set[int]
) -> None:
    changes, table = Changes(), set[int]()
    for came, key in happened:
        (changes.told if came else changes.gone).append(key)
        (table.add if came else table.discard)(key)
    told, gone = changes.take(table, inherited)
    assert {*told} | {*gone} == {key for _, key in happened}
    assert {*told} <= table | inherited
    assert not {*gone} & table
    assert not changes
