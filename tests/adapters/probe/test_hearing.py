"""When one publisher is listened to: places for suspects are few, and are given back."""

import struct

import pytest

from adapters.probe.publishers import batch
from kvsync.adapters.probe.desk import CLOSE_LOOKS_AT_ONCE, Desk
from kvsync.adapters.probe.hearing import LATE_MESSAGES, Hearing
from kvsync.adapters.zmtp.session import Arrival, Kind, Limits, Session
from kvsync.shell.readers import READERS


class Talk(Hearing):
    """Listening to a publisher that says what the test says."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("", desk, lambda: None)
        self.session = Session(b"SUB", frozenset({b"PUB"}), Limits(), desk.allowance)
        self.begin(self.session)

    def say(self, *sequences: int, payload: bytes | None = None) -> bool:
        """Whether all was borne."""
        body = batch() if payload is None else payload
        frames = [(b"", struct.pack(">Q", n), body) for n in sequences]
        borne = [self.hear(Arrival(Kind.MESSAGE, each, 100)) for each in frames]
        return all(borne)


@pytest.fixture
async def desk() -> Desk:
    return Desk(READERS, lambda what: None)


async def test_a_suspect_is_watched_closely_and_cleared(desk: Desk) -> None:
    talk = Talk(desk)
    talk.say(1, 3, 4, 5, 6, 7, 8, 9)
    assert (desk.close_looks, talk.seen.gap_streak) == (1, 1)
    talk.say(*range(10, 266))
    assert (desk.close_looks, talk.seen.gap_streak) == (0, 0)


async def test_a_suspect_is_confirmed_without_waiting_for_a_window(desk: Desk) -> None:
    talk = Talk(desk)
    talk.say(1, 3, 4, 5, 6, 7, 8, 9, 10, 13)
    assert talk.seen.gap_streak == 2


async def test_only_a_few_suspects_at_once(desk: Desk) -> None:
    talks = [Talk(desk) for _ in range(CLOSE_LOOKS_AT_ONCE + 3)]
    for talk in talks:
        talk.say(1, 3, 4, 5, 6, 7, 8, 9)
    assert desk.close_looks == CLOSE_LOOKS_AT_ONCE


async def test_a_suspect_that_falls_silent_keeps_no_place(desk: Desk) -> None:
    talk = Talk(desk)
    talk.say(1, 3, 4, 5, 6, 7, 8, 9)
    talk.window()
    assert desk.close_looks == 0
    talk.window()
    talk.say(20)
    assert talk.seen.last_sequence == 20


async def test_one_that_goes_keeps_no_place(desk: Desk) -> None:
    talk = Talk(desk)
    talk.say(1, 3, 4, 5, 6, 7, 8, 9)
    talk.stop()
    assert desk.close_looks == 0


async def test_what_comes_though_none_is_wanted_is_borne_for_a_while(desk: Desk) -> None:
    talk = Talk(desk)
    talk.say(*range(8))
    assert talk.say(*range(8, 8 + LATE_MESSAGES))
    assert not talk.say(100)
    assert talk.seen.messages == 8


async def test_an_idle_publisher_has_a_rate_of_nothing(desk: Desk) -> None:
    talk = Talk(desk)
    talk.say(*range(8))
    talk.window()
    talk.window()
    assert talk.is_idle
    assert talk.seen.subscribed_at is not None
    assert talk.seen.rate in (None, 0.0)
