"""The order of one rank's messages: gaps, restarts, and what is asked of the engine."""

from collections.abc import Iterable

from kvsync.core.relay.counts import RankCounts
from kvsync.core.relay.intake import (
    ASK_BACK,
    HELD,
    HIGHEST,
    PATIENCE,
    QUIET,
    RETURN,
    Apply,
    Intake,
    Message,
    Step,
)
from kvsync.core.relay.journal import Mark, fingerprint


class Line:
    """An intake; what it tells to do, as sequences: negative after a gap, "again" where it was known."""

    def __init__(self, *, replay: bool = True, mark: int | None = None) -> None:
        self.counts = RankCounts()
        left = None if mark is None else Mark(mark, fingerprint(b"x"), complete=True)
        self.intake = Intake(self.counts, replay=replay, mark=left)

    def live(self, *sequences: int, now: float = 0.0) -> list[object]:
        return [s for n in sequences for s in said(self.intake.take(Message(n, b"x"), now))]

    def replayed(self, *sequences: int, now: float = 0.0, payload: bytes = b"x") -> list[object]:
        taken = self.intake.take_replayed
        return [s for n in sequences for s in said(taken(Message(n, payload), now))]

    def ended(self, now: float = 0.0) -> list[object]:
        return said(self.intake.end_replay(now))

    def tick(self, now: float) -> list[object]:
        return said(self.intake.tick(now))


def said(steps: Iterable[Step]) -> list[object]:
    return [_said(step) for step in steps]


def _said(step: Step) -> object:
    if not isinstance(step, Apply):
        return "forget"
    sequence = step.message.sequence
    return f"again {sequence}" if step.recalled else sequence if step.complete else -sequence


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
    assert said(line.intake.end_replay(0.0)) == ["forget", -5]


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


def test_an_idle_engine_that_was_there_before_is_asked_from_above() -> None:
    line = Line()
    line.intake.connect(0.1)
    assert line.tick(0.2) == []
    assert line.intake.question is None
    line.tick(0.1 + QUIET)
    asked: list[int] = []
    while (question := line.intake.question) is not None and question >= 2500:
        asked.append(question)
        assert line.ended() == []  # it did not come as far
    assert asked[0] == HIGHEST
    assert len(asked) < 150
    assert question is not None
    assert 2500 - question <= ASK_BACK
    assert line.replayed(question) == []  # it did, so those before are wanted too
    assert line.intake.question == question - ASK_BACK
    first = question - ASK_BACK
    assert line.replayed(first, first + 1) == [-first, -first - 1]
    assert line.ended() == []
    assert line.intake.question is None


def test_of_a_young_engine_all_is_known() -> None:
    line = Line()
    line.intake.connect(0.0)
    line.tick(QUIET)
    while line.intake.question:
        line.ended()
    assert line.replayed(0, 1, 2) == [0, 1, 2]
    line.ended()
    assert line.live(1, 2) == []  # they also came live
    assert line.live(3) == [3]
    assert line.live(1) == ["forget"]
    assert line.counts.restarts == 1


def test_the_same_number_of_another_message_is_a_new_engine() -> None:
    line = Line()
    line.intake.connect(0.0)
    line.tick(QUIET)
    while line.intake.question:
        line.ended()
    line.replayed(0, payload=b"y")
    line.ended()
    assert line.live(0) == ["forget", 0]


def test_an_engine_that_comes_later_is_new_and_is_not_asked() -> None:
    line = Line()
    line.intake.connect(RETURN)
    line.tick(RETURN + QUIET)
    assert line.intake.question is None
    assert not line.intake.waits


def test_an_engine_without_a_message_is_asked_down_to_nothing() -> None:
    line = Line()
    line.intake.connect(0.0)
    line.tick(QUIET)
    while line.intake.question is not None:
        assert line.ended() == []
    assert line.live(0) == [0]


def test_a_mark_is_looked_for_when_the_next_message_comes() -> None:
    line = Line(mark=1500)
    assert line.live(1503) == []
    assert line.intake.question == 1501 - ASK_BACK
    assert line.replayed(1499, 1500, 1501, 1502) == ["again 1499", "again 1500", 1501, 1502, 1503]
    assert line.intake.question is None
    assert line.counts.forgotten == 0
    assert line.intake.mark == Mark(1503, fingerprint(b"x"), complete=True)


def test_beside_an_idle_engine_too() -> None:
    line = Line(mark=4)
    line.intake.connect(0.0)
    line.tick(QUIET)
    assert line.intake.question == 5 + ASK_BACK
    line.ended()  # it did not come that far: what is asked for now is not much
    assert line.intake.question == 0
    assert line.replayed(3, 4, 5) == ["again 3", "again 4", 5]
    assert line.ended() == []
    assert line.live(6) == [6]


def test_another_message_in_place_of_the_marks_is_another_engine() -> None:
    line = Line(mark=4)
    line.live(6)
    assert line.replayed(3) == ["again 3"]
    assert line.replayed(4, payload=b"y") == ["forget"]
    assert line.intake.question == 0  # anew, for what this engine has
    assert line.replayed(0, 1, 2, 3, 4, 5) == [0, 1, 2, 3, 4, 5, 6]


def test_so_is_one_that_is_idle_and_has_not_come_as_far() -> None:
    line = Line(mark=4000)
    line.intake.connect(0.0)
    line.tick(QUIET)
    line.ended()
    assert line.intake.question == 4001 - ASK_BACK
    assert line.ended() == ["forget"]
    while line.intake.question:
        line.ended()
    assert line.replayed(0, 1) == [0, 1]


def test_a_mark_that_is_too_far_behind_is_given_up() -> None:
    line = Line(mark=4)
    assert line.live(5 + ASK_BACK) == ["forget"]
    assert line.intake.question == 5
    idle = Line(mark=4)
    idle.intake.connect(0.0)
    idle.tick(QUIET)
    assert idle.replayed(9000) == ["forget"]
    assert idle.intake.question is None


def test_a_mark_is_worth_nothing_before_an_engine_that_began_again() -> None:
    line = Line(mark=4)
    assert line.live(0) == ["forget", 0]
    gone = Line(mark=4)
    assert said(gone.intake.disconnect()) == ["forget"]
    nobody = Line(mark=4)
    assert nobody.tick(RETURN / 2) == []
    assert nobody.tick(RETURN) == ["forget"]
    assert not nobody.intake.waits


def test_nor_where_the_engine_cannot_be_asked() -> None:
    line = Line(mark=4, replay=False)
    assert line.live(5) == ["forget", -5]
    silent = Line(mark=4)
    silent.live(5, now=1.0)
    assert silent.tick(1.0 + PATIENCE) == ["forget"]
    assert silent.intake.question == 0  # as of any engine
    assert silent.tick(1.0 + 2 * PATIENCE) == [-5]


def test_until_the_mark_is_found_it_stays_for_the_next_relay() -> None:
    line = Line(mark=4)
    line.live(6)
    line.replayed(3)
    assert line.intake.mark == Mark(4, fingerprint(b"x"), complete=True)
    line.replayed(4)
    assert line.intake.mark is not None
    assert line.intake.mark.sequence == 4
    line.replayed(5)
    assert line.intake.mark.sequence == 6
