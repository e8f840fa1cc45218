"""What must hold of one connection to a stranger, whatever bytes it sends and however they arrive."""

from kvsync.adapters.zmtp.errors import PeerError
from kvsync.adapters.zmtp.frames import Allowance
from kvsync.adapters.zmtp.session import Arrival, Limits, Session

LIMITS = Limits(frame=1024, parts=4, message=1500, small=64)
ROOM = 2048


def check_connection(data: bytes) -> None:
    """The first byte orders how the rest is cut; both ways of cutting must tell the same."""
    if not data:
        return
    assert talk(data[1:], data[0] or 1) == talk(data[1:], len(data))


def talk(data: bytes, size: int) -> tuple[list[Arrival], str, bytes]:
    """What arrived, how it ended and what was answered. Everything reserved must be given back."""
    allowance = Allowance(ROOM)
    session = Session(b"SUB", frozenset({b"PUB", b"XPUB"}), LIMITS, allowance)
    heard: list[Arrival] = []
    said, why = b"", ""
    try:
        for at in range(0, len(data), size):
            for arrival in session.receive(data[at : at + size]):
                heard.append(arrival)
                held = sum(len(frame) for frame in arrival.frames if frame is not None)
                assert held <= LIMITS.message
                assert len(arrival.frames) <= LIMITS.parts
            said += session.outgoing()
    except PeerError as error:
        why = str(error)
        assert why.isascii()
    said += session.outgoing()
    session.close()
    assert allowance.take(ROOM), "what was reserved is not given back"
    return heard, why, said
