"""The order of one rank's messages: gaps, restarts, and what is asked of the engine."""

from collections.abc import Iterable

from kvsync.core.relay.counts import RankCounts
from kvsync.core.relay.intake import ASK_BACK, HELD, PATIENCE, Apply, Intake, Message, Step


class Line:
    """An intake; what it tells to do, as sequences, with "forget" and "?" for one that was after a gap."""

    def __init__(self, *, replay: bool = True) -> None:
        self.counts = RankCounts()
        self.intake = Intake(self.counts, replay=replay)

    def live(self, *sequences: int, now: float = 0.0) -> list[object]:
        return [s for n in sequences for s in said(self.intake.take(Message(n, b"x"), now))]

    def replayed(self, *sequences: int, now: float = 0.0) -> list[object]:
        taken = self.intake.take_replayed
        return [s for n in sequences for s in said(taken(Message(n, b"x"), now))]


def said(steps: Iterable[Step]) -> list[object]:
    return [
        (s.message.sequence if s.complete else -s.message.sequence)
        if isinstance(s, Apply)
        else "forget"
        for s in steps
    ]


def test_in_order_nothing_is_asked() -> None:
    line = Line()
    assert line.live(0, 1, 2) == [0, 1, 2]
    assert line.intake.question is None


def test_a_gap_is_asked_for_and_what_comes_live_is_held() -> None:
    line = Line()
    line.live(0, 1)
    assert line.live(4, 5) == []
    assert line.intake.question == 2
    assert line.replayed(2) == [2]
    assert line.live(6) == []
    assert line.replayed(3) == [3, 4, 5, 6]
    assert line.intake.question is None
    assert line.replayed(4, 5) == []  # the engine says these too
    assert line.live(7) == [7]
    assert (line.counts.gaps, line.counts.replayed) == (2, 2)


def test_what_the_engine_does_not_keep_any_more_makes_all_doubtful() -> None:
    line = Line()
    line.live(0, 1, 5)
    assert line.replayed(4) == ["forget", -4, -5]
    assert line.live(6) == [-6]


def test_a_hole_in_the_replay_too() -> None:
    line = Line()
    line.live(0, 5)
    assert line.replayed(1, 3) == [1, "forget", -3]
    assert said(line.intake.end_replay()) == ["forget", -5]


def test_a_first_message_that_is_not_the_first_asks_back_a_bounded_number() -> None:
    line = Line()
    assert line.live(7) == []
    assert line.intake.question == 0
    assert line.replayed(0, 1) == [0, 1]
    late = Line()
    late.live(50_000)
    assert late.intake.question == 50_000 - ASK_BACK
    assert late.replayed(49_999) == [-49_999, -50_000]


def test_a_long_gap_is_not_asked_for_as_a_whole() -> None:
    line = Line()
    line.live(0)
    assert line.live(10_000) == ["forget"]
    assert line.intake.question == 10_000 - ASK_BACK


def test_an_engine_that_does_not_answer_is_not_waited_for() -> None:
    line = Line()
    line.live(0, now=1.0)
    line.live(2, 3, now=2.0)
    assert said(line.intake.tick(2.0 + PATIENCE / 2)) == []
    assert said(line.intake.tick(2.0 + PATIENCE)) == ["forget", -2, -3]
    assert line.intake.question is None


def test_nor_is_more_held_than_fits() -> None:
    line = Line()
    line.live(0)
    told = line.live(*range(2, 2 + HELD + 1))
    assert told[:2] == ["forget", -2]
    assert len(told) == HELD + 2


def test_without_a_replay_socket_nothing_is_asked() -> None:
    line = Line(replay=False)
    assert line.live(3, 4, 6) == [-3, -4, "forget", -6]
    assert line.intake.question is None


def test_a_lower_sequence_is_a_new_engine() -> None:
    line = Line()
    line.live(0, 1, 2)
    assert line.live(0, 1) == ["forget", 0, 1]
    assert line.counts.restarts == 1
    line.live(5)
    assert line.live(0) == ["forget", 0]  # also while a replay is awaited
    assert line.intake.question is None


def test_an_engine_that_went_takes_all_with_it() -> None:
    line = Line()
    assert said(line.intake.disconnect()) == []
    line.live(0, 1, 5)
    assert said(line.intake.disconnect()) == ["forget"]
    assert line.intake.question is None
    assert line.live(2) == []  # another engine, though the number would fit
    assert line.intake.question == 0
