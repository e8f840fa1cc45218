"""A relay that is killed at any moment: the one after it goes on from the journal, and readers stay right.

Compared are the blocks whose whole chain is resident. A relay's messages go out one by one after what
they say was written, and the end may come before, between or after them.
"""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from core.relay.engines import LAYOUTS, InputReader, Rank, Tree
from core.relay.output_reader import OutputReader
from core.relay.test_relay_histories import BLOCKS, blocks, some_blocks, trees
from kvsync.core.relay.announcer import Rhythm
from kvsync.core.relay.intake import QUIET
from kvsync.core.relay.journal import HEAD, Memory, fingerprint, remember
from kvsync.core.relay.relay import Relay, Terms
from testbed.engine.wire import Event, replay_answer, replay_end

LAYOUT = LAYOUTS[-1]


def histories(*removals: str) -> st.SearchStrategy[list[tuple[object, ...]]]:
    """What happens, as (verb, …); removals of these kinds."""
    saying = st.one_of(
        st.tuples(st.just("prompt"), blocks),
        st.tuples(st.just("prompt"), blocks),
        st.tuples(st.sampled_from(removals), some_blocks),
    )
    said = st.lists(saying, min_size=1, max_size=3)
    return st.lists(
        st.one_of(
            st.tuples(st.just("publish"), said),
            st.tuples(st.just("publish"), said),
            st.tuples(st.just("end relay"), said, st.integers(-1, 2)),
            st.tuples(st.sampled_from(["begin relay", "begin relay", "restart engine"])),
            st.tuples(st.just("wait"), st.sampled_from([0.01, 1.0, 400.0])),
        ),
        min_size=10,
        max_size=40,
    )


@dataclass
class Scene:
    """One rank, relays one after another, and one reader that stays. ``kept`` is the engine's buffer."""

    tree: Tree
    kept: int = 1000
    now: float = 10.0
    truth: InputReader = field(default_factory=InputReader)
    journal: bytes = HEAD
    memory: Memory | None = None

    def __post_init__(self) -> None:
        self.rank = Rank(0, LAYOUT, self.kept)
        self.said: list[list[Event]] = []
        """What the engine published since its start."""
        self.reader = OutputReader()
        self.reader.sure = False  # what the last relay said may not have reached it
        self.relay: Relay | None = self.new_relay(None)
        self.let: int | None = None
        """Messages that the relay sends until its end, None for no end; -1 if it writes none either."""

    def new_relay(self, memory: Memory | None) -> Relay:
        terms = Terms(1, b"out", journal=True, rhythm=Rhythm(every=300.0, budget=50.0))
        relay = Relay(terms, self.now, memory)
        if memory is not None:
            self.journal = HEAD + b"".join(relay.snapshot())
        relay.subscribed(b"\x01", self.now)
        return relay

    def happen(self, verb: str, *details: object) -> None:
        getattr(self, verb.replace(" ", "_"))(*details)
        self.deliver()

    def publish(self, sayings: list[tuple[str, object]]) -> None:
        events = [self.event(*each) for each in sayings]
        self.truth.take(0, events)
        self.said.append(events)
        frames = self.rank.message(events)
        if self.relay is not None:
            self.relay.heard(0, frames, self.now)
            self.answer()

    def event(self, verb: str, what: object) -> Event:
        tree = self.tree
        match verb, what:
            case "prompt", int(block):
                return tree.stored(tree.path(block))
            case "remove", list(gone):
                return tree.removed(gone)
            case "copy", list(copied):
                return tree.copied(copied)
            case _, list(gone):
                return tree.removed(gone, "CPU")
        raise AssertionError

    def answer(self) -> None:
        """The engine's replay socket, as long as it is asked."""
        relay, asked = self.relay, 0
        while relay is not None and relay.intakes[0].asked != asked:
            intake = relay.intakes[0]
            asked, question = intake.asked, intake.question
            if question is None:
                return
            replies = [
                replay_answer(LAYOUT, b"kv", sequence, payload)
                for sequence, payload in self.rank.log
                if sequence >= question
            ]
            for reply in (*replies, replay_end(LAYOUT)):
                if intake.asked == asked and self.relay is relay:
                    relay.replayed(0, reply, self.now)
                    self.deliver()

    def end_relay(self, sayings: list[tuple[str, object]], let: int) -> None:
        """It ends in the middle of what it says of this."""
        if self.relay is not None:
            self.let = let
            self.publish(sayings)

    def begin_relay(self) -> None:
        self.memory = remember(self.journal, remembered=1000)
        assert self.memory is not None
        self.reader.at = None
        self.relay = self.new_relay(self.memory)
        self.relay.connected(0, self.now)
        if not self.knows_the_mark():
            self.truth.forget(0)
            for events in self.said[-len(self.rank.log) :] if self.rank.log else ():
                self.truth.take(0, events)
        self.wait(QUIET)
        for _ in range(400):  # one question a tick, down from the highest
            self.wait(0.0)

    def knows_the_mark(self) -> bool:
        """Whether the engine still has the message at which the relay before ended."""
        assert self.memory is not None
        mark = self.memory.marks.get(0)
        return mark is not None and any(
            (mark.sequence, mark.fingerprint) == (sequence, fingerprint(payload))
            for sequence, payload in self.rank.log
        )

    def restart_engine(self) -> None:
        self.rank.restart()
        self.said.clear()
        self.truth.forget(0)
        if self.relay is not None:
            self.relay.disconnected(0)
            self.relay.connected(0, self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.relay is not None:
            self.relay.tick(self.now)
            self.deliver()
            self.answer()

    def deliver(self) -> None:
        """Write, then send; the end may come before any of both."""
        relay = self.relay
        if relay is None:
            return
        if self.let != -1:
            self.journal += b"".join(relay.entries(self.now))
        while self.let not in (0, -1) and (message := relay.next_message(1.0)):
            self.reader.take([message])
            if self.let is not None:
                self.let -= 1
        if self.let is not None:
            self.relay, self.let = None, None

    def settle(self) -> None:
        if self.relay is None:
            self.begin_relay()
        for _ in range(10):
            self.wait(400.0)


@given(trees(), histories("remove", "copy", "drop copy"))
def test_whenever_a_relay_ends_the_next_one_makes_readers_right(
    tree: Tree, happenings: list[tuple[object, ...]]
) -> None:
    check(Scene(tree), happenings)


@given(trees(), st.integers(1, 4), histories("remove"))
def test_also_what_the_engine_cannot_say_again(
    tree: Tree, kept: int, happenings: list[tuple[object, ...]]
) -> None:
    """What readers know stays, and can be built upon, though the relay knows it by its hash only."""
    check(Scene(tree, kept), happenings)


def check(scene: Scene, happenings: list[tuple[object, ...]]) -> None:
    for verb, *details in happenings:
        scene.happen(str(verb), *details)
    scene.settle()
    assert scene.reader.whole() == scene.truth.whole()
    for block in range(BLOCKS):
        if scene.tree.hash(block) in scene.truth.whole():
            assert scene.reader.match(scene.tree.prompt(block)) == 100
