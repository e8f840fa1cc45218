"""`kvsync relay` as a process between real sockets."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from core.relay.engines import Tree
from core.relay.output_reader import OutputReader
from kvsync.model.events import END_OF_REPLAY, HARMLESS_REPLAY_REQUEST
from relay.relay_stage import DEADLINE, KVSYNC, OLD, Page, RelayProcess, request
from testbed.engine.launch import free_ports
from testbed.engine.wire import AllBlocksCleared
from testbed.waiting import wait_for

TREE = Tree((None, 0, 1, None, 0))


@pytest.fixture
def relay() -> Iterator[RelayProcess]:
    with RelayProcess("--budget", "100000") as made:
        yield made


def test_a_new_gateway_is_told_everything_and_the_old_one_goes_on(relay: RelayProcess) -> None:
    engine, first = relay.engine(), relay.gateway()
    engine.publish(TREE.stored([0, 1, 2]))
    first.wait(TREE, 0, 1, 2)
    restarted = relay.gateway()
    restarted.wait(TREE, 0, 1, 2)
    engine.publish(TREE.removed([2]), TREE.stored([3]))
    for gateway in (first, restarted):
        gateway.wait(TREE, 0, 1, 3)
        gateway.close()
    assert relay.metric("kvsync_relay_readers_total") == 2
    engine.end()


def test_an_engine_that_ends_takes_its_blocks_with_it_and_a_new_one_begins(
    relay: RelayProcess,
) -> None:
    gateway, engine = relay.gateway(), relay.engine()
    engine.publish(TREE.stored([0, 1]))
    gateway.wait(TREE, 0, 1)
    engine.end()
    gateway.wait(TREE)
    again = relay.engine(layout=OLD)
    again.publish(TREE.stored([3]))
    gateway.wait(TREE, 3)
    again.publish(AllBlocksCleared())
    gateway.wait(TREE)
    again.end()
    gateway.close()


def test_where_the_pod_ends_with_the_engine_nothing_is_taken_back() -> None:
    with RelayProcess("--grace", "60s") as relay:
        gateway, engine = relay.gateway(), relay.engine()
        engine.publish(TREE.stored([0, 1]))
        gateway.wait(TREE, 0, 1)
        engine.end()
        wait_for(lambda: relay.metric('kvsync_relay_engine_connected{rank="0"}') == 0, DEADLINE)
        assert relay.end() == 0
        assert gateway.matches(TREE, 0, 1), "a gateway forgets a pod that ends by itself"
        gateway.close()


def test_an_engine_that_comes_again_has_what_was_held_taken_back_at_once() -> None:
    with RelayProcess("--grace", "600s") as relay:
        gateway, engine = relay.gateway(), relay.engine()
        engine.publish(TREE.stored([0, 1]))
        gateway.wait(TREE, 0, 1)
        engine.end()
        again = relay.engine()
        gateway.wait(TREE)
        again.publish(TREE.stored([3]))
        gateway.wait(TREE, 3)
        again.end()
        gateway.close()


def test_a_block_stays_until_the_last_rank_drops_it() -> None:
    with RelayProcess(ranks=2) as relay:
        gateway, ranks = relay.gateway(), [relay.engine(0), relay.engine(1, OLD)]
        ranks[0].publish(TREE.stored([0, 1]))
        ranks[1].publish(TREE.stored([0, 4]))
        gateway.wait(TREE, 0, 1, 4)
        ranks[0].publish(TREE.removed([0, 1]))
        gateway.wait(TREE, 0, 4)
        ranks[1].end()
        gateway.wait(TREE)
        ranks[0].end()
        gateway.close()


def test_a_relay_that_was_killed_asks_the_engine_and_takes_back_what_is_gone(
    relay: RelayProcess,
) -> None:
    gateway, engine = relay.gateway(), relay.engine()
    engine.publish(TREE.stored([0, 1, 2]))
    gateway.wait(TREE, 0, 1, 2)
    relay.kill()
    engine.publish(TREE.removed([1, 2]))  # said to nobody
    engine.publish(TREE.stored([3]))
    gateway.reader.at = None  # its sequence begins again
    relay.start()
    wait_for(lambda: relay.metric('kvsync_relay_engine_connected{rank="0"}') == 1, DEADLINE)
    engine.publish(TREE.stored([0, 4]))  # the first that it hears of
    gateway.wait(TREE, 0, 3, 4)
    assert relay.metric('kvsync_relay_replayed_total{rank="0"}') >= 1
    engine.end()
    gateway.close()


def test_beside_an_idle_engine_it_knows_all_again_at_once(relay: RelayProcess) -> None:
    gateway, engine = relay.gateway(), relay.engine()
    engine.publish(TREE.stored([0, 1]))
    gateway.wait(TREE, 0, 1)
    gateway.close()
    relay.kill()
    relay.start()
    restarted = relay.gateway()
    restarted.wait(TREE, 0, 1)
    engine.publish(TREE.removed([1]))
    restarted.wait(TREE, 0)
    assert relay.metric('kvsync_relay_forgotten_total{rank="0"}') == 0
    engine.end()
    restarted.close()


def test_with_a_journal_it_takes_back_what_went_with_the_engine(tmp_path: Path) -> None:
    with RelayProcess("--journal", str(tmp_path / "journal")) as relay:
        gateway, engine = relay.gateway(), relay.engine()
        engine.publish(TREE.stored([0, 1, 2]))
        gateway.wait(TREE, 0, 1, 2)
        relay.kill()
        engine.end()
        gateway.reader.at = None  # its sequence begins again
        relay.start()
        again = relay.engine()
        again.publish(TREE.stored([0, 4]))
        gateway.wait(TREE, 0, 4)
        again.end()
        gateway.wait(TREE)
        gateway.close()


def test_without_a_place_for_its_journal_it_goes_on_and_says_so(tmp_path: Path) -> None:
    with RelayProcess("--journal", str(tmp_path / "nowhere" / "journal")) as relay:
        gateway, engine = relay.gateway(), relay.engine()
        engine.publish(TREE.stored([0, 1]))
        gateway.wait(TREE, 0, 1)
        assert relay.metric("kvsync_relay_journal_failures_total") == 1
        engine.end()
        gateway.close()


def test_the_replay_socket_answers_at_once_and_really_replays(relay: RelayProcess) -> None:
    # No engine yet: one that loads.
    end = [b"", END_OF_REPLAY, b""]
    assert request(relay.replay, b"", bytes(8)) == [end]
    assert request(relay.replay, *HARMLESS_REPLAY_REQUEST) == [end]
    engine, gateway = relay.engine(), relay.gateway()
    wait_for(lambda: relay.metric("kvsync_relay_readers_total") == 1, DEADLINE)
    for block in (0, 1, 2):  # after the message that all before is void
        engine.publish(TREE.stored([block]))
        gateway.wait(TREE, *range(block + 1))
    answers = request(relay.replay, b"", (2).to_bytes(8, "big"), count=3)
    assert [int.from_bytes(answer[1], "big") for answer in answers] == [2, 3, 2**64 - 1]
    reader = OutputReader()
    for answer in request(relay.replay, b"", bytes(8), count=4):
        reader.read(answer[2])
    assert reader.whole() == {TREE.hash(block) for block in (0, 1, 2)}
    for nonsense in ((b"",), (b"x", bytes(8)), (b"", bytes(7)), (b"", bytes(8), b"")):
        relay_says = request_nothing(relay.replay, *nonsense)
        assert relay_says is None
    assert relay.metric("kvsync_relay_replays_refused_total") == 4
    engine.end()
    gateway.close()


def request_nothing(port: int, *frames: bytes) -> list[bytes] | None:
    """The first answer within a short while, though the harmless request behind it is answered."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(f"tcp://127.0.0.1:{port}")
        dealer.send_multipart(frames)
        dealer.send_multipart(HARMLESS_REPLAY_REQUEST)
        assert dealer.poll(5000)
        first = dealer.recv_multipart()
        return None if first[-2] == END_OF_REPLAY and not dealer.poll(0) else first


def test_a_subscriber_that_does_not_read_holds_up_nobody_and_is_told_again(
    relay: RelayProcess,
) -> None:
    gateway, engine = relay.gateway(), relay.engine(steps=100)
    stuck = relay.gateway(slow=True)
    many = Tree(tuple(None for _ in range(64 * 4000)))
    wait_for(lambda: relay.metric("kvsync_relay_subscriptions") == 2, DEADLINE)
    stuck_lost = False
    for first in range(0, 64 * 4000, 64):
        engine.publish(*[many.stored([first + n]) for n in range(64)])
        engine.publish(many.removed(list(range(first, first + 63))))  # few stay
        gateway.look()
        if not first % 6400 and relay.metric("kvsync_relay_messages_lost_total"):
            stuck_lost = True
            break
    assert stuck_lost
    engine.publish(many.stored([1]))  # not lost on those who read
    for each in (gateway, stuck):  # all connect anew, and may miss something at that moment
        each.reader.at, each.reader.sure, each.lossy = None, False, True
    wait_for(lambda: many.hash(1) in gateway.look().whole(), DEADLINE, pause=0.01)
    wait_for(lambda: stuck.look().whole() == gateway.look().whole(), DEADLINE, pause=0.01)
    engine.end()
    for each in (gateway, stuck):
        each.close()


def test_the_operators_probe_is_not_told_everything_each_time_it_looks(
    relay: RelayProcess,
) -> None:
    engine, gateway = relay.engine(), relay.gateway()
    engine.publish(TREE.stored([0, 1]))
    gateway.wait(TREE, 0, 1)
    listens = f"tcp://127.0.0.1:{relay.listen}"
    command = [
        KVSYNC,
        "probe",
        listens,
        "--replay-port",
        str(relay.replay),
        "--timeout",
        "1s",
        "-o",
        "json",
    ]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    verdict = json.loads(found.stdout)
    assert (verdict["reason"], verdict["verified"]) == ("Idle", True)
    assert relay.metric("kvsync_relay_readers_total") == 1  # the gateway
    engine.end()
    gateway.close()


def test_a_flood_that_is_no_engines_is_refused_and_the_relay_goes_on(relay: RelayProcess) -> None:
    gateway, engine = relay.gateway(), relay.engine()
    with zmq.Context() as context, context.socket(zmq.PUB) as stranger:
        stranger.setsockopt(zmq.LINGER, 0)
        stranger.connect(f"tcp://127.0.0.1:{relay.upstream}")
        wait_for(
            lambda: (
                not stranger.send_multipart([b"x" * 2000, b"?", bytes(100_000)])
                and relay.metric('kvsync_relay_unreadable_total{rank="0"}') > 100
            ),
            DEADLINE,
            pause=0.001,
        )
        engine.publish(TREE.stored([0, 1]))
        gateway.wait(TREE, 0, 1)
    assert relay.metric("process_resident_memory_bytes") < 150e6
    engine.end()
    gateway.close()


def test_subscriptions_without_end_take_no_memory_and_readers_come_back(
    relay: RelayProcess,
) -> None:
    gateway, engine = relay.gateway(), relay.engine()
    engine.publish(TREE.stored([0, 1]))
    gateway.wait(TREE, 0, 1)
    with zmq.Context() as context, context.socket(zmq.XSUB) as greedy:
        greedy.setsockopt(zmq.LINGER, 0)
        greedy.setsockopt(zmq.RECONNECT_IVL, 60_000)
        greedy.setsockopt(zmq.SNDHWM, 0)  # else what its thread is too slow for is dropped
        greedy.connect(f"tcp://127.0.0.1:{relay.listen}")
        for number in range(3000):
            greedy.send(b"\x01out%d" % number)
        wait_for(
            lambda: gateway.look() and relay.metric("kvsync_relay_readers_total") >= 2, DEADLINE
        )
        engine.publish(TREE.stored([0, 4]))
        gateway.wait(TREE, 0, 1, 4)
        assert relay.metric("kvsync_relay_subscriptions") <= 1024
    engine.end()
    gateway.close()


def test_it_ends_when_it_is_asked_to(relay: RelayProcess) -> None:
    engine = relay.engine()
    engine.publish(TREE.stored([0]))
    assert relay.end() == 0
    engine.end()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--listen", "5557"], "--listen"),
        (["--ranks", "2"], "--upstream-replay"),
        (["--ranks", "0"], "--ranks"),
        (["--listen", "tcp://*:5558"], "--replay"),
        (["--reannounce", "often"], "--reannounce"),
        (["--budget", "0"], "--budget"),
        (["--max-blocks", "0"], "--max-blocks"),
        (["--upstream", "tcp://127.0.0.1:65535", "--ranks", "2"], "--upstream"),
        (["--upstream-replay", "tcp://*"], "--upstream-replay"),
    ],
)
def test_a_wrong_value_is_a_usage_error(words: list[str], named: str) -> None:
    ended = subprocess.run(
        [KVSYNC, "relay", *words], check=False, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 2
    assert named in ended.stderr


def test_a_taken_port_ends_it_with_a_way_out(relay: RelayProcess) -> None:
    taken = f"tcp://127.0.0.1:{relay.listen}"
    ended = subprocess.run(
        [KVSYNC, "relay", "--listen", taken],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 1
    assert "--listen" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_is_told_another_budget_and_refuses_what_is_none(relay: RelayProcess) -> None:
    assert relay.metric("kvsync_relay_budget") == 100_000
    assert relay.post("/budget", b"2000") == 200
    wait_for(lambda: relay.metric("kvsync_relay_budget") == 2000, DEADLINE)
    for wrong in (b"0", b"1e9", b"much", b"9" * 65):
        assert relay.post("/budget", wrong) in (400, 413)
    assert relay.metric("kvsync_relay_budget") == 2000


def test_its_table_is_as_large_as_the_engines_cache_and_anew_for_another_engine() -> None:
    (port,) = free_ports(1)
    page = Page(port, cache_of(1000))
    with (
        RelayProcess(
            "--engine-metrics", f"http://127.0.0.1:{port}/metrics", "--max-blocks", "9000", ranks=2
        ) as relay,
        page,
    ):
        series = "kvsync_relay_blocks_limit"
        wait_for(lambda: relay.metric(series) == 2 * 1100 + 1024, DEADLINE)
        page.content = cache_of(2000)
        engine = relay.engine(1)
        wait_for(lambda: relay.metric(series) == 2 * 2200 + 1024, DEADLINE)
        engine.end()
        page.content = cache_of(1_000_000)
        relay.engine(1).end()
        wait_for(lambda: relay.metric(series) == 9000, DEADLINE)


def cache_of(blocks: int) -> bytes:
    return f'vllm:cache_config_info{{engine="0",num_gpu_blocks="{blocks}"}} 1.0\n'.encode()
