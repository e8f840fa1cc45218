"""What is said, and in which order."""

from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.relay.encoding import MESSAGE_BYTES, MESSAGE_EVENTS, batch, packed_tokens
from kvsync.core.relay.outbox import AGAIN, Outbox
from testbed.gateway import array_decoder
from testbed.gateway.events import AllBlocksCleared, BlockRemoved, BlockStored, Event


def said(out: Outbox) -> list[list[Event]]:
    """Message by message."""
    found = []
    while (piece := out.take()) is not None:
        payload = batch(1.5, piece.number, piece.events)
        found.append(array_decoder.decode(payload))
        told = [e.hashes[0] % 2**64 for e in found[-1] if isinstance(e, BlockStored)]
        assert list(piece.stored) == told
        assert len(found[-1]) == piece.number <= MESSAGE_EVENTS
        assert piece.number == 1 or len(piece.events) <= MESSAGE_BYTES
    return found


def tokens_of(key: int, size: int) -> list[int]:
    return [(key * 7919 + n * 65_537) % 2**32 for n in range(size)]


def store(out: Outbox, keys: list[int], parent: int | None, size: int) -> None:
    packed = packed_tokens([token for key in keys for token in tokens_of(key, size)])
    assert packed is not None
    out.stored(keys, parent, packed)


def pair(event: BlockStored) -> tuple[int, int | None]:
    return event.hashes[0] % 2**64, None if event.parent is None else event.parent % 2**64


keys = st.integers(0, 9) | st.integers(2**63, 2**63 + 3)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.lists(keys, min_size=1, max_size=4, unique=True),
            keys | st.none(),
            st.sampled_from([1, 2, 2, 16, 200, 300]),
        ),
        st.lists(keys, min_size=1, max_size=3, unique=True),
        st.none(),
    ),
    max_size=20,
)


@given(steps)
def test_whoever_reads_all_believes_what_was_said(happenings: list[object]) -> None:
    out = Outbox()
    wanted: dict[int, tuple[int | None, list[int]]] = {}
    for happening in happenings:
        match happening:
            case (list(some), (int() | None) as parent, int(size)):
                store(out, some, parent, size)
                for key, before in zip(some, [parent, *some[:-1]], strict=True):
                    wanted[key] = before, tokens_of(key, size)
            case list(some):
                out.removed(some)
                for key in some:
                    wanted.pop(key, None)
            case _:
                out.cleared()
                wanted.clear()
    found: dict[int, tuple[int | None, list[int]]] = {}
    for event in (event for message in said(out) for event in message):
        if isinstance(event, BlockStored):
            key, parent = pair(event)
            (block,) = event.blocks
            tokens = [int.from_bytes(block[n : n + 4], "big") for n in range(0, len(block), 4)]
            found[key] = parent, tokens
        elif isinstance(event, BlockRemoved):
            for each in event.hashes:
                found.pop(each % 2**64, None)
        else:
            found.clear()
    assert found == wanted


def test_removals_go_first_where_no_store_names_their_block() -> None:
    out = Outbox()
    for key in range(1, 6):
        store(out, [key], None, 2)
        out.removed([100 + key])
    (message,) = said(out)
    assert [len(event.hashes) for event in message[:1] if isinstance(event, BlockRemoved)] == [5]
    assert [type(event) for event in message[1:]] == [BlockStored] * 5


def test_a_block_is_told_before_the_one_that_it_hung_on_goes() -> None:
    out = Outbox()
    out.removed([7])
    store(out, [2], 1, 2)
    out.removed([1])
    (message,) = said(out)
    assert [type(event) for event in message] == [BlockRemoved, BlockStored, BlockRemoved]


def test_a_block_that_goes_and_comes_and_goes() -> None:
    out = Outbox()
    store(out, [1], None, 2)
    out.removed([1])
    store(out, [1], None, 2)
    out.removed([1])
    (message,) = said(out)
    kinds = [type(event) for event in message]
    assert kinds == [BlockStored, BlockRemoved, BlockStored, BlockRemoved]


def test_blocks_of_another_size_are_told_in_order() -> None:
    out = Outbox()
    store(out, [1, 2], None, 16)
    store(out, [3], 2, 300)
    out.cleared()
    store(out, [4], None, 16)
    (message,) = said(out)
    assert [pair(event) for event in message if isinstance(event, BlockStored)] == [
        (1, None),
        (2, 1),
        (3, 2),
        (4, None),
    ]
    assert isinstance(message[3], AllBlocksCleared)


def test_many_blocks_are_several_messages() -> None:
    out = Outbox()
    store(out, list(range(1, 1000)), None, 128)
    out.removed(list(range(5000, 9000)))
    messages = said(out)
    assert sum(map(len, messages)) == 999 + 4
    told = [pair(event) for m in messages for event in m if isinstance(event, BlockStored)]
    assert told == [(key, key - 1 or None) for key in range(1, 1000)]


def test_what_waits_is_known_by_its_blocks() -> None:
    out = Outbox()
    store(out, list(range(1, 200)), None, 16)
    out.take()
    store(out, [500], None, 16)
    assert list(out.waiting()) == [*range(129, 200), 500]


def test_the_last_removals_can_be_said_again_a_part_at_a_time() -> None:
    out = Outbox(remembered=2 * AGAIN)
    out.removed(list(range(3 * AGAIN)))
    said(out)
    out.begin_again()
    found: list[int] = []
    times = 0
    while out.has_again:
        times += 1
        out.removed_again({AGAIN + 1}, {AGAIN + 2})
        found += [h for m in said(out) for e in m if isinstance(e, BlockRemoved) for h in e.hashes]
    assert times == 2
    assert sorted(found) == [AGAIN, *range(AGAIN + 3, 3 * AGAIN)]


def test_a_block_that_was_told_meanwhile_is_not_said_to_be_gone_before() -> None:
    out = Outbox()
    out.removed([1, 2])
    said(out)
    out.begin_again()
    store(out, [3], 2, 2)
    out.removed_again()
    (message,) = said(out)
    assert [type(event) for event in message] == [BlockStored, BlockRemoved]
