"""What a relay knows by its hash only, because the one before it told it."""

from collections.abc import Iterable

import pytest

from core.relay.engines import LAYOUTS, Rank, Tree
from core.relay.output_reader import OutputReader
from kvsync.core.relay.journal import HEAD, Mark, Memory, entries, fingerprint, remember
from kvsync.core.relay.relay import Relay, Terms
from testbed.engine.wire import AllBlocksCleared, Event, replay_answer, replay_end

LAYOUT = LAYOUTS[-1]
TREE = Tree((None, 0, 1, 2, 0))


class Bench:
    """A relay after one that told these blocks of a tree, and heard ``heard`` messages of the engine.

    Of these the engine keeps ``kept``. ``old`` is a reader that was there before, ``new`` came after.
    """

    def __init__(
        self, told: Iterable[int], heard: list[list[Event]], *, kept: int = 1000, ranks: int = 1
    ) -> None:
        self.engines = [Rank(number, LAYOUT, kept) for number in range(ranks)]
        marks: dict[int, Mark | None] = {}
        for engine in self.engines:
            for events in heard:
                _, _, payload = engine.message(events)
            marks[engine.number] = Mark(engine.sequence - 1, fingerprint(payload), complete=True)
        keys = [TREE.hash(block) for block in told]
        memory = remember(HEAD + b"".join(entries(marks, keys, [])), remembered=10)
        self.relay = Relay(Terms(ranks, b"out", journal=True), 0.0, memory)
        self.old, self.new = OutputReader(), OutputReader()
        self.old.sure = False
        self.old.parents = dict.fromkeys(keys)
        for block in told:
            stored = TREE.stored([block])
            parent = stored.parent_block_hash
            assert parent is None or isinstance(parent, int)
            self.old.parents[TREE.hash(block)] = parent
        self.new.sure = False
        for _ in range(2):
            self.relay.subscribed(b"\x01", 0.0)
        self.listen()

    def say(self, *events: Event, rank: int = 0) -> None:
        """The engine's next message; all ranks say one."""
        for engine in self.engines:
            frames = engine.message([*events] if engine.number == rank else [])
            self.relay.heard(engine.number, frames, 1.0)
            self.answer(engine)
        self.listen()

    def answer(self, engine: Rank) -> None:
        intake = self.relay.intakes[engine.number]
        asked, question = intake.asked, intake.question
        if question is None:
            return
        replies = [
            replay_answer(LAYOUT, b"", number, payload)
            for number, payload in engine.log
            if number >= question
        ]
        for reply in (*replies, replay_end(LAYOUT)):
            if intake.asked == asked:
                self.relay.replayed(engine.number, reply, 1.0)

    def listen(self) -> None:
        while (message := self.relay.next_message(1.0)) is not None:
            for reader in (self.old, self.new):
                reader.take([message])

    def pass_by(self) -> None:
        """Everything is told again."""
        self.relay.tick(1000.0)
        self.listen()
        self.relay.tick(1001.0)
        self.listen()

    def there(self, reader: OutputReader) -> set[int]:
        return {block for block in range(5) if TREE.hash(block) in reader.parents}

    @property
    def inherited(self) -> set[int]:
        return {b for b in range(5) if TREE.hash(b) in self.relay.residency.inherited}


STORED: list[Event] = [TREE.stored([0, 1, 2])]


def test_what_the_engine_can_say_again_is_known_and_told_again() -> None:
    bench = Bench([0, 1, 2], [STORED])
    bench.say(TREE.removed([2]))
    assert bench.inherited == set()
    assert bench.there(bench.new) == {0, 1}
    assert bench.new.match(TREE.prompt(1)) == 100


def test_what_it_cannot_is_kept_and_taken_back_when_it_goes() -> None:
    bench = Bench([0, 1, 2], [STORED, []], kept=2)
    bench.say()
    assert (bench.inherited, bench.there(bench.old)) == ({0, 1, 2}, {0, 1, 2})
    assert bench.there(bench.new) == set()
    bench.say(TREE.removed([2]))
    assert (bench.inherited, bench.there(bench.old)) == ({0, 1}, {0, 1})
    bench.say(AllBlocksCleared())
    assert (bench.inherited, bench.there(bench.old)) == (set(), set())


def test_what_hangs_on_it_is_told_and_taken_back_once_the_chain_is_known() -> None:
    bench = Bench([0, 1, 2], [STORED, []], kept=2)
    bench.say(TREE.stored([3]))
    bench.say(TREE.stored([4]))
    assert bench.there(bench.old) == {0, 1, 2, 3, 4}
    assert bench.there(bench.new) == {3, 4}
    assert bench.new.match(TREE.prompt(3)) == 0
    bench.say(TREE.removed([1, 2]), TREE.stored([0, 1, 2]))  # the beginning is another one's again
    bench.pass_by()
    for reader in (bench.old, bench.new):
        assert bench.there(reader) == {0, 1, 2, 3, 4}
    assert bench.new.match(TREE.prompt(3)) == bench.new.match(TREE.prompt(4)) == 100
    before = bench.relay.counts.messages
    bench.pass_by()
    assert bench.relay.counts.messages == before  # nothing is due, and nothing is taken back again


def test_what_left_and_came_again_before_the_end_is_not_taken_back() -> None:
    """The engine's history is read again, and the journal has come further than it."""
    history: list[list[Event]] = [STORED, [TREE.removed([2])], [TREE.stored([2])]]
    bench = Bench([0, 1, 2], history)
    removed = bench.relay.residency.removed
    bench.say()
    assert bench.there(bench.old) == {0, 1, 2}
    assert bench.relay.residency.removed == removed


def test_what_only_a_copy_holds_stays_until_the_copy_goes() -> None:
    copied = TREE.copied([0])
    bench = Bench([0], [[TREE.stored([0])], [copied], [TREE.removed([0])]])
    bench.say()
    assert bench.there(bench.old) == {0}
    bench.say(TREE.removed([0], "CPU"))
    assert bench.there(bench.old) == set()


def test_what_was_never_told_is_not_told_from_history() -> None:
    bench = Bench([0], [STORED])
    bench.say()
    assert bench.there(bench.old) == {0}


@pytest.mark.parametrize("ranks", [1, 2])
def test_another_engine_takes_all_back(ranks: int) -> None:
    bench = Bench([0, 1, 2], [STORED], ranks=ranks)
    bench.engines[-1].restart()
    bench.say(TREE.stored([0, 4]), rank=ranks - 1)
    assert bench.inherited == set()
    assert bench.there(bench.old) == ({0, 4} if ranks == 1 else {0, 1, 2, 4})


def test_a_journal_without_marks_tells_what_to_take_back() -> None:
    memory = Memory(told={TREE.hash(0): None})
    relay = Relay(Terms(1, b"out"), 0.0, memory)
    reader = OutputReader()
    reader.parents = {TREE.hash(0): None}
    relay.subscribed(b"\x01", 0.0)
    while (message := relay.next_message(1.0)) is not None:
        reader.take([message])
    assert reader.parents == {}


def test_a_message_that_said_nothing_then_says_nothing_now() -> None:
    bench = Bench([0, 1, 2], [[], STORED, [TREE.stored([4])]])
    bench.engines[0].log[0] = (0, b"\xc1")
    bench.say()
    assert (bench.inherited, bench.there(bench.old)) == (set(), {0, 1, 2})
    assert bench.relay.counts.ranks[0].unreadable == 0
