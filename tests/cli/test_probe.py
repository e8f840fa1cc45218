"""kvsync probe over real sockets: verdict, numbers and exit code for each row that loopback has."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import msgpack
import pytest
import zmq
from click.testing import CliRunner

from cli.peers import banner, bound, endless, kvsync, publishing
from kvsync.cli.look import KEY
from kvsync.cli.main import cli
from kvsync.cli.probe import Found
from kvsync.core.tally import Tally
from kvsync.model.address import Address
from kvsync.model.source import SourceReason, Verdict
from relay.relay_stage import RelayProcess
from testbed.engine.launch import free_ports

FIELDS = [
    "source",
    "reason",
    "healthy",
    "verified",
    "message",
    "remedy",
    "topic",
    "rank",
    "layout",
    "first_sequence",
    "sequence",
    "batches",
    "events",
    "rate",
    "lag",
    "restarts",
    "replay",
    "seconds",
]
"""The stable interface: docs/streams.md."""


def probe(address: str, *words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(cli, ["probe", address, *words, "-o", "json"])
    found = json.loads(done.stdout)
    assert list(found) == FIELDS
    assert found["healthy"] == (done.exit_code == 0)
    return done.exit_code, found


def closed() -> AbstractContextManager[str]:
    return nullcontext(f"tcp://127.0.0.1:{free_ports(1)[0]}")


@contextmanager
def listening(kind: int, *, curve: bool = False) -> Iterator[str]:
    with bound(kind, curve=curve) as (_, address):
        yield address


def sent(data: bytes) -> Callable[[], AbstractContextManager[str]]:
    return lambda: publishing(lambda number: [b"", number.to_bytes(8, "big"), data])


BROKEN: dict[str, tuple[Callable[[], AbstractContextManager[str]], SourceReason]] = {
    "closed": (closed, SourceReason.PORT_CLOSED),
    "http": (lambda: banner(b"HTTP/1.1 400 Bad Request\r\n\r\n"), SourceReason.NOT_ZMQ),
    "silent": (lambda: banner(b""), SourceReason.NOT_ZMQ),
    "router": (lambda: listening(zmq.ROUTER), SourceReason.WRONG_SOCKET_TYPE),
    "pull": (lambda: listening(zmq.PULL), SourceReason.WRONG_SOCKET_TYPE),
    "curve": (lambda: listening(zmq.PUB, curve=True), SourceReason.AUTH_REQUIRED),
    "garbage": (sent(b"\xc1\x1b[2J"), SourceReason.UNDECODABLE),
    "one frame": (lambda: publishing(lambda _: [b"\x1b[2J"]), SourceReason.UNDECODABLE),
}


@pytest.mark.parametrize(("made", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_is_named_with_a_way_out(
    made: Callable[[], AbstractContextManager[str]], reason: SourceReason
) -> None:
    with made() as address:
        began = time.monotonic()
        code, found = probe(address, "--timeout", "20s")
    assert (code, found["reason"], found["verified"]) == (1, reason.value, False)
    assert found["remedy"]
    assert time.monotonic() - began < 10, "a failure is told as soon as it is sure"


def test_an_idle_publisher_without_a_replay_socket() -> None:
    with bound() as (_, address):
        code, found = probe(address, "--replay-port", str(free_ports(1)[0]))
        assert (code, found["reason"]) == (1, "ReplayMissing")
        assert found["replay"]["answers"] is False
        code, found = probe(address, "--timeout", "1s")
    assert (code, found["reason"], found["verified"], found["replay"]) == (0, "Idle", False, None)
    assert found["layout"] is found["sequence"] is found["rate"] is found["lag"] is None


def batch(number: int) -> list[bytes]:
    event = ["BlockStored", [number], None, [1, 2], 2]
    data = msgpack.packb([time.time(), [event, ["BlockRemoved", [1]], ["Novel", 1]], 3])
    return [b"kv\x1b[2J", number.to_bytes(8, "big"), data]


def _has_ip6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_what_is_seen_of_traffic() -> None:
    with publishing(batch, every=0.01) as address:
        code, found = probe(address, "--topic", "kv\x1b[2J")
    assert (code, found["reason"], found["topic"]) == (0, "Publishing", "kv\x1b[2J")
    assert (found["layout"], found["rank"], found["restarts"]) == ("array", 3, 0)
    count = found["batches"]
    assert count >= 2
    assert found["events"] == {"BlockStored": count, "BlockRemoved": count, "Novel": count}
    assert found["sequence"] - found["first_sequence"] >= count - 1
    assert 0 < found["rate"] < 110
    assert -0.01 < found["lag"] < 5
    assert found["source"] == address


def test_an_engine_that_starts_again_is_counted() -> None:
    with publishing(lambda number: batch(number % 3)) as address:
        _, found = probe(address)
    assert found["restarts"] > 0
    assert found["first_sequence"] in (0, 1, 2)


def test_text_for_people_shows_no_control_characters() -> None:
    with publishing(batch) as address:
        done = CliRunner().invoke(cli, ["probe", address])
    title, *rows = done.stdout.splitlines()
    assert title == f"{address}  Publishing"
    assert [row.split()[0] for row in rows] == [
        "evidence",
        "topic",
        "layout",
        "sequence",
        "events",
        "lag",
    ]
    assert "\x1b" not in done.stdout


def test_a_wrong_topic_is_shown_harmlessly() -> None:
    with publishing(batch) as address:
        done = CliRunner().invoke(cli, ["probe", address, "--topic", "kv"])
    assert (done.exit_code, "WrongTopic" in done.stdout) == (1, True)
    assert "\x1b" not in done.stdout
    assert "  remedy " in done.stdout


@pytest.mark.skipif(not _has_ip6(), reason="this machine has no IPv6 loopback")
def test_ip6_in_brackets() -> None:
    with bound(host="[::1]") as (_, address):
        code, found = probe(address, "--timeout", "1s")
    assert (code, found["source"]) == (0, address)


def test_localhost_is_the_address_that_listens() -> None:
    with bound() as (_, address):
        code, _ = probe(address.replace("127.0.0.1", "localhost"), "--timeout", "1s")
    assert code == 0


def test_too_short_a_look_says_so() -> None:
    verdict = Verdict(KEY, SourceReason.CONNECTING, verified=False, settled=False, message="?")
    found = Found(Address("h", 1), verdict, Tally(), 0, False, 0, 1.0)
    assert (found.healthy, "--timeout" in found.remedy) == (False, True)


@pytest.mark.parametrize(
    "words",
    [
        ["--timeout", "0s"],
        ["--timeout", "soon"],
        ["--replay-port", "0"],
        ["--replay-port", "1", "--replay", "tcp://h:1"],
        ["--replay", "tcp://other:1"],
    ],
)
def test_wrong_usage(words: list[str]) -> None:
    done = CliRunner().invoke(cli, ["probe", "tcp://h:1", *words])
    assert done.exit_code == 2
    assert "Error: " in done.output


@pytest.mark.parametrize("command", ["probe", "record"])
@pytest.mark.parametrize("address", ["127.0.0.1:1", "tcp://127.0.0.1", "tcp://*:5557"])
def test_a_wrong_address_is_wrong_usage(command: str, address: str) -> None:
    assert CliRunner().invoke(cli, [command, address]).exit_code == 2


def test_an_unknown_host_is_one_line() -> None:
    done = kvsync("probe", "tcp://nowhere.invalid:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("kvsync: the host nowhere.invalid is not known")


def test_the_replay_socket_may_be_given_as_an_address() -> None:
    with bound() as (_, address), bound(zmq.ROUTER) as (_, replay):
        code, found = probe(address, "--replay", replay, "--timeout", "8s")
    assert (code, found["reason"]) == (1, "ReplayMissing"), "a router that never answers"
    assert found["replay"]["port"] == int(replay.rpartition(":")[2])


def test_a_message_without_an_end_is_undecodable() -> None:
    with endless() as address:
        code, found = probe(address, "--timeout", "25s")
    assert (code, found["reason"]) == (1, "Undecodable")
    assert "more than 8 frames" in found["message"]


def test_behind_a_relay_its_engine_is_what_counts() -> None:
    with RelayProcess() as relay:
        address = f"tcp://127.0.0.1:{relay.listen}"
        words = ("--replay-port", str(relay.replay), "--timeout", "5s")
        behind = (*words, "--relay-port", str(relay.pages))
        _, alone = probe(address, *words)
        assert (alone["reason"], alone["verified"]) == ("Idle", True), "it answers for itself"
        code, found = probe(address, *behind)
        assert (code, found["reason"], found["verified"]) == (1, "Connecting", False)
        assert "rank 0 of the engine is not connected" in found["message"]
        engine = relay.engine()
        code, found = probe(address, *behind)
        assert (code, found["reason"], found["verified"]) == (0, "Idle", True)
        engine.end()
