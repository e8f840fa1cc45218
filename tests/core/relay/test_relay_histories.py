"""Whatever an engine does, readers of the relay believe what a reader of the engine does.

What is compared are the blocks whose whole chain is resident, and a gateway's index finds their prompts.
"""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from core.relay.engines import LAYOUTS, InputReader, Rank, Tree
from core.relay.output_reader import OutputReader
from kvsync.core.relay.announcer import Rhythm
from kvsync.core.relay.relay import Relay, Terms
from testbed.engine.wire import AllBlocksCleared, Event, replay_answer, replay_end

RANKS = 2
BLOCKS = 9


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    return Tree(
        tuple(
            draw(st.one_of(st.none(), st.integers(0, number - 1))) if number else None
            for number in range(BLOCKS)
        )
    )


blocks = st.integers(0, BLOCKS - 1)
some_blocks = st.lists(blocks, min_size=1, max_size=4)
ranks = st.integers(0, RANKS - 1)

# What happens, as (verb, rank, …).
publish = st.tuples(
    st.just("publish"),
    ranks,
    st.lists(
        st.one_of(
            st.tuples(st.just("prompt"), blocks, st.integers(0, 3)),
            st.tuples(st.sampled_from(["remove", "remove", "copy", "drop copy"]), some_blocks),
            st.tuples(st.just("prompt"), blocks, st.just(0)),
            st.tuples(st.just("prompt"), blocks, st.just(0)),
            st.tuples(st.sampled_from(["remove", "copy", "drop copy", "clear"]), some_blocks),
        ),
        max_size=3,
    ),
    st.booleans(),  # whether it arrives
)
steps = st.lists(
    st.one_of(
        publish,
        publish,
        publish,
        st.tuples(st.sampled_from(["restart", "restart seen"]), ranks),
        st.tuples(st.sampled_from(["subscribe", "leave", "miss"])),
        st.tuples(st.just("wait"), st.sampled_from([0.01, 0.06, 1.0, 400.0])),
    ),
    min_size=30,
    max_size=60,
)


@dataclass
class Scene:
    """One relay between two ranks of an engine and readers that come one by one."""

    tree: Tree
    layout_number: int
    replay: bool
    kept: int
    now: float = 10.0
    truth: InputReader = field(default_factory=InputReader)

    def __post_init__(self) -> None:
        rhythm = Rhythm(every=300.0, budget=20.0)
        self.relay = Relay(Terms(RANKS, b"out", self.replay, rhythm=rhythm), self.now)
        layout = LAYOUTS[self.layout_number]
        self.ranks = [Rank(number, layout, self.kept) for number in range(RANKS)]
        self.said: list[list[list[Event]]] = [[] for _ in range(RANKS)]
        """What each rank published since its start."""
        self.believed = [0] * RANKS
        """How many of these are in ``truth``, or given up."""
        self.readers = [OutputReader()]
        self.new: list[OutputReader] = []
        """Those who were not told everything yet."""
        self.away: list[OutputReader] = []
        self.slow: OutputReader | None = None

    def happen(self, verb: str, *details: object) -> None:
        getattr(self, verb.replace(" ", "_"))(*details)
        self.deliver()
        self.check()

    def publish(self, number: int, sayings: list[tuple[str, object]], arrives: bool) -> None:
        rank = self.ranks[number]
        events = [event for saying in sayings for event in self.events(*saying)]
        frames = rank.message(events)
        self.said[number].append(events)
        if arrives:
            self.believe(number)
            self.relay.heard(number, frames, self.now)
            self.answer(number)

    def believe(self, number: int) -> None:
        """Also what was lost before, as far as it is replayed; a gap that stays makes all doubtful."""
        said, rank = self.said[number], self.ranks[number]
        kept = rank.kept if self.replay else 1
        to_hear = said[self.believed[number] :]
        if len(to_hear) > kept:
            self.truth.forget(number)
        for events in to_hear[-kept:]:
            self.truth.take(number, events)
        self.believed[number] = len(said)

    def events(self, verb: str, *details: object) -> list[Event]:
        tree = self.tree
        if "copy" in verb and "medium" not in self.ranks[0].layout.stored:
            return []
        match verb, details:
            case "prompt", (int(block), int(skipped)):
                return (
                    [tree.stored(tree.path(block)[skipped:])] if tree.path(block)[skipped:] else []
                )
            case "remove", (list(gone),):
                return [tree.removed(gone)]
            case "copy", (list(copied),):
                return [tree.copied(copied)]
            case "drop copy", (list(gone),):
                return [tree.removed(gone, "CPU")]
            case _:
                return [AllBlocksCleared()]

    def answer(self, number: int) -> None:
        """The engine's replay socket."""
        intake, rank = self.relay.intakes[number], self.ranks[number]
        question = intake.question
        if question is None:
            return
        for sequence, payload in rank.log:
            if sequence >= question:
                answer = replay_answer(rank.layout, b"kv", sequence, payload)
                self.relay.replayed(number, answer, self.now)
        self.relay.replayed(number, replay_end(rank.layout), self.now)
        assert intake.question is None

    def restart(self, number: int) -> None:
        """Nobody sees the connection go; the sequence begins again."""
        self.begin_again(number)
        self.publish(number, [], True)

    def restart_seen(self, number: int) -> None:
        self.begin_again(number)
        self.relay.disconnected(number)

    def begin_again(self, number: int) -> None:
        self.ranks[number].restart()
        self.said[number].clear()
        self.believed[number] = 0
        self.truth.forget(number)

    def subscribe(self) -> None:
        """Somebody new, or one that was away and believes what it did."""
        self.deliver()
        self.relay.subscribed(b"\x01", self.now)
        reader = self.away.pop() if self.away else OutputReader()
        reader.at = None
        self.new.append(reader)

    def leave(self) -> None:
        for readers in (self.readers, self.new):
            if readers and not self.away:
                self.away.append(readers.pop())
                self.relay.subscribed(b"\x00", self.now)

    def miss(self) -> None:
        """One was too slow for what comes next, if anything does."""
        if self.readers:
            self.slow = self.readers.pop()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.relay.tick(self.now)

    def deliver(self) -> None:
        while (message := self.relay.next_message(1.0)) is not None:
            for reader in (*self.readers, *self.new):
                reader.take([message])
            if self.slow is not None:
                self.relay.lost(self.now)
                self.slow.at, self.slow.sure = None, False
                self.new.append(self.slow)
                self.slow = None
        if not self.relay.announcer.owes:
            self.readers += self.new
            self.new = []

    def check(self) -> None:
        for reader in self.readers:
            assert reader.whole() == self.truth.whole()
            for block in range(BLOCKS):
                if self.tree.hash(block) in self.truth.whole():
                    assert reader.match(self.tree.prompt(block)) == 100


@given(trees(), st.integers(0, len(LAYOUTS) - 1), st.booleans(), st.integers(1, 4), steps)
def test_both_readers_agree_after_every_batch(
    tree: Tree, layout: int, replay: bool, kept: int, happenings: list[tuple[object, ...]]
) -> None:
    scene = Scene(tree, layout, replay, kept)
    for verb, *details in happenings:
        scene.happen(str(verb), *details)
    for _ in range(20):  # by then everybody was told everything
        scene.happen("wait", 10.0)
    assert not scene.new
