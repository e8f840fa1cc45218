"""The relay's own replay: what is kept, who asks, and how much at a time."""

from kvsync.core.relay.replay_log import ASKERS, LogBounds, ReplayLog, Replays
from kvsync.model.events import END_OF_REPLAY, HARMLESS_REPLAY_REQUEST

END = (b"", END_OF_REPLAY, b"")


def sequence(number: int) -> bytes:
    return number.to_bytes(8, "big")


def replays(messages: int, bounds: LogBounds | None = None) -> tuple[ReplayLog, Replays]:
    log = ReplayLog(bounds or LogBounds())
    for number in range(messages):
        log.add(b"%d" % number)
    return log, Replays(log)


def answers(made: Replays, peer: bytes) -> list[tuple[bytes, ...]]:
    found = []
    while peer in made.askers:
        found.append(made.answer(peer))
        made.sent(peer)
    return found


def test_from_a_sequence_on() -> None:
    _, made = replays(4)
    made.ask([b"p", b"", sequence(2)])
    assert answers(made, b"p") == [(b"", sequence(2), b"2"), (b"", sequence(3), b"3"), END]


def test_the_harmless_request_returns_only_the_end() -> None:
    _, made = replays(4)
    made.ask([b"p", *HARMLESS_REPLAY_REQUEST])
    assert answers(made, b"p") == [END]


def test_what_is_said_meanwhile_comes_over_the_other_socket() -> None:
    log, made = replays(2)
    made.ask([b"p", b"", sequence(1)])
    log.add(b"new")
    assert answers(made, b"p") == [(b"", sequence(1), b"1"), END]


def test_an_answer_that_could_not_be_sent_stays_the_next_one() -> None:
    _, made = replays(2)
    made.ask([b"p", b"", sequence(0)])
    assert made.answer(b"p") == made.answer(b"p") == (b"", sequence(0), b"0")


def test_what_fell_out_meanwhile_is_left_out() -> None:
    log, made = replays(3, LogBounds(messages=3))
    made.ask([b"p", b"", sequence(0)])
    log.add(b"3")
    log.add(b"4")
    assert answers(made, b"p") == [(b"", sequence(2), b"2"), END]


def test_messages_and_bytes_are_bounded() -> None:
    log, _ = replays(2000, LogBounds(messages=10))
    assert (log.first, log.next) == (1990, 2000)
    assert log.payload(1990) == b"1990"
    log, _ = replays(2000, LogBounds(octets=100))
    assert log.first == 1975
    log.add(b"x" * 101)  # more than is kept at all
    assert log.first == log.next == 2001


def test_what_is_no_request_is_not_answered() -> None:
    _, made = replays(1)
    for request in ([b"p"], [b"p", b""], [b"p", b"x", sequence(0)], [b"p", b"", bytes(7)]):
        made.ask(request)
    assert not made.askers
    assert made.refused == 4


def test_few_are_answered_at_once_and_each_once() -> None:
    _, made = replays(1)
    for number in range(ASKERS + 3):
        made.ask([b"%d" % number, b"", sequence(0)])
        made.ask([b"%d" % number, b"", sequence(0)])
    assert len(made.askers) == ASKERS
    assert b"0" not in made.askers
    made.give_up(b"5")
    made.give_up(b"5")
    assert b"5" not in made.askers
