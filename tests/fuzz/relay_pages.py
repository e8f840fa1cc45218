"""What must hold of what a pod serves over HTTP in place of a relay's or an engine's metrics."""

from fuzz.oracles import in_time
from kvsync.adapters.engine_http.cache_size import NAMES as OF_CACHES
from kvsync.adapters.engine_http.cache_size import blocks_of
from kvsync.adapters.engine_http.exposition import Sieve, samples_of
from kvsync.adapters.relay_http import NAMES, metrics_of
from kvsync.core.evidence import Policy
from kvsync.core.judge import judge
from kvsync.core.relaying import RelayLook, weigh_relay
from kvsync.model.relay import MAX_RANKS
from kvsync.model.relaying import RelayMetrics
from kvsync.model.source import Observation, SourceKey, Target, Traffic
from kvsync.relay.http_content import ChunkedContent

TARGET = Target(SourceKey("ns", "pod", "uid"), "10.0.0.1", 5557, 5558, "", relay_port=5656)


def check_pages(data: bytes) -> None:
    """The first byte says where the page is cut; in two pieces it must say what it says in one."""
    if not data:
        return
    at, page = len(data[1:]) * data[0] // 255, data[1:]
    with in_time():
        _check_metrics(page, at)
        _check_chunks(page, at)


def _check_metrics(page: bytes, at: int) -> None:
    said = metrics_of(samples_of(_lines([page], NAMES)))
    assert metrics_of(samples_of(_lines([page[:at], page[at:]], NAMES))) == said
    assert all(0 <= number < MAX_RANKS for number in said.ranks)
    blocks = blocks_of(_lines([page], OF_CACHES))
    assert blocks is None or blocks > 0
    _check_verdicts(said, metrics_of(samples_of(_lines([page[at:]], NAMES))))


def _lines(pieces: list[bytes], names: tuple[str, ...]) -> list[bytes]:
    sieve = Sieve(names)
    for piece in pieces:
        sieve.feed(piece)
    sieve.finish()
    return sieve.lines


def _check_verdicts(*readings: RelayMetrics) -> None:
    """Whatever is read can be weighed and judged, and what comes of it is short."""
    known, earlier = None, None
    for number, reading in enumerate(readings * 2):
        look = RelayLook(float(number), reading, reading)
        known, earlier = weigh_relay(known, earlier, look), look
    seen = Observation(0.0, handshake_at=0.0, replay_answered_at=3.0)
    verdict = judge(TARGET, seen, 3.0, Policy(), Traffic(3.0, relay=known))
    assert len(verdict.message) + len(verdict.remedy) < 1000


def _check_chunks(page: bytes, at: int) -> None:
    assert _content([page]) == _content([page[:at], page[at:]])


def _content(pieces: list[bytes]) -> bytes | None:
    """What chunks hold; None where they are none."""
    chunks = ChunkedContent()
    try:
        found = b"".join(map(chunks.take, pieces))
    except ValueError:
        return None
    assert len(found) <= sum(map(len, pieces))
    return found
