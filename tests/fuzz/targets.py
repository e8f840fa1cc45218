"""The targets of the fuzzer, in one table: what is tried, and with which seeds.

A new one is a function that takes any bytes and raises where a promise is broken, a row here, and a
few small seeds in ``corpus/<seeds>/``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz import oracles
from fuzz.connection import check_connection
from fuzz.gateway_log import check_log
from fuzz.relay_pages import check_pages

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """``run`` raises where a promise is broken; ``seeds`` is a folder of the corpus."""

    run: Callable[[bytes], None]
    seeds: str
    longest: int = 4096
    """Bytes of the longest input that is tried."""

    @property
    def corpus(self) -> list[Path]:
        """The inputs that are kept."""
        return sorted(path for path in (CORPUS / self.seeds).iterdir() if path.is_file())


def message(payload: bytes) -> list[bytes]:
    """The frames around a payload."""
    return [b"kv", bytes(8), payload]


def frames(data: bytes) -> list[bytes]:
    """Frames cut out of any bytes: a length in one byte before each, the last one open."""
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < 6:
        length = data[at] if data[at] < 255 else len(data)
        found.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    return found


def joined(parts: list[bytes]) -> bytes:
    """The bytes that ``frames`` cuts into these parts, none longer than 254 but the last."""
    short = b"".join(bytes([len(part)]) + part for part in parts[:-1])
    return short + b"\xff" + parts[-1] if parts else b""


TARGETS = {
    "decode_batch": Target(lambda data: oracles.check_message(message(data)), "payload"),
    "read_gist": Target(lambda data: oracles.check_gist(message(data)), "payload"),
    "message": Target(lambda data: oracles.check_message(frames(data)), "frames"),
    "parse_replay": Target(lambda data: oracles.check_replay(frames(data)), "replay"),
    "recording": Target(oracles.check_line, "line"),
    "relay": Target(oracles.check_relay, "relay"),
    "connection": Target(check_connection, "stream"),
    "gateway_log": Target(check_log, "gateway_log"),
    "relay_pages": Target(check_pages, "relay_pages"),
}
