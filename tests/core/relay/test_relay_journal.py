"""The journal's format: what is written is read again, and nothing else is."""

from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.relay.journal import (
    HEAD,
    KEYS,
    Mark,
    Memory,
    entries,
    fingerprint,
    remember,
)

keys = st.integers(0, 2**64 - 1)
marks = st.dictionaries(
    st.integers(0, 63),
    st.none()
    | st.builds(Mark, st.integers(0, 2**64 - 1), st.binary(min_size=8, max_size=8), st.booleans()),
    max_size=3,
)
changes = st.lists(st.tuples(marks, st.lists(keys, max_size=5), st.lists(keys, max_size=5)))


def read(data: bytes, *, remembered: int = 1000) -> Memory:
    memory = remember(data, remembered=remembered)
    assert memory is not None
    return memory


@given(changes)
def test_what_was_written_is_read(
    written: list[tuple[dict[int, Mark | None], list[int], list[int]]],
) -> None:
    told: dict[int, None] = {}
    marked: dict[int, Mark] = {}
    data = HEAD
    for new, stored, gone in written:
        data += b"".join(entries(new, stored, gone))
        told = {key: None for key in (*told, *stored) if key not in gone}
        marked = {r: m for r, m in {**marked, **new}.items() if m is not None}
    memory = read(data)
    assert memory.told.keys() == told.keys()
    assert memory.marks == marked
    assert memory.unread == 0
    assert not memory.gone.keys() & memory.told.keys()


@given(st.lists(st.lists(keys, min_size=1, max_size=5), min_size=1), st.data())
def test_of_a_file_that_was_cut_off_the_whole_entries_count(
    written: list[list[int]], data: st.DataObject
) -> None:
    ends, file = [len(HEAD)], HEAD
    for some in written:
        file += b"".join(entries({}, some, []))
        ends.append(len(file))
    cut = data.draw(st.integers(len(HEAD), len(file)))
    memory = read(file[:cut])
    whole = sum(end <= cut for end in ends) - 1
    assert memory.told.keys() == {key for some in written[:whole] for key in some}
    assert memory.unread == cut - ends[whole]


@given(st.binary(max_size=200), st.booleans())
def test_whatever_stands_there_is_never_more_than_bytes(data: bytes, headed: bool) -> None:
    memory = remember((HEAD if headed else b"") + data, remembered=10)
    assert memory is None or headed or data.startswith(HEAD)


def test_a_bit_that_fell_over_ends_what_is_read() -> None:
    one = b"".join(entries({0: Mark(1, b"12345678", complete=True)}, [1, 2], []))
    two = b"".join(entries({}, [3], [1]))
    for place in range(len(one)):
        broken = bytearray(HEAD + one + two)
        broken[len(HEAD) + place] ^= 1
        memory = read(bytes(broken))
        assert (memory.told, memory.marks, memory.unread) == ({}, {}, len(one + two))


def test_zeros_are_no_entries() -> None:
    """A disk that lost power may leave them."""
    assert read(HEAD + bytes(4096)).unread == 4096


def test_many_are_parted_and_the_marks_come_last() -> None:
    mark = Mark(7, b"12345678", complete=False)
    parts = [*entries({3: mark}, range(3 * KEYS), range(2**63, 2**63 + KEYS + 1))]
    assert len(parts) == 3
    assert read(HEAD + b"".join(parts[:2])).marks == {}
    memory = read(HEAD + b"".join(parts), remembered=KEYS)
    assert (len(memory.told), memory.marks) == (3 * KEYS, {3: mark})
    assert [*memory.gone][-1] == 2**63 + KEYS
    assert len(memory.gone) == KEYS


def test_of_what_is_gone_the_last_ones_are_remembered() -> None:
    parts = [*entries({}, [], [1, 2]), *entries({}, [], [3, 1]), *entries({}, [3], [])]
    assert [*read(HEAD + b"".join(parts), remembered=2).gone] == [1]
    assert [*read(HEAD + b"".join(parts[:2]), remembered=2).gone] == [3, 1]


def test_messages_have_fingerprints() -> None:
    same = bytes(5000)
    assert fingerprint(same) == fingerprint(bytes(5000)) != fingerprint(bytes(5001))
    assert fingerprint(b"a" + same) != fingerprint(b"b" + same)
