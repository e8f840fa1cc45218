"""What must hold of a gateway's log, whatever bytes stand in it and wherever a piece of it ends."""

import re
from itertools import pairwise

from fuzz.oracles import in_time
from kvsync.adapters.kube.pod_log import Piece, cut
from kvsync.core.gateway_log import MAX_PODS, MAX_WORDS, GatewayLog, read_log, reading_of
from kvsync.model.gateway_log import GatewayReading, Start

NAME = re.compile(r"[a-z0-9.-]{1,253}/[a-z0-9.-]{1,253}")


def check_log(data: bytes) -> None:
    """The first byte says where the log is cut; read in two pieces it must say what it says in one."""
    if not data:
        return
    at, said = data[0], data[1:]
    with in_time():
        whole = _read([cut(said, 0, full=False)])
        cut_at = said.rfind(b"\n", 0, len(said) * at // 255) + 1
        first = cut(said[:cut_at], 0, full=False)
        # As the kubelet serves it: what is not later than the first piece comes again, or not at all.
        second = cut(said, first.last, full=False)
        read = _read([first, second])
        full = cut(said, first.last, full=True)
    assert full.last > first.last, "a full piece leads on"
    assert full.lost or full.lines
    if _in_order(said):
        assert dict(read.pods) == dict(whole.pods)
        assert (read.start, read.words) == (whole.start, whole.words)


def _read(pieces: list[Piece]) -> GatewayReading:
    log = GatewayLog(0.0)
    for piece in pieces:
        log = read_log(log, piece.lines, lost=piece.lost)
    reading = reading_of(log, 0, 1e12, complete=True, silence=60.0)
    assert len(reading.words) <= MAX_WORDS
    assert reading.words.isprintable()
    assert bool(reading.words) == (reading.start is Start.FAILED)
    assert len(reading.pods) <= MAX_PODS
    assert all(NAME.fullmatch(name) for name in reading.pods)
    assert not reading.silent or reading.start is Start.UNSAID
    return reading


def _in_order(said: bytes) -> bool:
    """Whether no two lines have one time, and each is later than the one before, as runtimes write."""
    times = [at for at, _ in cut(said, 0, full=False).lines]
    return all(before < after for before, after in pairwise(times))
