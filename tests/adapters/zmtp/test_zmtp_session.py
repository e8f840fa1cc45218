"""One connection's talk without sockets: any bytes, in any pieces, and never more held than allowed."""

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.zmtp import commands
from kvsync.adapters.zmtp.errors import PeerError, Wrong
from kvsync.adapters.zmtp.frames import COMMAND, MORE, Allowance, write_frame
from kvsync.adapters.zmtp.session import Arrival, Kind, Limits, Session
from kvsync.model.events import WATCHING

LIMITS = Limits(frame=4096, parts=4, message=6000, small=100)
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
HELLO = GREETING + commands.ready(b"PUB")
HELD = 10_000


class Talk:
    """A session with the allowance that it shares with others."""

    def __init__(self, octets: int = HELD) -> None:
        self.allowance = Allowance(octets)
        self.session = Session(b"SUB", frozenset({b"PUB", b"XPUB"}), LIMITS, self.allowance)

    def hear(self, data: bytes, size: int = 1 << 30) -> list[Arrival]:
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        return list(itertools.chain.from_iterable(map(self.session.receive, pieces)))

    @property
    def is_settled(self) -> bool:
        """Whether everything that was reserved is given back."""
        return self.allowance.take(HELD)


def message(*frames: bytes) -> bytes:
    last = len(frames) - 1
    return b"".join(write_frame(MORE if i < last else 0, f) for i, f in enumerate(frames))


def up(octets: int = HELD) -> Talk:
    talk = Talk(octets)
    assert [each.kind for each in talk.hear(HELLO)] == [Kind.READY]
    talk.session.subscribe()
    return talk


def test_a_relay_is_told_that_it_is_only_watched() -> None:
    talk = Talk()
    talk.hear(GREETING + commands.ready(b"XPUB"))
    talk.session.outgoing()
    talk.session.subscribe()
    told = commands.subscribe(1, WATCHING) + commands.subscribe(1)
    assert talk.session.outgoing() == told
    talk.session.cancel()
    assert talk.session.outgoing() == commands.cancel(1) + commands.cancel(1, WATCHING)
    engine = up()
    assert engine.session.outgoing().endswith(commands.ready(b"SUB") + commands.subscribe(1))


def test_nothing_that_names_a_mechanism_is_said_before_the_peer_has() -> None:
    talk = Talk()
    assert talk.session.outgoing() == GREETING[:12]
    talk.hear(GREETING[:63])
    assert talk.session.outgoing() == b""
    talk.hear(GREETING[63:])
    assert talk.session.outgoing() == GREETING[12:]
    talk.hear(commands.ready(b"XPUB"))
    assert talk.session.outgoing() == commands.ready(b"SUB")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_pieces_of_any_size_give_the_same(size: int) -> None:
    stream = message(b"kv", bytes(8), b"x" * 300) + commands.ping() + message(b"alone")
    talk = up()
    arrivals = talk.hear(stream, size)
    assert [each.frames for each in arrivals] == [(b"kv", bytes(8), b"x" * 300), (b"alone",)]
    assert arrivals[0].size == 310
    assert talk.is_settled


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", Wrong.NOT_ZMTP),
        (b"SSH-2.0-OpenSSH_9.9\r\n", Wrong.NOT_ZMTP),
        (b"\xff" + bytes(8) + b"\x7e", Wrong.NOT_ZMTP),
        (b"\xff" + bytes(8) + b"\x7f\x01\x01", Wrong.NOT_ZMTP),
        (b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE", Wrong.MECHANISM),
        (GREETING[:16] + b"X", Wrong.MECHANISM),
        (GREETING + commands.ready(b"ROUTER"), Wrong.SOCKET_TYPE),
        (GREETING + write_frame(COMMAND, b"\x05READY"), Wrong.SOCKET_TYPE),
        (GREETING + write_frame(COMMAND, b"\x05ERROR\x00"), Wrong.PROTOCOL),
        (GREETING + message(b"early"), Wrong.PROTOCOL),
        (HELLO + b"\x08\x00", Wrong.PROTOCOL),
        (HELLO + bytes([COMMAND | MORE, 0]), Wrong.PROTOCOL),
        (HELLO + write_frame(COMMAND, b""), Wrong.PROTOCOL),
        (HELLO + b"\x02" + (8 << 30).to_bytes(8, "big"), Wrong.PROTOCOL),
        (HELLO + bytes([COMMAND | 2]) + (5000).to_bytes(8, "big"), Wrong.PROTOCOL),
        (HELLO + write_frame(MORE, b"") * 5, Wrong.PROTOCOL),
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_is_no_publisher_is_told_apart(said: bytes, kind: Wrong, size: int) -> None:
    talk = Talk()
    with pytest.raises(PeerError) as caught:
        talk.hear(said, size)
    assert caught.value.kind is kind


def test_a_heartbeat_is_answered_with_what_it_brought() -> None:
    talk = up()
    talk.session.outgoing()
    talk.hear(write_frame(COMMAND, b"\x04PING\x00\x0acontext"))
    assert talk.session.outgoing() == write_frame(COMMAND, b"\x04PONGcontext")
    assert [each.kind for each in talk.hear(write_frame(COMMAND, b"\x04PONG"))] == [Kind.PONG]


def test_a_peer_of_version_3_0_is_subscribed_by_a_message_and_has_no_heartbeat() -> None:
    talk = Talk()
    talk.hear(HELLO[:11] + b"\x00" + HELLO[12:])
    talk.session.outgoing()
    talk.session.subscribe()
    talk.session.cancel()
    assert talk.session.outgoing() == b"\x00\x01\x01\x00\x01\x00"
    assert not talk.session.heartbeats


def test_what_is_not_wanted_is_stepped_over() -> None:
    talk = up()
    talk.session.cancel()
    (arrival,) = talk.hear(message(b"kv", bytes(8), b"x" * 4000), 100)
    assert arrival.frames == (None, None, None)
    assert arrival.size == 4010
    talk.session.subscribe()
    (arrival,) = talk.hear(message(b"kv"))
    assert arrival.frames == (b"kv",)


def test_a_payload_beyond_the_common_allowance_costs_only_itself() -> None:
    talk = up(1000)
    big, small = message(b"kv", bytes(8), b"x" * 2000), message(b"kv", bytes(8), b"y")
    arrivals = talk.hear(big + small, 64)
    assert [each.frames[:2] for each in arrivals] == [(b"kv", bytes(8))] * 2
    assert [each.frames[2] for each in arrivals] == [None, b"y"]


def test_many_parts_share_one_bound() -> None:
    (arrival,) = up().hear(message(b"x" * 4000, b"y" * 4000, b"z"))
    assert arrival.frames == (b"x" * 4000, None, None)


@pytest.mark.parametrize("end", [50, 2500, 4000])
def test_what_an_unfinished_message_reserved_is_given_back(end: int) -> None:
    talk = up()
    talk.hear(message(b"a" * 2000, b"b" * 3000)[:end], 500)
    assert not talk.is_settled or end < 100
    talk.session.close()
    assert talk.is_settled or end < 100


STREAMS = st.one_of(
    st.binary(max_size=400),
    st.lists(
        st.one_of(
            st.builds(lambda f: message(*f), st.lists(st.binary(max_size=300), min_size=1)),
            st.builds(lambda flags, body: bytes([flags]) + body, st.integers(0, 255), st.binary()),
            st.just(commands.ping()),
        ),
        max_size=8,
    ).map(b"".join),
)


def test_commands_without_an_end_are_an_error_and_a_ping_of_ours_allows_more() -> None:
    talk, most = up(), Limits().commands
    talk.hear(commands.ping() * most)
    talk.session.ping()
    talk.hear(commands.ping() * most)
    with pytest.raises(PeerError, match="without an end"):
        talk.hear(commands.ping())


@given(STREAMS, st.integers(1, 64), st.booleans())
def test_any_bytes_give_arrivals_or_the_typed_error(data: bytes, size: int, greeted: bool) -> None:
    talk = Talk()
    with suppress(PeerError):
        talk.hear((HELLO if greeted else b"") + data, size)
    talk.session.close()
    assert talk.is_settled


@given(STREAMS, st.integers(1, 64))
def test_how_it_was_cut_makes_no_difference(data: bytes, size: int) -> None:
    def outcome(pieces: int) -> tuple[list[Arrival], str, bytes]:
        talk, heard, why = up(), [], ""
        try:
            for at in range(0, len(data), pieces):
                for arrival in talk.session.receive(data[at : at + pieces]):
                    heard.append(arrival)  # noqa: PERF402 - what came before an error counts
        except PeerError as error:
            why = str(error)
        return heard, why, talk.session.outgoing()

    assert outcome(size) == outcome(1 << 20)
